#include "shared/destination.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Nobody's callback lives here; clouds keep credentials on some of them. */
static const char *const never[] = {
    "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255", "100.100.100.200",
    "::/128",    "fe80::/10",      "ff00::/8",    "fd00:ec2::254",   "fec0::/10",
};

static const char *const private_networks[] = {
    "127.0.0.0/8",   "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
    "100.64.0.0/10", "::1",        "fc00::/7",
};

static const char *const forbidden_names[] = {"metadata.google.internal", "metadata"};

static bool
in_table(const struct address *a, const char *const *table, size_t n)
{
    return address_in_any(a, &(struct config_list){n, (const char **)(uintptr_t)table});
}

static bool
is_local_name(const char *host)
{
    size_t n = strlen(host);

    return strcasecmp(host, "localhost") == 0 ||
           (n > 10 && strcasecmp(host + n - 10, ".localhost") == 0);
}

static bool
is_listed(const struct config *config, const char *host, const struct address *a)
{
    const struct config_list *allow = &config->outbound_allow;

    for (size_t i = 0; i < allow->n; i++)
        if (strcasecmp(allow->items[i], host) == 0)
            return true;
    return address_in_any(a, allow);
}

/* IPv6 addresses that a translator or tunnel on the way turns into an IPv4 one. */
static bool
is_translated(const struct address *a, struct address *v4)
{
    size_t at = address_in(a, "64:ff9b::/96") ? 12 : address_in(a, "2002::/16") ? 2 : 0;

    if (at == 0)
        return false;
    memset(v4->bytes, 0, 10);
    memset(v4->bytes + 10, 0xff, 2);
    memcpy(v4->bytes + 12, a->bytes + at, 4);
    return true;
}

bool
destination_check_address(const struct address *a, const char *host, const struct config *config,
                          struct err *err)
{
    struct address v4;

    if (is_translated(a, &v4))
        a = &v4;
    if (in_table(a, never, ARRAY_LEN(never)))
        return err_set(err, ERR_VALIDATION, "its host is not allowed");
    if (in_table(a, private_networks, ARRAY_LEN(private_networks)) && !is_listed(config, host, a))
        return err_set(err, ERR_VALIDATION, "its host is private and not listed in OUTBOUND_ALLOW");
    return true;
}

bool
destination_check_url(const char *url, const struct config *config, struct err *err)
{
    size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
                    : strncasecmp(url, "https://", 8) == 0 ? 8
                                                           : 0;
    const char *authority = url + scheme;
    size_t n = strcspn(authority, "/?#"), host_len;
    char host[256], *end;
    struct address a;

    for (const char *p = url; *p; p++)
        /* A backslash ends the host for some readers and not for others. */
        if ((unsigned char)*p <= 0x20 || *p == 0x7f || *p == '\\')
            return err_set(err, ERR_VALIDATION, "it holds blanks or characters of no URL");
    if (!scheme)
        return err_set(err, ERR_VALIDATION, "only http and https are supported");
    if (memchr(authority, '@', n))
        return err_set(err, ERR_VALIDATION, "it must not contain user information");
    host_len = *authority == '[' ? strcspn(authority, "]") + 1 : strcspn(authority, ":/?#");
    if (host_len == 0 || host_len > n || host_len >= sizeof host)
        return err_set(err, ERR_VALIDATION, "it has no host");
    if (host_len < n) {
        long port = authority[host_len] == ':' ? strtol(authority + host_len + 1, &end, 10) : 0;

        if (port < 1 || port > 65535 || end != authority + n)
            return err_set(err, ERR_VALIDATION, "its port is not valid");
    }
    memcpy(host, authority, host_len);
    host[host_len] = '\0';
    if (host[host_len - 1] == '.') /* the same name, spelt absolutely */
        host[host_len - 1] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(forbidden_names); i++)
        if (strcasecmp(host, forbidden_names[i]) == 0)
            return err_set(err, ERR_VALIDATION, "its host is not allowed");
    if (!address_parse(is_local_name(host) ? "127.0.0.1" : host, &a))
        return true; /* a name: told when it is resolved */
    return destination_check_address(&a, host, config, err);
}
