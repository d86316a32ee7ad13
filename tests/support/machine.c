#include "tests/support/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void
cpu_model(char *out, size_t size)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];

    snprintf(out, size, "unknown processor");
    while (f && fgets(line, sizeof(line), f)) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) == 0 && colon) {
            snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    if (f)
        fclose(f);
}

void
machine_print(void)
{
    struct utsname u;
    char model[128];
    double load[3] = {0};

    cpu_model(model, sizeof(model));
    uname(&u);
    getloadavg(load, 3);
    printf("machine   %s, %ld cores, %s %s\n", model, sysconf(_SC_NPROCESSORS_ONLN), u.sysname,
           u.release);
    printf("load      %.2f %.2f %.2f (before the start; everything measured shares the cores)\n",
           load[0], load[1], load[2]);
    fflush(stdout);
}
