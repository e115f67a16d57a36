/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/siege.h"

#include <inttypes.h>
#include <syslog.h>

#include "daemon/change.h"
#include "guard/lockdown.h"
#include "nft/host.h"

void siege_done(Daemon *d) {
        d->drift.shut_arena = arena_free(d->drift.shut_arena);
        d->drift.shut = NULL;
        d->drift.shut_for = NULL;
}

void siege_prepare(Daemon *d) {
        DriftGuard *drift = &d->drift;
        _cleanup_(arena_freep) Arena *a = NULL;
        Ruleset *rs;
        Diag *quiet;
        int r;

        if (drift->shut && drift->shut_for == d->engine.desired)
                return;
        siege_done(d);
        a = arena_new(0);
        quiet = a ? diag_new(a) : NULL;
        r = quiet ? lockdown_make(d->store, &d->engine.features, a, &rs, quiet) : -ENOMEM;
        if (r == 0)
                r = nft_add_host(a, rs);
        if (r < 0)
                return; /* siege_begin() says so, if it is needed */
        drift->shut_arena = TAKE_PTR(a);
        drift->shut = rs;
        drift->shut_for = d->engine.desired;
}

static bool shut(Daemon *d) {
        int r;

        siege_prepare(d);
        r = d->drift.shut ? engine_shut(&d->engine, d->drift.shut) : -ENOMEM;
        d->drift.is_shut_ours = r > 0;
        d->drift.is_kept = false;
        return r >= 0;
}

/* What takes the kernel long is not put there again and again. */
static bool is_small(const Ruleset *rs) {
        size_t n = 0;

        for (size_t i = 0; i < rs->n_chains; i++)
                n += rs->chains[i]->n_rules;
        for (size_t i = 0; i < rs->n_sets; i++)
                n += rs->sets[i]->n_elements;
        return n <= SIEGE_KEPT_MAX;
}

/* Whether all that should be in force can stand in the table that shuts, so that whoever is
 * admitted comes in: nobody else may take it away, nor the bans, which are no part of it. What
 * nobody has confirmed might have to be undone while the table itself cannot be written to. */
static bool may_keep(const Daemon *d) {
        return d->drift.is_shut_ours && d->confirm.is_known && !d->confirm.is_pending &&
               d->engine.desired && d->engine.desired != d->drift.not_kept && bans_stand(d) &&
               is_small(d->engine.desired);
}

void siege_follow(Daemon *d, bool is_other) {
        DriftGuard *drift = &d->drift;
        bool keeps = may_keep(d);

        if (!pace_is_shut(&drift->pace))
                return;
        if (keeps == drift->is_kept && !(keeps && is_other) && !drift->is_behind)
                return;
        turn_step(d, 0);
        /* each in one transaction, in place of the other: never is there neither */
        if (keeps) {
                drift->is_kept = engine_shut(&d->engine, d->engine.desired) > 0;
                drift->is_behind = false;
                drift->not_kept = drift->is_kept ? NULL : d->engine.desired;
        }
        if (!keeps || !drift->is_kept)
                drift->is_behind = !shut(d); /* what stands there may admit more: again */
        turn_step(d, 0);
}

static const char *const reasons[] = {
        [SIEGE_CHANGES] = "another program keeps changing the rules: until it stops",
        [SIEGE_STUCK] = "the rules cannot be put right: until they are",
};

bool siege_begin(Daemon *d, SiegeReason reason, uint64_t since) {
        DriftGuard *drift = &d->drift;
        uint64_t now;

        if (!shut(d)) {
                if (!drift->is_paced)
                        daemon_say(d, LOG_ERR, "this host cannot be shut: %s", reasons[reason]);
                return false;
        }
        now = drift_now();
        drift->closed_usec = now;
        drift->longest_usec = MAX(drift->longest_usec, now - since);
        pace_shut(&drift->pace, now);
        if (!d->confirm.is_pending)
                (void)change_cut(d);
        siege_follow(d, true);
        daemon_event(d, EVENT_DRIFT, LOG_ALERT, "%s, %s", reasons[reason],
                     drift->is_kept ? "they stand in a table that nobody else can change, too"
                                    : "nothing comes in but those who may rescue, and what was "
                                      "open before");
        return true;
}

void siege_go_on(Daemon *d) {
        if (!d->drift.is_shut_ours)
                (void)shut(d); /* tried again with their next change */
}

void siege_end(Daemon *d) {
        Pace *pace = &d->drift.pace;
        uint64_t now = drift_now(), usec = now - pace->since_usec;
        int r;

        if (!pace_is_shut(pace))
                return;
        r = engine_unshut(&d->engine);
        if (r < 0) { /* it stays shut until this is tried again */
                daemon_say(d, LOG_ERR, "this host stays shut: %s", strerror(-r));
                return;
        }
        d->drift.is_kept = d->drift.is_behind = false;
        d->drift.not_kept = NULL;
        pace_open(pace, now);
        d->drift.closed_usec = 0;
        daemon_event(d, EVENT_HEALED, LOG_WARNING,
                     "the other program has stopped, after %" PRIu64 ".%" PRIu64 " s and %" PRIu64
                     " more changes: the rules are in force as before",
                     usec / 1000000, usec / 100000 % 10, pace->n_changes);
}

void siege_end_anothers(Daemon *d) {
        int r = engine_unshut_if_any(&d->engine);

        if (r < 0 && r != -EOPNOTSUPP && r != -EINVAL) /* else the kernel knows no owners */
                daemon_say(d, LOG_ERR, "what shuts this host beside its rules may be left: %s",
                           strerror(-r));
}
