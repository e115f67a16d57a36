/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/rule_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1800000000

static const char said[] = "allow ssh from 10.0.0.0/8";

/* Whether what is written is told of as it is. */
static void change(Arena *a, RuleFile *file, const FileRule *comes, Diag *d) {
        size_t n = comes != NULL, written;
        RuleFile after;
        const char *text;
        unsigned int line = 0;

        for (size_t i = 0; i < file->n_rules; i++)
                n += !file->rules[i].goes;
        if (rule_file_change(a, file, comes, &text, &written, &line, d) < 0)
                return;
        if (rule_file_read(a, (Source){"after.yaml", text, written}, NOW, &after, d) < 0)
                abort();
        if (after.n_rules != n || (comes && after.rules[n - 1].line != line))
                abort();
}

/* Any bytes are a file to which a rule can be added and from which its own can be taken, or one
 * that is left alone; or what somebody says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new((size_t)64 << 20);
        char *text = a ? arena_strndup(a, (const char *)data, size) : NULL;
        Diag *d = a ? diag_new(a) : NULL;
        Source line = {"command line", said, sizeof(said) - 1};
        FileRule rule;
        RuleFile file;
        bool has_verb;

        if (!text || !d ||
            rule_words_parse(a, &line, RULE_COMMAND_ALLOW, NOW, &rule, &has_verb, d) < 0)
                return 0;
        if (rule_file_read(a, (Source){"fuzz.yaml", text, size}, NOW, &file, d) == 0) {
                change(a, &file, &rule, d);
                for (size_t i = 0; i < file.n_rules; i++)
                        file.rules[i].goes = file.rules[i].is_own;
                change(a, &file, NULL, d);
                change(a, &file, &rule, d);
        }
        line = (Source){"command line", text, strlen(text)};
        (void)rule_words_parse(a, &line, RULE_COMMAND_REMOVE, NOW, &rule, &has_verb, d);
        return 0;
}
