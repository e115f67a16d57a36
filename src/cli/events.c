/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <time.h>

#include "base/text.h"
#include "cli/age.h"
#include "cli/complaint.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "guard/event_log.h"
#include "guard/store.h"

#define FOLLOW_MSEC 300
#define SHOWN 20        /* events, unless more are asked for */
#define EVENTS_MAX 1000 /* that the daemon tells at once */

static const char help[] =
        "Tells what happened: what came into force and who confirmed it, what other programs\n"
        "changed, by whom and for how long, which connections were cut. The log is kept in the\n"
        "daemon's state directory, each line chained to the one before.\n"
        "\n"
        "  -n, --lines=N          the latest N (20)\n"
        "      --since=TIME       those since then: 90s, 10m, 2h or 3d ago\n"
        "  -f, --follow           then wait for further ones, and for a daemon that restarts,\n"
        "                         until interrupted\n"
        "      --check-chain      whether anything in the log was changed, removed or cut off;\n"
        "                         it reads the log itself, also without a daemon\n"
        "      --state-dir=DIR    where the log is, for --check-chain (" STORE_FOLDER
        ")\n" REMOTE_HELP "      --json             one object a line\n"
        "  -h, --help\n"
        "\n"
        "Exit status of --check-chain: 0 whole, 8 not.\n"
        "\n"
        "Examples:\n"
        "  ringwall events --since 1d\n"
        "  ringwall events -f --json\n";

typedef struct Options {
        const char *runtime_dir, *state_dir;
        json_int_t lines, since;
        bool follow, check, json;
} Options;

static const char *text_of(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

static void print_event(const json_t *e, bool json) {
        time_t t = (time_t)(json_integer_value(json_object_get(e, "time")) / 1000000);
        char when[32] = "?", label[64];
        struct tm tm;

        if (json) {
                output_json_line(e);
                return;
        }
        if (localtime_r(&t, &tm))
                (void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
        (void)snprintf(label, sizeof(label), "%s  %-9s  ", when, text_of(e, "kind"));
        output_line(label, text_of(e, "text"));
}

/* The event that was printed last; number 0: none. */
typedef struct Seen {
        json_int_t number, time;
} Seen;

static json_int_t number_of(const json_t *event, const char *key) {
        return json_integer_value(json_object_get(event, key));
}

/* The first of the list, the earliest first, that was not printed. Where the log was begun anew,
 * other events bear the same numbers, or none does. *ret_missing: that came in between. */
static size_t find_new(const json_t *events, const Seen *seen, json_int_t *ret_missing) {
        size_t n = json_array_size(events);
        json_int_t first = n > 0 ? number_of(json_array_get(events, 0), "number") : 0;

        *ret_missing = seen->number > 0 && first > seen->number ? first - seen->number - 1 : 0;
        for (size_t i = 0; i < n && seen->number > 0; i++) {
                const json_t *e = json_array_get(events, i);

                if (number_of(e, "number") == seen->number)
                        return number_of(e, "time") == seen->time ? i + 1 : 0;
        }
        return 0;
}

/* Prints what of the reply was not printed yet. */
static size_t print_new(const Options *o, const json_t *reply, Seen *seen) {
        const json_t *events = json_object_get(reply, "events");
        json_int_t missing;
        size_t first = find_new(events, seen, &missing), n = json_array_size(events);

        if (missing > 0)
                fprintf(stderr,
                        "ringwall events: %" JSON_INTEGER_FORMAT " events are left out here: more "
                        "have come than can be asked for at once\n",
                        missing);
        for (size_t i = first; i < n; i++)
                print_event(json_array_get(events, i), o->json);
        if (n > 0)
                *seen = (Seen){number_of(json_array_get(events, n - 1), "number"),
                               number_of(json_array_get(events, n - 1), "time")};
        (void)fflush(stdout); /* whoever reads along waits for it */
        return n - first;
}

static json_t *make_question(const Options *o, json_int_t limit) {
        json_t *parameters = json_pack("{s:I}", "limit", limit);

        if (o->since > 0)
                (void)json_object_set_new(parameters, "since", json_integer(o->since));
        return parameters;
}

/* What has come since. again: to a daemon that was away, and may have begun its log anew. */
static int show_more(const Options *o, Seen *seen, bool again) {
        json_t *parameters = make_question(o, EVENTS_MAX), *reply = NULL;
        int r;

        if (!again && seen->number > 0)
                (void)json_object_set_new(parameters, "after", json_integer(seen->number));
        r = remote_call_again("events", o->runtime_dir, "Events", parameters, &reply);
        if (r == EXIT_OK && again && json_array_size(json_object_get(reply, "events")) == 0)
                *seen = (Seen){0}; /* nor does the log hold that one any more */
        if (r == EXIT_OK)
                (void)print_new(o, reply, seen);
        json_decref(reply);
        return r;
}

static int follow(const Options *o, Seen *seen) {
        bool again = false;

        for (;;) {
                struct pollfd reader = {.fd = STDOUT_FILENO};
                int r;

                /* who reads along no more is noticed without an event; woken early it asks early */
                if (poll(&reader, 1, FOLLOW_MSEC) > 0)
                        return EXIT_OK;
                if (ferror(stdout))
                        return EXIT_FAILED;
                r = show_more(o, seen, again);
                if (r != EXIT_OK && r != EXIT_NO_DAEMON)
                        return r;
                if (r == EXIT_NO_DAEMON && !remote_await("events", o->runtime_dir, !again))
                        return EXIT_OK;
                again = r == EXIT_NO_DAEMON;
        }
}

static int print_check(const Options *o, int r, const EventCheck *check, const Diag *d) {
        if (o->json) {
                json_t *wrong = json_array();

                for (size_t i = 0; i < d->n_messages; i++)
                        (void)json_array_append_new(wrong, json_string(d->messages[i].text));
                (void)output_json(json_pack(
                        "{s:b, s:I, s:I, s:I, s:s, s:o}", "whole", r == 0, "events",
                        (json_int_t)check->n_events, "first", (json_int_t)check->first, "last",
                        (json_int_t)check->last, "hash", check->hash, "wrong", wrong));
        } else if (r == 0) {
                printf("the log is whole: %zu events, number %" JSON_INTEGER_FORMAT
                       " to %" JSON_INTEGER_FORMAT "\nlast hash %s\n",
                       check->n_events, (json_int_t)check->first, (json_int_t)check->last,
                       check->hash);
        } else {
                puts("the log is NOT as ringwalld wrote it:");
                for (size_t i = 0; i < d->n_messages; i++)
                        printf("  %s\n", d->messages[i].text);
        }
        return r == 0 ? EXIT_OK : EXIT_DIFFERS;
}

static int check_chain(const Options *o) {
        const char *state_dir = o->state_dir ? o->state_dir : STORE_FOLDER;
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        _cleanup_close_ int folder = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        Diag *d = a ? diag_new(a) : NULL;
        EventCheck check = {0};
        int r = !d ? -ENOMEM : folder < 0 ? -errno : event_log_check(folder, a, &check, d);

        if (r == 0 || r == -EBADMSG)
                return print_check(o, r, &check, d);
        complain("events", "there is no log to read in %s: %s", state_dir, strerror(-r));
        if (r == -EACCES)
                complain_hint("only root may");
        return r == -EACCES ? EXIT_NOT_PERMITTED : EXIT_FAILED;
}

static int run_options(const Options *o) {
        json_t *reply = NULL;
        Seen seen = {0};
        size_t n;
        int r;

        if (o->check)
                return check_chain(o);
        r = remote_call("events", o->runtime_dir, "Events",
                        make_question(o, o->lines > 0 ? o->lines : SHOWN), &reply);
        if (r != EXIT_OK)
                return r;
        n = print_new(o, reply, &seen);
        json_decref(reply);
        if (n == 0 && !o->json && !o->follow)
                puts("nothing has happened");
        return o->follow ? follow(o, &seen) : EXIT_OK;
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"lines", required_argument, NULL, 'n'},
                {"since", required_argument, NULL, 's'},
                {"follow", no_argument, NULL, 'f'},
                {"check-chain", no_argument, NULL, 'c'},
                {"state-dir", required_argument, NULL, 'S'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                REMOTE_OPTION,
                {0},
        };
        Options o = {0};
        uint64_t number;
        int c;

        while ((c = getopt_long(argc, argv, "n:fh", options, NULL)) >= 0)
                switch (c) {
                case 'n':
                        if (!text_to_number(optarg, 1, 1000, &number))
                                return verb_usage(&verb_events, "--lines takes 1 to 1000");
                        o.lines = (json_int_t)number;
                        break;
                case 's':
                        number = age_parse(optarg);
                        if (number == 0)
                                return verb_usage(&verb_events, "--since takes 90s, 10m, 2h or 3d");
                        o.since = ((json_int_t)time(NULL) - (json_int_t)number) * 1000000;
                        o.lines = 1000;
                        break;
                case 'f':
                        o.follow = true;
                        break;
                case 'c':
                        o.check = true;
                        break;
                case 'S':
                        o.state_dir = optarg;
                        break;
                case 'R':
                        o.runtime_dir = optarg;
                        break;
                case 'j':
                        o.json = true;
                        break;
                default:
                        return c == 'h' ? verb_help(&verb_events) : verb_usage(&verb_events, NULL);
                }
        if (optind < argc)
                return verb_usage(&verb_events, "it takes options only");
        if (o.check && (o.follow || o.lines != 0))
                return verb_usage(&verb_events, "--check-chain looks at all of the log: it goes "
                                                "with --state-dir and --json alone");
        if (o.state_dir && !o.check)
                return verb_usage(&verb_events, "--state-dir goes with --check-chain");
        return run_options(&o);
}

const Verb verb_events = {
        .name = "events",
        .arguments = "[-f] [--since TIME] [--check-chain]",
        .summary = "Tell what happened, and who did it",
        .help = help,
        .run = run,
};
