/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "cli/age.h"
#include "cli/output.h"
#include "cli/remote.h"

#define SECONDS_MAX (365 * UINT64_C(86400)) /* of io.ringwall.Panic */

static const char help[] =
        "Closes everything at once, open connections too, but for those who may come to the\n"
        "rescue: settings.rescue, or from where was confirmed last, to sshd. What the policy says\n"
        "comes back with 'panic off'; a restart or a reboot does not end it.\n"
        "\n"
        "      --for=TIME         end it by itself: 90s, 10m, 2h or 3d; at most 365d\n"
        "      --i-have-console   although you could not come in again\n" REMOTE_HELP
        "      --json\n"
        "  -h, --help\n"
        "\n"
        "Exit status: 7 if you could not come in again; nothing has changed then.\n"
        "\n"
        "Examples:\n"
        "  ringwall panic on --for 1h\n"
        "  ringwall panic off\n";

/* What there is instead of it: nothing is called in force that was not read back. */
static int print_off(const char *runtime_dir) {
        json_t *status = NULL;
        const char *state;
        int r = remote_call("panic", runtime_dir, "Status", NULL, &status);

        if (r != EXIT_OK)
                return r;
        state = json_string_value(json_object_get(status, "state"));
        if (state && streq(state, "closed"))
                puts("panic is off: what the policy says is in force");
        else if (state && (streq(state, "unarmed") || streq(state, "unloaded")))
                puts("panic is off, and this host is open: nothing is in force: ringwall apply");
        else
                puts("panic is off: ringwall status says what is in force");
        json_decref(status);
        return EXIT_OK;
}

static void print_on(const json_t *reply, const char *duration) {
        printf("panic is on%s%s: only those who may rescue come in; %lld open connections were "
               "cut\n",
               duration ? " for " : "", duration ? duration : "",
               (long long)json_integer_value(json_object_get(reply, "cut")));
        if (json_is_false(json_object_get(reply, "rescue")))
                puts("nobody may: no settings.rescue is in force, and nobody confirmed over SSH; a "
                     "console alone is left");
        puts("ringwall panic off takes it back");
}

static int call(bool on, uint64_t seconds, const RemoteOptions *options, json_t **ret) {
        json_t *parameters = json_pack("{s:b}", "on", on);

        if (seconds > 0)
                (void)json_object_set_new(parameters, "seconds", json_integer((json_int_t)seconds));
        if (options->has_console)
                (void)json_object_set_new(parameters, "hasConsole", json_true());
        return remote_call("panic", options->runtime_dir, "Panic", parameters, ret);
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"for", required_argument, NULL, 'f'}, REMOTE_CONSOLE_OPTION, REMOTE_JSON_OPTION,
                {"help", no_argument, NULL, 'h'},      REMOTE_OPTION,         {0},
        };
        const char *duration = NULL;
        RemoteOptions wanted = {0};
        json_t *reply = NULL;
        bool on;
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                if (c == 'f')
                        duration = optarg;
                else if (!remote_option(c, optarg, &wanted))
                        return c == 'h' ? verb_help(&verb_panic) : verb_usage(&verb_panic, NULL);
        if (argc - optind != 1 || (!streq(argv[optind], "on") && !streq(argv[optind], "off")))
                return verb_usage(&verb_panic, "say 'on' or 'off'");
        on = streq(argv[optind], "on");
        if (duration && !on)
                return verb_usage(&verb_panic, "--for goes with 'on'");
        if (duration && (age_parse(duration) == 0 || age_parse(duration) > SECONDS_MAX))
                return verb_usage(&verb_panic, "--for takes 90s, 10m, 2h or 3d, at most 365d");
        r = call(on, duration ? age_parse(duration) : 0, &wanted, &reply);
        if (r != EXIT_OK)
                return r;
        if (wanted.json)
                return output_json(reply);
        if (on)
                print_on(reply, duration);
        else
                r = print_off(wanted.runtime_dir);
        json_decref(reply);
        return r;
}

const Verb verb_panic = {
        .name = "panic",
        .arguments = "on [--for TIME] | off",
        .summary = "Close everything but the rescue path, at once",
        .help = help,
        .run = run,
};
