
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include "ak_modules.h"


/*
 * GROUP ... debug [auth=REASON] [account=REASON] [session=REASON] [again=N]
 *                [owner=NAME]
 *
 * Answers what its arguments say, as pam_debug(8) does: "success" unless said.
 * again=N has it suspend N times before.  For trying out stacks, not for use.
 */

typedef struct {
    ak_str_t     words[AK_GROUP_MAX];
    ak_reason_e  answers[AK_GROUP_MAX];
    int64_t      again;
    ak_str_t     owner;
} ak_debug_conf_t;


typedef struct {
    int64_t      asked;
} ak_debug_state_t;


static const ak_arg_t  ak_debug_args[] = {
    { AK_ARG_TEXT, ak_string("auth"),
      offsetof(ak_debug_conf_t, words[AK_GROUP_AUTH]), NULL,
      "the answer of an auth line" },
    { AK_ARG_TEXT, ak_string("account"),
      offsetof(ak_debug_conf_t, words[AK_GROUP_ACCOUNT]), NULL,
      "the answer of an account line" },
    { AK_ARG_TEXT, ak_string("session"),
      offsetof(ak_debug_conf_t, words[AK_GROUP_SESSION]), NULL,
      "the answer of a session line" },
    { AK_ARG_NUMBER, ak_string("again"), offsetof(ak_debug_conf_t, again),
      NULL, "how often it suspends before it answers" },
    { AK_ARG_TEXT, ak_string("owner"), offsetof(ak_debug_conf_t, owner), NULL,
      "who it is, where the answer is success" },
    { .type = AK_ARG_END }
};


static ak_rc_t
ak_debug_init(void *data, const ak_init_t *in)
{
    ak_debug_conf_t *conf = data;

    unsigned     i;
    ak_reason_e  answer;

    if (conf->owner.len == 0) {
        conf->owner = ak_literal("debug");
    }

    for (i = 0; i < AK_GROUP_MAX; i++) {

        if (conf->words[i].len == 0) {
            continue;
        }

        answer = ak_error_reason(conf->words[i]);

        if (answer == AK_REASON_MAX) {
            return ak_diag(in->d, "unknown reason \"%.*s\"",
                           AK_FMT(conf->words[i]));
        }

        conf->answers[i] = answer;
    }

    return AK_OK;
}


static ak_reason_e
ak_debug_answer(ak_txn_t *t, const ak_debug_conf_t *conf, void *st,
    ak_group_e group)
{
    ak_debug_state_t *state = st;

    if (state->asked < conf->again) {
        state->asked++;
        return ak_txn_ask(t, AK_NEED_PAUSE, ak_str(NULL, 0), ak_str(NULL, 0));
    }

    return conf->answers[group];
}


static ak_reason_e
ak_debug_auth(ak_txn_t *t, const void *data, void *state)
{
    const ak_debug_conf_t *conf = data;

    ak_reason_e    answer;
    ak_identity_t  who = { .owner = conf->owner };

    answer = ak_debug_answer(t, conf, state, AK_GROUP_AUTH);

    if (answer == AK_SUCCESS) {
        ak_txn_identify(t, &who);
    }

    return answer;
}


static ak_reason_e
ak_debug_account(ak_txn_t *t, const void *conf, void *state)
{
    return ak_debug_answer(t, conf, state, AK_GROUP_ACCOUNT);
}


static ak_reason_e
ak_debug_session(ak_txn_t *t, const void *conf, void *state)
{
    return ak_debug_answer(t, conf, state, AK_GROUP_SESSION);
}


const ak_module_t  ak_mod_debug = {
    .name = ak_string("debug"),
    .about = "answers what its arguments say, for trying out stacks",
    .conf_size = sizeof(ak_debug_conf_t),
    .state_size = sizeof(ak_debug_state_t),
    .args = ak_debug_args,
    .init = ak_debug_init,
    .run = { [AK_AUTH] = ak_debug_auth, [AK_ACCOUNT] = ak_debug_account,
             [AK_SESSION_OPEN] = ak_debug_session }
};
