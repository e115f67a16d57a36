/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/beside.h"

#include <netinet/in.h>

#define REASONS_MAX 24

/* A claim as far as it matters here. */
typedef struct Closed {
        const ServiceSet *services;
        const ZoneExpression *from, *except; /* who is meant; NULL: everybody */
        const RangeSet *in;
        bool routed; /* alone */
        bool behind; /* containers and machines as well */
} Closed;

static bool holds(const ServiceSet *s, uint8_t proto, uint16_t port) {
        const RangeSet *ports = proto == IPPROTO_TCP ? &s->tcp : &s->udp;

        return s->any || range_set_contains(&s->protocols, u128(proto)) ||
               range_set_contains(ports, u128(port));
}

static bool has_ports(const ServiceSet *s, uint8_t proto) {
        const RangeSet *ports = proto == IPPROTO_TCP ? &s->tcp : &s->udp;

        return s->any || range_set_contains(&s->protocols, u128(proto)) || ports->n_items > 0;
}

/* A question that was answered: Docker has a proxy for each address of a port. */
typedef struct Asked {
        uint8_t proto;
        uint16_t port;
        const ZoneExpression *from, *except;
        const RangeSet *in;
        VerifyAnswer answer;
} Asked;

typedef struct Beside {
        const Policy *policy;
        const World *world;
        Arena *arena;
        const char **what;
        Asked *asked;
        size_t n_asked;
} Beside;

/* bypass_judge() for all ports of a claim. */
static BypassMeaning judge(const Bypass *b, const Closed *c) {
        if (b->state == BYPASS_ABSENT || (b->is_behind && !c->behind && !c->routed))
                return BYPASS_MEANS_NOTHING;
        if (b->effect == BYPASS_LETS_IN)
                return BYPASS_MEANS_UNDECIDED;
        /* what a relay opens is a connection of this host's own */
        if (b->effect != BYPASS_RELAYS || c->routed)
                return BYPASS_MEANS_NOTHING;
        if (b->state == BYPASS_UNKNOWN)
                return BYPASS_MEANS_UNDECIDED;
        if (!has_ports(c->services, b->proto) ||
            (b->port > 0 && holds(c->services, b->proto, b->port)))
                return BYPASS_MEANS_NOTHING;
        if (b->target_port == 0)
                return BYPASS_MEANS_UNDECIDED;
        return holds(c->services, b->proto, b->target_port) ? BYPASS_MEANS_REFUTED
                                                            : BYPASS_MEANS_NOTHING;
}

/* What sees packets before nftables, or beside it, and could refuse them. What control groups do is
 * done to single programs. */
static bool may_refuse(const Bypass *b) {
        static const bool rows[_BYPASS_KIND_MAX] = {
                [BYPASS_LEGACY] = true,    [BYPASS_XDP] = true,       [BYPASS_TC] = true,
                [BYPASS_NETFILTER] = true, [BYPASS_SK_LOOKUP] = true, [BYPASS_IPVS] = true,
        };

        return b->state != BYPASS_ABSENT && rows[b->kind];
}

static int make_undecided(Beside *x, VerifyAnswer *answer, const Bypass *by) {
        const char *reason = by->what;

        if (answer->kind == VERIFY_REFUTED)
                return 0;
        answer->kind = VERIFY_UNDECIDED;
        answer->hangs_on_legacy |= by->kind == BYPASS_LEGACY;
        if (answer->n_reasons >= REASONS_MAX)
                return 0;
        return arena_append(x->arena, answer->reasons, answer->n_reasons, reason) ? 0 : -ENOMEM;
}

static const Asked *find_asked(const Beside *x, const Closed *c, const Bypass *b) {
        for (size_t i = 0; i < x->n_asked; i++) {
                const Asked *a = &x->asked[i];

                if (a->proto == b->proto && a->port == b->port && a->from == c->from &&
                    a->except == c->except && a->in == c->in)
                        return a;
        }
        return NULL;
}

/* Whether somebody who is meant reaches the port at which it listens, by the rules. */
static int ask_rules(Beside *x, const Closed *c, const Bypass *b, VerifyAnswer *ret) {
        Asked asked = {b->proto, b->port, c->from, c->except, c->in, {0}};
        const Asked *known = find_asked(x, c, b);
        Range port = range_single(u128(b->port));
        RangeSet ports = {.items = &port, .n_items = 1};
        Expect expect = {.section = SECTION_INBOUND, .rule = {.verb = RULE_DENY}};
        Policy policy = *x->policy;
        VerifyReport report;
        int r;

        if (b->proto == IPPROTO_TCP)
                expect.rule.services.set.tcp = ports;
        else
                expect.rule.services.set.udp = ports;
        if (c->from)
                expect.rule.from = *c->from;
        if (c->except)
                expect.rule.except = *c->except;
        if (c->in)
                expect.rule.in = *c->in;
        if (known) {
                *ret = known->answer;
                return 0;
        }
        policy.n_protected = 0;
        policy.expects = &expect;
        policy.n_expects = 1;
        r = verify_claims(&policy, x->world, x->arena, &report, x->what);
        if (r < 0)
                return r;
        *ret = asked.answer = report.answers[0];
        return arena_append(x->arena, x->asked, x->n_asked, asked) ? 0 : -ENOMEM;
}

static bool translates(const VerifyAnswer *a) {
        for (size_t i = 0; i < a->n_steps; i++)
                if (a->steps[i].nat)
                        return true;
        return false;
}

static int judge_relay(Beside *x, const Closed *c, const Bypass *b, VerifyAnswer *answer) {
        VerifyAnswer reached = {.kind = VERIFY_REFUTED};
        int r;

        if (answer->kind == VERIFY_REFUTED)
                return 0;
        r = b->port > 0 ? ask_rules(x, c, b, &reached) : 0;
        if (r < 0 || reached.kind == VERIFY_PROVED)
                return r;
        /* what is translated goes elsewhere than to the relay */
        if (reached.kind == VERIFY_UNDECIDED || translates(&reached))
                return make_undecided(x, answer, b);
        answer->kind = VERIFY_REFUTED;
        answer->connection = reached.connection
                                     ? arena_printf(x->arena, "%s; %s", reached.connection, b->what)
                                     : b->what;
        answer->steps = reached.steps;
        answer->n_steps = reached.n_steps;
        return answer->connection ? 0 : -ENOMEM;
}

static int
judge_closed(Beside *x, const Closed *c, const Bypass *b, VerifyAnswer *answer, bool *ret_touched) {
        switch (judge(b, c)) {
        case BYPASS_MEANS_NOTHING:
                return 0;
        case BYPASS_MEANS_UNDECIDED:
                *ret_touched = true;
                return make_undecided(x, answer, b);
        case BYPASS_MEANS_REFUTED:
                *ret_touched = true;
                return judge_relay(x, c, b, answer);
        }
        return 0;
}

static int judge_expects(Beside *x, const Bypass *b, VerifyAnswer *answers, bool *touched) {
        int r = 0;

        for (size_t i = 0, n = 0; i < x->policy->n_expects && r == 0; i++) {
                const Expect *e = &x->policy->expects[i];
                Closed c = {.services = &e->rule.services.set,
                            .from = &e->rule.from,
                            .in = &e->rule.in,
                            .routed = e->section == SECTION_ROUTED};

                if (e->section == SECTION_OUTBOUND)
                        continue;
                if (answers[n].claim == VERIFY_NEVER)
                        r = judge_closed(x, &c, b, &answers[n], touched);
                else if (may_refuse(b)) {
                        *touched = true;
                        r = make_undecided(x, &answers[n], b);
                }
                n++;
        }
        return r;
}

static int judge_one(Beside *x, const Bypass *b, VerifyReport *report) {
        const Policy *p = x->policy;
        bool touched = false;
        int r = 0;

        for (size_t i = 0; i < p->n_protected && r == 0; i++) {
                const Protected *one = &p->protected[i];
                Closed c = {.services = &one->services.set,
                            .except = one->only_from.given ? &one->only_from : NULL,
                            .behind = true};

                r = judge_closed(x, &c, b, &report->answers[i], &touched);
        }
        if (r == 0)
                r = judge_expects(x, b, report->answers + p->n_protected, &touched);
        if (r < 0 || touched || b->state == BYPASS_ABSENT)
                return r;
        return arena_append(x->arena, report->bypasses, report->n_bypasses, b->what) ? 0 : -ENOMEM;
}

int beside_judge(const Policy *policy,
                 const World *w,
                 const Bypass *items,
                 size_t n,
                 Arena *a,
                 VerifyReport *report,
                 const char **ret_what) {
        Beside x = {.policy = policy, .world = w, .arena = a, .what = ret_what};
        int r = 0;

        for (size_t i = 0; i < n && r == 0; i++)
                r = judge_one(&x, &items[i], report);
        return r;
}
