/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/daemon.h"

#include <inttypes.h>
#include <stdarg.h>
#include <syslog.h>
#include <time.h>

static uint64_t realtime_usec(void) {
        struct timespec t = {0};

        (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

#define FIELDS_MAX 16

/* A journal that cannot be spoken to stands for none; one that does not read is left alone: what
 * leads to it from standard error would be waited for. */
static int send_line(const Daemon *d, int priority, const JournalField *line, size_t n) {
        int r = d->has_journal ? journal_send(JOURNAL_SOCKET, line, n) : -ENOENT;

        return r < 0 && r != -EAGAIN ? journal_print(priority, line[0].value) : r;
}

static int tell_of_unread(const Daemon *d, int priority, const JournalField *first, size_t n) {
        JournalField line[FIELDS_MAX];
        char text[128];

        if (d->n_unread == 0)
                return 0;
        (void)snprintf(text, sizeof(text),
                       "%" PRIu64 " lines are missing here: nobody read what ringwalld said; "
                       "see `ringwall events`",
                       d->n_unread);
        memcpy(line, first, n * sizeof(*line));
        line[0].value = text;
        return send_line(d, priority, line, n);
}

void daemon_write(
        Daemon *d, int priority, const char *text, const JournalField *more, size_t n_more) {
        const char number[] = {(char)('0' + priority), '\0'};
        JournalField line[FIELDS_MAX] = {
                {"MESSAGE", text}, {"PRIORITY", number}, {"SYSLOG_IDENTIFIER", "ringwalld"}};
        const size_t n_first = 3;
        int r = tell_of_unread(d, priority, line, n_first);

        if (r == 0)
                d->n_unread = 0;
        n_more = MIN(n_more, FIELDS_MAX - n_first);
        if (n_more > 0)
                memcpy(line + n_first, more, n_more * sizeof(*line));
        if (r < 0 || send_line(d, priority, line, n_first + n_more) < 0)
                d->n_unread++;
}

void daemon_say(Daemon *d, int priority, const char *format, ...) {
        char text[EVENT_TEXT_MAX];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        daemon_event(d, EVENT_NOTE, priority, "%s", text);
}

void daemon_say_all(Daemon *d, const Diag *diag) {
        for (size_t i = 0; i < diag->n_messages; i++) {
                const DiagMessage *m = &diag->messages[i];

                daemon_say(d, m->severity == DIAG_ERROR ? LOG_ERR : LOG_WARNING, "%s%s%s", m->text,
                           m->hint ? "; " : "", m->hint ? m->hint : "");
        }
}

uint64_t daemon_now(void) {
        return realtime_usec();
}
