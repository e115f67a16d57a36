/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doc/text_check.h"

size_t text_decode(const char *s, size_t size, uint32_t *ret) {
        const unsigned char *p = (const unsigned char *)s;
        size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
        static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
        uint32_t c;

        if (len == 1) {
                *ret = p[0];
                return 1;
        }
        if (p[0] < 0xc0 || p[0] > 0xf4 || len > size)
                return 0;
        c = p[0] & (0xffU >> (len + 1));
        for (size_t i = 1; i < len; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (p[i] & 0x3fU);
        }
        if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        *ret = c;
        return len;
}

size_t text_plain(const char *s, const char *end) {
        const char *p = s;

        while (p < end && *p >= ' ' && *p <= '~')
                p++;
        return (size_t)(p - s);
}

bool text_character_is_fit(uint32_t c) {
        if (c < ' ')
                return c == '\t' || c == '\n' || c == '\r';
        if (c >= 0x7f && c <= 0x9f)
                return false;
        if (c == 0x2028 || c == 0x2029 || c == 0xfeff)
                return false;
        return !(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

static int report_encoding(const Source *source, Span at, Diag *d) {
        const unsigned char *p = (const unsigned char *)source->text;
        int r;

        if (source->size >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff)))
                r = diag_error(d, (Span){.source = at.source}, "this file is written in UTF-16");
        else
                r = diag_error(d, at, "this is not UTF-8");
        diag_hint(d, "save the file as UTF-8");
        return r;
}

static int report_character(Span at, uint32_t c, Diag *d) {
        int r;

        if (c == 0)
                return diag_error(d, at, "a NUL byte has no place in a text file");
        if (c == '\r') {
                r = diag_error(d, at, "a carriage return without a newline behind it");
                diag_hint(d, "end each line with a newline");
                return r;
        }
        r = diag_error(d, at, "the invisible character U+%04X has no place here", c);
        diag_hint(d, "take it out");
        return r;
}

/* The source as far as it may be shown: the line would do to the terminal what we refuse. */
static const Source *unquoted(const Source *source, Diag *d) {
        Source *copy = arena_new0(d->arena, Source);

        if (copy)
                copy->name = source->name;
        return copy;
}

int text_check(const Source *source, Diag *d) {
        const char *p = source->text, *end = p + source->size;
        Span at = {.line = 1, .column = 1, .length = 1};
        uint32_t c = 0;
        size_t len = 0;

        for (; p < end; p += len) {
                len = text_plain(p, end);
                at.column += (unsigned int)len;
                if (len > 0)
                        continue;
                len = text_decode(p, (size_t)(end - p), &c);
                if (len == 0 || !text_character_is_fit(c) ||
                    (c == '\r' && (p + 1 == end || p[1] != '\n')))
                        break;
                at.line += c == '\n';
                at.column = c == '\n' ? 1 : at.column + 1;
        }
        if (p == end)
                return 0;
        at.source = unquoted(source, d);
        if (!at.source)
                return -ENOMEM;
        return len == 0 ? report_encoding(source, at, d) : report_character(at, c, d);
}
