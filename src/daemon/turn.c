/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include "daemon/siege.h"

/* systemd ends whoever gives no sign of life for WatchdogSec=. The event loop gives one between two
 * of its turns; a turn that takes long gives one whenever it gets on: when the kernel has answered,
 * or so many of very many things are done. What nothing comes of for so long hangs, and gives none:
 * nor does a timer, or a thread, on its behalf. One transaction is one step, however large, and the
 * kernel's own: for that, systemd is asked to wait as long as it may take. systemd itself is never
 * waited for: a process 1 that has stopped reading must not stop whoever guards the rules. */

#define USEC_PER_SEC UINT64_C(1000000)
#define SIGNS 8                            /* at most so many in the time that systemd waits */
#define TURN_MAX_USEC (300 * USEC_PER_SEC) /* then it hangs, even if it gets on */
/* Bytes of a transaction in a second: 10,000 rules are 5 MiB, and take half a second on a busy
 * machine; what is quick enough at the first of these rates is not announced. A million prefixes
 * are 80 MiB, and take half a minute: the second is what a slow machine may need, ten times over.
 */
#define USUAL_RATE ((size_t)800 << 10)
#define SLOW_RATE ((size_t)256 << 10)

/* Between two turns: after three quarters of the time that systemd waits at the latest, eight a
 * minute of ten seconds. What wakes the daemon regularly gives one as well, so that one wake-up is
 * both. */
#define SIGN_USEC(wait) ((wait) / 40 * 29)
#define SIGN_SLACK_USEC(wait) ((wait) / 40)
/* Before all else: however much there is to do, it is done in turns. */
#define SIGN_PRIORITY (SD_EVENT_PRIORITY_IMPORTANT - 2)

static void follow_room(Daemon *d);

static int on_room(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Daemon *d = userdata;

        d->turn.room = sd_event_source_disable_unref(d->turn.room);
        (void)manager_flush(&d->turn.manager); /* what is left waits on, or for the next message */
        follow_room(d);
        return 0;
}

/* Without the event, what was kept goes with the next message. */
static void follow_room(Daemon *d) {
        if (d->turn.manager.blocked >= 0)
                (void)sd_event_add_io(d->event, &d->turn.room, d->turn.manager.blocked, EPOLLOUT,
                                      on_room, d);
}

int turn_tell(Daemon *d, ManagerKind kind, int fd, const char *format, ...) {
        char text[MANAGER_TEXT_MAX];
        va_list ap;
        int r;

        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        d->turn.room = sd_event_source_disable_unref(d->turn.room); /* before it is closed */
        r = manager_tell(&d->turn.manager, kind, fd, text);
        follow_room(d);
        return r;
}

static void sign(Daemon *d, uint64_t now) {
        d->turn.told_usec = now;
        (void)turn_tell(d, MANAGER_ALIVE, -1, "WATCHDOG=1");
        (void)sd_event_source_set_time(d->turn.sign, now + SIGN_USEC(d->turn.watchdog_usec));
}

static int on_sign(sd_event_source *s, uint64_t usec, void *userdata) {
        sign(userdata, drift_now());
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* Not before all is started: systemd waits for signs of life from the first one on, and for a start
 * as long as TimeoutStartSec= says. */
int turn_start(Daemon *d) {
        uint64_t usec;
        int r = sd_watchdog_enabled(0, &usec);

        d->turn.watchdog_usec = r > 0 ? usec : 0;
        if (r <= 0)
                return r;
        r = sd_event_add_time(d->event, &d->turn.sign, CLOCK_MONOTONIC, 0, SIGN_SLACK_USEC(usec),
                              on_sign, d);
        return r < 0 ? r : sd_event_source_set_priority(d->turn.sign, SIGN_PRIORITY);
}

void turn_stop(Daemon *d) {
        d->turn.room = sd_event_source_disable_unref(d->turn.room);
        d->turn.sign = sd_event_source_disable_unref(d->turn.sign);
        manager_done(&d->turn.manager);
}

/* WATCHDOG_USEC= holds until the next one, or the next start. */
static void wait_for(Daemon *d, uint64_t usec) {
        d->turn.is_large = usec != d->turn.watchdog_usec;
        (void)turn_tell(d, MANAGER_WAIT, -1, "WATCHDOG_USEC=%" PRIu64, usec);
}

void turn_step(void *context, size_t to_send) {
        Daemon *d = context;
        uint64_t now, iteration = 0;
        bool is_large;

        if (d->turn.watchdog_usec == 0)
                return;
        now = drift_now();
        (void)sd_event_get_iteration(d->event, &iteration);
        if (iteration != d->turn.iteration || d->turn.is_large) {
                d->turn.iteration = iteration;
                d->turn.since_usec = now;
        }
        if (d->turn.is_large) {
                wait_for(d, d->turn.watchdog_usec);
                sign(d, now);
        }
        if (now - d->turn.since_usec > TURN_MAX_USEC)
                return;
        is_large = to_send * USEC_PER_SEC / USUAL_RATE > d->turn.watchdog_usec;
        if (is_large)
                wait_for(d, d->turn.watchdog_usec + to_send * USEC_PER_SEC / SLOW_RATE);
        if (is_large || now - d->turn.told_usec >= d->turn.watchdog_usec / SIGNS)
                sign(d, now);
}
