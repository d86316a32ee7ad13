#include "shared/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

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
address_of_socket(const struct sockaddr *sa, struct address *out)
{
    if (sa->sa_family == AF_INET6)
        memcpy(out->bytes, &((const struct sockaddr_in6 *)sa)->sin6_addr, sizeof out->bytes);
    else if (sa->sa_family == AF_INET)
        from_ipv4(&((const struct sockaddr_in *)sa)->sin_addr, out);
    else
        return false;
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
