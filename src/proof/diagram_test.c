/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "proof/axis.h"

#define N_LISTS 60
#define N_RULES 60
#define N_PACKETS 2000
#define N_FIELDS 5
#define LABELS 6
#define FALL 7

static uint64_t random_state = 88172645463325252U;

static uint32_t draw(uint32_t below) {
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % below;
}

typedef struct TestRule {
        bool asks[N_FIELDS];
        Range ranges[N_FIELDS][3]; /* ascending, disjoint */
        size_t n_ranges[N_FIELDS];
        bool choice; /* the rule may be passed over, whatever the packet */
        uint16_t label;
} TestRule;

typedef struct TestList {
        TestRule rules[N_RULES];
        size_t n;
        Axis axes[N_FIELDS];
} TestList;

/* Addresses of IPv6 have bits in both halves. */
static U128 draw_value(unsigned int field) {
        static const uint32_t below[N_FIELDS] = {64, 64, 256, 1024, 16};
        uint32_t v = draw(below[field]);

        return field < 2 ? (U128){v / 8, v % 8} : u128(v);
}

static void make_rule(Arena *a, TestList *l, TestRule *r) {
        for (unsigned int f = 0; f < N_FIELDS; f++) {
                size_t n = 1 + draw(3);

                r->asks[f] = draw(3) == 0;
                for (size_t i = 0; r->asks[f] && i < n; i++) {
                        U128 x = draw_value(f), y = draw(2) ? x : draw_value(f);
                        Range range = u128_compare(x, y) < 0 ? (Range){x, y} : (Range){y, x};

                        if (draw(8) == 0)
                                range.high = U128_MAX;
                        if (i > 0 && (u128_compare(range.low, r->ranges[f][i - 1].high) <= 0))
                                break;
                        r->ranges[f][r->n_ranges[f]++] = range;
                        assert_int_equal(axis_cut(a, &l->axes[f], range), 0);
                }
        }
        r->label = (uint16_t)(1 + draw(LABELS - 1));
        r->choice = draw(6) == 0;
}

static DiagramId build_rule(Arena *a, Diagram *d, const TestList *l, const TestRule *r) {
        DiagramId fall = diagram_leaf(d, FALL), x = diagram_leaf(d, r->label);

        if (r->choice)
                x = diagram_union(d, x, fall);
        for (unsigned int f = N_FIELDS; f-- > 0;) {
                DiagramRange *ranges;

                if (!r->asks[f])
                        continue;
                assert_int_equal(axis_ranges(a, &l->axes[f], r->ranges[f], r->n_ranges[f], &ranges),
                                 0);
                x = diagram_literal(d, f, ranges, r->n_ranges[f], x, fall);
        }
        return x;
}

static DiagramId build(Arena *a, Diagram *d, const TestList *l, size_t first, size_t n) {
        DiagramId x;

        if (n == 1)
                return build_rule(a, d, l, &l->rules[first]);
        x = build(a, d, l, first, n / 2);
        return diagram_replace(d, x, FALL, build(a, d, l, first + n / 2, n - n / 2));
}

static bool rule_holds(const TestRule *r, const U128 *packet) {
        for (unsigned int f = 0; f < N_FIELDS; f++) {
                bool in = false;

                for (size_t i = 0; i < r->n_ranges[f]; i++)
                        in |= u128_compare(packet[f], r->ranges[f][i].low) >= 0 &&
                              u128_compare(packet[f], r->ranges[f][i].high) <= 0;
                if (r->asks[f] && !in)
                        return false;
        }
        return true;
}

/* Bits of the labels that the packet may get, by walking the list. */
static uint32_t walk(const TestList *l, const U128 *packet) {
        uint32_t labels = 0;

        for (size_t i = 0; i < l->n; i++) {
                if (!rule_holds(&l->rules[i], packet))
                        continue;
                labels |= 1U << l->rules[i].label;
                if (!l->rules[i].choice)
                        return labels;
        }
        return labels | 1U << FALL;
}

static uint32_t labels_at(const Diagram *d, DiagramId x, const uint32_t *point) {
        const uint16_t *labels;
        size_t n = diagram_leaf_labels(d, diagram_at(d, x, point), &labels);
        uint32_t bits = 0;

        for (size_t i = 0; i < n; i++)
                bits |= 1U << labels[i];
        return bits;
}

static TestList *make_list(Arena *a) {
        TestList *l = arena_new0(a, TestList);

        l->n = 1 + draw(N_RULES);
        for (size_t i = 0; i < l->n; i++)
                make_rule(a, l, &l->rules[i]);
        for (unsigned int f = 0; f < N_FIELDS; f++)
                assert_int_equal(axis_finish(a, &l->axes[f]), 0);
        return l;
}

static void draw_packet(const TestList *l, U128 *packet, uint32_t *point) {
        for (unsigned int f = 0; f < N_FIELDS; f++) {
                const Axis *axis = &l->axes[f];

                packet[f] = draw(4) == 0 ? draw_value(f) : axis->lows[draw((uint32_t)axis->n_lows)];
                if (draw(4) == 0)
                        packet[f] = u128_previous(packet[f]);
                point[f] = axis_coordinate(axis, packet[f]);
        }
}

static void a_list_of_rules_means_what_walking_it_says(void **state) {
        for (size_t i = 0; i < N_LISTS; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                _cleanup_(diagram_freep) Diagram *d = diagram_new(0);
                const TestList *l = make_list(a);
                DiagramId x = build(a, d, l, 0, l->n);

                for (size_t j = 0; j < N_PACKETS; j++) {
                        uint32_t point[N_FIELDS];
                        U128 packet[N_FIELDS];

                        draw_packet(l, packet, point);
                        assert_int_equal(labels_at(d, x, point), walk(l, packet));
                }
                assert_int_equal(diagram_error(d), 0);
        }
}

static void equal_meanings_are_one_diagram(void **state) {
        for (size_t i = 0; i < N_LISTS; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                _cleanup_(diagram_freep) Diagram *d = diagram_new(0);
                const TestList *l = make_list(a);
                DiagramId x = build(a, d, l, 0, l->n), y = diagram_leaf(d, FALL);

                /* one after the other, from the end, instead of halves */
                for (size_t j = l->n; j-- > 0;)
                        y = diagram_replace(d, build_rule(a, d, l, &l->rules[j]), FALL, y);
                assert_int_equal(x, y);
                assert_int_equal(diagram_difference(d, x, y), DIAGRAM_EMPTY);
        }
}

static void a_witness_is_in_the_diagram_and_there_is_one_unless_it_is_empty(void **state) {
        for (size_t i = 0; i < N_LISTS; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                _cleanup_(diagram_freep) Diagram *d = diagram_new(0);
                const TestList *l = make_list(a);
                DiagramId x = build(a, d, l, 0, l->n);

                for (uint16_t label = 1; label <= LABELS; label++) {
                        DiagramId may = diagram_where_may(d, x, label);
                        DiagramId must = diagram_where_must(d, x, label);
                        uint32_t point[N_FIELDS] = {3, 2, 1, 0, 4}, other[N_FIELDS] = {0};

                        assert_int_equal(diagram_minus(d, must, may), DIAGRAM_EMPTY);
                        assert_int_equal(diagram_witness(d, may, point, NULL, NULL),
                                         may != DIAGRAM_EMPTY);
                        if (may != DIAGRAM_EMPTY)
                                assert_true(labels_at(d, x, point) & 1U << label);
                        if (diagram_witness(d, must, other, NULL, NULL))
                                assert_int_equal(labels_at(d, x, other), 1U << label);
                }
        }
}

static void quantifiers_leave_the_first_variables_and_ask_for_the_rest(void **state) {
        for (size_t i = 0; i < N_LISTS; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                _cleanup_(diagram_freep) Diagram *d = diagram_new(0);
                const TestList *l = make_list(a);
                DiagramId x = diagram_where_may(d, build(a, d, l, 0, l->n), 1);
                DiagramId some = diagram_exists(d, x, 4), all = diagram_for_all(d, x, 4);
                bool support[DIAGRAM_VARIABLES_MAX] = {0};

                diagram_support(d, some, support);
                diagram_support(d, all, support);
                assert_false(support[4]);
                for (size_t j = 0; j < 200; j++) {
                        bool any = false, every = true;
                        uint32_t point[N_FIELDS];
                        U128 packet[N_FIELDS];

                        draw_packet(l, packet, point);
                        for (point[4] = 0; point[4] < l->axes[4].n_lows; point[4]++) {
                                bool in = diagram_at(d, x, point) != DIAGRAM_EMPTY;

                                any |= in;
                                every &= in;
                        }
                        assert_int_equal(diagram_at(d, some, point) != DIAGRAM_EMPTY, any);
                        assert_int_equal(diagram_at(d, all, point) != DIAGRAM_EMPTY, every);
                }
        }
}

static void labels_change_places_all_at_once(void **state) {
        _cleanup_(diagram_freep) Diagram *d = diagram_new(0);
        static const uint16_t map[] = {0, 2, 1}, same[] = {0, 5, 5};
        DiagramId one = diagram_leaf(d, 1), two = diagram_leaf(d, 2);
        DiagramId x = diagram_literal(d, 3, &(DiagramRange){4, 9}, 1, one, two);
        DiagramId both = diagram_union(d, one, two);

        assert_int_equal(diagram_relabel(d, x, map, 3),
                         diagram_literal(d, 3, &(DiagramRange){4, 9}, 1, two, one));
        assert_int_equal(diagram_relabel(d, both, map, 3), both);
        assert_int_equal(diagram_relabel(d, x, same, 3), diagram_leaf(d, 5));
}

static void past_its_limit_everything_is_refused(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        _cleanup_(diagram_freep) Diagram *d = diagram_new(100);
        TestList *l = make_list(a);

        while (l->n < 20)
                l = make_list(a);
        assert_int_equal(build(a, d, l, 0, l->n), DIAGRAM_EMPTY);
        assert_int_equal(diagram_error(d), -E2BIG);
        assert_int_equal(
                diagram_literal(d, 0, &(DiagramRange){1, 1}, 1, DIAGRAM_ALL, DIAGRAM_EMPTY),
                DIAGRAM_EMPTY);
}

static void a_coordinate_stands_for_what_nobody_cuts(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Axis axis = {0};

        assert_int_equal(axis_cut(a, &axis, (Range){u128(80), u128(90)}), 0);
        assert_int_equal(axis_cut(a, &axis, (Range){{1, 0}, U128_MAX}), 0);
        assert_int_equal(axis_cut(a, &axis, range_single(u128(22))), 0);
        assert_int_equal(axis_finish(a, &axis), 0);
        assert_int_equal(axis.n_lows, 6);
        assert_int_equal(axis_coordinate(&axis, u128(21)), 0);
        assert_int_equal(axis_coordinate(&axis, u128(22)), 1);
        assert_int_equal(axis_coordinate(&axis, u128(23)), 2);
        assert_int_equal(axis_coordinate(&axis, u128(90)), 3);
        assert_int_equal(axis_coordinate(&axis, u128(UINT64_MAX)), 4);
        assert_int_equal(axis_coordinate(&axis, U128_MAX), 5);
        assert_true(range_equal(axis_values(&axis, 3), (Range){u128(80), u128(90)}));
        assert_true(range_equal(axis_values(&axis, 5), (Range){{1, 0}, U128_MAX}));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_list_of_rules_means_what_walking_it_says),
                cmocka_unit_test(equal_meanings_are_one_diagram),
                cmocka_unit_test(a_witness_is_in_the_diagram_and_there_is_one_unless_it_is_empty),
                cmocka_unit_test(quantifiers_leave_the_first_variables_and_ask_for_the_rest),
                cmocka_unit_test(labels_change_places_all_at_once),
                cmocka_unit_test(past_its_limit_everything_is_refused),
                cmocka_unit_test(a_coordinate_stands_for_what_nobody_cuts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
