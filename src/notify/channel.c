/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "notify/channel.h"

#include <fcntl.h>
#include <syslog.h>

#include "base/file.h"
#include "base/text.h"

void channel_open(Channel *c, int folder) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        _cleanup_close_ int fd = openat(folder, c->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        uint64_t number = 0;
        size_t size = 0;
        char *text = NULL;

        c->is_new = true;
        if (!a || fd < 0 || file_read_fd(a, fd, TEXT_NUMBER_MAX, &text, &size) < 0)
                return;
        if (size > 0 && text[size - 1] == '\n')
                text[size - 1] = '\0';
        if (!text_to_number(text, 0, INT64_MAX, &number))
                return;
        c->is_new = false;
        c->written = number;
        alert_queue_start(&c->queue, number);
}

void channel_begin(Channel *c, uint64_t last) {
        if (c->is_new) {
                alert_queue_start(&c->queue, last);
                c->written = UINT64_MAX; /* nothing is */
        }
        if (last > 0 && last < c->queue.received)
                alert_queue_start(&c->queue, 0);
        c->is_new = false;
}

void channel_set_target(Channel *c, char *target) {
        if (!streq_null(c->target, target))
                c->n_failures = 0;
        free(c->target);
        c->target = target;
        if (!target)
                alert_queue_clear(&c->queue);
}

void channel_save(Channel *c, int folder) {
        uint64_t position = alert_queue_position(&c->queue);
        char buf[TEXT_NUMBER_MAX], line[TEXT_NUMBER_MAX + 1];
        int r;

        if (position == c->written || c->is_new)
                return;
        (void)snprintf(line, sizeof(line), "%s\n", text_from_number(position, buf));
        r = file_replace(folder, c->name, line, strlen(line));
        if (r < 0 && !c->is_unwritable)
                fprintf(stderr, "<%d>how far %s has come cannot be written: %s\n", LOG_WARNING,
                        c->name, strerror(-r));
        c->is_unwritable = r < 0;
        c->written = position;
}

void channel_report(Channel *c, const char *failure) {
        if (failure && c->n_failures++ == 0)
                fprintf(stderr, "<%d>%s: an event could not be told: %s\n", LOG_WARNING, c->name,
                        failure);
        if (!failure && c->n_failures > 0)
                fprintf(stderr, "<%d>%s: events are told again, after %u failures\n", LOG_NOTICE,
                        c->name, c->n_failures);
        if (!failure)
                c->n_failures = 0;
}
