/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/daemon.h"

#include <sys/inotify.h>
#include <syslog.h>

#include "daemon/change.h"
#include "guard/lockdown.h"
#include "host/unit.h"

/* What does no harm now and will: a unit that does not start at the next boot, a state directory
 * from which was taken what that boot needs, a control socket that nobody finds any more. */

#define LOOK_USEC (60 * UINT64_C(1000000))
#define LOOK_SLACK_USEC (LOOK_USEC / 4)
#define LOOK_SOON_USEC (50 * UINT64_C(1000))
#define LOOK_SOON_SLACK_USEC UINT64_C(1000)

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

static int look_soon(Daemon *d) {
        (void)sd_event_source_set_time_accuracy(d->outlook.timer, LOOK_SOON_SLACK_USEC);
        return sd_event_source_set_time_relative(d->outlook.timer, LOOK_SOON_USEC);
}

static int touched(sd_event_source *s, const struct inotify_event *event, void *userdata) {
        /* without a name it is the folder itself, or too much at once */
        return event->len == 0 || store_minds(event->name) ? look_soon(userdata) : 0;
}

static int socket_touched(sd_event_source *s, const struct inotify_event *event, void *userdata) {
        return event->len == 0 || streq(event->name, DAEMON_SOCKET) ? look_soon(userdata) : 0;
}

#define TAKEN (IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* Without it the slow look is left. */
static void watch(Daemon *d) {
        d->outlook.watch = sd_event_source_disable_unref(d->outlook.watch);
        (void)sd_event_add_inotify(d->event, &d->outlook.watch, d->state_dir,
                                   TAKEN | IN_CLOSE_WRITE, touched, d);
}

static void watch_socket(Daemon *d) {
        d->outlook.socket_watch = sd_event_source_disable_unref(d->outlook.socket_watch);
        (void)sd_event_add_inotify(d->event, &d->outlook.socket_watch, d->runtime_dir, TAKEN,
                                   socket_touched, d);
}

static void look_at_lockdown(Daemon *d, bool is_told) {
        _cleanup_(arena_freep) Arena *a = NULL;
        bool had = store_had_lockdown(d->store);
        Diag *diag;

        if (store_has_lockdown(d->store))
                return;
        a = arena_new(0);
        diag = a ? diag_new(a) : NULL;
        if (diag)
                lockdown_write(d->store, &d->engine.features, diag);
        if (had && !is_told && store_has_lockdown(d->store))
                daemon_event(d, EVENT_TAMPERED, LOG_ALERT,
                             "what ringwall-lockdown needs had been removed from %s, or changed, "
                             "and was written again",
                             d->state_dir);
}

static void tell_mended(Daemon *d, StoreMended what) {
        daemon_event(
                d, EVENT_TAMPERED, LOG_ALERT,
                what == STORE_DAMAGED
                        ? "what was confirmed had been changed in %s, and was written again"
                        : "what was confirmed had been removed from %s, and was written again; "
                          "the history before it is lost",
                d->state_dir);
}

static void look_at_state(Daemon *d) {
        bool was_lost = d->outlook.is_state_lost;
        int r = d->store ? store_mend(d->store) : STORE_WELL;

        d->outlook.is_state_lost = r < 0;
        if (r == STORE_REMOVED) {
                events_reopen(d);
                watch(d);
        }
        if (r > 0)
                tell_mended(d, (StoreMended)r);
        else if (r < 0 && !was_lost)
                daemon_event(
                        d, EVENT_FAILURE, LOG_ALERT,
                        "what was confirmed was removed from %s, or changed, and cannot be written "
                        "again (%s): with the next start nothing will be in force, or something "
                        "else; see that there is such a folder, and that it can be written to: it "
                        "is tried again within a minute",
                        d->state_dir, strerror(-r));
        if (d->store && r >= 0 && d->confirm.base.kind == TARGET_ENTRY)
                look_at_lockdown(d, r > 0);
}

/* Nobody could be answered any more, and nobody is locked out by it: so it is bound again, unless
 * somebody else listens there. */
static void look_at_socket(Daemon *d) {
        bool was_lost = d->outlook.is_socket_lost;
        int r = methods_is_bound(d) ? 0 : methods_bind(d);

        d->outlook.is_socket_lost = r < 0;
        if (r > 0) {
                watch_socket(d);
                daemon_event(d, EVENT_TAMPERED, LOG_ALERT,
                             "the control socket had been removed from %s, or replaced, and was "
                             "made again",
                             d->runtime_dir);
        } else if (r < 0 && !was_lost)
                daemon_event(d, EVENT_FAILURE, LOG_ALERT,
                             "the control socket was removed from %s, or replaced, and cannot be "
                             "made again (%s): the policy stays in force, and `ringwall` cannot "
                             "ask; systemctl restart ringwalld",
                             d->runtime_dir,
                             r == -EADDRINUSE ? "another program listens there" : strerror(-r));
}

static int look(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;

        turn_step(d, 0);
        look_at_unit(d);
        look_at_state(d);
        look_at_socket(d);
        (void)sd_event_source_set_time_accuracy(s, LOOK_SLACK_USEC);
        (void)sd_event_source_set_time_relative(s, LOOK_USEC);
        absence_keep(d);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

int outlook_start(Daemon *d) {
        int r = sd_event_add_time_relative(d->event, &d->outlook.timer, CLOCK_MONOTONIC, 0,
                                           LOOK_SLACK_USEC, look, d);
        if (r >= 0) {
                watch(d);
                watch_socket(d);
        }
        return r < 0 ? r : sd_event_source_set_priority(d->outlook.timer, SD_EVENT_PRIORITY_IDLE);
}

void outlook_stop(Daemon *d) {
        d->outlook.timer = sd_event_source_disable_unref(d->outlook.timer);
        d->outlook.watch = sd_event_source_disable_unref(d->outlook.watch);
        d->outlook.socket_watch = sd_event_source_disable_unref(d->outlook.socket_watch);
}
