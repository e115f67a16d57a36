/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/output.h"

#include <langinfo.h>
#include <libsmartcols.h>
#include <locale.h>
#include <sys/ioctl.h>
#include <wchar.h>

#include "cli/verb.h"

#define NARROWEST 16 /* columns that the last one of a table gets at least */
#define COLUMNS 96   /* that wrapped text takes at most where there is no terminal */

bool output_has_colour(FILE *f) {
        const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");

        return isatty(fileno(f)) && !(no_colour && *no_colour) && term && !streq(term, "dumb");
}

OutputStyle output_style(FILE *f) {
        if (!output_has_colour(f))
                return (OutputStyle){"", "", "", "", ""};
        return (OutputStyle){"\033[1m", "\033[1;32m", "\033[1;31m", "\033[2m", "\033[0m"};
}

static size_t width(void) {
        struct winsize size;

        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
                                                                               : COLUMNS;
}

void output_wrapped(const char *label, const char *text) {
        size_t indent = strlen(label), column = indent, columns = width();

        fputs(label, stdout);
        while (*text) {
                size_t len = strcspn(text, " ");

                if (column > indent && column + 1 + len > columns) {
                        printf("\n%*s", (int)indent, "");
                        column = indent;
                }
                if (column > indent)
                        column += (size_t)printf(" ");
                column += len;
                printf("%.*s", (int)len, text);
                text += len + strspn(text + len, " ");
        }
        putchar('\n');
}

void output_line(const char *label, const char *text) {
        if (isatty(STDOUT_FILENO))
                output_wrapped(label, text);
        else
                printf("%s%s\n", label, text);
}

bool output_is_narrower(size_t columns) {
        return isatty(STDOUT_FILENO) && width() < columns;
}

int output_json(json_t *value) {
        int r;

        if (!value) {
                fputs("ringwall: out of memory\n", stderr);
                return EXIT_FAILED;
        }
        r = json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        json_decref(value);
        fputc('\n', stdout);
        if (r == 0 && fflush(stdout) == 0)
                return EXIT_OK;
        fputs("ringwall: cannot write the answer\n", stderr);
        return EXIT_FAILED;
}

struct OutputTable {
        struct libscols_table *table;
        size_t n_columns;
};

OutputTable *output_table_free(OutputTable *t) {
        if (!t)
                return NULL;
        scols_unref_table(t->table);
        free(t);
        return NULL;
}

/* So that a table shows letters, not their bytes; nothing else needs a locale, which takes a tenth
 * of what it costs to start. In other character sets than UTF-8 bytes beyond ASCII would be letters
 * where a policy's words are checked. */
static void use_letters(void) {
        if (setlocale(LC_CTYPE, "") && !streq(nl_langinfo(CODESET), "UTF-8"))
                (void)setlocale(LC_CTYPE, "C");
}

OutputTable *output_table_new(const char *const *columns, size_t n_columns) {
        OutputTable *t = calloc(1, sizeof(*t));

        if (!t)
                return NULL;
        use_letters();
        t->n_columns = n_columns;
        t->table = scols_new_table();
        for (size_t i = 0; t->table && i < n_columns; i++) {
                int flags = i + 1 == n_columns ? SCOLS_FL_WRAP : 0;

                if (!scols_table_new_column(t->table, columns[i], 0, flags))
                        return output_table_free(t);
        }
        return t->table ? t : output_table_free(t);
}

int output_table_add(OutputTable *t, const char *const *cells) {
        struct libscols_line *line = scols_table_new_line(t->table, NULL);

        if (!line)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_columns; i++)
                if (scols_line_set_data(line, i, cells[i]) < 0)
                        return -ENOMEM;
        return 0;
}

void output_table_colour(OutputTable *t, const char *sequence) {
        size_t n = scols_table_get_nlines(t->table);
        struct libscols_line *line = n > 0 ? scols_table_get_line(t->table, n - 1) : NULL;

        if (!line || !*sequence)
                return;
        (void)scols_table_enable_colors(t->table, 1); /* colour is no content */
        (void)scols_line_set_color(line, sequence);
}

/* Columns that the character at the beginning takes; *ret: its bytes. */
static size_t width_of(const char *s, size_t *ret) {
        mbstate_t state = {0};
        wchar_t c;
        size_t n = mbrtowc(&c, s, MB_CUR_MAX, &state);

        *ret = n == 0 || n > MB_CUR_MAX ? 1 : n;
        return n > MB_CUR_MAX ? 1 : (size_t)MAX(wcwidth(c), 0);
}

static size_t width_of_text(const char *s) {
        size_t sum = 0, n;

        for (; s && *s; s += n)
                sum += width_of(s, &n);
        return sum;
}

/* Makes a newline of each blank behind which a line would be too long. */
static void break_at_blanks(char *text, size_t columns) {
        size_t column = 0, behind = 0, n; /* behind the last blank */
        char *blank = NULL;

        for (char *p = text; *p; p += n) {
                size_t w = width_of(p, &n);

                column += w;
                behind += w;
                if (*p == ' ') {
                        blank = p;
                        behind = 0;
                }
                if (column > columns && blank) {
                        *blank = '\n';
                        blank = NULL;
                        column = behind;
                }
        }
}

static size_t width_of_column(const OutputTable *t, size_t i) {
        size_t sum = width_of_text(
                scols_cell_get_data(scols_column_get_header(scols_table_get_column(t->table, i))));

        for (size_t k = 0; k < scols_table_get_nlines(t->table); k++) {
                struct libscols_cell *cell =
                        scols_line_get_cell(scols_table_get_line(t->table, k), i);

                sum = MAX(sum, width_of_text(scols_cell_get_data(cell)));
        }
        return sum;
}

/* libsmartcols breaks lines within words. */
static void break_last_column(OutputTable *t) {
        struct libscols_column *last = scols_table_get_column(t->table, t->n_columns - 1);
        size_t used = 0, all = width();

        for (size_t i = 0; i + 1 < t->n_columns; i++)
                used += width_of_column(t, i) + 1;
        (void)scols_column_set_safechars(last, "\n");
        (void)scols_column_set_wrapfunc(last, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
        for (size_t k = 0; k < scols_table_get_nlines(t->table); k++) {
                struct libscols_line *line = scols_table_get_line(t->table, k);
                const char *data = scols_cell_get_data(scols_line_get_cell(line, t->n_columns - 1));
                char *text = data ? strdup(data) : NULL;

                if (!text)
                        continue;
                break_at_blanks(text, used + NARROWEST < all ? all - used : NARROWEST);
                if (scols_line_refer_data(line, t->n_columns - 1, text) < 0)
                        free(text);
        }
}

void output_table_print(OutputTable *t) {
        if (isatty(STDOUT_FILENO))
                break_last_column(t);
        (void)scols_print_table(t->table); /* a failed write shows in the shell, not here */
}

void output_json_place(json_t *object, Span at) {
        if (!at.source)
                return;
        (void)json_object_set_new(object, "file", json_string_nocheck(at.source->name));
        if (at.line == 0)
                return;
        (void)json_object_set_new(object, "line", json_integer(at.line));
        (void)json_object_set_new(object, "column", json_integer(at.column));
}

char *output_rule_text(const Rule *rule) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        rule_print(rule, f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        return text;
}

static json_t *json_rule(const Rule *rule) {
        _cleanup_free_ char *text = output_rule_text(rule);
        json_t *object = json_object();

        if (!object || !text) {
                json_decref(object);
                return NULL;
        }
        (void)json_object_set_new(object, "text", json_string(text));
        (void)json_object_set_new(object, "verdict",
                                  json_string(verdict_kind_to_string(rule->verdict.kind)));
        if (rule->verdict.chain)
                (void)json_object_set_new(object, "target", json_string(rule->verdict.chain->name));
        if (rule->origin.text)
                (void)json_object_set_new(object, "rule", json_string(rule->origin.text));
        output_json_place(object, rule->origin.at);
        if (rule->counted) {
                (void)json_object_set_new(object, "packets",
                                          json_integer((json_int_t)rule->packets));
                (void)json_object_set_new(object, "bytes", json_integer((json_int_t)rule->bytes));
        }
        return object;
}

static json_t *json_chain(const Chain *chain) {
        json_t *object = json_object(), *rules = json_array();

        (void)json_object_set_new(object, "name", json_string(chain->name));
        if (chain->hook != HOOK_NONE) {
                (void)json_object_set_new(object, "hook", json_string(hook_to_string(chain->hook)));
                (void)json_object_set_new(object, "priority", json_integer(chain->priority));
                (void)json_object_set_new(object, "policy",
                                          json_string(chain->policy_drop ? "drop" : "accept"));
        }
        for (size_t i = 0; i < chain->n_rules; i++)
                (void)json_array_append_new(rules, json_rule(&chain->rules[i]));
        (void)json_object_set_new(object, "rules", rules);
        return object;
}

static json_t *json_set(const Set *set) {
        json_t *object = json_object(), *kinds = json_array(), *elements = json_array();

        (void)json_object_set_new(object, "name", json_string(set->name));
        for (size_t i = 0; i < set->n_types; i++)
                (void)json_array_append_new(kinds, json_string(types[set->types[i]].name));
        (void)json_object_set_new(object, "type", kinds);
        (void)json_object_set_new(object, "map", json_boolean(set->is_map));
        for (size_t i = 0; i < set->n_elements; i++) {
                char *text = NULL;
                size_t size = 0;
                FILE *f = open_memstream(&text, &size);

                if (!f)
                        break;
                element_print(set, &set->elements[i], f);
                (void)fclose(f); /* as above */
                (void)json_array_append_new(elements, json_string(text ? text : ""));
                free(text);
        }
        (void)json_object_set_new(object, "elements", elements);
        return object;
}

json_t *output_json_ruleset(const Ruleset *rs) {
        json_t *object = json_object(), *sets = json_array(), *chains = json_array();

        for (size_t i = 0; i < rs->n_sets; i++)
                (void)json_array_append_new(sets, json_set(rs->sets[i]));
        for (size_t i = 0; i < rs->n_chains; i++)
                (void)json_array_append_new(chains, json_chain(rs->chains[i]));
        (void)json_object_set_new(object, "family", json_string("inet"));
        (void)json_object_set_new(object, "table", json_string(RULESET_TABLE));
        (void)json_object_set_new(object, "sets", sets);
        (void)json_object_set_new(object, "chains", chains);
        return object;
}
