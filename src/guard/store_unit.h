/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For this folder's x_test.c files: a store, and entries to put in it. */

#include <ftw.h>
#include <sys/stat.h>

#include "base/unit.h"
#include "guard/store.h"

typedef struct StoreTest {
        Arena *arena;
        const char *folder; /* of the store; its parent is the test's own */
        char parent[40];
        Store *store; /* open for writing, once store_test_open() was called */
        Diag *d;
} StoreTest;

static inline int store_test_setup(void **state) {
        StoreTest *t = calloc(1, sizeof(*t));

        *state = t;
        if (!t)
                return -1;
        strcpy(t->parent, "/tmp/ringwall-store-XXXXXX");
        t->arena = arena_new(0);
        t->d = t->arena ? diag_new(t->arena) : NULL;
        if (!t->d || !mkdtemp(t->parent))
                return -1;
        t->folder = arena_printf(t->arena, "%s/state", t->parent);
        return t->folder ? 0 : -1;
}

static inline int
store_test_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        return remove(path);
}

static inline int store_test_teardown(void **state) {
        StoreTest *t = *state;

        t->store = store_close(t->store);
        (void)nftw(t->parent, store_test_remove, 8, FTW_DEPTH | FTW_PHYS);
        (void)arena_free(t->arena);
        free(t);
        return 0;
}

/* A test that finds a StoreTest in *state, whose folder is not there yet. */
#define store_test(function)                                                                       \
        cmocka_unit_test_setup_teardown((function), store_test_setup, store_test_teardown)

/* Opens, or opens again. */
static inline Store *store_test_open(StoreTest *t) {
        t->store = store_close(t->store);
        if (store_open(t->folder, STORE_WRITE, &t->store, t->d) < 0)
                fail_msg("%s", t->d->n_messages ? t->d->messages[0].text : "no store");
        return t->store;
}

static const StoreCaller store_test_caller = {
        .uid = 1000,
        .user = "ada",
        .has_peer = true,
        .family = FAMILY_IPV4,
        .peer = {0, 0x0a280a07},
        .port = 2222,
};

/* The content of the n-th entry, so that one can be told from another. */
static inline StoreContent store_test_content(Arena *a, unsigned int n) {
        static const PolicyOwner owners[] = {{.is_group = true, .name = "adm", .number = 4}};
        Source *files = arena_alloc_array(a, 2, sizeof(Source));
        ZonePart *rescue = arena_new0(a, ZonePart);
        char *image = arena_printf(a, "image %u", n);
        BanSettings bans;

        assert_true(files && rescue && image);
        files[0] = (Source){.name = "catalogue.yaml", .text = "ringwall: 1\n", .size = 12};
        files[1].name = "/etc/ringwall/policy.yaml";
        files[1].text = arena_printf(a, "ringwall: 1\n# %u\n", n);
        files[1].size = strlen(files[1].text);
        rescue->any_interface = true;
        assert_int_equal(range_set_add(a, &rescue->addresses[FAMILY_IPV4],
                                       (Range){u128(0x0a000000U + n), u128(0x0a0000ff)}),
                         0);
        ban_settings_init(&bans);
        return (StoreContent){
                .texts = {.sources = files,
                          .n_sources = 2,
                          .n_files = 2,
                          .owners = owners,
                          .n_owners = 1},
                .settings = {.confirm = 100 + n,
                             .rescue = rescue,
                             .n_rescue = 1,
                             .mark = 0x10000000,
                             .cut_denied = true,
                             .drift = DRIFT_ALERT,
                             .bans = {.rules = bans}},
                .image = image,
                .image_size = strlen(image) + 1,
        };
}

/* Adds the n-th entry, which gets that number. */
static inline void store_test_add(StoreTest *t, unsigned int n) {
        StoreContent content = store_test_content(t->arena, n);
        StoreEntry entry = {.created_usec = n * UINT64_C(1000000), .by = store_test_caller};

        entry.message = arena_printf(t->arena, "message %u", n);
        if (store_add(t->store, &entry, &content, t->d) < 0)
                fail_msg("%s", t->d->n_messages ? t->d->messages[0].text : "not added");
        assert_int_equal(entry.number, n);
}

/* Adds and confirms it. */
static inline void store_test_confirm(StoreTest *t, unsigned int n) {
        store_test_add(t, n);
        assert_int_equal(store_stage(t->store, n, t->d), 0);
        assert_int_equal(store_seal(t->store, n, n * UINT64_C(2000000), &store_test_caller, t->d),
                         0);
        assert_int_equal(t->d->n_messages, 0);
}

static inline const char *store_test_path(const StoreTest *t, const char *name) {
        return arena_printf(t->arena, "%s/%s", t->folder, name);
}

static inline void store_test_touch(const StoreTest *t, const char *name) {
        FILE *f = fopen(store_test_path(t, name), "we");

        assert_non_null(f);
        assert_int_equal(fclose(f), 0);
}

/* Changes one byte of a file, from the end if at is negative. */
static inline void store_test_damage(const StoreTest *t, const char *name, long at) {
        FILE *f = fopen(store_test_path(t, name), "r+e");
        int c;

        assert_non_null(f);
        assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
        c = fgetc(f);
        assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
        assert_true(c != EOF && fputc(c ^ 1, f) != EOF);
        assert_int_equal(fclose(f), 0);
}

/* The first message that a Diag got since it was new. */
static inline const char *store_test_message(const Diag *d) {
        assert_true(d->n_messages > 0);
        return d->messages[0].text;
}

/* With the store's folder for each %s. */
static inline void store_test_check_message(const StoreTest *t, const char *format) {
        const char *at = strstr(format, "%s");
        const char *expected = at ? arena_printf(t->arena, "%.*s%s%s", (int)(at - format), format,
                                                 t->folder, at + 2)
                                  : format;

        assert_string_equal(store_test_message(t->d), expected);
}

/* What stands on disk, with messages of its own. */
static inline ConfirmFound store_test_found(StoreTest *t) {
        ConfirmFound f;

        t->d = diag_new(t->arena);
        assert_int_equal(store_find(t->store, &f, t->d), 0);
        return f;
}

/* Fails unless it is that of the n-th entry. */
static inline void store_test_check_content(const StoreContent *content, unsigned int n, Arena *a) {
        StoreContent expected = store_test_content(a, n);

        assert_int_equal(content->texts.n_sources, expected.texts.n_sources);
        assert_int_equal(content->texts.n_files, expected.texts.n_files);
        assert_int_equal(content->texts.n_owners, 1);
        assert_true(content->texts.owners[0].is_group);
        assert_string_equal(content->texts.owners[0].name, "adm");
        assert_int_equal(content->texts.owners[0].number, 4);
        for (size_t i = 0; i < expected.texts.n_sources; i++) {
                assert_string_equal(content->texts.sources[i].name, expected.texts.sources[i].name);
                assert_string_equal(content->texts.sources[i].text, expected.texts.sources[i].text);
                assert_int_equal(content->texts.sources[i].size, expected.texts.sources[i].size);
        }
        assert_int_equal(content->image_size, expected.image_size);
        assert_memory_equal(content->image, expected.image, expected.image_size);
        assert_int_equal(content->settings.confirm, expected.settings.confirm);
        assert_int_equal(content->settings.mark, expected.settings.mark);
        assert_true(content->settings.cut_denied);
        assert_int_equal(content->settings.ownership, OWNERSHIP_AUTO);
        assert_int_equal(content->settings.drift, DRIFT_ALERT);
        assert_int_equal(content->settings.n_rescue, 1);
        assert_true(content->settings.rescue[0].any_interface);
        assert_true(range_set_equal(&content->settings.rescue[0].addresses[FAMILY_IPV4],
                                    &expected.settings.rescue[0].addresses[FAMILY_IPV4]));
}

/* That entry waits to be confirmed, else that one comes back; 0: nothing. */
static inline Pending store_test_waiting(uint32_t entry, uint32_t fallback) {
        return (Pending){
                .entry = entry,
                .fallback = {.kind = fallback ? TARGET_ENTRY : TARGET_NOTHING, .entry = fallback},
                .armed_usec = 5,
                .deadline_usec = 125,
                .deadline_realtime_usec = UINT64_MAX,
                .boot = "boot-a",
        };
}
