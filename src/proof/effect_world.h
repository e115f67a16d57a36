/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For effect_world_test.c: policies by chance, and every connection of the small world that they
 * are about. It has the ends of all that its policies write, and of each kind something that they
 * do not write. */

#include "policy/load_unit.h"

#define WORLD_ZONES                                                                                \
        "ringwall: 1\n"                                                                            \
        "zones:\n"                                                                                 \
        "  wg: { interfaces: [wg0], addresses: [10.0.0.0-10.0.0.4] }\n"                            \
        "  bridge: { interfaces: [\"br-*\"], addresses: [10.0.0.2/31, \"fd00::/127\"] }\n"         \
        "  first: { interfaces: [br-1] }\n"                                                        \
        "  low: [10.0.0.0/31]\n"                                                                   \
        "  high: [10.0.0.2-10.0.0.4]\n"                                                            \
        "  six: [\"fd00::/127\"]\n"                                                                \
        "  mixed: [10.0.0.1-10.0.0.3, wg]\n"                                                       \
        "  both: { interfaces: [wg0, \"br-*\"], addresses: [mixed, six] }\n"                       \
        "  no-first: { interfaces: [\"br-*\", wg0], except: [first, 10.0.0.3] }\n"                 \
        "  not-low: { addresses: [low, high], except: [low] }\n"                                   \
        "  home: %s\n"
#define WORLD_RULES_LINE 16U /* of the key: the rules follow */

#define RULES_MAX 6
#define CLAIMS_MAX 2
#define N_SERVICES 10
#define N_INTERFACES 6
#define N_OWNERS 5
#define N_POINTS_MAX 40000

static const char *const world_interfaces[N_INTERFACES] = {NULL,   "wg0",     "br-1",
                                                           "br-9", "docker0", "eth7"};
static const char *const world_addresses[] = {
        "10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4",
        "10.0.0.5", "fd00::",   "fd00::1",  "fd00::2",  "2001:db8::1",
};
#define N_ADDRESSES ARRAY_SIZE(world_addresses)

static const struct {
        ServiceClass class; /* _SERVICE_CLASS_INVALID: something else */
        unsigned int number;
} world_services[N_SERVICES] = {
        {SERVICE_TCP, 1},    {SERVICE_TCP, 2},       {SERVICE_TCP, 3},  {SERVICE_TCP, 9},
        {SERVICE_UDP, 1},    {SERVICE_ICMP, 8},      {SERVICE_ICMP, 9}, {SERVICE_ICMPV6, 8},
        {SERVICE_ICMPV6, 9}, {SERVICE_PROTOCOL, 50},
};

static const unsigned int world_owners[N_OWNERS][2] = {{1, 1}, {1, 2}, {2, 1}, {2, 2}, {9, 9}};

typedef struct Draft {
        RuleVerb verb;
        const char *text;         /* of what is built, without what stands below */
        const char *extra;        /* the same as words */
        unsigned int user, group; /* 0: any */
        bool limited, claim, from_given;
        int until;
} Draft;

typedef struct World {
        SectionId section;
        Draft drafts[RULES_MAX + CLAIMS_MAX]; /* the rules, then the claims */
        size_t n_rules, n_drafts;
        const PolicyRule *rules; /* as parsed, in the same order */
        const Policy *policy;
        bool matches[RULES_MAX + CLAIMS_MAX][N_POINTS_MAX];
        bool of_containers[N_POINTS_MAX]; /* which may connect outward unasked */
        size_t n_points;
} World;

static unsigned int draw(uint64_t *seed, unsigned int n) {
        *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
        return (unsigned int)(*seed >> 33) % n;
}

static const char *draw_zones(Arena *a, uint64_t *seed, bool addresses_alone, bool home) {
        static const char *const words[] = {"low", "high",   "six",   "not-low", "mixed",
                                            "wg",  "bridge", "first", "both",    "no-first"};
        unsigned int n = 1 + draw(seed, 3), low;
        const char *list = NULL;

        for (unsigned int i = 0; i < n; i++) {
                const char *word = words[draw(seed, addresses_alone ? 4 : ARRAY_SIZE(words))];

                low = draw(seed, 5);
                if (draw(seed, 3) == 0)
                        word = arena_printf(a, "10.0.0.%u-10.0.0.%u", low,
                                            low + draw(seed, 5 - low));
                if (draw(seed, 8) == 0)
                        word = draw(seed, 2) ? "\"fd00::1\"" : "\"fd00::/64\"";
                if (home && draw(seed, 2) == 0)
                        word = "home";
                list = list ? arena_printf(a, "%s, %s", list, word) : word;
        }
        return draw(seed, 3) == 0 ? "anywhere" : arena_printf(a, "[%s]", list);
}

static const char *draw_services(Arena *a, uint64_t *seed) {
        static const char *const words[] = {"1/tcp",    "2/tcp",        "1-3/tcp", "2-3/tcp",
                                            "any",      "1/udp",        "8/icmp",  "0-255/icmp",
                                            "8/icmpv6", "0-255/icmpv6", "esp"};
        const char *first = words[draw(seed, ARRAY_SIZE(words))];

        if (draw(seed, 2))
                return first;
        return arena_printf(a, "[%s, %s]", first, words[draw(seed, ARRAY_SIZE(words))]);
}

static const char *draw_interfaces(uint64_t *seed) {
        static const char *const words[] = {"wg0", "br-1", "\"br-*\"", "[wg0, br-1]", "eth7"};

        return words[draw(seed, ARRAY_SIZE(words))];
}

static void draw_extra(Arena *a, uint64_t *seed, SectionId section, Draft *ret) {
        ret->extra = "";
        if (section == SECTION_OUTBOUND && draw(seed, 3) == 0) {
                ret->user = 1 + draw(seed, 2);
                ret->extra = arena_printf(a, "%s, user: %u", ret->extra, ret->user);
        }
        if (section == SECTION_OUTBOUND && draw(seed, 3) == 0) {
                ret->group = 1 + draw(seed, 2);
                ret->extra = arena_printf(a, "%s, group: [%u]", ret->extra, ret->group);
        }
        if (draw(seed, 5) == 0) {
                ret->until = 1 + (int)draw(seed, 2);
                ret->extra = arena_printf(a, "%s, until: 210%d-01-01", ret->extra, ret->until);
        }
        if (ret->verb == RULE_ALLOW && draw(seed, 6) == 0) {
                ret->limited = true;
                ret->extra = arena_printf(a, "%s, %s", ret->extra,
                                          draw(seed, 2) ? "limit: 9/day" : "connections: 9");
        }
}

static Draft draw_rule(Arena *a, uint64_t *seed, SectionId section, bool home) {
        Draft draft = {.verb = draw(seed, 3) ? RULE_ALLOW : RULE_DENY};
        const char *text = arena_printf(a, "%s: %s", draft.verb == RULE_ALLOW ? "allow" : "deny",
                                        draw_services(a, seed));
        bool outbound = section == SECTION_OUTBOUND, inbound = section == SECTION_INBOUND;

        if (!outbound)
                text = arena_printf(a, "%s, from: %s", text, draw_zones(a, seed, false, home));
        if (outbound || draw(seed, 4) == 0)
                text = arena_printf(a, "%s, to: %s", text,
                                    draw_zones(a, seed, inbound, home && outbound));
        if (draw(seed, 4) == 0) {
                const char *except = draw_zones(a, seed, false, home);

                if (!streq(except, "anywhere"))
                        text = arena_printf(a, "%s, except: %s", text, except);
        }
        if (!outbound && draw(seed, 5) == 0)
                text = arena_printf(a, "%s, in: %s", text, draw_interfaces(seed));
        if (!inbound && draw(seed, 5) == 0)
                text = arena_printf(a, "%s, out: %s", text, draw_interfaces(seed));
        draft.text = text;
        draw_extra(a, seed, section, &draft);
        return draft;
}

static void draw_world(Arena *a, uint64_t *seed, bool home, World *w) {
        w->section = (SectionId)draw(seed, _SECTION_MAX);
        w->n_rules = 2 + draw(seed, RULES_MAX - 1);
        w->n_drafts = w->n_rules;
        for (size_t i = 0; i < w->n_rules; i++)
                w->drafts[i] = draw_rule(a, seed, w->section, home);
        if (w->section == SECTION_OUTBOUND)
                return;
        for (unsigned int n = draw(seed, CLAIMS_MAX + 1); n > 0; n--) {
                Draft *claim = &w->drafts[w->n_drafts++];
                const char *from = draw_zones(a, seed, false, home);

                *claim = (Draft){.verb = RULE_DENY, .claim = true};
                claim->from_given = !streq(from, "anywhere");
                /* read as a rule to learn who may */
                claim->text = draw_services(a, seed);
                claim->extra = claim->from_given ? arena_printf(a, "services: %s, only-from: %s",
                                                                claim->text, from)
                                                 : arena_printf(a, "services: %s", claim->text);
                claim->text = arena_printf(a, "deny: %s, from: %s", claim->text, from);
        }
}

static const char *write_world(Arena *a, const World *w, const char *home, bool whole) {
        const char *text = arena_printf(a, WORLD_ZONES "%s:\n  default: drop\n  rules:\n", home,
                                        section_id_to_string(w->section));

        for (size_t i = 0; i < (whole ? w->n_rules : w->n_drafts); i++)
                text = arena_printf(a, "%s  - { %s%s }\n", text, w->drafts[i].text,
                                    whole ? w->drafts[i].extra : "");
        if (whole && w->n_drafts > w->n_rules)
                text = arena_printf(a, "%sprotected:\n", text);
        for (size_t i = w->n_rules; i < w->n_drafts && whole; i++)
                text = arena_printf(a, "%s- { %s }\n", text, w->drafts[i].extra);
        return text;
}

typedef struct Point {
        Family family;
        U128 source, destination, in, out;
        size_t service, owner;
} Point;

static bool is_behind(const RangeSet *interfaces, U128 name) {
        return interfaces->n_items == 0 || range_set_contains(interfaces, name);
}

static bool has_service(const ServiceSet *set, const Point *p) {
        ServiceClass class = world_services[p->service].class;

        return set->any || range_set_contains(service_set_class_const(set, class),
                                              u128(world_services[p->service].number));
}

static bool is_attached(const Policy *policy, const Point *p) {
        return zone_contains(policy->containers, &p->out, p->family, p->destination) ||
               zone_contains(policy->vms, &p->out, p->family, p->destination);
}

static bool rule_matches(const World *w, size_t i, const Point *p) {
        const Draft *draft = &w->drafts[i];
        const PolicyRule *rule = &w->rules[i];
        bool outbound = w->section == SECTION_OUTBOUND;
        U128 near = outbound ? p->destination : p->source;

        if (!has_service(&rule->services.set, p))
                return false;
        if (draft->claim)
                return !(draft->from_given &&
                         zone_expression_contains(&rule->from, &p->in, p->family, p->source)) &&
                       (w->section == SECTION_INBOUND || is_attached(w->policy, p));
        return zone_expression_contains(&rule->from, &p->in, p->family, p->source) &&
               zone_expression_contains(&rule->to, &p->out, p->family, p->destination) &&
               !(rule->except.given &&
                 zone_expression_contains(&rule->except, outbound ? &p->out : &p->in, p->family,
                                          near)) &&
               is_behind(&rule->in, p->in) && is_behind(&rule->out, p->out) &&
               (draft->user == 0 || draft->user == world_owners[p->owner][0]) &&
               (draft->group == 0 || draft->group == world_owners[p->owner][1]);
}

static void add_point(World *w, const Point *p) {
        ServiceClass class = world_services[p->service].class;

        if (class == (p->family == FAMILY_IPV4 ? SERVICE_ICMPV6 : SERVICE_ICMP))
                return;
        assert_true(w->n_points < N_POINTS_MAX);
        for (size_t i = 0; i < w->n_drafts; i++)
                w->matches[i][w->n_points] = rule_matches(w, i, p);
        w->of_containers[w->n_points] =
                w->section == SECTION_ROUTED &&
                zone_contains(w->policy->containers, &p->in, p->family, p->source);
        w->n_points++;
}

/* Every interface and owner for one pair of addresses and one service. */
static void add_points(World *w, Point p) {
        size_t n_in = w->section == SECTION_OUTBOUND ? 1 : N_INTERFACES;
        size_t n_out = w->section == SECTION_INBOUND ? 1 : N_INTERFACES;
        size_t n_owners = w->section == SECTION_OUTBOUND ? N_OWNERS : 1;

        for (size_t in = 0; in < n_in; in++)
                for (size_t out = 0; out < n_out; out++)
                        for (p.owner = 0; p.owner < n_owners; p.owner++) {
                                const char *from = world_interfaces[in];
                                const char *to = world_interfaces[out];

                                p.in = from ? interface_value(from) : INTERFACE_UNNAMED;
                                p.out = to ? interface_value(to) : INTERFACE_UNNAMED;
                                add_point(w, &p);
                        }
}

/* Reads the rules, and asks each of them about each connection. */
static void try_world(Arena *a, World *w, const char *home) {
        size_t n_sources = w->section == SECTION_OUTBOUND ? 1 : N_ADDRESSES;
        Point p;

        w->policy = load(a, write_world(a, w, home, false));
        w->rules = w->policy->sections[w->section].rules;
        w->n_points = 0;
        for (size_t i = 0; i < N_ADDRESSES; i++)
                for (size_t j = 0; j < n_sources; j++)
                        for (p.service = 0; p.service < N_SERVICES; p.service++) {
                                Family family;

                                (void)address_parse(world_addresses[i], &p.family, &p.destination);
                                (void)address_parse(world_addresses[j], &family, &p.source);
                                /* outbound is judged by where it goes alone */
                                if (w->section == SECTION_OUTBOUND || family == p.family)
                                        add_points(w, p);
                        }
}
