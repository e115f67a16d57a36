/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"

#include <ctype.h>
#include <limits.h>

bool text_to_number(const char *s, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t n = 0;
        size_t len = strlen(s);

        if (len == 0 || (len > 1 && s[0] == '0'))
                return false;
        for (; *s; s++) {
                if (*s < '0' || *s > '9' || __builtin_mul_overflow(n, 10, &n) ||
                    __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
                        return false;
        }
        if (n < min || n > max)
                return false;
        *ret = n;
        return true;
}

const char *text_from_number(uint64_t n, char buf[static TEXT_NUMBER_MAX]) {
        char *p = buf + TEXT_NUMBER_MAX - 1;

        *p = '\0';
        do
                *--p = (char)('0' + n % 10);
        while ((n /= 10) > 0);
        return p;
}

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c) {
        return MIN(a, MIN(b, c));
}

static bool same(char a, char b) {
        return tolower((unsigned char)a) == tolower((unsigned char)b);
}

unsigned int text_distance(const char *a, const char *b) {
        unsigned int rows[3][TEXT_DISTANCE_MAX + 1];
        size_t n = strlen(a), m = strlen(b);
        unsigned int *before = rows[0], *previous = rows[1], *row = rows[2], *oldest;

        if (n > TEXT_DISTANCE_MAX || m > TEXT_DISTANCE_MAX)
                return UINT_MAX;
        for (size_t j = 0; j <= m; j++)
                before[j] = previous[j] = (unsigned int)j;
        for (size_t i = 1; i <= n; i++) {
                row[0] = (unsigned int)i;
                for (size_t j = 1; j <= m; j++) {
                        unsigned int wrong = !same(a[i - 1], b[j - 1]);

                        row[j] = min3(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + wrong);
                        if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                                row[j] = MIN(row[j], before[j - 2] + 1);
                }
                oldest = before;
                before = previous;
                previous = row;
                row = oldest;
        }
        return previous[m];
}

void nearest_init(Nearest *n, const char *word) {
        /* a third of the word may be wrong, but at least one letter */
        *n = (Nearest){.word = word, .distance = (unsigned int)MAX(strlen(word) / 3, 1UL) + 1};
}

void nearest_consider(Nearest *n, const char *candidate) {
        unsigned int distance = text_distance(n->word, candidate);

        if (distance < n->distance) {
                n->distance = distance;
                n->best = candidate;
        }
}
