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
        "Lists who is banned: for how long by now (AGE) and still (LEFT), how often so far, how\n"
        "many packets were dropped since, by whom and why. With an ADDRESS: what bans it, "
        "networks\n"
        "around it included, since when and until when.\n"
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

#define N_COLUMNS 8
#define CELL_MAX 160 /* bytes of one that is made */

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

static const char *by_text(const json_t *ban, char buf[static CELL_MAX]) {
        const char *jail = text_of(ban, "jail"), *source = text_of(ban, "source");
        const struct passwd *user =
                *jail || *source ? NULL : getpwuid((uid_t)number_of(ban, "user"));

        if (*jail || *source)
                (void)snprintf(buf, CELL_MAX, "%s%s%s", jail, *jail && *source ? ", " : "", source);
        else if (user)
                (void)snprintf(buf, CELL_MAX, "%s", user->pw_name);
        else
                (void)snprintf(buf, CELL_MAX, "user %lld", (long long)number_of(ban, "user"));
        return buf;
}

typedef struct BanColumn {
        const char *name;
        const char *(*text)(const json_t *ban, char buf[static CELL_MAX]);
} BanColumn;

static const char *address_text(const json_t *ban, char buf[static CELL_MAX]) {
        return text_of(ban, "address");
}

static const char *service_text(const json_t *ban, char buf[static CELL_MAX]) {
        return text_of(ban, "service");
}

static const char *reason_text(const json_t *ban, char buf[static CELL_MAX]) {
        return text_of(ban, "reason");
}

static const char *since_text(const json_t *ban, char buf[static CELL_MAX]) {
        return ban_words_time(number_of(ban, "since"), buf);
}

static const char *until_text(const json_t *ban, char buf[static CELL_MAX]) {
        return json_object_get(ban, "until") ? ban_words_time(number_of(ban, "until"), buf)
                                             : "for ever";
}

static const char *age_text(const json_t *ban, char buf[static CELL_MAX]) {
        json_int_t seconds = (json_int_t)time(NULL) - number_of(ban, "since") / 1000000;

        return age_print((uint64_t)MAX(seconds, 0), buf);
}

static const char *left_text(const json_t *ban, char buf[static CELL_MAX]) {
        json_int_t seconds = number_of(ban, "until") / 1000000 - (json_int_t)time(NULL);

        return json_object_get(ban, "until") ? age_print((uint64_t)MAX(seconds, 0), buf) : "ever";
}

static const char *times_text(const json_t *ban, char buf[static CELL_MAX]) {
        (void)snprintf(buf, CELL_MAX, "%lld", (long long)number_of(ban, "times"));
        return buf;
}

static const char *dropped_text(const json_t *ban, char buf[static CELL_MAX]) {
        if (!json_object_get(ban, "packets"))
                return "";
        (void)snprintf(buf, CELL_MAX, "%lld", (long long)number_of(ban, "packets"));
        return buf;
}

/* A list has to fit; of one address there is room to tell the moments. */
static const BanColumn list_columns[] = {
        {"ADDRESS", address_text}, {"SERVICE", service_text}, {"AGE", age_text},
        {"LEFT", left_text},       {"TIMES", times_text},     {"DROPPED", dropped_text},
        {"BY", by_text},           {"WHY", reason_text},
};

static const BanColumn one_columns[] = {
        {"ADDRESS", address_text}, {"SERVICE", service_text}, {"SINCE", since_text},
        {"UNTIL", until_text},     {"TIMES", times_text},     {"DROPPED", dropped_text},
        {"BY", by_text},           {"WHY", reason_text},
};

_Static_assert(ARRAY_SIZE(list_columns) == N_COLUMNS && ARRAY_SIZE(one_columns) == N_COLUMNS,
               "as many of both");

static bool has_services(const json_t *list) {
        for (size_t i = 0; i < json_array_size(list); i++)
                if (*text_of(json_array_get(list, i), "service"))
                        return true;
        return false;
}

static int print_table(const json_t *list, const BanColumn columns[static N_COLUMNS]) {
        bool services = has_services(list);
        const char *names[N_COLUMNS], *cells[N_COLUMNS];
        char bufs[N_COLUMNS][CELL_MAX];
        _cleanup_(output_table_freep) OutputTable *t = NULL;
        size_t n = 0;

        for (size_t i = 0; i < N_COLUMNS; i++)
                if (services || columns[i].text != service_text)
                        names[n++] = columns[i].name;
        t = output_table_new(names, n);
        for (size_t i = 0; t && i < json_array_size(list); i++) {
                n = 0;
                for (size_t k = 0; k < N_COLUMNS; k++)
                        if (services || columns[k].text != service_text)
                                cells[n++] = columns[k].text(json_array_get(list, i), bufs[k]);
                if (output_table_add(t, cells) < 0)
                        return EXIT_FAILED;
        }
        if (t && columns == one_columns)
                output_table_print_blocks(t);
        else if (t)
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
                r = print_table(all, address ? one_columns : list_columns);
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
