/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/image_format.h"

/* The words never change their meaning: they stand in copies that older versions have written. */

static const char *const type_words[_TYPE_MAX] = {
        [TYPE_PRESENCE] = "presence",
        [TYPE_IFNAME] = "ifname",
        [TYPE_NFPROTO] = "nfproto",
        [TYPE_INET_PROTO] = "inet-proto",
        [TYPE_INET_SERVICE] = "inet-service",
        [TYPE_IPV4_ADDR] = "ipv4-addr",
        [TYPE_IPV6_ADDR] = "ipv6-addr",
        [TYPE_ETHER_ADDR] = "ether-addr",
        [TYPE_ICMP_TYPE] = "icmp-type",
        [TYPE_ICMPV6_TYPE] = "icmpv6-type",
        [TYPE_CT_STATE] = "ct-state",
        [TYPE_CT_STATUS] = "ct-status",
        [TYPE_MARK] = "mark",
        [TYPE_FIB_ADDRTYPE] = "fib-addrtype",
        [TYPE_ARPHRD] = "arphrd",
        [TYPE_UID] = "uid",
        [TYPE_GID] = "gid",
        [TYPE_TIME] = "time",
        [TYPE_NUMBER] = "number",
};

static const char *const op_words[] = {
        [MATCH_IN] = "in",           [MATCH_NOT_IN] = "not-in", [MATCH_BITS] = "bits",
        [MATCH_NO_BITS] = "no-bits", [MATCH_UNKNOWN] = NULL,
};

static const char *const statement_words[_STATEMENT_MAX] = {
        [STATEMENT_LIMIT] = "limit",
        [STATEMENT_CONNECTIONS] = "connections",
        [STATEMENT_NAMED_LIMIT] = "named-limit",
        [STATEMENT_LOG] = "log",
        [STATEMENT_SAMPLE] = "sample",
};

static const char *const chain_words[] = {
        [CHAIN_FILTER] = "filter",
        [CHAIN_NAT] = "nat",
};

static const char *const family_words[_FAMILY_MAX] = {
        [FAMILY_IPV4] = "ipv4",
        [FAMILY_IPV6] = "ipv6",
};

static const struct {
        const char *word;
        size_t offset;
} features_known[] = {
        {"fib-in-filter", offsetof(KernelFeatures, fib_in_filter)},
        {"own-source-routed", offsetof(KernelFeatures, own_source_routed)},
};

size_t image_n_words(Vocabulary v) {
        switch (v) {
        case VOCABULARY_FIELDS:
                return _FIELD_MAX;
        case VOCABULARY_TYPES:
                return _TYPE_MAX;
        case VOCABULARY_VERDICTS:
                return _VERDICT_MAX;
        case VOCABULARY_OPS:
                return ARRAY_SIZE(op_words);
        case VOCABULARY_STATEMENTS:
                return _STATEMENT_MAX;
        case VOCABULARY_HOOKS:
                return _HOOK_MAX;
        case VOCABULARY_CHAINS:
                return ARRAY_SIZE(chain_words);
        case VOCABULARY_FAMILIES:
                return _FAMILY_MAX;
        case VOCABULARY_FEATURES:
                return ARRAY_SIZE(features_known);
        case _VOCABULARY_MAX:
                break;
        }
        return 0;
}

const char *image_word(Vocabulary v, size_t i) {
        switch (v) {
        case VOCABULARY_FIELDS:
                return fields[i].name;
        case VOCABULARY_TYPES:
                return type_words[i];
        case VOCABULARY_VERDICTS:
                return verdict_kind_to_string((VerdictKind)i);
        case VOCABULARY_OPS:
                return op_words[i];
        case VOCABULARY_STATEMENTS:
                return statement_words[i];
        case VOCABULARY_HOOKS:
                return hook_to_string((Hook)i);
        case VOCABULARY_CHAINS:
                return chain_words[i];
        case VOCABULARY_FAMILIES:
                return family_words[i];
        case VOCABULARY_FEATURES:
                return features_known[i].word;
        case _VOCABULARY_MAX:
                break;
        }
        return NULL;
}

bool *image_feature(KernelFeatures *features, size_t i) {
        return (bool *)((char *)features + features_known[i].offset);
}
