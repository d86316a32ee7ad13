/*
 * url.c - which texts count as the address of a webhook.
 *
 * The rule of the form that people fill in, not of what may be called: the host is a domain name
 * with a top-level label of letters, or an address. Where calls may go is decided by destination.c.
 */
#include <ctype.h>
#include <string.h>

#include "fcgi/validate.h"
#include "shared/address.h"

enum { URL_MAX = 2084, LABEL_MAX = 63, HOST_MAX = 253, PORT_MAX = 65535 };

/* Letters of other scripts are taken as they are. */
static bool
is_label_char(unsigned char c)
{
    return isalnum(c) || c == '-' || c >= 0x80;
}

static bool
is_top_level(const char *p, size_t n)
{
    if (n >= 4 && strncasecmp(p, "xn--", 4) == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (!isalpha((unsigned char)p[i]) && (unsigned char)p[i] < 0x80)
            return false;
    return n >= 2;
}

static bool
is_domain(const char *host)
{
    size_t labels = 0, n = 0;
    const char *p;

    if (strlen(host) > HOST_MAX)
        return false;
    for (p = host;; p += n + 1) {
        n = strcspn(p, ".");
        if (n == 0 || n > LABEL_MAX || p[0] == '-' || p[n - 1] == '-')
            return false;
        for (size_t i = 0; i < n; i++)
            if (!is_label_char((unsigned char)p[i]))
                return false;
        labels++;
        if (!p[n])
            break;
    }
    return labels >= 2 && is_top_level(p, n);
}

static bool
is_host(const char *host)
{
    size_t n = strlen(host), dots = 0;
    struct address a;

    if (*host == '[')
        return n > 2 && host[n - 1] == ']' && strchr(host, ':') && address_parse(host, &a);
    if (is_domain(host))
        return true;
    for (const char *p = host; *p; p++)
        dots += *p == '.';
    return dots == 3 && strspn(host, "0123456789.") == n && address_parse(host, &a);
}

static bool
is_port(const char *p)
{
    long port = 0;
    size_t n = strlen(p);

    if (n == 0 || n > 5 || strspn(p, "0123456789") != n)
        return false;
    for (; *p; p++)
        port = port * 10 + (*p - '0');
    return port >= 1 && port <= PORT_MAX;
}

bool
url_is_valid(const char *url)
{
    char host[URL_MAX + 1];
    const char *rest, *at;
    char *port;
    size_t n;

    if (strlen(url) > URL_MAX || strpbrk(url, "<> \t\r\n\v\f"))
        return false;
    if (strncasecmp(url, "http://", 7) == 0)
        rest = url + 7;
    else if (strncasecmp(url, "https://", 8) == 0)
        rest = url + 8;
    else
        return false;
    n = strcspn(rest, "/?#");
    at = memrchr(rest, '@', n);
    if (at) {
        n -= (size_t)(at + 1 - rest);
        rest = at + 1;
    }
    memcpy(host, rest, n);
    host[n] = '\0';
    port = strrchr(host, ':');
    if (port && !strchr(port, ']')) {
        if (!is_port(port + 1))
            return false;
        *port = '\0';
    }
    return is_host(host);
}
