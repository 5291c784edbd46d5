
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <stdio.h>

#include "ak_args.h"
#include "ak_time.h"


#define AK_ARGS_MAX  64        /* of a line */


typedef struct {
    void               *conf;
    ak_mem_t           *mem;
    size_t              n;             /* words of the line */
    uint64_t            seen;          /* rows of the schema, a bit each */
    ak_diag_t          *d;
} ak_args_t;


static ak_rc_t
ak_args_no_memory(ak_args_t *a)
{
    return ak_diag(a->d, "there is no memory");
}


static ak_rc_t
ak_args_copy(ak_args_t *a, ak_str_t text, ak_str_t *copy)
{
    uint8_t  *p;

    p = a->mem->alloc(a->mem->data, text.len + 1);
    if (p == NULL) {
        return ak_args_no_memory(a);
    }

    if (text.len != 0) {
        memcpy(p, text.data, text.len);
    }

    p[text.len] = '\0';
    *copy = ak_str(p, text.len);

    return AK_OK;
}


static ak_rc_t
ak_args_number(ak_args_t *a, ak_str_t word, ak_str_t value, int64_t *number)
{
    size_t   i;
    int64_t  n;

    n = 0;

    for (i = 0; i < value.len && i < 10; i++) {

        if (value.data[i] < '0' || value.data[i] > '9') {
            break;
        }

        n = n * 10 + (value.data[i] - '0');
    }

    if (value.len == 0 || i != value.len || n > 1000000000) {
        return ak_diag(a->d, "invalid number in \"%.*s\"", AK_FMT(word));
    }

    *number = n;

    return AK_OK;
}


static ak_rc_t
ak_args_choice(ak_args_t *a, const ak_arg_t *arg, ak_str_t word,
    ak_str_t value, unsigned *choice)
{
    int       n;
    char      words[128];
    unsigned  i;

    n = 0;
    words[0] = '\0';

    for (i = 0; arg->words[i].len != 0; i++) {

        if (ak_str_eq(arg->words[i], value)) {
            *choice = i;
            return AK_OK;
        }

        if (n >= 0 && n < (int) sizeof(words)) {
            n += snprintf(words + n, sizeof(words) - n, "%s\"%.*s\"",
                          i == 0 ? "" : " or ", AK_FMT(arg->words[i]));
        }
    }

    return ak_diag(a->d, "invalid value in \"%.*s\", it must be %s",
                   AK_FMT(word), words);
}


/* One more string of a list that has room for all words of the line. */

static ak_rc_t
ak_args_word(ak_args_t *a, ak_words_t *words, ak_str_t word)
{
    if (words->list == NULL) {
        words->list = a->mem->alloc(a->mem->data, a->n * sizeof(ak_str_t));

        if (words->list == NULL) {
            return ak_args_no_memory(a);
        }
    }

    return ak_args_copy(a, word, &words->list[words->n++]);
}


/* What is between the commas. */

static ak_rc_t
ak_args_list(ak_args_t *a, ak_words_t *words, ak_str_t word, ak_str_t value)
{
    size_t    i, n, begin;
    ak_str_t  item;

    for (i = 0, n = 1; i < value.len; i++) {
        n += (value.data[i] == ',');
    }

    words->n = 0;
    words->list = a->mem->alloc(a->mem->data, n * sizeof(ak_str_t));

    if (words->list == NULL) {
        return ak_args_no_memory(a);
    }

    for (i = 0, begin = 0; i <= value.len; i++) {

        if (i < value.len && value.data[i] != ',') {
            continue;
        }

        item = ak_str(value.data + begin, i - begin);
        begin = i + 1;

        if (item.len == 0) {
            return ak_diag(a->d, "an item is empty in \"%.*s\"",
                           AK_FMT(word));
        }

        if (ak_args_copy(a, item, &words->list[words->n++]) != AK_OK) {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


static ak_rc_t
ak_args_pair(ak_args_t *a, ak_pairs_t *pairs, ak_str_t name, ak_str_t value)
{
    size_t       i;
    ak_field_t  *pair;

    if (pairs->list == NULL) {
        pairs->list = a->mem->alloc(a->mem->data, a->n * sizeof(ak_field_t));

        if (pairs->list == NULL) {
            return ak_args_no_memory(a);
        }
    }

    for (i = 0; i < pairs->n; i++) {
        if (ak_str_eq(pairs->list[i].name, name)) {
            return ak_diag(a->d, "the argument \"%.*s\" is there twice",
                           AK_FMT(name));
        }
    }

    pair = &pairs->list[pairs->n++];

    return (ak_args_copy(a, name, &pair->name) == AK_OK
            && ak_args_copy(a, value, &pair->value) == AK_OK)
           ? AK_OK : AK_ERROR;
}


static ak_rc_t
ak_args_value(ak_args_t *a, const ak_arg_t *arg, ak_str_t word, ak_str_t name,
    ak_str_t value)
{
    void  *to;

    to = (char *) a->conf + arg->offset;

    switch (arg->type) {

    case AK_ARG_FLAG:
        *(bool *) to = true;
        return AK_OK;

    case AK_ARG_WORDS:
        return ak_args_word(a, to, word);

    default:
        break;
    }

    if (value.len == 0) {
        return ak_diag(a->d, "the argument \"%.*s\" has no value",
                       AK_FMT(word));
    }

    switch (arg->type) {

    case AK_ARG_TEXT:
        return ak_args_copy(a, value, to);

    case AK_ARG_LIST:
        return ak_args_list(a, to, word, value);

    case AK_ARG_NUMBER:
        return ak_args_number(a, word, value, to);

    case AK_ARG_SPAN:

        if (ak_time_span(value, to) != AK_OK) {
            return ak_diag(a->d, "invalid time in \"%.*s\"", AK_FMT(word));
        }

        return AK_OK;

    case AK_ARG_CHOICE:
        return ak_args_choice(a, arg, word, value, to);

    default: /* AK_ARG_PAIRS */
        return ak_args_pair(a, to, name, value);
    }
}


/* Whether a text could be the name of an argument, as those of schemas are. */

static bool
ak_args_is_name(ak_str_t text)
{
    size_t   i;
    uint8_t  ch;

    for (i = 0; i < text.len; i++) {
        ch = text.data[i] | 0x20;

        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9')
              || text.data[i] == '_' || text.data[i] == '-'))
        {
            return false;
        }
    }

    return text.len != 0;
}


/* The row of the schema that a word is for, or NULL. */

static const ak_arg_t *
ak_args_find(const ak_arg_t *schema, ak_str_t name, bool valued)
{
    const ak_arg_t  *arg, *pairs, *words;

    pairs = NULL;
    words = NULL;

    for (arg = schema; arg != NULL && arg->type != AK_ARG_END; arg++) {

        switch (arg->type) {

        case AK_ARG_WORDS:
            words = arg;
            break;

        case AK_ARG_PAIRS:
            pairs = arg;
            break;

        default:

            if (valued == (arg->type != AK_ARG_FLAG)
                && ak_str_eq(arg->name, name))
            {
                return arg;
            }

            break;
        }
    }

    if (!valued) {
        return words;
    }

    if (pairs != NULL) {
        return (name.len != 0) ? pairs : NULL;
    }

    /* "/v1/a=b" is a word, "fallbakc=none" is a mistake */

    return ak_args_is_name(name) ? NULL : words;
}


ak_rc_t
ak_args_read(void *conf, const ak_arg_t *schema, ak_mem_t *mem,
    const ak_str_t *words, size_t n, ak_diag_t *d)
{
    size_t           i;
    ak_str_t         name, value;
    ak_args_t        a = { conf, mem, n, 0, d };
    const uint8_t   *eq;
    const ak_arg_t  *arg;

    if (n > AK_ARGS_MAX) {
        return ak_diag(d, "there are more than %d arguments", AK_ARGS_MAX);
    }

    for (i = 0; i < n; i++) {

        eq = words[i].len == 0 ? NULL
                               : memchr(words[i].data, '=', words[i].len);

        name = (eq == NULL) ? words[i]
                            : ak_str(words[i].data,
                                     (size_t) (eq - words[i].data));

        value = (eq == NULL) ? ak_str(NULL, 0)
                             : ak_str(eq + 1, words[i].len - name.len - 1);

        arg = ak_args_find(schema, name, eq != NULL);

        if (arg == NULL) {
            return ak_diag(d, "unknown argument \"%.*s\"", AK_FMT(words[i]));
        }

        if (arg->type != AK_ARG_WORDS && arg->type != AK_ARG_PAIRS) {

            if (a.seen & (1ull << (arg - schema))) {
                return ak_diag(d, "the argument \"%.*s\" is there twice",
                               AK_FMT(name));
            }

            a.seen |= 1ull << (arg - schema);
        }

        if (ak_args_value(&a, arg, words[i], name, value) != AK_OK) {
            return AK_ERROR;
        }
    }

    return AK_OK;
}
