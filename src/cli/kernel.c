/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/kernel.h"

#include "cli/complaint.h"
#include "nft/host.h"
#include "nft/namespace.h"

static int opened(int r) {
        if (r == 0)
                return EXIT_OK;
        if (r == -EPROTONOSUPPORT || r == -EAFNOSUPPORT) {
                complain(NULL, "this kernel has no nf_tables");
                return EXIT_KERNEL_REFUSED;
        }
        return input_failed(r, "cannot open a netlink socket");
}

int kernel_open(NftLink **ret) {
        return opened(nft_link_open(ret));
}

int kernel_open_engine(Engine *ret) {
        return opened(engine_open(ret));
}

int kernel_read_known(NftLink *link, Arena *a, const NftKnown *known, Ruleset **ret) {
        int r = nft_read_known(link, a, known, ret);

        if (r == 0)
                return EXIT_OK;
        if (r == -EBUSY) {
                complain(NULL, "other programs kept changing the kernel's rules while they were "
                               "read; try again");
                return EXIT_FAILED;
        }
        if (r == -EPERM) {
                complain(NULL, "reading the kernel's rules needs CAP_NET_ADMIN: run it as root");
                return EXIT_NOT_PERMITTED;
        }
        return input_failed(r, "cannot read the kernel's rules");
}

int kernel_read(NftLink *link, Arena *a, Ruleset **ret) {
        const NftKnown nothing = {0};

        return kernel_read_known(link, a, &nothing, ret);
}

int kernel_read_live(const char *verb, Arena *a, Ruleset **ret) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        Ruleset *rs;
        int r = a ? kernel_open(&link) : input_failed(-ENOMEM, "reading the kernel's rules");

        if (r == EXIT_OK)
                r = kernel_read(link, a, &rs);
        if (r != EXIT_OK)
                return r;
        if (!rs->exists) {
                complain(verb, "no policy is loaded in this network namespace");
                return EXIT_FAILED;
        }
        *ret = rs;
        return EXIT_OK;
}

int kernel_add_host(Input *input) {
        int r = nft_add_host(input->arena, input->ruleset);

        return r < 0 ? input_failed(r, "cannot list this host's networks and bridges") : EXIT_OK;
}

int kernel_refuse_host(const char *verb) {
        int r = namespace_is_init();

        if (r == 0)
                return EXIT_OK;
        if (r < 0)
                complain(verb,
                         "cannot tell whether this is the host's own network namespace (%s), so "
                         "nothing is done",
                         strerror(-r));
        else
                complain(verb, "this is the network namespace of process 1, the host's or "
                               "container's own, and nothing has been changed");
        complain_hint("on a host let ringwalld do it (ringwall apply), which undoes what locks you "
                      "out; a container is entered from outside (nsenter -t PID -n), and to try a "
                      "policy there is unshare -n");
        return EXIT_NOT_PERMITTED;
}
