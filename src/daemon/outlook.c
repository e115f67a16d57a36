/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/daemon.h"

#include <sys/inotify.h>
#include <syslog.h>

#include "daemon/change.h"
#include "guard/lockdown.h"
#include "host/unit.h"

/* What does no harm now and will: a unit that does not start at the next boot, a state directory
 * from which was taken what that boot needs. */

#define LOOK_USEC (60 * UINT64_C(1000000))
#define LOOK_SOON_USEC (50 * UINT64_C(1000))

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

static int removed(sd_event_source *s, const struct inotify_event *event, void *userdata) {
        Daemon *d = userdata;

        return sd_event_source_set_time_relative(d->outlook.timer, LOOK_SOON_USEC);
}

/* Without it the slow look is left. */
static void watch(Daemon *d) {
        d->outlook.watch = sd_event_source_disable_unref(d->outlook.watch);
        (void)sd_event_add_inotify(
                d->event, &d->outlook.watch, d->state_dir,
                IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR, removed, d);
}

static void write_lockdown_again(Daemon *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *diag = a ? diag_new(a) : NULL;

        if (diag)
                lockdown_write(d->store, &d->engine.features, diag);
}

static void look_at_state(Daemon *d) {
        bool was_lost = d->outlook.is_state_lost;
        int r = d->store ? store_mend(d->store) : 0;

        d->outlook.is_state_lost = r < 0;
        if (r > 0) {
                events_reopen(d);
                watch(d);
                daemon_event(d, EVENT_TAMPERED, LOG_ALERT,
                             "what was confirmed had been removed from %s, and was written again; "
                             "the history before it is lost",
                             d->state_dir);
        } else if (r < 0 && !was_lost)
                daemon_event(
                        d, EVENT_FAILURE, LOG_ALERT,
                        "what was confirmed was removed from %s and cannot be written again "
                        "(%s): with the next start nothing will be in force; see that there is "
                        "such a folder, and that it can be written to: it is tried again "
                        "within a minute",
                        d->state_dir, strerror(-r));
        if (r > 0 ||
            (r == 0 && d->confirm.base.kind == TARGET_ENTRY && !store_has_lockdown(d->store)))
                write_lockdown_again(d);
}

static int look(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;

        look_at_unit(d);
        look_at_state(d);
        (void)sd_event_source_set_time_relative(s, LOOK_USEC);
        absence_keep(d);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

int outlook_start(Daemon *d) {
        int r = sd_event_add_time_relative(d->event, &d->outlook.timer, CLOCK_MONOTONIC, 0,
                                           LOOK_USEC / 4, look, d);
        if (r >= 0)
                watch(d);
        return r < 0 ? r : sd_event_source_set_priority(d->outlook.timer, SD_EVENT_PRIORITY_IDLE);
}

void outlook_stop(Daemon *d) {
        d->outlook.timer = sd_event_source_disable_unref(d->outlook.timer);
        d->outlook.watch = sd_event_source_disable_unref(d->outlook.watch);
}
