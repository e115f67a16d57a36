/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/address.h"

#include <arpa/inet.h>

unsigned int family_width(Family family) {
        return family == FAMILY_IPV4 ? 32 : 128;
}

const char *family_to_string(Family family) {
        return family == FAMILY_IPV4 ? "IPv4" : "IPv6";
}

AddressError address_parse(const char *s, Family *ret_family, U128 *ret) {
        unsigned char bytes[16];

        if (inet_pton(AF_INET, s, bytes) == 1) {
                *ret_family = FAMILY_IPV4;
                *ret = u128_from_bytes(bytes, 4);
                return ADDRESS_OK;
        }
        if (inet_pton(AF_INET6, s, bytes) == 1) {
                *ret_family = FAMILY_IPV6;
                *ret = u128_from_bytes(bytes, 16);
                return ADDRESS_OK;
        }
        return ADDRESS_NOT_ONE;
}

static bool parse_length(const char *s, unsigned int max, unsigned int *ret) {
        unsigned int n = 0;
        size_t len = strlen(s);

        if (len == 0 || len > 3 || (len > 1 && s[0] == '0') || strspn(s, "0123456789") != len)
                return false;
        for (; *s; s++)
                n = n * 10 + (unsigned int)(*s - '0');
        if (n > max)
                return false;
        *ret = n;
        return true;
}

static AddressError
parse_cidr(const char *address, const char *length, Family *ret_family, Range *ret) {
        unsigned int bits;
        Family family;
        U128 value, mask;
        AddressError e = address_parse(address, &family, &value);

        if (e != ADDRESS_OK)
                return e;
        *ret_family = family;
        if (!parse_length(length, family_width(family), &bits))
                return ADDRESS_BAD_LENGTH;
        mask = u128_low_mask(family_width(family) - bits);
        ret->high = u128_or(value, mask);
        ret->low = (U128){value.high & ~mask.high, value.low & ~mask.low};
        return u128_equal(ret->low, value) ? ADDRESS_OK : ADDRESS_HOST_BITS;
}

AddressError address_range_parse(const char *s, Family *ret_family, Range *ret) {
        char buf[ADDRESS_TEXT_MAX];
        size_t len = strlen(s);
        char *separator;
        Family other;
        AddressError e;

        if (len == 0 || len >= sizeof(buf))
                return ADDRESS_NOT_ONE;
        memcpy(buf, s, len + 1);
        separator = strchr(buf, '/');
        if (separator) {
                *separator = '\0';
                return parse_cidr(buf, separator + 1, ret_family, ret);
        }
        separator = strchr(buf, '-');
        if (!separator) {
                e = address_parse(buf, ret_family, &ret->low);
                ret->high = ret->low;
                return e;
        }
        *separator = '\0';
        e = address_parse(buf, ret_family, &ret->low);
        if (e == ADDRESS_OK)
                e = address_parse(separator + 1, &other, &ret->high);
        if (e != ADDRESS_OK)
                return e;
        if (other != *ret_family)
                return ADDRESS_MIXED_FAMILIES;
        return u128_compare(ret->low, ret->high) <= 0 ? ADDRESS_OK : ADDRESS_RUNS_BACKWARDS;
}

const char *address_print(Family family, U128 value, char *buf) {
        unsigned char bytes[16];

        u128_to_bytes(value, bytes, family_width(family) / 8);
        /* cannot fail: the family is known and the buffer is large enough */
        (void)inet_ntop(family == FAMILY_IPV4 ? AF_INET : AF_INET6, bytes, buf, ADDRESS_TEXT_MAX);
        return buf;
}

const char *address_range_print(Family family, Range r, char *buf) {
        char high[ADDRESS_TEXT_MAX];
        unsigned int length;
        size_t used;

        (void)address_print(family, r.low, buf);
        used = strlen(buf);
        if (range_is_single(r))
                return buf;
        if (range_is_prefix(r, family_width(family), &length))
                (void)snprintf(buf + used, ADDRESS_TEXT_MAX - used, "/%u", length);
        else
                (void)snprintf(buf + used, ADDRESS_TEXT_MAX - used, "-%.46s",
                               address_print(family, r.high, high));
        return buf;
}
