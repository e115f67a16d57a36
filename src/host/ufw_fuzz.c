/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The input is a file of ufw's rules, of each family in turn. Whatever it holds, what is taken from
 * it fits into one line of a comment. */

#include "host/ufw.h"

#define LIMIT ((size_t)64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text) {
        if (text && strpbrk(text, "\n\r\t\033"))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new(LIMIT);
        Ufw ufw = {0};

        if (!a || size > UFW_FILE_MAX)
                return 0;
        for (Family family = 0; family < _FAMILY_MAX; family++)
                if (ufw_take(a, (const char *)data, size, family, &ufw) < 0)
                        return 0;
        if (ufw.n_rules > UFW_RULES_MAX)
                abort();
        for (size_t i = 0; i < ufw.n_rules; i++) {
                const UfwRule *rule = &ufw.rules[i];

                check_text(rule->name);
                check_text(rule->in);
                check_text(rule->out);
                for (size_t j = 0; j < rule->ports.n_items; j++)
                        if (rule->ports.items[j].low.low == 0 ||
                            rule->ports.items[j].high.low > UINT16_MAX)
                                abort();
        }
        return 0;
}
