/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What every verb does first: find the catalogue, load the policy, compile it, say what is wrong.
 */

#include "cli/verb.h"
#include "proof/claim.h"
#include "ruleset/pass.h"

#define POLICY_FILE_DEFAULT "/etc/ringwall/policy.yaml"

typedef struct Input {
        Arena *arena;
        Diag *diag;
        Policy *policy;
        Ruleset *ruleset;
        ClaimReport claims; /* what was proved of the compiled rules */
        size_t n_printed;   /* messages that have been printed */
        bool quiet;         /* print none: the caller does it in another form */
        bool of_root;       /* every file must belong to root: the policy is to be put in force */
        bool unadvised;     /* rules without effect are not looked for: that is advice */
        const PolicyDraft *draft; /* what one of its files is going to say; or NULL */
} Input;

#define INPUT_NULL ((Input){0})

/* Reads the policy; file NULL means POLICY_FILE_DEFAULT, "-" standard input. An ExitCode; what is
 * wrong has been printed. */
int input_load(Input *input, const char *file);
/* Reads the catalogue alone, as a policy that says nothing. */
int input_load_catalogue(Input *input);
/* For names alone, which are a help: the host's policy if it can be read, else the catalogue;
 * policy is NULL without either. */
void input_load_names(Input *input);
/* Compiles the policy that was read; features NULL: for a kernel that can do everything. Again, if
 * called again. */
int input_compile_loaded(Input *input, const char *stop_after, const KernelFeatures *features);
/* Both, for a kernel that can do everything. */
int input_compile(Input *input, const char *file, const char *stop_after);
/* Prints the messages that have not been printed yet, to standard error. */
void input_print_messages(Input *input);
void input_done(Input *input);

/* "out of memory" and the like, with the exit code that goes with the negative errno. */
int input_failed(int error, const char *what);
