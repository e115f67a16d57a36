/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/age.h"

#include <inttypes.h>

#include "base/text.h"

uint64_t age_parse(const char *text) {
        static const struct {
                char unit;
                uint64_t seconds;
        } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
        char number[TEXT_NUMBER_MAX] = "";
        size_t size = strlen(text);
        uint64_t n;

        if (size < 2 || size > 8)
                return 0;
        memcpy(number, text, size - 1);
        if (!text_to_number(number, 1, 1000000, &n))
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (units[i].unit == text[size - 1])
                        return n * units[i].seconds;
        return 0;
}

const char *age_print(uint64_t seconds, char buf[static AGE_TEXT_MAX]) {
        static const struct {
                char unit;
                uint64_t seconds;
        } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
        size_t i = 0;

        while (i + 1 < ARRAY_SIZE(units) && seconds / units[i].seconds >= 100)
                i++;
        (void)snprintf(buf, AGE_TEXT_MAX, "%" PRIu64 "%c", seconds / units[i].seconds,
                       units[i].unit);
        return buf;
}
