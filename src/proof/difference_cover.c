/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/difference_state.h"

/* As few boxes as will do around all packets that fare otherwise than before. */

#define MINIMAL_MAX 200 /* regions of one kind that are compared with each other */

/* x but for what the regions other than number `but` cover. */
static DiagramId uncovered(Search *s, DiagramId x, const Region *list, size_t n, size_t but) {
        for (size_t i = 0; i < n && x != DIAGRAM_EMPTY; i++)
                if (i != but)
                        x = difference_without(s, x,
                                               difference_box_diagram(s, &list[i].box,
                                                                      list[i].free_facts,
                                                                      _MEANING_VARIABLE_MAX));
        return x;
}

/* Boxes around packets of x until none is left: first among those that are what they seem. */
int difference_cover(Search *s, DiagramId x, bool facts, Region **list, size_t *n) {
        DiagramId about = facts ? s->care : s->usual;
        DiagramId left = uncovered(s, difference_both(s, about, x), *list, *n, SIZE_MAX);
        DiagramId others = difference_without(s, about, x);

        while (left != DIAGRAM_EMPTY && diagram_error(s->d) == 0) {
                uint32_t point[_MEANING_VARIABLE_MAX];
                Region region = {.free_facts = !facts};
                int r;

                if (s->result->n_regions - s->first + *n >= s->max) {
                        s->result->more = true;
                        return 0;
                }
                difference_start(s, point);
                /* what is so of most protocols is told of all but the others */
                point[MEANING_PROTOCOL] = 0;
                if (!diagram_witness(s->d, left, point, NULL, NULL))
                        break;
                r = difference_grow(s, point, others, facts, &region.box);
                if (r == 0)
                        r = difference_trim(s, &region.box, &s->there[facts]);
                if (r < 0)
                        return r;
                left = difference_without(
                        s, left,
                        difference_box_diagram(s, &region.box, !facts, _MEANING_VARIABLE_MAX));
                if (!arena_append(s->scratch, *list, *n, region))
                        return -ENOMEM;
        }
        return diagram_error(s->d);
}

static DiagramId covered_by(Search *s, const Region *region, DiagramId x) {
        return difference_both(
                s,
                difference_box_diagram(s, &region->box, region->free_facts, _MEANING_VARIABLE_MAX),
                x);
}

/* Services that other regions tell of already are not told again, unless that makes more words. */
static int narrow(Search *s, DiagramId x, Region *list, size_t n, size_t i) {
        static const MeaningVariable services[] = {MEANING_PROTOCOL, MEANING_DIALLED_PORT,
                                                   MEANING_ICMP};
        Region *region = &list[i];
        DiagramId own = uncovered(s, covered_by(s, region, x), list, n, i);

        for (size_t j = 0; j < ARRAY_SIZE(services); j++) {
                MeaningVariable v = services[j];
                Box box = {0}, one = {0};
                int r;

                if (v != MEANING_PROTOCOL && region->box.ranges[v][0].low == 0 &&
                    region->box.ranges[v][0].high == UINT32_MAX)
                        continue;
                r = diagram_project(s->d, own, v, s->scratch, &box.ranges[v], &box.n[v]);
                if (r == 0)
                        r = difference_meet(s, &box, &region->box, v, &one);
                if (r < 0)
                        return r;
                if (one.n[v] == 0 || difference_equal_ranges(&one, &s->there[0], v) ||
                    one.n[v] > MAX(region->box.n[v], 2UL))
                        continue;
                region->box.ranges[v] = one.ranges[v];
                region->box.n[v] = one.n[v];
        }
        return 0;
}

/* Later ones may cover what an earlier one was made for; and of two that overlap, one need not tell
 * of what the other one does. */
int difference_thin_out(Search *s, DiagramId x, Region *list, size_t *n) {
        int r = 0;

        if (*n > MINIMAL_MAX || s->result->more)
                return 0;
        for (size_t i = *n; i-- > 0;)
                if (uncovered(s, covered_by(s, &list[i], x), list, *n, i) == DIAGRAM_EMPTY) {
                        memmove(list + i, list + i + 1, (*n - i - 1) * sizeof(*list));
                        (*n)--;
                }
        for (size_t i = 0; i < *n && r == 0; i++)
                r = narrow(s, x, list, *n, i);
        return r < 0 ? r : diagram_error(s->d);
}
