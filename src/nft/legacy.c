/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/legacy.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

/* Both families ask alike, but for the sizes. */
_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "one of them is used");
_Static_assert(IPT_SO_GET_INFO == IP6T_SO_GET_INFO, "one of them is used");
_Static_assert(IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES, "one of them is used");
_Static_assert(sizeof(struct ipt_get_entries) == sizeof(struct ip6t_get_entries), "likewise");

#define TRIES 5

/* Targets that pass on what would pass, refuse, tell, or change what no decision on the way in asks
 * for. Another one might redirect, mark, or hide a connection from those who follow it. */
static bool is_harmless(const char *target) {
        static const char *const names[] = {
                "",        "ERROR", "REJECT",   "DROP",       "LOG", "NFLOG", "ULOG", "TRACE",
                "AUDIT",   "SNAT",  "TCPMSS",   "MASQUERADE", "TTL", "HL",    "DSCP", "TOS",
                "RATEEST", "LED",   "CHECKSUM", "CLASSIFY",   "ECN", "SET",
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(names[i], target))
                        return true;
        return false;
}

/* Of a target that is none of a module's: it lets pass, goes back, or goes on in another chain. */
static bool passes(const char *bytes, size_t size) {
        struct xt_standard_target target;

        if (size < sizeof(target))
                return false;
        memcpy(&target, bytes, sizeof(target));
        return target.verdict >= 0 || target.verdict == -NF_ACCEPT - 1 ||
               target.verdict == XT_RETURN;
}

static int take_target(Arena *a, const char *bytes, size_t size, size_t *heads, LegacyTable *ret) {
        struct xt_entry_target target;
        const char *name;

        if (size < sizeof(target))
                return -EPROTO;
        memcpy(&target, bytes, sizeof(target));
        target.u.user.name[sizeof(target.u.user.name) - 1] = '\0';
        name = target.u.user.name;
        if (streq(name, "ERROR"))
                (*heads)++;
        else
                ret->n_rules++;
        ret->may_refuse |= !streq(name, "ERROR") && (*name || !passes(bytes, size));
        if (ret->target || is_harmless(name))
                return 0;
        ret->target = arena_strdup(a, name);
        return ret->target ? 0 : -ENOMEM;
}

/* Where the entry's target stands, and where it ends; false: it is none. */
static bool
measure(Family family, const char *entry, size_t size, uint16_t *ret_target, uint16_t *ret_next) {
        bool v4 = family == FAMILY_IPV4;
        size_t header = v4 ? sizeof(struct ipt_entry) : sizeof(struct ip6t_entry);

        if (size < header)
                return false;
        memcpy(ret_target,
               entry + (v4 ? offsetof(struct ipt_entry, target_offset)
                           : offsetof(struct ip6t_entry, target_offset)),
               sizeof(*ret_target));
        memcpy(ret_next,
               entry + (v4 ? offsetof(struct ipt_entry, next_offset)
                           : offsetof(struct ip6t_entry, next_offset)),
               sizeof(*ret_next));
        return *ret_target >= header && *ret_next >= *ret_target && *ret_next <= size;
}

int legacy_parse(Arena *a, Family family, const void *entries, size_t size, LegacyTable *ret) {
        const char *p = entries;
        LegacyTable table = {0};
        size_t heads = 0; /* of the chains that somebody made, and the table's end */
        uint16_t target, next;

        for (; size > 0; p += next, size -= next) {
                int r;

                if (!measure(family, p, size, &target, &next))
                        return -EPROTO;
                r = take_target(a, p + target, (size_t)(next - target), &heads, &table);
                if (r < 0)
                        return r;
        }
        table.n_rules -=
                MIN(table.n_rules, heads > 0 ? heads - 1 : 0); /* each ends with a return */
        *ret = table;
        return 0;
}

static int read_info(int fd, Family family, const char *name, struct ipt_getinfo *ret) {
        struct ipt_getinfo info = {0};
        socklen_t size = sizeof(info);

        (void)snprintf(info.name, sizeof(info.name), "%s", name);
        if (getsockopt(fd, family == FAMILY_IPV4 ? IPPROTO_IP : IPPROTO_IPV6, IPT_SO_GET_INFO,
                       &info, &size) < 0)
                return -errno;
        *ret = info;
        return 0;
}

/* -EAGAIN: it was replaced since. */
static int read_entries(int fd,
                        Family family,
                        const char *name,
                        const struct ipt_getinfo *info,
                        struct ipt_get_entries **ret) {
        _cleanup_free_ struct ipt_get_entries *entries = calloc(1, sizeof(*entries) + info->size);
        socklen_t size = (socklen_t)(sizeof(*entries) + info->size);

        if (!entries)
                return -ENOMEM;
        (void)snprintf(entries->name, sizeof(entries->name), "%s", name);
        entries->size = info->size;
        if (getsockopt(fd, family == FAMILY_IPV4 ? IPPROTO_IP : IPPROTO_IPV6, IPT_SO_GET_ENTRIES,
                       entries, &size) < 0)
                return -errno;
        *ret = TAKE_PTR(entries);
        return 0;
}

static int read_once(int fd, Arena *a, Family family, const char *name, LegacyTable *ret) {
        struct ipt_getinfo info;
        _cleanup_free_ struct ipt_get_entries *entries = NULL;
        LegacyTable table;
        int r = read_info(fd, family, name, &info);

        if (r < 0)
                return r;
        if (info.size > LEGACY_SIZE_MAX)
                return -EFBIG;
        r = read_entries(fd, family, name, &info, &entries);
        if (r == 0)
                r = legacy_parse(a, family, entries->entrytable, info.size, &table);
        if (r < 0)
                return r;
        /* each chain's policy is an entry, too */
        table.n_rules -= MIN(table.n_rules, (size_t)__builtin_popcount(info.valid_hooks));
        *ret = table;
        return 0;
}

int legacy_read(Arena *a, Family family, const char *table, LegacyTable *ret) {
        _cleanup_close_ int fd =
                socket(family == FAMILY_IPV4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int r = -EAGAIN;

        if (fd < 0)
                return -errno;
        if (strlen(table) >= LEGACY_TABLE_MAX)
                return -ENOENT;
        for (unsigned int i = 0; i < TRIES && r == -EAGAIN; i++)
                r = read_once(fd, a, family, table, ret); /* EAGAIN: it was replaced meanwhile */
        return r;
}

/* FNV-1a, of words: nobody who can write such a table needs to hide that they did. */
static void mix(uint64_t *hash, const void *bytes, size_t size) {
        const char *p = bytes;

        for (size_t n; size > 0; p += n, size -= n) {
                uint64_t word = 0;

                n = MIN(size, sizeof(word));
                memcpy(&word, p, n);
                *hash = (*hash ^ word) * UINT64_C(0x100000001b3);
                *hash ^= *hash >> 29; /* high bits would reach no lower ones */
        }
}

static int digest_once(int fd, Family family, const char *name, uint64_t *hash) {
        size_t counters = family == FAMILY_IPV4 ? offsetof(struct ipt_entry, counters)
                                                : offsetof(struct ip6t_entry, counters);
        struct ipt_getinfo info;
        _cleanup_free_ struct ipt_get_entries *entries = NULL;
        uint64_t sum = *hash;
        uint16_t target, next;
        char *p;
        int r = read_info(fd, family, name, &info);

        if (r < 0)
                return r;
        mix(&sum, &info, sizeof(info));
        if (info.size <= LEGACY_DIGEST_MAX) {
                r = read_entries(fd, family, name, &info, &entries);
                if (r < 0)
                        return r;
                p = (char *)entries->entrytable;
                for (size_t size = info.size; size > 0; p += next, size -= next) {
                        if (!measure(family, p, size, &target, &next))
                                return -EPROTO;
                        memset(p + counters, 0, sizeof(struct xt_counters));
                }
                mix(&sum, entries->entrytable, info.size);
        }
        *hash = sum;
        return 0;
}

int legacy_digest(int fd, Family family, const char *table, uint64_t *hash) {
        int r = -EAGAIN;

        if (strlen(table) >= LEGACY_TABLE_MAX)
                return -ENOENT;
        for (unsigned int i = 0; i < TRIES && r == -EAGAIN; i++)
                r = digest_once(fd, family, table, hash);
        return r;
}
