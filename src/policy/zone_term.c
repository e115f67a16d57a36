/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#include <ctype.h>

/* Words for everything that people bring along from other firewalls. */
static const char *const wide_words[] = {"any", "all", "everywhere", "everyone", "world", "*"};

/* How the names of network interfaces usually begin. */
static const char *const interface_starts[] = {
        "br-", "docker", "en", "eth", "podman", "ppp", "tap", "tun", "veth", "virbr", "wg", "wl",
};

static int report_host_bits(Loader *l, const Node *n, Family family, Range r) {
        char buf[ADDRESS_TEXT_MAX];

        diag_error(l->d, n->at, "'%s' is an address within a network, not the network", n->text);
        diag_hint(l->d, "host bits are set: %s?", address_range_print(family, r, buf));
        return -EBADMSG;
}

static int report_length(Loader *l, const Node *n, Family family) {
        diag_error(l->d, n->at, "'%s' has no prefix length of %s", node_shown(l->arena, n),
                   family_to_string(family));
        diag_hint(l->d, "behind the '/' stands a number from 0 to %u", family_width(family));
        return -EBADMSG;
}

static int report_backwards(Loader *l, const Node *n) {
        const char *dash = strchr(n->text, '-');

        diag_error(l->d, n->at, "this range runs backwards");
        diag_hint(l->d, "the lower address comes first: %s-%.*s", dash + 1, (int)(dash - n->text),
                  n->text);
        return -EBADMSG;
}

/* What is written nearly like an address: what it should have been. */
static void hint_at_address(Loader *l, const char *s) {
        size_t len = strlen(s);
        const char *colon = strchr(s, ':'), *last_dot = strrchr(s, '.'), *dash = strchr(s, '-');
        Family family;
        U128 value;
        char *part;

        if (s[0] == '[')
                diag_hint(l->d, "write an IPv6 address without brackets");
        else if (strpbrk(s, " ,"))
                diag_hint(l->d, strchr(s, '-') ? "a range is written without blanks: A-B"
                                               : "a list is written [a, b]");
        else if (strchr(s, '%'))
                diag_hint(l->d, "an address has no interface here: name it with 'in' or 'out'");
        else if (last_dot && streq(last_dot, ".*"))
                diag_hint(l->d, "a network is written as a CIDR, such as 10.0.0.0/24");
        else if (colon && strchr(s, '.') && !strchr(colon + 1, ':'))
                diag_hint(l->d, "ports belong to the service: { allow: 22/tcp, from: %.*s }",
                          (int)(colon - s), s);
        else if (dash && len < ADDRESS_TEXT_MAX) {
                part = arena_strndup(l->arena, s, (size_t)(dash - s));
                if (part && address_parse(part, &family, &value) == ADDRESS_OK)
                        diag_hint(l->d, "write both ends of a range in full");
        }
}

int zone_address_decode(Loader *l, const Node *n, ZoneWord *ret) {
        switch (address_range_parse(n->text, &ret->family, &ret->range)) {
        case ADDRESS_OK:
                return 0;
        case ADDRESS_HOST_BITS:
                return report_host_bits(l, n, ret->family, ret->range);
        case ADDRESS_BAD_LENGTH:
                return report_length(l, n, ret->family);
        case ADDRESS_MIXED_FAMILIES:
                return diag_error(
                        l->d, n->at, "this range begins in %s and ends in %s",
                        family_to_string(ret->family),
                        family_to_string(ret->family == FAMILY_IPV4 ? FAMILY_IPV6 : FAMILY_IPV4));
        case ADDRESS_RUNS_BACKWARDS:
                return report_backwards(l, n);
        case ADDRESS_NOT_ONE:
                break;
        }
        diag_error(l->d, n->at, "'%s' is not an address", node_shown(l->arena, n));
        hint_at_address(l, n->text);
        return -EBADMSG;
}

static bool looks_like_interface(const char *s) {
        for (size_t i = 0; i < ARRAY_SIZE(interface_starts); i++)
                if (startswith(s, interface_starts[i]))
                        return strpbrk(s, "0123456789*-") != NULL;
        return false;
}

static int report_unknown(Loader *l, const Node *n) {
        static const char *const words[] = {"anywhere"};
        bool value;

        diag_error(l->d, n->at, "there is no zone '%s'", node_shown(l->arena, n));
        for (size_t i = 0; i < ARRAY_SIZE(wide_words); i++)
                if (strcasecmp(n->text, wide_words[i]) == 0)
                        diag_hint(l->d, "did you mean 'anywhere'?");
        if (strcasecmp(n->text, "localhost") == 0)
                diag_hint(l->d, "this host always reaches itself: that needs no rule");
        if (node_is_boolean(n, &value))
                diag_hint(l->d, "YAML takes '%s' for a boolean; as a zone's name, quote it: \"%s\"",
                          n->text, n->text);
        if (definition_find(&l->services, n->text))
                diag_hint(l->d, "'%s' is a service", n->text);
        definition_suggest(l, &l->zones, n->text, words, ARRAY_SIZE(words));
        if (looks_like_interface(n->text))
                diag_hint(l->d, "an interface is named with 'in' or 'out', or in a zone's "
                                "'interfaces'");
        else if (strchr(n->text, '.'))
                diag_hint(l->d, "hosts' names are not looked up: write the address");
        diag_hint(l->d, "define it in 'zones', or write addresses; `ringwall list zones` lists "
                        "those that there are");
        return -EBADMSG;
}

/* An item such as `- fd00::` is a key to YAML. */
static int report_mapping(Loader *l, const Node *n) {
        const Node *key = n->n_entries == 1 ? n->entries[0].key : NULL;

        if (key && node_is_empty(n->entries[0].value) && strchr(key->text, ':')) {
                diag_error(l->d, n->at, "YAML takes '%s:' for a key", node_shown(l->arena, key));
                diag_hint(l->d, "quote it: \"%s:\"", node_shown(l->arena, key));
                return -EBADMSG;
        }
        return diag_error(l->d, n->at, "expected a zone or an address, found a mapping");
}

int zone_word_decode(Loader *l, const Node *n, ZoneWord *ret) {
        *ret = (ZoneWord){0};
        if (n->kind == NODE_MAPPING)
                return report_mapping(l, n);
        if (n->kind == NODE_SEQUENCE) {
                diag_error(l->d, n->at, "expected a zone or an address, found a list in a list");
                return -EBADMSG;
        }
        if (n->text[0] == '\0')
                return diag_error(l->d, n->at, "a zone or an address is missing here");
        if (streq(n->text, "anywhere")) {
                ret->anywhere = true;
                return 0;
        }
        if (strpbrk(n->text, ":/[") || isdigit((unsigned char)n->text[0]))
                return zone_address_decode(l, n, ret);
        ret->definition = definition_find(&l->zones, n->text);
        return ret->definition ? 0 : report_unknown(l, n);
}
