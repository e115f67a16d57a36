/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The input is what the kernel would send: netlink messages in a row. */

#include "nft/decode.h"

#define LIMIT ((size_t)256 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new(LIMIT);
        _cleanup_free_ void *aligned = malloc(MAX(size, 1UL));
        _cleanup_fclose_ FILE *sink = fopen("/dev/null", "w");
        Ruleset *rs, *again;

        if (!a || !aligned || !sink)
                return 0;
        memcpy(aligned, data, size);
        if (decode_ruleset(a, aligned, size, &rs) == 0) {
                ruleset_print(rs, sink);
                (void)ruleset_equal(rs, rs); /* only that it ends */
                if (decode_wanted(a, aligned, size, rs, &again) != 0)
                        return 0; /* the arena is full */
                for (size_t i = 0; i < rs->n_sets; i++)
                        if (!set_equal(rs->sets[i], again->sets[i]))
                                abort();
        }
        return 0;
}
