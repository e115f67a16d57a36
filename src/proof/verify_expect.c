/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/verify_expect.h"

#include <netinet/in.h>

/* What is expected, compared with what the kernel's rules do. */

#define SAMPLES 100 /* packets for which both codes are asked, an expectation */

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

/* Whether it may end either way with all that is done to it understood. */
static bool is_chance(const WorldWalk *walk) {
        bool passed = false, stopped = false;

        for (size_t i = 0; i < walk->n_outcomes; i++) {
                const WorldOutcome *o = &walk->outcomes[i];
                bool through = o->where == WORLD_DELIVERED || o->where == WORLD_LEFT;

                passed |= through && !o->unknown;
                stopped |= !through && !o->unknown;
        }
        return passed && stopped;
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
                is_open |= is_chance(&walk);
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
                                              expected_where_dialled(x, x->expects[i]));
                DiagramId bad = expected_where_bad(x, x->expects[i], ends, n);

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
        if (!x->v->sent && whole_share(whole, x->v->arena, &x->v->cuts) < 0)
                return -ENOMEM;
        if (!x->bad || expected_cut(x) < 0 || watch(x) < 0 ||
            (x->allow && whole_take_plain(whole) < 0) || (x->v->sent && whole_take_sent(whole) < 0))
                return -ENOMEM;
        if (x->allow)
                whole_take_refusals(whole);
        r = whole_finish(whole);
        if (r == 0)
                r = whole_walk(whole, expected_care, x, &ends, &n);
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
