/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/cover.h"

#define FEW 4 /* rules that are compared rather than narrowed down further */

int cover_entry_covers(Cover *c, const Entry *outer, const Entry *inner) {
        int64_t until = outer->rule->until;
        int r = 1;

        if (until > 0 && (inner->rule->until == 0 || inner->rule->until > until))
                return 0;
        c->work += 4;
        for (Family f = 0; f < _FAMILY_MAX; f++)
                for (Dimension i = 0; inner->live[f] && i < _DIMENSION_MAX && r > 0; i++)
                        r = cover_key_covers(c, outer->keys[i], inner->keys[i], f);
        return r;
}

/* Of two rules that are alike, the one that is read first stays. */
static int is_better(Cover *c, const Entry *e, const Entry *q) {
        int r;

        if (q->role != e->role || q < e)
                return 1;
        r = cover_entry_covers(c, e, q);
        return r < 0 ? r : !r;
}

static void count_entries(const Cover *c, Role role, Candidates *ret) {
        ret->n_entries = 0;
        for (size_t i = 0; i < ret->n_keys; i++)
                ret->n_entries += c->keys[ret->keys[i]]->roles[role].n_entries;
}

/* The fewest that one of the rule's values leads to. */
static void
find_candidates(Cover *c, const Entry *e, Role role, Dimension dimension, Candidates *ret) {
        Family family = e->live[FAMILY_IPV4] ? FAMILY_IPV4 : FAMILY_IPV6;
        Probe probes[COVER_PROBES_MAX];
        size_t n = cover_key_probes(e->keys[dimension], family, probes);
        Candidates *other = &c->others;

        ret->n_keys = 0;
        ret->complete = false;
        for (size_t i = 0; i < n && !(ret->complete && ret->n_entries <= FEW); i++) {
                other->complete = interval_index_find(&c->axes[role][dimension][probes[i].axis],
                                                      probes[i].range, CANDIDATES_MAX, other->keys,
                                                      &other->n_keys);
                c->work += 8 + other->n_keys;
                count_entries(c, role, other);
                if (i > 0 &&
                    (!other->complete || (ret->complete && other->n_entries >= ret->n_entries)))
                        continue;
                memcpy(ret->keys, other->keys, other->n_keys * sizeof(other->keys[0]));
                ret->n_keys = other->n_keys;
                ret->n_entries = other->n_entries;
                ret->complete = other->complete;
        }
}

/* Whether q's keys are among the candidates of the dimensions that are marked. */
static bool is_marked(const Cover *c, const Entry *q, const bool *marked) {
        for (Dimension i = 0; i < _DIMENSION_MAX; i++)
                if (marked[i] && q->keys[i]->mark != c->search)
                        return false;
        return true;
}

/* Tries the rules that have one of the keys: 1, 0 or -ENOMEM. */
static int try_candidates(Cover *c,
                          const Entry *e,
                          Role role,
                          Dimension dimension,
                          const Candidates *candidates,
                          const bool *marked,
                          Entry **ret) {
        for (size_t i = 0; i < candidates->n_keys; i++) {
                const Key *key = c->keys[candidates->keys[i]];

                for (Entry *q = key->roles[role].first; q; q = q->next[dimension]) {
                        int r;

                        if (c->work++ > COVER_WORK_MAX)
                                return 0;
                        if (q == e || (marked && !is_marked(c, q, marked)))
                                continue;
                        r = cover_entry_covers(c, q, e);
                        if (r > 0)
                                r = is_better(c, e, q);
                        if (r > 0)
                                *ret = q;
                        if (r != 0)
                                return r;
                }
        }
        return 0;
}

/* Where no dimension leads to few. */
static int try_all(Cover *c, const Entry *e, Role role, const bool *marked, Entry **ret) {
        for (size_t i = 0; i < c->n_entries; i++) {
                Entry *q = &c->entries[i];
                int r;

                if (c->work++ > COVER_WORK_MAX)
                        return 0;
                if (q->role != role || q->left_out || q == e || !is_marked(c, q, marked))
                        continue;
                r = cover_entry_covers(c, q, e);
                if (r > 0)
                        r = is_better(c, e, q);
                if (r > 0)
                        *ret = q;
                if (r != 0)
                        return r;
        }
        return 0;
}

int cover_find(Cover *c, const Entry *e, Role role, Entry **ret) {
        Candidates *candidates = c->candidates;
        bool marked[_DIMENSION_MAX] = {false};
        Dimension best = _DIMENSION_MAX, n;
        int r = 0;

        if (c->n_by_role[role] == 0)
                return 0;
        for (n = 0; n < _DIMENSION_MAX; n++) {
                find_candidates(c, e, role, n, &candidates[n]);
                if (candidates[n].complete &&
                    (best == _DIMENSION_MAX ||
                     candidates[n].n_entries < candidates[best].n_entries))
                        best = n;
                if (best < _DIMENSION_MAX && candidates[best].n_entries <= FEW)
                        return try_candidates(c, e, role, best, &candidates[best], NULL, ret);
        }
        c->search++;
        for (Dimension i = 0; i < _DIMENSION_MAX; i++) {
                marked[i] = candidates[i].complete;
                for (size_t j = 0; j < candidates[i].n_keys && marked[i]; j++)
                        c->keys[candidates[i].keys[j]]->mark = c->search;
        }
        /* where very many may do, one of the first ones is likely to */
        for (Dimension i = 0; i < _DIMENSION_MAX && r == 0; i++)
                if (!marked[i] && candidates[i].n_keys > 0)
                        r = try_candidates(c, e, role, i, &candidates[i], marked, ret);
        if (r != 0)
                return r;
        return best < _DIMENSION_MAX
                       ? try_candidates(c, e, role, best, &candidates[best], marked, ret)
                       : try_all(c, e, role, marked, ret);
}
