/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For host/bypass*.c alone: each look appends what it found of its kind; that nothing was found is
 * said for all of them in one place. */

#include "host/bypass.h"

typedef struct Bypasses {
        const Tree *tree;
        const BypassInput *input;
        Bypass *items;
        size_t n_items;
} Bypasses;

/* Appends it, if BYPASSES_MAX are not reached. Its `what` was printed into the arena: -ENOMEM if
 * that is NULL; it is cleaned here. */
int bypass_add(Bypasses *to, Bypass b);
/* A kind could not be looked at: error is a negative errno. */
int bypass_add_unknown(Bypasses *to, BypassKind kind, int error);

int bypass_look_at_legacy(Bypasses *to);
int bypass_look_at_programs(Bypasses *to, BypassKind kind, ProgramKind program);
int bypass_look_at_localnet(Bypasses *to);
int bypass_look_at_macvlan(Bypasses *to);
int bypass_look_at_bridges(Bypasses *to);
int bypass_look_at_ipvs(Bypasses *to);
/* All kinds that are processes at once. */
int bypass_look_at_processes(Bypasses *to);

/* Of a command line, as far as it says so: the port where what comes to `port` ends. 0 if not. */
uint16_t bypass_target_docker(const char *command, uint16_t port);
uint16_t bypass_target_ssh(const char *command, uint16_t port);
uint16_t bypass_target_socat(const char *command, uint16_t port);
/* Of what brings connections from elsewhere. */
uint16_t bypass_target_ssh_remote(const char *command);
uint16_t bypass_target_url(const char *command);
