/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

/* How people shorten the units. */
static const struct {
        const char *word;
        RateUnit meant;
} short_units[] = {
        {"d", RATE_DAY},      {"h", RATE_HOUR},   {"hr", RATE_HOUR},    {"m", RATE_MINUTE},
        {"min", RATE_MINUTE}, {"s", RATE_SECOND}, {"sec", RATE_SECOND},
};

static int report_unit(Loader *l, const Node *n, const char *unit) {
        Nearest nearest;

        diag_error(l->d, n->at, "a rate counts by the second, minute, hour or day, not '%.20s'",
                   unit);
        for (size_t i = 0; i < ARRAY_SIZE(short_units); i++)
                if (streq(short_units[i].word, unit))
                        diag_hint(l->d, "did you mean '%s'?",
                                  rate_unit_to_string(short_units[i].meant));
        nearest_init(&nearest, unit);
        for (RateUnit u = 0; u < _RATE_UNIT_MAX; u++)
                nearest_consider(&nearest, rate_unit_to_string(u));
        if (nearest.best)
                diag_hint(l->d, "did you mean '%s'?", nearest.best);
        return -EBADMSG;
}

int rate_decode(Loader *l, const Node *n, const char *text, Rate *ret) {
        const char *slash = strchr(text, '/');
        size_t len = slash ? (size_t)(slash - text) : strlen(text);
        const char *digits = arena_strndup(l->arena, text, len);
        uint64_t number;

        if (!digits)
                return -ENOMEM;
        if (len == 0 || strspn(digits, "0123456789") != len) {
                diag_error(l->d, n->at, "'%.60s' is not a rate", text);
                diag_hint(l->d, "a rate is written 10/minute");
                return -EBADMSG;
        }
        if (!text_to_number(digits, 1, RATE_NUMBER_MAX, &number))
                return diag_error(l->d, n->at, "a rate is a number from 1 to %d, not %.20s",
                                  RATE_NUMBER_MAX, digits);
        if (!slash) {
                diag_error(l->d, n->at, "%s in which time?", digits);
                diag_hint(l->d, "a rate is written %s/second, %s/minute, %s/hour or %s/day", digits,
                          digits, digits, digits);
                return -EBADMSG;
        }
        for (RateUnit u = 0; u < _RATE_UNIT_MAX; u++)
                if (streq(rate_unit_to_string(u), slash + 1)) {
                        *ret = (Rate){.number = (uint32_t)number, .unit = u};
                        return 0;
                }
        return report_unit(l, n, slash + 1);
}
