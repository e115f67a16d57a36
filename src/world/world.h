/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The kernel's whole ruleset as plain data: every table of every family, one to one as netlink
 * tells it, so that nothing is lost and nothing is interpreted twice. Two codes that share nothing
 * else read it: the evaluator (world/walk.h), a register machine for one packet, and the proof,
 * which decides about all packets at once. Values are bytes as they stand in the kernel's
 * registers. Everything lives in one arena; pointers are borrowed from the same World. */

#include "base/address.h"
#include "base/arena.h"

#define WORLD_REGISTERS                                                                            \
        24                 /* of four bytes; longer values fill several: the kernel's 16, and 8    \
                            * that only what is translated from xt uses */
#define WORLD_DATA_MAX 16  /* bytes of an immediate (NFT_DATA_VALUE_MAXLEN) */
#define WORLD_KEY_MAX 64   /* bytes of a set's key (NFT_REG32_COUNT * 4) */
#define WORLD_JUMPS_MAX 16 /* NFT_JUMP_STACK_SIZE */
#define WORLD_POLICY_DROP true

typedef struct WorldChain WorldChain;
typedef struct WorldSet WorldSet;

/* Families are the kernel's numbers, NFPROTO_..., hooks NF_INET_... (of netdev and ingress
 * NF_NETDEV_INGRESS, see WorldChain.ingress). */

typedef enum WorldVerdictKind {
        WORLD_CONTINUE,
        WORLD_BREAK, /* on to the next rule */
        WORLD_ACCEPT,
        WORLD_DROP,
        WORLD_QUEUE, /* a program decides; without one: drop, or accept with `bypass` */
        WORLD_STOLEN,
        WORLD_JUMP,
        WORLD_GOTO,
        WORLD_RETURN,
} WorldVerdictKind;

typedef struct WorldVerdict {
        WorldVerdictKind kind;
        const WorldChain *chain; /* of WORLD_JUMP and WORLD_GOTO */
} WorldVerdict;

typedef struct WorldData {
        uint8_t size;
        uint8_t bytes[WORLD_DATA_MAX];
} WorldData;

typedef enum WorldExprKind {
        /* into a register */
        WORLD_PAYLOAD, /* base, offset, size; a packet that is too short breaks the rule */
        WORLD_META,    /* key */
        WORLD_CT,      /* key, direction; without a connection it breaks the rule, or, with
                        * `bypass`, is 0 */
        WORLD_FIB,     /* key: enum nft_fib_result; offset: its NFTA_FIB_F_ flags; unit: 1 if IPv4's
                        * addresses of many are behind no interface, as xt's rpfilter has it */
        WORLD_EXTHDR,  /* unit: enum nft_exthdr_op; key: type; offset, size; present */
        WORLD_DATA,    /* immediate: data */
        WORLD_LOAD_ANY, /* anything, not known: numgen, hash, socket, rt, xfrm, osf; `name`. What
                         * may also leave the rule stands behind a WORLD_CHOICE */
        /* from a register into a register */
        WORLD_BITWISE,   /* (x & mask) ^ data; or a shift of `shift` bits, left if positive */
        WORLD_BYTEORDER, /* `size` bytes, in units of `unit`; hton and ntoh are the same here */
        /* tests: where they fail, the rule is left */
        WORLD_CMP,    /* op; data */
        WORLD_RANGE,  /* between data and high, both in; inverted */
        WORLD_LOOKUP, /* set; inverted; a map loads its data into `target`, or is the verdict */
        WORLD_PORTS,  /* xt multiport: ranges[n_ranges] of either port; see WorldPorts */
        /* effects */
        WORLD_SET_META, /* key := register; of mark, priority, nftrace, secmark, ... */
        WORLD_SET_CT,   /* likewise */
        WORLD_SET_PAYLOAD,
        WORLD_NOTRACK,
        WORLD_NAT,  /* see WorldNat */
        WORLD_COPY, /* sends a copy to the next hop whose address is in `source`, by the interface
                     * whose number is in `target`; either may be -1 */
        WORLD_FORWARD, /* likewise the packet itself, past all that would come; unit: the address's
                        * family, of which the packet has to be, or the rule is left */
        WORLD_NOTHING, /* counter, log, last, checksum, ...: goes on, whatever happens */
        WORLD_CHOICE,  /* limit, quota, connlimit, statistic, recent, dynset, time: goes on or
                        * leaves the rule, anew for each packet; `name`. fixed: it is no matter of
                        * chance, but of what is not understood (xt match string) */
        /* ends */
        WORLD_IS, /* immediate: verdict */
        WORLD_REJECT,
        WORLD_UNKNOWN, /* may do anything: `name` says what it is ("xt match u32") */
} WorldExprKind;

typedef enum WorldCompare {
        WORLD_EQUAL, /* bytes as they stand, the most significant first */
        WORLD_NOT_EQUAL,
        WORLD_LESS,
        WORLD_LESS_EQUAL,
        WORLD_GREATER,
        WORLD_GREATER_EQUAL,
} WorldCompare;

typedef enum WorldBase {
        WORLD_LINK, /* the frame's header, 14 bytes */
        WORLD_NETWORK,
        WORLD_TRANSPORT,
        WORLD_INNER,
} WorldBase;

typedef enum WorldNatKind {
        WORLD_DNAT,
        WORLD_SNAT,
        WORLD_MASQUERADE,
        WORLD_REDIRECT, /* to the address of the interface that it came in by; of output to lo's */
        WORLD_TPROXY,
} WorldNatKind;

/* Registers hold the new values; absent ones are -1. From xt targets the reader makes WORLD_DATA in
 * front. */
typedef struct WorldNat {
        WorldNatKind kind;
        uint8_t family; /* NFPROTO_IPV4 or _IPV6; NFPROTO_INET: whichever the packet has */
        int8_t address_low, address_high, port_low, port_high;
        uint32_t flags; /* NF_NAT_RANGE_ */
        bool has_base;  /* the new port is as far from port_low as the old one is from base, the
                         * range over and over */
        uint16_t base;
} WorldNat;

/* xt multiport, in one piece because "either port" is no conjunction. */
typedef struct WorldPorts {
        bool source, destination; /* both: either may match */
        uint8_t n;
        struct {
                uint16_t low, high;
        } ranges[15];
} WorldPorts;

typedef struct WorldExpr {
        WorldExprKind kind;
        WorldCompare op;
        WorldBase base;
        bool inverted, present, bypass, fixed;
        int8_t source, target; /* registers, in units of four bytes from 0; -1: none */
        uint8_t size;          /* bytes that are loaded, tested or changed */
        uint8_t unit;
        int8_t direction; /* of ct: 0 original, 1 reply, -1 none */
        int16_t shift;
        uint32_t key, offset;
        const char *name; /* nft's or xt's word for it; never NULL */
        union {
                struct {
                        WorldData data, mask, high;
                };
                const WorldSet *set;
                WorldVerdict verdict;
                WorldNat nat;
                const WorldPorts *ports;
        };
} WorldExpr;

typedef struct WorldRule {
        uint64_t handle;
        const char *comment; /* or NULL */
        WorldExpr *exprs;
        size_t n_exprs;
        const WorldChain *chain;
} WorldRule;

typedef struct WorldTable {
        uint8_t family;
        const char *name;
        uint32_t flags; /* NFT_TABLE_F_; a dormant table does nothing */
        const char
                *owner; /* the program that made it, where it can be told: "docker", "ufw"; NULL */
        bool has_zones; /* firewalld's chains are in it, among those of iptables */
} WorldTable;

typedef enum WorldChainType {
        WORLD_FILTER,
        WORLD_ROUTE, /* of output: routes anew when mark or addresses changed */
        WORLD_NATS,  /* for the first packet of a connection */
} WorldChainType;

struct WorldChain {
        const WorldTable *table;
        const char *name;
        uint64_t handle;
        bool is_base, policy_drop;
        bool ingress, egress; /* of the families inet and netdev: devices tells where */
        int hook, priority;
        WorldChainType type;
        const char **devices;
        size_t n_devices;
        WorldRule *rules;
        size_t n_rules;
        size_t number; /* 0 ... n_chains - 1 */
};

/* An element: one key, or a range of them, both ends in; of a concatenation a range in each field.
 */
typedef struct WorldElement {
        const uint8_t *low, *high; /* set->key_size bytes each; the same pointer for one key */
        bool catch_all;       /* what no other element holds; low and high are NULL; stands last */
        bool maybe;           /* it has a timeout or a limit: it may not match */
        WorldVerdict verdict; /* of maps of verdicts */
        const uint8_t *value; /* of maps of values: set->value_size bytes */
} WorldElement;

struct WorldSet {
        const WorldTable *table;
        const char *name;
        bool is_map, is_verdict_map, interval, concatenated;
        bool dynamic;       /* packets add to it: any key may be in it besides */
        bool unknown;       /* not understood: anything may be in it */
        uint8_t key_size;   /* bytes, padding of concatenated fields included */
        uint8_t value_size; /* of maps of values; at most 64 */
        /* Bytes of each field, without padding. A set without ranges may tell one field, of all. */
        uint8_t n_fields;
        uint8_t fields[WORLD_REGISTERS];
        WorldElement
                *elements; /* of one field sorted by low and disjoint; else as they were listed */
        size_t n_elements;
        size_t number; /* 0 ... n_sets - 1 */
};

/* What lies around the rules. */
typedef struct WorldInterface {
        int index;
        const char *name;
        uint16_t type;    /* ARPHRD_ */
        const char *kind; /* "bridge", "veth", "macvlan"; or NULL */
        int master;       /* the bridge or VRF that it belongs to; 0: none */
        int lower;        /* the one that it stands on, or the other end of a veth; 0: none here */
        bool up, loopback;
        uint8_t address[6]; /* link layer */
        uint8_t rp_filter;  /* 0 none, 1 strict, 2 loose; the larger of the interface's and `all` */
        bool route_localnet, accept_local, send_redirects;
} WorldInterface;

typedef struct WorldAddress {
        Family family;
        U128 address;
        uint8_t prefix;
        int index;
        bool tentative; /* of IPv6: the kernel still looks for doubles of it, or has found one */
} WorldAddress;

typedef struct WorldRoute {
        Family family;
        U128 destination;
        uint8_t prefix;
        uint8_t type; /* RTN_ */
        uint32_t table, metric;
        int index;    /* the interface; 0: none, or several */
        bool several; /* multipath: which one is not known */
} WorldRoute;

/* A rule of policy routing; they are asked in their order. What is 0, or NULL, is not asked for. */
typedef struct WorldRouteRule {
        Family family;
        uint8_t action; /* FR_ACT_ */
        bool inverted;
        bool open; /* it asks for more, which is not known: it matches or not */
        uint8_t source_prefix, destination_prefix;
        U128 source, destination;
        const char *in, *out; /* "lo": what this host sends */
        uint32_t mark, mask;
        uint32_t priority, table;
        uint32_t target;     /* of FR_ACT_GOTO: the priority of the rule that is next */
        int suppress_prefix; /* routes that are no longer than that do not count; -1: all do */
} WorldRouteRule;

typedef struct World {
        Arena *arena;
        WorldTable *tables;
        size_t n_tables;
        WorldChain **chains; /* base chains of a hook in no particular order */
        size_t n_chains;
        WorldSet **sets;
        size_t n_sets;
        WorldInterface *interfaces;
        size_t n_interfaces;
        WorldAddress *addresses;
        size_t n_addresses;
        WorldRoute *routes;
        size_t n_routes;
        WorldRouteRule *route_rules;
        size_t n_route_rules;
        bool has_route_rules[_FAMILY_MAX]; /* other ones than those that the kernel starts with */
        bool bridge_calls_hooks[_FAMILY_MAX]; /* br_netfilter shows bridged frames to IP's */
        bool rp_filter, route_localnet;       /* of any interface */
        bool forwards4, forwards6;
        bool source_routes4, source_routes6; /* packets may change their destination on the way */
        bool routes_unpack;   /* seg6local, BPF: what comes of it has passed no prerouting */
        bool assigns_helpers; /* to connections, without a rule (nf_conntrack_helper) */
        bool has_ipsec;       /* what is unpacked keeps the mark of its outer packet, or gets one */
        uint32_t generation;  /* of the kernel's ruleset */
} World;

/* Whether it leads every packet to its table. */
bool world_is_plain_rule(const WorldRouteRule *rule);
/* ringwall's own rules go on as long as a limit is not reached. e: an expression of the rule. */
bool world_is_own_limit(const WorldRule *rule, const WorldExpr *e);
/* It gives a packet a template of a connection (a zone, say): before the kernel looks for the
 * connection, the packet counts as a new one's then, and as tracked (nf_ct_get). */
bool world_makes_template(const WorldExpr *e);
