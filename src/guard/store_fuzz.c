/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The first byte says what the rest is: a digest would keep every other mistake out. */

#include "guard/store_codec.h"

#define LIMIT ((size_t)256 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read can be written, and is then the same bytes again each time. */
static void check(const ByteWriter *first, const ByteWriter *second) {
        if (!first->failed && !second->failed &&
            (first->size != second->size ||
             (first->size > 0 && memcmp(first->bytes, second->bytes, first->size) != 0)))
                abort();
}

static void try_entry(Arena *a, ByteReader r) {
        _cleanup_(byte_writer_donep) ByteWriter first = {0}, second = {0};
        StoreEntry entry;

        entry_get(&r, a, &entry);
        if (r.wrong)
                return;
        entry_put(&first, &entry);
        r = byte_reader(first.bytes, first.size);
        entry_get(&r, a, &entry);
        entry_put(&second, &entry);
        check(&first, &second);
}

static void try_content(Arena *a, ByteReader r) {
        _cleanup_(byte_writer_donep) ByteWriter first = {0}, second = {0};
        StoreContent content;

        content_get(&r, a, &content);
        if (r.wrong)
                return;
        content_put(&first, &content);
        r = byte_reader(first.bytes, first.size);
        content_get(&r, a, &content);
        content_put(&second, &content);
        check(&first, &second);
}

static void try_pending(ByteReader r) {
        _cleanup_(byte_writer_donep) ByteWriter first = {0}, second = {0};
        Pending pending;

        pending_get(&r, &pending);
        if (r.wrong)
                return;
        pending_put(&first, &pending);
        r = byte_reader(first.bytes, first.size);
        pending_get(&r, &pending);
        pending_put(&second, &pending);
        check(&first, &second);
}

static void try_rescue(ByteReader r) {
        StorePeer peers[STORE_RESCUE_MAX];

        if (rescue_get(&r, peers) > STORE_RESCUE_MAX)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new(LIMIT);
        ByteReader rest;
        Frame f;

        if (!a || size == 0)
                return 0;
        rest = byte_reader(data + 1, size - 1);
        switch (data[0]) {
        case 'e':
                try_entry(a, rest);
                break;
        case 'c':
                try_content(a, rest);
                break;
        case 'p':
                try_pending(rest);
                break;
        case 'r':
                try_rescue(rest);
                break;
        case 'h':
                (void)frame_get(data + 1, size - 1, FRAME_ENTRY, false, &f);
                break;
        case 'f':
                if (!frame_get(data + 1, size - 1, FRAME_ENTRY, true, &f)) {
                        try_entry(a, byte_reader(f.meta, f.meta_size));
                        try_content(a, byte_reader(f.body, f.body_size));
                }
                break;
        }
        return 0;
}
