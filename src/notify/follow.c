/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "notify/follow.h"

#include <syslog.h>
#include <time.h>

#define CALL_USEC (UINT64_C(5) * 1000000)

static uint64_t now(void) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int fail(Follow *f, int r, const Diag *d) {
        /* that it starts anew is nothing to be told of; but once, why it does not answer */
        if (f->failure != r && !rpc_is_absent(r) && r != -ECONNRESET && r != -EPIPE)
                fprintf(stderr, "<%d>%s\n", LOG_WARNING,
                        d && d->n_messages > 0 ? d->messages[0].text : strerror(-r));
        f->failure = r;
        f->retry_usec = now() + FOLLOW_RETRY_USEC;
        follow_close(f);
        return r;
}

void follow_close(Follow *f) {
        f->client = rpc_client_close(f->client);
}

/* Takes parameters over. An error that was answered is one of ours. */
static int call(Follow *f, const char *method, json_t *parameters, RpcAnswer *ret) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *d = a ? diag_new(a) : NULL;
        int r = d ? rpc_call(f->path, method, parameters, CALL_USEC, ret, d) : -ENOMEM;

        json_decref(parameters);
        if (r == 1)
                rpc_answer_done(ret);
        return r == 0 ? 0 : fail(f, r == 1 ? -EPROTO : r, d);
}

static uint64_t number_of(const json_t *object, const char *key) {
        json_int_t number = json_integer_value(json_object_get(object, key));

        return number > 0 ? (uint64_t)number : 0;
}

int follow_find_last(Follow *f, uint64_t *ret_number) {
        RpcAnswer answer = {0};
        int r = call(f, RPC_INTERFACE ".Events", json_pack("{s:i}", "limit", 1), &answer);
        const json_t *events;

        if (r < 0)
                return r;
        events = json_object_get(answer.parameters, "events");
        *ret_number = number_of(json_array_get(events, 0), "number");
        rpc_answer_done(&answer);
        return 0;
}

static char *copy_of(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? strdup(text) : NULL;
}

int follow_find_targets(Follow *f, FollowTargets *ret) {
        RpcAnswer answer = {0};
        int r = call(f, RPC_INTERFACE ".Alerts", NULL, &answer);

        if (r < 0)
                return r;
        ret->run = copy_of(answer.parameters, "run");
        ret->webhook = copy_of(answer.parameters, "webhook");
        rpc_answer_done(&answer);
        return 0;
}

int follow_open(Follow *f, uint64_t after) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *d = a ? diag_new(a) : NULL;
        json_t *parameters = json_pack("{s:I}", "after", (json_int_t)after);
        int r = d && parameters ? rpc_client_open(f->path, CALL_USEC, &f->client, d) : -ENOMEM;

        if (r == 0)
                r = rpc_client_send(f->client, RPC_INTERFACE ".Events", parameters, RPC_SEND_MORE,
                                    CALL_USEC, d);
        json_decref(parameters);
        if (r < 0)
                return fail(f, r, d);
        f->failure = 0;
        return 0;
}

static void copy_text(const json_t *object, const char *key, char *to, size_t size) {
        const char *text = json_string_value(json_object_get(object, key));

        (void)snprintf(to, size, "%s", text ? text : "");
}

static void take_all(const json_t *events, void (*take)(const Alert *, void *), void *to) {
        for (size_t i = 0; i < json_array_size(events); i++) {
                const json_t *event = json_array_get(events, i);
                Alert alert = {.number = number_of(event, "number"),
                               .time_usec = number_of(event, "time")};

                copy_text(event, "kind", alert.kind, sizeof(alert.kind));
                copy_text(event, "text", alert.text, sizeof(alert.text));
                take(&alert, to);
        }
}

int follow_read(Follow *f, void (*take)(const Alert *alert, void *to), void *to) {
        for (;;) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                Diag *d = a ? diag_new(a) : NULL;
                RpcAnswer answer = {0};
                int r = d ? rpc_client_next(f->client, 0, &answer, d) : -ENOMEM;
                bool is_last = r == 1 || !answer.continues;

                if (r == -ETIMEDOUT)
                        return 0;
                if (r < 0)
                        return fail(f, r, d);
                if (r == 0)
                        take_all(json_object_get(answer.parameters, "events"), take, to);
                rpc_answer_done(&answer);
                if (!f->client) /* what take() asked for failed, and has been said */
                        return -ECONNRESET;
                if (is_last)
                        return fail(f, -EPROTO, d);
        }
}
