/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Asking the daemon to put a policy in force: for all verbs that end with that. */

#include "cli/plan.h"
#include "cli/remote.h"

typedef struct ApplyOptions {
        bool no_confirm, has_console, dry_run;
        const char *message;     /* for the history, or NULL */
        const char *runtime_dir; /* of the daemon, or NULL */
} ApplyOptions;

/* Rows of a verb's table, whose values apply_option() takes; "nm:" of the short ones. */
#define APPLY_OPTIONS                                                                              \
        {"no-confirm", no_argument, NULL, 'y'}, {"i-have-console", no_argument, NULL, 'c'},        \
                {"dry-run", no_argument, NULL, 'n'}, {"message", required_argument, NULL, 'm'},    \
                REMOTE_OPTION
#define APPLY_HELP                                                                                 \
        "      --no-confirm       keep it without confirmation: for a console, and for scripts "   \
        "that\n"                                                                                   \
        "                         know what they do\n"                                             \
        "      --i-have-console   go on although you could not come in again\n"                    \
        "  -n, --dry-run          show what would change, and do nothing\n"                        \
        "  -m, --message TEXT     for the history\n" REMOTE_HELP

/* Takes one that getopt_long() found; false if it is none of them. */
bool apply_option(int c, const char *argument, ApplyOptions *ret);

/* Whether whoever asks may put anything in force: root alone. An ExitCode; if not, that has been
 * printed. */
int apply_permit(const char *verb);
/* Before anything is shown or written: whether the daemon is there and would listen to whoever
 * asks. *ret is its Status, the caller's. An ExitCode; what is in the way has been printed. */
int apply_ask(const char *verb, const ApplyOptions *options, json_t **ret);
/* How the verb says what changes. */
PlanVoice apply_voice(const char *verb, const ApplyOptions *options);
/* Calls the daemon; file NULL: its own policy. An ExitCode; what failed has been printed. *ret is
 * the caller's. */
int apply_call(const char *verb, const char *file, const ApplyOptions *options, json_t **ret);
/* EXIT_OK, or EXIT_AWAITING. */
int apply_code(const json_t *reply);
/* Says what came of it, and returns that. */
int apply_print(const json_t *reply, const ApplyOptions *options);
