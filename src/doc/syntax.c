/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doc/syntax.h"

#include <ctype.h>

typedef struct Line {
        const char *text;
        size_t size;
        size_t offset; /* of the place in question */
} Line;

typedef struct Wording {
        const char *problem; /* how libyaml's wording begins */
        int (*report)(const struct Wording *w, const SyntaxError *e, Diag *d);
        const char *text, *note, *hint;
} Wording;

/* The line at which `at` points; empty if it is behind the end. */
static Line line_at(Span at) {
        const char *p = at.source->text, *end = p + at.source->size, *newline;
        Line l = {.text = ""};

        for (unsigned int i = 1; i < at.line && p; i++) {
                p = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
                p = p ? p + 1 : NULL;
        }
        if (!p || p >= end)
                return l;
        newline = memchr(p, '\n', (size_t)(end - p));
        l.text = p;
        l.size = (size_t)((newline ? newline : end) - p);
        for (unsigned int column = 1; l.offset < l.size; l.offset++) {
                bool first_byte = ((unsigned char)p[l.offset] & 0xc0) != 0x80;

                if (first_byte && column++ == at.column)
                        break;
        }
        return l;
}

static char char_at(Span at) {
        Line l = line_at(at);

        return l.offset < l.size ? l.text[l.offset] : '\0';
}

static bool is_first_of_line(Span at) {
        Line l = line_at(at);

        for (size_t i = 0; i < l.offset; i++)
                if (l.text[i] != ' ')
                        return false;
        return true;
}

/* The bytes of the word that begins at `at`. */
static int word_length(Span at, const char **ret) {
        Line l = line_at(at);
        size_t end = l.offset;

        while (end < l.size && !strchr(" \t\r,]}", l.text[end]))
                end++;
        *ret = l.text + l.offset;
        return (int)MIN(end - l.offset, 60UL);
}

static bool is_address_char(char c) {
        return isxdigit((unsigned char)c) || c == ':' || c == '.';
}

static size_t skip_digits(const Line *l, size_t i) {
        while (i < l->size && isdigit((unsigned char)l->text[i]))
                i++;
        return i;
}

/* Looks for an unquoted IPv6 address that YAML takes for something else, and says to quote it. */
static bool hint_at_ipv6(Span at, Diag *d) {
        Line l = line_at(at);
        size_t start, end, colons, behind;

        for (start = 0; start < l.size; start = end + 1) {
                for (end = start, colons = 0; end < l.size && is_address_char(l.text[end]); end++)
                        colons += l.text[end] == ':';
                if (colons < 2)
                        continue;
                behind = end + 1 < l.size ? skip_digits(&l, end + 2) : end;
                if (start > 0 && l.text[start - 1] == '[' && end + 2 < l.size &&
                    l.text[end] == ']' && strchr(":/", l.text[end + 1]) && behind > end + 2) {
                        diag_hint(d, "quote it: \"%.*s\"", (int)(behind - start + 1),
                                  l.text + start - 1);
                        return true;
                }
                if (end < l.size && l.text[end] == '/')
                        end = skip_digits(&l, end + 1);
                if (start > 0 && strchr("\"'", l.text[start - 1]))
                        continue;
                diag_hint(d, "quote it: \"%.*s\"", (int)(end - start), l.text + start);
                return true;
        }
        return false;
}

static int report_here(const Wording *w, const SyntaxError *e, Diag *d) {
        diag_error(d, e->at, "%s", w->text);
        if (!hint_at_ipv6(e->at, d) && w->hint)
                diag_hint(d, "%s", w->hint);
        if (w->note && e->context_at.source)
                diag_note(d, e->context_at, "%s", w->note);
        return -EBADMSG;
}

/* Of a list or mapping in brackets: a comma or the closing bracket is missing. */
static int report_bracket(const Wording *w, const SyntaxError *e, Diag *d) {
        Line l = line_at(e->at);
        size_t start = l.offset;

        diag_error(d, e->at, "%s", w->text);
        if (e->context_at.line != e->at.line) {
                diag_hint(d, "%s", w->hint);
        } else if (l.offset < l.size && l.text[l.offset] == ':') {
                while (start > 0 && !strchr(" ,{[", l.text[start - 1]))
                        start--;
                diag_hint(d, "is a ',' missing before '%.*s'?", (int)(l.offset - start),
                          l.text + start);
        } else
                (void)hint_at_ipv6(e->at, d); /* no other hint is known */
        if (e->context_at.source)
                diag_note(d, e->context_at, "%s", w->note);
        return -EBADMSG;
}

/* Where it began says more than where it was noticed. */
static int report_at_context(const Wording *w, const SyntaxError *e, Diag *d) {
        diag_error(d, e->context_at.source ? e->context_at : e->at, "%s", w->text);
        if (w->hint)
                diag_hint(d, "%s", w->hint);
        return -EBADMSG;
}

static int report_tab(const Wording *w, const SyntaxError *e, Diag *d) {
        diag_error(d, e->at, "a tab cannot stand here");
        diag_hint(d, "YAML allows no tabs: indent with spaces");
        return -EBADMSG;
}

static int report_character(const Wording *w, const SyntaxError *e, Diag *d) {
        const char *word;
        int len = word_length(e->at, &word);

        if (char_at(e->at) == '\t')
                return report_tab(w, e, d);
        diag_error(d, e->at, "'%c' cannot begin a word", char_at(e->at));
        diag_hint(d, "quote it: \"%.*s\"", len, word);
        return -EBADMSG;
}

static int report_alias(const Wording *w, const SyntaxError *e, Diag *d) {
        Span at = e->context_at.source ? e->context_at : e->at;
        const char *word;
        int len = word_length(at, &word);

        diag_error(d, at, "YAML takes a word that begins with '%c' for the name of an %s",
                   char_at(at), char_at(at) == '*' ? "alias" : "anchor");
        diag_hint(d, "quote it: \"%.*s\"", len, word);
        return -EBADMSG;
}

static int report_colon(const Wording *w, const SyntaxError *e, Diag *d) {
        Line l = line_at(e->at);
        bool earlier = false;

        for (size_t i = 0; i + 1 < l.offset; i++)
                if (l.text[i] == ':' && l.text[i + 1] == ' ')
                        earlier = true;
        diag_error(d, e->at, "':' cannot stand here");
        if (earlier)
                diag_hint(d, "write each key on a line of its own, or { key: value, key: value }; "
                             "quote text that holds ': '");
        else
                diag_hint(d, "is this line indented too far, or does the line above lack its ':'?");
        return -EBADMSG;
}

static int report_stray(const SyntaxError *e, Diag *d) {
        Line l = line_at(e->at);
        const char *word;
        int len = word_length(e->at, &word);

        if (l.offset >= l.size)
                diag_error(d, e->at, "the line cannot end here");
        else
                diag_error(d, e->at, "'%.*s' cannot stand here", MAX(len, 1), word);
        if (!hint_at_ipv6(e->at, d))
                diag_hint(d, "quote the whole text if it is meant as it stands");
        return -EBADMSG;
}

static int report_indentation(const Wording *w, const SyntaxError *e, Diag *d) {
        if (!is_first_of_line(e->at))
                return report_stray(e, d);
        if (line_at(e->at).text[line_at(e->at).offset] == '-' && strstr(w->problem, "key"))
                diag_error(d, e->at, "expected a key here, not an item of a list");
        else
                diag_error(d, e->at, "%s", w->text);
        diag_hint(d, "%s", w->hint);
        if (e->context_at.source)
                diag_note(d, e->context_at, "%s", w->note);
        return -EBADMSG;
}

static int report_missing(const Wording *w, const SyntaxError *e, Diag *d) {
        char c = char_at(e->at);

        if ((c == ']' || c == '}') && e->context && strstr(e->context, "block"))
                return diag_error(d, e->at, "'%c' closes nothing", c);
        return report_here(w, e, d);
}

/* The first row whose problem fits. */
// clang-format off
static const Wording wordings[] = {
        {"found character that cannot start any token", report_character},
        {"found a tab character", report_tab},
        {"mapping values are not allowed", report_colon},
        {"found unexpected ':'", report_here,
         "':' cannot stand here", NULL, "quote the text that holds it"},
        {"did not find expected key", report_indentation,
         "this line is indented unlike the keys that it belongs to", "they begin here",
         "begin it in the column of its neighbours"},
        {"did not find expected '-' indicator", report_indentation,
         "expected '- ' here, as in the list above", "the list begins here",
         "begin an item with '- ', or indent the line like the key that it belongs to"},
        {"did not find expected <document start>", report_indentation,
         "the document has already ended here", NULL,
         "is this line indented less than the file's first one?"},
        {"did not find expected ',' or ']'", report_bracket,
         "expected ',' or ']' here", "the list begins here", "is its ']' missing?"},
        {"did not find expected ',' or '}'", report_bracket,
         "expected ',' or '}' here", "the mapping begins here", "is its '}' missing?"},
        {"did not find expected node content", report_missing, "a value is missing here"},
        {"could not find expected ':'", report_at_context, "expected a ':' behind this key"},
        {"did not find expected alphabetic", report_alias},
        {"found unexpected end of stream", report_at_context,
         "this quotation mark is never closed"},
        {"found unexpected document indicator", report_at_context,
         "this quotation mark is never closed"},
        {"found unknown escape character", report_here, "this escape is unknown", NULL,
         "in single quotes a backslash stands for itself"},
        {"did not find expected hexdecimal", report_here, "this escape lacks its digits"},
        {"found invalid Unicode character escape", report_here, "this escape names no character"},
        {"block sequence entries are not allowed", report_here,
         "a list cannot begin here", NULL, "begin it on a line of its own, or write [a, b]"},
        {"could not find expected directive name", report_at_context,
         "'%' cannot begin a line", NULL, "quote the word"},
        {"found unknown directive name", report_at_context,
         "'%' cannot begin a line", NULL, "quote the word"},
};
// clang-format on

int syntax_report(const SyntaxError *e, Diag *d) {
        if (!e->problem)
                return diag_error(d, (Span){.source = e->at.source}, "this is not YAML");
        for (size_t i = 0; i < ARRAY_SIZE(wordings); i++)
                if (startswith(e->problem, wordings[i].problem))
                        return wordings[i].report(&wordings[i], e, d);
        return diag_error(d, e->at, "this is not YAML: %s", e->problem);
}
