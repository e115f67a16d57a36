/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "proof/whole_state.h"

/* What the proof knows, and the packets that there can be. */

#define FEW_CHANGES 64

DiagramId whole_fail(Whole *x, int error) {
        if (x->error == 0)
                x->error = error;
        return DIAGRAM_EMPTY;
}

int whole_error(const Whole *x) {
        return x->error < 0 ? x->error : diagram_error(x->diagram);
}

void whole_note(Whole *x, const char *what) {
        for (size_t i = 0; i < x->n_unknown; i++)
                if (streq(x->unknown[i], what))
                        return;
        if (!arena_append(x->arena, x->unknown, x->n_unknown, what))
                (void)whole_fail(x, -ENOMEM);
}

void whole_note_queue(Whole *x, const WorldChain *c) {
        const char *text;

        for (size_t i = 0; i < x->n_queues; i++)
                if (x->queues[i] == c)
                        return;
        text = arena_printf(x->arena,
                            "what a program makes of packets that chain '%s' of table '%s' queues",
                            c->name, c->table->name);
        if (!text || !arena_append(x->arena, x->queues, x->n_queues, c))
                (void)whole_fail(x, -ENOMEM);
        else
                whole_note(x, text);
}

size_t whole_change(Whole *x, const WholeChange *c) {
        for (size_t i = 0; i < x->n_changes; i++)
                if (memcmp(&x->changes[i], c, sizeof(*c)) == 0)
                        return i;
        if (x->n_changes == WHOLE_CHANGES_MAX) {
                (void)whole_fail(x, -E2BIG);
                return 0;
        }
        if (!arena_append(x->arena, x->changes, x->n_changes, *c)) {
                (void)whole_fail(x, -ENOMEM);
                return 0;
        }
        return x->n_changes - 1;
}

/* For the changes that there are, and for a few to come: most rules change little. */
static bool make_maps(Whole *x) {
        size_t room = x->n_changes <= FEW_CHANGES ? FEW_CHANGES : WHOLE_CHANGES_MAX;
        size_t n = LABEL_FIRST + room * 4;

        x->fall_to_return = arena_alloc_array(x->arena, n, sizeof(uint16_t));
        x->return_to_fall = arena_alloc_array(x->arena, n, sizeof(uint16_t));
        if (!x->fall_to_return || !x->return_to_fall)
                return false;
        for (size_t i = 0; i < n; i++) {
                unsigned int kind = i < LABEL_FIRST ? 9 : i % 4;

                x->fall_to_return[i] =
                        (uint16_t)(kind == LABEL_FALL ? i - LABEL_FALL + LABEL_RETURN : i);
                x->return_to_fall[i] =
                        (uint16_t)(kind == LABEL_RETURN ? i - LABEL_RETURN + LABEL_FALL : i);
        }
        x->n_mapped = room;
        return true;
}

DiagramId whole_relabel(Whole *x, DiagramId r, bool returns) {
        if (x->n_changes > x->n_mapped && !make_maps(x))
                return whole_fail(x, -ENOMEM);
        return diagram_relabel(x->diagram, r, returns ? x->fall_to_return : x->return_to_fall,
                               LABEL_FIRST + x->n_mapped * 4);
}

static bool keeps_marks(const WorldInterface *i) {
        static const char *const others[] = {"veth",  "bridge",    "vlan",   "macvlan",
                                             "dummy", "bond",      "team",   "tun",
                                             "ifb",   "wireguard", "ipvlan", "macvtap"};

        if (i->kind && streq(i->kind, "veth") && i->lower)
                return true; /* both ends are here */
        for (size_t j = 0; j < ARRAY_SIZE(others); j++)
                if (!i->kind || streq(i->kind, others[j]))
                        return false;
        return true;
}

Whole *whole_new(const World *w, Family family) {
        Whole *x = calloc(1, sizeof(*x));
        unsigned int address = family == FAMILY_IPV4 ? 4 : 16;
        const unsigned int widths[_WHOLE_VARIABLE_MAX] = {address, address, 1, 2, 2, 1, 4, 4, 4, 4};

        if (!x)
                return NULL;
        x->world = w;
        x->family = family;
        x->arena = arena_new(0);
        x->scratch = arena_new(0);
        x->diagram = diagram_new(0);
        x->n_variables = _WHOLE_VARIABLE_MAX;
        for (unsigned int i = 0; i < _WHOLE_VARIABLE_MAX; i++)
                x->variables[i].width = widths[i];
        if (!x->arena || !x->scratch || !x->diagram || whole_find_routes(x) < 0 ||
            whole_find_arrivals(x) < 0 || whole_change(x, &(WholeChange){0}) != 0)
                return whole_free(x);
        x->has_nat = whole_has_nat(x);
        x->tracks = whole_has_conntrack(x);
        x->has_templates = whole_has_templates(x);
        x->remembers = whole_remembers(x);
        x->changes[0].any_ct_mark = x->remembers && whole_marks_connections(x);
        x->changes_sources = whole_changes_sources(x);
        /* what comes out of a tunnel bears the mark of its outer packet */
        x->changes[0].any_mark = w->has_ipsec || whole_is_marked_before(x);
        for (size_t i = 0; i < w->n_interfaces; i++)
                x->changes[0].any_mark |= keeps_marks(&w->interfaces[i]);
        return x;
}

Whole *whole_free(Whole *x) {
        if (!x)
                return NULL;
        x->diagram = diagram_free(x->diagram);
        x->scratch = arena_free(x->scratch);
        x->arena = arena_free(x->arena);
        free(x->memos);
        free(x);
        return NULL;
}

/* Cuts, and the packets that there can be. */

int whole_cut(Whole *x, WholeVariable variable, Range r) {
        return axis_cut(x->arena, &x->variables[variable].axis, r);
}

static const Range flag_ranges[] = {
        /* SYN without ACK, RST, FIN, whatever else is set */
        {{0, 0x02}, {0, 0x02}}, {{0, 0x0a}, {0, 0x0a}}, {{0, 0x22}, {0, 0x22}},
        {{0, 0x2a}, {0, 0x2a}}, {{0, 0x42}, {0, 0x42}}, {{0, 0x4a}, {0, 0x4a}},
        {{0, 0x62}, {0, 0x62}}, {{0, 0x6a}, {0, 0x6a}}, {{0, 0x82}, {0, 0x82}},
        {{0, 0x8a}, {0, 0x8a}}, {{0, 0xa2}, {0, 0xa2}}, {{0, 0xaa}, {0, 0xaa}},
        {{0, 0xc2}, {0, 0xc2}}, {{0, 0xca}, {0, 0xca}}, {{0, 0xe2}, {0, 0xe2}},
        {{0, 0xea}, {0, 0xea}},
};

/* Sources that the kernel itself refuses from outside, measured; and destinations, before any rule
 * could translate them: IPv4's are looked at behind prerouting. */
static const struct {
        Family family;
        WholeVariable variable;
        Range range;
} impossible[] = {

        {FAMILY_IPV4, WHOLE_SOURCE, {{0, 0x7f000000}, {0, 0x7fffffff}}},
        {FAMILY_IPV4, WHOLE_SOURCE, {{0, 0xe0000000}, {0, 0xefffffff}}},
        {FAMILY_IPV4, WHOLE_SOURCE, {{0, 0xffffffff}, {0, 0xffffffff}}},
        {FAMILY_IPV6, WHOLE_SOURCE, {{0, 1}, {0, 1}}},
        {FAMILY_IPV6, WHOLE_SOURCE, {{UINT64_C(0xff) << 56, 0}, {UINT64_MAX, UINT64_MAX}}},
        {FAMILY_IPV6, WHOLE_DESTINATION, {{0, 1}, {0, 1}}},
};

static const uint8_t known_protocols[] = {IPPROTO_ICMP, IPPROTO_TCP,    IPPROTO_UDP,
                                          IPPROTO_SCTP, IPPROTO_ICMPV6, IPPROTO_UDPLITE,
                                          IPPROTO_DCCP};

static DiagramId where_protocols(Whole *x, bool with_icmp) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < ARRAY_SIZE(known_protocols); i++) {
                Range r = range_single(u128(known_protocols[i]));

                if (with_icmp ||
                    (known_protocols[i] != IPPROTO_ICMP && known_protocols[i] != IPPROTO_ICMPV6))
                        sum = diagram_union(x->diagram, sum, whole_where(x, WHOLE_PROTOCOL, &r, 1));
        }
        return sum;
}

static bool is_impossible(const Whole *x, size_t i) {
        bool loopback = impossible[i].range.low.low >> 24 == 0x7f;

        /* settings of the kernel's may let IPv4's loopback addresses in; rules of prerouting may
         * change sources before IPv4 looks at them; a bridge calls prerouting before IPv6 looks at
         * the packet, and may pass it on without that */
        if (impossible[i].family == FAMILY_IPV4 && x->changes_sources)
                return false;
        if (impossible[i].family == FAMILY_IPV6 && x->world->bridge_calls_hooks[FAMILY_IPV6])
                return false;
        return impossible[i].family == x->family && !(loopback && x->world->route_localnet);
}

static void make_domain(Whole *x) {
        Diagram *d = x->diagram;
        Range tcp = range_single(u128(IPPROTO_TCP)), protocols = {U128_ZERO, u128(255)};
        Range ports = {U128_ZERO, u128(65535)};
        Range addresses = {U128_ZERO, u128_low_mask(x->family == FAMILY_IPV4 ? 32 : 128)};
        DiagramId domain = whole_where(x, WHOLE_FLAGS, flag_ranges, ARRAY_SIZE(flag_ranges));
        DiagramId in = DIAGRAM_EMPTY, out = DIAGRAM_EMPTY;

        domain = diagram_union(
                d, domain, diagram_minus(d, DIAGRAM_ALL, whole_where(x, WHOLE_PROTOCOL, &tcp, 1)));
        domain = diagram_and(d, whole_where(x, WHOLE_PROTOCOL, &protocols, 1), domain);
        domain = diagram_and(d, whole_where(x, WHOLE_DESTINATION_PORT, &ports, 1), domain);
        domain = diagram_and(d, whole_where(x, WHOLE_SOURCE_PORT, &ports, 1), domain);
        domain = diagram_and(d, whole_where(x, WHOLE_DESTINATION, &addresses, 1), domain);
        domain = diagram_and(d, whole_where(x, WHOLE_SOURCE, &addresses, 1), domain);
        for (size_t i = 0; i < ARRAY_SIZE(impossible) && !x->sent; i++)
                if (is_impossible(x, i))
                        domain = whole_without(x, domain, impossible[i].variable,
                                               impossible[i].range);
        for (size_t i = 0; i < x->world->n_interfaces; i++) {
                Range r = range_single(u128(i));

                out = diagram_union(d, out, whole_where(x, WHOLE_OUT, &r, 1));
        }
        for (size_t i = 0; i < x->n_arrivals; i++) {
                Range r = range_single(u128(i));

                in = diagram_union(d, in, whole_where(x, WHOLE_IN, &r, 1));
        }
        if (x->sent)
                in = whole_where_sockets(x);
        x->domain = diagram_and(d, domain, diagram_and(d, in, out));
}

DiagramId whole_domain(Whole *x) {
        return x->domain;
}

Diagram *whole_diagram(Whole *x) {
        return x->diagram;
}

const Axis *whole_axis(const Whole *x, unsigned int variable) {
        return &x->variables[variable].axis;
}

const char *whole_variable_name(const Whole *x, unsigned int variable) {
        return variable < x->n_variables ? x->variables[variable].name : NULL;
}

bool whole_is_open(const Whole *x) {
        return x->order_open;
}

const char *whole_unknown(const Whole *x, const char *const **ret, size_t *ret_n) {
        *ret = x->unknown;
        *ret_n = x->n_unknown;
        return x->n_unknown > 0 ? x->unknown[0] : NULL;
}

int whole_finish(Whole *x) {
        whole_collect(x);
        x->collecting = true;
        make_domain(x); /* cuts */
        (void)where_protocols(x, true);
        (void)whole_where_odd(x);
        if (x->family == FAMILY_IPV4)
                (void)whole_where(x, WHOLE_DESTINATION, &whole_loopback4, 1);
        for (size_t i = 0; i < x->n_types; i++)
                (void)whole_where(x, WHOLE_DESTINATION, &x->types[i].range, 1);
        x->collecting = false;
        for (unsigned int i = 0; i < x->n_variables; i++) {
                if (x->variables[i].ready)
                        continue;
                if (axis_finish(x->arena, &x->variables[i].axis) < 0)
                        return -ENOMEM;
                x->variables[i].ready = true;
        }
        make_domain(x);
        return whole_error(x);
}
