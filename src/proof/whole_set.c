/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/whole_state.h"

/* Sets: the packets whose key they hold. */

DiagramId whole_element(Whole *x, const WorldSet *set, const WorldElement *e, const Byte *key) {
        DiagramId all = DIAGRAM_ALL;
        size_t at = 0;

        if (!set->concatenated || set->n_fields <= 1)
                return whole_between(x, key, set->key_size, e->low, e->high);
        for (size_t i = 0; i < set->n_fields && all != DIAGRAM_EMPTY; i++) {
                all = diagram_and(
                        x->diagram,
                        whole_between(x, key + at, set->fields[i], e->low + at, e->high + at), all);
                at += (set->fields[i] + 3U) / 4U * 4U;
        }
        return all;
}

static DiagramId
elements(Whole *x, const WorldSet *set, const Byte *key, size_t first, size_t n, bool sure) {
        DiagramId r;

        if (n == 1) {
                const WorldElement *e = &set->elements[first];

                if (e->catch_all || (sure && e->maybe))
                        return DIAGRAM_EMPTY;
                r = whole_element(x, set, e, key);
                arena_reset(x->scratch);
                return r;
        }
        r = elements(x, set, key, first, n / 2, sure);
        return whole_join(x, r, elements(x, set, key, first + n / 2, n - n / 2, sure));
}

/* Many elements of one field, at once. */
static bool
plain_elements(Whole *x, const WorldSet *set, const Byte *key, bool sure, DiagramId *ret) {
        const Value *v;
        DiagramRange *ranges;
        Range *items;
        size_t n = 0;

        if (key[0].kind != BYTE_VALUE)
                return false;
        v = &x->values[key[0].value];
        if (v->ranges || v->width != set->key_size || v->width > 16)
                return false;
        for (size_t i = 0; i < set->key_size; i++)
                if (key[i].kind != BYTE_VALUE || key[i].value != key[0].value ||
                    key[i].index != i || key[i].mask != 0xff || key[i].flip != 0)
                        return false;
        items = arena_alloc_array(x->scratch, set->n_elements + 1, sizeof(*items));
        if (!items) {
                (void)whole_fail(x, -ENOMEM);
                return false;
        }
        for (size_t i = 0; i < set->n_elements; i++) {
                const WorldElement *e = &set->elements[i];
                Range r;

                if (e->catch_all || (sure && e->maybe))
                        continue;
                r = (Range){u128_from_bytes(e->low, set->key_size),
                            u128_from_bytes(e->high, set->key_size)};
                if (n > 0 && u128_compare(items[n - 1].high, r.low) >= 0)
                        return false; /* not in order */
                items[n++] = r;
        }
        if (x->collecting) {
                for (size_t i = 0; i < n && !(x->again && v->variable < _WHOLE_VARIABLE_MAX); i++)
                        if (axis_cut(x->arena, &x->variables[v->variable].axis, items[i]) < 0)
                                (void)whole_fail(x, -ENOMEM);
                *ret = DIAGRAM_ALL;
                return true;
        }
        if (!x->variables[v->variable].ready ||
            axis_ranges(x->scratch, &x->variables[v->variable].axis, items, n, &ranges) < 0)
                return false;
        *ret = diagram_literal(x->diagram, v->variable, ranges, n, DIAGRAM_ALL, DIAGRAM_EMPTY);
        return true;
}

static DiagramId set_holds(Whole *x, const WorldSet *set, const Byte *key, bool sure) {
        DiagramId r;

        if (set->n_elements == 0 || set->key_size == 0)
                return DIAGRAM_EMPTY;
        if ((set->concatenated && set->n_fields > 1) || !plain_elements(x, set, key, sure, &r))
                r = elements(x, set, key, 0, set->n_elements, sure);
        arena_reset(x->scratch);
        return r;
}

void whole_lookup(Whole *x,
                  const WorldExpr *e,
                  const Byte *registers,
                  DiagramId *ret_may,
                  DiagramId *ret_sure) {
        const WorldSet *set = e->set;
        const Byte *key = registers + (e->source < 0 ? 0 : e->source * 4);
        bool catch_all = false, perhaps = false;

        *ret_may = DIAGRAM_ALL;
        *ret_sure = DIAGRAM_EMPTY;
        if (e->source < 0 || (size_t)e->source * 4 + set->key_size > WORLD_REGISTERS * 4 ||
            set->unknown) {
                x->vague = true;
                return;
        }
        for (size_t i = 0; i < set->n_elements; i++) {
                catch_all |= set->elements[i].catch_all && !set->elements[i].maybe;
                perhaps |= set->elements[i].catch_all;
        }
        if (catch_all) {
                *ret_sure = DIAGRAM_ALL;
                return;
        }
        *ret_sure = set_holds(x, set, key, true);
        if (!set->dynamic && !perhaps)
                *ret_may = set_holds(x, set, key, false);
}
