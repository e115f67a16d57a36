/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "notify/alert.h"

/* The others tell what an administrator does, or nothing that anybody has to get up for. */
static const struct {
        const char *kind, *severity; /* syslog's words */
} kinds[] = {
        {"alert", "alert"},    {"drift", "warning"},     {"failure", "error"},
        {"healed", "notice"},  {"holds", "notice"},      {"lockdown", "critical"},
        {"panic", "critical"}, {"tampered", "alert"},    {"undecided", "warning"},
        {"undone", "warning"}, {"unloaded", "critical"},
};

const char *alert_severity(const char *kind) {
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (streq(kinds[i].kind, kind))
                        return kinds[i].severity;
        return NULL;
}

void alert_queue_start(AlertQueue *q, uint64_t number) {
        q->last = q->received = number;
        q->n_items = q->is_under_way ? 1 : 0;
        if (q->is_under_way)
                q->items[0].number = 0; /* of another count */
}

void alert_queue_add(AlertQueue *q, const Alert *alert, bool is_told) {
        uint64_t more = 0;

        if (alert->number > 0 && alert->number <= q->received)
                return;
        if (alert->number > 0)
                q->received = alert->number;
        if (!is_told || !alert_severity(alert->kind))
                return;
        if (q->n_items == ALERT_QUEUE_MAX)
                more = q->items[--q->n_items].more + 1;
        q->items[q->n_items] = *alert;
        q->items[q->n_items++].more = more;
}

void alert_queue_clear(AlertQueue *q) {
        q->n_items = q->is_under_way ? 1 : 0;
        if (!q->is_under_way)
                q->n_tries = 0;
}

static void refill(AlertQueue *q, uint64_t now_usec) {
        while (q->n_spent > 0 && now_usec >= q->refill_usec) {
                q->n_spent--;
                q->refill_usec += ALERT_REFILL_USEC;
        }
}

static void spend(AlertQueue *q, uint64_t now_usec) {
        if (q->n_spent++ == 0)
                q->refill_usec = now_usec + ALERT_REFILL_USEC;
}

uint64_t alert_queue_due(const AlertQueue *q) {
        if (q->n_items == 0 || q->is_under_way)
                return UINT64_MAX;
        if (q->n_tries > 0)
                return q->retry_usec;
        return q->n_spent < ALERT_BURST ? 0 : q->refill_usec;
}

const Alert *alert_queue_next(AlertQueue *q, uint64_t now_usec) {
        refill(q, now_usec);
        if (alert_queue_due(q) > now_usec)
                return NULL;
        if (q->n_tries == 0)
                spend(q, now_usec); /* trying again has its own measure */
        q->is_under_way = true;
        return &q->items[0];
}

void alert_queue_finish(AlertQueue *q, AlertResult result, uint64_t now_usec) {
        uint64_t pause = ALERT_RETRY_MIN_USEC;

        q->is_under_way = false;
        if (result == ALERT_RETRY) {
                for (unsigned int i = 0; i < q->n_tries && pause < ALERT_RETRY_MAX_USEC; i++)
                        pause *= 2;
                q->n_tries++;
                q->retry_usec = now_usec + MIN(pause, ALERT_RETRY_MAX_USEC);
                return;
        }
        q->n_tries = 0;
        if (q->items[0].number > 0)
                q->last = q->items[0].number;
        q->n_items--;
        memmove(q->items, q->items + 1, q->n_items * sizeof(q->items[0]));
}

uint64_t alert_queue_position(const AlertQueue *q) {
        return q->n_items == 0 ? q->received : q->last;
}
