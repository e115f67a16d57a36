/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "policy/policy.h"

static void a_protocol_has_its_number_and_back(void **state) {
        static const struct {
                const char *name;
                uint8_t number;
        } protocols[] = {{"tcp", 6},  {"udp", 17}, {"sctp", 132}, {"icmp", 1},   {"icmpv6", 58},
                         {"esp", 50}, {"ah", 51},  {"gre", 47},   {"vrrp", 112}, {"ospf", 89}};

        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
                uint8_t number = 0;

                unit_true(protocols[i].name, protocol_from_string(protocols[i].name, &number));
                unit_equal(protocols[i].name, number, protocols[i].number);
                unit_string(protocols[i].name, protocol_to_string(number), protocols[i].name);
        }
}

static void every_name_of_a_protocol_leads_back_to_its_number(void **state) {
        size_t n = 0;

        for (unsigned int i = 0; i < 256; i++) {
                const char *name = protocol_to_string((uint8_t)i);
                uint8_t number;

                if (!name)
                        continue;
                unit_true(name, protocol_from_string(name, &number));
                unit_equal(name, number, i);
                n++;
        }
        assert_true(n > 20);
}

static void names_of_services_are_no_protocols(void **state) {
        uint8_t number;

        assert_false(protocol_from_string("rdp", &number)); /* 27 in IANA's registry */
        assert_false(protocol_from_string("", &number));
        assert_null(protocol_to_string(253));
}

static void a_type_of_icmp_depends_on_the_family(void **state) {
        uint8_t type;

        assert_true(icmp_type_from_string(FAMILY_IPV4, "echo-request", &type));
        assert_int_equal(type, 8);
        assert_true(icmp_type_from_string(FAMILY_IPV6, "echo-request", &type));
        assert_int_equal(type, 128);
        assert_false(icmp_type_from_string(FAMILY_IPV4, "packet-too-big", &type));
        assert_true(icmp_type_from_string(FAMILY_IPV6, "packet-too-big", &type));
        assert_int_equal(type, 2);
        assert_string_equal(icmp_type_to_string(FAMILY_IPV6, 128), "echo-request");
        assert_null(icmp_type_to_string(FAMILY_IPV4, 200));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_protocol_has_its_number_and_back),
                cmocka_unit_test(every_name_of_a_protocol_leads_back_to_its_number),
                cmocka_unit_test(names_of_services_are_no_protocols),
                cmocka_unit_test(a_type_of_icmp_depends_on_the_family),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
