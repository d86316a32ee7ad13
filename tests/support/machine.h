/*
 * machine.h - what figures were taken on.
 *
 * Purpose    two lines above every table of a benchmark.
 * Ownership  nothing. Errors: what cannot be read is printed as unknown. Threads: one.
 */
#ifndef MACP_TESTS_SUPPORT_MACHINE_H
#define MACP_TESTS_SUPPORT_MACHINE_H

/* Processor, cores, kernel and load, to standard output. */
void machine_print(void);

#endif
