/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of the proof of claims about the whole ruleset share. */

#include "proof/verify.h"
#include "proof/whole.h"

typedef struct Verify {
        const Policy *policy;
        const World *world;
        Arena *arena;
        Family family;
        Whole *whole;
        WholeCuts *cuts; /* of the family: of those that arrive */
        bool sent;       /* it is about what this host's own processes send */
        Diagram *diagram;
        WorldWalker *walker;
        VerifyAnswer *answers;
        DiagramId *bad; /* a claim */
        size_t n_compared;
        uint64_t random;
        const char *what;
} Verify;

/* What a packet has where the region leaves it the choice. */
typedef struct VerifyLiked {
        U128 source, destination;
        uint32_t in, out;
} VerifyLiked;

/* Regions. */
DiagramId verify_where(Verify *v, WholeVariable variable, Range r);
DiagramId verify_union(Verify *v, DiagramId x, DiagramId y);
DiagramId verify_and(Verify *v, DiagramId x, DiagramId y);
/* final: by the port where they end, which is not the dialled one if rules changed it. */
DiagramId verify_where_services(Verify *v, const ServiceSet *s, const WholeChange *c, bool final);
DiagramId
verify_where_part(Verify *v, const ZonePart *p, WholeVariable address, DiagramId interface);
DiagramId verify_where_clients(Verify *v, const ZoneExpression *e);
DiagramId verify_where_essential(Verify *v);
/* Packets that go to the networks of containers and VMs. */
DiagramId verify_where_attached(Verify *v, const WholeChange *c);
bool verify_is_translated(const WholeChange *c);

/* Of what is sent: what the expectation describes, with `to` where it goes; and what it describes
 * only as it leaves, after that change. */
DiagramId verify_where_sent(Verify *v, const PolicyRule *rule, DiagramId to, bool allow);
DiagramId verify_where_sent_on(Verify *v, const PolicyRule *rule, const WholeChange *c);
/* Whether what was changed so surely comes back to this host. */
bool verify_stays(const Verify *v, const WholeChange *c);
/* Whether what was changed so surely leaves this host. */
bool verify_gets_out(const Verify *v, const WholeChange *c);
int verify_cut_sent(Verify *v);

/* Cuts: 0 or -ENOMEM. */
int verify_cut_set(Verify *v, WholeVariable variable, const RangeSet *set);
int verify_cut_zone(Verify *v, const Zone *z, WholeVariable variable);
int verify_cut_clients(Verify *v, const ZoneExpression *e, WholeVariable address);
int verify_cut_services(Verify *v, const ServiceSet *s);
int verify_cut_common(Verify *v);

/* Packets. */
/* Gets through, but neither dialled at a port of theirs nor to one: that something on its way was
 * rewritten is all that the proof knows. */
bool verify_misses(const ServiceSet *s, const WorldFields *f, const WorldOutcome *o);
uint32_t verify_draw(Verify *v, uint32_t below);
void verify_make_packet(Verify *v,
                        const uint32_t *point,
                        const VerifyLiked *liked,
                        WorldPacket *ret,
                        WorldFields *f);
const char *
verify_describe(Verify *v, const WorldFields *f, const WorldPacket *p, const WorldOutcome *o);
/* The packet number `try` to begin a search with; false past the last one. */
bool verify_next_liked(Verify *v, size_t try, VerifyLiked *ret);
/* Whether what is sent leaves by the interface that the point names, unless it was sent elsewhere.
 */
bool verify_leaves_by(Verify *v,
                      const uint32_t *point,
                      const WorldFields *f,
                      const WorldWalk *walk);
/* One of the region, by that interface and otherwise as much as possible as it is liked. */
bool verify_find(Verify *v, DiagramId region, const VerifyLiked *liked, uint32_t *point);

/* An address that the kernel still looks for doubles of is here, and not here yet: false. */
bool verify_is_settled(const Verify *v, U128 address);

/* Answers. */
int verify_copy_steps(Verify *v, VerifyAnswer *answer, const WorldWalk *walk);
int verify_add_reason(Verify *v, VerifyAnswer *answer, const char *reason);
int verify_explain(Verify *v, DiagramId bad, VerifyAnswer *answer);

/* The policy's expectations of either kind, of v->family: those of what arrives, or is sent. An
 * answer for each of all. */
int verify_expected(Verify *v, bool allow, bool sent, VerifyAnswer *answers);
