/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/touched.h"

void touched_clear(Touched *t) {
        for (size_t i = 0; i < _TOUCHED_KIND_MAX; i++) {
                t->of[i].all = false;
                t->of[i].n = 0;
        }
}

bool touched_has(const Touched *t, TouchedKind kind, const char *name) {
        const TouchedNames *of = &t->of[kind];

        if (of->all)
                return true;
        for (size_t i = 0; i < of->n; i++)
                if (streq(of->names[i], name))
                        return true;
        return false;
}

void touched_add(Touched *t, TouchedKind kind, const char *name) {
        TouchedNames *of = &t->of[kind];
        size_t length = name ? strlen(name) : 0;

        if (length > 0 && touched_has(t, kind, name))
                return;
        if (length == 0 || length >= TOUCHED_NAME_SIZE || of->n == TOUCHED_MAX) {
                of->all = true;
                return;
        }
        memcpy(of->names[of->n++], name, length + 1);
}

void touched_add_all(Touched *t) {
        for (size_t i = 0; i < _TOUCHED_KIND_MAX; i++)
                t->of[i].all = true;
}

void touched_merge(Touched *t, const Touched *other) {
        for (TouchedKind kind = 0; kind < _TOUCHED_KIND_MAX; kind++) {
                const TouchedNames *of = &other->of[kind];

                t->of[kind].all |= of->all;
                for (size_t i = 0; i < of->n; i++)
                        touched_add(t, kind, of->names[i]);
        }
}

bool touched_is_all(const Touched *t) {
        for (size_t i = 0; i < _TOUCHED_KIND_MAX; i++)
                if (!t->of[i].all)
                        return false;
        return true;
}
