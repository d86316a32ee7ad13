/*
 * A wall clock that a test sets: loaded into one program by LD_PRELOAD.
 *
 * A file "clock" beside this library holds the seconds (int64_t) that are added to the real time.
 * Waits until a time of the wall clock are done over, as the kernel does when the clock is set:
 * those of gRPC's library go through futexes.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { SLICE_NS = 50000000, NS = 1000000000 };

static const volatile int64_t none, *ahead = &none;
static int (*next_gettime)(clockid_t, struct timespec *);
static long (*next_syscall)(long, ...);

__attribute__((constructor)) static void
find_next(void)
{
    char path[4096] = "";
    Dl_info self;
    void *at;
    int fd;

    if (dladdr((void *)find_next, &self))
        snprintf(path, sizeof path, "%.*s/clock",
                 (int)(strrchr(self.dli_fname, '/') - self.dli_fname), self.dli_fname);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    at = fd >= 0 ? mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    *(void **)&next_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    *(void **)&next_syscall = dlsym(RTLD_NEXT, "syscall");
    if (at != MAP_FAILED)
        ahead = at;
    if (fd >= 0)
        close(fd);
}

int
clock_gettime(clockid_t clock, struct timespec *out)
{
    int rc;

    if (!next_gettime) /* a library that is initialised before us asks */
        find_next();
    rc = next_gettime(clock, out);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        out->tv_sec += *ahead;
    return rc;
}

int
gettimeofday(struct timeval *out, void *zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t
time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

static bool
is_over(const struct timespec *until)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec > until->tv_sec ||
           (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

/* FUTEX_WAIT_BITSET until a time of the wall clock. */
static long
wait_until(const long a[6])
{
    const struct timespec *until = (const struct timespec *)a[3];

    while (!is_over(until)) {
        struct timespec slice;
        long rc;

        next_gettime(CLOCK_MONOTONIC, &slice);
        slice.tv_nsec += SLICE_NS;
        slice.tv_sec += slice.tv_nsec / NS;
        slice.tv_nsec %= NS;
        rc = next_syscall(SYS_futex, a[0], a[1] & ~(long)FUTEX_CLOCK_REALTIME, a[2], &slice, a[4],
                          a[5]);
        if (rc == 0 || errno != ETIMEDOUT)
            return rc;
    }
    errno = ETIMEDOUT;
    return -1;
}

long
syscall(long number, ...)
{
    long a[6];
    va_list ap;

    va_start(ap, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (!next_syscall)
        find_next();
    if (number == SYS_clock_gettime)
        return clock_gettime((clockid_t)a[0], (struct timespec *)a[1]);
    if (number == SYS_futex && a[1] & FUTEX_CLOCK_REALTIME && a[3])
        return wait_until(a);
    return next_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
