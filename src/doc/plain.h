/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Reads the part of YAML that nearly all policies are written in, at once: block mappings and
 * lists, flow ones, words and quoted texts on one line, comments. libyaml takes ten times as long
 * for the same. It reads only what means the same to libyaml, and gives up at all else: what is
 * rare, and every mistake, is libyaml's. Private to src/doc. */

#include "doc/node.h"

/* 1: the tree is in *ret, with the places that libyaml would give; 0: it gave up; or -ENOMEM.
 * source has passed text_check(). */
int plain_parse(Arena *a, Arena *texts, const Source *source, const Node **ret);

/* By libyaml alone, for tests: as node_parse(). */
int node_parse_whole(Arena *a, Arena *texts, const Source *source, const Node **ret, Diag *d);
