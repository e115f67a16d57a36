/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The lockdown as what the kernel takes, for a program that has nothing but the kernel: see
 * lockdown_write(), and src/daemon/lockdown_main.c. Written and read on one machine alone. */

#include <stddef.h>
#include <stdint.h>

#define LOCKDOWN_FILE "lockdown.batch" /* in the state directory */
#define LOCKDOWN_FILE_MAGIC "rwbatch"  /* with its NUL */
#define LOCKDOWN_FILE_MAX (16 << 20)   /* bytes */

typedef struct LockdownHead {
        char magic[8];
        uint64_t size, sum; /* of the batch that follows */
        uint32_t last;      /* the message that the kernel answers, counted from 1 */
        uint32_t reserved;
} LockdownHead;

/* FNV-1a: against damage. */
static inline uint64_t lockdown_sum(const void *bytes, size_t size) {
        const unsigned char *p = (const unsigned char *)bytes;
        uint64_t sum = UINT64_C(14695981039346656037);

        for (size_t i = 0; i < size; i++)
                sum = (sum ^ p[i]) * UINT64_C(1099511628211);
        return sum;
}
