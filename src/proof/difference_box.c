/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/difference_state.h"

/* Boxes: of each variable some of its coordinates; regions as people speak of them. */

DiagramId difference_box_diagram(Search *s, const Box *box, bool free_facts, MeaningVariable skip) {
        DiagramId x = DIAGRAM_ALL;

        for (MeaningVariable v = _MEANING_VARIABLE_MAX; v-- > 0;)
                if (v != skip && !(free_facts && difference_is_fact(v)))
                        x = diagram_literal(s->d, v, box->ranges[v], box->n[v], x, DIAGRAM_EMPTY);
        return x;
}

static int complement(Search *s, Box *box, MeaningVariable v, const DiagramRange *bad, size_t n) {
        uint32_t low = 0;

        box->ranges[v] = NULL;
        box->n[v] = 0;
        for (size_t i = 0; i <= n; i++) {
                uint32_t high = i < n ? bad[i].low - 1 : UINT32_MAX;
                DiagramRange r = {low, high};

                if ((i == n || bad[i].low > low) &&
                    !arena_append(s->scratch, box->ranges[v], box->n[v], r))
                        return -ENOMEM;
                if (i < n && bad[i].high == UINT32_MAX)
                        break;
                if (i < n)
                        low = bad[i].high + 1;
        }
        return 0;
}

/* What packets are about last: as many addresses as can be, for as few services as are asked for.
 */
static const MeaningVariable order[] = {
        MEANING_SOURCE_PORT,
        MEANING_ICMP,
        MEANING_DIALLED_PORT,
        MEANING_FINAL_PORT,
        MEANING_PROTOCOL,
        MEANING_USER,
        MEANING_GROUP,
        MEANING_OUT,
        MEANING_IN,
        MEANING_FINAL,
        MEANING_DIALLED,
        MEANING_SOURCE,
        MEANING_LINK,
        MEANING_HOPS,
        MEANING_HOOK,
        MEANING_CLASS,
        MEANING_TIME,
        MEANING_FIB_SOURCE_OUT,
        MEANING_FIB_SOURCE_IN_OUT,
        MEANING_FIB_SOURCE_TYPE,
        MEANING_FIB_DESTINATION_TYPE,
};

/* The largest box around the point that has none of the others. */
int difference_grow(Search *s, const uint32_t *point, DiagramId others, bool facts, Box *ret) {
        Box box = {0};

        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++) {
                DiagramRange one = {point[v], point[v]};

                if (point[v] + 1 == meaning_axis(s->m, v)->n_lows)
                        one.high = UINT32_MAX;
                if (!arena_append(s->scratch, box.ranges[v], box.n[v], one))
                        return -ENOMEM;
        }
        for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
                MeaningVariable v = order[i];
                DiagramRange *bad = NULL;
                size_t n = 0;
                int r;

                if (difference_is_fact(v) && !facts)
                        continue;
                r = diagram_project(
                        s->d, difference_both(s, difference_box_diagram(s, &box, false, v), others),
                        v, s->scratch, &bad, &n);
                if (r == 0)
                        r = complement(s, &box, v, bad, n);
                if (r < 0)
                        return r;
        }
        *ret = box;
        return diagram_error(s->d);
}

/* Which coordinates of x are among those of y. */
int difference_meet(Search *s, const Box *x, const Box *y, MeaningVariable v, Box *ret) {
        DiagramRange *list = NULL;
        size_t n = 0;

        for (size_t i = 0, j = 0; i < x->n[v] && j < y->n[v];) {
                DiagramRange a = x->ranges[v][i], b = y->ranges[v][j];
                DiagramRange r = {MAX(a.low, b.low), MIN(a.high, b.high)};

                if (r.low <= r.high && !arena_append(s->scratch, list, n, r))
                        return -ENOMEM;
                i += a.high <= b.high;
                j += b.high <= a.high;
        }
        ret->ranges[v] = list;
        ret->n[v] = n;
        return 0;
}

bool difference_equal_ranges(const Box *x, const Box *y, MeaningVariable v) {
        return x->n[v] == y->n[v] &&
               memcmp(x->ranges[v], y->ranges[v], x->n[v] * sizeof(x->ranges[v][0])) == 0;
}

/* No word about values that no such packet has. */
int difference_trim(Search *s, Box *box, const Box *there) {
        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++) {
                Box one = {0};

                if (difference_is_fact(v))
                        continue;
                if (difference_meet(s, box, there, v, &one) < 0)
                        return -ENOMEM;
                box->ranges[v] = one.ranges[v];
                box->n[v] = one.n[v];
                if (difference_equal_ranges(box, there, v) && complement(s, box, v, NULL, 0) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int difference_find_there(Search *s, DiagramId x, Box *ret) {
        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++) {
                int r = diagram_project(s->d, x, v, s->scratch, &ret->ranges[v], &ret->n[v]);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* From coordinates back to values. */
static int
to_values(Search *s, MeaningVariable v, const DiagramRange *list, size_t n, RangeSet *ret) {
        const Axis *axis = meaning_axis(s->m, v);
        Range there = meaning_values(s->m, v);

        for (size_t i = 0; i < n; i++) {
                Range r = axis_values(axis, list[i].low);

                if ((size_t)list[i].high + 1 >= axis->n_lows)
                        r.high = there.high;
                else
                        r.high = axis_values(axis, list[i].high).high;
                if (u128_compare(r.low, there.low) < 0)
                        r.low = there.low;
                if (u128_compare(r.high, there.high) > 0)
                        r.high = there.high;
                if (u128_compare(r.low, r.high) <= 0 && range_set_add(s->arena, ret, r) < 0)
                        return -ENOMEM;
        }
        range_set_normalise(ret);
        return 0;
}

int difference_fill_values(Search *s, const Region *region, DifferenceRegion *ret) {
        const Box *box = &region->box, *there = &s->there[!region->free_facts];

        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++) {
                bool fact = difference_is_fact(v);
                RangeSet all = {0};

                ret->all[v] = (fact && region->free_facts) || !difference_has_variable(s, v) ||
                              (v == MEANING_HOOK && s->way != DIFFERENCE_DIALLED);
                if (ret->all[v])
                        continue;
                if (to_values(s, v, box->ranges[v], box->n[v], &ret->values[v]) < 0 ||
                    to_values(s, v, there->ranges[v], there->n[v], &all) < 0 ||
                    range_set_subtract(s->arena, &all, &ret->values[v], &ret->rest[v]) < 0)
                        return -ENOMEM;
                ret->all[v] = ret->rest[v].n_items == 0;
                ret->unusual |= fact && !ret->all[v];
        }
        return 0;
}
