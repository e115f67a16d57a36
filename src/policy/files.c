/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <glob.h>
#include <sys/stat.h>

#include "base/file.h"
#include "policy/loader.h"

#define POLICY_FOLDER "policy.d"
#define SUFFIX ".yaml"

int source_register(Loader *l, const Source *source) {
        return arena_append(l->arena, l->sources, l->n_sources, source) ? 0 : -ENOMEM;
}

PolicyFile *policy_file_new(Loader *l, Source source, const PolicyFile *parent) {
        PolicyFile *file = arena_new0(l->arena, PolicyFile);

        if (!file)
                return NULL;
        file->source = source; /* outlives the policy: spans point to it */
        file->is_catalogue = l->n_files == 0;
        file->parent = parent;
        if (source_register(l, &file->source) < 0 ||
            !arena_append(l->arena, l->files, l->n_files, file))
                return NULL;
        return file;
}

/* Reports at the place that names the file, or, without one, in the name of the file itself. */
static int report_unreadable(Loader *l, const Source *source, Span at, int error) {
        const char *start = "";

        l->unreadable = true;
        if (error == -ENOMEM)
                return error;
        if (at.source) {
                start = arena_printf(l->arena, "%s: ", source->name);
                if (!start)
                        return -ENOMEM;
        } else
                at = (Span){.source = source};
        switch (error) {
        case -EFBIG:
                return diag_error(l->d, at, "%sthis file is larger than %zu MiB", start,
                                  POLICY_FILE_MAX >> 20);
        case -EISDIR:
                return diag_error(l->d, at, "%sthis is a directory, not a file", start);
        case -ENOENT:
                l->error = l->error ? l->error : at.source == source ? -ENOENT : 0;
                return diag_error(l->d, at, "%sthere is no such file", start);
        case -EACCES:
                l->error = -EACCES;
                return diag_error(l->d, at, "%sthis file may not be read by you", start);
        }
        return diag_error(l->d, at, "%scannot be read: %s", start, strerror(-error));
}

/* Whoever can write a policy's file decides what the firewall admits. */
static void check_trust(Loader *l, const Source *source, const struct stat *st) {
        const char *what = S_ISDIR(st->st_mode) ? "folder" : "file";
        Span at = {.source = source};

        if (S_ISCHR(st->st_mode)) /* /dev/null, a terminal: nobody's words */
                return;
        if (st->st_mode & (S_IWGRP | S_IWOTH)) {
                diag_error(l->d, at, "this %s can be written by %s", what,
                           st->st_mode & S_IWOTH ? "everybody" : "its group");
                diag_hint(l->d, "chmod go-w %s", source->name);
        }
        if (l->paths->of_root && st->st_uid != 0) {
                diag_error(l->d, at, "this %s does not belong to root", what);
                diag_hint(l->d, "chown root %s", source->name);
        }
}

/* Whether what is going to be said is the file of this name. */
static bool is_drafted(const Loader *l, const char *name) {
        const PolicyDraft *draft = l->paths->draft;
        struct stat a, b;

        if (!draft || streq(draft->path, name))
                return draft != NULL;
        return stat(draft->path, &a) == 0 && stat(name, &b) == 0 && a.st_dev == b.st_dev &&
               a.st_ino == b.st_ino;
}

int policy_file_read(Loader *l, Source *source, Span at, size_t limit) {
        _cleanup_close_ int fd = file_open(source->name);
        bool drafted = is_drafted(l, source->name);
        struct stat st;
        char *text;
        int r = 0;

        if (drafted) {
                source->text = l->paths->draft->text;
                source->size = l->paths->draft->size;
                if (fd == -ENOENT)
                        return 0;
        }
        if (fd < 0)
                return report_unreadable(l, source, at, fd);
        if (fstat(fd, &st) < 0)
                return report_unreadable(l, source, at, -errno);
        if (!drafted) {
                r = file_read_fd(l->arena, fd, limit, &text, &source->size);
                if (r < 0)
                        return report_unreadable(l, source, at, r);
                source->text = text;
        } else if (source->size > limit)
                return report_unreadable(l, source, at, -EFBIG);
        check_trust(l, source, &st); /* which a draft inherits */
        return 0;
}

int policy_list_read(Loader *l, Source *source, Span at, size_t limit) {
        const PolicyTexts *texts = l->paths->texts;

        if (!texts)
                return policy_file_read(l, source, at, limit);
        for (size_t i = texts->n_files; i < texts->n_sources; i++)
                if (streq(texts->sources[i].name, source->name)) {
                        source->text = texts->sources[i].text;
                        source->size = texts->sources[i].size;
                        return 0;
                }
        return report_unreadable(l, source, at, -ENOENT);
}

/* A file of the policy that is read already, or NULL. The catalogue may be looked at as a policy.
 */
static const PolicyFile *find_file(const Loader *l, const struct stat *st) {
        for (size_t i = 1; i < l->n_files; i++) {
                const PolicyFile *f = l->files[i];

                if (f->on_disk && f->device == st->st_dev && f->inode == st->st_ino)
                        return f;
        }
        return NULL;
}

static int report_cycle(Loader *l, const PolicyFile *file, const PolicyFile *known, Span at) {
        const char *way = known->source.name;

        if (file == known)
                return diag_error(l->d, at, "this file includes itself");
        for (; file && file != known; file = file->parent)
                way = way ? arena_printf(l->arena, "%s -> %s", file->source.name, way) : NULL;
        if (!way)
                return -ENOMEM;
        return diag_error(l->d, at, "this file includes itself: %s -> %s", known->source.name, way);
}

/* Whether the file has been read: then it is not read again. -EBADMSG if it is being read now. */
static int is_known(Loader *l, const struct stat *st, const PolicyFile *parent, Span at) {
        const PolicyFile *known = find_file(l, st);

        for (const PolicyFile *f = parent; f && known; f = f->parent)
                if (f == known)
                        return report_cycle(l, parent, known, at);
        return known != NULL;
}

static unsigned int depth(const PolicyFile *file) {
        unsigned int n = 0;

        for (; file->parent; file = file->parent)
                n++;
        return n;
}

/* `at`: the place that names the file, if one does. A file that has been read is left out. */
static int read_file(Loader *l, const char *path, const PolicyFile *parent, Span at) {
        PolicyFile *file;
        struct stat st;
        int r = 0;

        if (stat(path, &st) == 0)
                r = is_known(l, &st, parent, at);
        if (r != 0)
                return MIN(r, 0);
        if (l->n_files == POLICY_FILES_MAX)
                return diag_error(l->d, at, "the policy has more than %d files", POLICY_FILES_MAX);
        file = policy_file_new(l, (Source){.name = path}, parent);
        if (!file)
                return -ENOMEM;
        if (depth(file) > POLICY_INCLUDE_DEPTH_MAX)
                return diag_error(l->d, at, "files are included more than %d levels deep here",
                                  POLICY_INCLUDE_DEPTH_MAX);
        file->on_disk = stat(path, &st) == 0;
        if (file->on_disk) {
                file->device = st.st_dev;
                file->inode = st.st_ino;
        }
        r = policy_file_read(l, &file->source, at, POLICY_FILE_MAX);
        return r < 0 ? r : policy_file_decode(l, file);
}

const char *policy_file_path(Arena *a, const PolicyFile *file, const char *name) {
        const char *slash = strrchr(file->source.name, '/');

        if (name[0] == '/' || !slash)
                return arena_strdup(a, name);
        return arena_printf(a, "%.*s/%s", (int)(slash - file->source.name), file->source.name,
                            name);
}

/* The folder's part of a pattern means itself, whatever characters it has. */
static const char *pattern_path(Arena *a, const PolicyFile *file, const char *pattern) {
        const char *path = policy_file_path(a, file, pattern);
        size_t len = path ? strlen(path) : 0, n_folder = len - (path ? strlen(pattern) : 0);
        char *escaped = path ? arena_alloc(a, len + n_folder + 1) : NULL, *p = escaped;

        for (size_t i = 0; p && i < len; i++) {
                if (i < n_folder && strchr("*?[]\\", path[i]))
                        *p++ = '\\';
                *p++ = path[i];
        }
        return escaped;
}

static void globfreep(glob_t *g) {
        globfree(g);
}

static int include_pattern(Loader *l, const PolicyFile *file, const Node *n) {
        const char *pattern = pattern_path(l->arena, file, n->text);
        _cleanup_(globfreep) glob_t found = {0};
        int r = pattern ? glob(pattern, 0, NULL, &found) : GLOB_NOSPACE, result = 0;

        if (r == GLOB_NOMATCH) {
                diag_warning(l->d, n->at, "no file is named like this: %s", n->text);
                return 0;
        }
        if (r == GLOB_NOSPACE)
                return -ENOMEM;
        if (r != 0)
                return diag_error(l->d, n->at, "the files named like this cannot be listed");
        for (size_t i = 0; i < found.gl_pathc; i++) {
                const char *path = arena_strdup(l->arena, found.gl_pathv[i]);

                r = path ? read_file(l, path, file, n->at) : -ENOMEM;
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

static int include_item(Loader *l, const PolicyFile *file, const Node *n) {
        const char *path;

        if (n->kind != NODE_SCALAR)
                return diag_error(l->d, n->at, "expected a file's path, found %s",
                                  node_kind_to_string(n->kind));
        if (n->text[0] == '\0')
                return diag_error(l->d, n->at, "a file's path is missing here");
        if (strpbrk(n->text, "*?["))
                return include_pattern(l, file, n);
        path = policy_file_path(l->arena, file, n->text);
        return path ? read_file(l, path, file, n->at) : -ENOMEM;
}

int policy_files_include(Loader *l, const PolicyFile *file) {
        const NodeEntry *entry = file->include;
        const Node *n = entry->value;
        int r = schema_expect_value(entry, l->d), result = 0;

        if (r < 0)
                return r;
        if (!l->paths)
                return diag_error(l->d, entry->key->at, "what is no file cannot include others");
        if (l->paths->texts)
                return 0; /* they are among the texts */
        if (n->kind != NODE_SEQUENCE)
                return include_item(l, file, n);
        for (size_t i = 0; i < n->n_items; i++) {
                r = include_item(l, file, n->items[i]);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

static int read_standard_input(Loader *l) {
        PolicyFile *file = policy_file_new(l, (Source){.name = "stdin"}, NULL);
        char *text;
        int r;

        if (!file)
                return -ENOMEM;
        r = file_read_fd(l->arena, STDIN_FILENO, POLICY_FILE_MAX, &text, &file->source.size);
        if (r < 0)
                return report_unreadable(l, &file->source, (Span){0}, r);
        file->source.text = text;
        return policy_file_decode(l, file);
}

/* A policy that says nothing of its own. */
static int read_nothing(Loader *l) {
        static const char text[] = "ringwall: 1\n";
        Source source = {.name = "no policy", .text = text, .size = sizeof(text) - 1};
        PolicyFile *file = policy_file_new(l, source, NULL);

        return file ? policy_file_decode(l, file) : -ENOMEM;
}

static int is_policy_file(const struct dirent *entry) {
        return !streq(entry->d_name, ".") && !streq(entry->d_name, "..");
}

static bool has_suffix(const char *name) {
        size_t len = strlen(name), suffix = strlen(SUFFIX);

        return name[0] != '.' && len > suffix && streq(name + len - suffix, SUFFIX);
}

/* One name in policy.d. */
static int read_entry(Loader *l, const char *folder, const char *name, const PolicyFile *policy) {
        const char *path = arena_printf(l->arena, "%s/%s", folder, name);
        Source *source;

        if (!path)
                return -ENOMEM;
        if (has_suffix(name))
                return read_file(l, path, policy, (Span){0});
        source = arena_new0(l->arena, Source);
        if (!source || source_register(l, source) < 0)
                return -ENOMEM;
        source->name = path;
        diag_warning(l->d, (Span){.source = source}, "this file is not read: its name %s",
                     name[0] == '.' ? "begins with a dot" : "does not end in " SUFFIX);
        return 0;
}

static int byte_order(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

/* The name in the folder of a draft that is no file yet, or NULL. */
static const char *find_drafted(const Loader *l, const char *folder) {
        const char *path = l->paths->draft ? l->paths->draft->path : "";
        size_t len = strlen(folder);
        struct stat st;

        if (!startswith(path, folder) || path[len] != '/' || strchr(path + len + 1, '/') ||
            stat(path, &st) == 0)
                return NULL;
        return path + len + 1;
}

/* policy.d beside the policy, if there is one. */
static int read_folder(Loader *l, const PolicyFile *policy) {
        Source *source = arena_new0(l->arena, Source);
        struct dirent **names = NULL;
        const char *drafted;
        struct stat st;
        int n, r = 0;

        if (!source || source_register(l, source) < 0)
                return -ENOMEM;
        source->name = policy_file_path(l->arena, policy, POLICY_FOLDER);
        if (!source->name)
                return -ENOMEM;
        drafted = find_drafted(l, source->name);
        if (stat(source->name, &st) < 0) {
                if (errno != ENOENT)
                        return report_unreadable(l, source, (Span){0}, -errno);
                return drafted ? read_entry(l, source->name, drafted, policy) : 0;
        }
        check_trust(l, source, &st);
        n = scandir(source->name, &names, is_policy_file, byte_order);
        if (n < 0)
                return report_unreadable(l, source, (Span){0}, -errno);
        for (int i = 0; i < n; i++) {
                if (drafted && strcmp(drafted, names[i]->d_name) < 0 && r != -ENOMEM)
                        r = read_entry(l, source->name, TAKE_PTR(drafted), policy);
                if (r != -ENOMEM)
                        r = read_entry(l, source->name, names[i]->d_name, policy);
                free(names[i]);
        }
        if (drafted && r != -ENOMEM)
                r = read_entry(l, source->name, drafted, policy);
        free(names);
        return r;
}

static int read_policy(Loader *l) {
        const char *path = l->paths->policy;
        int r;

        if (!path)
                return read_nothing(l);
        if (streq(path, "-"))
                return read_standard_input(l);
        r = read_file(l, path, NULL, (Span){0});
        /* what is in policy.d would only be a part of what was meant */
        return r == 0 ? read_folder(l, l->files[1]) : r;
}

int policy_files_read(Loader *l) {
        int r = read_file(l, l->paths->catalogue, NULL, (Span){0});

        if (l->unreadable && r != -ENOMEM)
                diag_hint(l->d, "the catalogue is a part of ringwall's installation");
        if (r == 0)
                r = read_policy(l);
        return r == -ENOMEM ? r : 0;
}
