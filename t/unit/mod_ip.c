
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for "account required ip". */


#include "unit.h"

#include <arpa/inet.h>

#include "unit_account.h"


typedef struct {
    const char  *args;
    const char  *ips;          /* NULL: the record has none */
    const char  *address;      /* NULL: a unix socket */
    ak_reason_e  answer;
} case_t;


static const case_t  cases[] = {

    /* neither the line nor the record says anything */

    { "ip", NULL, "192.0.2.1", AK_IGNORE },
    { "ip", NULL, NULL, AK_IGNORE },

    /* the line alone */

    { "ip 192.0.2.0/24", NULL, "192.0.2.0", AK_SUCCESS },
    { "ip 192.0.2.0/24", NULL, "192.0.2.255", AK_SUCCESS },
    { "ip 192.0.2.0/24", NULL, "192.0.3.0", AK_FORBIDDEN },
    { "ip 192.0.2.0/24", NULL, "192.0.1.255", AK_FORBIDDEN },
    { "ip 192.0.2.7", NULL, "192.0.2.7", AK_SUCCESS },
    { "ip 192.0.2.7", NULL, "192.0.2.6", AK_FORBIDDEN },
    { "ip 10.0.0.0/8 192.0.2.7", NULL, "192.0.2.7", AK_SUCCESS },
    { "ip 10.0.0.0/8 192.0.2.7", NULL, "11.0.0.0", AK_FORBIDDEN },
    { "ip 2001:db8::/32", NULL, "2001:db8:ffff::1", AK_SUCCESS },
    { "ip 2001:db8::/32", NULL, "2001:db9::", AK_FORBIDDEN },
    { "ip ::1", NULL, "::1", AK_SUCCESS },
    { "ip ::1", NULL, "::2", AK_FORBIDDEN },

    /* the record alone */

    { "ip", "192.0.2.0/24", "192.0.2.1", AK_SUCCESS },
    { "ip", "192.0.2.0/24", "192.0.4.1", AK_FORBIDDEN },
    { "ip", "10.0.0.0/8, 2001:db8::/32", "2001:db8::1", AK_SUCCESS },
    { "ip", "10.0.0.0/8 2001:db8::/32", "10.1.2.3", AK_SUCCESS },

    /* both: one of each */

    { "ip 10.0.0.0/8", "10.1.0.0/16", "10.1.0.1", AK_SUCCESS },
    { "ip 10.0.0.0/8", "10.1.0.0/16", "10.2.0.1", AK_FORBIDDEN },
    { "ip 10.1.0.0/16", "10.0.0.0/8", "10.2.0.1", AK_FORBIDDEN },

    /* IPv4 in IPv6 is IPv4 */

    { "ip 192.0.2.0/24", NULL, "::ffff:192.0.2.1", AK_SUCCESS },
    { "ip 192.0.2.0/24", NULL, "::ffff:192.0.3.1", AK_FORBIDDEN },
    { "ip ::ffff:192.0.2.0/120", NULL, "192.0.2.1", AK_SUCCESS },
    { "ip ::ffff:192.0.2.0/120", NULL, "::ffff:192.0.2.1", AK_SUCCESS },
    { "ip ::ffff:192.0.2.0/120", NULL, "192.0.3.1", AK_FORBIDDEN },
    { "ip", "192.0.2.0/24", "::ffff:192.0.2.1", AK_SUCCESS },
    { "ip", "::ffff:192.0.2.7", "192.0.2.7", AK_SUCCESS },
    { "ip ::/0", NULL, "192.0.2.1", AK_FORBIDDEN },
    { "ip ::/0", NULL, "::ffff:192.0.2.1", AK_FORBIDDEN },
    { "ip ::/0", NULL, "2001:db8::1", AK_SUCCESS },
    { "ip 0.0.0.0/0", NULL, "::ffff:192.0.2.1", AK_SUCCESS },
    { "ip 0.0.0.0/0", NULL, "2001:db8::1", AK_FORBIDDEN },
    { "ip 192.0.2.1", NULL, "::192.0.2.1", AK_FORBIDDEN },

    /* nobody knows where it came from */

    { "ip 0.0.0.0/0 ::/0", NULL, NULL, AK_FORBIDDEN },
    { "ip", "0.0.0.0/0", NULL, AK_FORBIDDEN },

    /* a record that cannot be read, whatever else is in it */

    { "ip", "192.0.2.1 nowhere", "192.0.2.1", AK_FORBIDDEN },
    { "ip", "192.0.2.1/24 192.0.2.1", "192.0.2.1", AK_FORBIDDEN },
    { "ip", "192.0.2.1 10.0.0.0/33", "192.0.2.1", AK_FORBIDDEN },
    { "ip 0.0.0.0/0", ",", "192.0.2.1", AK_FORBIDDEN }
};


static void
set_address(const char *text, uint8_t bytes[16])
{
    if (text == NULL) {
        unit_request.address = ak_str(NULL, 0);

    } else if (inet_pton(AF_INET, text, bytes) == 1) {
        unit_request.address = ak_str(bytes, 4);

    } else {
        assert_int_equal(inet_pton(AF_INET6, text, bytes), 1);
        unit_request.address = ak_str(bytes, 16);
    }
}


static void
test_cases(void **state)
{
    size_t         i;
    uint8_t        bytes[16];
    ak_reason_e    answer;
    const case_t  *c;

    (void) state;

    for (i = 0; i < ak_nitems(cases); i++) {
        c = &cases[i];

        set_address(c->address, bytes);
        answer = unit_account(c->args, "ips", c->ips);

        assert_case(answer == c->answer, "\"%s\" and \"%s\" for \"%s\": %d",
                    c->args, c->ips == NULL ? "(none)" : c->ips,
                    c->address == NULL ? "(none)" : c->address, (int) answer);
    }
}


static void
test_odd_addresses(void **state)
{
    size_t          len;
    static uint8_t  bytes[32];

    (void) state;

    for (len = 0; len <= sizeof(bytes); len++) {
        unit_request.address = ak_str(bytes, len);

        assert_case(unit_account("ip 0.0.0.0/0 ::/0", NULL, NULL)
                    == (len == 4 || len == 16 ? AK_SUCCESS : AK_FORBIDDEN),
                    "an address of %zu bytes", len);
    }
}


static void
test_no_record(void **state)
{
    uint8_t         bytes[16];
    unit_account_t  a;

    (void) state;

    set_address("192.0.2.1", bytes);

    assert_int_equal(unit_account("ip", NULL, NULL), AK_IGNORE);
    assert_int_equal(unit_account("ip 192.0.2.1", NULL, NULL), AK_SUCCESS);
    assert_int_equal(unit_account("ip 192.0.2.2", NULL, NULL), AK_FORBIDDEN);

    /* one that is no record */

    assert_int_equal(unit_account_begin(&a, "ip 192.0.2.1"), AK_OK);
    unit_account_record(&a, "ips", "192.0.2.1");
    a.record.len--;
    unit_account_auth(&a);
    assert_int_equal(unit_account_answer(&a), AK_FORBIDDEN);
    unit_account_end(&a);
}


static void
test_lines(void **state)
{
    (void) state;

    unit_account_refused("ip localhost", "\"localhost\"");
    unit_account_refused("ip 10.0.0.0/8 10.0.0.1/8", "\"10.0.0.0/8\"");
    unit_account_refused("ip 10.0.0.0/8,192.0.2.1", "no network");
    unit_account_refused("ip 10.0.0.0/33", "from 0 to 32");
    unit_account_refused("ip ::/129", "from 0 to 128");
    unit_account_refused("ip allow=10.0.0.0/8", "\"allow=10.0.0.0/8\"");
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_cases),
    cmocka_unit_test(test_odd_addresses),
    cmocka_unit_test(test_no_record),
    cmocka_unit_test(test_lines)
};


UNIT_MAIN(tests)
