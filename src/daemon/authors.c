/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/authors.h"

#include <sys/epoll.h>
#include <sys/stat.h>
#include <syslog.h>

#include "daemon/claims.h"

#define FIRST_PID_NAMESPACE 0xEFFFFFFCU

void authors_note(DriftGuard *drift, const Commit *c) {
        size_t kept = MIN(drift->n_authors, (size_t)DRIFT_AUTHORS_MAX);
        DriftAuthor *last = kept > 0 ? &drift->authors[kept - 1] : NULL;

        if (last && last->pid == c->pid && strncmp(last->name, c->name, sizeof(c->name)) == 0) {
                last->last = c->generation;
                return;
        }
        drift->n_authors = MIN(drift->n_authors, (size_t)DRIFT_AUTHORS_MAX) + 1;
        if (kept == DRIFT_AUTHORS_MAX)
                return; /* counted, and not known */
        last = &drift->authors[kept];
        *last = (DriftAuthor){.pid = c->pid, .first = c->generation, .last = c->generation};
        memcpy(last->name, c->name, sizeof(last->name));
}

void authors_drop(DriftGuard *drift, size_t n) {
        size_t kept = MIN(drift->n_authors, (size_t)DRIFT_AUTHORS_MAX);

        n = MIN(n, kept);
        memmove(drift->authors, drift->authors + n, (kept - n) * sizeof(*drift->authors));
        drift->n_authors = kept - n;
}

/* What the lookout has seen; if it was not quick enough for so many, what is still to be seen. */
static const char *describe(Daemon *d, Arena *a, const DriftAuthor *author) {
        const Tree tree = {.arena = a, .root = ""};
        Who who = {.login_uid = WHO_UNKNOWN_LOGIN};
        Commit commit = {.pid = author->pid};
        Sshd sshd;

        memcpy(commit.name, author->name, sizeof(commit.name));
        memcpy(who.name, author->name, sizeof(who.name));
        if (d->drift.sees_pids &&
            !(d->drift.lookout && lookout_find(d->drift.lookout, author->first, a, &who)))
                (void)who_read(&tree, &commit, &who); /* else it stays unknown */
        who_find_login(a, &who);
        if (who.known && sshd_read(&tree, &sshd) >= 0)
                (void)who_find_connection(&tree, &sshd, &who);
        return who_describe(a, &who);
}

const char *authors_describe(Daemon *d, Arena *a, uint32_t generation) {
        DriftGuard *drift = &d->drift;
        bool more = drift->n_authors > DRIFT_AUTHORS_MAX;
        size_t n = 0;
        const char *text = NULL;

        while (n < MIN(drift->n_authors, (size_t)DRIFT_AUTHORS_MAX) &&
               !generation_is_after(drift->authors[n].first, generation)) {
                const char *one = describe(d, a, &drift->authors[n]);

                if (one)
                        text = text ? arena_printf(a, "%s, and %s", text, one) : one;
                if (generation_is_after(drift->authors[n].last, generation)) { /* and went on */
                        drift->authors[n].first = generation + 1;
                        break;
                }
                n++;
        }
        if (more)
                text = arena_printf(a, "%s, and others", text ? text : "somebody");
        authors_drop(drift, n);
        return text ? text : "somebody unknown";
}

/* The kernel tells the numbers of the first process namespace, whose inode is fixed
 * (PROC_PID_INIT_INO, include/linux/proc_ns.h); in another one they would be other processes'. */
static bool sees_pids(void) {
        struct stat st;

        return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == FIRST_PID_NAMESPACE;
}

void authors_take_legacy(Daemon *d) {
        SuspectChange change;

        while (d->drift.lookout && lookout_take(d->drift.lookout, &change))
                claims_note_legacy(d, &change);
}

static int on_legacy(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        authors_take_legacy(userdata);
        return 0;
}

void authors_start(Daemon *d) {
        DriftGuard *drift = &d->drift;
        int r;

        drift->sees_pids = sees_pids();
        if (!drift->sees_pids)
                return;
        r = lookout_new(&drift->lookout);
        if (r == 0)
                r = sd_event_add_io(d->event, &drift->legacy, lookout_fd(drift->lookout), EPOLLIN,
                                    on_legacy, d);
        if (r < 0)
                daemon_say(d, LOG_WARNING, "who changes the rules may be known too late");
}

void authors_stop(Daemon *d) {
        d->drift.legacy = sd_event_source_disable_unref(d->drift.legacy);
        d->drift.lookout = lookout_free(d->drift.lookout);
}
