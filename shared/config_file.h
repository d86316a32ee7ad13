/*
 * config_file.h - settings in a file, as an environment.
 *
 * Purpose    lines of NAME=value, as systemd's EnvironmentFile and --example have them: blank
 *            lines and those that begin with # or ; are skipped, a value may stand in single or
 *            double quotes (in double ones \" and \\ mean " and \), the last line of a name wins.
 * Ownership  texts and the list live in the arena.
 * Errors     each goes to the report, with file and line and no value.
 * Threads    any.
 */
#ifndef MACP_SHARED_CONFIG_FILE_H
#define MACP_SHARED_CONFIG_FILE_H

#include "shared/config.h"

/* The file's settings in front of those of envp: who looks for a name finds the file's. */
bool config_file_read(const char *path, char *const envp[], struct arena *arena, char ***out,
                      struct config_report *report) MUST_CHECK;

#endif
