/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/attribute.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

void attributes_between(const void *start, const void *end, Attributes *ret) {
        const struct nlattr *attr;

        *ret = (Attributes){0};
        attribute_for_each(attr, start, end) {
                uint16_t type = (uint16_t)(attr->nla_type & NLA_TYPE_MASK);

                if (type < ATTRIBUTES_MAX)
                        ret->list[type] = attr;
        }
}

void attributes_behind(const struct nlmsghdr *h, size_t header, Attributes *ret) {
        *ret = (Attributes){0};
        if (mnl_nlmsg_get_payload_len(h) >= header) /* libmnl's tail is rounded up */
                attributes_between(mnl_nlmsg_get_payload_offset(h, header),
                                   (const char *)h + h->nlmsg_len, ret);
}

void attributes_of_message(const struct nlmsghdr *h, Attributes *ret) {
        attributes_behind(h, sizeof(struct nfgenmsg), ret);
}

void attributes_of(const struct nlattr *nest, Attributes *ret) {
        *ret = (Attributes){0};
        if (nest)
                attributes_between(attribute_payload(nest), attributes_end(nest), ret);
}

void attributes_inside(const Attributes *outer, uint16_t type, Attributes *ret) {
        attributes_of(outer->list[type], ret);
}

const void *attribute_bytes(const Attributes *a, uint16_t type, size_t *ret_size) {
        const struct nlattr *attr = a->list[type];

        if (!attr)
                return NULL;
        *ret_size = attr->nla_len - MNL_ATTR_HDRLEN;
        return attribute_payload(attr);
}

/* The attribute's bytes if there are exactly as many, or NULL. */
static const void *exactly(const Attributes *a, uint16_t type, size_t size) {
        size_t found = 0;
        const void *p = attribute_bytes(a, type, &found);

        return found == size ? p : NULL;
}

bool attribute_u8(const Attributes *a, uint16_t type, uint8_t *ret) {
        const uint8_t *p = exactly(a, type, sizeof(*ret));

        if (p)
                *ret = *p;
        return p != NULL;
}

bool attribute_u16(const Attributes *a, uint16_t type, uint16_t *ret) {
        const void *p = exactly(a, type, sizeof(*ret));
        uint16_t value;

        if (!p)
                return false;
        memcpy(&value, p, sizeof(value));
        *ret = ntohs(value);
        return true;
}

bool attribute_u32(const Attributes *a, uint16_t type, uint32_t *ret) {
        const void *p = exactly(a, type, sizeof(*ret));
        uint32_t value;

        if (!p)
                return false;
        memcpy(&value, p, sizeof(value));
        *ret = ntohl(value);
        return true;
}

bool attribute_u64(const Attributes *a, uint16_t type, uint64_t *ret) {
        const void *p = exactly(a, type, sizeof(*ret));
        uint64_t value;

        if (!p)
                return false;
        memcpy(&value, p, sizeof(value));
        *ret = be64toh(value);
        return true;
}

uint32_t attribute_native_u32(const Attributes *a, uint16_t type) {
        const void *p = exactly(a, type, sizeof(uint32_t));
        uint32_t value = 0;

        if (p)
                memcpy(&value, p, sizeof(value));
        return value;
}

const char *attribute_string(const Attributes *a, uint16_t type) {
        size_t size = 0;
        const char *s = attribute_bytes(a, type, &size);

        return s && size > 0 && memchr(s, '\0', size) ? s : NULL;
}

const void *attribute_value(const Attributes *a, uint16_t type, size_t *ret_size) {
        Attributes data;

        attributes_inside(a, type, &data);
        return attribute_bytes(&data, NFTA_DATA_VALUE, ret_size);
}

bool attribute_address(const Attributes *a, uint16_t type, Family family, U128 *ret) {
        size_t size = 0;
        const void *bytes = attribute_bytes(a, type, &size);

        if (!bytes || size * 8 != family_width(family))
                return false;
        *ret = u128_from_bytes(bytes, size);
        return true;
}

bool attribute_family(unsigned int af, Family *ret) {
        if (af != AF_INET && af != AF_INET6)
                return false;
        *ret = af == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6;
        return true;
}
