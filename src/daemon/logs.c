/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/epoll.h>
#include <syslog.h>

#include "base/text.h"
#include "daemon/daemon.h"
#include "nft/log.h"
#include "ruleset/ruleset.h"

/* What rules with `log` tell goes to the journal, with fields to search by; without a journal, to
 * standard error. How much it can be is the rules' own limit. */

#define MESSAGE_ID "5d1c3f0e8a8d4f0fb5b4d5f6ac2e9b7d"

static void write_line(const LogLine *line, void *to) {
        Daemon *d = to;
        char text[LOG_TEXT_MAX], message[LOG_TEXT_MAX + sizeof(line->prefix) + 2];
        char source[ADDRESS_TEXT_MAX] = "", destination[ADDRESS_TEXT_MAX] = "";
        char port[TEXT_NUMBER_MAX], protocol[TEXT_NUMBER_MAX];
        const JournalField more[] = {
                {"MESSAGE_ID", MESSAGE_ID},
                {"RINGWALL_RULE", line->prefix},
                {"RINGWALL_SOURCE", source},
                {"RINGWALL_DESTINATION", destination},
                {"RINGWALL_DESTINATION_PORT", text_from_number(line->destination_port, port)},
                {"RINGWALL_PROTOCOL", text_from_number(line->protocol, protocol)},
                {"RINGWALL_IN", line->in},
                {"RINGWALL_OUT", line->out}};

        (void)log_describe(line, text);
        (void)snprintf(message, sizeof(message), "%s: %s", line->prefix, text);
        if (line->has_addresses) {
                (void)address_print(line->family, line->source, source);
                (void)address_print(line->family, line->destination, destination);
        }
        /* a line that cannot be written is not worth more than the packet that it tells of */
        daemon_write(d, LOG_INFO, message, more, ARRAY_SIZE(more));
}

static int on_log(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Daemon *d = userdata;
        bool lost;
        int r = log_read(fd, write_line, d, &lost);

        if (r < 0) {
                daemon_say(d, LOG_WARNING, "log lines cannot be read any more: %s", strerror(-r));
                (void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
        }
        return 0;
}

/* Without log lines everything else goes on. */
int logs_start(Daemon *d) {
        int r = log_open(RULESET_LOG_GROUP, false, &d->log_fd);

        if (r < 0) {
                daemon_say(d, LOG_WARNING,
                           "what rules log cannot be read (netlink log group %d): %s",
                           RULESET_LOG_GROUP, r == -EBUSY ? "another program does" : strerror(-r));
                return 0;
        }
        r = sd_event_add_io(d->event, &d->log, d->log_fd, EPOLLIN, on_log, d);
        return r < 0 ? r : sd_event_source_set_priority(d->log, SD_EVENT_PRIORITY_IDLE);
}

void logs_stop(Daemon *d) {
        d->log = sd_event_source_disable_unref(d->log);
        if (d->log_fd >= 0)
                (void)close(d->log_fd); /* only read */
        d->log_fd = -1;
}
