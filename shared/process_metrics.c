#include "shared/process_metrics.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void
gauge(struct buf *out, const char *name, const char *type, const char *help, double value)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name, value);
}

static double
seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* The number behind a key at the start of a line; 0 when there is none. */
static double
number_in(const char *path, const char *key)
{
    char line[512];
    double n = 0;
    FILE *f = fopen(path, "re");

    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) {
            n = strtod(line + strlen(key), NULL);
            break;
        }
    fclose(f);
    return n;
}

/* When the process began, in seconds since 1970. */
static double
start_time(void)
{
    enum { STARTED = 20 }; /* fields behind the name, which may hold blanks itself */
    char text[1024] = "";
    FILE *f = fopen("/proc/self/stat", "re");
    const char *p;

    if (!f)
        return 0;
    p = fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL;
    fclose(f);
    for (int i = 0; p && i < STARTED; i++)
        p = strchr(p + 1, ' ');
    return p ? number_in("/proc/stat", "btime ") + strtod(p, NULL) / (double)sysconf(_SC_CLK_TCK)
             : 0;
}

static int
count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = -1; /* the one for looking */

    if (!d)
        return 0;
    for (const struct dirent *e; (e = readdir(d));)
        n += *e->d_name != '.';
    closedir(d);
    return n;
}

void
process_metrics_write(struct buf *out)
{
    struct rusage used = {0};
    struct rlimit fds = {0};

    getrusage(RUSAGE_SELF, &used);
    getrlimit(RLIMIT_NOFILE, &fds);
    gauge(out, "process_cpu_user_seconds_total", "counter", "Processor time in user mode.",
          seconds(used.ru_utime));
    gauge(out, "process_cpu_system_seconds_total", "counter", "Processor time in the kernel.",
          seconds(used.ru_stime));
    gauge(out, "process_cpu_seconds_total", "counter", "Processor time.",
          seconds(used.ru_utime) + seconds(used.ru_stime));
    gauge(out, "process_start_time_seconds", "gauge", "When the process began, since 1970.",
          start_time());
    gauge(out, "process_resident_memory_bytes", "gauge", "Memory in use.",
          number_in("/proc/self/status", "VmRSS:") * 1024);
    gauge(out, "process_virtual_memory_bytes", "gauge", "Address space in use.",
          number_in("/proc/self/status", "VmSize:") * 1024);
    gauge(out, "process_heap_bytes", "gauge", "Memory handed out by the allocator.",
          (double)mallinfo2().uordblks);
    gauge(out, "process_open_fds", "gauge", "Open descriptors.", count_fds());
    gauge(out, "process_max_fds", "gauge", "Most descriptors it may open.", (double)fds.rlim_cur);
}
