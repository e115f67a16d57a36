/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the kernel shall hold, or holds: one nftables table as plain data. `lower` makes it from a
 * Policy, passes rewrite it; print, diff, eval and the netlink backend are its consumers.
 * Everything in it lives in one arena; pointers to chains and sets are borrowed from the same
 * Ruleset. */

#include "base/diag.h"
#include "policy/policy.h"
#include "ruleset/field.h"

#define RULESET_TABLE "ringwall" /* family inet */
#define RULESET_FIELDS_MAX 3     /* fields of a concatenation */
#define RULESET_NAME_MAX 127     /* bytes of a chain's or set's name; the kernel's limit is 255 */
#define RULESET_COMMENT_MAX 127  /* bytes of a comment that nft accepts */
#define RULESET_JUMPS_MAX 16     /* NFT_JUMP_STACK_SIZE */
#define RULESET_PREFIX_MAX 127   /* bytes of a log line's prefix; NF_LOG_PREFIXLEN less its NUL */
#define RULESET_LOG_GROUP 4780   /* the netlink group that log lines go to */
#define RULESET_LOG_LIMIT "log-limit" /* the limit that all log lines share */
#define RULESET_SAMPLE_GROUP 4781     /* the netlink group that samples of what is refused go to */
#define RULESET_REFUSE "refuse"       /* the chain that refuses with an answer */
/* Above every other firewall's filter chains: a refusal costs nobody else work. A refusal is final,
 * whatever the priority; an accept never is. */
#define RULESET_PRIORITY (-10)
/* Of chains that translate: where connection tracking translates destinations, and sources. */
#define RULESET_PRIORITY_DSTNAT (-100)
#define RULESET_PRIORITY_SRCNAT 100

typedef struct Chain Chain;
typedef struct Set Set;

/* Where something comes from: the place in the policy, and how a person would call it. */
typedef struct Origin {
        Span at;          /* no source if read from the kernel, or always so */
        const char *text; /* "policy.yaml:9: allow https"; NULL if there is nothing to say */
} Origin;

typedef enum _packed_ VerdictKind {
        VERDICT_CONTINUE, /* none: on to the next rule */
        VERDICT_ACCEPT,
        VERDICT_DROP,
        VERDICT_REJECT,       /* with ICMP's or ICMPv6's "administratively prohibited" */
        VERDICT_REJECT_RESET, /* with a TCP reset */
        VERDICT_JUMP,
        VERDICT_GOTO,
        VERDICT_RETURN,
        VERDICT_MASQUERADE, /* rules of nat chains only: the source becomes this host's address */
        VERDICT_DNAT,       /* likewise: the destination becomes rule->target */
        VERDICT_MAP,        /* rules only: the verdict that rule->map has for rule->map_fields */
        _VERDICT_MAX,
        _VERDICT_INVALID = -EINVAL,
} VerdictKind;

typedef struct Verdict {
        VerdictKind kind;
        const Chain *chain; /* of VERDICT_JUMP and VERDICT_GOTO */
} Verdict;

typedef struct Element {
        Range key[RULESET_FIELDS_MAX];
        Verdict verdict; /* of maps */
        Origin origin;
} Element;

/* Elements that the host decides: the networks that are on link, see ruleset_set_networks(). */
typedef struct SetSource {
        RangeSet interfaces; /* whose networks are meant, as numbers: see interface_value() */
        RangeSet fixed;      /* what is in the set whatever they are */
        RangeSet without;    /* what is never taken from them */
        bool of_address;     /* only those that hold `address`, on whichever interface */
        U128 address;
} SetSource;

/* A set, or a verdict map. Elements are sorted by their keys; of one field they are disjoint. */
struct Set {
        const char *name; /* NULL: written out in the one rule that uses it */
        TypeId types[RULESET_FIELDS_MAX];
        size_t n_types;
        bool is_map;
        bool interval; /* the kernel is told to expect ranges */
        bool counted;  /* each element counts the packets that it matched */
        /* The kernel adds the elements, one a source; they are neither listed nor compared. */
        bool dynamic;
        uint32_t timeout; /* of a dynamic set, in seconds since the source was last seen; 0: none */
        uint32_t room;    /* elements that fit; 0: no limit. Of a set to be made it counts for
                           * dynamic ones alone */
        /* Of one read from the kernel: it is too large to be listed, and holds anything. */
        bool is_unlisted;
        uint32_t n_told;         /* likewise: elements, as the kernel counts them; 0: untold */
        const SetSource *source; /* or NULL */
        Element *elements;
        size_t n_elements;
        Origin origin;
        bool used; /* for prune */
};

typedef enum _packed_ MatchOp {
        MATCH_IN,
        MATCH_NOT_IN,
        MATCH_BITS,    /* any bit of mask is set */
        MATCH_NO_BITS, /* none is */
        MATCH_UNKNOWN, /* read from the kernel, and none of ours: `text` says what */
} MatchOp;

typedef struct Match {
        MatchOp op;
        FieldId fields[RULESET_FIELDS_MAX];
        uint8_t n_fields;
        const Set *set; /* of MATCH_IN and MATCH_NOT_IN */
        union {
                U128 mask;        /* of MATCH_BITS and MATCH_NO_BITS */
                const char *text; /* of MATCH_UNKNOWN */
        };
} Match;

/* So many packets in a time; what is beyond does not match. */
typedef struct PacketLimit {
        uint32_t number;
        uint32_t seconds; /* 1, 60, 3600 or 86400 */
        uint32_t burst;
} PacketLimit;

/* A limit that several rules share. */
typedef struct NamedLimit {
        const char *name;
        PacketLimit limit;
} NamedLimit;

typedef enum StatementKind {
        STATEMENT_LIMIT,       /* goes on below the limit */
        STATEMENT_CONNECTIONS, /* goes on while no more than so many connections are open */
        STATEMENT_NAMED_LIMIT, /* goes on below the limit of that name */
        STATEMENT_LOG,         /* always goes on */
        STATEMENT_SAMPLE,      /* likewise: shows the packet to whoever follows what is refused */
        _STATEMENT_MAX,
        _STATEMENT_INVALID = -EINVAL,
} StatementKind;

/* What stands between matches and verdict: it has a state, or an effect. */
typedef struct Statement {
        StatementKind kind;
        PacketLimit limit;    /* of STATEMENT_LIMIT */
        uint32_t connections; /* of STATEMENT_CONNECTIONS */
        /* Of these two: a dynamic set keeps one for each value of the field. NULL: one for all. */
        const Set *set;
        FieldId field;
        const char *text; /* the log line's prefix (of a sample, or NULL), or the limit's name */
} Statement;

/* Where a connection is sent instead. */
typedef struct NatTarget {
        Family family;
        U128 address;
        uint16_t port; /* 0: the one that was dialled */
} NatTarget;

/* All matches hold → statements, as long as they go on → count, then the verdict. A match on a
 * field that the packet does not have fails, negated or not: the rule is passed over, as in the
 * kernel. */
typedef struct Rule {
        Match *matches; /* two rules may share them once passes have run: they are not written to */
        Statement *statements;
        uint32_t n_matches, n_statements;
        bool counted;
        uint8_t n_map_fields;
        FieldId map_fields[RULESET_FIELDS_MAX];
        uint64_t packets, bytes; /* as read from the kernel */
        Verdict verdict;
        const Set *map;          /* of VERDICT_MAP */
        const NatTarget *target; /* of VERDICT_DNAT */
        Origin origin;
        uint64_t handle; /* of a rule read from the kernel */
} Rule;

typedef enum Hook {
        HOOK_PREROUTING,
        HOOK_INPUT,
        HOOK_FORWARD,
        HOOK_OUTPUT,
        HOOK_POSTROUTING,
        _HOOK_MAX,
        HOOK_NONE = -EINVAL, /* not a base chain */
} Hook;

typedef enum ChainType {
        CHAIN_FILTER,
        CHAIN_NAT, /* sees the first packet of each connection, and may translate it */
} ChainType;

struct Chain {
        const char *name;
        Hook hook;
        ChainType type;   /* of base chains */
        int priority;     /* of base chains */
        bool policy_drop; /* of base chains */
        Rule *rules;
        size_t n_rules;
        size_t room; /* rules that find room without a move; 0, or a power of two */
        Origin origin;
        uint64_t handle;
        size_t scratch; /* for one pass or check at a time; means nothing between two of them */
};

typedef struct SetPool SetPool;

typedef struct Ruleset {
        Arena *arena;
        SetPool *pool; /* of sets without a name */
        Chain **chains;
        size_t n_chains;
        Set **sets; /* the named ones */
        size_t n_sets;
        NamedLimit *limits;
        size_t n_limits;
        bool count_elements; /* sets that stand for several rules count each element */
        bool exists;         /* of one read from the kernel: whether there is such a table */
        uint32_t flags;      /* the table's NFT_TABLE_F_ flags: as read, or as it shall be made */
        uint32_t generation; /* of the kernel's whole ruleset when this was read */
        uint32_t owner;      /* the owner's netlink port, 0 if none */
} Ruleset;

Ruleset *ruleset_new(Arena *a);

/* Building. Each returns what it made, or NULL without memory. Names are copied. */
Chain *ruleset_add_chain(Ruleset *rs, const char *name);
Chain *ruleset_add_base_chain(Ruleset *rs, const char *name, Hook hook);
/* A base chain that translates; what falls out of it is accepted. */
Chain *ruleset_add_nat_chain(Ruleset *rs, const char *name, Hook hook, int priority);
NamedLimit *ruleset_add_limit(Ruleset *rs, const char *name, PacketLimit limit);
Set *ruleset_add_set(Ruleset *rs, const char *name, TypeId type);
Set *ruleset_anonymous_set(Ruleset *rs, TypeId type);
/* A set of one field with the given ranges, sorted and joined. name may be NULL: such a set is
 * shared by all that ask for the same one, and so must not be changed. */
Set *ruleset_set_of_ranges(Ruleset *rs, const char *name, TypeId type, const RangeSet *ranges);
/* Makes room for about n rules in a chain that has none yet: what of it is not used costs nothing.
 * 0, or -ENOMEM. */
int chain_reserve(Ruleset *rs, Chain *chain, size_t n);
Rule *chain_add_rule(Ruleset *rs, Chain *chain, Verdict verdict, Origin origin);
Element *set_add_element(Ruleset *rs, Set *set, const Range *key);

/* Matches are added with what they need in front of them (an `ip saddr` its `meta nfproto ipv4`);
 * 0, or -ENOMEM. */
int rule_match_set(Ruleset *rs, Rule *rule, FieldId field, MatchOp op, const Set *set);
int rule_match_concat(
        Ruleset *rs, Rule *rule, const FieldId *concat, size_t n, MatchOp op, const Set *set);
/* Whether a match looks at that field alone. */
bool rule_has_match(const Rule *rule, FieldId field);
/* Gives the rule the verdict that map has for field. */
int rule_set_map(Ruleset *rs, Rule *rule, FieldId field, const Set *map);
int rule_match_value(Ruleset *rs, Rule *rule, FieldId field, uint64_t value);
int rule_match_ranges(Ruleset *rs, Rule *rule, FieldId field, const RangeSet *ranges);
int rule_match_bits(Ruleset *rs, Rule *rule, FieldId field, MatchOp op, uint32_t mask);

/* Gives the rule VERDICT_DNAT to the target, which is copied. 0, or -ENOMEM. */
int rule_set_target(Ruleset *rs, Rule *rule, NatTarget target);
/* Appends a statement, with what its field needs among the matches. 0, or -ENOMEM. */
int rule_add_statement(Ruleset *rs, Rule *rule, const Statement *statement);
/* Whether every packet that comes here takes the verdict. */
bool rule_is_unconditional(const Rule *rule);
/* Whether it keeps a state, so that no other rule can do its work. */
bool rule_has_state(const Rule *rule);

const NamedLimit *ruleset_find_limit(const Ruleset *rs, const char *name);
Chain *ruleset_find_chain(const Ruleset *rs, const char *name);
Set *ruleset_find_set(const Ruleset *rs, const char *name);

/* Sorts the elements by key. */
void set_sort(Set *set);
/* The element that holds the key of n_types values, or NULL. */
const Element *set_find(const Set *set, const U128 *key);

/* Bytes of a comment that the kernel keeps: all, or up to RULESET_COMMENT_MAX without cutting a
 * character. NULL has none. */
size_t comment_size(const char *text);

/* Equal in everything that the kernel keeps, counters and handles aside. Of elements of a set:
 * their types are the set's. */
bool element_equal(const Set *set, const Element *a, const Element *b);
bool set_equal(const Set *a, const Set *b);
bool rule_equal(const Rule *a, const Rule *b);
bool chain_equal(const Chain *a, const Chain *b);
bool ruleset_equal(const Ruleset *a, const Ruleset *b);

static inline Verdict verdict_of(VerdictKind kind) {
        return (Verdict){.kind = kind};
}

static inline Verdict verdict_to(VerdictKind kind, const Chain *chain) {
        return (Verdict){.kind = kind, .chain = chain};
}

/* Whether no packet goes on behind it. */
bool verdict_is_final(VerdictKind kind) _const_;

const char *verdict_kind_to_string(VerdictKind kind); /* nft's word */
const char *hook_to_string(Hook hook);

/* Checks what every Ruleset must fulfil between two passes and before the kernel sees it: fields
 * have what they need, jumps end and are not too deep, base chains end in a refusal or another
 * final verdict, names are unique. 0, or -EBADMSG with the reason in d: our own mistake, never the
 * user's. */
int ruleset_verify(const Ruleset *rs, Diag *d);

/* Writes the table in nft's syntax; nft 1.0.6 loads it. */
void ruleset_print(const Ruleset *rs, FILE *f);
/* One rule, without the newline. */
void rule_print(const Rule *rule, FILE *f);
/* One element of the set, likewise. */
void element_print(const Set *set, const Element *e, FILE *f);

/* What the host adds to a compiled ruleset when it is loaded: the networks that are on link, and
 * its bridges. */

/* Fills the sets that have a source. 0 or -ENOMEM. */
int ruleset_set_networks(Ruleset *rs, const HostNetwork *networks, size_t n_networks);

typedef struct Bridge {
        const char *name;
        const unsigned char (*addresses)[6]; /* its own link-layer address and its ports' */
        size_t n_addresses;
} Bridge;

/* Fills the sets of bridges; 0 or -ENOMEM. Sets that the ruleset does not have are no error. */
int ruleset_set_bridges(Ruleset *rs, const Bridge *bridges, size_t n_bridges);

#define RULESET_BRIDGE_FRAMES "bridge-frames" /* iifname . oifname: the same bridge twice */
#define RULESET_BRIDGE_OWN "bridge-own" /* iifname . ether daddr: frames addressed to this host */
