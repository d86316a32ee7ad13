#include "observerd/tls.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

enum { FILE_MAX = 1 << 20 };

static bool
read_file(const char *path, const char *setting, struct buf *out, struct err *err)
{
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        return err_set(err, ERR_CONFIG, "%s cannot be read", setting);
    do {
        n = fread(buf_reserve(out, 4096), 1, 4096, f);
        out->len += n;
    } while (n > 0 && out->len < FILE_MAX);
    out->p[out->len] = '\0';
    fclose(f);
    return true;
}

/* An encrypted key must not make the program ask at a terminal. */
static int
no_password(char *out, int size, int writing, void *ctx)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

static X509 *
first_certificate(const struct buf *pem)
{
    BIO *in = BIO_new_mem_buf(pem->p, (int)pem->len);
    X509 *out = in ? PEM_read_bio_X509(in, NULL, no_password, NULL) : NULL;

    BIO_free(in);
    ERR_clear_error();
    return out;
}

static bool
check_authorities(const struct tls *tls, struct err *err)
{
    X509 *first = first_certificate(&tls->authorities);

    X509_free(first);
    return first || err_set(err, ERR_CONFIG, "RUNTIME_TLS_CA_FILE holds no PEM certificate");
}

static bool
check_pair(const struct tls *tls, struct err *err)
{
    X509 *certificate = first_certificate(&tls->certificate);
    BIO *in = BIO_new_mem_buf(tls->key.p, (int)tls->key.len);
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;
    bool ok = false;

    if (!certificate)
        err_set(err, ERR_CONFIG, "RUNTIME_TLS_CERT_FILE holds no PEM certificate");
    else if (!key)
        err_set(err, ERR_CONFIG, "RUNTIME_TLS_KEY_FILE holds no PEM key without a password");
    else if (X509_check_private_key(certificate, key) != 1)
        err_set(err, ERR_CONFIG, "RUNTIME_TLS_KEY_FILE is not the key of RUNTIME_TLS_CERT_FILE");
    else
        ok = true;
    EVP_PKEY_free(key);
    BIO_free(in);
    X509_free(certificate);
    ERR_clear_error();
    return ok;
}

bool
tls_load(struct tls *tls, const struct config *cfg, struct err *err)
{
    if (!cfg->runtime_tls)
        return true;
    if (cfg->runtime_tls_ca_file[0] &&
        (!read_file(cfg->runtime_tls_ca_file, "RUNTIME_TLS_CA_FILE", &tls->authorities, err) ||
         !check_authorities(tls, err)))
        return false;
    return !cfg->runtime_tls_cert_file[0] ||
           (read_file(cfg->runtime_tls_cert_file, "RUNTIME_TLS_CERT_FILE", &tls->certificate,
                      err) &&
            read_file(cfg->runtime_tls_key_file, "RUNTIME_TLS_KEY_FILE", &tls->key, err) &&
            check_pair(tls, err));
}

void
tls_fini(struct tls *tls)
{
    if (tls->key.p)
        OPENSSL_cleanse(tls->key.p, tls->key.cap);
    buf_fini(&tls->authorities);
    buf_fini(&tls->certificate);
    buf_fini(&tls->key);
}
