/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <syslog.h>

#include "base/text.h"
#include "daemon/change.h"

/* What happens is told to the journal (without one, to standard error), to the chained log in the
 * state directory, and to `status`. */

#define ANSWER_MAX 1000 /* events of one answer */

int events_start(Daemon *d) {
        _cleanup_close_ int folder = open(d->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *diag = a ? diag_new(a) : NULL;
        int r = !diag ? -ENOMEM : folder < 0 ? -errno : event_log_open(folder, &d->log_file, diag);

        d->has_journal = journal_is_there();
        if (r < 0)
                daemon_say(d, LOG_WARNING, "the log of events cannot be written: %s", strerror(-r));
        for (size_t i = 0; diag && i < diag->n_messages; i++)
                daemon_event(d, EVENT_TAMPERED, LOG_ALERT, "%s", diag->messages[i].text);
        return 0; /* whatever becomes of it, the rules come first */
}

void events_stop(Daemon *d) {
        event_log_close(&d->log_file);
}

void events_reopen(Daemon *d) {
        int folder = open(d->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (folder < 0)
                return;
        event_log_close(&d->log_file);
        d->log_file.folder = folder;
}

static void write_down(Daemon *d, const DaemonEvent *e, uint64_t *ret_number) {
        Event event = {.time_usec = e->realtime_usec, .kind = e->kind, .text = e->text};
        char text[EVENT_TEXT_MAX];
        int r;

        if (d->log_file.folder < 0)
                return;
        r = event_log_append(&d->log_file, &event);
        if (r < 0 && !d->log_failed) {
                (void)snprintf(text, sizeof(text), "the log of events cannot be written: %s",
                               strerror(-r));
                daemon_write(d, LOG_WARNING, text, NULL, 0);
        }
        d->log_failed = r < 0;
        *ret_number = event.number;
}

static json_t *event_json(const Event *e) {
        return json_pack("{s:I, s:I, s:s, s:s}", "number", (json_int_t)e->number, "time",
                         (json_int_t)e->time_usec, "kind", event_kind_to_string(e->kind), "text",
                         e->text);
}

static void tell_followers(Daemon *d, const DaemonEvent *e, uint64_t number) {
        const Event event = {number, e->realtime_usec, e->kind, e->text};

        /* a call that cannot be answered any more goes by itself */
        for (size_t i = 0; i < d->n_event_followers; i++)
                (void)rpc_call_notify(d->event_followers[i],
                                      json_pack("{s:[o]}", "events", event_json(&event)));
}

/* Half a character is none. */
static void cut_off(char *text) {
        size_t n = strlen(text);

        while (n > 0 && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
                n--;
        if (n > 0 && (unsigned char)text[n - 1] >= 0xc0)
                n--;
        text[n] = '\0';
}

void daemon_event(Daemon *d, EventKind kind, int priority, const char *format, ...) {
        DaemonEvent *e = &d->events[d->n_events++ % DAEMON_EVENTS_MAX];
        JournalField more[] = {{"MESSAGE_ID", event_kind_id(kind)},
                               {"RINGWALL_EVENT", event_kind_to_string(kind)},
                               {"RINGWALL_EVENT_NUMBER", NULL}};
        char buf[TEXT_NUMBER_MAX];
        uint64_t number = 0;
        va_list ap;

        e->realtime_usec = daemon_now();
        e->kind = kind;
        va_start(ap, format);
        if (vsnprintf(e->text, sizeof(e->text), format, ap) >= (int)sizeof(e->text))
                cut_off(e->text);
        va_end(ap);
        write_down(d, e, &number);
        tell_followers(d, e, number);
        more[2].value = text_from_number(number, buf);
        daemon_write(d, priority, e->text, more, ARRAY_SIZE(more));
}

static int read_events(Daemon *d, const EventsRequest *request, json_t **ret) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        size_t limit = request->limit > 0 ? (size_t)request->limit : ANSWER_MAX;
        json_t *events = json_array();
        EventList list = {0};
        size_t first;
        int r = !a || !events            ? -ENOMEM
                : d->log_file.folder < 0 ? -ENOENT
                                         : event_log_read(d->log_file.folder, a, &list);

        if (r < 0 && r != -ENOENT) {
                json_decref(events);
                return r;
        }
        /* the latest ones of what is asked for */
        first = list.n_items;
        while (first > 0 && list.n_items - first < limit &&
               list.items[first - 1].number > (uint64_t)request->after &&
               list.items[first - 1].time_usec >= (uint64_t)request->since)
                first--;
        for (size_t i = first; i < list.n_items; i++)
                (void)json_array_append_new(events, event_json(&list.items[i]));
        *ret = json_pack("{s:o}", "events", events);
        return *ret ? 0 : -ENOMEM;
}

static void follower_gone(RpcCall *call, void *userdata) {
        Daemon *d = userdata;

        for (size_t i = 0; i < d->n_event_followers; i++)
                if (d->event_followers[i] == call) {
                        d->event_followers[i] = d->event_followers[--d->n_event_followers];
                        return;
                }
}

int request_events(Daemon *d, RpcCall *call, const EventsRequest *request) {
        json_t *first = NULL;
        int r = read_events(d, request, &first);

        if (r < 0)
                return r;
        if (!rpc_call_wants_more(call))
                return rpc_call_reply(call, first);
        if (d->n_event_followers == DAEMON_FOLLOWERS_MAX) {
                json_decref(first);
                return rpc_call_fail(call, "%d follow already", DAEMON_FOLLOWERS_MAX);
        }
        d->event_followers[d->n_event_followers++] = call;
        rpc_call_defer(call, follower_gone, d);
        return rpc_call_notify(call, first);
}
