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

        store_get_entry(&r, a, &entry);
        if (r.wrong)
                return;
        store_put_entry(&first, &entry);
        r = byte_reader(first.bytes, first.size);
        store_get_entry(&r, a, &entry);
        store_put_entry(&second, &entry);
        check(&first, &second);
}

static void try_content(Arena *a, ByteReader r) {
        _cleanup_(byte_writer_donep) ByteWriter first = {0}, second = {0};
        StoreContent content;

        store_get_content(&r, a, &content);
        if (r.wrong)
                return;
        store_put_content(&first, &content);
        r = byte_reader(first.bytes, first.size);
        store_get_content(&r, a, &content);
        store_put_content(&second, &content);
        check(&first, &second);
}

static void try_pending(ByteReader r) {
        _cleanup_(byte_writer_donep) ByteWriter first = {0}, second = {0};
        Pending pending;

        store_get_pending(&r, &pending);
        if (r.wrong)
                return;
        store_put_pending(&first, &pending);
        r = byte_reader(first.bytes, first.size);
        store_get_pending(&r, &pending);
        store_put_pending(&second, &pending);
        check(&first, &second);
}

static void try_rescue(ByteReader r) {
        StorePeer peers[STORE_RESCUE_MAX];

        if (store_get_rescue(&r, peers) > STORE_RESCUE_MAX)
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
                (void)store_get_frame(data + 1, size - 1, FRAME_ENTRY, false, &f);
                break;
        case 'f':
                if (!store_get_frame(data + 1, size - 1, FRAME_ENTRY, true, &f)) {
                        try_entry(a, byte_reader(f.meta, f.meta_size));
                        try_content(a, byte_reader(f.body, f.body_size));
                }
                break;
        }
        return 0;
}
