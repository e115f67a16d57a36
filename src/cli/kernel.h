/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the verbs ask of the kernel, with the answers turned into messages and exit codes. */

#include "cli/input.h"
#include "guard/engine.h"

/* Opens the link, or says why not; an ExitCode. */
int kernel_open(NftLink **ret);
int kernel_open_engine(Engine *ret);
/* Reads our table as it is in this network namespace. An ExitCode; no table at all is an answer,
 * too. */
int kernel_read(NftLink *link, Arena *a, Ruleset **ret);
/* The same; see nft_read_known(). */
int kernel_read_known(NftLink *link, Arena *a, const NftKnown *known, Ruleset **ret);
/* Opens, reads, and says so if no policy is loaded; an ExitCode. verb: who asks. */
int kernel_read_live(const char *verb, Arena *a, Ruleset **ret);
/* Adds what the ruleset wants to know of this host; an ExitCode. */
int kernel_add_host(Input *input);
/* Refuses, with a message, where this network namespace is that of process 1; an ExitCode. verb:
 * what was asked for. */
int kernel_refuse_host(const char *verb);
