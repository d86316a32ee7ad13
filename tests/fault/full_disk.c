/*
 * A disk that is full when a test says so: loaded into the Postgres server by LD_PRELOAD.
 *
 * While a file "full" lies beside this library, what would make a file grow whose path contains
 * the text in it fails as on a full disk; what overwrites goes on.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The text of the flag; false while there is none. */
static bool
full_place(char *out, size_t size)
{
    char flag[4096] = "";
    Dl_info self;
    ssize_t n;
    int fd;

    if (dladdr((void *)full_place, &self))
        snprintf(flag, sizeof flag, "%.*s/full",
                 (int)(strrchr(self.dli_fname, '/') - self.dli_fname), self.dli_fname);
    fd = open(flag, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, out, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool
is_full(int fd, off_t end)
{
    int saved = errno;
    char place[64], link[64], path[4096];
    struct stat st;
    bool full = false;

    if (full_place(place, sizeof place)) {
        ssize_t n;

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = '\0';
        full = strstr(path, place) && fstat(fd, &st) == 0 && end > st.st_size;
    }
    errno = full ? ENOSPC : saved;
    return full;
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
    static ssize_t (*next)(int, const void *, size_t, off_t);

    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "pwrite");
    return is_full(fd, at + (off_t)n) ? -1 : next(fd, p, n, at);
}

ssize_t
pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    static ssize_t (*next)(int, const struct iovec *, int, off_t);
    off_t end = at;

    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "pwritev");
    for (int i = 0; i < count; i++)
        end += (off_t)parts[i].iov_len;
    return is_full(fd, end) ? -1 : next(fd, parts, count, at);
}
