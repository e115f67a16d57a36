/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/apply.h"

#include <getopt.h>
#include <limits.h>

#include "base/text.h"
#include "cli/complaint.h"
#include "cli/input.h"
#include "cli/output.h"
#include "cli/plan.h"
#include "cli/preview.h"
#include "cli/remote.h"

static const char apply_help[] =
        "Asks the daemon to put the policy in force on this host: checks it, shows what changes "
        "and\n"
        "whether your own SSH connection could be made anew, and puts it in force. Unless it is\n"
        "confirmed in time (settings.confirm), from a connection that was made after it, it is "
        "undone.\n"
        "\n" APPLY_HELP "      --json\n"
        "  -h, --help\n"
        "\n"
        "Exit status: 9 in force, and awaiting confirmation; 0 confirmed, or nothing to change;\n"
        "3 the policy is not valid; 5 no daemon; 6 the kernel refused; 7 you would be locked out.\n"
        "\n"
        "Examples:\n"
        "  ringwall apply\n"
        "  ringwall apply /root/new-policy.yaml -m 'grafana for the office'\n"
        "  ringwall confirm            # from a new connection\n";

static const char confirm_help[] =
        "Keeps what was applied. Counts only from a connection that was made after it, which shows "
        "that\n"
        "you can still come in; on a console it always counts.\n"
        "\n"
        "      --same-connection  insist, although this connection was there before\n" REMOTE_HELP
        "      --json\n"
        "  -h, --help\n";

static const char rollback_help[] = "Undoes a change that waits for its confirmation. With a "
                                    "NUMBER of the history, or when nothing\n"
                                    "waits, goes back to that change, or to the one before: a "
                                    "change of its own, to be confirmed.\n"
                                    "The policy's files stay as they are.\n"
                                    "\n"
                                    "      --i-have-console   go on although you could not come in "
                                    "again\n" REMOTE_HELP "      --json\n"
                                    "  -h, --help\n";

static const char *text_of(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

static long long number_of(const json_t *object, const char *key) {
        return json_integer_value(json_object_get(object, key));
}

/* Whether the same was printed of the policy as it was read here. */
static bool is_printed(const json_t *m, const Diag *d) {
        for (size_t i = 0; d && i < d->n_messages; i++)
                if (streq(d->messages[i].text, text_of(m, "message")) &&
                    (json_int_t)d->messages[i].at.line == number_of(m, "line"))
                        return true;
        return false;
}

/* What the daemon has to say beyond that. */
static void print_messages(const json_t *reply, const Diag *printed) {
        const json_t *list = json_object_get(reply, "messages");

        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *m = json_array_get(list, i);

                if (!is_printed(m, printed))
                        complain_at(&(Complaint){.severity = text_of(m, "severity"),
                                                 .file = text_of(m, "file"),
                                                 .line = number_of(m, "line"),
                                                 .text = text_of(m, "message")});
        }
}

static void print_cut(const json_t *reply) {
        if (number_of(reply, "cut") > 0)
                printf("%lld open connections that it does not admit were cut\n",
                       number_of(reply, "cut"));
        if (*text_of(reply, "notCut"))
                printf("note: %s\n", text_of(reply, "notCut"));
}

static void print_awaiting(const json_t *reply) {
        printf("unless confirmed within %lld s it is undone: connect anew, and say `ringwall "
               "confirm` there\n",
               number_of(reply, "seconds"));
}

int apply_print(const json_t *reply, const ApplyOptions *options) {
        const char *file = text_of(reply, "file");

        preview_print_ways(json_object_get(reply, "ways"));
        if (options->dry_run) {
                puts("nothing was done: --dry-run");
                return EXIT_OK;
        }
        if (!json_is_true(json_object_get(reply, "changed"))) {
                if (json_object_get(reply, "number"))
                        printf("%s is in force: change %lld, which changes no rule, only what "
                               "stands beside them\n",
                               file, number_of(reply, "number"));
                else
                        printf("%s is in force already: nothing changed\n", file);
                return EXIT_OK;
        }
        printf("%s is in force: change %lld\n", file, number_of(reply, "number"));
        if (!json_is_true(json_object_get(reply, "awaitsConfirmation"))) {
                print_cut(reply);
                return EXIT_OK;
        }
        print_awaiting(reply);
        return EXIT_AWAITING;
}

/* The daemon reads the file itself, and so from wherever we stand. */
static json_t *absolute_path(const char *file) {
        char path[PATH_MAX];

        return realpath(file, path) ? json_string(path) : NULL;
}

bool apply_option(int c, const char *argument, ApplyOptions *ret) {
        switch (c) {
        case 'y':
                ret->no_confirm = true;
                return true;
        case 'c':
                ret->has_console = true;
                return true;
        case 'n':
                ret->dry_run = true;
                return true;
        case 'm':
                ret->message = argument;
                return true;
        case 'R':
                ret->runtime_dir = argument;
                return true;
        default:
                return false;
        }
}

int apply_call(const char *verb, const char *file, const ApplyOptions *options, json_t **ret) {
        json_t *parameters = json_object();

        if (options->no_confirm)
                (void)json_object_set_new(parameters, "noConfirm", json_true());
        if (options->has_console)
                (void)json_object_set_new(parameters, "hasConsole", json_true());
        if (options->dry_run)
                (void)json_object_set_new(parameters, "dryRun", json_true());
        if (options->message)
                (void)json_object_set_new(parameters, "message", json_string(options->message));
        if (file && json_object_set_new(parameters, "file", absolute_path(file)) < 0) {
                complain(verb, "%s: %s", file, strerror(errno));
                json_decref(parameters);
                return EXIT_INVALID;
        }
        return remote_call(verb, options->runtime_dir, "Apply", parameters, ret);
}

int apply_code(const json_t *reply) {
        return json_is_true(json_object_get(reply, "awaitsConfirmation")) ? EXIT_AWAITING : EXIT_OK;
}

int apply_permit(const char *verb) {
        if (geteuid() == 0)
                return EXIT_OK;
        complain(verb, "only root puts a policy in force");
        complain_hint("sudo ringwall %s ...", verb);
        return EXIT_NOT_PERMITTED;
}

int apply_ask(const char *verb, const ApplyOptions *options, json_t **ret) {
        json_t *status = NULL;
        int r = apply_permit(verb); /* who may only look would learn it too late */

        if (r == EXIT_OK)
                r = remote_call(verb, options->runtime_dir, "Status", NULL, &status);
        if (r != EXIT_OK)
                return r;
        if (!options->dry_run && json_object_get(status, "panic")) {
                complain(verb, "panic is on, and only those who may rescue come in: `ringwall "
                               "panic off` first");
                json_decref(status);
                return EXIT_FAILED;
        }
        *ret = status;
        return EXIT_OK;
}

PlanVoice apply_voice(const char *verb, const ApplyOptions *options) {
        return (PlanVoice){.verb = verb,
                           .would = options->dry_run,
                           .applies = true,
                           .is_confirmed = options->no_confirm,
                           .runtime_dir = options->runtime_dir};
}

/* What changes, before anything does. EXIT_INVALID ends it: the daemon would say the same again; on
 * what else cannot be shown nothing depends. */
static int show(const char *file, const ApplyOptions *options, Input *input, json_t *ret_preview) {
        const PlanVoice voice = apply_voice("apply", options);
        int r;

        *input = (Input){.of_root = true, .quiet = ret_preview != NULL};
        r = input_load(input, file);
        if (r == EXIT_OK)
                r = ret_preview ? plan_add_json(input, &voice, ret_preview)
                                : plan_show(input, &voice);
        fflush(stdout);
        return !ret_preview && r == EXIT_INVALID ? r : EXIT_OK;
}

static int apply_file(const char *file, const ApplyOptions *options, json_t *preview) {
        _cleanup_(input_done) Input input = INPUT_NULL;
        json_t *reply = NULL, *status = NULL;
        int r = apply_ask("apply", options, &status);

        if (r == EXIT_OK && !preview && json_object_get(status, "panic"))
                puts("note: a panic is on: what changes is told from its rules, and not from those "
                     "that come back");
        if (r == EXIT_OK)
                r = show(file ? file : json_string_value(json_object_get(status, "policyFile")),
                         options, &input, preview);
        json_decref(status);
        if (r == EXIT_OK)
                r = apply_call("apply", file, options, &reply);
        if (r != EXIT_OK)
                return r;
        if (preview) {
                (void)json_object_update(reply, preview);
                r = apply_code(reply);
                return output_json(reply) == EXIT_OK ? r : EXIT_FAILED;
        }
        print_messages(reply, input.diag);
        r = apply_print(reply, options);
        json_decref(reply);
        return r;
}

static int apply(const char *file, const ApplyOptions *options, bool json) {
        json_t *preview = NULL;
        int r;

        if (file && streq(file, "-"))
                return verb_usage(&verb_apply,
                                  "the daemon reads the policy itself: name a file that stays");
        if (json && !(preview = json_object()))
                return input_failed(-ENOMEM, "apply");
        r = apply_file(file, options, preview);
        json_decref(preview);
        return r;
}

static int run_apply(int argc, char **argv) {
        static const struct option options[] = {
                APPLY_OPTIONS,
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        ApplyOptions wanted = {0};
        bool json = false;
        int c;

        while ((c = getopt_long(argc, argv, "hnm:", options, NULL)) >= 0)
                if (c == 'j')
                        json = true;
                else if (!apply_option(c, optarg, &wanted))
                        return c == 'h' ? verb_help(&verb_apply) : verb_usage(&verb_apply, NULL);
        if (argc - optind > 1)
                return verb_usage(&verb_apply, "one FILE at a time");
        return apply(argv[optind], &wanted, json);
}

static int print_confirmed(const json_t *reply) {
        printf("change %lld is confirmed\n", number_of(reply, "number"));
        print_cut(reply);
        return EXIT_OK;
}

static int print_rolled_back(const json_t *reply) {
        if (json_object_get(reply, "number"))
                printf("change %lld is in force\n", number_of(reply, "number"));
        else
                puts("nothing is in force: this host is as open as before");
        if (!json_is_true(json_object_get(reply, "awaitsConfirmation")))
                return EXIT_OK;
        print_awaiting(reply);
        return EXIT_AWAITING;
}

/* What was undone is in the files still, and comes back with the next `apply`. */
static void print_files(const char *runtime_dir) {
        json_t *status = NULL;

        if (remote_call("rollback", runtime_dir, "Status", NULL, &status) != EXIT_OK)
                return;
        if (json_is_true(json_object_get(status, "fileDiffers")))
                puts("the policy's files say something else than that: ringwall plan, ringwall "
                     "edit");
        json_decref(status);
}

/* A call whose answer is printed by `print`, or as it is. */
static int call(const Verb *verb,
                const char *runtime_dir,
                const char *method,
                json_t *parameters,
                bool json,
                int (*print)(const json_t *reply)) {
        json_t *reply = NULL;
        int r = remote_call(verb->name, runtime_dir, method, parameters, &reply);

        if (r != EXIT_OK)
                return r;
        if (json) {
                bool waits = json_is_true(json_object_get(reply, "awaitsConfirmation"));

                r = output_json(reply);
                return r == EXIT_OK && waits ? EXIT_AWAITING : r;
        }
        r = print(reply);
        json_decref(reply);
        return r;
}

static int run_confirm(int argc, char **argv) {
        static const struct option options[] = {
                {"same-connection", no_argument, NULL, 's'},
                REMOTE_JSON_OPTION,
                {"help", no_argument, NULL, 'h'},
                REMOTE_OPTION,
                {0},
        };
        RemoteOptions wanted = {0};
        bool same = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                if (c == 's')
                        same = true;
                else if (!remote_option(c, optarg, &wanted))
                        return c == 'h' ? verb_help(&verb_confirm)
                                        : verb_usage(&verb_confirm, NULL);
        if (optind < argc)
                return verb_usage(&verb_confirm, "it takes no argument");
        return call(&verb_confirm, wanted.runtime_dir, "Confirm",
                    json_pack("{s:b}", "sameConnection", same), wanted.json, print_confirmed);
}

static int run_rollback(int argc, char **argv) {
        static const struct option options[] = {
                REMOTE_CONSOLE_OPTION,
                REMOTE_JSON_OPTION,
                {"help", no_argument, NULL, 'h'},
                REMOTE_OPTION,
                {0},
        };
        RemoteOptions wanted = {0};
        json_t *parameters;
        uint64_t number = 0;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                if (!remote_option(c, optarg, &wanted))
                        return c == 'h' ? verb_help(&verb_rollback)
                                        : verb_usage(&verb_rollback, NULL);
        if (argc - optind > 1)
                return verb_usage(&verb_rollback, "one NUMBER at a time");
        if (optind < argc && !text_to_number(argv[optind], 1, UINT32_MAX, &number))
                return verb_usage(&verb_rollback, "NUMBER is that of a change: ringwall history");
        parameters = json_pack("{s:b}", "hasConsole", wanted.has_console);
        if (number > 0)
                (void)json_object_set_new(parameters, "number", json_integer((json_int_t)number));
        c = call(&verb_rollback, wanted.runtime_dir, "Rollback", parameters, wanted.json,
                 print_rolled_back);
        if (!wanted.json && (c == EXIT_OK || c == EXIT_AWAITING))
                print_files(wanted.runtime_dir);
        return c;
}

const Verb verb_apply = {
        .name = "apply",
        .arguments = "[FILE] [-n] [-m TEXT] [--no-confirm]",
        .summary = "Put a policy in force on this host, to be confirmed",
        .help = apply_help,
        .run = run_apply,
};

const Verb verb_confirm = {
        .name = "confirm",
        .arguments = "[--same-connection]",
        .summary = "Keep what was applied",
        .help = confirm_help,
        .run = run_confirm,
};

const Verb verb_rollback = {
        .name = "rollback",
        .arguments = "[NUMBER]",
        .summary = "Go back to what was in force before",
        .help = rollback_help,
        .run = run_rollback,
};
