/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A rule as it is said on a command line: "allow ssh, https from lan for 1h". What the words mean
 * is found out where the policy is read: this tells which word is what. */

#include "policy/rule_file.h"

#define RULE_WORDS_MAX 4096         /* bytes of what is said */
#define RULE_SECONDS_MAX 315360000U /* of `for`: ten years */

typedef enum RuleCommand {
        RULE_COMMAND_ALLOW,
        RULE_COMMAND_DENY,
        RULE_COMMAND_REMOVE, /* may be followed by `allow` or `deny` */
} RuleCommand;

/* line: the command's name, then what was said behind it; places point to it. now: seconds since
 * 1970. *ret_has_verb: whether it was said what the rule does; always, but for `remove`. -EBADMSG
 * with a message in d. */
int rule_words_parse(Arena *a,
                     const Source *line,
                     RuleCommand command,
                     int64_t now,
                     FileRule *ret,
                     bool *ret_has_verb,
                     Diag *d);
