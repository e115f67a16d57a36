/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the parts of the draft share. Private to draft*.c. */

#include "host/draft.h"

/* Words of an answer, or of a list in the policy. */
typedef struct Words {
        const char **items;
        size_t n_items;
} Words;

typedef enum DraftPart {
        DRAFT_PART_HEAD, /* comments alone */
        DRAFT_PART_ZONES,
        DRAFT_PART_SERVICES,
        DRAFT_PART_INBOUND,
        DRAFT_PART_ROUTED,
        DRAFT_PART_PROTECTED,
        DRAFT_PART_EXPECT,
        DRAFT_PART_SETTINGS,
        _DRAFT_PART_MAX,
} DraftPart;

/* One line of the policy. */
typedef struct DraftLine {
        DraftPart part;
        bool is_comment;     /* text is one, and nothing else */
        bool is_out;         /* a rule that is only shown, behind a # */
        bool must_stay;      /* the policy is worth nothing without it */
        const char *text;    /* "- { allow: ssh, from: lan }" */
        const char *comment; /* that stands behind it, or NULL */
        unsigned int number; /* of the line, as it was printed last */
} DraftLine;

/* One of ufw's rules, in the policy's words. */
typedef struct DraftUfw {
        const UfwRule *rule;
        Words services;
        const char *refusal; /* why it is not taken over; else NULL */
        bool is_ssh;         /* sshd's ports alone */
        bool is_public;      /* from anybody, by any interface */
        bool is_internal;    /* a service that never belongs on the internet is among them */
} DraftUfw;

/* What is known of a port beyond what the survey says. */
typedef struct DraftPort {
        const SurveyPort *port;
        const Service *service; /* or NULL */
        const char *word;       /* "ollama", "9999/tcp": how a rule names it */
        bool is_internal;
        bool is_tunnel; /* a VPN's own port: it answers nobody without a key */
        bool is_open;   /* some rule allows it, to whomever */
} DraftPort;

typedef struct Draft {
        Arena *arena;
        const Survey *survey;
        const Policy *catalogue;
        DraftPort *ports;
        size_t n_ports;
        DraftUfw *ufw;
        size_t n_ufw;
        Words ssh_from, public, containers, rescue;
        DraftLine *lines;
        size_t n_lines;
        bool has_containers; /* there are some, or they were spoken of */
        bool failed;         /* memory ran out */
} Draft;

/* ---- draft.c */

/* What is known before any answer. */
int draft_begin(Arena *a, const Survey *s, const Policy *catalogue, Draft *ret);
const char *draft_describe(Draft *d, const DraftPort *x); /* "nginx (nginx.service)" */
const char *draft_number(Draft *d, const SurveyPort *p);  /* "443/tcp" */
const char *draft_caller(Draft *d);                       /* the caller's address, quoted */
/* What the host offers to its containers, as rules name it. */
Words draft_services_for_containers(Draft *d);
/* Whether a rule lets anybody beyond SSH's users use the port. */
bool draft_opens(Draft *d, uint8_t proto, uint16_t port);
/* Being found, and the addresses of a network: protecting them would protect nothing. */
bool draft_is_of_networks(const char *word);

/* ---- draft_claims.c: what is protected, and what is expected; and settings */

void draft_put_claims(Draft *d);

/* ---- draft_names.c */

/* What runs at the port, by the catalogue; what the process is called helps where several do. */
int draft_name_port(Arena *a, const Survey *s, const Policy *catalogue, DraftPort *port);
/* "8080/tcp", "60000-61000/udp", "https". NULL without memory. */
const char *draft_word(Arena *a, const Policy *catalogue, const char *protocol, Range ports);
/* Which ports a word of an answer means, of the protocol. */
RangeSet draft_word_ports(Arena *a, const Policy *catalogue, const char *word, uint8_t proto);
bool draft_means(
        Arena *a, const Policy *catalogue, const Words *words, uint8_t proto, uint16_t port);

/* ---- draft_answers.c */

Words draft_split(Arena *a, const char *text);
bool draft_has(const Words *words, const char *word);
/* Appends, but for what is there already. 0 or -ENOMEM. */
int draft_add_word(Arena *a, Words *words, const char *word);
const char *draft_join(Arena *a, const Words *words);
/* Whether a zone or an address of the answer means the caller. */
bool draft_admits_caller(const Survey *s, const Policy *catalogue, const Words *words);

/* ---- draft_ufw.c */

int draft_read_ufw(Draft *d);
const char *draft_describe_ufw(Arena *a, const DraftUfw *x);
/* Everything that becomes rules, and what becomes comments. */
void draft_put_ufw(Draft *d);

/* ---- draft_print.c */

/* Appends a line; memory that runs out is told at the end, by `failed`. Returns it, or NULL. */
DraftLine *draft_put(Draft *d, DraftPart part, const char *comment, const char *format, ...)
        _printf_(4, 5);
void draft_note(Draft *d, DraftPart part, const char *format, ...) _printf_(3, 4);
/* "lan", or "[lan, vpn]", with what YAML would take for something else in quotes. */
const char *draft_list(Draft *d, const Words *words);
const char *draft_quote(Arena *a, const char *word);
const char *draft_print(Draft *d);
/* Tries the policy, and takes out rules that earn a warning and expectations that do not hold,
 * until it is well. 0; -ENOMEM; -EBADMSG as draft_write(). */
int draft_settle(Draft *d, Source catalogue, const char **ret, Diag *diag);
