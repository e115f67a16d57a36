/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doc/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any bytes are a tree or an error with a message, and the message can be printed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new((size_t)64 << 20);
        Source source = {.name = "fuzz.yaml", .text = (const char *)data, .size = size};
        _cleanup_fclose_ FILE *null = fopen("/dev/null", "w");
        Diag *d = a ? diag_new(a) : NULL;
        const Node *n;
        int r;

        if (!d || !null)
                return 0;
        r = node_parse(a, a, &source, &n, d);
        if (r == -EBADMSG && d->n_errors == 0)
                abort();
        if (r == 0 && (n->height > NODE_DEPTH_MAX || n->size > NODE_COUNT_MAX))
                abort();
        diag_print(d, null, false);
        return 0;
}
