/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/verify_state.h"

#include <netinet/in.h>

/* Expectations of the policy's about packets that arrive, or are sent. `deny`: none that it
 * describes may be accepted, by whichever table. `allow`: none may be refused, by whichever table;
 * limits of our own rules and anti-spoofing aside, as in check (proof/claim.h). */

#define SAMPLES 100 /* packets for which both codes are asked, an expectation */

typedef struct Expected {
        Verify *v;
        const Expect *const *expects;
        size_t n;
        bool allow;
        DiagramId *bad; /* of each */
} Expected;

/* Regions. */

static DiagramId where_end(Expected *x, const ZoneExpression *e, const WholeChange *c) {
        Verify *v = x->v;
        DiagramId sum = DIAGRAM_EMPTY;

        if (!e->restricts)
                return DIAGRAM_ALL;
        for (size_t i = 0; i < e->n_terms; i++) {
                const ZoneTerm *t = &e->terms[i];

                if (!t->zone && t->family == v->family)
                        sum = verify_union(v, sum, verify_where(v, WHOLE_DESTINATION, t->range));
                for (size_t j = 0; t->zone && j < t->zone->n_parts; j++) {
                        const ZonePart *p = &t->zone->parts[j];
                        DiagramId out =
                                c ? whole_where_out(v->whole, c, &p->interfaces)
                                  : DIAGRAM_EMPTY; /* what is for this host leaves by none */

                        sum = verify_union(v, sum, verify_where_part(v, p, WHOLE_DESTINATION, out));
                }
        }
        return sum;
}

/* Loopback addresses never come from outside, nor those of IPv4 within IPv6 (RFC 4291, 2.5.5.2). */
static const struct {
        Family family;
        Range range;
} inside[] = {
        {FAMILY_IPV4, {{0, 0x7f000000}, {0, 0x7fffffff}}},
        {FAMILY_IPV6, {{0, 1}, {0, 1}}},
        {FAMILY_IPV6, {{0, UINT64_C(0xffff00000000)}, {0, UINT64_C(0xffffffffffff)}}},
};

static DiagramId outside(Verify *v, WholeVariable variable, DiagramId region) {
        for (size_t i = 0; i < ARRAY_SIZE(inside); i++)
                if (inside[i].family == v->family)
                        region = diagram_minus(v->diagram, region,
                                               verify_where(v, variable, inside[i].range));
        return region;
}

/* ICMP that conntrack takes for the first packet of a connection (nf_conntrack_proto_icmp.c). */
static const struct {
        Family family;
        uint8_t type;
} first_types[] = {{FAMILY_IPV4, 8},  {FAMILY_IPV4, 13},  {FAMILY_IPV4, 15},
                   {FAMILY_IPV4, 17}, {FAMILY_IPV6, 128}, {FAMILY_IPV6, 139}};

static Range type_range(uint8_t type) {
        return (Range){u128((uint64_t)type << 8), u128((uint64_t)type << 8 | 0xff)};
}

/* How a connection begins that somebody means: not every packet that can be thought of. */
static DiagramId where_meant(Verify *v) {
        static const Range flags[] = {{{0, 0x02}, {0, 0x02}}, {{0, 0xc2}, {0, 0xc2}}};
        static const uint8_t with_ports[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_DCCP,
                                             IPPROTO_UDPLITE};
        Range protocols[] = {range_single(u128(IPPROTO_ICMP)), range_single(u128(IPPROTO_ICMPV6))};
        Diagram *d = v->diagram;
        DiagramId tcp = verify_where(v, WHOLE_PROTOCOL, range_single(u128(IPPROTO_TCP)));
        DiagramId icmp = whole_where(v->whole, WHOLE_PROTOCOL, protocols, 2);
        DiagramId ports = DIAGRAM_EMPTY, types = DIAGRAM_EMPTY, sum = DIAGRAM_ALL;
        DiagramId zero = verify_where(v, WHOLE_SOURCE_PORT, range_single(U128_ZERO));

        for (size_t i = 0; i < ARRAY_SIZE(with_ports); i++)
                ports = verify_union(
                        v, ports,
                        verify_where(v, WHOLE_PROTOCOL, range_single(u128(with_ports[i]))));
        for (size_t i = 0; i < ARRAY_SIZE(first_types); i++)
                if (first_types[i].family == v->family)
                        types = verify_union(v, types,
                                             verify_where(v, WHOLE_SOURCE_PORT,
                                                          type_range(first_types[i].type)));
        sum = diagram_minus(d, sum,
                            diagram_minus(d, tcp, whole_where(v->whole, WHOLE_FLAGS, flags, 2)));
        sum = diagram_minus(d, sum, verify_and(v, ports, zero));
        return diagram_minus(d, sum, diagram_minus(d, icmp, types));
}

/* What the expectation describes, but for what it is sent to. */
static DiagramId where_from(Expected *x, const PolicyRule *rule) {
        Verify *v = x->v;
        DiagramId r = rule->from.restricts ? verify_where_clients(v, &rule->from) : DIAGRAM_ALL;

        if (rule->except.n_terms > 0)
                r = diagram_minus(v->diagram, r, verify_where_clients(v, &rule->except));
        if (rule->in.n_items > 0)
                r = verify_and(v, whole_where_in(v->whole, &rule->in), r);
        r = outside(v, WHOLE_SOURCE, outside(v, WHOLE_DESTINATION, r));
        if (!x->allow)
                return diagram_minus(v->diagram, r, verify_where_essential(v));
        r = verify_and(v, whole_where_plain(v->whole), r);
        return verify_and(v, where_meant(v), r);
}

/* What a process opens, if it is not bound to a loopback address. */
static DiagramId where_opened(Expected *x, const PolicyRule *rule) {
        static const WholeChange none;
        Verify *v = x->v;
        DiagramId to = outside(v, WHOLE_DESTINATION, where_end(x, &rule->to, &none));

        if (rule->except.n_terms > 0)
                to = diagram_minus(v->diagram, to, where_end(x, &rule->except, &none));
        to = verify_where_sent(v, rule, to, x->allow);
        return x->allow ? verify_and(v, where_meant(v), to) : to;
}

/* What it describes, by what was dialled: as in the policy, a published port belongs to inbound. */
static DiagramId where_dialled(Expected *x, const Expect *e) {
        static const WholeChange none;
        Verify *v = x->v;
        const PolicyRule *rule = &e->rule;
        bool routed = e->section == SECTION_ROUTED;
        DiagramId r;

        if (v->sent)
                return where_opened(x, rule);
        r = verify_and(v, verify_where_services(v, &rule->services.set, &none, false),
                       where_from(x, rule));

        r = verify_and(v, where_end(x, &rule->to, routed ? &none : NULL), r);
        if (!routed)
                return verify_and(v, whole_where_local(v->whole), r);
        if (rule->out.n_items > 0)
                r = verify_and(v, whole_where_out(v->whole, &none, &rule->out), r);
        return verify_and(v, whole_where_routed(v->whole, x->allow), r);
}

static bool ends_within(Expected *x, const ZoneExpression *e, const WholeChange *c) {
        return !e->restricts || !c->has_address ||
               zone_expression_contains(e, NULL, x->v->family, c->address);
}

/* Packets that break a `deny` if they end so: also those that another port was translated for. */
static DiagramId where_denied(Expected *x, const Expect *e, const WholeChange *c, bool here) {
        Verify *v = x->v;
        DiagramId r = where_dialled(x, e), final;

        if (v->sent && verify_stays(v, c))
                return DIAGRAM_EMPTY;
        if (v->sent)
                return verify_union(v, r, verify_where_sent_on(v, &e->rule, c));
        if (!here || !verify_is_translated(c) || e->section != SECTION_INBOUND ||
            !ends_within(x, &e->rule.to, c))
                return r;
        final = verify_where_services(v, &e->rule.services.set, c, true);
        return verify_union(v, r, verify_and(v, final, where_from(x, &e->rule)));
}

static DiagramId care(void *context, const WholeChange *c, bool here) {
        Expected *x = context;
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < x->n; i++)
                sum = verify_union(x->v, sum,
                                   x->allow ? where_dialled(x, x->expects[i])
                                            : where_denied(x, x->expects[i], c, here));
        return sum;
}

/* Whether packets that end so surely get anywhere. */
static bool gets_through(Expected *x, const WholeEnd *end) {
        const World *w = x->v->world;
        const WholeChange *c = &end->change;

        if (x->v->sent)
                return verify_gets_out(x->v, c);
        if (c->any_address || c->any_port || c->any_else)
                return false;
        if (end->here)
                return true;
        /* rules of policy routing may lead nowhere */
        return (x->v->family == FAMILY_IPV4 ? w->forwards4 : w->forwards6) &&
               (c->has_address ? whole_leads(x->v->whole, c->address)
                               : !w->has_route_rules[x->v->family]);
}

static DiagramId where_bad(Expected *x, const Expect *e, const WholeEnd *ends, size_t n) {
        Verify *v = x->v;
        DiagramId sum = DIAGRAM_EMPTY, region = where_dialled(x, e);

        for (size_t i = 0; i < n && !x->allow; i++)
                sum = verify_union(v, sum,
                                   verify_and(v, where_denied(x, e, &ends[i].change, ends[i].here),
                                              ends[i].region));
        if (!x->allow)
                return sum;
        sum = whole_drops(v->whole);
        for (size_t i = 0; i < n; i++)
                if (!gets_through(x, &ends[i]))
                        sum = verify_union(v, sum, ends[i].region);
        return verify_and(v, region, sum);
}

/* Cuts. */

static int cut_all(Expected *x) {
        Verify *v = x->v;

        for (size_t i = 0; i < x->n; i++) {
                const PolicyRule *rule = &x->expects[i]->rule;

                if (verify_cut_services(v, &rule->services.set) < 0 ||
                    verify_cut_clients(v, &rule->from, WHOLE_SOURCE) < 0 ||
                    verify_cut_clients(v, &rule->except, WHOLE_SOURCE) < 0 ||
                    verify_cut_clients(v, &rule->to, WHOLE_DESTINATION) < 0 ||
                    (v->sent && (verify_cut_clients(v, &rule->except, WHOLE_DESTINATION) < 0 ||
                                 verify_cut_sent(v) < 0)))
                        return -ENOMEM;
        }
        for (size_t i = 0; i < ARRAY_SIZE(inside); i++)
                if (inside[i].family == v->family &&
                    (whole_cut(v->whole, WHOLE_SOURCE, inside[i].range) < 0 ||
                     whole_cut(v->whole, WHOLE_DESTINATION, inside[i].range) < 0))
                        return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(first_types); i++)
                if (whole_cut(v->whole, WHOLE_SOURCE_PORT, type_range(first_types[i].type)) < 0)
                        return -ENOMEM;
        if (whole_cut(v->whole, WHOLE_PROTOCOL, range_single(u128(IPPROTO_DCCP))) < 0 ||
            whole_cut(v->whole, WHOLE_PROTOCOL, range_single(u128(IPPROTO_UDPLITE))) < 0)
                return -ENOMEM;
        return verify_cut_common(v);
}

/* Copies of packets do not make anything reachable, and may leave by interfaces only where that is
 * asked about. */
static int watch(Expected *x) {
        int r = 0;

        for (size_t i = 0; i < x->n && !x->allow && r == 0; i++)
                if (x->expects[i]->section != SECTION_INBOUND)
                        r = whole_watch(x->v->whole, NULL);
        return r;
}

/* What the evaluator, another code, says. */

static bool passes(const WorldOutcome *o) {
        return (o->where == WORLD_LEFT && !o->sent_on) || o->where == WORLD_DELIVERED;
}

/* Whether the packet surely shows that the expectation does not hold. */
static bool is_broken(const Expected *x, const WorldWalk *walk, const WorldOutcome **ret) {
        if (!x->allow) {
                /* of what is sent, only what leaves this host counts */
                *ret = world_walk_passing(walk, !x->v->sent);
                return *ret;
        }
        if (walk->n_outcomes == 0 || walk->incomplete)
                return false;
        *ret = &walk->outcomes[0];
        for (size_t i = 0; i < walk->n_outcomes; i++)
                if (passes(&walk->outcomes[i]) || walk->outcomes[i].unknown)
                        return false;
        return true;
}

static int disagree(Expected *x, const WorldFields *f, const WorldPacket *p, const WorldWalk *w) {
        x->v->what = verify_describe(x->v, f, p, &w->outcomes[0]);
        return -EPROTO;
}

/* An address that the kernel still looks for doubles of is here, and not here yet. */
bool verify_is_settled(const Verify *v, U128 address) {
        const World *w = v->world;
        bool is_own = false, is_local = false;

        for (size_t i = 0; i < w->n_addresses; i++)
                is_own |= w->addresses[i].family == v->family &&
                          u128_equal(w->addresses[i].address, address);
        for (size_t i = 0; i < w->n_routes; i++)
                is_local |= w->routes[i].family == v->family && w->routes[i].type == 2 &&
                            w->routes[i].prefix == (v->family == FAMILY_IPV4 ? 32 : 128) &&
                            u128_equal(w->routes[i].destination, address);
        return is_own == is_local;
}

static int compare(Expected *x, size_t number, DiagramId region) {
        Verify *v = x->v;
        DiagramId bad = diagram_exists(v->diagram, x->bad[number], _WHOLE_VARIABLE_MAX);

        for (size_t i = 0; i < SAMPLES; i++) {
                uint32_t point[DIAGRAM_VARIABLES_MAX] = {0};
                const WorldOutcome *o;
                VerifyLiked liked = {0};
                WorldPacket packet;
                WorldFields f;
                WorldWalk walk;
                int r;

                for (unsigned int j = 0; j < _WHOLE_VARIABLE_MAX; j++)
                        point[j] = verify_draw(v, (uint32_t)whole_axis(v->whole, j)->n_lows);
                if (!diagram_witness(v->diagram, region, point, NULL, NULL))
                        return whole_error(v->whole);
                verify_make_packet(v, point, &liked, &packet, &f);
                /* what has no ports has other bytes there */
                if (f.protocol != IPPROTO_TCP && f.protocol != IPPROTO_UDP)
                        continue;
                /* of links that have no such network */
                if (x->allow && f.family == FAMILY_IPV6 && f.source.high >> 54 == 0x3fa)
                        continue;
                if (!v->sent && !verify_is_settled(v, f.destination))
                        continue;
                if (x->allow && !v->sent && !whole_may_lead_back(v->whole, f.source, packet.in))
                        continue;
                r = world_walk(v->walker, &packet, &walk);
                if (r == -ENOMEM)
                        return r;
                if (r < 0 || !is_broken(x, &walk, &o) || o->where == WORLD_REFUSED ||
                    !verify_leaves_by(v, point, &f, &walk))
                        continue;
                v->n_compared++;
                if (diagram_at(v->diagram, bad, point) == DIAGRAM_EMPTY)
                        return disagree(x, &f, &packet, &walk);
        }
        return 0;
}

/* Answers. */

static const char *describe_refusal(Expected *x, const char *packet, const WorldWalk *walk) {
        const WorldStep *last = walk->n_steps > 0 ? &walk->steps[walk->n_steps - 1] : NULL;

        if (walk->outcomes[0].where == WORLD_REFUSED)
                return arena_printf(x->v->arena, "%s: the kernel itself refuses it", packet);
        return last ? arena_printf(x->v->arena, "%s: table '%s' refuses it", packet,
                                   last->chain->table->name)
                    : packet;
}

/* Where a packet that gets through is looked for first: a route leads to it. */
static DiagramId where_promising(Expected *x, size_t number) {
        Verify *v = x->v;
        DiagramId known;

        if (x->allow || x->expects[number]->section != SECTION_ROUTED)
                return x->bad[number];
        known = verify_and(v, whole_where_routed(v->whole, true), x->bad[number]);
        return known == DIAGRAM_EMPTY ? x->bad[number] : known;
}

/* 1 if a packet shows that it does not hold. */
static int refute(Expected *x, size_t number, VerifyAnswer *answer) {
        Verify *v = x->v;
        DiagramId bad = where_promising(x, number);
        bool is_open = false;
        VerifyLiked liked;

        /* as routes lead it: a socket that is bound to another interface proves little */
        if (v->sent)
                bad = verify_and(v, whole_where_plain(v->whole), bad);

        for (size_t try = 0; verify_next_liked(v, try, &liked); try++) {
                uint32_t point[DIAGRAM_VARIABLES_MAX] = {0};
                const WorldOutcome *o;
                WorldPacket packet;
                WorldFields f;
                WorldWalk walk;
                int r;

                if (!verify_find(v, bad, &liked, point))
                        continue;
                verify_make_packet(v, point, &liked, &packet, &f);
                if (x->allow && !v->sent && !whole_may_lead_back(v->whole, f.source, packet.in))
                        continue;
                r = world_walk(v->walker, &packet, &walk);
                if (r == -ENOMEM)
                        return r;
                if (r < 0 || !verify_leaves_by(v, point, &f, &walk))
                        continue;
                is_open |= walk.may_pass && walk.may_drop;
                if (!is_broken(x, &walk, &o) ||
                    (!x->allow && x->expects[number]->section == SECTION_INBOUND &&
                     verify_misses(&x->expects[number]->rule.services.set, &f, o)))
                        continue;
                answer->connection = verify_describe(v, &f, &packet, o);
                if (x->allow && answer->connection)
                        answer->connection = describe_refusal(x, answer->connection, &walk);
                r = answer->connection ? verify_copy_steps(v, answer, &walk) : -ENOMEM;
                return r < 0 ? r : 1;
        }
        return is_open ? verify_add_reason(v, answer,
                                           "a limit, a counter or an element that times out")
                       : 0;
}

typedef struct Refusals {
        WholeRefusal *list;
        size_t n;
} Refusals;

static DiagramId where_refused(Expected *x, const Refusals *refusals, DiagramId region) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < refusals->n; i++)
                sum = verify_union(x->v, sum, verify_and(x->v, refusals->list[i].region, region));
        return sum;
}

/* unknown: what is bad for all that is walked; x->bad may be more. */
static int answer_one(
        Expected *x, size_t i, DiagramId unknown, const Refusals *refusals, VerifyAnswer *answer) {
        Verify *v = x->v;
        int r;

        if (answer->kind == VERIFY_REFUTED ||
            (x->bad[i] == DIAGRAM_EMPTY && !whole_is_open(v->whole)))
                return 0;
        r = x->bad[i] == DIAGRAM_EMPTY ? 0 : refute(x, i, answer);
        if (r < 0)
                return r;
        answer->kind = r > 0 ? VERIFY_REFUTED : VERIFY_UNDECIDED;
        for (size_t j = 0; j < refusals->n && r == 0; j++)
                if (verify_and(v, refusals->list[j].region, x->bad[i]) != DIAGRAM_EMPTY &&
                    verify_add_reason(v, answer, refusals->list[j].text) < 0)
                        return -ENOMEM;
        if (r > 0 || (unknown == DIAGRAM_EMPTY && !whole_is_open(v->whole)))
                return 0;
        return verify_explain(v, unknown, answer);
}

static int answer_all(Expected *x, VerifyAnswer *const *answers, const WholeEnd *ends, size_t n) {
        Refusals refusals = {0};
        int r = 0;

        if (x->allow)
                r = whole_find_refusals(x->v->whole, x->v->arena, &refusals.list, &refusals.n);
        for (size_t i = 0; i < x->n && r == 0; i++) {
                DiagramId region = verify_and(x->v, whole_domain(x->v->whole),
                                              where_dialled(x, x->expects[i]));
                DiagramId bad = where_bad(x, x->expects[i], ends, n);

                /* a chain that is not walked may refuse any of them */
                x->bad[i] = verify_union(x->v, bad, where_refused(x, &refusals, region));
                answers[i]->described |= region != DIAGRAM_EMPTY;
                r = whole_error(x->v->whole);
                if (r == 0)
                        r = compare(x, i, region);
                if (r == 0)
                        r = answer_one(x, i, bad, &refusals, answers[i]);
        }
        return r == 0 ? whole_error(x->v->whole) : r;
}

static int give_up(Expected *x, VerifyAnswer *const *answers) {
        for (size_t i = 0; i < x->n; i++) {
                if (answers[i]->kind == VERIFY_REFUTED)
                        continue;
                answers[i]->described = true;
                answers[i]->kind = VERIFY_UNDECIDED;
                if (verify_add_reason(x->v, answers[i], "the rules are too complex") < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* One family; expectations of one kind, since what may be refused is asked of other packets. */
static int verify_kind(Expected *x, VerifyAnswer *const *answers) {
        _cleanup_(whole_freep) Whole *whole = whole_new(x->v->world, x->v->family);
        const WholeEnd *ends;
        size_t n;
        int r;

        if (!whole)
                return -ENOMEM;
        x->v->whole = whole;
        x->v->diagram = whole_diagram(whole);
        x->bad = arena_alloc_array(x->v->arena, x->n, sizeof(*x->bad));
        if (!x->bad || cut_all(x) < 0 || watch(x) < 0 ||
            (x->allow && whole_take_plain(whole) < 0) || (x->v->sent && whole_take_sent(whole) < 0))
                return -ENOMEM;
        if (x->allow)
                whole_take_refusals(whole);
        r = whole_finish(whole);
        if (r == 0)
                r = whole_walk(whole, care, x, &ends, &n);
        if (r == 0)
                r = answer_all(x, answers, ends, n);
        return r == -E2BIG || r == -ELOOP ? give_up(x, answers) : r;
}

int verify_expected(Verify *v, bool allow, bool sent, VerifyAnswer *answers) {
        const Policy *p = v->policy;
        const Expect **expects = arena_alloc_array(v->arena, p->n_expects + 1, sizeof(*expects));
        VerifyAnswer **list = arena_alloc_array(v->arena, p->n_expects + 1, sizeof(*list));
        Expected x = {.v = v, .allow = allow, .expects = expects};
        int r;

        if (!expects || !list)
                return -ENOMEM;
        for (size_t i = 0; i < p->n_expects; i++) {
                const Expect *e = &p->expects[i];

                if ((e->section == SECTION_OUTBOUND) == sent &&
                    (e->rule.verb == RULE_ALLOW) == allow) {
                        list[x.n] = &answers[i];
                        expects[x.n++] = e;
                }
        }
        v->sent = sent;
        r = x.n > 0 ? verify_kind(&x, list) : 0;
        v->whole = NULL;
        v->diagram = NULL;
        v->sent = false;
        return r;
}
