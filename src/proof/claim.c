/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/claim_state.h"
#include "ruleset/expect.h"

#define SAMPLES 96              /* packets at the edges, a way */
#define LARGE ((size_t)1 << 18) /* edges */

/* Comparing with the evaluator. */

static uint32_t draw(Claims *c, uint32_t below) {
        c->random ^= c->random >> 12;
        c->random ^= c->random << 25;
        c->random ^= c->random >> 27;
        return (uint32_t)((c->random * UINT64_C(2685821657736338717)) >> 33) % below;
}

static int disagree(Claims *c, const PacketQuestion *q, U128 in, U128 out) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return -ENOMEM;
        question_describe(q, in, out, f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        (void)diag_error(c->d, (Span){0},
                         "internal error: the proof and the evaluator do not agree about %s",
                         text ? text : "a connection");
        diag_hint(c->d, "nothing was decided; please report this, with the policy");
        return -EPROTO;
}

/* What the evaluator says of the packet at the point; -EPROTO where the diagram says otherwise. */
static int compare_at(Claims *c, MeaningWay way, const uint32_t *point, Arena *steps) {
        DiagramId leaf = diagram_at(c->diagram, c->ways[way], point);
        PacketQuestion q;
        U128 in, out;
        Evaluation e;
        bool agrees;
        Packet p;
        int r;

        meaning_packet(c->m, way, point, &q, &in, &out, &p);
        arena_reset(steps);
        r = ruleset_eval(c->entries, steps, q.hook, &p, &e);
        if (r < 0)
                return r;
        c->n_compared++;
        agrees = e.verdict == VERDICT_ACCEPT
                         ? diagram_leaf_has(c->diagram, leaf, MEANING_ACCEPT) ||
                                   diagram_leaf_has(c->diagram, leaf, MEANING_ESSENTIAL)
                         : diagram_leaf_has(c->diagram, leaf, MEANING_DROP);
        return agrees ? 0 : disagree(c, &q, in, out);
}

/* A coordinate that there can be of the variable. */
static uint32_t draw_coordinate(Claims *c, MeaningVariable v) {
        const Axis *axis = meaning_axis(c->m, v);

        return draw(c, (uint32_t)axis->n_lows);
}

static int compare_way(Claims *c, MeaningWay way) {
        _cleanup_(arena_freep) Arena *steps = arena_new(0);
        int r = steps ? 0 : -ENOMEM;

        for (size_t i = 0; i < SAMPLES && r == 0; i++) {
                uint32_t point[_MEANING_VARIABLE_MAX];

                for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++)
                        point[v] = draw_coordinate(c, v);
                /* towards what there can be: otherwise hardly a packet would be one */
                if (!diagram_witness(c->diagram, c->care[way], point, NULL, NULL))
                        return meaning_error(c->m);
                r = compare_at(c, way, point, steps);
        }
        return r;
}

/* Answers. */

static void start(Claims *c, uint32_t *point) {
        const struct {
                MeaningVariable variable;
                U128 value;
        } liked[] = {
                {MEANING_SOURCE_PORT, u128(49152)},
                {MEANING_HOPS, u128(64)},
                {MEANING_USER, u128(MEANING_NOBODY)},
                {MEANING_GROUP, u128(MEANING_NOBODY)},
                {MEANING_FIB_SOURCE_OUT, u128(1)},
                {MEANING_FIB_SOURCE_IN_OUT, u128(1)},
                {MEANING_FIB_SOURCE_TYPE, u128(FIB_TYPE_UNICAST)},
                {MEANING_FIB_DESTINATION_TYPE, u128(FIB_TYPE_LOCAL)},
        };

        memset(point, 0, _MEANING_VARIABLE_MAX * sizeof(*point));
        for (size_t i = 0; i < ARRAY_SIZE(liked); i++)
                point[liked[i].variable] =
                        axis_coordinate(meaning_axis(c->m, liked[i].variable), liked[i].value);
}

/* A claim that `bad` connections break: they fare as `wanted` says they must not. */
static int refute(Claims *c, MeaningWay way, DiagramId bad, Span at, bool accepted) {
        _cleanup_(arena_freep) Arena *steps = arena_new(0);
        uint32_t point[_MEANING_VARIABLE_MAX];
        _cleanup_free_ char *text = NULL;
        const Origin *origin;
        PacketQuestion q;
        size_t size = 0;
        Evaluation e;
        U128 in, out;
        Packet p;
        FILE *f;
        int r;

        start(c, point);
        if (!steps || !diagram_witness(c->diagram, bad, point, NULL, NULL))
                return -ENOMEM;
        meaning_packet(c->m, way, point, &q, &in, &out, &p);
        r = ruleset_eval(c->entries, steps, q.hook, &p, &e);
        if (r < 0)
                return r;
        if ((e.verdict == VERDICT_ACCEPT) != accepted)
                return disagree(c, &q, in, out);
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        question_describe(&q, in, out, f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        (void)diag_error(c->d, at, "this does not hold: %s is %s", text ? text : "a connection",
                         accepted ? "allowed" : "refused");
        origin = evaluation_origin(&e);
        if (origin && origin->at.source)
                diag_note(c->d, origin->at, "this decides");
        else if (origin && origin->text)
                diag_hint(c->d, "what decides: %s", origin->text);
        return -EBADMSG;
}

static int answer(Claims *c, const Case *case_) {
        DiagramId bad = claim_both(
                c, case_->region, diagram_where_may(c->diagram, c->ways[case_->way], case_->wrong));

        if (meaning_error(c->m) < 0)
                return meaning_error(c->m);
        if (bad == DIAGRAM_EMPTY || *case_->broken)
                return 0;
        *case_->broken = true;
        return refute(c, case_->way, bad, case_->at, case_->wrong == MEANING_ACCEPT);
}

static int check_way(Claims *c) {
        int r;

        c->diagram = meaning_diagram(c->m);
        r = claim_add_cases(c);
        if (r == 0 && c->care[c->way] != DIAGRAM_EMPTY) {
                c->ways[c->way] = meaning_of(c->m, c->way, c->care[c->way]);
                r = meaning_error(c->m);
                if (r == 0)
                        r = compare_way(c, c->way);
        }
        for (size_t i = 0; i < c->n_cases && (r == 0 || r == -EBADMSG); i++)
                r = answer(c, &c->cases[i]);
        return r == -EBADMSG ? 0 : r;
}

/* m: of the family, which one way makes and the next one uses, unless its diagrams are large. */
static int check_one(Claims *c, Meaning **m) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        int r;

        c->m = *m ? *m : meaning_new(c->rs, c->family);
        c->arena = a;
        r = c->m && a ? 0 : -ENOMEM;
        if (r == 0 && !*m && (claim_cut(c) < 0 || meaning_finish(c->m) < 0))
                r = -ENOMEM;
        *m = c->m;
        if (r == 0)
                r = check_way(c);
        if (r < 0 || diagram_edges(meaning_diagram(*m)) > LARGE)
                *m = meaning_free(*m);
        return r;
}

/* Whether a claim is about packets that go this way. */
static bool is_asked_for(const Policy *p, MeaningWay way) {
        bool asked = p->n_protected > 0 && (way == MEANING_PLAIN || way == MEANING_TRANSLATED);

        for (size_t i = 0; i < p->n_expects; i++)
                asked |= (p->expects[i].section == SECTION_OUTBOUND) == (way == MEANING_OUTPUT);
        return asked && (way != MEANING_PORT_KEPT || p->n_forwards > 0);
}

/* The rules with the chains alone that packets enter by: the evaluator, asked hundreds of times,
 * would look for those among thousands. Jumps lead to the same chains. 0 or -ENOMEM. */
static int find_entries(const Ruleset *rs, Arena *a, Ruleset *ret) {
        Ruleset entries = *rs;

        entries.chains = NULL;
        entries.n_chains = 0;
        for (size_t i = 0; i < rs->n_chains; i++)
                if (rs->chains[i]->hook != HOOK_NONE &&
                    !arena_append(a, entries.chains, entries.n_chains, rs->chains[i]))
                        return -ENOMEM;
        *ret = entries;
        return 0;
}

static int check(const Policy *policy, const Ruleset *rs, ClaimReport *ret, Diag *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        _cleanup_free_ bool *broken = calloc(policy->n_protected + policy->n_expects + 1, 1);
        size_t n = policy->n_protected + policy->n_expects;
        ClaimReport report = {0};
        Ruleset entries;

        if (!broken || !a || find_entries(rs, a, &entries) < 0)
                return -ENOMEM;
        for (Family f = 0; f < _FAMILY_MAX && n > 0; f++) {
                Meaning *m = NULL;

                for (MeaningWay w = 0; w < _MEANING_WAY_MAX; w++) {
                        Claims c = {
                                .policy = policy,
                                .rs = rs,
                                .entries = &entries,
                                .d = d,
                                .family = f,
                                .way = w,
                                .broken_protected = broken,
                                .broken_expects = broken + policy->n_protected,
                                .random = UINT64_C(0x9e3779b97f4a7c15),
                        };
                        int r = is_asked_for(policy, w) ? check_one(&c, &m) : 0;

                        if (r < 0)
                                return r;
                        report.n_compared += c.n_compared;
                }
                m = meaning_free(m);
        }
        for (size_t i = 0; i < n; i++)
                report.n_proved += !broken[i];
        *ret = report;
        return report.n_proved == n ? 0 : -EBADMSG;
}

int claim_check(const Policy *policy, const Ruleset *rs, ClaimReport *ret, Diag *d) {
        ClaimReport report = {0};
        size_t n_cases;
        size_t n_errors = d->n_errors;
        int r = check(policy, rs, &report, d);

        if (r == -EPROTO && d->n_errors == n_errors)
                (void)diag_error(d, (Span){0},
                                 "internal error: the proof compares values that it has not told "
                                 "apart");

        if (r == -E2BIG) {
                report.undecided = policy->n_protected > 0;
                if (report.undecided)
                        diag_warning(d, policy->protected[0].at,
                                     "the rules are too complex for the proof that what is "
                                     "protected stays closed; they refuse it all the same");
                r = ruleset_check_expectations(policy, rs, &n_cases, d);
                report.n_proved = r == 0 ? policy->n_expects : 0;
        }
        *ret = report;
        return r;
}
