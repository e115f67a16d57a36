/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/datadir.h"

#include <limits.h>

static bool has_catalogue(Arena *a, const char *folder) {
        const char *path = folder ? arena_printf(a, "%s/catalogue.yaml", folder) : NULL;

        return path && access(path, R_OK) == 0;
}

const char *datadir_find(Arena *a) {
        const char *given = secure_getenv("RINGWALL_DATADIR");
        char exe[PATH_MAX];
        ssize_t n;

        if (given && *given)
                return arena_strdup(a, given);
        n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
        if (n > 0) {
                char *folder, *slash;

                exe[n] = '\0';
                slash = strrchr(exe, '/');
                if (slash)
                        *slash = '\0';
                slash = strrchr(exe, '/');
                if (slash)
                        *slash = '\0';
                folder = arena_printf(a, "%s/share/ringwall", exe);
                if (has_catalogue(a, folder))
                        return folder;
        }
        return arena_strdup(a, RINGWALL_DATADIR_DEFAULT);
}
