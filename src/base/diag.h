/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Where in the input, and what is wrong with it. An errno routes the program; a Diag tells the
 * human. Functions collect as many messages as they can find, so that one run reports every
 * mistake. */

#include <stdio.h>

#include "base/arena.h"

#define DIAG_ERRORS_MAX 20   /* further ones are counted, not kept */
#define DIAG_REMARKS_MAX 400 /* messages, after which no warning or remark is kept */

typedef struct Source {
        const char *name; /* as the user knows it: "policy.yaml" */
        const char *text; /* borrowed; NULL if nothing can be quoted from it */
        size_t size;      /* of text, in bytes */
} Source;

/* A place: line and column count from 1, the column in characters. line 0 means the whole file;
 * source NULL means no place at all. */
typedef struct Span {
        const Source *source;
        unsigned int line, column;
        unsigned int length; /* in characters; what the carets underline, at least one */
} Span;

typedef enum DiagSeverity {
        DIAG_ERROR,
        DIAG_WARNING,
        DIAG_NOTE, /* said for its own sake, or a second place of the message before it */
        _DIAG_SEVERITY_MAX,
} DiagSeverity;

typedef struct DiagMessage {
        DiagSeverity severity;
        Span at;
        const char *text;
        const char *hint; /* or NULL */
        bool continues;   /* a second place: belongs to the message before it */
} DiagMessage;

typedef struct Diag {
        Arena *arena; /* borrowed; holds the messages */
        DiagMessage *messages;
        size_t n_messages;
        size_t n_errors, n_warnings; /* counted beyond the limit, too */
        size_t n_warnings_left_out;
        bool left_out; /* the last message was; so are its notes and its hint */
} Diag;

Diag *diag_new(Arena *a);

/* Adds an error; returns -EBADMSG always, so that a function can end with it. */
int diag_error(Diag *d, Span at, const char *format, ...) _printf_(3, 4);
void diag_warning(Diag *d, Span at, const char *format, ...) _printf_(3, 4);
/* A remark of its own: nothing is wrong, but the operator should know. */
void diag_remark(Diag *d, Span at, const char *format, ...) _printf_(3, 4);
/* A second place for the message before it ("first defined here"). */
void diag_note(Diag *d, Span at, const char *format, ...) _printf_(3, 4);
/* What to do about the message before it. One hint a message: the first stays. */
void diag_hint(Diag *d, const char *format, ...) _printf_(2, 3);

/* What the messages' places were read from may go: their files are known by name alone from now on,
 * and nothing is quoted. Without memory a place is lost. */
void diag_keep_names(Diag *d);

/* Prints every message as FILE:LINE:COLUMN: severity: text, the source line, and carets under the
 * place; then how many errors were left out, if any. */
void diag_print(const Diag *d, FILE *f, bool colour);

const char *diag_severity_to_string(DiagSeverity severity);

/* A place that covers from's start to to's end when both stand on one line; else from. */
Span span_join(Span from, Span to);
/* "policy.yaml:12", or "" without a place; memory from the arena, NULL without memory. */
const char *span_describe(Arena *a, Span at);
