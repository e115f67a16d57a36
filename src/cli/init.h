/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What both ways of `ringwall init` do with the text: a copy of a ready policy, and one that is
 * written from what this host has. */

#include "cli/input.h"
#include "host/draft.h"

/* Writes the text to a file that is not there yet, or to standard output ("-"). An ExitCode; what
 * went wrong has been told. */
int init_write(const char *path, const char *text, size_t size);
/* EXIT_OK if a file may be made there: nothing of that name is there. */
int init_look(const char *path);

typedef struct InitOptions {
        const char *path;
        DraftAnswers answers; /* of the command line; not checked yet */
        bool yes;             /* asks nothing */
} InitOptions;

/* Looks at this host, asks, and writes the policy. An ExitCode. */
int init_from_survey(const InitOptions *options);
