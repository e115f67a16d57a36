/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <syslog.h>
#include <systemd/sd-daemon.h>

#include "daemon/daemon.h"

/* The netlink socket that owns the table waits in systemd's descriptor store while the daemon is
 * restarted, killed or upgraded (sd_pid_notify_with_fds(3)): nobody can adopt the table meanwhile.
 * Without systemd the table outlives the daemon as nobody's, and the next one compares it with what
 * was confirmed before it adopts it. */

#define NAME "nftables" /* of the descriptor in the store */

/* The socket that a daemon before this one has left; -1 if there is none. Closes all others. */
static int take(void) {
        char **names = NULL;
        int n = sd_listen_fds_with_names(1, &names), found = -1;

        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;

                if (found < 0 && streq(names[i], NAME))
                        found = fd;
                else
                        (void)close(fd);
        }
        for (int i = 0; i < n; i++)
                free(names[i]);
        free(names);
        return found;
}

int park_open(Daemon *d) {
        int fd = take(), r;

        if (fd >= 0) {
                r = engine_open_with(&d->engine, fd);
                d->was_parked = r == 0;
                if (r == 0)
                        return 0; /* it is in the store as well, and stays there */
                (void)close(fd);
                (void)turn_tell(d, MANAGER_FORGET, -1, "FDSTOREREMOVE=1\nFDNAME=" NAME);
        }
        r = engine_open(&d->engine);
        if (r == 0)
                park_leave(d);
        return r;
}

void park_leave(Daemon *d) {
        /* FDPOLL: what comes too fast for its buffer is an error to poll(2), and no reason to throw
         * the socket away */
        int r = turn_tell(d, MANAGER_KEEP, nft_link_fd(d->engine.link),
                          "FDSTORE=1\nFDNAME=" NAME "\nFDPOLL=0");

        if (r < 0)
                daemon_say(
                        d, LOG_WARNING,
                        "systemd does not keep the socket that owns the rules (%s), and is asked "
                        "again: while ringwalld restarts, other programs could change them",
                        r == -EAGAIN ? "it does not read what it is told" : strerror(-r));
}
