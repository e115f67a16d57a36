/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For tests of this folder and of those above: policies in so many words, compiled. */

#include "base/unit.h"
#include "ruleset/pass.h"

/* The policy is called p.yaml. Fails the test if it has mistakes. */
static inline Ruleset *unit_compile(Arena *a, const char *catalogue, const char *text) {
        static const KernelFeatures features = {.fib_in_filter = true};
        Diag *d = diag_new(a);
        Policy *policy;
        Ruleset *rs;

        if (policy_load_text(a, (Source){"catalogue.yaml", catalogue, strlen(catalogue)},
                             (Source){"p.yaml", text, strlen(text)}, &policy, d) < 0) {
                diag_print(d, stderr, false);
                fail_msg("a policy of this test is not valid");
        }
        assert_int_equal(ruleset_compile(policy, &features, NULL, a, &rs, d), 0);
        return rs;
}
