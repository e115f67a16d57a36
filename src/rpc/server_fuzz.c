/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The input is what two clients do to a whole server, step by step. A step begins with a byte: its
 * lowest bit says which client, the next three what it does; of 2 and above, the rest how many of
 * the bytes behind it are sent. */

#include <sys/socket.h>

#include "rpc/sample.h"

#define STEPS_MAX 64
#define TURNS_MAX 10000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum Step {
        STEP_HANG_UP,
        STEP_READ,
        STEP_STOP_SENDING,
        STEP_RELEASE,
        STEP_SEND, /* and all above */
} Step;

static void settle(sd_event *event) {
        for (int i = 0; sd_event_run(event, 0) > 0; i++)
                if (i == TURNS_MAX)
                        abort(); /* it spins */
}

static void do_step(Sample *s, int *fd, Step step, const uint8_t *data, size_t size) {
        char bytes[4096];

        if (step == STEP_RELEASE)
                sample_release(s);
        if (*fd < 0)
                return;
        if (step == STEP_HANG_UP) {
                (void)close(*fd);
                *fd = -1;
        } else if (step == STEP_READ)
                (void)recv(*fd, bytes, sizeof(bytes), MSG_DONTWAIT); /* whatever there is */
        else if (step == STEP_STOP_SENDING)
                (void)shutdown(*fd, SHUT_WR); /* again and again does no harm */
        else if (step >= STEP_SEND)
                (void)send(*fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL); /* as far as it goes */
}

static void run_steps(sd_event *event, Sample *s, int fds[2], const uint8_t *data, size_t size) {
        for (int i = 0; i < STEPS_MAX && size > 0; i++) {
                Step step = (Step)(data[0] >> 1 & 7);
                size_t n = step >= STEP_SEND ? MIN((size_t)(data[0] >> 4) * 16 + 1, size - 1) : 0;

                do_step(s, &fds[data[0] & 1], step, data + 1, n);
                settle(event);
                data += 1 + n;
                size -= 1 + n;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Sample sample = {0};
        const RpcServerOptions options = {
                .interfaces = sample_interfaces,
                .context = &sample,
                .group = RPC_NO_GROUP,
                .vendor = "v",
                .product = "p",
                .version = "1",
                .url = "u",
        };
        sd_event *event;
        int fds[2] = {-1, -1};

        if (sd_event_new(&event) < 0 || rpc_server_new(event, &options, &sample.server) < 0)
                abort();
        for (int i = 0; i < 2; i++) {
                int pair[2];

                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
                    rpc_server_add(sample.server, pair[0]) < 0)
                        abort();
                fds[i] = pair[1];
        }
        run_steps(event, &sample, fds, data, size);
        closep(&fds[0]);
        settle(event);
        /* a client that has gone leaves nothing behind */
        if (rpc_server_clients(sample.server) > 1)
                abort();
        (void)rpc_server_free(sample.server);
        closep(&fds[1]);
        if (sample.n_waiting > 0 || sd_event_unref(event) != NULL)
                abort();
        return 0;
}
