/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/address.h"
#include "base/unit.h"

// clang-format off
static const struct {
        const char *text;
        AddressError error;
        Family family;
        const char *printed; /* of the range; with ADDRESS_HOST_BITS, of the network meant */
} ranges[] = {
        { "10.0.0.1",                     ADDRESS_OK,             FAMILY_IPV4, "10.0.0.1"                },
        { "0.0.0.0",                      ADDRESS_OK,             FAMILY_IPV4, "0.0.0.0"                 },
        { "255.255.255.255",              ADDRESS_OK,             FAMILY_IPV4, "255.255.255.255"         },
        { "0.0.0.0/0",                    ADDRESS_OK,             FAMILY_IPV4, "0.0.0.0/0"               },
        { "10.40.10.0/24",                ADDRESS_OK,             FAMILY_IPV4, "10.40.10.0/24"           },
        { "10.40.10.7/32",                ADDRESS_OK,             FAMILY_IPV4, "10.40.10.7"              },
        { "10.0.0.1-10.0.0.9",            ADDRESS_OK,             FAMILY_IPV4, "10.0.0.1-10.0.0.9"       },
        { "10.0.0.0-10.0.0.255",          ADDRESS_OK,             FAMILY_IPV4, "10.0.0.0/24"             },
        { "0.0.0.0-255.255.255.255",      ADDRESS_OK,             FAMILY_IPV4, "0.0.0.0/0"               },
        { "10.0.0.9-10.0.0.9",            ADDRESS_OK,             FAMILY_IPV4, "10.0.0.9"                },
        { "fd00::1",                      ADDRESS_OK,             FAMILY_IPV6, "fd00::1"                 },
        { "FD00:0:0::1",                  ADDRESS_OK,             FAMILY_IPV6, "fd00::1"                 },
        { "::",                           ADDRESS_OK,             FAMILY_IPV6, "::"                      },
        { "::/0",                         ADDRESS_OK,             FAMILY_IPV6, "::/0"                    },
        { "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_OK, FAMILY_IPV6, "::/0"                  },
        { "fd00:40:10::/64",              ADDRESS_OK,             FAMILY_IPV6, "fd00:40:10::/64"         },
        { "fd00::/65",                    ADDRESS_OK,             FAMILY_IPV6, "fd00::/65"               },
        { "fd00::1/128",                  ADDRESS_OK,             FAMILY_IPV6, "fd00::1"                 },
        { "fd00::1-fd00::2:0",            ADDRESS_OK,             FAMILY_IPV6, "fd00::1-fd00::2:0"       },
        { "::ffff:10.0.0.1",              ADDRESS_OK,             FAMILY_IPV6, "::ffff:10.0.0.1"         },
        { "10.40.10.5/24",                ADDRESS_HOST_BITS,      FAMILY_IPV4, "10.40.10.0/24"           },
        { "10.40.10.5/0",                 ADDRESS_HOST_BITS,      FAMILY_IPV4, "0.0.0.0/0"               },
        { "fd00::5/64",                   ADDRESS_HOST_BITS,      FAMILY_IPV6, "fd00::/64"               },
        { "10.0.0.0/33",                  ADDRESS_BAD_LENGTH,     0,           NULL                      },
        { "fd00::/129",                   ADDRESS_BAD_LENGTH,     0,           NULL                      },
        { "10.0.0.0/",                    ADDRESS_BAD_LENGTH,     0,           NULL                      },
        { "10.0.0.0/08",                  ADDRESS_BAD_LENGTH,     0,           NULL                      },
        { "10.0.0.0/-1",                  ADDRESS_BAD_LENGTH,     0,           NULL                      },
        { "10.0.0.0/8/8",                 ADDRESS_BAD_LENGTH,     0,           NULL                      },
        { "10.0.0.0/4294967304",          ADDRESS_BAD_LENGTH,     0,           NULL                      },
        { "10.0.0.0/255.0.0.0",           ADDRESS_BAD_LENGTH,     0,           NULL                      },
        { "10.0.0.9-10.0.0.1",            ADDRESS_RUNS_BACKWARDS, 0,           NULL                      },
        { "fd00:1::-fd00::",              ADDRESS_RUNS_BACKWARDS, 0,           NULL                      },
        { "10.0.0.1-fd00::1",             ADDRESS_MIXED_FAMILIES, 0,           NULL                      },
        { "fd00::1-10.0.0.1",             ADDRESS_MIXED_FAMILIES, 0,           NULL                      },
        { "",                             ADDRESS_NOT_ONE,        0,           NULL                      },
        { "lan",                          ADDRESS_NOT_ONE,        0,           NULL                      },
        { "10.0.0",                       ADDRESS_NOT_ONE,        0,           NULL                      },
        { "10.0.0.256",                   ADDRESS_NOT_ONE,        0,           NULL                      },
        { "10.0.0.010",                   ADDRESS_NOT_ONE,        0,           NULL                      },
        { " 10.0.0.1",                    ADDRESS_NOT_ONE,        0,           NULL                      },
        { "10.0.0.1-",                    ADDRESS_NOT_ONE,        0,           NULL                      },
        { "-10.0.0.1",                    ADDRESS_NOT_ONE,        0,           NULL                      },
        { "10.0.0.1 - 10.0.0.9",          ADDRESS_NOT_ONE,        0,           NULL                      },
        { "10.0.0.0/8-10.0.0.9",          ADDRESS_BAD_LENGTH,     0,           NULL                      },
        { "fe80::1%eth0",                 ADDRESS_NOT_ONE,        0,           NULL                      },
        { "[fd00::1]",                    ADDRESS_NOT_ONE,        0,           NULL                      },
        { "0000000000000000000000000000000000000000000000000000000000000000000000000000"
          "0000000000000000000000000000000000000000000000000000000000000000000000000000",
                                          ADDRESS_NOT_ONE,        0,           NULL                      },
};
// clang-format on

static void reads_what_people_write_and_prints_it_the_shortest_way(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
                const char *row = ranges[i].text;
                char buf[ADDRESS_TEXT_MAX];
                Family family;
                Range r;

                unit_equal(row, address_range_parse(row, &family, &r), ranges[i].error);
                if (!ranges[i].printed)
                        continue;
                unit_equal(row, family, ranges[i].family);
                unit_string(row, address_range_print(family, r, buf), ranges[i].printed);
        }
}

static void what_is_printed_reads_back_as_the_same_range(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
                const char *row = ranges[i].text;
                char buf[ADDRESS_TEXT_MAX];
                Family family, again;
                Range r, s;

                if (ranges[i].error != ADDRESS_OK)
                        continue;
                unit_equal(row, address_range_parse(row, &family, &r), ADDRESS_OK);
                (void)address_range_print(family, r, buf);
                unit_equal(row, address_range_parse(buf, &again, &s), ADDRESS_OK);
                unit_true(row, family == again && range_equal(r, s));
        }
}

static void the_longest_range_fits_into_the_buffer(void **state) {
        const char *longest = "1111:2222:3333:4444:5555:6666:7777:8888-"
                              "ffff:eeee:dddd:cccc:bbbb:aaaa:9999:8887";
        char buf[ADDRESS_TEXT_MAX];
        Family family;
        Range r;

        assert_int_equal(address_range_parse(longest, &family, &r), ADDRESS_OK);
        assert_string_equal(address_range_print(family, r, buf), longest);
}

static void a_single_address_takes_neither_length_nor_range(void **state) {
        static const char *const refused[] = {"10.0.0.0/24", "10.0.0.1-10.0.0.2", "fd00::/8"};
        Family family;
        U128 value;

        for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
                unit_equal(refused[i], address_parse(refused[i], &family, &value), ADDRESS_NOT_ONE);
        assert_int_equal(address_parse("10.0.0.1", &family, &value), ADDRESS_OK);
        assert_int_equal(value.low, 0x0a000001);
        assert_int_equal(value.high, 0);
        assert_int_equal(address_parse("fd00::1", &family, &value), ADDRESS_OK);
        assert_true(value.high == UINT64_C(0xfd00) << 48 && value.low == 1);
}

static void families_have_their_widths_and_names(void **state) {
        assert_int_equal(family_width(FAMILY_IPV4), 32);
        assert_int_equal(family_width(FAMILY_IPV6), 128);
        assert_string_equal(family_to_string(FAMILY_IPV4), "IPv4");
        assert_string_equal(family_to_string(FAMILY_IPV6), "IPv6");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_what_people_write_and_prints_it_the_shortest_way),
                cmocka_unit_test(what_is_printed_reads_back_as_the_same_range),
                cmocka_unit_test(the_longest_range_fits_into_the_buffer),
                cmocka_unit_test(a_single_address_takes_neither_length_nor_range),
                cmocka_unit_test(families_have_their_widths_and_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
