/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "proof/whole_state.h"

/* Rules and chains. A rule's packets end with labels: accepted, dropped, on to the next rule, back
 * to the caller; each but the drop with what has been changed. */

#define SMALL 2000       /* edges of a diagram that may be a part of all that follow */
#define BRANCHES_MAX 256 /* values of a map that are followed one by one */
#define DEPTH_MAX 40

typedef struct Registers {
        Byte bytes[WORLD_REGISTERS * 4];
} Registers;

static DiagramId leaf(Whole *x, DiagramId care, size_t change, unsigned int kind) {
        return diagram_and(x->diagram, care, diagram_leaf(x->diagram, label_of(change, kind)));
}

static DiagramId drop(Whole *x, DiagramId care) {
        return diagram_and(x->diagram, care, diagram_leaf(x->diagram, LABEL_DROP));
}

static DiagramId join(Whole *x, DiagramId a, DiagramId b) {
        return diagram_union(x->diagram, a, b);
}

/* Then. */

typedef struct Found {
        Whole *x;
        unsigned int kind;
        bool changes[WHOLE_CHANGES_MAX];
} Found;

static void find_changes(void *context, DiagramId node) {
        Found *f = context;
        const uint16_t *labels;
        size_t n = diagram_leaf_labels(f->x->diagram, node, &labels);

        for (size_t i = 0; i < n; i++)
                if (labels[i] >= LABEL_FIRST && (labels[i] - LABEL_FIRST) % 4U == f->kind)
                        f->changes[(labels[i] - LABEL_FIRST) / 4U] = true;
}

DiagramId
whole_then(Whole *x, DiagramId before, unsigned int kind, WholeNext next, const void *context) {
        Found *f = calloc(1, sizeof(*f));
        size_t n = x->n_changes;
        DiagramId result = before;

        if (!f)
                return whole_fail(x, -ENOMEM);
        f->x = x;
        f->kind = kind;
        diagram_visit_leaves(x->diagram, before, find_changes, f);
        /* what goes on is set aside first: what comes of one may look like another */
        for (size_t i = 0; i < n; i++)
                if (f->changes[i])
                        result = diagram_replace(
                                x->diagram, result, label_of(i, kind),
                                diagram_leaf(x->diagram, label_of(i, LABEL_PENDING)));
        for (size_t i = 0; i < n && whole_error(x) == 0; i++) {
                DiagramId care;

                if (!f->changes[i])
                        continue;
                care = diagram_where_may(x->diagram, before, label_of(i, kind));
                result = diagram_replace(x->diagram, result, label_of(i, LABEL_PENDING),
                                         next(x, context, i, care));
        }
        free(f);
        return result;
}

/* Sets. */

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
        return join(x, r, elements(x, set, key, first + n / 2, n - n / 2, sure));
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

/* Tests. */

static DiagramId ports_hold(Whole *x, const WorldPorts *p, const WholeChange *c) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < p->n && i < 15; i++) {
                Range r = {u128(p->ranges[i].low), u128(p->ranges[i].high)};

                if (p->source)
                        sum = join(x, sum, whole_where(x, WHOLE_SOURCE_PORT, &r, 1));
                if (p->destination && c->has_port && !x->collecting)
                        sum = c->port >= p->ranges[i].low && c->port <= p->ranges[i].high
                                      ? DIAGRAM_ALL
                                      : sum;
                else if (p->destination)
                        sum = join(x, sum, whole_where(x, WHOLE_DESTINATION_PORT, &r, 1));
        }
        return sum;
}

static DiagramId compare_holds(Whole *x, const WorldExpr *e, const Byte *b) {
        uint8_t low[WORLD_DATA_MAX] = {0}, high[WORLD_DATA_MAX];
        size_t n = e->data.size;
        DiagramId r;

        memset(high, 0xff, sizeof(high));
        switch (e->op) {
        case WORLD_EQUAL:
        case WORLD_NOT_EQUAL:
                r = whole_between(x, b, n, e->data.bytes, e->data.bytes);
                return e->op == WORLD_EQUAL ? r : diagram_minus(x->diagram, DIAGRAM_ALL, r);
        case WORLD_LESS_EQUAL:
        case WORLD_GREATER:
                r = whole_between(x, b, n, low, e->data.bytes);
                return e->op == WORLD_LESS_EQUAL ? r : diagram_minus(x->diagram, DIAGRAM_ALL, r);
        case WORLD_GREATER_EQUAL:
        case WORLD_LESS:
                r = whole_between(x, b, n, e->data.bytes, high);
                return e->op == WORLD_GREATER_EQUAL ? r : diagram_minus(x->diagram, DIAGRAM_ALL, r);
        }
        return DIAGRAM_ALL;
}

/* Without an answer, both. */
void whole_test(Whole *x,
                const WorldExpr *e,
                const Byte *registers,
                DiagramId *ret_may,
                DiagramId *ret_not) {
        const Byte *b = registers + (e->source < 0 ? 0 : e->source * 4);
        DiagramId r = DIAGRAM_ALL, sure;

        x->vague = false;
        if (e->kind == WORLD_LOOKUP) {
                whole_lookup(x, e, registers, &r, &sure);
                if (!x->vague) {
                        DiagramId absent = diagram_minus(x->diagram, DIAGRAM_ALL, sure);

                        *ret_may = e->inverted ? absent : r;
                        *ret_not = e->inverted ? r : absent;
                        return;
                }
        } else if (e->source < 0 || (size_t)e->source * 4 + e->data.size > WORLD_REGISTERS * 4 ||
                   e->data.size == 0) {
                x->vague = true;
        } else if (e->kind == WORLD_CMP) {
                r = compare_holds(x, e, b);
        } else {
                r = whole_between(x, b, e->data.size, e->data.bytes, e->high.bytes);
                r = e->inverted ? diagram_minus(x->diagram, DIAGRAM_ALL, r) : r;
        }
        arena_reset(x->scratch);
        if (x->vague) {
                /* the registers, or the set, may be others when it is asked again */
                if (!x->collecting)
                        whole_note(x, e->name);
                *ret_may = *ret_not = DIAGRAM_ALL;
                return;
        }
        *ret_may = r;
        *ret_not = diagram_minus(x->diagram, DIAGRAM_ALL, r);
}

/* Registers into registers. */

static Byte *at(Registers *r, int8_t number, size_t size) {
        if (number < 0 || (size_t)number * 4 + size > WORLD_REGISTERS * 4)
                return NULL;
        return r->bytes + number * 4;
}

static void bitwise(Registers *r, const WorldExpr *e) {
        Byte *from = at(r, e->source, e->size), *to = at(r, e->target, e->size);

        for (size_t i = 0; from && to && i < e->size; i++) {
                Byte b = from[i];

                if (e->shift != 0 || i >= WORLD_DATA_MAX)
                        b = (Byte){.kind = BYTE_ANY};
                else if (e->mask.bytes[i] == 0)
                        b = (Byte){.kind = BYTE_KNOWN, .known = e->data.bytes[i]};
                else if (b.kind == BYTE_KNOWN)
                        b.known = (uint8_t)((b.known & e->mask.bytes[i]) ^ e->data.bytes[i]);
                else {
                        b.flip = (uint8_t)((b.flip & e->mask.bytes[i]) ^ e->data.bytes[i]);
                        b.mask &= e->mask.bytes[i];
                }
                to[i] = b;
        }
}

static void byteorder(Registers *r, const WorldExpr *e) {
        Byte *from = at(r, e->source, e->size), *to = at(r, e->target, e->size);
        Byte copy[WORLD_REGISTERS * 4];

        if (!from || !to || e->unit == 0)
                return;
        memcpy(copy, from, e->size * sizeof(*from));
        for (size_t i = 0; i < e->size; i++) {
                size_t unit = i / e->unit * e->unit, mirrored = unit + e->unit - 1 - (i - unit);

                if (mirrored < e->size)
                        to[i] = copy[mirrored];
        }
}

static bool known_value(Registers *r, int8_t number, size_t size, uint8_t *ret) {
        const Byte *b = at(r, number, size);

        for (size_t i = 0; b && i < size; i++) {
                if (b[i].kind != BYTE_KNOWN)
                        return false;
                ret[i] = b[i].known;
        }
        return b != NULL;
}

/* Effects. */

static void
set_mark(const Whole *x, Registers *r, const WorldExpr *e, bool connection, WholeChange *c) {
        uint32_t value = 0;
        bool known = known_value(r, e->source, 4, (uint8_t *)&value);

        if (e->key != (connection ? (uint32_t)NFT_CT_MARK : (uint32_t)NFT_META_MARK)) {
                /* what else is set may be asked for later */
                c->any_else |=
                        !(e->key == NFT_META_NFTRACE || e->key == NFT_META_PRIORITY) || connection;
                return;
        }
        if (connection) {
                if (x->stage == STAGE_RAW || c->untracked)
                        return; /* there is no connection yet, or ever */
                c->ct_mark = known ? value : 0;
                c->any_ct_mark = !known;
        } else {
                c->mark = known ? value : 0;
                c->any_mark = !known;
        }
}

static DiagramId with_ports(Whole *x, bool icmp);

/* The region of packets whose destination is the same already: for them nothing is translated. */
static DiagramId same_destination(Whole *x, const WholeChange *c) {
        DiagramId same = DIAGRAM_ALL;
        Range r = range_single(c->address), port = range_single(u128(c->port));

        if (c->has_address)
                same = whole_where(x, WHOLE_DESTINATION, &r, 1);
        if (c->has_port)
                same = diagram_and(x->diagram, same,
                                   whole_where(x, WHOLE_DESTINATION_PORT, &port, 1));
        return same;
}

/* Packets that arrive by an interface which may have no address for them: a redirect drops those
 * (nf_nat_redirect.c). */
static DiagramId without_address(Whole *x) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < x->n_arrivals; i++) {
                Range in = range_single(u128(i));
                bool found = false;

                for (size_t j = 0; j < x->world->n_addresses; j++) {
                        const WorldAddress *a = &x->world->addresses[j];

                        found |= a->family == x->family &&
                                 a->index == x->world->interfaces[x->arrivals[i].interface].index &&
                                 (a->family == FAMILY_IPV4 || a->address.high >> 54 != 0x3fa);
                }
                if (!found)
                        sum = join(x, sum, whole_where(x, WHOLE_IN, &in, 1));
        }
        return sum;
}

static DiagramId
translate_tracked(Whole *x, const WorldExpr *e, Registers *r, size_t change, DiagramId care);

static DiagramId
translate(Whole *x, const WorldExpr *e, Registers *r, size_t change, DiagramId care) {
        const WorldNat *nat = &e->nat;
        WholeChange c = x->changes[change], none = c;

        if (care == DIAGRAM_EMPTY)
                return DIAGRAM_EMPTY;
        none.done = c.done = true;
        if (nat->kind == WORLD_SNAT || nat->kind == WORLD_MASQUERADE) {
                c.any_source = true;
                return leaf(x, care, whole_change(x, &c), LABEL_ACCEPT);
        }
        if (!x->collecting) {
                /* without a connection nothing is translated */
                DiagramId odd = diagram_and(x->diagram, whole_where_odd(x), care);

                if (odd != DIAGRAM_EMPTY && nat->kind != WORLD_SNAT)
                        return join(x, leaf(x, odd, whole_change(x, &none), LABEL_ACCEPT),
                                    translate_tracked(x, e, r, change, care));
        }
        return translate_tracked(x, e, r, change, care);
}

static DiagramId
translate_tracked(Whole *x, const WorldExpr *e, Registers *r, size_t change, DiagramId care) {
        const WorldNat *nat = &e->nat;
        size_t width = x->family == FAMILY_IPV4 ? 4 : 16;
        uint8_t bytes[16] = {0}, high[16] = {0};
        WholeChange c = x->changes[change], none = c;
        DiagramId same, ports;

        if (care == DIAGRAM_EMPTY)
                return DIAGRAM_EMPTY;
        none.done = c.done = true;
        ports = with_ports(x, false);
        if (nat->port_low >= 0 && !x->collecting &&
            diagram_minus(x->diagram, care, ports) != DIAGRAM_EMPTY) {
                /* what has no ports gets no other one */
                WorldExpr without_port = *e;

                without_port.nat.port_low = without_port.nat.port_high = -1;
                return join(
                        x, translate_tracked(x, e, r, change, diagram_and(x->diagram, ports, care)),
                        translate_tracked(x, &without_port, r, change,
                                          diagram_minus(x->diagram, care, ports)));
        }
        if (c.has_address || c.has_port) {
                c.any_address = c.any_port = c.any_else = true;
                c.translated = true;
                return leaf(x, care, whole_change(x, &c), LABEL_ACCEPT);
        }
        c.translated = true;
        if (nat->address_low >= 0) {
                c.has_address =
                        known_value(r, nat->address_low, width, bytes) &&
                        (nat->address_high < 0 || (known_value(r, nat->address_high, width, high) &&
                                                   memcmp(bytes, high, width) == 0));
                c.any_address = !c.has_address;
                c.address = c.has_address ? u128_from_bytes(bytes, width) : U128_ZERO;
        }
        c.here = nat->kind == WORLD_REDIRECT;
        if (nat->port_low >= 0) {
                c.has_port = known_value(r, nat->port_low, 2, bytes) &&
                             (nat->port_high < 0 || (known_value(r, nat->port_high, 2, high) &&
                                                     memcmp(bytes, high, 2) == 0));
                c.any_port = !c.has_port;
                c.port = c.has_port ? (uint16_t)(bytes[0] << 8 | bytes[1]) : 0;
        }
        if (c.any_address || c.any_port || c.here) {
                WholeChange same_as_before = c; /* by chance: then it counts as not translated */
                DiagramId to;

                same_as_before.translated = false;
                to = join(x, leaf(x, care, whole_change(x, &c), LABEL_ACCEPT),
                          leaf(x, care, whole_change(x, &same_as_before), LABEL_ACCEPT));
                return c.here ? join(x, drop(x, diagram_and(x->diagram, without_address(x), care)),
                                     to)
                              : to;
        }
        same = same_destination(x, &c);
        if (x->collecting)
                return DIAGRAM_EMPTY;
        return join(
                x,
                leaf(x, diagram_and(x->diagram, same, care), whole_change(x, &none), LABEL_ACCEPT),
                leaf(x, diagram_minus(x->diagram, care, same), whole_change(x, &c), LABEL_ACCEPT));
}

/* The change after which nothing is known. */
static size_t anything(Whole *x, size_t change) {
        WholeChange c = x->changes[change];

        c.any_address = c.any_port = c.any_source = c.any_mark = c.any_ct_mark = c.any_else = true;
        c.has_address = c.has_port = false;
        c.address = U128_ZERO;
        c.port = 0;
        return whole_change(x, &c);
}

static DiagramId verdict(Whole *x, WorldVerdict v, bool bypass, size_t change, DiagramId care) {
        DiagramId r;

        if (care == DIAGRAM_EMPTY || (x->collecting && v.chain))
                return DIAGRAM_EMPTY;
        if ((v.kind == WORLD_JUMP || v.kind == WORLD_GOTO) && !v.chain) {
                /* to a chain that was not read: anything may be */
                r = join(x, drop(x, care), leaf(x, care, anything(x, change), LABEL_ACCEPT));
                return join(x, r, leaf(x, care, anything(x, change), LABEL_FALL));
        }
        switch (v.kind) {
        case WORLD_ACCEPT:
                return leaf(x, care, change, LABEL_ACCEPT);
        case WORLD_DROP:
                return drop(x, care);
        case WORLD_QUEUE:
        case WORLD_STOLEN:
                /* by a program, which may also change the packet */
                r = join(x, drop(x, care), leaf(x, care, change, LABEL_ACCEPT));
                return join(x, r, leaf(x, care, anything(x, change), LABEL_ACCEPT));
        case WORLD_JUMP:
                return diagram_and(x->diagram, care, whole_chain(x, v.chain, change, care));
        case WORLD_GOTO:
                r = diagram_and(x->diagram, care, whole_chain(x, v.chain, change, care));
                return diagram_relabel(x->diagram, r, x->fall_to_return,
                                       LABEL_FIRST + WHOLE_CHANGES_MAX * 4);
        case WORLD_RETURN:
                return leaf(x, care, change, LABEL_RETURN);
        case WORLD_CONTINUE:
        case WORLD_BREAK:
                break;
        }
        return leaf(x, care, change, LABEL_FALL);
}

static DiagramId
exec(Whole *x, const WorldRule *rule, size_t i, Registers *r, size_t change, DiagramId guard);

/* A map: of verdicts, or of values that the rest of the rule goes on with. */
static DiagramId
map(Whole *x, const WorldRule *rule, size_t i, Registers *r, size_t change, DiagramId guard) {
        const WorldExpr *e = &rule->exprs[i];
        const WorldSet *set = e->set;
        const Byte *key = r->bytes + (e->source < 0 ? 0 : e->source * 4);
        DiagramId sum = DIAGRAM_EMPTY, rest = guard, fall;
        const WorldElement *catch_all = NULL;
        bool vague = set->unknown || set->dynamic || e->source < 0 ||
                     (size_t)e->source * 4 + set->key_size > WORLD_REGISTERS * 4 ||
                     (!set->is_verdict_map && set->n_elements > BRANCHES_MAX);

        for (size_t j = 0; j < set->n_elements && !vague; j++) {
                const WorldElement *el = &set->elements[j];
                Registers next = *r;
                DiagramId here;

                if (el->catch_all) {
                        catch_all = el;
                        continue;
                }
                x->vague = false;
                here = whole_element(x, set, el, key);
                arena_reset(x->scratch);
                vague = x->vague;
                here = diagram_and(x->diagram, here, guard);
                if (vague || here == DIAGRAM_EMPTY)
                        continue;
                if (!el->maybe && !x->collecting)
                        rest = diagram_minus(x->diagram, rest, here);
                if (set->is_verdict_map) {
                        sum = join(x, sum, verdict(x, el->verdict, false, change, here));
                        continue;
                }
                for (size_t k = 0; k < set->value_size && e->target >= 0 &&
                                   (size_t)e->target * 4 + k < WORLD_REGISTERS * 4;
                     k++)
                        next.bytes[e->target * 4 + (int)k] =
                                (Byte){.kind = BYTE_KNOWN, .known = el->value ? el->value[k] : 0};
                sum = join(x, sum, exec(x, rule, i + 1, &next, change, here));
        }
        fall = leaf(x, rest, change, LABEL_FALL);
        if (!vague && (!catch_all || catch_all->maybe))
                sum = join(x, sum, fall);
        if (!vague && !catch_all)
                return sum;
        /* which element it is, is not known: any of them, or none */
        rest = vague ? guard : rest;
        sum = vague ? leaf(x, guard, change, LABEL_FALL) : sum;
        for (size_t j = 0; j < set->n_elements && set->is_verdict_map; j++)
                if (vague || &set->elements[j] == catch_all)
                        sum = join(x, sum,
                                   verdict(x, set->elements[j].verdict, false, change, rest));
        if (!set->is_verdict_map) {
                Registers next = *r;

                for (size_t k = 0; k < MAX(set->value_size, 4) && e->target >= 0 &&
                                   (size_t)e->target * 4 + k < WORLD_REGISTERS * 4;
                     k++)
                        next.bytes[e->target * 4 + (int)k] =
                                vague ? (Byte){.kind = BYTE_ANY}
                                      : (Byte){.kind = BYTE_KNOWN,
                                               .known = catch_all->value && k < set->value_size
                                                                ? catch_all->value[k]
                                                                : 0};
                sum = join(x, sum, exec(x, rule, i + 1, &next, change, rest));
        }
        if (vague && (set->unknown || set->dynamic)) {
                whole_note(x, e->name);
                sum = join(x, sum, join(x, drop(x, guard), leaf(x, guard, change, LABEL_ACCEPT)));
                if (set->is_verdict_map)
                        sum = join(x, sum, leaf(x, guard, anything(x, change), LABEL_FALL));
        }
        return sum;
}

static DiagramId with_ports(Whole *x, bool icmp) {
        static const uint8_t protocols[] = {IPPROTO_TCP,     IPPROTO_UDP,  IPPROTO_SCTP,
                                            IPPROTO_UDPLITE, IPPROTO_DCCP, IPPROTO_ICMP,
                                            IPPROTO_ICMPV6};
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < (icmp ? 7 : 5); i++) {
                Range r = range_single(u128(protocols[i]));

                sum = join(x, sum, whole_where(x, WHOLE_PROTOCOL, &r, 1));
        }
        return sum;
}

/* Messages of ICMP that conntrack holds for no beginning of anything: invalid, or untracked. */
DiagramId whole_where_odd(Whole *x) {
        static const uint8_t asks4[] = {8, 13, 15, 17}, asks6[] = {128, 139};
        bool v4 = x->family == FAMILY_IPV4;
        Range icmp = range_single(u128(v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6));
        DiagramId odd = whole_where(x, WHOLE_PROTOCOL, &icmp, 1);

        for (size_t i = 0; i < (v4 ? ARRAY_SIZE(asks4) : ARRAY_SIZE(asks6)); i++) {
                unsigned int type = (v4 ? asks4[i] : asks6[i]);
                Range r = {u128(type << 8), u128(type << 8 | 0xff)};

                odd = diagram_minus(x->diagram, odd, whole_where(x, WHOLE_SOURCE_PORT, &r, 1));
        }
        return odd;
}

/* What becomes of them besides, as they have no connection. */
static DiagramId odd_load(Whole *x,
                          const WorldRule *rule,
                          size_t i,
                          const Registers *r,
                          size_t change,
                          DiagramId guard) {
        static const uint32_t states[] = {1, 64}; /* invalid, untracked */
        const WorldExpr *e = &rule->exprs[i];
        DiagramId odd = diagram_and(x->diagram, whole_where_odd(x), guard), sum = DIAGRAM_EMPTY;

        if (odd == DIAGRAM_EMPTY || x->changes[change].untracked || x->stage == STAGE_RAW)
                return DIAGRAM_EMPTY;
        if (e->key != NFT_CT_STATE)
                return leaf(x, odd, change, LABEL_FALL);
        for (size_t s = 0; s < ARRAY_SIZE(states); s++) {
                const uint8_t *bytes = (const uint8_t *)&states[s];
                Registers next = *r;
                Byte *to = at(&next, e->target, 4);

                for (size_t k = 0; to && k < 4; k++)
                        to[k] = (Byte){.kind = BYTE_KNOWN, .known = bytes[k]};
                sum = join(x, sum, exec(x, rule, i + 1, &next, change, odd));
        }
        return sum;
}

/* Loads; *guard: packets that go on, and what becomes of others is returned. */
static DiagramId
load(Whole *x, const WorldRule *rule, size_t i, Registers *r, size_t change, DiagramId *guard) {
        const WorldExpr *e = &rule->exprs[i];
        WholeChange c = x->changes[change];
        int how = whole_load(x, e, r->bytes, &c);
        Range tcp = range_single(u128(IPPROTO_TCP));
        DiagramId known, others;

        arena_reset(x->scratch);
        if (how == 0 || x->collecting)
                return DIAGRAM_EMPTY;
        if (how == 1 || how == 2) {
                others = leaf(x, *guard, change, LABEL_FALL);
                *guard = how == 1 ? DIAGRAM_EMPTY : *guard;
                return others;
        }
        known = how == 6   ? whole_where_typed(x, e->offset & NFTA_FIB_F_SADDR)
                : how == 5 ? whole_where(x, WHOLE_PROTOCOL, &tcp, 1)
                           : with_ports(x, how == 3);
        others = diagram_minus(x->diagram, *guard, known);
        if (how == 3 || how == 5)
                return leaf(x, others, change, LABEL_FALL); /* and they go on, too */
        /* ports of what has none, a type that depends on more */
        *guard = diagram_and(x->diagram, known, *guard);
        if (others == DIAGRAM_EMPTY)
                return DIAGRAM_EMPTY;
        Registers any = *r;
        for (size_t k = 0;
             k < 4 && e->target >= 0 && (size_t)e->target * 4 + k < WORLD_REGISTERS * 4; k++)
                any.bytes[e->target * 4 + (int)k] = (Byte){.kind = BYTE_ANY};
        return join(x, leaf(x, others, change, LABEL_FALL),
                    exec(x, rule, i + 1, &any, change, others));
}

/* ringwall's own rules go on as long as a limit is not reached. */
static bool is_own_limit(const WorldRule *rule, const WorldExpr *e) {
        const WorldTable *t = rule->chain ? rule->chain->table : NULL;

        return t && t->family == NFPROTO_INET && streq(t->name, "ringwall") &&
               (streq(e->name, "limit") || startswith(e->name, "dynset"));
}

static DiagramId unknown(Whole *x, const WorldExpr *e, size_t change, DiagramId guard) {
        DiagramId r = leaf(x, guard, change, LABEL_FALL);

        if (!x->collecting)
                whole_note(x, e->name);
        /* a match holds or not; a target may do and change anything */
        if (startswith(e->name, "xt match"))
                return r;
        r = join(x, r, drop(x, guard));
        r = join(x, r, leaf(x, guard, change, LABEL_ACCEPT));
        r = join(x, r, leaf(x, guard, change, LABEL_RETURN));

        r = join(x, r, leaf(x, guard, anything(x, change), LABEL_FALL));
        return join(x, r, leaf(x, guard, anything(x, change), LABEL_ACCEPT));
}

static DiagramId
exec(Whole *x, const WorldRule *rule, size_t i, Registers *r, size_t change, DiagramId guard) {
        DiagramId sum = DIAGRAM_EMPTY, may, not ;

        for (; i < rule->n_exprs && guard != DIAGRAM_EMPTY && whole_error(x) == 0; i++) {
                const WorldExpr *e = &rule->exprs[i];
                WholeChange c = x->changes[change];

                switch (e->kind) {
                case WORLD_PAYLOAD:
                case WORLD_META:
                case WORLD_CT:
                case WORLD_FIB:
                case WORLD_EXTHDR:
                case WORLD_DATA:
                case WORLD_LOAD_ANY:
                        if (e->kind == WORLD_CT && !x->collecting)
                                sum = join(x, sum, odd_load(x, rule, i, r, change, guard));
                        sum = join(x, sum, load(x, rule, i, r, change, &guard));
                        break;
                case WORLD_BITWISE:
                        bitwise(r, e);
                        break;
                case WORLD_BYTEORDER:
                        byteorder(r, e);
                        break;
                case WORLD_CMP:
                case WORLD_RANGE:
                case WORLD_LOOKUP:
                        if (e->kind == WORLD_LOOKUP && e->set->is_map && !e->inverted &&
                            (e->set->is_verdict_map || e->target >= 0))
                                return join(x, sum, map(x, rule, i, r, change, guard));
                        whole_test(x, e, r->bytes, &may, &not );
                        if (x->collecting)
                                break;
                        sum = join(
                                x, sum,
                                leaf(x, diagram_and(x->diagram, not, guard), change, LABEL_FALL));
                        guard = diagram_and(x->diagram, may, guard);
                        break;
                case WORLD_PORTS:
                        may = ports_hold(x, e->ports, &c);
                        if (x->collecting)
                                break;
                        if (c.any_port || c.any_else) {
                                sum = join(x, sum, leaf(x, guard, change, LABEL_FALL));
                                break;
                        }
                        if (e->inverted)
                                may = diagram_minus(x->diagram, DIAGRAM_ALL, may);
                        sum = join(
                                x, sum,
                                leaf(x, diagram_minus(x->diagram, guard, may), change, LABEL_FALL));
                        guard = diagram_and(x->diagram, may, guard);
                        break;
                case WORLD_SET_META:
                case WORLD_SET_CT:
                        set_mark(x, r, e, e->kind == WORLD_SET_CT, &c);
                        change = whole_change(x, &c);
                        break;
                case WORLD_SET_PAYLOAD:
                        c.any_address = c.any_port = c.any_source = c.any_else = true;
                        c.has_address = c.has_port = false;
                        c.address = U128_ZERO;
                        c.port = 0;
                        change = whole_change(x, &c);
                        break;
                case WORLD_NOTRACK:
                        c.untracked |= x->stage == STAGE_RAW;
                        change = whole_change(x, &c);
                        break;
                case WORLD_NAT:
                        if (e->nat.family != NFPROTO_INET &&
                            e->nat.family !=
                                    (x->family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6))
                                break; /* of the other family */
                        if (e->nat.kind == WORLD_TPROXY) {
                                /* for some socket of this host, if there is one */
                                sum = join(x, sum, leaf(x, guard, change, LABEL_FALL));
                                c.any_address = c.any_port = c.any_else = true;
                                c.has_address = c.has_port = false;
                                c.address = U128_ZERO;
                                c.port = 0;
                                change = whole_change(x, &c);
                                break;
                        }
                        return join(x, sum, translate(x, e, r, change, guard));
                case WORLD_NOTHING:
                        break;
                case WORLD_CHOICE:
                        if (x->plain && is_own_limit(rule, e))
                                break;
                        sum = join(x, sum, leaf(x, guard, change, LABEL_FALL));
                        break;
                case WORLD_IS:
                        return join(x, sum, verdict(x, e->verdict, e->bypass, change, guard));
                case WORLD_REJECT:
                        return join(x, sum, drop(x, guard));
                case WORLD_UNKNOWN:
                        /* what stands behind it in the rule counts as well */
                        sum = join(x, sum, unknown(x, e, change, guard));
                        break;
                }
        }
        return join(x, sum, leaf(x, guard, change, LABEL_FALL));
}

/* Chains. */

typedef struct Part {
        const WorldChain *chain;
        size_t first, n;
} Part;

static DiagramId run_part(Whole *x, const void *context, size_t change, DiagramId care) {
        const Part *p = context;
        Part left = {p->chain, p->first, p->n / 2},
             right = {p->chain, p->first + p->n / 2, p->n - p->n / 2};
        DiagramId r;

        if (care == DIAGRAM_EMPTY || whole_error(x) < 0)
                return DIAGRAM_EMPTY;
        if (p->n == 1) {
                Registers *registers = calloc(1, sizeof(*registers));

                if (!registers)
                        return whole_fail(x, -ENOMEM);
                for (size_t i = 0; i < ARRAY_SIZE(registers->bytes); i++)
                        registers->bytes[i].kind = BYTE_ANY;
                r = exec(x, &p->chain->rules[p->first], 0, registers, change, care);
                free(registers);
                return diagram_and(x->diagram, care, r);
        }
        r = run_part(x, &left, change, care);
        return whole_then(x, r, LABEL_FALL, run_part, &right);
}

static Memo *find_memo(Whole *x, const WorldChain *c, size_t change, DiagramId care) {
        for (size_t i = x->n_memos; i-- > 0;)
                if (x->memos[i].chain == c && x->memos[i].stage == x->stage &&
                    x->memos[i].change == change && x->memos[i].care == care)
                        return &x->memos[i];
        return NULL;
}

static bool add_memo(Whole *x, Memo m) {
        if (x->n_memos == x->memo_size) {
                size_t size = x->memo_size ? x->memo_size * 2 : 64;
                Memo *memos = reallocarray(x->memos, size, sizeof(*memos));

                if (!memos)
                        return false;
                x->memos = memos;
                x->memo_size = size;
        }
        x->memos[x->n_memos++] = m;
        return true;
}

DiagramId whole_chain(Whole *x, const WorldChain *c, size_t change, DiagramId care) {
        Part all = {c, 0, c->n_rules};
        const Memo *known;
        DiagramId r;

        if (care == DIAGRAM_EMPTY || whole_error(x) < 0)
                return DIAGRAM_EMPTY;
        if (c->n_rules == 0)
                return leaf(x, care, change, LABEL_FALL);
        if (x->collecting) {
                /* every rule by itself: nothing is put together yet */
                for (size_t i = 0; i < c->n_rules; i++) {
                        Part one = {c, i, 1};

                        (void)run_part(x, &one, change, care);
                }
                return DIAGRAM_EMPTY;
        }
        known = find_memo(x, c, change, care);
        if (known)
                return known->result;
        if (++x->depth > DEPTH_MAX)
                return whole_fail(x, -ELOOP);
        r = run_part(x, &all, change, care);
        x->depth--;
        r = diagram_relabel(x->diagram, r, x->return_to_fall, LABEL_FIRST + WHOLE_CHANGES_MAX * 4);
        if (!add_memo(x, (Memo){c, x->stage, change, care, r}))
                return whole_fail(x, -ENOMEM);
        return r;
}
