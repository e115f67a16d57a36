/* SPDX-License-Identifier: GPL-2.0-or-later */

/* With the running kernel, in a network namespace of this program's own; and messages of what not
 * every kernel can do, and broken ones. */

#include "nft/programs.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "nft/attribute.h"
#include "nft/message_unit.h"

#define TYPE_NETFILTER 32 /* of programs; newer than the headers that this is built with */
#define AT_NETFILTER 45
#define AT_TCX_INGRESS 46

/* ---- messages */

/* A filter with one action, or none. */
static struct nlmsghdr *
filter(Message *m, const char *kind, uint32_t parent, uint16_t actions, const char *action) {
        struct tcmsg info = {.tcm_handle = 1, .tcm_parent = TC_H_MAKE(TC_H_CLSACT, parent)};
        struct nlmsghdr *h = start(m, RTM_NEWTFILTER, &info, sizeof(info));
        struct nlattr *options, *list, *one;

        mnl_attr_put_strz(h, TCA_KIND, kind);
        options = mnl_attr_nest_start(h, TCA_OPTIONS);
        if (action) {
                list = mnl_attr_nest_start(h, actions);
                one = mnl_attr_nest_start(h, 1);
                mnl_attr_put_strz(h, 1, action);
                mnl_attr_nest_end(h, one);
                mnl_attr_nest_end(h, list);
        }
        mnl_attr_nest_end(h, options);
        return h;
}

static void filters_count_by_their_actions(void **state) {
        static const struct {
                const char *kind;
                uint16_t actions;
                const char *action;
                bool is_plain;
        } rows[] = {
                {"flower", 3, "gact", true},   {"flower", 3, "mirred", false},
                {"flower", 3, NULL, true},     {"matchall", 2, "police", true},
                {"matchall", 2, "ct", false},  {"u32", 7, "pedit", false},
                {"u32", 7, "gact", true},      {"bpf", 1, "gact", false},
                {"unheard", 1, "gact", false},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Programs all = {.arena = *state};
                Message m;
                struct nlmsghdr *h =
                        filter(&m, rows[i].kind, TC_H_MIN_INGRESS, rows[i].actions, rows[i].action);

                assert_int_equal(programs_take_filter(h, "eth0", &all), 0);
                unit_equal(rows[i].kind, all.n_items, 1);
                unit_equal(rows[i].kind, all.items[0].is_plain, rows[i].is_plain);
                assert_false(all.items[0].is_egress);
                assert_string_equal(all.items[0].link, "eth0");
        }
}

static void a_filter_for_what_leaves_is_told_apart(void **state) {
        Programs all = {.arena = *state};
        Message m;

        assert_int_equal(
                programs_take_filter(filter(&m, "bpf", TC_H_MIN_EGRESS, 1, NULL), "eth0", &all), 0);
        assert_int_equal(all.n_items, 1);
        assert_true(all.items[0].is_egress);
}

static struct nlmsghdr *link_with_xdp(Message *m, uint8_t attached) {
        struct ifinfomsg info = {.ifi_index = 3};
        struct nlmsghdr *h = start(m, RTM_NEWLINK, &info, sizeof(info));
        struct nlattr *nest;

        mnl_attr_put_strz(h, IFLA_IFNAME, "eth0");
        nest = mnl_attr_nest_start(h, IFLA_XDP);
        mnl_attr_put_u8(h, IFLA_XDP_ATTACHED, attached);
        mnl_attr_nest_end(h, nest);
        return h;
}

static void an_interface_without_a_program_is_none(void **state) {
        Programs all = {.arena = *state};
        Message m;

        assert_int_equal(programs_take_link(link_with_xdp(&m, XDP_ATTACHED_NONE), &all), 0);
        assert_int_equal(all.n_items, 0);
        assert_int_equal(programs_take_link(link_with_xdp(&m, XDP_ATTACHED_MULTI), &all), 0);
        assert_int_equal(all.n_items, 1);
}

/* Cuts every message at every length: nothing is read past the end, and what is whole is taken. */
static void takes_messages_cut_short(void **state) {
        Message link, tc;
        const struct nlmsghdr *list[] = {link_with_xdp(&link, XDP_ATTACHED_SKB),
                                         filter(&tc, "flower", TC_H_MIN_INGRESS, 3, "mirred")};

        for (size_t i = 0; i < ARRAY_SIZE(list); i++)
                for (uint32_t size = sizeof(*list[i]); size <= list[i]->nlmsg_len; size++) {
                        Programs all = {.arena = *state};
                        _cleanup_free_ struct nlmsghdr *cut = malloc(size);

                        assert_non_null(cut);
                        memcpy(cut, list[i], size);
                        cut->nlmsg_len = size;
                        assert_int_equal(programs_take_link(cut, &all), 0);
                        assert_int_equal(programs_take_filter(cut, "eth0", &all), 0);
                        assert_true(all.n_items == 1 || size < list[i]->nlmsg_len);
                }
}

/* ---- the running kernel */

static int bpf(int command, void *attr, size_t size) {
        return (int)syscall(SYS_bpf, command, attr, size);
}

/* A program that returns 1. */
static int load(uint32_t type, uint32_t attach_type) {
        static const struct bpf_insn code[] = {
                {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
                {.code = BPF_JMP | BPF_EXIT},
        };
        union bpf_attr attr = {0};

        attr.prog_type = type;
        attr.insns = (uint64_t)(uintptr_t)code;
        attr.insn_cnt = ARRAY_SIZE(code);
        attr.license = (uint64_t)(uintptr_t) "GPL";
        attr.expected_attach_type = attach_type;
        return bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
}

/* Lasts as long as the descriptor. */
static int attach(uint32_t type, uint32_t attach_type, uint32_t target) {
        _cleanup_close_ int program = load(type, attach_type);
        struct {
                uint32_t program, target, attach_type, flags;
                uint32_t rest[12]; /* of netfilter: its protocol, its hook, its priority */
        } attr = {.program = (uint32_t)program, .target = target, .attach_type = attach_type};

        if (program < 0)
                return -1;
        if (attach_type == AT_NETFILTER) {
                attr.rest[0] = NFPROTO_IPV4;
                attr.rest[1] = NF_INET_LOCAL_IN;
                attr.rest[2] = 10;
        }
        return bpf(BPF_LINK_CREATE, &attr, sizeof(attr));
}

static size_t found(Arena *a, const char *cgroup, ProgramKind kind) {
        Programs all;
        HostNet net;
        size_t n = 0;

        assert_int_equal(routes_read(a, &net), 0);
        assert_int_equal(programs_read(a, &net, &cgroup, cgroup ? 1 : 0, &all), 0);
        unit_equal("error", all.error[kind], 0);
        for (size_t i = 0; i < all.n_items; i++)
                n += all.items[i].kind == kind;
        return n;
}

static void finds_a_program_as_long_as_it_is_attached(void **state) {
        static const struct {
                const char *name;
                uint32_t type, attach_type;
                ProgramKind kind;
                bool is_new; /* not every kernel has it */
        } rows[] = {
                {"XDP", BPF_PROG_TYPE_XDP, BPF_XDP, PROGRAM_XDP, false},
                {"sk_lookup", BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP, PROGRAM_SK_LOOKUP, false},
                {"tcx", BPF_PROG_TYPE_SCHED_CLS, AT_TCX_INGRESS, PROGRAM_TC, true},
                {"netfilter", TYPE_NETFILTER, AT_NETFILTER, PROGRAM_NETFILTER, true},
        };
        _cleanup_close_ int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

        assert_true(ns >= 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                bool is_lookup = rows[i].kind == PROGRAM_SK_LOOKUP;
                int fd = attach(rows[i].type, rows[i].attach_type,
                                is_lookup                           ? (uint32_t)ns
                                : rows[i].kind == PROGRAM_NETFILTER ? 0
                                                                    : 1 /* lo */);

                if (fd < 0 && rows[i].is_new)
                        continue;
                unit_equal(rows[i].name, fd >= 0, true);
                unit_equal(rows[i].name, found(*state, NULL, rows[i].kind), 1);
                assert_int_equal(close(fd), 0);
        }
        assert_int_equal(found(*state, NULL, PROGRAM_SK_LOOKUP), 0);
}

/* In a group of this test's own, without processes. */
static void finds_what_is_attached_to_a_control_group(void **state) {
        char base[] = "/tmp/ringwall-cgroup-XXXXXX";
        const char *group;
        int folder, fd;

        assert_non_null(mkdtemp(base));
        assert_int_equal(system(arena_printf(*state, "mount -t cgroup2 none %s", base)), 0);
        group = arena_printf(*state, "%s/ringwall-test-%d", base, getpid());
        assert_int_equal(mkdir(group, 0755), 0);
        assert_int_equal(found(*state, group, PROGRAM_CGROUP), 0);
        folder = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(folder >= 0);
        fd = attach(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, (uint32_t)folder);
        assert_true(fd >= 0);
        assert_int_equal(found(*state, group, PROGRAM_CGROUP), 1);
        assert_int_equal(close(fd), 0);
        assert_int_equal(found(*state, group, PROGRAM_CGROUP), 0);
        assert_int_equal(close(folder), 0);
        assert_int_equal(rmdir(group), 0);
        assert_int_equal(system(arena_printf(*state, "umount %s && rmdir %s", base, base)), 0);
}

static void a_folder_that_is_no_control_group_has_nothing(void **state) {
        assert_int_equal(found(*state, "/tmp", PROGRAM_CGROUP), 0);
        assert_int_equal(found(*state, "/nowhere", PROGRAM_CGROUP), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(filters_count_by_their_actions),
                unit_arena_test(a_filter_for_what_leaves_is_told_apart),
                unit_arena_test(an_interface_without_a_program_is_none),
                unit_arena_test(takes_messages_cut_short),
                unit_arena_test(finds_a_program_as_long_as_it_is_attached),
                unit_arena_test(finds_what_is_attached_to_a_control_group),
                unit_arena_test(a_folder_that_is_no_control_group_has_nothing),
        };

        /* mounts must not get out of here either */
        if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
            system("mount --make-rprivate / && ip link set lo up") != 0) {
                perror("programs_test needs root");
                return 1;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
