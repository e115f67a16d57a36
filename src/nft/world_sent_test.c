/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "nft/world_unit.h"
#include "proof/whole.h"
#include "world/walk.h"

/* What this host sends, through the rules of the corpus: whatever the evaluator lets through, or
 * drops, the proof must hold for possible. */

#define N_PACKETS 800 /* of each ruleset and family */

typedef struct Sent {
        Whole *x;
        Diagram *d;
        Family family;
        const char *name;
        DiagramId passes, drops, moved; /* moved: what may be sent elsewhere */
} Sent;

typedef struct Agreement {
        size_t n, n_passed, n_dropped, n_sure;
} Agreement;

static DiagramId all_packets(void *context, const WholeChange *change, bool here) {
        return DIAGRAM_ALL;
}

static void walk_all(Sent *s) {
        const WholeEnd *ends;
        size_t n;

        unit_equal(s->name, whole_walk(s->x, all_packets, NULL, &ends, &n), 0);
        for (size_t i = 0; i < n; i++) {
                const WholeChange *c = &ends[i].change;

                s->passes = diagram_union(s->d, s->passes, ends[i].region);
                if (c->here || c->has_address || c->any_address || c->any_else)
                        s->moved = diagram_union(s->d, s->moved, ends[i].region);
        }
        s->drops = whole_drops(s->x);
}

/* Whether the point is in it, whatever is not understood. */
static bool has(const Sent *s, DiagramId x, const uint32_t *point) {
        return diagram_at(s->d, diagram_exists(s->d, x, _WHOLE_VARIABLE_MAX), point) !=
               DIAGRAM_EMPTY;
}

static void make_packet(const Sent *s, uint32_t *point, WorldFields *f, WorldPacket *p) {
        size_t header = s->family == FAMILY_IPV4 ? 20 : 40;
        uint64_t value[_WHOLE_VARIABLE_MAX];

        for (unsigned int v = 0; v < _WHOLE_VARIABLE_MAX; v++)
                value[v] = axis_values(whole_axis(s->x, v), point[v]).low.low;
        *f = (WorldFields){
                .family = s->family,
                .source = axis_values(whole_axis(s->x, WHOLE_SOURCE), point[WHOLE_SOURCE]).low,
                .destination =
                        axis_values(whole_axis(s->x, WHOLE_DESTINATION), point[WHOLE_DESTINATION])
                                .low,
                .protocol = (uint8_t)value[WHOLE_PROTOCOL],
                .source_port = (uint16_t)value[WHOLE_SOURCE_PORT],
                .destination_port = (uint16_t)value[WHOLE_DESTINATION_PORT],
                .icmp_type = (uint8_t)(value[WHOLE_SOURCE_PORT] >> 8),
                .icmp_code = (uint8_t)value[WHOLE_SOURCE_PORT],
                .tcp_flags = (uint8_t)value[WHOLE_FLAGS],
        };
        *p = (WorldPacket){.has_owner = value[WHOLE_USER] < WHOLE_NOBODY,
                           .uid = (uint32_t)value[WHOLE_USER],
                           .gid = (uint32_t)value[WHOLE_GROUP]};
        world_packet_fill(p, f);
        if (p->size < header + 4)
                return;
        /* of what has no ports, the bytes that stand there */
        point[WHOLE_SOURCE_PORT] =
                axis_coordinate(whole_axis(s->x, WHOLE_SOURCE_PORT),
                                u128((uint64_t)(p->bytes[header] << 8 | p->bytes[header + 1])));
        point[WHOLE_DESTINATION_PORT] =
                axis_coordinate(whole_axis(s->x, WHOLE_DESTINATION_PORT),
                                u128((uint64_t)(p->bytes[header + 2] << 8 | p->bytes[header + 3])));
}

static const char *describe(Arena *a, const Sent *s, const WorldFields *f, const WorldPacket *p) {
        char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];

        return arena_printf(a, "%s: %u from %s port %u to %s port %u of user %u, group %u", s->name,
                            f->protocol, address_print(s->family, f->source, from), f->source_port,
                            address_print(s->family, f->destination, to), f->destination_port,
                            p->has_owner ? p->uid : 0, p->has_owner ? p->gid : 0);
}

static void compare_packet(
        Arena *a, const Sent *s, WorldWalker *walker, uint32_t *point, Agreement *sum, bool told) {
        bool passed = false, dropped = true;
        WorldFields f;
        WorldPacket p;
        WorldWalk walk;

        make_packet(s, point, &f, &p);
        if (world_walk(walker, &p, &walk) < 0)
                return;
        sum->n++;
        for (size_t o = 0; o < walk.n_outcomes; o++) {
                const WorldOutcome *out = &walk.outcomes[o];

                dropped = dropped && out->where == WORLD_DROPPED && !out->unknown;
                passed |= out->where == WORLD_DELIVERED || out->where == WORLD_LEFT;
        }
        if (passed)
                unit_true(describe(a, s, &f, &p), has(s, s->passes, point));
        /* what comes back to this host may be dropped where nobody looks; ICMP may be what
         * conntrack calls invalid: no claim is about that */
        if (dropped && !walk.incomplete && told &&
            (f.protocol == IPPROTO_TCP || f.protocol == IPPROTO_UDP)) {
                unit_true(describe(a, s, &f, &p),
                          has(s, s->drops, point) || has(s, s->moved, point));
                sum->n_dropped++;
        }
        sum->n_passed += passed;
        sum->n_sure += !passed && !has(s, s->passes, point);
}

static void compare_family(World *w, Family family, const char *name, bool plain, Agreement *sum) {
        static const uint8_t protocols[] = {6, 6, 6, 17, 17, 1, 58, 47};
        _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
        _cleanup_(whole_freep) Whole *x = whole_new(w, family);
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Sent s = {.x = x, .d = whole_diagram(x), .family = family, .name = name};
        DiagramId sendable;
        WholeRefusal *refusals;
        size_t n_refusals;

        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
                assert_int_equal(whole_cut(x, WHOLE_PROTOCOL, range_single(u128(protocols[i]))), 0);
        for (unsigned int owner = 0; owner < 2000; owner += 500)
                for (WholeVariable v = WHOLE_USER; v <= WHOLE_GROUP; v++)
                        assert_int_equal(whole_cut(x, v, range_single(u128(owner))), 0);
        assert_true(!plain || whole_take_plain(x) == 0);
        assert_int_equal(whole_take_sent(x), 0);
        unit_equal(name, whole_finish(x), 0);
        walk_all(&s);
        assert_int_equal(whole_find_refusals(x, a, &refusals, &n_refusals), 0);
        assert_int_equal(world_walker_new(w, &walker), 0);
        sendable = diagram_and(s.d, whole_domain(x), whole_where_plain(x));
        for (size_t i = 0; i < N_PACKETS; i++) {
                uint32_t point[DIAGRAM_VARIABLES_MAX] = {0};

                for (unsigned int v = 0; v < _WHOLE_VARIABLE_MAX; v++)
                        point[v] = draw((uint32_t)whole_axis(x, v)->n_lows);
                point[WHOLE_PROTOCOL] =
                        axis_coordinate(whole_axis(x, WHOLE_PROTOCOL),
                                        u128(protocols[draw(ARRAY_SIZE(protocols))]));
                if (!diagram_witness(s.d, sendable, point, NULL, NULL))
                        break;
                compare_packet(a, &s, walker, point, sum, n_refusals == 0);
        }
        assert_int_equal(whole_error(x), 0);
}

static void what_the_evaluator_finds_of_what_is_sent_is_possible_to_the_proof(void **state) {
        Agreement sum = {0};

        for (size_t i = 0; i < ARRAY_SIZE(corpus); i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                World *w = world_of_corpus(a, corpus[i]);

                if (!w)
                        continue;
                if (w->n_interfaces == 0)
                        surround(w);
                for (unsigned int plain = 0; plain < 2; plain++)
                        for (Family f = 0; f < _FAMILY_MAX; f++)
                                compare_family(w, f, corpus[i], plain, &sum);
        }
        assert_true(sum.n > 20000 && sum.n_passed > 5000);
        assert_true(sum.n_dropped > 100 && sum.n_sure > 100);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_the_evaluator_finds_of_what_is_sent_is_possible_to_the_proof),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
