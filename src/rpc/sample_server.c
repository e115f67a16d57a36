/* SPDX-License-Identifier: GPL-2.0-or-later */

/* For tests: serves the sample until it is killed.
 *
 *     sample_server PATH [GROUP-ID]
 *
 * Prints a line when it listens. */

#include <signal.h>

#include "base/text.h"
#include "rpc/sample.h"
#include "rpc/socket.h"

static int serve(const char *path, gid_t group) {
        static Sample sample;
        const RpcServerOptions options = {
                .interfaces = sample_interfaces,
                .context = &sample,
                .group = group,
                .vendor = "ringwall",
                .product = "sample",
                .version = "1",
                .url = "https://example.org/",
                .part_usec = 2000000,
                .stall_usec = 4000000,
        };
        sd_event *event;
        int fd, r;

        r = sd_event_new(&event);
        if (r < 0)
                return r;
        r = rpc_server_new(event, &options, &sample.server);
        if (r < 0)
                return r;
        fd = rpc_socket_listen(path, 0666, RPC_NO_GROUP);
        if (fd < 0)
                return fd;
        r = rpc_server_listen(sample.server, fd);
        if (r < 0)
                return r;
        printf("listening\n");
        (void)fflush(stdout); /* whoever does not read it does not care */
        return sd_event_loop(event);
}

int main(int argc, char **argv) {
        uint64_t group = RPC_NO_GROUP;
        int r;

        if (argc < 2 || (argc > 2 && !text_to_number(argv[2], 0, UINT32_MAX, &group))) {
                fprintf(stderr, "usage: sample_server PATH [GROUP-ID]\n");
                return 2;
        }
        r = serve(argv[1], (gid_t)group);
        fprintf(stderr, "sample_server: %s\n", strerror(-r));
        return 1;
}
