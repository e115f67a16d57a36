/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Every packet field that ringwall matches on, one table row each. The printer, the encoder, the
 * decoder, the evaluator and the passes read the table and name no field themselves, so adding a
 * field is adding a row. A value is a number: of an address or an interface's name the bytes as
 * they stand, the most significant first; of everything else what the kernel's register means. */

#include "base/range.h"

typedef enum _packed_ TypeId {
        TYPE_PRESENCE, /* fib ... oif: missing or exists */
        TYPE_IFNAME,
        TYPE_NFPROTO,
        TYPE_INET_PROTO,
        TYPE_INET_SERVICE,
        TYPE_IPV4_ADDR,
        TYPE_IPV6_ADDR,
        TYPE_ETHER_ADDR,
        TYPE_ICMP_TYPE,
        TYPE_ICMPV6_TYPE,
        TYPE_CT_STATE,
        TYPE_CT_STATUS,
        TYPE_MARK,
        TYPE_FIB_ADDRTYPE,
        TYPE_ARPHRD,
        TYPE_UID,
        TYPE_GID,
        TYPE_TIME,   /* nanoseconds since 1970 */
        TYPE_NUMBER, /* a plain byte */
        _TYPE_MAX,
        _TYPE_INVALID = -EINVAL,
} TypeId;

typedef struct TypeSymbol {
        const char *name; /* as nft 1.0.6 reads it */
        uint32_t value;
} TypeSymbol;

typedef struct Type {
        const char *name;          /* nft's word in `type ... ` of a set; NULL if no set has it */
        uint32_t nft_id;           /* nft's number of the type (datatype.h), stored with a set */
        unsigned int bits;         /* width of the value */
        bool host_order;           /* the kernel's register holds it in the host's byte order */
        bool flags;                /* matched by its bits, not as a whole */
        const TypeSymbol *symbols; /* ended by a NULL name; or NULL */
} Type;

typedef enum _packed_ FieldId {
        FIELD_IIFNAME,
        FIELD_OIFNAME,
        FIELD_NFPROTO,
        FIELD_L4PROTO,
        FIELD_IIFTYPE,
        FIELD_SKUID, /* the socket's owner; absent of the kernel's own sockets */
        FIELD_SKGID,
        FIELD_TIME, /* of day and date, when the packet is judged */
        FIELD_ETHER_DADDR,
        FIELD_IP_SADDR,
        FIELD_IP_DADDR,
        FIELD_IP6_SADDR,
        FIELD_IP6_DADDR,
        FIELD_IP_SADDR_16, /* so many bits of the source, the rest zero */
        FIELD_IP_SADDR_20,
        FIELD_IP_SADDR_24,
        FIELD_IP_SADDR_28,
        FIELD_IP6_SADDR_48,
        FIELD_IP6_SADDR_56,
        FIELD_IP6_SADDR_64,
        FIELD_IP6_HOPLIMIT,
        FIELD_SPORT,
        FIELD_DPORT,
        FIELD_ICMP_TYPE,
        FIELD_ICMPV6_TYPE,
        FIELD_CT_STATE,
        FIELD_CT_STATUS,
        FIELD_CT_MARK,
        FIELD_CT_IP_DADDR, /* the address that the client dialled, before any translation */
        FIELD_CT_IP6_DADDR,
        FIELD_CT_DPORT,          /* the port that the client dialled */
        FIELD_FIB_SADDR_OIF,     /* 0: no interface leads back to the source */
        FIELD_FIB_SADDR_IIF_OIF, /* 0: the arriving interface does not */
        FIELD_FIB_SADDR_TYPE,
        FIELD_FIB_DADDR_TYPE,
        _FIELD_MAX,
        _FIELD_INVALID = -EINVAL,
} FieldId;

typedef enum FieldBase {
        BASE_META,
        BASE_LINK,
        BASE_NETWORK,
        BASE_TRANSPORT,
        BASE_CT,
        BASE_CT_ORIGINAL, /* conntrack's tuple of the direction that opened the connection */
        BASE_FIB,
} FieldBase;

typedef struct Field {
        const char *name; /* nft's words for it */
        TypeId type;
        FieldBase base;
        uint32_t key;        /* enum nft_meta_keys, nft_ct_keys, nft_fib_result */
        uint32_t offset;     /* bytes into the header; of fib its NFTA_FIB_F_ flags */
        unsigned int prefix; /* bits that are looked at, the rest is zero; 0: all */
        bool has_needs; /* the match means nothing unless field `needs` equals needs_value ... */
        FieldId needs;
        uint32_t needs_value;
        bool needs_ports; /* ... or unless the protocol is one with ports */
        bool mergeable;   /* rules that differ in this alone may become one rule with a set */
} Field;

extern const Type types[_TYPE_MAX];
extern const Field fields[_FIELD_MAX];

/* Bytes of the value in a kernel register or a set's key. */
size_t field_size(FieldId field);
size_t type_size(TypeId type);

/* What a field with a prefix has where the whole one has `value`. */
U128 field_prefix(FieldId field, U128 value);

/* The symbol's value, or false. */
bool type_symbol_value(TypeId type, const char *name, uint32_t *ret);
/* The symbol's name, or NULL. */
const char *type_symbol_name(TypeId type, uint32_t value);

/* Conntrack's words (linux/netfilter/nf_conntrack_common.h, nft_ct.c). */
enum {
        CT_STATE_INVALID = 1 << 0,
        CT_STATE_ESTABLISHED = 1 << 1,
        CT_STATE_RELATED = 1 << 2,
        CT_STATE_NEW = 1 << 3,
        CT_STATE_UNTRACKED = 1 << 6,
        CT_STATUS_EXPECTED = 1 << 0,
        CT_STATUS_CONFIRMED = 1 << 3, /* a packet of the connection has been let through */
        CT_STATUS_DNAT = 1 << 5,
};

/* linux/rtnetlink.h's RTN_LOCAL: what `fib saddr type local` compares with. */
#define FIB_TYPE_UNICAST 1
#define FIB_TYPE_LOCAL 2
