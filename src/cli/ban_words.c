/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/ban_words.h"

#include <time.h>

#include "ban/ban.h"
#include "base/text.h"

bool ban_words_seconds(const char *text, json_int_t *ret) {
        static const struct {
                char unit;
                int64_t seconds;
        } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
        char number[TEXT_NUMBER_MAX] = "";
        size_t size = strlen(text);
        uint64_t n;

        if (streq(text, "ever")) {
                *ret = 0;
                return true;
        }
        if (size < 2 || size > sizeof(number))
                return false;
        memcpy(number, text, size - 1);
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (units[i].unit == text[size - 1]) {
                        if (!text_to_number(number, 1,
                                            (uint64_t)(BAN_SECONDS_MAX / units[i].seconds), &n))
                                return false;
                        *ret = (json_int_t)n * units[i].seconds;
                        return true;
                }
        return false;
}

const char *ban_words_time(json_int_t usec, char buf[static 32]) {
        time_t t = (time_t)(usec / 1000000);
        struct tm tm;

        if (!localtime_r(&t, &tm) || strftime(buf, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                return "?";
        return buf;
}
