/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#define WILDCARDS_MAX 16 /* that neighbours were joined from; more are a hole's surroundings */
#define INTERFACE_MAX 15 /* bytes of a name: the kernel's IFNAMSIZ without its NUL */

U128 interface_value(const char *name) {
        unsigned char bytes[16] = {0};

        memcpy(bytes, name, strnlen(name, sizeof(bytes)));
        return u128_from_bytes(bytes, sizeof(bytes));
}

Range interface_prefix_range(const char *prefix) {
        unsigned int rest = 128 - 8 * (unsigned int)strnlen(prefix, 16);
        U128 low = interface_value(prefix);

        return (Range){low, u128_or(low, u128_low_mask(rest))};
}

bool interface_set_is_open(const RangeSet *interfaces) {
        return range_set_contains(interfaces, INTERFACE_UNNAMED);
}

int interface_set_complement(Arena *a, const RangeSet *interfaces, RangeSet *ret) {
        Range everything = {U128_ZERO, U128_MAX};

        return range_set_subtract(a, &(RangeSet){&everything, 1}, interfaces, ret);
}

/* How many wildcards and names the range consists of; stops counting beyond WILDCARDS_MAX. */
static unsigned int count_wildcards(Range r) {
        unsigned int n = 0;

        while (n <= WILDCARDS_MAX) {
                U128 high = r.low;

                for (unsigned int bits = 8; bits <= 128; bits += 8) {
                        Range wider = {r.low, u128_or(r.low, u128_low_mask(bits))};

                        if (!range_is_prefix(wider, 128, NULL) ||
                            u128_compare(wider.high, r.high) > 0)
                                break;
                        high = wider.high;
                }
                n++;
                if (u128_compare(high, r.high) >= 0)
                        break;
                r.low = u128_next(high);
        }
        return n;
}

/* The narrowest wildcard that covers the range. */
static Range cover(Range r) {
        unsigned int bits = 0;

        while (bits < 128 && !u128_equal(u128_or(r.low, u128_low_mask(bits)),
                                         u128_or(r.high, u128_low_mask(bits))))
                bits += 8;
        r.high = u128_or(r.low, u128_low_mask(bits));
        r.low = (U128){r.low.high & ~u128_low_mask(bits).high,
                       r.low.low & ~u128_low_mask(bits).low};
        return r;
}

int interface_set_split(Arena *a,
                        const RangeSet *interfaces,
                        RangeSet *ret_base,
                        RangeSet *ret_minus) {
        RangeSet base = {0};
        bool holes = false;

        for (size_t i = 0; i < interfaces->n_items; i++) {
                Range r = interfaces->items[i];
                bool hole = count_wildcards(r) > WILDCARDS_MAX;

                holes |= hole;
                if (range_set_add(a, &base, hole ? cover(r) : r) < 0)
                        return -ENOMEM;
        }
        *ret_base = *interfaces;
        *ret_minus = (RangeSet){0};
        if (!holes)
                return 0;
        range_set_normalise(&base);
        *ret_base = base;
        return range_set_subtract(a, &base, interfaces, ret_minus);
}

static bool is_address(const char *s) {
        Family family;
        Range range;

        return address_range_parse(s, &family, &range) != ADDRESS_NOT_ONE;
}

static int refuse(Loader *l, const Node *n, const char *hint) {
        diag_error(l->d, n->at, "'%s' cannot be an interface's name", node_shown(l->arena, n));
        if (is_address(n->text))
                hint = "addresses belong to 'from' and 'to', or to a zone";
        if (hint)
                diag_hint(l->d, "%s", hint);
        return -EBADMSG;
}

static int check_name(Loader *l, const Node *n) {
        const char *name = n->text, *star = strchr(name, '*');
        size_t len = strlen(name);

        if (len == 0)
                return diag_error(l->d, n->at, "an interface's name is missing here");
        if (streq(name, "*")) {
                diag_error(l->d, n->at, "'*' alone means every interface");
                diag_hint(
                        l->d,
                        "leave the key out to mean any, or name them where the key must be there");
                return -EBADMSG;
        }
        if (strpbrk(name, " ,\t\n"))
                return refuse(l, n, "a list is written [a, b]");
        if (strpbrk(name, "/:\"\\") || streq(name, ".") || streq(name, "..") || is_address(name))
                return refuse(l, n, NULL);
        if (star && star[1] != '\0')
                return refuse(l, n, "'*' is a wildcard at the end of a name only");
        if (len > INTERFACE_MAX) {
                diag_error(l->d, n->at, "'%s' is longer than an interface's name can be",
                           node_shown(l->arena, n));
                diag_hint(l->d, "the kernel's names have at most %d bytes", INTERFACE_MAX);
                return -EBADMSG;
        }
        return 0;
}

static int decode_name(Loader *l, const Node *n, RangeSet *ret) {
        char prefix[INTERFACE_MAX + 1] = "";
        size_t len;
        int r;

        if (n->kind != NODE_SCALAR)
                return diag_error(l->d, n->at, "expected an interface's name, found %s",
                                  node_kind_to_string(n->kind));
        r = check_name(l, n);
        if (r < 0)
                return r;
        len = strlen(n->text);
        if (n->text[len - 1] != '*')
                return range_set_add(l->arena, ret, range_single(interface_value(n->text)));
        memcpy(prefix, n->text, len - 1);
        return range_set_add(l->arena, ret, interface_prefix_range(prefix));
}

int interface_set_decode(Loader *l, const NodeEntry *entry, RangeSet *ret) {
        const Node *n = entry->value;
        int result = schema_expect_value(entry, l->d), r;

        if (result < 0)
                return result;
        if (n->kind != NODE_SEQUENCE)
                result = decode_name(l, n, ret);
        else if (n->n_items == 0)
                result = diag_error(l->d, n->at, "'%s' is an empty list", entry->key->text);
        for (size_t i = 0; i < n->n_items; i++) {
                r = decode_name(l, n->items[i], ret);
                if (r < 0)
                        result = r;
                if (r == -ENOMEM)
                        return r;
        }
        range_set_normalise(ret);
        return result;
}
