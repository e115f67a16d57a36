/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#include <grp.h>
#include <pwd.h>

/* The highest number is not a user: the kernel means nobody at all by it. */
#define OWNER_MAX (UINT32_MAX - 1)

static const PolicyOwner *
find_known(const PolicyOwner *owners, size_t n, OwnerKind kind, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (owners[i].is_group == (kind == OWNER_GROUP) && streq(owners[i].name, name))
                        return &owners[i];
        return NULL;
}

static bool look_up(OwnerKind kind, const char *name, uint32_t *ret) {
        const struct passwd *p = kind == OWNER_USER ? getpwnam(name) : NULL;
        const struct group *g = kind == OWNER_GROUP ? getgrnam(name) : NULL;

        if (p || g)
                *ret = p ? p->pw_uid : g->gr_gid;
        return p || g;
}

/* Whoever loads given texts may have no name service, or one that says something else by now. 1, 0
 * if nobody knows the name, or -ENOMEM. */
static int find_owner(Loader *l, OwnerKind kind, const char *name, uint64_t *ret) {
        const PolicyTexts *texts = l->paths ? l->paths->texts : NULL;
        Policy *p = l->policy;
        const PolicyOwner *known = find_known(p->owners, p->n_owners, kind, name);
        PolicyOwner owner = {.is_group = kind == OWNER_GROUP, .name = name};

        if (!known && texts)
                known = find_known(texts->owners, texts->n_owners, kind, name);
        if (known)
                owner.number = known->number;
        else if (texts || !look_up(kind, name, &owner.number))
                return 0;
        *ret = owner.number;
        if (find_known(p->owners, p->n_owners, kind, name))
                return 1;
        owner.name = arena_strdup(l->arena, name);
        return owner.name && arena_append(l->arena, p->owners, p->n_owners, owner) ? 1 : -ENOMEM;
}

static int add_owner(Loader *l, const Node *n, OwnerKind kind, RangeSet *ret) {
        bool is_user = kind == OWNER_USER;
        const char *what = is_user ? "user" : "group";
        uint64_t number = 0;
        int r;

        if (n->kind != NODE_SCALAR)
                return diag_error(l->d, n->at, "expected a %s's name or number, found %s", what,
                                  node_kind_to_string(n->kind));
        if (n->text[0] == '\0')
                return diag_error(l->d, n->at, "a %s's name is missing here", what);
        if (strspn(n->text, "0123456789") == strlen(n->text)) {
                if (!text_to_number(n->text, 0, OWNER_MAX, &number))
                        return diag_error(l->d, n->at, "a %s's number is from 0 to %u", what,
                                          OWNER_MAX);
                return range_set_add(l->arena, ret, range_single(u128(number)));
        }
        r = find_owner(l, kind, n->text, &number);
        if (r < 0)
                return r;
        if (r == 0) {
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
