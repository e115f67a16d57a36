/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the operator means: plain structs, every name resolved, every value in range. policy_load()
 * makes a Policy from the catalogue and the administrator's file; nothing behind it has to check
 * the operator's input again. Everything lives in the arena of the load. */

#include "base/address.h"
#include "base/diag.h"

#define POLICY_FILE_MAX ((size_t)16 << 20) /* bytes of one policy file */
#define POLICY_FILES_MAX 1000              /* files that are merged into one policy */
#define POLICY_INCLUDE_DEPTH_MAX 16        /* files within files */
#define RATE_NUMBER_MAX 1000000            /* of a limit, in its unit of time */
#define POLICY_NAME_MAX 63                 /* bytes of a zone's or service's name */

/* A network that is on link at an interface: a route without a gateway. */
typedef struct HostNetwork {
        U128 interface; /* its name, see interface_value() */
        Family family;
        Range range;
} HostNetwork;

/* A box of clients (or servers): the interface is one of `interfaces` and the address one of
 * `addresses`, or of the networks that are on link at `connected`. An interface's name is a number
 * of 128 bits, see interface_value(). */
typedef struct ZonePart {
        bool any_interface;
        RangeSet interfaces; /* names; with INTERFACE_UNNAMED, those that no policy names, too */
        bool any_address;
        RangeSet addresses[_FAMILY_MAX]; /* normalised; empty: no address of that family */
        RangeSet connected;              /* interfaces whose own networks are meant; what those
                                          * are now is among the addresses */
        RangeSet fixed[_FAMILY_MAX];   /* with `connected`: the addresses but for those networks */
        RangeSet without[_FAMILY_MAX]; /* taken away from those networks */
        /* Set if lists in files have a say in `addresses`. They may be others tomorrow: these are
         * meant whatever the lists hold, and those may be. */
        bool listed;
        RangeSet certain[_FAMILY_MAX], possible[_FAMILY_MAX];
} ZonePart;

typedef struct Zone {
        const char *name;
        Span at;
        bool from_catalogue;
        ZonePart *parts; /* the zone is their union; never empty */
        size_t n_parts;
} Zone;

/* One item of a zone expression: a zone, or addresses written out. */
typedef struct ZoneTerm {
        Span at;
        const Zone *zone; /* NULL: the range below */
        Family family;
        Range range;
} ZoneTerm;

/* The union of its terms. `anywhere` has no terms; so has an expression that is absent. */
typedef struct ZoneExpression {
        Span at;        /* no source when absent */
        bool given;     /* written down, be it as `anywhere` */
        bool restricts; /* is anything but anywhere */
        ZoneTerm *terms;
        size_t n_terms;
        const char *text; /* "lan, vpn": for messages */
} ZoneExpression;

/* Which connections a service, or a list of them, means: the union of everything named here. */
typedef struct ServiceSet {
        bool any;
        RangeSet tcp, udp, sctp; /* destination ports; normalised */
        RangeSet icmp, icmpv6;   /* types */
        RangeSet protocols;      /* whole IP protocols by number */
} ServiceSet;

typedef struct Service {
        const char *name;
        Span at;
        bool from_catalogue;
        bool internal; /* never belongs on the internet */
        ServiceSet set;
} Service;

/* One item of a service expression. */
typedef struct ServiceTerm {
        Span at;
        const Service *service; /* NULL: ports or protocols written out */
        const char *text;       /* "ssh", "8080/tcp" */
        ServiceSet set;
} ServiceTerm;

typedef struct ServiceExpression {
        Span at;
        ServiceTerm *terms;
        size_t n_terms;
        ServiceSet set;   /* the union of the terms */
        const char *text; /* "ssh, 8080/tcp": for messages, comments and chains' names */
} ServiceExpression;

typedef enum RateUnit {
        RATE_SECOND,
        RATE_MINUTE,
        RATE_HOUR,
        RATE_DAY,
        _RATE_UNIT_MAX,
} RateUnit;

/* So many in a time: 10/minute. */
typedef struct Rate {
        uint32_t number; /* 1 to RATE_NUMBER_MAX */
        RateUnit unit;
} Rate;

/* How many new connections a rule admits in a time; what is beyond does not match it. */
typedef struct Limit {
        Rate rate; /* number 0: no limit */
        uint32_t burst;
        bool per_source; /* IPv4 by address, IPv6 by /64 */
} Limit;

/* How many connections a rule lets be open at once. */
typedef struct Connections {
        uint32_t number; /* 0: no limit */
        bool per_source;
} Connections;

typedef enum RuleVerb {
        RULE_ALLOW,
        RULE_DENY,
        _RULE_VERB_MAX,
        _RULE_VERB_INVALID = -EINVAL,
} RuleVerb;

typedef struct PolicyRule {
        Span at; /* of its first key */
        RuleVerb verb;
        ServiceExpression services;
        ZoneExpression from, to, except;
        RangeSet in, out;       /* interfaces; empty: any */
        RangeSet users, groups; /* numbers of who owns the socket; empty: any */
        Limit limit;            /* with RULE_ALLOW alone, as connections */
        Connections connections;
        int64_t until; /* seconds since 1970; 0: for ever. Rules that are over are left out */
        bool log;
        const char *log_word; /* that the log line carries, or NULL */
        const char *name;     /* or NULL */
        const char *text;     /* "policy.yaml:9: allow https from lan": its name in messages */
} PolicyRule;

typedef enum SectionDefault {
        DEFAULT_DROP,
        DEFAULT_REJECT,
        DEFAULT_ALLOW,
        _DEFAULT_MAX,
        _DEFAULT_INVALID = -EINVAL,
} SectionDefault;

typedef enum SectionId {
        SECTION_INBOUND,
        SECTION_OUTBOUND,
        SECTION_ROUTED,
        _SECTION_MAX,
        _SECTION_INVALID = -EINVAL,
} SectionId;

#define LOG_WORD_MAX 32 /* bytes */

typedef struct Section {
        Span at; /* no source if the policy does not have the section */
        SectionDefault fallback;
        Span fallback_at; /* where the default is said; no source if nowhere */
        bool log;         /* what the default refuses */
        Rate log_limit;   /* number 0: settings.log-limit alone */
        PolicyRule *rules;
        size_t n_rules;
} Section;

typedef struct Protected {
        Span at;
        ServiceExpression services;
        ZoneExpression only_from; /* not given: from this host itself alone */
        const char *text;         /* "policy.yaml:15: protected ollama, n8n" */
} Protected;

/* { masquerade: ZONE, out: IFACE } */
typedef struct Masquerade {
        Span at;
        ZoneExpression from; /* clients; of IPv6 those of fc00::/7 alone */
        RangeSet out;        /* interfaces on which they leave */
        const char *text;    /* "policy.yaml:20: masquerade lan out wan0" */
} Masquerade;

/* { forward: SERVICE, to: ADDRESS[:PORT], in: IFACE } */
typedef struct Forward {
        Span at;
        ServiceExpression services; /* ports alone */
        Family family;
        U128 address;
        uint16_t port; /* 0: the dialled one */
        RangeSet in;   /* interfaces; empty: any */
        const char *text;
} Forward;

/* A test of the policy by itself: the verdict of every connection that the rule describes. */
typedef struct Expect {
        SectionId section;
        PolicyRule rule; /* verb, services, from, to, in and text; RULE_DENY: dropped or rejected */
} Expect;

typedef enum Antispoof {
        ANTISPOOF_LOOSE,
        ANTISPOOF_STRICT,
        ANTISPOOF_OFF,
} Antispoof;

/* Groups of what passes unasked; settings.essentials is a set of them, 1 << each. */
typedef enum EssentialId {
        ESSENTIAL_NEIGHBOURS, /* neighbour discovery, router solicitations and advertisements */
        ESSENTIAL_MLD,
        ESSENTIAL_IGMP,
        ESSENTIAL_DHCP,   /* a client's exchange, of IPv4 and IPv6 */
        ESSENTIAL_ERRORS, /* ICMP errors of known connections */
        _ESSENTIAL_MAX,
} EssentialId;

typedef enum Containers {
        CONTAINERS_OPEN,
        CONTAINERS_CLOSED,
} Containers;

typedef enum Ownership {
        OWNERSHIP_AUTO,
        OWNERSHIP_OFF,
} Ownership;

typedef enum Drift {
        DRIFT_HEAL,
        DRIFT_ALERT,
} Drift;

typedef enum Counters {
        COUNTERS_RULES,
        COUNTERS_EACH,
        COUNTERS_OFF,
} Counters;

/* Both NULL: nobody is told. */
typedef struct Alerts {
        const char *run;     /* an absolute path */
        const char *webhook; /* an http or https URL */
} Alerts;

/* `settings`, with the defaults of what is not said. */
typedef struct Settings {
        Antispoof antispoof;
        unsigned int essentials; /* bits: 1 << EssentialId */
        Containers containers;
        uint32_t mark; /* one bit */
        Rate log_limit;
        bool cut_denied;
        ZoneExpression rescue; /* not given: the peer that last confirmed */
        unsigned int confirm;  /* seconds */
        Ownership ownership;
        Drift drift;
        Alerts alerts;
        Counters counters;
} Settings;

#define BANS_MAX 1000000          /* that can be kept */
#define BANS_NEVER_MAX 10000      /* ranges of `never` */
#define BANS_FACTOR_MAX 10        /* of `escalate` */
#define BANS_LONGEST_MAX 31536000 /* seconds, a year: likewise */
#define BANS_WIDEST_IPV4 8        /* no prefix that is shorter is ever banned, whoever asks */
#define BANS_WIDEST_IPV6 16

/* Each further ban of an address that is remembered lasts `factor` times as long as the one before,
 * but no longer than that. */
typedef struct Escalation {
        unsigned int factor;  /* 2 to BANS_FACTOR_MAX; 0: off */
        unsigned int longest; /* seconds, to BANS_LONGEST_MAX; what was asked for is never cut */
} Escalation;

/* `bans`, with the defaults of what is not said. Lengths are of prefixes, in bits. */
typedef struct BanSettings {
        ZoneExpression never; /* besides what never is; addresses alone, no interfaces */
        Escalation escalate;
        unsigned int ipv6;     /* what a single IPv6 address stands for: 128, 64, 56 or 48 */
        unsigned int ipv6_cap; /* up to which bans are widened; as ipv6: they are not */
        unsigned int max;      /* bans that are kept, to BANS_MAX */
        unsigned int widest[_FAMILY_MAX]; /* that may be banned */
} BanSettings;

/* A user or a group that the policy names, and what the host knew it by. */
typedef struct PolicyOwner {
        bool is_group;
        const char *name;
        uint32_t number;
} PolicyOwner;

typedef struct Policy {
        Arena *arena;
        const char *file; /* as the user named it */
        /* All texts that it was made of: the catalogue, the policy's files, then lists of zones. */
        const Source **sources;
        size_t n_sources, n_files; /* n_files of them are no lists */
        Zone **zones;              /* sorted by name, the catalogue's included */
        size_t n_zones;
        Service **services; /* likewise */
        size_t n_services;
        Section sections[_SECTION_MAX];
        Protected *protected;
        size_t n_protected;
        Masquerade *masquerades;
        size_t n_masquerades;
        Forward *forwards;
        size_t n_forwards;
        Expect *expects;
        size_t n_expects;
        Settings settings;
        BanSettings bans;
        const Zone *containers, *vms; /* the catalogue's, or what the policy redefined them to */
        PolicyOwner *owners;          /* each once */
        size_t n_owners;
} Policy;

/* What a policy was made of when it was loaded: enough to load it again without the host's files
 * and names. */
typedef struct PolicyTexts {
        const Source *sources; /* as Policy has them, in the same order */
        size_t n_sources, n_files;
        const PolicyOwner *owners;
        size_t n_owners;
} PolicyTexts;

/* What one of a policy's files is going to say: read in its place, and as one of policy.d if there
 * is no such file yet. */
typedef struct PolicyDraft {
        const char *path;
        const char *text; /* must live as long as the policy */
        size_t size;
} PolicyDraft;

typedef struct PolicyPaths {
        const char *catalogue; /* the catalogue's file */
        const char *policy;    /* the administrator's; "-" is standard input, NULL says nothing */
        /* Tells which networks are on link at this host; asked only if a zone is `connected`. NULL:
         * none is known. 0, or a negative errno that is told with the zone. */
        int (*networks)(Arena *a, HostNetwork **ret, size_t *ret_n);
        /* NULL, or what is read instead of files: the two names above are not looked at then, and
         * no name of a user or group is looked up. Must live as long as the arena. */
        const PolicyTexts *texts;
        bool of_root; /* refuse files that do not belong to root: whoever puts the policy
                       * in force asks for it; standard input excepted */
        const PolicyDraft *draft; /* or NULL */
} PolicyPaths;

/* Loads the policy with what it includes and the folder policy.d beside it, merges, resolves and
 * checks. Every mistake is reported in d; -EBADMSG if there is one. Other errors: -ENOMEM. A policy
 * that cannot be opened is reported in d, too, and gives -ENOENT; any file that may not be read,
 * -EACCES. */
int policy_load(Arena *a, const PolicyPaths *paths, Policy **ret, Diag *d);

/* The same from texts in memory, which must live as long as the arena. They can name no files. The
 * second knows the networks that are on link. */
int policy_load_text(Arena *a, Source catalogue, Source policy, Policy **ret, Diag *d);
int policy_load_text_on_link(Arena *a,
                             Source catalogue,
                             Source policy,
                             const HostNetwork *networks,
                             size_t n_networks,
                             Policy **ret,
                             Diag *d);

/* What is so where a policy says nothing of it. */
void settings_init(Settings *ret);
void ban_settings_init(BanSettings *ret);

const char *section_id_to_string(SectionId id); /* "inbound" */
const char *section_default_to_string(SectionDefault fallback);
const char *rule_verb_to_string(RuleVerb verb);

const char *rate_unit_to_string(RateUnit unit); /* "second" */
uint32_t rate_unit_seconds(RateUnit unit);
const char *essential_to_string(EssentialId essential); /* "neighbour-discovery" */

const Zone *policy_find_zone(const Policy *p, const char *name);
const Service *policy_find_service(const Policy *p, const char *name);
/* What the catalogue calls a service that people know by another name ("samba"), or its port; NULL
 * if nothing is known of it. For hints alone: rules do not take it. */
const char *service_alias(const char *name);

/* Whether a client (or server) at this address behind this interface is meant. An interface NULL is
 * one that no policy names. */
bool zone_contains(const Zone *z, const U128 *interface, Family family, U128 address);
bool zone_expression_contains(const ZoneExpression *e,
                              const U128 *interface,
                              Family family,
                              U128 address);

/* What a zone means: "10.0.0.0/8, 192.0.2.1; eth0 with fd00::/8". */
void zone_parts_print(const ZonePart *parts, size_t n, FILE *f);
/* "eth0, wg*" */
void interfaces_print(const RangeSet *interfaces, FILE *f);

/* No name is this number: it stands for all interfaces that no policy names. */
#define INTERFACE_UNNAMED U128_MAX

/* An interface's name (at most 15 bytes) as a number: the bytes as they stand, padded with zeros.
 */
U128 interface_value(const char *name);
/* All names that begin with prefix. */
Range interface_prefix_range(const char *prefix);
/* Whether all names but some are meant; and the ones that are not meant. 0 or -ENOMEM. */
bool interface_set_is_open(const RangeSet *interfaces);
int interface_set_complement(Arena *a, const RangeSet *interfaces, RangeSet *ret);
/* Names and wildcards that say the same: those of ret_base (open: any) but for those of ret_minus,
 * which is empty if nothing was taken away. 0 or -ENOMEM. */
int interface_set_split(Arena *a,
                        const RangeSet *interfaces,
                        RangeSet *ret_base,
                        RangeSet *ret_minus);

/* Numbers and names of IP protocols (IANA's registry); false if unknown. */
bool protocol_from_string(const char *name, uint8_t *ret);
const char *protocol_to_string(uint8_t protocol); /* NULL if it has no name here */
/* ICMP's and ICMPv6's types by their usual names ("echo-request"). */
bool icmp_type_from_string(Family family, const char *name, uint8_t *ret);
const char *icmp_type_to_string(Family family, uint8_t type); /* NULL if it has no name here */
