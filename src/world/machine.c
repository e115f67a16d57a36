/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world/machine.h"

#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

/* The register machine: expressions of one rule. */

#define LOOKUP_CHOICES_MAX 64 /* elements that a key which is not known is tried with */

uint8_t *run_register(Run *r, int slot) {
        return r->registers + (size_t)slot * 4;
}

static size_t slots_of(size_t size) {
        return (size + 3) / 4;
}

/* What does not fill its last register is padded with zeros. */
void run_store(Run *r, int slot, const void *bytes, size_t size) {
        size_t n = slots_of(size);

        memset(run_register(r, slot), 0, n * 4);
        memcpy(run_register(r, slot), bytes, size);
        for (size_t i = 0; i < n; i++)
                r->tainted[(size_t)slot + i] = false;
}

void run_taint(Run *r, int slot, size_t size) {
        run_store(r, slot, (uint8_t[WORLD_KEY_MAX]){0}, MIN(size, (size_t)WORLD_KEY_MAX));
        for (size_t i = 0; i < slots_of(size); i++)
                r->tainted[(size_t)slot + i] = true;
}

bool run_is_tainted(const Run *r, int slot, size_t size) {
        for (size_t i = 0; i < slots_of(size); i++)
                if (r->tainted[(size_t)slot + i])
                        return true;
        return false;
}

/* A test of what is not known. */
bool run_guess(Run *r) {
        r->unknown = true;
        return run_choose(r, 2) == 0;
}

/* --- from register to register --- */

static void do_bitwise(Run *r, const WorldExpr *x) {
        uint8_t out[WORLD_DATA_MAX];
        const uint8_t *in = run_register(r, x->source);
        uint32_t words[WORLD_DATA_MAX / 4], carry = 0;
        size_t n = x->size / 4;

        if (run_is_tainted(r, x->source, x->size)) {
                run_taint(r, x->target, x->size);
                return;
        }
        if (x->shift == 0) {
                for (size_t i = 0; i < x->size; i++)
                        out[i] = (uint8_t)((in[i] & x->mask.bytes[i]) ^ x->data.bytes[i]);
                run_store(r, x->target, out, x->size);
                return;
        }
        memcpy(words, in, n * 4);
        for (size_t i = 0; i < n; i++) {
                size_t at = x->shift > 0 ? n - 1 - i : i;
                unsigned int bits = (unsigned int)(x->shift > 0 ? x->shift : -x->shift);
                uint32_t word = words[at];

                words[at] = (x->shift > 0 ? word << bits : word >> bits) | carry;
                carry = x->shift > 0 ? word >> (32 - bits) : word << (32 - bits);
        }
        run_store(r, x->target, words, n * 4);
}

static void do_byteorder(Run *r, const WorldExpr *x) {
        uint8_t out[WORLD_KEY_MAX];
        const uint8_t *in = run_register(r, x->source);

        if (run_is_tainted(r, x->source, x->size)) {
                run_taint(r, x->target, x->size);
                return;
        }
        for (size_t i = 0; i < x->size; i += x->unit)
                for (size_t j = 0; j < x->unit; j++)
                        out[i + j] = in[i + x->unit - 1 - j];
        run_store(r, x->target, out, x->size);
}

/* --- tests --- */

static bool holds(WorldCompare op, int c) {
        switch (op) {
        case WORLD_EQUAL:
                return c == 0;
        case WORLD_NOT_EQUAL:
                return c != 0;
        case WORLD_LESS:
                return c < 0;
        case WORLD_LESS_EQUAL:
                return c <= 0;
        case WORLD_GREATER:
                return c > 0;
        case WORLD_GREATER_EQUAL:
                return c >= 0;
        }
        return false;
}

static bool element_holds(const WorldSet *set, const WorldElement *e, const uint8_t *key) {
        size_t at = 0;

        for (size_t i = 0; i < set->n_fields; i++) {
                if (memcmp(key + at, e->low + at, set->fields[i]) < 0 ||
                    memcmp(key + at, e->high + at, set->fields[i]) > 0)
                        return false;
                at += (set->fields[i] + 3UL) & ~3UL;
        }
        return true;
}

static size_t n_keys(const WorldSet *set) {
        return set->n_elements -
               (set->n_elements > 0 && set->elements[set->n_elements - 1].catch_all);
}

static const WorldElement *find_sorted(const WorldSet *set, const uint8_t *key) {
        size_t low = 0, high = n_keys(set);

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const WorldElement *e = &set->elements[middle];

                if (memcmp(key, e->low, set->key_size) < 0)
                        high = middle;
                else if (memcmp(key, e->high, set->key_size) > 0)
                        low = middle + 1;
                else
                        return e;
        }
        return NULL;
}

static const WorldElement *find_listed(const WorldSet *set, const uint8_t *key) {
        for (size_t i = 0; i < n_keys(set); i++)
                if (element_holds(set, &set->elements[i], key))
                        return &set->elements[i];
        return NULL;
}

static const WorldElement *catch_all_of(const WorldSet *set) {
        size_t n = n_keys(set);

        return n < set->n_elements ? &set->elements[n] : NULL;
}

/* The element that matches; NULL if none does. *anything: it is in the set without an element that
 * is known. */
static const WorldElement *find_element(Run *r, const WorldExpr *x, bool *anything) {
        const WorldSet *set = x->set;
        const uint8_t *key = run_register(r, x->source);
        const WorldElement *e;

        *anything = false;
        if (run_is_tainted(r, x->source, set->key_size)) {
                size_t n = MIN(set->n_elements, (size_t)LOOKUP_CHOICES_MAX);
                unsigned int which = run_choose(r, (unsigned int)n + 1);

                r->unknown = true;
                if (n < set->n_elements)
                        r->choices->missed = true;
                return which < n ? &set->elements[which] : NULL;
        }
        e = set->concatenated && set->interval ? find_listed(set, key) : find_sorted(set, key);
        if (e && e->maybe && run_choose(r, 2) == 1)
                e = NULL;
        if (!e && (set->unknown || set->dynamic) && run_choose(r, 2) == 1) {
                r->unknown |= set->unknown;
                *anything = true;
                return NULL;
        }
        if (!e)
                e = catch_all_of(set);
        if (e && e->catch_all && e->maybe && run_choose(r, 2) == 1)
                e = NULL;
        return e;
}

/* A lookup: whether the rule goes on. A map of verdicts gives one. */
static bool do_lookup(Run *r, const WorldExpr *x, WorldVerdict *ret) {
        bool anything;
        const WorldElement *e = find_element(r, x, &anything);

        if (x->set->is_verdict_map) {
                if (e)
                        *ret = e->verdict;
                else if (anything) {
                        r->unknown = true;
                        ret->kind = run_choose(r, 2) == 0 ? WORLD_ACCEPT : WORLD_DROP;
                }
                return e || anything;
        }
        if ((e || anything) == x->inverted)
                return false;
        if (x->target >= 0) {
                if (e && e->value)
                        run_store(r, x->target, e->value, x->set->value_size);
                else
                        run_taint(r, x->target, x->set->value_size);
        }
        return true;
}

static bool port_in(const WorldPorts *ports, uint16_t port) {
        for (size_t i = 0; i < ports->n; i++)
                if (port >= ports->ranges[i].low && port <= ports->ranges[i].high)
                        return true;
        return false;
}

static bool test_ports(Run *r, const WorldExpr *x) {
        const uint8_t *p = r->bytes + r->transport;
        uint16_t source, destination;

        if (!r->has_transport || r->transport + 4 > r->size)
                return false;
        source = (uint16_t)(p[0] << 8 | p[1]);
        destination = (uint16_t)(p[2] << 8 | p[3]);
        return ((x->ports->source && port_in(x->ports, source)) ||
                (x->ports->destination && port_in(x->ports, destination))) != x->inverted;
}

/* --- effects --- */

static void set_meta(Run *r, const WorldExpr *x) {
        if (x->key != NFT_META_MARK)
                return;
        r->mark_unknown = run_is_tainted(r, x->source, 4);
        memcpy(&r->mark, run_register(r, x->source), sizeof(r->mark));
}

static void set_ct(Run *r, const WorldExpr *x) {
        if (x->key != NFT_CT_MARK || r->tracking != TRACKED)
                return;
        r->ct_mark_unknown = run_is_tainted(r, x->source, 4);
        memcpy(&r->ct_mark, run_register(r, x->source), sizeof(r->ct_mark));
}

static bool set_payload(Run *r, const WorldExpr *x) {
        size_t at = x->offset, size = x->size;

        if (x->base == WORLD_TRANSPORT && r->has_transport)
                at += r->transport;
        else if (x->base != WORLD_NETWORK) {
                if (x->base != WORLD_LINK || !r->has_link || at + size > sizeof(r->link))
                        return false;
                memcpy(r->link + at, run_register(r, x->source), size);
                return true;
        }
        if (at > r->size || size > r->size - at)
                return false;
        memcpy(r->bytes + at, run_register(r, x->source), size);
        r->unknown |= run_is_tainted(r, x->source, size);
        return true;
}

static WorldVerdict verdict_of(WorldVerdictKind kind) {
        return (WorldVerdict){.kind = kind};
}

/* A program decides, or nobody listens. */
static WorldVerdictKind queue(Run *r, bool bypass) {
        r->unknown = true;
        return run_choose(r, 2) == (bypass ? 1U : 0U) ? WORLD_DROP : WORLD_ACCEPT;
}

static WorldVerdict unknown(Run *r) {
        static const WorldVerdictKind kinds[] = {WORLD_CONTINUE, WORLD_ACCEPT, WORLD_DROP};

        r->unknown = true;
        return verdict_of(kinds[run_choose(r, ARRAY_SIZE(kinds))]);
}

/* The steps: false where the rule is left. *v is how the rule ends, if it does. */

static bool step_payload(Run *r, const WorldExpr *x, WorldVerdict *v) {
        return run_load_payload(r, x);
}

static bool step_meta(Run *r, const WorldExpr *x, WorldVerdict *v) {
        return run_load_meta(r, x);
}

static bool step_ct(Run *r, const WorldExpr *x, WorldVerdict *v) {
        return run_load_ct(r, x);
}

static bool step_fib(Run *r, const WorldExpr *x, WorldVerdict *v) {
        return run_load_fib(r, x);
}

static bool step_exthdr(Run *r, const WorldExpr *x, WorldVerdict *v) {
        return run_load_exthdr(r, x);
}

static bool step_data(Run *r, const WorldExpr *x, WorldVerdict *v) {
        run_store(r, x->target, x->data.bytes, x->data.size);
        return true;
}

static bool step_any(Run *r, const WorldExpr *x, WorldVerdict *v) {
        run_taint(r, x->target, x->size);
        return true;
}

static bool step_bitwise(Run *r, const WorldExpr *x, WorldVerdict *v) {
        do_bitwise(r, x);
        return true;
}

static bool step_byteorder(Run *r, const WorldExpr *x, WorldVerdict *v) {
        do_byteorder(r, x);
        return true;
}

static bool step_compare(Run *r, const WorldExpr *x, WorldVerdict *v) {
        if (run_is_tainted(r, x->source, x->size))
                return run_guess(r);
        return holds(x->op, memcmp(run_register(r, x->source), x->data.bytes, x->size));
}

static bool step_range(Run *r, const WorldExpr *x, WorldVerdict *v) {
        const uint8_t *value = run_register(r, x->source);

        if (run_is_tainted(r, x->source, x->size))
                return run_guess(r);
        return (memcmp(value, x->data.bytes, x->size) >= 0 &&
                memcmp(value, x->high.bytes, x->size) <= 0) != x->inverted;
}

static bool step_ports(Run *r, const WorldExpr *x, WorldVerdict *v) {
        return test_ports(r, x);
}

static bool step_set_meta(Run *r, const WorldExpr *x, WorldVerdict *v) {
        set_meta(r, x);
        return true;
}

/* What is exempt from tracking is so no longer. */
static void take_template(Run *r) {
        r->has_template |= r->tracking != TRACKED;
        if (r->has_template)
                r->tracking = NOT_TRACKED_YET;
}

static bool step_set_ct(Run *r, const WorldExpr *x, WorldVerdict *v) {
        if (world_makes_template(x))
                take_template(r);
        set_ct(r, x);
        return true;
}

static bool step_set_payload(Run *r, const WorldExpr *x, WorldVerdict *v) {
        return set_payload(r, x);
}

static bool step_notrack(Run *r, const WorldExpr *x, WorldVerdict *v) {
        if (r->tracking == NOT_TRACKED_YET && !r->has_template)
                r->tracking = UNTRACKED;
        return true;
}

static bool step_nat(Run *r, const WorldExpr *x, WorldVerdict *v) {
        *v = run_nat(r, &x->nat);
        return true;
}

static bool step_nothing(Run *r, const WorldExpr *x, WorldVerdict *v) {
        if (world_makes_template(x) && r->tracking == NOT_TRACKED_YET)
                take_template(r);
        return true;
}

static bool step_forward(Run *r, const WorldExpr *x, WorldVerdict *v) {
        bool known = x->target >= 0 && !run_is_tainted(r, x->target, 4);
        uint32_t index = 0;

        if (x->unit && (x->unit == NFPROTO_IPV4) != (r->family == FAMILY_IPV4))
                return false;
        if (known)
                memcpy(&index, run_register(r, x->target), sizeof(index));
        r->sent_on = true;
        r->new_frame = x->unit != 0;
        r->out = known ? world_interface_at(r->world, (int)index) : NULL;
        r->out_unknown = !r->out;
        v->kind = WORLD_STOLEN;
        return true;
}

static bool step_choice(Run *r, const WorldExpr *x, WorldVerdict *v) {
        if (r->packet->within_limits && world_is_own_limit(r->rule, x))
                return true;
        r->doubtful |= x->fixed;
        return run_choose(r, 2) == 0;
}

static bool step_verdict(Run *r, const WorldExpr *x, WorldVerdict *v) {
        *v = x->verdict;
        if (v->kind == WORLD_QUEUE)
                v->kind = queue(r, x->bypass);
        return true;
}

static bool step_reject(Run *r, const WorldExpr *x, WorldVerdict *v) {
        v->kind = WORLD_DROP;
        return true;
}

static bool step_unknown(Run *r, const WorldExpr *x, WorldVerdict *v) {
        *v = unknown(r);
        return true;
}

static bool (*const steps[])(Run *r, const WorldExpr *x, WorldVerdict *v) = {
        [WORLD_PAYLOAD] = step_payload,
        [WORLD_META] = step_meta,
        [WORLD_CT] = step_ct,
        [WORLD_FIB] = step_fib,
        [WORLD_EXTHDR] = step_exthdr,
        [WORLD_DATA] = step_data,
        [WORLD_LOAD_ANY] = step_any,
        [WORLD_BITWISE] = step_bitwise,
        [WORLD_BYTEORDER] = step_byteorder,
        [WORLD_CMP] = step_compare,
        [WORLD_RANGE] = step_range,
        [WORLD_LOOKUP] = do_lookup,
        [WORLD_PORTS] = step_ports,
        [WORLD_SET_META] = step_set_meta,
        [WORLD_SET_CT] = step_set_ct,
        [WORLD_SET_PAYLOAD] = step_set_payload,
        [WORLD_NOTRACK] = step_notrack,
        [WORLD_NAT] = step_nat,
        [WORLD_COPY] = step_nothing, /* it goes its own way */
        [WORLD_FORWARD] = step_forward,
        [WORLD_NOTHING] = step_nothing,
        [WORLD_CHOICE] = step_choice,
        [WORLD_IS] = step_verdict,
        [WORLD_REJECT] = step_reject,
        [WORLD_UNKNOWN] = step_unknown,
};

/* One expression. Any verdict but WORLD_CONTINUE ends the rule. */
static WorldVerdict run_expr(Run *r, const WorldExpr *x) {
        bool has_row = (size_t)x->kind < ARRAY_SIZE(steps) && steps[x->kind];
        WorldVerdict v = {0};

        /* a kind that has no row is not understood */
        return (has_row ? steps[x->kind] : step_unknown)(r, x, &v) ? v : verdict_of(WORLD_BREAK);
}

static bool has_effect(const WorldExpr *x) {
        return x->kind == WORLD_NOTRACK || x->kind == WORLD_SET_META || x->kind == WORLD_SET_CT ||
               x->kind == WORLD_SET_PAYLOAD;
}

WorldVerdict run_rule(Run *r, const WorldRule *rule) {
        WorldVerdict v = {0};
        const WorldNat *nat = NULL;
        bool effect = false;

        r->rule = rule;
        for (size_t i = 0; i < rule->n_exprs && v.kind == WORLD_CONTINUE; i++) {
                v = run_expr(r, &rule->exprs[i]);
                if (v.kind != WORLD_BREAK) {
                        effect |= has_effect(&rule->exprs[i]);
                        if (rule->exprs[i].kind == WORLD_NAT)
                                nat = &rule->exprs[i].nat;
                }
        }
        if (v.kind == WORLD_BREAK)
                v.kind = WORLD_CONTINUE;
        if ((v.kind != WORLD_CONTINUE || effect) && !run_add_step(r, rule->chain, rule, v, nat))
                r->error = -ENOMEM;
        return v;
}
