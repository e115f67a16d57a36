/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/refused.h"

/* Every refusal that a line of the policy stands behind goes through one chain, which tells the
 * daemon of some of them and then drops:
 *
 *     few altogether, and few of this source → a copy of the packet's beginning
 *     whatever became of that                → drop
 *
 * What tells has no verdict of its own, so that nothing that breaks there opens anything. Each
 * source has a limit of its own, so that one that is loud hides no other; to look that up costs too
 * much in a flood, and so the limit of all together comes first. What finds no room among the
 * sources is not told of. */

#define SOURCES_MAX 4096 /* that are remembered, a family */
#define SOURCES_TIMEOUT 60
#define SAMPLE "sample-refused"
#define SHOW "show-refused"

static const PacketLimit limit_all = {.number = 500, .seconds = 1, .burst = 1000};
static const PacketLimit limit_source = {.number = 1, .seconds = 1, .burst = 20};

static const struct {
        const char *set;
        FieldId source;
} families[] = {
        {RULESET_REFUSED ".sources-ipv4", FIELD_IP_SADDR}, /* the dot: no zone is called so */
        {RULESET_REFUSED ".sources-ipv6", FIELD_IP6_SADDR_64},
};

/* The rules that are always there refuse what hardly anybody wants to admit. */
static bool is_of_policy(const char *text) {
        return text && !startswith(text, "always: ");
}

static bool is_refusal(const Chain *chain, const Rule *rule) {
        return chain->type == CHAIN_FILTER && rule->verdict.kind == VERDICT_DROP &&
               is_of_policy(rule->origin.text);
}

static bool has_refusals(const Ruleset *rs) {
        for (size_t i = 0; i < rs->n_chains; i++)
                for (size_t j = 0; j < rs->chains[i]->n_rules; j++)
                        if (is_refusal(rs->chains[i], &rs->chains[i]->rules[j]))
                                return true;
        for (size_t i = 0; i < rs->n_sets; i++)
                for (size_t j = 0; rs->sets[i]->is_map && j < rs->sets[i]->n_elements; j++)
                        if (rs->sets[i]->elements[j].verdict.kind == VERDICT_DROP)
                                return true;
        return ruleset_find_chain(rs, RULESET_REFUSE) != NULL;
}

static int
add_source(Ruleset *rs, Chain *chain, const Chain *show, const char *set_name, FieldId source) {
        Set *set = ruleset_add_set(rs, set_name, fields[source].type);
        Rule *rule = chain_add_rule(rs, chain, verdict_to(VERDICT_GOTO, show), (Origin){0});
        Statement limit = {
                .kind = STATEMENT_LIMIT, .limit = limit_source, .set = set, .field = source};

        if (!set || !rule)
                return -ENOMEM;
        set->dynamic = true;
        set->timeout = SOURCES_TIMEOUT;
        set->room = SOURCES_MAX;
        return rule_add_statement(rs, rule, &limit);
}

static int fill_show(Ruleset *rs, Chain *chain) {
        static const Statement translated = {.kind = STATEMENT_SAMPLE, .text = RULESET_TRANSLATED};
        static const Statement plain = {.kind = STATEMENT_SAMPLE};
        Rule *rule = chain_add_rule(rs, chain, verdict_of(VERDICT_RETURN), (Origin){0});

        if (!rule || rule_match_bits(rs, rule, FIELD_CT_STATUS, MATCH_BITS, CT_STATUS_DNAT) < 0 ||
            rule_add_statement(rs, rule, &translated) < 0)
                return -ENOMEM;
        rule = chain_add_rule(rs, chain, verdict_of(VERDICT_CONTINUE), (Origin){0});
        return rule ? rule_add_statement(rs, rule, &plain) : -ENOMEM;
}

/* Puts a rule in front of the chain's. */
static int ask_first(Ruleset *rs, Chain *chain, const Chain *sample) {
        static const Statement limit = {.kind = STATEMENT_NAMED_LIMIT,
                                        .text = RULESET_REFUSED_LIMIT};
        Rule *rules = arena_alloc_array(rs->arena, chain->n_rules + 1, sizeof(*rules));

        if (!rules)
                return -ENOMEM;
        rules[0] = (Rule){.verdict = verdict_to(VERDICT_JUMP, sample)};
        memcpy(&rules[1], chain->rules, chain->n_rules * sizeof(*rules));
        chain->rules = rules;
        chain->n_rules++;
        chain->room = 0;
        return rule_add_statement(rs, &rules[0], &limit);
}

/* The chain that drops, and the one that it and `refuse` ask to tell of the packet. */
static int add_chains(Ruleset *rs, Chain **ret_refused, Chain **ret_sample) {
        Chain *show;
        Rule *drop;

        *ret_refused = ruleset_add_chain(rs, RULESET_REFUSED);
        *ret_sample = ruleset_add_chain(rs, SAMPLE);
        show = ruleset_add_chain(rs, SHOW);
        if (!*ret_refused || !*ret_sample || !show || fill_show(rs, show) < 0 ||
            !ruleset_add_limit(rs, RULESET_REFUSED_LIMIT, limit_all))
                return -ENOMEM;
        drop = chain_add_rule(rs, *ret_refused, verdict_of(VERDICT_DROP), (Origin){0});
        if (!drop || ask_first(rs, *ret_refused, *ret_sample) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(families); i++)
                if (add_source(rs, *ret_sample, show, families[i].set, families[i].source) < 0)
                        return -ENOMEM;
        return 0;
}

/* Refusals by the policy drop where they stand, or (not back) in the chain. Whether any counts. */
static bool redirect(Ruleset *rs, const Chain *refused, bool back) {
        Verdict to = back ? verdict_of(VERDICT_DROP) : verdict_to(VERDICT_GOTO, refused);
        bool counted = false;

        for (size_t i = 0; i < rs->n_chains; i++)
                for (size_t j = 0; j < rs->chains[i]->n_rules; j++) {
                        Rule *rule = &rs->chains[i]->rules[j];

                        if (back ? rule->verdict.chain != refused
                                 : !is_refusal(rs->chains[i], rule))
                                continue;
                        rule->verdict = to;
                        counted |= rule->counted;
                }
        for (size_t i = 0; i < rs->n_sets; i++)
                for (size_t j = 0; rs->sets[i]->is_map && j < rs->sets[i]->n_elements; j++) {
                        Verdict *v = &rs->sets[i]->elements[j].verdict;

                        if (back ? v->chain == refused : v->kind == VERDICT_DROP)
                                *v = to;
                }
        return counted;
}

int ruleset_report_refused(Ruleset *rs) {
        Chain *refuse = ruleset_find_chain(rs, RULESET_REFUSE), *refused, *sample;

        if (ruleset_find_chain(rs, RULESET_REFUSED) || !has_refusals(rs))
                return 0;
        if (add_chains(rs, &refused, &sample) < 0)
                return -ENOMEM;
        if (refuse && ask_first(rs, refuse, sample) < 0)
                return -ENOMEM;
        refused->rules[1].counted = redirect(rs, refused, false);
        return 0;
}

static void remove_chain(Ruleset *rs, const char *name) {
        size_t n = 0;

        for (size_t i = 0; i < rs->n_chains; i++)
                if (!streq(rs->chains[i]->name, name))
                        rs->chains[n++] = rs->chains[i];
        rs->n_chains = n;
}

static void remove_set(Ruleset *rs, const char *name) {
        size_t n = 0;

        for (size_t i = 0; i < rs->n_sets; i++)
                if (!streq(rs->sets[i]->name, name))
                        rs->sets[n++] = rs->sets[i];
        rs->n_sets = n;
}

static void remove_limit(Ruleset *rs, const char *name) {
        size_t n = 0;

        for (size_t i = 0; i < rs->n_limits; i++)
                if (!streq(rs->limits[i].name, name))
                        rs->limits[n++] = rs->limits[i];
        rs->n_limits = n;
}

void ruleset_forget_refused(Ruleset *rs) {
        const Chain *refused = ruleset_find_chain(rs, RULESET_REFUSED);
        Chain *refuse = ruleset_find_chain(rs, RULESET_REFUSE);

        if (!refused)
                return;
        if (refuse && refuse->n_rules > 0 && refuse->rules[0].verdict.kind == VERDICT_JUMP) {
                refuse->rules++;
                refuse->n_rules--;
                refuse->room = 0;
        }
        (void)redirect(rs, refused, true);
        remove_chain(rs, RULESET_REFUSED);
        remove_chain(rs, SAMPLE);
        remove_chain(rs, SHOW);
        for (size_t i = 0; i < ARRAY_SIZE(families); i++)
                remove_set(rs, families[i].set);
        remove_limit(rs, RULESET_REFUSED_LIMIT);
}
