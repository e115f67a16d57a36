/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world/machine.h"

#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>

/* Translation of addresses and ports, as nf_nat_setup_info() does it for the first packet. */

#define STATUS_SOURCE_NAT (1U << 4)
#define STATUS_DESTINATION_NAT (1U << 5)
#define STATUS_SOURCE_DONE (1U << 7)
#define STATUS_DESTINATION_DONE (1U << 8)

static const WorldVerdict accepted = {.kind = WORLD_ACCEPT};
static const WorldVerdict dropped = {.kind = WORLD_DROP};

/* Where the rule sends it, or lets it come from; false: the packet is dropped. */
static bool new_address(Run *r, const WorldNat *nat, bool source, uint8_t *ret) {
        size_t size = run_address_size(r);
        const uint8_t *old = run_address(r, source);
        const WorldInterface *device = nat->kind == WORLD_MASQUERADE ? r->out : r->in;
        U128 found = {0};

        memcpy(ret, old, size);
        if (nat->kind == WORLD_REDIRECT && r->hook == NF_INET_LOCAL_OUT) {
                u128_to_bytes(r->family == FAMILY_IPV4 ? u128(0x7f000001) : u128(1), ret, size);
                return true;
        }
        if (nat->kind == WORLD_REDIRECT || nat->kind == WORLD_MASQUERADE) {
                if (r->world->n_interfaces == 0 ||
                    (nat->kind == WORLD_MASQUERADE && r->out_unknown)) {
                        r->unknown = true;
                        return true;
                }
                if (!device)
                        return false;
                if (!(nat->kind == WORLD_MASQUERADE
                              ? world_masquerade_address(r->world, device->index, r->family,
                                                         run_address_value(r, false), &found)
                              : world_redirect_address(r->world, device->index, r->family,
                                                       run_address_value(r, false), &found)))
                        return false;
                u128_to_bytes(found, ret, size);
                return true;
        }
        if (nat->address_low < 0)
                return true;
        memcpy(ret, run_register(r, nat->address_low), size);
        for (size_t i = 0; i < (size + 3) / 4; i++)
                r->unknown |= r->tainted[(size_t)nat->address_low + i];
        if (nat->flags & NF_NAT_RANGE_NETMAP && nat->address_high >= 0) {
                const uint8_t *high = run_register(r, nat->address_high);

                for (size_t i = 0; i < size; i++) {
                        uint8_t host = ret[i] ^ high[i];

                        ret[i] = (uint8_t)((ret[i] & ~host) | (old[i] & host));
                }
        } else if (nat->address_high >= 0 &&
                   memcmp(ret, run_register(r, nat->address_high), size) != 0) {
                r->unknown = true; /* one of a range: a hash decides */
                if (run_choose(r, 2) == 1)
                        memcpy(ret, run_register(r, nat->address_high), size);
        }
        return true;
}

/* nf_nat_l4proto_unique_tuple() */
static void new_port_by_base(const WorldNat *nat,
                             const uint8_t *old,
                             const uint8_t *low,
                             const uint8_t *high,
                             uint8_t *ret) {
        unsigned int first = (unsigned int)(low[0] << 8 | low[1]);
        unsigned int n = (unsigned int)(high[0] << 8 | high[1]) - first + 1;
        uint16_t distance = (uint16_t)((old[0] << 8 | old[1]) - nat->base);
        unsigned int port = first + distance % MAX(n, 1U);

        ret[0] = (uint8_t)(port >> 8);
        ret[1] = (uint8_t)port;
}

/* The port stays if it is one of those that the rule names. */
static void new_port(Run *r, const WorldNat *nat, bool source, uint8_t *ret) {
        const uint8_t *old = run_port(r, source), *low, *high;

        if (!old || nat->port_low < 0)
                return;
        low = run_register(r, nat->port_low);
        high = run_register(r, nat->port_high >= 0 ? nat->port_high : nat->port_low);
        r->unknown |= r->tainted[nat->port_low];
        if (nat->has_base) {
                new_port_by_base(nat, old, low, high, ret);
                return;
        }
        if (memcmp(low, high, 2) == 0) {
                memcpy(ret, low, 2);
                return;
        }
        if (memcmp(old, low, 2) >= 0 && memcmp(old, high, 2) <= 0 &&
            !(nat->flags & NF_NAT_RANGE_PROTO_RANDOM_ALL))
                return;
        r->unknown = true;
        memcpy(ret, run_choose(r, 2) == 0 ? low : high, 2);
}

WorldVerdict run_nat(Run *r, const WorldNat *nat) {
        bool source = nat->kind == WORLD_SNAT || nat->kind == WORLD_MASQUERADE;
        uint8_t family = r->family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
        uint8_t address[16], port[2] = {0};
        bool changes;

        if (nat->family != NFPROTO_INET && nat->family != family)
                return (WorldVerdict){.kind = WORLD_CONTINUE}; /* of the other family */
        if (nat->kind == WORLD_TPROXY)
                return (WorldVerdict){.kind = WORLD_CONTINUE};
        if (r->tracking != TRACKED)
                return accepted;
        if (run_port(r, source))
                memcpy(port, run_port(r, source), 2);
        if (!new_address(r, nat, source, address))
                return dropped;
        new_port(r, nat, source, port);
        changes = memcmp(address, run_address(r, source), run_address_size(r)) != 0 ||
                  (run_port(r, source) && memcmp(port, run_port(r, source), 2) != 0);
        memcpy(run_address(r, source), address, run_address_size(r));
        if (run_port(r, source))
                memcpy(run_port(r, source), port, 2);
        if (source) {
                r->source_done = true;
                r->status |= STATUS_SOURCE_DONE | (changes ? STATUS_SOURCE_NAT : 0);
        } else {
                r->destination_done = true;
                r->status |= STATUS_DESTINATION_DONE | (changes ? STATUS_DESTINATION_NAT : 0);
        }
        return accepted;
}
