/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

static int add_term(Loader *l, const Node *n, size_t n_terms, ServiceExpression *ret) {
        ServiceTerm term;
        int r = service_term_decode(l, n, &term);

        if (r < 0)
                return r;
        if (!arena_append(l->arena, ret->terms, ret->n_terms, term))
                return -ENOMEM;
        if (n_terms == 1) {
                ret->set = term.set; /* in order as it is, and nothing is added to it */
                return 0;
        }
        return service_set_add_all(l->arena, &ret->set, &term.set);
}

int service_expression_decode(Loader *l, const NodeEntry *entry, ServiceExpression *ret) {
        const Node *n = entry->value;
        int result = schema_expect_value(entry, l->d), r;

        if (result < 0)
                return result;
        *ret = (ServiceExpression){.at = n->at};
        if (n->kind != NODE_SEQUENCE)
                result = add_term(l, n, 1, ret);
        else if (n->n_items == 0)
                result = diag_error(l->d, n->at, "'%s' is an empty list", entry->key->text);
        for (size_t i = 0; i < n->n_items; i++) {
                r = add_term(l, n->items[i], n->n_items, ret);
                if (r < 0)
                        result = r;
                if (r == -ENOMEM)
                        return r;
        }
        service_set_normalise(&ret->set);
        ret->text = words_join(l->arena, n);
        return ret->text ? result : -ENOMEM;
}
