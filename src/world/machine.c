/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world/machine.h"

#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

/* The register machine: expressions of one rule. */

#define LOOKUP_CHOICES_MAX 64 /* elements that a key which is not known is tried with */
#define STATE_INVALID 1U
#define STATE_UNTRACKED (1U << 6)

static uint8_t *reg(Run *r, int slot) {
        return r->registers + (size_t)slot * 4;
}

static size_t slots_of(size_t size) {
        return (size + 3) / 4;
}

/* What does not fill its last register is padded with zeros. */
static void store(Run *r, int slot, const void *bytes, size_t size) {
        size_t n = slots_of(size);

        memset(reg(r, slot), 0, n * 4);
        memcpy(reg(r, slot), bytes, size);
        for (size_t i = 0; i < n; i++)
                r->tainted[(size_t)slot + i] = false;
}

static void store32(Run *r, int slot, uint32_t value) {
        store(r, slot, &value, sizeof(value));
}

static void store16(Run *r, int slot, uint16_t value) {
        store(r, slot, &value, sizeof(value));
}

static void store8(Run *r, int slot, uint8_t value) {
        store(r, slot, &value, sizeof(value));
}

static void store_name(Run *r, int slot, const char *name) {
        char text[16] = "";

        if (name)
                memcpy(text, name, strnlen(name, sizeof(text) - 1));
        store(r, slot, text, sizeof(text));
}

static void taint(Run *r, int slot, size_t size) {
        store(r, slot, (uint8_t[WORLD_KEY_MAX]){0}, MIN(size, (size_t)WORLD_KEY_MAX));
        for (size_t i = 0; i < slots_of(size); i++)
                r->tainted[(size_t)slot + i] = true;
}

static bool is_tainted(const Run *r, int slot, size_t size) {
        for (size_t i = 0; i < slots_of(size); i++)
                if (r->tainted[(size_t)slot + i])
                        return true;
        return false;
}

/* A test of what is not known. */
static bool guess(Run *r) {
        r->unknown = true;
        return run_choose(r, 2) == 0;
}

/* --- loads; false: the rule is left --- */

static bool load_payload(Run *r, const WorldExpr *x) {
        const uint8_t *from = r->bytes;
        size_t size = r->size, start = x->offset;

        switch (x->base) {
        case WORLD_LINK:
                if (!r->has_link)
                        return false;
                /* behind the frame's header stands IP's */
                if (start < sizeof(r->link) && start + x->size > sizeof(r->link)) {
                        taint(r, x->target, x->size);
                        return true;
                }
                if (start < sizeof(r->link)) {
                        from = r->link;
                        size = sizeof(r->link);
                } else
                        start -= sizeof(r->link);
                break;
        case WORLD_NETWORK:
                break;
        case WORLD_TRANSPORT:
                if (!r->has_transport)
                        return false;
                from += r->transport;
                size -= r->transport;
                break;
        case WORLD_INNER:
                if (!r->has_transport)
                        return false;
                taint(r, x->target, x->size);
                return true;
        }
        if (start > size || x->size > size - start)
                return false;
        store(r, x->target, from + start, x->size);
        return true;
}

static bool load_owner(Run *r, const WorldExpr *x, uint32_t id) {
        if (r->packet->in)
                return false;
        if (r->packet->has_owner)
                store32(r, x->target, id);
        else
                taint(r, x->target, 4);
        return true;
}

static bool load_interface(Run *r, const WorldExpr *x, const WorldInterface *i, bool unknown) {
        bool name = x->key == NFT_META_IIFNAME || x->key == NFT_META_OIFNAME;
        bool index = x->key == NFT_META_IIF || x->key == NFT_META_OIF;

        if (unknown)
                taint(r, x->target, x->size);
        else if (name)
                store_name(r, x->target, i ? i->name : NULL);
        else if (index)
                store32(r, x->target, i ? (uint32_t)i->index : 0);
        else if (!i)
                return false;
        else if (x->key == NFT_META_IIFTYPE || x->key == NFT_META_OIFTYPE)
                store16(r, x->target, i->type);
        else if (!i->kind)
                return false;
        else
                store_name(r, x->target, i->kind);
        return true;
}

static bool load_meta(Run *r, const WorldExpr *x) {
        bool v4 = r->family == FAMILY_IPV4;

        switch (x->key) {
        case NFT_META_LEN:
                store32(r, x->target, (uint32_t)r->size);
                return true;
        case NFT_META_PROTOCOL:
                store(r, x->target, v4 ? "\x08\x00" : "\x86\xdd", 2);
                return true;
        case NFT_META_NFPROTO:
                store8(r, x->target, r->pf);
                return true;
        case NFT_META_L4PROTO:
                if (!r->has_transport)
                        return false;
                store8(r, x->target, r->protocol);
                return true;
        case NFT_META_MARK:
                if (r->mark_unknown)
                        taint(r, x->target, 4);
                else
                        store32(r, x->target, r->mark);
                return true;
        case NFT_META_IIF:
        case NFT_META_IIFNAME:
        case NFT_META_IIFTYPE:
        case NFT_META_IIFKIND:
                return load_interface(r, x, r->in, false);
        case NFT_META_OIF:
        case NFT_META_OIFNAME:
        case NFT_META_OIFTYPE:
        case NFT_META_OIFKIND:
                return load_interface(r, x, r->out, r->out_unknown);
        case NFT_META_SKUID:
                return load_owner(r, x, r->packet->uid);
        case NFT_META_SKGID:
                return load_owner(r, x, r->packet->gid);
        case NFT_META_PKTTYPE:
                store8(r, x->target, r->packet->type);
                return true;
        case NFT_META_NFTRACE:
        case NFT_META_SECPATH:
                store8(r, x->target, 0);
                return true;
        case NFT_META_TIME_NS:
                if (r->packet->time == 0)
                        break;
                store(r, x->target, &r->packet->time, 8);
                return true;
        case NFT_META_BRI_IIFNAME:
        case NFT_META_BRI_OIFNAME:
        case NFT_META_BRI_IIFPVID:
        case NFT_META_BRI_IIFVPROTO:
                return false;
        }
        taint(r, x->target, x->size);
        return true;
}

/* One side of the connection's tuple in a direction. Replies are addressed to what the packet now
 * comes from, and come from where it now goes. */
static bool load_tuple(Run *r, const WorldExpr *x) {
        bool reply = x->direction == 1, v4 = r->family == FAMILY_IPV4;
        Tuple t = reply ? run_tuple(r) : r->original;
        bool source = x->key == NFT_CT_SRC || x->key == NFT_CT_SRC_IP || x->key == NFT_CT_SRC_IP6 ||
                      x->key == NFT_CT_PROTO_SRC;

        if ((x->key == NFT_CT_SRC_IP || x->key == NFT_CT_DST_IP) && !v4)
                return false;
        if ((x->key == NFT_CT_SRC_IP6 || x->key == NFT_CT_DST_IP6) && v4)
                return false;
        if (r->packet->reply && x->direction >= 0) {
                /* the packet goes the other way: its own addresses are the reply's */
                if (reply)
                        t = r->original;
                else
                        source = !source;
        } else if (reply)
                source = !source;
        if (x->key == NFT_CT_PROTO_SRC || x->key == NFT_CT_PROTO_DST)
                store(r, x->target, source ? t.source_port : t.destination_port, 2);
        else
                store(r, x->target, source ? t.source : t.destination, x->size);
        return true;
}

static bool load_ct(Run *r, const WorldExpr *x) {
        if (x->key == NFT_CT_STATE) {
                store32(r, x->target,
                        r->tracking == TRACKED     ? r->state
                        : r->tracking == UNTRACKED ? STATE_UNTRACKED
                                                   : STATE_INVALID);
                return true;
        }
        if (r->tracking != TRACKED)
                return false;
        switch (x->key) {
        case NFT_CT_DIRECTION:
                store8(r, x->target, r->packet->reply);
                return true;
        case NFT_CT_STATUS:
                store32(r, x->target, r->status);
                return true;
        case NFT_CT_MARK:
                if (r->ct_mark_unknown)
                        taint(r, x->target, 4);
                else
                        store32(r, x->target, r->ct_mark);
                return true;
        case NFT_CT_L3PROTOCOL:
                store8(r, x->target, r->family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
                return true;
        case NFT_CT_PROTOCOL:
                store8(r, x->target, r->protocol);
                return true;
        case NFT_CT_SRC:
        case NFT_CT_DST:
        case NFT_CT_SRC_IP:
        case NFT_CT_DST_IP:
        case NFT_CT_SRC_IP6:
        case NFT_CT_DST_IP6:
        case NFT_CT_PROTO_SRC:
        case NFT_CT_PROTO_DST:
                return load_tuple(r, x);
        case NFT_CT_HELPER:
                return r->state == 4 ? (taint(r, x->target, x->size), true) : false;
        }
        taint(r, x->target, x->size);
        return true;
}

static bool neighbour_discovery(const Run *r) {
        U128 to = run_address_value(r, false);

        return r->family == FAMILY_IPV6 && r->has_transport && r->protocol == IPPROTO_ICMPV6 &&
               u128_is_zero(run_address_value(r, true)) &&
               (to.high >> 54 == 0x3fa || to.high >> 56 == 0xff);
}

static bool load_fib(Run *r, const WorldExpr *x) {
        bool source = x->offset & NFTA_FIB_F_SADDR;
        U128 address = run_address_value(r, source);
        const WorldInterface *device = x->offset & NFTA_FIB_F_OIF   ? r->out
                                       : x->offset & NFTA_FIB_F_IIF ? r->in
                                                                    : NULL;
        const WorldInterface *found;

        if (r->world->n_interfaces == 0 || (x->offset & NFTA_FIB_F_OIF && r->out_unknown)) {
                taint(r, x->target, x->size); /* nothing is known of the host */
                return true;
        }
        if (x->key == NFT_FIB_RESULT_ADDRTYPE) {
                uint32_t type = run_address_type(r, address, device);

                if (x->present)
                        store8(r, x->target, type != 0);
                else
                        store32(r, x->target, type);
                return true;
        }
        if ((r->in && r->in->loopback) || neighbour_discovery(r) ||
            (r->family == FAMILY_IPV4 && u128_is_zero(run_address_value(r, true)) &&
             (run_address_value(r, false).low == UINT32_MAX ||
              run_address_value(r, false).low >> 8 == 0xe00000)))
                found = r->in;
        else
                found = run_fib_interface(r, address, device);
        if (x->present)
                store8(r, x->target, found != NULL);
        else if (x->key == NFT_FIB_RESULT_OIF)
                store32(r, x->target, found ? (uint32_t)found->index : 0);
        else
                store_name(r, x->target, found ? found->name : NULL);
        return true;
}

/* Where IPv6's extension header of that kind begins; NULL if there is none. */
static const uint8_t *find_extension(const Run *r, uint32_t kind, size_t *ret_size) {
        uint8_t next = r->bytes[6];
        size_t at = 40;

        if (r->family != FAMILY_IPV6)
                return NULL;
        while (at + 8 <= r->size) {
                size_t size = next == IPPROTO_FRAGMENT ? 8
                              : next == IPPROTO_AH     ? (r->bytes[at + 1] + 2UL) * 4
                                                       : (r->bytes[at + 1] + 1UL) * 8;

                if (next == kind) {
                        *ret_size = r->size - at;
                        return r->bytes + at;
                }
                if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
                    next != IPPROTO_FRAGMENT && next != IPPROTO_AH)
                        return NULL;
                next = r->bytes[at];
                at += size;
        }
        return NULL;
}

/* An option in a list of kind, length and data, as of TCP and IPv4. */
static const uint8_t *
find_option(const uint8_t *list, size_t size, uint32_t kind, size_t *ret_size) {
        for (size_t i = 0; i < size && list[i] != 0;) {
                size_t length = list[i] == 1 ? 1 : i + 1 < size ? list[i + 1] : 0;

                if (length == 0 || length > size - i)
                        return NULL;
                if (list[i] == kind) {
                        *ret_size = length;
                        return list + i;
                }
                i += length;
        }
        return NULL;
}

static const uint8_t *find_header(const Run *r, const WorldExpr *x, size_t *ret_size) {
        const uint8_t *tcp = r->bytes + r->transport;
        size_t size;

        switch (x->unit) {
        case NFT_EXTHDR_OP_IPV6:
                return find_extension(r, x->key, ret_size);
        case NFT_EXTHDR_OP_IPV4:
                if (r->family != FAMILY_IPV4)
                        return NULL;
                size = (r->bytes[0] & 0xfUL) * 4;
                return find_option(r->bytes + 20, size - 20, x->key, ret_size);
        case NFT_EXTHDR_OP_TCPOPT:
                if (!r->has_transport || r->protocol != IPPROTO_TCP || r->transport + 20 > r->size)
                        return NULL;
                size = (size_t)(tcp[12] >> 4) * 4;
                if (size < 20 || r->transport + size > r->size)
                        return NULL;
                return find_option(tcp + 20, size - 20, x->key, ret_size);
        }
        return NULL;
}

static bool load_exthdr(Run *r, const WorldExpr *x) {
        const uint8_t *found;
        size_t size = 0;

        if (x->unit > NFT_EXTHDR_OP_IPV4) { /* SCTP's and DCCP's are not looked into */
                if (!x->present && guess(r))
                        return false;
                taint(r, x->target, x->size);
                return true;
        }
        found = find_header(r, x, &size);
        if (x->present) {
                store8(r, x->target, found != NULL);
                return true;
        }
        if (!found || x->offset > size || x->size > size - x->offset)
                return false;
        store(r, x->target, found + x->offset, x->size);
        return true;
}

/* --- from register to register --- */

static void do_bitwise(Run *r, const WorldExpr *x) {
        uint8_t out[WORLD_DATA_MAX];
        const uint8_t *in = reg(r, x->source);
        uint32_t words[WORLD_DATA_MAX / 4], carry = 0;
        size_t n = x->size / 4;

        if (is_tainted(r, x->source, x->size)) {
                taint(r, x->target, x->size);
                return;
        }
        if (x->shift == 0) {
                for (size_t i = 0; i < x->size; i++)
                        out[i] = (uint8_t)((in[i] & x->mask.bytes[i]) ^ x->data.bytes[i]);
                store(r, x->target, out, x->size);
                return;
        }
        memcpy(words, in, n * 4);
        for (size_t i = 0; i < n; i++) {
                size_t at = x->shift > 0 ? n - 1 - i : i;
                unsigned int bits = (unsigned int)(x->shift > 0 ? x->shift : -x->shift);
                uint32_t word = words[at];

                words[at] = (x->shift > 0 ? word << bits : word >> bits) | carry;
                carry = x->shift > 0 ? word >> (32 - bits) : word << (32 - bits);
        }
        store(r, x->target, words, n * 4);
}

static void do_byteorder(Run *r, const WorldExpr *x) {
        uint8_t out[WORLD_KEY_MAX];
        const uint8_t *in = reg(r, x->source);

        if (is_tainted(r, x->source, x->size)) {
                taint(r, x->target, x->size);
                return;
        }
        for (size_t i = 0; i < x->size; i += x->unit)
                for (size_t j = 0; j < x->unit; j++)
                        out[i + j] = in[i + x->unit - 1 - j];
        store(r, x->target, out, x->size);
}

/* --- tests --- */

static bool holds(WorldCompare op, int c) {
        switch (op) {
        case WORLD_EQUAL:
                return c == 0;
        case WORLD_NOT_EQUAL:
                return c != 0;
        case WORLD_LESS:
                return c < 0;
        case WORLD_LESS_EQUAL:
                return c <= 0;
        case WORLD_GREATER:
                return c > 0;
        case WORLD_GREATER_EQUAL:
                return c >= 0;
        }
        return false;
}

static bool element_holds(const WorldSet *set, const WorldElement *e, const uint8_t *key) {
        size_t at = 0;

        for (size_t i = 0; i < set->n_fields; i++) {
                if (memcmp(key + at, e->low + at, set->fields[i]) < 0 ||
                    memcmp(key + at, e->high + at, set->fields[i]) > 0)
                        return false;
                at += (set->fields[i] + 3UL) & ~3UL;
        }
        return true;
}

static size_t n_keys(const WorldSet *set) {
        return set->n_elements -
               (set->n_elements > 0 && set->elements[set->n_elements - 1].catch_all);
}

static const WorldElement *find_sorted(const WorldSet *set, const uint8_t *key) {
        size_t low = 0, high = n_keys(set);

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const WorldElement *e = &set->elements[middle];

                if (memcmp(key, e->low, set->key_size) < 0)
                        high = middle;
                else if (memcmp(key, e->high, set->key_size) > 0)
                        low = middle + 1;
                else
                        return e;
        }
        return NULL;
}

static const WorldElement *find_listed(const WorldSet *set, const uint8_t *key) {
        for (size_t i = 0; i < n_keys(set); i++)
                if (element_holds(set, &set->elements[i], key))
                        return &set->elements[i];
        return NULL;
}

static const WorldElement *catch_all_of(const WorldSet *set) {
        size_t n = n_keys(set);

        return n < set->n_elements ? &set->elements[n] : NULL;
}

/* The element that matches; NULL if none does. *anything: it is in the set without an element that
 * is known. */
static const WorldElement *find_element(Run *r, const WorldExpr *x, bool *anything) {
        const WorldSet *set = x->set;
        const uint8_t *key = reg(r, x->source);
        const WorldElement *e;

        *anything = false;
        if (is_tainted(r, x->source, set->key_size)) {
                size_t n = MIN(set->n_elements, (size_t)LOOKUP_CHOICES_MAX);
                unsigned int which = run_choose(r, (unsigned int)n + 1);

                r->unknown = true;
                if (n < set->n_elements)
                        r->choices->missed = true;
                return which < n ? &set->elements[which] : NULL;
        }
        e = set->concatenated && set->interval ? find_listed(set, key) : find_sorted(set, key);
        if (e && e->maybe && run_choose(r, 2) == 1)
                e = NULL;
        if (!e && (set->unknown || set->dynamic) && run_choose(r, 2) == 1) {
                r->unknown |= set->unknown;
                *anything = true;
                return NULL;
        }
        if (!e)
                e = catch_all_of(set);
        if (e && e->catch_all && e->maybe && run_choose(r, 2) == 1)
                e = NULL;
        return e;
}

/* A lookup: whether the rule goes on. A map of verdicts gives one. */
static bool do_lookup(Run *r, const WorldExpr *x, WorldVerdict *ret) {
        bool anything;
        const WorldElement *e = find_element(r, x, &anything);

        if (x->set->is_verdict_map) {
                if (e)
                        *ret = e->verdict;
                else if (anything) {
                        r->unknown = true;
                        ret->kind = run_choose(r, 2) == 0 ? WORLD_ACCEPT : WORLD_DROP;
                }
                return e || anything;
        }
        if ((e || anything) == x->inverted)
                return false;
        if (x->target >= 0) {
                if (e && e->value)
                        store(r, x->target, e->value, x->set->value_size);
                else
                        taint(r, x->target, x->set->value_size);
        }
        return true;
}

static bool port_in(const WorldPorts *ports, uint16_t port) {
        for (size_t i = 0; i < ports->n; i++)
                if (port >= ports->ranges[i].low && port <= ports->ranges[i].high)
                        return true;
        return false;
}

static bool test_ports(Run *r, const WorldExpr *x) {
        const uint8_t *p = r->bytes + r->transport;
        uint16_t source, destination;

        if (!r->has_transport || r->transport + 4 > r->size)
                return false;
        source = (uint16_t)(p[0] << 8 | p[1]);
        destination = (uint16_t)(p[2] << 8 | p[3]);
        return ((x->ports->source && port_in(x->ports, source)) ||
                (x->ports->destination && port_in(x->ports, destination))) != x->inverted;
}

/* --- effects --- */

static void set_meta(Run *r, const WorldExpr *x) {
        if (x->key != NFT_META_MARK)
                return;
        r->mark_unknown = is_tainted(r, x->source, 4);
        memcpy(&r->mark, reg(r, x->source), sizeof(r->mark));
}

static void set_ct(Run *r, const WorldExpr *x) {
        if (x->key != NFT_CT_MARK || r->tracking != TRACKED)
                return;
        r->ct_mark_unknown = is_tainted(r, x->source, 4);
        memcpy(&r->ct_mark, reg(r, x->source), sizeof(r->ct_mark));
}

static bool set_payload(Run *r, const WorldExpr *x) {
        size_t at = x->offset, size = x->size;

        if (x->base == WORLD_TRANSPORT && r->has_transport)
                at += r->transport;
        else if (x->base != WORLD_NETWORK) {
                if (x->base != WORLD_LINK || !r->has_link || at + size > sizeof(r->link))
                        return false;
                memcpy(r->link + at, reg(r, x->source), size);
                return true;
        }
        if (at > r->size || size > r->size - at)
                return false;
        memcpy(r->bytes + at, reg(r, x->source), size);
        r->unknown |= is_tainted(r, x->source, size);
        return true;
}

static WorldVerdict verdict_of(WorldVerdictKind kind) {
        return (WorldVerdict){.kind = kind};
}

/* A program decides, or nobody listens. */
static WorldVerdictKind queue(Run *r, bool bypass) {
        r->unknown = true;
        return run_choose(r, 2) == (bypass ? 1U : 0U) ? WORLD_DROP : WORLD_ACCEPT;
}

static WorldVerdict unknown(Run *r) {
        static const WorldVerdictKind kinds[] = {WORLD_CONTINUE, WORLD_ACCEPT, WORLD_DROP};

        r->unknown = true;
        return verdict_of(kinds[run_choose(r, ARRAY_SIZE(kinds))]);
}

/* One expression. Any verdict but WORLD_CONTINUE ends the rule. */
static WorldVerdict run_expr(Run *r, const WorldExpr *x) {
        WorldVerdict v = {0};
        bool goes_on = true;

        switch (x->kind) {
        case WORLD_PAYLOAD:
                goes_on = load_payload(r, x);
                break;
        case WORLD_META:
                goes_on = load_meta(r, x);
                break;
        case WORLD_CT:
                goes_on = load_ct(r, x);
                break;
        case WORLD_FIB:
                goes_on = load_fib(r, x);
                break;
        case WORLD_EXTHDR:
                goes_on = load_exthdr(r, x);
                break;
        case WORLD_DATA:
                store(r, x->target, x->data.bytes, x->data.size);
                break;
        case WORLD_LOAD_ANY:
                taint(r, x->target, x->size);
                break;
        case WORLD_BITWISE:
                do_bitwise(r, x);
                break;
        case WORLD_BYTEORDER:
                do_byteorder(r, x);
                break;
        case WORLD_CMP:
                goes_on = is_tainted(r, x->source, x->size)
                                  ? guess(r)
                                  : holds(x->op, memcmp(reg(r, x->source), x->data.bytes, x->size));
                break;
        case WORLD_RANGE:
                goes_on = is_tainted(r, x->source, x->size)
                                  ? guess(r)
                                  : (memcmp(reg(r, x->source), x->data.bytes, x->size) >= 0 &&
                                     memcmp(reg(r, x->source), x->high.bytes, x->size) <= 0) !=
                                            x->inverted;
                break;
        case WORLD_LOOKUP:
                goes_on = do_lookup(r, x, &v);
                break;
        case WORLD_PORTS:
                goes_on = test_ports(r, x);
                break;
        case WORLD_SET_META:
                set_meta(r, x);
                break;
        case WORLD_SET_CT:
                set_ct(r, x);
                break;
        case WORLD_SET_PAYLOAD:
                goes_on = set_payload(r, x);
                break;
        case WORLD_NOTRACK:
                if (r->tracking == NOT_TRACKED_YET)
                        r->tracking = UNTRACKED;
                break;
        case WORLD_NAT:
                v = run_nat(r, &x->nat);
                break;
        case WORLD_NOTHING:
                break;
        case WORLD_CHOICE:
                goes_on = run_choose(r, 2) == 0;
                break;
        case WORLD_IS:
                v = x->verdict;
                if (v.kind == WORLD_QUEUE)
                        v.kind = queue(r, x->bypass);
                break;
        case WORLD_REJECT:
                v.kind = WORLD_DROP;
                break;
        case WORLD_UNKNOWN:
                v = unknown(r);
                break;
        }
        return goes_on ? v : verdict_of(WORLD_BREAK);
}

static bool has_effect(const WorldExpr *x) {
        return x->kind == WORLD_NOTRACK || x->kind == WORLD_SET_META || x->kind == WORLD_SET_CT ||
               x->kind == WORLD_SET_PAYLOAD;
}

WorldVerdict run_rule(Run *r, const WorldRule *rule) {
        WorldVerdict v = {0};
        const WorldNat *nat = NULL;
        bool effect = false;

        for (size_t i = 0; i < rule->n_exprs && v.kind == WORLD_CONTINUE; i++) {
                v = run_expr(r, &rule->exprs[i]);
                if (v.kind != WORLD_BREAK) {
                        effect |= has_effect(&rule->exprs[i]);
                        if (rule->exprs[i].kind == WORLD_NAT)
                                nat = &rule->exprs[i].nat;
                }
        }
        if (v.kind == WORLD_BREAK)
                v.kind = WORLD_CONTINUE;
        if ((v.kind != WORLD_CONTINUE || effect) && !run_add_step(r, rule->chain, rule, v, nat))
                r->error = -ENOMEM;
        return v;
}
