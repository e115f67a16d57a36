/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/help.h"

#include "base/util.h"
#include "cli/output.h"

#define LINE_MAX_SIZE 256 /* bytes of a line that was written */
#define TEXT_MAX_SIZE 4096

/* The next line, without its end; false behind the last one. */
static bool take_line(const char **text, char line[static LINE_MAX_SIZE]) {
        size_t size = strcspn(*text, "\n"), kept = MIN(size, (size_t)LINE_MAX_SIZE - 1);

        if (**text == '\0')
                return false;
        memcpy(line, *text, kept);
        line[kept] = '\0';
        *text += size + ((*text)[size] == '\n');
        return true;
}

static size_t find_widest(const char *text) {
        char line[LINE_MAX_SIZE];
        size_t widest = 0;

        while (take_line(&text, line))
                widest = MAX(widest, strlen(line));
        return widest;
}

/* Where a line says something behind an option or a mark, or behind nothing but blanks: two blanks
 * at least part it from that. 0: it does not. */
static size_t find_description(const char *line) {
        size_t indent = strspn(line, " "), at;
        const char *gap = strstr(line + indent, "  ");

        if (indent == 0 || line[indent] == '\0')
                return 0;
        if (!gap)
                return indent > 8 ? indent : 0;
        at = (size_t)(gap - line);
        return at + strspn(line + at, " ");
}

/* Appends the line's words to those that are kept. */
static void keep(char kept[static TEXT_MAX_SIZE], const char *words) {
        size_t size = strlen(kept);

        (void)snprintf(kept + size, TEXT_MAX_SIZE - size, "%s%s", size > 0 ? " " : "", words);
}

static void flush(char label[static LINE_MAX_SIZE], char kept[static TEXT_MAX_SIZE]) {
        if (*label || *kept)
                output_wrapped(label, kept);
        *label = *kept = '\0';
}

void help_print(const char *text) {
        char line[LINE_MAX_SIZE], label[LINE_MAX_SIZE] = "", kept[TEXT_MAX_SIZE] = "";

        if (!output_is_narrower(find_widest(text))) {
                fputs(text, stdout);
                return;
        }
        while (take_line(&text, line)) {
                size_t at = find_description(line);
                bool continues = at > 0 && strspn(line, " ") == at && strlen(label) == at;

                if (*line == ' ' ? !continues : *label != '\0' || *line == '\0')
                        flush(label, kept);
                if (*line == '\0' || (*line == ' ' && at == 0)) {
                        puts(line);
                } else {
                        if (*line == ' ' && !continues)
                                (void)snprintf(label, sizeof(label), "%.*s", (int)at, line);
                        keep(kept, line + at);
                }
        }
        flush(label, kept);
}
