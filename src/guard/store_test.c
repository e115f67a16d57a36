/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/unit.h"
#include "guard/store_internal.h"

/* A folder of its own for each test. */
typedef struct Place {
        Arena *a;
        Diag *d;
        char folder[64];
        Store *store;
} Place;

static int setup(void **state) {
        Place *p = calloc(1, sizeof(*p));

        *state = p;
        if (!p)
                return -1;
        p->a = arena_new(0);
        p->d = diag_new(p->a);
        (void)snprintf(p->folder, sizeof(p->folder), "/tmp/ringwall-store-XXXXXX");
        return mkdtemp(p->folder) && store_open(p->folder, STORE_WRITE, &p->store, p->d) == 0 ? 0
                                                                                              : -1;
}

static int teardown(void **state) {
        Place *p = *state;
        char command[96];

        (void)store_close(p->store);
        (void)snprintf(command, sizeof(command), "rm -rf -- %s", p->folder);
        assert_int_equal(system(command), 0);
        (void)arena_free(p->a);
        free(p);
        return 0;
}

static uint32_t add(Place *p, const char *message) {
        static const Source files[] = {{"catalogue.yaml", "ringwall: 1\n", 12},
                                       {"/etc/ringwall/policy.yaml", "ringwall: 1\n# x\n", 16}};
        StoreEntry entry = {.created_usec = 1234567,
                            .by = {.uid = 7,
                                   .user = "ann",
                                   .has_peer = true,
                                   .family = FAMILY_IPV6,
                                   .peer = {1, UINT64_MAX}},
                            .message = message};
        StoreContent content = {
                .files = files,
                .n_files = 2,
                .settings = {.confirm = 120, .mark = 0x10000000, .cut_denied = true},
                .image = "an image",
                .image_size = 8};

        assert_int_equal(store_add(p->store, &entry, &content, p->d), 0);
        return entry.number;
}

static void flip_byte(const Place *p, const char *name, long offset) {
        char path[128];
        int c;
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/%s", p->folder, name);
        f = fopen(path, "r+e");
        assert_non_null(f);
        assert_int_equal(fseek(f, offset, offset < 0 ? SEEK_END : SEEK_SET), 0);
        c = fgetc(f);
        assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
        assert_true(fputc(c ^ 1, f) != EOF);
        assert_int_equal(fclose(f), 0);
}

static void an_entry_is_read_as_it_was_written(void **state) {
        Place *p = *state;
        uint32_t number = add(p, "why");
        StoreContent content;
        StoreEntry entry;

        assert_int_equal(number, 1);
        assert_int_equal(add(p, NULL), 2);
        assert_int_equal(store_read(p->store, 1, p->a, &entry, &content, p->d), 0);
        assert_int_equal(entry.created_usec, 1234567);
        assert_int_equal(entry.by.uid, 7);
        assert_string_equal(entry.by.user, "ann");
        assert_true(entry.by.has_peer && u128_equal(entry.by.peer, (U128){1, UINT64_MAX}));
        assert_string_equal(entry.message, "why");
        assert_false(entry.confirmed);
        assert_int_equal(content.n_files, 2);
        assert_string_equal(content.files[1].name, "/etc/ringwall/policy.yaml");
        assert_string_equal(content.files[1].text, "ringwall: 1\n# x\n");
        assert_int_equal(content.settings.mark, 0x10000000);
        assert_int_equal(content.image_size, 8);
        assert_memory_equal(content.image, "an image", 8);
        assert_int_equal(store_read(p->store, 3, p->a, &entry, &content, p->d), -ENOENT);
}

static void sealing_confirms_and_arms(void **state) {
        Place *p = *state;
        StoreCaller by = {.uid = 0, .user = "root"};
        uint32_t number = add(p, NULL);
        ConfirmFound found;
        StoreEntry entry;
        StoreListed *list;
        size_t n;

        assert_int_equal(store_find(p->store, &found, p->d), 0);
        assert_false(found.armed);
        assert_int_equal(store_seal(p->store, number, 99, &by, p->d), 0);
        assert_int_equal(store_find(p->store, &found, p->d), 0);
        assert_true(found.armed);
        assert_int_equal(found.sealed, number);
        assert_int_equal(found.first, number);
        assert_int_equal(store_read_sealed(p->store, p->a, &entry, NULL, p->d), 0);
        assert_int_equal(entry.number, number);
        assert_int_equal(store_list(p->store, p->a, &list, &n, p->d), 0);
        assert_int_equal(n, 1);
        assert_true(list[0].sealed && list[0].entry.confirmed);
        assert_int_equal(list[0].entry.confirmed_usec, 99);
}

/* Every byte of a file counts: whichever is changed, the copy is not used, and the next one is. */
static void a_damaged_copy_gives_way_to_the_next(void **state) {
        Place *p = *state;
        static const long offsets[] = {0, 9, 14, 40, 200, -1};
        uint32_t first = add(p, NULL), second = add(p, NULL);
        ConfirmFound found;

        assert_int_equal(store_seal(p->store, first, 1, NULL, p->d), 0);
        assert_int_equal(store_seal(p->store, second, 2, NULL, p->d), 0);
        for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
                flip_byte(p, "sealed", offsets[i]);
                assert_int_equal(store_find(p->store, &found, p->d), 0);
                assert_true(found.armed);
                assert_int_equal(found.sealed, 0);
                assert_int_equal(found.first, second); /* history has it, too */
                flip_byte(p, "sealed", offsets[i]);
        }
        flip_byte(p, "sealed", -1);
        flip_byte(p, "history/00000002", -1);
        assert_int_equal(store_find(p->store, &found, p->d), 0);
        assert_int_equal(found.first, first);
        assert_int_equal(store_next_copy(p->store, first), 0);
        flip_byte(p, "history/00000001", 12);
        assert_int_equal(store_find(p->store, &found, p->d), 0);
        assert_true(found.armed);
        assert_int_equal(found.first, 0);
}

static void what_is_not_confirmed_is_no_copy(void **state) {
        Place *p = *state;
        ConfirmFound found;

        (void)add(p, NULL);
        assert_int_equal(store_find(p->store, &found, p->d), 0);
        assert_int_equal(found.first, 0);
        assert_int_equal(store_next_copy(p->store, 0), 0);
}

static void what_waits_is_written_down(void **state) {
        Place *p = *state;
        Pending pending = {.entry = add(p, NULL),
                           .fallback = {.kind = TARGET_LOCKDOWN},
                           .deadline_usec = 5,
                           .deadline_realtime_usec = 6,
                           .boot = "this one"};
        ConfirmFound found;

        assert_int_equal(store_find(p->store, &found, p->d), 0);
        assert_int_equal(found.pending_state, PENDING_NONE);
        assert_int_equal(store_write_pending(p->store, &pending, p->d), 0);
        assert_int_equal(store_find(p->store, &found, p->d), 0);
        assert_int_equal(found.pending_state, PENDING_READ);
        assert_int_equal(found.pending.entry, pending.entry);
        assert_int_equal(found.pending.fallback.kind, TARGET_LOCKDOWN);
        assert_int_equal(found.pending.deadline_usec, 5);
        assert_string_equal(found.pending.boot, "this one");
        assert_true(found.entry_is_usable && found.fallback_is_usable);
        flip_byte(p, "pending", 10);
        assert_int_equal(store_find(p->store, &found, p->d), 0);
        assert_int_equal(found.pending_state, PENDING_DAMAGED);
        assert_int_equal(store_remove_pending(p->store, p->d), 0);
        assert_int_equal(store_find(p->store, &found, p->d), 0);
        assert_int_equal(found.pending_state, PENDING_NONE);
}

static void fifty_are_kept_and_what_is_needed_among_them(void **state) {
        Place *p = *state;
        Pending pending = {.boot = "b"};
        uint32_t first = add(p, NULL);
        bool has_first = false, has_pending = false;
        StoreListed *list;
        size_t n;

        assert_int_equal(store_seal(p->store, first, 1, NULL, p->d), 0);
        pending.entry = add(p, NULL);
        assert_int_equal(store_write_pending(p->store, &pending, p->d), 0);
        for (int i = 0; i < STORE_HISTORY_MAX + 5; i++)
                (void)add(p, NULL);
        assert_int_equal(store_list(p->store, p->a, &list, &n, p->d), 0);
        assert_int_equal(n, STORE_HISTORY_MAX);
        for (size_t i = 0; i < n; i++) {
                has_first |= list[i].entry.number == first;
                has_pending |= list[i].entry.number == pending.entry;
        }
        assert_true(has_first && has_pending);
}

static void peers_are_remembered_the_latest_first(void **state) {
        Place *p = *state;
        StorePeer *peers;
        size_t n;

        for (uint64_t i = 0; i < STORE_RESCUE_MAX + 2; i++)
                assert_int_equal(
                        store_remember_peer(p->store, (StorePeer){FAMILY_IPV4, u128(i)}, p->d), 0);
        assert_int_equal(store_remember_peer(p->store, (StorePeer){FAMILY_IPV4, u128(5)}, p->d), 0);
        assert_int_equal(store_read_rescue(p->store, p->a, &peers, &n, p->d), 0);
        assert_int_equal(n, STORE_RESCUE_MAX);
        assert_int_equal(peers[0].address.low, 5);
        assert_int_equal(peers[1].address.low, STORE_RESCUE_MAX + 1);
}

static void others_cannot_write_there_nor_two_at_once(void **state) {
        Place *p = *state;
        Store *other;

        assert_int_equal(store_open(p->folder, STORE_WRITE, &other, p->d), -EBUSY);
        p->store = store_close(p->store);
        assert_int_equal(chmod(p->folder, 0770), 0);
        assert_int_equal(store_open(p->folder, STORE_WRITE, &other, p->d), -EBADMSG);
        assert_int_equal(chmod(p->folder, 0700), 0);
        assert_int_equal(store_open(p->folder, STORE_WRITE, &p->store, p->d), 0);
}

int main(void) {
#define store_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        static const struct CMUnitTest tests[] = {
                store_test(an_entry_is_read_as_it_was_written),
                store_test(sealing_confirms_and_arms),
                store_test(a_damaged_copy_gives_way_to_the_next),
                store_test(what_is_not_confirmed_is_no_copy),
                store_test(what_waits_is_written_down),
                store_test(fifty_are_kept_and_what_is_needed_among_them),
                store_test(peers_are_remembered_the_latest_first),
                store_test(others_cannot_write_there_nor_two_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
