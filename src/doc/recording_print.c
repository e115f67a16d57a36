/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doc/recording.h"

/* Octal, which ends after three digits whatever follows. */
static void print_bytes(const char *bytes, size_t size, FILE *f) {
        fputs("        \"", f);
        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char)bytes[i];

                if (c < ' ' || c > '~' || c == '"' || c == '\\' || c == '?')
                        fprintf(f, "\\%03o", c);
                else
                        fputc(c, f);
                if (c == '\n' && i + 1 < size)
                        fputs("\"\n        \"", f);
        }
        fputs("\"\n", f);
}

static void print_words(const Node *n, FILE *f) {
        switch (n->kind) {
        case NODE_SCALAR:
                print_bytes(n->text, strlen(n->text) + 1, f);
                return;
        case NODE_SEQUENCE:
                for (size_t i = 0; i < n->n_items; i++)
                        print_words(n->items[i], f);
                return;
        case NODE_MAPPING:
                for (size_t i = 0; i < n->n_entries; i++) {
                        print_words(n->entries[i].key, f);
                        print_words(n->entries[i].value, f);
                }
                return;
        case _NODE_KIND_MAX:
        case _NODE_KIND_INVALID:
                return;
        }
}

/* *words: bytes of all the words before this node's. */
static int print_node(const Node *n, size_t *words, FILE *f) {
        size_t value = n->kind == NODE_SCALAR ? *words : n->n_items + n->n_entries;
        int r = 0;

        if (MAX(MAX(n->at.line, n->at.column), n->at.length) > UINT16_MAX || value > UINT32_MAX)
                return -EFBIG;
        fprintf(f, "        {%d, %d, %u, %u, %u, %zu},\n", (int)n->kind, n->plain, n->at.line,
                n->at.column, n->at.length, value);
        if (n->kind == NODE_SCALAR)
                *words += strlen(n->text) + 1;
        for (size_t i = 0; i < n->n_items && r == 0; i++)
                r = print_node(n->items[i], words, f);
        for (size_t i = 0; i < n->n_entries && r == 0; i++) {
                r = print_node(n->entries[i].key, words, f);
                if (r == 0)
                        r = print_node(n->entries[i].value, words, f);
        }
        return r;
}

int recording_print(
        const Node *root, const Source *source, const char *header, const char *name, FILE *f) {
        size_t words = 0;
        int r;

        fprintf(f, "/* Made of %s when the program was built. */\n#include \"%s\"\n\n",
                source->name, header);
        fputs("static const char text[] =\n", f);
        print_bytes(source->text, source->size, f);
        fputs("        ;\n\nstatic const char words[] =\n", f);
        print_words(root, f);
        fputs("        ;\n\nstatic const RecordedNode nodes[] = {\n", f);
        r = print_node(root, &words, f);
        fprintf(f,
                "};\n\n"
                "const Recording %s = {\n"
                "        .text = text,\n"
                "        .size = sizeof(text) - 1,\n"
                "        .nodes = nodes,\n"
                "        .n_nodes = sizeof(nodes) / sizeof(nodes[0]),\n"
                "        .words = words,\n"
                "};\n",
                name);
        return r < 0 ? r : fflush(f) < 0 || ferror(f) ? -EIO : 0;
}
