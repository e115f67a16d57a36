/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <syslog.h>

#include "base/file.h"
#include "base/text.h"
#include "daemon/change.h"
#include "guard/boot.h"
#include "guard/drift.h"
#include "guard/who.h"

/* What happened while ringwalld did not run. As long as something is in force a file says so, of
 * which boot that is and of which version; whoever is told to end writes there when that was. So
 * the next one knows whether the last was killed, and whether rules that differ were changed by
 * others: at a boot there are none, and after an upgrade they may be compiled otherwise. */

#define FILE_NAME "running"
#define FILE_SIZE_MAX 512
#define STILL_RUNS "runs"

static int open_folder(const Daemon *d) {
        return open(d->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Without it less is told of, and nothing else is lost. */
static void write_file(Daemon *d, const char *how) {
        _cleanup_close_ int folder = open_folder(d);
        char text[FILE_SIZE_MAX];
        int n = snprintf(text, sizeof(text), "%s %s %s\n", d->boot, RINGWALL_VERSION, how);

        if (folder >= 0 && n > 0 && n < (int)sizeof(text))
                (void)file_replace(folder, FILE_NAME, text, (size_t)n);
}

void absence_note(Daemon *d, bool in_force) {
        _cleanup_close_ int folder = -1;

        if (d->is_noted == in_force)
                return;
        d->is_noted = in_force;
        if (in_force) {
                write_file(d, STILL_RUNS);
                return;
        }
        folder = open_folder(d);
        if (folder >= 0)
                (void)file_remove(folder, FILE_NAME);
}

void absence_keep(Daemon *d) {
        _cleanup_close_ int folder = d->is_noted ? open_folder(d) : -1;

        if (folder >= 0 && faccessat(folder, FILE_NAME, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                write_file(d, STILL_RUNS);
}

void absence_begin(Daemon *d, pid_t by) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const Tree tree = {.arena = a, .root = ""};
        const char *text = NULL;
        char when[32];
        Who who;

        if (!d->is_noted)
                return;
        (void)snprintf(when, sizeof(when), "%" PRIu64, boot_now(d->boot).boottime_usec);
        write_file(d, when);
        if (a && by > 0 && who_read_process(&tree, by, &who) == 0)
                text = who_describe(a, &who);
        daemon_event(d, EVENT_NOTE, LOG_NOTICE,
                     "ringwalld ends, as it was told to by %s: its rules stay, and until it runs "
                     "again nobody watches over them",
                     text ? text : "somebody unknown");
}

/* Whether something was in force in this boot; how: the file's last word. */
static bool read_file(const Daemon *d, Arena *a, bool *ret_is_same, const char **ret_how) {
        _cleanup_close_ int folder = open_folder(d);
        _cleanup_close_ int fd =
                folder < 0 ? -1 : openat(folder, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        char *text, *version, *how;
        size_t size;

        if (fd < 0 || file_read_fd(a, fd, FILE_SIZE_MAX, &text, &size) < 0)
                return false;
        text[strcspn(text, "\n")] = '\0';
        version = strchr(text, ' ');
        how = version ? strchr(version + 1, ' ') : NULL;
        if (!how)
                return false;
        *version++ = '\0';
        *how++ = '\0';
        *ret_is_same = streq(version, RINGWALL_VERSION);
        *ret_how = how;
        return streq(text, d->boot);
}

void absence_find(Daemon *d, Arena *a, Absence *ret) {
        uint64_t now = boot_now(d->boot).boottime_usec, since;
        const char *how;
        bool is_same;

        *ret = (Absence){0};
        if (!read_file(d, a, &is_same, &how))
                return;
        absence_note(d, true);
        ret->is_known = true;
        ret->was_killed = streq(how, STILL_RUNS);
        if (!ret->was_killed && text_to_number(how, 0, UINT64_MAX, &since) && since <= now)
                ret->usec = now - since;
        /* a panic may have ended meanwhile */
        d->engine.keeps_found = is_same && !panic_is_written(d);
}

/* Of one that ends again and again: the first time, and then as often as twice as many were. */
static bool is_worth_telling(const Starts *s, uint64_t now) {
        return !starts_are_late(s, now) || (s->n_late & (s->n_late - 1)) == 0;
}

static void tell_absence(Daemon *d, const Absence *absence) {
        uint64_t now = starts_now();

        if (!is_worth_telling(&d->starts, now))
                return;
        if (absence->was_killed && starts_are_late(&d->starts, now))
                daemon_event(d, EVENT_FAILURE, LOG_CRIT,
                             "ringwalld was killed, or it crashed or hung, again and again: it is "
                             "started no more often than every %d s until it stays, and meanwhile "
                             "nobody watches over the rules; journalctl -u ringwalld",
                             (int)(STARTS_USEC / 1000000));
        else if (absence->was_killed)
                daemon_event(
                        d, EVENT_FAILURE, LOG_WARNING,
                        "ringwalld was killed, or it crashed or hung, and runs again: meanwhile "
                        "nobody watched over the rules");
        else
                daemon_event(d, EVENT_NOTE, LOG_NOTICE,
                             "ringwalld runs again: for %" PRIu64 ".%" PRIu64
                             " s nobody watched over the rules",
                             absence->usec / 1000000, absence->usec / 100000 % 10);
}

/* What was found before it was put right. */
static void tell_drift(Daemon *d, Arena *a) {
        const Ruleset *found = d->engine.found;
        const char *what;

        if (!found || !d->engine.desired || engine_is_as_desired(&d->engine, found))
                return;
        what = drift_describe(a, found, d->engine.desired);
        daemon_event(d, EVENT_DRIFT, LOG_ALERT,
                     "the rules were not as they should be when ringwalld came back, and are put "
                     "right now: %s; by somebody unknown, as nobody watched",
                     what ? what : "something");
}

void absence_end(Daemon *d, Arena *a, const Absence *absence) {
        if (absence->is_known) {
                tell_absence(d, absence);
                tell_drift(d, a);
        }
        d->engine.keeps_found = false;
        engine_forget_found(&d->engine);
}
