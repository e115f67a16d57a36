/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cgroup.h"

#include <ctype.h>

#include "host/tree.h"

#define ID_SHOWN 12 /* as the engines themselves shorten it */
#define ID_LENGTH_MIN 32

/* How engines name a container's group: between prefix and suffix stands its id or name. Without an
 * engine it is not a container after all. */
static const struct Name {
        const char *prefix, *suffix, *engine;
} names[] = {
        {"docker-", ".scope", "docker"},
        {"libpod-payload-", "", "podman"},
        {"libpod-conmon-", ".scope", NULL}, /* the monitor of one, which runs on the host */
        {"libpod-", ".scope", "podman"},
        {"libpod-", "", "podman"},
        {"cri-containerd-", ".scope", "kubernetes"},
        {"crio-", ".scope", "kubernetes"},
        {"nerdctl-", ".scope", "containerd"},
        {"lxc.payload.", "", "lxc"},
        {"systemd-nspawn@", ".service", "nspawn"},
        {"machine-qemu\\x2d", ".scope", NULL}, /* a virtual machine's process is the host's own */
        {"machine-lxc\\x2d", ".scope", "lxc"},
        {"machine-", ".scope", "nspawn"},
};

/* Where systemd is not asked for a scope, the id is a folder of its own, below these. */
static const struct Name folders[] = {
        {"docker", "", "docker"},
        {"kubepods", "", "kubernetes"},
};

static bool is_unit(const char *name, size_t len) {
        static const char *const suffixes[] = {".service", ".scope", ".socket", ".mount", ".swap"};

        for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
                size_t n = strlen(suffixes[i]);

                if (len > n && strncmp(name + len - n, suffixes[i], n) == 0)
                        return true;
        }
        return false;
}

static bool is_id(const char *s) {
        size_t len = strspn(s, "0123456789abcdef");

        return len >= ID_LENGTH_MIN && s[len] == '\0';
}

static int set_container(Arena *a, const char *engine, const char *name, size_t len, Cgroup *ret) {
        char *text = arena_strndup(a, name, len);

        if (!text)
                return -ENOMEM;
        if (is_id(text))
                text[ID_SHOWN] = '\0';
        ret->engine = engine;
        ret->container = text;
        return 0;
}

static int match_name(Arena *a, const char *name, const char *parent, Cgroup *ret) {
        size_t len = strlen(name);

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                size_t n = strlen(names[i].prefix), m = strlen(names[i].suffix);

                if (!startswith(name, names[i].prefix) || len <= n + m ||
                    !streq(name + len - m, names[i].suffix))
                        continue;
                return names[i].engine
                               ? set_container(a, names[i].engine, name + n, len - n - m, ret)
                               : 0;
        }
        for (size_t i = 0; i < ARRAY_SIZE(folders) && parent; i++)
                if (startswith(parent, folders[i].prefix) && is_id(name))
                        return set_container(a, folders[i].engine, name, len, ret);
        return 0;
}

/* One component of the path, from the root on. The first unit is the system's, the first below a
 * user's manager is that user's; what stands below a container is the container's own affair. */
static int take_component(Arena *a, const char *name, const char *parent, Cgroup *ret) {
        size_t len = strlen(name);
        const char **unit = ret->container                                      ? NULL
                            : !ret->unit                                        ? &ret->unit
                            : startswith(ret->unit, "user@") && !ret->user_unit ? &ret->user_unit
                                                                                : NULL;

        if (unit && is_unit(name, len)) {
                *unit = arena_strdup(a, name);
                if (!*unit)
                        return -ENOMEM;
                if (unit == &ret->unit && startswith(name, "session-")) {
                        size_t n = strlen("session-");

                        ret->session = arena_strndup(a, name + n, strcspn(name + n, "."));
                        if (!ret->session)
                                return -ENOMEM;
                }
        }
        return ret->container ? 0 : match_name(a, name, parent, ret);
}

static int take_path(Arena *a, const char *path, Cgroup *ret) {
        char *rest = arena_strdup(a, path), *name, *parent = NULL, *kubernetes = NULL;
        int r = 0;

        if (!rest)
                return -ENOMEM;
        ret->path = path;
        while (r == 0 && (name = strsep(&rest, "/")) != NULL) {
                if (!*name)
                        continue;
                if (*name ==
                    '_') /* systemd's escape of names that the kernel could take for its own */
                        name++;
                if (startswith(name, "kubepods"))
                        kubernetes = name; /* containers stand some levels below it */
                r = take_component(a, name, kubernetes ? kubernetes : parent, ret);
                parent = name;
        }
        return r;
}

/* The path behind the second colon of a line ID:CONTROLLERS:PATH; NULL if the controllers are
 * others. */
static char *path_of(char *line, const char *controllers) {
        char *middle = strchr(line, ':'), *path;

        if (!middle)
                return NULL;
        path = strchr(++middle, ':');
        if (!path)
                return NULL;
        *path++ = '\0';
        return streq(middle, controllers) ? path : NULL;
}

/* Of the hierarchies the one that systemd names its units in: the unified one, or, as long as there
 * are others, one of its own. */
int cgroup_parse(Arena *a, const char *text, Cgroup *ret) {
        static const char *const hierarchies[] = {"name=systemd", ""};
        Cgroup found = {0};

        for (size_t i = 0; i < ARRAY_SIZE(hierarchies) && !found.path; i++) {
                char *rest = arena_strdup(a, text), *line;

                if (!rest)
                        return -ENOMEM;
                while ((line = strsep(&rest, "\n")) != NULL && !found.path) {
                        char *path = path_of(line, hierarchies[i]);
                        int r = 0;

                        if (path && !streq(path, "/")) {
                                tree_clean(path);
                                r = take_path(a, path, &found);
                        }
                        if (r < 0)
                                return r;
                }
        }
        *ret = found;
        return 0;
}

int cgroup_owner(Arena *a, const Cgroup *c, const char **ret) {
        const char *owner = c->user_unit ? c->user_unit : c->unit;

        if (c->engine && c->container) {
                owner = arena_printf(a, "%s %s", c->engine, c->container);
                if (!owner)
                        return -ENOMEM;
        }
        *ret = owner;
        return 0;
}
