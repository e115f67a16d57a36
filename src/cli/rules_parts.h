/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by the files that make up the verbs `allow`, `deny` and `remove`. */

#include "cli/change.h"
#include "policy/rule_words.h"

/* What the three work on. */
typedef struct RuleChange {
        Change change;
        const Verb *verb;
        RuleCommand command;
        bool json;
        Diag *diag;
        Source line; /* what was said */
        RuleFile file;
        FileRule rule;     /* that was said */
        bool has_verb;     /* and whether it allows or denies */
        uint64_t number;   /* or which one; 0: by its words */
        bool comes;        /* and is not there yet */
        unsigned int at;   /* where it stands then */
        unsigned int dash; /* the column in which its text begins there */
} RuleChange;

/* The rules that the file has; an ExitCode. */
int rules_list(const RuleChange *c);

/* What comes and goes in the file. */
void rules_print_change(const RuleChange *c);
/* The daemon's answer, which is taken, with what became of the file beside it; an ExitCode. */
int rules_print_json(const RuleChange *c, json_t *reply, bool written);
/* What is undone in force is not undone in the file, as with every file of a policy. */
void rules_print_back(const RuleChange *c);
