/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of the proof about the whole ruleset share. */

#include "proof/whole.h"

#define WHOLE_CHANGES_MAX 3000
#define WHOLE_OPEN 200 /* a type of an address that is not known */

typedef enum Stage {
        STAGE_RAW,        /* prerouting, before conntrack */
        STAGE_PREROUTING, /* before destinations are translated */
        STAGE_NAT,        /* the chains that do it */
        STAGE_TRANSLATED, /* prerouting behind it */
        STAGE_INPUT,
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

/* A value that differs from packet to packet: the bytes of a variable, the most significant first,
 * or a function of one, given by pieces. */
typedef struct Value {
        unsigned int variable;
        unsigned int width;
        Range *ranges; /* ascending, disjoint; NULL: the variable itself */
        uint8_t (*bytes)[16];
        size_t n;
} Value;

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
        bool plain; /* see whole_take_plain() */
        DiagramId drops;
        bool again; /* large sets have been collected already */
        int error;
        Variable variables[DIAGRAM_VARIABLES_MAX];
        unsigned int n_variables;
        Value *values;
        size_t n_values;
        WholeChange *changes;
        size_t n_changes;
        Memo *memos;
        size_t n_memos, memo_size;
        uint16_t *fall_to_return, *return_to_fall, *fall_to_pending;
        Piece *types, *routes, *fib_types; /* over addresses */
        size_t n_types, n_routes, n_fib_types;
        bool routes_known, deliveries_known; /* deliveries: what comes to this host */
        bool defragments;                    /* as conntrack does, before any rule */
        bool has_nat; /* some chain of this family translates: so every connection is looked at */
        Arrival *arrivals;
        size_t n_arrivals;
        const char **unknown;
        size_t n_unknown;
        Stage stage;
        DiagramId domain;
        bool order_open; /* the order in which chains are called may matter, and is not known */
        int depth;
};

DiagramId whole_fail(Whole *x, int error);
void whole_note(Whole *x, const char *what);
size_t whole_change(Whole *x, const WholeChange *c);
int whole_find_routes(Whole *x);
int whole_piece_at(const Piece *pieces, size_t n, U128 address);

/* Loads what the expression asks for into registers. 0: done. 1: the rule is left. 2: either, for
 * all that is known. 3, 4, 5: for sure where there are ports or ICMP, ports, TCP; 6: where an
 * address has a type that is known. */
int whole_load(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *change);
/* Messages of ICMP that conntrack holds for no beginning of anything. */
DiagramId whole_where_odd(Whole *x);
/* Packets whose address has a type that is known. */
DiagramId whole_where_typed(Whole *x, bool source);
/* Packets whose bytes are between low and high, both in. Sets x->vague where that is beyond it. */
DiagramId whole_between(Whole *x, const Byte *b, size_t n, const uint8_t *low, const uint8_t *high);
/* Packets for which the test may hold, and for which it may fail. */
void whole_test(Whole *x,
                const WorldExpr *e,
                const Byte *registers,
                DiagramId *ret_may,
                DiagramId *ret_not);
/* Where the set may have the key; where it surely has. element NULL: any of it. */
void whole_lookup(Whole *x,
                  const WorldExpr *e,
                  const Byte *registers,
                  DiagramId *ret_may,
                  DiagramId *ret_sure);
DiagramId whole_element(Whole *x, const WorldSet *set, const WorldElement *e, const Byte *key);

/* Runs a chain: its packets' labels. */
DiagramId whole_chain(Whole *x, const WorldChain *c, size_t change, DiagramId care);
/* Behind x, for each change with which packets may go on: label kind `kind`. */
typedef DiagramId (*WholeNext)(Whole *x, const void *context, size_t change, DiagramId care);
DiagramId
whole_then(Whole *x, DiagramId before, unsigned int kind, WholeNext next, const void *context);
