/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/image.h"

#include "base/unit.h"
#include "ruleset/image_format.h"

#define CATALOGUE                                                                                  \
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

/* Something of everything that a policy can ask for. */
#define POLICY                                                                                     \
        "ringwall: 1\n"                                                                            \
        "zones:\n"                                                                                 \
        "  lan: { connected: [eth0], except: 10.0.0.9 }\n"                                         \
        "  many: [10.1.0.1, 10.1.0.3, 10.1.0.5, 10.1.0.7, 10.2.0.0/16, \"fd00::/64\"]\n"           \
        "inbound:\n"                                                                               \
        "  default: reject\n"                                                                      \
        "  log: yes\n"                                                                             \
        "  rules:\n"                                                                               \
        "  - { allow: ssh, from: [lan, many], limit: 10/minute per source, log: word }\n"          \
        "  - { allow: https, connections: 20 per source }\n"                                       \
        "  - { allow: ping, limit: 5/second burst 9 }\n"                                           \
        "  - { allow: 8000-8100/tcp, from: 10.9.0.0/16, in: \"br-*\", until: 2999-01-01 }\n"       \
        "  - { deny: 8050/tcp, from: 10.9.1.0/24, name: \"closed, for now\" }\n"                   \
        "outbound:\n"                                                                              \
        "  default: allow\n"                                                                       \
        "  rules: [{ deny: 25/tcp, user: 1000 }]\n"                                                \
        "routed: [{ allow: any, from: lan, out: eth1 }]\n"                                         \
        "nat:\n"                                                                                   \
        "  - { masquerade: lan, out: eth1 }\n"                                                     \
        "  - { forward: https, to: \"10.0.0.8:8443\", in: eth1 }\n"                                \
        "protected: [{ services: ollama, only-from: lan }]\n"                                      \
        "settings: { counters: each, antispoof: strict }\n"

static const KernelFeatures everything = {.fib_in_filter = true, .own_source_routed = true};

/* What is on link where the policy is compiled, and elsewhere. */
static const HostNetwork here = {.family = FAMILY_IPV4,
                                 .range = {{0, 0x0a000000}, {0, 0x0a0000ff}}};
static const HostNetwork there = {.family = FAMILY_IPV4,
                                  .range = {{0, 0x0a050000}, {0, 0x0a05ffff}}};

static HostNetwork at_eth0(HostNetwork network) {
        network.interface = interface_value("eth0");
        return network;
}

static Ruleset *compile(Arena *a, const char *text, const char *stop_after) {
        HostNetwork network = at_eth0(here);
        Source below = {.name = "catalogue.yaml", .text = CATALOGUE, .size = sizeof(CATALOGUE) - 1};
        Source above = {.name = "policy.yaml", .text = text, .size = strlen(text)};
        Diag *d = diag_new(a);
        Policy *policy;
        Ruleset *rs = NULL;

        if (policy_load_text_on_link(a, below, above, &network, 1, &policy, d) < 0 ||
            ruleset_compile(policy, &everything, stop_after, a, &rs, d) < 0)
                fail_msg("%s", d->messages[0].text);
        assert_int_equal(ruleset_set_networks(rs, &network, 1), 0);
        return rs;
}

typedef struct Image {
        void *bytes;
        size_t size;
} Image;

static Image image_of(Arena *a, const Ruleset *rs, const KernelFeatures *features) {
        Image image;

        assert_int_equal(ruleset_write_image(a, rs, features, &image.bytes, &image.size), 0);
        return image;
}

static Ruleset *read_back(Arena *a, Image image) {
        KernelFeatures features;
        Diag *d = diag_new(a);
        Ruleset *rs = NULL;

        if (ruleset_read_image(a, image.bytes, image.size, &rs, &features, d) < 0)
                fail_msg("%s", d->n_messages ? d->messages[0].text : "no memory");
        return rs;
}

static char *printed(Arena *a, const Ruleset *rs) {
        char *text = NULL, *copy;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        ruleset_print(rs, f);
        assert_int_equal(fclose(f), 0);
        copy = arena_strdup(a, text);
        free(text);
        return copy;
}

static void a_compiled_policy_comes_back_equal_and_word_for_word(void **state) {
        static const char *const policies[] = {"ringwall: 1\n", POLICY};
        static const char *const stages[] = {"lower", "merge", NULL};

        for (size_t i = 0; i < ARRAY_SIZE(policies) * ARRAY_SIZE(stages); i++) {
                Ruleset *rs = compile(*state, policies[i % ARRAY_SIZE(policies)],
                                      stages[i / ARRAY_SIZE(policies)]);
                Ruleset *copy = read_back(*state, image_of(*state, rs, &everything));

                assert_true(ruleset_equal(rs, copy));
                assert_true(ruleset_equal(copy, rs));
                assert_string_equal(printed(*state, copy), printed(*state, rs));
                assert_int_equal(copy->count_elements, rs->count_elements);
        }
}

static void what_was_read_gives_the_same_image_again(void **state) {
        Image first = image_of(*state, compile(*state, POLICY, NULL), &everything);
        Image second = image_of(*state, read_back(*state, first), &everything);

        assert_int_equal(first.size, second.size);
        assert_memory_equal(first.bytes, second.bytes, first.size);
}

static void places_keep_their_file_line_and_column(void **state) {
        Ruleset *rs = compile(*state, POLICY, NULL);
        Ruleset *copy = read_back(*state, image_of(*state, rs, &everything));
        size_t n_places = 0;

        for (size_t i = 0; i < rs->n_chains; i++)
                for (size_t j = 0; j < rs->chains[i]->n_rules; j++) {
                        const Span *x = &rs->chains[i]->rules[j].origin.at;
                        const Span *y = &copy->chains[i]->rules[j].origin.at;

                        assert_int_equal(!x->source, !y->source);
                        if (!x->source)
                                continue;
                        n_places++;
                        assert_string_equal(x->source->name, y->source->name);
                        assert_null(y->source->text);
                        assert_int_equal(x->line, y->line);
                        assert_int_equal(x->column, y->column);
                        assert_int_equal(x->length, y->length);
                }
        assert_true(n_places > 5);
}

static void sets_of_networks_follow_the_host_where_they_are_read(void **state) {
        Ruleset *rs = compile(*state, POLICY, NULL);
        Ruleset *copy = read_back(*state, image_of(*state, rs, &everything));
        HostNetwork network = at_eth0(there);

        assert_int_equal(ruleset_set_networks(copy, &network, 1), 0);
        assert_false(ruleset_equal(rs, copy));
        assert_int_equal(ruleset_set_networks(rs, &network, 1), 0);
        assert_true(ruleset_equal(rs, copy));
}

static void what_the_kernel_could_do_is_kept(void **state) {
        Ruleset *rs = compile(*state, "ringwall: 1\n", NULL);

        for (unsigned int i = 0; i < 4; i++) {
                KernelFeatures features = {.fib_in_filter = i & 1, .own_source_routed = i & 2},
                               copy;
                Image image = image_of(*state, rs, &features);
                Ruleset *ignored;

                assert_int_equal(ruleset_read_image(*state, image.bytes, image.size, &ignored,
                                                    &copy, diag_new(*state)),
                                 0);
                assert_int_equal(copy.fib_in_filter, features.fib_in_filter);
                assert_int_equal(copy.own_source_routed, features.own_source_routed);
        }
}

static const char *read_error(Arena *a, const void *bytes, size_t size) {
        KernelFeatures features;
        Diag *d = diag_new(a);
        Ruleset *rs;

        assert_int_equal(ruleset_read_image(a, bytes, size, &rs, &features, d), -EBADMSG);
        assert_true(d->n_errors > 0);
        return d->messages[0].text;
}

static void an_image_that_is_cut_off_anywhere_is_damaged(void **state) {
        Image image = image_of(*state, compile(*state, POLICY, NULL), &everything);

        for (size_t size = 0; size < image.size; size++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);

                assert_non_null(read_error(a, image.bytes, size));
        }
}

static void any_changed_byte_gives_a_sound_ruleset_or_an_error(void **state) {
        Image image = image_of(*state, compile(*state, POLICY, NULL), &everything);
        unsigned char *bytes = image.bytes;
        size_t n_damaged = 0;

        for (size_t i = 0; i < image.size; i++) {
                static const unsigned char changes[] = {0x01, 0x40, 0x80, 0xff};

                for (size_t j = 0; j < ARRAY_SIZE(changes); j++) {
                        _cleanup_(arena_freep) Arena *a = arena_new(0);
                        KernelFeatures features;
                        Diag *d = diag_new(a);
                        Ruleset *rs;
                        int r;

                        bytes[i] ^= changes[j];
                        r = ruleset_read_image(a, bytes, image.size, &rs, &features, d);
                        bytes[i] ^= changes[j];
                        if (r == 0)
                                assert_int_equal(ruleset_verify(rs, d), 0);
                        else if (r != -ENOMEM)
                                assert_int_equal(r, -EBADMSG);
                        n_damaged += r < 0;
                }
        }
        assert_true(n_damaged > image.size);
}

static void another_format_is_told_from_damage(void **state) {
        Image image = image_of(*state, compile(*state, "ringwall: 1\n", NULL), &everything);
        unsigned char *bytes = image.bytes;

        assert_int_equal(bytes[sizeof(IMAGE_MAGIC)], IMAGE_VERSION);
        bytes[sizeof(IMAGE_MAGIC)] = IMAGE_VERSION + 1;
        assert_string_equal(read_error(*state, bytes, image.size),
                            "another version of ringwall compiled this policy (format 2; this "
                            "version reads 1)");
        bytes[0] = 'X';
        assert_string_equal(read_error(*state, bytes, image.size), "this is no compiled policy");
        bytes[0] = 'r';
        bytes[sizeof(IMAGE_MAGIC)] = IMAGE_VERSION;
        image.bytes = arena_alloc(*state, image.size + 1);
        memcpy(image.bytes, bytes, image.size);
        assert_non_null(strstr(read_error(*state, image.bytes, image.size + 1),
                               "something follows its end"));
}

/* As a version would write it that knows one more field. */
static void a_version_that_knows_more_words_is_understood(void **state) {
        Ruleset *rs = compile(*state, POLICY, NULL);
        Image image = image_of(*state, rs, &everything);
        const unsigned char *at = (const unsigned char *)image.bytes + sizeof(IMAGE_MAGIC) + 1;
        _cleanup_(byte_writer_donep) ByteWriter w = {0};
        size_t n_fields = *at;

        assert_int_equal(n_fields, _FIELD_MAX);
        bytes_put(&w, image.bytes, sizeof(IMAGE_MAGIC) + 1);
        bytes_put_number(&w, n_fields + 1);
        at++;
        for (size_t i = 0; i < n_fields; i++) {
                bytes_put(&w, at, 1U + *at);
                at += 1 + *at;
        }
        bytes_put_string(&w, "tcp window");
        bytes_put(&w, at, image.size - (size_t)(at - (const unsigned char *)image.bytes));
        assert_true(ruleset_equal(rs, read_back(*state, (Image){w.bytes, w.size})));
}

/* Two words that changed places in the vocabulary mean what they say, not where they stand. */
static void words_count_and_not_their_places(void **state) {
        Ruleset *rs =
                compile(*state, "ringwall: 1\ninbound: [{ allow: ssh, from: 10.0.0.0/8 }]\n", NULL);
        Image image = image_of(*state, rs, &everything);
        unsigned char *saddr = memmem(image.bytes, image.size, "ip saddr", 8);
        unsigned char *daddr = memmem(image.bytes, image.size, "ip daddr", 8);
        Ruleset *copy;

        assert_non_null(saddr);
        assert_non_null(daddr);
        memcpy(saddr, "ip daddr", 8);
        memcpy(daddr, "ip saddr", 8);
        copy = read_back(*state, image);
        assert_false(ruleset_equal(rs, copy));
        assert_null(strstr(printed(*state, copy), "ip saddr @"));
}

static void every_word_is_there_and_means_one_thing(void **state) {
        for (Vocabulary v = 0; v < _VOCABULARY_MAX; v++) {
                size_t n = image_n_words(v);

                assert_in_range(n, 1, IMAGE_WORDS_MAX);
                for (size_t i = 0; i < n; i++) {
                        const char *word = image_word(v, i);

                        if (v == VOCABULARY_OPS && i == MATCH_UNKNOWN)
                                continue;
                        assert_non_null(word);
                        for (size_t j = 0; j < i; j++)
                                assert_false(streq(word, image_word(v, j)));
                }
        }
}

static void what_nobody_knows_is_not_written(void **state) {
        Ruleset *rs = ruleset_new(*state);
        Chain *input = ruleset_add_base_chain(rs, "input", HOOK_INPUT);
        Rule *rule = chain_add_rule(rs, input, verdict_of(VERDICT_ACCEPT), (Origin){0});
        Match unknown = {.op = MATCH_UNKNOWN, .text = "meta cpu 1"};
        Image image;

        assert_true(arena_append(*state, rule->matches, rule->n_matches, unknown));
        assert_int_equal(ruleset_write_image(*state, rs, &everything, &image.bytes, &image.size),
                         -EINVAL);
}

static void rules_can_be_added_to_what_was_read(void **state) {
        Ruleset *copy =
                read_back(*state, image_of(*state, compile(*state, POLICY, NULL), &everything));
        Diag *d = diag_new(*state);

        for (size_t i = 0; i < copy->n_chains; i++)
                for (size_t n = copy->chains[i]->n_rules; n > 0; n--)
                        assert_non_null(chain_add_rule(copy, copy->chains[i],
                                                       verdict_of(VERDICT_ACCEPT), (Origin){0}));
        for (size_t i = 0; i < 40; i++) {
                const char *name = arena_printf(*state, "more-%zu", i);

                assert_non_null(ruleset_add_chain(copy, name));
                assert_non_null(ruleset_add_set(copy, name, TYPE_IPV4_ADDR));
        }
        if (ruleset_verify(copy, d) < 0)
                fail_msg("%s", d->messages[0].text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(a_compiled_policy_comes_back_equal_and_word_for_word),
                unit_arena_test(what_was_read_gives_the_same_image_again),
                unit_arena_test(places_keep_their_file_line_and_column),
                unit_arena_test(sets_of_networks_follow_the_host_where_they_are_read),
                unit_arena_test(what_the_kernel_could_do_is_kept),
                unit_arena_test(an_image_that_is_cut_off_anywhere_is_damaged),
                unit_arena_test(any_changed_byte_gives_a_sound_ruleset_or_an_error),
                unit_arena_test(another_format_is_told_from_damage),
                unit_arena_test(a_version_that_knows_more_words_is_understood),
                unit_arena_test(words_count_and_not_their_places),
                unit_arena_test(every_word_is_there_and_means_one_thing),
                unit_arena_test(what_nobody_knows_is_not_written),
                unit_arena_test(rules_can_be_added_to_what_was_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
