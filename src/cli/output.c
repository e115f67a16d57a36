/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/output.h"

#include <ctype.h>
#include <langinfo.h>
#include <libsmartcols.h>
#include <locale.h>
#include <sys/ioctl.h>
#include <wchar.h>

#include "cli/complaint.h"
#include "cli/verb.h"

#define NARROWEST 16 /* columns that the last one of a table gets at least */
#define COLUMNS 96   /* that wrapped text takes at most where there is no terminal */
#define BLOCK_INDENT 4

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

/* So that what is aligned counts letters, not bytes; nothing else needs a locale, which takes a
 * tenth of what it costs to start. In other character sets than UTF-8 bytes beyond ASCII would be
 * letters where a policy's words are checked. */
static void use_letters(void) {
        static bool used;

        if (used)
                return;
        used = true;
        if (setlocale(LC_CTYPE, "") && !streq(nl_langinfo(CODESET), "UTF-8"))
                (void)setlocale(LC_CTYPE, "C");
}

/* Columns that the character at the beginning takes; *ret: its bytes. */
static size_t width_of(const char *s, size_t *ret) {
        mbstate_t state = {0};
        wchar_t c;
        size_t n;

        use_letters();
        n = mbrtowc(&c, s, MB_CUR_MAX, &state);
        *ret = n == 0 || n > MB_CUR_MAX ? 1 : n;
        return n > MB_CUR_MAX ? 1 : (size_t)MAX(wcwidth(c), 0);
}

/* Of the first so many bytes. */
static size_t width_of_bytes(const char *s, size_t size) {
        size_t sum = 0, n;

        for (size_t i = 0; i < size; i += n)
                sum += width_of(s + i, &n);
        return sum;
}

static size_t width_of_text(const char *s) {
        return s ? width_of_bytes(s, strlen(s)) : 0;
}

/* Words from *column on, broken at blanks and indented. */
static void print_words(const char *text, size_t indent, size_t columns, size_t *column) {
        while (*text) {
                size_t size = strcspn(text, " "), w = width_of_bytes(text, size);

                if (*column > indent && *column + 1 + w > columns) {
                        printf("\n%*s", (int)indent, "");
                        *column = indent;
                }
                if (*column > indent)
                        *column += (size_t)printf(" ");
                *column += w;
                printf("%.*s", (int)size, text);
                text += size + strspn(text + size, " ");
        }
}

void output_wrapped(const char *label, const char *text) {
        size_t indent = width_of_text(label), column = indent;

        fputs(label, stdout);
        print_words(text, indent, width(), &column);
        putchar('\n');
}

void output_line(const char *label, const char *text) {
        output_coloured_line("", label, text);
}

void output_coloured_line(const char *colour, const char *label, const char *text) {
        size_t indent = width_of_text(label), column = indent;

        printf("%s%s%s", colour, label, *colour ? output_style(stdout).reset : "");
        if (isatty(STDOUT_FILENO))
                print_words(text, indent, width(), &column);
        else
                fputs(text, stdout);
        putchar('\n');
}

bool output_is_narrower(size_t columns) {
        return isatty(STDOUT_FILENO) && width() < columns;
}

void output_json_line(const json_t *value) {
        (void)json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        putchar('\n'); /* what cannot be written shows in the stream */
}

int output_json(json_t *value) {
        if (!value) {
                complain(NULL, "out of memory");
                return EXIT_FAILED;
        }
        output_json_line(value);
        json_decref(value);
        complaint_answered();
        if (fflush(stdout) == 0 && !ferror(stdout))
                return EXIT_OK;
        complain(NULL, "cannot write the answer");
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

static const char *cell(const OutputTable *t, size_t row, size_t column) {
        struct libscols_line *line = scols_table_get_line(t->table, row);
        const char *text = scols_cell_get_data(scols_line_get_cell(line, column));

        return text ? text : "";
}

/* "since 3h": the column's name in small letters; "" for an empty cell. The caller's, or NULL. */
static char *make_pair(const OutputTable *t, size_t row, size_t column) {
        const char *value = cell(t, row, column),
                   *name = scols_cell_get_data(
                           scols_column_get_header(scols_table_get_column(t->table, column)));
        char *pair = NULL;

        if (*value == '\0')
                return strdup("");
        if (asprintf(&pair, "%s %s", name, value) < 0)
                return NULL;
        for (size_t i = 0; name[i]; i++)
                pair[i] = (char)tolower((unsigned char)pair[i]);
        return pair;
}

/* A pair goes to the next line rather than being broken, if it fits there. */
static void print_block(const OutputTable *t, size_t row, size_t first) {
        size_t columns = width(), column = 0;

        for (size_t i = first; i < t->n_columns; i++) {
                _cleanup_free_ char *pair = make_pair(t, row, i);
                size_t w = pair ? width_of_text(pair) : 0;

                if (w == 0)
                        continue;
                if (column > 0 && column + 2 + w <= columns) {
                        column += (size_t)printf("; ");
                } else {
                        printf("%s%*s", column > 0 ? ";\n" : "", BLOCK_INDENT, "");
                        column = BLOCK_INDENT;
                }
                if (column + w <= columns)
                        column += (size_t)printf("%s", pair) > 0 ? w : 0;
                else
                        print_words(pair, BLOCK_INDENT, columns, &column);
        }
        if (column > 0)
                putchar('\n');
}

/* A first column without a name only marks what the next one says. */
void output_table_print_blocks(OutputTable *t) {
        const char *name =
                scols_cell_get_data(scols_column_get_header(scols_table_get_column(t->table, 0)));
        bool is_marked = t->n_columns > 1 && (!name || !*name);

        for (size_t k = 0; k < scols_table_get_nlines(t->table); k++) {
                const char *colour = scols_line_get_color(scols_table_get_line(t->table, k));
                const char *mark = is_marked ? cell(t, k, 0) : "";

                printf("%s%s%s%s%s\n", colour ? colour : "", mark, *mark ? " " : "",
                       cell(t, k, is_marked), colour ? output_style(stdout).reset : "");
                print_block(t, k, is_marked + (size_t)1);
        }
}

static size_t width_of_longest_word(const char *text) {
        size_t longest = 0;

        while (*text) {
                size_t size = strcspn(text, " ");

                longest = MAX(longest, width_of_bytes(text, size));
                text += size + strspn(text + size, " ");
        }
        return longest;
}

/* The last column is broken into lines, but not within words: those that a block has room for are
 * to have it here, too. */
static bool is_too_wide(const OutputTable *t) {
        size_t last = t->n_columns - 1, all = width();
        size_t needed = MIN(width_of_column(t, last), (size_t)NARROWEST), used = 0;

        for (size_t i = 0; i < scols_table_get_nlines(t->table); i++) {
                size_t w = width_of_longest_word(cell(t, i, last));

                if (w + BLOCK_INDENT <= all)
                        needed = MAX(needed, w);
        }
        for (size_t i = 0; i < last; i++)
                used += width_of_column(t, i) + 1;
        return used + needed > all;
}

void output_table_print(OutputTable *t) {
        if (isatty(STDOUT_FILENO) && is_too_wide(t)) {
                output_table_print_blocks(t);
                return;
        }
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
