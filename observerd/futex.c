#include "observerd/futex.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shared/macros.h"

enum { ARGUMENTS = 6, NS = 1000000000 };

static long (*next_syscall)(long number, ...);

void
futex_init(void)
{
    *(void **)&next_syscall = dlsym(RTLD_NEXT, "syscall");
    if (!next_syscall)
        BUG("no syscall() behind ours");
}

/* What the wall clock says now of a time, by the monotonic one. */
static struct timespec
monotonic(const struct timespec *wall)
{
    struct timespec now, t;
    int64_t ns;

    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += wall->tv_sec - now.tv_sec;
    ns = t.tv_nsec + wall->tv_nsec - now.tv_nsec;
    t.tv_sec += ns < 0 ? -1 : ns / NS;
    t.tv_nsec = ns < 0 ? ns + NS : ns % NS;
    return t.tv_sec < 0 ? (struct timespec){0} : t; /* long ago */
}

long
syscall(long number, ...)
{
    struct timespec until;
    long a[ARGUMENTS];
    va_list ap;

    va_start(ap, number);
    for (int i = 0; i < ARGUMENTS; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (!next_syscall) /* a library that begins before main */
        futex_init();
    if (number == SYS_futex && a[1] & FUTEX_CLOCK_REALTIME && a[3] &&
        (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET) {
        until = monotonic((const struct timespec *)a[3]);
        a[1] &= ~(long)FUTEX_CLOCK_REALTIME;
        a[3] = (long)&until;
    }
    return next_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
