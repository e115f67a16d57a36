/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "cli/age.h"
#include "cli/output.h"
#include "cli/remote.h"

static const char help[] =
        "Closes everything at once, open connections too, but for those who may come to the\n"
        "rescue: settings.rescue, or from where was confirmed last, to sshd. What the policy says\n"
        "comes back with 'panic off'; a restart or a reboot does not end it.\n"
        "\n"
        "      --for=TIME         end it by itself: 90s, 10m, 2h or 3d\n"
        "      --i-have-console   although you could not come in again\n" REMOTE_HELP
        "      --json\n"
        "  -h, --help\n"
        "\n"
        "Exit status: 7 if you could not come in again; nothing has changed then.\n"
        "\n"
        "Examples:\n"
        "  ringwall panic on --for 1h\n"
        "  ringwall panic off\n";

static void print_reply(const json_t *reply, const char *duration) {
        if (!json_is_true(json_object_get(reply, "on"))) {
                puts("panic is off: what the policy says is in force");
                return;
        }
        printf("panic is on%s%s: only those who may rescue come in; %lld open connections were "
               "cut\n",
               duration ? " for " : "", duration ? duration : "",
               (long long)json_integer_value(json_object_get(reply, "cut")));
        puts("ringwall panic off takes it back");
}

static int
call(bool on, uint64_t seconds, bool has_console, const char *runtime_dir, json_t **ret) {
        json_t *parameters = json_pack("{s:b}", "on", on);

        if (seconds > 0)
                (void)json_object_set_new(parameters, "seconds", json_integer((json_int_t)seconds));
        if (has_console)
                (void)json_object_set_new(parameters, "hasConsole", json_true());
        return remote_call("panic", runtime_dir, "Panic", parameters, ret);
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"for", required_argument, NULL, 'f'},
                {"i-have-console", no_argument, NULL, 'c'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                REMOTE_OPTION,
                {0},
        };
        const char *runtime_dir = NULL, *duration = NULL;
        bool json = false, has_console = false, on;
        json_t *reply = NULL;
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'f':
                        duration = optarg;
                        break;
                case 'c':
                        has_console = true;
                        break;
                case 'R':
                        runtime_dir = optarg;
                        break;
                case 'j':
                        json = true;
                        break;
                default:
                        return c == 'h' ? verb_help(&verb_panic) : verb_usage(&verb_panic, NULL);
                }
        if (argc - optind != 1 || (!streq(argv[optind], "on") && !streq(argv[optind], "off")))
                return verb_usage(&verb_panic, "say 'on' or 'off'");
        on = streq(argv[optind], "on");
        if (duration && (!on || age_parse(duration) == 0))
                return verb_usage(&verb_panic,
                                  on ? "--for takes 90s, 10m, 2h or 3d" : "--for goes with 'on'");
        r = call(on, duration ? age_parse(duration) : 0, has_console, runtime_dir, &reply);
        if (r != EXIT_OK)
                return r;
        if (json)
                return output_json(reply);
        print_reply(reply, duration);
        json_decref(reply);
        return EXIT_OK;
}

const Verb verb_panic = {
        .name = "panic",
        .arguments = "on [--for TIME] | off",
        .summary = "Close everything but the rescue path, at once",
        .help = help,
        .run = run,
};
