/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* `ringwall bans --import`: a list of any length, in calls of some thousands. */

#include <jansson.h>

#include "base/util.h"

typedef struct BansImport {
        const char *runtime_dir, *file;     /* "-": standard input */
        const char *jail, *reason, *source; /* of lines that do not say it; NULL: none */
        json_int_t seconds;                 /* 0: for ever */
        bool json;                          /* how many there were, as JSON */
} BansImport;

/* An ExitCode: EXIT_DIFFERS if lines were left out, of which each is told on standard error. */
int bans_import(const BansImport *options);
