/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/daemon.h"

#include <syslog.h>

#include "host/unit.h"

/* What does no harm now and will: a unit that does not start at the next boot. */

#define LOOK_USEC (60 * UINT64_C(1000000))

int outlook_boot(UnitStart *ret) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const Tree t = {.arena = a, .root = ""};
        const char *path;

        return a ? unit_read_start(&t, UNIT_DAEMON, ret, &path) : -ENOMEM;
}

static void look_at_unit(Daemon *d) {
        UnitStart start;
        bool was_lost = d->outlook.is_lost;

        if (outlook_boot(&start) < 0)
                return;
        d->outlook.is_lost = start == UNIT_DISABLED || start == UNIT_MASKED;
        if (d->outlook.is_lost && !was_lost)
                daemon_event(d, EVENT_FAILURE, LOG_ALERT,
                             "after the next boot nothing will be in force: " UNIT_DAEMON
                             " was %s; systemctl %s",
                             start == UNIT_MASKED ? "masked" : "disabled",
                             start == UNIT_MASKED ? "unmask ringwalld, systemctl enable ringwalld"
                                                  : "enable ringwalld");
        else if (!d->outlook.is_lost && was_lost)
                daemon_say(d, LOG_NOTICE, UNIT_DAEMON " is started at boot again");
}

static int look(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;

        look_at_unit(d);
        (void)sd_event_source_set_time_relative(s, LOOK_USEC);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

int outlook_start(Daemon *d) {
        int r = sd_event_add_time_relative(d->event, &d->outlook.timer, CLOCK_MONOTONIC, 0,
                                           LOOK_USEC / 4, look, d);
        return r < 0 ? r : sd_event_source_set_priority(d->outlook.timer, SD_EVENT_PRIORITY_IDLE);
}

void outlook_stop(Daemon *d) {
        d->outlook.timer = sd_event_source_disable_unref(d->outlook.timer);
}
