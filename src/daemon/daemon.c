/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/daemon.h"

#include <stdarg.h>
#include <syslog.h>
#include <time.h>

static uint64_t realtime_usec(void) {
        struct timespec t = {0};

        (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
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
