/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/sample.h"

#include <inttypes.h>
#include <netinet/in.h>

#include <linux/netfilter.h>

#define CHAINS_MAX 8
#define RULES_MAX 6
#define ELEMENTS_MAX 9

typedef struct Random {
        uint64_t state;
        Ruleset *rs;
        Chain *chains[CHAINS_MAX]; /* only later ones are led to, so that no loop comes about */
        size_t n_chains, n_base;
        bool failed; /* no memory */
} Random;

/* What a rule may look at. */
typedef struct Shape {
        uint32_t family;
        bool has_ports;
        bool no_fib;
        bool no_ether; /* else no match on the kind of link, which ether needs */
} Shape;

static uint64_t draw(Random *x, uint64_t below) {
        x->state ^= x->state >> 12;
        x->state ^= x->state << 25;
        x->state ^= x->state >> 27;
        return (x->state * UINT64_C(0x2545f4914f6cdd1d)) % below;
}

static U128 draw_bits(Random *x, unsigned int bits) {
        U128 v = {draw(x, UINT64_MAX), draw(x, UINT64_MAX)};

        return u128_and(v, u128_low_mask(bits));
}

static U128 draw_name(Random *x) {
        static const char *const names[] = {"lo",      "eth0", "eth1", "br-0123456789ab",
                                            "docker0", "wg0"};
        char name[16] = {0};

        (void)snprintf(name, sizeof(name), "%s", names[draw(x, ARRAY_SIZE(names))]);
        return u128_from_bytes(name, sizeof(name));
}

static Range draw_prefix(Random *x, TypeId type) {
        unsigned int width = types[type].bits;
        unsigned int host = (unsigned int)draw(x, width + 1);
        U128 low = draw_bits(x, width), mask;

        if (type == TYPE_IFNAME) {
                low = draw_name(x);
                host = 128 - 8 * (1 + (unsigned int)draw(x, 2)); /* no name is shorter */
        }
        mask = u128_low_mask(host);
        low = (U128){low.high & ~mask.high, low.low & ~mask.low};
        return (Range){low, u128_or(low, mask)};
}

static Range draw_range(Random *x, TypeId type, bool single) {
        unsigned int width = types[type].bits;
        Range r;

        if (type == TYPE_IFNAME)
                return single || draw(x, 2) ? range_single(draw_name(x)) : draw_prefix(x, type);
        if (type == TYPE_PRESENCE)
                return range_single(u128(draw(x, 2)));
        if (types[type].flags)
                single = true; /* nft 1.0.6 crashes over ranges of them */
        if (single || draw(x, 3) == 0)
                return range_single(draw_bits(x, width));
        if (draw(x, 2) == 0)
                return draw_prefix(x, type);
        r = (Range){draw_bits(x, width), draw_bits(x, width)};
        if (draw(x, 8) == 0)
                r.high = u128_low_mask(width);
        if (draw(x, 8) == 0)
                r.low = U128_ZERO;
        return u128_compare(r.low, r.high) <= 0 ? r : (Range){r.high, r.low};
}

static uint32_t draw_mask(Random *x, TypeId type) {
        uint32_t mask;

        if (!types[type].symbols)
                return 1U << draw(x, 32);
        mask = types[type].symbols[0].value;
        for (const TypeSymbol *s = types[type].symbols; s->name; s++)
                mask |= draw(x, 3) == 0 ? s->value : 0;
        return mask;
}

static const char *draw_text(Random *x) {
        static const char *const texts[] = {
                NULL,
                "policy.yaml:9: allow https from lan",
                "règle n° 7 – «ça passe»",
                "a comment that is much longer than what nft accepts: sixty, seventy, eighty, "
                "ninety, "
                "a hundred, a hundred and ten, now ääääääääääääää",
        };

        return texts[draw(x, ARRAY_SIZE(texts))];
}

static Verdict draw_verdict(Random *x, size_t chain, bool in_map) {
        static const VerdictKind plain[] = {VERDICT_ACCEPT, VERDICT_DROP, VERDICT_RETURN,
                                            VERDICT_CONTINUE, VERDICT_REJECT};
        size_t first = MAX(chain + 1, x->n_base); /* nothing may lead to a base chain */

        if (first < x->n_chains && draw(x, 3) == 0)
                return verdict_to(draw(x, 2) ? VERDICT_JUMP : VERDICT_GOTO,
                                  x->chains[first + draw(x, x->n_chains - first)]);
        return verdict_of(plain[draw(x, ARRAY_SIZE(plain) - in_map)]);
}

/* What stands in rules in one form alone, and is drawn with statements. */
static bool is_special(FieldId field) {
        return fields[field].prefix > 0 || fields[field].type == TYPE_TIME;
}

static bool usable(const Shape *shape, FieldId field) {
        const Field *f = &fields[field];

        if (is_special(field))
                return false;
        if (f->has_needs && f->needs == FIELD_NFPROTO && f->needs_value != shape->family)
                return false;
        if (field == (shape->family == NFPROTO_IPV4 ? FIELD_CT_IP6_DADDR : FIELD_CT_IP_DADDR))
                return false; /* the kernel does not mind, but nft does */
        if (f->has_needs && f->needs == FIELD_L4PROTO)
                return false; /* those are added by themselves, against the shape's protocols */
        if (shape->no_ether ? field == FIELD_ETHER_DADDR : field == FIELD_IIFTYPE)
                return false;
        return (!f->needs_ports || shape->has_ports) && (!shape->no_fib || f->base != BASE_FIB);
}

/* What nft 1.0.6 lists without a crash, or with a fault, in a concatenation. */
static bool can_be_concatenated(FieldId field) {
        const Type *type = &types[fields[field].type];

        return type->name && !type->flags && field != FIELD_CT_DPORT;
}

static FieldId draw_field(Random *x, const Shape *shape, bool concatenated) {
        for (;;) {
                FieldId field = (FieldId)draw(x, _FIELD_MAX);

                if (usable(shape, field) && (!concatenated || can_be_concatenated(field)) &&
                    field != FIELD_NFPROTO && field != FIELD_L4PROTO)
                        return field;
        }
}

static void sort_and_cut(Set *set) {
        size_t n = 0;

        set_sort(set);
        /* disjoint in the first field: then so are the keys */
        for (size_t i = 0; i < set->n_elements; i++)
                if (n == 0 ||
                    u128_compare(set->elements[n - 1].key[0].high, set->elements[i].key[0].low) < 0)
                        set->elements[n++] = set->elements[i];
        set->n_elements = n;
}

static void fill_set(Random *x, Set *set, size_t chain) {
        bool single = draw(x, 2);
        size_t n = set->types[0] == TYPE_PRESENCE
                           ? 1
                           : !set->name + draw(x, ELEMENTS_MAX); /* nft cannot read `{ }` */

        for (size_t i = 0; i < n; i++) {
                Range key[RULESET_FIELDS_MAX];
                Element *e;

                for (size_t j = 0; j < set->n_types; j++)
                        key[j] = draw_range(x, set->types[j], single);
                e = set_add_element(x->rs, set, key);
                if (!e) {
                        x->failed = true;
                        return;
                }
                e->origin.text = draw_text(x);
                if (set->is_map)
                        e->verdict = draw_verdict(x, chain, true);
        }
        sort_and_cut(set);
        set->interval = false;
        set->counted = draw(x, 4) == 0;
        for (size_t i = 0; i < set->n_elements; i++)
                for (size_t j = 0; j < set->n_types; j++)
                        set->interval |= !range_is_single(set->elements[i].key[j]);
        /* of one element nothing but its key would reach the kernel */
        if (!set->name && !set->is_map && set->n_types == 1 && set->n_elements == 1)
                set->elements[0].origin.text = NULL;
        if (!set->name && set->n_elements <= 1)
                set->counted = false;
}

static Set *draw_set(Random *x, const FieldId *list, size_t n, bool is_map, size_t chain) {
        bool named = draw(x, 2);
        Set *set = NULL;

        for (size_t i = 0; i < n; i++)
                named &= types[fields[list[i]].type].name != NULL;
        if (named) {
                const char *name = arena_printf(x->rs->arena, "s%zu", x->rs->n_sets);

                if (name)
                        set = ruleset_add_set(x->rs, name, fields[list[0]].type);
        } else
                set = ruleset_anonymous_set(x->rs, fields[list[0]].type);
        if (!set) {
                x->failed = true;
                return NULL;
        }
        set->n_types = n;
        for (size_t i = 0; i < n; i++)
                set->types[i] = fields[list[i]].type;
        set->is_map = is_map;
        fill_set(x, set, chain);
        return set;
}

static size_t draw_fields(Random *x, const Shape *shape, FieldId *ret) {
        size_t n = draw(x, 3) ? 1 : 1 + draw(x, RULESET_FIELDS_MAX);

        for (size_t i = 0; i < n; i++)
                ret[i] = draw_field(x, shape, n > 1);
        return n;
}

static void add_match(Random *x, Rule *rule, const Shape *shape, size_t chain) {
        FieldId list[RULESET_FIELDS_MAX];
        size_t n = draw_fields(x, shape, list);
        MatchOp op = draw(x, 2) ? MATCH_IN : MATCH_NOT_IN;
        Set *set;

        if (n == 1 && types[fields[list[0]].type].flags && draw(x, 2)) {
                op = draw(x, 2) ? MATCH_BITS : MATCH_NO_BITS;
                if (rule_match_bits(x->rs, rule, list[0], op, draw_mask(x, fields[list[0]].type)) <
                    0)
                        x->failed = true;
                return;
        }
        set = draw_set(x, list, n, false, chain);
        if (!set || rule_match_concat(x->rs, rule, list, n, op, set) < 0)
                x->failed = true;
}

static void add_map(Random *x, Rule *rule, const Shape *shape, size_t chain) {
        FieldId list[RULESET_FIELDS_MAX];
        size_t n = draw_fields(x, shape, list);
        Set *map = draw_set(x, list, n, true, chain);

        for (size_t i = 0; i < n && map; i++)
                if (rule_set_map(x->rs, rule, list[i], map) < 0)
                        x->failed = true;
        if (!map)
                return;
        rule->n_map_fields = n;
        memcpy(rule->map_fields, list, sizeof(list));
}

static PacketLimit draw_limit(Random *x) {
        static const uint32_t units[] = {1, 60, 3600, 86400};

        return (PacketLimit){
                .number = 1 + (uint32_t)draw(x, 1000000),
                .seconds = units[draw(x, ARRAY_SIZE(units))],
                .burst = 1 + (uint32_t)draw(x, 1000),
        };
}

/* A set of the rule's own, to which the kernel adds sources. */
static const Set *draw_sources(Random *x, FieldId field, bool timed) {
        const char *name = arena_printf(x->rs->arena, "d%zu", x->rs->n_sets);
        Set *set = name ? ruleset_add_set(x->rs, name, fields[field].type) : NULL;

        if (!set) {
                x->failed = true;
                return NULL;
        }
        set->dynamic = true;
        set->room = 1 + (uint32_t)draw(x, 65536);
        set->timeout = timed ? 1 + (uint32_t)draw(x, 86400) : 0;
        return set;
}

static const char *draw_named_limit(Random *x) {
        const char *name = arena_printf(x->rs->arena, "limit-%" PRIu64, draw(x, 2));

        if (!name ||
            (!ruleset_find_limit(x->rs, name) && !ruleset_add_limit(x->rs, name, draw_limit(x))))
                x->failed = true;
        return name;
}

static void add_statement(Random *x, Rule *rule, const Shape *shape) {
        FieldId source = shape->family == NFPROTO_IPV4 ? FIELD_IP_SADDR : FIELD_IP6_SADDR_64;
        Statement s = {.kind = (StatementKind)draw(x, _STATEMENT_MAX)};
        bool keyed = draw(x, 2);

        switch (s.kind) {
        case STATEMENT_LIMIT:
                s.limit = draw_limit(x);
                if (keyed)
                        s.set = draw_sources(x, source, draw(x, 2));
                break;
        case STATEMENT_CONNECTIONS:
                s.connections = 1 + (uint32_t)draw(x, 1000);
                if (keyed)
                        s.set = draw_sources(x, source, false);
                break;
        case STATEMENT_NAMED_LIMIT:
                s.text = draw_named_limit(x);
                break;
        case STATEMENT_LOG:
                s.text = "WORD allow policy.yaml:9: allow https";
                break;
        case STATEMENT_SAMPLE:
                s.text = draw(x, 2) ? "translated" : NULL;
                break;
        case _STATEMENT_MAX:
        case _STATEMENT_INVALID:
                break;
        }
        if (s.set)
                s.field = source;
        if (!x->failed && rule_add_statement(x->rs, rule, &s) < 0)
                x->failed = true;
}

static void add_time(Random *x, Rule *rule) {
        Range r = {U128_ZERO, u128(draw(x, UINT32_MAX) * UINT64_C(1000000000))};

        if (rule_match_ranges(x->rs, rule, FIELD_TIME, &(RangeSet){.items = &r, .n_items = 1}) < 0)
                x->failed = true;
}

static void add_rule(Random *x, size_t chain) {
        Chain *c = x->chains[chain];
        Shape shape = {
                .family = draw(x, 2) ? NFPROTO_IPV4 : NFPROTO_IPV6,
                .has_ports = draw(x, 2),
                .no_fib = true,
                .no_ether = draw(x, 2),
        };
        Rule *rule = chain_add_rule(x->rs, c, draw_verdict(x, chain, false),
                                    (Origin){.text = draw_text(x)});
        size_t n = draw(x, 4);

        if (!rule) {
                x->failed = true;
                return;
        }
        /* only a chain that nothing from the output hook leads to may ask for the route back */
        if (c->hook == HOOK_INPUT || c->hook == HOOK_FORWARD)
                shape.no_fib = false;
        rule->counted = draw(x, 2);
        if (rule_match_value(x->rs, rule, FIELD_NFPROTO, shape.family) < 0)
                x->failed = true;
        if (shape.has_ports && rule_match_value(x->rs, rule, FIELD_L4PROTO,
                                                draw(x, 2) ? IPPROTO_TCP : IPPROTO_UDP) < 0)
                x->failed = true;
        for (size_t i = 0; i < n && !x->failed; i++)
                add_match(x, rule, &shape, chain);
        if (draw(x, 8) == 0 && !x->failed)
                add_time(x, rule);
        for (size_t i = draw(x, 8) < 6 ? 0 : 1 + draw(x, 2); i > 0 && !x->failed; i--)
                add_statement(x, rule, &shape);
        if (draw(x, 4) == 0 && !x->failed)
                add_map(x, rule, &shape, chain);
}

static bool add_translation(Random *x, Chain *chain, Hook hook) {
        bool v6 = draw(x, 2);
        Rule *rule = chain_add_rule(
                x->rs, chain,
                verdict_of(hook == HOOK_PREROUTING ? VERDICT_DNAT : VERDICT_MASQUERADE),
                (Origin){.text = draw_text(x)});

        if (!rule ||
            rule_match_value(x->rs, rule, FIELD_NFPROTO, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4) < 0 ||
            rule_match_value(x->rs, rule, FIELD_L4PROTO, IPPROTO_TCP) < 0)
                return false;
        rule->counted = draw(x, 2);
        if (hook == HOOK_PREROUTING) {
                NatTarget target = {
                        .family = v6 ? FAMILY_IPV6 : FAMILY_IPV4,
                        .address = draw_bits(x, v6 ? 128 : 32),
                        .port = draw(x, 2) ? 0 : (uint16_t)(1 + draw(x, 65535)),
                };

                return rule_set_target(x->rs, rule, target) == 0;
        }
        return true;
}

static bool add_nat_chains(Random *x) {
        static const struct {
                const char *name;
                Hook hook;
                int priority;
        } rows[] = {
                {"nat-in", HOOK_PREROUTING, RULESET_PRIORITY_DSTNAT},
                {"nat-out", HOOK_POSTROUTING, RULESET_PRIORITY_SRCNAT},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Chain *chain =
                        ruleset_add_nat_chain(x->rs, rows[i].name, rows[i].hook, rows[i].priority);

                if (!chain)
                        return false;
                for (size_t n = draw(x, 3); n > 0; n--)
                        if (!add_translation(x, chain, rows[i].hook))
                                return false;
        }
        return true;
}

Ruleset *sample_random(Arena *a, uint64_t seed) {
        static const Hook hooks[] = {HOOK_INPUT, HOOK_FORWARD, HOOK_OUTPUT, HOOK_PREROUTING};
        Random x = {.state = seed * 2 + 1, .rs = ruleset_new(a)};

        if (!x.rs)
                return NULL;
        for (unsigned int i = 0; i < 8; i++)
                (void)draw(&x, 2); /* small seeds look alike at first */
        x.n_base = 1 + draw(&x, ARRAY_SIZE(hooks));
        x.n_chains = x.n_base + draw(&x, CHAINS_MAX - x.n_base + 1);
        for (size_t i = 0; i < x.n_chains; i++) {
                char name[] = "c0";

                name[1] = (char)('0' + i);
                x.chains[i] = i < x.n_base ? ruleset_add_base_chain(x.rs, name, hooks[i])
                                           : ruleset_add_chain(x.rs, name);
                if (!x.chains[i])
                        return NULL;
                if (i < x.n_base && draw(&x, 4) == 0)
                        x.chains[i]->priority = -9;
                if (i < x.n_base && draw(&x, 4) == 0)
                        x.chains[i]->policy_drop = false;
        }
        for (size_t i = 0; i < x.n_chains; i++) {
                size_t n = draw(&x, RULES_MAX);

                for (size_t j = 0; j < n && !x.failed; j++)
                        add_rule(&x, i);
                if (i < x.n_base &&
                    !chain_add_rule(x.rs, x.chains[i], verdict_of(VERDICT_DROP), (Origin){0}))
                        return NULL;
        }
        if (draw(&x, 4) == 0 && !add_nat_chains(&x))
                return NULL;
        return x.failed ? NULL : x.rs;
}

static Rule *add_drop(Ruleset *rs, Chain *chain) {
        Rule *rule = chain_add_rule(rs, chain, verdict_of(VERDICT_DROP), (Origin){0});

        if (rule)
                rule->counted = true;
        return rule;
}

Ruleset *sample_closed(Arena *a) {
        Ruleset *rs = ruleset_new(a);
        Chain *input = rs ? ruleset_add_base_chain(rs, "input", HOOK_INPUT) : NULL;

        return input && add_drop(rs, input) ? rs : NULL;
}

static bool add_address(Ruleset *rs, Set *set, uint32_t address) {
        Range r = range_single(u128(address));

        return set_add_element(rs, set, &r) != NULL;
}

static bool
add_service(Ruleset *rs, Set *map, uint16_t port, const Chain *chain, const char *text) {
        Range r = range_single(u128(port));
        Element *e = set_add_element(rs, map, &r);

        if (!e)
                return false;
        e->verdict = verdict_to(VERDICT_GOTO, chain);
        e->origin.text = text;
        return true;
}

static bool fill_services(Ruleset *rs, bool second_client, const char *comment) {
        Chain *input = ruleset_add_base_chain(rs, "input", HOOK_INPUT);
        Chain *ssh = ruleset_add_chain(rs, "ssh"), *web = ruleset_add_chain(rs, "web");
        Set *clients = ruleset_add_set(rs, "clients", TYPE_IPV4_ADDR);
        Set *services = ruleset_add_set(rs, "services", TYPE_INET_SERVICE);
        Rule *rule;

        if (!input || !ssh || !web || !clients || !services)
                return false;
        services->is_map = true;
        if (!add_address(rs, clients, 0x0a000001) ||
            (second_client && !add_address(rs, clients, 0x0a000002)) ||
            !add_service(rs, services, 22, ssh, "ssh") ||
            !add_service(rs, services, 443, web, NULL))
                return false;
        rule = chain_add_rule(rs, input, verdict_of(VERDICT_CONTINUE), (Origin){.text = comment});
        if (!rule || rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP) < 0 ||
            rule_set_map(rs, rule, FIELD_DPORT, services) < 0 || !add_drop(rs, input))
                return false;
        rule = chain_add_rule(rs, ssh, verdict_of(VERDICT_ACCEPT),
                              (Origin){.text = "policy.yaml:9: allow ssh"});
        if (!rule || rule_match_set(rs, rule, FIELD_IP_SADDR, MATCH_IN, clients) < 0)
                return false;
        return chain_add_rule(rs, web, verdict_of(VERDICT_ACCEPT), (Origin){0}) != NULL;
}

Ruleset *sample_services(Arena *a, bool second_client, const char *comment) {
        Ruleset *rs = ruleset_new(a);

        return rs && fill_services(rs, second_client, comment) ? rs : NULL;
}

static bool match_one(Ruleset *rs, Chain *chain, FieldId field, MatchOp op, Range r) {
        Rule *rule = chain_add_rule(rs, chain, verdict_of(VERDICT_ACCEPT), (Origin){0});
        Set *set = ruleset_anonymous_set(rs, fields[field].type);

        if (!rule || !set || !set_add_element(rs, set, &r))
                return false;
        if (fields[field].needs_ports && rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP) < 0)
                return false;
        return rule_match_set(rs, rule, field, op, set) == 0;
}

static bool match_bits(Ruleset *rs, Chain *chain, FieldId field, MatchOp op) {
        Rule *rule =
                chain_add_rule(rs, chain, verdict_of(VERDICT_RETURN), (Origin){.text = "bits"});

        return rule && rule_match_bits(rs, rule, field, op, 6) == 0;
}

static bool match_field(Ruleset *rs, Chain *chain, FieldId field, MatchOp op) {
        const Type *type = &types[fields[field].type];
        U128 max = u128_low_mask(type->bits);
        U128 some = u128_and((U128){UINT64_C(1) << 60, 0x50}, max);
        const Range ranges[] = {
                {U128_ZERO, max}, {u128(3), u128(70)}, {u128(64), u128(127)}, {u128(7), max}};

        if (!match_one(rs, chain, field, op, range_single(some)) ||
            !match_one(rs, chain, field, op, range_single(max)))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
                if (!match_one(rs, chain, field, op, ranges[i]))
                        return false;
        return !type->flags ||
               match_bits(rs, chain, field, op == MATCH_IN ? MATCH_BITS : MATCH_NO_BITS);
}

Ruleset *sample_fields(Arena *a) {
        Ruleset *rs = ruleset_new(a);
        Chain *chain = rs ? ruleset_add_base_chain(rs, "input", HOOK_INPUT) : NULL;

        if (!chain)
                return NULL;
        for (FieldId field = 0; field < _FIELD_MAX; field++)
                if (!is_special(field) && (!match_field(rs, chain, field, MATCH_IN) ||
                                           !match_field(rs, chain, field, MATCH_NOT_IN)))
                        return NULL;
        return add_drop(rs, chain) ? rs : NULL;
}
