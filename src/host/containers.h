/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which container has an address, and what it is called. Found in /proc: a process of a container
 * engine's in a network namespace of its own, and what addresses that has. Docker is asked for
 * names too, if it runs: over its socket, with a deadline. Texts are foreign, but cleaned and
 * short. */

#include "base/address.h"
#include "host/tree.h"

#define CONTAINERS_MAX 4096                     /* that are kept */
#define CONTAINERS_ANSWER_MAX ((size_t)8 << 20) /* bytes of Docker's answer */
#define CONTAINERS_WAIT_MSEC 1000               /* for all of it */
#define CONTAINER_NAME_MAX 64                   /* bytes that are kept of a name */
#define CONTAINER_ID_MAX 12                     /* as engines show it, and as Cgroup has it */

typedef struct Container {
        const char *engine; /* "docker"; never NULL */
        const char *id;     /* at most CONTAINER_ID_MAX characters, or what the cgroup calls it */
        const char *name;   /* NULL: not known */
} Container;

typedef struct ContainerAddress {
        Family family;
        U128 address;
        size_t container; /* its number */
} ContainerAddress;

typedef struct ContainerList {
        Container *items;
        size_t n_items;
        ContainerAddress *addresses;
        size_t n_addresses;
} ContainerList;

/* What cannot be looked at is left out: without root, most of it. 0 or -ENOMEM. */
int containers_read(const Tree *t, ContainerList *ret);

/* NULL if it is not known. */
const Container *containers_find_address(const ContainerList *c, Family family, U128 address);
const Container *containers_find_id(const ContainerList *c, const char *engine, const char *id);

/* Takes in what Docker answered to GET /containers/json, HTTP's header included; what is not like
 * that is passed over. 0 or -ENOMEM. */
int containers_take_answer(Arena *a, const char *bytes, size_t size, ContainerList *to);
/* Takes in a namespace's own addresses, of the container of that number: /proc/PID/net/fib_trie,
 * and if_inet6. 0 or -ENOMEM. */
int containers_take_trie(Arena *a, const char *text, size_t container, ContainerList *to);
int containers_take_inet6(Arena *a, const char *text, size_t container, ContainerList *to);
