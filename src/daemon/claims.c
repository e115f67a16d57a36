/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/claims.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>

#include "base/file.h"

/* Another program's rules may break what the policy claims without touching its table. So whatever
 * may have changed that (a transaction, a link, an address, what lies beside nftables) brings a
 * proof, see claims_proof.c: one at a time, a moment after the change so that many are one, and
 * never for more than a part of the time, however many there are. Healing does not wait for it. */

#define SETTLE_USEC (50 * UINT64_C(1000))
/* Between two proofs: so many times the processor's time that the last one took. */
#define PAUSE_FACTOR 5
#define PAUSE_MIN_USEC (250 * UINT64_C(1000))
#define PAUSE_MAX_USEC (300 * UINT64_C(1000000))
/* For what nobody tells of; likewise. */
#define TICK_FACTOR 1000
#define TICK_USEC (60 * UINT64_C(1000000))
/* Then a proof is given up. One that fails counts as if it had taken that much. */
#define PROOF_MAX_USEC (120 * UINT64_C(1000000))
#define BUSY_USEC (100 * UINT64_C(1000))
#define FAILED_USEC (2 * UINT64_C(1000000))
#define ANSWER_MAX ((size_t)4 << 20) /* bytes */
/* In a row that are made again, as the table was changed and healed meanwhile. */
#define UNSETTLED_MAX 3
/* For so long, as the rules followed links meanwhile: a container engine makes many in a row. */
#define MOVING_MAX_USEC (10 * UINT64_C(1000000))

uint64_t claims_now(void) {
        struct timespec t = {0};

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
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
        uint64_t now = claims_now(), pause = w->last_usec * PAUSE_FACTOR;
        uint64_t due = now + SETTLE_USEC;

        pause = MAX(MIN(pause, PAUSE_MAX_USEC), PAUSE_MIN_USEC);
        if (w->end_usec > 0)
                due = MAX(due, w->end_usec + pause);
        w->is_waiting = true;
        arm(w, due - now, 10000);
}

static void arm_tick(ClaimWatch *w) {
        w->is_waiting = false;
        arm(w, w->n_untold > 0 ? TICK_USEC : MAX(TICK_USEC, w->last_usec * TICK_FACTOR),
            TICK_USEC / 4);
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
                claims_note_author(d, c);
        claims_doubt(d);
}

/* ---- one proof */

/* What the child found, or what became of it. */
static json_t *read_result(const ClaimWatch *w, Arena *a, int *ret_error) {
        json_t *result = NULL;
        char *text = NULL;
        size_t size = 0;
        int r = a ? 0 : -ENOMEM;

        if (r == 0 && lseek(w->answer, 0, SEEK_SET) < 0) /* the child wrote through the same one */
                r = -errno;
        if (r == 0)
                r = file_read_fd(a, w->answer, ANSWER_MAX, &text, &size);
        if (r == 0)
                result = json_loadb(text, size, 0, NULL);
        if (json_is_object(result))
                r = (int)json_integer_value(json_object_get(result, "error"));
        else if (r == 0)
                r = -EIO;
        *ret_error = r;
        return result;
}

static uint64_t usec_of(struct timeval t) {
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

/* The child is gone, or goes now. */
static void end_child(ClaimWatch *w) {
        struct rusage usage = {0};

        w->io = sd_event_source_disable_unref(w->io);
        closep(&w->child);
        closep(&w->answer);
        w->child = w->answer = -1;
        if (w->pid > 0) {
                (void)kill(w->pid, SIGKILL);
                while (wait4(w->pid, NULL, 0, &usage) < 0 && errno == EINTR)
                        ;
                w->last_usec = usec_of(usage.ru_utime) + usec_of(usage.ru_stime);
        }
        w->pid = 0;
}

static void schedule(Daemon *d) {
        if (d->claims->is_dirty)
                arm_proof(d->claims);
        else
                arm_tick(d->claims);
}

/* Bridges and their ports were not yet those that the rules know: of them nothing was proved that
 * lasts. But who brings new ones for ever hides nothing. */
static bool is_moving(Daemon *d) {
        ClaimWatch *w = d->claims;

        if (w->n_followed == d->n_followed && !links_are_behind(d)) {
                w->moving_usec = 0;
                return false;
        }
        if (w->moving_usec == 0)
                w->moving_usec = claims_now();
        return claims_now() - w->moving_usec < MOVING_MAX_USEC;
}

/* Something else came into force meanwhile, or the table was changed and put right, or followed
 * links: what was seen may be neither of both. */
static bool is_outdated(Daemon *d) {
        ClaimWatch *w = d->claims;

        if (!may_prove(d) || w->entry != d->confirm.in_force.entry || is_moving(d))
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
                result = read_result(w, a, &r);
        end_child(w);
        w->end_usec = claims_now();
        if (r == 0 && is_outdated(d))
                w->is_dirty = true;
        else if (r == 0 && a)
                r = claims_take(d, a, result);
        json_decref(result);
        if (r < 0) /* tried again, but not at full speed */
                w->last_usec = MAX(w->last_usec, r == -EBUSY ? BUSY_USEC : FAILED_USEC);
        if (r < 0 && a && may_prove(d)) {
                claims_tell_blind(d, a, r);
                w->is_dirty = true;
        } else
                w->is_blind = false;
        schedule(d);
}

static int on_end(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        finish(userdata, 0);
        return 0;
}

/* What it answers stands in a file without a name, however long it is: so that the daemon is woken
 * once, when the child has ended. */
static int start_child(Daemon *d) {
        ClaimWatch *w = d->claims;
        int r;

        w->answer = memfd_create("proof", MFD_CLOEXEC);
        if (w->answer < 0)
                return -errno;
        (void)fflush(NULL); /* what is not written yet would be written twice */
        w->pid = fork();
        if (w->pid == 0)
                claims_prove(d, w->entry, &w->book, w->answer);
        if (w->pid > 0)
                w->child = (int)syscall(SYS_pidfd_open, w->pid, 0);
        r = w->child < 0 ? -errno : 0;
        if (r == 0)
                r = sd_event_add_io(d->event, &w->io, w->child, EPOLLIN, on_end, d);
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
        claims_keep(d);
        claims_drop_authors(w);
        claims_drop_untold(w);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;
        ClaimWatch *w = d->claims;
        int r;

        turn_step(d, 0);
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
        w->n_followed = d->n_followed;
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
        w->child = w->answer = -1;
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
        claims_drop_authors(w);
        claims_drop_untold(w);
        claim_book_clear(&w->book);
        json_decref(w->ends);
        free(w);
        d->claims = NULL;
}
