/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of this folder share while a policy is being loaded. Private to src/policy. The
 * order of work: read every file, index the names that they define, resolve zones and services,
 * then rules and claims, then check one against the other. What is broken has been reported once
 * and is left out; functions return -EBADMSG for it, and the load goes on. */

#include "base/text.h"
#include "doc/schema.h"
#include "policy/policy.h"

#define DEFINITION_DEPTH_MAX 64 /* zones within zones, groups within groups */
#define ZONE_PARTS_MAX 256      /* boxes of one zone */
#define ZONE_RANGES_MAX                                                                            \
        4000000 /* address ranges of all zones together, nested ones counted again */

typedef enum DefinitionState {
        DEFINITION_WAITING,
        DEFINITION_OPEN, /* being resolved right now: to meet it again is a cycle */
        DEFINITION_DONE,
} DefinitionState;

/* A zone or a service that a file defines. */
typedef struct Definition {
        const char *name;
        Span at;
        const Node *value;
        bool from_catalogue;
        DefinitionState state;
        bool broken;
        unsigned int height; /* levels of definitions below and including this one */
        Zone *zone;          /* one of these two */
        Service *service;
} Definition;

typedef struct Definitions {
        const char *what;   /* "zone" */
        Definition **items; /* as read; once indexed, sorted by name and unique */
        size_t n_items;
        Definition **order;                     /* the same in the order of reading, once indexed */
        Definition *path[DEFINITION_DEPTH_MAX]; /* those that are open, the outermost first */
        size_t n_path;
} Definitions;

/* The top-level keys of one file. */
typedef struct PolicyFile {
        Source source;
        bool is_catalogue;
        const NodeEntry *version, *zones, *services, *protected;
        const NodeEntry *sections[_SECTION_MAX];
} PolicyFile;

typedef struct Loader {
        Arena *arena;
        Diag *d;
        Policy *policy;
        Definitions zones, services;
        size_t n_ranges; /* counted against ZONE_RANGES_MAX */
} Loader;

/* ---- definition.c */

/* Takes over the names that a file defines under one of its keys. */
int definition_collect(Loader *l,
                       Definitions *defs,
                       const PolicyFile *file,
                       const NodeEntry *entry);
/* Sorts; what the policy redefines replaces the catalogue's. 0 or -ENOMEM. */
int definition_index(Loader *l, Definitions *defs);
Definition *definition_find(const Definitions *defs, const char *name);
/* Resolves def by calling `resolve`, unless that has been done. `use` is where it is referred to; a
 * cycle and a nesting too deep are reported there. -EBADMSG if def is broken. */
int definition_resolve(Loader *l,
                       Definitions *defs,
                       Definition *def,
                       Span use,
                       int (*resolve)(Loader *l, Definition *def));
/* Resolves every one, in the order of reading; 0 or -ENOMEM. */
int definition_resolve_all(Loader *l,
                           Definitions *defs,
                           int (*resolve)(Loader *l, Definition *def));
/* Says "did you mean ...?" for a word that is none of the names, nor of the n_words others. */
void definition_suggest(const Loader *l,
                        const Definitions *defs,
                        const char *word,
                        const char *const *words,
                        size_t n_words);

/* ---- zone.c, zone_term.c, zone_expression.c */

int zone_resolve_all(Loader *l);
int zone_resolve(Loader *l, Definition *def);

/* One word of a zone expression: a zone, everything, or a range of addresses. */
typedef struct ZoneWord {
        Definition *definition; /* NULL if it is no zone's name */
        bool anywhere;
        Family family; /* of the range, if neither of the above */
        Range range;
} ZoneWord;

int zone_word_decode(Loader *l, const Node *n, ZoneWord *ret);
int zone_expression_decode(Loader *l, const NodeEntry *entry, ZoneExpression *ret);
/* The same meaning in one term, whose zone has a box for each combination of interfaces; quick to
 * ask again and again. 0 or -ENOMEM. */
int zone_expression_flatten(Arena *a, const ZoneExpression *e, ZoneExpression *ret);
/* Whether any address of the family is in the expression. */
bool zone_expression_has_family(const ZoneExpression *e, Family family);
/* The first of its zones that is known by an interface, or NULL. */
const ZoneTerm *zone_expression_find_interface(const ZoneExpression *e);

/* ---- service.c, service_term.c, service_expression.c, service_set.c */

int service_resolve_all(Loader *l);
int service_resolve(Loader *l, Definition *def);
int service_term_decode(Loader *l, const Node *n, ServiceTerm *ret);
int service_expression_decode(Loader *l, const NodeEntry *entry, ServiceExpression *ret);

typedef enum ServiceClass {
        SERVICE_TCP,
        SERVICE_UDP,
        SERVICE_SCTP,
        SERVICE_ICMP,
        SERVICE_ICMPV6,
        SERVICE_PROTOCOL,
        _SERVICE_CLASS_MAX,
        _SERVICE_CLASS_INVALID = -EINVAL,
} ServiceClass;

const char *service_class_to_string(ServiceClass class); /* "tcp"; NULL for SERVICE_PROTOCOL */
ServiceClass service_class_from_string(const char *s);   /* _SERVICE_CLASS_INVALID if it is none */
RangeSet *service_set_class(ServiceSet *set, ServiceClass class);
const RangeSet *service_set_class_const(const ServiceSet *set, ServiceClass class);
int service_set_add_all(Arena *a, ServiceSet *set, const ServiceSet *other);
void service_set_normalise(ServiceSet *set);
bool service_set_is_empty(const ServiceSet *set);
/* These want normalised sets. */
bool service_set_covers(const ServiceSet *outer, const ServiceSet *inner);
int service_set_intersect(Arena *a, const ServiceSet *x, const ServiceSet *y, ServiceSet *ret);

/* ---- port.c: what stands in a service; `text` is n's text or a part of it */

/* A port, or LOW-HIGH. */
int port_range_decode(Loader *l, const Node *n, const char *text, Range *ret);
/* ICMP's type by name or number; a range of numbers, too. */
int icmp_range_decode(Loader *l, Family family, const Node *n, const char *text, Range *ret);
/* A protocol's name or number; those that have ports or types of their own are refused. */
int protocol_decode(Loader *l, const Node *n, uint8_t *ret);

/* ---- protocol.c */

void protocol_suggest(Nearest *n);
void icmp_type_suggest(Family family, Nearest *n);

/* ---- interface.c */

/* A name or a list of them; a final '*' is a wildcard. */
int interface_set_decode(Loader *l, const NodeEntry *entry, RangeSet *ret);

/* ---- section.c, rule.c, protected.c, conflict.c */

/* What one file says of a section is added to it. */
int section_decode(Loader *l, const PolicyFile *file, SectionId id);
int rule_decode(Loader *l, const Node *n, SectionId section, PolicyRule *ret);
int protected_decode(Loader *l, const PolicyFile *file);
/* `allow` against `protected`; -ENOMEM or 0, mistakes are in d. */
int conflict_check(Loader *l);

/* ---- witness.c */

/* A client that some expressions mean and others do not. */
typedef struct Witness {
        const char *interface; /* NULL: one that none of the expressions names */
        Family family;
        U128 address;
} Witness;

typedef struct WitnessQuery {
        const ZoneExpression *inside[2];  /* the first always; absent ones mean anywhere */
        const ZoneExpression *outside[2]; /* NULL, or absent: nothing */
        const RangeSet *interfaces;       /* NULL or empty: any */
        bool families[_FAMILY_MAX];
} WitnessQuery;

/* Finds one if there is one: tries every address at which an answer can change, behind every
 * interface that matters. 1, 0 if there is none, or -ENOMEM. */
int witness_find(Arena *scratch, const WitnessQuery *q, Witness *ret);

/* ---- messages.c */

/* Mistakes are found zone by zone, section by section, but people read a file from its top: sorts
 * the messages from number `first` on by their places, those of first_source before all. 0 or
 * -ENOMEM. */
int messages_sort(Diag *d, size_t first, const Source *first_source);

/* ---- words.c */

/* A word, or a list of words as "ssh, 8080/tcp"; NULL without memory. */
const char *words_join(Arena *a, const Node *n);
/* A name that a policy may give: reports and returns -EBADMSG if it may not. */
int name_check(Loader *l, const Node *key, const char *what);
/* "policy.yaml:9" with the file's base name. */
const char *place_describe(Arena *a, Span at);
