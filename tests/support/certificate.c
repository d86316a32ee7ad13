#include "tests/support/certificate.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

#include "shared/macros.h"

enum { VALID_S = 86400 };

static FILE *
open_file(const char *dir, const char *name, const char *suffix, const char *mode)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s.%s", dir, name, suffix);
    return fopen(path, mode);
}

static bool
add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    bool ok = e && X509_add_ext(cert, e, -1) == 1;

    X509_EXTENSION_free(e);
    return ok;
}

/* Everything but the signature. */
static bool
fill(X509 *cert, EVP_PKEY *key, const char *name, const X509 *issuer, const char *host)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    char alternative[300];
    X509V3_CTX ctx;
    uint64_t serial;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, (X509 *)(uintptr_t)issuer, cert, NULL, NULL, 0);
    snprintf(alternative, sizeof(alternative), "%s:%s",
             host && isdigit((unsigned char)host[0]) ? "IP" : "DNS", host ? host : "");
    return RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
           X509_set_version(cert, 2) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -60) &&
           X509_gmtime_adj(X509_getm_notAfter(cert), VALID_S) && X509_set_pubkey(cert, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
           add_extension(cert, &ctx, NID_basic_constraints,
                         issuer == cert ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
           (!host || add_extension(cert, &ctx, NID_subject_alt_name, alternative));
}

static bool
load_issuer(const char *dir, const char *name, X509 **cert, EVP_PKEY **key)
{
    FILE *c = open_file(dir, name, "crt", "re"), *k = open_file(dir, name, "key", "re");

    *cert = c ? PEM_read_X509(c, NULL, NULL, NULL) : NULL;
    *key = k ? PEM_read_PrivateKey(k, NULL, NULL, NULL) : NULL;
    if (c)
        fclose(c);
    if (k)
        fclose(k);
    return *cert && *key;
}

static bool
store(const char *dir, const char *name, X509 *cert, EVP_PKEY *key)
{
    FILE *c = open_file(dir, name, "crt", "we"), *k = open_file(dir, name, "key", "we");
    bool ok = c && k && PEM_write_X509(c, cert) &&
              PEM_write_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL);

    if (c)
        ok = fclose(c) == 0 && ok;
    if (k)
        ok = fclose(k) == 0 && ok;
    return ok;
}

bool
certificate_make(const char *dir, const char *name, const char *issuer, const char *host,
                 struct err *err)
{
    X509 *cert = X509_new(), *issuer_cert = NULL;
    EVP_PKEY *key = EVP_EC_gen("P-256"), *issuer_key = NULL;
    bool ok = cert && key && (!issuer || load_issuer(dir, issuer, &issuer_cert, &issuer_key));

    ok = ok && fill(cert, key, name, issuer ? issuer_cert : cert, host) &&
         X509_sign(cert, issuer ? issuer_key : key, EVP_sha256()) > 0 &&
         store(dir, name, cert, key);
    X509_free(issuer_cert);
    EVP_PKEY_free(issuer_key);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ok || err_set(err, ERR_IO, "cannot make the certificate %s in %s", name, dir);
}

void
certificate_remove(const char *dir)
{
    DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));)
        unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(dir);
}
