/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For this folder's tests: messages of rtnetlink, as the kernel would send them. */

#include <libmnl/libmnl.h>

#include "base/unit.h"

typedef union Message {
        struct nlmsghdr header;
        char room[1024];
} Message;

static inline struct nlmsghdr *start(Message *m, uint16_t type, const void *info, size_t size) {
        struct nlmsghdr *h;

        memset(m, 0, sizeof(*m));
        h = mnl_nlmsg_put_header(m);
        h->nlmsg_type = type;
        memcpy(mnl_nlmsg_put_extra_header(h, size), info, size);
        return h;
}
