/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/socket_unit.h"

#include <glob.h>
#include <sys/stat.h>

#include "base/text.h"

/* Where unified control groups are mounted: alone, or beside the old ones. */
static const char *const cgroup_roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

/* Where units are, first found first (systemd.unit(5)). */
static const char *const folders[] = {
        "/etc/systemd/system.control",   "/run/systemd/system.control", "/run/systemd/transient",
        "/etc/systemd/system",           "/run/systemd/system",         "/run/systemd/generator",
        "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",     "/lib/systemd/system",
};

typedef struct Ports {
        uint16_t *items;
        size_t n_items;
} Ports;

/* Appends the paths that match, in order. */
static int find_paths(const Tree *t, const char *pattern, const char ***paths, size_t *n_paths) {
        glob_t found;
        int r = pattern ? glob(pattern, 0, NULL, &found) : GLOB_NOSPACE;

        if (r != 0)
                return r == GLOB_NOSPACE ? -ENOMEM : 0;
        for (size_t i = 0; i < found.gl_pathc && r == 0; i++) {
                const char *path = arena_strdup(t->arena, found.gl_pathv[i]);

                if (!path || !arena_append(t->arena, *paths, *n_paths, path))
                        r = -ENOMEM;
        }
        globfree(&found);
        return r;
}

static const char *name_of(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static int
find_by_cgroup(const Tree *t, const HostSocket *socket, const char *prefix, const char **ret) {
        for (size_t i = 0; i < ARRAY_SIZE(cgroup_roots) && socket->cgroup != 0; i++) {
                const char **paths = NULL;
                size_t n = 0;
                int r = find_paths(
                        t, tree_path(t, "%s/system.slice/%s*.socket", cgroup_roots[i], prefix),
                        &paths, &n);

                if (r < 0)
                        return r;
                for (size_t j = 0; j < n; j++) {
                        struct stat st;

                        if (stat(paths[j], &st) == 0 && st.st_ino == socket->cgroup) {
                                *ret = name_of(paths[j]);
                                return 0;
                        }
                }
        }
        return 0;
}

/* "22", "0.0.0.0:22", "[::]:22"; 0 for what is no port, such as a path. */
static uint16_t port_of(const char *value) {
        const char *colon = strrchr(value, ':');
        uint64_t port;

        return text_to_number(colon ? colon + 1 : value, 1, UINT16_MAX, &port) ? (uint16_t)port : 0;
}

/* Takes in the ListenStream= lines of one file; an empty one takes back those before. */
static int take_file(const Tree *t, const char *path, Ports *ports) {
        char *text, *line;
        size_t size;
        int r = tree_read(t, path, &text, &size);

        if (r < 0)
                return r == -ENOMEM ? r : 0;
        while ((line = strsep(&text, "\n")) != NULL) {
                char *value = strchr(line, '=');
                size_t len;
                uint16_t port;

                line += strspn(line, " \t");
                if (!value || !startswith(line, "ListenStream") ||
                    line + strlen("ListenStream") + strspn(line + strlen("ListenStream"), " \t") !=
                            value)
                        continue;
                value += 1 + strspn(value + 1, " \t");
                len = strcspn(value, " \t\r");
                value[len] = '\0';
                if (len == 0)
                        *ports = (Ports){0};
                port = port_of(value);
                if (port != 0 && !arena_append(t->arena, ports->items, ports->n_items, port))
                        return -ENOMEM;
        }
        return 0;
}

static int compare_names(const void *a, const void *b) {
        const char *const *x = a, *const *y = b;

        return strcmp(name_of(*x), name_of(*y));
}

/* Drop-ins are read in the order of their names; one name counts once, where it is found first. */
static int take_drop_ins(const Tree *t, const char *unit, Ports *ports) {
        const char **paths = NULL;
        size_t n = 0, kept = 0;
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0; i++) {
                const char **more = NULL;
                size_t n_more = 0, n_before = n;

                r = find_paths(t, tree_path(t, "%s/%s.d/*.conf", folders[i], unit), &more, &n_more);
                for (size_t j = 0; j < n_more && r == 0; j++) {
                        bool hidden = false;

                        for (size_t k = 0; k < n_before && !hidden; k++)
                                hidden = streq(name_of(paths[k]), name_of(more[j]));
                        if (!hidden && !arena_append(t->arena, paths, n, more[j]))
                                r = -ENOMEM;
                }
        }
        if (r == 0 && n > 0)
                qsort(paths, n, sizeof(*paths), compare_names);
        while (kept < n && r == 0)
                r = take_file(t, paths[kept++], ports);
        return r;
}

static int read_ports(const Tree *t, const char *unit, Ports *ret) {
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                const char *path = tree_path(t, "%s/%s", folders[i], unit);
                int r;

                if (tree_has(path) == 0)
                        continue;
                r = take_file(t, path, ret);
                if (r < 0)
                        return r;
                break;
        }
        return take_drop_ins(t, unit, ret);
}

static int
find_by_port(const Tree *t, const HostSocket *socket, const char *prefix, const char **ret) {
        const char **paths = NULL;
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0; i++)
                r = find_paths(t, tree_path(t, "%s/%s*.socket", folders[i], prefix), &paths, &n);
        for (size_t i = 0; i < n && r == 0; i++) {
                Ports ports = {0};

                r = read_ports(t, name_of(paths[i]), &ports);
                for (size_t j = 0; j < ports.n_items && r == 0; j++)
                        if (ports.items[j] == socket->local_port) {
                                *ret = name_of(paths[i]);
                                return 0;
                        }
        }
        return r;
}

int socket_unit_find(const Tree *t,
                     const HostSocket *socket,
                     const char *prefix,
                     const char **ret) {
        const char *found = NULL;
        int r = find_by_cgroup(t, socket, prefix, &found);

        if (r == 0 && !found)
                r = find_by_port(t, socket, prefix, &found);
        if (r < 0)
                return r;
        *ret = found;
        return 0;
}
