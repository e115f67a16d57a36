/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a compiled Ruleset does with every first packet of one family, as diagrams. It is made from
 * the rules alone: what a field means is the same table that the evaluator reads, what the rules do
 * with it is not the same code.
 *
 * First all cuts (meaning_new() makes those of the rules), then meaning_finish(), then diagrams. */

#include "proof/axis.h"
#include "ruleset/packet.h"

/* What packets differ in, in the order in which diagrams ask. Large sets are of addresses: asked
 * first, they stand in one node. Ports come before what most rules ask for that always are there:
 * of packets that these have decided, no more is asked. */
typedef enum MeaningVariable {
        MEANING_SOURCE,
        MEANING_DIALLED, /* the address that the client dialled; where there is no translation ...
                          */
        MEANING_FINAL,   /* ... also where the packet goes, and this is not asked for */
        MEANING_PROTOCOL,
        MEANING_DIALLED_PORT,
        MEANING_FINAL_PORT,
        MEANING_CLASS, /* MeaningClass */
        MEANING_HOOK,  /* 0 input, 1 forward */
        MEANING_IN,
        MEANING_OUT,
        MEANING_LINK, /* the frame's destination */
        MEANING_FIB_SOURCE_OUT,
        MEANING_FIB_SOURCE_IN_OUT,
        MEANING_FIB_SOURCE_TYPE,
        MEANING_FIB_DESTINATION_TYPE,
        MEANING_HOPS,
        MEANING_SOURCE_PORT,
        MEANING_ICMP, /* type */
        MEANING_USER, /* MEANING_NOBODY: the kernel's own socket */
        MEANING_GROUP,
        MEANING_TIME,
        _MEANING_VARIABLE_MAX,
} MeaningVariable;

/* Which of them are not the policy's to test. */
extern const bool meaning_facts[DIAGRAM_VARIABLES_MAX];

#define MEANING_NOBODY (UINT64_C(1) << 32)

/* First packets, as conntrack sees them. */
typedef enum MeaningClass {
        MEANING_NEW,
        MEANING_UNTRACKED,
        MEANING_EXPECTED, /* announced by a protocol helper */
        _MEANING_CLASS_MAX,
} MeaningClass;

typedef enum MeaningWay {
        MEANING_PLAIN,      /* from outside, to here or through */
        MEANING_TRANSLATED, /* likewise, with another destination than was dialled */
        MEANING_PORT_KEPT,  /* translated, but for the port */
        MEANING_OUTPUT,     /* this host's own */
        _MEANING_WAY_MAX,
} MeaningWay;

/* Leaves' labels. */
enum {
        MEANING_FALL, /* DIAGRAM_ALL's: a set of packets is also one that nothing has become of yet
                       */
        MEANING_ACCEPT,
        MEANING_ESSENTIAL, /* accepted by what is always so */
        MEANING_DROP,      /* or rejected */
        MEANING_YES,
        MEANING_RETURN,
        MEANING_MASQUERADE, /* of nat chains */
        MEANING_TARGET,     /* likewise: this and the number of a target */
        /* Of meaning_tell_limits(): this and the number of a limit, beside what becomes of a packet
         * once the limit is reached. */
        MEANING_LIMIT = 8192,
};

typedef struct Meaning Meaning;

Meaning *meaning_new(const Ruleset *rs, Family family);
Meaning *meaning_free(Meaning *m);

/* For comparing, before the cuts are finished: the rules of another Ruleset are cut on the same
 * axes; meaning_take() says of which of them diagrams are from then on. 0 or -ENOMEM. */
int meaning_add(Meaning *m, const Ruleset *rs);
void meaning_take(Meaning *m, const Ruleset *rs);
/* Limits in front of an accept may be reached, and are told apart by what they say. */
void meaning_tell_limits(Meaning *m);
/* Rules of that origin accept or are not there, as if they had a limit: MEANING_LIMIT is theirs. 0
 * or -ENOMEM. */
int meaning_tell_rule(Meaning *m, const char *text);
/* What the limits say, "3/minute burst 3 per source"; equal ones have one number. */
const char *const *meaning_limits(const Meaning *m, size_t *ret_n);

int meaning_cut(Meaning *m, MeaningVariable variable, Range r);
int meaning_cut_all(Meaning *m, MeaningVariable variable, const RangeSet *ranges);
int meaning_finish(Meaning *m);

/* 0, or -E2BIG or -ENOMEM; sticks. No diagram means anything before it was asked. */
int meaning_error(const Meaning *m);

Diagram *meaning_diagram(Meaning *m);
/* All values that there can be. */
Range meaning_values(const Meaning *m, MeaningVariable variable);
const Axis *meaning_axis(const Meaning *m, MeaningVariable variable);
/* Packets whose variable is among the values. */
DiagramId meaning_where(Meaning *m, MeaningVariable variable, const RangeSet *values);
DiagramId meaning_where_value(Meaning *m, MeaningVariable variable, U128 value);
/* Packets that there can be. */
DiagramId meaning_domain(Meaning *m);

/* For diagram_share(): of a variable that is not the Meaning's, each coordinate is a half. */
double meaning_share(const void *meaning, unsigned int variable, uint32_t low, uint32_t high);

/* What becomes of a packet: leaves hold MEANING_ACCEPT, _ESSENTIAL and _DROP. Of packets outside of
 * `care` nothing is said: rules about them alone cost next to nothing. */
DiagramId meaning_of(Meaning *m, MeaningWay way, DiagramId care);
/* To which of the targets our own chains send a connection that was dialled here: of the leaves'
 * labels those from MEANING_TARGET on. */
DiagramId meaning_of_translation(Meaning *m, DiagramId care);
/* Whose source is translated, among those that pass through: leaves with MEANING_MASQUERADE. */
DiagramId meaning_of_masquerade(Meaning *m, DiagramId care);
const NatTarget *const *meaning_targets(const Meaning *m, size_t *ret_n);

/* The packet at a point, and in words; *ret_in and *ret_out are the interfaces' numbers. */
void meaning_packet(const Meaning *m,
                    MeaningWay way,
                    const uint32_t *point,
                    PacketQuestion *ret_q,
                    U128 *ret_in,
                    U128 *ret_out,
                    Packet *ret);

static inline void meaning_freep(Meaning **m) {
        (void)meaning_free(*m);
}
