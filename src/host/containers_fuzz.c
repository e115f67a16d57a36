/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The input is what Docker answers over its socket, and what /proc shows of a namespace's
 * addresses. Whatever it holds, what is taken from it fits into one line, and every address has a
 * container. */

#include "host/containers.h"

#define LIMIT ((size_t)64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t max) {
        if (text && (strlen(text) > max || strpbrk(text, "\n\r\t\033")))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new(LIMIT);
        _cleanup_free_ char *text = calloc(1, size + 1);
        ContainerList c = {0};

        if (!a || !text || size > TREE_TEXT_MAX)
                return 0;
        memcpy(text, data, size);
        if (containers_take_answer(a, text, size, &c) < 0)
                return 0;
        if (c.n_items > 0 &&
            (containers_take_trie(a, text, 0, &c) < 0 || containers_take_inet6(a, text, 0, &c) < 0))
                return 0;
        if (c.n_items > CONTAINERS_MAX)
                abort();
        for (size_t i = 0; i < c.n_items; i++) {
                check_text(c.items[i].id, CONTAINER_ID_MAX);
                check_text(c.items[i].name, CONTAINER_NAME_MAX);
        }
        for (size_t i = 0; i < c.n_addresses; i++)
                if (c.addresses[i].container >= c.n_items)
                        abort();
        return 0;
}
