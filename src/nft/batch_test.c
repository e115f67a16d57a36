/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/batch.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "base/unit.h"
#include "nft/attribute.h"
#include "nft/encode.h"

#define ELEMENTS 5000

static NftBatch *new_batch(uint32_t generation) {
        NftBatch *b = nft_batch_new(100, generation);

        assert_non_null(b);
        return b;
}

/* Header of the message that stands at a place in the row; its length is 0 behind the last. */
static struct nlmsghdr message_at(const NftBatch *b, size_t i) {
        message_for_each(h, b->bytes.data, b->bytes.size) {
                if (i-- == 0)
                        return *h;
        }
        return (struct nlmsghdr){0};
}

static void a_batch_begins_and_ends_and_the_last_message_asks_for_an_answer(void **state) {
        _cleanup_(nft_batch_freep) NftBatch *b = new_batch(0);

        encode_table(b, 0);
        encode_delete_table(b);
        assert_int_equal(nft_batch_end(b, true), 0);
        assert_int_equal(message_at(b, 0).nlmsg_type, NFNL_MSG_BATCH_BEGIN);
        assert_false(message_at(b, 1).nlmsg_flags & NLM_F_ACK);
        assert_true(message_at(b, 2).nlmsg_flags & NLM_F_ACK);
        assert_int_equal(message_at(b, 3).nlmsg_type, NFNL_MSG_BATCH_END);
        assert_int_equal(message_at(b, 4).nlmsg_len, 0);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(message_at(b, i).nlmsg_seq, 100 + i);
        assert_int_equal(nft_batch_last_sequence(b), 102);
}

static void only_a_given_generation_is_compared(void **state) {
        for (uint32_t generation = 0; generation < 2; generation++) {
                _cleanup_(nft_batch_freep) NftBatch *b = new_batch(generation);
                size_t size = message_at(b, 0).nlmsg_len;

                assert_int_equal(size > MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg),
                                 generation != 0);
        }
}

static void a_sequence_number_leads_to_what_the_message_is_about(void **state) {
        _cleanup_(nft_batch_freep) NftBatch *b = new_batch(0);
        Chain chain = {.name = "input", .hook = HOOK_NONE};

        encode_table(b, 0);
        encode_chain(b, &chain);
        assert_null(nft_batch_subject(b, 100));
        assert_int_equal(nft_batch_subject(b, 101)->kind, SUBJECT_TABLE);
        assert_string_equal(nft_batch_subject(b, 102)->name, "input");
        assert_null(nft_batch_subject(b, 103));
        assert_null(nft_batch_subject(b, 99));
}

static Set *many_elements(Ruleset *rs, bool interval) {
        Set *set = ruleset_add_set(rs, "many", TYPE_IPV6_ADDR);

        assert_non_null(set);
        for (uint64_t i = 0; i < ELEMENTS; i++) {
                Range r = {u128(16 * i + 1), u128(16 * i + 1 + interval)};
                Element *e = set_add_element(rs, set, &r);

                assert_non_null(e);
                e->origin.text =
                        "a comment of some length, so that the limit of bytes is met first";
        }
        return set;
}

static void elements_are_spread_over_messages_that_netlink_can_carry(void **state) {
        Ruleset *rs = ruleset_new(*state);
        _cleanup_(nft_batch_freep) NftBatch *b = new_batch(0);

        assert_non_null(rs);
        encode_elements(b, many_elements(rs, true), "many", 0);
        assert_int_equal(nft_batch_end(b, true), 0);
        assert_true(b->n_subjects > 1);
        message_for_each(h, b->bytes.data, b->bytes.size) {
                assert_true(h->nlmsg_len < 65535);
        }
}

/* Where the first attribute of that type with that payload stands in the message. */
static uint32_t
offset_of_key(const NftBatch *b, const NftSubject *s, const void *key, size_t size) {
        const unsigned char *message = b->bytes.data + s->offset;
        const struct nlmsghdr *h = (const void *)message;

        for (uint32_t i = 0; i + size <= h->nlmsg_len; i += 4)
                if (memcmp(message + i, key, size) == 0)
                        return i;
        return 0;
}

static void the_place_of_an_attribute_leads_to_its_element(void **state) {
        Ruleset *rs = ruleset_new(*state);
        _cleanup_(nft_batch_freep) NftBatch *b = new_batch(0);
        const NftSubject *last;
        const Element *e;
        unsigned char key[16];
        Set *set;

        assert_non_null(rs);
        set = many_elements(rs, true);
        encode_elements(b, set, "many", 0);
        assert_int_equal(nft_batch_end(b, true), 0);
        last = nft_batch_subject(b, nft_batch_last_sequence(b));
        e = &set->elements[ELEMENTS - 2];
        u128_to_bytes(e->key[0].low, key, sizeof(key));
        assert_ptr_equal(encode_element_at(b, last, offset_of_key(b, last, key, sizeof(key))), e);
        assert_null(encode_element_at(b, last, 0));
        assert_null(encode_element_at(b, last, 1U << 30));
}

static void an_error_stays_until_the_end(void **state) {
        _cleanup_(nft_batch_freep) NftBatch *b = new_batch(0);
        Chain chain = {.name = "input", .hook = HOOK_NONE};
        Match unknown = {.op = MATCH_UNKNOWN, .text = "?"};
        Rule rule = {.matches = &unknown, .n_matches = 1, .verdict = verdict_of(VERDICT_ACCEPT)};

        encode_rule(b, &chain, &rule);
        encode_table(b, 0);
        assert_int_equal(nft_batch_end(b, true), -EINVAL);
}

static void a_rule_of_too_many_expressions_is_refused_before_the_kernel_does(void **state) {
        Ruleset *rs = ruleset_new(*state);
        _cleanup_(nft_batch_freep) NftBatch *b = new_batch(0);
        Chain *chain;
        Rule *rule;

        assert_non_null(rs);
        chain = ruleset_add_chain(rs, "input");
        assert_non_null(chain);
        rule = chain_add_rule(rs, chain, verdict_of(VERDICT_ACCEPT), (Origin){0});
        assert_non_null(rule);
        for (unsigned int i = 0; i < 5000; i++)
                assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, i % 256), 0);
        encode_rule(b, chain, rule);
        assert_int_equal(nft_batch_end(b, true), -E2BIG);
}

static void bytes_keep_what_they_hold_while_they_grow(void **state) {
        _cleanup_(nft_bytes_done) NftBytes bytes = {0};
        unsigned char piece[1000];

        for (unsigned int i = 0; i < 5000; i++) { /* from nothing to megabytes */
                memset(piece, (int)(i % 251), sizeof(piece));
                assert_int_equal(nft_bytes_append(&bytes, piece, sizeof(piece)), 0);
                assert_int_equal(bytes.data[bytes.size], 0);
        }
        assert_int_equal(bytes.size, 5000 * sizeof(piece));
        for (size_t i = 0; i < bytes.size; i++)
                assert_true(bytes.data[i] == i / sizeof(piece) % 251);
        nft_bytes_done(&bytes);
        assert_null(bytes.data);
        assert_int_equal(nft_bytes_append(&bytes, piece, sizeof(piece)), 0);
        assert_memory_equal(bytes.data, piece, sizeof(piece));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_batch_begins_and_ends_and_the_last_message_asks_for_an_answer),
                cmocka_unit_test(only_a_given_generation_is_compared),
                cmocka_unit_test(a_sequence_number_leads_to_what_the_message_is_about),
                unit_arena_test(elements_are_spread_over_messages_that_netlink_can_carry),
                unit_arena_test(the_place_of_an_attribute_leads_to_its_element),
                cmocka_unit_test(an_error_stays_until_the_end),
                cmocka_unit_test(bytes_keep_what_they_hold_while_they_grow),
                unit_arena_test(a_rule_of_too_many_expressions_is_refused_before_the_kernel_does),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
