/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For this folder's x_test.c files: policies from strings, upon a small catalogue. */

#include "base/unit.h"
#include "policy/loader.h"

#define LOAD_CATALOGUE                                                                             \
        "ringwall: 1\n"                                                                            \
        "zones:\n"                                                                                 \
        "  private: [10.0.0.0/8, \"fc00::/7\"]\n"                                                  \
        "  containers: { interfaces: [docker0, \"br-*\"] }\n"                                      \
        "  vms: { interfaces: [\"virbr*\"] }\n"                                                    \
        "services:\n"                                                                              \
        "  ssh: { tcp: 22 }\n"                                                                     \
        "  https: { tcp: 443 }\n"                                                                  \
        "  ping: { icmp: echo-request, icmpv6: echo-request }\n"                                   \
        "  ollama: { tcp: 11434, internal: yes }\n"

/* Loads the policy `text` (with its "ringwall: 1"); NULL if it has mistakes, which are in *ret_d.
 */
static inline Policy *load_with_diag(Arena *a, const char *text, Diag **ret_d) {
        Source catalogue = {
                .name = "catalogue.yaml",
                .text = LOAD_CATALOGUE,
                .size = sizeof(LOAD_CATALOGUE) - 1,
        };
        Source policy = {.name = "dir/policy.yaml", .text = text, .size = strlen(text)};
        Policy *p = NULL;
        int r;

        *ret_d = diag_new(a);
        r = policy_load_text(a, catalogue, policy, &p, *ret_d);
        assert_true(r == 0 ? p && (*ret_d)->n_errors == 0
                           : r == -EBADMSG && !p && (*ret_d)->n_errors > 0);
        return p;
}

/* The same for policies that have to be valid; the test fails with the first message if not. */
static inline Policy *load(Arena *a, const char *text) {
        Diag *d;
        Policy *p = load_with_diag(a, text, &d);

        if (!p)
                fail_msg("%s", d->messages[0].text);
        return p;
}

/* Likewise, of a host with these networks. */
static inline Policy *
load_on_link(Arena *a, const HostNetwork *networks, size_t n, const char *text) {
        Source catalogue = {
                .name = "catalogue.yaml",
                .text = LOAD_CATALOGUE,
                .size = sizeof(LOAD_CATALOGUE) - 1,
        };
        Source policy = {.name = "dir/policy.yaml", .text = text, .size = strlen(text)};
        Diag *d = diag_new(a);
        Policy *p = NULL;

        if (policy_load_text_on_link(a, catalogue, policy, networks, n, &p, d) < 0)
                fail_msg("%s", d->messages[0].text);
        return p;
}

/* The first error of a policy that has to have one. */
static inline const char *load_error(Arena *a, const char *text) {
        Diag *d;

        if (load_with_diag(a, text, &d))
                fail_msg("this is valid, but should not be: %s", text);
        return d->messages[0].text;
}

/* "10.0.0.1" behind an interface, or behind one that no policy names. */
static inline bool
load_expression_contains(const ZoneExpression *e, const char *interface, const char *address) {
        U128 name = interface_value(interface ? interface : ""), value;
        Family family;

        assert_int_equal(address_parse(address, &family, &value), ADDRESS_OK);
        return zone_expression_contains(e, interface ? &name : NULL, family, value);
}

/* A loader in the middle of its work, and "key: value" as it stands in a policy: for the decoders
 * of single values. */
static inline Loader load_start(Arena *a) {
        Loader l = {
                .arena = a,
                .d = diag_new(a),
                .policy = arena_new0(a, Policy),
                .zones.what = "zone",
                .services.what = "service",
        };

        assert_non_null(l.d);
        assert_non_null(l.policy);
        assert_int_equal(definition_index(&l, &l.zones), 0);
        return l;
}

static inline const NodeEntry *load_entry(Loader *l, const char *text) {
        Source *source = arena_new0(l->arena, Source);
        const Node *n;

        assert_non_null(source);
        *source = (Source){.name = "value", .text = text, .size = strlen(text)};
        assert_int_equal(node_parse(l->arena, l->arena, source, &n, l->d), 0);
        assert_int_equal(n->n_entries, 1);
        return &n->entries[0];
}
