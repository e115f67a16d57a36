/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What ufw was told to let in, for whoever comes from it. Read from the comments in which it keeps
 * its rules (`### tuple ###` in user.rules and user6.rules), not from the kernel. */

#include "base/address.h"
#include "host/tree.h"

#define UFW_FILE_MAX ((size_t)1 << 20) /* bytes of one file of rules */
#define UFW_RULES_MAX 4096             /* further ones are counted, not kept */
#define UFW_NAME_MAX 64                /* bytes of an application's name or a comment */

typedef enum UfwAction {
        UFW_ALLOW,
        UFW_LIMIT, /* allowed, but to whoever asks too often */
        UFW_DENY,
        UFW_REJECT,
        _UFW_ACTION_MAX,
        _UFW_ACTION_INVALID = -EINVAL,
} UfwAction;

typedef struct UfwRule {
        UfwAction action;
        bool is_routed;       /* of what passes through */
        bool is_outgoing;     /* of what this host opens */
        const char *protocol; /* "tcp", "udp", another one's name; "any" */
        RangeSet ports;       /* dialled ones; empty: any */
        bool has_source_ports;
        Family family; /* of the file that it is in, and so of the ranges */
        bool has_source, has_destination;
        Range source, destination; /* if so */
        const char *in, *out;      /* interfaces, cleaned; NULL: any */
        const char *name;          /* of the application or in a comment; cleaned; or NULL */
} UfwRule;

typedef struct Ufw {
        bool is_enabled;
        bool is_unreadable; /* it is there, but not ours to read */
        UfwRule *rules;     /* in the order of the files */
        size_t n_rules;
        size_t n_left_out; /* that could not be made out, or were too many */
} Ufw;

/* 0 with an empty one if there is no ufw; -ENOMEM. */
int ufw_read(const Tree *t, Ufw *ret);
/* Takes in the rules of one file's text. 0 or -ENOMEM. */
int ufw_take(Arena *a, const char *text, size_t size, Family family, Ufw *to);

const char *ufw_action_to_string(UfwAction action); /* "allow" */
