/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/programs_bpf.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>

#define LINKS_MAX 65536 /* that are looked at */

/* Newer than the headers that this is built with. */
#define TCX_INGRESS 46
#define TCX_EGRESS 47
#define LINK_OF_NETFILTER 10

static int call(int command, union bpf_attr *attr) {
        long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

        return r < 0 ? -errno : (int)r;
}

/* How many programs are attached there; target is a descriptor, or of tcx an interface's index. */
static int count(uint32_t target, uint32_t type) {
        union bpf_attr attr = {.query = {.target_fd = target, .attach_type = type}};
        int r = call(BPF_PROG_QUERY, &attr);

        return r < 0 ? r : (int)MIN(attr.query.prog_cnt, (uint32_t)INT32_MAX);
}

int programs_read_tcx(const HostNet *net, Programs *ret) {
        static const uint32_t types[] = {TCX_INGRESS, TCX_EGRESS};
        int r = 0;

        for (size_t i = 0; i < net->n_links && r == 0; i++)
                for (size_t j = 0; j < ARRAY_SIZE(types) && r == 0; j++) {
                        Program p = programs_make(PROGRAM_TC, net->links[i].name, "tcx");
                        int n = count(net->links[i].index, types[j]);

                        p.is_egress = types[j] == TCX_EGRESS;
                        if (n < 0 && n != -ENODEV && n != -ENOENT)
                                return n;
                        if (n > 0)
                                r = programs_add(ret, p);
                }
        return r;
}

int programs_read_lookups(Programs *ret) {
        _cleanup_close_ int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        int n = fd < 0 ? -errno : count((uint32_t)fd, BPF_SK_LOOKUP);

        return n <= 0 ? n : programs_add(ret, programs_make(PROGRAM_SK_LOOKUP, "", "sk_lookup"));
}

static int read_cgroup(const char *path, Programs *ret) {
        static const uint32_t types[] = {
                BPF_CGROUP_INET_INGRESS,  BPF_CGROUP_INET_EGRESS,  BPF_CGROUP_INET_SOCK_CREATE,
                BPF_CGROUP_INET4_BIND,    BPF_CGROUP_INET6_BIND,   BPF_CGROUP_INET4_CONNECT,
                BPF_CGROUP_INET6_CONNECT, BPF_CGROUP_UDP4_SENDMSG, BPF_CGROUP_UDP6_SENDMSG,
        };
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        Program p = programs_make(PROGRAM_CGROUP, "", "cgroup");

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                int n = count((uint32_t)fd, types[i]);

                if (n < 0 && n != -EINVAL)
                        return n == -EBADF ? 0 : n; /* a folder of something else */
                if (n <= 0)
                        continue;
                p.cgroup = arena_strdup(ret->arena, path);
                return p.cgroup ? programs_add(ret, p) : -ENOMEM;
        }
        return 0;
}

int programs_read_cgroups(const char *const *cgroups, size_t n, Programs *ret) {
        int r = 0;

        for (size_t i = 0; i < MIN(n, (size_t)PROGRAM_CGROUPS_MAX) && r == 0; i++)
                r = read_cgroup(cgroups[i], ret);
        return r;
}

/* 1 if the link is one of netfilter's. */
static int is_netfilter(uint32_t id) {
        struct bpf_link_info info = {0};
        union bpf_attr attr = {.link_id = id};
        _cleanup_close_ int fd = call(BPF_LINK_GET_FD_BY_ID, &attr);
        int r;

        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        attr = (union bpf_attr){.info = {.bpf_fd = (uint32_t)fd,
                                         .info_len = sizeof(info),
                                         .info = (uint64_t)(uintptr_t)&info}};
        r = call(BPF_OBJ_GET_INFO_BY_FD, &attr);
        return r < 0 ? r : info.type == LINK_OF_NETFILTER;
}

int programs_read_netfilter(Programs *ret) {
        uint32_t id = 0;

        for (size_t i = 0; i < LINKS_MAX; i++) {
                union bpf_attr attr = {.start_id = id};
                int r = call(BPF_LINK_GET_NEXT_ID, &attr);

                if (r < 0)
                        return r == -ENOENT ? 0 : r;
                id = attr.next_id;
                r = is_netfilter(id);
                if (r > 0)
                        return programs_add(ret, programs_make(PROGRAM_NETFILTER, "", "netfilter"));
                if (r < 0)
                        return r;
        }
        return 0;
}
