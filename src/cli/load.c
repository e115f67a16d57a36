/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "cli/kernel.h"
#include "cli/output.h"
#include "nft/probe.h"
#include "nft/sysctl.h"

#define APPLY_TRIES 5 /* other programs' transactions may come between reading and writing */

static const char load_help[] = "Puts a policy in force in this network namespace, in one "
                                "transaction, and reads it back. What\n"
                                "is in force already is left alone, other programs' tables too. "
                                "Connections that are open stay\n"
                                "open. The namespace of process 1, the host's own, is refused: "
                                "putting a policy on a host comes\n"
                                "with the daemon.\n"
                                "\n"
                                "  -h, --help\n"
                                "\n"
                                "Exit status: 0 in force; 3 the policy is not valid; 4 not "
                                "permitted, or another program owns\n"
                                "the table; 6 the kernel refused.\n"
                                "\n"
                                "Examples:\n"
                                "  unshare -n ringwall load policy.yaml\n"
                                "  ip netns exec web ringwall load policy.yaml\n";

static const char unload_help[] =
        "Removes ringwall's table from this network namespace, which is then as open as the other\n"
        "programs' tables leave it. The namespace of process 1 is refused.\n"
        "\n"
        "      --yes   really\n"
        "  -h, --help\n"
        "\n"
        "Examples:\n"
        "  ip netns exec web ringwall unload --yes\n";

typedef struct Load {
        NftLink *link;
        Input input;
        NftChanges changes;
} Load;

static void load_done(Load *l) {
        l->link = nft_link_close(l->link);
        input_done(&l->input);
}

/* What the kernel said of a transaction that it did not take; an ExitCode. */
static int refused(const Diag *d, int error) {
        diag_print(d, stderr, output_has_colour(stderr));
        if (error == -EPERM)
                return EXIT_NOT_PERMITTED;
        if (error == -EBADMSG)
                return EXIT_KERNEL_REFUSED;
        return input_failed(error, "cannot load the policy");
}

/* Reads, compares and writes, again if another program's transaction came between. 0, an ExitCode
 * whose reason has been printed, or a negative errno as of nft_apply() with the reason in d. */
static int apply_ruleset(Load *l, Diag *d) {
        for (int i = 0; i < APPLY_TRIES; i++) {
                Ruleset *live;
                int r = kernel_read(l->link, l->input.arena, &live);

                if (r != EXIT_OK)
                        return r;
                r = nft_apply(l->link, live, l->input.ruleset, &l->changes, d);
                if (r != -EAGAIN)
                        return r;
        }
        fputs("ringwall load: other programs changed the kernel's rules each time; nothing was "
              "loaded, "
              "try again\n",
              stderr);
        return EXIT_FAILED;
}

static int compile(Load *l, const KernelFeatures *features) {
        int r = input_compile_loaded(&l->input, NULL, features);

        return r == EXIT_OK ? kernel_add_host(&l->input) : r;
}

/* What the kernel can do is found out by doing it. Only where it refuses is it asked what it lacks:
 * the question is a transaction that is taken back, after which kernels check the next one far more
 * slowly, rule by rule. */
static int apply(Load *l) {
        KernelFeatures features = {.fib_in_filter = true}, lacking;
        Diag *d = diag_new(l->input.arena);
        int r;

        features.own_source_routed = sysctl_accepts_own_source();
        r = d ? compile(l, &features) : input_failed(-ENOMEM, "loading the policy");
        if (r != EXIT_OK)
                return r;
        r = apply_ruleset(l, d);
        if (r == -EBADMSG && nft_probe(l->link, &lacking) == 0 && !lacking.fib_in_filter) {
                features.fib_in_filter = false;
                d = diag_new(l->input.arena);
                r = d ? compile(l, &features) : input_failed(-ENOMEM, "loading the policy");
                if (r == EXIT_OK)
                        r = apply_ruleset(l, d);
        }
        return r < 0 ? refused(d, r) : r;
}

/* In force is only what was read back. */
static int confirm(Load *l) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Ruleset *live;
        int r = a ? kernel_read(l->link, a, &live) : input_failed(-ENOMEM, "reading back");

        if (r != EXIT_OK) {
                fputs("ringwall load: the kernel took the policy, but it could not be read back; "
                      "look with: ringwall show --live\n",
                      stderr);
                return r;
        }
        if (ruleset_equal(live, l->input.ruleset))
                return EXIT_OK;
        fputs("ringwall load: the kernel took the policy but holds something else: another "
              "program may "
              "have changed the table just now; look with: ringwall show --live\n",
              stderr);
        return EXIT_KERNEL_REFUSED;
}

static int load(const char *file) {
        _cleanup_(load_done) Load l = {.input.of_root = true};
        int r = kernel_refuse_host("load");

        if (r == EXIT_OK)
                r = kernel_open(&l.link);
        if (r == EXIT_OK)
                r = input_load(&l.input, file);
        if (r != EXIT_OK)
                return r;
        r = apply(&l);
        if (r == EXIT_OK)
                r = confirm(&l);
        if (r != EXIT_OK)
                return r;
        if (l.changes.messages == 0)
                printf("%s was in force already: nothing changed\n", l.input.policy->file);
        else
                printf("%s is in force in this network namespace\n", l.input.policy->file);
        return EXIT_OK;
}

static int run_load(int argc, char **argv) {
        static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                return c == 'h' ? verb_help(&verb_load) : verb_usage(&verb_load, NULL);
        if (argc - optind > 1)
                return verb_usage(&verb_load, "one FILE at a time");
        return load(argv[optind]);
}

static int unload(void) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *d = a ? diag_new(a) : NULL;
        bool was_there;
        int r = d ? kernel_refuse_host("unload") : EXIT_FAILED;

        if (r == EXIT_OK)
                r = kernel_open(&link);
        if (r != EXIT_OK)
                return r;
        r = nft_delete(link, &was_there, d);
        diag_print(d, stderr, output_has_colour(stderr));
        if (r == -EPERM)
                return EXIT_NOT_PERMITTED;
        if (r < 0)
                return r == -EBADMSG ? EXIT_KERNEL_REFUSED : input_failed(r, "cannot unload");
        puts(was_there ? "ringwall's table is gone: this network namespace is no longer protected "
                         "by it"
                       : "nothing was loaded: nothing changed");
        return EXIT_OK;
}

static int run_unload(int argc, char **argv) {
        static const struct option options[] = {
                {"yes", no_argument, NULL, 'y'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        bool yes = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'y':
                        yes = true;
                        break;
                case 'h':
                        return verb_help(&verb_unload);
                default:
                        return verb_usage(&verb_unload, NULL);
                }
        if (argc > optind)
                return verb_usage(&verb_unload, "it takes no FILE");
        if (!yes)
                return verb_usage(&verb_unload,
                                  "this opens the network namespace; if you mean it, say --yes");
        return unload();
}

const Verb verb_load = {
        .name = "load",
        .arguments = "[FILE]",
        .summary = "Put a policy in force in this network namespace",
        .help = load_help,
        .run = run_load,
};

const Verb verb_unload = {
        .name = "unload",
        .arguments = "--yes",
        .summary = "Take the policy out of force here",
        .help = unload_help,
        .run = run_unload,
};
