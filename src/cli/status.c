/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <time.h>

#include "cli/output.h"
#include "cli/remote.h"

static const char status_help[] =
        "Says in one screen what is in force since when, as read back from the kernel just now;\n"
        "whether a change waits for its confirmation; whether files and kernel differ; and what\n"
        "happened last. What the policy claims and other programs' rules break comes first.\n"
        "\n" REMOTE_HELP "      --json\n"
        "  -h, --help\n"
        "\n"
        "Exit status: 0 whenever the daemon answers, 5 if it does not.\n";

static const char history_help[] = "Lists what was applied, the latest first: up to 50 changes.\n"
                                   "\n" REMOTE_HELP "      --json\n"
                                   "  -h, --help\n";

static const char reload_help[] = "Makes the daemon read lists of addresses again. Changed "
                                  "policies it only tells of: they are\n"
                                  "put in force by `ringwall apply`.\n"
                                  "\n" REMOTE_HELP "      --json\n"
                                  "  -h, --help\n";

static const char *text_of(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

static const char *time_text(const json_t *object, const char *key, char *buf, size_t size) {
        time_t t = (time_t)(json_integer_value(json_object_get(object, key)) / 1000000);
        struct tm tm;

        if (!localtime_r(&t, &tm) || strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                return "?";
        return buf;
}

/* What does not hold comes first. */
static void print_broken(const json_t *claims) {
        const json_t *broken = json_object_get(claims, "broken");
        OutputStyle style = output_style(stdout);
        long long more = (long long)json_integer_value(json_object_get(claims, "more"));
        char buf[64];

        for (size_t i = 0; i < json_array_size(broken); i++) {
                const json_t *c = json_array_get(broken, i);
                bool refuted = streq(text_of(c, "answer"), "refuted");

                printf("%s%-12s%s %s: %s since %s\n", style.bad, refuted ? "broken" : "undecided",
                       style.reset, text_of(c, "claim"), refuted ? "does not hold," : "not known,",
                       time_text(c, "since", buf, sizeof(buf)));
                output_line("             ", text_of(c, "why"));
        }
        if (more > 0)
                printf("%s%-12s%s and %lld claims more: ringwall verify\n", style.bad, "broken",
                       style.reset, more);
}

static void print_claims(const json_t *claims) {
        size_t n_broken = json_array_size(json_object_get(claims, "broken"));
        long long n = (long long)json_integer_value(json_object_get(claims, "count"));

        if (json_is_true(json_object_get(claims, "known")) && n > 0 && n_broken == 0)
                printf("claims       %lld proved, whatever other programs' rules say\n", n);
        else if (!json_is_true(json_object_get(claims, "known")) && n_broken > 0)
                puts("claims       as they were found last: they cannot be proved now");
}

static void print_panic(const json_t *s, OutputStyle style) {
        long long seconds = (long long)json_integer_value(
                json_object_get(json_object_get(s, "panic"), "seconds"));
        char buf[64];

        printf("%spanic%s        only those who may rescue come in", style.bad, style.reset);
        if (json_object_get(s, "since")) /* not if the file that says so cannot be read */
                printf(", since %s", time_text(s, "since", buf, sizeof(buf)));
        if (seconds > 0)
                printf(", for another %lld s", seconds);
        puts(": ringwall panic off");
}

static void print_state(const json_t *s) {
        OutputStyle style = output_style(stdout);
        const char *state = text_of(s, "state");
        char buf[64];

        if (streq(state, "closed"))
                printf("%sin force%s     %s, change %lld, since %s\n", style.good, style.reset,
                       text_of(s, "inForce"),
                       (long long)json_integer_value(json_object_get(s, "number")),
                       time_text(s, "since", buf, sizeof(buf)));
        else if (streq(state, "unarmed"))
                printf("%snot in force%s nothing has been confirmed yet: ringwall apply\n",
                       style.bad, style.reset);
        else if (streq(state, "unloaded"))
                printf("%snot in force%s it was unloaded on demand, until something is applied or "
                       "ringwalld starts again\n",
                       style.bad, style.reset);
        else if (streq(state, "taken"))
                printf("%snot in force%s another program, or a second ringwalld, owns the table "
                       "inet ringwall: stop it, or this one\n",
                       style.bad, style.reset);
        else if (streq(state, "failed"))
                printf("%snot in force%s what was confirmed could not be put in force, and is "
                       "tried "
                       "again: journalctl -u ringwalld\n",
                       style.bad, style.reset);
        else if (streq(state, "panic"))
                print_panic(s, style);
        else if (streq(state, "lockdown"))
                printf("%slockdown%s     no confirmed policy can be read: only those who may "
                       "rescue "
                       "come in, since %s\n",
                       style.bad, style.reset, time_text(s, "since", buf, sizeof(buf)));
        else if (!json_object_get(s, "number"))
                printf("%snot in force%s what the kernel holds is not what should be there\n",
                       style.bad, style.reset);
        else
                printf("%snot in force%s %s%schange %lld should be: what the kernel holds is "
                       "something else\n",
                       style.bad, style.reset, text_of(s, "expected"),
                       *text_of(s, "expected") ? ", " : "",
                       (long long)json_integer_value(json_object_get(s, "number")));
        if (*text_of(s, "kernelDiffers"))
                printf("%skernel%s       %s\n", style.bad, style.reset,
                       text_of(s, "kernelDiffers"));
        if (json_is_true(json_object_get(s, "readBack")) &&
            json_integer_value(json_object_get(s, "rules")) > 0)
                printf("kernel       as it should be: %lld rules in %lld chains, read back now\n",
                       (long long)json_integer_value(json_object_get(s, "rules")),
                       (long long)json_integer_value(json_object_get(s, "chains")));
}

/* Of rules that are in force as they should be. */
static void print_owner(const json_t *s) {
        if (!json_is_true(json_object_get(s, "readBack")) ||
            json_integer_value(json_object_get(s, "rules")) == 0)
                return;
        puts(json_is_true(json_object_get(s, "owned"))
                     ? "owner        ringwalld: no other program can change its rules"
                     : "owner        none: other programs can change the rules");
}

static void print_drift(const json_t *s) {
        const json_t *drift = json_object_get(s, "drift");
        long long seen = (long long)json_integer_value(json_object_get(drift, "seen"));
        long long longest = (long long)json_integer_value(json_object_get(drift, "longest"));

        if (seen > 0)
                printf("drift        other programs changed the rules %lld time%s, undone %lld; "
                       "the "
                       "longest for %lld.%lld ms\n",
                       seen, seen == 1 ? "" : "s",
                       (long long)json_integer_value(json_object_get(drift, "undone")),
                       longest / 1000, longest / 100 % 10);
        if (json_is_true(json_object_get(drift, "kept")))
                puts("shut         another program keeps changing the rules, or owns their table: "
                     "until it stops, they stand in one that nobody else can change, inet "
                     "ringwall_shut, too");
        else if (json_is_true(json_object_get(drift, "shut")))
                puts("shut         another program keeps changing the rules: until it stops, "
                     "nothing "
                     "comes in but those who may rescue, and what was open before");
}

static void print_bans(const json_t *s) {
        const json_t *bans = json_object_get(s, "bans");
        long long desired = (long long)json_integer_value(json_object_get(bans, "desired"));
        long long enforced = (long long)json_integer_value(json_object_get(bans, "enforced"));
        OutputStyle style = output_style(stdout);

        if (!bans)
                printf("%sbans%s         nobody can be banned: the store cannot be opened: "
                       "journalctl -u ringwalld\n",
                       style.bad, style.reset);
        else if (enforced != desired)
                printf("%sbans%s         %lld of %lld are in force%s\n", style.bad, style.reset,
                       enforced, desired,
                       json_is_true(json_object_get(bans, "suspended"))
                               ? ": unloaded on demand"
                               : ", and it is tried again");
        else if (desired > 0)
                printf("bans         %lld, all of them in force: ringwall bans\n", desired);
        if (json_is_true(json_object_get(bans, "unsaved")))
                printf("%sbans%s         some could not be written to the disk, and would be lost "
                       "with a restart\n",
                       style.bad, style.reset);
}

static void print_status(const json_t *s) {
        const json_t *pending = json_object_get(s, "pending");
        const json_t *events = json_object_get(s, "events");
        OutputStyle style = output_style(stdout);
        char buf[64];

        print_broken(json_object_get(s, "claims"));
        print_state(s);
        if (pending)
                printf("%sunconfirmed%s  change %lld is undone in %lld s: connect anew, then "
                       "ringwall confirm\n",
                       style.bad, style.reset,
                       (long long)json_integer_value(json_object_get(pending, "number")),
                       (long long)json_integer_value(json_object_get(pending, "seconds")));
        if (json_is_true(json_object_get(s, "fileDiffers")))
                printf("files        %s says something else by now: ringwall plan, ringwall "
                       "apply\n",
                       text_of(s, "differingFile"));
        if (json_is_false(json_object_get(s, "startsAtBoot")))
                printf("%sboot%s         nothing will be in force after the next boot: systemctl "
                       "enable ringwalld (if it is masked, unmask it first)\n",
                       style.bad, style.reset);
        if (json_object_get(s, "lateStarts"))
                printf("%srestarts%s     ringwalld has ended again and again, and nobody watched "
                       "meanwhile: journalctl -u ringwalld\n",
                       style.bad, style.reset);
        print_owner(s);
        print_claims(json_object_get(s, "claims"));
        print_drift(s);
        print_bans(s);
        printf("daemon       ringwalld %s, process %lld\n", text_of(s, "version"),
               (long long)json_integer_value(json_object_get(s, "pid")));
        for (size_t i = 0; i < json_array_size(events) && i < 8; i++) {
                const json_t *e = json_array_get(events, i);
                char label[64];

                (void)snprintf(label, sizeof(label), "%-12s %s  ", i == 0 ? "last" : "",
                               time_text(e, "time", buf, sizeof(buf)));
                output_line(label, text_of(e, "text"));
        }
}

static void print_history(const json_t *reply) {
        static const char *const columns[] = {"CHANGE", "WHEN", "WHO", "FROM", "STATE", "WHY"};
        const json_t *entries = json_object_get(reply, "entries");
        _cleanup_(output_table_freep) OutputTable *t =
                output_table_new(columns, ARRAY_SIZE(columns));

        if (json_array_size(entries) == 0) {
                puts("nothing has been applied yet");
                return;
        }
        for (size_t i = 0; t && i < json_array_size(entries); i++) {
                const json_t *e = json_array_get(entries, i);
                char number[32], when[64];
                const char *cells[] = {number,
                                       time_text(e, "time", when, sizeof(when)),
                                       text_of(e, "user"),
                                       text_of(e, "peer"),
                                       text_of(e, "state"),
                                       text_of(e, "message")};

                (void)snprintf(number, sizeof(number), "%lld",
                               (long long)json_integer_value(json_object_get(e, "number")));
                if (output_table_add(t, cells) < 0)
                        return;
        }
        if (t)
                output_table_print(t);
}

static void print_reload(const json_t *reply) {
        puts(json_is_true(json_object_get(reply, "changed"))
                     ? "lists of addresses were read again and are in force"
                     : "nothing changed in the lists of addresses");
        if (json_is_true(json_object_get(reply, "policyDiffers")))
                puts("the policy's files have changed: run `ringwall apply`");
}

/* These three ask one question each, and take the same options. */
static int
run(const Verb *verb, int argc, char **argv, const char *method, void (*print)(const json_t *)) {
        static const struct option options[] = {
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                REMOTE_OPTION,
                {0},
        };
        const char *runtime_dir = NULL;
        json_t *reply = NULL;
        bool json = false;
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'R':
                        runtime_dir = optarg;
                        break;
                case 'j':
                        json = true;
                        break;
                default:
                        return c == 'h' ? verb_help(verb) : verb_usage(verb, NULL);
                }
        if (optind < argc)
                return verb_usage(verb, "it takes no argument");
        r = remote_call(verb->name, runtime_dir, method, NULL, &reply);
        if (r != EXIT_OK)
                return r;
        if (json)
                return output_json(reply);
        print(reply);
        json_decref(reply);
        return EXIT_OK;
}

static int run_status(int argc, char **argv) {
        return run(&verb_status, argc, argv, "Status", print_status);
}

static int run_history(int argc, char **argv) {
        return run(&verb_history, argc, argv, "History", print_history);
}

static int run_reload(int argc, char **argv) {
        return run(&verb_reload, argc, argv, "Reload", print_reload);
}

const Verb verb_status = {
        .name = "status",
        .arguments = "[--json]",
        .summary = "Say what is in force on this host",
        .help = status_help,
        .run = run_status,
};

const Verb verb_history = {
        .name = "history",
        .arguments = "[--json]",
        .summary = "List what was applied",
        .help = history_help,
        .run = run_history,
};

const Verb verb_reload = {
        .name = "reload",
        .arguments = "[--json]",
        .summary = "Read lists of addresses again",
        .help = reload_help,
        .run = run_reload,
};
