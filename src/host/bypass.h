/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What lies beside nftables on this host and could pass connections by its rules: each kind of it
 * found, not found, or not to be seen. Facts alone: whether a claim of the policy's still stands is
 * for the caller to say, who asks bypass_judge(). Texts hold foreign names, but cleaned: each fits
 * into a line. */

#include "host/process.h"
#include "host/sysctls.h"
#include "nft/foreign_links.h"
#include "nft/legacy.h"
#include "nft/programs.h"
#include "nft/routes.h"

#define BYPASSES_MAX 1024 /* that are kept of a kind */

typedef enum BypassKind {
        BYPASS_LEGACY, /* tables of the old iptables */
        BYPASS_XDP,
        BYPASS_TC,
        BYPASS_SK_LOOKUP,
        BYPASS_CGROUP,    /* BPF programs of control groups */
        BYPASS_NETFILTER, /* BPF programs of netfilter */
        BYPASS_LOCALNET,  /* route_localnet */
        BYPASS_FLOWTABLE,
        BYPASS_MACVLAN, /* and ipvlan */
        BYPASS_BRIDGE,  /* frames that no rule sees */
        BYPASS_IPVS,
        BYPASS_DOCKER_PROXY,
        BYPASS_FORWARDER, /* of ports, of rootless containers and machines */
        BYPASS_SSH,       /* forwarded ports */
        BYPASS_RELAY,     /* socat */
        BYPASS_TUNNEL,    /* programs that bring connections from elsewhere */
        BYPASS_PROXY,     /* servers that can pass requests on */
        _BYPASS_KIND_MAX,
} BypassKind;

typedef enum BypassState {
        BYPASS_ABSENT,
        BYPASS_FOUND,
        BYPASS_UNKNOWN, /* could not be looked at, as a rule because only root may */
        _BYPASS_STATE_MAX,
} BypassState;

typedef enum BypassEffect {
        BYPASS_NO_EFFECT,   /* at most it refuses, or what comes of it meets the rules */
        BYPASS_BY_SETTINGS, /* passes on what its own settings say, which are not read */
        BYPASS_LETS_IN,     /* could let a packet in that the rules refuse */
        BYPASS_RELAYS,      /* whoever reaches it reaches the target */
        _BYPASS_EFFECT_MAX,
} BypassEffect;

typedef struct Bypass {
        BypassKind kind;
        BypassState state;
        BypassEffect effect; /* of what is unknown: the worst that there could be */
        const char *what;    /* "process 812, docker-proxy: port 8080/tcp goes to port 5678" */
        const char *hint;    /* what to do; NULL where there is nothing to do */
        /* As far as it is known whom it lets in, else all of them. */
        bool ipv4, ipv6;
        const char *interface; /* by which it comes in; NULL: any */
        bool is_behind;        /* to containers and machines behind this host, not to it itself */
        /* Of what relays. */
        uint8_t proto;        /* IPPROTO_TCP or _UDP */
        uint16_t port;        /* where it listens; 0: elsewhere, in front of no rule of this host */
        uint16_t target_port; /* 0: not known */
} Bypass;

/* What the kernel says; see bypass_read(). */
typedef struct BypassInput {
        HostSockets listening;
        HostNet net;
        Sysctls settings;
        Programs programs;
        Holders holders;
        ForeignLink *foreign; /* of the network namespaces in which there are processes */
        size_t n_foreign;
        int foreign_error; /* negative errno: not all of them could be asked */
        /* legacy_read(), or what a test has in its place */
        int (*read_legacy)(Arena *a, Family family, const char *table, LegacyTable *ret);
} BypassInput;

/* All kinds in their order, each at least once. In the arena of the tree. 0, -ENOMEM, or why the
 * kernel or /proc cannot be asked at all. */
int bypass_read(const Tree *t, const Listening *listening, Bypass **ret, size_t *ret_n);
/* The same of what the kernel has said, and of the files and processes in the tree. */
int bypass_find(const Tree *t, const BypassInput *input, Bypass **ret, size_t *ret_n);

typedef enum BypassMeaning {
        BYPASS_MEANS_NOTHING,
        BYPASS_MEANS_UNDECIDED, /* the rules alone do not settle it */
        BYPASS_MEANS_REFUTED,   /* a relay leads there */
} BypassMeaning;

/* What it makes of a claim, proved for the rules, that nobody from outside reaches a service at
 * this port. A relay that listens at that very port means nothing: the rules refuse that port. One
 * at another port refutes the claim if the rules let anybody reach `port` (or that is 0), which is
 * for the caller to find out. */
BypassMeaning bypass_judge(const Bypass *b, uint8_t proto, uint16_t port);

const char *bypass_kind_to_string(BypassKind kind);    /* "docker-proxy": stays the same */
const char *bypass_kind_name(BypassKind kind);         /* in words: "tc filters" */
const char *bypass_state_to_string(BypassState state); /* "absent", "found", "unknown" */
const char *
bypass_effect_to_string(BypassEffect effect); /* "none", "settings", "lets-in", "relays" */
