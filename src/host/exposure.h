/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Everything of this host's that listens or is published, and who reaches it by the rules of all
 * tables: what could be wrong first. Texts are foreign, but cleaned and short. */

#include "host/bypass.h"
#include "host/containers.h"
#include "policy/policy.h"
#include "proof/reach.h"

#define EXPOSURE_TEXT_MAX 48          /* bytes that are kept of a name */
#define EXPOSURE_ZONES_MAX 64         /* further ones are left out, */
#define EXPOSURE_ZONE_RANGES_MAX 4096 /* and those of more addresses: blocklists */
#define EXPOSURE_PLACES_MAX 4         /* of one row: two families, listened at and translated */
#define EXPOSURE_SHOWN_MAX 20         /* rows for which a packet is looked for */

typedef enum ExposureKind {
        EXPOSURE_LISTENS,   /* a socket of this host's */
        EXPOSURE_PUBLISHED, /* rules translate it to another host, as a rule a container */
        EXPOSURE_ROUTED,    /* the same target, dialled by its own address */
} ExposureKind;

/* The order of the rows. */
typedef enum ExposureDanger {
        EXPOSURE_PROTECTED, /* the policy protects it, and somebody it does not name gets there */
        EXPOSURE_INTERNAL,  /* the internet reaches what never belongs there, and no policy is in
                             * force that says so */
        EXPOSURE_UNDECIDED, /* protected, and it is not sure */
        EXPOSURE_INTERNET,
        EXPOSURE_OUTSIDE, /* reached from elsewhere */
        EXPOSURE_CLOSED,
        _EXPOSURE_DANGER_MAX,
} ExposureDanger;

typedef struct ExposurePlace {
        Family family;
        ReachPlace place;
} ExposurePlace;

/* Of one group of clients, both families together. */
typedef struct ExposureAnswer {
        ReachCount count;
        bool absent, unsure, covered; /* as ReachAnswer says */
        bool is_one_family; /* reached over one family alone, although there is another: */
        Family family;
} ExposureAnswer;

typedef struct ExposureRow {
        ExposureKind kind;
        ExposureDanger danger;
        uint8_t proto;
        uint16_t low, high; /* the ports that are dialled, as a rule one */
        const char *at;     /* "*", of one family "0.0.0.0" or "::"; "loopback", "192.0.2.1",
                             * "fe80::1%eth0" */
        bool is_loopback;
        bool has_family[_FAMILY_MAX];
        const char *program, *owner; /* "nginx", "nginx.service"; NULL: not known */
        pid_t pid;                   /* 0: not known */
        const char *target;          /* where it ends, if elsewhere: "172.17.0.2:80"; or NULL */
        uint16_t target_port;        /* likewise; 0: unknown, or the dialled one */
        const Container *container;  /* that has it, or NULL */
        const Protected *claim;      /* what protects it, or NULL */
        const Service *internal;     /* what it seems to be, and never belongs on the internet; or
                                      * NULL */
        const char *relay;           /* it passes connections on to elsewhere: in words; or NULL */
        const char *tunnel;      /* a program brings connections to it, past the rules: likewise */
        ExposureAnswer *zones;   /* one a zone of Exposure's */
        ExposureAnswer anywhere; /* everybody there can be */
        bool by_outsiders;       /* somebody who is no container or machine of this host's */
        bool by_neighbours;      /* hosts on the same link, which send to a loopback address */
        const char *connection;  /* one of EXPOSURE_PROTECTED's or _INTERNAL's, in words */
        ExposurePlace places[EXPOSURE_PLACES_MAX];
        size_t n_places;
} ExposureRow;

typedef struct Exposure {
        ExposureRow *rows; /* by danger, protocol and port */
        size_t n_rows;
        size_t n_danger[_EXPOSURE_DANGER_MAX]; /* ports; a row may be several */
        const Zone **zones; /* the internet, the policy's own by name, the catalogue's */
        size_t n_zones, n_zones_left_out;
        const char **open; /* what answers that are not sure hang on */
        size_t n_open;
        bool is_open;         /* so does every answer */
        bool misses_programs; /* root would see more of them */
} Exposure;

typedef struct ExposureInput {
        const Policy *policy; /* or the catalogue alone */
        const World *world;
        bool in_force; /* a policy of ringwall's */
        HostSockets listening;
        Holders holders;
        ContainerList containers;
        const Bypass *bypasses;
        size_t n_bypasses;
} ExposureInput;

/* 0, -ENOMEM, or -EPROTO if the proof and the evaluator do not agree. */
int exposure_find(Arena *a, const ExposureInput *input, Exposure *ret);

const char *exposure_kind_to_string(ExposureKind kind);       /* "listens" */
const char *exposure_danger_to_string(ExposureDanger danger); /* "protected" */
