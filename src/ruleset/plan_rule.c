/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>

#include "ruleset/plan_list.h"

/* One rule of the policy is many rules for the kernel: one for each family, view and lookup, and
 * how they are spread over chains depends on all the others. So rules are not compared one by one,
 * but by what each origin stands for: its conditions, and the ports that lead to them, put together
 * again from wherever they ended up. */

#define WORDS_COMPARED 64 /* bytes; the kernel keeps of a long comment only its beginning */

/* One kernel rule at the end of one way to it. */
typedef struct Occurrence {
        const char *key;       /* the origin's text as the kernel keeps it; "" if it has none */
        const char *text;      /* the origin's whole text, or the rule itself */
        const char *section;   /* whose way leads there */
        const char *condition; /* the rule without its comment */
        const char *protocol;  /* of a lookup or comparison of ports; or NULL */
        Range ports;
        bool from_policy;
} Occurrence;

typedef struct Fact {
        const char *text; /* "tcp 22: ip saddr @lan-ipv4 accept" */
        const char *section;
} Fact;

/* Everything of one origin. */
typedef struct Subject {
        const char *key, *text, *section;
        bool from_policy, matched;
        Fact *facts;
        size_t n_facts;
} Subject;

typedef struct Way {
        const char *section, *protocol;
        Range ports;
} Way;

typedef struct Ways {
        Way *items;
        size_t n_items;
} Ways;

typedef struct Collector {
        Arena *arena;
        Ways *ways; /* of each chain, by its scratch number; empty: reached without a lookup */
        Occurrence *items;
        size_t n_items;
        Subject *subjects;
        size_t n_subjects;
} Collector;

/* The length of "policy.yaml:9: " at the beginning, or 0. */
static size_t place_size(const char *text) {
        for (const char *colon = strchr(text, ':'); colon; colon = strchr(colon + 1, ':')) {
                const char *end = colon + 1;

                while (isdigit((unsigned char)*end))
                        end++;
                if (colon != text && end > colon + 1 && end[0] == ':' && end[1] == ' ')
                        return (size_t)(end + 2 - text);
        }
        return 0;
}

const char *plan_words(const char *text) {
        return text + place_size(text);
}

static const char *section_of(const char *chain) {
        static const char *const sections[] = {"inbound", "outbound", "routed", "protected"};

        for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
                size_t len = strlen(sections[i]);

                if (startswith(chain, sections[i]) && strchr("-.", chain[len]))
                        return sections[i]; /* '\0' is found, too: the name itself */
        }
        return chain;
}

static bool is_section(const char *section) {
        return section_of(section) != section;
}

/* A log line names the rule with its place; a rule that only moves says the same as before. */
static int forget_places(Arena *a, Rule *rule) {
        Statement *copy = arena_alloc_array(a, MAX(rule->n_statements, 1UL), sizeof(*copy));

        if (!copy)
                return -ENOMEM;
        for (size_t i = 0; i < rule->n_statements; i++) {
                const char *text = rule->statements[i].text;
                const char *end = text ? strstr(text, ": ") : NULL, *start = end;

                copy[i] = rule->statements[i];
                if (copy[i].kind != STATEMENT_LOG || !end)
                        continue;
                while (start > text && start[-1] != ' ')
                        start--;
                copy[i].text = arena_printf(a, "%.*s%s", (int)(start - text), text, end + 2);
                if (!copy[i].text)
                        return -ENOMEM;
        }
        rule->statements = copy;
        return 0;
}

static char *print_condition(Arena *a, const Rule *rule) {
        _cleanup_free_ char *text = NULL;
        Rule bare = *rule;
        size_t size = 0;
        FILE *f;

        if (forget_places(a, &bare) < 0)
                return NULL;
        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        bare.origin.text = NULL;
        bare.counted = false;
        rule_print(&bare, f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        return text ? arena_strdup(a, text) : NULL;
}

/* ---- the ways that lead to chains */

static const char *lookup_protocol(const Rule *rule) {
        for (size_t i = 0; i < rule->n_matches; i++) {
                const Match *m = &rule->matches[i];

                if (m->op == MATCH_IN && m->n_fields == 1 && m->fields[0] == FIELD_L4PROTO &&
                    m->set->n_elements == 1)
                        return type_symbol_name(TYPE_INET_PROTO,
                                                (uint32_t)m->set->elements[0].key[0].low.low);
        }
        return NULL;
}

static bool is_of_ports(const Match *m) {
        return m->op == MATCH_IN && m->n_fields == 1 && !m->set->name &&
               (m->fields[0] == FIELD_DPORT || m->fields[0] == FIELD_CT_DPORT);
}

/* The ports that a rule compares, as few are, and not looks up; NULL if it asks for none. */
static const Set *compared_ports(const Rule *rule) {
        for (size_t i = 0; i < rule->n_matches && lookup_protocol(rule); i++)
                if (is_of_ports(&rule->matches[i]))
                        return rule->matches[i].set;
        return NULL;
}

/* The rule without its ports and their protocol, as it would stand behind a lookup. */
static int without_ports(Arena *a, const Rule *rule, Rule *ret) {
        Match *matches = arena_alloc_array(a, MAX(rule->n_matches, 1UL), sizeof(Match));
        uint32_t n = 0;

        if (!matches)
                return -ENOMEM;
        for (size_t i = 0; i < rule->n_matches; i++) {
                const Match *m = &rule->matches[i];

                if (!is_of_ports(m) && (m->n_fields != 1 || m->fields[0] != FIELD_L4PROTO))
                        matches[n++] = *m;
        }
        *ret = *rule;
        ret->matches = matches;
        ret->n_matches = n;
        return 0;
}

static int add_ways(Arena *a, Ways *ways, const char *section, const Rule *rule, Range ports) {
        Way way = {.section = section, .protocol = lookup_protocol(rule), .ports = ports};

        return arena_append(a, ways->items, ways->n_items, way) ? 0 : -ENOMEM;
}

static int add_ways_of_map(Collector *c, const char *section, const Rule *lookup) {
        const Set *map = lookup->map;

        if (!map || map->n_types != 1 || map->types[0] != TYPE_INET_SERVICE ||
            !lookup_protocol(lookup))
                return 0;
        for (size_t i = 0; i < map->n_elements; i++) {
                const Element *e = &map->elements[i];

                if (e->verdict.chain && add_ways(c->arena, &c->ways[e->verdict.chain->scratch],
                                                 section, lookup, e->key[0]) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int add_ways_of_ports(Arena *a, Ways *ways, const char *section, const Rule *rule) {
        const Set *ports = compared_ports(rule);

        for (size_t i = 0; ports && i < ports->n_elements; i++)
                if (add_ways(a, ways, section, rule, ports->elements[i].key[0]) < 0)
                        return -ENOMEM;
        return 0;
}

/* Lookups and jumps without an origin are how it is done, not what is done. */
static bool is_wiring(const Rule *rule) {
        return comment_size(rule->origin.text) == 0 &&
               (rule->verdict.kind == VERDICT_JUMP || rule->verdict.kind == VERDICT_GOTO ||
                rule->verdict.kind == VERDICT_MAP);
}

static int find_ways(Collector *c, const Ruleset *rs) {
        c->ways = arena_alloc_array(c->arena, MAX(rs->n_chains, 1UL), sizeof(*c->ways));
        if (!c->ways)
                return -ENOMEM;
        for (size_t i = 0; i < rs->n_chains; i++)
                rs->chains[i]->scratch = i;
        for (size_t i = 0; i < rs->n_chains; i++) {
                const Chain *chain = rs->chains[i];

                for (size_t j = 0; j < chain->n_rules; j++) {
                        const Rule *rule = &chain->rules[j];
                        const char *section = section_of(chain->name);
                        int r = 0;

                        if (rule->verdict.kind == VERDICT_MAP)
                                r = add_ways_of_map(c, section, rule);
                        else if (is_wiring(rule) && is_section(chain->name))
                                r = add_ways_of_ports(c->arena,
                                                      &c->ways[rule->verdict.chain->scratch],
                                                      section, rule);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

/* ---- occurrences */

static int add_occurrence(Collector *c, const Chain *chain, const Rule *rule) {
        Occurrence o = {.text = rule->origin.text, .section = section_of(chain->name)};
        const Ways *ways = &c->ways[chain->scratch];
        size_t size = comment_size(o.text);
        Rule rest = *rule;
        Ways own = {0};

        o.key = size > 0 ? arena_strndup(c->arena, o.text, size) : "";
        if (!o.key)
                return -ENOMEM;
        o.from_policy = size > 0 && (place_size(o.key) > 0 ||
                                     (is_section(chain->name) && !startswith(o.key, "always:")));
        if (o.from_policy && compared_ports(rule)) {
                if (add_ways_of_ports(c->arena, &own, o.section, rule) < 0 ||
                    without_ports(c->arena, rule, &rest) < 0)
                        return -ENOMEM;
                ways = &own;
        }
        o.condition = print_condition(c->arena, &rest);
        if (!o.condition)
                return -ENOMEM;
        if (size == 0)
                o.text = o.condition;
        if (!o.from_policy)
                o.section = chain->name;
        if (ways->n_items == 0)
                return arena_append(c->arena, c->items, c->n_items, o) ? 0 : -ENOMEM;
        for (size_t i = 0; i < ways->n_items; i++) {
                const Way *w = &ways->items[i];

                o.protocol = w->protocol;
                o.ports = w->ports;
                if (o.from_policy)
                        o.section = w->section;
                if (!arena_append(c->arena, c->items, c->n_items, o))
                        return -ENOMEM;
        }
        return 0;
}

static int find_occurrences(Collector *c, const Ruleset *rs) {
        for (size_t i = 0; i < rs->n_chains; i++) {
                const Chain *chain = rs->chains[i];

                for (size_t j = 0; j < chain->n_rules; j++)
                        if (!is_wiring(&chain->rules[j]) &&
                            add_occurrence(c, chain, &chain->rules[j]) < 0)
                                return -ENOMEM;
        }
        return 0;
}

static int compare_null(const char *a, const char *b) {
        if (!a || !b)
                return (a != NULL) - (b != NULL);
        return strcmp(a, b);
}

/* What the policy says is one wherever it stands; what it does not say is one by its chain. */
static int compare_origins(const Occurrence *x, const Occurrence *y) {
        int c = strcmp(x->key, y->key);

        if (c == 0 && x->from_policy != y->from_policy)
                c = x->from_policy ? -1 : 1;
        if (c == 0 && !x->from_policy)
                c = strcmp(x->section, y->section);
        if (c == 0 && x->key[0] == '\0')
                c = strcmp(x->condition, y->condition);
        return c;
}

static int compare_conditions(const Occurrence *x, const Occurrence *y) {
        int c = strcmp(x->section, y->section);

        if (c == 0)
                c = strcmp(x->condition, y->condition);
        return c ? c : compare_null(x->protocol, y->protocol);
}

static int compare_occurrences(const void *a, const void *b) {
        const Occurrence *x = a, *y = b;
        int c = compare_origins(x, y);

        if (c == 0)
                c = compare_conditions(x, y);
        return c ? c : u128_compare(x->ports.low, y->ports.low);
}

/* ---- subjects */

/* "tcp 22, 8000-8099: ip saddr @lan-ipv4 accept" of n occurrences that differ in ports alone. */
static const char *fact_text(Arena *a, const Occurrence *list, size_t n) {
        const char *text = list[0].protocol, *separator = " ";
        RangeSet ports = {0};

        if (!text)
                return list[0].condition;
        for (size_t i = 0; i < n; i++)
                if (range_set_add(a, &ports, list[i].ports) < 0)
                        return NULL;
        range_set_normalise(&ports);
        for (size_t i = 0; i < ports.n_items && text; i++) {
                unsigned long low = ports.items[i].low.low, high = ports.items[i].high.low;

                text = low == high ? arena_printf(a, "%s%s%lu", text, separator, low)
                                   : arena_printf(a, "%s%s%lu-%lu", text, separator, low, high);
                separator = ", ";
        }
        return text ? arena_printf(a, "%s: %s", text, list[0].condition) : NULL;
}

static int compare_facts(const void *a, const void *b) {
        const Fact *x = a, *y = b;
        int c = strcmp(x->text, y->text);

        return c ? c : strcmp(x->section, y->section);
}

static int add_subject(Collector *c, const Occurrence *list, size_t n) {
        Subject s = {
                .key = list[0].key,
                .text = list[0].text,
                .section = list[0].section,
                .from_policy = list[0].from_policy,
        };

        for (size_t i = 0, end; i < n; i = end) {
                Fact fact = {.section = list[i].section};

                for (end = i + 1; end < n && compare_conditions(&list[i], &list[end]) == 0;)
                        end++;
                fact.text = fact_text(c->arena, &list[i], end - i);
                if (!fact.text || !arena_append(c->arena, s.facts, s.n_facts, fact))
                        return -ENOMEM;
                /* a claim is enforced in the sections' chains, too */
                if (streq(fact.section, "protected"))
                        s.section = fact.section;
        }
        qsort(s.facts, s.n_facts, sizeof(s.facts[0]), compare_facts);
        return arena_append(c->arena, c->subjects, c->n_subjects, s) ? 0 : -ENOMEM;
}

static int collect(Collector *c, const Ruleset *rs) {
        if (find_ways(c, rs) < 0 || find_occurrences(c, rs) < 0)
                return -ENOMEM;
        if (c->n_items > 0)
                qsort(c->items, c->n_items, sizeof(c->items[0]), compare_occurrences);
        for (size_t i = 0, end; i < c->n_items; i = end) {
                for (end = i + 1;
                     end < c->n_items && compare_origins(&c->items[i], &c->items[end]) == 0;)
                        end++;
                if (add_subject(c, &c->items[i], end - i) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* ---- comparing */

/* Those of x that y has not; NULL ends nothing, the count says it all. */
static int only_in(Arena *a, const Subject *x, const Subject *y, const char ***ret, size_t *ret_n) {
        for (size_t i = 0, j = 0; i < x->n_facts; i++) {
                const char *text = x->facts[i].text;
                int c = -1;

                while (y && j < y->n_facts && (c = compare_facts(&x->facts[i], &y->facts[j])) > 0)
                        j++;
                if (y && j < y->n_facts && c == 0)
                        continue;
                if (*ret_n > 0 && streq((*ret)[*ret_n - 1], text))
                        continue; /* the same in two sections */
                if (!arena_append(a, *ret, *ret_n, text))
                        return -ENOMEM;
        }
        return 0;
}

static bool same_facts(const Subject *x, const Subject *y) {
        if (x->n_facts != y->n_facts)
                return false;
        for (size_t i = 0; i < x->n_facts; i++)
                if (compare_facts(&x->facts[i], &y->facts[i]) != 0)
                        return false;
        return true;
}

static int report(Arena *a, Plan *plan, const Subject *live, const Subject *desired) {
        const Subject *shown = desired ? desired : live;
        PlanRule rule = {
                .from_policy = shown->from_policy,
                .section = shown->section,
                .text = shown->text,
                .was = live && desired ? live->text : NULL,
        };

        if (live && desired && same_facts(live, desired)) {
                if (streq(live->key, desired->key))
                        return 0;
                rule.change = PLAN_MOVES;
        } else
                rule.change = !live ? PLAN_COMES : !desired ? PLAN_GOES : PLAN_CHANGES;
        if ((live && only_in(a, live, desired, &rule.before, &rule.n_before) < 0) ||
            (desired && only_in(a, desired, live, &rule.after, &rule.n_after) < 0))
                return -ENOMEM;
        return arena_append(a, plan->rules, plan->n_rules, rule) ? 0 : -ENOMEM;
}

typedef int (*CompareSubjects)(const void *a, const void *b);

/* By their whole names. */
static int compare_keys(const void *a, const void *b) {
        const Subject *x = a, *y = b;
        int c = strcmp(x->key, y->key);

        if (c == 0 && x->from_policy != y->from_policy)
                c = x->from_policy ? -1 : 1;
        if (c == 0)
                c = strcmp(x->section, y->section);
        if (c == 0 && x->key[0] == '\0')
                c = strcmp(x->text, y->text);
        return c;
}

/* By what they say, wherever in the policy: a line above them may have come or gone. */
static int compare_words(const void *a, const void *b) {
        const Subject *x = a, *y = b;
        int c = strcmp(x->section, y->section);

        if (c == 0)
                c = strncmp(plan_words(x->key), plan_words(y->key), WORDS_COMPARED);
        if (c == 0 && x->key[0] == '\0')
                c = strcmp(x->text, y->text);
        return c;
}

/* A section's default, which is one however it refuses, and wherever that is said, if at all. */
static bool is_default(const Subject *s) {
        const char *words = plan_words(s->key);

        return s->from_policy && startswith(words, s->section) &&
               startswith(words + strlen(s->section), " default: ");
}

/* By their place, whatever they say: somebody has written another word into the line. */
static int compare_places(const void *a, const void *b) {
        const Subject *x = a, *y = b;
        int c = strcmp(x->section, y->section);
        size_t n = place_size(x->key), m = place_size(y->key);
        bool is_default_x = is_default(x), is_default_y = is_default(y);

        if (c == 0 && (is_default_x || is_default_y))
                return (int)is_default_x - (int)is_default_y;
        if (c == 0)
                c = strncmp(x->key, y->key, MIN(n, m));
        if (c == 0 && n != m)
                c = n < m ? -1 : 1;
        if (c == 0 && n == 0)
                c = strcmp(x->key, y->key);
        if (c == 0 && n == 0 && x->key[0] == '\0')
                c = strcmp(x->text, y->text);
        return c;
}

static const CompareSubjects rounds[] = {compare_keys, compare_words, compare_places};

/* Sorts, and leaves those to compare in front that no round has matched. */
static size_t begin_round(Collector *c, CompareSubjects compare) {
        size_t n = 0;

        for (size_t i = 0; i < c->n_subjects; i++)
                if (!c->subjects[i].matched)
                        c->subjects[n++] = c->subjects[i];
        if (n > 0)
                qsort(c->subjects, n, sizeof(c->subjects[0]), compare);
        return c->n_subjects = n;
}

static int match_round(Plan *plan, Collector *live, Collector *desired, CompareSubjects compare) {
        size_t n = begin_round(live, compare), m = begin_round(desired, compare);

        for (size_t i = 0, j = 0; i < n && j < m;) {
                Subject *x = &live->subjects[i], *y = &desired->subjects[j];
                int c = compare(x, y);

                if (c == 0) {
                        x->matched = y->matched = true;
                        if (report(live->arena, plan, x, y) < 0)
                                return -ENOMEM;
                }
                i += c <= 0;
                j += c >= 0;
        }
        return 0;
}

static unsigned long line_of(const char *text) {
        size_t size = place_size(text);

        if (size < 3)
                return 0;
        for (size -= 3; size > 0 && text[size - 1] != ':';)
                size--;
        return strtoul(text + size, NULL, 10);
}

/* As a reader of the policy would go through them: what it says first, by section, file, line. */
static int compare_reports(const void *a, const void *b) {
        const PlanRule *x = a, *y = b;
        size_t n = place_size(x->text), m = place_size(y->text);
        unsigned long k = line_of(x->text), l = line_of(y->text);
        int c;

        if (x->from_policy != y->from_policy)
                return x->from_policy ? -1 : 1;
        c = strcmp(x->section, y->section);
        if (c == 0 && (n == 0 || m == 0))
                c = (n == 0) - (m == 0);
        if (c == 0 && k != l && n > 0)
                return k < l ? -1 : 1;
        return c ? c : strcmp(x->text, y->text);
}

int plan_rules(Arena *a, const Ruleset *live, const Ruleset *desired, Plan *plan) {
        Collector l = {.arena = a}, d = {.arena = a};

        if (collect(&l, live) < 0 || collect(&d, desired) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(rounds); i++)
                if (match_round(plan, &l, &d, rounds[i]) < 0)
                        return -ENOMEM;
        for (size_t i = 0; i < l.n_subjects; i++)
                if (!l.subjects[i].matched && report(a, plan, &l.subjects[i], NULL) < 0)
                        return -ENOMEM;
        for (size_t i = 0; i < d.n_subjects; i++)
                if (!d.subjects[i].matched && report(a, plan, NULL, &d.subjects[i]) < 0)
                        return -ENOMEM;
        if (plan->n_rules > 0)
                qsort(plan->rules, plan->n_rules, sizeof(plan->rules[0]), compare_reports);
        return 0;
}
