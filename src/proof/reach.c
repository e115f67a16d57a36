/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/reach_state.h"

#define SAMPLES 2        /* packets for which both codes are asked, a place */
#define COMPARED_MAX 200 /* in all */
#define TRIES_MAX 48     /* packets that are tried to show one thing */

/* Opening. */

static int cut_place(Reach *x, const ReachPlace *p) {
        bool translated = p->kind == REACH_TRANSLATED;
        Range ports = {u128(translated ? p->low : p->port), u128(translated ? p->high : p->port)};
        int r = whole_cut(x->v.whole, WHOLE_DESTINATION_PORT, ports);

        if (r == 0 && (translated ? p->has_dialled : !p->any_address))
                r = whole_cut(x->v.whole, WHOLE_DESTINATION,
                              range_single(translated ? p->dialled : p->address));
        return r;
}

int reach_cut(Reach *x) {
        Verify *v = &x->v;
        int r = verify_cut_common(v);

        for (size_t i = 0; i < x->n_places && r == 0; i++)
                r = cut_place(x, &x->places[i]);
        for (size_t i = 0; i < x->n_clients && r == 0; i++) {
                const ReachClients *c = &x->clients[i];

                if (c->from)
                        r = verify_cut_clients(v, c->from, WHOLE_SOURCE);
                if (c->except && r == 0)
                        r = verify_cut_clients(v, c->except, WHOLE_SOURCE);
        }
        if (r == 0)
                r = whole_cut(v->whole, WHOLE_DESTINATION, reach_loopback[v->family]);
        if (r == 0)
                r = verify_cut_zone(v, v->policy->containers, WHOLE_DESTINATION);
        if (r == 0)
                r = verify_cut_zone(v, v->policy->vms, WHOLE_DESTINATION);
        if (r == 0)
                r = whole_watch(v->whole, NULL);
        return r == 0 ? whole_take_plain(v->whole) : r;
}

int reach_find_clients(Reach *x) {
        static const WholeChange none;
        Verify *v = &x->v;
        DiagramId inside = verify_where(v, WHOLE_DESTINATION, reach_loopback[v->family]);

        x->begin = reach_where_begin(x);
        x->sent = diagram_minus(v->diagram, x->begin, inside);
        /* IPv6 takes none from outside, whatever it is told */
        x->to_loopback = v->family == FAMILY_IPV4 ? verify_and(v, inside, x->begin) : DIAGRAM_EMPTY;
        x->who = arena_alloc_array(v->arena, x->n_clients + 1, sizeof(*x->who));
        x->sources = arena_alloc_array(v->arena, x->n_clients + 1, sizeof(*x->sources));
        if (!x->who || !x->sources || reach_find_listened(x) < 0)
                return -ENOMEM;
        x->attached = verify_and(v, verify_where_attached(v, &none), x->begin);
        for (size_t i = 0; i < x->n_clients; i++) {
                x->who[i] = reach_where_clients(x, &x->clients[i]);
                x->sources[i] = diagram_exists(v->diagram, x->who[i], WHOLE_SOURCE + 1);
        }
        return whole_error(v->whole);
}

static int compare(Reach *x);

static DiagramId care(void *context, const WholeChange *c, bool here) {
        const Reach *x = context;

        if (verify_is_translated(c))
                return x->begin;
        return here ? x->listened : x->attached;
}

static int look(Reach *x) {
        int r = reach_cut(x);

        if (r < 0)
                return r;
        x->v.diagram = whole_diagram(x->v.whole);
        r = whole_finish(x->v.whole);
        if (r == 0)
                r = reach_find_clients(x);
        if (r == 0)
                r = whole_walk(x->v.whole, care, x, &x->ends, &x->n_ends);
        return r == 0 ? compare(x) : r;
}

int reach_open(const Policy *policy,
               const World *w,
               Family family,
               const ReachPlace *places,
               size_t n_places,
               const ReachClients *clients,
               size_t n_clients,
               Arena *a,
               Reach **ret) {
        _cleanup_(reach_closep) Reach *x = calloc(1, sizeof(*x));
        int r;

        if (!x)
                return -ENOMEM;
        x->v = (Verify){.policy = policy,
                        .world = w,
                        .arena = a,
                        .family = family,
                        .random = UINT64_C(0x9e3779b97f4a7c15)};
        x->places = places;
        x->n_places = n_places;
        x->clients = clients;
        x->n_clients = MIN(n_clients, (size_t)REACH_CLIENTS_MAX);
        x->v.whole = whole_new(w, family);
        r = x->v.whole ? world_walker_new(w, &x->v.walker) : -ENOMEM;
        if (r == 0)
                r = look(x);
        x->complex = r == -E2BIG || r == -ELOOP;
        if (r < 0 && !x->complex)
                return r;
        *ret = TAKE_PTR(x);
        return 0;
}

Reach *reach_close(Reach *x) {
        if (!x)
                return NULL;
        x->v.walker = world_walker_free(x->v.walker);
        x->v.whole = whole_free(x->v.whole);
        free(x);
        return NULL;
}

/* What the evaluator, another code, says. */

static bool ends_at(const ReachPlace *p, const WorldFields *f, const WorldOutcome *o) {
        bool address = p->any_address || u128_equal(o->destination, p->address);

        if (o->where != (p->kind == REACH_SOCKET ? WORLD_DELIVERED : WORLD_LEFT) || !address)
                return false;
        if (p->kind == REACH_TRANSLATED)
                return f->destination_port >= p->low && f->destination_port <= p->high &&
                       (p->port == 0 || o->destination_port == p->port);
        return o->destination_port == p->port;
}

/* Whether it gets there, be it within somebody's limits; and nothing that is not understood has its
 * part in it. */
static const WorldOutcome *
find_end(const ReachPlace *places, size_t n, const WorldFields *f, const WorldWalk *walk) {
        bool all = walk->n_outcomes > 0 && !walk->incomplete;

        for (size_t o = 0; o < walk->n_outcomes; o++) {
                const WorldOutcome *end = &walk->outcomes[o];
                bool there = false;

                for (size_t i = 0; i < n && !end->unknown; i++)
                        there |= ends_at(&places[i], f, end);
                if (there && !end->doubtful)
                        return end;
                all &= there;
        }
        return all ? &walk->outcomes[0] : NULL; /* whatever the doubtful is */
}

static bool
is_same(const WorldFields *f, const WorldPacket *p, const WorldFields *g, const char *in) {
        return in && streq_null(p->in, in) && u128_equal(f->source, g->source) &&
               u128_equal(f->destination, g->destination);
}

/* 1 if a packet of the region surely gets there, by the evaluator's word. */
static int try_packets(
        Reach *x, const ReachPlace *places, size_t n_places, DiagramId region, const char **ret) {
        Verify *v = &x->v;
        WorldFields before = {0};
        const WorldOutcome *end;
        const char *in = NULL;
        VerifyLiked liked;

        for (size_t try = 0, n = 0; n < TRIES_MAX && verify_next_liked(v, try, &liked); try++) {
                uint32_t point[DIAGRAM_VARIABLES_MAX] = {0};
                WorldPacket packet;
                WorldFields f;
                WorldWalk walk;
                int r;

                if (!verify_find(v, region, &liked, point))
                        continue;
                verify_make_packet(v, point, &liked, &packet, &f);
                if (is_same(&f, &packet, &before, in))
                        continue;
                before = f;
                in = packet.in;
                n++;
                r = world_walk(v->walker, &packet, &walk);
                if (r == -ENOMEM)
                        return r;
                end = r < 0 ? NULL : find_end(places, n_places, &f, &walk);
                if (!end)
                        continue;
                if (ret)
                        *ret = verify_describe(v, &f, &packet, end);
                return ret && !*ret ? -ENOMEM : 1;
        }
        return whole_error(v->whole);
}

/* Packets at the edges of what rules tell apart: none that the evaluator lets in may be missing. */
static int compare_place(Reach *x, const ReachPlace *p) {
        Verify *v = &x->v;
        DiagramId region = verify_and(v, reach_where_protocol(x, p->proto), x->begin), may;
        int r = reach_settle(x, p, 1);

        region = verify_and(v, verify_where(v, WHOLE_DESTINATION_PORT, range_single(u128(p->port))),
                            region);
        may = diagram_exists(v->diagram, x->may, _WHOLE_VARIABLE_MAX);
        for (size_t i = 0; i < SAMPLES && r == 0; i++) {
                uint32_t point[DIAGRAM_VARIABLES_MAX] = {0};
                VerifyLiked liked = {0};
                WorldPacket packet;
                WorldFields f;
                WorldWalk walk;

                for (unsigned int j = 0; j < _WHOLE_VARIABLE_MAX; j++)
                        point[j] = verify_draw(v, (uint32_t)whole_axis(v->whole, j)->n_lows);
                if (!diagram_witness(v->diagram, region, point, NULL, NULL))
                        return whole_error(v->whole);
                verify_make_packet(v, point, &liked, &packet, &f);
                if ((f.family == FAMILY_IPV6 && f.source.high >> 54 == 0x3fa) ||
                    !verify_is_settled(v, f.destination) ||
                    (p->interface && !streq(p->interface, packet.in)))
                        continue;
                r = world_walk(v->walker, &packet, &walk);
                if (r == -ENOMEM)
                        return r;
                if (r == 0 && walk.n_outcomes > 0 && !walk.outcomes[0].unknown &&
                    ends_at(p, &f, &walk.outcomes[0]) &&
                    reach_is_own(x, walk.outcomes[0].destination) &&
                    diagram_at(v->diagram, may, point) == DIAGRAM_EMPTY)
                        return -EPROTO;
                r = 0;
        }
        return r;
}

static int compare(Reach *x) {
        size_t step = x->n_places / (COMPARED_MAX / SAMPLES) + 1;
        int r = 0;

        for (size_t i = 0; i < x->n_places && r == 0; i += step)
                if (x->places[i].kind == REACH_SOCKET)
                        r = compare_place(x, &x->places[i]);
        return r;
}

/* Answers. */

typedef struct Question {
        const ReachPlace *places;
        size_t n_places;
        bool forwards; /* somewhere it leads on to another host */
} Question;

static Question ask_for(const ReachPlace *places, size_t n) {
        Question q = {.places = places, .n_places = n};

        for (size_t i = 0; i < n; i++)
                q.forwards |= places[i].kind != REACH_SOCKET;
        return q;
}

static int answer(Reach *x, const Question *q, size_t i, ReachAnswer *ret, DiagramId *ret_from) {
        Verify *v = &x->v;
        DiagramId may = verify_and(v, x->may, x->who[i]), sure, all = x->sources[i], from;
        int r = 0;

        if (q->forwards)
                all = reach_where_forwarded(x, all);
        *ret = (ReachAnswer){.absent = all == DIAGRAM_EMPTY};
        *ret_from = DIAGRAM_EMPTY;
        if (may == DIAGRAM_EMPTY)
                return whole_error(v->whole);
        *ret_from = diagram_exists(v->diagram, may, WHOLE_SOURCE + 1);
        from = q->forwards ? reach_where_forwarded(x, *ret_from) : *ret_from;
        ret->count = from == all ? REACH_ALL : REACH_SOME;
        /* what the kernel does with loopback addresses from outside, the evaluator knows better */
        sure = x->clients[i].to_loopback ? DIAGRAM_EMPTY : verify_and(v, x->sure, x->who[i]);
        if (sure == DIAGRAM_EMPTY)
                r = try_packets(x, q->places, q->n_places, may, NULL);
        ret->unsure = sure == DIAGRAM_EMPTY && r == 0;
        if (ret->unsure && !x->clients[i].to_loopback && verify_explain(v, may, &x->reasons) < 0)
                return -ENOMEM;
        return r < 0 ? r : whole_error(v->whole);
}

static int answer_all(Reach *x, const Question *q, const bool *wanted, ReachAnswer *ret) {
        DiagramId from[REACH_CLIENTS_MAX] = {0}, whole = DIAGRAM_EMPTY;
        Diagram *d = x->v.diagram;
        int r = reach_settle(x, q->places, q->n_places);

        for (size_t i = 0; i < x->n_clients && r == 0; i++) {
                if (wanted && !wanted[i])
                        continue;
                r = answer(x, q, i, &ret[i], &from[i]);
                if (ret[i].count == REACH_ALL && x->clients[i].from && !ret[i].unsure)
                        whole = diagram_union(d, whole, from[i]);
        }
        for (size_t i = 0; i < x->n_clients && r == 0; i++)
                if ((!wanted || wanted[i]) && ret[i].count == REACH_SOME)
                        ret[i].covered = diagram_minus(d, from[i], whole) == DIAGRAM_EMPTY;
        return r < 0 ? r : whole_error(x->v.whole);
}

int reach_ask(Reach *x, const ReachPlace *places, size_t n, const bool *wanted, ReachAnswer *ret) {
        Question q = ask_for(places, n);
        int r = x->complex ? -E2BIG : answer_all(x, &q, wanted, ret);

        if (r != -E2BIG)
                return r;
        x->complex = true;
        for (size_t i = 0; i < x->n_clients; i++)
                if (!wanted || wanted[i])
                        ret[i] = (ReachAnswer){.count = REACH_SOME, .unsure = true};
        return 0;
}

int reach_show(Reach *x, const ReachPlace *places, size_t n, size_t clients, const char **ret) {
        int r = x->complex ? 0 : reach_settle(x, places, n);

        *ret = NULL;
        if (!x->complex && r == 0)
                r = try_packets(x, places, n, verify_and(&x->v, x->may, x->who[clients]), ret);
        return r == -ENOMEM ? r : 0;
}

int reach_open_ends(Reach *x, bool *ret_any, const char ***ret, size_t *ret_n) {
        int r = 0;

        *ret_any = x->complex || whole_is_open(x->v.whole);
        if (x->complex)
                r = verify_add_reason(&x->v, &x->reasons, "the rules are too complex");
        else if (whole_is_open(x->v.whole))
                r = verify_explain(&x->v, DIAGRAM_EMPTY, &x->reasons);
        *ret = x->reasons.reasons;
        *ret_n = x->reasons.n_reasons;
        return r;
}
