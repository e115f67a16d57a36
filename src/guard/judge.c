/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/judge.h"

#include <inttypes.h>
#include <time.h>

#include "guard/beside.h"
#include "nft/shut.h"
#include "ruleset/ruleset.h"
#include "world/print.h"

/* Whoever may see less than root knows each time that it may. */
static size_t leave_out_unknown(Bypass *items, size_t n) {
        size_t kept = 0;

        for (size_t i = 0; i < n; i++)
                if (items[i].state != BYPASS_UNKNOWN || items[i].kind == BYPASS_LEGACY)
                        items[kept++] = items[i];
        return kept;
}

int judge_claims(const Policy *policy,
                 const World *w,
                 const Listening *listening,
                 bool all,
                 Arena *a,
                 VerifyReport *ret,
                 bool *ret_beside,
                 const char **ret_what) {
        const Tree tree = {.arena = a, .root = ""};
        struct timespec now;
        Bypass *items;
        size_t n;
        int r = verify_claims(policy, w, a, ret, ret_what);

        *ret_beside = false;
        if (r < 0 || !listening)
                return r;
        r = bypass_read(&tree, listening, &items, &n);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        *ret_beside = true;
        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
        ret->looked_usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
        if (!all)
                n = leave_out_unknown(items, n);
        return beside_judge(policy, w, items, n, a, ret, ret_what);
}

static const char *clean(Arena *a, const char *name) {
        char *copy = arena_strdup(a, name);

        if (copy)
                tree_clean(copy);
        return copy;
}

const char *judge_describe_step(Arena *a, const WorldStep *s) {
        const WorldTable *t = s->chain->table;
        const char *table = clean(a, t->name), *chain = clean(a, s->chain->name), *rule;
        const char *does = world_step_effect(s);

        if (!table || !chain)
                return NULL;
        rule = !s->rule           ? ": its policy"
               : s->rule->comment ? arena_printf(a, ": \"%s\"", s->rule->comment)
               : s->rule->handle > 0
                       ? arena_printf(a, ": rule with handle %" PRIu64, s->rule->handle)
                       : "";
        return rule ? arena_printf(a, "%s %s, chain %s%s: %s", world_family_to_string(t->family),
                                   table, chain, rule,
                                   does ? does : world_verdict_to_string(s->verdict.kind))
                    : NULL;
}

static bool is_ours(const WorldStep *s) {
        const WorldTable *t = s->chain->table;

        return streq(world_family_to_string(t->family), "inet") &&
               (streq(t->name, RULESET_TABLE) || nft_is_shut_table(t->name));
}

/* The last of another program's steps that does something to the packet; of these one that rewrites
 * it or hides it rather than one that translates: that is what many programs do rightly. */
static const WorldStep *find_effect(const VerifyAnswer *answer) {
        const WorldStep *found = NULL;

        for (size_t i = answer->n_steps; i > 0; i--) {
                const WorldStep *s = &answer->steps[i - 1];

                if (is_ours(s) || !world_step_effect(s))
                        continue;
                if (!s->nat)
                        return s;
                found = found ? found : s;
        }
        return found;
}

/* What comes in goes on being judged after a step that accepts, but not where it was meant to go
 * after one that translates or rewrites; nor is what ringwall refuses then ringwall's doing. */
const WorldStep *judge_culprit(const VerifyAnswer *answer) {
        const WorldStep *last = answer->n_steps > 0 ? &answer->steps[answer->n_steps - 1] : NULL;
        const WorldStep *effect = find_effect(answer);

        if ((answer->claim == VERIFY_ALWAYS || answer->claim == VERIFY_WAY_IN) && last &&
            last->verdict.kind == WORLD_DROP && !is_ours(last))
                return last;
        return effect ? effect : last;
}

/* To be copied into a shell: no name may say anything to it. */
static bool is_harmless(const char *name) {
        return name[strspn(name,
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")] ==
               '\0';
}

const char *judge_remedy(Arena *a, const WorldStep *culprit) {
        const WorldTable *t = culprit->chain->table;
        const char *chain = culprit->chain->name;

        if (!culprit->rule || culprit->rule->handle == 0 || is_ours(culprit) ||
            !is_harmless(t->name) || !is_harmless(chain))
                return NULL;
        return arena_printf(a, "nft delete rule %s %s %s handle %" PRIu64,
                            world_family_to_string(t->family), t->name, chain,
                            culprit->rule->handle);
}
