/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The claims of a policy about a World, for the verbs that ask whether they hold. */

#include "cli/input.h"
#include "cli/verb.h"
#include "proof/verify.h"

/* Reads what the kernel holds in this network namespace. An ExitCode; what failed has been printed
 * in the verb's name. */
int verify_read_world(const char *verb, Arena *a, World **ret);

/* Decides all claims of the policy that was read, with what lies beside nftables, and over SSH the
 * caller's way in, as the last. *ret_beside: whether this host could be looked at for that. An
 * ExitCode, as above, whatever the answers are. */
int verify_prove(
        const char *verb, Input *input, const World *w, VerifyReport *ret, bool *ret_beside);

/* What a verb runs whose arguments are [--policy FILE] [--json]; file: NULL if none is named. */
int verify_run(const Verb *verb, int argc, char **argv, int (*answer)(const char *file, bool json));

void verify_print_answer(const VerifyAnswer *a);
