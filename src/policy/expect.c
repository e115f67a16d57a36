/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#define EXAMPLE "{ deny: ssh, from: internet }"

static int decode_section(Loader *l, const Node *n, SectionId *ret) {
        const NodeEntry *entry = node_find(n, "section");
        const char *words[_SECTION_MAX + 1] = {0};
        unsigned int number = 0;
        int r;

        if (!entry)
                return 0;
        for (SectionId id = 0; id < _SECTION_MAX; id++)
                words[id] = section_id_to_string(id);
        r = schema_expect(entry, NODE_SCALAR, "inbound, outbound or routed", l->d);
        if (r == 0)
                r = schema_find_word("a section is", entry->value, words, &number, l->d);
        if (r < 0)
                return r;
        *ret = (SectionId)number;
        return 0;
}

static int decode_item(Loader *l, const Node *n) {
        Expect expect = {.section = SECTION_INBOUND};
        Policy *p = l->policy;
        int r = decode_section(l, n, &expect.section);
        int r2 = rule_decode_expected(l, n, expect.section, &expect.rule);

        if (r < 0 || r2 < 0)
                return r2 < 0 ? r2 : r;
        return arena_append(l->arena, p->expects, p->n_expects, expect) ? 0 : -ENOMEM;
}

int expect_decode(Loader *l, const PolicyFile *file) {
        const NodeEntry *entry = file->expect;
        int result = 0, r;

        if (!entry)
                return 0;
        r = schema_expect(entry, NODE_SEQUENCE, "a list", l->d);
        if (r < 0) {
                diag_hint(l->d, "an expectation is written - " EXAMPLE);
                return r;
        }
        for (size_t i = 0; i < entry->value->n_items; i++) {
                r = decode_item(l, entry->value->items[i]);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}
