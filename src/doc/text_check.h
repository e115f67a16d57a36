/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What may stand in a text file at all: UTF-8 without control characters. */

#include "base/diag.h"

/* Looks for the first character that has no place in the file and reports it with its position:
 * -EBADMSG. What could move a terminal's cursor, count as a line break for some programs only, or
 * show text in another order than it is read, is refused, too. */
int text_check(const Source *source, Diag *d);

/* Whether a character (a code point) may stand in a text; tab, newline and carriage return may. */
bool text_character_is_fit(uint32_t c) _const_;

/* How many plain characters (of ASCII, from the blank to the tilde) s begins with: most of a
 * text, and nothing to look at. */
size_t text_plain(const char *s, const char *end);

/* Decodes the character at s, of which at most size bytes can be read: its length in bytes, or 0 if
 * this is not UTF-8. */
size_t text_decode(const char *s, size_t size, uint32_t *ret);
