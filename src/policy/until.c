/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#include <time.h>

/* `until: 2030-01-31`, `2030-01-31 18:00`, with seconds, with Z or +02:00 behind it. */

#define YEAR_MIN 1970
#define YEAR_MAX 9999

typedef struct Moment {
        struct tm tm;
        bool whole_day; /* no time of day was given */
        bool zoned;
        long offset; /* seconds east of Greenwich, if zoned */
} Moment;

/* Takes exactly n digits. */
static bool take_digits(const char **s, unsigned int n, int *ret) {
        int value = 0;

        for (unsigned int i = 0; i < n; i++, (*s)++) {
                if (**s < '0' || **s > '9')
                        return false;
                value = value * 10 + (**s - '0');
        }
        *ret = value;
        return true;
}

static bool take(const char **s, char c) {
        if (**s != c)
                return false;
        (*s)++;
        return true;
}

static bool take_offset(const char **s, Moment *m) {
        int sign = **s == '-' ? -1 : 1, hours, minutes;

        if (take(s, 'Z')) {
                m->zoned = true;
                return true;
        }
        if (**s != '+' && **s != '-')
                return true;
        (*s)++;
        if (!take_digits(s, 2, &hours) || !take(s, ':') || !take_digits(s, 2, &minutes) ||
            hours > 14 || minutes > 59)
                return false;
        m->zoned = true;
        m->offset = sign * (hours * 3600L + minutes * 60L);
        return true;
}

/* The form alone: the 31st of February is found out later. */
static bool parse(const char *s, Moment *m) {
        struct tm *tm = &m->tm;

        if (!take_digits(&s, 4, &tm->tm_year) || !take(&s, '-') ||
            !take_digits(&s, 2, &tm->tm_mon) || !take(&s, '-') || !take_digits(&s, 2, &tm->tm_mday))
                return false;
        if (*s == '\0') {
                m->whole_day = true;
                return true;
        }
        if ((!take(&s, 'T') && !take(&s, ' ')) || !take_digits(&s, 2, &tm->tm_hour) ||
            !take(&s, ':') || !take_digits(&s, 2, &tm->tm_min))
                return false;
        if (take(&s, ':') && !take_digits(&s, 2, &tm->tm_sec))
                return false;
        return take_offset(&s, m) && *s == '\0';
}

static bool exists(const Moment *m) {
        static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        const struct tm *tm = &m->tm;
        int year = tm->tm_year;
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        if (year < YEAR_MIN || year > YEAR_MAX || tm->tm_mon < 1 || tm->tm_mon > 12)
                return false;
        if (tm->tm_mday < 1 || tm->tm_mday > days[tm->tm_mon - 1] ||
            (tm->tm_mon == 2 && tm->tm_mday == 29 && !leap))
                return false;
        return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 60;
}

static int64_t seconds_of(const Moment *m) {
        struct tm tm = m->tm;

        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        tm.tm_mday += m->whole_day; /* through the day's end */
        tm.tm_isdst = -1;
        return m->zoned ? timegm(&tm) - m->offset : mktime(&tm);
}

int until_decode(Loader *l, const NodeEntry *entry, int64_t *ret) {
        int r = schema_expect(entry, NODE_SCALAR, "a date such as 2030-01-31", l->d);
        const Node *n = entry->value;
        Moment m = {0};

        if (r < 0)
                return r;
        if (!parse(n->text, &m)) {
                diag_error(l->d, n->at, "'%s' is not a date", node_shown(l->arena, n));
                diag_hint(l->d, "it is written 2030-01-31, or 2030-01-31 18:00, perhaps with Z or "
                                "+02:00 behind");
                return -EBADMSG;
        }
        if (!exists(&m))
                return diag_error(l->d, n->at, "there is no such date or time: '%s'", n->text);
        *ret = seconds_of(&m);
        if (*ret <= l->now) {
                diag_warning(l->d, n->at, "this time is over: the rule is gone");
                diag_hint(l->d, "take the rule out, or give it another date");
        }
        return 0;
}
