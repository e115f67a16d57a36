/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the verbs print: tables, JSON, colour where a terminal is. */

#include <jansson.h>

#include "base/diag.h"
#include "ruleset/ruleset.h"

/* Whether the stream is a terminal that may be coloured (NO_COLOR unset, TERM not "dumb"). */
bool output_has_colour(FILE *f);

/* Escape sequences, or "" where no colour is wanted. */
typedef struct OutputStyle {
        const char *bold, *good, *bad, *faint, *reset;
} OutputStyle;

OutputStyle output_style(FILE *f);

/* Prints text behind a label, broken at blanks and indented as far as that; no wider than the
 * terminal but for words that are, or than 100 columns where there is none. */
void output_wrapped(const char *label, const char *text);

/* The same on a terminal, and unbroken elsewhere. */
void output_line(const char *label, const char *text);
/* The same with a label in a colour of output_style(). */
void output_coloured_line(const char *colour, const char *label, const char *text);

/* Whether standard output is a terminal that is narrower than that. */
bool output_is_narrower(size_t columns);

/* Prints the value on standard output, one line, and frees it; an ExitCode. NULL counts as memory
 * that ran out. */
int output_json(json_t *value);
/* One of the objects of a command that prints any number of them, a line each; not flushed. If such
 * a command fails, a last line says so. */
void output_json_line(const json_t *value);

/* A table of text: columns are as wide as their widest cell. */
typedef struct OutputTable OutputTable;

OutputTable *output_table_new(const char *const *columns, size_t n_columns);
/* cells: n_columns strings, copied. 0 or -ENOMEM. */
int output_table_add(OutputTable *t, const char *const *cells);
/* The row added last is printed so: an escape sequence of output_style(), "" for none. */
void output_table_colour(OutputTable *t, const char *sequence);
/* Where a terminal is too narrow for it, each row becomes a block: its first cell, and below it
 * what the others say, each behind the name of its column. */
void output_table_print(OutputTable *t);
/* As blocks, wherever that goes. */
void output_table_print_blocks(OutputTable *t);
OutputTable *output_table_free(OutputTable *t); /* accepts NULL, returns NULL */

static inline void output_table_freep(OutputTable **t) {
        (void)output_table_free(*t);
}

/* {"file":..., "line":..., "column":...} merged into object; nothing without a place. */
void output_json_place(json_t *object, Span at);
/* The whole ruleset: {"table":..., "sets":[...], "chains":[...]}. NULL without memory. */
json_t *output_json_ruleset(const Ruleset *rs);
/* One rule in nft's words; to be freed. NULL without memory. */
char *output_rule_text(const Rule *rule);
