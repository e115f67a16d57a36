/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "daemon/siege.h"

/* systemd ends whoever gives no sign of life for WatchdogSec=. The event loop gives one between two
 * of its turns; a turn that takes long gives one whenever it gets on: when the kernel has answered,
 * or so many of very many things are done. What nothing comes of for so long hangs, and gives none:
 * nor does a timer, or a thread, on its behalf. One transaction is one step, however large, and the
 * kernel's own: for that, systemd is asked to wait as long as it may take. */

#define USEC_PER_SEC UINT64_C(1000000)
#define SIGNS 8                            /* at most so many in the time that systemd waits */
#define TURN_MAX_USEC (300 * USEC_PER_SEC) /* then it hangs, even if it gets on */
/* Bytes of a transaction in a second: 10,000 rules are 5 MiB, and take half a second on a busy
 * machine; what is quick enough at the first of these rates is not announced. A million prefixes
 * are 80 MiB, and take half a minute: the second is what a slow machine may need, ten times over.
 */
#define USUAL_RATE ((size_t)800 << 10)
#define SLOW_RATE ((size_t)256 << 10)

/* Not before all is started: systemd waits for signs of life from the first one on, and for a start
 * as long as TimeoutStartSec= says. */
int turn_start(Daemon *d) {
        uint64_t usec;
        int r = sd_watchdog_enabled(0, &usec);

        d->turn.watchdog_usec = r > 0 ? usec : 0;
        return r < 0 ? r : sd_event_set_watchdog(d->event, true);
}

static void tell(Daemon *d, uint64_t now) {
        d->turn.told_usec = now;
        (void)sd_notify(0, "WATCHDOG=1");
}

/* WATCHDOG_USEC= holds until the next one, or the next start. */
static void wait_for(Daemon *d, uint64_t usec) {
        d->turn.is_large = usec != d->turn.watchdog_usec;
        (void)sd_notifyf(0, "WATCHDOG_USEC=%" PRIu64, usec);
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
                tell(d, now);
        }
        if (now - d->turn.since_usec > TURN_MAX_USEC)
                return;
        is_large = to_send * USEC_PER_SEC / USUAL_RATE > d->turn.watchdog_usec;
        if (is_large)
                wait_for(d, d->turn.watchdog_usec + to_send * USEC_PER_SEC / SLOW_RATE);
        if (is_large || now - d->turn.told_usec >= d->turn.watchdog_usec / SIGNS)
                tell(d, now);
}
