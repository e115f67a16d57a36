/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/containers.h"

#include <jansson.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/text.h"
#include "host/process.h"

#define DOCKER_SOCKET "/run/docker.sock"
#define NAMESPACES_MAX 4096

static bool is_ordinary(Family family, U128 address) {
        if (family == FAMILY_IPV4)
                return address.low != 0 && address.low >> 24 != 127;
        return address.high >> 54 != 0x3fa && !(address.high == 0 && address.low <= 1);
}

static int add_address(Arena *a, Family family, U128 address, size_t container, ContainerList *to) {
        ContainerAddress one = {family, address, container};

        if (!is_ordinary(family, address) || to->n_addresses >= 4 * CONTAINERS_MAX)
                return 0;
        for (size_t i = to->n_addresses; i > 0 && to->addresses[i - 1].container == container; i--)
                if (to->addresses[i - 1].family == family &&
                    u128_equal(to->addresses[i - 1].address, address))
                        return 0;
        return arena_append(a, to->addresses, to->n_addresses, one) ? 0 : -ENOMEM;
}

const Container *containers_find_address(const ContainerList *c, Family family, U128 address) {
        const Container *found = NULL;

        /* of two the one that Docker has named: what is called like a container may be none */
        for (size_t i = 0; i < c->n_addresses; i++) {
                const Container *one = &c->items[c->addresses[i].container];

                if (c->addresses[i].family == family &&
                    u128_equal(c->addresses[i].address, address) &&
                    (!found || (!found->name && one->name)))
                        found = one;
        }
        return found;
}

static Container *find_id(const ContainerList *c, const char *engine, const char *id) {
        for (size_t i = 0; i < c->n_items; i++)
                if (streq(c->items[i].engine, engine) && streq(c->items[i].id, id))
                        return &c->items[i];
        return NULL;
}

const Container *containers_find_id(const ContainerList *c, const char *engine, const char *id) {
        return engine && id ? find_id(c, engine, id) : NULL;
}

/* The number of a container that is added, or of the one that is there already; or -errno. */
static ssize_t add(Arena *a, const Container *one, ContainerList *to) {
        Container *same = find_id(to, one->engine, one->id);

        if (same) {
                if (!same->name)
                        same->name = one->name;
                return same - to->items;
        }
        if (to->n_items >= CONTAINERS_MAX)
                return -E2BIG;
        return arena_append(a, to->items, to->n_items, *one) ? (ssize_t)to->n_items - 1 : -ENOMEM;
}

/* ---- what Docker says */

static const char *kept(Arena *a, const json_t *value, size_t max) {
        const char *text = json_string_value(value);
        char *copy = text ? arena_strndup(a, text, strnlen(text, max)) : NULL;

        if (copy)
                tree_clean(copy);
        return copy;
}

static int take_network(Arena *a, const json_t *network, size_t container, ContainerList *to) {
        static const char *const keys[] = {"IPAddress", "GlobalIPv6Address"};
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(keys) && r == 0; i++) {
                const char *text = json_string_value(json_object_get(network, keys[i]));
                Family family;
                U128 address;

                if (text && address_parse(text, &family, &address) == ADDRESS_OK)
                        r = add_address(a, family, address, container, to);
        }
        return r;
}

static int take_container(Arena *a, const json_t *object, ContainerList *to) {
        const json_t *names = json_object_get(object, "Names");
        const json_t *settings = json_object_get(object, "NetworkSettings"), *network;
        json_t *networks = json_object_get(settings, "Networks");
        Container one = {.engine = "docker",
                         .id = kept(a, json_object_get(object, "Id"), CONTAINER_ID_MAX),
                         .name = kept(a, json_array_get(names, 0), CONTAINER_NAME_MAX)};
        const char *key;
        ssize_t number;
        int r = 0;

        if (!one.id || !*one.id)
                return 0;
        if (one.name)
                one.name += *one.name == '/'; /* Docker's names begin so */
        if (one.name && !*one.name)
                one.name = NULL;
        number = add(a, &one, to);
        if (number < 0)
                return number == -E2BIG ? 0 : (int)number;
        json_object_foreach(networks, key, network) {
                if (r == 0)
                        r = take_network(a, network, (size_t)number, to);
        }
        return r;
}

int containers_take_answer(Arena *a, const char *bytes, size_t size, ContainerList *to) {
        static const char end[] = "\r\n\r\n";
        const char *body = memmem(bytes, size, end, strlen(end));
        const json_t *object;
        json_t *list;
        size_t i;
        int r = 0;

        /* HTTP/1.0 200 OK */
        if (!body || size < 12 || memcmp(bytes, "HTTP/1.", 7) != 0 ||
            memcmp(bytes + 8, " 200", 4) != 0)
                return 0;
        body += strlen(end);
        list = json_loadb(body, size - (size_t)(body - bytes), 0, NULL);
        json_array_foreach(list, i, object) {
                if (r == 0)
                        r = take_container(a, object, to);
        }
        json_decref(list);
        return r;
}

static int64_t now_msec(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* there always is one */
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Only root is asked, or whoever asks: it can name containers, and make us wait. */
static bool is_trusted(int fd) {
        struct ucred peer;
        socklen_t size = sizeof(peer);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
               (peer.uid == 0 || peer.uid == geteuid());
}

static int connect_to(const char *path) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        int fd;

        if (strlen(path) >= sizeof(to.sun_path))
                return -ENAMETOOLONG;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        memcpy(to.sun_path, path, strlen(path) + 1);
        if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 && is_trusted(fd))
                return fd;
        (void)close(fd); /* nothing was written through it */
        return -EPERM;
}

/* All that comes until the end or the deadline. */
static ssize_t read_all(int fd, char *buf, size_t max, int64_t deadline) {
        size_t n = 0;

        while (n < max) {
                struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
                int64_t left = deadline - now_msec();
                ssize_t some;

                if (left <= 0)
                        return -ETIMEDOUT;
                if (poll(&poll_fd, 1, (int)left) < 0 && errno != EINTR)
                        return -errno;
                some = read(fd, buf + n, max - n);
                if (some == 0)
                        return (ssize_t)n;
                if (some < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                n += some > 0 ? (size_t)some : 0;
        }
        return -E2BIG;
}

static int ask_docker(const Tree *t, ContainerList *to) {
        static const char request[] = "GET /containers/json HTTP/1.0\r\nHost: docker\r\n\r\n";
        const char *path = tree_path(t, DOCKER_SOCKET);
        int64_t deadline = now_msec() + CONTAINERS_WAIT_MSEC;
        _cleanup_close_ int fd = -1;
        _cleanup_free_ char *buf = NULL;
        ssize_t n;

        if (!path)
                return -ENOMEM;
        fd = connect_to(path);
        /* it fits into an empty socket's buffer */
        if (fd < 0 || send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
                return 0;
        buf = malloc(CONTAINERS_ANSWER_MAX);
        if (!buf)
                return -ENOMEM;
        n = read_all(fd, buf, CONTAINERS_ANSWER_MAX, deadline);
        return n > 0 ? containers_take_answer(t->arena, buf, (size_t)n, to) : 0;
}

/* ---- what /proc shows */

int containers_take_trie(Arena *a, const char *text, size_t container, ContainerList *to) {
        static const char leaf[] = "|-- ";
        bool has_address = false;
        U128 address = U128_ZERO;
        int r = 0;

        while (*text && r == 0) {
                size_t len = strcspn(text, "\n");
                const char *at = memmem(text, len, leaf, strlen(leaf));
                char word[ADDRESS_TEXT_MAX];
                Family family;

                if (at) {
                        at += strlen(leaf);
                        (void)snprintf(word, sizeof(word), "%.*s",
                                       (int)MIN((size_t)(text + len - at), sizeof(word) - 1), at);
                        has_address = address_parse(word, &family, &address) == ADDRESS_OK &&
                                      family == FAMILY_IPV4;
                } else if (has_address && memmem(text, len, "/32 host LOCAL", 14)) {
                        r = add_address(a, FAMILY_IPV4, address, container, to);
                }
                text += len + (text[len] == '\n');
        }
        return r;
}

static int hex_value(char c) {
        static const char digits[] = "0123456789abcdef";
        const char *found = c ? strchr(digits, c) : NULL;

        return found ? (int)(found - digits) : -1;
}

int containers_take_inet6(Arena *a, const char *text, size_t container, ContainerList *to) {
        int r = 0;

        while (*text && r == 0) {
                size_t len = strcspn(text, "\n"), i = 0;
                U128 address = U128_ZERO;

                for (; i < 32 && i < len && hex_value(text[i]) >= 0; i++) {
                        address.high = address.high << 4 | address.low >> 60;
                        address.low = address.low << 4 | (uint64_t)hex_value(text[i]);
                }
                if (i == 32)
                        r = add_address(a, FAMILY_IPV6, address, container, to);
                text += len + (text[len] == '\n');
        }
        return r;
}

typedef struct Walk {
        ContainerList *to;
        const char *own; /* "net:[4026531840]" */
        const char **seen;
        size_t n_seen;
        bool has_docker;
} Walk;

static int take_namespace(const Tree *t, pid_t pid, size_t container, ContainerList *to) {
        char *text;
        size_t size;
        int r = tree_read(t, tree_path(t, "/proc/%d/net/fib_trie", pid), &text, &size);

        if (r == 0)
                r = containers_take_trie(t->arena, text, container, to);
        if (r == -ENOMEM)
                return r;
        r = tree_read(t, tree_path(t, "/proc/%d/net/if_inet6", pid), &text, &size);
        if (r == 0)
                r = containers_take_inet6(t->arena, text, container, to);
        return r == -ENOMEM ? r : 0;
}

/* Whether it is another network namespace than our own, and the first process of it. */
static int is_first(const Tree *t, Walk *w, pid_t pid) {
        const char *name;
        int r = tree_read_link(t, tree_path(t, "/proc/%d/ns/net", pid), &name);

        if (r < 0)
                return r == -ENOMEM ? r : 0; /* not ours to see, or it has gone */
        if (streq(name, w->own) || w->n_seen >= NAMESPACES_MAX)
                return 0;
        for (size_t i = 0; i < w->n_seen; i++)
                if (streq(w->seen[i], name))
                        return 0;
        return arena_append(t->arena, w->seen, w->n_seen, name) ? 1 : -ENOMEM;
}

static int take_process(const Tree *t, pid_t pid, const char *comm, void *to) {
        Walk *w = to;
        HostProcess p;
        ssize_t number;
        int r;

        w->has_docker |= streq(comm, "dockerd");
        r = is_first(t, w, pid);
        if (r <= 0)
                return r;
        r = process_read(t, pid, &p);
        if (r < 0 || !p.cgroup.engine || !p.cgroup.container)
                return r == -ENOMEM ? r : 0;
        number = add(t->arena, &(Container){.engine = p.cgroup.engine, .id = p.cgroup.container},
                     w->to);
        if (number < 0)
                return number == -ENOMEM ? (int)number : 0;
        return take_namespace(t, pid, (size_t)number, w->to);
}

int containers_read(const Tree *t, ContainerList *ret) {
        ContainerList all = {0};
        Walk w = {.to = &all};
        int r = tree_read_link(t, tree_path(t, "/proc/self/ns/net"), &w.own);

        if (r < 0)
                return r == -ENOMEM ? r : 0;
        r = process_walk(t, take_process, &w);
        if (r == -ENOMEM)
                return r;
        /* systemd would start it, if it did not run */
        r = w.has_docker ? ask_docker(t, &all) : 0;
        if (r == 0)
                *ret = all;
        return r;
}
