/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"
#include "cli/complaint.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/verb.h"

/* Runs as whoever calls it; only `load` and `unload` and what reads the kernel need CAP_NET_ADMIN.
 */

// clang-format off
static const Verb *const verbs[] = {
        &verb_doctor,
        &verb_init,
        &verb_check,
        &verb_show,
        &verb_explain,
        &verb_list,
        &verb_verify,
        &verb_exposure,
        &verb_diff,
        &verb_schema,
        &verb_plan,
        &verb_apply,
        &verb_confirm,
        &verb_rollback,
        &verb_edit,
        &verb_allow,
        &verb_deny,
        &verb_remove,
        &verb_status,
        &verb_history,
        &verb_events,
        &verb_drops,
        &verb_ban,
        &verb_unban,
        &verb_bans,
        &verb_panic,
        &verb_takeover,
        &verb_reload,
        &verb_load,
        &verb_unload,
};
// clang-format on

static const char general_help[] = "Guards a Linux host with one default-deny policy.\n"
                                   "\n"
                                   "Usage: ringwall COMMAND [ARGUMENTS]\n"
                                   "       ringwall help COMMAND\n"
                                   "\n"
                                   "Commands:\n";

static const char examples[] = "\n"
                               "Examples:\n"
                               "  ringwall doctor      what would be in ringwall's way here\n"
                               "  ringwall init        begin a policy; nothing is in force yet\n"
                               "  ringwall apply       in force, to be confirmed\n"
                               "  ringwall confirm     from a new connection: it stays\n"
                               "  ringwall status      what is in force\n"
                               "  ringwall explain 'tcp from 203.0.113.9 to 22'\n"
                               "\n"
                               "Without a FILE, /etc/ringwall/policy.yaml is read.\n"
                               "See ringwall(1) and ringwall-policy(5).\n";

#define WIDEST 106 /* columns of the longest line with its arguments */

static int print_general_help(FILE *f, int code) {
        bool narrow = output_is_narrower(WIDEST);

        fputs(general_help, f);
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (narrow)
                        fprintf(f, "  %-8s %s\n", verbs[i]->name, verbs[i]->summary);
                else
                        fprintf(f, "  %-8s %-43s %s\n", verbs[i]->name, verbs[i]->arguments,
                                verbs[i]->summary);
        fputs(examples, f);
        return code;
}

static const Verb *find_verb(const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (streq(name, verbs[i]->name))
                        return verbs[i];
        return NULL;
}

int verb_help(const Verb *verb) {
        printf("%s.\n\nUsage: ringwall %s%s%s\n\n", verb->summary, verb->name,
               *verb->arguments ? " " : "", verb->arguments);
        help_print(verb->help);
        return EXIT_OK;
}

int verb_usage(const Verb *verb, const char *problem) {
        complain_usage(verb->name, problem);
        fprintf(stderr, "Try 'ringwall %s --help'.\n", verb->name);
        return EXIT_USAGE;
}

static int unknown_verb(const char *word) {
        Nearest nearest;

        nearest_init(&nearest, word);
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                nearest_consider(&nearest, verbs[i]->name);
        complain(NULL, "there is no command '%s'", word);
        if (nearest.best)
                fprintf(stderr, "Did you mean 'ringwall %s'?\n", nearest.best);
        else
                fputs("Try 'ringwall --help'.\n", stderr);
        return complaint_end(EXIT_USAGE);
}

/* What could not be written was not answered. */
static int finish(int code) {
        if (fflush(stdout) == 0 && !ferror(stdout))
                return code;
        complain(NULL, "cannot write the answer: %s", strerror(errno));
        return code == EXIT_OK ? EXIT_FAILED : code;
}

static int run_verb(const Verb *verb, int argc, char **argv) {
        char name[32];

        /* getopt_long() begins its messages with it */
        (void)snprintf(name, sizeof(name), "ringwall %s", verb->name);
        argv[0] = name;
        complaint_begin(verb->name, argc, argv);
        return finish(complaint_end(verb->run(argc, argv)));
}

int main(int argc, char **argv) {
        const Verb *verb;

        if (argc < 2)
                return print_general_help(stderr, EXIT_USAGE);
        if (streq(argv[1], "help") && argc > 2) {
                verb = find_verb(argv[2]);
                return verb ? finish(verb_help(verb)) : unknown_verb(argv[2]);
        }
        if (streq(argv[1], "--help") || streq(argv[1], "-h") || streq(argv[1], "help"))
                return finish(print_general_help(stdout, EXIT_OK));
        if (streq(argv[1], "--version") || streq(argv[1], "-V") || streq(argv[1], "version")) {
                puts("ringwall " RINGWALL_VERSION);
                return finish(EXIT_OK);
        }
        verb = find_verb(argv[1]);
        if (verb)
                return run_verb(verb, argc - 1, argv + 1);
        complaint_begin(NULL, argc - 1, argv + 1);
        return unknown_verb(argv[1]);
}
