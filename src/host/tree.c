/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/tree.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/file.h"
#include "doc/text_check.h"

const char *tree_path(const Tree *t, const char *format, ...) {
        const char *path;
        va_list ap;

        va_start(ap, format);
        path = arena_vprintf(t->arena, format, ap);
        va_end(ap);
        return path && t->root[0] ? arena_printf(t->arena, "%s%s", t->root, path) : path;
}

static int read_limited(int fd, char *buf, size_t *ret_size) {
        size_t size = 0;

        while (size < TREE_TEXT_MAX) {
                ssize_t n = read(fd, buf + size, TREE_TEXT_MAX - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t)n;
        }
        *ret_size = size;
        return 0;
}

int tree_read(const Tree *t, const char *path, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = path ? file_open(path) : -ENOMEM;
        _cleanup_free_ char *buf = NULL;
        struct stat st;
        size_t size;
        char *text;
        int r;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        buf = malloc(TREE_TEXT_MAX);
        if (!buf)
                return -ENOMEM;
        r = read_limited(fd, buf, &size);
        if (r < 0)
                return r;
        text = arena_alloc(t->arena, size + 1);
        if (!text)
                return -ENOMEM;
        memcpy(text, buf, size);
        *ret = text;
        *ret_size = size;
        return 0;
}

int tree_read_word(const Tree *t, const char *path, const char **ret) {
        size_t size;
        char *text;
        int r = tree_read(t, path, &text, &size);

        if (r < 0)
                return r;
        text[strcspn(text, " \t\n")] = '\0';
        tree_clean(text);
        *ret = text;
        return 0;
}

int tree_read_link(const Tree *t, const char *path, const char **ret) {
        char buf[PATH_MAX];
        ssize_t n;

        if (!path)
                return -ENOMEM;
        n = readlink(path, buf, sizeof(buf));
        if (n < 0)
                return -errno;
        if ((size_t)n == sizeof(buf))
                return -ENAMETOOLONG;
        *ret = arena_strndup(t->arena, buf, (size_t)n);
        return *ret ? 0 : -ENOMEM;
}

int tree_find(const Tree *t, const char *pattern, const char **ret) {
        const char *full = tree_path(t, "%s", pattern);
        glob_t found;
        int r = full ? glob(full, 0, NULL, &found) : GLOB_NOSPACE;

        *ret = NULL;
        if (r == 0) {
                char *path = arena_strdup(t->arena, found.gl_pathv[0] + strlen(t->root));

                globfree(&found);
                if (!path)
                        return -ENOMEM;
                tree_clean(path);
                *ret = path;
        }
        return r == GLOB_NOSPACE ? -ENOMEM : 0;
}

int tree_has(const char *path) {
        struct stat st;

        if (!path)
                return -ENOMEM;
        if (lstat(path, &st) == 0)
                return 1;
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
}

int tree_assigns(const Tree *t, const char *path, const char *name, const char *value) {
        size_t size, len = strlen(name);
        bool does = false;
        char *text, *line;
        int r = tree_read(t, tree_path(t, "%s", path), &text, &size);

        if (r < 0)
                return r == -ENOENT || r == -ENOTDIR ? 0 : r;
        while ((line = strsep(&text, "\n")) != NULL) {
                line += strspn(line, " \t");
                if (strncmp(line, name, len) != 0 || line[len] != '=')
                        continue;
                line += len + 1;
                line += strspn(line, "\"'");
                line[strcspn(line, "\"' \t\r#")] = '\0';
                does = strcasecmp(line, value) == 0;
        }
        return does;
}

void tree_clean(char *text) {
        size_t left = strlen(text);

        while (left > 0) {
                uint32_t c = 0;
                size_t n = text_decode(text, left, &c);
                bool fits =
                        n > 0 && text_character_is_fit(c) && c != '\n' && c != '\r' && c != '\t';

                if (n == 0)
                        n = 1;
                if (!fits)
                        memset(text, '?', n);
                text += n;
                left -= n;
        }
}
