/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/ban_set.h"

#include <arpa/inet.h>

#include "base/text.h"

BanSet ban_set_of(const BanEntry *e) {
        return (BanSet){e->family, e->prefix, e->protocol != 0};
}

unsigned int ban_host_prefix(Family family) {
        return family == FAMILY_IPV4 ? 32 : 64;
}

static char digit(Family family) {
        return family == FAMILY_IPV4 ? '4' : '6';
}

const char *ban_set_name(BanSet set, char buf[static BAN_SET_NAME_MAX]) {
        if (set.of_services)
                (void)snprintf(buf, BAN_SET_NAME_MAX, "services%c", digit(set.family));
        else if (set.prefix == ban_host_prefix(set.family))
                (void)snprintf(buf, BAN_SET_NAME_MAX, "hosts%c", digit(set.family));
        else
                (void)snprintf(buf, BAN_SET_NAME_MAX, "nets%c-%u", digit(set.family), set.prefix);
        return buf;
}

bool ban_set_parse(const char *name, BanSet *ret) {
        static const Family families[] = {FAMILY_IPV4, FAMILY_IPV6};

        for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
                BanSet set = {.family = families[i],
                              .prefix = (uint8_t)ban_host_prefix(families[i])};
                char buf[BAN_SET_NAME_MAX];
                uint64_t prefix;

                *ret = set;
                if (streq(name, ban_set_name(set, buf)))
                        return true;
                ret->of_services = set.of_services = true;
                if (streq(name, ban_set_name(set, buf)))
                        return true;
                (void)snprintf(buf, sizeof(buf), "nets%c-", digit(families[i]));
                if (!startswith(name, buf) ||
                    !text_to_number(name + strlen(buf), 1, family_width(families[i]), &prefix))
                        continue;
                *ret = (BanSet){families[i], (uint8_t)prefix, false};
                return true;
        }
        return false;
}

const char *ban_family_name(const char *stem, Family family, char buf[static BAN_SET_NAME_MAX]) {
        (void)snprintf(buf, BAN_SET_NAME_MAX, "%s%c", stem, digit(family));
        return buf;
}

const char *ban_hits_name(Family family, char buf[static BAN_SET_NAME_MAX]) {
        return ban_family_name("hits", family, buf);
}

const char *ban_never_name(Family family, char buf[static BAN_SET_NAME_MAX]) {
        return ban_family_name("never", family, buf);
}

bool ban_set_is_of_hosts(BanSet set) {
        return !set.of_services && set.prefix == ban_host_prefix(set.family);
}

size_t ban_address_size(Family family) {
        return family == FAMILY_IPV4 ? 4 : 16;
}

U128 ban_set_mask(BanSet set) {
        unsigned int width = family_width(set.family);
        U128 host = u128_low_mask(width - set.prefix), all = u128_low_mask(width);

        return (U128){all.high & ~host.high, all.low & ~host.low};
}

/* Fields of a concatenation begin at multiples of four bytes. */
size_t ban_key_put(BanSet set, const BanEntry *e, unsigned char key[static BAN_KEY_MAX]) {
        size_t size = ban_address_size(set.family);
        uint16_t port = htons(e->port);

        u128_to_bytes(u128_and(e->address, ban_set_mask(set)), key, size);
        if (!set.of_services)
                return size;
        memset(key + size, 0, 8);
        key[size] = e->protocol;
        memcpy(key + size + 4, &port, sizeof(port));
        return size + 8;
}

bool ban_key_parse(BanSet set, const unsigned char *key, size_t size, BanEntry *ret) {
        size_t address = ban_address_size(set.family);
        uint16_t port;

        if (size != address + (set.of_services ? 8 : 0))
                return false;
        *ret = (BanEntry){.family = set.family, .prefix = set.prefix};
        ret->address = u128_from_bytes(key, address);
        if (!u128_equal(ret->address, u128_and(ret->address, ban_set_mask(set))))
                return false;
        if (!set.of_services)
                return true;
        ret->protocol = key[address];
        memcpy(&port, key + address + 4, sizeof(port));
        ret->port = ntohs(port);
        return ret->protocol != 0;
}
