/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was written down of claims, whatever has become of the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = calloc(1, size + 1);
        _cleanup_free_ ClaimBook *b = calloc(1, sizeof(*b));

        if (!text || !b)
                return 0;
        if (size > 0)
                memcpy(text, data, size);
        claim_book_parse(b, text);
        if (b->n_items > CLAIMS_MAX)
                abort();
        claim_book_clear(b);
        return 0;
}
