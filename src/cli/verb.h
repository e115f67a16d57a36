/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One command of `ringwall`: one file, one Verb, one row in main.c's table. */

#include "base/util.h"

/* The same for every program and verb; ringwall(1) has the table. */
typedef enum ExitCode {
        EXIT_OK = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_INVALID = 3,       /* the policy */
        EXIT_NOT_PERMITTED = 4, /* or another owner holds our table */
        EXIT_NO_DAEMON = 5,
        EXIT_KERNEL_REFUSED = 6,
        EXIT_LOCKED_OUT = 7, /* whoever asked would be */
        EXIT_DIFFERS = 8,    /* what is in force from what was asked about; or there are findings */
        EXIT_AWAITING = 9,   /* in force, but not confirmed */
        EXIT_REFUTED = 10,   /* a claim of the policy's */
        EXIT_UNDECIDED = 11, /* a claim is neither proved nor refuted */
} ExitCode;

typedef struct Verb {
        const char *name;
        const char *arguments; /* "[FILE]" */
        const char *summary;
        const char *help; /* options and examples; whole lines */
        /* argv[0] is the verb. Returns an ExitCode. */
        int (*run)(int argc, char **argv);
} Verb;

extern const Verb verb_check, verb_show, verb_load, verb_unload, verb_explain, verb_init, verb_list,
        verb_plan, verb_schema, verb_doctor, verb_apply, verb_confirm, verb_rollback, verb_status,
        verb_history, verb_reload, verb_events, verb_drops, verb_panic, verb_allow, verb_deny,
        verb_remove, verb_edit, verb_verify, verb_diff, verb_exposure, verb_takeover, verb_ban,
        verb_unban, verb_bans;

/* Prints the verb's help and returns EXIT_OK. */
int verb_help(const Verb *verb);
/* For a command line that the verb cannot read; getopt has already said what is wrong, or `problem`
 * does. Returns EXIT_USAGE. */
int verb_usage(const Verb *verb, const char *problem);
