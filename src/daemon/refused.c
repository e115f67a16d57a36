/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <sys/epoll.h>
#include <syslog.h>

#include "daemon/change.h"

/* What the rules in force refuse, as far as the kernel shows it (ruleset/refused.h), is kept to be
 * asked for. */

#define FOLLOW_USEC (200 * UINT64_C(1000)) /* between two answers to whoever follows */

static void take_line(const LogLine *line, void *to) {
        Daemon *d = to;
        uint64_t now = daemon_now();
        Refusal refusal;
        Drop drop;

        if (!d->engine.desired || refusal_find(d->engine.desired, line, now * 1000, &refusal) <= 0)
                return;
        drop = drop_make(line, &refusal);
        drops_add(d->drops, &drop, now);
}

/* The timer is set once, not moved on by each further packet. */
static int wake_followers(Daemon *d) {
        int enabled = SD_EVENT_OFF, r;

        if (d->n_followers == 0 ||
            (sd_event_source_get_enabled(d->follow, &enabled) >= 0 && enabled != SD_EVENT_OFF))
                return 0;
        r = sd_event_source_set_time_relative(d->follow, FOLLOW_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(d->follow, SD_EVENT_ONESHOT);
}

static int on_sample(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Daemon *d = userdata;
        bool lost;
        int r = log_read(fd, take_line, d, &lost);

        if (r < 0) {
                daemon_say(d, LOG_WARNING, "what is refused cannot be read any more: %s",
                           strerror(-r));
                (void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
                d->sees_refused = false;
        }
        return wake_followers(d);
}

/* ---- answers */

static const char *source_text(const Drop *drop, char *buf, size_t size) {
        unsigned int whole = drop->family == FAMILY_IPV4 ? 32 : 128;
        char address[ADDRESS_TEXT_MAX];

        (void)address_print(drop->family, drop->source, address);
        if (drop->prefix == whole)
                (void)snprintf(buf, size, "%s", address);
        else
                (void)snprintf(buf, size, "%s/%u", address, drop->prefix);
        return buf;
}

static json_t *json_protocol(uint8_t protocol) {
        const char *name = protocol_to_string(protocol);

        return name ? json_string(name) : json_sprintf("%u", protocol);
}

static void add_text(json_t *object, const char *key, const char *text) {
        if (*text)
                (void)json_object_set_new(object, key, json_string(text));
}

static void add_addresses(json_t *object, const Drop *drop) {
        bool icmp = drop->protocol == IPPROTO_ICMP || drop->protocol == IPPROTO_ICMPV6;
        char text[ADDRESS_TEXT_MAX + 4];

        add_text(object, "from", source_text(drop, text, sizeof(text)));
        if (drop->has_dialled)
                add_text(object, "to", address_print(drop->family, drop->destination, text));
        if (drop->has_port)
                (void)json_object_set_new(object, icmp ? "type" : "port", json_integer(drop->port));
        if (!drop->translated)
                return;
        add_text(object, "target", address_print(drop->family, drop->target, text));
        if (drop->target_port > 0)
                (void)json_object_set_new(object, "targetPort", json_integer(drop->target_port));
}

static json_t *json_drop(const Drop *drop) {
        json_t *object = json_pack(
                "{s:I, s:I, s:I, s:I, s:s, s:o, s:s}", "number", (json_int_t)drop->number, "count",
                (json_int_t)drop->count, "first", (json_int_t)drop->first_usec, "last",
                (json_int_t)drop->last_usec, "section", section_id_to_string(drop->section),
                "protocol", json_protocol(drop->protocol), "kind",
                refusal_kind_to_string(drop->kind));

        add_addresses(object, drop);
        if (drop->has_user)
                (void)json_object_set_new(object, "user", json_integer(drop->user));
        add_text(object, "in", drop->in);
        add_text(object, "out", drop->out);
        add_text(object, "by", drop->by);
        return object;
}

typedef struct Answer {
        json_t *drops;
        size_t limit;
} Answer;

static bool add_drop(const Drop *drop, void *to) {
        Answer *answer = to;

        if (json_array_size(answer->drops) == answer->limit)
                return false;
        return json_array_append_new(answer->drops, json_drop(drop)) == 0;
}

static json_t *answer_since(const Daemon *d, uint64_t since, size_t limit) {
        Answer answer = {.drops = json_array(), .limit = limit};

        drops_each(d->drops, since, add_drop, &answer);
        return json_pack("{s:o, s:I, s:I, s:I, s:b}", "drops", answer.drops, "number",
                         (json_int_t)drops_number(d->drops), "began",
                         (json_int_t)d->drops_began_usec, "forgotten",
                         (json_int_t)drops_forgotten(d->drops), "watching",
                         d->sees_refused && d->engine.reports_refused);
}

/* ---- who follows */

static void remove_follower(Daemon *d, size_t i) {
        d->followers[i] = d->followers[--d->n_followers];
}

static void follower_gone(RpcCall *call, void *userdata) {
        Daemon *d = userdata;

        for (size_t i = 0; i < d->n_followers; i++)
                if (d->followers[i].call == call) {
                        remove_follower(d, i);
                        return;
                }
}

static int on_follow(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;
        uint64_t number = drops_number(d->drops);

        /* a call that cannot be answered any more goes by itself */
        for (size_t i = d->n_followers; i > 0; i--) {
                Follower *f = &d->followers[i - 1];
                uint64_t since = f->number;

                f->number = number;
                if (since < number)
                        (void)rpc_call_notify(f->call, answer_since(d, since, f->limit));
        }
        return 0;
}

int request_drops(Daemon *d, RpcCall *call, uint64_t since, size_t limit) {
        Follower follower = {.call = call, .number = drops_number(d->drops), .limit = limit};
        json_t *first = answer_since(d, since, limit);

        if (!rpc_call_wants_more(call))
                return rpc_call_reply(call, first);
        if (d->n_followers == DAEMON_FOLLOWERS_MAX) {
                json_decref(first);
                return rpc_call_fail(call, "%d follow already", DAEMON_FOLLOWERS_MAX);
        }
        d->followers[d->n_followers++] = follower;
        rpc_call_defer(call, follower_gone, d);
        return rpc_call_notify(call, first);
}

/* ---- start and stop */

static void start_reading(Daemon *d) {
        int r = log_open(RULESET_SAMPLE_GROUP, true, &d->sample_fd);

        if (r == 0)
                r = sd_event_add_io(d->event, &d->sample, d->sample_fd, EPOLLIN, on_sample, d);
        if (r >= 0)
                r = sd_event_source_set_priority(d->sample, SD_EVENT_PRIORITY_IDLE);
        d->sees_refused = r >= 0;
        if (r < 0)
                daemon_say(d, LOG_WARNING,
                           "what is refused cannot be listed (netlink log group %d): %s",
                           RULESET_SAMPLE_GROUP,
                           r == -EBUSY ? "another program reads it" : strerror(-r));
}

/* Without it everything else goes on. */
int refused_start(Daemon *d) {
        int r;

        d->drops = drops_new(DROPS_MAX);
        d->drops_began_usec = daemon_now();
        if (!d->drops)
                return -ENOMEM;
        r = sd_event_add_time_relative(d->event, &d->follow, CLOCK_MONOTONIC, 0, 1000, on_follow,
                                       d);
        if (r >= 0)
                r = sd_event_source_set_enabled(d->follow, SD_EVENT_OFF);
        if (r >= 0)
                start_reading(d);
        return r;
}

void refused_stop(Daemon *d) {
        d->follow = sd_event_source_disable_unref(d->follow);
        d->sample = sd_event_source_disable_unref(d->sample);
        if (d->sample_fd >= 0)
                (void)close(d->sample_fd); /* only read */
        d->sample_fd = -1;
        d->drops = drops_free(d->drops);
}
