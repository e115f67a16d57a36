/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Whose a process is, by the name of its control group: a unit of systemd's, a container's. Who may
 * make control groups chooses their names, so below user.slice it is the user's word. */

#include "base/arena.h"

typedef struct Cgroup {
        const char *path;      /* "/system.slice/ssh.service" */
        const char *unit;      /* "ssh.service"; NULL if systemd made none for it */
        const char *user_unit; /* of a user's own systemd, whose unit is user@UID.service */
        const char *session;   /* "3" of session-3.scope */
        const char *engine;    /* "docker", "podman", "kubernetes", "lxc", ...; borrowed */
        const char *container; /* its id (at most 12 characters of it) or name; or NULL */
} Cgroup;

/* Reads what /proc/PID/cgroup holds (cgroups(7)). 0 or -ENOMEM; what is not said is NULL. */
int cgroup_parse(Arena *a, const char *text, Cgroup *ret);
/* "docker 4f5e6d7c8b9a", "nginx.service": the container, else the unit, a user's own first; NULL if
 * it is of none. 0 or -ENOMEM. */
int cgroup_owner(Arena *a, const Cgroup *c, const char **ret);
