/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/process.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/text.h"

#define FIELD_PARENT 4 /* of /proc/PID/stat, counted from 1 */
#define FIELD_START 22
#define DELETED " (deleted)"

static uint64_t usec_of_ticks(uint64_t ticks) {
        long per_second = sysconf(_SC_CLK_TCK);
        uint64_t hertz = per_second > 0 ? (uint64_t)per_second : 100;

        return ticks / hertz * 1000000 + ticks % hertz * 1000000 / hertz;
}

/* PID (NAME) STATE PARENT ...; the name may hold anything, ") " too. */
bool process_parse_stat(Arena *a, char *text, HostProcess *ret) {
        char *name = strchr(text, '('), *end = strrchr(text, ')'), *rest, *word;
        uint64_t number;

        if (!name || !end || end < name || end[1] != ' ')
                return false;
        *end = '\0';
        rest = end + 2;
        for (unsigned int field = 3; (word = strsep(&rest, " \n")) != NULL; field++) {
                if (field != FIELD_PARENT && field != FIELD_START)
                        continue;
                if (!text_to_number(word, 0, UINT64_MAX, &number))
                        return false;
                if (field == FIELD_START) {
                        ret->started_usec = usec_of_ticks(number);
                        tree_clean(name + 1);
                        ret->comm = arena_strdup(a, name + 1);
                        return ret->comm != NULL;
                }
                ret->parent = (pid_t)number;
        }
        return false;
}

/* What stands behind "\nNAME:\t" in /proc/PID/status. In the process's own name, which comes first,
 * the kernel writes a newline as "\\n". */
static char *status_line(const Tree *t, const char *status, const char *name) {
        const char *line = strstr(status, name);

        line = line ? line + strlen(name) : "";
        return arena_strndup(t->arena, line, strcspn(line, "\n"));
}

/* Uid: REAL EFFECTIVE SAVED FILESYSTEM, and NSpid: its number here, then in each namespace below,
 * between tabs. */
static int parse_status(const Tree *t, const char *status, HostProcess *ret) {
        char *uids = status_line(t, status, "\nUid:\t"), *effective;
        const char *numbers = status_line(t, status, "\nNSpid:\t");
        uint64_t number;

        if (!uids || !numbers)
                return -ENOMEM;
        (void)strsep(&uids, "\t");
        effective = strsep(&uids, "\t");
        if (!effective || !text_to_number(effective, 0, UINT32_MAX, &number))
                return -ESRCH;
        ret->uid = (uint32_t)number;
        ret->is_nested = strchr(numbers, '\t') != NULL;
        return 0;
}

static int read_executable(const Tree *t, HostProcess *p) {
        const char *link;
        size_t len;
        char *path;
        int r = tree_read_link(t, tree_path(t, "/proc/%d/exe", p->pid), &link);

        if (r < 0)
                return r == -ENOMEM ? r : 0; /* not ours to see, or a thread of the kernel */
        len = strlen(link);
        p->is_deleted = len > strlen(DELETED) && streq(link + len - strlen(DELETED), DELETED);
        path = arena_strndup(t->arena, link, p->is_deleted ? len - strlen(DELETED) : len);
        if (!path)
                return -ENOMEM;
        tree_clean(path);
        p->executable = path;
        return 0;
}

static int read_command(const Tree *t, HostProcess *p) {
        size_t size;
        char *text;
        int r = tree_read(t, tree_path(t, "/proc/%d/cmdline", p->pid), &text, &size);

        if (r < 0)
                return r == -ENOMEM ? r : 0;
        size = MIN(size, (size_t)PROCESS_COMMAND_MAX);
        while (size > 0 && text[size - 1] == '\0')
                size--;
        if (size == 0)
                return 0;
        for (size_t i = 0; i < size; i++)
                if (text[i] == '\0')
                        text[i] = ' ';
        text[size] = '\0';
        tree_clean(text);
        p->command = text;
        return 0;
}

static int read_cgroup(const Tree *t, HostProcess *p) {
        size_t size;
        char *text;
        int r = tree_read(t, tree_path(t, "/proc/%d/cgroup", p->pid), &text, &size);

        if (r < 0)
                return r == -ENOMEM ? r : 0;
        return cgroup_parse(t->arena, text, &p->cgroup);
}

int process_read(const Tree *t, pid_t pid, HostProcess *ret) {
        /* a process that ends loses its arguments first, its name last */
        static int (*const parts[])(const Tree *t, HostProcess *p) = {
                read_command,
                read_executable,
                read_cgroup,
        };
        HostProcess p = {.pid = pid};
        size_t size;
        char *text;
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++)
                r = parts[i](t, &p);
        if (r == 0)
                r = tree_read(t, tree_path(t, "/proc/%d/stat", pid), &text, &size);
        if (r == 0 && !process_parse_stat(t->arena, text, &p))
                r = -ESRCH;
        if (r == 0)
                r = tree_read(t, tree_path(t, "/proc/%d/status", pid), &text, &size);
        if (r == 0)
                r = parse_status(t, text, &p);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        *ret = p;
        return 0;
}

bool process_is_elsewhere(const Tree *t, pid_t pid) {
        const char *own, *its;

        return tree_read_link(t, tree_path(t, "/proc/self/ns/net"), &own) == 0 &&
               tree_read_link(t, tree_path(t, "/proc/%d/ns/net", pid), &its) == 0 &&
               !streq(own, its);
}

static bool read_name(const char *proc, pid_t pid, char *buf, size_t size) {
        char path[4096];
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%d/comm", proc, pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false; /* it has gone */
        n = read(fd, buf, size - 1);
        (void)close(fd); /* read only */
        if (n <= 0)
                return false;
        buf[n] = '\0';
        buf[strcspn(buf, "\n")] = '\0';
        return true;
}

static int walk(const Tree *t, bool names, ProcessTake *take, void *to) {
        const char *proc = tree_path(t, "/proc");
        DIR *d = proc ? opendir(proc) : NULL;
        const struct dirent *entry;
        int r = 0;

        if (!proc)
                return -ENOMEM;
        if (!d)
                return -errno;
        while (r == 0 && (entry = readdir(d)) != NULL) {
                char comm[32] = "";
                uint64_t pid;

                if (text_to_number(entry->d_name, 1, INT32_MAX, &pid) &&
                    (!names || read_name(proc, (pid_t)pid, comm, sizeof(comm))))
                        r = take(t, (pid_t)pid, comm, to);
        }
        (void)closedir(d); /* read only */
        return r;
}

int process_walk(const Tree *t, ProcessTake *take, void *to) {
        return walk(t, true, take, to);
}

int process_walk_numbers(const Tree *t, ProcessTake *take, void *to) {
        return walk(t, false, take, to);
}

/* The walk. */

typedef struct Walk {
        const Tree *tree;
        const uint32_t *wanted; /* inodes, sorted */
        size_t n_wanted;
        Holders found;
} Walk;

static int compare_inodes(const void *a, const void *b) {
        const uint32_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

static int compare_holders(const void *a, const void *b) {
        const Holder *x = a, *y = b;

        if (x->inode != y->inode)
                return x->inode < y->inode ? -1 : 1;
        return x->process->pid < y->process->pid ? -1 : x->process->pid > y->process->pid;
}

/* socket:[INODE]. *hidden: it is not ours to see, although the folder is: of another process with
 * rights that we have not. */
static bool socket_of(int folder, const char *name, bool *hidden, uint32_t *ret) {
        char buf[64];
        ssize_t n = readlinkat(folder, name, buf, sizeof(buf) - 1);
        uint64_t inode;

        if (n <= 0) {
                *hidden |= n < 0 && (errno == EACCES || errno == EPERM);
                return false;
        }
        buf[n] = '\0';
        if (!startswith(buf, "socket:[") || buf[n - 1] != ']')
                return false;
        buf[n - 1] = '\0';
        if (!text_to_number(buf + strlen("socket:["), 1, UINT32_MAX, &inode))
                return false;
        *ret = (uint32_t)inode;
        return true;
}

static int add_holder(Walk *w, pid_t pid, uint32_t inode, HostProcess **process) {
        Holder holder = {.inode = inode};
        int r;

        if (!*process) {
                HostProcess *p = arena_new0(w->tree->arena, HostProcess);

                if (!p)
                        return -ENOMEM;
                r = process_read(w->tree, pid, p);
                if (r < 0)
                        return r;
                *process = p;
        }
        holder.process = *process;
        return arena_append(w->tree->arena, w->found.items, w->found.n_items, holder) ? 0 : -ENOMEM;
}

static void closedirp(DIR **d) {
        if (*d)
                (void)closedir(*d); /* read only */
}

static void count_unreadable(Walk *w, const char *name) {
        w->found.n_unreadable++;
        w->found.is_first_unreadable |= streq(name, "1");
}

static int walk_process(Walk *w, const char *proc, const char *name) {
        char path[4096];
        _cleanup_(closedirp) DIR *d = NULL;
        HostProcess *process = NULL;
        const struct dirent *entry;
        bool hidden = false;
        int r = 0;

        (void)snprintf(path, sizeof(path), "%s/%.16s/fd", proc, name);
        d = opendir(path);
        if (!d) {
                if (errno == EACCES || errno == EPERM)
                        count_unreadable(w, name);
                return 0; /* or it has gone */
        }
        while (r == 0 && (errno = 0, entry = readdir(d)) != NULL) {
                uint32_t inode;

                if (entry->d_name[0] == '.' ||
                    !socket_of(dirfd(d), entry->d_name, &hidden, &inode) ||
                    !bsearch(&inode, w->wanted, w->n_wanted, sizeof(inode), compare_inodes))
                        continue;
                r = add_holder(w, (pid_t)strtol(name, NULL, 10), inode, &process);
        }
        if (r == 0 && (hidden || errno == EACCES || errno == EPERM))
                count_unreadable(w, name);
        return r == -ENOMEM ? r : 0; /* a process that goes away is no error */
}

/* Of connections that nobody has accepted yet the inode is 0, and nobody has it. */
static int collect_wanted(const Tree *t, const HostSockets *sockets, Walk *w) {
        uint32_t *list = arena_alloc_array(t->arena, sockets->n_items + 1, sizeof(*list));
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < sockets->n_items; i++)
                if (sockets->items[i].inode != 0)
                        list[n++] = sockets->items[i].inode;
        qsort(list, n, sizeof(*list), compare_inodes);
        w->wanted = list;
        w->n_wanted = n;
        return 0;
}

/* Several descriptors of a process may be of one socket. */
static void sort_holders(Holders *h) {
        size_t kept = 0;

        if (h->n_items > 0)
                qsort(h->items, h->n_items, sizeof(*h->items), compare_holders);
        for (size_t i = 0; i < h->n_items; i++)
                if (kept == 0 || compare_holders(&h->items[kept - 1], &h->items[i]) != 0)
                        h->items[kept++] = h->items[i];
        h->n_items = kept;
}

int process_read_holders(const Tree *t, const HostSockets *sockets, Holders *ret) {
        _cleanup_(closedirp) DIR *d = NULL;
        Walk w = {.tree = t};
        const struct dirent *entry;
        const char *path = tree_path(t, "/proc");
        int r = path ? collect_wanted(t, sockets, &w) : -ENOMEM;

        if (r < 0)
                return r;
        d = opendir(path);
        if (!d)
                return -errno;
        while (r == 0 && w.n_wanted > 0 && (entry = readdir(d)) != NULL)
                if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
                        r = walk_process(&w, path, entry->d_name);
        if (r < 0)
                return r;
        sort_holders(&w.found);
        *ret = w.found;
        return 0;
}

int process_read_listening(const Tree *t, Listening *ret) {
        Listening found;
        int r = sockets_read_listening(t->arena, &found.sockets);

        if (r == 0)
                r = process_read_holders(t, &found.sockets, &found.holders);
        if (r == 0)
                *ret = found;
        return r;
}

const Holder *process_find_holder(const Holders *holders, uint32_t inode, size_t *ret_n) {
        size_t low = 0, high = holders->n_items, n = 0;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (holders->items[middle].inode < inode)
                        low = middle + 1;
                else
                        high = middle;
        }
        while (low + n < holders->n_items && holders->items[low + n].inode == inode)
                n++;
        *ret_n = n;
        return n > 0 ? &holders->items[low] : NULL;
}

const HostProcess *process_find_server(const Holders *holders, uint32_t inode) {
        size_t n;
        const Holder *first = process_find_holder(holders, inode, &n);
        const HostProcess *best = NULL;

        for (size_t i = 0; i < n; i++) {
                const HostProcess *p = first[i].process;

                if (!best || best->pid == 1 ||
                    (p->pid != 1 && p->started_usec < best->started_usec))
                        best = p;
        }
        return best;
}

const char *process_program(const HostProcess *p) {
        const char *path = p->executable ? p->executable : p->comm, *slash = strrchr(path, '/');

        return slash && slash[1] ? slash + 1 : path;
}
