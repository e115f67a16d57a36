/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

/* `limit: 10/minute burst 20 per source` and `connections: 20 per source`: a value, then words in
 * any order, each once. */

#define WORDS_MAX 8
#define LIMIT_EXAMPLE "10/minute burst 20 per source"
#define CONNECTIONS_EXAMPLE "20 per source"
#define REFILL_MAX 31622400 /* seconds, a year: the kernel counts a burst in nanoseconds */

typedef struct Words {
        const char *items[WORDS_MAX];
        size_t n_items;
} Words;

static int split(Loader *l, const Node *n, const char *example, Words *ret) {
        char *copy = arena_strdup(l->arena, n->text), *state = NULL;

        if (!copy)
                return -ENOMEM;
        for (char *p = strtok_r(copy, " \t\n", &state); p; p = strtok_r(NULL, " \t\n", &state)) {
                if (ret->n_items == WORDS_MAX) {
                        diag_error(l->d, n->at, "this is longer than it can be");
                        diag_hint(l->d, "it is written %s", example);
                        return -EBADMSG;
                }
                ret->items[ret->n_items++] = p;
        }
        if (ret->n_items > 0)
                return 0;
        diag_error(l->d, n->at, "a number is missing here");
        diag_hint(l->d, "it is written %s", example);
        return -EBADMSG;
}

static int report_word(Loader *l, const Node *n, const char *word, const char *example) {
        diag_error(l->d, n->at, "'%.40s' has no meaning here", word);
        if (streq(word, "per-source") || streq(word, "source") || streq(word, "persource"))
                diag_hint(l->d, "did you mean 'per source'?");
        else
                diag_hint(l->d, "it is written %s", example);
        return -EBADMSG;
}

/* Takes "per source" at items[*i]: 1 if it stands there. */
static int take_per_source(
        Loader *l, const Node *n, const Words *words, size_t *i, const char *example, bool *ret) {
        if (!streq(words->items[*i], "per"))
                return 0;
        if (*i + 1 == words->n_items || !streq(words->items[*i + 1], "source")) {
                diag_error(l->d, n->at, "'per' counts by the source alone");
                diag_hint(l->d, "it is written %s", example);
                return -EBADMSG;
        }
        if (*ret)
                return diag_error(l->d, n->at, "'per source' stands here twice");
        *ret = true;
        *i += 2;
        return 1;
}

/* Takes "burst M" likewise. */
static int take_burst(Loader *l, const Node *n, const Words *words, size_t *i, Limit *ret) {
        uint64_t number;

        if (!streq(words->items[*i], "burst"))
                return 0;
        if (ret->burst > 0)
                return diag_error(l->d, n->at, "'burst' stands here twice");
        if (*i + 1 == words->n_items ||
            !text_to_number(words->items[*i + 1], 1, RATE_NUMBER_MAX, &number)) {
                diag_error(l->d, n->at, "behind 'burst' stands a number from 1 to %d",
                           RATE_NUMBER_MAX);
                diag_hint(l->d, "it is written " LIMIT_EXAMPLE);
                return -EBADMSG;
        }
        ret->burst = (uint32_t)number;
        *i += 2;
        return 1;
}

int limit_decode(Loader *l, const NodeEntry *entry, Limit *ret) {
        int r = schema_expect(entry, NODE_SCALAR, "a rate such as 10/minute", l->d);
        const Node *n = entry->value;
        Limit limit = {0};
        Words words = {0};

        if (r == 0)
                r = split(l, n, LIMIT_EXAMPLE, &words);
        if (r == 0)
                r = rate_decode(l, n, words.items[0], &limit.rate);
        for (size_t i = 1; i < words.n_items && r >= 0;) {
                r = take_burst(l, n, &words, &i, &limit);
                if (r == 0)
                        r = take_per_source(l, n, &words, &i, LIMIT_EXAMPLE, &limit.per_source);
                if (r == 0)
                        r = report_word(l, n, words.items[i], LIMIT_EXAMPLE);
        }
        if (r < 0)
                return r;
        if (limit.burst == 0)
                limit.burst = limit.rate.number;
        if ((uint64_t)limit.burst * rate_unit_seconds(limit.rate.unit) / limit.rate.number >
            REFILL_MAX) {
                diag_error(l->d, n->at, "a burst of %u takes more than a year to come back",
                           limit.burst);
                diag_hint(l->d, "take a smaller burst, or a higher rate");
                return -EBADMSG;
        }
        *ret = limit;
        return 0;
}

int connections_decode(Loader *l, const NodeEntry *entry, Connections *ret) {
        int r = schema_expect(entry, NODE_SCALAR, "a number", l->d);
        const Node *n = entry->value;
        Connections connections = {0};
        Words words = {0};
        uint64_t number = 0;

        if (r == 0)
                r = split(l, n, CONNECTIONS_EXAMPLE, &words);
        if (r == 0 && !text_to_number(words.items[0], 1, RATE_NUMBER_MAX, &number)) {
                r = diag_error(l->d, n->at, "'%.40s' is not a number from 1 to %d", words.items[0],
                               RATE_NUMBER_MAX);
                if (strchr(words.items[0], '/'))
                        diag_hint(l->d, "'connections' counts what is open at once; new ones in a "
                                        "time are what 'limit' counts");
        }
        for (size_t i = 1; i < words.n_items && r >= 0;) {
                r = take_per_source(l, n, &words, &i, CONNECTIONS_EXAMPLE, &connections.per_source);
                if (r == 0)
                        r = report_word(l, n, words.items[i], CONNECTIONS_EXAMPLE);
        }
        if (r < 0)
                return r;
        connections.number = (uint32_t)number;
        *ret = connections;
        return 0;
}
