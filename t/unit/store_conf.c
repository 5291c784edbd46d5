
/*
 * Copyright (C) ngx_apikey_module contributors
 */


/* Tests for the words of a store. */


#include "unit.h"

#include "ak_store_conf.h"


#define WORDS_MAX  24
#define SECRET     "hunter2hunter2"


typedef struct {
    const char  *words;                /* parted by spaces */
    const char  *host;
    unsigned     port;
    const char  *path;
    unsigned     db;
    const char  *user;
    const char  *prefix;
    unsigned     connect_timeout;
    unsigned     timeout;
} good_t;


typedef struct {
    const char  *words;
    const char  *text;                 /* a part of the diagnostic */
} bad_t;


#define DEFAULTS  "apikey:", 1000, 1000


static const good_t  good[] = {
    { "redis://h", "h", 6379, "", 0, "", DEFAULTS },
    { "redis://h/", "h", 6379, "", 0, "", DEFAULTS },
    { "redis://h:1", "h", 1, "", 0, "", DEFAULTS },
    { "redis://h:65535/15", "h", 65535, "", 15, "", DEFAULTS },
    { "redis://127.0.0.1:6380/0", "127.0.0.1", 6380, "", 0, "", DEFAULTS },
    { "redis://redis-1.my_net.example:7000", "redis-1.my_net.example", 7000,
      "", 0, "", DEFAULTS },
    { "redis://[::1]", "::1", 6379, "", 0, "", DEFAULTS },
    { "redis://[2001:db8::1.2.3.4]:7/2", "2001:db8::1.2.3.4", 7, "", 2, "",
      DEFAULTS },
    { "redis://bob@h:7/2 password_file=/p", "h", 7, "", 2, "bob", DEFAULTS },
    { "redis://a@b@h password_file=/p", "h", 6379, "", 0, "a@b", DEFAULTS },
    { "redis://h user=bob password_file=/p db=3", "h", 6379, "", 3, "bob",
      DEFAULTS },
    { "redis://h password_file=/p", "h", 6379, "", 0, "", DEFAULTS },
    { "redis+unix:/run/r.sock", "", 0, "/run/r.sock", 0, "", DEFAULTS },
    { "redis+unix:///run/r.sock db=1", "", 0, "/run/r.sock", 1, "", DEFAULTS },
    { "redis+unix:/run/a:b@c?d db=2147483647", "", 0, "/run/a:b@c?d",
      2147483647, "", DEFAULTS },
    { "redis://h prefix=acme:keys: connect_timeout=250ms timeout=2s", "h",
      6379, "", 0, "", "acme:keys:", 250, 2000 },
    { "redis://h timeout=1ms connect_timeout=1h", "h", 6379, "", 0, "",
      "apikey:", 3600000, 1 },
    { "redis://h timeout=5", "h", 6379, "", 0, "", "apikey:", 1000, 5000 }
};


static const bad_t  bad[] = {
    { "", "URL is missing" },
    { "localhost:6379", "must begin with \"redis://\"" },
    { "http://h", "must begin with \"redis://\"" },
    { "REDIS://h", "must begin with \"redis://\"" },
    { "redis:h", "must begin with \"redis://\"" },
    { "redis+unix", "must begin with \"redis://\"" },
    { "rediss:h:6379", "\"rediss://\", \"redis+unix:\"" },
    { "rediss+unix:/s", "must begin with \"redis://\"" },
    { "file:", "\"file:\" needs the path" },
    { "file:/etc/keys prefix=a:", "takes no options" },
    { "file:/etc/keys password=" SECRET, "takes no options" },
    { "file:/etc/keys " SECRET, "takes no options" },

    { "redis://", "host in the store's URL is missing" },
    { "redis://:6379", "host in the store's URL is missing" },
    { "redis:///0", "host in the store's URL is missing" },
    { "redis://[]:6379", "host in the store's URL is missing" },
    { "redis://[::1", "has no \"]\"" },
    { "redis://[h]", "no name and no address" },
    { "redis://[::1%25eth0]", "no name and no address" },
    { "redis://::1", "must stand in brackets" },
    { "redis://::1:6379", "must stand in brackets" },
    { "redis://h\x01x", "no name and no address" },
    { "redis://h%41", "no name and no address" },
    { "redis://b\xc3\xbc" "cher", "no name and no address" },
    { "redis://,h", "host in the store's URL is missing" },
    { "redis://h,", "host in the store's URL is missing" },
    { "redis://h,,i", "host in the store's URL is missing" },
    { "redis://h,:1", "host in the store's URL is missing" },
    { "redis://h,i j,k", "is no option" },
    { "redis://h,::1", "must stand in brackets" },
    { "redis://[::1,h]", "has no \"]\"" },
    { "redis://h:1,i:0", "must be 1 to 65535" },
    { "redis://h:1,i:65536,j", "must be 1 to 65535" },
    { "redis://h,i,H", "number 3 in the store's URL is the same as number 1" },
    { "redis://h,h:6379", "number 2 in the store's URL is the same as" },
    { "redis://h,h:26379 sentinel=m", "is the same as number 1" },
    { "redis://[::A]:1,[::a]:1", "is the same as number 1" },
    { "redis://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "more than 16 hosts" },

    { "redis://h:", "port in the store's URL must be 1 to 65535" },
    { "redis://h:0", "port in the store's URL must be 1 to 65535" },
    { "redis://h:65536", "port in the store's URL must be 1 to 65535" },
    { "redis://h:18446744073709551617", "must be 1 to 65535" },
    { "redis://h:-1", "port in the store's URL must be 1 to 65535" },
    { "redis://h:6379x", "port in the store's URL must be 1 to 65535" },
    { "redis://h:+1", "port in the store's URL must be 1 to 65535" },
    { "redis://[::1]6379", "port in the store's URL must be 1 to 65535" },

    { "redis://h/x", "database of the store must be a number" },
    { "redis://h/-1", "database of the store must be a number" },
    { "redis://h/1/2", "database of the store must be a number" },
    { "redis://h/2147483648", "database of the store must be a number" },
    { "redis://h db=", "database of the store must be a number" },
    { "redis://h db=1x", "database of the store must be a number" },
    { "redis://h?db=1", "are words after its URL" },
    { "redis://h/1?x=y", "are words after its URL" },

    { "redis://bob:" SECRET "@h", "use \"password_file=\"" },
    { "redis://:" SECRET "@h", "use \"password_file=\"" },
    { "redis://bob:" SECRET "@x@h", "use \"password_file=\"" },
    { "redis://bob:" SECRET "/@h", "use \"password_file=\"" },
    { "redis://h password=" SECRET, "use \"password_file=\"" },
    { "redis://@h", "user of the store must be" },
    { "redis://h user=", "user of the store must be" },
    { "redis://b\x7f@h", "user of the store must be" },
    { "redis://bob@h", "needs \"password_file=\"" },
    { "redis://h user=bob", "needs \"password_file=\"" },
    { "redis://h password_file=", "\"password_file=\" needs a path" },

    { "redis+unix:", "begins with \"/\"" },
    { "redis+unix:/", "begins with \"/\"" },
    { "redis+unix:r.sock", "begins with \"/\"" },
    { "redis+unix://host/r.sock", "has no host" },

    { "redis://h prefix=", "\"prefix=\" of the store must be 1 to 64" },
    { "redis://h prefix=a\xff", "\"prefix=\" of the store must be 1 to 64" },
    { "redis://h prefix=a*", "must not hold any of" },
    { "redis://h prefix=[a]:", "must not hold any of" },
    { "redis://h timeout=0", "\"timeout=\" of the store must be a time" },
    { "redis://h timeout=-1", "\"timeout=\" of the store must be a time" },
    { "redis://h timeout=2h", "\"timeout=\" of the store must be a time" },
    { "redis://h timeout=soon", "\"timeout=\" of the store must be a time" },
    { "redis://h connect_timeout=0ms", "\"connect_timeout=\" of the store" },

    { "redis://h timeout=1s timeout=1s", "\"timeout\" of the store is given" },
    { "redis://h/1 db=1", "\"db\" of the store is given twice" },
    { "redis://b@h user=b", "\"user\" of the store is given twice" },
    { "redis://h timeout", "\"timeout\" of the store needs a value" },
    { "redis://h colour=" SECRET, "unknown option \"colour\" of the store" },
    { "redis://h colour", "unknown option \"colour\" of the store" },
    { "redis://h Timeout=1s", "is no option" },
    { "redis://h " SECRET "!", "is no option" },
    { "redis://h =1", "unknown option \"\" of the store" },

    { "redis://h sentinel", "\"sentinel\" of the store needs a value" },
    { "redis://h sentinel=", "\"sentinel=\" of the store must be the name" },
    { "redis://h sentinel=a\x7f", "must be the name of a master" },
    { "redis://h sentinel=m cluster", "exclude each other" },
    { "redis+unix:/s sentinel=m", "\"sentinel\" of the store needs a URL" },
    { "redis://h sentinel_user=u", "\"sentinel_user\" of the store needs "
      "\"sentinel=\"" },
    { "redis://h sentinel_password_file=/p", "\"sentinel_password_file\" of "
      "the store needs \"sentinel=\"" },
    { "redis://h cluster sentinel_password_file=/p", "needs \"sentinel=\"" },
    { "redis://h sentinel=m sentinel_user=u", "\"sentinel_user\" of the "
      "store needs \"sentinel_password_file=\"" },
    { "redis://h sentinel=m sentinel_user=", "the sentinel_user of the store" },
    { "redis://h sentinel=m sentinel_password=" SECRET,
      "use \"sentinel_password_file=\"" },
    { "redis://h sentinel=m sentinel_password_file=", "needs a path" },

    { "redis://h cluster=on", "\"cluster\" of the store takes no value" },
    { "redis://h cluster=", "\"cluster\" of the store takes no value" },
    { "redis://h cluster cluster", "\"cluster\" of the store is given twice" },
    { "redis+unix:/s cluster", "\"cluster\" of the store needs a URL" },
    { "redis://h/1 cluster", "no database but 0" },
    { "redis://h cluster db=2", "no database but 0" },
    { "redis://h read=replica", "\"read=replica\" of the store needs" },
    { "redis://h sentinel=m read=replica", "of the store needs \"cluster\"" },
    { "redis://h cluster read=" SECRET, "must be \"master\" or \"replica\"" },
    { "redis://h cluster read=", "must be \"master\" or \"replica\"" },
    { "redis://h invalidation=yes", "must be \"on\" or \"off\"" },
    { "redis://h invalidation", "needs a value" },

    { "redis://h ssl_name=x", "\"ssl_name\" of the store needs a URL that "
      "begins with \"rediss://\"" },
    { "redis+unix:/s ssl_verify=off", "\"ssl_verify\" of the store needs" },
    { "redis://h ssl_trusted_certificate=/c", "needs a URL" },
    { "redis://h ssl_verify=on", "needs a URL" },
    { "redis://h ssl_verify_depth=1", "needs a URL" },
    { "redis://h ssl_certificate=/c ssl_certificate_key=/k", "needs a URL" },
    { "redis://h ssl_protocols=TLSv1.3", "needs a URL" },
    { "redis://h ssl_ciphers=HIGH", "\"ssl_ciphers\" of the store needs" },
    { "rediss://h ssl_certificate=/c", "need each other" },
    { "rediss://h ssl_certificate_key=/c", "need each other" },
    { "rediss://h ssl_verify=off ssl_trusted_certificate=/c", "of no use" },
    { "rediss://h ssl_verify=no", "must be \"on\" or \"off\"" },
    { "rediss://h ssl_verify_depth=101", "must be a number from 0 to 100" },
    { "rediss://h ssl_verify_depth=", "must be a number from 0 to 100" },
    { "rediss://h ssl_name=", "must be a name or an address" },
    { "rediss://h ssl_name=a/b", "must be a name or an address" },
    { "rediss://h ssl_name=x::1", "must be a name or an address" },
    { "rediss://h ssl_protocols=", "must be \"TLSv1.2\"" },
    { "rediss://h ssl_protocols=TLSv1.2,", "must be \"TLSv1.2\"" },
    { "rediss://h ssl_protocols=,TLSv1.2", "must be \"TLSv1.2\"" },
    { "rediss://h ssl_protocols=TLSv1.1", "must be \"TLSv1.2\"" },
    { "rediss://h ssl_protocols=TLSv1", "must be \"TLSv1.2\"" },
    { "rediss://h ssl_ciphers=", "must be a list of ciphers" },
    { "rediss://h ssl_certificate=", "\"ssl_certificate=\" needs a path" },
    { "rediss://h ssl_password=" SECRET, "unknown option \"ssl_password\"" },
    { "rediss://bob:" SECRET "@h", "use \"password_file=\"" }
};


static size_t
split(const char *text, ak_str_t *words)
{
    size_t  n, len;

    for (n = 0; *text != '\0'; n++) {
        assert_true(n < WORDS_MAX);

        len = strcspn(text, " ");
        words[n] = unit_exact(ak_str(text, len));

        text += len;
        text += (*text == ' ');
    }

    return n;
}


static void
release(ak_str_t *words, size_t n)
{
    while (n-- > 0) {
        unit_free(words[n]);
    }
}


static void
test_good(void **state)
{
    size_t            i, n;
    ak_str_t          words[WORDS_MAX];
    ak_diag_t         d;
    const good_t     *g;
    ak_store_conf_t   conf;

    (void) state;

    for (i = 0; i < ak_nitems(good); i++) {
        g = &good[i];

        memset(&d, 0, sizeof(ak_diag_t));
        memset(&conf, 0xa5, sizeof(ak_store_conf_t));

        n = split(g->words, words);

        assert_case(ak_store_conf_parse(&conf, words, n, &d) == AK_OK,
                    "%s: %s", g->words, d.text);

        assert_int_equal(conf.type, AK_STORE_REDIS);
        assert_int_equal(conf.nhosts, g->host[0] != '\0');
        assert_str(conf.hosts[0].host, g->host);
        assert_str(conf.path, g->path);
        assert_str(conf.user, g->user);
        assert_str(conf.prefix, g->prefix);
        assert_int_equal(conf.hosts[0].port, g->port);
        assert_int_equal(conf.db, g->db);
        assert_int_equal(conf.connect_timeout, g->connect_timeout);
        assert_int_equal(conf.timeout, g->timeout);
        assert_int_equal(conf.topology, AK_STORE_SINGLE);
        assert_true(conf.invalidation);
        assert_false(conf.replicas);
        assert_false(conf.tls.on);
        assert_str(conf.password_file,
                   strstr(g->words, "password_file") ? "/p" : "");

        release(words, n);
    }
}


static ak_str_t *
read_words(const char *text, ak_store_conf_t *conf, size_t *n)
{
    ak_diag_t        d;
    static ak_str_t  words[WORDS_MAX];

    memset(&d, 0, sizeof(ak_diag_t));
    memset(conf, 0xa5, sizeof(ak_store_conf_t));

    *n = split(text, words);

    assert_case(ak_store_conf_parse(conf, words, *n, &d) == AK_OK,
                "%s: %s", text, d.text);

    return words;
}


static void
test_hosts(void **state)
{
    char             text[64];
    size_t           n;
    ak_str_t        *words;
    unsigned         i;
    ak_store_conf_t  conf;

    (void) state;

    words = read_words("redis://bob@a:1,[::1]:2,c,[::2],c:7/3 "
                       "password_file=/p", &conf, &n);

    assert_int_equal(conf.nhosts, 5);
    assert_str(conf.hosts[0].host, "a");
    assert_str(conf.hosts[1].host, "::1");
    assert_str(conf.hosts[2].host, "c");
    assert_str(conf.hosts[3].host, "::2");
    assert_str(conf.hosts[4].host, "c");
    assert_int_equal(conf.hosts[0].port, 1);
    assert_int_equal(conf.hosts[1].port, 2);
    assert_int_equal(conf.hosts[2].port, 6379);
    assert_int_equal(conf.hosts[3].port, 6379);
    assert_int_equal(conf.hosts[4].port, 7);
    assert_int_equal(conf.db, 3);
    assert_str(conf.user, "bob");

    release(words, n);

    strcpy(text, "redis://a");

    for (i = 1; i < AK_STORE_HOSTS_MAX; i++) {
        sprintf(text + strlen(text), ",%c", 'a' + i);
    }

    words = read_words(text, &conf, &n);
    assert_int_equal(conf.nhosts, AK_STORE_HOSTS_MAX);
    assert_str(conf.hosts[AK_STORE_HOSTS_MAX - 1].host, "p");
    release(words, n);
}


static void
test_topologies(void **state)
{
    size_t           n;
    ak_str_t        *words;
    ak_store_conf_t  conf;

    (void) state;

    words = read_words("redis://a,b:7,[::1]/2 sentinel=my-master:1 "
                       "sentinel_user=watch sentinel_password_file=/sp "
                       "read=master", &conf, &n);

    assert_int_equal(conf.topology, AK_STORE_SENTINEL);
    assert_int_equal(conf.nhosts, 3);
    assert_int_equal(conf.hosts[0].port, 26379);
    assert_int_equal(conf.hosts[1].port, 7);
    assert_int_equal(conf.hosts[2].port, 26379);
    assert_int_equal(conf.db, 2);
    assert_str(conf.sentinel, "my-master:1");
    assert_str(conf.sentinel_user, "watch");
    assert_str(conf.sentinel_password_file, "/sp");
    assert_str(conf.user, "");
    assert_str(conf.password_file, "");
    assert_false(conf.replicas);

    release(words, n);

    words = read_words("redis://a,b:7/0 read=replica cluster "
                       "invalidation=off", &conf, &n);

    assert_int_equal(conf.topology, AK_STORE_CLUSTER);
    assert_int_equal(conf.hosts[0].port, 6379);
    assert_true(conf.replicas);
    assert_false(conf.invalidation);
    assert_str(conf.sentinel, "");

    release(words, n);

    words = read_words("redis+unix:/s invalidation=on read=master", &conf, &n);

    assert_int_equal(conf.topology, AK_STORE_SINGLE);
    assert_int_equal(conf.nhosts, 0);
    assert_true(conf.invalidation);

    release(words, n);
}


static void
test_tls(void **state)
{
    size_t           n;
    ak_str_t        *words;
    ak_store_conf_t  conf;

    (void) state;

    words = read_words("rediss://h", &conf, &n);

    assert_true(conf.tls.on);
    assert_true(conf.tls.verify);
    assert_int_equal(conf.tls.depth, 9);
    assert_int_equal(conf.tls.protocols, AK_STORE_TLSV1_2 | AK_STORE_TLSV1_3);
    assert_str(conf.tls.trusted, "");
    assert_str(conf.tls.certificate, "");
    assert_str(conf.tls.certificate_key, "");
    assert_str(conf.tls.name, "");
    assert_str(conf.tls.ciphers, "");
    assert_int_equal(conf.hosts[0].port, 6379);

    release(words, n);

    words = read_words("rediss://bob@h:1,i/0 cluster ssl_verify_depth=0 "
                       "ssl_trusted_certificate=/ca ssl_certificate=/c "
                       "ssl_certificate_key=/k ssl_name=redis.example "
                       "ssl_protocols=TLSv1.3 password_file=/p "
                       "ssl_ciphers=HIGH:!aNULL ssl_verify=on", &conf, &n);

    assert_true(conf.tls.on);
    assert_true(conf.tls.verify);
    assert_int_equal(conf.tls.depth, 0);
    assert_int_equal(conf.tls.protocols, AK_STORE_TLSV1_3);
    assert_str(conf.tls.trusted, "/ca");
    assert_str(conf.tls.certificate, "/c");
    assert_str(conf.tls.certificate_key, "/k");
    assert_str(conf.tls.name, "redis.example");
    assert_str(conf.tls.ciphers, "HIGH:!aNULL");
    assert_int_equal(conf.topology, AK_STORE_CLUSTER);
    assert_str(conf.hosts[1].host, "i");

    release(words, n);

    words = read_words("rediss://h ssl_verify=off ssl_name=::1 "
                       "ssl_protocols=TLSv1.3,TLSv1.2 sentinel=m", &conf, &n);

    assert_false(conf.tls.verify);
    assert_str(conf.tls.name, "::1");
    assert_int_equal(conf.tls.protocols, AK_STORE_TLSV1_2 | AK_STORE_TLSV1_3);
    assert_int_equal(conf.hosts[0].port, 26379);

    release(words, n);
}


static void
test_bad(void **state)
{
    size_t           i, n;
    ak_str_t         words[WORDS_MAX];
    ak_diag_t        d;
    ak_store_conf_t  conf;

    (void) state;

    for (i = 0; i < ak_nitems(bad); i++) {
        memset(&d, 0, sizeof(ak_diag_t));

        n = split(bad[i].words, words);

        assert_case(ak_store_conf_parse(&conf, words, n, &d) == AK_ERROR,
                    "%s", bad[i].words);
        assert_case(strstr(d.text, bad[i].text) != NULL,
                    "%s: %s", bad[i].words, d.text);
        assert_case(!unit_leaks(d.text, strlen(d.text), S(SECRET), 4),
                    "%s: %s", bad[i].words, d.text);

        assert_int_equal(ak_store_conf_parse(&conf, words, n, NULL),
                         AK_ERROR);

        release(words, n);
    }
}


static void
test_lengths(void **state)
{
    char              text[512];
    ak_str_t          words[2];
    ak_store_conf_t   conf;

    (void) state;

    memset(text, 'a', sizeof(text));

    memcpy(text, "redis://", 8);
    words[0] = ak_str(text, 8 + 253);
    assert_int_equal(ak_store_conf_parse(&conf, words, 1, NULL), AK_OK);
    words[0].len++;
    assert_int_equal(ak_store_conf_parse(&conf, words, 1, NULL), AK_ERROR);

    memcpy(text, "redis+unix:/", 12);
    words[0] = ak_str(text, 11 + 107);
    assert_int_equal(ak_store_conf_parse(&conf, words, 1, NULL), AK_OK);
    words[0].len++;
    assert_int_equal(ak_store_conf_parse(&conf, words, 1, NULL), AK_ERROR);

    words[0] = S("redis://h");
    memcpy(text, "prefix=", 7);
    words[1] = ak_str(text, 7 + 64);
    assert_int_equal(ak_store_conf_parse(&conf, words, 2, NULL), AK_OK);
    words[1].len++;
    assert_int_equal(ak_store_conf_parse(&conf, words, 2, NULL), AK_ERROR);

    memcpy(text, "sentinel=", 9);
    words[1] = ak_str(text, 9 + 64);
    assert_int_equal(ak_store_conf_parse(&conf, words, 2, NULL), AK_OK);
    words[1].len++;
    assert_int_equal(ak_store_conf_parse(&conf, words, 2, NULL), AK_ERROR);

    words[1] = S("sentinel=my master");
    assert_int_equal(ak_store_conf_parse(&conf, words, 2, NULL), AK_ERROR);

    words[0] = S("rediss://h");
    memset(text, 'a', sizeof(text));
    memcpy(text, "ssl_name=", 9);
    words[1] = ak_str(text, 9 + 253);
    assert_int_equal(ak_store_conf_parse(&conf, words, 2, NULL), AK_OK);
    words[1].len++;
    assert_int_equal(ak_store_conf_parse(&conf, words, 2, NULL), AK_ERROR);

    /* a zero byte would end what the system is asked for */

    words[0] = ak_str("redis+unix:/a\0b", 15);
    assert_int_equal(ak_store_conf_parse(&conf, words, 1, NULL), AK_ERROR);

    words[0] = S("redis://h");
    words[1] = ak_str("password_file=/a\0b", 18);
    assert_int_equal(ak_store_conf_parse(&conf, words, 2, NULL), AK_ERROR);

    assert_int_equal(ak_store_conf_parse(&conf, words, 0, NULL), AK_ERROR);
}


static const struct CMUnitTest  tests[] = {
    cmocka_unit_test(test_good),
    cmocka_unit_test(test_hosts),
    cmocka_unit_test(test_topologies),
    cmocka_unit_test(test_tls),
    cmocka_unit_test(test_bad),
    cmocka_unit_test(test_lengths)
};


UNIT_MAIN(tests)
