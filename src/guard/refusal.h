/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Why a packet was refused. The kernel only shows it; the rules in force are asked again, as by
 * `explain`, so that there is one answer to both. */

#include "nft/log.h"

#define REFUSAL_TEXT_MAX (RULESET_COMMENT_MAX + 1)

typedef enum RefusalKind {
        REFUSAL_DEFAULT,   /* no rule admits it */
        REFUSAL_DENY,      /* a rule refuses it */
        REFUSAL_PROTECTED, /* likewise, and no rule could admit it */
        REFUSAL_LIMIT,     /* a rule admits it as long as its limit is not reached */
        REFUSAL_OUTDATED,  /* the rules in force admit it: others refused it */
        _REFUSAL_KIND_MAX,
        _REFUSAL_KIND_INVALID = -EINVAL,
} RefusalKind;

typedef struct Refusal {
        RefusalKind kind;
        SectionId section;
        bool translated; /* the destination was: a published port */
        /* What the section judges: for inbound what the client dialled. Not every kernel tells. */
        bool is_dialled_known;
        U128 destination;
        uint16_t destination_port;
        char by[REFUSAL_TEXT_MAX]; /* "policy.yaml:9: deny ssh"; printable. Empty if OUTDATED */
} Refusal;

const char *refusal_kind_to_string(RefusalKind kind);

/* Asks the rules about what the kernel showed, at that time (nanoseconds since 1970). 1; 0 for what
 * cannot be asked about: no packet, or one of a hook where nothing is refused; -ENOMEM. */
int refusal_find(const Ruleset *rs, const LogLine *line, uint64_t time_nsec, Refusal *ret);
