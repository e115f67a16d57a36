/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r';
}

/* The words of one line that mean something: without comment and blanks. */
static const char *trim(const char *line, size_t *size) {
        const char *comment = memchr(line, '#', *size);

        if (comment)
                *size = (size_t)(comment - line);
        while (*size > 0 && is_blank(line[*size - 1]))
                (*size)--;
        while (*size > 0 && (*line == ' ' || *line == '\t')) {
                line++;
                (*size)--;
        }
        return line;
}

static bool is_printable(const char *s, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (s[i] < ' ' || s[i] > '~')
                        return false;
        return true;
}

/* 1: an address was added; 0: there is none, but a comment perhaps. */
static int add_line(Loader *l, Span at, const char *line, size_t size, ZonePart *part) {
        char text[ADDRESS_TEXT_MAX];
        ZoneWord word = {0};
        Node n = {.kind = NODE_SCALAR, .plain = true, .text = text};
        const char *start = trim(line, &size);
        int r;

        if (size == 0)
                return 0;
        at.column = (unsigned int)(start - line) + 1;
        at.length = (unsigned int)MIN(size, sizeof(text));
        n.at = at;
        if (size >= sizeof(text) || !is_printable(start, size))
                return diag_error(l->d, at, "this is not an address");
        memcpy(text, start, size);
        text[size] = '\0';
        if (strpbrk(text, " ,;")) {
                diag_error(l->d, at, "'%s' is not an address", text);
                diag_hint(l->d, "one address a line; what stands behind a '#' is a comment");
                return -EBADMSG;
        }
        r = zone_address_decode(l, &n, &word);
        if (r >= 0)
                r = range_set_add(l->arena, &part->addresses[word.family], word.range);
        return r < 0 ? r : 1;
}

static int add_lines(Loader *l, const Source *source, ZonePart *part) {
        const char *p = source->text, *end = p + source->size;
        Span at = {.source = source};
        size_t n_addresses = 0;
        int result = 0, r;

        while (p < end) {
                const char *newline = memchr(p, '\n', (size_t)(end - p));
                size_t size = (size_t)((newline ? newline : end) - p);

                at.line++;
                at.column = at.length = 1;
                r = add_line(l, at, p, size, part);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
                if (r > 0 && ++n_addresses > ZONE_FILE_ADDRESSES_MAX)
                        return diag_error(l->d, at, "a zone's list has at most %d addresses",
                                          ZONE_FILE_ADDRESSES_MAX);
                p += newline ? size + 1 : size;
        }
        return result;
}

int zone_file_read(Loader *l, const Definition *def, const NodeEntry *entry, ZonePart *part) {
        int r = schema_expect(entry, NODE_SCALAR, "a file's path", l->d);
        Source *source;

        if (r < 0)
                return r;
        if (!l->paths)
                return diag_error(l->d, entry->key->at, "what is no file cannot name others");
        source = arena_new0(l->arena, Source);
        if (!source || source_register(l, source) < 0)
                return -ENOMEM;
        source->name = policy_file_path(l->arena, def->file, entry->value->text);
        if (!source->name)
                return -ENOMEM;
        r = policy_list_read(l, source, entry->value->at, ZONE_FILE_MAX);
        return r < 0 ? r : add_lines(l, source, part);
}
