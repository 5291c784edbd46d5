
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/*
 * Tests for what other applications have sealed.  The vectors were made by the
 * libraries of those applications, see t/vectors/imports.json.
 */


#include "unit.h"

#include "ak_import.h"


#define HEX16   "0123456789abcdef"
#define HEX64   HEX16 HEX16 HEX16 HEX16
#define B64     "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

#define LMNR_NONCE  "404142434445464748494a4b4c4d4e4f5051525354555657"
#define LMNR_VALUE                                                            \
    "f9902c34e11e6791ef5dc4fbb6ae5c08cd53f7f7b475ce08"                        \
    "05715c24aac005916c929e805beae44531"
#define CBC_VALUE                                                             \
    "000102030405060708090a0b0c0d0e0f:"                                       \
    "e010168d221374c77b4cf7ab5d74ce458adc00eed852bd5ce45055dbf29a1adc"
#define VAULT_VALUE                                                           \
    "101112131415161718191a1b:052c1663671a23c043ec74289a899d62:"              \
    "562e17236ed7019fe1591d2d4bac6071ff512ddb267b7687390b77b5fb338ac9"        \
    "93624250781d"

typedef struct {
    ak_import_form_e  form;
    const char       *key;
    const char       *nonce;
    const char       *name;
    const char       *value;
    const char       *plain;
} vector_t;


static const vector_t  vectors[] = {
    { AK_IMPORT_LMNR, HEX64, LMNR_NONCE, "OPENAI_API_KEY", LMNR_VALUE,
      UNIT_SECRET },
    { AK_IMPORT_INTERN3_GCM, B64, "", "",
      "EBESExQVFhcYGRobXmdbI3XzDsuGO34TcM1VM6EJM6pLDAzvTA/5x9RjSURbayTB1J6Zv"
      "jY=", UNIT_SECRET },
    { AK_IMPORT_INTERN3_GCM, HEX64, "", "",
      "EBESExQVFhcYGRob3uO+NtTZlLM/pNoPAQXaKJ7dTOqjwGy7VEwg4P5PHWOIqgsz2NTkD"
      "98=", UNIT_SECRET },
    { AK_IMPORT_INTERN3_GCM, "cGFzc3dvcmQh", "", "",
      "EBESExQVFhcYGRobWzQPRdMf7GFf2Zb6gWbW4MLlFMv8nz12DY1THhfSxxQP1FPp1jTT1"
      "ks=", UNIT_SECRET },
    { AK_IMPORT_INTERN3_CBC, HEX64, "", "", CBC_VALUE, UNIT_SECRET },
    { AK_IMPORT_LOBECHAT_VAULT, B64, "", "", VAULT_VALUE,
      "{\"apiKey\":\"" UNIT_SECRET "\"}" }
};


static const char  hex[] = "0123456789abcdef";
static const char  base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";


static ak_import_key_t
key_of(ak_import_form_e form, const char *text)
{
    ak_import_key_t  k;

    assert_int_equal(ak_import_key(&k, form, ak_cstr(text)), AK_IMPORT_OK);

    return k;
}


/* Opens copies that end where their memory ends. */

static ak_import_e
open_as(const vector_t *v, const char *value, const char *nonce,
    const char *name, char *plain)
{
    size_t              len;
    uint8_t            *dst;
    ak_import_e         class;
    ak_import_key_t     k;
    ak_import_sealed_t  sealed;

    k = key_of(v->form, v->key);

    sealed.value = unit_exact(ak_cstr(value));
    sealed.nonce = unit_exact(ak_cstr(nonce));
    sealed.name = unit_exact(ak_cstr(name));

    dst = malloc(sealed.value.len + 1);
    assert_non_null(dst);
    memset(dst, 0, sealed.value.len + 1);

    class = ak_import_open(&k, &sealed, dst, &len);

    assert_true(len <= sealed.value.len);
    memcpy(plain, dst, len);
    plain[len] = '\0';

    if (class != AK_IMPORT_OK) {
        assert_int_equal(len, 0);
        assert_null(memmem(dst, sealed.value.len, "EXAMPLE", 7));
    }

    free(dst);
    unit_free(sealed.value);
    unit_free(sealed.nonce);
    unit_free(sealed.name);

    return class;
}


static void
refused(const vector_t *v, const char *value, const char *nonce,
    const char *name, ak_import_e class)
{
    char         plain[512];
    ak_import_e  got;

    got = open_as(v, value, nonce, name, plain);

    assert_case(got == class, "form %d, \"%s\": %s, not %s", v->form, value,
                ak_import_class(got), ak_import_class(class));
}


static void
test_vectors(void **state)
{
    char    plain[512];
    size_t  i;

    (void) state;

    for (i = 0; i < ak_nitems(vectors); i++) {
        assert_int_equal(open_as(&vectors[i], vectors[i].value,
                                 vectors[i].nonce, vectors[i].name, plain),
                         AK_IMPORT_OK);
        assert_string_equal(plain, vectors[i].plain);
    }
}


/* Every bit of every byte that a text of hex stands for. */

static void
flip_hex(const vector_t *v, size_t from, size_t to, ak_import_e class)
{
    int      bit;
    char     text[512], plain[512], *p;
    size_t   i;

    assert_true(strlen(v->value) < sizeof(text));

    for (i = from; i < to; i++) {
        if (v->value[i] == ':') {
            continue;
        }

        for (bit = 0; bit < 4; bit++) {
            strcpy(text, v->value);
            p = strchr(hex, text[i]);
            text[i] = hex[(p - hex) ^ (1 << bit)];

            if (class != AK_IMPORT_OK) {
                refused(v, text, v->nonce, v->name, class);

            } else if (open_as(v, text, v->nonce, v->name, plain)
                       == AK_IMPORT_OK)
            {
                assert_true(ak_str_visible(ak_cstr(plain)));
                assert_string_not_equal(plain, v->plain);
            }
        }
    }
}


static void
flip_base64(const vector_t *v)
{
    int     bit;
    char    text[512], *p;
    size_t  i, n;

    n = strcspn(v->value, "=");

    for (i = 0; i < n; i++) {
        for (bit = 0; bit < 6; bit++) {
            strcpy(text, v->value);
            p = strchr(base64, text[i]);
            text[i] = base64[(p - base64) ^ (1 << bit)];

            /* the last letter's lowest bits, before "=", are of no byte */

            refused(v, text, "", "",
                    (i == n - 1 && bit < 2) ? AK_IMPORT_BAD_ENCODING
                                            : AK_IMPORT_AUTH_FAILED);
        }
    }
}


static void
test_flipped(void **state)
{
    int          bit;
    char         text[64], *p;
    size_t       i;
    const char  *colon;
    vector_t     v;

    (void) state;

    flip_hex(&vectors[0], 0, strlen(LMNR_VALUE), AK_IMPORT_AUTH_FAILED);

    for (i = 0; i < strlen(LMNR_NONCE); i++) {
        for (bit = 0; bit < 4; bit++) {
            strcpy(text, LMNR_NONCE);
            p = strchr(hex, text[i]);
            text[i] = hex[(p - hex) ^ (1 << bit)];
            refused(&vectors[0], LMNR_VALUE, text, "OPENAI_API_KEY",
                    AK_IMPORT_AUTH_FAILED);
        }
    }

    for (i = 0; i < strlen("OPENAI_API_KEY"); i++) {
        for (bit = 0; bit < 8; bit++) {
            strcpy(text, "OPENAI_API_KEY");
            text[i] ^= (char) (1 << bit);

            if (text[i] != '\0') {
                refused(&vectors[0], LMNR_VALUE, LMNR_NONCE, text,
                        AK_IMPORT_AUTH_FAILED);
            }
        }
    }

    flip_base64(&vectors[1]);
    flip_base64(&vectors[2]);
    flip_base64(&vectors[3]);
    flip_hex(&vectors[5], 0, strlen(VAULT_VALUE), AK_IMPORT_AUTH_FAILED);

    /*
     * CBC: a flipped ciphertext garbles a block and a flipped IV turns a bit
     * of the first one, which is found only where it is not ASCII any more.
     */

    v = vectors[4];
    colon = strchr(CBC_VALUE, ':');
    flip_hex(&v, 0, (size_t) (colon - CBC_VALUE), AK_IMPORT_OK);
    flip_hex(&v, (size_t) (colon - CBC_VALUE) + 1,
             (size_t) (colon - CBC_VALUE) + 33, AK_IMPORT_AUTH_FAILED);
    flip_hex(&v, (size_t) (colon - CBC_VALUE) + 33, strlen(CBC_VALUE),
             AK_IMPORT_AUTH_FAILED);
    refused(&v, "80" "0102030405060708090a0b0c0d0e0f:"
            "e010168d221374c77b4cf7ab5d74ce458adc00eed852bd5ce45055dbf29a1adc",
            "", "", AK_IMPORT_AUTH_FAILED);
}


/* Cut at every letter: never opens, and each class comes at its place. */

static void
test_cut(void **state)
{
    char         text[512], plain[512];
    size_t       i, n;
    ak_import_e  class;

    (void) state;

    for (i = 0; i < ak_nitems(vectors); i++) {
        for (n = 0; n < strlen(vectors[i].value); n++) {
            strcpy(text, vectors[i].value);
            text[n] = '\0';

            class = open_as(&vectors[i], text, vectors[i].nonce,
                            vectors[i].name, plain);
            assert_case(class != AK_IMPORT_OK, "%s opens", text);
        }
    }

    for (n = 0; n < strlen(LMNR_NONCE); n++) {
        strcpy(text, LMNR_NONCE);
        text[n] = '\0';
        refused(&vectors[0], LMNR_VALUE, text, "OPENAI_API_KEY",
                AK_IMPORT_BAD_NONCE);
    }

    /* the tag, a byte less; all of it; the nonce */

    refused(&vectors[0], "f9902c34e11e6791ef5dc4fbb6ae5c08cd53f7f7b475ce08"
            "05715c24aac005916c929e805beae445", LMNR_NONCE, "OPENAI_API_KEY",
            AK_IMPORT_AUTH_FAILED);
    refused(&vectors[0], "f9902c34", LMNR_NONCE, "OPENAI_API_KEY",
            AK_IMPORT_AUTH_FAILED);
    refused(&vectors[1], "EBESExQVFhcYGRob", "", "", AK_IMPORT_AUTH_FAILED);
    refused(&vectors[1], "EBESExQVFhcYGRo=", "", "", AK_IMPORT_BAD_NONCE);
    refused(&vectors[4], "0001:e010", "", "", AK_IMPORT_BAD_NONCE);
    refused(&vectors[4], "000102030405060708090a0b0c0d0e0f:e010", "", "",
            AK_IMPORT_AUTH_FAILED);
    refused(&vectors[4], "000102030405060708090a0b0c0d0e0f:", "", "",
            AK_IMPORT_AUTH_FAILED);
    refused(&vectors[5], "1011:052c1663671a23c043ec74289a899d62:56", "", "",
            AK_IMPORT_BAD_NONCE);
    refused(&vectors[5], "101112131415161718191a1b:052c:56", "", "",
            AK_IMPORT_AUTH_FAILED);
}


static void
test_encoding(void **state)
{
    size_t              i;
    const vector_t     *v;
    static const char  *const bad[] = {
        "", " ", "zz", "0", "zzz",
        "::", ":", "a:b:c", "00:00:00:00", "\xc3\xa9"
    };

    (void) state;

    for (v = vectors; v < vectors + ak_nitems(vectors); v++) {
        for (i = 0; i < 5; i++) {
            refused(v, bad[i], v->nonce, v->name, AK_IMPORT_BAD_ENCODING);
        }
    }

    for (i = 5; i < ak_nitems(bad); i++) {
        refused(&vectors[0], bad[i], LMNR_NONCE, "OPENAI_API_KEY",
                AK_IMPORT_BAD_ENCODING);
        refused(&vectors[1], bad[i], "", "", AK_IMPORT_BAD_ENCODING);
    }

    refused(&vectors[4], "00:00:00", "", "", AK_IMPORT_BAD_ENCODING);
    refused(&vectors[5], "00:00", "", "", AK_IMPORT_BAD_ENCODING);
    refused(&vectors[5], "00:00:00:00", "", "", AK_IMPORT_BAD_ENCODING);
    refused(&vectors[0], LMNR_VALUE,
            "g04142434445464748494a4b4c4d4e4f5051525354555657",
            "OPENAI_API_KEY", AK_IMPORT_BAD_ENCODING);
}


/* What the applications themselves tolerate. */

static void
test_tolerated(void **state)
{
    char    text[512], plain[512];
    size_t  i;

    (void) state;

    for (i = 0; i <= strlen(LMNR_VALUE); i++) {
        text[i] = (LMNR_VALUE[i] >= 'a') ? LMNR_VALUE[i] - 32 : LMNR_VALUE[i];
    }

    strcat(text, "\n");
    assert_int_equal(open_as(&vectors[0], text, LMNR_NONCE "\r\n",
                             "OPENAI_API_KEY", plain), AK_IMPORT_OK);
    assert_string_equal(plain, UNIT_SECRET);
}


static void
check_key(ak_import_form_e form, const char *text, ak_import_e class)
{
    size_t           i;
    ak_import_e      got;
    ak_import_key_t  k;

    memset(&k, 0xa5, sizeof(k));
    got = ak_import_key(&k, form, ak_cstr(text));

    assert_case(got == class, "form %d, key \"%s\": %s, not %s", form, text,
                ak_import_class(got), ak_import_class(class));

    for (i = 0; i < sizeof(k.key) && class != AK_IMPORT_OK; i++) {
        assert_int_equal(k.key[i], 0);
    }
}


static void
test_keys(void **state)
{
    int              form;
    uint8_t          expected[AK_GCM_KEY_LEN];
    ak_import_key_t  k;

    (void) state;

    for (form = AK_IMPORT_LMNR; form <= AK_IMPORT_LOBECHAT_VAULT; form++) {
        check_key((ak_import_form_e) form, "", AK_IMPORT_KEY_MISSING);
        check_key((ak_import_form_e) form, " \r\n", AK_IMPORT_KEY_MISSING);
        check_key((ak_import_form_e) form, "abc", AK_IMPORT_KEY_LENGTH);
    }

    check_key(AK_IMPORT_LMNR, HEX64 "\n", AK_IMPORT_OK);
    check_key(AK_IMPORT_LMNR, "\"" HEX64 "\"", AK_IMPORT_KEY_LENGTH);
    check_key(AK_IMPORT_LMNR, HEX16 HEX16, AK_IMPORT_KEY_LENGTH);
    check_key(AK_IMPORT_LMNR, HEX16 HEX16 HEX16 "g123456789abcdef",
              AK_IMPORT_BAD_ENCODING);
    check_key(AK_IMPORT_INTERN3_CBC, HEX64 "00", AK_IMPORT_KEY_LENGTH);

    check_key(AK_IMPORT_LOBECHAT_VAULT, HEX64, AK_IMPORT_KEY_LENGTH);
    check_key(AK_IMPORT_LOBECHAT_VAULT, "cGFzc3dvcmQh", AK_IMPORT_KEY_LENGTH);
    check_key(AK_IMPORT_LOBECHAT_VAULT, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3OD"
              "lhYmNkZWY", AK_IMPORT_OK);

    check_key(AK_IMPORT_INTERN3_GCM, "cGFzc3d", AK_IMPORT_KEY_LENGTH);
    check_key(AK_IMPORT_INTERN3_GCM, "123456789", AK_IMPORT_BAD_ENCODING);
    check_key(AK_IMPORT_INTERN3_GCM, "11111111-1111-1111-1111-111111111111",
              AK_IMPORT_BAD_ENCODING);
    check_key(AK_IMPORT_INTERN3_GCM, "abcd=fgh", AK_IMPORT_BAD_ENCODING);

    /* "cGFzc3dvcmQ" leaves bits over in other spellings, as atob() lets it */

    k = key_of(AK_IMPORT_INTERN3_GCM, "cGFzc3dvcmR");
    memcpy(expected, "passwordpasswordpasswordpassword", 32);
    assert_memory_equal(k.key, expected, 32);
}


static void
test_another_key(void **state)
{
    vector_t  v;

    (void) state;

    v = vectors[0];
    v.key = HEX16 HEX16 HEX16 "0123456789abcdee";
    refused(&v, v.value, v.nonce, v.name, AK_IMPORT_AUTH_FAILED);
    v = vectors[4];
    v.key = HEX16 HEX16 HEX16 "0123456789abcdee";
    refused(&v, v.value, v.nonce, v.name, AK_IMPORT_AUTH_FAILED);
    v = vectors[1];
    v.key = vectors[2].key;
    refused(&v, v.value, v.nonce, v.name, AK_IMPORT_AUTH_FAILED);
    v = vectors[5];
    v.key = "BfQAnYVnD9t4GS4Vv0eTDi+zpg04CysJO0xG/IleZIg=";
    refused(&v, v.value, v.nonce, v.name, AK_IMPORT_AUTH_FAILED);
    refused(&vectors[0], LMNR_VALUE, LMNR_NONCE, "GEMINI_API_KEY",
            AK_IMPORT_AUTH_FAILED);
    refused(&vectors[0], LMNR_VALUE, LMNR_NONCE, "openai_api_key",
            AK_IMPORT_AUTH_FAILED);
    refused(&vectors[0], LMNR_VALUE, LMNR_NONCE, "", AK_IMPORT_AUTH_FAILED);
}


static void
test_providers(void **state)
{
    size_t  i;

    static const char  *const names[][2] = {
        { "OPENAI_API_KEY", "openai" }, { "OPENAI_API_KEYS", "openai" },
        { "GEMINI_API_KEY", "google" }, { "GOOGLE_API_KEY", "google" },
        { "GOOGLE_GENERATIVE_AI_API_KEY", "google" }, { "gemini", "google" },
        { "AZURE_API_KEY", "azure-openai" }, { "azure", "azure-openai" },
        { "AZURE_OPENAI_API_KEY", "azure-openai" },
        { "openai-azure", "azure-openai" }, { "azure-openai", "azure-openai" },
        { "ANTHROPIC_API_KEY", "anthropic" }, { "BRAVE_API_KEY", "brave" },
        { "TAVILY_API_KEY", "tavily" }, { "SERPER_API_KEY", "serper" },
        { "FIRECRAWL_API_KEY", "firecrawl" }, { "mistral", "mistral" },
        { "", "" }, { "_API_KEY", "" }, { "NO_SUCH_API_KEY", "" },
        { "OPENAI_API_KEY2", "" }, { "AWS_REGION", "" }
    };

    (void) state;

    for (i = 0; i < ak_nitems(names); i++) {
        assert_str(ak_import_provider(ak_cstr(names[i][0])), names[i][1]);
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_vectors),
    cmocka_unit_test(test_flipped),
    cmocka_unit_test(test_cut),
    cmocka_unit_test(test_encoding),
    cmocka_unit_test(test_tolerated),
    cmocka_unit_test(test_keys),
    cmocka_unit_test(test_another_key),
    cmocka_unit_test(test_providers)
};


UNIT_MAIN(tests)
