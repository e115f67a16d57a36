/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a first policy has to know of a host: what listens, in which networks it stands, how whoever
 * asks came in, and what ufw lets in. Texts are foreign, but cleaned: each fits into a line. */

#include "host/sshd.h"
#include "host/ufw.h"
#include "nft/routes.h"
#include "policy/policy.h"
#include "world/world.h"

#define SURVEY_UNNAMED_MAX 256 /* ports that no service of the catalogue has, which are kept */
#define SURVEY_TEXT_MAX                                                                            \
        48 /* bytes that are kept of a program's, a unit's or a container's name                   \
            */

/* A port that others could reach, whatever sockets and processes share it. */
typedef struct SurveyPort {
        uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP */
        uint16_t port;
        uint16_t inner; /* of a container's port that is published here: where it ends; else 0 */
        bool is_published;
        bool is_ssh;
        bool of_root;        /* root made all its sockets, or the kernel itself did */
        const char *program; /* "nginx"; NULL: not ours to see, or the kernel's own */
        const char *owner;   /* "nginx.service", "docker 4f5e6d7c8b9a"; or NULL */
        const char
                *inner_address; /* where a published port ends, if the program says it; or NULL */
        const char *container;  /* that it is, "nextcloud_db_1"; NULL: not known */
        const char *words; /* name, command and unit of the process, to recognise it by; or NULL */
} SurveyPort;

typedef enum SurveyLinkKind {
        SURVEY_LINK_OTHER,
        SURVEY_LINK_LAN,       /* a private network, and no public IPv4 one: the one that the caller
                                * is in, or that leads outside */
        SURVEY_LINK_OTHER_LAN, /* likewise, another one beside it */
        SURVEY_LINK_VPN,       /* a tunnel: WireGuard, OpenVPN */
        SURVEY_LINK_TAILNET,   /* Tailscale's */
        SURVEY_LINK_CONTAINERS, /* by the catalogue's zone */
        SURVEY_LINK_VMS,        /* likewise */
        SURVEY_LINK_INSTANCES,  /* a bridge that leads to no other device: Incus', or somebody's own
                                 */
        _SURVEY_LINK_KIND_MAX,
} SurveyLinkKind;

typedef struct SurveyLink {
        const char *name; /* of letters, digits, '.', '_' and '-', the first one no sign */
        SurveyLinkKind kind;
        bool is_uplink; /* a default route leads there */
        bool is_wireguard;
        bool seems_containers; /* is named like a container engine's bridge, and is none */
        const char
                *networks; /* "10.40.10.0/24, fd00:40:10::/64": on link now; "" if there is none */
} SurveyLink;

typedef struct Survey {
        SurveyPort *ports; /* by protocol and number; SSH's included */
        size_t n_ports;
        size_t n_unnamed;    /* of those, and beyond, that no service of the catalogue has */
        size_t n_unreadable; /* processes that we may not look into: programs may be missing */
        SurveyLink *links;   /* by index */
        size_t n_links;
        bool has_kubernetes;
        HostNetwork *networks; /* of all links, for zones that are `connected` */
        size_t n_networks;
        uint16_t *ssh_ports; /* where sshd listens, ascending */
        size_t n_ssh_ports;
        bool has_caller; /* whoever asks came by SSH, from another host */
        Family caller_family;
        U128 caller;
        const char *caller_link; /* by which the caller is reached, one of links; or NULL */
        Ufw ufw;
} Survey;

/* What the kernel says, and sshd; see survey_read(). */
typedef struct SurveyInput {
        HostSockets listening;
        HostNet net;
        Sshd sshd;
        const SshConnection *connection; /* that the caller came by; or NULL */
        const char *environment;         /* the caller's SSH_CONNECTION; or NULL */
        const World *world; /* for what is published by rules alone; NULL: not ours to see */
} SurveyInput;

/* Looks at this host, for the calling process; `environment` as above. 0, -ENOMEM, or what the
 * kernel or /proc said. */
int survey_read(const Tree *t, const Policy *catalogue, const char *environment, Survey *ret);
/* The same of what the kernel has said, and of the processes and files in the tree. */
int survey_make(const Tree *t, const Policy *catalogue, const SurveyInput *input, Survey *ret);

const SurveyLink *survey_find_link(const Survey *s, const char *name); /* name NULL: NULL */
bool survey_has_link(const Survey *s, SurveyLinkKind kind);
/* Whether a port's program is not known because it may not be looked at: root would know. */
bool survey_misses_programs(const Survey *s);
const char *survey_protocol(uint8_t proto); /* "tcp" */
/* Whether a program of that name is a container engine's, which holds a published port open. */
bool survey_publishes(const char *program);
