/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of this folder share while a policy is being loaded. Private to src/policy. The
 * order of work: read every file, index the names that they define, resolve zones and services,
 * then rules and claims, then check one against the other. What is broken has been reported once
 * and is left out; functions return -EBADMSG for it, and the load goes on. */

#include <sys/types.h>

#include "base/text.h"
#include "doc/schema.h"
#include "policy/policy.h"
#include "policy/schemas.h"

#define POLICY_SETTINGS_MAX 16            /* keys of `settings`, known to the compiler */
#define POLICY_BANS_MAX 8                 /* keys of `bans`, likewise */
#define DEFINITION_DEPTH_MAX 64           /* zones within zones, groups within groups */
#define ZONE_PARTS_MAX 256                /* boxes of one zone */
#define ZONE_FILE_MAX ((size_t)128 << 20) /* bytes of a zone's list */
#define ZONE_FILE_ADDRESSES_MAX 1000000   /* in one of them, networks and ranges counted as one */
#define ZONE_RANGES_MAX                                                                            \
        4000000 /* address ranges of all zones together, nested ones counted again */

typedef enum DefinitionState {
        DEFINITION_WAITING,
        DEFINITION_OPEN, /* being resolved right now: to meet it again is a cycle */
        DEFINITION_DONE,
} DefinitionState;

/* One file, and its top-level keys. */
typedef struct PolicyFile {
        Source source;
        bool is_catalogue;
        const struct PolicyFile *parent; /* includes it, or has it in its policy.d; or NULL */
        bool on_disk;                    /* device and inode are known */
        dev_t device;
        ino_t inode;
        const NodeEntry *version, *include, *zones, *services, *nat, *protected, *expect, *settings,
                *bans;
        const NodeEntry *sections[_SECTION_MAX];
} PolicyFile;

/* A zone or a service that a file defines. */
typedef struct Definition {
        const char *name;
        size_t number; /* in the order of reading */
        Span at;
        const Node *value;
        const PolicyFile *file; /* that has it */
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

/* A section's default that one file gives it. */
typedef struct SaidDefault {
        Span at; /* no source: nobody has said it yet */
        SectionDefault fallback;
} SaidDefault;

typedef struct Loader {
        Arena *arena;
        Arena *trees; /* of what the files say, without the words themselves; freed after the load
                       */
        Diag *d;
        Policy *policy;
        const HostNetwork *networks;
        size_t n_networks;
        const PolicyPaths *paths; /* NULL: everything comes from memory, and names no files */
        PolicyFile **files;       /* the catalogue, then the others in the order of reading */
        size_t n_files;
        const Source **sources; /* of all messages, in the order in which people read them */
        size_t n_sources;
        size_t n_rules_max[_SECTION_MAX]; /* rules for which a section has room */
        bool unreadable; /* a file, or a part of it, is missing: names may be unknown for that */
        int error;       /* -EACCES or -ENOENT: the caller's, rather than -EBADMSG */
        SaidDefault defaults[_SECTION_MAX];
        Span log_at[_SECTION_MAX];             /* where a section says whether its default logs */
        int64_t now;                           /* seconds since 1970: rules may be over */
        Span settings_at[POLICY_SETTINGS_MAX]; /* by the number of the key; no source: not said */
        Span bans_at[POLICY_BANS_MAX];         /* likewise */
        Definitions zones, services;
        size_t n_ranges; /* counted against ZONE_RANGES_MAX */
} Loader;

/* ---- load.c */

/* Reads the text of a file into the keys of *file, its names into the index, and the files that it
 * includes. 0 or -ENOMEM; mistakes are in l->d, and l->unreadable is set if there is no tree. */
int policy_file_decode(Loader *l, PolicyFile *file);

/* ---- files.c: which files there are, and whether they may be trusted */

PolicyFile *policy_file_new(Loader *l, Source source, const PolicyFile *parent);
/* Makes known where messages may come from. 0 or -ENOMEM. */
int source_register(Loader *l, const Source *source);
/* Reads the file source->name, which a policy file names at `at` (no source: the command line). It
 * must not be writable by others, and belong to root if l->paths says so. 0, or -EBADMSG with a
 * message, or -ENOMEM. */
int policy_file_read(Loader *l, Source *source, Span at, size_t limit);
/* The same for a list that a policy file names, which may be among the given texts. */
int policy_list_read(Loader *l, Source *source, Span at, size_t limit);
/* What `name` means in a policy file: relative to the file's folder. NULL without memory. */
const char *policy_file_path(Arena *a, const PolicyFile *file, const char *name);
/* Reads the catalogue, the policy, and the folder policy.d beside it. 0 or -ENOMEM, as above. */
int policy_files_read(Loader *l);
/* Reads what file->include names. */
int policy_files_include(Loader *l, const PolicyFile *file);

/* ---- definition.c */

/* Takes over the names that a file defines under one of its keys. */
int definition_collect(Loader *l,
                       Definitions *defs,
                       const PolicyFile *file,
                       const NodeEntry *entry);
/* Sorts; what the policy redefines replaces the catalogue's; what two of its files define is
 * reported. 0 or -ENOMEM. */
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

/* ---- zone.c, zone_part.c, zone_file.c, zone_term.c, zone_expression.c */

int zone_resolve_all(Loader *l);
/* Once all are resolved: adds the host's networks to the zones that are connected to them. */
int zone_connect_all(Loader *l);
int zone_resolve(Loader *l, Definition *def);

/* One word of a zone expression: a zone, everything, or a range of addresses. */
typedef struct ZoneWord {
        Definition *definition; /* NULL if it is no zone's name */
        bool anywhere;
        Family family; /* of the range, if neither of the above */
        Range range;
} ZoneWord;

int zone_word_decode(Loader *l, const Node *n, ZoneWord *ret);
/* An address, CIDR or range; says what is wrong with it. */
int zone_address_decode(Loader *l, const Node *n, ZoneWord *ret);
/* Adds a box to the zone, into one that has the same interfaces if there is one. */
int zone_part_add(Loader *l, Zone *z, const ZonePart *part, Span at);
/* Takes the box out of every box of the zone, whose sets are normalised before and after. */
int zone_part_subtract(Loader *l, Zone *z, const ZonePart *taken, Span at);
void zone_part_normalise_all(Zone *z);
/* Makes it a box with a list in it, of which all that it has so far is certain. 0 or -ENOMEM. */
int zone_part_set_listed(Arena *a, ZonePart *part);
/* Adds the addresses of the list that the zone's key `file` names. */
int zone_file_read(Loader *l, const Definition *def, const NodeEntry *entry, ZonePart *part);
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

/* ---- nat.c, section.c, rule.c, expect.c, protected.c, conflict.c */

int nat_decode(Loader *l, const PolicyFile *file);
/* Warns of forwards that no rule of `inbound` lets anybody use; -ENOMEM or 0. */
int nat_check(Loader *l);

/* What one file says of a section is added to it. */
int section_decode(Loader *l, const PolicyFile *file, SectionId id);
int rule_decode(Loader *l, const Node *n, SectionId section, PolicyRule *ret);
/* An item of `expect` as a rule; its key `section` is left to the caller. */
int rule_decode_expected(Loader *l, const Node *n, SectionId section, PolicyRule *ret);
int expect_decode(Loader *l, const PolicyFile *file);
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
 * the messages from number `first` on by their places, source by source in the order given. 0 or
 * -ENOMEM. */
int messages_sort(Diag *d, size_t first, const Source *const *sources, size_t n_sources);

/* ---- settings.c, bans.c, rate.c */

/* Each key of the mapping may be said by one file: where that was stands in said_at, by the number
 * of the key. */
int settings_check_said_once(Loader *l, const Schema *schema, const Node *n, Span *said_at);

/* What one file says of the bans. */
int bans_decode(Loader *l, const PolicyFile *file);
/* Once all of them have: what two keys say together. -EBADMSG with a message, or 0. */
int bans_check(Loader *l);

int settings_decode(Loader *l, const PolicyFile *file);
/* N/second and the like; `text` is n's text or a part of it. */
int rate_decode(Loader *l, const Node *n, const char *text, Rate *ret);

/* ---- limit.c, until.c, owner.c: values of rules' keys */

int limit_decode(Loader *l, const NodeEntry *entry, Limit *ret);
int connections_decode(Loader *l, const NodeEntry *entry, Connections *ret);
/* A date or a time of a day, in the local zone unless it says otherwise; a date means its end.
 * Warns of one that is over. */
int until_decode(Loader *l, const NodeEntry *entry, int64_t *ret);

typedef enum OwnerKind {
        OWNER_USER,
        OWNER_GROUP,
} OwnerKind;

/* Names, which this host has to know (or the given texts say), or numbers. */
int owner_decode(Loader *l, const NodeEntry *entry, OwnerKind kind, RangeSet *ret);

/* ---- words.c */

/* A word, or a list of words as "ssh, 8080/tcp"; NULL without memory. */
const char *words_join(Arena *a, const Node *n);
/* A name that a policy may give: reports and returns -EBADMSG if it may not. */
int name_check(Loader *l, const Node *key, const char *what);
/* "policy.yaml": the file's base name. */
const char *place_file(Span at);
/* "policy.yaml:9" */
const char *place_describe(Arena *a, Span at);
