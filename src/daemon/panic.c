/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <syslog.h>

#include "base/file.h"
#include "base/text.h"
#include "daemon/caller.h"
#include "daemon/change.h"
#include "daemon/entry.h"
#include "guard/boot.h"
#include "guard/cut.h"
#include "guard/lockdown.h"

/* Everything but the rescue path is cut, at once, until it is taken back: the lockdown in the place
 * of what would be in force. That goes on to be decided meanwhile, and comes back as it is then: a
 * change that nobody confirms is undone without a packet noticing.
 *
 * A file says so before the kernel is told, so that neither a restart nor a reboot ends it. */

#define FILE_NAME "panic"
#define FILE_SIZE_MAX 256
#define FOREVER UINT64_MAX

typedef struct PanicFile {
        uint64_t realtime_usec; /* when it ends; FOREVER */
        uint64_t duration_usec; /* that was asked for */
        uint64_t since_usec;    /* when it was written; 0: not known */
} PanicFile;

static int open_folder(const Daemon *d) {
        int fd = open(d->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

static int write_file(const Daemon *d, uint64_t duration_usec) {
        _cleanup_close_ int folder = open_folder(d);
        uint64_t end = duration_usec == FOREVER ? FOREVER : daemon_now() + duration_usec;
        char text[FILE_SIZE_MAX];
        int size = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 "\n", end, duration_usec);

        return folder < 0 ? folder : file_replace(folder, FILE_NAME, text, (size_t)size);
}

static int remove_file(const Daemon *d) {
        _cleanup_close_ int folder = open_folder(d);

        return folder < 0 ? folder : file_remove(folder, FILE_NAME);
}

/* What cannot be read stands for a panic without an end. -ENOENT if there is none. */
static int read_file(const Daemon *d, PanicFile *ret) {
        _cleanup_close_ int folder = open_folder(d);
        _cleanup_close_ int fd =
                folder < 0 ? -1 : openat(folder, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        char *text, *space;
        struct stat st;
        size_t size;

        if (fd < 0 && errno == ENOENT)
                return -ENOENT;
        *ret = (PanicFile){FOREVER, FOREVER, 0};
        if (fd >= 0 && fstat(fd, &st) == 0)
                ret->since_usec =
                        (uint64_t)st.st_mtim.tv_sec * 1000000 + (uint64_t)st.st_mtim.tv_nsec / 1000;
        if (fd < 0 || !a || file_read_fd(a, fd, FILE_SIZE_MAX, &text, &size) < 0)
                return 0;
        space = strchr(text, ' ');
        if (!space)
                return 0;
        *space++ = '\0';
        space[strcspn(space, "\n")] = '\0';
        if (!text_to_number(text, 0, FOREVER, &ret->realtime_usec) ||
            !text_to_number(space, 1, FOREVER, &ret->duration_usec))
                ret->realtime_usec = ret->duration_usec = FOREVER;
        return 0;
}

/* ---- the end */

static int end_panic(Daemon *d, const char *why) {
        int r;

        d->panic.is_on = false;
        r = change_put_again(d);
        if (r < 0) {
                /* whatever the kernel took of it: the lockdown is what goes on, and what is said to
                 */
                d->panic.is_on = true;
                (void)entry_put_lockdown(
                        d); /* if it fails, status says that something else holds */
                return r;
        }
        d->panic.timer = sd_event_source_disable_unref(d->panic.timer);
        r = remove_file(d);
        if (r < 0)
                daemon_say(d, LOG_ERR,
                           "%s/" FILE_NAME " cannot be removed: %s: the panic would come "
                           "back when ringwalld is started",
                           d->state_dir, strerror(-r));
        daemon_event(d, EVENT_PANIC, LOG_WARNING, "panic is over: %s%s%s", why,
                     d->by ? ", by " : "", d->by ? d->by : "");
        return 0;
}

#define RETRY_USEC UINT64_C(5000000)

static int on_end(sd_event_source *s, uint64_t usec, void *userdata) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Daemon *d = userdata;
        int r;

        d->diag = a ? diag_new(a) : NULL;
        r = d->diag ? end_panic(d, "its time is up") : -ENOMEM;
        if (r < 0) {
                if (d->diag)
                        daemon_say_all(d, d->diag);
                daemon_say(d, LOG_ERR, "panic cannot be ended, and it is tried again: %s",
                           strerror(-r));
                (void)panic_end_in(d, RETRY_USEC);
        }
        d->diag = NULL;
        return 0;
}

int panic_end_in(Daemon *d, uint64_t usec) {
        ConfirmNow now = boot_now(d->boot);
        int r;

        d->panic.timer = sd_event_source_disable_unref(d->panic.timer);
        d->panic.end_usec = FOREVER;
        if (usec == FOREVER)
                return 0;
        d->panic.end_usec = now.boottime_usec + usec;
        /* CLOCK_BOOTTIME goes on while the machine sleeps, and nobody can set it */
        r = sd_event_add_time(d->event, &d->panic.timer, CLOCK_BOOTTIME, d->panic.end_usec, 100000,
                              on_end, d);
        return r < 0 ? r : 0;
}

/* ---- the beginning */

static int cut_everything(Daemon *d, size_t *ret_n) {
        CutCounts counts = {0};
        int r = d->engine.desired ? cut_all(d->engine.desired, LOCKDOWN_MARK, &counts) : 0;

        *ret_n = counts.n_cut;
        if (r < 0)
                daemon_say(d, LOG_ERR, "open connections could not all be looked at: %s",
                           strerror(-r));
        return r;
}

void panic_cut(Daemon *d) {
        size_t n;

        (void)cut_everything(d, &n);
}

bool panic_is_written(const Daemon *d) {
        PanicFile file;

        return read_file(d, &file) != -ENOENT;
}

void panic_start(Daemon *d) {
        uint64_t now = daemon_now(), left;
        PanicFile file;

        if (read_file(d, &file) == -ENOENT)
                return;
        if (file.realtime_usec <= now && file.realtime_usec != FOREVER) {
                (void)remove_file(d); /* if it stays, it has still ended */
                return;
        }
        /* a clock that was set back makes it no longer than was asked for */
        left = file.realtime_usec == FOREVER ? FOREVER
                                             : MIN(file.realtime_usec - now, file.duration_usec);
        d->panic.is_on = true;
        d->since_usec = file.since_usec;
        if (panic_end_in(d, left) < 0)
                d->panic.end_usec = FOREVER;
        daemon_event(d, EVENT_PANIC, LOG_CRIT, "panic goes on: only those who may rescue come in");
}

/* Whether whoever asks could come in again. */
static int check_way(Daemon *d, Arena *a, const PanicRequest *q, json_t *reply, RequestFailure *f) {
        json_t *ways = json_array();
        const char *text = NULL;
        Caller caller;
        bool locked_out;
        Ruleset *rs;
        int r;

        (void)json_object_set_new(reply, "ways", ways);
        r = lockdown_make(d->store, &d->engine.features, a, &rs, d->diag);
        if (r == 0) {
                (void)json_object_set_new(reply, "rescue", json_boolean(lockdown_admits(rs)));
                r = caller_read(a, q->peer, &caller);
        }
        if (r == 0)
                d->by = caller_describe(a, q->peer, &caller);
        if (r == 0)
                r = caller_check_ways(&caller, a, rs, NULL, ways, &locked_out, &text);
        if (r == 0 && locked_out && !q->has_console)
                return request_fail(f, RPC_INTERFACE ".WouldLockOut",
                                    "%s; --i-have-console insists", text);
        return r;
}

/* Whoever asks for one that is on already gives it another end. */
static void tell_begun(Daemon *d, bool was_on, size_t n_cut) {
        char end[64] = "on demand";

        if (d->panic.end_usec != FOREVER)
                (void)snprintf(end, sizeof(end), "in %lld s", (long long)panic_seconds(d));
        daemon_event(d, EVENT_PANIC, LOG_CRIT,
                     "%s%s; it ends %s; %zu open connections were cut; by %s",
                     was_on ? "panic was on already: " : "panic: ",
                     was_on ? "it is asked for again" : "only those who may rescue come in", end,
                     n_cut, d->by ? d->by : "somebody");
}

/* What shuts this host holds the lockdown at once, whatever becomes of the table of the rules. */
static int put_lockdown(Daemon *d, bool *ret_is_beside) {
        int r;

        d->engine.stands_beside = d->drift.is_shut_ours && pace_is_shut(&d->drift.pace);
        r = entry_put_lockdown(d);
        if (r == -EBADMSG && engine_learn(&d->engine))
                r = entry_put_lockdown(d);
        *ret_is_beside = d->engine.stands_beside && (r == -EPERM || r == -EAGAIN);
        d->engine.stands_beside = false;
        return r;
}

static int
begin_panic(Daemon *d, Arena *a, const PanicRequest *q, json_t *reply, RequestFailure *f) {
        uint64_t duration = q->seconds > 0 ? (uint64_t)q->seconds * 1000000 : FOREVER;
        bool was_on = d->panic.is_on, is_beside;
        size_t n_cut = 0;
        int r = check_way(d, a, q, reply, f);

        if (r < 0)
                return r;
        r = write_file(d, duration);
        if (r < 0)
                return request_fail(f, RPC_INTERFACE ".NotArmed",
                                    "it cannot be written down; nothing has changed");
        d->panic.is_on = true;
        r = put_lockdown(d, &is_beside);
        /* what the kernel took, and was not read back as it should be, is not "nothing": it stays,
         * is put right when it is compared, and until then status says that something else holds */
        if (r < 0 && r != -EIO && !is_beside) {
                d->panic.is_on = was_on;
                if (!was_on)
                        (void)remove_file(d); /* it would only come at the next start */
                return request_fail(f, RPC_INTERFACE ".KernelRefused",
                                    "the kernel did not take it; nothing has changed");
        }
        if (r < 0)
                daemon_say_all(d, d->diag);
        engine_keep_tracking(&d->engine);
        d->since_usec = daemon_now();
        (void)panic_end_in(d, duration); /* without a timer it goes on until it is ended */
        (void)cut_everything(d, &n_cut);
        tell_begun(d, was_on, n_cut);
        (void)json_object_set_new(reply, "cut", json_integer((json_int_t)n_cut));
        return 0;
}

int request_panic(Daemon *d, const PanicRequest *q, json_t **ret, RequestFailure *f) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        json_t *reply = json_object();
        Caller caller;
        int r;

        d->by = NULL;
        d->diag = a ? diag_new(a) : NULL;
        if (!d->diag || !reply)
                r = -ENOMEM;
        else if (q->on)
                r = begin_panic(d, a, q, reply, f);
        else if (!d->panic.is_on)
                r = 0;
        else {
                if (caller_read(a, q->peer, &caller) == 0) /* it ends whoever it is */
                        d->by = caller_describe(a, q->peer, &caller);
                r = end_panic(d, "on demand");
                if (r < 0 && r != -ENOMEM)
                        r = request_fail(f, RPC_INTERFACE ".KernelRefused",
                                         "what should be in force could not be put there: panic "
                                         "goes on");
        }
        d->diag = NULL;
        d->by = NULL;
        if (r < 0) {
                json_decref(reply);
                return r;
        }
        (void)json_object_set_new(reply, "on", json_boolean(d->panic.is_on));
        *ret = reply;
        return 0;
}

/* Seconds until it ends; 0: only on demand. */
json_int_t panic_seconds(const Daemon *d) {
        ConfirmNow now = boot_now(d->boot);

        if (d->panic.end_usec == FOREVER || d->panic.end_usec <= now.boottime_usec)
                return 0;
        return (json_int_t)((d->panic.end_usec - now.boottime_usec + 999999) / 1000000);
}

void panic_stop(Daemon *d) {
        d->panic.timer = sd_event_source_disable_unref(d->panic.timer);
}
