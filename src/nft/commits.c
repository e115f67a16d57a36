/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/commits.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "nft/attribute.h"
#include "nft/ban_table.h"
#include "ruleset/ruleset.h"

#define BUFFER_SIZE ((size_t)64 * 1024) /* a datagram of the kernel's is far smaller */
#define SOCKET_BUFFER (8 * 1024 * 1024) /* a transaction of 50,000 elements; it costs only then */
#define READS_MAX 4096                  /* datagrams at a time: others want their turn */

/* The first attribute of every object of nf_tables is its table's name. */
#define OBJECT_TABLE NFTA_TABLE_NAME

#define FIRST_PID_NAMESPACE 0xEFFFFFFCU /* PROC_PID_INIT_INO, include/linux/proc_ns.h */

/* The kernel tells numbers of the first process namespace. */
static pid_t own_number(void) {
        struct stat st;

        return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == FIRST_PID_NAMESPACE ? getpid()
                                                                                       : 0;
}

int commit_watch_open(CommitWatch *ret) {
        _cleanup_close_ int fd =
                socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
        struct sockaddr_nl address = {.nl_family = AF_NETLINK};
        int group = NFNLGRP_NFTABLES, size = SOCKET_BUFFER;
        void *buffer;

        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
                return -errno;
        /* with less room messages are lost earlier, which is noticed */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
        buffer = malloc(BUFFER_SIZE);
        if (!buffer)
                return -ENOMEM;
        *ret = (CommitWatch){.fd = fd, .buffer = buffer, .self = own_number()};
        fd = -1;
        return 0;
}

/* The kernel sends the end of a transaction in a datagram of its own. A filter reads big-endian,
 * and the type is in the machine's own order. */
int commit_watch_skip_objects(CommitWatch *w) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                         htons(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN), 0, 1),
                BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
                BPF_STMT(BPF_RET | BPF_K, 0),
        };
        const struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

        return setsockopt(w->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0
                       ? -errno
                       : 0;
}

int commit_watch_hear(CommitWatch *w, bool hears) {
        int group = NFNLGRP_NFTABLES;

        return setsockopt(w->fd, SOL_NETLINK,
                          hears ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP, &group,
                          sizeof(group)) < 0
                       ? -errno
                       : 0;
}

void commit_watch_close(CommitWatch *w) {
        if (w->fd >= 0)
                (void)close(w->fd); /* nothing is kept back in it */
        free(w->buffer);
        *w = (CommitWatch){.fd = -1};
}

static void copy_name(char to[COMMIT_NAME_SIZE], const char *from) {
        size_t n = 0;

        for (; from && from[n] && n + 1 < COMMIT_NAME_SIZE; n++)
                to[n] = (unsigned char)from[n] < ' ' || from[n] == 0x7f ? '?' : from[n];
        to[n] = '\0';
}

/* The second attribute of what belongs to a chain or to a set is that one's name, the third of a
 * chain its own. Sets without a name come and go with their rules, under a number. */
static void touch(Touched *t, uint8_t type, const Attributes *a) {
        switch (type) {
        case NFT_MSG_NEWCHAIN:
        case NFT_MSG_DELCHAIN:
                touched_add(t, TOUCHED_CHAIN, attribute_string(a, NFTA_CHAIN_NAME));
                return;
        case NFT_MSG_NEWRULE:
        case NFT_MSG_DELRULE:
                touched_add(t, TOUCHED_CHAIN, attribute_string(a, NFTA_RULE_CHAIN));
                return;
        case NFT_MSG_NEWSET:
        case NFT_MSG_DELSET:
                touched_add(t, TOUCHED_SET, attribute_string(a, NFTA_SET_NAME));
                return;
        case NFT_MSG_NEWSETELEM:
        case NFT_MSG_DELSETELEM:
                touched_add(t, TOUCHED_SET, attribute_string(a, NFTA_SET_ELEM_LIST_SET));
                return;
        case NFT_MSG_NEWTABLE:
        case NFT_MSG_DELTABLE:
        case NFT_MSG_NEWOBJ:
        case NFT_MSG_DELOBJ:
                return; /* read in any case */
        }
        touched_add_all(t);
}

bool commit_parse(Commit *c, const struct nlmsghdr *h) {
        const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
        uint32_t pid = 0;
        const char *table;
        Attributes a;

        if (h->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || mnl_nlmsg_get_payload_len(h) < sizeof(*g))
                return false;
        attributes_of_message(h, &a);
        if ((h->nlmsg_type & 0xff) != NFT_MSG_NEWGEN) {
                table = attribute_string(&a, OBJECT_TABLE);
                if (table && !c->table[0])
                        (void)snprintf(c->table, sizeof(c->table), "%s", table);
                c->n_objects++;
                if (g->nfgen_family == NFPROTO_INET && table && streq(table, RULESET_TABLE)) {
                        c->touches_ours = true;
                        touch(&c->touched, h->nlmsg_type & 0xff, &a);
                }
                c->touches_bans |= g->nfgen_family == NFPROTO_INET && table && ban_table_is(table);
                return false;
        }
        c->port = h->nlmsg_pid;
        (void)attribute_u32(&a, NFTA_GEN_ID, &c->generation); /* what is absent stays zero */
        if (attribute_u32(&a, NFTA_GEN_PROC_PID, &pid))
                c->pid = (pid_t)pid;
        copy_name(c->name, attribute_string(&a, NFTA_GEN_PROC_NAME));
        return true;
}

static void
take_datagram(CommitWatch *w, size_t size, void (*take)(const Commit *c, void *to), void *to) {
        message_for_each(h, w->buffer, size) {
                if (!commit_parse(&w->open, h))
                        continue;
                /* root can take a socket out of a process, see pidfd_getfd(2) */
                if (w->self != 0 && w->open.pid != 0 && w->open.pid != w->self)
                        w->open.port = 0;
                take(&w->open, to);
                w->open = (Commit){0};
        }
}

int commit_watch_read(CommitWatch *w, void (*take)(const Commit *c, void *to), void *to) {
        bool lost = false;

        for (int i = 0; i < READS_MAX; i++) {
                struct sockaddr_nl from = {0};
                socklen_t from_size = sizeof(from);
                ssize_t n = recvfrom(w->fd, w->buffer, BUFFER_SIZE, MSG_TRUNC,
                                     (struct sockaddr *)&from, &from_size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0 && errno != ENOBUFS)
                        return -errno;
                /* what is half there stands for anything */
                lost |= n < 0 || (size_t)n > BUFFER_SIZE;
                if (n > 0 && (size_t)n <= BUFFER_SIZE && from.nl_pid == 0)
                        take_datagram(w, (size_t)n, take, to);
        }
        return lost;
}
