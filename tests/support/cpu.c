#include "tests/support/cpu.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/clock.h"
#include "tests/support/world.h"

struct used {
    pid_t parent;
    long own, reaped; /* clock ticks */
};

/* /proc/PID/stat: behind the name in brackets state, parent, ..., 14 utime, stime, cutime, cstime.
 */
static bool
read_used(pid_t pid, struct used *out)
{
    char path[64], text[1024] = "";
    const char *behind_name;
    long user, system, reaped_user, reaped_system, parent;
    FILE *f;
    bool ok;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return false;
    ok = fgets(text, sizeof text, f) != NULL;
    fclose(f);
    behind_name = strrchr(text, ')');
    if (!ok || !behind_name ||
        sscanf(behind_name + 1, " %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld",
               &parent, &user, &system, &reaped_user, &reaped_system) != 5)
        return false;
    *out = (struct used){
        .parent = (pid_t)parent, .own = user + system, .reaped = reaped_user + reaped_system};
    return true;
}

static double
seconds(long ticks)
{
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

double
cpu_seconds(pid_t pid)
{
    struct used used;

    return read_used(pid, &used) ? seconds(used.own) : 0;
}

double
cpu_seconds_of_family(pid_t pid)
{
    DIR *d = opendir("/proc");
    struct used used;
    long ticks = read_used(pid, &used) ? used.own + used.reaped : 0;

    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        pid_t child = (pid_t)strtol(e->d_name, NULL, 10);

        if (child > 0 && read_used(child, &used) && used.parent == pid)
            ticks += used.own + used.reaped;
    }
    if (d)
        closedir(d);
    return seconds(ticks);
}

static long
status_kib(pid_t pid, const char *name)
{
    char path[64], line[128];
    long kib = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtol(line + strlen(name), NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

long
memory_kib(pid_t pid)
{
    return status_kib(pid, "VmRSS:");
}

long
memory_peak_kib(pid_t pid)
{
    return status_kib(pid, "VmHWM:");
}

void
cpu_note(const struct world *w, struct cpu_use *out)
{
    out->observerd = cpu_seconds(w->observerd.pid);
    out->postgres = cpu_seconds_of_family(postgres_pid(w->postgres));
    out->runtime = cpu_seconds(w->runtime.pid);
    out->at_ms = clock_mono_ms();
}

void
cpu_print(const struct cpu_use *from, const struct cpu_use *to)
{
    double over = (double)(to->at_ms - from->at_ms) / 1000;

    printf("  cores used: observerd %.3f   Postgres %.3f   runtime %.3f   (over %.0f s)\n",
           (to->observerd - from->observerd) / over, (to->postgres - from->postgres) / over,
           (to->runtime - from->runtime) / over, over);
}
