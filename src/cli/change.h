/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One file of a policy on its way to another text, and that into force: the whole policy is checked
 * with it, what changes is shown, the file is replaced, the daemon asked. What the daemon does not
 * put in force does not stay in the file. */

#include "cli/apply.h"
#include "cli/input.h"

#define CHANGE_HELP                                                                                \
        "      --no-apply         write the file and leave what is in force as it is\n"            \
        "      --policy FILE      the policy, instead of " POLICY_FILE_DEFAULT "\n"

typedef struct Change {
        Arena *arena;     /* borrowed */
        const char *verb; /* its name: for messages */
        const char *policy;
        ApplyOptions options;
        bool no_apply, quiet;
        const char *path;   /* the file, of the policy's or the policy itself */
        const char *before; /* its text; NULL: there is no such file */
        size_t before_size;
        const char *after;
        size_t after_size;
        bool files_differed; /* from what is in force, before */
        bool made_folder;    /* that the file is in */
} Change;

/* "DIR/policy.d/NAME" beside the policy. NULL without memory. */
const char *change_path(Arena *a, const char *policy, const char *name);
/* The folder that the file is in. NULL without memory. */
const char *change_folder(Arena *a, const char *path);
/* Reads c->path into c->before; an ExitCode, what failed has been printed. */
int change_read(Change *c);
/* Whether there is anything to write. */
bool change_is_any(const Change *c);

/* Reads and compiles the policy with the new text, into *input, which input_done() frees. Messages
 * are printed, at places that `translate` may change, if it is not NULL. An ExitCode. */
int change_check(const Change *c,
                 Input *input,
                 void (*translate)(DiagMessage *m, void *context),
                 void *context);

/* Whether the daemon is there, and has this policy in force, if it has any. An ExitCode, as above.
 */
int change_ask(Change *c);

/* How it says what changes; the daemon is not asked on a dry run, and so tells of no way in. */
PlanVoice change_voice(const Change *c);

/* Replaces the file, and asks the daemon to put the policy in force; what was refused is taken
 * back. *ret is its answer, NULL with no_apply. An ExitCode, as above. */
int change_make(Change *c, json_t **ret);

/* "cannot write FILE: ...", with the exit code that goes with the negative errno. */
int change_failed(const Change *c, const char *what, const char *path, int error);
