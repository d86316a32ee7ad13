#include "fcgi/proxy.h"

#include <string.h>

#include "shared/address.h"

const char *
proxy_client(const char *peer, const char *forwarded_for, const struct config_list *trusted,
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
