
/*
 * Copyright (C) ngx_apikey_module contributors
 */


#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "ak_crypt.h"
#include "ak_jws.h"
#include "ak_mem.h"


#define AK_HS_MAX        3             /* HS256, HS384, HS512 */
#define AK_MAC_MAX       64            /* bytes */
#define AK_COORD_MAX     66            /* bytes, of P-521 */
#define AK_ED25519_LEN   64            /* bytes of a signature */
#define AK_ED448_LEN     114


/* The first rows are those of secrets. */

static const ak_jws_alg_t  ak_jws_algs[] = {
    { ak_string("HS256"), AK_KTY_OCT, "SHA256", NULL, 32, false },
    { ak_string("HS384"), AK_KTY_OCT, "SHA384", NULL, 48, false },
    { ak_string("HS512"), AK_KTY_OCT, "SHA512", NULL, 64, false },
    { ak_string("RS256"), AK_KTY_RSA, "SHA256", NULL, 32, false },
    { ak_string("RS384"), AK_KTY_RSA, "SHA384", NULL, 48, false },
    { ak_string("RS512"), AK_KTY_RSA, "SHA512", NULL, 64, false },
    { ak_string("PS256"), AK_KTY_RSA, "SHA256", NULL, 32, true },
    { ak_string("PS384"), AK_KTY_RSA, "SHA384", NULL, 48, true },
    { ak_string("PS512"), AK_KTY_RSA, "SHA512", NULL, 64, true },
    { ak_string("ES256"), AK_KTY_EC, "SHA256", SN_X9_62_prime256v1, 32, false },
    { ak_string("ES384"), AK_KTY_EC, "SHA384", SN_secp384r1, 48, false },
    { ak_string("ES512"), AK_KTY_EC, "SHA512", SN_secp521r1, 66, false },
    { ak_string("ES256K"), AK_KTY_EC, "SHA256", SN_secp256k1, 32, false },
    { ak_string("EdDSA"), AK_KTY_OKP, NULL, NULL, 0, false },
    { ak_string("Ed25519"), AK_KTY_OKP, NULL, NULL, AK_ED25519_LEN, false },
    { ak_string("Ed448"), AK_KTY_OKP, NULL, NULL, AK_ED448_LEN, false }
};


/*
 * What verifies is made ready with the key: to find an algorithm by its name,
 * and to begin anew each time, costs as much as some signatures do.
 */

#define AK_ALGS  ak_nitems(ak_jws_algs)

struct ak_jws_key_s {
    ak_kty_e             kty;
    EVP_PKEY            *pkey;
    const ak_jws_alg_t  *curve;        /* of EC: the algorithm of its group */
    unsigned             ed_len;       /* of OKP: of a signature */
    size_t               secret_len;
    EVP_MAC_CTX         *mac[AK_HS_MAX];   /* of a secret, with it in */
    EVP_MD_CTX          *digest;           /* of a public key */
    EVP_MD              *md[AK_ALGS];      /* by algorithm, those that fit */
    EVP_PKEY_CTX        *verify[AK_ALGS];
    uint8_t              id[AK_JWS_ID_LEN];
};


static ak_rc_t ak_jws_prepare(ak_jws_key_t *key);
static ak_rc_t ak_jws_mac(const ak_jws_key_t *key, const ak_jws_alg_t *alg,
    ak_str_t input, ak_str_t signature);
static ak_rc_t ak_jws_okp_verify(const ak_jws_key_t *key, ak_str_t input,
    ak_str_t signature);
static ak_rc_t ak_jws_digest_verify(const ak_jws_key_t *key,
    const ak_jws_alg_t *alg, ak_str_t input, ak_str_t signature);
static ak_rc_t ak_jws_der(const ak_jws_alg_t *alg, ak_str_t signature,
    uint8_t **der, size_t *len);


const ak_jws_alg_t *
ak_jws_alg_at(size_t n)
{
    return (n < ak_nitems(ak_jws_algs)) ? &ak_jws_algs[n] : NULL;
}


const ak_jws_alg_t *
ak_jws_alg(ak_str_t name)
{
    size_t  i;

    for (i = 0; i < ak_nitems(ak_jws_algs); i++) {
        if (ak_str_eq(ak_jws_algs[i].name, name)) {
            return &ak_jws_algs[i];
        }
    }

    return NULL;
}


/* What OpenSSL said is not left for the next TLS connection. */

static void *
ak_jws_no_key(ak_jws_key_t *key, ak_diag_t *d, const char *why)
{
    ERR_clear_error();
    ak_jws_key_free(key);
    ak_diag(d, "%s", why);

    return NULL;
}


static ak_jws_key_t *
ak_jws_new(ak_kty_e kty)
{
    ak_jws_key_t  *key;

    key = OPENSSL_zalloc(sizeof(ak_jws_key_t));

    if (key != NULL) {
        key->kty = kty;
    }

    return key;
}


void
ak_jws_key_free(ak_jws_key_t *key)
{
    size_t  i;

    if (key == NULL) {
        return;
    }

    for (i = 0; i < AK_HS_MAX; i++) {
        EVP_MAC_CTX_free(key->mac[i]);
    }

    for (i = 0; i < AK_ALGS; i++) {
        EVP_MD_free(key->md[i]);
        EVP_PKEY_CTX_free(key->verify[i]);
    }

    EVP_MD_CTX_free(key->digest);
    EVP_PKEY_free(key->pkey);
    OPENSSL_free(key);
}


static ak_rc_t
ak_jws_identify(ak_jws_key_t *key, ak_str_t a, ak_str_t b)
{
    ak_rc_t      rc;
    uint8_t      sum[EVP_MAX_MD_SIZE];
    unsigned     len;
    EVP_MD_CTX  *ctx;

    rc = AK_ERROR;
    ctx = EVP_MD_CTX_new();

    if (ctx != NULL
        && EVP_DigestInit_ex2(ctx, EVP_sha256(), NULL) == 1
        && EVP_DigestUpdate(ctx, a.data, a.len) == 1
        && EVP_DigestUpdate(ctx, b.data, b.len) == 1
        && EVP_DigestFinal_ex(ctx, sum, &len) == 1)
    {
        memcpy(key->id, sum, AK_JWS_ID_LEN);
        rc = AK_OK;
    }

    EVP_MD_CTX_free(ctx);

    return rc;
}


/*
 * Completes a public key.  Its id is of its DER form, so that one key has one,
 * however it was read.
 */

static ak_rc_t
ak_jws_complete(ak_jws_key_t *key)
{
    int       len;
    ak_rc_t   rc;
    uint8_t  *der;

    der = NULL;
    len = i2d_PUBKEY(key->pkey, &der);

    if (len <= 0) {
        return AK_ERROR;
    }

    rc = ak_jws_identify(key, ak_str(der, (size_t) len), ak_str(NULL, 0));
    OPENSSL_free(der);

    if (rc == AK_OK) {
        rc = ak_jws_prepare(key);
    }

    /* it may have been read as something else first, in vain */

    ERR_clear_error();

    return rc;
}


ak_jws_key_t *
ak_jws_secret(ak_str_t secret, ak_diag_t *d)
{
    size_t         i;
    EVP_MAC       *mac;
    uint8_t        salt[16];
    OSSL_PARAM     params[2];
    ak_jws_key_t  *key;

    if (secret.len == 0 || secret.len > AK_JWS_SECRET_MAX) {
        ak_diag(d, "a secret must have 1 to %d bytes, this has %zu",
                AK_JWS_SECRET_MAX, secret.len);
        return NULL;
    }

    key = ak_jws_new(AK_KTY_OCT);
    mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);

    if (key == NULL || mac == NULL
        || ak_random(salt, sizeof(salt)) != AK_OK
        || ak_jws_identify(key, ak_str(salt, sizeof(salt)), secret) != AK_OK)
    {
        EVP_MAC_free(mac);
        return ak_jws_no_key(key, d, "OpenSSL has no memory or no HMAC");
    }

    key->secret_len = secret.len;

    for (i = 0; i < AK_HS_MAX; i++) {

        params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                           (char *) ak_jws_algs[i].digest, 0);
        params[1] = OSSL_PARAM_construct_end();

        key->mac[i] = EVP_MAC_CTX_new(mac);

        if (key->mac[i] == NULL
            || EVP_MAC_init(key->mac[i], secret.data, secret.len, params) != 1)
        {
            EVP_MAC_free(mac);
            return ak_jws_no_key(key, d, "OpenSSL has no memory or no HMAC");
        }
    }

    EVP_MAC_free(mac);

    return key;
}


/* A public key of parameters, which are checked. */

static EVP_PKEY *
ak_jws_from_params(const char *type, OSSL_PARAM_BLD *bld)
{
    EVP_PKEY      *pkey;
    OSSL_PARAM    *params;
    EVP_PKEY_CTX  *ctx;

    pkey = NULL;
    params = OSSL_PARAM_BLD_to_param(bld);
    ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    if (params != NULL && ctx != NULL
        && EVP_PKEY_fromdata_init(ctx) == 1
        && EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
    {
        pkey = NULL;
    }

    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);

    return pkey;
}


/* Of a key that is there: sizes, and what it is called. */

static ak_jws_key_t *
ak_jws_check_rsa(ak_jws_key_t *key, ak_diag_t *d)
{
    int      bits;
    bool     odd;
    BIGNUM  *e;

    bits = EVP_PKEY_get_bits(key->pkey);

    if (bits < AK_JWS_RSA_MIN || bits > AK_JWS_RSA_MAX) {
        ak_diag(d, "an RSA key must have %d to %d bits, this has %d",
                AK_JWS_RSA_MIN, AK_JWS_RSA_MAX, bits);
        ak_jws_key_free(key);
        return NULL;
    }

    e = NULL;

    /* with an exponent of 1 everybody can sign */

    odd = EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1
          && BN_is_odd(e) && !BN_is_one(e) && BN_num_bits(e) <= 64;

    BN_free(e);

    if (!odd || ak_jws_complete(key) != AK_OK) {
        return ak_jws_no_key(key, d, "the exponent of the RSA key cannot be "
                             "one");
    }

    return key;
}


ak_jws_key_t *
ak_jws_rsa(ak_str_t n, ak_str_t e, ak_diag_t *d)
{
    BIGNUM          *bn, *be;
    ak_jws_key_t    *key;
    OSSL_PARAM_BLD  *bld;

    /* what is larger would only be refused after much work */

    if (n.len > AK_JWS_RSA_MAX / 8 + 1 || e.len > 16) {
        ak_diag(d, "an RSA key must have %d to %d bits", AK_JWS_RSA_MIN,
                AK_JWS_RSA_MAX);
        return NULL;
    }

    key = ak_jws_new(AK_KTY_RSA);
    bld = OSSL_PARAM_BLD_new();
    bn = BN_bin2bn(n.data, (int) n.len, NULL);
    be = BN_bin2bn(e.data, (int) e.len, NULL);

    if (key != NULL && bld != NULL && bn != NULL && be != NULL
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) == 1
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be) == 1)
    {
        key->pkey = ak_jws_from_params("RSA", bld);
    }

    OSSL_PARAM_BLD_free(bld);
    BN_free(bn);
    BN_free(be);

    if (key == NULL || key->pkey == NULL) {
        return ak_jws_no_key(key, d, "this is no RSA key");
    }

    return ak_jws_check_rsa(key, d);
}


ak_jws_key_t *
ak_jws_ec(const ak_jws_alg_t *alg, ak_str_t x, ak_str_t y, ak_diag_t *d)
{
    uint8_t          point[1 + 2 * AK_COORD_MAX];
    ak_jws_key_t    *key;
    OSSL_PARAM_BLD  *bld;

    if (x.len != alg->size || y.len != alg->size) {
        ak_diag(d, "the coordinates of this curve have %u bytes", alg->size);
        return NULL;
    }

    point[0] = POINT_CONVERSION_UNCOMPRESSED;
    memcpy(point + 1, x.data, x.len);
    memcpy(point + 1 + x.len, y.data, y.len);

    key = ak_jws_new(AK_KTY_EC);
    bld = OSSL_PARAM_BLD_new();

    if (key != NULL) {
        key->curve = alg;
    }

    if (key != NULL && bld != NULL
        && OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                           alg->group, 0) == 1
        && OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
                                            point, 1 + x.len + y.len) == 1)
    {
        key->pkey = ak_jws_from_params("EC", bld);
    }

    OSSL_PARAM_BLD_free(bld);

    if (key == NULL || key->pkey == NULL
        || ak_jws_complete(key) != AK_OK)
    {
        return ak_jws_no_key(key, d, "this is no point of its curve");
    }

    return key;
}


ak_jws_key_t *
ak_jws_okp(ak_str_t crv, ak_str_t x, ak_diag_t *d)
{
    int            type;
    ak_jws_key_t  *key;

    key = ak_jws_new(AK_KTY_OKP);

    if (key == NULL) {
        return ak_jws_no_key(key, d, "there is no memory");
    }

    if (ak_str_eq(crv, ak_literal("Ed25519"))) {
        type = EVP_PKEY_ED25519;
        key->ed_len = AK_ED25519_LEN;

    } else if (ak_str_eq(crv, ak_literal("Ed448"))) {
        type = EVP_PKEY_ED448;
        key->ed_len = AK_ED448_LEN;

    } else {
        return ak_jws_no_key(key, d, "this curve is not for signatures");
    }

    key->pkey = EVP_PKEY_new_raw_public_key(type, NULL, x.data, x.len);

    if (key->pkey == NULL || ak_jws_complete(key) != AK_OK) {
        return ak_jws_no_key(key, d, "this is no key of its curve");
    }

    return key;
}


static ak_jws_key_t *
ak_jws_check_ec(ak_jws_key_t *key, ak_diag_t *d)
{
    char    group[64];
    size_t  i;

    if (EVP_PKEY_get_group_name(key->pkey, group, sizeof(group), NULL) != 1) {
        group[0] = '\0';
    }

    for (i = 0; i < ak_nitems(ak_jws_algs); i++) {

        if (ak_jws_algs[i].group != NULL
            && strcmp(ak_jws_algs[i].group, group) == 0)
        {
            key->curve = &ak_jws_algs[i];
            break;
        }
    }

    if (key->curve == NULL || ak_jws_complete(key) != AK_OK) {
        return ak_jws_no_key(key, d, "no algorithm is for the curve of this "
                             "key");
    }

    return key;
}


/* OpenSSL asks for the password of a key that is encrypted: there is none. */

static int
ak_jws_no_password(char *buf, int size, int rwflag, void *data)
{
    (void) buf;
    (void) size;
    (void) rwflag;
    (void) data;

    return -1;
}


static EVP_PKEY *
ak_jws_read_pem(ak_str_t pem)
{
    BIO       *bio;
    X509      *cert;
    EVP_PKEY  *pkey;

    bio = BIO_new_mem_buf(pem.data, (int) pem.len);
    if (bio == NULL) {
        return NULL;
    }

    pkey = PEM_read_bio_PUBKEY(bio, NULL, ak_jws_no_password, NULL);

    if (pkey == NULL) {
        (void) BIO_reset(bio);

        cert = PEM_read_bio_X509(bio, NULL, ak_jws_no_password, NULL);

        if (cert != NULL) {
            pkey = X509_get_pubkey(cert);
            X509_free(cert);
        }
    }

    BIO_free(bio);

    return pkey;
}


ak_jws_key_t *
ak_jws_pem(ak_str_t pem, ak_diag_t *d)
{
    ak_jws_key_t  *key;

    key = ak_jws_new(AK_KTY_RSA);

    if (key == NULL) {
        return ak_jws_no_key(key, d, "there is no memory");
    }

    key->pkey = ak_jws_read_pem(pem);

    if (key->pkey == NULL) {
        return ak_jws_no_key(key, d, "there is no public key and no "
                             "certificate in PEM");
    }

    switch (EVP_PKEY_get_base_id(key->pkey)) {

    case EVP_PKEY_RSA:
        return ak_jws_check_rsa(key, d);

    case EVP_PKEY_EC:
        key->kty = AK_KTY_EC;
        return ak_jws_check_ec(key, d);

    case EVP_PKEY_ED25519:
        key->ed_len = AK_ED25519_LEN;
        break;

    case EVP_PKEY_ED448:
        key->ed_len = AK_ED448_LEN;
        break;

    default:
        return ak_jws_no_key(key, d, "no algorithm is for keys of this type");
    }

    key->kty = AK_KTY_OKP;

    if (ak_jws_complete(key) != AK_OK) {
        return ak_jws_no_key(key, d, "there is no memory");
    }

    return key;
}


ak_kty_e
ak_jws_kty(const ak_jws_key_t *key)
{
    return key->kty;
}


size_t
ak_jws_secret_len(const ak_jws_key_t *key)
{
    return key->secret_len;
}


const uint8_t *
ak_jws_key_id(const ak_jws_key_t *key)
{
    return key->id;
}


bool
ak_jws_fits(const ak_jws_key_t *key, const ak_jws_alg_t *alg)
{
    if (alg->kty != key->kty) {
        return false;
    }

    switch (key->kty) {

    case AK_KTY_EC:
        return key->curve == alg;

    case AK_KTY_OKP:
        return alg->size == 0 || alg->size == key->ed_len;

    default:
        return true;
    }
}


ak_rc_t
ak_jws_verify(const ak_jws_key_t *key, const ak_jws_alg_t *alg,
    ak_str_t input, ak_str_t signature)
{
    size_t    len;
    ak_rc_t   rc;
    uint8_t  *der;

    if (!ak_jws_fits(key, alg)) {
        return AK_DENIED;
    }

    switch (alg->kty) {

    case AK_KTY_OCT:
        rc = ak_jws_mac(key, alg, input, signature);
        break;

    case AK_KTY_EC:
        rc = ak_jws_der(alg, signature, &der, &len);

        if (rc == AK_OK) {
            rc = ak_jws_digest_verify(key, alg, input, ak_str(der, len));
            OPENSSL_free(der);
        }

        break;

    case AK_KTY_OKP:
        rc = (signature.len == key->ed_len)
             ? ak_jws_okp_verify(key, input, signature) : AK_DENIED;
        break;

    default: /* RSA: RFC 8017, 8.2.2, 1: the length is that of the modulus */
        rc = (signature.len == (size_t) EVP_PKEY_get_size(key->pkey))
             ? ak_jws_digest_verify(key, alg, input, signature) : AK_DENIED;
        break;
    }

    ERR_clear_error();

    return rc;
}


static ak_rc_t
ak_jws_mac(const ak_jws_key_t *key, const ak_jws_alg_t *alg, ak_str_t input,
    ak_str_t signature)
{
    size_t        len;
    uint8_t       mac[AK_MAC_MAX];
    EVP_MAC_CTX  *ctx;

    ctx = key->mac[alg - ak_jws_algs];

    /* the key that the context has */

    if (EVP_MAC_init(ctx, NULL, 0, NULL) != 1
        || EVP_MAC_update(ctx, input.data, input.len) != 1
        || EVP_MAC_final(ctx, mac, &len, sizeof(mac)) != 1
        || len != alg->size)
    {
        return AK_ERROR;
    }

    return (signature.len == len && ak_mem_equal(mac, signature.data, len))
           ? AK_OK : AK_DENIED;
}


/*
 * EdDSA takes the whole of the input twice, and has no digest to be made ready.
 */

static ak_rc_t
ak_jws_okp_verify(const ak_jws_key_t *key, ak_str_t input,
    ak_str_t signature)
{
    int  ok;

    if (EVP_DigestVerifyInit_ex(key->digest, NULL, NULL, NULL, NULL,
                                key->pkey, NULL)
        != 1)
    {
        return AK_ERROR;
    }

    ok = EVP_DigestVerify(key->digest, signature.data, signature.len,
                          input.data, input.len);

    return (ok == 1) ? AK_OK : AK_DENIED;
}


static ak_rc_t
ak_jws_digest_verify(const ak_jws_key_t *key, const ak_jws_alg_t *alg,
    ak_str_t input, ak_str_t signature)
{
    int       ok;
    size_t    i;
    uint8_t   digest[EVP_MAX_MD_SIZE];
    unsigned  len;

    i = (size_t) (alg - ak_jws_algs);

    if (EVP_DigestInit_ex2(key->digest, key->md[i], NULL) != 1
        || EVP_DigestUpdate(key->digest, input.data, input.len) != 1
        || EVP_DigestFinal_ex(key->digest, digest, &len) != 1)
    {
        return AK_ERROR;
    }

    /* EVP_PKEY_verify(3): more than once with the same parameters */

    ok = EVP_PKEY_verify(key->verify[i], signature.data, signature.len,
                         digest, len);

    return (ok == 1) ? AK_OK : AK_DENIED;
}


/* RFC 7518, 3.5: the salt is as long as the digest, which MGF1 uses too. */

static bool
ak_jws_pad(EVP_PKEY_CTX *ctx, const ak_jws_alg_t *alg, const EVP_MD *md)
{
    if (!alg->pss) {
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    }

    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1
           && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1
           && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST)
              == 1;
}


static ak_rc_t
ak_jws_prepare(ak_jws_key_t *key)
{
    size_t               i;
    EVP_MD              *md;
    EVP_PKEY_CTX        *ctx;
    const ak_jws_alg_t  *alg;

    key->digest = EVP_MD_CTX_new();

    if (key->digest == NULL) {
        return AK_ERROR;
    }

    for (i = 0; i < ak_nitems(ak_jws_algs); i++) {
        alg = &ak_jws_algs[i];

        if (alg->digest == NULL || !ak_jws_fits(key, alg)) {
            continue;
        }

        md = EVP_MD_fetch(NULL, alg->digest, NULL);
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);

        key->md[i] = md;
        key->verify[i] = ctx;

        if (md == NULL || ctx == NULL || EVP_PKEY_verify_init(ctx) != 1
            || EVP_PKEY_CTX_set_signature_md(ctx, md) != 1
            || (alg->kty == AK_KTY_RSA && !ak_jws_pad(ctx, alg, md)))
        {
            return AK_ERROR;
        }
    }

    return AK_OK;
}


/*
 * RFC 7518, 3.4: R and S joined, each of the size of a coordinate; OpenSSL
 * wants them as DER.  It refuses what is not between 1 and the order.
 */

static ak_rc_t
ak_jws_der(const ak_jws_alg_t *alg, ak_str_t signature, uint8_t **der,
    size_t *len)
{
    int         n;
    BIGNUM     *r, *s;
    ECDSA_SIG  *sig;

    if (signature.len != 2 * alg->size) {
        return AK_DENIED;
    }

    sig = ECDSA_SIG_new();
    r = BN_bin2bn(signature.data, (int) alg->size, NULL);
    s = BN_bin2bn(signature.data + alg->size, (int) alg->size, NULL);

    if (sig == NULL || r == NULL || s == NULL
        || ECDSA_SIG_set0(sig, r, s) != 1)
    {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(sig);
        return AK_ERROR;
    }

    *der = NULL;
    n = i2d_ECDSA_SIG(sig, der);

    ECDSA_SIG_free(sig);

    if (n <= 0) {
        return AK_ERROR;
    }

    *len = (size_t) n;

    return AK_OK;
}
