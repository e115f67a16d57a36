/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/unit.h"

typedef struct Place {
        const char *folder; /* the unit's name follows */
        UnitStart start;
} Place;

/* What is found first counts: a mask is looked for before. */
static const Place places[] = {
        {"/etc/systemd/system/*.wants", UNIT_ENABLED},
        {"/etc/systemd/system/*.requires", UNIT_ENABLED},
        {"/usr/lib/systemd/system/*.wants", UNIT_ENABLED},
        {"/etc/systemd/system", UNIT_DISABLED},
        {"/usr/local/lib/systemd/system", UNIT_DISABLED},
        {"/usr/lib/systemd/system", UNIT_DISABLED},
};

int unit_read_start(const Tree *t, const char *unit, UnitStart *ret, const char **ret_path) {
        const char *path = arena_printf(t->arena, "/etc/systemd/system/%s", unit), *target;

        if (!path)
                return -ENOMEM;
        *ret = UNIT_MASKED;
        *ret_path = path;
        if (tree_read_link(t, tree_path(t, "%s", path), &target) == 0 && streq(target, "/dev/null"))
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                const char *pattern = arena_printf(t->arena, "%s/%s", places[i].folder, unit);
                int r = pattern ? tree_find(t, pattern, ret_path) : -ENOMEM;

                *ret = places[i].start;
                if (r < 0 || *ret_path)
                        return r;
        }
        *ret = UNIT_MISSING;
        return 0;
}
