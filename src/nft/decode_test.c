/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/decode.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <linux/netfilter/nf_tables.h>

#include "base/unit.h"
#include "nft/difference.h"
#include "nft/encode.h"
#include "nft/sample.h"

/* A dump has the same messages as the batch that made the table, as long as no set gets its name
 * from the kernel. */
static NftBatch *as_dumped(Arena *a, const Ruleset *rs) {
        NftBatch *b = nft_batch_new(1, 0);
        Ruleset *absent = ruleset_new(a);
        NftChanges changes;

        assert_non_null(rs);
        assert_non_null(b);
        assert_non_null(absent);
        assert_int_equal(difference_encode(b, absent, rs, false, &changes), 0);
        assert_int_equal(nft_batch_end(b, true), 0);
        return b;
}

static Ruleset *decode(Arena *a, const NftBatch *b) {
        Ruleset *rs = NULL;

        assert_int_equal(decode_ruleset(a, b->bytes.data, b->bytes.size, &rs), 0);
        return rs;
}

static void what_is_encoded_is_decoded(void **state) {
        const Ruleset *samples[] = {sample_services(*state, true, "règle"), sample_fields(*state),
                                    sample_closed(*state)};

        for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
                _cleanup_(nft_batch_freep) NftBatch *b = as_dumped(*state, samples[i]);
                Ruleset *rs = decode(*state, b);

                assert_true(rs->exists);
                assert_true(ruleset_equal(rs, samples[i]));
        }
}

static void another_table_is_passed_over(void **state) {
        _cleanup_(nft_batch_freep) NftBatch *b =
                as_dumped(*state, sample_services(*state, true, NULL));
        unsigned char *p = b->bytes.data;
        Ruleset *rs;

        for (size_t i = 0; i + 8 < b->bytes.size; i++)
                if (memcmp(p + i, RULESET_TABLE, 8) == 0)
                        p[i] = 'R';
        rs = decode(*state, b);
        assert_false(rs->exists);
        assert_int_equal(rs->n_chains + rs->n_sets, 0);
}

static void elements_of_a_set_that_is_not_there_are_an_error(void **state) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(1, 0);
        Ruleset *rs = sample_services(*state, true, NULL), *ret = NULL;

        assert_non_null(b);
        assert_non_null(rs);
        encode_elements(b, ruleset_find_set(rs, "clients"), "clients", 0);
        assert_int_equal(decode_ruleset(*state, b->bytes.data, b->bytes.size, &ret), -EPROTO);
        assert_null(ret);
}

#define PAIRS 100

/* Addresses with a port each, and with a comment here and there. */
static Ruleset *sample_pairs(Arena *a) {
        Ruleset *rs = sample_closed(a);
        Set *set = rs ? ruleset_add_set(rs, "pairs", TYPE_IPV4_ADDR) : NULL;

        if (!set)
                return NULL;
        set->types[set->n_types++] = TYPE_INET_SERVICE;
        for (size_t i = 0; i < PAIRS; i++) {
                Range key[RULESET_FIELDS_MAX] = {range_single(u128(0x0a000000 + 256 * i)),
                                                 range_single(u128(1024 + i))};
                Element *e = set_add_element(rs, set, key);

                if (!e)
                        return NULL;
                e->origin.text = i % 3 == 0 ? "policy.yaml:7: allow" : NULL;
        }
        return rs;
}

static Ruleset *decode_with(Arena *a, const NftBatch *b, const Ruleset *wanted) {
        Ruleset *rs = NULL;

        assert_int_equal(decode_wanted(a, b->bytes.data, b->bytes.size, wanted, &rs), 0);
        return rs;
}

static void elements_that_are_wanted_are_borrowed(void **state) {
        Ruleset *wanted = sample_pairs(*state), *rs;
        _cleanup_(nft_batch_freep) NftBatch *b = as_dumped(*state, wanted);

        rs = decode_with(*state, b, wanted);
        assert_ptr_equal(ruleset_find_set(rs, "pairs")->elements,
                         ruleset_find_set(wanted, "pairs")->elements);
        assert_true(ruleset_equal(rs, wanted));
        assert_true(ruleset_equal(rs, decode(*state, b)));
}

static void lacks_one(Set *set) {
        set->n_elements--;
}

static void has_another_port(Set *set) {
        set->elements[50].key[1] = range_single(u128(7));
}

static void has_another_comment(Set *set) {
        set->elements[51].origin.text = "policy.yaml:8: allow";
}

static void has_no_comment(Set *set) {
        set->elements[0].origin.text = NULL;
}

static void has_one_twice(Set *set) {
        set->elements[1] = set->elements[0];
}

static void has_other_types(Set *set) {
        set->types[0] = TYPE_INET_SERVICE;
}

static void elements_are_listed_where_they_are_not_those_that_are_wanted(void **state) {
        static const struct {
                const char *name;
                void (*change)(Set *set);
        } wishes[] = {
                {"lacks one", lacks_one},
                {"has another port", has_another_port},
                {"has another comment", has_another_comment},
                {"has no comment", has_no_comment},
                {"has one twice", has_one_twice},
                {"has other types", has_other_types},
        };
        _cleanup_(nft_batch_freep) NftBatch *b = as_dumped(*state, sample_pairs(*state));
        Ruleset *all = decode(*state, b), *rs;

        for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
                Ruleset *wanted = sample_pairs(*state);

                wishes[i].change(ruleset_find_set(wanted, "pairs"));
                rs = decode_with(*state, b, wanted);
                unit_equal(wishes[i].name, ruleset_find_set(rs, "pairs")->n_elements, PAIRS);
                unit_true(wishes[i].name, ruleset_equal(rs, all));
                unit_true(wishes[i].name, !ruleset_equal(rs, wanted));
        }
}

static void an_element_that_stands_twice_is_seen_where_all_are_wanted(void **state) {
        Ruleset *wanted = sample_pairs(*state), *rs;
        const Set *set = ruleset_find_set(wanted, "pairs");
        _cleanup_(nft_batch_freep) NftBatch *b = as_dumped(*state, wanted);
        Set one = *set;

        one.n_elements = 1;
        encode_elements(b, &one, "pairs", 0);
        assert_int_equal(decode_wanted(*state, b->bytes.data, b->bytes.size, wanted, &rs), -EAGAIN);
}

/* Expressions that somebody else put into a rule in front of an accept. */
typedef struct Foreign {
        const char *row;
        void (*put)(struct nlmsghdr *h);
} Foreign;

static void put_expression(struct nlmsghdr *h, const char *name, const uint32_t *attrs, size_t n) {
        struct nlattr *element = mnl_attr_nest_start(h, NFTA_LIST_ELEM), *data;

        mnl_attr_put_strz(h, NFTA_EXPR_NAME, name);
        data = mnl_attr_nest_start(h, NFTA_EXPR_DATA);
        for (size_t i = 0; i < n; i++)
                mnl_attr_put_u32(h, (uint16_t)(i + 1), htonl(attrs[i]));
        mnl_attr_nest_end(h, data);
        mnl_attr_nest_end(h, element);
}

static void put_load(struct nlmsghdr *h, uint32_t base, uint32_t offset, uint32_t size) {
        put_expression(h, "payload", (uint32_t[]){NFT_REG_1, base, offset, size}, 4);
}

static void put_cmp(struct nlmsghdr *h, uint32_t op, const void *value, size_t size) {
        struct nlattr *element = mnl_attr_nest_start(h, NFTA_LIST_ELEM), *data, *inner;

        mnl_attr_put_strz(h, NFTA_EXPR_NAME, "cmp");
        data = mnl_attr_nest_start(h, NFTA_EXPR_DATA);
        mnl_attr_put_u32(h, NFTA_CMP_SREG, htonl(NFT_REG_1));
        mnl_attr_put_u32(h, NFTA_CMP_OP, htonl(op));
        inner = mnl_attr_nest_start(h, NFTA_CMP_DATA);
        mnl_attr_put(h, NFTA_DATA_VALUE, size, value);
        mnl_attr_nest_end(h, inner);
        mnl_attr_nest_end(h, data);
        mnl_attr_nest_end(h, element);
}

static void an_unknown_expression(struct nlmsghdr *h) {
        put_expression(h, "brand-new", NULL, 0);
}

static void an_address_without_its_family(struct nlmsghdr *h) {
        put_load(h, NFT_PAYLOAD_NETWORK_HEADER, 12, 4);
        put_cmp(h, NFT_CMP_EQ, "\x0a\0\0\x01", 4);
}

static void a_load_that_is_not_compared(struct nlmsghdr *h) {
        put_expression(h, "meta", (uint32_t[]){NFT_REG_1, NFT_META_IIFNAME}, 2);
}

static void an_unknown_key(struct nlmsghdr *h) {
        put_expression(h, "meta", (uint32_t[]){NFT_REG_1, NFT_META_MARK}, 2);
        put_cmp(h, NFT_CMP_EQ, "\0\0\0\x01", 4);
}

static void a_comparison_of_nothing(struct nlmsghdr *h) {
        put_cmp(h, NFT_CMP_EQ, "x", 1);
}

static void a_comparison_that_is_too_long(struct nlmsghdr *h) {
        put_expression(h, "meta", (uint32_t[]){NFT_REG_1, NFT_META_NFPROTO}, 2);
        put_cmp(h, NFT_CMP_EQ, "0123456789abcdef0123456789abcdef", 32);
}

static void a_counter_before_a_match(struct nlmsghdr *h) {
        put_expression(h, "counter", NULL, 0);
        put_expression(h, "meta", (uint32_t[]){NFT_REG_1, NFT_META_NFPROTO}, 2);
        put_cmp(h, NFT_CMP_EQ, "\x02", 1);
}

static void a_register_beyond_the_last(struct nlmsghdr *h) {
        put_expression(h, "meta", (uint32_t[]){400, NFT_META_NFPROTO}, 2);
}

static void an_order_of_host_numbers(struct nlmsghdr *h) {
        put_expression(h, "meta", (uint32_t[]){NFT_REG_1, NFT_META_IIFTYPE}, 2);
        put_cmp(h, NFT_CMP_GTE, "\x01\0", 2);
}

static void a_lookup_in_no_set(struct nlmsghdr *h) {
        put_expression(h, "meta", (uint32_t[]){NFT_REG_1, NFT_META_IIFNAME}, 2);
        put_expression(h, "lookup", NULL, 0);
}

static void put_accept(struct nlmsghdr *h) {
        struct nlattr *element = mnl_attr_nest_start(h, NFTA_LIST_ELEM), *data, *inner, *verdict;

        mnl_attr_put_strz(h, NFTA_EXPR_NAME, "immediate");
        data = mnl_attr_nest_start(h, NFTA_EXPR_DATA);
        mnl_attr_put_u32(h, NFTA_IMMEDIATE_DREG, htonl(NFT_REG_VERDICT));
        inner = mnl_attr_nest_start(h, NFTA_IMMEDIATE_DATA);
        verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);
        mnl_attr_put_u32(h, NFTA_VERDICT_CODE, htonl(1));
        mnl_attr_nest_end(h, verdict);
        mnl_attr_nest_end(h, inner);
        mnl_attr_nest_end(h, data);
        mnl_attr_nest_end(h, element);
}

static const Rule *decode_foreign(Arena *a, void (*put)(struct nlmsghdr *h)) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(1, 0);
        Chain chain = {.name = "input", .hook = HOOK_NONE};
        struct nlattr *list;
        struct nlmsghdr *h;
        Ruleset *rs;

        assert_non_null(b);
        encode_chain(b, &chain);
        h = nft_batch_start(b, NFT_MSG_NEWRULE, 0);
        mnl_attr_put_strz(h, NFTA_RULE_TABLE, RULESET_TABLE);
        mnl_attr_put_strz(h, NFTA_RULE_CHAIN, "input");
        list = mnl_attr_nest_start(h, NFTA_RULE_EXPRESSIONS);
        put(h);
        put_accept(h);
        mnl_attr_nest_end(h, list);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_RULE});
        rs = decode(a, b);
        assert_int_equal(rs->n_chains, 1);
        assert_int_equal(rs->chains[0]->n_rules, 1);
        return &rs->chains[0]->rules[0];
}

static void what_is_not_ours_is_shown_and_never_left_out(void **state) {
        static const Foreign rows[] = {
                {"an unknown expression", an_unknown_expression},
                {"an address without its family", an_address_without_its_family},
                {"a load that is not compared", a_load_that_is_not_compared},
                {"an unknown key", an_unknown_key},
                {"a comparison of nothing", a_comparison_of_nothing},
                {"a comparison that is too long", a_comparison_that_is_too_long},
                {"a counter before a match", a_counter_before_a_match},
                {"a register beyond the last", a_register_beyond_the_last},
                {"an order of host numbers", an_order_of_host_numbers},
                {"a lookup in no set", a_lookup_in_no_set},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const Rule *rule = decode_foreign(*state, rows[i].put);
                bool unknown = false;

                for (size_t j = 0; j < rule->n_matches; j++)
                        if (rule->matches[j].op == MATCH_UNKNOWN) {
                                unit_true(rows[i].row, rule->matches[j].text);
                                unknown = true;
                        }
                unit_true(rows[i].row, unknown);
        }
}

static void a_single_limit(struct nlmsghdr *h) {
        put_expression(h, "meta", (uint32_t[]){NFT_REG_1, NFT_META_L4PROTO}, 2);
        put_cmp(h, NFT_CMP_GT, "\x10", 1);
}

static void two_limits(struct nlmsghdr *h) {
        put_expression(h, "meta", (uint32_t[]){NFT_REG_1, NFT_META_L4PROTO}, 2);
        put_cmp(h, NFT_CMP_GTE, "\x10", 1);
        put_cmp(h, NFT_CMP_LT, "\x20", 1);
}

static void limits_that_leave_nothing(struct nlmsghdr *h) {
        put_expression(h, "meta", (uint32_t[]){NFT_REG_1, NFT_META_L4PROTO}, 2);
        put_cmp(h, NFT_CMP_GTE, "\x20", 1);
        put_cmp(h, NFT_CMP_LTE, "\x10", 1);
}

static void both_ports_at_once(struct nlmsghdr *h) {
        put_expression(h, "meta", (uint32_t[]){NFT_REG_1, NFT_META_L4PROTO}, 2);
        put_cmp(h, NFT_CMP_EQ, "\x11", 1);
        put_load(h, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4);
        put_cmp(h, NFT_CMP_EQ, "\0\x43\0\x44", 4);
}

static void comparisons_that_nft_joined_are_taken_apart(void **state) {
        const Rule *rule = decode_foreign(*state, both_ports_at_once);

        assert_int_equal(rule->n_matches, 3);
        assert_int_equal(rule->matches[1].fields[0], FIELD_SPORT);
        assert_int_equal(rule->matches[1].set->elements[0].key[0].low.low, 67);
        assert_int_equal(rule->matches[2].fields[0], FIELD_DPORT);
        assert_int_equal(rule->matches[2].set->elements[0].key[0].low.low, 68);
}

static void limits_become_one_range(void **state) {
        const struct {
                const char *row;
                void (*put)(struct nlmsghdr *h);
                size_t n;
                uint64_t low, high;
        } rows[] = {
                {"a single limit", a_single_limit, 1, 0x11, 0xff},
                {"two limits", two_limits, 1, 0x10, 0x1f},
                {"limits that leave nothing", limits_that_leave_nothing, 0, 0, 0},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const Rule *rule = decode_foreign(*state, rows[i].put);
                const Set *set = rule->matches[0].set;

                unit_equal(rows[i].row, rule->n_matches, 1);
                unit_equal(rows[i].row, set->n_elements, rows[i].n);
                if (rows[i].n > 0) {
                        unit_equal(rows[i].row, set->elements[0].key[0].low.low, rows[i].low);
                        unit_equal(rows[i].row, set->elements[0].key[0].high.low, rows[i].high);
                }
        }
}

static uint64_t random_state = 1;

static size_t draw(size_t below) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state % below;
}

/* Decodes a copy that is as long as it says and no longer, so that a sanitizer sees a byte too many
 * being read; whatever is wanted, the same is found. */
static void decode_copy(const void *bytes, size_t size, const Ruleset *wanted) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        _cleanup_free_ void *copy = malloc(MAX(size, 1UL));
        Ruleset *rs, *again;
        int r;

        assert_non_null(a);
        assert_non_null(copy);
        memcpy(copy, bytes, size);
        r = decode_ruleset(a, copy, size, &rs);
        assert_true(r == 0 || r == -EPROTO || r == -EAGAIN);
        assert_int_equal(decode_wanted(a, copy, size, wanted, &again), r);
        for (size_t i = 0; r == 0 && i < rs->n_sets; i++)
                assert_true(set_equal(rs->sets[i], again->sets[i]));
}

static void a_dump_cut_off_anywhere_is_no_crash(void **state) {
        const Ruleset *rs = sample_services(*state, true, "x");
        _cleanup_(nft_batch_freep) NftBatch *b = as_dumped(*state, rs);

        for (size_t size = 0; size <= b->bytes.size; size++)
                decode_copy(b->bytes.data, size, rs);
}

static void a_damaged_dump_is_no_crash(void **state) {
        const Ruleset *samples[] = {sample_services(*state, true, "x"), sample_fields(*state),
                                    sample_pairs(*state)};

        for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
                _cleanup_(nft_batch_freep) NftBatch *b = as_dumped(*state, samples[i]);
                _cleanup_free_ unsigned char *copy = malloc(b->bytes.size);

                assert_non_null(copy);
                for (unsigned int n = 0; n < 400; n++) {
                        memcpy(copy, b->bytes.data, b->bytes.size);
                        for (size_t k = 0; k <= n % 8; k++)
                                copy[draw(b->bytes.size)] = (unsigned char)draw(256);
                        decode_copy(copy, b->bytes.size, samples[i]);
                }
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(what_is_encoded_is_decoded),
                unit_arena_test(another_table_is_passed_over),
                unit_arena_test(elements_of_a_set_that_is_not_there_are_an_error),
                unit_arena_test(elements_that_are_wanted_are_borrowed),
                unit_arena_test(elements_are_listed_where_they_are_not_those_that_are_wanted),
                unit_arena_test(an_element_that_stands_twice_is_seen_where_all_are_wanted),
                unit_arena_test(what_is_not_ours_is_shown_and_never_left_out),
                unit_arena_test(limits_become_one_range),
                unit_arena_test(comparisons_that_nft_joined_are_taken_apart),
                unit_arena_test(a_dump_cut_off_anywhere_is_no_crash),
                unit_arena_test(a_damaged_dump_is_no_crash),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
