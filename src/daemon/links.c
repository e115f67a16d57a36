/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/daemon.h"

#include <sys/epoll.h>
#include <syslog.h>

#include "nft/watch.h"

/* Zones that are connected follow addresses and routes, and the sets of bridges follow links. What
 * changes comes in bursts, so that a moment of quiet is awaited, but never for long. */

#define SETTLE_USEC (20 * UINT64_C(1000))

static int settled(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *diag = a ? diag_new(a) : NULL;
        int r;

        /* it would put right what somebody else changed, and has been told to leave alone */
        if (d->settings.drift == DRIFT_ALERT && d->drift.is_told)
                return 0;
        r = diag ? engine_refresh(&d->engine, diag) : -ENOMEM;

        if (r < 0 && diag)
                daemon_say_all(d, diag);
        if (r > 0)
                daemon_say(d, LOG_INFO, "this host's networks or bridges have changed: followed");
        return 0;
}

/* The timer is set once, not moved on by each further change. */
static int changed(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Daemon *d = userdata;
        int enabled = SD_EVENT_OFF;
        int r = watch_drain(fd);

        if (r <= 0 || !d->engine.desired)
                return 0;
        if (sd_event_source_get_enabled(d->settle, &enabled) >= 0 && enabled != SD_EVENT_OFF)
                return 0;
        r = sd_event_source_set_time_relative(d->settle, SETTLE_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(d->settle, SD_EVENT_ONESHOT);
        return r;
}

int links_start(Daemon *d) {
        int r = watch_open(&d->watch_fd);

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
}
