/* SPDX-License-Identifier: GPL-2.0-or-later */
#define HASH_NONFATAL_OOM 1
#include <ctype.h>
#include <inttypes.h>
/* clang takes the falls through the cases of the default function for mistakes */
#define HASH_FUNCTION HASH_FNV
#include <uthash.h>

#include <linux/netfilter.h>

#include "ruleset/lower_always.h"

/* A rule with a limit or a log has a chain of its own, to which everything that matches the rule
 * jumps. The kernel writes one rule of the policy as several of its own, and a limit must be one
 * for all of them. Beyond a limit the chain ends without a verdict, so that other rules decide: a
 * limit that breaks closes.
 *
 *     packets of a connection that was let through before → the verdict: only the first one counts
 *     below the limits                                    → log, the verdict
 *     sources for which the sets have no room             → counted
 */

#define SOURCES_MAX 65536     /* sources that a rule with `per source` remembers, a family */
#define SOURCE_TIMEOUT_MIN 60 /* seconds that a source is remembered, at least */
#define NAME_WORD_MAX 24      /* bytes of a service's name in the chain's */
#define FNV_START UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

typedef struct RuleKey {
        const void *of; /* a PolicyRule or a Section */
        uint64_t kind;  /* of the verdict */
} RuleKey;

struct RuleChain {
        RuleKey key;
        const Chain *chain;
        UT_hash_handle hh;
};

typedef struct TakenName {
        const char *name;
        UT_hash_handle hh;
} TakenName;

static const FieldId source_keys[_FAMILY_MAX] = {
        [FAMILY_IPV4] = FIELD_IP_SADDR,
        [FAMILY_IPV6] = FIELD_IP6_SADDR_64,
};

static const char *const family_suffixes[_FAMILY_MAX] = {
        [FAMILY_IPV4] = "ipv4",
        [FAMILY_IPV6] = "ipv6",
};

bool lower_needs_chain(const PolicyRule *rule) {
        return rule->limit.rate.number > 0 || rule->connections.number > 0 || rule->log;
}

static PacketLimit packet_limit(Rate rate, uint32_t burst) {
        return (PacketLimit){
                .number = rate.number,
                .seconds = rate_unit_seconds(rate.unit),
                .burst = burst,
        };
}

static uint64_t hash_text(uint64_t hash, const char *text) {
        for (; text && *text; text++)
                hash = (hash ^ (unsigned char)*text) * FNV_PRIME;
        return (hash ^ 0xff) * FNV_PRIME; /* texts side by side must not run together */
}

static uint64_t hash_number(uint64_t hash, uint64_t value) {
        return (hash ^ value) * FNV_PRIME;
}

static uint64_t hash_interfaces(uint64_t hash, const RangeSet *set) {
        for (size_t i = 0; i < set->n_items; i++) {
                hash = hash_number(hash, set->items[i].low.high);
                hash = hash_number(hash, set->items[i].low.low);
        }
        return hash_number(hash, set->n_items);
}

/* Of what the rule says, not of where it stands: so that its chain keeps its name, and its sets
 * what they count, when lines are added above it. */
static uint64_t hash_rule(SectionId id, const PolicyRule *rule) {
        uint64_t hash = hash_number(FNV_START, (uint64_t)id * 2 + (uint64_t)rule->verb);

        hash = hash_text(hash, rule->services.text);
        hash = hash_text(hash, rule->from.text);
        hash = hash_text(hash, rule->to.text);
        hash = hash_text(hash, rule->except.text);
        hash = hash_interfaces(hash, &rule->in);
        hash = hash_interfaces(hash, &rule->out);
        hash = hash_interfaces(hash, &rule->users);
        hash = hash_interfaces(hash, &rule->groups);
        hash = hash_number(hash, (uint64_t)rule->limit.rate.number << 32 | rule->limit.burst);
        hash = hash_number(hash, (uint64_t)rule->limit.rate.unit * 2 + rule->limit.per_source);
        hash = hash_number(hash,
                           (uint64_t)rule->connections.number * 2 + rule->connections.per_source);
        return hash_text(hash, rule->log_word);
}

/* 0 if the name is taken already; else 1, or -ENOMEM. */
static int take_name(Lower *l, const char *name, TakenName *new) {
        TakenName *known;

        HASH_FIND_STR(l->names, name, known);
        if (known)
                return 0;
        new->name = name;
        HASH_ADD_KEYPTR(hh, l->names, name, strlen(name), new);
        return new->hh.tbl ? 1 : -ENOMEM;
}

/* A name that no other chain has: "limited-ssh-1f3a5b7c". NULL without memory. */
static const char *chain_name(Lower *l, const char *kind, const char *word, uint64_t hash) {
        TakenName *new = arena_new0(l->arena, TakenName);
        char copy[NAME_WORD_MAX + 1];
        const char *name;
        size_t n = 0;
        int taken;

        if (!new)
                return NULL;
        for (; word && word[n] && n < NAME_WORD_MAX &&
               (isalnum((unsigned char)word[n]) || word[n] == '-');
             n++)
                copy[n] = word[n];
        copy[n] = '\0';
        for (uint32_t i = 0;; i++) {
                name = arena_printf(l->arena, "%s-%s%s%08" PRIx32, kind, copy, n > 0 ? "-" : "",
                                    (uint32_t)(hash >> 32) + i);
                taken = name ? take_name(l, name, new) : -ENOMEM;
                if (taken != 0)
                        return taken > 0 ? name : NULL;
        }
}

/* Names are made with arena_printf(), and so may be NULL. */
static Chain *add_named_chain(Lower *l, const char *name) {
        return name ? ruleset_add_chain(l->rs, name) : NULL;
}

/* Long enough that a source that is forgotten could have used its whole burst again. */
static uint32_t source_timeout(const PacketLimit *limit) {
        uint64_t refill =
                ((uint64_t)limit->burst * limit->seconds + limit->number - 1) / limit->number;

        return (uint32_t)MAX(refill, (uint64_t)SOURCE_TIMEOUT_MIN);
}

static Set *
add_source_set(Lower *l, const Chain *chain, const char *what, Family family, uint32_t timeout) {
        const char *name =
                arena_printf(l->arena, "%s-%s-%s", chain->name, what, family_suffixes[family]);
        Set *set = name ? ruleset_add_set(l->rs, name, fields[source_keys[family]].type) : NULL;

        if (set) {
                set->dynamic = true;
                set->timeout = timeout;
                set->room = SOURCES_MAX;
        }
        return set;
}

/* What a rule's chain needs to know of its two limits. */
typedef struct Limits {
        bool has_limit, has_connections;
        Statement limit, connections;
        bool limit_per_source, connections_per_source;
} Limits;

static Limits limits_of(const PolicyRule *rule) {
        return (Limits){
                .has_limit = rule->limit.rate.number > 0,
                .has_connections = rule->connections.number > 0,
                .limit = {.kind = STATEMENT_LIMIT,
                          .limit = packet_limit(rule->limit.rate, rule->limit.burst)},
                .connections = {.kind = STATEMENT_CONNECTIONS,
                                .connections = rule->connections.number},
                .limit_per_source = rule->limit.per_source,
                .connections_per_source = rule->connections.per_source,
        };
}

/* Tells a full set from a limit that is reached: of sources with no room nothing was written down.
 */
static int add_full_counter(Lower *l, Chain *chain, const Statement *s, Origin origin) {
        const char *what = origin.text ? origin.text : "this rule";
        Rule *rule = chain_add_rule(l->rs, chain, verdict_of(VERDICT_CONTINUE), (Origin){0});

        if (!rule || rule_match_set(l->rs, rule, s->field, MATCH_NOT_IN, s->set) < 0)
                return -ENOMEM;
        rule->counted = true;
        rule->origin.text = arena_printf(l->arena, "no room for its source: %s", what);
        return rule->origin.text ? 0 : -ENOMEM;
}

/* The rule that holds the limits of all sources together. */
static int add_total(Lower *l, Chain *chain, const Limits *limits, Verdict verdict, Origin origin) {
        Rule *rule = chain_add_rule(l->rs, chain, verdict, origin);

        if (!rule)
                return -ENOMEM;
        rule->counted = l->policy->settings.counters != COUNTERS_OFF;
        if (limits->has_connections && !limits->connections_per_source &&
            rule_add_statement(l->rs, rule, &limits->connections) < 0)
                return -ENOMEM;
        if (limits->has_limit && !limits->limit_per_source)
                return rule_add_statement(l->rs, rule, &limits->limit);
        return 0;
}

/* The rule that holds the limits of each source of the family. First the open connections: one that
 * there is no room for uses up no rate. */
static int add_sources(Lower *l,
                       Chain *chain,
                       const Limits *limits,
                       Family family,
                       Verdict verdict,
                       Origin origin) {
        Rule *rule = chain_add_rule(l->rs, chain, verdict, origin);
        Statement list[2];
        size_t n = 0;

        if (!rule)
                return -ENOMEM;
        rule->counted = l->policy->settings.counters != COUNTERS_OFF;
        if (limits->has_connections && limits->connections_per_source) {
                list[n] = limits->connections;
                list[n++].set = add_source_set(l, chain, "open", family, 0);
        }
        if (limits->has_limit && limits->limit_per_source) {
                list[n] = limits->limit;
                list[n++].set = add_source_set(l, chain, "sources", family,
                                               source_timeout(&limits->limit.limit));
        }
        for (size_t i = 0; i < n; i++) {
                list[i].field = source_keys[family];
                if (!list[i].set || rule_add_statement(l->rs, rule, &list[i]) < 0)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < n; i++)
                if (add_full_counter(l, chain, &list[i], origin) < 0)
                        return -ENOMEM;
        return 0;
}

/* Fills the chain with the rule's limits, before whatever stands behind them. */
static int
add_limits(Lower *l, Chain *chain, const Limits *limits, Verdict verdict, Origin origin) {
        bool total = (limits->has_limit && !limits->limit_per_source) ||
                     (limits->has_connections && !limits->connections_per_source);
        bool sources = (limits->has_limit && limits->limit_per_source) ||
                       (limits->has_connections && limits->connections_per_source);
        Chain *both;

        if (!sources)
                return add_total(l, chain, limits, verdict, origin);
        if (total) {
                both = add_named_chain(l, arena_printf(l->arena, "%s-all", chain->name));
                if (!both || add_total(l, both, limits, verdict, origin) < 0)
                        return -ENOMEM;
                verdict = verdict_to(VERDICT_JUMP, both);
        }
        for (Family f = 0; f < _FAMILY_MAX; f++)
                if (add_sources(l, chain, limits, f, verdict, origin) < 0)
                        return -ENOMEM;
        return 0;
}

/* The limit that all log lines share is made with the first of them. */
static int add_log(Lower *l, Rule *rule, const Rate *own_limit, const char *prefix) {
        Statement own = {.kind = STATEMENT_LIMIT};
        Statement shared = {.kind = STATEMENT_NAMED_LIMIT, .text = RULESET_LOG_LIMIT};
        Statement log = {.kind = STATEMENT_LOG, .text = prefix};
        const Rate *all = &l->policy->settings.log_limit;

        if (!prefix)
                return -ENOMEM;
        if (!ruleset_find_limit(l->rs, RULESET_LOG_LIMIT) &&
            !ruleset_add_limit(l->rs, RULESET_LOG_LIMIT, packet_limit(*all, all->number)))
                return -ENOMEM;
        if (own_limit && own_limit->number > 0) {
                own.limit = packet_limit(*own_limit, own_limit->number);
                if (rule_add_statement(l->rs, rule, &own) < 0)
                        return -ENOMEM;
        }
        if (rule_add_statement(l->rs, rule, &shared) < 0)
                return -ENOMEM;
        return rule_add_statement(l->rs, rule, &log);
}

/* "allow policy.yaml:9: allow ssh from lan": what became of it, then the rule's name; a word that
 * the rule gives stands in front. Cut to what the kernel takes. */
static const char *log_prefix(Lower *l, const char *verdict, const char *word, const char *text) {
        char *prefix = arena_printf(l->arena, "%s%s%s %s", word ? word : "", word ? " " : "",
                                    verdict, text ? text : "");
        size_t size = comment_size(prefix);

        if (prefix)
                prefix[size] = '\0';
        return prefix;
}

/* Whatever drops counts, here as everywhere. */
static bool counts(const Lower *l, Verdict verdict) {
        return verdict.kind == VERDICT_DROP && l->policy->settings.counters != COUNTERS_OFF;
}

/* Logs, as far as the limits of logging go, and gives the verdict. */
static Chain *add_log_chain(Lower *l,
                            const char *name,
                            const Rate *own_limit,
                            const char *prefix,
                            Verdict verdict,
                            Origin origin) {
        Chain *chain = add_named_chain(l, name);
        Rule *rule =
                chain ? chain_add_rule(l->rs, chain, verdict_of(VERDICT_CONTINUE), origin) : NULL;

        if (!rule || add_log(l, rule, own_limit, prefix) < 0)
                return NULL;
        rule->counted = l->policy->settings.counters != COUNTERS_OFF;
        rule = chain_add_rule(l->rs, chain, verdict, origin);
        if (!rule)
                return NULL;
        rule->counted = counts(l, verdict);
        return chain;
}

static const Chain *find_made(const Lower *l, const void *of, VerdictKind kind) {
        RuleKey key = {.of = of, .kind = (uint64_t)kind};
        RuleChain *made;

        HASH_FIND(hh, l->rule_chains, &key, sizeof(key), made);
        return made ? made->chain : NULL;
}

static bool remember(Lower *l, const void *of, VerdictKind kind, const Chain *chain) {
        RuleChain *made = arena_new0(l->arena, RuleChain);

        if (!made)
                return false;
        made->key = (RuleKey){.of = of, .kind = (uint64_t)kind};
        made->chain = chain;
        HASH_ADD(hh, l->rule_chains, key, sizeof(made->key), made);
        return made->hh.tbl != NULL;
}

void lower_limits_done(Lower *l) {
        HASH_CLEAR(hh, l->rule_chains);
        HASH_CLEAR(hh, l->names);
}

/* The first packet of a connection is not confirmed yet; an untracked one belongs to none. */
static int add_again(Lower *l, Chain *chain, Verdict verdict, Origin origin) {
        Rule *again = chain_add_rule(l->rs, chain, verdict, origin);

        if (!again)
                return -ENOMEM;
        again->counted = counts(l, verdict);
        return rule_match_bits(l->rs, again, FIELD_CT_STATUS, MATCH_BITS, CT_STATUS_CONFIRMED);
}

const Chain *
lower_rule_chain(Lower *l, SectionId id, const PolicyRule *rule, Verdict verdict, Origin origin) {
        const Chain *made = find_made(l, rule, verdict.kind);
        Limits limits = limits_of(rule);
        bool limited = limits.has_limit || limits.has_connections;
        uint64_t hash = hash_rule(id, rule);
        const char *word = rule->services.n_terms > 0 ? rule->services.terms[0].text : NULL;
        Verdict end = verdict;
        Chain *chain;

        if (made)
                return made;
        if (rule->log) {
                const char *prefix =
                        log_prefix(l, rule_verb_to_string(rule->verb), rule->log_word, origin.text);
                const Chain *log = add_log_chain(l, chain_name(l, "log", word, hash), NULL, prefix,
                                                 verdict, origin);

                if (!log)
                        return NULL;
                end = verdict_to(VERDICT_GOTO, log);
        }
        chain = add_named_chain(l, chain_name(l, limited ? "limited" : "logged", word, hash));
        if (!chain || add_again(l, chain, verdict, origin) < 0)
                return NULL;
        if (add_limits(l, chain, &limits, end, origin) < 0)
                return NULL;
        return remember(l, rule, verdict.kind, chain) ? chain : NULL;
}

const Chain *lower_default_chain(Lower *l, SectionId id, Verdict verdict, Origin origin) {
        const Section *section = &l->policy->sections[id];
        const Chain *made = find_made(l, section, verdict.kind);
        const char *word = section_default_to_string(section->fallback);
        Chain *chain, *log;

        if (made)
                return made;
        log = add_log_chain(l, chain_name(l, "log", section_id_to_string(id), FNV_START),
                            &section->log_limit, log_prefix(l, word, NULL, origin.text), verdict,
                            origin);
        chain = log ? add_named_chain(l,
                                      chain_name(l, "logged", section_id_to_string(id), FNV_START))
                    : NULL;
        if (!chain || add_again(l, chain, verdict, origin) < 0 ||
            !chain_add_rule(l->rs, chain, verdict_to(VERDICT_GOTO, log), origin))
                return NULL;
        return remember(l, section, verdict.kind, chain) ? chain : NULL;
}
