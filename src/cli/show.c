/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "cli/kernel.h"
#include "cli/output.h"

static const char help[] =
        "Prints the ruleset that the policy becomes, or that is in force in this network "
        "namespace, as\n"
        "text that nft can load.\n"
        "\n"
        "      --live   what the kernel holds, with counters, instead of a FILE\n"
        "      --nft    in nft's syntax (the default)\n"
        "      --json   as JSON\n"
        "  -h, --help\n"
        "\n"
        "Exit status: 0; 1 with --live if no ringwall table is loaded; 3 the policy is not valid.\n"
        "\n"
        "Examples:\n"
        "  ringwall show policy.yaml\n"
        "  ringwall show --live\n";

static int show(const Ruleset *rs, bool json) {
        if (json)
                return output_json(output_json_ruleset(rs));
        ruleset_print(rs, stdout);
        return EXIT_OK;
}

static int show_live(bool json) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Ruleset *rs;
        int r = kernel_read_live("show", a, &rs);

        return r == EXIT_OK ? show(rs, json) : r;
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"live", no_argument, NULL, 'l'},
                {"nft", no_argument, NULL, 'n'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        _cleanup_(input_done) Input input = INPUT_NULL;
        bool live = false, json = false;
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'l':
                        live = true;
                        break;
                case 'n':
                        json = false;
                        break;
                case 'j':
                        json = true;
                        break;
                case 'h':
                        return verb_help(&verb_show);
                default:
                        return verb_usage(&verb_show, NULL);
                }
        if (argc - optind > (live ? 0 : 1))
                return verb_usage(&verb_show, live ? "--live takes no FILE" : "one FILE at a time");
        if (live)
                return show_live(json);
        r = input_compile(&input, argv[optind], NULL);
        return r == EXIT_OK ? show(input.ruleset, json) : r;
}

const Verb verb_show = {
        .name = "show",
        .arguments = "[FILE|--live] [--nft|--json]",
        .summary = "Print the rules that a policy becomes",
        .help = help,
        .run = run,
};
