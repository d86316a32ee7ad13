#include "tests/runtime/file.h"

#include <errno.h>
#include <stdio.h>

bool
file_read(const char *path, struct buf *out, struct err *err)
{
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        return err_set(err, ERR_CONFIG, "cannot read %s: %s", path, strerror(errno));
    do {
        n = fread(buf_reserve(out, 4096), 1, 4095, f);
        out->len += n;
    } while (n > 0);
    fclose(f);
    out->p[out->len] = '\0';
    return true;
}
