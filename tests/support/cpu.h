/*
 * cpu.h - processor time and memory of processes, for benchmarks.
 *
 * Purpose    what a process, or a process with all its children (a Postgres server), has used.
 * Ownership  nothing. Errors: a process that is not there has used nothing. Threads: any.
 */
#ifndef MACP_TESTS_SUPPORT_CPU_H
#define MACP_TESTS_SUPPORT_CPU_H

#include <stdint.h>
#include <sys/types.h>

struct world;

/* Seconds of user and system time so far. */
double cpu_seconds(pid_t pid);
/* The same with its children, those that have ended and were waited for included. */
double cpu_seconds_of_family(pid_t pid);
/* Resident memory now and at its peak, in KiB. */
long memory_kib(pid_t pid);
long memory_peak_kib(pid_t pid);

/* What the parts of a world have used so far; the cores they used between two such notes. */
struct cpu_use {
    double observerd, postgres, runtime;
    int64_t at_ms;
};
void cpu_note(const struct world *w, struct cpu_use *out);
void cpu_print(const struct cpu_use *from, const struct cpu_use *to);

#endif
