
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ngx_http_apikey_module.h"


/*
 * The directives that say who may pass: stacks, and the locations' use of
 * them.  A stack may be named before it is there, so that a location's own is
 * made when all have been read.
 */

typedef struct {
    ak_stack_t                   *stack;
    ngx_http_apikey_where_t       where;
} ngx_http_apikey_named_t;


static char *ngx_http_apikey_stack_line(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf);
static ak_stack_t *ngx_http_apikey_stack_create(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf, ngx_str_t *name);
static ak_stack_t *ngx_http_apikey_stack_find(
    ngx_http_apikey_main_conf_t *mcf, ak_str_t name);
static const ak_stack_t *ngx_http_apikey_stack_link(void *data,
    ak_str_t name);
static ngx_int_t ngx_http_apikey_stack_needs(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf, ngx_http_apikey_loc_conf_t *lcf);
static char *ngx_http_apikey_blame(ngx_conf_t *cf,
    ngx_http_apikey_where_t *where, const char *directive, const char *why);
static void ngx_http_apikey_here(ngx_conf_t *cf,
    ngx_http_apikey_where_t *where);
static void *ngx_http_apikey_conf_alloc(void *data, size_t size);
static void ngx_http_apikey_warn(void *data, const char *text);
static ak_rc_t ngx_http_apikey_variable(void *data, ak_str_t name,
    ak_diag_t *d);


#define NGX_HTTP_APIKEY_WORDS_MAX  (AK_LINES_MAX + 8)


static ngx_str_t  ngx_http_apikey_on = ngx_string("on");
static ngx_str_t  ngx_http_apikey_off = ngx_string("off");


ngx_int_t
ngx_http_apikey_stacks_init(ngx_conf_t *cf, ngx_http_apikey_main_conf_t *mcf)
{
    ak_diag_t        diag;
    ak_stack_t      *stack;
    const ak_str_t   line[] = { ak_string("auth"), ak_string("required"),
                                ak_string("key") };

    mcf->site.mem.alloc = ngx_http_apikey_conf_alloc;
    mcf->site.mem.data = cf->pool;
    mcf->site.open_log = ngx_http_apikey_open_log;
    mcf->site.hold_keys = ngx_http_apikey_hold_keys;
    mcf->site.foreign = ngx_http_apikey_foreign;
    mcf->site.here = ngx_http_apikey_provider_used;
    mcf->site.warn = ngx_http_apikey_warn;
    mcf->site.variable = ngx_http_apikey_variable;
    mcf->site.env = ngx_http_apikey_env;
    mcf->site.data = cf;

    mcf->strip = ak_strip_create(&mcf->site.mem);

    if (mcf->strip == NULL
        || ngx_array_init(&mcf->stacks, cf->pool, 4,
                          sizeof(ngx_http_apikey_named_t))
           != NGX_OK
        || ngx_array_init(&mcf->sources, cf->pool, 4, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&mcf->foreign, cf->pool, 4, sizeof(ak_str_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    stack = ngx_http_apikey_stack_create(cf, mcf, &ngx_http_apikey_on);

    return (stack != NULL
            && ak_stack_add(stack, line, ak_nitems(line), &diag) == AK_OK)
           ? NGX_OK : NGX_ERROR;
}


char *
ngx_http_apikey_stack(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_main_conf_t *mcf = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_conf_t   save;
    ak_stack_t  *stack;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, ngx_http_apikey_off.data) == 0
        || ngx_http_apikey_stack_find(mcf, ak_str(value[1].data,
                                                  value[1].len))
           != NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there is a stack \"%V\" already", &value[1]);
        return NGX_CONF_ERROR;
    }

    stack = ngx_http_apikey_stack_create(cf, mcf, &value[1]);
    if (stack == NULL) {
        return NGX_CONF_ERROR;
    }

    save = *cf;
    cf->handler = ngx_http_apikey_stack_line;
    cf->handler_conf = (void *) stack;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


static char *
ngx_http_apikey_stack_line(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ak_stack_t *stack = conf;

    ak_str_t    words[NGX_HTTP_APIKEY_WORDS_MAX];
    ngx_str_t  *value;
    ak_diag_t   diag;
    ngx_uint_t  i;

    value = cf->args->elts;

    if (cf->args->nelts > NGX_HTTP_APIKEY_WORDS_MAX) {
        return "has too many words in a line";
    }

    for (i = 0; i < cf->args->nelts; i++) {
        words[i] = ak_str(value[i].data, value[i].len);
    }

    if (ak_stack_add(stack, words, cf->args->nelts, &diag) != AK_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", diag.text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ak_stack_t *
ngx_http_apikey_stack_create(ngx_conf_t *cf, ngx_http_apikey_main_conf_t *mcf,
    ngx_str_t *name)
{
    ngx_http_apikey_named_t  *named;

    named = ngx_array_push(&mcf->stacks);
    if (named == NULL) {
        return NULL;
    }

    ngx_memzero(named, sizeof(ngx_http_apikey_named_t));

    if (cf->conf_file != NULL) {
        ngx_http_apikey_here(cf, &named->where);
    }

    named->stack = ak_stack_create(&mcf->site, ak_str(name->data, name->len));

    return named->stack;
}


static ak_stack_t *
ngx_http_apikey_stack_find(ngx_http_apikey_main_conf_t *mcf, ak_str_t name)
{
    ngx_uint_t                i;
    ngx_http_apikey_named_t  *named;

    named = mcf->stacks.elts;

    for (i = 0; i < mcf->stacks.nelts; i++) {
        if (ak_str_eq(ak_stack_name(named[i].stack), name)) {
            return named[i].stack;
        }
    }

    return NULL;
}


/* A stack that no location names is checked as well. */

char *
ngx_http_apikey_stacks_check(ngx_conf_t *cf, ngx_http_apikey_main_conf_t *mcf)
{
    ak_diag_t                 diag;
    ngx_uint_t                i;
    ngx_http_apikey_named_t  *named;

    named = mcf->stacks.elts;

    for (i = 0; i < mcf->stacks.nelts; i++) {
        if (ak_stack_link(named[i].stack, ngx_http_apikey_stack_link, mcf,
                          &diag)
            != AK_OK)
        {
            return ngx_http_apikey_blame(cf, &named[i].where, "apikey_stack",
                                         diag.text);
        }
    }

    return NGX_CONF_OK;
}


static const ak_stack_t *
ngx_http_apikey_stack_link(void *data, ak_str_t name)
{
    return ngx_http_apikey_stack_find(data, name);
}


char *
ngx_http_apikey(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_loc_conf_t *lcf = conf;

    ngx_str_t  *value;

    if (lcf->name.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    lcf->name = value[1];

    if (ngx_strcmp(value[1].data, ngx_http_apikey_off.data) == 0) {
        lcf->name.len = 0;
    }

    ngx_http_apikey_here(cf, &lcf->named);

    return NGX_CONF_OK;
}


/* The line "session required inject ..." of a location's stack. */

char *
ngx_http_apikey_inject(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_loc_conf_t *lcf = conf;

    ak_str_t                      words[NGX_HTTP_APIKEY_WORDS_MAX];
    ngx_str_t                    *value;
    ak_diag_t                     diag;
    ngx_uint_t                    i;
    ngx_http_apikey_main_conf_t  *mcf;

    if (lcf->inject != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2
        && ngx_strcmp(value[1].data, ngx_http_apikey_off.data) == 0)
    {
        lcf->inject = NULL;
        return NGX_CONF_OK;
    }

    if (cf->args->nelts + 2 > NGX_HTTP_APIKEY_WORDS_MAX) {
        return "has too many arguments";
    }

    words[0] = ak_literal("session");
    words[1] = ak_literal("required");
    words[2] = ak_literal("inject");

    for (i = 1; i < cf->args->nelts; i++) {
        words[i + 2] = ak_str(value[i].data, value[i].len);
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_apikey_module);

    lcf->inject = ak_stack_create(&mcf->site, ak_literal("apikey_inject"));

    if (lcf->inject == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ak_stack_add(lcf->inject, words, cf->args->nelts + 2, &diag)
        != AK_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", diag.text);
        return NGX_CONF_ERROR;
    }

    ngx_http_apikey_here(cf, &lcf->injected);

    return NGX_CONF_OK;
}


char *
ngx_http_apikey_pass_credential(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_apikey_loc_conf_t *lcf = conf;

    ngx_http_apikey_here(cf, &lcf->passed);

    return ngx_conf_set_flag_slot(cf, cmd, conf);
}


char *
ngx_http_apikey_location_stack(ngx_conf_t *cf,
    ngx_http_apikey_main_conf_t *mcf, ngx_http_apikey_loc_conf_t *lcf)
{
    ak_str_t     name;
    ak_diag_t    diag;
    ak_stack_t  *stack, *named;

    name = ak_str(lcf->name.data, lcf->name.len);
    named = ngx_http_apikey_stack_find(mcf, name);

    if (named == NULL) {
        ak_diag(&diag, "there is no stack \"%.*s\"", AK_FMT(name));

        return ngx_http_apikey_blame(cf, &lcf->named, "apikey", diag.text);
    }

    stack = ak_stack_create(&mcf->site, name);

    if (stack == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ak_stack_append(stack, named, &diag) != AK_OK
        || (lcf->inject != NULL
            && ak_stack_append(stack, lcf->inject, &diag) != AK_OK)
        || ak_stack_link(stack, ngx_http_apikey_stack_link, mcf, &diag)
           != AK_OK)
    {
        return ngx_http_apikey_blame(cf, &lcf->named, "apikey", diag.text);
    }

    if (!ak_stack_has(stack, AK_GROUP_AUTH)) {
        return ngx_http_apikey_blame(cf, &lcf->named, "apikey",
                                     "the stack has no \"auth\" line, it "
                                     "would let nobody pass");
    }

    if (ak_stack_strip(stack, mcf->strip) != AK_OK) {
        return NGX_CONF_ERROR;
    }

    lcf->stack = stack;
    lcf->rules = named;
    mcf->used = 1;

    return (ngx_http_apikey_stack_needs(cf, mcf, lcf) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* What modules ask for must be there to answer. */

static ngx_int_t
ngx_http_apikey_stack_needs(ngx_conf_t *cf, ngx_http_apikey_main_conf_t *mcf,
    ngx_http_apikey_loc_conf_t *lcf)
{
    unsigned                  needs;
    ngx_uint_t                inject;
    const char               *directive;
    ngx_http_apikey_where_t  *where;

    needs = ak_stack_needs(lcf->stack);
    inject = ak_stack_uses(lcf->stack, ak_literal("inject"));

    if ((needs & AK_NEEDS_STORE) && mcf->store == NULL) {
        ngx_http_apikey_blame(cf, &lcf->named, "apikey",
                              "it needs \"apikey_store\" in the http block");
        return NGX_ERROR;
    }

    if (inject && lcf->pass) {
        ngx_http_apikey_blame(cf, &lcf->passed, "apikey_pass_credential",
                              "an upstream gets one credential, and the "
                              "location injects one");
        return NGX_ERROR;
    }

    if ((needs & AK_NEEDS_KEYRING) && mcf->keyring == NULL) {
        where = lcf->inject ? &lcf->injected : &lcf->named;
        directive = lcf->inject ? "apikey_inject" : "apikey";

        ngx_http_apikey_blame(cf, where, directive,
                              "it needs \"apikey_keyring\" in the http "
                              "block");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
ngx_http_apikey_blame(ngx_conf_t *cf, ngx_http_apikey_where_t *where,
    const char *directive, const char *why)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "\"%s\": %s in %V:%ui",
                  directive, why, &where->file, where->line);

    return NGX_CONF_ERROR;
}


static void
ngx_http_apikey_here(ngx_conf_t *cf, ngx_http_apikey_where_t *where)
{
    where->file = cf->conf_file->file.name;
    where->line = cf->conf_file->line;
}


static void *
ngx_http_apikey_conf_alloc(void *data, size_t size)
{
    return ngx_palloc(data, size);
}


static void
ngx_http_apikey_warn(void *data, const char *text)
{
    ngx_conf_log_error(NGX_LOG_WARN, (ngx_conf_t *) data, 0, "%s", text);
}


/* Where there is none of that name nginx says so, when it has read all. */

static ak_rc_t
ngx_http_apikey_variable(void *data, ak_str_t name, ak_diag_t *d)
{
    ngx_str_t  var;

    var = ngx_http_apikey_ngx_str(name);

    if (ngx_http_get_variable_index(data, &var) == NGX_ERROR) {
        return ak_diag(d, "there is no memory");
    }

    return AK_OK;
}
