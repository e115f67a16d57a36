/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "cli/kernel.h"
#include "cli/output.h"
#include "guard/store_text.h"

static const char help[] =
        "Prints the ruleset that the policy becomes, or that is in force in this network "
        "namespace, as\n"
        "text that nft can load; what a policy says besides its rules (alerts, bans) stands below, "
        "as\n"
        "comments.\n"
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

/* For nft they are comments: the kernel knows nothing of them. */
static void print_beside(const StoreChange *beside, size_t n) {
        if (n > 0)
                puts("# beside the rules:");
        for (size_t i = 0; i < n; i++)
                printf("# %s: { %s: %s }\n", beside[i].section, beside[i].key, beside[i].after);
}

static json_t *json_beside(const StoreChange *beside, size_t n) {
        json_t *array = json_array();

        for (size_t i = 0; i < n; i++)
                (void)json_array_append_new(
                        array, json_pack("{ss ss ss}", "section", beside[i].section, "key",
                                         beside[i].key, "value", beside[i].after));
        return array;
}

static int show_policy(const char *file, bool json) {
        _cleanup_(input_done) Input input = INPUT_NULL;
        StoreChange *beside;
        StoreSettings settings;
        size_t n = 0;
        int r = input_compile(&input, file, NULL), found;
        json_t *object;

        if (r != EXIT_OK)
                return r;
        found = store_settings(input.arena, input.policy, &settings);
        if (found == 0)
                found = store_compare(input.arena, NULL, &settings, &beside, &n);
        if (found < 0)
                return input_failed(found, "show");
        if (!json) {
                r = show(input.ruleset, false);
                print_beside(beside, n);
                return r;
        }
        object = output_json_ruleset(input.ruleset);
        (void)json_object_set_new(object, "beside", json_beside(beside, n));
        return output_json(object);
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
        bool live = false, json = false;
        int c;

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
        return live ? show_live(json) : show_policy(argv[optind], json);
}

const Verb verb_show = {
        .name = "show",
        .arguments = "[FILE|--live] [--nft|--json]",
        .summary = "Print the rules that a policy becomes",
        .help = help,
        .run = run,
};
