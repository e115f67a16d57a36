/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>

#include "base/text.h"
#include "base/unit.h"

// clang-format off
static const struct {
        const char *text;
        uint64_t min, max;
        bool is_one;
        uint64_t value;
} numbers[] = {
        { "0",                    0, 65535,      true,  0          },
        { "1",                    1, 65535,      true,  1          },
        { "65535",                1, 65535,      true,  65535      },
        { "18446744073709551615", 0, UINT64_MAX, true,  UINT64_MAX },
        { "65536",                1, 65535,      false, 0          },
        { "0",                    1, 65535,      false, 0          },
        { "18446744073709551616", 0, UINT64_MAX, false, 0          },
        { "99999999999999999999", 0, UINT64_MAX, false, 0          },
        { "",                     0, 65535,      false, 0          },
        { "022",                  0, 65535,      false, 0          },
        { "00",                   0, 65535,      false, 0          },
        { "+1",                   0, 65535,      false, 0          },
        { "-1",                   0, 65535,      false, 0          },
        { " 1",                   0, 65535,      false, 0          },
        { "1 ",                   0, 65535,      false, 0          },
        { "0x16",                 0, 65535,      false, 0          },
        { "1e3",                  0, 65535,      false, 0          },
        { "\xd9\xa1",             0, 65535,      false, 0          }, /* an Arabic digit one */
};

static void a_number_comes_back_as_it_was_written(void **state) {
        char buf[TEXT_NUMBER_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                if (numbers[i].is_one)
                        unit_string(numbers[i].text, text_from_number(numbers[i].value, buf),
                                    numbers[i].text);
}

static const struct {
        const char *a, *b;
        unsigned int distance;
} distances[] = {
        { "",         "",           0 },
        { "ssh",      "ssh",        0 },
        { "SSH",      "ssh",        0 },
        { "",         "ssh",        3 },
        { "shh",      "ssh",        1 },
        { "hssh",     "ssh",        1 },
        { "sh",       "ssh",        1 },
        { "shs",      "ssh",        1 }, /* swapped */
        { "SHS",      "ssh",        1 }, /* swapped, whatever the case */
        { "postgres", "postgresql", 2 },
        { "protceted", "protected", 1 },
        { "ab",       "ba",         1 },
        { "kitten",   "sitting",    3 },
        { "n8n",      "ollama",     6 },
};

static const struct {
        const char *word;
        const char *suggestion; /* from the candidates below */
} suggestions[] = {
        { "postgres",    "postgresql" },
        { "Grafana",     "grafana"    },
        { "grafanna",    "grafana"    },
        { "shs",         "ssh"        },
        { "protceted",   "protected"  },
        { "llama",       "ollama"     },
        { "kubernetes",  NULL         },
        { "xyz",         NULL         },
        { "",            NULL         },
};

static const char *const candidates[] = {"grafana", "ollama", "postgresql", "protected", "ssh"};
// clang-format on

static void numbers_are_read_strictly(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
                const char *row = numbers[i].text;
                uint64_t value = 4711;
                bool is_one = text_to_number(row, numbers[i].min, numbers[i].max, &value);

                unit_equal(row, is_one, numbers[i].is_one);
                /* what failed leaves the result alone */
                unit_true(row, value == (is_one ? numbers[i].value : 4711));
        }
}

static void distance_counts_mistakes_of_typing(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(distances); i++) {
                const char *a = distances[i].a, *b = distances[i].b;

                unit_equal(a, text_distance(a, b), distances[i].distance);
                unit_equal(a, text_distance(b, a), distances[i].distance);
        }
}

static void very_long_words_are_near_to_nothing(void **state) {
        char word[TEXT_DISTANCE_MAX + 2];

        memset(word, 'a', sizeof(word) - 1);
        word[sizeof(word) - 1] = '\0';
        assert_int_equal(text_distance(word, word), UINT_MAX);
        word[TEXT_DISTANCE_MAX] = '\0';
        assert_int_equal(text_distance(word, word), 0);
}

static void the_nearest_word_is_suggested_unless_it_is_far_fetched(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(suggestions); i++) {
                Nearest n;

                nearest_init(&n, suggestions[i].word);
                for (size_t j = 0; j < ARRAY_SIZE(candidates); j++)
                        nearest_consider(&n, candidates[j]);
                unit_string(suggestions[i].word, n.best, suggestions[i].suggestion);
        }
}

static void of_two_that_are_equally_near_the_first_is_suggested(void **state) {
        Nearest n;

        nearest_init(&n, "lam");
        nearest_consider(&n, "lan");
        nearest_consider(&n, "lab");
        assert_string_equal(n.best, "lan");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(numbers_are_read_strictly),
                cmocka_unit_test(a_number_comes_back_as_it_was_written),
                cmocka_unit_test(distance_counts_mistakes_of_typing),
                cmocka_unit_test(very_long_words_are_near_to_nothing),
                cmocka_unit_test(the_nearest_word_is_suggested_unless_it_is_far_fetched),
                cmocka_unit_test(of_two_that_are_equally_near_the_first_is_suggested),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
