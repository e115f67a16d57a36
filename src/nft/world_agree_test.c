/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "nft/world_unit.h"
#include "proof/whole.h"
#include "world/walk.h"

/* Rulesets as other programs make them: what the evaluator does with a packet, the proof must hold
 * for possible. */

#define SAMPLES 1500 /* packets, of each family and each of the rulesets */

static const uint8_t protocols[] = {6, 6, 6, 17, 17, 1, 58, 47};

typedef struct Agreement {
        size_t n, n_passed, n_sure, n_dropped;
        size_t n_turned; /* delivered, as a device's rule sent it on by the loopback interface */
} Agreement;

/* Of one family: both codes, and what the proof has found out. */
typedef struct Comparison {
        const char *name;
        const World *world;
        WorldWalker *walker;
        Family family;
        Whole *whole;
        DiagramId here, on, drops; /* where packets may end */
        size_t n_refusals;
} Comparison;

/* One packet, as both codes want it. */
typedef struct Sample {
        uint32_t point[DIAGRAM_VARIABLES_MAX];
        WorldFields fields;
        WorldPacket packet;
} Sample;

static DiagramId all_packets(void *context, const WholeChange *change, bool here) {
        return DIAGRAM_ALL;
}

static bool is_for_many(Family family, U128 a) {
        if (family == FAMILY_IPV6)
                return a.high >> 56 == 0xff;
        return a.low >> 28 == 0xe || a.low >> 24 == 0 || (a.low & 0xff) == 0xff ||
               (a.low & 0xff) == 0;
}

static void prove(Comparison *c, Arena *a) {
        Whole *x = c->whole;
        const WholeEnd *ends;
        WholeRefusal *refusals;
        size_t n;

        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
                assert_int_equal(whole_cut(x, WHOLE_PROTOCOL, range_single(u128(protocols[i]))), 0);
        unit_equal(c->name, whole_finish(x), 0);
        unit_equal(c->name, whole_walk(x, all_packets, NULL, &ends, &n), 0);
        c->here = c->on = DIAGRAM_EMPTY;
        for (size_t i = 0; i < n; i++) {
                DiagramId *to = ends[i].here ? &c->here : &c->on;

                *to = diagram_union(whole_diagram(x), *to,
                                    diagram_exists(whole_diagram(x), ends[i].region, WHOLE_OUT));
        }
        c->drops = diagram_exists(whole_diagram(x), whole_drops(x), WHOLE_OUT);
        assert_int_equal(whole_find_refusals(x, a, &refusals, &c->n_refusals), 0);
}

/* False: there is none of what the proof is about. */
static bool draw_point(const Comparison *c, uint32_t *point) {
        const WorldAddress *own = &c->world->addresses[c->family == FAMILY_IPV4 ? draw(2) * 3 : 1];

        for (unsigned int v = 0; v < _WHOLE_VARIABLE_MAX; v++)
                point[v] = draw((uint32_t)whole_axis(c->whole, v)->n_lows);
        point[WHOLE_PROTOCOL] = axis_coordinate(whole_axis(c->whole, WHOLE_PROTOCOL),
                                                u128(protocols[draw(ARRAY_SIZE(protocols))]));
        if (draw(2))
                point[WHOLE_DESTINATION] =
                        axis_coordinate(whole_axis(c->whole, WHOLE_DESTINATION), own->address);
        return diagram_witness(whole_diagram(c->whole), whole_domain(c->whole), point, NULL, NULL);
}

static WorldFields fields_of(const Comparison *c, const U128 *value) {
        return (WorldFields){
                .family = c->family,
                .source = value[WHOLE_SOURCE],
                .destination = value[WHOLE_DESTINATION],
                .protocol = (uint8_t)value[WHOLE_PROTOCOL].low,
                .source_port = (uint16_t)value[WHOLE_SOURCE_PORT].low,
                .destination_port = (uint16_t)value[WHOLE_DESTINATION_PORT].low,
                .icmp_type = (uint8_t)(value[WHOLE_SOURCE_PORT].low >> 8),
                .icmp_code = (uint8_t)value[WHOLE_SOURCE_PORT].low,
                .tcp_flags = (uint8_t)value[WHOLE_FLAGS].low,
        };
}

static void make_packet(const Comparison *c, Sample *s) {
        size_t header = c->family == FAMILY_IPV4 ? 20 : 40;
        U128 value[_WHOLE_VARIABLE_MAX];
        const uint8_t *bytes = s->packet.bytes + header, *mac;

        for (unsigned int v = 0; v < _WHOLE_VARIABLE_MAX; v++)
                value[v] = axis_values(whole_axis(c->whole, v), s->point[v]).low;
        s->fields = fields_of(c, value);
        s->packet = (WorldPacket){.in = whole_arrival(c->whole, value[WHOLE_IN].low, &mac)->name};
        world_packet_fill(&s->packet, &s->fields);
        memcpy(s->packet.link, mac, 6);
        if (s->packet.size < header + 4)
                return;
        /* of what has no ports, the bytes that stand there */
        s->point[WHOLE_SOURCE_PORT] = axis_coordinate(whole_axis(c->whole, WHOLE_SOURCE_PORT),
                                                      u128((uint64_t)bytes[0] << 8 | bytes[1]));
        s->point[WHOLE_DESTINATION_PORT] =
                axis_coordinate(whole_axis(c->whole, WHOLE_DESTINATION_PORT),
                                u128((uint64_t)bytes[2] << 8 | bytes[3]));
}

static bool is_in(const Comparison *c, DiagramId region, const Sample *s) {
        return diagram_at(whole_diagram(c->whole), region, s->point) != DIAGRAM_EMPTY;
}

static void
check_possible(const Comparison *c, const Sample *s, DiagramId region, const char *end) {
        const WorldFields *f = &s->fields;
        char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];

        if (!is_in(c, region, s))
                fail_msg("%s: %u from %s port %u to %s port %u in %s %s", c->name, f->protocol,
                         address_print(f->family, f->source, from), f->source_port,
                         address_print(f->family, f->destination, to), f->destination_port,
                         s->packet.in, end);
}

static bool was_turned(const WorldWalk *walk) {
        for (size_t i = 0; i < walk->n_steps; i++)
                if (walk->steps[i].verdict.kind == WORLD_STOLEN)
                        return walk->outcomes[0].where == WORLD_DELIVERED;
        return false;
}

static void
check_walk(const Comparison *c, const Sample *s, const WorldWalk *walk, Agreement *sum) {
        bool passed = false, dropped = true;

        for (size_t i = 0; i < walk->n_outcomes; i++) {
                const WorldOutcome *o = &walk->outcomes[i];

                dropped = dropped && o->where == WORLD_DROPPED && !o->unknown;
                if (o->where != WORLD_DELIVERED && o->where != WORLD_LEFT)
                        continue;
                passed = true;
                check_possible(c, s, o->where == WORLD_DELIVERED ? c->here : c->on, "passes");
        }
        /* ICMP may be what conntrack calls invalid: no claim is about that */
        if (dropped && !walk->incomplete && c->n_refusals == 0 &&
            (s->fields.protocol == IPPROTO_TCP || s->fields.protocol == IPPROTO_UDP)) {
                check_possible(c, s, c->drops, "is dropped");
                sum->n_dropped++;
        }
        sum->n++;
        sum->n_passed += passed;
        sum->n_turned += passed && was_turned(walk);
        sum->n_sure += !passed && !is_in(c, c->here, s) && !is_in(c, c->on, s);
}

static void compare(Arena *a, World *w, Family family, const char *name, Agreement *sum) {
        _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
        _cleanup_(whole_freep) Whole *whole = whole_new(w, family);
        Comparison c = {.name = name, .world = w, .family = family, .whole = whole};

        prove(&c, a);
        assert_int_equal(world_walker_new(w, &walker), 0);
        for (size_t i = 0; i < SAMPLES; i++) {
                Sample s = {0};
                WorldWalk walk;

                if (!draw_point(&c, s.point))
                        break;
                make_packet(&c, &s);
                /* to many at once: nobody answers */
                if (s.fields.protocol == IPPROTO_TCP && is_for_many(family, s.fields.destination))
                        continue;
                if (world_walk(walker, &s.packet, &walk) == 0)
                        check_walk(&c, &s, &walk, sum);
        }
}

/* Ports below a number, or others, are sent on by the loopback interface: as a frame that it takes,
 * one that it does not, or one of its own; or are dropped. */
static WorldRule turning_rule(World *w, const WorldChain *chain, uint32_t loopback) {
        static const uint8_t addresses[2][6] = {{0}, {2}};
        uint8_t port[2] = {(uint8_t)draw(256), (uint8_t)draw(256)}, none[16] = {0};
        WorldExpr load = {.kind = WORLD_PAYLOAD, .name = "payload", .base = WORLD_TRANSPORT};
        WorldExpr test = {.kind = WORLD_CMP, .name = "cmp", .source = 4, .target = -1, .size = 2};
        WorldExpr drop = {.kind = WORLD_IS, .name = "verdict", .verdict = {.kind = WORLD_DROP}};
        WorldExpr set = {.kind = WORLD_SET_PAYLOAD, .name = "payload set", .base = WORLD_LINK};
        WorldExpr turn = {.kind = WORLD_FORWARD, .name = "fwd", .source = -1, .target = 8};
        WorldRule rule = {.handle = chain->n_rules + 1, .chain = chain};
        bool own_frame = draw(3) == 0;

        load.offset = draw(2) * 2;
        load.size = 2;
        load.source = -1;
        load.target = 4;
        test.op = draw(2) ? WORLD_LESS : WORLD_GREATER_EQUAL;
        test.data.size = 2;
        memcpy(test.data.bytes, port, 2);
        set.size = 6;
        set.source = 9;
        set.target = -1;
        turn.source = own_frame ? 12 : -1;
        turn.unit = own_frame ? (draw(2) ? IPV4 : 10) : 0; /* or NFPROTO_IPV6 */
        assert_true(arena_append(w->arena, rule.exprs, rule.n_exprs, load) &&
                    arena_append(w->arena, rule.exprs, rule.n_exprs, test));
        if (draw(4) == 0) {
                assert_true(arena_append(w->arena, rule.exprs, rule.n_exprs, drop));
                return rule;
        }
        assert_true(
                arena_append(w->arena, rule.exprs, rule.n_exprs, put(9, addresses[draw(2)], 6)) &&
                arena_append(w->arena, rule.exprs, rule.n_exprs, set) &&
                arena_append(w->arena, rule.exprs, rule.n_exprs, put(12, none, 16)) &&
                arena_append(w->arena, rule.exprs, rule.n_exprs, put(8, &loopback, 4)) &&
                arena_append(w->arena, rule.exprs, rule.n_exprs, turn));
        return rule;
}

/* False: the World has no device for it. */
static bool add_turning(World *w) {
        const WorldInterface *device = NULL, *loopback = NULL;
        WorldChain *chain;

        for (size_t i = 0; i < w->n_interfaces; i++) {
                const WorldInterface *x = &w->interfaces[i];

                if (x->loopback)
                        loopback = x;
                else if (!device && x->type == 1 && x->master == 0 && x->lower == 0 && !x->kind)
                        device = x;
        }
        if (!device || !loopback)
                return false;
        chain = add_foreign_chain(w, (WorldTable){.family = NETDEV, .name = "turning"},
                                  (WorldChain){.name = "c", .ingress = true});
        assert_true(arena_append(w->arena, chain->devices, chain->n_devices, device->name));
        for (size_t i = 0; i < 1 + draw(4); i++) {
                WorldRule rule = turning_rule(w, chain, (uint32_t)loopback->index);

                assert_true(arena_append(w->arena, chain->rules, chain->n_rules, rule));
        }
        return true;
}

static void what_comes_back_by_loopback_is_possible_to_the_proof(void **state) {
        Agreement sum = {0};

        for (size_t i = 0; i < 3 * ARRAY_SIZE(corpus); i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                const char *name = corpus[i % ARRAY_SIZE(corpus)];
                World *w = world_of_corpus(a, name);

                if (!w)
                        continue;
                if (w->n_interfaces == 0)
                        surround(w);
                if (!add_turning(w))
                        continue;
                for (Family family = 0; family < _FAMILY_MAX; family++)
                        compare(a, w, family, name, &sum);
        }
        assert_true(sum.n > 20000 && sum.n_turned > 200);
}

static void what_the_evaluator_finds_is_possible_to_the_proof(void **state) {
        Agreement sum = {0};

        for (size_t i = 0; i < ARRAY_SIZE(corpus); i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                World *w = world_of_corpus(a, corpus[i]);

                if (!w)
                        continue;
                if (w->n_interfaces == 0)
                        surround(w);
                for (Family family = 0; family < _FAMILY_MAX; family++)
                        compare(a, w, family, corpus[i], &sum);
        }
        assert_true(sum.n > 20000);
        assert_true(sum.n_dropped > 1000);
}

static void check_same(const char *name, Whole *own, Whole *taken) {
        const char *const *texts[2];
        size_t n[2], n_ends[2];
        const WholeEnd *ends;

        unit_equal(name, whole_finish(own), 0);
        unit_equal(name, whole_finish(taken), 0);
        for (unsigned int v = 0; v < _WHOLE_VARIABLE_MAX || whole_variable_name(own, v); v++) {
                const Axis *x = whole_axis(own, v), *y = whole_axis(taken, v);

                if (v >= _WHOLE_VARIABLE_MAX)
                        assert_string_equal(whole_variable_name(own, v),
                                            whole_variable_name(taken, v));
                unit_equal(name, x->n_lows, y->n_lows);
                for (size_t i = 0; i < x->n_lows; i++)
                        unit_true(name, u128_equal(x->lows[i], y->lows[i]));
        }
        (void)whole_unknown(own, &texts[0], &n[0]);
        (void)whole_unknown(taken, &texts[1], &n[1]);
        unit_equal(name, n[0], n[1]);
        unit_equal(name, whole_walk(own, all_packets, NULL, &ends, &n_ends[0]), 0);
        unit_equal(name, whole_walk(taken, all_packets, NULL, &ends, &n_ends[1]), 0);
        unit_equal(name, n_ends[0], n_ends[1]);
}

static void what_another_has_collected_is_the_same(void **state) {
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(corpus); i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                World *w = world_of_corpus(a, corpus[i]);

                if (!w)
                        continue;
                if (w->n_interfaces == 0)
                        surround(w);
                for (Family family = 0; family < _FAMILY_MAX; family++) {
                        _cleanup_(whole_freep) Whole *own = whole_new(w, family);
                        _cleanup_(whole_freep) Whole *taken = whole_new(w, family);
                        Whole *first = whole_new(w, family);
                        WholeCuts *cuts = NULL;

                        assert_int_equal(whole_share(first, a, &cuts), 0);
                        assert_non_null(cuts);
                        first = whole_free(first); /* it need not live on */
                        assert_int_equal(whole_share(taken, a, &cuts), 0);
                        check_same(corpus[i], own, taken);
                        n++;
                }
        }
        assert_true(n > 4);
}

/* Bytes of the corpus changed at random: what is no kernel's still must not lead to a crash. */
static void whatever_the_rules_are_the_proof_comes_to_an_end(void **state) {
        size_t n = 0;

        for (size_t i = 0; i < 600; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                const char *path =
                        arena_printf(a, "%s/%s", WORLD_CORPUS, corpus[draw(ARRAY_SIZE(corpus))]);
                FILE *f = fopen(path, "rbe");
                size_t room = 1 << 17, size;
                char *bytes = arena_alloc(a, room);
                World *w;

                assert_non_null(f);
                size = fread(bytes, 1, room, f);
                (void)fclose(f);
                for (uint32_t j = 0; j < 1 + draw(20); j++)
                        bytes[draw((uint32_t)size)] = (char)draw(256);
                if (world_decode(a, bytes, size, &w) < 0)
                        continue;
                if (w->n_interfaces == 0)
                        surround(w);
                for (Family family = 0; family < _FAMILY_MAX; family++) {
                        _cleanup_(whole_freep) Whole *x = whole_new(w, family);
                        const WholeEnd *ends;
                        size_t n_ends;

                        if (whole_finish(x) == 0)
                                (void)whole_walk(x, all_packets, NULL, &ends, &n_ends);
                }
                n++;
        }
        assert_true(n > 100);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_the_evaluator_finds_is_possible_to_the_proof),
                cmocka_unit_test(what_comes_back_by_loopback_is_possible_to_the_proof),
                cmocka_unit_test(what_another_has_collected_is_the_same),
                cmocka_unit_test(whatever_the_rules_are_the_proof_comes_to_an_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
