/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/lower_always.h"

#define MANY_RULES 512 /* of a section */

static bool is_unfit(char c) {
        return c == '"' || c == '\\' || (unsigned char)c < ' ';
}

const char *lower_comment(Lower *l, const char *text) {
        const char *unfit = text;
        char *copy;

        while (unfit && *unfit && !is_unfit(*unfit))
                unfit++;
        if (!unfit || !*unfit)
                return text;
        copy = arena_strdup(l->arena, text);
        for (char *c = copy; c && *c; c++)
                if (is_unfit(*c))
                        *c = '\'';
        return copy;
}

/* Not called "reject": that is a word of nft's, which its own parser does not take for a name. */
static Chain *refuse_chain(Lower *l) {
        Chain *chain = l->refuse ? l->refuse : ruleset_add_chain(l->rs, RULESET_REFUSE);
        Rule *reset, *rest;

        if (!chain || l->refuse)
                return chain;
        reset = lower_always(l, chain, verdict_of(VERDICT_REJECT_RESET), NULL);
        if (!reset || rule_match_value(l->rs, reset, FIELD_L4PROTO, 6) < 0)
                return NULL;
        reset->counted = l->policy->settings.counters != COUNTERS_OFF;
        rest = lower_always(l, chain, verdict_of(VERDICT_REJECT), NULL);
        if (!rest)
                return NULL;
        rest->counted = reset->counted;
        l->refuse = chain;
        return chain;
}

/* How the section refuses: as its default does, and with an answer where the default is to allow.
 */
static int refusal(Lower *l, const Section *section, Verdict *ret) {
        Chain *chain;

        if (section->fallback == DEFAULT_DROP || l->mute) {
                *ret = verdict_of(VERDICT_DROP);
                return 0;
        }
        chain = refuse_chain(l);
        if (!chain)
                return -ENOMEM;
        *ret = verdict_to(VERDICT_GOTO, chain);
        return 0;
}

int lower_protected(Lower *l, Chain *chain, const View *view, unsigned int parts) {
        for (size_t i = 0; i < l->policy->n_protected; i++) {
                const Protected *p = &l->policy->protected[i];
                Origin origin = {.at = p->at, .text = lower_comment(l, p->text)};
                Condition c = {.services = &p->services.set, .except = &p->only_from};
                int r = lower_condition(l, chain, view, &c, parts, verdict_of(VERDICT_DROP),
                                        origin);

                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_limited(const PolicyRule *rule) {
        return rule->limit.rate.number > 0 || rule->connections.number > 0;
}

static bool has_parts(const ServiceSet *s, unsigned int parts) {
        bool ports = s->tcp.n_items + s->udp.n_items + s->sctp.n_items > 0;
        bool others = s->any || s->icmp.n_items + s->icmpv6.n_items + s->protocols.n_items > 0;

        return (ports && parts & PART_PORTS) || (others && parts & PART_OTHERS);
}

/* A long list is not gone through for rules that it does not have. */
static void find_kinds(Lower *l, const Section *section) {
        memset(l->has, 0, sizeof(l->has));
        for (size_t i = 0; i < section->n_rules; i++)
                l->has[section->rules[i].verb][is_limited(&section->rules[i])] = true;
}

static int lower_rules(Lower *l,
                       SectionId id,
                       Chain *chain,
                       const View *view,
                       RuleVerb verb,
                       bool limited,
                       unsigned int parts,
                       const bool *taken,
                       Verdict verdict) {
        const Section *section = &l->policy->sections[id];

        for (size_t i = 0; i < section->n_rules && l->has[verb][limited]; i++) {
                const PolicyRule *rule = &section->rules[i];
                Origin origin = {.at = rule->at};
                Condition c = {
                        .services = &rule->services.set,
                        .from = &rule->from,
                        .to = &rule->to,
                        .except = &rule->except,
                        .in = &rule->in,
                        .out = &rule->out,
                        .users = &rule->users,
                        .groups = &rule->groups,
                        .until = rule->until,
                        .except_destination = id == SECTION_OUTBOUND,
                };
                Verdict v = verdict;
                int r;

                if (rule->verb != verb || is_limited(rule) != limited || (taken && taken[i]))
                        continue;
                /* one with a chain of its own gets it here, wherever its rules are */
                if (!has_parts(&rule->services.set, parts) && !lower_needs_chain(rule))
                        continue;
                origin.text = lower_comment(l, rule->text);
                if (lower_needs_chain(rule)) {
                        v = verdict_to(VERDICT_JUMP,
                                       lower_rule_chain(l, id, rule, verdict, origin));
                        if (!v.chain)
                                return -ENOMEM;
                }
                r = lower_condition(l, chain, view, &c, parts, v, origin);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Containers may open connections to anywhere but this host: what reaches this rule is routed, and
 * so goes elsewhere. */
static int lower_containers(Lower *l, Chain *chain, const View *view) {
        ZoneTerm term = {.zone = l->policy->containers};
        ZoneExpression from = {.given = true, .restricts = true, .terms = &term, .n_terms = 1};
        Condition c = {.from = &from};

        if (!l->policy->containers || l->policy->settings.containers == CONTAINERS_CLOSED)
                return 0;
        return lower_condition(l, chain, view, &c, PART_OTHERS, verdict_of(VERDICT_ACCEPT),
                               (Origin){.text = "always: containers may connect outward"});
}

static int lower_default(Lower *l, SectionId id, Chain *chain, Verdict refuse) {
        const Section *section = &l->policy->sections[id];
        Origin origin = {.at = section->fallback_at};
        const char *place = span_describe(l->arena, section->fallback_at), *slash;
        Rule *rule;

        if (!place)
                return -ENOMEM;
        /* as in the rules' own texts, the file's name is enough */
        slash = strrchr(place, '/');
        place = slash ? slash + 1 : place;
        origin.text = lower_comment(l, arena_printf(l->arena, "%s%s%s default: %s", place,
                                                    place[0] ? ": " : "", section_id_to_string(id),
                                                    section_default_to_string(section->fallback)));
        if (!origin.text)
                return -ENOMEM;
        if (section->log && section->fallback != DEFAULT_ALLOW) {
                const Chain *log = lower_default_chain(l, id, refuse, origin);

                if (!log)
                        return -ENOMEM;
                refuse = verdict_to(VERDICT_GOTO, log);
        }
        rule = chain_add_rule(
                l->rs, chain,
                section->fallback == DEFAULT_ALLOW ? verdict_of(VERDICT_ACCEPT) : refuse, origin);
        if (!rule)
                return -ENOMEM;
        rule->counted = l->policy->settings.counters != COUNTERS_OFF;
        return 0;
}

/* The order protected → deny → allow → default is POLICY.md's. Within it, rules on ports stand side
 * by side so that one lookup can stand for all of them: first what denies without a port, then what
 * allows without one. Where a deny drops, as `protected` does, the two may mix. */
int lower_section(Lower *l, SectionId id, Chain *chain, const View *view, bool protect) {
        const Section *section = &l->policy->sections[id];
        Verdict refuse, accept = verdict_of(VERDICT_ACCEPT);
        const bool *taken = NULL;
        bool mixes;
        int r;

        r = refusal(l, section, &refuse);
        if (r < 0)
                return r;
        mixes = refuse.kind == VERDICT_DROP;
        find_kinds(l, section);
        /* most rules become one, or one a family */
        if (section->n_rules >= MANY_RULES)
                r = chain_reserve(l->rs, chain, 2 * section->n_rules);
        if (r == 0 && protect)
                r = lower_protected(l, chain, view, PART_OTHERS);
        if (r == 0 && protect && !mixes)
                r = lower_protected(l, chain, view, PART_PORTS);
        if (r == 0)
                r = lower_rules(l, id, chain, view, RULE_DENY, false, PART_OTHERS, NULL, refuse);
        if (r == 0 && protect && mixes)
                r = lower_protected(l, chain, view, PART_PORTS);
        if (r == 0)
                r = lower_rules(l, id, chain, view, RULE_DENY, false, PART_PORTS, NULL, refuse);
        if (r == 0)
                r = lower_pairs(l, id, chain, view, &taken);
        /* what one rule admits without a limit need not use up another's */
        for (unsigned int limited = 0; limited < 2; limited++) {
                if (r == 0)
                        r = lower_rules(l, id, chain, view, RULE_ALLOW, limited, PART_PORTS, taken,
                                        accept);
                if (r == 0)
                        r = lower_rules(l, id, chain, view, RULE_ALLOW, limited, PART_OTHERS, NULL,
                                        accept);
        }
        if (r == 0 && id == SECTION_ROUTED)
                r = lower_containers(l, chain, view);
        if (r == 0)
                r = lower_default(l, id, chain, refuse);
        return r;
}
