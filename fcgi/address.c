#include "fcgi/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- addresses ------------------------------------------------------------------------------ */

static void
from_ipv4(const struct in_addr *v4, struct address *out)
{
    memset(out->bytes, 0, 10);
    memset(out->bytes + 10, 0xff, 2);
    memcpy(out->bytes + 12, v4, 4);
}

bool
address_parse(const char *text, struct address *out)
{
    char plain[INET6_ADDRSTRLEN];
    size_t n = strlen(text);
    struct in_addr v4;

    if (n > 2 && *text == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n >= sizeof plain)
        return false;
    memcpy(plain, text, n);
    plain[n] = '\0';
    if (inet_pton(AF_INET6, plain, out->bytes) == 1)
        return true;
    /* inet_aton also reads 127.1 and 0x7f000001, as resolvers do. */
    if (!*plain || strspn(plain, "0123456789abcdefxABCDEFX.") != n || !inet_aton(plain, &v4))
        return false;
    from_ipv4(&v4, out);
    return true;
}

bool
address_in(const struct address *a, const char *network)
{
    const char *slash = strchr(network, '/');
    char text[INET6_ADDRSTRLEN + 2];
    size_t n = slash ? (size_t)(slash - network) : strlen(network);
    struct address net;
    long bits = 128;

    if (n >= sizeof text)
        return false;
    memcpy(text, network, n);
    text[n] = '\0';
    if (!address_parse(text, &net))
        return false;
    if (slash) {
        char *end;

        bits = strtol(slash + 1, &end, 10);
        if (!strchr(text, ':'))
            bits += 96;
        if (end == slash + 1 || *end || bits < 0 || bits > 128)
            return false;
    }
    if (memcmp(a->bytes, net.bytes, (size_t)bits / 8) != 0)
        return false;
    return bits % 8 == 0 || (a->bytes[bits / 8] ^ net.bytes[bits / 8]) >> (8 - bits % 8) == 0;
}

bool
address_in_any(const struct address *a, const struct config_list *networks)
{
    for (size_t i = 0; i < networks->n; i++)
        if (address_in(a, networks->items[i]))
            return true;
    return false;
}

/* --- proxies -------------------------------------------------------------------------------- */

const char *
address_of_client(const char *peer, const char *forwarded_for, const struct config_list *trusted,
                  char *out, size_t out_len)
{
    size_t end = forwarded_for ? strlen(forwarded_for) : 0;
    struct address a;

    if (trusted->n == 0 || !address_parse(peer, &a) || !address_in_any(&a, trusted))
        return peer;
    /* From the right: every proxy appends the peer it saw; the first stranger is the client. */
    while (end > 0) {
        size_t from, n;

        while (end > 0 && strchr(", \t", forwarded_for[end - 1]))
            end--;
        for (from = end; from > 0 && !strchr(", \t", forwarded_for[from - 1]);)
            from--;
        n = end - from;
        if (n == 0 || n >= out_len)
            break;
        memcpy(out, forwarded_for + from, n);
        out[n] = '\0';
        if (!address_parse(out, &a))
            break;
        if (!address_in_any(&a, trusted))
            return out;
        end = from;
    }
    return peer;
}

/* --- outbound ------------------------------------------------------------------------------- */

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

static bool
check_host(const char *host, const struct config *config, struct err *err)
{
    struct address a;

    for (size_t i = 0; i < ARRAY_LEN(forbidden_names); i++)
        if (strcasecmp(host, forbidden_names[i]) == 0)
            return err_set(err, ERR_VALIDATION, "its host is not allowed");
    if (!address_parse(is_local_name(host) ? "127.0.0.1" : host, &a))
        return true;
    if (in_table(&a, never, ARRAY_LEN(never)))
        return err_set(err, ERR_VALIDATION, "its host is not allowed");
    if (in_table(&a, private_networks, ARRAY_LEN(private_networks)) && !is_listed(config, host, &a))
        return err_set(err, ERR_VALIDATION, "its host is private and not listed in OUTBOUND_ALLOW");
    return true;
}

bool
outbound_check_url(const char *url, const struct config *config, struct err *err)
{
    size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
                    : strncasecmp(url, "https://", 8) == 0 ? 8
                                                           : 0;
    const char *authority = url + scheme;
    size_t n = strcspn(authority, "/?#"), host_len;
    char host[256], *end;

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
    return check_host(host, config, err);
}
