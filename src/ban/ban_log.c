/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/ban_log.h"

#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/util.h"

/* As the file format is described in SQLite's documentation (fileformat2.html, section 4): a header
 * with two numbers drawn by lot, and frames with a page each that repeat them. A checksum goes on
 * from frame to frame; what is behind one that does not fit is passed over. */

#define HEADER_SIZE 32
#define FRAME_SIZE 24     /* and a page */
#define MAGIC 0x377f0682U /* the last bit: the checksum takes big-endian words */
#define PAGE_MAX 65536U

typedef struct Log {
        const unsigned char *bytes;
        size_t size, page;
        bool is_big;
        uint32_t sum[2];
} Log;

static uint32_t word(const unsigned char *at) {
        uint32_t value;

        memcpy(&value, at, sizeof(value));
        return be32toh(value);
}

static void add(Log *l, const unsigned char *at, size_t size) {
        for (size_t i = 0; i + 8 <= size; i += 8) {
                uint32_t first = word(at + i), second = word(at + i + 4);

                l->sum[0] += (l->is_big ? first : __builtin_bswap32(first)) + l->sum[1];
                l->sum[1] += (l->is_big ? second : __builtin_bswap32(second)) + l->sum[0];
        }
}

static bool fits(const Log *l, const unsigned char *sums) {
        return word(sums) == l->sum[0] && word(sums + 4) == l->sum[1];
}

bool ban_log_is_damaged(const void *bytes, size_t size) {
        Log l = {.bytes = bytes, .size = size};
        size_t at = HEADER_SIZE;
        bool is_over = false;

        if (size <= HEADER_SIZE)
                return false; /* nothing was written to it */
        l.is_big = word(l.bytes) & 1;
        l.page = word(l.bytes + 8);
        add(&l, l.bytes, HEADER_SIZE - 8);
        if ((word(l.bytes) & ~1U) != MAGIC || !fits(&l, l.bytes + HEADER_SIZE - 8) ||
            l.page < 512 || l.page > PAGE_MAX)
                return true;
        for (; size - at >= FRAME_SIZE + l.page; at += FRAME_SIZE + l.page) {
                const unsigned char *frame = l.bytes + at;
                bool is_own = memcmp(frame + 8, l.bytes + 16, 8) == 0;

                if (is_over && is_own)
                        return true;
                add(&l, frame, 8);
                add(&l, frame + FRAME_SIZE, l.page);
                is_over |= !is_own || !fits(&l, frame + 16);
        }
        return false;
}

int ban_log_read(const char *path, bool *ret_damaged) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        _cleanup_free_ unsigned char *bytes = NULL;
        struct stat st;
        ssize_t n;

        *ret_damaged = false;
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        bytes = malloc((size_t)st.st_size + 1);
        if (!bytes)
                return -ENOMEM;
        n = read(fd, bytes, (size_t)st.st_size);
        if (n < 0)
                return -errno;
        *ret_damaged = ban_log_is_damaged(bytes, (size_t)n);
        return 0;
}
