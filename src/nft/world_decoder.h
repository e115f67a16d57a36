/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the parts of the decoder of Worlds share; see world_read.h for its use. */

#include "nft/attribute.h"
#include "world/world.h"

#define WORLD_SCRATCH 16 /* the first register that the kernel does not have */

/* A set while its elements come in. */
typedef struct SetState {
        WorldSet *set;
        uint32_t id;  /* of a set in a batch; 0: none */
        size_t room;  /* elements that there are messages of */
        uint8_t *low; /* keys, one behind the other */
        uint8_t *high;
        uint32_t object;           /* of maps of objects: NFT_OBJECT_ */
        bool has_timeout, removes; /* removes: packets take elements out */
} SetState;

typedef struct WorldDecoder {
        World *world;
        WorldTable **tables; /* sorted by family and name */
        WorldChain **chains; /* sorted by table and name */
        SetState **sets;     /* sorted by table, name and number */
        SetState *states;    /* by WorldSet.number */
        WorldExpr *exprs;    /* of the rule that is being decoded; from malloc() */
        size_t n_exprs, room;
        WorldExpr sink; /* what is written to it is lost */
        int error;      /* what went wrong first */
} WorldDecoder;

WorldTable *world_find_table(const WorldDecoder *d, uint8_t family, const char *name);
WorldChain *world_find_chain(const WorldDecoder *d, const WorldTable *table, const char *name);
/* id: 0, or the number that the batch gave it. */
SetState *
world_find_set(const WorldDecoder *d, const WorldTable *table, const char *name, uint32_t id);

/* The verdict in a data attribute. 0; -ENOENT if there is none that could be understood. */
int world_decode_verdict(const WorldDecoder *d,
                         const WorldTable *table,
                         const Attributes *data,
                         WorldVerdict *ret);

/* 0, -ENOMEM, -EPROTO; world_finish_set(): once all elements are in, also -EAGAIN. */
int world_decode_set(WorldDecoder *d, const WorldTable *table, const Attributes *a);
int world_count_elements(WorldDecoder *d, const WorldTable *table, const Attributes *a);
int world_decode_elements(WorldDecoder *d, const WorldTable *table, const Attributes *a);
int world_finish_set(WorldDecoder *d, SetState *state);
int world_decode_rule(WorldDecoder *d, const WorldTable *table, const Attributes *a);

/* Appends an expression to the rule; never NULL. name is not copied. */
WorldExpr *world_add(WorldDecoder *d, WorldExprKind kind, const char *name);

/* The register of that attribute as a slot from which `size` bytes fit, and the value of a data
 * attribute; false if there is none. */
bool world_get_register(const Attributes *a, uint16_t type, size_t size, int8_t *ret);
bool world_get_data(const Attributes *a, uint16_t type, WorldData *ret);

/* An expression of the kernel's own, its attributes, and where it stands. */
typedef struct WorldContext {
        const WorldTable *table;
        const Attributes *a;
        bool is_last;
} WorldContext;

/* Each says false where the expression is not one that could be understood. */
bool world_load_payload(WorldDecoder *d, const WorldContext *c);
bool world_load_meta(WorldDecoder *d, const WorldContext *c);
bool world_load_ct(WorldDecoder *d, const WorldContext *c);
bool world_load_fib(WorldDecoder *d, const WorldContext *c);
bool world_load_exthdr(WorldDecoder *d, const WorldContext *c);
bool world_load_numgen(WorldDecoder *d, const WorldContext *c);
bool world_load_hash(WorldDecoder *d, const WorldContext *c);
bool world_load_rt(WorldDecoder *d, const WorldContext *c);
bool world_load_socket(WorldDecoder *d, const WorldContext *c);
bool world_load_osf(WorldDecoder *d, const WorldContext *c);
bool world_load_xfrm(WorldDecoder *d, const WorldContext *c);
bool world_load_tunnel(WorldDecoder *d, const WorldContext *c);

/* A match or a target of xt in a table of the family. is_last: nothing follows it in the rule. */
void world_decode_match(WorldDecoder *d, uint8_t family, const Attributes *a);
void world_decode_target(WorldDecoder *d, uint8_t family, const Attributes *a, bool is_last);

/* Native expressions in the scratch registers, for what is translated. Values are bytes as they
 * stand in registers. The name is for all that the translation adds. */
void world_add_payload(
        WorldDecoder *d, WorldBase base, uint32_t offset, size_t size, const char *name);
void world_add_meta(WorldDecoder *d, uint32_t key, size_t size, const char *name);
void world_add_ct(WorldDecoder *d, uint32_t key, int direction, size_t size, const char *name);
void world_add_mask(
        WorldDecoder *d, const void *mask, const void *flip, size_t size, const char *name);
void world_add_cmp(
        WorldDecoder *d, WorldCompare op, const void *value, size_t size, const char *name);
void world_add_range(WorldDecoder *d,
                     const void *low,
                     const void *high,
                     size_t size,
                     bool inverted,
                     const char *name);
/* Ports, or types and codes: numbers of two bytes in the machine's order. */
void world_add_range16(
        WorldDecoder *d, uint16_t low, uint16_t high, bool inverted, const char *name);
/* (register & mask) is not zero, or is. */
void world_add_bits(WorldDecoder *d, uint32_t mask, bool none, const char *name);
/* Goes on or leaves the rule: by chance or by what was before, or by what is not understood. */
void world_add_choice(WorldDecoder *d, const char *name);
void world_add_doubt(WorldDecoder *d, const char *name);
/* Both words in one, in the World's arena; never NULL. */
const char *world_name(WorldDecoder *d, const char *kind, const char *name);

/* What a match of xt says, in the layout of its revision. */
typedef struct WorldBlob {
        uint8_t family;
        uint32_t revision;
        const void *data;
        size_t size;
        const char *name; /* "xt match tcp" */
} WorldBlob;

/* Copies what is there in the layout of a type; they are not aligned. */
#define world_blob_read(blob, ret)                                                                 \
        ((blob)->size >= sizeof(*(ret)) ? (memcpy((ret), (blob)->data, sizeof(*(ret))), true)      \
                                        : false)

/* Takes in a message about a rule of policy routing; 0, -ENOMEM, -E2BIG. */
int world_take_route_rule(const struct nlmsghdr *h, World *w);
/* Asks the kernel for those of the family, and tells whether they are others than at the start. */
int world_dump_route_rules(World *w, Family family);

bool world_match_conntrack(WorldDecoder *d, const WorldBlob *b);
