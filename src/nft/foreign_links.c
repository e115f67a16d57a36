/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/foreign_links.h"

#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include "nft/dump.h"

/* What the thread has while the other one waits. */
typedef struct Visit {
        int namespace, own;
        int32_t own_id; /* what that namespace calls ours */
        Arena *arena;
        ForeignLink **list;
        size_t *n;
        int result;
} Visit;

static const struct nlattr *find(const struct nlmsghdr *h, size_t header, uint16_t type) {
        const struct nlattr *attr;

        attribute_for_each(attr, (const struct nlattr *)mnl_nlmsg_get_payload_offset(h, header),
                           (const char *)h + h->nlmsg_len) {
                if (mnl_attr_get_type(attr) == type)
                        return attr;
        }
        return NULL;
}

static bool hangs_on(const char *kind) {
        static const char *const kinds[] = {"macvlan", "macvtap", "ipvlan", "ipvtap"};

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (streq(kinds[i], kind))
                        return true;
        return false;
}

static int take_link(const struct nlmsghdr *h, void *to) {
        const struct nlattr *where;
        const char *name, *kind;
        ForeignLink link = {0};
        Attributes a, details;
        Visit *v = to;
        int32_t id;

        if (h->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(h) < sizeof(struct ifinfomsg))
                return 0;
        attributes_behind(h, sizeof(struct ifinfomsg), &a);
        attributes_inside(&a, IFLA_LINKINFO, &details);
        where = find(h, sizeof(struct ifinfomsg), IFLA_LINK_NETNSID);
        name = attribute_string(&a, IFLA_IFNAME);
        kind = attribute_string(&details, IFLA_INFO_KIND);
        if (!where || mnl_attr_get_payload_len(where) != sizeof(id) || !name || !kind ||
            !hangs_on(kind))
                return 0;
        memcpy(&id, mnl_attr_get_payload(where), sizeof(id));
        if (id != v->own_id)
                return 0;
        link.parent = attribute_native_u32(&a, IFLA_LINK);
        (void)snprintf(link.name, sizeof(link.name), "%s", name);
        (void)snprintf(link.kind, sizeof(link.kind), "%s", kind);
        if (*v->n >= ROUTES_ITEMS_MAX)
                return -E2BIG;
        return arena_append(v->arena, *v->list, *v->n, link) ? 0 : -ENOMEM;
}

/* What this namespace calls the other one; NETNSA_NSID_NOT_ASSIGNED if nothing: then no link of
 * this one hangs on one of the other. */
static int ask_id(int fd, int other, int32_t *ret) {
        struct timeval timeout = {.tv_sec = DUMP_TIMEOUT_SECONDS};
        char buf[512];
        struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
        ssize_t n;

        h->nlmsg_type = RTM_GETNSID;
        h->nlmsg_flags = NLM_F_REQUEST;
        h->nlmsg_seq = 1;
        ((struct rtgenmsg *)mnl_nlmsg_put_extra_header(h, sizeof(struct rtgenmsg)))->rtgen_family =
                AF_UNSPEC;
        mnl_attr_put_u32(h, NETNSA_FD, (uint32_t)other);
        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
            send(fd, h, h->nlmsg_len, 0) < 0)
                return -errno;
        n = recv(fd, buf, sizeof(buf), 0);
        if (n < 0)
                return errno == EAGAIN ? -ETIMEDOUT : -errno;
        message_for_each(answer, buf, (size_t)n) {
                Attributes a;

                if (answer->nlmsg_type != RTM_NEWNSID)
                        continue;
                attributes_behind(answer, sizeof(struct rtgenmsg), &a);
                if (!a.list[NETNSA_NSID])
                        continue;
                *ret = (int32_t)attribute_native_u32(&a, NETNSA_NSID);
                return 0;
        }
        return -EPROTO;
}

static int visit(Visit *v) {
        struct {
                struct nlmsghdr header;
                struct ifinfomsg info;
        } request = {.header = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK}};
        _cleanup_close_ int fd = -1;
        size_t before = *v->n;
        int r;

        if (setns(v->namespace, CLONE_NEWNET) < 0)
                return -errno;
        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        if (fd < 0)
                return -errno;
        r = ask_id(fd, v->own, &v->own_id);
        if (r < 0 || v->own_id == NETNSA_NSID_NOT_ASSIGNED)
                return r;
        r = -EINTR;
        for (unsigned int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
                *v->n = before;
                r = dump_read(NETLINK_ROUTE, &request.header, take_link, v);
        }
        return r;
}

static void *run(void *visit_) {
        Visit *v = visit_;

        v->result = visit(v);
        return NULL;
}

int foreign_links_read(Arena *a, int namespace, int own, ForeignLink **list, size_t *n) {
        Visit v = {.namespace = namespace, .own = own, .arena = a, .list = list, .n = n};
        pthread_t thread;
        int r = pthread_create(&thread, NULL, run, &v);

        if (r != 0)
                return -r;
        r = pthread_join(thread, NULL);
        return r != 0 ? -r : v.result;
}
