/*
 * certificate.h - certificates made while a test runs.
 *
 * Purpose    an authority, and what it signs for servers and clients: NAME.crt and NAME.key, PEM,
 *            valid for a day.
 * Ownership  files in a directory of the caller's, which holds nothing else. Errors: false + *err.
 * Threads: any.
 */
#ifndef MACP_TESTS_SUPPORT_CERTIFICATE_H
#define MACP_TESTS_SUPPORT_CERTIFICATE_H

#include <stdbool.h>

#include "shared/err.h"

/*
 * issuer: name of an authority made in the same directory before; NULL makes an authority.
 * host: the one name (or address) the certificate is for; NULL: none.
 */
bool certificate_make(const char *dir, const char *name, const char *issuer, const char *host,
                      struct err *err) MUST_CHECK;
/* The directory and what was made in it. */
void certificate_remove(const char *dir);

#endif
