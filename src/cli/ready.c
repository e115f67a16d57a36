/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/ready.h"
#include "policy/datadir.h"

#include <dirent.h>

#include "base/file.h"
#include "cli/input.h"

#define CATALOGUE "catalogue.yaml"
#define SUFFIX ".yaml"

typedef struct ReadyList {
        ReadyPolicy *items;
        size_t n_items;
} ReadyList;

static void closedirp(DIR **dir) {
        if (*dir)
                (void)closedir(*dir); /* it was only read */
}

static const char *skip_line(const char *p) {
        const char *end = strchr(p, '\n');

        return end ? end + 1 : p + strlen(p);
}

/* The comment behind the licence's line, up to the end of its first sentence, on one line. */
static const char *read_summary(Arena *a, const char *text) {
        char *summary = arena_strdup(a, text), *to = summary;
        const char *p = text;

        if (!summary)
                return NULL;
        while (startswith(p, "# SPDX") || startswith(p, "#\n"))
                p = skip_line(p);
        for (; startswith(p, "# "); p = skip_line(p)) {
                size_t len = strcspn(p + 2, "\n");

                if (to != summary)
                        *to++ = ' ';
                memcpy(to, p + 2, len);
                to += len;
        }
        *to = '\0';
        for (char *stop = strchr(summary, '.'); stop; stop = strchr(stop + 1, '.'))
                if (stop[1] == ' ' || stop[1] == '\0') {
                        *stop = '\0';
                        break;
                }
        return summary;
}

static int add(Arena *a, ReadyList *list, const char *folder, const char *file) {
        size_t len = strlen(file);
        ReadyPolicy policy = {0};
        char *text;
        int r;

        if (len <= strlen(SUFFIX) || !streq(file + len - strlen(SUFFIX), SUFFIX) ||
            streq(file, CATALOGUE) || file[0] == '.')
                return 0;
        policy.name = arena_strndup(a, file, len - strlen(SUFFIX));
        policy.path = arena_printf(a, "%s/%s", folder, file);
        if (!policy.name || !policy.path)
                return -ENOMEM;
        r = file_read(a, policy.path, POLICY_FILE_MAX, &text, &policy.size);
        policy.text = text;
        policy.summary = r == 0 ? read_summary(a, text) : NULL;
        if (r == 0 && !policy.summary)
                r = -ENOMEM;
        /* one that cannot be read is still told of, by the caller */
        if (!arena_append(a, list->items, list->n_items, policy))
                return -ENOMEM;
        return r;
}

static int compare_names(const void *a, const void *b) {
        const ReadyPolicy *x = a, *y = b;

        return strcmp(x->name, y->name);
}

/* Installed, they have a folder of their own; in a source tree they lie beside the catalogue. */
static DIR *open_folder(Arena *a, const char **ret_path) {
        const char *datadir = datadir_find(a);
        DIR *dir;

        *ret_path = datadir ? arena_printf(a, "%s/policies", datadir) : NULL;
        if (!*ret_path) {
                errno = ENOMEM;
                return NULL;
        }
        dir = opendir(*ret_path);
        if (dir || errno != ENOENT)
                return dir;
        *ret_path = datadir;
        return opendir(datadir);
}

int ready_read(Arena *a, ReadyPolicy **ret, size_t *ret_n, const char **ret_failed) {
        _cleanup_(closedirp) DIR *dir = NULL;
        ReadyList list = {0};
        const char *folder;
        struct dirent *entry;

        dir = open_folder(a, &folder);
        *ret_failed = folder ? folder : "";
        if (!dir)
                return -errno;
        for (errno = 0; (entry = readdir(dir)); errno = 0) {
                int r = add(a, &list, folder, entry->d_name);

                if (r < 0 && list.n_items > 0)
                        *ret_failed = list.items[list.n_items - 1].path;
                if (r < 0)
                        return r;
        }
        if (errno != 0)
                return -errno;
        if (list.n_items > 0)
                qsort(list.items, list.n_items, sizeof(list.items[0]), compare_names);
        *ret = list.items;
        *ret_n = list.n_items;
        return 0;
}
