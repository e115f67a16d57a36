/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Other firewalls that ringwall can take over from: what it takes to disable each so that nothing
 * of other programs, and nothing of ringwall's, goes with it, and to bring it back as it was. What
 * the programs do is read from their scripts and units: ufw 0.36's ufw-init-functions, firewalld
 * 1.3's fw.py, nftables 1.0's nftables.service. Nothing is done here: functions of what was read.
 */

#include "host/tree.h"
#include "nft/sockets.h"
#include "world/world.h"

typedef enum TakeoverRival {
        TAKEOVER_FIREWALLD,
        TAKEOVER_NFTABLES,
        TAKEOVER_UFW,
        _TAKEOVER_RIVAL_MAX,
        _TAKEOVER_RIVAL_INVALID = -EINVAL,
} TakeoverRival;

/* "ufw"; nftables.service is "nftables", as in host/rivals.h. */
const char *takeover_rival_to_string(TakeoverRival rival);
TakeoverRival takeover_rival_from_string(const char *s);
/* As its people write it. */
const char *takeover_rival_name(TakeoverRival rival);

/* Whether one comes at boot, and whether its rules are there now. Of units as `systemctl show` says
 * it; ufw's unit stays as it is: what counts is ENABLED in ufw.conf, and its chains. */
typedef struct TakeoverState {
        bool is_enabled;
        bool for_this_boot; /* enabled, but below /run (systemctl enable --runtime) */
        bool is_active;
} TakeoverState;

/* Takes the answer of `systemctl show -p UnitFileState,ActiveState UNIT`. */
TakeoverState takeover_state_parse(const char *text);

/* A table of nftables.service. */
typedef struct TakeoverTable {
        uint8_t family;
        const char *name;
        const char *stranger; /* a chain in it that its configuration does not make; or NULL */
} TakeoverTable;

/* What was found on the host. */
typedef struct TakeoverHost {
        TakeoverState states[_TAKEOVER_RIVAL_MAX];
        bool ufw_flushes_all;  /* MANAGE_BUILTINS=yes: stopping it empties every iptables table */
        bool ufw_closes_ipv6;  /* IPV6=no: it refuses IPv6 altogether */
        bool ufw_translates;   /* before.rules has a section for nat */
        bool ufw_runs_scripts; /* before.init or after.init */
        bool firewalld_is_xt;  /* its rules are in the tables of iptables */
        bool firewalld_is_direct;
        const char *tables_wrong; /* why nftables.service's tables cannot be told; or NULL */
        TakeoverTable *tables;    /* of those, the ones that are in the kernel */
        size_t n_tables;
        const char *others_xt; /* a program that has chains in iptables tables, too; or NULL */
} TakeoverHost;

/* Reads the files' part: of ufw is_enabled, and what the settings of ufw and firewalld say. 0 or
 * -ENOMEM. */
int takeover_read(const Tree *t, TakeoverHost *ret);
/* Takes the kernel's part: of ufw is_active, who else has chains beside it, and, with what the
 * configuration of nftables.service makes where there is nothing else (or NULL), its tables. 0 or
 * -ENOMEM. */
int takeover_look(const World *live, const World *alone, Arena *a, TakeoverHost *ret);

/* How far a takeover has come. It is written down before anything is done, so that whoever finds it
 * can go on or go back. */
typedef enum TakeoverPhase {
        TAKEOVER_NONE, /* nothing is known of it */
        TAKEOVER_DISABLING,
        TAKEOVER_DISABLED,
        TAKEOVER_RESTORING,
        _TAKEOVER_PHASE_MAX,
} TakeoverPhase;

typedef struct TakeoverRecord {
        struct {
                TakeoverPhase phase;
                TakeoverState before;
        } of[_TAKEOVER_RIVAL_MAX];
} TakeoverRecord;

/* A line a rival. NULL without memory; what is printed of nothing is "" behind the first line. */
const char *takeover_record_print(Arena *a, const TakeoverRecord *record);
/* -EBADMSG for what was not printed by this version. */
int takeover_record_parse(const char *text, TakeoverRecord *ret);
bool takeover_record_is_empty(const TakeoverRecord *record);

/* One rival's part of a plan. */
typedef struct TakeoverStep {
        TakeoverRival rival;
        const char *does; /* "ufw disable" */
        const char **means;
        size_t n_means;
        const char *obstacle; /* why it cannot be done; NULL: it can */
        const char *way_out;  /* then */
} TakeoverStep;

typedef struct TakeoverPlan {
        TakeoverStep *steps; /* in the order in which they are done */
        size_t n_steps;
} TakeoverPlan;

#define TAKEOVER_ALL ((1U << _TAKEOVER_RIVAL_MAX) - 1)

/* What would be disabled of those in the mask (1 << TakeoverRival): those that are there, and those
 * that a takeover was broken off at. 0 or -ENOMEM. */
int takeover_plan(const TakeoverHost *h,
                  const TakeoverRecord *record,
                  unsigned int mask,
                  Arena *a,
                  TakeoverPlan *ret);
/* What would be restored: in the reverse order. */
int takeover_plan_undo(const TakeoverHost *h,
                       const TakeoverRecord *record,
                       unsigned int mask,
                       Arena *a,
                       TakeoverPlan *ret);

/* Takes out of the World what the plan takes out of the kernel: what will hold then. */
void takeover_subtract(const TakeoverHost *h, const TakeoverPlan *plan, World *w);

/* Whether the table is firewalld's: it makes them all by that name. */
bool takeover_is_firewalld_table(const WorldTable *table);

/* A port at which something listens, and to which the rules let connections from one interface
 * now or then, but not both. */
typedef struct TakeoverChange {
        uint8_t proto; /* IPPROTO_... */
        uint16_t port;
        const char *interface;
        bool is_far; /* from behind that interface's default route; else from its own network */
        bool ipv4, ipv6;
        bool opens; /* else it closes */
} TakeoverChange;

#define TAKEOVER_WALKS_MAX 4096 /* packets that are tried; further ones are left out */

/* What the two Worlds differ in for who listens here: tried with one source at each interface and
 * address, which is no proof, but says what to expect. Sorted by protocol and port. 0 or -ENOMEM.
 */
int takeover_compare(const World *now,
                     const World *then,
                     const HostSockets *sockets,
                     Arena *a,
                     TakeoverChange **ret,
                     size_t *ret_n);
