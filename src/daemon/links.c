/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/daemon.h"

#include <net/if.h>
#include <sys/epoll.h>
#include <syslog.h>

#include "daemon/siege.h"
#include "nft/watch.h"

/* Zones that are connected follow addresses and routes, and the sets of bridges follow links. What
 * changes comes in bursts, so that a moment of quiet is awaited, but never for long. What could not
 * be followed is tried again, more and more seldom, and at once when more changes. */

#define SETTLE_USEC (20 * UINT64_C(1000))
#define RETRY_MIN_USEC (1000 * UINT64_C(1000))
#define RETRY_MAX_USEC (60 * RETRY_MIN_USEC)
#define TELL_USEC (60 * UINT64_C(1000000)) /* for so long it is not told of again */

static int arm(Daemon *d, uint64_t usec) {
        int r = sd_event_source_set_time_relative(d->settle, usec);

        return r < 0 ? r : sd_event_source_set_enabled(d->settle, SD_EVENT_ONESHOT);
}

/* Said once, and not at each further try: status keeps only the last events. */
static void try_later(Daemon *d, int error, const Diag *diag) {
        bool is_first = d->retry_usec == 0;

        d->retry_usec = is_first ? RETRY_MIN_USEC : MIN(2 * d->retry_usec, RETRY_MAX_USEC);
        if (is_first && diag)
                daemon_say_all(d, diag);
        if (is_first)
                daemon_say(d, LOG_ERR,
                           "this host's networks and bridges are not followed (%s): tried again "
                           "until they are",
                           strerror(-error));
        d->is_retrying = true;
        if (arm(d, d->retry_usec) < 0) /* the next change brings it */
                daemon_say(d, LOG_ERR, "there is no timer to try again");
}

static void keep_names(Daemon *d, struct if_nameindex *now) {
        if (d->links)
                if_freenameindex(d->links);
        d->links = now;
}

static const char *name_of(const struct if_nameindex *list, unsigned int index) {
        for (; list && list->if_index != 0; list++)
                if (list->if_index == index)
                        return list->if_name;
        return NULL;
}

/* Rules know interfaces by name, so that another name may open another zone to what is behind it.
 */
static void tell_of_names(Daemon *d) {
        struct if_nameindex *now = if_nameindex();

        if (!now)
                return;
        for (const struct if_nameindex *i = now; i->if_index != 0; i++) {
                const char *was = name_of(d->links, i->if_index);

                if (was && !streq(was, i->if_name))
                        daemon_event(d, EVENT_NOTICE, LOG_WARNING,
                                     "the interface %s is called %s now: it is judged by the rules "
                                     "for that name",
                                     was, i->if_name);
        }
        keep_names(d, now);
}

/* A container engine changes a dozen links in a row, and it is told of once. */
static void tell_of_change(Daemon *d, bool other_rules) {
        uint64_t now;

        d->n_followed += other_rules;
        if (sd_event_now(d->event, CLOCK_MONOTONIC, &now) < 0)
                return;
        if (d->retry_usec == 0 && d->followed_usec > 0 && now - d->followed_usec < TELL_USEC)
                return;
        d->followed_usec = now;
        daemon_say(d, LOG_INFO, "this host's networks or bridges have changed: followed");
}

static int settled(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *diag = a ? diag_new(a) : NULL;
        int r;

        d->is_retrying = false;
        tell_of_names(d);
        drift_catch_up(d);
        /* it would put right what somebody else changed, and has been told to leave alone */
        if (d->settings.drift == DRIFT_ALERT && d->drift.is_told)
                return 0;
        r = diag ? engine_refresh(&d->engine, diag) : -ENOMEM;
        siege_follow(d, true);
        if (r < 0) {
                try_later(d, r, diag);
                return 0;
        }
        if (r > 0 || d->retry_usec > 0)
                tell_of_change(d, r > 0);
        d->retry_usec = 0;
        bans_follow_host(d);
        return 0;
}

bool links_are_behind(const Daemon *d) {
        int enabled = SD_EVENT_OFF;

        return d->settle && !d->is_retrying &&
               sd_event_source_get_enabled(d->settle, &enabled) >= 0 && enabled != SD_EVENT_OFF;
}

/* The timer is set once, not moved on by each further change. */
static int changed(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Daemon *d = userdata;
        int r = watch_drain(fd);

        if (r <= 0 || !d->engine.desired)
                return 0;
        claims_doubt(d);
        if (links_are_behind(d))
                return 0;
        d->is_retrying = false; /* now rather than later */
        return arm(d, SETTLE_USEC);
}

int links_open(Daemon *d) {
        return watch_open(&d->watch_fd);
}

int links_start(Daemon *d) {
        int r = d->watch_fd < 0 ? links_open(d) : 0;

        keep_names(d, if_nameindex()); /* without it no change of a name is told */
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(d->event, &d->settle, CLOCK_MONOTONIC, 0, 1000, settled, d);
        if (r >= 0)
                r = sd_event_source_set_enabled(d->settle, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_io(d->event, &d->watch, d->watch_fd, EPOLLIN, changed, d);
        return r;
}

void links_stop(Daemon *d) {
        d->watch = sd_event_source_disable_unref(d->watch);
        d->settle = sd_event_source_disable_unref(d->settle);
        if (d->watch_fd >= 0)
                (void)close(d->watch_fd); /* nothing is kept in it */
        d->watch_fd = -1;
        keep_names(d, NULL);
}
