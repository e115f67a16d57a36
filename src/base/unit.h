/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For x_test.c files alone: cmocka with the headers that it wants before it, an arena that lives as
 * long as one test, and checks that say which row of a table failed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/address.h"
#include "base/arena.h"

/* A test that finds its own arena in *state. */
#define unit_arena_test(function)                                                                  \
        cmocka_unit_test_setup_teardown(function, unit_arena_setup, unit_arena_teardown)

static inline int unit_arena_setup(void **state) {
        *state = arena_new(0);
        return *state ? 0 : -1;
}

static inline int unit_arena_teardown(void **state) {
        *state = arena_free(*state);
        return 0;
}

/* `row` names the row of the test's table that is being looked at. */
#define unit_true(row, condition)                                                                  \
        do {                                                                                       \
                if (!(condition))                                                                  \
                        fail_msg("%s: not so: %s", (row), #condition);                             \
        } while (0)

#define unit_equal(row, value, expected)                                                           \
        do {                                                                                       \
                long long _value = (long long)(value), _expected = (long long)(expected);          \
                if (_value != _expected)                                                           \
                        fail_msg("%s: %s is %lld, not %lld", (row), #value, _value, _expected);    \
        } while (0)

#define unit_string(row, value, expected)                                                          \
        do {                                                                                       \
                const char *_value = (value), *_expected = (expected);                             \
                if (!streq_null(_value, _expected))                                                \
                        fail_msg("%s: %s is \"%s\", not \"%s\"", (row), #value,                    \
                                 _value ? _value : "(null)", _expected ? _expected : "(null)");    \
        } while (0)

/* An address in so many words. */
static inline U128 unit_address(const char *text) {
        Family family;
        U128 value;

        assert_int_equal(address_parse(text, &family, &value), ADDRESS_OK);
        return value;
}
