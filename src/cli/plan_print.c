/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/output.h"
#include "cli/plan_parts.h"
#include "ruleset/refused.h"
#include "ruleset/statement.h"

#define VALUE_SHOWN 160 /* bytes of a value, without --verbose */

/* ---- in words */

static const struct {
        char sign;
        const char *one, *many;
} signs[_PLAN_CHANGE_MAX] = {
        [PLAN_COMES] = {'+', "comes", "come"},
        [PLAN_GOES] = {'-', "goes", "go"},
        [PLAN_CHANGES] = {'~', "changes", "change"},
        [PLAN_MOVES] = {'=', "only moves", "only move"},
};

static void print_sign(PlanChange change) {
        OutputStyle style = output_style(stdout);
        const char *colour = change == PLAN_COMES  ? style.good
                             : change == PLAN_GOES ? style.bad
                                                   : style.bold;

        printf("  %s%c%s ", colour, signs[change].sign, style.reset);
}

/* Whether the policy says the same words somewhere: the kernel keeps their beginning alone. */
static bool has_words(const Policy *policy, const char *text) {
        const char *words = plan_words(text);
        size_t len = strlen(words);

        for (SectionId id = 0; id < _SECTION_MAX; id++)
                for (size_t i = 0; i < policy->sections[id].n_rules; i++)
                        if (strncmp(plan_words(policy->sections[id].rules[i].text), words, len) ==
                            0)
                                return true;
        for (size_t i = 0; i < policy->n_protected; i++)
                if (strncmp(plan_words(policy->protected[i].text), words, len) == 0)
                        return true;
        return false;
}

/* What a rule of the same words is about now, and was before. */
static void print_conditions(const PlanRule *rule) {
        for (size_t i = 0; i < rule->n_before; i++)
                printf("      - %s\n", rule->before[i]);
        for (size_t i = 0; i < rule->n_after; i++)
                printf("      + %s\n", rule->after[i]);
}

static void print_rule(const PlanInput *p, const PlanRule *rule) {
        const char *was = rule->was ? plan_words(rule->was) : NULL;
        bool renamed = was && !streq(was, plan_words(rule->text));

        print_sign(rule->change);
        printf("%s\n", rule->text);
        if (rule->change == PLAN_MOVES)
                printf("      was: %s\n", rule->was);
        if (rule->change == PLAN_GOES && rule->from_policy &&
            has_words(p->input.policy, rule->text))
                printf("      the policy still says so, but other rules of it decide before\n");
        if (rule->change != PLAN_CHANGES)
                return;
        if (renamed)
                printf("      was: %s\n", was);
        if (!renamed || p->verbose)
                print_conditions(rule);
}

/* Only if there is anything in detail that the meaning has not told. */
static void head_detail(PlanInput *p) {
        if (!p->in_detail && p->preview.has_base)
                puts("in detail:");
        p->in_detail = true;
}

static bool is_told(const PlanInput *p, const PlanRule *rule) {
        return regions_tell_of(&p->preview.regions, rule->text) ||
               regions_tell_of(&p->preview.regions, rule->was);
}

static void print_rules(PlanInput *p, bool from_policy) {
        const char *section = "";

        for (size_t i = 0; i < p->plan->n_rules; i++) {
                const PlanRule *rule = &p->plan->rules[i];

                if (rule->from_policy != from_policy || (rule->change == PLAN_MOVES && !p->verbose))
                        continue;
                if (!p->verbose && is_told(p, rule)) {
                        p->n_told++;
                        continue;
                }
                head_detail(p);
                if (!streq(section, rule->section)) {
                        section = rule->section;
                        if (from_policy)
                                printf("%s\n", section);
                        else
                                printf("not from the policy, chain %s\n", section);
                }
                print_rule(p, rule);
        }
}

/* A zone is a set for each family and one for its interfaces. */
static const struct {
        const char *suffix, *what;
} set_kinds[] = {
        {"-ipv4", "IPv4 addresses"},
        {"-ipv6", "IPv6 addresses"},
        {"-interfaces", "interfaces"},
};

static void print_set_name(const char *name) {
        size_t len = strlen(name);

        for (size_t i = 0; i < ARRAY_SIZE(set_kinds); i++) {
                size_t n = strlen(set_kinds[i].suffix);

                if (len > n && streq(name + len - n, set_kinds[i].suffix)) {
                        printf("%.*s (%s)", (int)(len - n), name, set_kinds[i].what);
                        return;
                }
        }
        if (streq(name, RULESET_BRIDGE_FRAMES) || streq(name, RULESET_BRIDGE_OWN))
                printf("this host's bridges (%s)", name);
        else
                fputs(name, stdout);
}

static void print_set(const PlanSet *s) {
        print_sign(s->change);
        print_set_name(s->set->name);
        fputs(":", stdout);
        if (s->n_come > 0)
                printf(" %zu %s", s->n_come, s->n_come == 1 ? "comes" : "come");
        if (s->n_go > 0)
                printf("%s %zu %s", s->n_come > 0 ? "," : "", s->n_go,
                       s->n_go == 1 ? "goes" : "go");
        puts(s->n_come + s->n_go > 0 ? "" : " no elements");
}

static void print_sets(PlanInput *p, bool maps) {
        bool first = true;

        for (size_t i = 0; i < p->plan->n_sets; i++) {
                const PlanSet *s = &p->plan->sets[i];

                if (s->set->is_map != maps || (s->n_come + s->n_go == 0 && !p->verbose))
                        continue;
                head_detail(p);
                if (first)
                        puts(maps ? "kernel: lookups" : "zones");
                first = false;
                print_set(s);
        }
}

static void print_chain_rules(const Rule *const *rules, size_t n, char sign) {
        for (size_t i = 0; i < n; i++) {
                printf("      %c ", sign);
                rule_print(rules[i], stdout);
                fputc('\n', stdout);
        }
}

static void print_chains(const PlanInput *p) {
        if (p->plan->n_chains > 0)
                puts("kernel: chains");
        for (size_t i = 0; i < p->plan->n_chains; i++) {
                const PlanChain *c = &p->plan->chains[i];

                print_sign(c->change);
                printf("%s%s%s\n", c->chain->name,
                       c->reordered ? ": its rules stand in another order" : "",
                       c->rehooked ? ": its hook, priority or policy is another" : "");
                print_chain_rules((const Rule *const *)c->go, c->n_go, '-');
                print_chain_rules((const Rule *const *)c->come, c->n_come, '+');
        }
}

static size_t count_rules(const Plan *plan, PlanChange change, bool from_policy) {
        size_t n = 0;

        for (size_t i = 0; i < plan->n_rules; i++)
                n += plan->rules[i].change == change && plan->rules[i].from_policy == from_policy;
        return n;
}

static void print_summary(const PlanInput *p) {
        const char *separator = "rules of the policy: ";
        size_t n_sets = 0;

        for (size_t i = 0; i < p->plan->n_sets; i++)
                n_sets += !p->plan->sets[i].set->is_map;
        for (PlanChange c = 0; c < _PLAN_CHANGE_MAX; c++) {
                size_t n = count_rules(p->plan, c, true);

                if (n > 0) {
                        printf("%s%zu %s", separator, n, n == 1 ? signs[c].one : signs[c].many);
                        separator = ", ";
                }
        }
        if (streq(separator, ", "))
                printf("%s\n", p->n_told == 0     ? ""
                               : p->voice.is_plan ? " (-v shows each of them)"
                                                  : "");
        else if (n_sets == 0 && p->plan->n_rules == 0 && !p->plan->wakes && !p->plan->log_changes)
                puts("the policy's rules are the same; rules of the kernel's for them come, go, or "
                     "stand in another order (-v shows which)");
}

/* How much is logged, before and after. */
static void print_log(const Plan *plan) {
        print_sign(!plan->log_before ? PLAN_COMES : !plan->log_after ? PLAN_GOES : PLAN_CHANGES);
        fputs("log-limit: ", stdout);
        if (plan->log_before)
                limit_print(*plan->log_before, stdout);
        if (plan->log_before && plan->log_after)
                fputs(" → ", stdout);
        if (plan->log_after)
                limit_print(*plan->log_after, stdout);
        putchar('\n');
}

static PlanChange change_of(const StoreChange *c) {
        return !c->before ? PLAN_COMES : !c->after ? PLAN_GOES : PLAN_CHANGES;
}

/* A list may be long. */
static void print_value(const PlanInput *p, const char *value) {
        size_t size = strlen(value), shown = MIN(size, (size_t)VALUE_SHOWN);

        if (p->verbose || size == shown)
                fputs(value, stdout);
        else
                printf("%.*s...", (int)shown, value);
}

/* Settings and bans; of the former the limit of logging is a rule of the kernel's. */
static void print_beside(PlanInput *p) {
        const char *section = "";

        if (p->plan->log_changes) {
                head_detail(p);
                section = "settings";
                puts(section);
                print_log(p->plan);
        }
        for (size_t i = 0; i < p->n_beside; i++) {
                const StoreChange *c = &p->beside[i];

                head_detail(p);
                if (!streq(section, c->section))
                        puts(c->section);
                section = c->section;
                print_sign(change_of(c));
                printf("%s: ", c->key);
                if (c->before)
                        print_value(p, c->before);
                if (c->before && c->after)
                        fputs(" → ", stdout);
                if (c->after)
                        print_value(p, c->after);
                putchar('\n');
        }
}

/* What becomes of open connections that the policy does not admit. */
static const char *fate_of(const PlanInput *p) {
        if (!p->voice.applies)
                return "and load leaves open";
        if (!p->preview.cuts)
                return "and leaves open (settings.cut-denied)";
        return p->voice.is_confirmed ? "to be cut" : "to be cut once it is confirmed";
}

static void print_headline(const PlanInput *p) {
        const char *verb = p->voice.verb, *would = p->voice.would ? "would " : "",
                   *s = p->voice.would ? "" : "s",
                   *where = p->voice.applies ? "on this host" : "in this network namespace";

        if (!p->plan->differs)
                printf("%s is in force %s: ringwall %s %schange%s no rule%s\n",
                       p->input.policy->file, where, verb, would, s,
                       p->n_beside > 0 ? ", only what stands beside them:" : "");
        else if (p->live->exists)
                printf("ringwall %s %schange%s this %s:\n", verb, would, s, where);
        else
                printf("no policy is in force %s; ringwall %s %sbring%s:\n", where, verb, would, s);
}

int plan_print(PlanInput *p) {
        print_headline(p);
        if (p->voice.tells_ways)
                preview_print_ways(p->preview.ways);
        if (!p->plan->differs) {
                p->in_detail = true; /* there is nothing else */
                print_beside(p);
                return p->n_beside > 0 ? EXIT_DIFFERS : EXIT_OK;
        }
        preview_print_meaning(&p->preview);
        if (p->preview.has_base)
                preview_print_connections(&p->preview, fate_of(p));
        if (p->plan->wakes)
                puts("  + the table is asleep (dormant), so that nothing of it is in force: it "
                     "wakes");
        print_beside(p);
        print_rules(p, true);
        if (p->live->exists || p->verbose)
                print_rules(p, false);
        print_sets(p, false);
        if (p->verbose) {
                print_sets(p, true);
                print_chains(p);
        }
        print_summary(p);
        if (!p->live->exists && p->voice.applies)
                puts("all else that listens or is published closes to others; what that is: "
                     "ringwall exposure");
        if (!p->preview.has_base)
                preview_print_connections(&p->preview, fate_of(p));
        return EXIT_DIFFERS;
}

/* ---- as JSON */

static json_t *json_texts(const char *const *texts, size_t n) {
        json_t *array = json_array();

        for (size_t i = 0; i < n; i++)
                (void)json_array_append_new(array, json_string(texts[i]));
        return array;
}

static json_t *json_rule(const PlanRule *rule) {
        json_t *object = json_object();

        (void)json_object_set_new(object, "change",
                                  json_string(plan_change_to_string(rule->change)));
        (void)json_object_set_new(object, "from_policy", json_boolean(rule->from_policy));
        (void)json_object_set_new(object, rule->from_policy ? "section" : "chain",
                                  json_string(rule->section));
        (void)json_object_set_new(object, "rule", json_string(rule->text));
        if (rule->was)
                (void)json_object_set_new(object, "was", json_string(rule->was));
        (void)json_object_set_new(object, "before",
                                  json_texts((const char *const *)rule->before, rule->n_before));
        (void)json_object_set_new(object, "after",
                                  json_texts((const char *const *)rule->after, rule->n_after));
        return object;
}

static json_t *json_set(const PlanSet *s) {
        return json_pack("{ss ss sb sI sI}", "change", plan_change_to_string(s->change), "name",
                         s->set->name, "map", s->set->is_map, "come", (json_int_t)s->n_come, "go",
                         (json_int_t)s->n_go);
}

static json_t *json_kernel_rules(const Rule *const *rules, size_t n) {
        json_t *array = json_array();

        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *text = output_rule_text(rules[i]);

                (void)json_array_append_new(array, json_string(text ? text : ""));
        }
        return array;
}

static json_t *json_chain(const PlanChain *c) {
        return json_pack("{ss ss sb sb so so}", "change", plan_change_to_string(c->change), "name",
                         c->chain->name, "reordered", c->reordered, "rehooked", c->rehooked, "come",
                         json_kernel_rules((const Rule *const *)c->come, c->n_come), "go",
                         json_kernel_rules((const Rule *const *)c->go, c->n_go));
}

static json_t *json_beside(const PlanInput *p) {
        json_t *array = json_array();

        for (size_t i = 0; i < p->n_beside; i++) {
                const StoreChange *c = &p->beside[i];

                (void)json_array_append_new(
                        array, json_pack("{ss ss ss ss* ss*}", "change",
                                         plan_change_to_string(change_of(c)), "section", c->section,
                                         "key", c->key, "before", c->before, "after", c->after));
        }
        return array;
}

int plan_print_json(const PlanInput *p) {
        json_t *rules = json_array(), *sets = json_array(), *chains = json_array(), *object;
        bool differs = p->plan->differs || p->n_beside > 0;
        int r;

        for (size_t i = 0; i < p->plan->n_rules; i++)
                (void)json_array_append_new(rules, json_rule(&p->plan->rules[i]));
        for (size_t i = 0; i < p->plan->n_sets; i++)
                (void)json_array_append_new(sets, json_set(&p->plan->sets[i]));
        for (size_t i = 0; i < p->plan->n_chains; i++)
                (void)json_array_append_new(chains, json_chain(&p->plan->chains[i]));
        object = json_pack("{sb sb sb so so so so}", "differs", differs, "loaded", p->live->exists,
                           "dormant", p->plan->wakes, "rules", rules, "sets", sets, "chains",
                           chains, "beside", json_beside(p));
        preview_add_json(&p->preview, object);
        if (p->preview.ways)
                (void)json_object_set(object, "ways", p->preview.ways);
        r = output_json(object);
        if (r != EXIT_OK)
                return r;
        return differs ? EXIT_DIFFERS : EXIT_OK;
}
