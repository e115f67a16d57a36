/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/ban.h"

#include <netinet/in.h>

#include "base/text.h"

static const struct {
        const char *name;
        uint8_t number;
} protocols[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"sctp", IPPROTO_SCTP}};

static int refuse(Arena *a, const char **ret_why, const char *format, ...) _printf_(3, 4);

static int refuse(Arena *a, const char **ret_why, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        *ret_why = arena_vprintf(a, format, ap);
        va_end(ap);
        return *ret_why ? -EBADMSG : -ENOMEM;
}

/* What stands behind an error message's colon must not write on a terminal. */
static const char *shown(Arena *a, const char *text) {
        char *copy = arena_printf(a, "%.60s", text);

        for (char *c = copy; c && *c; c++)
                if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
                        *c = '?';
        return copy ? copy : "";
}

static void cut_to_prefix(BanEntry *e) {
        U128 host = u128_low_mask(family_width(e->family) - e->prefix);

        e->address = u128_and(e->address, (U128){~host.high, ~host.low});
}

/* ::ffff:192.0.2.7 is how some programs write an IPv4 address. */
static void unmap(BanEntry *e) {
        if (e->family != FAMILY_IPV6 || e->prefix < 96 || e->address.high != 0 ||
            e->address.low >> 32 != 0xffff)
                return;
        e->family = FAMILY_IPV4;
        e->prefix = (uint8_t)(e->prefix - 96);
        e->address.low &= UINT32_MAX;
}

int ban_parse_address(
        Arena *a, const char *text, unsigned int ipv6, BanEntry *ret, const char **ret_why) {
        BanEntry e = {0};
        unsigned int length;
        bool is_single;
        Range range;

        switch (address_range_parse(text, &e.family, &range)) {
        case ADDRESS_OK:
                break;
        case ADDRESS_HOST_BITS: {
                char buf[ADDRESS_TEXT_MAX];

                return refuse(a, ret_why, "'%s' has bits behind its prefix: the network is %s",
                              shown(a, text), address_range_print(e.family, range, buf));
        }
        case ADDRESS_BAD_LENGTH:
                return refuse(a, ret_why, "'%s' has no prefix length from 0 to 32 or 128",
                              shown(a, text));
        case ADDRESS_NOT_ONE:
        case ADDRESS_MIXED_FAMILIES:
        case ADDRESS_RUNS_BACKWARDS:
                return refuse(a, ret_why,
                              "'%s' is no address and no network: write 192.0.2.7, "
                              "198.51.100.0/24 or 2001:db8::/64",
                              shown(a, text));
        }
        if (!range_is_prefix(range, family_width(e.family), &length))
                return refuse(a, ret_why, "'%s' is no network: ban its networks one by one",
                              shown(a, text));
        is_single = !strchr(text, '/');
        e.prefix = (uint8_t)length;
        e.address = range.low;
        unmap(&e);
        if (is_single && e.family == FAMILY_IPV6)
                e.prefix = (uint8_t)ipv6;
        cut_to_prefix(&e);
        *ret = e;
        return 0;
}

int ban_parse_service(Arena *a, const char *text, BanEntry *e, const char **ret_why) {
        const char *slash = strchr(text, '/');
        const char *number = slash ? arena_strndup(a, text, (size_t)(slash - text)) : NULL;
        unsigned int host = e->family == FAMILY_IPV4 ? 32 : BAN_HOST_IPV6;
        uint64_t port;

        if (e->prefix != host)
                return refuse(a, ret_why,
                              "single services can be shut to a host%s only, and not to "
                              "another network",
                              e->family == FAMILY_IPV6 ? " (an IPv6 /64)" : "");
        if (number && text_to_number(number, 1, UINT16_MAX, &port))
                for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
                        if (streq(slash + 1, protocols[i].name)) {
                                e->protocol = protocols[i].number;
                                e->port = (uint16_t)port;
                                return 0;
                        }
        return refuse(a, ret_why,
                      "'%s' is no service of the policy or the catalogue; write its port and "
                      "protocol, as in 22/tcp",
                      shown(a, text));
}

const char *ban_check_text(const char *text, size_t max) {
        size_t n = 0;

        for (; text[n] && n <= max; n++)
                if ((unsigned char)text[n] < ' ' || text[n] == 0x7f)
                        return "it has control characters";
        return n > max ? "it is too long" : NULL;
}

uint64_t ban_timeout(int64_t until_usec, int64_t now_usec) {
        uint64_t ms;

        if (until_usec == BAN_EVER)
                return 0;
        ms = until_usec > now_usec ? ((uint64_t)(until_usec - now_usec) + 999) / 1000 : 1;
        return MIN(ms, BAN_TIMEOUT_MAX_MS);
}

Range ban_range(const BanEntry *e) {
        U128 host = u128_low_mask(family_width(e->family) - e->prefix);

        return (Range){e->address, u128_or(e->address, host)};
}

const char *ban_print_address(const BanEntry *e, char *buf) {
        return address_range_print(e->family, ban_range(e), buf);
}

const char *ban_print_service(const BanEntry *e, char *buf) {
        *buf = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
                if (e->protocol == protocols[i].number)
                        (void)snprintf(buf, BAN_SERVICE_TEXT_MAX, "%u/%s", e->port,
                                       protocols[i].name);
        return buf;
}

size_t ban_key_write(const BanEntry *e, unsigned char key[static BAN_KEY_BYTES_MAX]) {
        size_t size = e->family == FAMILY_IPV4 ? 4 : 16;

        key[0] = e->family == FAMILY_IPV4 ? 4 : 6;
        u128_to_bytes(e->address, key + 1, size);
        key[size + 1] = e->prefix;
        key[size + 2] = e->protocol;
        key[size + 3] = (unsigned char)(e->port >> 8);
        key[size + 4] = (unsigned char)e->port;
        return size + 5;
}

bool ban_key_read(const unsigned char *key, size_t size, BanEntry *ret) {
        BanEntry e = {.family = FAMILY_IPV4};
        size_t address = 4;
        U128 before;

        if (size == 21 && key[0] == 6) {
                e.family = FAMILY_IPV6;
                address = 16;
        } else if (size != 9 || key[0] != 4)
                return false;
        e.address = before = u128_from_bytes(key + 1, address);
        e.prefix = key[address + 1];
        e.protocol = key[address + 2];
        e.port = (uint16_t)(key[address + 3] << 8 | key[address + 4]);
        if (e.prefix < 1 || e.prefix > family_width(e.family))
                return false;
        cut_to_prefix(&e);
        *ret = e;
        return u128_equal(before, e.address);
}
