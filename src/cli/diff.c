/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "cli/complaint.h"
#include "cli/kernel.h"
#include "cli/output.h"
#include "cli/regions.h"

static const char help[] =
        "Says which connections fare otherwise under the policy NEW than under OLD: the difference "
        "in\n"
        "meaning, of all first packets there can be, and not of the text. Both are compiled; "
        "nothing is\n"
        "changed.\n"
        "\n"
        "      --live   in the place of OLD: the rules of ringwall's in force in this network\n"
        "               namespace; needs CAP_NET_ADMIN\n"
        "      --json   one JSON object, with every region\n"
        "  -h, --help\n"
        "\n"
        "How a connection is refused (with an answer or without), what is logged and what is "
        "counted is\n"
        "no difference.\n"
        "\n"
        "Exit status: 0 the same meaning, 8 another one, 3 a policy is not valid.\n"
        "\n"
        "Examples:\n"
        "  ringwall diff /etc/ringwall/policy.yaml new.yaml\n"
        "  ringwall diff --live new.yaml\n";

typedef struct Diff {
        Input old, new;
        const Ruleset *before;
        Arena *arena;
        Regions regions;
        bool live, json;
} Diff;

static void diff_done(Diff *d) {
        input_done(&d->old);
        input_done(&d->new);
        d->arena = arena_free(d->arena);
}

static int failed(const Diff *d, int error) {
        const char *hint, *text = regions_describe_failure(&d->regions, error, &hint);

        if (!text)
                return input_failed(error, "comparing");
        complain("diff", "%s", text);
        complain_hint("%s", hint);
        return EXIT_FAILED;
}

/* The kernel's rules were compiled for this kernel, and know this host's networks and bridges; what
 * is compared with them must, too. */
static int read_live(Diff *d, const char *new) {
        KernelFeatures features = {.fib_in_filter = true};
        Ruleset *live;
        int r = kernel_read_live("diff", d->arena, &live);

        if (r != EXIT_OK)
                return r;
        for (size_t i = 0; i < live->n_chains; i++)
                if (live->chains[i]->hook == HOOK_PREROUTING &&
                    live->chains[i]->type == CHAIN_FILTER)
                        features.fib_in_filter = false;
        d->before = live;
        r = input_load(&d->new, new);
        if (r == EXIT_OK)
                r = input_compile_loaded(&d->new, NULL, &features);
        return r == EXIT_OK ? kernel_add_host(&d->new) : r;
}

static int read_both(Diff *d, const char *old, const char *new) {
        int r;

        if (d->live)
                return read_live(d, new);
        r = input_compile(&d->old, old, NULL);
        d->before = d->old.ruleset;
        return r == EXIT_OK ? input_compile(&d->new, new, NULL) : r;
}

static int diff(Diff *d, const char *old, const char *new) {
        int r;

        d->arena = arena_new(0);
        if (!d->arena)
                return input_failed(-ENOMEM, "comparing");
        r = read_both(d, old, new);
        if (r != EXIT_OK)
                return r;
        r = regions_find(d->before, d->new.ruleset, d->new.policy, 0, d->arena, &d->regions);
        if (r < 0)
                return failed(d, r);
        if (d->json)
                r = output_json(regions_json(&d->regions));
        else
                regions_print(&d->regions);
        return r != EXIT_OK ? r : d->regions.n_lines == 0 ? EXIT_OK : EXIT_DIFFERS;
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"live", no_argument, NULL, 'l'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        _cleanup_(diff_done) Diff d = {0};
        int c, n;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'l':
                        d.live = true;
                        break;
                case 'j':
                        d.json = true;
                        break;
                case 'h':
                        return verb_help(&verb_diff);
                default:
                        return verb_usage(&verb_diff, NULL);
                }
        n = argc - optind;
        if (n != (d.live ? 1 : 2))
                return verb_usage(&verb_diff,
                                  d.live ? "--live stands for OLD: one FILE, the new policy"
                                         : "two policies: OLD and NEW");
        return diff(&d, argv[optind], argv[argc - 1]);
}

const Verb verb_diff = {
        .name = "diff",
        .arguments = "OLD NEW | --live NEW [--json]",
        .summary = "Say what a policy changes in meaning",
        .help = help,
        .run = run,
};
