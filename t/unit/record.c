
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for records: fields, packed form, hostile input. */


#include "unit.h"

#include "ak_record.h"


#define FIELD(name, value)  { ak_string(name), ak_string(value) }


static const ak_field_t  full[] = {
    FIELD("hash", UNIT_HASH),
    FIELD("owner", "alice"),
    FIELD("name", "laptop"),
    FIELD("status", "active"),
    FIELD("created", "1700000000"),
    FIELD("expires", "1900000000"),
    FIELD("scopes", "chat embeddings"),
    FIELD("routes", "/v1/*"),
    FIELD("ips", "10.0.0.0/8"),
    FIELD("rate", "10r/s"),
    FIELD("replaced_by", "zzzzzzzzzzzz"),
    FIELD("meta.team", "research"),
    FIELD("meta.cost", "42")
};


static ak_rc_t
parse(const ak_field_t *fields, size_t n, ak_record_t *rec, ak_diag_t *d)
{
    memset(rec, 0xa5, sizeof(*rec));

    if (d != NULL) {
        memset(d, 0, sizeof(*d));
    }

    return ak_record_parse(fields, n, rec, d);
}


static void
check_full(const ak_record_t *rec)
{
    uint8_t  text[AK_HASH_TEXT_MAX];

    assert_str(ak_str(text, ak_hash_format(&rec->hash, text)), UNIT_HASH);
    assert_int_equal(rec->status, AK_STATUS_ACTIVE);
    assert_true(rec->created == 1700000000);
    assert_true(rec->expires == 1900000000);
    assert_str(rec->owner, "alice");
    assert_str(rec->name, "laptop");
    assert_str(rec->scopes, "chat embeddings");
    assert_str(rec->routes, "/v1/*");
    assert_str(rec->ips, "10.0.0.0/8");
    assert_str(rec->rate, "10r/s");
    assert_str(rec->replaced_by, "zzzzzzzzzzzz");

    assert_int_equal(rec->nmeta, 2);
    assert_str(ak_record_meta(rec, S("team")), "research");
    assert_str(ak_record_meta(rec, S("cost")), "42");
    assert_null(ak_record_meta(rec, S("none")).data);
    assert_null(ak_record_meta(rec, S("tea")).data);
    assert_null(ak_record_meta(rec, S("meta.team")).data);
    assert_null(ak_record_meta(rec, S("")).data);
}


static void
test_parse(void **state)
{
    ak_diag_t    d;
    ak_record_t  rec;

    (void) state;

    assert_int_equal(parse(full, ak_nitems(full), &rec, &d), AK_OK);
    check_full(&rec);
    assert_int_equal(parse(full, ak_nitems(full), &rec, NULL), AK_OK);
}


/* A hash has no order. */

static void
test_any_order(void **state)
{
    size_t       i;
    ak_diag_t    d;
    ak_field_t   fields[ak_nitems(full)];
    ak_record_t  rec;

    (void) state;

    for (i = 0; i < ak_nitems(full); i++) {
        fields[i] = full[ak_nitems(full) - 1 - i];
    }

    assert_int_equal(parse(fields, ak_nitems(fields), &rec, &d), AK_OK);
    check_full(&rec);
}


static void
test_minimal(void **state)
{
    ak_diag_t    d;
    ak_record_t  rec;

    static const ak_field_t  fields[] = {
        FIELD("hash", UNIT_HASH),
        FIELD("owner", "alice"),
        FIELD("status", "disabled"),
        FIELD("colour", "of a later version"),
        FIELD("metal", "iron"),
        FIELD("", "nothing")
    };

    (void) state;

    assert_int_equal(parse(fields, ak_nitems(fields), &rec, &d), AK_OK);
    assert_str(rec.owner, "alice");
    assert_int_equal(rec.status, AK_STATUS_DISABLED);
    assert_true(rec.expires == 0);
    assert_int_equal(rec.name.len, 0);
    assert_int_equal(rec.scopes.len, 0);
    assert_int_equal(rec.replaced_by.len, 0);
    assert_int_equal(rec.nmeta, 0);
}


static void
test_missing(void **state)
{
    ak_diag_t    d;
    ak_record_t  rec;

    static const ak_field_t  no_hash[] = {
        FIELD("owner", "alice"), FIELD("status", "active")
    };
    static const ak_field_t  no_owner[] = {
        FIELD("hash", UNIT_HASH), FIELD("status", "active")
    };
    static const ak_field_t  no_status[] = {
        FIELD("hash", UNIT_HASH), FIELD("owner", "alice")
    };

    (void) state;

    assert_int_equal(parse(no_hash, 2, &rec, &d), AK_ERROR);
    assert_non_null(strstr(d.text, "hash"));

    assert_int_equal(parse(no_owner, 2, &rec, &d), AK_ERROR);
    assert_non_null(strstr(d.text, "owner"));

    assert_int_equal(parse(NULL, 0, &rec, &d), AK_ERROR);
    assert_int_not_equal(d.text[0], '\0');

    /* the header leaves this open; nothing but "active" may come of it */

    if (parse(no_status, 2, &rec, &d) == AK_OK) {
        assert_int_equal(rec.status, AK_STATUS_ACTIVE);

    } else {
        assert_non_null(strstr(d.text, "status"));
    }
}


/* One field of the full record replaced. */

static ak_rc_t
parse_with(const char *name, ak_str_t value, ak_record_t *rec, ak_diag_t *d)
{
    size_t      i, n;
    ak_field_t  fields[ak_nitems(full) + 1];

    n = ak_nitems(full);
    memcpy(fields, full, sizeof(full));

    for (i = 0; i < n; i++) {
        if (ak_str_eq(fields[i].name, ak_cstr(name))) {
            break;
        }
    }

    fields[i].name = ak_cstr(name);
    fields[i].value = value;

    return parse(fields, i == n ? n + 1 : n, rec, d);
}


static const struct {
    const char  *name;
    const char  *value;
} bad[] = {
    { "status", "Active" }, { "status", "ACTIVE" }, { "status", "active " },
    { "status", " active" }, { "status", "" }, { "status", "1" },
    { "status", "actives" }, { "status", "activ" }, { "status", "deleted" },
    { "status", "revoked\n" },

    { "expires", "-1" }, { "expires", "+1" }, { "expires", " 1" },
    { "expires", "1 " }, { "expires", "1x" }, { "expires", "0x10" },
    { "expires", "1e3" }, { "expires", "1.5" }, { "expires", "never" },
    { "expires", "9223372036854775808" },
    { "expires", "18446744073709551616" },
    { "expires", "18446744073709551617" },
    { "expires", "99999999999999999999999999" },
    { "created", "-1" }, { "created", "yesterday" }, { "created", "1\n" },
    { "created", "9223372036854775808" },

    { "hash", "" }, { "hash", "$sha512$AAECAwQFBgcICQoLDA0ODw$AAAA" },
    { "hash", "$plain$sk-0123456789abcdef" }, { "hash", UNIT_HASH "A" },
    { "hash", UNIT_KEY },

    { "owner", "" }, { "owner", "*" }, { "owner", " alice" },
    { "owner", "alice " }, { "owner", "al\nice" }, { "owner", "al\x7fice" },
    { "name", "a\tb" }, { "name", "laptop\r\n" }
};


static void
test_bad(void **state)
{
    size_t       i;
    ak_diag_t    d;
    ak_record_t  rec;

    (void) state;

    for (i = 0; i < ak_nitems(bad); i++) {
        assert_case(parse_with(bad[i].name, ak_cstr(bad[i].value), &rec, &d)
                    == AK_ERROR, "%s: \"%s\"", bad[i].name, bad[i].value);
        assert_case(strstr(d.text, bad[i].name) != NULL,
                    "\"%s\" does not name \"%s\"", d.text, bad[i].name);

        if (strlen(bad[i].value) > 6) {
            assert_case(strstr(d.text, bad[i].value) == NULL,
                        "\"%s\" holds the value", d.text);
        }
    }
}


static void
test_name_lengths(void **state)
{
    char         name[AK_NAME_MAX + 1];
    size_t       i;
    ak_diag_t    d;
    ak_record_t  rec;

    static const char  *fields[] = { "owner", "name" };

    (void) state;

    memset(name, 'n', sizeof(name));

    for (i = 0; i < ak_nitems(fields); i++) {
        assert_int_equal(parse_with(fields[i], ak_str(name, AK_NAME_MAX), &rec,
                                    &d), AK_OK);
        assert_int_equal(parse_with(fields[i], ak_str(name, AK_NAME_MAX + 1),
                                    &rec, &d), AK_ERROR);
        assert_non_null(strstr(d.text, fields[i]));
    }
}


static void
test_numbers(void **state)
{
    ak_diag_t    d;
    ak_record_t  rec;

    (void) state;

    assert_int_equal(parse_with("expires", S("0"), &rec, &d), AK_OK);
    assert_true(rec.expires == 0);

    assert_int_equal(parse_with("expires", S("253402300799"), &rec, &d),
                     AK_OK);
    assert_true(rec.expires == 253402300799);
}


/* As many meta fields as a record may have, with names as long. */

static size_t
many_meta(ak_field_t *fields, char (*names)[AK_NAME_MAX + 8], size_t n,
    size_t len)
{
    size_t  i;

    fields[0] = (ak_field_t) FIELD("hash", UNIT_HASH);
    fields[1] = (ak_field_t) FIELD("owner", "alice");
    fields[2] = (ak_field_t) FIELD("status", "active");

    for (i = 0; i < n; i++) {
        memset(names[i], 'm', AK_NAME_MAX + 8);
        memcpy(names[i], "meta.", 5);
        names[i][5] = (char) ('a' + i / 26);
        names[i][6] = (char) ('a' + i % 26);

        fields[3 + i].name = ak_str(names[i], 5 + len);
        fields[3 + i].value = S("value");
    }

    return 3 + n;
}


static void
test_meta_limits(void **state)
{
    char         names[AK_RECORD_META_MAX + 1][AK_NAME_MAX + 8];
    size_t       n;
    uint8_t      text[AK_RECORD_TEXT_MAX];
    ak_diag_t    d;
    ak_field_t   fields[AK_RECORD_FIELDS_MAX + 4], out[AK_RECORD_FIELDS_MAX];
    ak_record_t  rec, back;

    (void) state;

    n = many_meta(fields, names, AK_RECORD_META_MAX, AK_NAME_MAX);
    assert_int_equal(parse(fields, n, &rec, &d), AK_OK);
    assert_int_equal(rec.nmeta, AK_RECORD_META_MAX);

    n = ak_record_fields(&rec, out, text);
    assert_true(n <= AK_RECORD_FIELDS_MAX);
    assert_int_equal(parse(out, n, &back, &d), AK_OK);
    assert_int_equal(back.nmeta, AK_RECORD_META_MAX);

    /* one more, or one longer, cannot be held */

    n = many_meta(fields, names, AK_RECORD_META_MAX + 1, 8);
    assert_int_equal(parse(fields, n, &rec, &d), AK_ERROR);
    assert_non_null(strstr(d.text, "meta"));

    n = many_meta(fields, names, 1, AK_NAME_MAX + 1);
    assert_int_equal(parse(fields, n, &rec, &d), AK_ERROR);
    assert_non_null(strstr(d.text, "meta"));
}


static void
test_fields(void **state)
{
    size_t       i, n;
    uint8_t      text[AK_RECORD_TEXT_MAX];
    ak_diag_t    d;
    ak_field_t   out[AK_RECORD_FIELDS_MAX];
    ak_record_t  rec;

    (void) state;

    assert_int_equal(parse(full, ak_nitems(full), &rec, &d), AK_OK);

    n = ak_record_fields(&rec, out, text);
    assert_int_equal(n, ak_nitems(full));

    for (i = 0; i < n; i++) {
        assert_case(ak_str_eq(out[i].name, full[i].name)
                    && ak_str_eq(out[i].value, full[i].value),
                    "field %zu is %.*s: %.*s", i, AK_FMT(out[i].name),
                    AK_FMT(out[i].value));
    }
}


static void
test_fields_empty_left_out(void **state)
{
    size_t       i, n;
    uint8_t      text[AK_RECORD_TEXT_MAX];
    ak_diag_t    d;
    ak_field_t   out[AK_RECORD_FIELDS_MAX];
    ak_record_t  rec, back;

    static const ak_field_t  fields[] = {
        FIELD("hash", UNIT_HASH), FIELD("owner", "alice"),
        FIELD("status", "revoked"), FIELD("created", "1")
    };

    (void) state;

    assert_int_equal(parse(fields, ak_nitems(fields), &rec, &d), AK_OK);
    n = ak_record_fields(&rec, out, text);

    for (i = 0; i < n; i++) {
        assert_int_not_equal(out[i].value.len, 0);
    }

    assert_int_equal(parse(out, n, &back, &d), AK_OK);
    assert_str(back.owner, "alice");
    assert_int_equal(back.status, AK_STATUS_REVOKED);
    assert_true(back.created == 1);
    assert_true(back.expires == 0);
}


static size_t
pack_full(uint8_t packed[AK_VALUE_MAX])
{
    size_t       len;
    ak_diag_t    d;
    ak_record_t  rec;

    assert_int_equal(parse(full, ak_nitems(full), &rec, &d), AK_OK);
    assert_int_equal(ak_record_pack(&rec, packed, &len), AK_OK);
    assert_true(len <= AK_VALUE_MAX);

    return len;
}


static bool
inside(ak_str_t packed, ak_str_t s)
{
    return s.len == 0
           || (s.data >= packed.data && s.len <= packed.len
               && s.data <= packed.data + packed.len - s.len);
}


static void
check_inside(ak_str_t packed, const ak_record_t *rec)
{
    unsigned  i;

    assert_true(inside(packed, rec->owner));
    assert_true(inside(packed, rec->name));
    assert_true(inside(packed, rec->scopes));
    assert_true(inside(packed, rec->routes));
    assert_true(inside(packed, rec->ips));
    assert_true(inside(packed, rec->rate));
    assert_true(inside(packed, rec->replaced_by));
    assert_true(rec->nmeta <= AK_RECORD_META_MAX);

    for (i = 0; i < rec->nmeta; i++) {
        assert_true(inside(packed, rec->meta[i].name));
        assert_true(inside(packed, rec->meta[i].value));
    }
}


static void
test_pack(void **state)
{
    uint8_t      packed[AK_VALUE_MAX];
    ak_str_t     copy;
    ak_record_t  rec;

    (void) state;

    copy = unit_exact(ak_str(packed, pack_full(packed)));

    memset(&rec, 0xa5, sizeof(rec));
    assert_int_equal(ak_record_unpack(copy, &rec), AK_OK);
    check_full(&rec);
    check_inside(copy, &rec);

    unit_free(copy);
}


/* Caches hand out values at any address. */

static void
test_unaligned(void **state)
{
    size_t       i, len;
    uint8_t      packed[AK_VALUE_MAX], moved[AK_VALUE_MAX + 16];
    ak_record_t  rec;

    (void) state;

    len = pack_full(packed);

    for (i = 0; i < 16; i++) {
        memcpy(moved + i, packed, len);
        assert_int_equal(ak_record_unpack(ak_str(moved + i, len), &rec),
                         AK_OK);
        check_full(&rec);
    }
}


static void
test_every_truncation(void **state)
{
    size_t       i, len;
    uint8_t      packed[AK_VALUE_MAX];
    ak_str_t     copy;
    ak_record_t  rec;

    (void) state;

    len = pack_full(packed);

    for (i = 0; i < len; i++) {
        copy = unit_exact(ak_str(packed, i));
        assert_case(ak_record_unpack(copy, &rec) == AK_ERROR,
                    "%zu of %zu bytes unpack", i, len);
        unit_free(copy);
    }

    packed[len] = 0;
    assert_int_equal(ak_record_unpack(ak_str(packed, len + 1), &rec),
                     AK_ERROR);
}


/* Whatever is inside, the strings stay inside. */

static void
test_hostile_bytes(void **state)
{
    size_t       i, v, len;
    uint8_t      packed[AK_VALUE_MAX], was;
    ak_str_t     copy;
    ak_record_t  rec;

    static const uint8_t  values[] = { 0, 1, 2, 0x7f, 0x80, 0xfe, 0xff };

    (void) state;

    len = pack_full(packed);

    for (i = 0; i < len; i++) {
        was = packed[i];

        for (v = 0; v < ak_nitems(values); v++) {
            packed[i] = values[v];
            copy = unit_exact(ak_str(packed, len));

            if (ak_record_unpack(copy, &rec) == AK_OK) {
                check_inside(copy, &rec);
                (void) ak_record_meta(&rec, S("team"));
            }

            unit_free(copy);
        }

        packed[i] = was;
    }
}


static void
test_pack_limit(void **state)
{
    char        *big;
    size_t       n, len, fits;
    uint8_t     *packed;
    ak_diag_t    d;
    ak_record_t  rec, back;

    (void) state;

    big = malloc(AK_VALUE_MAX * 5);
    packed = malloc(AK_VALUE_MAX);
    assert_non_null(big);
    assert_non_null(packed);

    memset(big, 's', AK_VALUE_MAX * 5);
    fits = 0;

    for (n = AK_VALUE_MAX - 1024; n <= AK_VALUE_MAX + 16; n++) {

        if (parse_with("scopes", ak_str(big, n), &rec, &d) != AK_OK) {
            continue;
        }

        if (ak_record_pack(&rec, packed, &len) == AK_OK) {
            assert_true(len <= AK_VALUE_MAX);
            assert_int_equal(ak_record_unpack(ak_str(packed, len), &back),
                             AK_OK);
            assert_int_equal(back.scopes.len, n);
            fits++;
        }
    }

    assert_true(fits < 1024);

    /* lengths that would not fit into 16 bits */

    for (n = 65534; n <= 65538; n++) {

        if (parse_with("scopes", ak_str(big, n), &rec, &d) == AK_OK) {
            assert_int_equal(ak_record_pack(&rec, packed, &len), AK_ERROR);
        }

        if (parse_with("meta.team", ak_str(big, n), &rec, &d) == AK_OK) {
            assert_int_equal(ak_record_pack(&rec, packed, &len), AK_ERROR);
        }
    }

    free(packed);
    free(big);
}


static void
test_status_names(void **state)
{
    (void) state;

    assert_str(ak_record_status_name(AK_STATUS_ACTIVE), "active");
    assert_str(ak_record_status_name(AK_STATUS_DISABLED), "disabled");
    assert_str(ak_record_status_name(AK_STATUS_REVOKED), "revoked");
    assert_str(ak_record_status_name((ak_status_e) 0), "");
    assert_str(ak_record_status_name((ak_status_e) 4), "");
    assert_str(ak_record_status_name((ak_status_e) 255), "");
}


static void
test_name_valid(void **state)
{
    char      name[AK_NAME_MAX + 1];
    size_t    i;
    unsigned  c;

    static const char  *good[] = {
        "a", "alice", "alice@example.com", "team/alice", "a b", "A.B-c_d",
        "caf\xc3\xa9", "\xe6\x97\xa5\xe6\x9c\xac", "a|b", "a*", "**"
    };
    static const char  *ill[] = {
        "", " ", " a", "a ", "a\n", "\ta", "a\tb", "a\x7f", "a\x01", "*"
    };

    (void) state;

    for (i = 0; i < ak_nitems(good); i++) {
        assert_case(ak_name_valid(ak_cstr(good[i])), "\"%s\"", good[i]);
    }

    for (i = 0; i < ak_nitems(ill) - 1; i++) {
        assert_case(!ak_name_valid(ak_cstr(ill[i])), "\"%s\"", ill[i]);
    }

    memset(name, 'n', sizeof(name));
    assert_true(ak_name_valid(ak_str(name, AK_NAME_MAX)));
    assert_false(ak_name_valid(ak_str(name, AK_NAME_MAX + 1)));

    for (c = 0; c < 128; c++) {
        name[3] = (char) c;
        assert_int_equal(ak_name_valid(ak_str(name, 8)), c >= 32 && c != 127);
    }
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_parse),
    cmocka_unit_test(test_any_order),
    cmocka_unit_test(test_minimal),
    cmocka_unit_test(test_missing),
    cmocka_unit_test(test_bad),
    cmocka_unit_test(test_name_lengths),
    cmocka_unit_test(test_numbers),
    cmocka_unit_test(test_meta_limits),
    cmocka_unit_test(test_fields),
    cmocka_unit_test(test_fields_empty_left_out),
    cmocka_unit_test(test_pack),
    cmocka_unit_test(test_unaligned),
    cmocka_unit_test(test_every_truncation),
    cmocka_unit_test(test_hostile_bytes),
    cmocka_unit_test(test_pack_limit),
    cmocka_unit_test(test_status_names),
    cmocka_unit_test(test_name_valid)
};


UNIT_MAIN(tests)
