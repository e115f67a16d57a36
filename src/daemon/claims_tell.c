/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <syslog.h>

#include "daemon/authors.h"
#include "daemon/claims.h"

/* What of a proof is news, and who brought it about: told as an operator needs it. */

#define BUDGET_MAX 40 /* events in BUDGET_USEC */
#define BUDGET_USEC (60 * UINT64_C(1000000))
#define TOLD_MAX 8 /* events of one proof */
#define PATIENCE_USEC (2 * UINT64_C(1000000))

/* ---- who it was */

/* Those of whose transactions a proof has seen the last. */
static void drop_authors(ClaimWatch *w, uint32_t generation) {
        size_t kept = 0;

        for (size_t i = 0; i < w->n_authors; i++)
                if (generation_is_after(w->authors[i].generation, generation))
                        w->authors[kept++] = w->authors[i];
                else
                        w->authors[i].arena = arena_free(w->authors[i].arena);
        w->n_authors = w->n_looked = kept;
        w->more_authors = false;
}

static void look_up(Daemon *d, const Commit *c, ClaimAuthor *a) {
        const Tree tree = {.arena = a->arena, .root = ""};

        memcpy(a->who.name, c->name, sizeof(a->who.name));
        if (d->drift.sees_pids && tree.arena &&
            !(d->drift.lookout && lookout_find(d->drift.lookout, c->generation, a->arena, &a->who)))
                (void)who_read(&tree, c, &a->who); /* else it stays unknown */
}

static bool is_alike(const ClaimAuthor *a, const ClaimAuthor *b) {
        return streq(a->table, b->table) && who_is_alike(&a->who, &b->who);
}

/* Looked up at once, while they are still there, unless the lookout was quicker; so many and no
 * more, however fast they come. */
void claims_note_author(Daemon *d, const Commit *c) {
        ClaimWatch *w = d->claims;
        ClaimAuthor a = {.first = c->generation,
                         .generation = c->generation,
                         .who = {.login_uid = WHO_UNKNOWN_LOGIN}};

        memcpy(a.table, c->table, sizeof(a.table));
        for (size_t i = 0; i < w->n_authors; i++)
                if (w->authors[i].who.pid == c->pid && streq(w->authors[i].who.name, c->name) &&
                    streq(w->authors[i].table, c->table)) {
                        w->authors[i].generation = c->generation;
                        return;
                }
        if (w->n_looked >= CLAIMS_LOOKED_MAX) {
                w->more_authors = true;
                return;
        }
        w->n_looked++;
        a.arena = arena_new(0);
        look_up(d, c, &a);
        for (size_t i = 0; i < w->n_authors; i++)
                if (is_alike(&w->authors[i], &a)) {
                        w->authors[i].generation = c->generation;
                        w->authors[i].n_more++;
                        (void)arena_free(a.arena);
                        return;
                }
        if (w->n_authors < CLAIMS_AUTHORS_MAX) {
                w->authors[w->n_authors++] = a;
                return;
        }
        w->more_authors = true;
        (void)arena_free(a.arena);
}

/* n_more: others that are alike. */
static const char *describe_author(Arena *arena, ClaimAuthor *author, size_t n_more) {
        const Tree tree = {.arena = arena, .root = ""};
        const char *text;
        Sshd sshd;

        who_find_login(author->arena ? author->arena : arena, &author->who);
        if (author->who.known && sshd_read(&tree, &sshd) >= 0)
                (void)who_find_connection(&tree, &sshd, &author->who);
        text = who_describe(arena, &author->who);
        author->who.by = NULL; /* lives in the arena */
        return text && n_more > 0 ? arena_printf(arena, "%s, and %zu more like it", text, n_more)
                                  : text;
}

static bool had_a_hand(const ClaimAuthor *a, uint32_t generation, const char *table) {
        return !generation_is_after(a->first, generation) && (!table || streq(a->table, table));
}

/* What a proof has seen. */
typedef struct Seen {
        const json_t *answers;
        uint32_t generation;
        uint64_t looked_usec; /* CLOCK_MONOTONIC, at tables of the old iptables */
} Seen;

/* NULL if there are none. The same program may have changed several tables. */
static const char *describe_hands(Arena *arena, ClaimAuthor *const *hands, size_t n) {
        const char *text = NULL;

        for (size_t i = 0; i < n; i++) {
                size_t first = 0, n_more = hands[i]->n_more;
                const char *one;

                while (first < i && !who_is_alike(&hands[first]->who, &hands[i]->who))
                        first++;
                if (first < i)
                        continue;
                for (size_t j = i + 1; j < n; j++)
                        if (who_is_alike(&hands[i]->who, &hands[j]->who))
                                n_more += 1 + hands[j]->n_more;
                one = describe_author(arena, hands[i], n_more);
                if (one)
                        text = text ? arena_printf(arena, "%s, and %s", text, one) : one;
        }
        return text;
}

/* Of those who committed something up to that generation, whoever touched the table that does it;
 * or, if that is nobody, all of them, and whoever changed tables of the old iptables: what they did
 * may have nothing to do with it. "" if nobody did anything. */
static const char *describe_authors(Daemon *d, Arena *arena, const Seen *seen, const char *table) {
        ClaimWatch *w = d->claims;
        ClaimAuthor *hands[CLAIMS_AUTHORS_MAX];
        size_t n = w->n_authors, n_hands = 0, n_all = 0;
        const char *text, *legacy;

        for (size_t i = 0; i < n && table; i++)
                n_hands += had_a_hand(&w->authors[i], seen->generation, table);
        for (size_t i = 0; i < n; i++)
                if (had_a_hand(&w->authors[i], seen->generation, n_hands > 0 ? table : NULL))
                        hands[n_all++] = &w->authors[i];
        text = describe_hands(arena, hands, n_all);
        legacy = n_hands == 0 ? claims_describe_legacy(d, arena, seen->looked_usec) : NULL;
        if (legacy)
                text = text ? arena_printf(arena, "%s, and %s", text, legacy) : legacy;
        if (text)
                text = arena_printf(arena, "; %s by %s%s",
                                    n_hands > 0 ? "changed" : "rules were changed meanwhile", text,
                                    w->more_authors ? ", and others" : "");
        return text ? text : "";
}

void claims_drop_authors(ClaimWatch *w) {
        for (size_t i = 0; i < w->n_authors; i++)
                w->authors[i].arena = arena_free(w->authors[i].arena);
        w->n_authors = w->n_looked = 0;
        w->more_authors = false;
        claims_drop_legacy(w, UINT64_MAX);
}

/* ---- what is news */

void claims_keep(Daemon *d) {
        ClaimWatch *w = d->claims;
        _cleanup_close_ int folder = -1;

        if (w->is_saved)
                return;
        folder = open(d->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        /* without it a daemon that starts anew tells of it again */
        w->is_saved = folder >= 0 && claim_book_save(&w->book, folder) == 0;
}

static const char *duration_text(uint64_t usec, char *buf, size_t size) {
        uint64_t seconds = usec / 1000000;

        if (seconds < 60)
                (void)snprintf(buf, size, "%" PRIu64 ".%" PRIu64 " s", seconds, usec / 100000 % 10);
        else if (seconds < 3600)
                (void)snprintf(buf, size, "%" PRIu64 " min %" PRIu64 " s", seconds / 60,
                               seconds % 60);
        else
                (void)snprintf(buf, size, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600,
                               seconds / 60 % 60);
        return buf;
}

static bool is_muted(const ClaimWatch *w) {
        return w->n_spent > BUDGET_MAX && claims_now() - w->budget_usec < BUDGET_USEC;
}

/* Whoever breaks a claim and mends it again, for ever, fills no log. `status` tells all the same,
 * and what is still so in a minute is told then. */
static bool may_tell(Daemon *d) {
        ClaimWatch *w = d->claims;
        uint64_t now = claims_now();

        if (now - w->budget_usec >= BUDGET_USEC) {
                w->budget_usec = now;
                w->n_spent = 0;
        }
        if (w->n_spent++ == BUDGET_MAX)
                daemon_event(
                        d, EVENT_ALERT, LOG_ALERT,
                        "what other programs make of the policy's claims changes all the time: "
                        "ringwall status shows it, and events go on in a minute");
        return w->n_spent <= BUDGET_MAX;
}

/* Nobody knows what held before. */
static bool is_first(const Daemon *d) {
        return d->claims->proved_entry != d->claims->entry;
}

static void tell(Daemon *d, const ClaimChange *c, const char *who) {
        char buf[64];

        switch (c->news) {
        case CLAIM_BROKEN:
                daemon_event(d, EVENT_ALERT, LOG_ALERT, "%s: %s: %s%s", c->text,
                             is_first(d) ? "does not hold" : "holds no longer", c->why, who);
                return;
        case CLAIM_UNDECIDED:
                daemon_event(d, EVENT_UNDECIDED, LOG_WARNING,
                             "%s: whether it holds is not known: %s%s", c->text, c->why, who);
                return;
        case CLAIM_HOLDS:
                daemon_event(d, EVENT_HOLDS, LOG_NOTICE, "%s: holds again, after %s%s", c->text,
                             duration_text(c->usec, buf, sizeof(buf)), who);
                return;
        case _CLAIM_NEWS_MAX:
                return;
        }
}

static const json_t *find_answer(const json_t *answers, const char *text) {
        for (size_t i = 0; i < json_array_size(answers); i++) {
                const json_t *x = json_array_get(answers, i);

                if (streq(json_string_value(json_object_get(x, "text")), text))
                        return x;
        }
        return NULL;
}

/* What hangs on a table of the old iptables was changed by whoever changed one, and by nobody else
 * that is known. */
static const char *describe_doers(Daemon *d, Arena *a, const Seen *seen, const ClaimChange *c) {
        const json_t *answer = find_answer(seen->answers, c->text);
        const char *who;

        if (c->news != CLAIM_UNDECIDED || is_first(d) ||
            !json_is_true(json_object_get(answer, "legacy")))
                return describe_authors(d, a, seen,
                                        json_string_value(json_object_get(answer, "table")));
        who = claims_describe_legacy(d, a, seen->looked_usec);
        return arena_printf(a, "; changed by %s", who ? who : "somebody unknown");
}

/* ---- what waits until there is less of it: nobody hides what they break behind much of it */

static void drop_untold(ClaimWatch *w, size_t i) {
        free(w->untold[i].text);
        free(w->untold[i].who);
        w->untold[i] = w->untold[--w->n_untold];
}

void claims_drop_untold(ClaimWatch *w) {
        while (w->n_untold > 0)
                drop_untold(w, 0);
}

static void forget_untold(ClaimWatch *w, const char *text) {
        for (size_t i = 0; i < w->n_untold; i++)
                if (streq(w->untold[i].text, text)) {
                        drop_untold(w, i);
                        return;
                }
}

/* Of each claim the last. Without memory, or room, `status` alone tells of it. */
static void keep_untold(ClaimWatch *w, const ClaimChange *c, const char *who) {
        ClaimUntold new = {
                .text = strdup(c->text), .who = strdup(who), .news = c->news, .usec = c->usec};

        forget_untold(w, c->text);
        if (w->n_untold < CLAIMS_UNTOLD_MAX && new.text &&new.who) {
                w->untold[w->n_untold++] = new;
                return;
        }
        free(new.text);
        free(new.who);
}

/* As long as it is still so. */
static void tell_untold(Daemon *d) {
        ClaimWatch *w = d->claims;

        while (w->n_untold > 0 && may_tell(d)) {
                ClaimUntold *u = &w->untold[w->n_untold - 1];
                const ClaimRecord *now = claim_book_find(&w->book, u->text);
                ClaimChange change = {.text = u->text, .usec = u->usec, .news = u->news};

                if (now) {
                        change.why = now->why;
                        change.news = now->kind == VERIFY_REFUTED ? CLAIM_BROKEN : CLAIM_UNDECIDED;
                }
                if (now ? now->why != NULL : u->news == CLAIM_HOLDS)
                        tell(d, &change, u->who);
                drop_untold(w, w->n_untold - 1);
        }
}

static void tell_all(Daemon *d, Arena *a, const Seen *seen, const ClaimChange *changes, size_t n) {
        for (size_t i = 0; i < n && i < TOLD_MAX; i++) {
                const char *who = describe_doers(d, a, seen, &changes[i]);

                forget_untold(d->claims, changes[i].text);
                if (may_tell(d))
                        tell(d, &changes[i], who);
                else
                        keep_untold(d->claims, &changes[i], who);
        }
        if (n > TOLD_MAX && may_tell(d))
                daemon_event(d, EVENT_ALERT, LOG_ALERT,
                             "and %zu claims more: ringwall status shows those that do not hold",
                             n - TOLD_MAX);
}

/* ---- where open ports end */

static const char *text_in(const json_t *end, const char *key) {
        const char *text = json_string_value(json_object_get(end, key));

        return text ? text : "";
}

/* One that was dialled alike, and, with `target`, ends there as well; or NULL. */
static const json_t *find_end(const json_t *ends, const json_t *like, bool target) {
        for (size_t i = 0; i < json_array_size(ends); i++) {
                const json_t *end = json_array_get(ends, i);

                if (streq(text_in(end, "dialled"), text_in(like, "dialled")) &&
                    (!target || streq(text_in(end, "target"), text_in(like, "target"))))
                        return end;
        }
        return NULL;
}

/* Of what was `before` and is not any more, or the other way round. How many. */
static size_t
tell_ends(Daemon *d, const json_t *before, const json_t *after, bool gone, const char *who) {
        const json_t *list = gone ? before : after, *others = gone ? after : before;
        size_t n = 0;

        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *end = json_array_get(list, i), *other = find_end(others, end, false);

                if (find_end(others, end, true) || (gone && other) || n++ >= TOLD_MAX ||
                    !may_tell(d))
                        continue;
                daemon_event(d, EVENT_NOTICE, LOG_NOTICE, "%s %s %s%s%s%s", text_in(end, "dialled"),
                             gone ? "is translated no longer: it ended at" : "ends now at",
                             text_in(end, "target"), other ? ", and not at " : "",
                             other ? text_in(other, "target") : "", who);
        }
        return n;
}

/* is_news: no claim says more of it. */
static void take_ends(Daemon *d, Arena *a, json_t *ends, bool is_news, const Seen *seen) {
        ClaimWatch *w = d->claims;

        if (!ends || json_equal(ends, w->ends))
                return;
        /* what the policy itself changes is told with it */
        if (w->ends && is_news && w->ends_entry == w->entry) {
                const char *who = describe_authors(d, a, seen, NULL);
                size_t n = tell_ends(d, w->ends, ends, false, who) +
                           tell_ends(d, w->ends, ends, true, who);

                if (n > TOLD_MAX)
                        daemon_event(d, EVENT_NOTICE, LOG_NOTICE, "in all, %zu ports end elsewhere",
                                     n);
        }
        json_decref(w->ends);
        w->ends = json_incref(ends);
        w->ends_entry = w->entry;
}

/* A container engine that starts refuses first and lets in then, by a hundred transactions: what is
 * shut for no longer than that is nobody's trouble. (What should be shut and is open is told of at
 * once.) Until then what was known stays. */
static void put_off(ClaimWatch *w, const json_t *list, ClaimAnswer *answers) {
        uint64_t now = claims_now();
        bool any = false;

        for (size_t i = 0; i < json_array_size(list); i++)
                any |= json_is_true(json_object_get(json_array_get(list, i), "always")) &&
                       !answers[i].is_open && answers[i].kind != VERIFY_PROVED &&
                       !claim_book_find(&w->book, answers[i].text);
        if (!any)
                w->missed_usec = 0;
        else if (w->missed_usec == 0)
                w->missed_usec = now;
        if (!any || now - w->missed_usec >= PATIENCE_USEC) {
                w->missed_usec = 0;
                return;
        }
        w->is_dirty = true; /* proved again, soon */
        for (size_t i = 0; i < json_array_size(list); i++)
                answers[i].is_open |=
                        json_is_true(json_object_get(json_array_get(list, i), "always")) &&
                        answers[i].kind != VERIFY_PROVED;
}

int claims_take(Daemon *d, Arena *a, const json_t *result) {
        const json_t *list = json_object_get(result, "answers");
        const Seen seen = {
                .answers = list,
                .generation = (uint32_t)json_integer_value(json_object_get(result, "generation")),
                .looked_usec = (uint64_t)json_integer_value(json_object_get(result, "looked")),
        };
        size_t n = json_array_size(list), n_changes = 0;
        ClaimAnswer *answers = arena_alloc_array(a, n + 1, sizeof(*answers));
        ClaimWatch *w = d->claims;
        ClaimChange *changes;
        int r;

        if (!answers)
                return -ENOMEM;
        authors_take_legacy(d); /* of what was seen, all are here by now */
        for (size_t i = 0; i < n; i++) {
                const json_t *x = json_array_get(list, i);

                answers[i] = (ClaimAnswer){
                        .text = json_string_value(json_object_get(x, "text")),
                        .why = json_string_value(json_object_get(x, "why")),
                        .kind = (VerifyKind)json_integer_value(json_object_get(x, "kind")),
                        .is_open = json_is_true(json_object_get(x, "open")),
                };
                if (!answers[i].text)
                        return -EPROTO;
        }
        put_off(w, list, answers);
        r = claim_book_update(&w->book, answers, n, daemon_now(), a, &changes, &n_changes);
        if (r < 0)
                return r;
        w->book.is_known = w->missed_usec == 0; /* else soon */
        w->proved_usec = w->started_usec;
        w->book.n_claims = (size_t)json_integer_value(json_object_get(result, "claims"));
        w->is_saved &= n_changes == 0;
        claims_keep(d);
        tell_all(d, a, &seen, changes, n_changes);
        if (w->n_untold > 0 && !is_muted(w))
                tell_untold(d);
        take_ends(d, a, json_object_get(result, "ends"), n_changes == 0, &seen);
        w->proved_entry = w->entry;
        if (w->missed_usec > 0 && n_changes == 0) /* who it was is told with it */
                return 0;
        drop_authors(w, seen.generation);
        claims_drop_legacy(w, seen.looked_usec);
        return 0;
}

static const char *describe_error(int r) {
        return r == -EBUSY       ? "other programs change the rules all the time"
               : r == -EPROTO    ? "two ways to prove it disagree, which is a mistake in ringwall"
               : r == -ETIMEDOUT ? "it takes too long"
                                 : strerror(-r);
}

/* Nor is it said that all were well. */
void claims_tell_blind(Daemon *d, Arena *a, int r) {
        ClaimWatch *w = d->claims;
        size_t n = w->n_authors;
        const char *who = n > 0 ? describe_author(a, &w->authors[n - 1], 0) : NULL;

        if (w->is_blind)
                return;
        w->is_blind = true;
        daemon_event(d, EVENT_FAILURE, LOG_ALERT,
                     "whether what the policy claims holds cannot be proved now, and it is tried "
                     "again: %s%s%s",
                     describe_error(r), who ? "; last changed by " : "", who ? who : "");
}
