/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/store_internal.h"

/* An entry's file: magic, the header's size, the header (with the content's digest), the header's
 * digest, the content. So that a list needs the beginnings of files alone. */

static const char magic[STORE_MAGIC_SIZE + 1] = "RWENTRY1";

#define FILES_MAX 4096
#define RESCUE_PARTS_MAX 4096
#define HEADER_SIZE_SIZE 4

/* ---- small parts */

static void put_address(ByteWriter *w, U128 value) {
        bytes_put_number(w, value.high);
        bytes_put_number(w, value.low);
}

static U128 get_address(ByteReader *r) {
        U128 value;

        value.high = bytes_get_number(r, UINT64_MAX);
        value.low = bytes_get_number(r, UINT64_MAX);
        return value;
}

static void put_text(ByteWriter *w, const char *text) {
        bytes_put_number(w, text != NULL);
        if (text)
                bytes_put_string(w, text);
}

static const char *get_text(ByteReader *r, Arena *a) {
        return bytes_get_bool(r) ? bytes_get_string(r, a) : NULL;
}

static void put_caller(ByteWriter *w, const StoreCaller *c) {
        bytes_put_number(w, c->uid);
        put_text(w, c->user);
        bytes_put_number(w, c->has_peer);
        bytes_put_number(w, (uint64_t)c->family);
        put_address(w, c->peer);
}

static void get_caller(ByteReader *r, Arena *a, StoreCaller *ret) {
        ret->uid = (uint32_t)bytes_get_number(r, UINT32_MAX);
        ret->user = get_text(r, a);
        ret->has_peer = bytes_get_bool(r);
        ret->family = (Family)bytes_get_number(r, _FAMILY_MAX - 1);
        ret->peer = get_address(r);
}

static void put_ranges(ByteWriter *w, const RangeSet *set) {
        bytes_put_number(w, set->n_items);
        for (size_t i = 0; i < set->n_items; i++) {
                put_address(w, set->items[i].low);
                put_address(w, set->items[i].high);
        }
}

static int get_ranges(ByteReader *r, Arena *a, RangeSet *ret) {
        size_t n = bytes_get_count(r, 4);

        for (size_t i = 0; i < n; i++) {
                Range range;

                range.low = get_address(r);
                range.high = get_address(r);
                if (range_set_add(a, ret, range) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* ---- the content */

static void put_settings(ByteWriter *w, const StoreSettings *s) {
        bytes_put_number(w, s->confirm);
        bytes_put_number(w, s->mark);
        bytes_put_number(w, s->cut_denied);
        bytes_put_number(w, (uint64_t)s->ownership);
        bytes_put_number(w, (uint64_t)s->drift);
        bytes_put_number(w, s->n_rescue);
        for (size_t i = 0; i < s->n_rescue; i++) {
                const ZonePart *p = &s->rescue[i];

                bytes_put_number(w, p->any_interface);
                put_ranges(w, &p->interfaces);
                bytes_put_number(w, p->any_address);
                for (Family f = 0; f < _FAMILY_MAX; f++)
                        put_ranges(w, &p->addresses[f]);
        }
}

static int get_settings(ByteReader *r, Arena *a, StoreSettings *ret) {
        ret->confirm = (unsigned int)bytes_get_number(r, UINT32_MAX);
        ret->mark = (uint32_t)bytes_get_number(r, UINT32_MAX);
        ret->cut_denied = bytes_get_bool(r);
        ret->ownership = (Ownership)bytes_get_number(r, OWNERSHIP_OFF);
        ret->drift = (Drift)bytes_get_number(r, DRIFT_ALERT);
        ret->n_rescue = bytes_get_count(r, 5);
        if (ret->n_rescue > RESCUE_PARTS_MAX)
                bytes_fail(r, "it has more places of rescue than can be");
        if (r->wrong)
                ret->n_rescue = 0;
        ret->rescue = arena_alloc_array(a, MAX(ret->n_rescue, 1UL), sizeof(*ret->rescue));
        if (!ret->rescue)
                return -ENOMEM;
        for (size_t i = 0; i < ret->n_rescue; i++) {
                ZonePart *p = &ret->rescue[i];

                p->any_interface = bytes_get_bool(r);
                if (get_ranges(r, a, &p->interfaces) < 0)
                        return -ENOMEM;
                p->any_address = bytes_get_bool(r);
                for (Family f = 0; f < _FAMILY_MAX; f++)
                        if (get_ranges(r, a, &p->addresses[f]) < 0)
                                return -ENOMEM;
        }
        return 0;
}

static void put_content(ByteWriter *w, const StoreContent *c) {
        put_settings(w, &c->settings);
        bytes_put_number(w, c->n_files);
        for (size_t i = 0; i < c->n_files; i++) {
                bytes_put_string(w, c->files[i].name);
                bytes_put_number(w, c->files[i].size);
                bytes_put(w, c->files[i].text, c->files[i].size);
        }
        bytes_put_number(w, c->image_size);
        bytes_put(w, c->image, c->image_size);
}

static int get_content(ByteReader *r, Arena *a, StoreContent *ret) {
        Source *files;

        if (get_settings(r, a, &ret->settings) < 0)
                return -ENOMEM;
        ret->n_files = bytes_get_count(r, 2);
        if (ret->n_files > FILES_MAX)
                bytes_fail(r, "it has more files than can be");
        if (r->wrong)
                ret->n_files = 0;
        files = arena_alloc_array(a, MAX(ret->n_files, 1UL), sizeof(*files));
        if (!files)
                return -ENOMEM;
        for (size_t i = 0; i < ret->n_files; i++) {
                const unsigned char *text;

                files[i].name = bytes_get_string(r, a);
                files[i].size = bytes_get_number(r, (uint64_t)(r->end - r->at));
                text = bytes_get(r, files[i].size);
                files[i].text = text ? arena_strndup(a, (const char *)text, files[i].size) : NULL;
                if (r->wrong)
                        return 0;
                if (!files[i].text)
                        return -ENOMEM;
        }
        ret->files = files;
        ret->image_size = bytes_get_number(r, (uint64_t)(r->end - r->at));
        ret->image = bytes_get(r, ret->image_size);
        return 0;
}

/* ---- the file */

static void put_header(ByteWriter *w, const StoreEntry *e) {
        bytes_put_number(w, e->number);
        bytes_put_number(w, e->created_usec);
        put_caller(w, &e->by);
        put_text(w, e->message);
        bytes_put_number(w, e->confirmed);
        bytes_put_number(w, e->confirmed_usec);
        put_caller(w, &e->confirmed_by);
        bytes_put(w, e->digest, sizeof(e->digest));
}

static void get_header(ByteReader *r, Arena *a, StoreEntry *ret) {
        const unsigned char *digest;

        ret->number = (uint32_t)bytes_get_number(r, UINT32_MAX);
        ret->created_usec = bytes_get_number(r, UINT64_MAX);
        get_caller(r, a, &ret->by);
        ret->message = get_text(r, a);
        ret->confirmed = bytes_get_bool(r);
        ret->confirmed_usec = bytes_get_number(r, UINT64_MAX);
        get_caller(r, a, &ret->confirmed_by);
        digest = bytes_get(r, sizeof(ret->digest));
        if (digest)
                memcpy(ret->digest, digest, sizeof(ret->digest));
}

int store_encode_header(const StoreEntry *entry, const void *content, size_t size, ByteWriter *w) {
        _cleanup_(byte_writer_donep) ByteWriter header = {0};
        unsigned char digest[STORE_DIGEST_SIZE], length[HEADER_SIZE_SIZE];

        put_header(&header, entry);
        if (header.failed || header.size > STORE_HEADER_MAX - 128)
                return -ENOMEM;
        for (size_t i = 0; i < sizeof(length); i++)
                length[i] = (unsigned char)(header.size >> (8 * i));
        bytes_put(w, magic, STORE_MAGIC_SIZE);
        bytes_put(w, length, sizeof(length));
        bytes_put(w, header.bytes, header.size);
        if (w->failed)
                return -ENOMEM;
        store_digest(w->bytes, w->size, digest);
        bytes_put(w, digest, sizeof(digest));
        bytes_put(w, content, size);
        return w->failed ? -ENOMEM : 0;
}

int store_encode_entry(StoreEntry *entry, const StoreContent *content, ByteWriter *w) {
        _cleanup_(byte_writer_donep) ByteWriter body = {0};

        put_content(&body, content);
        if (body.failed)
                return -ENOMEM;
        store_digest(body.bytes, body.size, entry->digest);
        return store_encode_header(entry, body.bytes, body.size, w);
}

static int damaged(const char **ret_damage, const char *what) {
        *ret_damage = what;
        return -EBADMSG;
}

int store_decode_entry(Arena *a,
                       const void *bytes,
                       size_t size,
                       StoreEntry *ret,
                       StoreContent *ret_content,
                       const void **ret_raw,
                       size_t *ret_raw_size,
                       const char **ret_damage) {
        unsigned char digest[STORE_DIGEST_SIZE];
        const unsigned char *p = bytes;
        size_t header = 0, start = STORE_MAGIC_SIZE + HEADER_SIZE_SIZE, end;
        ByteReader r;

        if (size < start || memcmp(p, magic, STORE_MAGIC_SIZE) != 0)
                return damaged(ret_damage, "it is no entry");
        for (size_t i = 0; i < HEADER_SIZE_SIZE; i++)
                header |= (size_t)p[STORE_MAGIC_SIZE + i] << (8 * i);
        end = start + header;
        if (header > STORE_HEADER_MAX || size < end + STORE_DIGEST_SIZE)
                return damaged(ret_damage, "its header is cut off");
        store_digest(p, end, digest);
        if (memcmp(digest, p + end, sizeof(digest)) != 0)
                return damaged(ret_damage, "its header has been changed");
        r = byte_reader(p + start, header);
        *ret = (StoreEntry){0};
        get_header(&r, a, ret);
        if (r.wrong)
                return damaged(ret_damage, r.wrong);
        if (!ret_content)
                return 0;
        end += STORE_DIGEST_SIZE;
        store_digest(p + end, size - end, digest);
        if (memcmp(digest, ret->digest, sizeof(digest)) != 0)
                return damaged(ret_damage, "its content is cut off or has been changed");
        *ret_content = (StoreContent){0};
        r = byte_reader(p + end, size - end);
        if (get_content(&r, a, ret_content) < 0)
                return -ENOMEM;
        if (r.wrong)
                return damaged(ret_damage, r.wrong);
        if (ret_raw) {
                *ret_raw = p + end;
                *ret_raw_size = size - end;
        }
        return 0;
}
