/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

/* A message with the second places that belong to it. */
typedef struct MessageGroup {
        size_t first, n;
        Span at;
        size_t source; /* the number of the file that it is in */
} MessageGroup;

static int compare_groups(const void *a, const void *b) {
        const MessageGroup *x = a, *y = b;

        if (x->source != y->source)
                return x->source < y->source ? -1 : 1;
        if (x->at.line != y->at.line)
                return x->at.line < y->at.line ? -1 : 1;
        if (x->at.column != y->at.column)
                return x->at.column < y->at.column ? -1 : 1;
        return x->first < y->first ? -1 : x->first > y->first;
}

static size_t source_number(const Source *source, const Source *const *sources, size_t n_sources) {
        size_t i = 0;

        while (i < n_sources && sources[i] != source)
                i++;
        return i;
}

int messages_sort(Diag *d, size_t first, const Source *const *sources, size_t n_sources) {
        size_t n = d->n_messages - first, n_groups = 0, n_sorted = 0;
        _cleanup_free_ MessageGroup *groups = calloc(n + 1, sizeof(*groups));
        _cleanup_free_ DiagMessage *sorted = calloc(n + 1, sizeof(*sorted));

        if (!groups || !sorted)
                return -ENOMEM;
        for (size_t i = first; i < d->n_messages; i++) {
                if (!d->messages[i].continues || n_groups == 0)
                        groups[n_groups++] = (MessageGroup){
                                .first = i,
                                .at = d->messages[i].at,
                                .source =
                                        source_number(d->messages[i].at.source, sources, n_sources),
                        };
                groups[n_groups - 1].n++;
        }
        qsort(groups, n_groups, sizeof(*groups), compare_groups);
        for (size_t i = 0; i < n_groups; i++) {
                memcpy(sorted + n_sorted, d->messages + groups[i].first,
                       groups[i].n * sizeof(*sorted));
                n_sorted += groups[i].n;
        }
        if (n > 0)
                memcpy(d->messages + first, sorted, n * sizeof(*sorted));
        return 0;
}
