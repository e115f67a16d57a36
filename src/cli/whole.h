/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What all tables of this network namespace together do to the connection of a question: ringwall's
 * own and those of other programs, as the kernel calls them one after the other. */

#include <jansson.h>

#include "cli/question.h"
#include "world/walk.h"

typedef struct Whole {
        World *world; /* NULL: not read */
        WorldWalker *walker;
        bool others; /* there are other tables than ours with something to say */
} Whole;

/* What became of the question; borrowed from the Whole, until the next one. */
typedef struct WholeAnswer {
        bool asked; /* false: the question cannot be asked of this host's tables */
        Family family;
        WorldWalk walk;
        const WorldStep *dropper; /* of another program, and nothing passes; or NULL */
        bool rejected;            /* whoever dropped it, with an answer */
} WholeAnswer;

/* Reads the rules of all tables. An ExitCode; the reason is on standard error. */
int whole_read(Arena *a, Whole *ret);
void whole_done(Whole *w);

/* 0 or -ENOMEM. */
int whole_ask(Whole *w, const Question *q, WholeAnswer *ret);

/* Whether it is one of this host's own addresses; false also where that was not read. */
bool whole_has_address(const Whole *w, Family family, U128 address);

/* For people: which rule of another program's drops it, as `by`. There is a dropper. */
void whole_print_dropper(const WholeAnswer *answer);
/* For people: the way through all tables, behind the word `tables`. Nothing if there are no others.
 */
void whole_print(const Whole *w, const WholeAnswer *answer);
/* For programs: the same into an answer's object. */
void whole_print_json(const Whole *w, const WholeAnswer *answer, json_t *object);
