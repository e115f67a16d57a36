/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cgroup.h"

#include "base/unit.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHORT "0123456789ab"

static const struct Case {
        const char *name, *text, *unit, *user_unit, *session, *engine, *container;
} cases[] = {
        {"a service", "0::/system.slice/ssh.service\n", "ssh.service", NULL, NULL, NULL, NULL},
        {"a service in a slice of its own",
         "0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service", NULL,
         NULL, NULL, NULL},
        {"process 1", "0::/init.scope\n", "init.scope", NULL, NULL, NULL, NULL},
        {"none", "0::/\n", NULL, NULL, NULL, NULL, NULL},
        {"nothing", "", NULL, NULL, NULL, NULL, NULL},
        {"no cgroup file at all", "garbage\n:\n::\n1:\n", NULL, NULL, NULL, NULL, NULL},
        {"a session", "0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope", NULL,
         "3", NULL, NULL},
        {"a user's own service",
         "0::/user.slice/user-1000.slice/user@1000.service/app.slice/ollama.service\n",
         "user@1000.service", "ollama.service", NULL, NULL, NULL},
        {"the old hierarchies",
         "12:pids:/user.slice\n1:name=systemd:/system.slice/nginx.service\n0::/\n", "nginx.service",
         NULL, NULL, NULL, NULL},
        {"the old hierarchies without systemd in them",
         "12:pids:/x.service\n1:name=systemd:/\n0::/system.slice/nginx.service\n", "nginx.service",
         NULL, NULL, NULL, NULL},
        {"an escaped name", "0::/system.slice/_cgroup.service\n", "cgroup.service", NULL, NULL,
         NULL, NULL},
        {"docker by systemd", "0::/system.slice/docker-" ID ".scope\n", "docker-" ID ".scope", NULL,
         NULL, "docker", SHORT},
        {"docker by folders", "1:name=systemd:/docker/" ID "\n", NULL, NULL, NULL, "docker", SHORT},
        {"docker's own service", "0::/system.slice/docker.service\n", "docker.service", NULL, NULL,
         NULL, NULL},
        {"podman", "0::/machine.slice/libpod-" ID ".scope/container\n", "libpod-" ID ".scope", NULL,
         NULL, "podman", SHORT},
        {"a user's podman",
         "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID
         ".scope/container\n",
         "user@1000.service", "libpod-" ID ".scope", NULL, "podman", SHORT},
        {"podman in a service", "0::/system.slice/web.service/libpod-payload-" ID "\n",
         "web.service", NULL, NULL, "podman", SHORT},
        {"podman by folders", "0::/libpod_parent/libpod-" ID "\n", NULL, NULL, NULL, "podman",
         SHORT},
        {"podman's monitor", "0::/machine.slice/libpod-conmon-" ID ".scope\n",
         "libpod-conmon-" ID ".scope", NULL, NULL, NULL, NULL},
        {"kubernetes by systemd",
         "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod7.slice/"
         "cri-containerd-" ID ".scope\n",
         "cri-containerd-" ID ".scope", NULL, NULL, "kubernetes", SHORT},
        {"kubernetes by folders", "0::/kubepods/burstable/pod1234/" ID "\n", NULL, NULL, NULL,
         "kubernetes", SHORT},
        {"what runs in a container is not the host's unit",
         "0::/lxc.payload.web/system.slice/nginx.service\n", NULL, NULL, NULL, "lxc", "web"},
        {"nspawn", "0::/machine.slice/systemd-nspawn@db.service/payload/system.slice/pg.service\n",
         "systemd-nspawn@db.service", NULL, NULL, "nspawn", "db"},
        {"another way to nspawn", "0::/machine.slice/machine-db.scope/payload\n",
         "machine-db.scope", NULL, NULL, "nspawn", "db"},
        {"a virtual machine", "0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt\n",
         "machine-qemu\\x2d1\\x2dvm.scope", NULL, NULL, NULL, NULL},
        {"a name made for a terminal", "0::/user.slice/\033[2Jx.service\n", "?[2Jx.service", NULL,
         NULL, NULL, NULL},
};

static void tells_units_and_containers(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct Case *c = &cases[i];
                Cgroup g;

                unit_equal(c->name, cgroup_parse(*state, c->text, &g), 0);
                unit_string(c->name, g.unit, c->unit);
                unit_string(c->name, g.user_unit, c->user_unit);
                unit_string(c->name, g.session, c->session);
                unit_string(c->name, g.engine, c->engine);
                unit_string(c->name, g.container, c->container);
        }
}

static void names_the_container_else_the_users_unit_else_the_systems(void **state) {
        static const struct {
                const char *text, *owner;
        } rows[] = {
                {"0::/system.slice/docker-" ID ".scope\n", "docker " SHORT},
                {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/ollama.service\n",
                 "ollama.service"},
                {"0::/system.slice/ssh.service\n", "ssh.service"},
                {"0::/\n", NULL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *owner;
                Cgroup g;

                unit_equal(rows[i].text, cgroup_parse(*state, rows[i].text, &g), 0);
                unit_equal(rows[i].text, cgroup_owner(*state, &g, &owner), 0);
                unit_string(rows[i].text, owner, rows[i].owner);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(tells_units_and_containers),
                unit_arena_test(names_the_container_else_the_users_unit_else_the_systems),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
