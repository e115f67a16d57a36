/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/diag.h"

#define QUOTE_MAX 200 /* characters of a source line that are worth showing */

static const char *const severity_names[_DIAG_SEVERITY_MAX] = {
        [DIAG_ERROR] = "error",
        [DIAG_WARNING] = "warning",
        [DIAG_NOTE] = "note",
};

static const char *const severity_colours[_DIAG_SEVERITY_MAX] = {
        [DIAG_ERROR] = "\033[1;31m",
        [DIAG_WARNING] = "\033[1;35m",
        [DIAG_NOTE] = "\033[1;36m",
};

const char *diag_severity_to_string(DiagSeverity severity) {
        return severity_names[severity];
}

Diag *diag_new(Arena *a) {
        Diag *d = arena_new0(a, Diag);

        if (d)
                d->arena = a;
        return d;
}

static void add(Diag *d, DiagSeverity severity, bool continues, Span at, char *text) {
        DiagMessage m = {.severity = severity, .at = at, .continues = continues, .text = text};

        if (!text)
                m.text = "out of memory";
        (void)arena_append(d->arena, d->messages, d->n_messages, m); /* lost without memory */
}

/* Whether there is room for a message; what belongs to one that was left out is left out, too.
 * Errors have their own limit: no number of warnings may hide one. */
static bool begin(Diag *d, bool has_room) {
        d->left_out = !has_room || d->n_errors > DIAG_ERRORS_MAX;
        return !d->left_out;
}

static bool has_room_for_remark(const Diag *d) {
        return d->n_messages < DIAG_REMARKS_MAX;
}

int diag_error(Diag *d, Span at, const char *format, ...) {
        va_list ap;

        d->n_errors++;
        if (!begin(d, true))
                return -EBADMSG;
        va_start(ap, format);
        add(d, DIAG_ERROR, false, at, arena_vprintf(d->arena, format, ap));
        va_end(ap);
        return -EBADMSG;
}

void diag_warning(Diag *d, Span at, const char *format, ...) {
        va_list ap;

        d->n_warnings++;
        if (!begin(d, has_room_for_remark(d))) {
                d->n_warnings_left_out++;
                return;
        }
        va_start(ap, format);
        add(d, DIAG_WARNING, false, at, arena_vprintf(d->arena, format, ap));
        va_end(ap);
}

void diag_remark(Diag *d, Span at, const char *format, ...) {
        va_list ap;

        if (!begin(d, has_room_for_remark(d)))
                return;
        va_start(ap, format);
        add(d, DIAG_NOTE, false, at, arena_vprintf(d->arena, format, ap));
        va_end(ap);
}

void diag_note(Diag *d, Span at, const char *format, ...) {
        va_list ap;

        if (d->left_out || d->n_messages >= 2 * DIAG_REMARKS_MAX)
                return;
        va_start(ap, format);
        add(d, DIAG_NOTE, true, at, arena_vprintf(d->arena, format, ap));
        va_end(ap);
}

void diag_hint(Diag *d, const char *format, ...) {
        DiagMessage *m;
        va_list ap;

        if (d->left_out || d->n_messages == 0)
                return;
        m = &d->messages[d->n_messages - 1];
        if (m->hint)
                return;
        va_start(ap, format);
        m->hint = arena_vprintf(d->arena, format, ap);
        va_end(ap);
}

void diag_keep_names(Diag *d) {
        for (size_t i = 0; i < d->n_messages; i++) {
                Span *at = &d->messages[i].at;
                Source *source = at->source ? arena_new0(d->arena, Source) : NULL;

                if (source)
                        source->name = arena_strdup(d->arena, at->source->name);
                if (source && source->name)
                        at->source = source;
                else
                        *at = (Span){0};
        }
}

#define LINES_STEP 64

/* Where every so many lines of a source begin: messages and their notes jump to and fro. */
typedef struct Lines {
        const Source *source;
        const char **starts; /* of the lines 1, 1 + LINES_STEP, ... */
        size_t n_starts, n_lines;
} Lines;

/* Of all sources that have been quoted from. */
typedef struct Index {
        Lines *items;
        size_t n_items;
        Arena *arena;
} Index;

static const Lines *find_lines(Index *index, const Source *source) {
        const char *p = source->text, *end = p + source->size;
        Lines lines = {.source = source};

        for (size_t i = 0; i < index->n_items; i++)
                if (index->items[i].source == source)
                        return &index->items[i];
        if (!index->arena)
                index->arena = arena_new(0);
        for (; index->arena && p && p < end; p = p ? p + 1 : NULL) {
                if (lines.n_lines++ % LINES_STEP == 0 &&
                    !arena_append(index->arena, lines.starts, lines.n_starts, p))
                        return NULL;
                p = memchr(p, '\n', (size_t)(end - p));
        }
        if (!index->arena || !arena_append(index->arena, index->items, index->n_items, lines))
                return NULL;
        return &index->items[index->n_items - 1];
}

/* The text of line number `line`; false if the source has no such line, and without memory. */
static bool find_line(
        Index *index, const Source *source, unsigned int line, const char **ret, size_t *ret_size) {
        const Lines *lines = find_lines(index, source);
        const char *end = source->text + source->size, *p, *newline;

        if (!lines || line > lines->n_lines)
                return false;
        p = lines->starts[(line - 1) / LINES_STEP];
        for (unsigned int i = (line - 1) % LINES_STEP; i > 0; i--)
                p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
        newline = memchr(p, '\n', (size_t)(end - p));
        *ret = p;
        *ret_size = (size_t)((newline ? newline : end) - p);
        if (*ret_size > 0 && p[*ret_size - 1] == '\r')
                (*ret_size)--;
        return true;
}

static bool is_continuation(char c) {
        return ((unsigned char)c & 0xc0) == 0x80;
}

/* Bytes of the character that s starts with; size is at least 1. */
static size_t character_size(const char *s, size_t size) {
        size_t n = 1;

        while (n < MIN(size, 4UL) && is_continuation(s[n]))
                n++;
        return n;
}

/* Control characters, U+0080 to U+009F among them, would move the carets, or the terminal. */
static bool is_control(const char *s, size_t size) {
        unsigned char c = (unsigned char)s[0];

        return (c < ' ' && c != '\t') || c == 0x7f || is_continuation(s[0]) ||
               (size == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0);
}

/* The source line, or the part of a very long one that the place lies in, and carets under it. */
static void
print_quote(FILE *f, Index *index, const Span *at, const char *colour, const char *reset) {
        unsigned int first = at->column > QUOTE_MAX ? at->column - QUOTE_MAX / 2 : 1;
        unsigned int end = first + QUOTE_MAX, column = 1;
        const char *line, *cut = first > 1 ? "..." : "";
        char blanks[QUOTE_MAX + 1];
        size_t size, n, n_blanks = 0;

        if (!at->source->text || !find_line(index, at->source, at->line, &line, &size))
                return;
        fprintf(f, "  %s", cut);
        for (size_t i = 0; i < size && column < end; i += n, column++) {
                n = character_size(line + i, size - i);
                if (column < first)
                        continue;
                if (is_control(line + i, n))
                        fputc('?', f);
                else
                        fwrite(line + i, 1, n, f);
                if (column < at->column)
                        blanks[n_blanks++] = line[i] == '\t' ? '\t' : ' ';
        }
        blanks[n_blanks] = '\0';
        fprintf(f, "\n  %*s%s%s", (int)strlen(cut), "", blanks, colour);
        for (unsigned int i = 0; i < MAX(at->length, 1U) && at->column + i < end; i++)
                fputc('^', f);
        fprintf(f, "%s\n", reset);
}

/* A file may be called anything; a terminal must not take its name for a command. */
static void print_name(const char *name, FILE *f) {
        for (; *name; name++)
                fputc((unsigned char)*name < ' ' || *name == 0x7f ? '?' : *name, f);
}

static void print_message(const DiagMessage *m, Index *index, FILE *f, bool colour) {
        const char *start = colour ? severity_colours[m->severity] : "";
        const char *bold = colour ? "\033[1m" : "", *reset = colour ? "\033[0m" : "";

        if (m->at.source) {
                fputs(bold, f);
                print_name(m->at.source->name, f);
                fputc(':', f);
                if (m->at.line > 0)
                        fprintf(f, "%u:%u:", m->at.line, m->at.column);
                fprintf(f, "%s ", reset);
        }
        fprintf(f, "%s%s:%s %s\n", start, severity_names[m->severity], reset, m->text);
        if (m->at.source && m->at.line > 0)
                print_quote(f, index, &m->at, start, reset);
        if (m->hint)
                fprintf(f, "  hint: %s\n", m->hint);
}

void diag_print(const Diag *d, FILE *f, bool colour) {
        Index index = {0};

        for (size_t i = 0; i < d->n_messages; i++)
                print_message(&d->messages[i], &index, f, colour);
        if (d->n_errors > DIAG_ERRORS_MAX)
                fprintf(f, "and %zu more errors\n", d->n_errors - DIAG_ERRORS_MAX);
        if (d->n_warnings_left_out > 0)
                fprintf(f, "and %zu more warnings\n", d->n_warnings_left_out);
        (void)arena_free(index.arena);
}

Span span_join(Span from, Span to) {
        if (from.source == to.source && from.line == to.line && to.column >= from.column)
                from.length = to.column + to.length - from.column;
        return from;
}

const char *span_describe(Arena *a, Span at) {
        if (!at.source)
                return "";
        if (at.line == 0)
                return at.source->name;
        return arena_printf(a, "%s:%u", at.source->name, at.line);
}
