/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/store_codec.h"

#include <endian.h>
#include <sodium.h>

#define MAGIC "rwstore" /* with its NUL */
#define VERSION 1

/* The head of a frame; numbers in little-endian order. The second digest is of all in front of it,
 * and of meta. */
typedef struct Head {
        char magic[8];
        uint32_t version, kind;
        uint64_t meta_size, body_size;
        unsigned char body_digest[STORE_DIGEST_SIZE], digest[STORE_DIGEST_SIZE];
} Head;

_Static_assert(sizeof(Head) == FRAME_HEAD_SIZE, "the head has no holes");

static void
digest_of(const void *x, size_t x_size, const void *y, size_t y_size, unsigned char *ret) {
        crypto_generichash_state state;

        (void)crypto_generichash_init(&state, NULL, 0, STORE_DIGEST_SIZE); /* these never fail */
        (void)crypto_generichash_update(&state, x, x_size);
        (void)crypto_generichash_update(&state, y, y_size);
        (void)crypto_generichash_final(&state, ret, STORE_DIGEST_SIZE);
}

void store_put_frame(ByteWriter *out,
                     FrameKind kind,
                     const ByteWriter *meta,
                     const void *body,
                     size_t body_size) {
        Head head = {
                .magic = MAGIC,
                .version = htole32(VERSION),
                .kind = htole32((uint32_t)kind),
                .meta_size = htole64(meta->size),
                .body_size = htole64(body_size),
        };

        digest_of(NULL, 0, body, body_size, head.body_digest);
        digest_of(&head, offsetof(Head, digest), meta->bytes, meta->size, head.digest);
        out->failed |= meta->failed;
        bytes_put(out, &head, sizeof(head));
        bytes_put(out, meta->bytes, meta->size);
        bytes_put(out, body, body_size);
}

static const char *check_head(const Head *head, FrameKind kind) {
        if (memcmp(head->magic, MAGIC, sizeof(head->magic)) != 0)
                return "it is no file of ringwall's";
        if (le32toh(head->version) != VERSION)
                return "another version of ringwall wrote it";
        if (le32toh(head->kind) != (uint32_t)kind)
                return "it is another file of ringwall's";
        return NULL;
}

static const char *check_body(const Frame *f, const Head *head, size_t size) {
        unsigned char digest[STORE_DIGEST_SIZE];

        if (size < f->body_size)
                return "it is cut off";
        if (size > f->body_size)
                return "something follows its end";
        digest_of(NULL, 0, f->body, f->body_size, digest);
        return memcmp(digest, head->body_digest, sizeof(digest)) == 0 ? NULL
                                                                      : "its content has changed";
}

const char *
store_get_frame(const void *bytes, size_t size, FrameKind kind, bool whole, Frame *ret) {
        unsigned char digest[STORE_DIGEST_SIZE];
        const char *wrong;
        uint64_t meta_size, body_size;
        Head head;

        if (size < sizeof(head))
                return size == 0 ? "it is empty" : "it is cut off";
        memcpy(&head, bytes, sizeof(head));
        wrong = check_head(&head, kind);
        if (wrong)
                return wrong;
        meta_size = le64toh(head.meta_size);
        body_size = le64toh(head.body_size);
        if (meta_size > FRAME_META_MAX || body_size > STORE_ENTRY_MAX)
                return "its head has changed";
        if (size - sizeof(head) < meta_size)
                return "it is cut off";
        *ret = (Frame){
                .meta = (const unsigned char *)bytes + sizeof(head),
                .meta_size = (size_t)meta_size,
                .body = (const unsigned char *)bytes + sizeof(head) + meta_size,
                .body_size = (size_t)body_size,
        };
        memcpy(ret->digest, head.body_digest, sizeof(ret->digest));
        digest_of(&head, offsetof(Head, digest), ret->meta, ret->meta_size, digest);
        if (memcmp(digest, head.digest, sizeof(digest)) != 0)
                return "its head has changed";
        return whole ? check_body(ret, &head, size - sizeof(head) - ret->meta_size) : NULL;
}

static void put_u128(ByteWriter *out, U128 value) {
        bytes_put_number(out, value.high);
        bytes_put_number(out, value.low);
}

static U128 get_u128(ByteReader *r) {
        uint64_t high = bytes_get_number(r, UINT64_MAX);

        return (U128){high, bytes_get_number(r, UINT64_MAX)};
}

static void put_text(ByteWriter *out, const char *text) {
        bytes_put_number(out, text != NULL);
        if (text)
                bytes_put_string(out, text);
}

static const char *get_text(ByteReader *r, Arena *a) {
        return bytes_get_bool(r) ? bytes_get_string(r, a) : NULL;
}

static U128 get_address(ByteReader *r, Family family) {
        U128 address = get_u128(r);

        if (u128_compare(address, u128_low_mask(family_width(family))) > 0)
                bytes_fail(r, "an address is too long");
        return address;
}

static void put_caller(ByteWriter *out, const StoreCaller *caller) {
        bytes_put_number(out, caller->uid);
        put_text(out, caller->user);
        bytes_put_number(out, caller->has_peer);
        if (caller->has_peer) {
                bytes_put_number(out, caller->family == FAMILY_IPV6);
                put_u128(out, caller->peer);
                bytes_put_number(out, caller->port);
        }
}

static Family get_family(ByteReader *r) {
        return bytes_get_bool(r) ? FAMILY_IPV6 : FAMILY_IPV4;
}

static StoreCaller get_caller(ByteReader *r, Arena *a) {
        StoreCaller caller = {.uid = (uint32_t)bytes_get_number(r, UINT32_MAX)};

        caller.user = get_text(r, a);
        caller.has_peer = bytes_get_bool(r);
        if (caller.has_peer) {
                caller.family = get_family(r);
                caller.peer = get_address(r, caller.family);
                caller.port = (uint16_t)bytes_get_number(r, UINT16_MAX);
        }
        return caller;
}

void store_put_entry(ByteWriter *out, const StoreEntry *entry) {
        bytes_put_number(out, entry->number);
        bytes_put_number(out, entry->created_usec);
        put_caller(out, &entry->by);
        put_text(out, entry->message);
        bytes_put_number(out, entry->confirmed);
        if (entry->confirmed) {
                bytes_put_number(out, entry->confirmed_usec);
                put_caller(out, &entry->confirmed_by);
        }
}

/* What is read has to be read to its end. */
static void expect_end(ByteReader *r) {
        if (r->at != r->end)
                bytes_fail(r, "something follows its end");
}

void store_get_entry(ByteReader *r, Arena *a, StoreEntry *ret) {
        *ret = (StoreEntry){.number = (uint32_t)bytes_get_number(r, UINT32_MAX)};
        if (ret->number == 0)
                bytes_fail(r, "it has no number");
        ret->created_usec = bytes_get_number(r, UINT64_MAX);
        ret->by = get_caller(r, a);
        ret->message = get_text(r, a);
        ret->confirmed = bytes_get_bool(r);
        if (ret->confirmed) {
                ret->confirmed_usec = bytes_get_number(r, UINT64_MAX);
                ret->confirmed_by = get_caller(r, a);
        }
        expect_end(r);
}

static void put_ranges(ByteWriter *out, const RangeSet *set) {
        bytes_put_number(out, set->n_items);
        for (size_t i = 0; i < set->n_items; i++) {
                put_u128(out, set->items[i].low);
                put_u128(out, set->items[i].high);
        }
}

static void get_ranges(ByteReader *r, Arena *a, unsigned int width, RangeSet *ret) {
        size_t n = bytes_get_count(r, 4);

        ret->items = arena_alloc_array(a, MAX(n, 1UL), sizeof(Range));
        if (!ret->items)
                bytes_fail(r, "there is not enough memory");
        for (size_t i = 0; i < n && !r->wrong; i++) {
                U128 low = get_u128(r), high = get_u128(r);

                if (u128_compare(low, high) > 0 || u128_compare(high, u128_low_mask(width)) > 0 ||
                    (i > 0 && u128_compare(ret->items[i - 1].high, low) >= 0))
                        bytes_fail(r, "ranges run backwards or overlap");
                ret->items[i] = (Range){low, high};
        }
        ret->n_items = r->wrong ? 0 : n;
}

static void put_part(ByteWriter *out, const ZonePart *part) {
        bytes_put_number(out, part->any_interface);
        put_ranges(out, &part->interfaces);
        bytes_put_number(out, part->any_address);
        for (Family family = 0; family < _FAMILY_MAX; family++)
                put_ranges(out, &part->addresses[family]);
}

static void get_part(ByteReader *r, Arena *a, ZonePart *ret) {
        ret->any_interface = bytes_get_bool(r);
        get_ranges(r, a, 128, &ret->interfaces);
        ret->any_address = bytes_get_bool(r);
        for (Family family = 0; family < _FAMILY_MAX; family++)
                get_ranges(r, a, family_width(family), &ret->addresses[family]);
}

static void put_settings(ByteWriter *out, const StoreSettings *s) {
        bytes_put_number(out, s->confirm);
        bytes_put_number(out, s->mark);
        bytes_put_number(out, s->cut_denied);
        bytes_put_number(out, s->ownership == OWNERSHIP_OFF);
        bytes_put_number(out, s->drift == DRIFT_ALERT);
        bytes_put_number(out, s->n_rescue);
        for (size_t i = 0; i < s->n_rescue; i++)
                put_part(out, &s->rescue[i]);
}

static void get_settings(ByteReader *r, Arena *a, StoreSettings *ret) {
        size_t n;

        ret->confirm = (unsigned int)bytes_get_number(r, UINT32_MAX);
        ret->mark = (uint32_t)bytes_get_number(r, UINT32_MAX);
        ret->cut_denied = bytes_get_bool(r);
        ret->ownership = bytes_get_bool(r) ? OWNERSHIP_OFF : OWNERSHIP_AUTO;
        ret->drift = bytes_get_bool(r) ? DRIFT_ALERT : DRIFT_HEAL;
        n = bytes_get_count(r, 5);
        ret->rescue = arena_alloc_array(a, MAX(n, 1UL), sizeof(ZonePart));
        if (!ret->rescue)
                bytes_fail(r, "there is not enough memory");
        for (size_t i = 0; i < n && !r->wrong; i++)
                get_part(r, a, &ret->rescue[i]);
        ret->n_rescue = r->wrong ? 0 : n;
}

/* With a NUL behind it, so that it can be used where it stands. */
static void put_blob(ByteWriter *out, const void *bytes, size_t size) {
        bytes_put_number(out, size);
        bytes_put(out, bytes, size);
        bytes_put(out, "", 1);
}

static const void *get_blob(ByteReader *r, size_t *ret_size) {
        size_t size = bytes_get_count(r, 1);
        const unsigned char *at = bytes_get(r, size), *end = bytes_get(r, 1);

        if (end && *end != '\0')
                bytes_fail(r, "a text does not end");
        *ret_size = r->wrong ? 0 : size;
        return r->wrong ? "" : (const void *)at;
}

static void put_sources(ByteWriter *out, const PolicyTexts *texts) {
        bytes_put_number(out, texts->n_sources);
        for (size_t i = 0; i < texts->n_sources; i++) {
                bytes_put_string(out, texts->sources[i].name);
                put_blob(out, texts->sources[i].text, texts->sources[i].size);
        }
}

static void get_sources(ByteReader *r, Arena *a, PolicyTexts *ret) {
        size_t n = bytes_get_count(r, 3);
        Source *sources = arena_alloc_array(a, MAX(n, 1UL), sizeof(*sources));

        if (!sources)
                bytes_fail(r, "there is not enough memory");
        for (size_t i = 0; i < n && !r->wrong; i++) {
                sources[i].name = bytes_get_string(r, a);
                sources[i].text = get_blob(r, &sources[i].size);
        }
        ret->sources = sources;
        ret->n_sources = r->wrong ? 0 : n;
}

static void put_owners(ByteWriter *out, const PolicyTexts *texts) {
        bytes_put_number(out, texts->n_owners);
        for (size_t i = 0; i < texts->n_owners; i++) {
                bytes_put_number(out, texts->owners[i].is_group);
                bytes_put_string(out, texts->owners[i].name);
                bytes_put_number(out, texts->owners[i].number);
        }
}

static void get_owners(ByteReader *r, Arena *a, PolicyTexts *ret) {
        size_t n = bytes_get_count(r, 3);
        PolicyOwner *owners = arena_alloc_array(a, MAX(n, 1UL), sizeof(*owners));

        if (!owners)
                bytes_fail(r, "there is not enough memory");
        for (size_t i = 0; i < n && !r->wrong; i++) {
                owners[i].is_group = bytes_get_bool(r);
                owners[i].name = bytes_get_string(r, a);
                owners[i].number = (uint32_t)bytes_get_number(r, UINT32_MAX);
        }
        ret->owners = owners;
        ret->n_owners = r->wrong ? 0 : n;
}

static bool has_bans(const StoreBans *s) {
        const BanSettings *b = &s->rules;
        BanSettings plain;

        ban_settings_init(&plain);
        return s->n_never > 0 || b->escalate.factor != 0 || b->ipv6 != plain.ipv6 ||
               b->ipv6_cap != plain.ipv6_cap || b->max != plain.max ||
               memcmp(b->widest, plain.widest, sizeof(plain.widest)) != 0;
}

static void put_bans(ByteWriter *out, const StoreBans *s) {
        const BanSettings *b = &s->rules;

        bytes_put_number(out, b->escalate.factor);
        bytes_put_number(out, b->escalate.longest);
        bytes_put_number(out, b->ipv6);
        bytes_put_number(out, b->ipv6_cap);
        bytes_put_number(out, b->max);
        bytes_put_number(out, b->widest[FAMILY_IPV4]);
        bytes_put_number(out, b->widest[FAMILY_IPV6]);
        bytes_put_number(out, s->n_never);
        for (size_t i = 0; i < s->n_never; i++) {
                put_ranges(out, &s->never[i].connected);
                for (Family family = 0; family < _FAMILY_MAX; family++) {
                        put_ranges(out, &s->never[i].fixed[family]);
                        put_ranges(out, &s->never[i].without[family]);
                }
        }
}

static void get_bans(ByteReader *r, Arena *a, StoreBans *ret) {
        BanSettings *b = &ret->rules;
        size_t n;

        b->escalate.factor = (unsigned int)bytes_get_number(r, BANS_FACTOR_MAX);
        b->escalate.longest = (unsigned int)bytes_get_number(r, BANS_LONGEST_MAX);
        b->ipv6 = (unsigned int)bytes_get_number(r, 128);
        b->ipv6_cap = (unsigned int)bytes_get_number(r, 128);
        b->max = (unsigned int)bytes_get_number(r, BANS_MAX);
        b->widest[FAMILY_IPV4] = (unsigned int)bytes_get_number(r, 32);
        b->widest[FAMILY_IPV6] = (unsigned int)bytes_get_number(r, 128);
        if (!r->wrong && (b->ipv6 == 0 || b->ipv6_cap == 0 || b->max == 0))
                bytes_fail(r, "what is said of bans cannot be");
        n = bytes_get_count(r, 5);
        ret->never = arena_alloc_array(a, MAX(n, 1UL), sizeof(ZonePart));
        if (!ret->never)
                bytes_fail(r, "there is not enough memory");
        for (size_t i = 0; i < n && !r->wrong; i++) {
                ret->never[i] = (ZonePart){.any_interface = true};
                get_ranges(r, a, 128, &ret->never[i].connected);
                for (Family f = 0; f < _FAMILY_MAX; f++) {
                        get_ranges(r, a, family_width(f), &ret->never[i].fixed[f]);
                        get_ranges(r, a, family_width(f), &ret->never[i].without[f]);
                }
        }
        ret->n_never = r->wrong ? 0 : n;
}

/* What does not differ from what is so anyway is left out at the end: an entry is written as it was
 * before there were alerts, or rules for bans. */
static void put_later(ByteWriter *out, const StoreSettings *s) {
        if (!s->alerts.run && !s->alerts.webhook && !has_bans(&s->bans))
                return;
        put_text(out, s->alerts.run);
        put_text(out, s->alerts.webhook);
        if (has_bans(&s->bans))
                put_bans(out, &s->bans);
}

void store_put_content(ByteWriter *out, const StoreContent *content) {
        const PolicyTexts *texts = &content->texts;

        put_settings(out, &content->settings);
        put_sources(out, texts);
        put_blob(out, content->image, content->image_size);
        bytes_put_number(out, texts->n_files);
        put_owners(out, texts);
        put_later(out, &content->settings);
}

void store_get_content(ByteReader *r, Arena *a, StoreContent *ret) {
        *ret = (StoreContent){0};
        ban_settings_init(&ret->settings.bans.rules);
        get_settings(r, a, &ret->settings);
        get_sources(r, a, &ret->texts);
        ret->image = get_blob(r, &ret->image_size);
        /* what was written before these were known has an image alone to offer */
        if (!r->wrong && r->at == r->end)
                return;
        ret->texts.n_files = (size_t)bytes_get_number(r, ret->texts.n_sources);
        get_owners(r, a, &ret->texts);
        if (!r->wrong && r->at == r->end)
                return; /* likewise: it tells nobody of events */
        ret->settings.alerts.run = get_text(r, a);
        ret->settings.alerts.webhook = get_text(r, a);
        if (!r->wrong && r->at == r->end)
                return; /* likewise: bans are as if it said nothing of them */
        get_bans(r, a, &ret->settings.bans);
        expect_end(r);
}

void store_put_pending(ByteWriter *out, const Pending *pending) {
        bytes_put_number(out, pending->entry);
        bytes_put_number(out, pending->fallback.kind == TARGET_LOCKDOWN);
        bytes_put_number(out, pending->fallback.kind == TARGET_ENTRY ? pending->fallback.entry : 0);
        bytes_put_number(out, pending->armed_usec);
        bytes_put_number(out, pending->deadline_usec);
        bytes_put_number(out, pending->deadline_realtime_usec);
        bytes_put_string(out, pending->boot);
}

void store_get_pending(ByteReader *r, Pending *ret) {
        bool lockdown;
        const unsigned char *boot;
        size_t size;

        *ret = (Pending){.entry = (uint32_t)bytes_get_number(r, UINT32_MAX)};
        lockdown = bytes_get_bool(r);
        ret->fallback.entry = (uint32_t)bytes_get_number(r, UINT32_MAX);
        ret->fallback.kind = lockdown                  ? TARGET_LOCKDOWN
                             : ret->fallback.entry > 0 ? TARGET_ENTRY
                                                       : TARGET_NOTHING;
        ret->armed_usec = bytes_get_number(r, UINT64_MAX);
        ret->deadline_usec = bytes_get_number(r, UINT64_MAX);
        ret->deadline_realtime_usec = bytes_get_number(r, UINT64_MAX);
        size = bytes_get_number(r, CONFIRM_BOOT_MAX - 1);
        boot = bytes_get(r, size);
        if (boot && memchr(boot, '\0', size))
                bytes_fail(r, "a string has a NUL byte");
        else if (boot)
                memcpy(ret->boot, boot, size);
        if (ret->entry == 0 || (lockdown && ret->fallback.entry > 0))
                bytes_fail(r, "it says nothing that could be done");
        expect_end(r);
}

void store_put_rescue(ByteWriter *out, const StorePeer *peers, size_t n) {
        bytes_put_number(out, n);
        for (size_t i = 0; i < n; i++) {
                bytes_put_number(out, peers[i].family == FAMILY_IPV6);
                put_u128(out, peers[i].address);
                bytes_put_number(out, peers[i].port);
        }
}

size_t store_get_rescue(ByteReader *r, StorePeer *ret) {
        size_t n = bytes_get_number(r, STORE_RESCUE_MAX);

        for (size_t i = 0; i < n; i++) {
                ret[i].family = get_family(r);
                ret[i].address = get_address(r, ret[i].family);
                ret[i].port = (uint16_t)bytes_get_number(r, UINT16_MAX);
        }
        expect_end(r);
        return r->wrong ? 0 : n;
}
