/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/link.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "nft/attribute.h"

#define RECEIVE_SIZE ((size_t)256 * 1024) /* the kernel sends at most what one recv() asks for */
#define SOCKET_BUFFER (8 * 1024 * 1024)
#define DRAIN_MAX 100000 /* datagrams; more than fit into the buffer */

/* Of a batch: some 10,000 elements, whose events take some 100 MiB. */
#define LARGE_SIZE ((size_t)512 * 1024)

struct NftLink {
        struct mnl_socket *socket;
        uint32_t sequence;
        void *received; /* RECEIVE_SIZE bytes */
        NftLinkHear hear;
        void *hear_context;
        NftLinkProgress step;
        void *step_context;
};

/* Past the administrator's limit where we may, up to it otherwise: the kernel's answers tell if it
 * was too little. */
static void set_buffer(int fd, int force, int plain, int size) {
        if (setsockopt(fd, SOL_SOCKET, force, &size, sizeof(size)) < 0)
                (void)setsockopt(fd, SOL_SOCKET, plain, &size, sizeof(size));
}

static int set_options(NftLink *link) {
        struct timeval timeout = {.tv_sec = NFT_TIMEOUT_SECONDS};
        int fd = mnl_socket_get_fd(link->socket), on = 1;

        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
                return -errno;
        set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, SOCKET_BUFFER);
        set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, SOCKET_BUFFER);
        /* without these two there is less to tell the operator, and nothing else */
        (void)mnl_socket_setsockopt(link->socket, NETLINK_EXT_ACK, &on, sizeof(on));
        (void)mnl_socket_setsockopt(link->socket, NETLINK_CAP_ACK, &on, sizeof(on));
        return 0;
}

static NftLink *link_new(void) {
        NftLink *link = calloc(1, sizeof(*link));

        if (!link)
                return NULL;
        link->received = malloc(RECEIVE_SIZE);
        if (!link->received)
                return nft_link_close(link);
        link->sequence = 1;
        return link;
}

int nft_link_open(NftLink **ret) {
        _cleanup_(nft_link_closep) NftLink *link = link_new();
        int r;

        if (!link)
                return -ENOMEM;
        link->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
        if (!link->socket || mnl_socket_bind(link->socket, 0, MNL_SOCKET_AUTOPID) < 0)
                return -errno;
        r = set_options(link);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(link);
        return 0;
}

static bool is_our_kind(int fd) {
        int domain = -1, protocol = -1;
        socklen_t size = sizeof(int);

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
               getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
               domain == AF_NETLINK && protocol == NETLINK_NETFILTER;
}

/* Answers that whoever had the socket before did not wait for. */
static void drain(int fd) {
        char byte;

        for (int i = 0; i < DRAIN_MAX; i++)
                if (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC) < 0 &&
                    errno != ENOBUFS && errno != EINTR)
                        return;
}

void nft_link_reset(NftLink *link) {
        struct timespec now;

        drain(mnl_socket_get_fd(link->socket)); /* a list goes on as it is read, and ends */
        /* a late answer must not be taken for one to what is asked from here on */
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        link->sequence = (uint32_t)now.tv_nsec ^ (uint32_t)now.tv_sec << 12;
}

int nft_link_adopt(int fd, NftLink **ret) {
        _cleanup_(nft_link_closep) NftLink *link = is_our_kind(fd) ? link_new() : NULL;

        if (!link)
                return is_our_kind(fd) ? -ENOMEM : -EINVAL;
        /* libmnl asks the kernel for the port */
        link->socket = mnl_socket_fdopen(fd);
        if (!link->socket)
                return -EINVAL;
        (void)set_options(link); /* they are set already */
        nft_link_reset(link);
        *ret = TAKE_PTR(link);
        return 0;
}

NftLink *nft_link_close(NftLink *link) {
        if (!link)
                return NULL;
        if (link->socket)
                (void)mnl_socket_close(link->socket); /* nothing is kept back in it */
        free(link->received);
        free(link);
        return NULL;
}

int nft_link_fd(const NftLink *link) {
        return mnl_socket_get_fd(link->socket);
}

uint32_t nft_link_port(const NftLink *link) {
        return mnl_socket_get_portid(link->socket);
}

uint32_t nft_link_sequence(const NftLink *link) {
        return link->sequence;
}

void nft_link_set_progress(NftLink *link, NftLinkProgress step, void *context) {
        link->step = step;
        link->step_context = context;
}

static void get_on(const NftLink *link, size_t to_send) {
        if (link->step)
                link->step(link->step_context, to_send);
}

/* One datagram from the kernel; its size, or negative errno. */
static ssize_t receive(NftLink *link, int flags) {
        for (;;) {
                struct sockaddr_nl from = {0};
                socklen_t from_size = sizeof(from);
                ssize_t n = recvfrom(mnl_socket_get_fd(link->socket), link->received, RECEIVE_SIZE,
                                     flags | MSG_TRUNC, (struct sockaddr *)&from, &from_size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN && !(flags & MSG_DONTWAIT) ? -ETIMEDOUT : -errno;
                if ((size_t)n > RECEIVE_SIZE)
                        return -EMSGSIZE;
                if (from.nl_pid != 0) /* other programs can send us messages, too */
                        continue;
                get_on(link, 0);
                return n;
        }
}

static int send_all(NftLink *link, const void *data, size_t size) {
        struct sockaddr_nl to = {.nl_family = AF_NETLINK};
        int fd = mnl_socket_get_fd(link->socket);
        ssize_t n;

        if (size > SOCKET_BUFFER)
                set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, (int)MIN(size, (size_t)INT32_MAX / 2));
        do
                n = sendto(fd, data, size, 0, (struct sockaddr *)&to, sizeof(to));
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN ? -ETIMEDOUT : -errno;
        return (size_t)n == size ? 0 : -EMSGSIZE;
}

static struct nlmsghdr *request(NftLink *link, void *buf, uint16_t type, uint16_t flags) {
        struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
        struct nfgenmsg *g;

        h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
        h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
        h->nlmsg_seq = link->sequence++;
        g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
        g->nfgen_family = NFPROTO_INET;
        g->version = NFNETLINK_V0;
        return h;
}

/* The errno in a message that ends a dump or refuses a request; 0 if it says that all went well. */
static int message_error(const struct nlmsghdr *h) {
        const int *error = mnl_nlmsg_get_payload(h);

        return mnl_nlmsg_get_payload_len(h) >= sizeof(*error) ? *error : 0;
}

int nft_link_generation(NftLink *link, uint32_t *ret) {
        unsigned char buf[64] = {0};
        struct nlmsghdr *h = request(link, buf, NFT_MSG_GETGEN, 0);
        uint32_t sequence = h->nlmsg_seq;
        int r = send_all(link, h, h->nlmsg_len);

        if (r < 0)
                return r;
        for (;;) {
                ssize_t n = receive(link, 0);

                if (n < 0)
                        return (int)n;
                message_for_each(answer, link->received, n) {
                        Attributes a;

                        if (answer->nlmsg_seq != sequence)
                                continue;
                        if (answer->nlmsg_type == NLMSG_ERROR)
                                return message_error(answer) < 0 ? message_error(answer) : -EPROTO;
                        attributes_of_message(answer, &a);
                        return attribute_u32(&a, NFTA_GEN_ID, ret) ? 0 : -EPROTO;
                }
        }
}

int nft_link_get(
        NftLink *link, uint16_t type, uint16_t attribute, const char *name, NftBytes *ret) {
        unsigned char buf[1024] = {0};
        struct nlmsghdr *h = request(link, buf, type, 0);
        uint32_t sequence = h->nlmsg_seq;
        int r;

        mnl_attr_put_strz(h, NFTA_TABLE_NAME, RULESET_TABLE); /* in each kind the first one */
        if (!mnl_attr_put_strz_check(h, sizeof(buf), attribute, name))
                return -ENAMETOOLONG;
        r = send_all(link, h, h->nlmsg_len);
        while (r == 0) {
                ssize_t n = receive(link, 0);

                if (n < 0)
                        return (int)n;
                message_for_each(answer, link->received, n) {
                        if (answer->nlmsg_seq != sequence)
                                continue;
                        if (answer->nlmsg_type != NLMSG_ERROR)
                                return nft_bytes_append(ret, answer, MNL_ALIGN(answer->nlmsg_len));
                        r = message_error(answer);
                        return r == -ENOENT ? 0 : r < 0 ? r : -EPROTO;
                }
        }
        return r;
}

/* Takes in one datagram of a dump. 1 when the dump is complete, 0 when more is to come. */
static int
dump_part(NftLink *link, size_t size, uint32_t sequence, bool *interrupted, NftBytes *ret) {
        message_for_each(h, link->received, size) {
                int r;

                if (h->nlmsg_seq != sequence)
                        continue;
                if (h->nlmsg_flags & NLM_F_DUMP_INTR)
                        *interrupted = true;
                if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
                        return message_error(h) < 0 ? message_error(h) : 1;
                r = nft_bytes_append(ret, h, MNL_ALIGN(h->nlmsg_len));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int dump(NftLink *link,
                uint16_t type,
                uint8_t family,
                const char *table,
                const char *set,
                size_t max,
                NftBytes *ret) {
        unsigned char buf[1024] = {0};
        struct nlmsghdr *h = request(link, buf, type, NLM_F_DUMP);
        struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
        uint32_t sequence = h->nlmsg_seq;
        bool interrupted = false;
        size_t before = ret->size;
        int r;

        g->nfgen_family = family;
        /* the first attribute of every such request is the table's name, the second the set's */
        if ((table && !mnl_attr_put_strz_check(h, sizeof(buf), NFTA_SET_ELEM_LIST_TABLE, table)) ||
            (set && !mnl_attr_put_strz_check(h, sizeof(buf), NFTA_SET_ELEM_LIST_SET, set)))
                return -ENAMETOOLONG;
        r = send_all(link, h, h->nlmsg_len);
        while (r == 0) {
                ssize_t n = receive(link, 0);

                if (n < 0)
                        return (int)n;
                r = dump_part(link, (size_t)n, sequence, &interrupted, ret);
                if (r == 0 && ret->size - before > max)
                        return -EFBIG;
        }
        if (r < 0)
                return r;
        return interrupted ? -EINTR : 0;
}

int nft_link_dump_family(NftLink *link,
                         uint16_t type,
                         uint8_t family,
                         const char *table,
                         const char *set,
                         NftBytes *ret) {
        return dump(link, type, family, table, set, SIZE_MAX, ret);
}

int nft_link_dump_at_most(size_t max,
                          uint16_t type,
                          uint8_t family,
                          const char *table,
                          const char *set,
                          NftBytes *ret) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        size_t before = ret->size;
        int r = nft_link_open(&link);

        if (r == 0)
                r = dump(link, type, family, table, set, max, ret);
        if (r == -EFBIG)
                ret->size = before;
        return r;
}

int nft_link_dump(NftLink *link, uint16_t type, const char *table, const char *set, NftBytes *ret) {
        return nft_link_dump_family(link, type, NFPROTO_INET, table, set, ret);
}

/* Takes in one datagram of answers, which an acknowledgement ends. 1: all are in; 0: more come. */
static int answer_part(NftLink *link, size_t size, uint32_t sequence, NftBytes *ret) {
        message_for_each(h, link->received, size) {
                int r;

                if (h->nlmsg_seq != sequence)
                        continue;
                if (h->nlmsg_type == NLMSG_ERROR)
                        return message_error(h) < 0 ? message_error(h) : 1;
                r = nft_bytes_append(ret, h, MNL_ALIGN(h->nlmsg_len));
                if (r < 0)
                        return r;
        }
        return 0;
}

static void put_key(struct nlmsghdr *h, const NftKey *key) {
        struct nlattr *element = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
        struct nlattr *data = mnl_attr_nest_start(h, NFTA_SET_ELEM_KEY);

        mnl_attr_put(h, NFTA_DATA_VALUE, key->size, key->bytes);
        mnl_attr_nest_end(h, data);
        if (key->flags)
                mnl_attr_put_u32(h, NFTA_SET_ELEM_FLAGS, htonl(key->flags));
        mnl_attr_nest_end(h, element);
}

int nft_link_get_elements(NftLink *link,
                          const char *table,
                          const char *set,
                          const NftKey *keys,
                          size_t n,
                          NftBytes *ret) {
        unsigned char buf[1024 + NFT_KEYS_MAX * (NFT_KEY_MAX + 24)] = {0};
        struct nlmsghdr *h = request(link, buf, NFT_MSG_GETSETELEM, NLM_F_ACK);
        uint32_t sequence = h->nlmsg_seq;
        struct nlattr *list;
        int r;

        if (strlen(table) + strlen(set) > 512)
                return -ENAMETOOLONG;
        if (n > NFT_KEYS_MAX)
                return -E2BIG;
        mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, table);
        mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, set);
        list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
        for (size_t i = 0; i < n; i++)
                put_key(h, &keys[i]);
        mnl_attr_nest_end(h, list);
        r = send_all(link, h, h->nlmsg_len);
        while (r == 0) {
                ssize_t size = receive(link, 0);

                if (size < 0)
                        return (int)size;
                r = answer_part(link, (size_t)size, sequence, ret);
        }
        return r < 0 ? r : 0;
}

int nft_link_get_element(NftLink *link,
                         const char *table,
                         const char *set,
                         const void *key,
                         size_t size,
                         NftBytes *ret) {
        NftKey one = {.size = size};

        if (size > sizeof(one.bytes))
                return -E2BIG;
        memcpy(one.bytes, key, size);
        return nft_link_get_elements(link, table, set, &one, 1, ret);
}

/* What the kernel says about an error beside its number. */
static void read_extended_ack(const struct nlmsghdr *h, NftError *e) {
        const struct nlmsgerr *err = mnl_nlmsg_get_payload(h);
        size_t skip = sizeof(*err);
        const struct nlattr *attr;

        if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
                return;
        if (!(h->nlmsg_flags & NLM_F_CAPPED) && err->msg.nlmsg_len > sizeof(err->msg))
                skip += MNL_ALIGN(err->msg.nlmsg_len - sizeof(err->msg));
        if (skip >= mnl_nlmsg_get_payload_len(h))
                return;
        attribute_for_each(attr, mnl_nlmsg_get_payload_offset(h, skip),
                           mnl_nlmsg_get_payload_tail(h)) {
                if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
                        (void)snprintf(e->text, sizeof(e->text), "%.*s",
                                       (int)mnl_attr_get_payload_len(attr),
                                       (const char *)mnl_attr_get_payload(attr));
                else if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_OFFS &&
                         mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
                        e->offset = mnl_attr_get_u32(attr);
        }
}

static void add_error(NftOutcome *ret, const struct nlmsghdr *h, int error) {
        NftError *e;

        if (ret->n_errors++ >= NFT_ERRORS_MAX)
                return;
        e = &ret->errors[ret->n_errors - 1];
        e->sequence = h->nlmsg_seq;
        e->error = error;
        read_extended_ack(h, e);
}

/* Takes in one datagram of answers. True when the last one is in: of the message that begins the
 * batch, which stands for the whole of it, or of the last one. */
static bool answers_part(NftLink *link, size_t size, const NftBatch *b, NftOutcome *ret) {
        uint32_t last = nft_batch_last_sequence(b) - b->first_sequence;

        message_for_each(h, link->received, size) {
                uint32_t i = h->nlmsg_seq - b->first_sequence;
                int error;

                if (h->nlmsg_type != NLMSG_ERROR || i > last ||
                    mnl_nlmsg_get_payload_len(h) < sizeof(struct nlmsgerr))
                        continue;
                error = message_error(h);
                if (error < 0)
                        add_error(ret, h, error);
                if (i == last || (i == 0 && error < 0))
                        return true;
        }
        return false;
}

void nft_link_set_hear(NftLink *link, NftLinkHear hear, void *context) {
        link->hear = hear;
        link->hear_context = context;
}

static int send_batch(NftLink *link, const NftBatch *b, NftOutcome *ret) {
        bool done = false, lost = false;
        int r;

        *ret = (NftOutcome){0};
        get_on(link, b->bytes.size);
        r = send_all(link, b->bytes.data, b->bytes.size);
        get_on(link, 0);
        link->sequence = nft_batch_last_sequence(b) + 2; /* past the one that ends the batch */
        if (r < 0)
                return r;
        while (!done) {
                /* all answers are there once the batch is sent; after a loss, what is left of them
                 */
                ssize_t n = receive(link, lost ? MSG_DONTWAIT : 0);

                if (n == -ENOBUFS)
                        lost = true;
                else if (n == -EAGAIN)
                        break;
                else if (n < 0)
                        return (int)n;
                else
                        done = answers_part(link, (size_t)n, b, ret);
        }
        if (ret->n_errors == 0)
                return done ? 0 : -ENOBUFS;
        if (ret->errors[0].sequence == b->first_sequence && ret->errors[0].error == -ERESTART)
                return -EAGAIN;
        return 1;
}

int nft_link_send(NftLink *link, const NftBatch *b, NftOutcome *ret) {
        bool is_large = link->hear && b->bytes.size > LARGE_SIZE;
        int r;

        if (is_large)
                link->hear(link->hear_context, false, 0);
        r = send_batch(link, b, ret);
        if (is_large)
                link->hear(link->hear_context, true, r);
        return r;
}
