/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <syslog.h>

#include "daemon/change.h"
#include "guard/cut.h"

/* Connections through this host from before there was a rule that needs conntrack: it learns of
 * each with its next packet, so one that is silent while the others are cut is met later, perhaps
 * with what its server says, which may be admitted as a connection of the server's own. So those
 * that it knows from amidst are looked at again, each time after twice as long: none goes on for
 * much longer than it had been silent. To be told of each by the kernel would cost for every
 * connection.
 */

#define SLACK(usec) ((usec) / 2) /* mostly it is done when something else is */
/* conntrack forgets what is silent for so long */
#define LAST_USEC (UINT64_C(5) * 24 * 3600 * 1000000)

static int look(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;
        CutCounts counts = {0};

        /* until a change is confirmed what was open before stays, and then all is looked at */
        if (d->engine.desired && d->settings.cut_denied && !d->confirm.is_pending &&
            !d->panic.is_on) {
                turn_step(d, 0);
                /* what could not be looked at is, the next time */
                (void)cut_amidst(d->engine.desired, d->settings.mark, &counts);
                turn_step(d, 0);
        }
        if (counts.n_cut > 0)
                daemon_event(d, EVENT_CUT, LOG_NOTICE,
                             "%zu connections from before the policy, silent until now, are not "
                             "admitted and were cut",
                             counts.n_cut);
        amidst_begin(d, 2 * d->amidst.usec);
        return 0;
}

void amidst_begin(Daemon *d, uint64_t usec) {
        amidst_stop(d);
        if (usec > LAST_USEC)
                return;
        d->amidst.usec = usec;
        (void)sd_event_add_time_relative(d->event, &d->amidst.timer, CLOCK_BOOTTIME, usec,
                                         SLACK(usec), look, d);
}

void amidst_stop(Daemon *d) {
        d->amidst.timer = sd_event_source_disable_unref(d->amidst.timer);
}
