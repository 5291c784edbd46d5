
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <ctype.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ak_mem.h"
#include "ctl_print.h"
#include "ctl_store.h"


#define CTL_STACK_WIPED  131072

#define CTL_OPT_OWNER    0x0001
#define CTL_OPT_NAME     0x0002
#define CTL_OPT_EXPIRES  0x0004
#define CTL_OPT_BRAND    0x0008
#define CTL_OPT_SLOT     0x0010
#define CTL_OPT_SHARED   0x0020
#define CTL_OPT_LIMITS   0x0040
#define CTL_OPT_GRACE    0x0080
#define CTL_OPT_FORMAT   0x0100
#define CTL_OPT_DRY_RUN  0x0200
#define CTL_OPT_TOKENS   0x0400
#define CTL_OPT_AT       0x0800
#define CTL_OPT_UNUSED   0x1000
#define CTL_OPT_USER     0x2000
#define CTL_OPT_FORCE    0x4000
#define CTL_OPT_APP_KEY  0x10000
#define CTL_OPT_REPLACE  0x20000
#define CTL_OPT_ALL      0xffffffff


typedef struct {
    const char  *name;
    int          argument;             /* of getopt_long(3) */
    unsigned     bit;                  /* which commands have it */
    size_t       offset;               /* of its field in ctl_t */
    bool         list;                 /* the field is a ctl_list_t */
} ctl_option_t;


/* The first three have no field. */

enum {
    CTL_HELP = 0,
    CTL_VERSION,
    CTL_SECRET,
    CTL_FIELDS
};


static const ctl_option_t  ctl_options[] = {
    { "help", no_argument, CTL_OPT_ALL, 0, false },
    { "version", no_argument, CTL_OPT_ALL, 0, false },
    { "secret", optional_argument, CTL_OPT_ALL, 0, false },
    { "store", required_argument, CTL_OPT_ALL, offsetof(ctl_t, store), false },
    { "keyring", required_argument, CTL_OPT_ALL,
      offsetof(ctl_t, keyring), false },
    { "json", no_argument, CTL_OPT_ALL, offsetof(ctl_t, json), false },
    { "owner", required_argument, CTL_OPT_OWNER,
      offsetof(ctl_t, owner), false },
    { "name", required_argument, CTL_OPT_NAME, offsetof(ctl_t, name), false },
    { "expires", required_argument, CTL_OPT_EXPIRES,
      offsetof(ctl_t, expires), false },
    { "brand", required_argument, CTL_OPT_BRAND,
      offsetof(ctl_t, brand), false },
    { "slot", required_argument, CTL_OPT_SLOT, offsetof(ctl_t, slot), false },
    { "scope", required_argument, CTL_OPT_LIMITS, offsetof(ctl_t, scopes),
      true },
    { "route", required_argument, CTL_OPT_LIMITS, offsetof(ctl_t, routes),
      true },
    { "ip", required_argument, CTL_OPT_LIMITS, offsetof(ctl_t, ips), true },
    { "rate", required_argument, CTL_OPT_LIMITS,
      offsetof(ctl_t, rate), false },
    { "meta", required_argument, CTL_OPT_LIMITS, offsetof(ctl_t, meta),
      true },
    { "grace", required_argument, CTL_OPT_GRACE,
      offsetof(ctl_t, grace), false },
    { "format", required_argument, CTL_OPT_FORMAT,
      offsetof(ctl_t, format), false },
    { "unused", required_argument, CTL_OPT_UNUSED,
      offsetof(ctl_t, unused), false },
    { "dry-run", no_argument, CTL_OPT_DRY_RUN,
      offsetof(ctl_t, dry_run), false },
    { "jti", required_argument, CTL_OPT_TOKENS, offsetof(ctl_t, jti), false },
    { "sub", required_argument, CTL_OPT_TOKENS, offsetof(ctl_t, sub), false },
    { "at", required_argument, CTL_OPT_AT, offsetof(ctl_t, at), false },
    { "shared", no_argument, CTL_OPT_SHARED, offsetof(ctl_t, shared), false },
    { "user", required_argument, CTL_OPT_USER, offsetof(ctl_t, user), false },
    { "force", no_argument, CTL_OPT_FORCE, offsetof(ctl_t, force), false },
    { "app-key", required_argument, CTL_OPT_APP_KEY,
      offsetof(ctl_t, app_key), false },
    { "replace", no_argument, CTL_OPT_REPLACE,
      offsetof(ctl_t, replace), false }
};


#define CTL_NOPTIONS  ak_nitems(ctl_options)
#define CTL_LONG      256              /* above the letters of options */


static const char  ctl_help_init[] =
    "Writes a keyring with a new master key and a new pepper to the file\n"
    "that --keyring names, readable by its owner alone (mode 0600).  A file\n"
    "that is there is never overwritten.\n";

static const char  ctl_help_keyring_check[] =
    "Reads the keyring, the mode of its file too, and shows its master keys:\n"
    "their names (kids), which of them seals, and, where a store is named,\n"
    "how many tokens each has sealed.\n"
    "\n"
    "Exit status: 0 all is well; 4 the keyring is of no use, or there are\n"
    "tokens under a master key that it has not; 1 there are tokens, or whole\n"
    "sets, that cannot be read; 3 the store cannot be.\n";

static const char  ctl_help_keyring_add[] =
    "Adds a new master key behind the others: it opens, and does not seal\n"
    "yet.  So every nginx can learn it before anything is sealed with it.\n"
    "Then \"apikeyctl keyring rotate KID\" lets it seal.\n";

static const char  ctl_help_keyring_rotate[] =
    "Writes a new master key before the others, so that it seals from now on,\n"
    "or, with KID, moves that one there.  The others go on opening what they\n"
    "have sealed.  All else in the file stays as it is.\n"
    "\n"
    "Then: copy the keyring to wherever it is, and reload nginx there; run\n"
    "\"apikeyctl upstream reseal\"; then \"apikeyctl keyring retire\" the old\n"
    "one.  Where others may run \"apikeyctl upstream set\" meanwhile, begin\n"
    "with \"apikeyctl keyring add\": what they seal with a key that nginx has\n"
    "not read yet cannot be opened until it has.\n";

static const char  ctl_help_keyring_retire[] =
    "Removes a master key from the keyring, if the store has no token that is\n"
    "sealed with it.\n"
    "\n"
    "  --force          whatever the store has, which is not looked at: what\n"
    "                   the key has sealed can be opened by nobody then\n";

static const char  ctl_help_key_create[] =
    "Makes a key and prints it once; the store keeps a salted hash of it.\n"
    "\n"
    "  --owner OWNER    whose key it is\n"
    "  --name NAME      what it is for, as in \"laptop\"\n"
    "  --expires WHEN   a span from now as in 90d, a date as in 2027-01-31,\n"
    "                   a time as in 2027-01-31T12:00:00Z, or never (default)\n"
    "  --brand BRAND    letters behind \"sk-\", as in sk-acme-...\n"
    "  --scope SCOPE    what it may be used for, see the module \"scope\"\n"
    "  --route ROUTE    where, as in /v1/models or GET|POST:/v1/chat\n"
    "  --ip CIDR        from where, as in 10.0.0.0/8 or 2001:db8::/32\n"
    "  --rate RATE      how often, as in 10r/s or \"600r/m burst=20\"\n"
    "  --meta NAME=VAL  anything else, for $apikey_meta_NAME and identity\n"
    "\n"
    "--scope, --route, --ip and --meta may be given several times.\n";

static const char  ctl_help_key_rotate[] =
    "Makes a successor with the same owner, name, limits and metadata, prints\n"
    "it once, and lets the old key live for a while.\n"
    "\n"
    "  --grace SPAN     how long, as in 24h (default) or 0 for not at all\n"
    "  --brand BRAND    of the successor, which has none unless said\n";

static const char  ctl_help_key_import[] =
    "Reads the keys of another system, or of another store, from standard\n"
    "input, and stores salted hashes of them.  Keys that were not made here\n"
    "need the pepper of the keyring.  What is there already is left as it is,\n"
    "so that an import that was interrupted is just started again.  A bad row\n"
    "is told and skipped; then the exit status is 1.\n"
    "\n"
    "  --format text    a key a line (default); # begins a comment\n"
    "  --format csv     RFC 4180; the first row names the columns: key, and\n"
    "                   owner, name, expires, scopes, routes, ips, rate,\n"
    "                   meta.NAME\n"
    "  --format json    an object a line, with the members above\n"
    "  --format APP     what open-webui, lmnr, lobehub or litellm exports, as\n"
    "                   CSV or JSON lines; lmnr and litellm have nothing but\n"
    "                   a weak hash of a key: rotate those\n"
    "  --app-key SOURCE env:NAME or file:PATH, KEY_VAULTS_SECRET of lobehub,\n"
    "                   whose keys are sealed\n"
    "  --owner OWNER    of rows that name none\n"
    "  --name NAME      of rows that name none\n"
    "  --expires WHEN   of rows that do not say\n"
    "  --dry-run        check the rows and write nothing\n";

static const char  ctl_help_upstream_import[] =
    "Reads the providers' secrets of another application from FILE or from\n"
    "standard input, opens them with that application's key, seals each anew,\n"
    "stores it, and opens what was stored once more.  A slot that is there is\n"
    "left as it is, so that an import that was interrupted is just started\n"
    "again.  A bad row is told and skipped; then the exit status is 1.\n"
    "\n"
    "  --format FORMAT  lmnr, intern3-gcm, intern3-cbc or lobechat-vault, as\n"
    "                   CSV or JSON lines; env, lines NAME=VALUE; or json,\n"
    "                   an object a line with owner, provider, slot, secret\n"
    "  --app-key SOURCE env:NAME or file:PATH of the application's key; not\n"
    "                   for env and json\n"
    "  --owner OWNER    of rows that name none\n"
    "  --shared         rows that name no owner serve those who have no key\n"
    "  --slot SLOT      of rows that name none (without it, \"default\")\n"
    "  --replace        replaces what a slot holds\n"
    "  --dry-run        opens the rows and writes nothing\n";

static const char  ctl_help_stack_check[] =
    "Reads the apikey_stack blocks of an nginx configuration file, or a file\n"
    "that holds the lines of one stack, and tells all that is wrong with\n"
    "them, as nginx -t would.  What is right is listed.\n";

static const char  ctl_help_key_list[] =
    "Lists the keys in the order of their owners and age, and those whose\n"
    "records are damaged.\n"
    "\n"
    "  --owner OWNER    those of this owner alone\n"
    "  --unused SPAN    those not used for so long, as in 90d\n";

static const char  ctl_help_key_show[] =
    "Shows the record of a key.  A damaged one is told and is exit status 1.\n";

static const char  ctl_help_key_disable[] =
    "The key is refused until \"apikeyctl key enable\".\n";

static const char  ctl_help_key_enable[] =
    "Lets a disabled key pass again.  A revoked key stays revoked.\n";

static const char  ctl_help_key_revoke[] =
    "The key is refused for ever, and whoever uses it is told so.\n";

static const char  ctl_help_key_delete[] =
    "Removes the record, and its usage: the key is unknown from now on.\n";

static const char  ctl_help_upstream_set[] =
    "Seals a provider's secret with the first master key of the keyring and\n"
    "stores it; what the slot held is replaced.  The secret is asked for\n"
    "without an echo, or is read from standard input where that is no\n"
    "terminal; it is never given on the command line.\n"
    "\n"
    "  --owner OWNER    whose requests it serves\n"
    "  --shared         it serves those who have none of their own\n"
    "  --slot SLOT      one of several keys of the provider (without it, the\n"
    "                   slot \"default\")\n";

static const char  ctl_help_upstream_list[] =
    "Lists slots, without the secrets.  Where a keyring is named it is told\n"
    "whether that has the master key (kid) of each.\n"
    "\n"
    "  --owner OWNER    those of this owner alone\n"
    "  --shared         the shared ones alone\n";

static const char  ctl_help_upstream_check[] =
    "Opens each sealed key with the keyring and tells which cannot be opened,\n"
    "and why; then the exit status is 1.  No secret is shown.\n"
    "\n"
    "  --owner OWNER    those of this owner alone\n"
    "  --shared         the shared ones alone\n";

static const char  ctl_help_upstream_reseal[] =
    "Opens every token that is not sealed with the first master key of the\n"
    "keyring, and seals it anew with that one.  What somebody else changes\n"
    "meanwhile is never overwritten.  It can be interrupted, and goes on\n"
    "where it was when it is run again.  What cannot be opened is told and\n"
    "left as it is; then the exit status is 1.  Every nginx must have read\n"
    "the keyring before: see \"apikeyctl keyring rotate --help\".\n";

static const char  ctl_help_upstream_delete[] =
    "Removes the key of a slot.\n"
    "\n"
    "  --owner OWNER    of this owner\n"
    "  --shared         of those who have none of their own\n"
    "  --slot SLOT      which one (without it, the slot \"default\")\n";


static const char  ctl_help_jwt_check[] =
    "Reads a token without an echo, or from standard input where that is no\n"
    "terminal, decodes it, and tells of each check that \"auth ... jwt\" with\n"
    "these arguments makes whether it holds, and why not.  The arguments are\n"
    "those of the line of a stack:\n"
    "\n"
    "  secret=env:NAME|file:PATH, key=PATH or jwks=PATH\n"
    "  issuer=, audience=, algorithms=, owner=, leeway=, ...\n"
    "\n"
    "Whether the token was revoked is not asked.  The exit status is 1 where\n"
    "it would be refused.\n";

static const char  ctl_help_jwt_revoke[] =
    "Puts a mark into the store, by which nginx refuses tokens that have not\n"
    "expired yet.\n"
    "\n"
    "  --jti ID         the token with this \"jti\"\n"
    "  --sub SUBJECT    the tokens with this \"sub\", or of this owner, that\n"
    "                   were issued until now, and those that do not say\n"
    "                   when\n"
    "  --at TIME        with --sub: those issued up to then, a date, a time\n"
    "                   as in 2026-11-21T12:00:00Z, or Unix seconds\n"
    "  --expires WHEN   when the mark goes, a span from now as in 30d, a\n"
    "                   date, a time, or never (default): not before the last\n"
    "                   token that it concerns has expired\n"
    "\n"
    "Without --jti and --sub a token is read without an echo, or from\n"
    "standard input where that is no terminal, and revoked by its \"jti\";\n"
    "its mark goes a day after its \"exp\".  Its signature is not verified.\n"
    "\n"
    "A mark that is there already never comes to revoke less, nor for\n"
    "a shorter time.\n";

static const char  ctl_help_jwt_revoked[] =
    "Lists the marks by which tokens are revoked, and what damaged ones\n"
    "cost.\n";

static const char  ctl_help_jwt_unrevoke[] =
    "Removes a mark: the tokens that it concerned are as good as before.\n"
    "\n"
    "  --jti ID         of the token with this \"jti\"\n"
    "  --sub SUBJECT    of the tokens with this \"sub\", or of this owner\n"
    "\n"
    "Without them a token is read, as by \"apikeyctl jwt revoke\".\n";


static const char  ctl_help_doctor[] =
    "Looks at the store, the keyring, the rights of users and all that is\n"
    "stored, and says of each what it found and what is to be done.  Nothing\n"
    "is changed.  Run it with the store of nginx, or with your own.\n"
    "\n"
    "  --user NAME      look at the rights of this user of Redis, as nginx's;\n"
    "                   needs Redis 7 and the right to ask (ACL DRYRUN)\n"
    "\n"
    "Exit status: 0 all is well, perhaps with warnings; 3 the store cannot be\n"
    "reached; 4 the keyring, or a key that it cannot open; 1 anything else.\n";


static const ctl_command_t  ctl_commands[] = {
    { "init", NULL, ctl_init, 0, 0, 0,
      "--keyring FILE", "make a keyring", ctl_help_init },

    { "keyring", "check", ctl_keyring_check, 0, 0, 0,
      "", "show the master keys, and what they have sealed",
      ctl_help_keyring_check },

    { "keyring", "add", ctl_keyring_add, 0, 0, 0,
      "", "add a master key that opens only", ctl_help_keyring_add },

    { "keyring", "rotate", ctl_keyring_rotate, 0, 0, 1,
      "[KID]", "let a new master key seal", ctl_help_keyring_rotate },

    { "keyring", "retire", ctl_keyring_retire, CTL_OPT_FORCE, 1, 1,
      "KID [--force]", "remove a master key that seals nothing",
      ctl_help_keyring_retire },

    { "key", "create", ctl_key_create,
      CTL_OPT_OWNER | CTL_OPT_NAME | CTL_OPT_EXPIRES | CTL_OPT_BRAND
      | CTL_OPT_LIMITS, 0, 0,
      "--owner OWNER [--name NAME] [--expires WHEN] [--brand BRAND] "
      "[--scope SCOPE] [--route ROUTE] [--ip CIDR] [--rate RATE] "
      "[--meta NAME=VALUE]",
      "make a key and print it once", ctl_help_key_create },

    { "key", "list", ctl_key_list, CTL_OPT_OWNER | CTL_OPT_UNUSED, 0, 0,
      "[--owner OWNER] [--unused SPAN]", "list the keys", ctl_help_key_list },

    { "key", "show", ctl_key_show, 0, 1, 1,
      "ID", "show the record of a key", ctl_help_key_show },

    { "key", "disable", ctl_key_disable, 0, 1, 1,
      "ID", "refuse a key for a time", ctl_help_key_disable },

    { "key", "enable", ctl_key_enable, 0, 1, 1,
      "ID", "let a disabled key pass again", ctl_help_key_enable },

    { "key", "revoke", ctl_key_revoke, 0, 1, 1,
      "ID", "refuse a key for ever", ctl_help_key_revoke },

    { "key", "delete", ctl_key_delete, 0, 1, 1,
      "ID", "remove the record of a key", ctl_help_key_delete },

    { "key", "rotate", ctl_key_rotate, CTL_OPT_GRACE | CTL_OPT_BRAND, 1, 1,
      "ID [--grace SPAN] [--brand BRAND]",
      "make a successor, and let the old key end", ctl_help_key_rotate },

    { "key", "import", ctl_key_import,
      CTL_OPT_OWNER | CTL_OPT_NAME | CTL_OPT_EXPIRES | CTL_OPT_FORMAT
      | CTL_OPT_APP_KEY | CTL_OPT_DRY_RUN, 0, 0,
      "[--format text|csv|json|open-webui|lmnr|lobehub|litellm] "
      "[--app-key SOURCE] [--owner OWNER] [--name NAME] [--expires WHEN] "
      "[--dry-run]",
      "take over keys from standard input", ctl_help_key_import },

    { "upstream", "set", ctl_upstream_set,
      CTL_OPT_OWNER | CTL_OPT_SHARED | CTL_OPT_SLOT, 1, 1,
      "(--owner OWNER | --shared) PROVIDER [--slot SLOT]",
      "seal and store a provider's secret", ctl_help_upstream_set },

    { "upstream", "list", ctl_upstream_list, CTL_OPT_OWNER | CTL_OPT_SHARED,
      0, 0, "[--owner OWNER | --shared]", "list the slots",
      ctl_help_upstream_list },

    { "upstream", "check", ctl_upstream_check, CTL_OPT_OWNER | CTL_OPT_SHARED,
      0, 0, "[--owner OWNER | --shared]", "open each sealed key",
      ctl_help_upstream_check },

    { "upstream", "reseal", ctl_upstream_reseal, 0, 0, 0,
      "", "seal all with the first master key", ctl_help_upstream_reseal },

    { "upstream", "delete", ctl_upstream_delete,
      CTL_OPT_OWNER | CTL_OPT_SHARED | CTL_OPT_SLOT, 1, 1,
      "(--owner OWNER | --shared) PROVIDER [--slot SLOT]",
      "remove the key of a slot", ctl_help_upstream_delete },

    { "upstream", "import", ctl_upstream_import,
      CTL_OPT_OWNER | CTL_OPT_SHARED | CTL_OPT_SLOT | CTL_OPT_FORMAT
      | CTL_OPT_APP_KEY | CTL_OPT_REPLACE | CTL_OPT_DRY_RUN, 0, 1,
      "--format lmnr|intern3-gcm|intern3-cbc|lobechat-vault|env|json "
      "[--app-key SOURCE] [--owner OWNER | --shared] [--slot SLOT] "
      "[--replace] [--dry-run] [FILE]",
      "take over secrets of another application",
      ctl_help_upstream_import },

    { "stack", "check", ctl_stack_check, 0, 1, 1,
      "FILE", "check stacks of a configuration", ctl_help_stack_check },

    { "jwt", "check", ctl_jwt_check, 0, 1, CTL_STORE_WORDS_MAX,
      "ARGUMENT...", "explain what is wrong with a token",
      ctl_help_jwt_check },

    { "jwt", "revoke", ctl_jwt_revoke,
      CTL_OPT_TOKENS | CTL_OPT_AT | CTL_OPT_EXPIRES, 0, 0,
      "[--jti ID | --sub SUBJECT [--at TIME]] [--expires WHEN]",
      "refuse a token, or all of somebody", ctl_help_jwt_revoke },

    { "jwt", "revoked", ctl_jwt_revoked, 0, 0, 0,
      "", "list what is revoked", ctl_help_jwt_revoked },

    { "jwt", "unrevoke", ctl_jwt_unrevoke, CTL_OPT_TOKENS, 0, 0,
      "[--jti ID | --sub SUBJECT]", "take a revocation back",
      ctl_help_jwt_unrevoke },

    { "doctor", NULL, ctl_doctor, CTL_OPT_USER, 0, 0,
      "[--user NAME]", "find out what is wrong", ctl_help_doctor }
};


static const char  ctl_help_options[] =
    "Options of every command:\n"
    "  --store URL      where the records are, as in apikey_store:\n"
    "                   redis://[user@]host[:port][,host...][/db], rediss://\n"
    "                   or redis+unix:PATH, with options behind it, all in\n"
    "                   one argument, or file:PATH\n"
    "  --keyring FILE   the keyring, or env:NAME\n"
    "  --json           answer in JSON\n"
    "  --help           this\n"
    "  --version        the version\n";

static const char  ctl_help_end[] =
    "\n"
    "Environment:\n"
    "  APIKEY_STORE     used where --store is not given\n"
    "  APIKEY_KEYRING   used where --keyring is not given\n"
    "\n"
    "Exit status: 0 done, 1 refused or not found, 2 usage, 3 store\n"
    "unavailable, 4 keyring.\n";


static void
ctl_vfail(const char *fmt, va_list args)
{
    char   text[2048];
    char  *p;

    if (vsnprintf(text, sizeof(text), fmt, args) < 0) {
        return;
    }

    for (p = text; *p != '\0'; p++) {
        if (iscntrl((unsigned char) *p)) {
            *p = '?';
        }
    }

    fprintf(stderr, "apikeyctl: %s\n", text);
}


ctl_status_e
ctl_fail(ctl_status_e status, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    ctl_vfail(fmt, args);
    va_end(args);

    return status;
}


ctl_status_e
ctl_usage(const ctl_t *ctl, const char *fmt, ...)
{
    va_list               args;
    const ctl_command_t  *cmd;

    va_start(args, fmt);
    ctl_vfail(fmt, args);
    va_end(args);

    cmd = ctl->command;

    if (cmd == NULL) {
        return ctl_fail(CTL_USAGE, "see \"apikeyctl --help\"");
    }

    return ctl_fail(CTL_USAGE, "usage: apikeyctl %s%s%s%s%s", cmd->noun,
                    cmd->verb == NULL ? "" : " ",
                    cmd->verb == NULL ? "" : cmd->verb,
                    *cmd->synopsis == '\0' ? "" : " ", cmd->synopsis);
}


ctl_status_e
ctl_name_check(const ctl_t *ctl, const char *option, const char *value)
{
    json_t    *text;
    ak_str_t   s;

    s = ak_cstr(value);
    text = json_stringn(value, s.len);
    json_decref(text);

    if (text == NULL || !ak_name_valid(s)) {
        return ctl_usage(ctl, "%s is not a name: 1 to %d bytes of UTF-8, no "
                         "control characters, no space at its ends", option,
                         AK_NAME_MAX);
    }

    if (strcmp(option, "--owner") == 0 && strcmp(value, "*") == 0) {
        return ctl_usage(ctl, "\"*\" is no owner; where upstream keys are to "
                         "be shared, --shared says so");
    }

    return CTL_DONE;
}


/* The commands of a noun; NULL: of all. */

static void
ctl_print_commands(const char *noun)
{
    char                  name[32];
    size_t                i;
    const ctl_command_t  *cmd;

    fputs("Commands:\n", stdout);

    for (i = 0; i < ak_nitems(ctl_commands); i++) {
        cmd = &ctl_commands[i];

        if (noun != NULL && strcmp(noun, cmd->noun) != 0) {
            continue;
        }

        snprintf(name, sizeof(name), "%s %s", cmd->noun,
                 cmd->verb == NULL ? "" : cmd->verb);
        printf("  %-16s %s\n", name, cmd->about);
    }
}


static ctl_status_e
ctl_help(const ctl_command_t *cmd, const char *noun)
{
    if (cmd != NULL) {
        printf("Usage: apikeyctl %s%s%s%s%s\n\n%s\n%s", cmd->noun,
               cmd->verb == NULL ? "" : " ",
               cmd->verb == NULL ? "" : cmd->verb,
               *cmd->synopsis == '\0' ? "" : " ", cmd->synopsis, cmd->help,
               ctl_help_options);
        return CTL_DONE;
    }

    printf("Usage: apikeyctl [--store URL] [--keyring FILE] [--json] %s VERB "
           "...\n\n", noun == NULL ? "NOUN" : noun);

    ctl_print_commands(noun);

    printf("\n\"apikeyctl NOUN VERB --help\" tells more of one.\n\n%s",
           ctl_help_options);

    if (noun == NULL) {
        fputs(ctl_help_end, stdout);
    }

    return CTL_DONE;
}


/* What getopt_long() did not take; a value, which may be a secret, is not. */

static ctl_status_e
ctl_option_unknown(const ctl_t *ctl, int code, const char *word)
{
    if (optopt >= CTL_LONG) {
        return ctl_usage(ctl, "--%s %s", ctl_options[optopt - CTL_LONG].name,
                         code == ':' ? "wants a value" : "has no value");
    }

    if (optopt != 0) {
        return ctl_usage(ctl, "there is no option -%c",
                         isgraph(optopt) ? optopt : '?');
    }

    if (word != NULL && strlen(word) < 16
        && strcspn(word, "=0123456789") == strlen(word))
    {
        return ctl_usage(ctl, "there is no option %s, or it is not the only "
                         "one that begins so", word);
    }

    return ctl_usage(ctl, "there is no such option");
}


static ctl_status_e
ctl_secret_refused(const ctl_t *ctl)
{
    return ctl_usage(ctl, "a secret is never given on the command line, which "
                     "other users of the machine and the shell's history see; "
                     "type it at the prompt, or give it on standard input");
}


/* Sets the field of an option. */

static ctl_status_e
ctl_option_set(ctl_t *ctl, size_t n)
{
    bool         *flag;
    ctl_list_t   *list;
    const char  **value;

    if (ctl_options[n].argument == no_argument) {
        flag = (bool *) ((char *) ctl + ctl_options[n].offset);
        *flag = true;
        return CTL_DONE;
    }

    if (ctl_options[n].list) {
        list = (ctl_list_t *) (void *) ((char *) ctl + ctl_options[n].offset);

        if (list->n == CTL_LIST_MAX) {
            return ctl_usage(ctl, "--%s is given more than %d times",
                             ctl_options[n].name, CTL_LIST_MAX);
        }

        list->values[list->n++] = optarg;
        return CTL_DONE;
    }

    value = (const char **) (void *) ((char *) ctl + ctl_options[n].offset);

    if (*value != NULL) {
        return ctl_usage(ctl, "--%s is given twice", ctl_options[n].name);
    }

    *value = optarg;

    return CTL_DONE;
}


/*
 * Options may stand anywhere among the words, POSIXLY_CORRECT or not.  *given
 * has a bit for each option of the table.
 */

static ctl_status_e
ctl_options_read(ctl_t *ctl, int argc, char **argv, unsigned *given)
{
    int            code;
    size_t         i;
    ctl_status_e   status;
    struct option  options[CTL_NOPTIONS + 1];

    memset(options, 0, sizeof(options));

    for (i = 0; i < CTL_NOPTIONS; i++) {
        options[i].name = ctl_options[i].name;
        options[i].has_arg = ctl_options[i].argument;
        options[i].val = CTL_LONG + (int) i;
    }

    opterr = 0;

    for ( ;; ) {
        code = getopt_long(argc, argv, "-:hV", options, NULL);

        if (code == -1) {
            break;
        }

        switch (code) {

        case 1:
            ctl->words[ctl->nwords++] = optarg;
            continue;

        case 'h':
            code = CTL_LONG + CTL_HELP;
            break;

        case 'V':
            code = CTL_LONG + CTL_VERSION;
            break;

        case ':':
        case '?':
            return ctl_option_unknown(ctl, code, argv[optind - 1]);
        }

        i = (size_t) (code - CTL_LONG);
        *given |= 1u << i;

        if (i == CTL_SECRET) {
            return ctl_secret_refused(ctl);
        }

        if (i >= CTL_FIELDS) {
            status = ctl_option_set(ctl, i);

            if (status != CTL_DONE) {
                return status;
            }
        }
    }

    while (optind < argc) {
        ctl->words[ctl->nwords++] = argv[optind++];
    }

    return CTL_DONE;
}


/*
 * Finds the command of the words, which are then those behind it.  *noun is
 * set where there is one, even if the command is not complete.
 */

static void
ctl_command_find(ctl_t *ctl, const char **noun)
{
    size_t                i, n;
    const ctl_command_t  *cmd;

    *noun = NULL;

    for (i = 0; i < ak_nitems(ctl_commands) && ctl->nwords != 0; i++) {
        cmd = &ctl_commands[i];

        if (strcmp(cmd->noun, ctl->words[0]) != 0) {
            continue;
        }

        *noun = cmd->noun;
        n = (cmd->verb == NULL) ? 1 : 2;

        if (n == 1 || (ctl->nwords > 1
                       && strcmp(cmd->verb, ctl->words[1]) == 0))
        {
            ctl->command = cmd;
            ctl->words += n;
            ctl->nwords -= n;
            return;
        }
    }
}


static ctl_status_e
ctl_command_check(const ctl_t *ctl, unsigned given)
{
    size_t                i;
    const ctl_command_t  *cmd;

    cmd = ctl->command;

    for (i = 0; i < CTL_NOPTIONS; i++) {
        if ((given & (1u << i)) && ctl_options[i].bit != CTL_OPT_ALL
            && !(cmd->options & ctl_options[i].bit))
        {
            return ctl_usage(ctl, "--%s is no option of this command",
                             ctl_options[i].name);
        }
    }

    if (ctl->nwords < cmd->min) {
        return ctl_usage(ctl, "a word is missing");
    }

    if (ctl->nwords > cmd->max) {

        if (cmd->run == ctl_upstream_set) {
            return ctl_secret_refused(ctl);
        }

        return ctl_usage(ctl, "there are more words than the command takes");
    }

    return CTL_DONE;
}


static const char *
ctl_env(const char *given, const char *name)
{
    const char  *value;

    if (given != NULL) {
        return given;
    }

    value = getenv(name);

    return (value == NULL || *value == '\0') ? NULL : value;
}


static ctl_status_e
ctl_run(ctl_t *ctl, int argc, char **argv)
{
    unsigned       given;
    const char    *noun;
    ctl_status_e   status;

    given = 0;

    status = ctl_options_read(ctl, argc, argv, &given);

    if (status != CTL_DONE) {
        return status;
    }

    ctl_command_find(ctl, &noun);

    if (given & (1u << CTL_VERSION)) {
        puts("apikeyctl " AK_VERSION);
        return CTL_DONE;
    }

    if (ctl->command == NULL) {

        if ((given & (1u << CTL_HELP)) && ctl->nwords == (noun != NULL)) {
            return ctl_help(NULL, noun);
        }

        if (noun == NULL) {
            return ctl_usage(ctl, ctl->nwords == 0
                             ? "a command is missing: init, keyring, key, "
                               "upstream, stack, jwt or doctor"
                             : "there is no such command; there are init, "
                               "keyring, key, upstream, stack, jwt and "
                               "doctor");
        }

        return ctl_fail(CTL_USAGE, "%s \"apikeyctl %s --help\" shows the "
                        "verbs", ctl->nwords == 1 ? "a verb is missing;"
                                                  : "there is no such verb;",
                        noun);
    }

    if (given & (1u << CTL_HELP)) {
        return ctl_help(ctl->command, NULL);
    }

    status = ctl_command_check(ctl, given);

    if (status != CTL_DONE) {
        return status;
    }

    ctl->store = ctl_env(ctl->store, "APIKEY_STORE");
    ctl->keyring = ctl_env(ctl->keyring, "APIKEY_KEYRING");

    return ctl->command->run(ctl);
}


/*
 * Descriptors 0 to 2 must be taken: a socket that got the number of a closed
 * stdout would be sent what is printed.
 */

static void
ctl_descriptors(void)
{
    int  fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);

    if (fd > STDERR_FILENO) {
        close(fd);
    }
}


/*
 * Copies of secrets lie where registers were saved, as by the dynamic linker
 * at the first call of a function: far below, in frames that have ended.
 */

static void __attribute__((noinline))
ctl_wipe_stack(void)
{
    char  frames[CTL_STACK_WIPED];

    ak_mem_wipe(frames, sizeof(frames));
}


int
main(int argc, char **argv)
{
    bool            closed;
    ctl_t           ctl;
    char          **words;
    ctl_status_e    status;
    struct rlimit   none;

    closed = (fcntl(STDOUT_FILENO, F_GETFD) == -1);

    ctl_descriptors();

    if (closed) {
        /* so that writing fails, instead of being lost */
        close(STDOUT_FILENO);
        (void) open("/dev/null", O_RDONLY);
    }

    /* a closed pipe is an error of write(2), and a core holds secrets */

    signal(SIGPIPE, SIG_IGN);
    memset(&none, 0, sizeof(struct rlimit));
    (void) setrlimit(RLIMIT_CORE, &none);

    ctl_print_init();

    memset(&ctl, 0, sizeof(ctl_t));

    words = ctl_alloc(((size_t) argc + 1) * sizeof(char *));
    ctl.words = words;

    status = ctl_run(&ctl, argc, argv);

    ctl_store_close(&ctl);
    ak_keyring_free(ctl.keys);
    ctl_free(words);

    if (ctl_print_flush() != CTL_DONE && status == CTL_DONE) {
        status = CTL_REFUSED;
    }

    ctl_wipe_stack();

    return (int) status;
}
