/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The input is what /proc says of a process: its stat, and, behind a NUL, its cgroup. Names in both
 * are anybody's choice. */

#include "host/process.h"

#define LIMIT ((size_t)64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new(LIMIT);
        _cleanup_free_ char *text = calloc(1, size + 2); /* both end, whatever the input */
        HostProcess p = {0};

        if (!a || !text || size > TREE_TEXT_MAX)
                return 0;
        memcpy(text, data, size);
        (void)cgroup_parse(a, text + strlen(text) + 1, &p.cgroup); /* only that they end */
        (void)process_parse_stat(a, text, &p);
        return 0;
}
