/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For x_test.c files alone: a root of its own for each test, and processes in it as proc(5) shows
 * them. */

#include <sys/stat.h>

#include "base/unit.h"
#include "host/tree.h"

static inline int tree_setup(void **state) {
        char name[] = "/tmp/ringwall-tree-XXXXXX";
        Arena *a = arena_new(0);
        Tree *t = a ? arena_new0(a, Tree) : NULL;

        *state = t;
        if (!t || !mkdtemp(name))
                return -1;
        t->arena = a;
        t->root = arena_strdup(a, name);
        return t->root ? 0 : -1;
}

static inline int tree_teardown(void **state) {
        Tree *t = *state;
        int r = system(arena_printf(t->arena, "rm -rf -- '%s'", t->root));

        (void)arena_free(t->arena);
        return r;
}

/* A test that finds a Tree in *state. */
#define tree_test(function) cmocka_unit_test_setup_teardown((function), tree_setup, tree_teardown)

static inline const char *tree_make_parents(const Tree *t, const char *path) {
        char *full = arena_printf(t->arena, "%s%s", t->root, path);

        assert_non_null(full);
        for (char *p = full + strlen(t->root) + 1; (p = strchr(p, '/')) != NULL; p++) {
                *p = '\0';
                if (mkdir(full, 0755) < 0)
                        assert_int_equal(errno, EEXIST);
                *p = '/';
        }
        return full;
}

static inline void
tree_write_bytes(const Tree *t, const char *path, const char *text, size_t size) {
        FILE *f = fopen(tree_make_parents(t, path), "we");

        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, size, f), size);
        assert_int_equal(fclose(f), 0);
}

static inline void tree_write(const Tree *t, const char *path, const char *text) {
        tree_write_bytes(t, path, text, strlen(text));
}

static inline void tree_link(const Tree *t, const char *path, const char *to) {
        assert_int_equal(symlink(to, tree_make_parents(t, path)), 0);
}

/* A folder; returns what stat() says is its inode. */
static inline uint64_t tree_folder(const Tree *t, const char *path) {
        struct stat st;

        (void)tree_make_parents(t, arena_printf(t->arena, "%s/", path));
        assert_int_equal(stat(tree_path(t, "%s", path), &st), 0);
        return st.st_ino;
}

typedef struct FakeProcess {
        int pid, parent;
        unsigned int uid;
        unsigned int started; /* ticks */
        const char *comm, *executable, *command, *cgroup, *environment;
        unsigned int sockets[4]; /* inodes */
        bool is_nested;
} FakeProcess;

static inline void tree_add_process(const Tree *t, const FakeProcess *p) {
        static const char rest[] = "0 0 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0"; /* fields 5 to 21 */
        const char *at = arena_printf(t->arena, "/proc/%d", p->pid);
#define file(name) arena_printf(t->arena, "%s/" name, at)
        tree_write(t, file("stat"),
                   arena_printf(t->arena, "%d (%s) S %d %s %u 1000 100 0\n", p->pid, p->comm,
                                p->parent, rest, p->started));
        tree_write(t, file("comm"), arena_printf(t->arena, "%s\n", p->comm));
        tree_write(t, file("status"),
                   arena_printf(t->arena,
                                "Name:\t%s\nPPid:\t%d\nUid:\t%u\t%u\t%u\t%u\nGid:\t0\n"
                                "NSpid:\t%d%s\n",
                                p->comm, p->parent, p->uid, p->uid, p->uid, p->uid, p->pid,
                                p->is_nested ? "\t1" : ""));
        tree_write(t, file("cgroup"), p->cgroup ? p->cgroup : "0::/\n");
        if (p->executable)
                tree_link(t, file("exe"), p->executable);
        if (p->command)
                tree_write_bytes(t, file("cmdline"), p->command, strlen(p->command) + 1);
        if (p->environment)
                tree_write_bytes(t, file("environ"), p->environment, strlen(p->environment) + 1);
        (void)tree_folder(t, file("fd"));
        for (size_t i = 0; i < ARRAY_SIZE(p->sockets); i++)
                if (p->sockets[i] != 0)
                        tree_link(t, arena_printf(t->arena, "%s/fd/%zu", at, 3 + i),
                                  arena_printf(t->arena, "socket:[%u]", p->sockets[i]));
#undef file
}
