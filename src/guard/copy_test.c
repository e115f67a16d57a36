/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/copy.h"

#include "base/unit.h"
#include "ruleset/image.h"
#include "ruleset/image_format.h"

/* No host knows a user "of-old"; the list, which is no policy, says its key, and the second file
 * says it in another way. */
static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  containers: { interfaces: [docker0] }\n"
                                "  vms: { interfaces: [\"virbr*\"] }\n"
                                "services: { ssh: { tcp: 22 }, smtp: { tcp: 25 } }\n";
static const char policy[] = "ringwall: 1\n"
                             "include: more.yaml\n"
                             "zones: { listed: { file: list }, lan: { connected: [eth0] } }\n"
                             "inbound: [{ allow: ssh, from: listed }]\n";
static const char more[] = "ringwall : 1\n"
                           "inbound: [{ deny: ssh, from: 10.9.9.9 }]\n"
                           "outbound: { default: allow, rules: [{ deny: smtp, user: of-old }] }\n";
static const char list[] = "10.9.9.0/24 # ringwall: the list\n";
static const PolicyOwner owner = {.name = "of-old", .number = 4242};

static const Source sources[] = {
        {"catalogue.yaml", catalogue, sizeof(catalogue) - 1},
        {"/nowhere/policy.yaml", policy, sizeof(policy) - 1},
        {"/nowhere/more.yaml", more, sizeof(more) - 1},
        {"/nowhere/list", list, sizeof(list) - 1},
};

static const KernelFeatures newer = {.fib_in_filter = true}, older = {0};

static StoreContent content_of(Arena *a, const KernelFeatures *features) {
        StoreContent c = {.texts = {.sources = sources,
                                    .n_sources = ARRAY_SIZE(sources),
                                    .n_files = 3,
                                    .owners = &owner,
                                    .n_owners = 1}};
        Diag *d = diag_new(a);
        void *image;
        Ruleset *rs;

        if (copy_compile(&c, features, "a test", a, &rs, d) < 0)
                fail_msg("%s", d->messages[0].text);
        assert_int_equal(ruleset_write_image(a, rs, features, &image, &c.image_size), 0);
        c.image = image;
        return c;
}

/* The same, as a version of ringwall to come wrote it. */
static StoreContent of_another_version(Arena *a) {
        StoreContent c = content_of(a, &newer);
        unsigned char *image = arena_alloc(a, c.image_size);

        memcpy(image, c.image, c.image_size);
        image[sizeof(IMAGE_MAGIC)] = IMAGE_VERSION + 1;
        c.image = image;
        return c;
}

static bool is_same(Arena *a, const Ruleset *rs, const KernelFeatures *features) {
        StoreContent c = content_of(a, features);
        Ruleset *other;

        assert_int_equal(copy_read(&c, features, a, &other, diag_new(a)), 0);
        return ruleset_equal(rs, other);
}

static void an_image_that_fits_is_taken_as_it_is(void **state) {
        StoreContent c = content_of(*state, &newer);
        Diag *d = diag_new(*state);
        Ruleset *rs;

        c.texts = (PolicyTexts){0};
        assert_int_equal(copy_read(&c, &newer, *state, &rs, d), 0);
        assert_int_equal(d->n_messages, 0);
        c = content_of(*state, &older);
        assert_int_equal(copy_read(&c, &newer, *state, &rs, d), 0);
        assert_int_equal(d->n_messages, 0);
}

static void the_texts_take_the_place_of_an_image_of_another_version(void **state) {
        StoreContent c = of_another_version(*state);
        Diag *d = diag_new(*state);
        Ruleset *rs;

        assert_int_equal(copy_read(&c, &newer, *state, &rs, d), 0);
        assert_true(is_same(*state, rs, &newer));
        assert_int_equal(d->n_errors, 0);
        assert_non_null(strstr(d->messages[0].text, "another version of ringwall compiled"));
        assert_non_null(strstr(d->messages[0].text, "compiled anew"));
}

static void and_of_one_for_another_kernel(void **state) {
        const KernelFeatures routed = {.fib_in_filter = true, .own_source_routed = true};
        StoreContent c = content_of(*state, &newer);
        Diag *d = diag_new(*state);
        Ruleset *rs;

        assert_int_equal(copy_read(&c, &older, *state, &rs, d), 0);
        assert_true(is_same(*state, rs, &older));
        assert_false(is_same(*state, rs, &newer));
        assert_string_equal(d->messages[0].text, "this policy was compiled for another kernel: its "
                                                 "texts were compiled anew");
        assert_int_equal(copy_read(&c, &routed, *state, &rs, d), 0);
        assert_true(is_same(*state, rs, &routed));
        assert_int_equal(d->n_warnings, 2);
}

static void mistakes_of_before_do_not_count(void **state) {
        StoreContent c = of_another_version(*state);
        Diag *d = diag_new(*state);
        Ruleset *rs;

        (void)diag_error(d, (Span){0}, "the copy before this one is damaged");
        assert_int_equal(copy_read(&c, &newer, *state, &rs, d), 0);
}

static void without_all_of_its_texts_it_is_of_no_use(void **state) {
        StoreContent c = of_another_version(*state);
        PolicyTexts all = c.texts;
        Ruleset *rs;

        for (int i = 0; i < 3; i++) {
                Diag *d = diag_new(*state);

                c.texts = all;
                if (i == 0)
                        c.texts.n_sources = 3; /* its list */
                else if (i == 1)
                        c.texts.n_owners = 0; /* what its user was */
                else
                        c.texts.n_files = 0; /* as entries of before are */
                assert_int_equal(copy_read(&c, &newer, *state, &rs, d), -EBADMSG);
                assert_int_equal(d->n_errors, 1);
                assert_non_null(strstr(d->messages[0].text, "cannot be compiled anew"));
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(an_image_that_fits_is_taken_as_it_is),
                unit_arena_test(the_texts_take_the_place_of_an_image_of_another_version),
                unit_arena_test(and_of_one_for_another_kernel),
                unit_arena_test(mistakes_of_before_do_not_count),
                unit_arena_test(without_all_of_its_texts_it_is_of_no_use),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
