/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The input is what was written down of a takeover. What is understood is printed, and is the same
 * when it is read again. */

#include "host/takeover.h"

#define LIMIT ((size_t)1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new(LIMIT);
        TakeoverRecord record, again;
        const char *printed;
        char *text = a && size <= TREE_TEXT_MAX ? arena_alloc(a, size + 1) : NULL;

        if (!text)
                return 0;
        memcpy(text, data, size);
        text[size] = '\0';
        (void)takeover_state_parse(text);
        if (takeover_record_parse(text, &record) < 0)
                return 0;
        printed = takeover_record_print(a, &record);
        if (printed && (takeover_record_parse(printed, &again) < 0 ||
                        !streq(printed, takeover_record_print(a, &again))))
                abort();
        return 0;
}
