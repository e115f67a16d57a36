/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Rules on ports that stand in a row in a chain, and what their ports are cut into: atoms, ranges
 * that every rule takes wholly or leaves wholly. */

#include "ruleset/ruleset.h"

typedef struct PortRule {
        const Rule *rule;
        uint8_t protocol;
        FieldId field;
        const Set *ports;
        Match *rest; /* its matches without what the lookup decides */
        uint32_t n_rest;
} PortRule;

typedef struct PortAtom PortAtom;
struct PortAtom {
        uint32_t low, high;
        const uint32_t *rules; /* numbers within the run, ascending */
        size_t n_rules;
        PortAtom *first; /* the lowest one with the same rules */
        PortAtom *alike; /* of the first: the lowest one whose line says the same; or NULL */
        size_t n_alike;  /* of that one: lines */
        Chain *chain;
};

typedef struct PortRun {
        Ruleset *rs;
        Arena *scratch;   /* what is needed no more once the chains stand */
        const char *name; /* what its chains' and maps' names begin with */
        PortRule *rules;  /* all about the same field */
        size_t n_rules;
        PortAtom *atoms; /* of the protocol at hand */
        size_t n_atoms;
        size_t n_entries;
} PortRun;

/* Of tcp, udp and sctp. */
#define PORT_PROTOCOLS 3
extern const uint8_t port_protocols[PORT_PROTOCOLS];

/* The run that begins with the chain's rule `first`, which may hold none; ret->scratch is set.
 * number: of the chain's runs, from 1. 0 or -ENOMEM. */
int port_run_collect(
        Ruleset *rs, const Chain *chain, size_t first, unsigned int number, PortRun *ret);
/* Into the atoms of one protocol. 0, -ENOMEM, or -E2BIG where so many wide ranges overlap that a
 * list is the better form. */
int port_run_cut(PortRun *run, uint8_t protocol);
