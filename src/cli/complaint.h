/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a command says when it cannot do what it was asked for: to people on standard error, at
 * once; to programs, where the command line says --json, as one object on standard output in the
 * place of the answer that they wait for. Every message of a failure goes through here. */

#include <jansson.h>

#include "base/diag.h"

#define COMPLAINTS_MAX 1000 /* messages in one object; people are told all */

/* The command line, before anybody complains; verb NULL: there is none. The arguments stay as they
 * are meanwhile. */
void complaint_begin(const char *verb, int argc, char **argv);

/* "ringwall VERB: ..." ("ringwall: ..." for verb NULL), without a newline. */
void complain(const char *verb, const char *format, ...) _printf_(2, 3);
/* What to do about the complaint before. */
void complain_hint(const char *format, ...) _printf_(1, 2);
/* What is wrong with a policy, a rule or a question, with its place, as diag_print() prints it. */
void complain_diag(const Diag *d);
/* About a place that is known by name alone: file may be ""; line 0: the whole file; column 0: not
 * known. hint may be NULL or "". */
typedef struct Complaint {
        const char *severity; /* "error" unless said */
        const char *file;
        json_int_t line, column;
        const char *text, *hint;
} Complaint;

void complain_at(const Complaint *c);
/* getopt_long() has said it already; only programs are told. */
void complain_usage(const char *verb, const char *problem);

/* An answer has been printed: that is the one object. */
void complaint_answered(void);
/* A command that answers several questions, an object each: the next one begins. */
void complaint_next(void);
/* Prints the object if there was no answer, and code says that it failed. Returns code. */
int complaint_end(int code);
/* What the object tells, for an answer that tells of its failure itself. NULL if nothing failed:
 * code is EXIT_OK, or an answer (EXIT_DIFFERS and so on) that nobody complained of. */
json_t *complaint_json(int code);

/* The messages as `check` prints them: [{severity, file, line, column, message, hint, notes}]. */
json_t *complaint_messages(const Diag *d);
