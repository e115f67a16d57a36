/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <time.h>

#include "cli/age.h"
#include "cli/ban_words.h"
#include "cli/bans_import.h"
#include "cli/complaint.h"
#include "cli/output.h"
#include "cli/remote.h"

static const char help[] =
        "Lists who is banned: since when and until when, why and by whom, how often so far, and "
        "how\n"
        "many packets were dropped since. With an ADDRESS: what bans it, networks around it "
        "included.\n"
        "\n"
        "      --jail=NAME        only that jail's\n"
        "      --since=TIME       only those of the last 90s, 10m, 2h or 3d\n"
        "      --export           one address or network a line; with --json all that is known of\n"
        "                         each, one object a line: what --import takes\n"
        "      --import=FILE      ban what stands in it, one a line (- is standard input): "
        "addresses\n"
        "                         and networks, # comments, or objects as --export --json writes\n"
        "      --for=TIME --reason=TEXT --source=NAME\n"
        "                         of what --import bans, unless a line says it\n"
        "      --check            whether the kernel shuts out all that should be; with "
        "--jail\n"
        "                         all of that jail's, one by one\n" REMOTE_HELP "      --json\n"
        "  -h, --help\n"
        "\n"
        "Exit status: with an ADDRESS 8 if nothing bans it; of --import 8 if lines were left out; "
        "of\n"
        "--check 8 if it does not.\n"
        "\n"
        "Examples:\n"
        "  ringwall bans 203.0.113.9\n"
        "  ringwall bans --import list.txt --for 1d --source blocklist\n";

typedef struct Options {
        const char *runtime_dir, *jail, *import, *reason, *source;
        json_int_t seconds, since_usec;
        bool json, exports, check;
} Options;

static const char *text_of(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *key) {
        return json_integer_value(json_object_get(object, key));
}

static void set_text(json_t *object, const char *key, const char *text) {
        if (text && *text)
                (void)json_object_set_new(object, key, json_string(text));
}

/* ---- lists */

/* Page after page; take gets each ban. An ExitCode. */
static int
each_ban(const Options *o, const char *address, int (*take)(json_t *ban, void *to), void *to) {
        char *after = NULL;
        int r = EXIT_OK;

        do {
                json_t *parameters = json_object(), *reply = NULL, *list;

                set_text(parameters, "address", address);
                set_text(parameters, "jail", o->jail);
                set_text(parameters, "after", after);
                if (o->since_usec > 0)
                        (void)json_object_set_new(parameters, "since", json_integer(o->since_usec));
                free(after);
                after = NULL;
                r = remote_call("bans", o->runtime_dir, "Bans", parameters, &reply);
                list = json_object_get(reply, "bans");
                for (size_t i = 0; r == EXIT_OK && i < json_array_size(list); i++)
                        r = take(json_array_get(list, i), to);
                if (r == EXIT_OK && *text_of(reply, "next")) {
                        after = strdup(text_of(reply, "next"));
                        r = after ? EXIT_OK : EXIT_FAILED;
                }
                json_decref(reply);
        } while (r == EXIT_OK && after);
        free(after);
        return r;
}

static int export_line(json_t *ban, void *to) {
        const Options *o = to;

        if (o->json)
                output_json_line(ban);
        else if (!*text_of(ban, "service")) /* it would shut out more than it does */
                puts(text_of(ban, "address"));
        return ferror(stdout) ? EXIT_FAILED : EXIT_OK;
}

static int collect(json_t *ban, void *to) {
        return json_array_append(to, ban) < 0 ? EXIT_FAILED : EXIT_OK;
}

static const char *by_text(const json_t *ban, char *buf, size_t size) {
        const char *jail = text_of(ban, "jail"), *source = text_of(ban, "source");
        const struct passwd *user =
                *jail || *source ? NULL : getpwuid((uid_t)number_of(ban, "user"));

        if (*jail || *source)
                (void)snprintf(buf, size, "%s%s%s", jail, *jail && *source ? ", " : "", source);
        else if (user)
                (void)snprintf(buf, size, "%s", user->pw_name);
        else
                (void)snprintf(buf, size, "user %lld", (long long)number_of(ban, "user"));
        return buf;
}

static int print_table(const json_t *list) {
        static const char *const columns[] = {"ADDRESS", "SERVICE", "SINCE", "UNTIL",
                                              "TIMES",   "DROPPED", "BY",    "WHY"};
        _cleanup_(output_table_freep) OutputTable *t =
                output_table_new(columns, ARRAY_SIZE(columns));

        for (size_t i = 0; t && i < json_array_size(list); i++) {
                const json_t *ban = json_array_get(list, i);
                char since[32], until[32] = "for ever", times[24], packets[24] = "", by[160];
                const char *cells[] = {
                        text_of(ban, "address"),
                        text_of(ban, "service"),
                        ban_words_time(number_of(ban, "since"), since),
                        json_object_get(ban, "until")
                                ? ban_words_time(number_of(ban, "until"), until)
                                : until,
                        times,
                        packets,
                        by_text(ban, by, sizeof(by)),
                        text_of(ban, "reason"),
                };

                (void)snprintf(times, sizeof(times), "%lld", (long long)number_of(ban, "times"));
                if (json_object_get(ban, "packets"))
                        (void)snprintf(packets, sizeof(packets), "%lld",
                                       (long long)number_of(ban, "packets"));
                if (output_table_add(t, cells) < 0)
                        return EXIT_FAILED;
        }
        if (t)
                output_table_print(t);
        return t ? EXIT_OK : EXIT_FAILED;
}

static int list(const Options *o, const char *address) {
        json_t *all = json_array();
        int r = each_ban(o, address, collect, all);
        bool none = json_array_size(all) == 0;

        if (r == EXIT_OK && o->json)
                r = output_json(json_pack("{s:O}", "bans", all));
        else if (r == EXIT_OK && none && address)
                printf("%s is not banned\n", address);
        else if (r == EXIT_OK && none)
                puts("nobody is banned");
        else if (r == EXIT_OK)
                r = print_table(all);
        json_decref(all);
        return r == EXIT_OK && none && address ? EXIT_DIFFERS : r;
}

/* ---- check */

static int check(const Options *o) {
        json_t *reply = NULL, *bans;
        int r = remote_call("bans", o->runtime_dir, "Status", NULL, &reply);
        json_int_t desired, enforced;

        if (r != EXIT_OK)
                return r;
        bans = json_object_get(reply, "bans");
        desired = number_of(bans, "desired");
        enforced = number_of(bans, "enforced");
        if (!bans) {
                complain("bans",
                         "the store of bans cannot be opened; ringwalld's journal says why");
                r = EXIT_FAILED;
        } else if (o->json)
                r = output_json(json_incref(bans));
        else
                printf("in force: %lld of %lld\n", (long long)enforced, (long long)desired);
        json_decref(reply);
        return r == EXIT_OK && enforced != desired ? EXIT_DIFFERS : r;
}

typedef struct JailCheck {
        json_int_t desired, enforced;
        json_t *missing;
} JailCheck;

static int take_enforced(json_t *ban, void *to) {
        JailCheck *c = to;
        bool enforced = json_is_true(json_object_get(ban, "enforced"));

        c->desired++;
        c->enforced += enforced;
        if (!enforced && json_array_append(c->missing, json_object_get(ban, "address")) < 0)
                return EXIT_FAILED;
        return EXIT_OK;
}

/* One jail's are asked for one by one. */
static int check_jail(const Options *o) {
        JailCheck c = {.missing = json_array()};
        int r = each_ban(o, NULL, take_enforced, &c);

        if (r == EXIT_OK && o->json)
                r = output_json(json_pack("{s:s, s:I, s:I, s:O}", "jail", o->jail, "desired",
                                          c.desired, "enforced", c.enforced, "missing", c.missing));
        else if (r == EXIT_OK) {
                printf("in force of %s: %lld of %lld\n", o->jail, (long long)c.enforced,
                       (long long)c.desired);
                for (size_t i = 0; i < json_array_size(c.missing); i++)
                        printf("  not %s\n", json_string_value(json_array_get(c.missing, i)));
        }
        json_decref(c.missing);
        return r == EXIT_OK && c.enforced != c.desired ? EXIT_DIFFERS : r;
}

/* ---- command line */

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"jail", required_argument, NULL, 'J'},
                {"since", required_argument, NULL, 'S'},
                {"import", required_argument, NULL, 'i'},
                {"export", no_argument, NULL, 'e'},
                {"for", required_argument, NULL, 'f'},
                {"reason", required_argument, NULL, 'r'},
                {"source", required_argument, NULL, 's'},
                {"check", no_argument, NULL, 'c'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                REMOTE_OPTION,
                {0},
        };
        Options o = {0};
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
                uint64_t age = c == 'S' ? age_parse(optarg) : 0;

                if (c == '?' || c == 'h')
                        return c == 'h' ? verb_help(&verb_bans) : verb_usage(&verb_bans, NULL);
                if (c == 'S' && age == 0)
                        return verb_usage(&verb_bans, "--since takes 90s, 10m, 2h or 3d");
                if (c == 'S')
                        o.since_usec = ((json_int_t)time(NULL) - (json_int_t)age) * 1000000;
                if (c == 'f' && !ban_words_seconds(optarg, &o.seconds))
                        return verb_usage(&verb_bans, "--for takes a time from 1s to 100 years: "
                                                      "90s, 10m, 2h, 3d, 1w; or ever");
                o.jail = c == 'J' ? optarg : o.jail;
                o.import = c == 'i' ? optarg : o.import;
                o.reason = c == 'r' ? optarg : o.reason;
                o.source = c == 's' ? optarg : o.source;
                o.runtime_dir = c == 'R' ? optarg : o.runtime_dir;
                o.exports |= c == 'e';
                o.check |= c == 'c';
                o.json |= c == 'j';
        }
        if (!o.import && (o.seconds > 0 || o.reason || o.source))
                return verb_usage(&verb_bans, "--for, --reason and --source go with --import");
        if ((o.import != NULL) + o.exports + o.check + (optind < argc) > 1 || argc - optind > 1)
                return verb_usage(&verb_bans,
                                  "one ADDRESS, or one of --import, --export and --check");
        if (o.import)
                return bans_import(&(BansImport){
                        .runtime_dir = o.runtime_dir,
                        .file = o.import,
                        .jail = o.jail,
                        .reason = o.reason,
                        .source = o.source,
                        .seconds = o.seconds,
                        .json = o.json,
                });
        if (o.check)
                return o.jail ? check_jail(&o) : check(&o);
        if (o.exports)
                return each_ban(&o, NULL, export_line, &o);
        return list(&o, optind < argc ? argv[optind] : NULL);
}

const Verb verb_bans = {
        .name = "bans",
        .arguments = "[ADDRESS|--import FILE|--export|--check]",
        .summary = "List who is banned, and why",
        .help = help,
        .run = run,
};
