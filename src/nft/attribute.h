/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Attributes of netlink messages, read without trusting them: every getter checks size and type,
 * and says false or NULL where the attribute is absent or malformed. What is returned is borrowed
 * from the message. */

#include <libmnl/libmnl.h>

#include "base/address.h"
#include "base/util.h"

#define ATTRIBUTES_MAX 40 /* IFLA_LINK_NETNSID is 37 */

typedef struct Attributes {
        const struct nlattr *list[ATTRIBUTES_MAX]; /* by type; NULL where there is none */
} Attributes;

/* The messages in `size` bytes. libmnl's own check takes a length past INT32_MAX for a short one.
 */
#define message_for_each(h, bytes, size)                                                           \
        for (const struct nlmsghdr *h = (const void *)(bytes),                                     \
                                   *h##_end = (const void *)((const char *)(bytes) + (size));      \
             message_fits(h, (const char *)h##_end - (const char *)h);                             \
             h = (const void *)((const char *)h + MNL_ALIGN(h->nlmsg_len)))

static inline bool message_fits(const struct nlmsghdr *h, ptrdiff_t left) {
        return left >= (ptrdiff_t)sizeof(*h) && h->nlmsg_len >= sizeof(*h) &&
               (ptrdiff_t)h->nlmsg_len <= left;
}

/* libmnl's own loops cast const away, and call it four times an attribute, which is half of what
 * walking through them costs. start and end are of any pointer type. */
#define attribute_for_each(attr, start, end)                                                       \
        for ((attr) = (start); attribute_fits((attr), (const char *)(end) - (const char *)(attr)); \
             (attr) = (const void *)((const char *)(attr) + MNL_ALIGN((attr)->nla_len)))
#define attribute_for_each_nested(attr, nest)                                                      \
        attribute_for_each((attr), attribute_payload(nest), attributes_end(nest))

static inline const void *attribute_payload(const struct nlattr *attr) {
        return (const char *)attr + MNL_ATTR_HDRLEN;
}

static inline const void *attributes_end(const struct nlattr *nest) {
        return (const char *)nest + nest->nla_len;
}

static inline bool attribute_fits(const struct nlattr *attr, ptrdiff_t left) {
        return left >= (ptrdiff_t)sizeof(*attr) && attr->nla_len >= sizeof(*attr) &&
               attr->nla_len <= left;
}

/* The attributes between two places in a message. */
void attributes_between(const void *start, const void *end, Attributes *ret);
/* The attributes behind a header of that many bytes in a message's payload. */
void attributes_behind(const struct nlmsghdr *h, size_t header, Attributes *ret);
/* The attributes behind the nfgenmsg of a message, or inside an attribute; none if that is NULL. */
void attributes_of_message(const struct nlmsghdr *h, Attributes *ret);
void attributes_of(const struct nlattr *nest, Attributes *ret);
void attributes_inside(const Attributes *outer, uint16_t type, Attributes *ret);

bool attribute_u8(const Attributes *a, uint16_t type, uint8_t *ret);
/* Numbers are big-endian on the wire. */
bool attribute_u16(const Attributes *a, uint16_t type, uint16_t *ret);
bool attribute_u32(const Attributes *a, uint16_t type, uint32_t *ret);
bool attribute_u64(const Attributes *a, uint16_t type, uint64_t *ret);
/* The same in the machine's own order, which is rtnetlink's; 0 where there is none. */
uint32_t attribute_native_u32(const Attributes *a, uint16_t type);
const char *attribute_string(const Attributes *a, uint16_t type);
const void *attribute_bytes(const Attributes *a, uint16_t type, size_t *ret_size);
/* The value inside a data attribute (NFTA_DATA_VALUE). */
const void *attribute_value(const Attributes *a, uint16_t type, size_t *ret_size);
/* An address of that family, of just its size. */
bool attribute_address(const Attributes *a, uint16_t type, Family family, U128 *ret);
/* rtnetlink's number of a family; false: neither IPv4 nor IPv6. */
bool attribute_family(unsigned int af, Family *ret);
