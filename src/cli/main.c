/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"
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
                                   "       ringwall COMMAND --help\n"
                                   "\n"
                                   "Commands:\n";

static const char examples[] = "\n"
                               "Examples:\n"
                               "  ringwall check policy.yaml\n"
                               "  ringwall explain 'tcp from 203.0.113.9 to 11434' policy.yaml\n"
                               "  ringwall show policy.yaml\n"
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

int verb_help(const Verb *verb) {
        printf("%s.\n\nUsage: ringwall %s %s\n\n%s", verb->summary, verb->name, verb->arguments,
               verb->help);
        return EXIT_OK;
}

int verb_usage(const Verb *verb, const char *problem) {
        if (problem)
                fprintf(stderr, "ringwall %s: %s\n", verb->name, problem);
        fprintf(stderr, "Try 'ringwall %s --help'.\n", verb->name);
        return EXIT_USAGE;
}

static int unknown_verb(const char *word) {
        Nearest nearest;

        nearest_init(&nearest, word);
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                nearest_consider(&nearest, verbs[i]->name);
        fprintf(stderr, "ringwall: there is no command '%s'\n", word);
        if (nearest.best)
                fprintf(stderr, "Did you mean 'ringwall %s'?\n", nearest.best);
        else
                fputs("Try 'ringwall --help'.\n", stderr);
        return EXIT_USAGE;
}

/* What could not be written was not answered. */
static int finish(int code) {
        if (fflush(stdout) == 0 && !ferror(stdout))
                return code;
        fprintf(stderr, "ringwall: cannot write the answer: %s\n", strerror(errno));
        return code == EXIT_OK ? EXIT_FAILED : code;
}

static int run_verb(const Verb *verb, int argc, char **argv) {
        char name[32];

        /* getopt_long() begins its messages with it */
        (void)snprintf(name, sizeof(name), "ringwall %s", verb->name);
        argv[0] = name;
        return finish(verb->run(argc, argv));
}

int main(int argc, char **argv) {
        if (argc < 2)
                return print_general_help(stderr, EXIT_USAGE);
        if (streq(argv[1], "--help") || streq(argv[1], "-h") || streq(argv[1], "help"))
                return finish(print_general_help(stdout, EXIT_OK));
        if (streq(argv[1], "--version") || streq(argv[1], "-V") || streq(argv[1], "version")) {
                puts("ringwall " RINGWALL_VERSION);
                return finish(EXIT_OK);
        }
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (streq(argv[1], verbs[i]->name))
                        return run_verb(verbs[i], argc - 1, argv + 1);
        return unknown_verb(argv[1]);
}
