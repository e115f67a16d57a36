/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "world/machine.h"

/* Expressions that load something of the packet, its connection or the host into a register. */

#define STATE_INVALID 1U
#define STATE_NEW 8U
#define STATE_UNTRACKED (1U << 6)

static void store32(Run *r, int slot, uint32_t value) {
        run_store(r, slot, &value, sizeof(value));
}

static void store16(Run *r, int slot, uint16_t value) {
        run_store(r, slot, &value, sizeof(value));
}

static void store8(Run *r, int slot, uint8_t value) {
        run_store(r, slot, &value, sizeof(value));
}

static void store_name(Run *r, int slot, const char *name) {
        char text[16] = "";

        if (name)
                memcpy(text, name, strnlen(name, sizeof(text) - 1));
        run_store(r, slot, text, sizeof(text));
}

bool run_load_payload(Run *r, const WorldExpr *x) {
        const uint8_t *from = r->bytes;
        size_t size = r->size, start = x->offset;

        switch (x->base) {
        case WORLD_LINK:
                if (r->pf == NFPROTO_BRIDGE && r->hook > NF_INET_LOCAL_IN && !r->packet->bridged) {
                        run_taint(r, x->target, x->size); /* a frame that is made by this host */
                        return true;
                }
                if (!r->has_link)
                        return false;
                /* behind the frame's header stands IP's */
                if (start < sizeof(r->link) && start + x->size > sizeof(r->link)) {
                        run_taint(r, x->target, x->size);
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
                run_taint(r, x->target, x->size);
                return true;
        }
        if (start > size || x->size > size - start)
                return false;
        run_store(r, x->target, from + start, x->size);
        return true;
}

static bool load_owner(Run *r, const WorldExpr *x, uint32_t id) {
        if (r->packet->in)
                return false;
        if (r->packet->has_owner)
                store32(r, x->target, id);
        else
                run_taint(r, x->target, 4);
        return true;
}

static bool load_interface(Run *r, const WorldExpr *x, const WorldInterface *i, bool unknown) {
        bool name = x->key == NFT_META_IIFNAME || x->key == NFT_META_OIFNAME;
        bool index = x->key == NFT_META_IIF || x->key == NFT_META_OIF;

        if (unknown)
                run_taint(r, x->target, x->size);
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

/* What chains of bridges may ask of the frame's ports. */
static bool is_of_port(uint32_t key) {
        switch (key) {
        case NFT_META_IIF:
        case NFT_META_IIFNAME:
        case NFT_META_IIFTYPE:
        case NFT_META_IIFKIND:
        case NFT_META_OIF:
        case NFT_META_OIFNAME:
        case NFT_META_OIFTYPE:
        case NFT_META_OIFKIND:
        case NFT_META_PKTTYPE:
        case NFT_META_BRI_IIFNAME:
        case NFT_META_BRI_OIFNAME:
        case NFT_META_BRI_IIFPVID:
        case NFT_META_BRI_IIFVPROTO:
                return true;
        }
        return false;
}

/* What only chains of bridges are told. */
static bool is_of_bridge(uint32_t key) {
        return key == NFT_META_BRI_IIFNAME || key == NFT_META_BRI_OIFNAME ||
               key == NFT_META_BRI_IIFPVID || key == NFT_META_BRI_IIFVPROTO;
}

bool run_load_meta(Run *r, const WorldExpr *x) {
        bool v4 = r->family == FAMILY_IPV4;

        if (r->pf == NFPROTO_BRIDGE && is_of_port(x->key)) {
                run_taint(r, x->target, x->size);
                return true;
        }
        if (is_of_bridge(x->key))
                return false;
        switch (x->key) {
        case NFT_META_LEN:
                store32(r, x->target, (uint32_t)r->size);
                return true;
        case NFT_META_PROTOCOL:
                run_store(r, x->target, v4 ? "\x08\x00" : "\x86\xdd", 2);
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
                        run_taint(r, x->target, 4);
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
                store8(r, x->target, 0);
                return true;
        case NFT_META_SECPATH:
                if (r->world->has_ipsec)
                        break;
                store8(r, x->target, 0);
                return true;
        case NFT_META_TIME_NS:
                if (r->packet->time == 0)
                        break;
                run_store(r, x->target, &r->packet->time, 8);
                return true;
        }
        run_taint(r, x->target, x->size);
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
                run_store(r, x->target, source ? t.source_port : t.destination_port, 2);
        else
                run_store(r, x->target, source ? t.source : t.destination, x->size);
        return true;
}

bool run_load_ct(Run *r, const WorldExpr *x) {
        if (r->pf == NFPROTO_BRIDGE) { /* bridges may track connections by themselves */
                if (x->key != NFT_CT_STATE && !run_guess(r))
                        return false;
                run_taint(r, x->target, x->size);
                return true;
        }
        if (r->has_template && x->key != NFT_CT_STATE) {
                if (!run_guess(r)) /* of a template: kernels differ */
                        return false;
                run_taint(r, x->target, x->size);
                return true;
        }
        if (x->key == NFT_CT_STATE) {
                store32(r, x->target,
                        r->has_template            ? STATE_NEW
                        : r->tracking == TRACKED   ? r->state
                        : r->tracking == UNTRACKED ? STATE_UNTRACKED
                                                   : STATE_INVALID);
                return true;
        }
        if (r->tracking != TRACKED) {
                if (x->bypass)
                        store32(r, x->target, 0);
                return x->bypass;
        }
        switch (x->key) {
        case NFT_CT_DIRECTION:
                store8(r, x->target, r->packet->reply);
                return true;
        case NFT_CT_STATUS:
                store32(r, x->target, r->status);
                return true;
        case NFT_CT_MARK:
                if (r->ct_mark_unknown)
                        run_taint(r, x->target, 4);
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
                return r->state == 4 ? (run_taint(r, x->target, x->size), true) : false;
        }
        run_taint(r, x->target, x->size);
        return true;
}

static bool neighbour_discovery(const Run *r) {
        U128 to = run_address_value(r, false);

        return r->family == FAMILY_IPV6 && r->has_transport && r->protocol == IPPROTO_ICMPV6 &&
               u128_is_zero(run_address_value(r, true)) &&
               (to.high >> 54 == 0x3fa || to.high >> 56 == 0xff);
}

bool run_load_fib(Run *r, const WorldExpr *x) {
        bool source = x->offset & NFTA_FIB_F_SADDR;
        U128 address = run_address_value(r, source);
        const WorldInterface *device = x->offset & NFTA_FIB_F_OIF   ? r->out
                                       : x->offset & NFTA_FIB_F_IIF ? r->in
                                                                    : NULL;
        const WorldInterface *found;

        if (r->world->n_interfaces == 0 || (x->offset & NFTA_FIB_F_OIF && r->out_unknown)) {
                run_taint(r, x->target, x->size); /* nothing is known of the host */
                return true;
        }
        if (x->key == NFT_FIB_RESULT_ADDRTYPE) {
                uint32_t type = run_address_type(r, x, address, device);

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
                found = run_fib_interface(r, x, address, device);
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

bool run_load_exthdr(Run *r, const WorldExpr *x) {
        const uint8_t *found;
        size_t size = 0;

        if (x->unit > NFT_EXTHDR_OP_IPV4) { /* SCTP's and DCCP's are not looked into */
                if (!x->present && run_guess(r))
                        return false;
                run_taint(r, x->target, x->size);
                return true;
        }
        found = find_header(r, x, &size);
        if (x->present) {
                store8(r, x->target, found != NULL);
                return true;
        }
        if (!found || x->offset > size || x->size > size - x->offset)
                return false;
        run_store(r, x->target, found + x->offset, x->size);
        return true;
}
