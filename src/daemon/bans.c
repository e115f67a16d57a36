/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/bans.h"

#include <inttypes.h>
#include <syslog.h>
#include <time.h>

#include "nft/owner.h"

#define RETRY_USEC (2 * UINT64_C(1000000)) /* of what could not be done */
#define TIMER_MIN_USEC UINT64_C(1000000)
#define TIMER_MAX_USEC (600 * UINT64_C(1000000))
#define CLOCK_USEC (5 * INT64_C(1000000)) /* by which the clock may differ from the kernel's */
#define HEAL_USEC UINT64_C(1000000)       /* two that undo each other's changes go no faster */
#define DOUBT_SHARE 10 /* one part of the time is spent on looking whether others changed them */

int64_t bans_now(void) {
        return (int64_t)daemon_now();
}

uint64_t bans_monotonic(void) {
        struct timespec t = {0};

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int64_t bans_clock(void) {
        return bans_now() - (int64_t)bans_monotonic();
}

/* The store's ends are times of day, the kernel's count down by themselves, and not while the
 * machine sleeps. */
static bool is_clock_set(const Bans *b) {
        int64_t by = bans_clock() - b->clock_usec;

        return ban_table_is_made(b->table) && (by > CLOCK_USEC || by < -CLOCK_USEC);
}

/* ---- what comes later */

static void call_gone(RpcCall *call, void *userdata) {
        Daemon *d = userdata;
        Bans *b = d->bans;

        for (size_t i = 0; i < b->n_calls; i++)
                if (b->calls[i].call == call) {
                        memmove(b->calls + i, b->calls + i + 1,
                                (b->n_calls - i - 1) * sizeof(*b->calls));
                        b->n_calls--;
                        return;
                }
}

int bans_later(Daemon *d, RpcCall *call, const BanCall *what) {
        Bans *b = d->bans;

        if (b->n_calls == b->calls_room) {
                size_t room = MAX(2 * b->calls_room, 16UL);
                BanCall *grown = reallocarray(b->calls, room, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                b->calls = grown;
                b->calls_room = room;
        }
        b->calls[b->n_calls++] = *what;
        rpc_call_defer(call, call_gone, d);
        if (sd_event_source_set_enabled(b->flush, SD_EVENT_ONESHOT) < 0)
                bans_answer(d); /* at once, then */
        return 0;
}

/* ---- what has changed by itself, or by others */

/* With those that have ended: whoever takes them out of the store takes them off these numbers. */
void bans_count(Daemon *d) {
        Bans *b = d->bans;

        if (ban_store_count(b->store, 0, &b->n_bans, &b->n_keys) < 0)
                daemon_event(d, EVENT_FAILURE, LOG_ERR, "the bans cannot be counted: %s",
                             ban_store_error(b->store));
}

static int expire(Daemon *d) {
        Bans *b = d->bans;
        int64_t bans = 0, keys = 0;
        int r = ban_store_begin(b->store);

        if (r == 0)
                r = ban_store_expire(b->store, bans_now(), &bans, &keys);
        if (r == 0)
                r = ban_store_commit(b->store);
        if (r < 0) {
                ban_store_rollback(b->store);
                return r;
        }
        b->n_bans -= bans;
        b->n_keys -= keys;
        return 0;
}

void bans_arm(Daemon *d) {
        Bans *b = d->bans;
        int64_t now = bans_now(), next = BAN_EVER;
        uint64_t usec = TIMER_MAX_USEC;

        if (b->n_bans == 0 && !b->is_spooled && !b->is_dirty && !b->is_unsaved && !b->is_copy &&
            b->doubt_usec == 0) {
                (void)sd_event_source_set_enabled(b->timer,
                                                  SD_EVENT_OFF); /* else it finds nothing */
                return;
        }
        if (ban_store_next_end(b->store, &next) == 0 && next != BAN_EVER)
                usec = next > now ? MIN((uint64_t)(next - now), TIMER_MAX_USEC) : 0;
        if (b->is_dirty || b->is_unsaved || b->is_copy || b->is_spooled)
                usec = MIN(usec, RETRY_USEC);
        if (b->doubt_usec > 0)
                usec = MIN(usec, b->doubt_usec - MIN(b->doubt_usec, bans_monotonic()));
        if (b->is_foreign)
                usec = MIN(usec, HEAL_USEC);
        if (sd_event_source_set_time_relative(b->timer, MAX(usec, TIMER_MIN_USEC)) < 0 ||
            sd_event_source_set_enabled(b->timer, SD_EVENT_ONESHOT) < 0)
                daemon_say(d, LOG_ERR, "there is no timer for the bans' ends");
}

/* From the copy to the store itself, if it can be written by now. */
static int leave_copy(Daemon *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        _cleanup_free_ char *aside = NULL;
        Diag *quiet = a ? diag_new(a) : NULL;
        BanStore *store = NULL;
        int r = quiet ? ban_store_open(d->state_dir, &store, &aside, quiet) : -ENOMEM;

        if (r < 0)
                return r;
        (void)ban_store_close(d->bans->store);
        d->bans->store = store;
        d->bans->is_copy = false;
        d->bans->is_dirty = true; /* of what ended meanwhile the store knows nothing */
        return 0;
}

static void save_unsaved(Daemon *d) {
        Bans *b = d->bans;
        int64_t n = b->is_copy ? leave_copy(d) : 0;

        if (n == 0)
                n = bans_save_found(d, "banned while it could not be written down");
        if (n < 0)
                return;
        bans_undone_clear(b);
        b->is_unsaved = false;
        bans_count(d);
        daemon_event(d, EVENT_NOTE, LOG_NOTICE, "bans can be written down again: %" PRId64 " were",
                     n);
}

static void heal(Daemon *d) {
        Bans *b = d->bans;
        bool was_foreign = b->is_foreign;
        int r = bans_rebuild(d);

        if (was_foreign && r == 0)
                daemon_event(d, EVENT_DRIFT, LOG_ALERT,
                             "another program changed the bans, and they were put right; by %s",
                             b->by);
        else if (r < 0)
                daemon_event(d, EVENT_FAILURE, LOG_ERR,
                             "the bans could not be put in force, and it is tried again: %s",
                             strerror(-r));
        b->is_foreign = b->is_foreign && r < 0;
        b->healed_usec = bans_monotonic();
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;
        Bans *b = d->bans;

        if (b->is_unsaved || b->is_copy)
                save_unsaved(d);
        if (b->is_spooled)
                bans_take_spool(d);
        if (!b->is_unsaved && expire(d) < 0)
                daemon_event(d, EVENT_FAILURE, LOG_ERR,
                             "bans that are over cannot be removed from the store: %s",
                             ban_store_error(b->store));
        b->is_dirty |= is_clock_set(b) || (b->doubt_usec > 0 && bans_monotonic() >= b->doubt_usec);
        if (b->is_dirty && !b->is_unsaved)
                heal(d);
        if (b->n_keys == 0 && !b->is_unsaved && ban_table_is_made(b->table))
                b->is_dirty = ban_table_remove(b->table) < 0;
        bans_arm(d);
        return 0;
}

void bans_note_foreign(Daemon *d, const Commit *c) {
        Bans *b = d->bans;

        if (!b || b->is_suspended)
                return;
        b->is_foreign = b->is_dirty = true;
        (void)snprintf(b->by, sizeof(b->by), "%s (process %d)", c->name, (int)c->pid);
        /* at the end of the turn: this may be told of in the middle of a transaction */
        if (sd_event_source_set_enabled(b->flush, SD_EVENT_ONESHOT) < 0)
                bans_arm(d);
}

void bans_note_lost(Daemon *d) {
        Bans *b = d->bans;

        if (!b || b->is_suspended || b->flags & TABLE_OWNER || !ban_table_is_made(b->table))
                return;
        if (b->doubt_usec == 0)
                b->doubt_usec = MAX(bans_monotonic() + RETRY_USEC,
                                    b->rebuilt_usec + DOUBT_SHARE * b->rebuild_took_usec);
        bans_arm(d);
}

static int on_flush(sd_event_source *s, void *userdata) {
        Daemon *d = userdata;
        Bans *b = d->bans;

        if (b->is_foreign && b->is_dirty && !b->is_unsaved &&
            bans_monotonic() - b->healed_usec >= HEAL_USEC)
                heal(d);
        bans_take_spool(d);
        if (b->n_calls > 0)
                bans_answer(d);
        else
                bans_arm(d);
        return 0;
}

/* ---- unload, apply, other networks */

int bans_suspend(Daemon *d) {
        Bans *b = d->bans;
        int r = b ? ban_table_remove(b->table) : 0;

        if (b && r == 0)
                b->is_suspended = true;
        return r;
}

static void renew(Daemon *d, bool anew) {
        Bans *b = d->bans;

        if (!b || b->n_keys == 0)
                return;
        if (b->is_unsaved)
                save_unsaved(d);
        if (anew && !b->is_unsaved)
                b->is_dirty = true;
        if (b->is_dirty && !b->is_unsaved)
                heal(d);
        bans_arm(d);
}

void bans_resume(Daemon *d) {
        Bans *b = d->bans;
        bool was_suspended = b && b->is_suspended, owned = b && b->flags & TABLE_OWNER;

        if (!b)
                return;
        b->is_suspended = false;
        /* whose the table is to be may be said otherwise by now; and who may not be banned */
        if (was_suspended || owned != (d->settings.ownership != OWNERSHIP_OFF)) {
                bans_obey(d);
                renew(d, true);
        } else
                bans_follow_host(d);
}

void bans_follow_host(Daemon *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Bans *b = d->bans;
        BanRange *list;
        Never never;
        size_t n;
        int r = a ? 0 : -ENOMEM;

        if (!b || b->is_suspended || !ban_table_is_made(b->table))
                return;
        bans_obey(d);
        if (!ban_table_is_made(b->table))
                return;
        if (r == 0)
                r = bans_never_read(d, a, false, &never);
        if (r == 0)
                r = bans_never_list(a, &never, &list, &n);
        if (r == 0)
                r = ban_table_set_never(b->table, list, n);
        if (r < 0) {
                b->is_dirty = true;
                bans_arm(d);
        }
}

/* ---- start and stop */

/* A store that was damaged is filled anew with what the kernel goes on holding. */
static void tell_damage(Daemon *d, const char *aside) {
        int64_t n = bans_save_found(d, "the store was damaged");

        daemon_event(d, EVENT_FAILURE, LOG_ALERT,
                     "the store of bans was damaged and is kept as %s; %" PRId64
                     " bans that the kernel holds were written into a new one: their reasons are "
                     "lost",
                     aside, MAX(n, (int64_t)0));
}

/* A disk that is full, read-only or somebody else's lets nobody in who is banned. */
static int open_copy(Daemon *d, Bans *b, int error, char **ret_aside) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *quiet = a ? diag_new(a) : NULL;
        int r = quiet ? ban_store_copy(d->state_dir, d->runtime_dir) : -ENOMEM;

        if (r == 0)
                r = ban_store_open(d->runtime_dir, &b->store, ret_aside, quiet);
        if (r < 0)
                return error;
        b->is_copy = true;
        daemon_event(d, EVENT_FAILURE, LOG_CRIT,
                     "the store of bans can be read alone (%s): those in it are in force, and so "
                     "are new ones, which would be lost with a restart; it is tried again",
                     strerror(-error));
        return 0;
}

/* What was written last may be gone from a store that else is whole. */
static void tell_lacking(Daemon *d) {
        int64_t n = bans_save_found(d, "the store was damaged");

        if (n > 0)
                daemon_event(d, EVENT_FAILURE, LOG_ALERT,
                             "the log of the store of bans was damaged; %" PRId64
                             " bans that the kernel holds were written down again: their reasons "
                             "are lost",
                             n);
}

static int open_store(Daemon *d, Bans *b) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        _cleanup_free_ char *aside = NULL;
        Diag *diag = a ? diag_new(a) : NULL;
        int r = diag ? ban_store_open(d->state_dir, &b->store, &aside, diag) : -ENOMEM;

        if (diag)
                daemon_say_all(d, diag);
        if (r < 0 && r != -EOPNOTSUPP && r != -EBUSY)
                r = open_copy(d, b, r, &aside);
        if (r == 0 && aside)
                tell_damage(d, aside);
        else if (r == 0 && ban_store_lacks_something(b->store))
                tell_lacking(d);
        return r;
}

/* In one transaction, before anybody is told that the daemon is ready. */
static void restore(Daemon *d) {
        Bans *b = d->bans;
        int r = 0;

        bans_count(d);
        (void)expire(d); /* else the timer does */
        bans_obey(d);
        if (b->n_keys > 0)
                r = bans_rebuild(d);
        else
                r = ban_table_remove(b->table);
        if (r < 0) {
                b->is_dirty = true;
                daemon_event(d, EVENT_FAILURE, LOG_CRIT,
                             "the bans could not be put in force, and it is tried again: %s",
                             strerror(-r));
        } else if (b->n_keys > 0)
                daemon_say(d, LOG_NOTICE, "in force: %" PRId64 " ban%s", b->n_bans,
                           b->n_bans == 1 ? "" : "s");
        bans_arm(d);
}

/* Without a store nobody can be banned; the policy is in force all the same. */
int bans_start(Daemon *d) {
        Bans *b = calloc(1, sizeof(*b));
        int r = b ? 0 : -ENOMEM;

        d->bans = b;
        if (r == 0)
                b->limits = calloc(1, sizeof(*b->limits));
        if (r == 0 && !b->limits)
                r = -ENOMEM;
        if (r == 0)
                b->table = ban_table_new(d->engine.link);
        if (r == 0 && !b->table)
                r = -ENOMEM;
        if (r == 0)
                r = sd_event_add_defer(d->event, &b->flush, on_flush, d);
        if (r >= 0) /* behind all requests that wait now */
                r = sd_event_source_set_priority(b->flush, SD_EVENT_PRIORITY_NORMAL + 1);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->flush, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time_relative(d->event, &b->timer, CLOCK_MONOTONIC, 0, 100000,
                                               on_timer, d);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        if (open_store(d, b) < 0) {
                daemon_event(d, EVENT_FAILURE, LOG_CRIT,
                             "nobody can be banned: the store cannot be opened");
                bans_stop(d);
                return 0;
        }
        restore(d);
        bans_take_spool(d);
        /* and once the socket is there, for what was written down until then */
        return sd_event_source_set_enabled(b->flush, SD_EVENT_ONESHOT);
}

void bans_stop(Daemon *d) {
        Bans *b = d->bans;

        if (!b)
                return;
        b->flush = sd_event_source_disable_unref(b->flush);
        b->timer = sd_event_source_disable_unref(b->timer);
        b->table = ban_table_free(b->table);
        b->store = ban_store_close(b->store);
        free(b->calls);
        free(b->limits);
        bans_undone_clear(b);
        free(b);
        d->bans = NULL;
}
