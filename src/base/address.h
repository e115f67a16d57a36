/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* IPv4 and IPv6 addresses as numbers, and the ways in which people write ranges of them. */

#include "base/range.h"

typedef enum Family {
        FAMILY_IPV4,
        FAMILY_IPV6,
        _FAMILY_MAX,
        _FAMILY_INVALID = -EINVAL,
} Family;

#define ADDRESS_TEXT_MAX                                                                           \
        128 /* bytes that an address, CIDR or range needs at most, NUL included                    \
             */

/* 32 or 128. */
unsigned int family_width(Family family);
const char *family_to_string(Family family); /* "IPv4", "IPv6" */

typedef enum AddressError {
        ADDRESS_OK = 0,
        ADDRESS_NOT_ONE,        /* this is not written like an address at all */
        ADDRESS_BAD_LENGTH,     /* the prefix length is not a number from 0 to 32 or 128 */
        ADDRESS_HOST_BITS,      /* 10.40.10.5/24: the caller may want to name the network */
        ADDRESS_MIXED_FAMILIES, /* 10.0.0.1-fd00::1 */
        ADDRESS_RUNS_BACKWARDS, /* 10.0.0.9-10.0.0.1 */
} AddressError;

/* "10.0.0.1", "fd00::1". An IPv4-mapped IPv6 address stays IPv6. */
AddressError address_parse(const char *s, Family *ret_family, U128 *ret);
/* An address, a CIDR or a range A-B. On ADDRESS_HOST_BITS the network that was probably meant is
 * returned. */
AddressError address_range_parse(const char *s, Family *ret_family, Range *ret);

/* Both write at most ADDRESS_TEXT_MAX bytes and return buf. A range is printed as an address, a
 * CIDR, or A-B, whichever is shortest. */
const char *address_print(Family family, U128 value, char *buf);
const char *address_range_print(Family family, Range r, char *buf);
