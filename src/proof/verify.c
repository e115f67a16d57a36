/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/verify_state.h"

#include <netinet/in.h>

#define SAMPLES 200
#define REASONS_MAX 12

/* Regions. */

DiagramId verify_where_attached(Verify *v, const WholeChange *c) {
        const Zone *zones[] = {v->policy->containers, v->policy->vms};
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
                for (size_t j = 0; zones[i] && j < zones[i]->n_parts; j++) {
                        const ZonePart *p = &zones[i]->parts[j];

                        sum = verify_union(
                                v, sum,
                                verify_where_part(v, p, WHOLE_DESTINATION,
                                                  whole_where_out(v->whole, c, &p->interfaces)));
                }
        return sum;
}

/* Packets that break the claim if they are let through. */
static DiagramId where_wrong(Verify *v, const Protected *p, const WholeChange *c, bool here) {
        DiagramId x = verify_where_services(v, &p->services.set, c, true);

        if (verify_is_translated(c))
                x = verify_union(v, x, verify_where_services(v, &p->services.set, c, false));
        else if (!here)
                x = verify_and(v, verify_where_attached(v, c), x);
        if (p->only_from.given)
                x = diagram_minus(v->diagram, x, verify_where_clients(v, &p->only_from));
        /* what is sent elsewhere is what it is there */
        return verify_is_translated(c) ? x
                                       : diagram_minus(v->diagram, x, verify_where_essential(v));
}

static DiagramId care(void *context, const WholeChange *c, bool here) {
        Verify *v = context;
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < v->policy->n_protected; i++)
                sum = verify_union(v, sum, where_wrong(v, &v->policy->protected[i], c, here));
        return sum;
}

/* Cuts. */

static int cut_all(Verify *v) {
        for (size_t i = 0; i < v->policy->n_protected; i++) {
                const Protected *p = &v->policy->protected[i];

                if (verify_cut_services(v, &p->services.set) < 0 ||
                    verify_cut_clients(v, &p->only_from, WHOLE_SOURCE) < 0)
                        return -ENOMEM;
        }
        if (verify_cut_common(v) < 0 ||
            verify_cut_zone(v, v->policy->containers, WHOLE_DESTINATION) < 0)
                return -ENOMEM;
        return verify_cut_zone(v, v->policy->vms, WHOLE_DESTINATION);
}

static bool is_own(const Verify *v, U128 address) {
        for (size_t i = 0; i < v->world->n_addresses; i++)
                if (v->world->addresses[i].family == v->family &&
                    u128_equal(v->world->addresses[i].address, address))
                        return true;
        return false;
}

/* Whether the outcome breaks the claim, judged by the packet and the policy alone. */
static bool is_wrong(Verify *v,
                     const Protected *p,
                     const WorldFields *f,
                     const WorldPacket *packet,
                     const WorldOutcome *o) {
        const ServiceSet *s = &p->services.set;
        const RangeSet *set = f->protocol == IPPROTO_TCP   ? &s->tcp
                              : f->protocol == IPPROTO_UDP ? &s->udp
                                                           : &s->sctp;
        char name[16] = {0};
        bool moved = !u128_equal(o->destination, f->destination) ||
                     o->destination_port != f->destination_port;
        U128 in;

        if (f->protocol != IPPROTO_TCP && f->protocol != IPPROTO_UDP && f->protocol != IPPROTO_SCTP)
                return false; /* ports are what is compared */
        if (o->unknown || o->where != WORLD_DELIVERED)
                return false;
        /* nobody answers a connection to many */
        if (f->protocol != IPPROTO_UDP && !is_own(v, o->destination))
                return false;
        (void)snprintf(name, sizeof(name), "%s", packet->in);
        in = u128_from_bytes(name, sizeof(name));
        if (p->only_from.given &&
            zone_expression_contains(&p->only_from, &in, f->family, f->source))
                return false;
        if (f->family == FAMILY_IPV4 && f->protocol == IPPROTO_UDP && !moved &&
            f->source_port == 67 && f->destination_port == 68)
                return false;
        if (f->family == FAMILY_IPV6 && f->protocol == IPPROTO_UDP && !moved &&
            f->destination_port == 546)
                return false;
        return s->any || range_set_contains(set, u128(o->destination_port)) ||
               range_set_contains(set, u128(f->destination_port));
}

/* Packets at the edges of what rules tell apart: what the evaluator lets through must not be what
 * the proof rules out. */
static int compare(Verify *v) {
        for (size_t i = 0; i < SAMPLES; i++) {
                uint32_t point[DIAGRAM_VARIABLES_MAX] = {0};
                VerifyLiked liked = {0};
                WorldPacket packet;
                WorldFields f;
                WorldWalk walk;
                int r;

                for (unsigned int j = 0; j < _WHOLE_VARIABLE_MAX; j++)
                        point[j] = verify_draw(v, (uint32_t)whole_axis(v->whole, j)->n_lows);
                if (v->world->n_addresses > 0 && verify_draw(v, 4) > 0) {
                        const WorldAddress *own = &v->world->addresses[verify_draw(
                                v, (uint32_t)v->world->n_addresses)];

                        if (own->family == v->family)
                                point[WHOLE_DESTINATION] = axis_coordinate(
                                        whole_axis(v->whole, WHOLE_DESTINATION), own->address);
                }
                if (!diagram_witness(v->diagram, whole_domain(v->whole), point, NULL, NULL))
                        return whole_error(v->whole);
                verify_make_packet(v, point, &liked, &packet, &f);
                r = world_walk(v->walker, &packet, &walk);
                if (r < 0)
                        return r == -ENOMEM ? r : 0;
                v->n_compared++;
                for (size_t c = 0; c < v->policy->n_protected; c++)
                        for (size_t o = 0; o < walk.n_outcomes; o++)
                                if (is_wrong(v, &v->policy->protected[c], &f, &packet,
                                             &walk.outcomes[o]) &&
                                    diagram_at(v->diagram,
                                               diagram_exists(v->diagram, v->bad[c],
                                                              _WHOLE_VARIABLE_MAX),
                                               point) == DIAGRAM_EMPTY) {
                                        v->what =
                                                verify_describe(v, &f, &packet, &walk.outcomes[o]);
                                        return -EPROTO;
                                }
        }
        return 0;
}

/* Answers. */

int verify_copy_steps(Verify *v, VerifyAnswer *answer, const WorldWalk *walk) {
        WorldStep *steps = arena_alloc_array(v->arena, MAX(walk->n_steps, 1UL), sizeof(*steps));

        if (!steps)
                return -ENOMEM;
        if (walk->n_steps > 0)
                memcpy(steps, walk->steps, walk->n_steps * sizeof(*steps));
        answer->steps = steps;
        answer->n_steps = walk->n_steps;
        return 0;
}

/* 1 if a packet of the region really comes through. */
static int refute(Verify *v, size_t claim, VerifyAnswer *answer) {
        VerifyLiked liked;

        for (size_t try = 0; verify_next_liked(v, try, &liked); try++) {
                uint32_t point[DIAGRAM_VARIABLES_MAX] = {0};
                const WorldOutcome *out;
                WorldPacket packet;
                WorldFields f;
                WorldWalk walk;
                int r;

                if (!verify_find(v, v->bad[claim], &liked, point))
                        continue;
                verify_make_packet(v, point, &liked, &packet, &f);
                r = world_walk(v->walker, &packet, &walk);
                if (r == -ENOMEM)
                        return r;
                out = r == 0 ? world_walk_passing(&walk, true) : NULL;
                if (!out || verify_misses(&v->policy->protected[claim].services.set, &f, out))
                        continue;
                answer->connection = verify_describe(v, &f, &packet, out);
                r = answer->connection ? verify_copy_steps(v, answer, &walk) : -ENOMEM;
                return r < 0 ? r : 1;
        }
        return 0;
}

int verify_add_reason(Verify *v, VerifyAnswer *answer, const char *reason) {
        for (size_t i = 0; i < answer->n_reasons; i++)
                if (streq(answer->reasons[i], reason))
                        return 0;
        if (answer->n_reasons >= REASONS_MAX)
                return 0;
        return arena_append(v->arena, answer->reasons, answer->n_reasons, reason) ? 0 : -ENOMEM;
}

int verify_explain(Verify *v, DiagramId bad, VerifyAnswer *answer) {
        bool support[DIAGRAM_VARIABLES_MAX] = {0};
        const char *const *names;
        size_t n;

        diagram_support(v->diagram, bad, support);
        for (unsigned int i = 0; i < DIAGRAM_VARIABLES_MAX; i++) {
                const char *name = support[i] ? whole_variable_name(v->whole, i) : NULL;

                if (!name)
                        continue;
                /* the proof's own strings end with it */
                name = arena_strdup(v->arena, name);
                if (!name || verify_add_reason(v, answer, name) < 0)
                        return -ENOMEM;
        }
        (void)whole_unknown(v->whole, &names, &n);
        for (size_t i = 0; i < n; i++) {
                const char *copy = arena_strdup(v->arena, names[i]);

                if (!copy || verify_add_reason(v, answer, copy) < 0)
                        return -ENOMEM;
        }
        if (answer->n_reasons == 0)
                return verify_add_reason(
                        v, answer,
                        "no packet was found that the rules surely let through, nor a proof "
                        "that there is none");
        return 0;
}

static int answer_claim(Verify *v, size_t i) {
        VerifyAnswer *answer = &v->answers[i];
        int r;

        if (answer->kind == VERIFY_REFUTED)
                return 0;
        if (v->bad[i] == DIAGRAM_EMPTY && !whole_is_open(v->whole))
                return 0;
        r = v->bad[i] == DIAGRAM_EMPTY ? 0 : refute(v, i, answer);
        if (r < 0)
                return r;
        answer->kind = r > 0 ? VERIFY_REFUTED : VERIFY_UNDECIDED;
        return r > 0 ? 0 : verify_explain(v, v->bad[i], answer);
}

static int give_up(Verify *v) {
        for (size_t i = 0; i < v->policy->n_protected; i++) {
                VerifyAnswer *answer = &v->answers[i];

                if (answer->kind == VERIFY_REFUTED)
                        continue;
                answer->kind = VERIFY_UNDECIDED;
                if (verify_add_reason(v, answer, "the rules are too complex") < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* Copies of packets matter where containers and VMs are. */
static int watch_attached(Verify *v) {
        const Zone *zones[] = {v->policy->containers, v->policy->vms};
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
                for (size_t j = 0; zones[i] && j < zones[i]->n_parts && r == 0; j++) {
                        const ZonePart *p = &zones[i]->parts[j];

                        r = whole_watch(v->whole, p->any_interface ? NULL : &p->interfaces);
                }
        return r;
}

static int verify_family(Verify *v) {
        const WholeEnd *ends;
        size_t n_ends;
        int r;

        if (cut_all(v) < 0 || watch_attached(v) < 0)
                return -ENOMEM;
        v->diagram = whole_diagram(v->whole);
        r = whole_finish(v->whole);
        if (r == 0)
                r = whole_walk(v->whole, care, v, &ends, &n_ends);
        if (r == -E2BIG || r == -ELOOP)
                return give_up(v);
        if (r < 0)
                return r;
        for (size_t i = 0; i < v->policy->n_protected; i++) {
                v->bad[i] = DIAGRAM_EMPTY;
                for (size_t j = 0; j < n_ends; j++)
                        v->bad[i] =
                                verify_union(v, v->bad[i],
                                             verify_and(v,
                                                        where_wrong(v, &v->policy->protected[i],
                                                                    &ends[j].change, ends[j].here),
                                                        ends[j].region));
        }
        r = whole_error(v->whole);
        if (r == 0)
                r = compare(v);
        for (size_t i = 0; i < v->policy->n_protected && r == 0; i++)
                r = answer_claim(v, i);
        if (r == 0)
                r = whole_error(v->whole);
        return r == -E2BIG ? give_up(v) : r;
}

/* Nobody described is nobody let in, and nobody refused either. */
static int finish_expected(Verify *v, VerifyAnswer *answers, size_t n) {
        for (size_t i = 0; i < n; i++) {
                VerifyAnswer *answer = &answers[i];

                if (answer->described || answer->claim != VERIFY_ALWAYS)
                        continue;
                answer->kind = VERIFY_UNDECIDED;
                if (verify_add_reason(v, answer,
                                      "there is no such connection on this host as it is: an "
                                      "interface, an address or a route is missing") < 0)
                        return -ENOMEM;
        }
        return 0;
}

static VerifyAnswer *start_answers(Verify *v, size_t *ret_n) {
        const Policy *p = v->policy;
        VerifyAnswer *list =
                arena_alloc_array(v->arena, p->n_protected + p->n_expects + 1, sizeof(*list));
        size_t n = 0;

        for (size_t i = 0; i < p->n_protected && list; i++)
                list[n++] = (VerifyAnswer){.claim = VERIFY_PROTECTED,
                                           .text = p->protected[i].text,
                                           .at = p->protected[i].at};
        for (size_t i = 0; i < p->n_expects && list; i++) {
                const PolicyRule *rule = &p->expects[i].rule;

                list[n++] = (VerifyAnswer){.claim = rule->verb == RULE_ALLOW ? VERIFY_ALWAYS
                                                                             : VERIFY_NEVER,
                                           .text = rule->text,
                                           .at = rule->at};
        }
        *ret_n = n;
        return list;
}

static int verify_both(Verify *v, Family f) {
        _cleanup_(whole_freep) Whole *whole = NULL;
        VerifyAnswer *expected = v->answers + v->policy->n_protected;
        int r = 0;

        v->family = f;
        v->cuts = NULL;
        if (v->policy->n_protected > 0) {
                whole = v->whole = whole_new(v->world, f);
                r = whole ? whole_share(whole, v->arena, &v->cuts) : -ENOMEM;
                if (r == 0)
                        r = verify_family(v);
        }
        for (unsigned int i = 0; i < 4 && r == 0; i++)
                r = verify_expected(v, i % 2, i / 2, expected);
        return r;
}

int verify_claims(
        const Policy *policy, const World *w, Arena *a, VerifyReport *ret, const char **ret_what) {
        _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
        Verify v = {
                .policy = policy, .world = w, .arena = a, .random = UINT64_C(0x9e3779b97f4a7c15)};
        size_t n;
        int r = world_walker_new(w, &walker);

        v.walker = walker;
        v.answers = start_answers(&v, &n);
        v.bad = arena_alloc_array(a, policy->n_protected + 1, sizeof(*v.bad));
        if (r < 0 || !v.answers || !v.bad)
                return -ENOMEM;
        for (Family f = 0; f < _FAMILY_MAX && r == 0; f++)
                r = verify_both(&v, f);
        if (r == 0)
                r = finish_expected(&v, v.answers + policy->n_protected, n - policy->n_protected);
        *ret_what = v.what;
        if (r < 0)
                return r;
        *ret = (VerifyReport){
                .answers = v.answers,
                .n_answers = n,
                .n_compared = v.n_compared,
        };
        return 0;
}
