/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/sample.h"

#include "base/unit.h"
#include "ruleset/image.h"

#define N_RULESETS 1000

/* What nobody would write comes back from its image, too. */
static void any_ruleset_comes_back_from_its_image(void **state) {
        for (uint64_t seed = 0; seed < N_RULESETS; seed++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                KernelFeatures features = {0};
                Ruleset *rs = sample_random(a, seed), *copy;
                const char *row = arena_printf(a, "seed %llu", (unsigned long long)seed);
                Diag *d = diag_new(a);
                void *image;
                size_t size;

                unit_equal(row, ruleset_verify(rs, d), 0);
                unit_equal(row, ruleset_write_image(a, rs, &features, &image, &size), 0);
                unit_equal(row, ruleset_read_image(a, image, size, &copy, &features, d), 0);
                unit_true(row, ruleset_equal(rs, copy) && ruleset_equal(copy, rs));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(any_ruleset_comes_back_from_its_image),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
