/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/claims.h"

#include <fcntl.h>

#include "base/unit.h"

#define OLLAMA "policy.yaml:15: protected ollama"
#define SSH "policy.yaml:20: allow ssh"

typedef struct Step {
        const char *name;
        ClaimAnswer answers[3];
        struct {
                ClaimNews news;
                const char *text;
                uint64_t usec;
        } told[3];
        size_t n_told, n_open;
} Step;

#define BROKEN(text)                                                                               \
        { text, VERIFY_REFUTED, "a packet", false }
#define OPEN(text)                                                                                 \
        { text, VERIFY_UNDECIDED, "hangs on a limit", false }
#define HOLDS(text)                                                                                \
        { text, VERIFY_PROVED, NULL, false }

/* Each step is one proof, a second after the one before. */
static void run(const Step *steps, size_t n) {
        ClaimBook *b = calloc(1, sizeof(*b));

        assert_non_null(b);
        for (size_t i = 0; i < n; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                const Step *s = &steps[i];
                ClaimChange *changes;
                size_t n_answers = 0, n_changes;

                while (n_answers < 3 && s->answers[n_answers].text)
                        n_answers++;
                assert_int_equal(claim_book_update(b, s->answers, n_answers, (i + 1) * 1000000, a,
                                                   &changes, &n_changes),
                                 0);
                unit_equal(s->name, n_changes, s->n_told);
                unit_equal(s->name, b->n_open, s->n_open);
                for (size_t j = 0; j < n_changes; j++) {
                        unit_equal(s->name, changes[j].news, s->told[j].news);
                        assert_string_equal(changes[j].text, s->told[j].text);
                        unit_equal(s->name, changes[j].usec, s->told[j].usec);
                }
        }
        claim_book_clear(b);
        free(b);
}

static void tells_once_what_breaks_and_for_how_long_it_was_so(void **state) {
        static const Step steps[] = {
                {"all well", {HOLDS(OLLAMA), HOLDS(SSH)}, {{0}}, 0},
                {"broken", {BROKEN(OLLAMA), HOLDS(SSH)}, {{CLAIM_BROKEN, OLLAMA, 0}}, 1},
                {"still", {BROKEN(OLLAMA), HOLDS(SSH)}, {{0}}, 0},
                {"well", {HOLDS(OLLAMA), HOLDS(SSH)}, {{CLAIM_HOLDS, OLLAMA, 2000000}}, 1},
                {"and no more", {HOLDS(OLLAMA), HOLDS(SSH)}, {{0}}, 0},
        };

        run(steps, ARRAY_SIZE(steps));
}

static void what_becomes_worse_or_better_is_told_each_time(void **state) {
        static const Step steps[] = {
                {"open at first", {OPEN(OLLAMA)}, {{CLAIM_UNDECIDED, OLLAMA, 0}}, 1},
                {"broken", {BROKEN(OLLAMA)}, {{CLAIM_BROKEN, OLLAMA, 0}}, 1},
                {"open again", {OPEN(OLLAMA)}, {{CLAIM_UNDECIDED, OLLAMA, 0}}, 1},
                {"proved", {HOLDS(OLLAMA)}, {{CLAIM_HOLDS, OLLAMA, 1000000}}, 1},
        };

        run(steps, ARRAY_SIZE(steps));
}

static void a_claim_is_the_same_one_on_another_line(void **state) {
        static const Step steps[] = {
                {"broken", {BROKEN(OLLAMA)}, {{CLAIM_BROKEN, OLLAMA, 0}}, 1},
                {"moved", {BROKEN("policy.yaml:99: protected ollama")}, {{0}}, 0},
                {"well",
                 {HOLDS("/etc/x.yaml:3: protected ollama")},
                 {{CLAIM_HOLDS, "/etc/x.yaml:3: protected ollama", 2000000}},
                 1},
        };

        run(steps, ARRAY_SIZE(steps));
}

static void what_is_claimed_no_more_is_forgotten_in_silence(void **state) {
        static const Step steps[] = {
                {"broken", {BROKEN(OLLAMA), HOLDS(SSH)}, {{CLAIM_BROKEN, OLLAMA, 0}}, 1},
                {"not claimed", {HOLDS(SSH)}, {{0}}, 0},
                {"claimed", {HOLDS(OLLAMA), HOLDS(SSH)}, {{0}}, 0},
        };

        run(steps, ARRAY_SIZE(steps));
}

static void what_says_nothing_changes_nothing(void **state) {
        static const Step steps[] = {
                {"no such interface", {{SSH, VERIFY_UNDECIDED, "x", true}}, {{0}}, 0, 1},
                {"broken", {BROKEN(SSH)}, {{CLAIM_BROKEN, SSH, 0}}, 1},
                {"gone for a while", {{SSH, VERIFY_UNDECIDED, "x", true}}, {{0}}, 0},
                {"well", {HOLDS(SSH)}, {{CLAIM_HOLDS, SSH, 2000000}}, 1},
        };

        run(steps, ARRAY_SIZE(steps));
}

static int make_folder(char *path) {
        int fd;

        assert_non_null(mkdtemp(path));
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void what_is_known_outlives_the_daemon(void **state) {
        static const ClaimAnswer broken[] = {BROKEN(OLLAMA), OPEN(SSH)},
                                 well[] = {HOLDS(OLLAMA), OPEN(SSH)};
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        ClaimBook *before = calloc(1, sizeof(*before)), *after = calloc(1, sizeof(*after));
        char path[] = "/tmp/ringwall-claims-XXXXXX";
        _cleanup_close_ int folder = make_folder(path);
        ClaimChange *changes;
        size_t n;

        assert_true(before && after);
        assert_int_equal(claim_book_load(before, folder), 0); /* there is none yet */
        assert_int_equal(claim_book_update(before, broken, 2, 1000000, a, &changes, &n), 0);
        assert_int_equal(claim_book_save(before, folder), 0);
        assert_int_equal(claim_book_load(after, folder), 0);
        assert_false(after->is_known);
        assert_int_equal(after->n_items, 2);
        assert_string_equal(after->items[0].why, "a packet");
        assert_int_equal(claim_book_update(after, well, 2, 9000000, a, &changes, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(changes[0].news, CLAIM_HOLDS);
        assert_int_equal(changes[0].usec, 8000000);
        claim_book_clear(after);
        assert_int_equal(claim_book_save(after, folder), 0);
        assert_int_equal(faccessat(folder, CLAIMS_FILE, F_OK, 0), -1);
        claim_book_clear(before);
        free(before);
        free(after);
        (void)rmdir(path);
}

static void a_file_that_is_damaged_is_as_good_as_what_can_be_read_of_it(void **state) {
        char text[] =
                "refuted 12 a\tb\nrefuted x a\n\nfoo 3 a\nrefuted\nundecided 7 c: d\nproved 1 "
                "q\nrefuted 9";
        ClaimBook *b = calloc(1, sizeof(*b));

        assert_non_null(b);
        claim_book_parse(b, text);
        assert_int_equal(b->n_items, 2);
        assert_string_equal(b->items[0].why, "b");
        assert_string_equal(b->items[1].text, "c: d");
        assert_string_equal(b->items[1].why, "");
        claim_book_clear(b);
        free(b);
}

static void more_than_can_be_kept_are_counted(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        ClaimAnswer *answers = arena_alloc_array(a, CLAIMS_MAX + 5, sizeof(*answers));
        ClaimBook *b = calloc(1, sizeof(*b));
        ClaimChange *changes;
        size_t n;

        assert_true(answers && b);
        for (size_t i = 0; i < CLAIMS_MAX + 5; i++)
                answers[i] = (ClaimAnswer){arena_printf(a, "claim %zu", i), VERIFY_REFUTED, "x"};
        for (int i = 0; i < 2; i++) {
                assert_int_equal(claim_book_update(b, answers, CLAIMS_MAX + 5, 1, a, &changes, &n),
                                 0);
                assert_int_equal(b->n_items, CLAIMS_MAX);
                assert_int_equal(b->n_more, 5);
                assert_int_equal(n, i == 0 ? CLAIMS_MAX : 0);
        }
        assert_int_equal(claim_book_count(b, VERIFY_REFUTED), CLAIMS_MAX);
        claim_book_clear(b);
        free(b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(tells_once_what_breaks_and_for_how_long_it_was_so),
                cmocka_unit_test(what_becomes_worse_or_better_is_told_each_time),
                cmocka_unit_test(a_claim_is_the_same_one_on_another_line),
                cmocka_unit_test(what_is_claimed_no_more_is_forgotten_in_silence),
                cmocka_unit_test(what_says_nothing_changes_nothing),
                cmocka_unit_test(what_is_known_outlives_the_daemon),
                cmocka_unit_test(a_file_that_is_damaged_is_as_good_as_what_can_be_read_of_it),
                cmocka_unit_test(more_than_can_be_kept_are_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
