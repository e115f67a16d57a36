/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <sys/epoll.h>
#include <syslog.h>

#include "base/cpu_time.h"
#include "daemon/authors.h"
#include "daemon/change.h"
#include "daemon/siege.h"
#include "guard/drift.h"

/* The kernel tells of every transaction. One of another program's that touched the table is
 * compared with what was put in force, told of, and undone; and connections that were won meanwhile
 * are cut. Where the table is the daemon's own there is nothing to undo: nobody else's transaction
 * is taken.
 */

#define TICK_USEC (60 * UINT64_C(1000000)) /* should the kernel ever not tell */
#define READY_USEC UINT64_C(1000000)       /* from the start on; then others are done */
#define RETRY_USEC (100 * UINT64_C(1000))
#define SHUT_USEC (2 * UINT64_C(1000)) /* until what others can take away is put there again */
/* Nobody reads of each of very many; and where the host cannot be shut, two that undo each other's
 * changes would go on for ever at full speed. */
#define WINDOW_USEC UINT64_C(1000000)
#define PACE_USEC (WINDOW_USEC / TOLD_MAX)
#define LATE_MAX 5     /* others were quicker so often: then nothing is read any more */
#define CATCH_UP_MAX 3 /* others may go on */
#define TOLD_MAX 10    /* in a window, and at that pace from then on */

/* Until then nobody's transactions are looked at: whoever commits without end would keep everybody
 * else from being answered. What does not fit into the buffer meanwhile stands for anything. */
static void retry_in(Daemon *d, uint64_t usec) {
        /* if the timer cannot be set, the slow tick is left */
        if (sd_event_source_set_time_relative(d->drift.retry, usec) >= 0 &&
            sd_event_source_set_enabled(d->drift.retry, SD_EVENT_ONESHOT) >= 0)
                (void)sd_event_source_set_enabled(d->drift.io, SD_EVENT_OFF);
}

static void remember(const Commit *c, void *to) {
        Daemon *d = to;
        DriftGuard *drift = &d->drift;

        drift->generation = c->generation;
        if (c->port == nft_link_port(d->engine.link)) {
                /* put right by hand; what waits to be undone is told of once all the same */
                if (d->settings.drift == DRIFT_ALERT)
                        drift->is_told = false;
                return;
        }
        claims_note_commit(d, c);
        if (c->touches_bans)
                bans_note_foreign(d, c);
        if (!c->touches_ours)
                return;
        authors_note(drift, c);
        pace_note(&drift->pace, drift_now());
        drift->is_dirty = true;
        touched_merge(&drift->touched, &c->touched);
        drift->touched_generation = c->generation;
}

/* Anything may have been committed, and by whom is not known. */
static void lose_track(Daemon *d) {
        d->drift.is_dirty = true;
        pace_note(&d->drift.pace, drift_now());
        touched_add_all(&d->drift.touched);
        (void)nft_link_generation(d->engine.link, &d->drift.touched_generation);
        authors_drop(&d->drift, DRIFT_AUTHORS_MAX);
        claims_doubt(d);
        bans_note_lost(d);
}

static int read_commits(Daemon *d) {
        int r = commit_watch_read(&d->drift.watch, remember, d);

        if (r > 0)
                lose_track(d);
        return r;
}

/* A large transaction of our own is made without listening: see nft_link_set_hear(). If the kernel
 * counts others than that one, these came and went unheard. */
static void hear(void *userdata, bool hears, int result) {
        Daemon *d = userdata;
        DriftGuard *drift = &d->drift;
        uint32_t now;
        int r;

        if (!hears) {
                if (nft_link_generation(d->engine.link, &drift->deaf_generation) < 0)
                        drift->deaf_generation = 0;
                (void)read_commits(d); /* an error is met again by on_commits() */
        }
        r = commit_watch_hear(&drift->watch, hears);
        lookout_hear(drift->lookout, hears);
        if (!hears)
                return;
        if (r < 0)
                daemon_event(d, EVENT_FAILURE, LOG_CRIT,
                             "what other programs change is noticed within a minute only, until "
                             "ringwalld is restarted: %s",
                             strerror(-r));
        if (drift->deaf_generation != 0 && nft_link_generation(d->engine.link, &now) == 0 &&
            now == drift->deaf_generation + (result == 0)) {
                drift->generation = now;
                if (d->settings.drift == DRIFT_ALERT)
                        drift->is_told = false; /* as in remember() */
                return;
        }
        lose_track(d);
        retry_in(d, RETRY_USEC);
}

/* What was touched before the rules were seen to be right says nothing any more. */
static void forget_touched(Daemon *d) {
        DriftGuard *drift = &d->drift;

        if (d->engine.was_right && !generation_is_after(drift->touched_generation, d->engine.right))
                touched_clear(&drift->touched);
}

/* Only what was touched: -EAGAIN unless that is all that was until it was read, or if it cannot be
 * done. Not steady: as far as is known. */
static int read_part(Daemon *d, Arena *a, bool steady, Ruleset **ret_live) {
        DriftGuard *drift = &d->drift;
        uint32_t before;
        int r = read_commits(d);

        forget_touched(d);
        before = drift->touched_generation;
        if (r == 0)
                r = engine_read_part(&d->engine, a, &drift->touched, steady, ret_live);
        if (r < 0 || !steady)
                return r;
        r = read_commits(d);
        return r == 0 && drift->generation == (*ret_live)->generation &&
                               drift->touched_generation == before
                       ? 0
                       : -EAGAIN;
}

/* What differed does no more. Returns for how long that may have let something in, in
 * microseconds. */
static uint64_t finish(Daemon *d) {
        DriftGuard *drift = &d->drift;
        uint64_t end = drift->closed_usec != 0 ? drift->closed_usec : drift_now();
        uint64_t usec = end - MIN(end, drift->since_usec);

        /* until a change is confirmed, what was open before it stays; it is cut when that is
         * decided */
        if (!d->confirm.is_pending)
                (void)change_cut(d);
        drift->since_usec = 0;
        drift->n_heals++;
        drift->longest_usec = MAX(drift->longest_usec, usec);
        pace_spend(&drift->pace, drift_now(), usec);
        return usec;
}

/* Whether one more is told of, or done where the host cannot be shut. */
static bool is_in_turn(DriftGuard *drift, uint64_t now) {
        uint64_t start = now > WINDOW_USEC ? now - WINDOW_USEC : 0;

        if (drift->paid_usec <= start) {
                drift->paid_usec = start;
                drift->is_paced = false;
        }
        if (drift->paid_usec + PACE_USEC > now)
                return false;
        drift->paid_usec += PACE_USEC;
        return true;
}

static bool wait_for_turn(Daemon *d, uint64_t usec) {
        d->drift.is_dirty = true;
        retry_in(d, usec);
        return false;
}

/* Whether it may be undone at once, as long as that costs little; else it is tried again when it
 * may, with the host shut until then. since: from when on it may have been open. */
static bool may_heal(Daemon *d, uint64_t since) {
        DriftGuard *drift = &d->drift;
        uint64_t now = drift_now();

        since = drift->since_usec != 0 ? drift->since_usec : since;
        if (pace_is_shut(&drift->pace)) {
                uint64_t wait = pace_wait(&drift->pace, now);

                return wait == 0 || wait_for_turn(d, MIN(wait, RETRY_USEC));
        }
        if (!pace_is_over(&drift->pace, now, now - since))
                return true;
        if (siege_begin(d, SIEGE_CHANGES, since))
                return wait_for_turn(d, RETRY_USEC);
        if (is_in_turn(drift, now))
                return true;
        if (!drift->is_paced)
                daemon_event(d, EVENT_DRIFT, LOG_ALERT,
                             "another program keeps changing the rules: they are put right no more "
                             "than %d times a second",
                             TOLD_MAX);
        drift->is_paced = true;
        return wait_for_turn(d, drift->paid_usec + PACE_USEC - now);
}

/* Of so many that nobody would read them, some are only counted. */
static bool may_tell(Daemon *d) {
        DriftGuard *drift = &d->drift;

        if (is_in_turn(drift, drift_now()))
                return true;
        if (!drift->is_paced)
                daemon_event(
                        d, EVENT_DRIFT, LOG_ALERT,
                        "another program keeps changing the rules: each time they are put right, "
                        "and no more than %d times a second that is told",
                        TOLD_MAX);
        drift->is_paced = true;
        if (!drift->is_untold) /* however often it is tried */
                drift->n_untold++;
        drift->is_untold = true;
        return false;
}

/* Once of what differs. live NULL: nobody knows. Whether it was told. */
static bool tell(Daemon *d, Arena *a, const Ruleset *live) {
        DriftGuard *drift = &d->drift;
        /* what may be of several generations is laid at everybody's door */
        uint32_t generation = live && live->generation != 0 ? live->generation : drift->generation;
        const char *what, *who, *more = "";

        if (drift->is_told)
                return true;
        if (!may_tell(d))
                return false;
        drift->is_told = true;
        if (drift->is_untold)
                drift->n_untold--; /* it is no longer among them */
        drift->is_untold = false;
        (void)read_commits(d); /* of what was read, all are here by now; errors come again */
        what = live ? drift_describe(a, live, d->engine.desired) : "faster than they can be read";
        who = authors_describe(d, a, generation);
        if (drift->n_untold > 0)
                more = arena_printf(a, "; and %" PRIu64 " times before, which was not told",
                                    drift->n_untold);
        drift->n_untold = 0;
        daemon_event(d, EVENT_DRIFT, LOG_ALERT, "another program changed the rules: %s%s; by %s",
                     what ? what : "something", more ? more : "", who);
        return true;
}

static void tell_undone(Daemon *d, uint64_t usec) {
        daemon_event(d, EVENT_HEALED, LOG_WARNING, "undone after %" PRIu64 ".%" PRIu64 " ms",
                     usec / 1000, usec / 100 % 10);
}

/* Nothing differs. What did while it waited for its turn was undone otherwise: with a change of
 * this host's networks, or by whoever made it. */
static void settle(Daemon *d) {
        DriftGuard *drift = &d->drift;
        uint64_t wait;

        if (drift->since_usec != 0 && d->settings.drift != DRIFT_ALERT)
                tell_undone(d, finish(d));
        drift->since_usec = 0;
        drift->is_told = drift->is_untold = drift->is_stuck = false;
        if (!pace_is_shut(&drift->pace))
                return;
        wait = pace_right(&drift->pace, drift_now());
        if (wait > 0)
                (void)wait_for_turn(d, MIN(wait, RETRY_USEC));
        else
                siege_end(d);
}

static void notice(DriftGuard *drift, uint64_t since_usec) {
        if (drift->since_usec != 0)
                return;
        drift->n_drifts++;
        drift->since_usec = since_usec;
        drift->is_told = drift->is_untold = false;
}

/* Whoever commits without end cannot be kept up with; nor is it said that all were well. */
static void tell_blind(Daemon *d, Arena *a, int r) {
        if (d->drift.is_blind || !a)
                return;
        d->drift.is_blind = true;
        daemon_event(d, EVENT_FAILURE, LOG_ALERT,
                     "the rules cannot be compared with what should be in force, and it is tried "
                     "again: %s; last changed by %s",
                     r == -EBUSY ? "other programs change them all the time" : strerror(-r),
                     authors_describe(d, a, d->drift.generation));
}

typedef enum Check {
        CHECK_RIGHT,  /* all was compared, or there is nothing to compare with */
        CHECK_UNSURE, /* something is right now: all wants to be compared */
        CHECK_LATE,   /* others were quicker */
        CHECK_WAITS,  /* until it is its turn */
} Check;

static Check wait_for(Daemon *d, uint64_t usec) {
        d->drift.is_dirty = true;
        retry_in(d, usec);
        return CHECK_WAITS;
}

/* What is known of what the kernel holds. */
typedef enum Known {
        KNOWN_ALL,
        KNOWN_PART, /* what was touched, and that it was all */
        KNOWN_NOTHING,
} Known;

static int put_right(Daemon *d, Ruleset *live, Known known, Diag *diag) {
        switch (known) {
        case KNOWN_ALL:
                return engine_heal(&d->engine, live, diag);
        case KNOWN_PART:
                return engine_heal_part(&d->engine, live, &d->drift.touched, diag);
        case KNOWN_NOTHING:
                return engine_heal_blind(&d->engine, diag);
        }
        return -EINVAL;
}

/* Whatever stands in the way, as another program that has made the table its own: nothing comes in
 * until it is gone. */
static void cannot_heal(Daemon *d, Arena *a, Ruleset *live, Known known, const Diag *diag, int r) {
        DriftGuard *drift = &d->drift;

        if (!pace_is_shut(&drift->pace) && d->settings.drift != DRIFT_ALERT)
                (void)siege_begin(d, SIEGE_STUCK, drift->since_usec);
        if (known == KNOWN_PART)
                (void)engine_complete_part(&d->engine, live, &drift->touched);
        (void)tell(d, a, live);
        if (drift->is_stuck)
                return;
        drift->is_stuck = true;
        if (diag)
                daemon_say_all(d, diag);
        daemon_event(d, EVENT_FAILURE, LOG_CRIT,
                     "the rules could not be put right, and it is tried again: %s", strerror(-r));
}

/* Undoes what was read, cuts what got in meanwhile, and tells of it. start: when somebody
 * began to look. */
static Check heal(Daemon *d, Arena *a, Ruleset *live, Known known, uint64_t start) {
        DriftGuard *drift = &d->drift;
        Diag *diag = diag_new(a);
        int r = diag ? put_right(d, live, known, diag) : -ENOMEM;
        uint64_t usec;

        if (r == -EAGAIN)
                return CHECK_LATE;
        if (r == 0)
                return CHECK_UNSURE;
        notice(drift, start);
        if (r < 0) {
                cannot_heal(d, a, live, known, diag, r);
                return wait_for(d, RETRY_USEC);
        }
        drift->is_stuck = false;
        usec = finish(d);
        /* without memory what was not touched is told of as gone: it was undone all the same */
        if (known == KNOWN_PART)
                (void)engine_complete_part(&d->engine, live, &drift->touched);
        if (tell(d, a, live))
                tell_undone(d, usec);
        siege_prepare(d);
        return CHECK_UNSURE;
}

/* Compares all, and does what is to be done; at once, or when it is its turn. */
static Check check(Daemon *d, Arena *a, bool at_once, uint64_t start) {
        DriftGuard *drift = &d->drift;
        Ruleset *live;
        int r;

        drift->is_dirty = false;
        if (!d->engine.desired) {
                siege_end(d);
                return CHECK_RIGHT;
        }
        r = engine_compare(&d->engine, a, true, &live);
        if (r == -EAGAIN) {
                drift->is_dirty = true;
                return CHECK_LATE;
        }
        if (r < 0) {
                tell_blind(d, a, r);
                return wait_for(d, RETRY_USEC);
        }
        drift->is_blind = false;
        if (r > 0) {
                settle(d);
                authors_drop(drift, DRIFT_AUTHORS_MAX); /* nothing is left of what they did */
                return CHECK_RIGHT;
        }
        if (d->settings.drift != DRIFT_ALERT && (at_once || may_heal(d, start)))
                return heal(d, a, live, KNOWN_ALL, start);
        notice(drift, start);
        (void)tell(d, a, live);
        return CHECK_WAITS;
}

/* The same of what was touched alone: that is quick. */
static Check check_part(Daemon *d, Arena *a, bool steady, uint64_t start) {
        Ruleset *live;

        if (!d->engine.desired || d->settings.drift == DRIFT_ALERT)
                return CHECK_UNSURE;
        if (read_part(d, a, steady, &live) < 0)
                return CHECK_LATE;
        return may_heal(d, start) ? heal(d, a, live, KNOWN_PART, start) : check(d, a, false, start);
}

/* Nothing can be read while others go on like that. */
static Check check_blindly(Daemon *d, Arena *a, uint64_t start) {
        if (d->settings.drift == DRIFT_ALERT) {
                tell_blind(d, a, -EBUSY);
                return wait_for(d, RETRY_USEC);
        }
        return may_heal(d, start) ? heal(d, a, NULL, KNOWN_NOTHING, start) : CHECK_WAITS;
}

/* Others were quicker too often, or for too long. */
static bool is_too_late(Daemon *d, unsigned int n_late, uint64_t start) {
        uint64_t now = drift_now();

        return n_late >= LATE_MAX || (n_late > 0 && !pace_is_shut(&d->drift.pace) &&
                                      pace_is_over(&d->drift.pace, now, now - start));
}

/* First what is quick; then what cannot be overtaken; and then what is certain: nothing is taken
 * for healed that was not seen to be. */
static void check_until_right(Daemon *d) {
        uint64_t start = drift_now(), computed = cpu_time_usec();
        unsigned int n_late = 0;
        bool is_sure = false;

        for (;;) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                uint64_t before = computed;
                Check found;

                if (!a)
                        found = wait_for(d, RETRY_USEC);
                else if (is_too_late(d, n_late, start))
                        found = check_blindly(d, a, start);
                else if (is_sure)
                        found = check(d, a, false, start);
                else
                        found = check_part(d, a, n_late == 0, start);
                computed = cpu_time_usec();
                pace_spend(&d->drift.pace, drift_now(), computed - before);
                if (found == CHECK_RIGHT || found == CHECK_WAITS)
                        return;
                n_late = found == CHECK_LATE ? n_late + 1 : 0;
                if (found == CHECK_UNSURE)
                        start = drift_now();
                /* once something was put right; or if others are too quick for either, in turn */
                is_sure = found == CHECK_UNSURE || !is_sure;
        }
}

static int on_commits(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Daemon *d = userdata;
        int r = read_commits(d);

        if (d->drift.is_dirty)
                check_until_right(d);
        return r < 0 ? r : 0;
}

void drift_retry(Daemon *d) {
        (void)wait_for_turn(d, RETRY_USEC);
}

void drift_catch_up(Daemon *d) {
        (void)read_commits(d); /* an error is met again by on_commits() */
        /* what was committed a moment ago may not have been told of yet */
        for (int i = 0; i < CATCH_UP_MAX; i++) {
                _cleanup_(arena_freep) Arena *a = NULL;

                if (!d->drift.is_dirty && (!d->engine.desired || engine_holds(&d->engine) != 0))
                        return;
                a = arena_new(0);
                if (!a || check(d, a, true, drift_now()) == CHECK_RIGHT)
                        return;
        }
}

/* Whether it is not worth looking yet. */
static bool waits_for_calm(Daemon *d) {
        DriftGuard *drift = &d->drift;
        uint64_t before = drift->pace.n_changes, wait;

        (void)read_commits(d); /* an error is met again by on_commits() */
        if (drift->pace.n_changes != before)
                siege_go_on(d);
        siege_follow(d, false);
        wait = drift->pace.right_usec != 0 ? pace_right(&drift->pace, drift_now())
                                           : pace_wait(&drift->pace, drift_now());
        if (wait > 0)
                (void)wait_for_turn(d, MIN(wait, drift->is_shut_ours ? RETRY_USEC : SHUT_USEC));
        drift->is_dirty = true;
        return wait > 0;
}

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;
        DriftGuard *drift = &d->drift;

        (void)sd_event_source_set_enabled(drift->io, SD_EVENT_ON);
        if (pace_is_shut(&drift->pace) && d->engine.desired && waits_for_calm(d))
                return 0;
        if (drift->is_dirty)
                check_until_right(d);
        return 0;
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;
        uint32_t generation;

        turn_step(d, 0);
        if (nft_link_generation(d->engine.link, &generation) == 0 &&
            generation != d->drift.generation) {
                d->drift.generation = generation;
                check_until_right(d);
        }
        if (d->engine.desired && !d->engine.owns)
                siege_prepare(d);
        (void)sd_event_source_set_time_relative(s, TICK_USEC);
        (void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        return 0;
}

int drift_start(Daemon *d) {
        DriftGuard *drift = &d->drift;
        int r = commit_watch_open(&drift->watch);

        if (r < 0)
                return r;
        nft_link_set_hear(d->engine.link, hear, d);
        authors_start(d);
        r = sd_event_add_io(d->event, &drift->io, drift->watch.fd, EPOLLIN, on_commits, d);
        if (r >= 0) /* before whoever asks is answered */
                r = sd_event_source_set_priority(drift->io, SD_EVENT_PRIORITY_IMPORTANT);
        if (r >= 0)
                r = sd_event_add_time_relative(d->event, &drift->retry, CLOCK_MONOTONIC, 0, 1000,
                                               on_retry, d);
        if (r >= 0)
                r = sd_event_source_set_enabled(drift->retry, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time_relative(d->event, &drift->tick, CLOCK_MONOTONIC, READY_USEC,
                                               TICK_USEC / 4, on_tick, d);
        return r < 0 ? r : 0;
}

void drift_stop(Daemon *d) {
        DriftGuard *drift = &d->drift;

        drift->io = sd_event_source_disable_unref(drift->io);
        drift->retry = sd_event_source_disable_unref(drift->retry);
        drift->tick = sd_event_source_disable_unref(drift->tick);
        authors_stop(d);
        siege_done(d);
        nft_link_set_hear(d->engine.link, NULL, NULL);
        commit_watch_close(&drift->watch);
}
