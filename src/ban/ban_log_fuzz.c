/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/ban_log.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever has become of a log. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        (void)ban_log_is_damaged(data, size);
        return 0;
}
