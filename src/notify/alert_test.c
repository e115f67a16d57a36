/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "notify/alert.h"

#include "base/unit.h"

#define SECOND UINT64_C(1000000)
#define NOW (1000 * SECOND)

static void add(AlertQueue *q, uint64_t number, const char *kind) {
        Alert alert = {.number = number};

        (void)snprintf(alert.kind, sizeof(alert.kind), "%s", kind);
        (void)snprintf(alert.text, sizeof(alert.text), "event %u", (unsigned int)number);
        alert_queue_add(q, &alert, true);
}

static void deliver(AlertQueue *q, uint64_t number, uint64_t more, uint64_t now) {
        const Alert *alert = alert_queue_next(q, now);

        assert_non_null(alert);
        assert_int_equal(alert->number, number);
        assert_int_equal(alert->more, more);
        assert_null(alert_queue_next(q, now)); /* one at a time */
        alert_queue_finish(q, ALERT_DONE, now);
}

static void what_an_administrator_does_is_told_to_nobody(void **state) {
        static const char *const told[] = {"alert",     "drift",    "failure", "healed",
                                           "holds",     "lockdown", "panic",   "tampered",
                                           "undecided", "undone",   "unloaded"};
        static const char *const untold[] = {"note",   "in-force", "confirmed", "cut",
                                             "notice", "takeover", "",          "Drift"};

        for (size_t i = 0; i < ARRAY_SIZE(told); i++)
                assert_non_null(alert_severity(told[i]));
        for (size_t i = 0; i < ARRAY_SIZE(untold); i++)
                assert_null(alert_severity(untold[i]));
}

static void events_are_delivered_once_and_in_their_order(void **state) {
        AlertQueue q = {0};

        alert_queue_start(&q, 7);
        add(&q, 7, "drift"); /* delivered by an earlier run */
        assert_null(alert_queue_next(&q, NOW));
        add(&q, 8, "drift");
        add(&q, 9, "confirmed");
        add(&q, 10, "healed");
        add(&q, 8, "drift");
        assert_int_equal(alert_queue_position(&q), 7);
        deliver(&q, 8, 0, NOW);
        assert_int_equal(alert_queue_position(&q), 8);
        deliver(&q, 10, 0, NOW);
        assert_int_equal(alert_queue_position(&q), 10);
        assert_int_equal(alert_queue_due(&q), UINT64_MAX);
        add(&q, 11, "confirmed");
        assert_int_equal(alert_queue_position(&q), 11);
}

static void what_nobody_is_told_is_not_told_later(void **state) {
        AlertQueue q = {0};
        Alert alert = {.number = 3, .kind = "drift"};

        alert_queue_add(&q, &alert, false);
        assert_int_equal(alert_queue_position(&q), 3);
        alert_queue_add(&q, &alert, true);
        assert_null(alert_queue_next(&q, NOW));
}

static void a_flood_is_told_slowly_and_none_of_it_is_lost_from_the_count(void **state) {
        AlertQueue q = {0};
        uint64_t now = NOW, told = 0, number = 0;

        for (number = 1; number <= ALERT_BURST; number++) {
                add(&q, number, "drift");
                deliver(&q, number, 0, now);
                told++;
        }
        for (; number <= 1000; number++)
                add(&q, number, "drift");
        assert_null(alert_queue_next(&q, now));
        assert_int_equal(alert_queue_due(&q), NOW + ALERT_REFILL_USEC);
        for (int i = 0; i < ALERT_QUEUE_MAX; i++) {
                const Alert *alert;

                now = alert_queue_due(&q);
                assert_in_range(now, NOW, NOW + (uint64_t)(i + 1) * ALERT_REFILL_USEC);
                alert = alert_queue_next(&q, now);
                assert_non_null(alert);
                told += 1 + alert->more;
                alert_queue_finish(&q, ALERT_DONE, now);
                assert_int_equal(alert_queue_position(&q),
                                 i < ALERT_QUEUE_MAX - 1 ? ALERT_BURST + 1 + i : 1000);
        }
        assert_int_equal(told, 1000);
        assert_int_equal(alert_queue_due(&q), UINT64_MAX);
}

static void after_a_quiet_time_messages_go_at_once_again(void **state) {
        AlertQueue q = {0};

        for (uint64_t number = 1; number <= ALERT_BURST; number++) {
                add(&q, number, "drift");
                deliver(&q, number, 0, NOW);
        }
        for (uint64_t number = 101; number <= 100 + ALERT_BURST; number++) {
                add(&q, number, "drift");
                deliver(&q, number, 0, NOW + ALERT_BURST * ALERT_REFILL_USEC);
        }
        add(&q, 200, "drift");
        assert_null(alert_queue_next(&q, NOW + ALERT_BURST * ALERT_REFILL_USEC));
}

static void a_failure_is_tried_again_ever_more_slowly(void **state) {
        static const unsigned int pauses[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300};
        AlertQueue q = {0};
        uint64_t now = NOW;

        add(&q, 1, "drift");
        for (size_t i = 0; i < ARRAY_SIZE(pauses); i++) {
                assert_non_null(alert_queue_next(&q, now));
                alert_queue_finish(&q, ALERT_RETRY, now);
                assert_null(alert_queue_next(&q, now + pauses[i] * SECOND - 1));
                now += pauses[i] * SECOND;
                assert_int_equal(alert_queue_due(&q), now);
                assert_int_equal(alert_queue_position(&q), 0);
        }
        deliver(&q, 1, 0, now);
        add(&q, 2, "drift");
        deliver(&q, 2, 0, now);
}

static void a_message_that_is_under_way_stays_as_it_is(void **state) {
        AlertQueue q = {0};
        const Alert *alert;

        add(&q, 1, "drift");
        alert = alert_queue_next(&q, NOW);
        for (uint64_t number = 2; number <= 100; number++)
                add(&q, number, "drift");
        assert_int_equal(alert->number, 1);
        assert_int_equal(alert->more, 0);
        alert_queue_clear(&q);
        alert_queue_finish(&q, ALERT_DONE, NOW);
        assert_int_equal(alert_queue_due(&q), UINT64_MAX);
        assert_int_equal(alert_queue_position(&q), 100);
}

static void another_log_begins_anew(void **state) {
        AlertQueue q = {0};

        alert_queue_start(&q, 500);
        add(&q, 501, "drift");
        assert_non_null(alert_queue_next(&q, NOW));
        alert_queue_start(&q, 0);
        alert_queue_finish(&q, ALERT_DONE, NOW);
        assert_int_equal(alert_queue_position(&q), 0);
        add(&q, 1, "drift");
        deliver(&q, 1, 0, NOW);
}

static void what_stands_in_no_log_is_told_and_moves_nothing(void **state) {
        AlertQueue q = {0};

        alert_queue_start(&q, 5);
        add(&q, 0, "failure");
        add(&q, 0, "failure");
        deliver(&q, 0, 0, NOW);
        deliver(&q, 0, 0, NOW);
        assert_int_equal(alert_queue_position(&q), 5);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_an_administrator_does_is_told_to_nobody),
                cmocka_unit_test(events_are_delivered_once_and_in_their_order),
                cmocka_unit_test(what_nobody_is_told_is_not_told_later),
                cmocka_unit_test(a_flood_is_told_slowly_and_none_of_it_is_lost_from_the_count),
                cmocka_unit_test(after_a_quiet_time_messages_go_at_once_again),
                cmocka_unit_test(a_failure_is_tried_again_ever_more_slowly),
                cmocka_unit_test(a_message_that_is_under_way_stays_as_it_is),
                cmocka_unit_test(another_log_begins_anew),
                cmocka_unit_test(what_stands_in_no_log_is_told_and_moves_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
