/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of the proof about the whole ruleset share. */

#include "proof/whole.h"

#define WHOLE_CHANGES_MAX 3000
#define WHOLE_OPEN 200 /* a type of an address that is not known */
#define WHOLE_AWAY 201 /* likewise, but it is none of this host's own */

#define ROUTE_UNSPEC 0 /* RTN_ */
#define ROUTE_UNICAST 1
#define ROUTE_LOCAL 2
#define ROUTE_BROADCAST 3
#define ROUTE_ANYCAST 4
#define ROUTE_MULTICAST 5
#define ROUTE_BLACKHOLE 6
#define ROUTE_UNREACHABLE 7
#define ROUTE_PROHIBIT 8

#define PRIORITY_SOURCES 100 /* from here on sources are translated */

typedef enum Stage {
        STAGE_INGRESS,    /* where the interface hands it over */
        STAGE_FRAGMENTS,  /* prerouting, before conntrack puts fragments together */
        STAGE_RAW,        /* prerouting, before conntrack */
        STAGE_PREROUTING, /* before destinations are translated */
        STAGE_NAT,        /* the chains that do it */
        STAGE_TRANSLATED, /* prerouting behind it */
        STAGE_INPUT,
        STAGE_INPUT_LATE, /* behind where sources are translated */
        STAGE_FORWARD,
        STAGE_POSTROUTING,
} Stage;

/* Labels: DIAGRAM_ALL's 0, a drop, and kinds for each change. */
enum {
        LABEL_DROP = 1,
        LABEL_FIRST = 4,
        LABEL_ACCEPT = 0,
        LABEL_FALL = 1,
        LABEL_RETURN = 2,
        LABEL_PENDING = 3
};

static inline uint16_t label_of(size_t change, unsigned int kind) {
        return (uint16_t)(LABEL_FIRST + change * 4 + kind);
}

typedef enum ByteKind { BYTE_KNOWN, BYTE_VALUE, BYTE_ANY } ByteKind;

/* One byte of a register: known, or a byte of a value, masked and flipped. */
typedef struct Byte {
        ByteKind kind;
        uint8_t known, mask, flip, index;
        uint16_t value;
} Byte;

typedef struct Registers {
        Byte bytes[WORLD_REGISTERS * 4];
} Registers;

/* A value that differs from packet to packet: the bytes of a variable, the most significant first,
 * or a function of one, given by pieces. */
typedef struct Value {
        unsigned int variable;
        unsigned int width;
        Range *ranges; /* ascending, disjoint; NULL: the variable itself */
        uint8_t (*bytes)[16];
        size_t n;
        uint32_t table; /* of one with ranges, see whole_find_table() */
        bool cut;       /* its ranges have been collected */
} Value;

#define TABLE_TYPE ((uint32_t)1 << 30) /* a type of an address */
#define TABLE_LINK ((uint32_t)1 << 31) /* bytes of a frame's destination: offset and size */

typedef struct Key {
        WorldExprKind kind;
        uint32_t a, b, c, d;
        const void *pointer;
} Key;

typedef struct Variable {
        Axis axis;
        const char *name; /* of what is unknown; NULL */
        unsigned int width;
        Key key;
        bool ready;
} Variable;

typedef struct Arrival {
        size_t interface; /* number in World.interfaces */
        const uint8_t *address;
} Arrival;

typedef struct Piece {
        Range range;
        int value; /* an interface's number, or -1; an address's type */
} Piece;

typedef struct Memo {
        const WorldChain *chain;
        Stage stage;
        size_t change;
        DiagramId care, result;
} Memo;

struct Whole {
        const World *world;
        Family family;
        Arena *arena, *scratch;
        Diagram *diagram;
        bool collecting, vague;
        bool collected;           /* what the rules tell apart */
        bool plain;               /* see whole_take_plain() */
        bool refusals;            /* see whole_take_refusals() */
        bool sent;                /* see whole_take_sent() */
        DiagramId drops, arrived; /* arrived: behind prerouting */
        bool turning;             /* chains of devices are walked for what comes back by them */
        bool again;               /* large sets have been collected already */
        int error;
        Variable variables[DIAGRAM_VARIABLES_MAX];
        unsigned int n_variables;
        Value *values;
        size_t n_values;
        WholeChange *changes;
        size_t n_changes;
        Memo *memos;
        size_t n_memos, memo_size;
        uint16_t *fall_to_return, *return_to_fall; /* of so many changes' labels */
        size_t n_mapped;
        Piece *types, *routes, *fib_types; /* over addresses */
        size_t n_types, n_routes, n_fib_types;
        bool routes_known, deliveries_known; /* deliveries: what comes to this host */
        bool tracks;                         /* conntrack does, and puts fragments together */
        bool has_templates;                  /* see whole_has_templates() */
        bool remembers;                      /* see whole_remembers() */
        bool changes_sources;                /* see whole_changes_sources() */
        bool has_nat; /* some chain of this family translates: so every connection is looked at */
        Arrival *arrivals;
        size_t n_arrivals;
        const char **unknown;
        size_t n_unknown;
        const WorldChain **queues; /* that were told of */
        size_t n_queues;
        const char
                *rewriter; /* whose rules rewrite packets, in words, or ""; NULL: not looked for */
        Stage stage;
        uint8_t pf;               /* of the chains of STAGE_INGRESS: NFPROTO_NETDEV, or 0 */
        const RangeSet **watched; /* see whole_watch() */
        size_t n_watched;
        bool watches_all;
        DiagramId domain;
        bool order_open; /* the order in which chains are called may matter, and is not known */
        int depth;
};

static const Range whole_loopback4 = {{0, 0x7f000000}, {0, 0x7fffffff}};

/* fe80::/10 */
static const Range whole_link_local = {{UINT64_C(0xfe80) << 48, 0},
                                       {UINT64_C(0xfebfffffffffffff), UINT64_MAX}};

/* whole.c */
DiagramId whole_fail(Whole *x, int error);
void whole_note(Whole *x, const char *what);
void whole_note_queue(Whole *x, const WorldChain *c);
size_t whole_change(Whole *x, const WholeChange *c);
/* Packets that fall out of a chain, or rule, return to its caller; or (returns: false) what
 * returned goes on behind the jump. */
DiagramId whole_relabel(Whole *x, DiagramId r, bool returns);

/* whole_collect.c */
void whole_collect(Whole *x);

/* whole_route.c */
int whole_find_routes(Whole *x);
int whole_piece_at(const Piece *pieces, size_t n, U128 address);

/* whole_where.c */
int whole_find_arrivals(Whole *x);
DiagramId whole_without(Whole *x, DiagramId d, WholeVariable v, Range r);

/* whole_sent.c */
DiagramId whole_where_owned(Whole *x);
DiagramId whole_where_sockets(Whole *x);
/* What whole_where_plain() is of what is sent. */
DiagramId whole_where_plainly_sent(Whole *x);

/* whole_hook.c */
bool whole_sees_family(const Whole *x, const WorldChain *c);
bool whole_is_dormant(const WorldTable *t);
bool whole_has_nat(const Whole *x);
/* A chain of the output hook may send what this host sends another way. */
bool whole_routes_anew(const Whole *x);
/* Whether a chain of the hook may write other addresses or ports into packets. */
bool whole_rewrites(Whole *x, int hook);
/* The same, but where it ends is not known any more. */
WholeChange whole_anywhere(WholeChange c);
/* Chains of devices or bridges may set marks. */
bool whole_is_marked_before(const Whole *x);
/* A rule that asks for connections turns conntrack on, and packets are put together first. */
bool whole_has_conntrack(const Whole *x);
/* Whether the connection of a first packet of TCP may be there already, and have a mark, a
 * translation, and the status that it is confirmed: conntrack takes any packet for the first one
 * (nf_conntrack_tcp_loose), and rules let others pass than those that begin a connection. As long
 * as nobody answers (the host does not, to a frame for all), the next one is new as well. */
bool whole_remembers(const Whole *x);
/* Whether a rule gives connections a mark. */
bool whole_marks_connections(const Whole *x);
/* Whether a packet may bear a connection, or what looks like one, before conntrack sees it. */
bool whole_has_templates(const Whole *x);
/* Whether rules may change the source of packets before the kernel looks at it. */
bool whole_changes_sources(const Whole *x);
/* Ringwall's bans end by themselves, so that they prove nothing; and what a policy says of who
 * comes in is said of those who are not banned. They only drop, which is looked at. */
bool whole_is_bans(const Whole *x, const WorldTable *t);
size_t whole_list_chains(Whole *x, int hook, bool nat, const WorldChain ***ret);
/* Chains of devices that are walked, and whether that one is. */
size_t whole_list_ingress(Whole *x, const WorldChain ***ret);
bool whole_walks_device(const Whole *x, const WorldChain *c);
/* All chains of devices that packets come by, if a rule may send some on by loopback; or none. */
size_t whole_list_turning(Whole *x, const WorldChain ***ret);
/* Of chains of one priority. */
bool whole_order_matters(const Whole *x, const WorldChain **list, size_t n);
/* That nothing can be proved, and why. */
void whole_note_order(Whole *x, const char *what);
void whole_note_helpers(Whole *x);
void whole_note_outside(Whole *x);

/* whole_copy.c */
/* Whether a copy that the rule's expression sends, or the packet, may matter where it goes. */
bool whole_copy_matters(const Whole *x, const WorldRule *rule, size_t i);
/* Whether the rule's expression may send a packet on by the loopback interface. */
bool whole_turns(const Whole *x, const WorldRule *rule, size_t i);

/* whole_value.c */
int whole_add_value(Whole *x, const Value *v);
/* A function of the variable that was added before: of an interface, NFT_META_ and such; or
 * TABLE_TYPE; or TABLE_LINK and which bytes. -1: there is none. */
int whole_find_table(const Whole *x, unsigned int variable, uint32_t table);
int whole_value_of(Whole *x, unsigned int variable, unsigned int width);
/* A literal of values; while collecting, cuts. */
DiagramId whole_literal(Whole *x, unsigned int variable, const Range *items, size_t n);
/* Whether rules may see fragments whose headers are in the next one: of IPv6 the first may end
 * before the transport header, whose protocol is then not known, and is taken all the same
 * (ipv6frag_thdr_truncated). */
bool whole_sees_fragments(Whole *x);
/* Loads likewise, see whole_load(); _else: something of the packet that has no variable yet. */
int whole_load_payload(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c);
int whole_load_else(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c);

/* whole_register.c */
void whole_put_known(Byte *registers, int8_t target, const void *data, size_t n);
void whole_put_any(Byte *registers, int8_t target, size_t n);
void whole_put_byte(
        Whole *x, Byte *registers, int8_t target, size_t at, int value, unsigned int index);
void whole_put_value(Whole *x, Byte *registers, int8_t target, int value, size_t n);
/* NULL: there are no such registers. */
Byte *whole_register_at(Registers *r, int8_t number, size_t size);
bool whole_known_value(Registers *r, int8_t number, size_t size, uint8_t *ret);
void whole_bitwise(Registers *r, const WorldExpr *e);
void whole_byteorder(Registers *r, const WorldExpr *e);

/* whole_load.c */
/* Loads what the expression asks for into registers. 0: done. 1: the rule is left. 2: either, for
 * all that is known. 3, 4, 5: for sure where there are ports or ICMP, ports, TCP; 6: where an
 * address has a type that is known; 7: where a socket has an owner. */
int whole_load(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *change);
/* Packets whose address has a type that is known. */
DiagramId whole_where_typed(Whole *x, bool source);
/* Of the others: those of WHOLE_AWAY. */
DiagramId whole_where_away(Whole *x, bool source);

/* whole_condition.c */
/* Packets whose bytes are between low and high, both in. Sets x->vague where that is beyond it. */
DiagramId whole_between(Whole *x, const Byte *b, size_t n, const uint8_t *low, const uint8_t *high);
DiagramId whole_ports_hold(Whole *x, const WorldPorts *p, const WholeChange *c);
/* Packets for which the test may hold, and for which it may fail. */
void whole_test(Whole *x,
                const WorldExpr *e,
                const Byte *registers,
                DiagramId *ret_may,
                DiagramId *ret_not);

/* whole_set.c */
/* Where the set may have the key; where it surely has. element NULL: any of it. */
void whole_lookup(Whole *x,
                  const WorldExpr *e,
                  const Byte *registers,
                  DiagramId *ret_may,
                  DiagramId *ret_sure);
DiagramId whole_element(Whole *x, const WorldSet *set, const WorldElement *e, const Byte *key);

/* whole_translate.c */
void whole_set_mark(
        const Whole *x, Registers *r, const WorldExpr *e, bool connection, WholeChange *c);
DiagramId
whole_translate(Whole *x, const WorldExpr *e, Registers *r, size_t change, DiagramId care);
/* The change after which nothing is known. */
size_t whole_anything(Whole *x, size_t change);
DiagramId whole_with_ports(Whole *x, bool icmp);
/* Messages of ICMP that conntrack holds for no beginning of anything. */
DiagramId whole_where_odd(Whole *x);

/* whole_rule.c */
/* What becomes of the packets of `care` at the rule. */
DiagramId whole_rule(Whole *x, const WorldRule *rule, size_t change, DiagramId care);

/* whole_chain.c */
/* Runs a chain: its packets' labels. */
DiagramId whole_chain(Whole *x, const WorldChain *c, size_t change, DiagramId care);
/* Behind x, for each change with which packets may go on: label kind `kind`. */
typedef DiagramId (*WholeNext)(Whole *x, const void *context, size_t change, DiagramId care);
DiagramId
whole_then(Whole *x, DiagramId before, unsigned int kind, WholeNext next, const void *context);

static inline DiagramId whole_leaf(Whole *x, DiagramId care, size_t change, unsigned int kind) {
        return diagram_and(x->diagram, care, diagram_leaf(x->diagram, label_of(change, kind)));
}

static inline DiagramId whole_dropped(Whole *x, DiagramId care) {
        return diagram_and(x->diagram, care, diagram_leaf(x->diagram, LABEL_DROP));
}

static inline DiagramId whole_join(Whole *x, DiagramId a, DiagramId b) {
        return diagram_union(x->diagram, a, b);
}
