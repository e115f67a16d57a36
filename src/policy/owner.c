/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#include <grp.h>
#include <pwd.h>

/* The highest number is not a user: the kernel means nobody at all by it. */
#define OWNER_MAX (UINT32_MAX - 1)

static bool find_user(const char *name, uint64_t *ret) {
        const struct passwd *p = getpwnam(name);

        if (p)
                *ret = p->pw_uid;
        return p != NULL;
}

static bool find_group(const char *name, uint64_t *ret) {
        const struct group *g = getgrnam(name);

        if (g)
                *ret = g->gr_gid;
        return g != NULL;
}

static int add_owner(Loader *l, const Node *n, OwnerKind kind, RangeSet *ret) {
        bool is_user = kind == OWNER_USER;
        const char *what = is_user ? "user" : "group";
        uint64_t number = 0;

        if (n->kind != NODE_SCALAR)
                return diag_error(l->d, n->at, "expected a %s's name or number, found %s", what,
                                  node_kind_to_string(n->kind));
        if (n->text[0] == '\0')
                return diag_error(l->d, n->at, "a %s's name is missing here", what);
        if (strspn(n->text, "0123456789") == strlen(n->text)) {
                if (!text_to_number(n->text, 0, OWNER_MAX, &number))
                        return diag_error(l->d, n->at, "a %s's number is from 0 to %u", what,
                                          OWNER_MAX);
        } else if (!(is_user ? find_user : find_group)(n->text, &number)) {
                diag_error(l->d, n->at, "there is no %s '%s' on this host", what,
                           node_shown(l->arena, n));
                diag_hint(l->d, "names are looked up on the host where the policy is read; a "
                                "number is taken as it is");
                return -EBADMSG;
        }
        return range_set_add(l->arena, ret, range_single(u128(number)));
}

int owner_decode(Loader *l, const NodeEntry *entry, OwnerKind kind, RangeSet *ret) {
        const Node *n = entry->value;
        int result = schema_expect_value(entry, l->d), r;

        if (result < 0)
                return result;
        if (n->kind != NODE_SEQUENCE)
                result = add_owner(l, n, kind, ret);
        else if (n->n_items == 0)
                result = diag_error(l->d, n->at, "'%s' is an empty list", entry->key->text);
        for (size_t i = 0; i < n->n_items; i++) {
                r = add_owner(l, n->items[i], kind, ret);
                if (r < 0)
                        result = r;
                if (r == -ENOMEM)
                        return r;
        }
        range_set_normalise(ret);
        return result;
}
