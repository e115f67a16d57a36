/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/claims.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>

/* Another program's rules may break what the policy claims without touching its table. So whatever
 * may have changed that (a transaction, a link, an address, what lies beside nftables) brings a
 * proof, see claims_proof.c: one at a time, a moment after the change so that many are one, and
 * never for more than a part of the time, however many there are. Healing does not wait for it. */

#define SETTLE_USEC (50 * UINT64_C(1000))
#define PAUSE_MIN_USEC (250 * UINT64_C(1000))
#define PAUSE_MAX_USEC (300 * UINT64_C(1000000))
#define PAUSE_FACTOR                                                                               \
        5 /* of the processor's time that the last proof took: as much is left to others */
#define TICK_USEC (60 * UINT64_C(1000000)) /* for what nobody tells of */
#define TICK_FACTOR 1000
#define PROOF_MAX_USEC (120 * UINT64_C(1000000)) /* then it is given up */
#define ANSWER_MAX ((size_t)4 << 20)             /* bytes */
#define AUTHORS_MAX 4                            /* that are looked up between two proofs */
#define BUDGET_MAX 40                            /* events in BUDGET_USEC */
#define BUDGET_USEC (60 * UINT64_C(1000000))
#define TOLD_MAX 8 /* events of one proof */
#define UNSETTLED_MAX                                                                              \
        3 /* proofs in a row that are made again since the table was changed and healed */

typedef struct Author {
        Arena *arena; /* owned; of who */
        Who who;
        uint32_t generation;
        char table[COMMIT_TABLE_SIZE]; /* the first that they touched */
} Author;

struct ClaimWatch {
        ClaimBook book;
        sd_event_source *timer, *io;
        pid_t pid; /* of the proof that is being made; 0: none */
        int fd;    /* its answer; -1 */
        char *answer;
        size_t size;
        bool is_dirty;     /* something may have changed since the last proof began */
        bool is_waiting;   /* the timer is set for a proof, rather than for the slow tick */
        bool is_blind;     /* that nothing can be proved has been told of */
        uint32_t entry;    /* that the proof is about */
        uint64_t n_drifts; /* when it began */
        unsigned int n_unsettled;
        uint64_t proved_usec;  /* CLOCK_REALTIME: when the last proof began */
        uint64_t started_usec; /* and this one */
        uint64_t end_usec;     /* CLOCK_MONOTONIC: of the last one */
        uint64_t last_usec;    /* of the processor's time that it took */
        Author authors[AUTHORS_MAX];
        uint64_t budget_usec; /* CLOCK_MONOTONIC: since when events are counted */
        unsigned int n_spent; /* of them */
        size_t n_authors;     /* of transactions that no proof has seen; may be more */
        json_t *ends; /* owned, or NULL: where ports end that are translated, when that was known */
        uint32_t ends_entry; /* with which change in force */
        bool is_saved;       /* what is known stands in the file */
};

static uint64_t monotonic_usec(void) {
        struct timespec t = {0};

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- who it was */

static void drop_authors(ClaimWatch *w, size_t n) {
        size_t kept = MIN(w->n_authors, (size_t)AUTHORS_MAX);

        n = MIN(n, kept);
        for (size_t i = 0; i < n; i++)
                w->authors[i].arena = arena_free(w->authors[i].arena);
        memmove(w->authors, w->authors + n, (kept - n) * sizeof(*w->authors));
        w->n_authors = kept - n;
}

/* Looked up at once, while they are still there; so many and no more, however fast they come. */
static void note_author(Daemon *d, const Commit *c) {
        ClaimWatch *w = d->claims;
        size_t kept = MIN(w->n_authors, (size_t)AUTHORS_MAX);
        Tree tree = {.root = ""};
        Author *a;

        for (size_t i = 0; i < kept; i++)
                if (w->authors[i].who.pid == c->pid && streq(w->authors[i].who.name, c->name) &&
                    streq(w->authors[i].table, c->table)) {
                        w->authors[i].generation = c->generation;
                        return;
                }
        w->n_authors = kept + 1;
        if (kept == AUTHORS_MAX)
                return; /* counted, and not known */
        a = &w->authors[kept];
        *a = (Author){.arena = arena_new(0),
                      .generation = c->generation,
                      .who = {.login_uid = WHO_UNKNOWN_LOGIN}};
        memcpy(a->table, c->table, sizeof(a->table));
        tree.arena = a->arena;
        if (d->drift.sees_pids && tree.arena)
                (void)who_read(&tree, c, &a->who); /* else it stays unknown */
}

static const char *describe_author(Arena *arena, Author *author) {
        const Tree tree = {.arena = arena, .root = ""};
        const char *text;
        Sshd sshd;

        if (author->who.known && sshd_read(&tree, &sshd) >= 0)
                (void)who_find_connection(&tree, &sshd, &author->who);
        text = who_describe(arena, &author->who);
        author->who.by = NULL; /* lives in the arena */
        return text;
}

static bool is_after(uint32_t a, uint32_t b) {
        return (int32_t)(a - b) > 0;
}

static bool had_a_hand(const Author *a, uint32_t generation, const char *table) {
        return !is_after(a->generation, generation) && (!table || streq(a->table, table));
}

/* Of those who committed something up to that generation, whoever touched the table that does it;
 * or, if that is nobody, all of them: what they did may have nothing to do with it. "" if nobody
 * did anything. */
static const char *
describe_authors(Daemon *d, Arena *arena, uint32_t generation, const char *table) {
        ClaimWatch *w = d->claims;
        size_t n = MIN(w->n_authors, (size_t)AUTHORS_MAX), n_hands = 0;
        const char *text = NULL;

        for (size_t i = 0; i < n && table; i++)
                n_hands += had_a_hand(&w->authors[i], generation, table);
        for (size_t i = 0; i < n; i++)
                if (had_a_hand(&w->authors[i], generation, n_hands > 0 ? table : NULL)) {
                        const char *one = describe_author(arena, &w->authors[i]);

                        if (one)
                                text = text ? arena_printf(arena, "%s, and %s", text, one) : one;
                }
        if (text)
                text = arena_printf(arena, "; %s by %s%s",
                                    n_hands > 0 ? "changed" : "rules were changed meanwhile", text,
                                    w->n_authors > AUTHORS_MAX ? ", and others" : "");
        return text ? text : "";
}

/* ---- when */

static bool may_prove(const Daemon *d) {
        return d->confirm.is_known && d->confirm.in_force.kind == TARGET_ENTRY && !d->panic.is_on &&
               d->engine.desired;
}

/* If it cannot be set, the next change tries again. */
static void arm(ClaimWatch *w, uint64_t usec, uint64_t accuracy) {
        (void)sd_event_source_set_time_accuracy(w->timer, accuracy);
        if (sd_event_source_set_time_relative(w->timer, usec) >= 0)
                (void)sd_event_source_set_enabled(w->timer, SD_EVENT_ONESHOT);
}

static void arm_proof(ClaimWatch *w) {
        uint64_t now = monotonic_usec(), pause = w->last_usec * PAUSE_FACTOR;
        uint64_t due = now + SETTLE_USEC;

        pause = MAX(MIN(pause, PAUSE_MAX_USEC), PAUSE_MIN_USEC);
        if (w->end_usec > 0)
                due = MAX(due, w->end_usec + pause);
        w->is_waiting = true;
        arm(w, due - now, 10000);
}

static void arm_tick(ClaimWatch *w) {
        w->is_waiting = false;
        arm(w, MAX(TICK_USEC, w->last_usec * TICK_FACTOR), TICK_USEC / 4);
}

void claims_doubt(Daemon *d) {
        ClaimWatch *w = d->claims;

        if (!w)
                return;
        w->is_dirty = true;
        if (w->pid == 0 && !w->is_waiting)
                arm_proof(w);
}

void claims_note_commit(Daemon *d, const Commit *c) {
        if (!d->claims)
                return;
        /* what heals waits for nobody; it tells itself who made that necessary */
        if (!c->touches_ours || d->settings.drift == DRIFT_ALERT)
                note_author(d, c);
        claims_doubt(d);
}

/* ---- what is news */

static void keep(Daemon *d) {
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

/* Whoever breaks a claim and mends it again, for ever, fills no log. `status` tells all the same.
 */
static bool may_tell(Daemon *d) {
        ClaimWatch *w = d->claims;
        uint64_t now = monotonic_usec();

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

static void tell(Daemon *d, const ClaimChange *c, const char *who) {
        char buf[64];

        switch (c->news) {
        case CLAIM_BROKEN:
                daemon_event(d, EVENT_ALERT, LOG_ALERT, "%s: holds no longer: %s%s", c->text,
                             c->why, who);
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

static const char *table_of(const json_t *answers, const char *text) {
        for (size_t i = 0; i < json_array_size(answers); i++) {
                const json_t *x = json_array_get(answers, i);

                if (streq(json_string_value(json_object_get(x, "text")), text))
                        return json_string_value(json_object_get(x, "table"));
        }
        return NULL;
}

static void tell_all(Daemon *d,
                     Arena *a,
                     const json_t *answers,
                     const ClaimChange *changes,
                     size_t n,
                     uint32_t generation) {
        for (size_t i = 0; i < n && i < TOLD_MAX && may_tell(d); i++)
                tell(d, &changes[i],
                     describe_authors(d, a, generation, table_of(answers, changes[i].text)));
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
static void take_ends(Daemon *d, Arena *a, json_t *ends, bool is_news, uint32_t generation) {
        ClaimWatch *w = d->claims;

        if (!ends || json_equal(ends, w->ends))
                return;
        /* what the policy itself changes is told with it */
        if (w->ends && is_news && w->ends_entry == w->entry) {
                const char *who = describe_authors(d, a, generation, NULL);
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

static int take_answers(Daemon *d, Arena *a, const json_t *result) {
        const json_t *list = json_object_get(result, "answers");
        uint32_t generation = (uint32_t)json_integer_value(json_object_get(result, "generation"));
        size_t n = json_array_size(list), n_changes = 0;
        ClaimAnswer *answers = arena_alloc_array(a, n + 1, sizeof(*answers));
        ClaimWatch *w = d->claims;
        ClaimChange *changes;
        int r;

        if (!answers)
                return -ENOMEM;
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
        r = claim_book_update(&w->book, answers, n, daemon_now(), a, &changes, &n_changes);
        if (r < 0)
                return r;
        w->proved_usec = w->started_usec;
        w->book.n_claims = (size_t)json_integer_value(json_object_get(result, "claims"));
        w->is_saved &= n_changes == 0;
        keep(d);
        tell_all(d, a, list, changes, n_changes, generation);
        take_ends(d, a, json_object_get(result, "ends"), n_changes == 0, generation);
        while (w->n_authors > 0 && !is_after(w->authors[0].generation, generation))
                drop_authors(w, 1);
        return 0;
}

static const char *describe_error(int r) {
        return r == -EBUSY       ? "other programs change the rules all the time"
               : r == -EPROTO    ? "two ways to prove it disagree, which is a mistake in ringwall"
               : r == -ETIMEDOUT ? "it takes too long"
                                 : strerror(-r);
}

/* Nor is it said that all were well. */
static void tell_blind(Daemon *d, Arena *a, int r) {
        ClaimWatch *w = d->claims;
        size_t n = MIN(w->n_authors, (size_t)AUTHORS_MAX);
        const char *who = n > 0 ? describe_author(a, &w->authors[n - 1]) : NULL;

        if (w->is_blind)
                return;
        w->is_blind = true;
        daemon_event(d, EVENT_FAILURE, LOG_ALERT,
                     "whether what the policy claims holds cannot be proved now, and it is tried "
                     "again: %s%s%s",
                     describe_error(r), who ? "; last changed by " : "", who ? who : "");
}

/* ---- one proof */

/* What the child found, or what became of it. */
static json_t *read_result(ClaimWatch *w, int *ret_error) {
        json_t *result = w->size > 0 ? json_loadb(w->answer, w->size, 0, NULL) : NULL;

        *ret_error = json_is_object(result)
                             ? (int)json_integer_value(json_object_get(result, "error"))
                             : -EIO;
        return result;
}

static uint64_t usec_of(struct timeval t) {
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

/* The child is gone, or goes now. */
static void end_child(ClaimWatch *w) {
        struct rusage usage = {0};

        w->io = sd_event_source_disable_unref(w->io);
        if (w->fd >= 0)
                (void)close(w->fd); /* a pipe */
        w->fd = -1;
        if (w->pid > 0) {
                (void)kill(w->pid, SIGKILL);
                while (wait4(w->pid, NULL, 0, &usage) < 0 && errno == EINTR)
                        ;
                w->last_usec = usec_of(usage.ru_utime) + usec_of(usage.ru_stime);
        }
        w->pid = 0;
        free(w->answer);
        w->answer = NULL;
        w->size = 0;
}

static void schedule(Daemon *d) {
        if (d->claims->is_dirty)
                arm_proof(d->claims);
        else
                arm_tick(d->claims);
}

/* Something else came into force meanwhile, or the table was changed and put right: what was seen
 * may be neither of both. */
static bool is_outdated(Daemon *d) {
        ClaimWatch *w = d->claims;

        if (!may_prove(d) || w->entry != d->confirm.in_force.entry)
                return true;
        if (w->n_drifts == d->drift.n_drifts || d->settings.drift == DRIFT_ALERT ||
            w->n_unsettled >= UNSETTLED_MAX) {
                w->n_unsettled = 0;
                return false;
        }
        w->n_unsettled++;
        return true;
}

static void finish(Daemon *d, int error) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        ClaimWatch *w = d->claims;
        json_t *result = NULL;
        int r = error;

        if (r == 0)
                result = read_result(w, &r);
        end_child(w);
        w->end_usec = monotonic_usec();
        if (r == 0 && is_outdated(d))
                w->is_dirty = true;
        else if (r == 0 && a)
                r = take_answers(d, a, result);
        json_decref(result);
        if (r < 0 && a && may_prove(d)) {
                tell_blind(d, a, r);
                w->is_dirty = true;
        } else
                w->is_blind = false;
        schedule(d);
}

static int on_answer(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Daemon *d = userdata;
        ClaimWatch *w = d->claims;
        char buf[4096], *grown;
        ssize_t n = read(fd, buf, sizeof(buf));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return 0;
        if (n <= 0) {
                finish(d, n < 0 ? -errno : 0);
                return 0;
        }
        grown = w->size + (size_t)n <= ANSWER_MAX ? realloc(w->answer, w->size + (size_t)n) : NULL;
        if (!grown) {
                finish(d, -ENOMEM);
                return 0;
        }
        w->answer = grown;
        memcpy(w->answer + w->size, buf, (size_t)n);
        w->size += (size_t)n;
        return 0;
}

static int start_child(Daemon *d) {
        ClaimWatch *w = d->claims;
        int ends[2], r;

        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        /* the child waits until there is room for what it writes */
        if (fcntl(ends[1], F_SETFL, 0) < 0)
                r = -errno;
        else {
                (void)fflush(NULL); /* what is not written yet would be written twice */
                w->pid = fork();
                r = w->pid < 0 ? -errno : 0;
        }
        if (r == 0 && w->pid == 0)
                claims_prove(d, w->entry, &w->book, ends[1]);
        (void)close(ends[1]);
        if (r < 0) {
                (void)close(ends[0]);
                w->pid = 0;
                return r;
        }
        w->fd = ends[0];
        r = sd_event_add_io(d->event, &w->io, w->fd, EPOLLIN, on_answer, d);
        if (r >= 0) /* whoever else wants something comes first */
                r = sd_event_source_set_priority(w->io, SD_EVENT_PRIORITY_IDLE - 1);
        if (r < 0)
                end_child(w);
        return r < 0 ? r : 0;
}

/* Nothing is claimed by what is in force. */
static void forget(Daemon *d) {
        ClaimWatch *w = d->claims;

        if (d->panic.is_on) /* what comes back then is what was there */
                return;
        w->is_saved &= w->book.n_items == 0;
        claim_book_clear(&w->book);
        keep(d);
        drop_authors(w, AUTHORS_MAX);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;
        ClaimWatch *w = d->claims;
        int r;

        if (w->pid > 0) {
                finish(d, -ETIMEDOUT);
                return 0;
        }
        w->is_waiting = false;
        w->is_dirty = false;
        if (!may_prove(d)) {
                forget(d); /* whatever comes into force brings the next proof */
                return 0;
        }
        w->entry = d->confirm.in_force.entry;
        w->n_drifts = d->drift.n_drifts;
        w->started_usec = daemon_now();
        r = start_child(d);
        if (r < 0)
                finish(d, r);
        else
                arm(w, PROOF_MAX_USEC, 1000000);
        return 0;
}

/* ---- for others */

json_t *claims_json(const Daemon *d) {
        static const char *const words[] = {
                [VERIFY_PROVED] = "proved",
                [VERIFY_REFUTED] = "refuted",
                [VERIFY_UNDECIDED] = "undecided",
        };
        const ClaimBook *b = d->claims ? &d->claims->book : NULL;
        json_t *list = json_array();

        for (size_t i = 0; b && i < b->n_items; i++) {
                const ClaimRecord *r = &b->items[i];

                (void)json_array_append_new(list,
                                            json_pack("{s:s, s:s, s:I, s:s}", "claim", r->text,
                                                      "answer", words[r->kind], "since",
                                                      (json_int_t)r->since_usec, "why", r->why));
        }
        return json_pack("{s:b, s:I, s:I, s:I, s:o}", "known",
                         b && b->is_known && !d->claims->is_blind && may_prove(d), "count",
                         (json_int_t)(b ? b->n_claims : 0), "more", (json_int_t)(b ? b->n_more : 0),
                         "proved", (json_int_t)(b ? d->claims->proved_usec : 0), "broken", list);
}

int claims_start(Daemon *d) {
        _cleanup_close_ int folder = open(d->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ClaimWatch *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;
        w->fd = -1;
        d->claims = w;
        /* what cannot be read is not known */
        w->is_saved = folder >= 0 && claim_book_load(&w->book, folder) == 0;
        r = sd_event_add_time_relative(d->event, &w->timer, CLOCK_MONOTONIC, 0, 10000, on_timer, d);
        if (r >= 0)
                r = sd_event_source_set_enabled(w->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        claims_doubt(d);
        return 0;
}

void claims_stop(Daemon *d) {
        ClaimWatch *w = d->claims;

        if (!w)
                return;
        end_child(w);
        w->timer = sd_event_source_disable_unref(w->timer);
        drop_authors(w, AUTHORS_MAX);
        claim_book_clear(&w->book);
        json_decref(w->ends);
        free(w);
        d->claims = NULL;
}
