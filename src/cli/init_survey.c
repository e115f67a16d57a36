/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/init.h"
#include "cli/output.h"

#define TRIES_MAX 100 /* times that one question is asked */
#define PORTS_SHOWN 20

/* What is asked on a terminal, and which option answers it. */
static const struct {
        const char *option, *question, *answers;
} questions[_DRAFT_QUESTION_MAX] = {
        [DRAFT_SSH_FROM] = {"--ssh-from", "Who may log in over SSH?",
                            "zones (%s), addresses, networks"},
        [DRAFT_PUBLIC] = {"--public", "What may everybody reach, the internet included?",
                          "services ('ringwall list services'), ports such as 8080/tcp; none"},
        [DRAFT_CONTAINERS] = {"--containers", "What may containers and virtual machines reach?",
                              "internet; services of this host, such as ollama; host for all of "
                              "these; none"},
        [DRAFT_RESCUE] = {"--rescue", "Who may still log in when everything else is locked down?",
                          "zones and addresses, or last: whoever confirmed a policy last"},
};

typedef struct Session {
        Arena *arena;
        const Survey *survey;
        const Policy *catalogue;
        DraftAnswers answers;
} Session;

static int report(const char *where, const DraftProblem *problem) {
        fprintf(stderr, "ringwall init: %s: %s\n", where, problem->text);
        if (problem->hint)
                fprintf(stderr, "  hint: %s\n", problem->hint);
        return EXIT_FAILED;
}

/* What the command line says, before anything is asked. */
static int check_options(Session *s) {
        for (DraftQuestion q = 0; q < _DRAFT_QUESTION_MAX; q++) {
                DraftProblem problem;
                int r = s->answers.items[q] ? draft_check(s->arena, s->survey, s->catalogue, q,
                                                          s->answers.items[q], &problem)
                                            : 1;

                if (r < 0)
                        return input_failed(r, "reading the options");
                if (r == 0)
                        return report(questions[q].option, &problem);
        }
        return EXIT_OK;
}

/* ---- asking */

static void print_survey(const Survey *s) {
        char buf[ADDRESS_TEXT_MAX];

        fputs("Listens here, and could be reached from outside:\n", stderr);
        for (size_t i = 0; i < s->n_ports && i < PORTS_SHOWN; i++) {
                const SurveyPort *p = &s->ports[i];

                fprintf(stderr, "  %5u/%-4s  %s%s%s%s\n", p->port, survey_protocol(p->proto),
                        p->program ? p->program : "", p->owner ? " (" : "",
                        p->owner ? p->owner : "", p->owner ? ")" : "");
        }
        if (s->n_ports > PORTS_SHOWN)
                fprintf(stderr, "  and %zu more\n", s->n_ports - PORTS_SHOWN);
        if (s->n_ports == 0)
                fputs("  nothing\n", stderr);
        for (size_t i = 0; i < s->n_links; i++)
                if (s->links[i].kind == SURVEY_LINK_LAN)
                        fprintf(stderr, "The network at %s: %s\n", s->links[i].name,
                                s->links[i].networks);
        if (s->has_caller)
                fprintf(stderr, "You came from %s\n",
                        address_print(s->caller_family, s->caller, buf));
        fputs("\nEnter takes what stands in brackets; nothing is put in force.\n", stderr);
}

/* The line without its end, in the arena; NULL at the end of the input, or without memory. */
static const char *read_line(Arena *a) {
        _cleanup_free_ char *line = NULL;
        size_t size = 0;
        ssize_t n = getline(&line, &size, stdin);

        if (n < 0)
                return NULL;
        line[strcspn(line, "\r\n")] = '\0';
        return arena_strdup(a, line + strspn(line, " \t"));
}

static void print_question(Session *s, DraftQuestion q, unsigned int number, unsigned int of) {
        fprintf(stderr, "\n%u/%u %s\n    ", number, of, questions[q].question);
        if (q == DRAFT_SSH_FROM) {
                const char *zones = draft_zones(s->arena, s->survey);

                fprintf(stderr, "zones (%s), addresses, networks\n", zones ? zones : "");
        } else {
                fprintf(stderr, "%s\n", questions[q].answers);
        }
}

/* 1 with an answer, 0 if nobody answers, or -ENOMEM. */
static int ask(Session *s, DraftQuestion q, const char *fallback, const char **ret) {
        for (unsigned int i = 0; i < TRIES_MAX; i++) {
                DraftProblem problem;
                const char *line;
                int r;

                fprintf(stderr, "    [%s] ", fallback);
                line = read_line(s->arena);
                if (!line)
                        return 0;
                if (!*line)
                        line = fallback;
                r = draft_check(s->arena, s->survey, s->catalogue, q, line, &problem);
                *ret = line;
                if (r != 0)
                        return r;
                fprintf(stderr, "    %s%s%s\n", problem.text, problem.hint ? "; " : "",
                        problem.hint ? problem.hint : "");
        }
        return 0;
}

/* Asks what the options do not say, or takes the defaults. An ExitCode. */
static int settle_answers(Session *s, bool asks) {
        unsigned int of = 0, number = 0;

        for (DraftQuestion q = 0; q < _DRAFT_QUESTION_MAX; q++)
                of += !s->answers.items[q] && draft_asks(s->survey, q);
        if (asks && of > 0)
                print_survey(s->survey);
        for (DraftQuestion q = 0; q < _DRAFT_QUESTION_MAX; q++) {
                const char *answer;
                int r;

                if (s->answers.items[q] || !draft_asks(s->survey, q))
                        continue;
                r = draft_default(s->arena, s->survey, s->catalogue, &s->answers, q, &answer);
                if (r == 0 && asks) {
                        print_question(s, q, ++number, of);
                        r = ask(s, q, answer, &answer);
                        if (r == 0) {
                                fputs("\nringwall init: nothing was written\n", stderr);
                                return EXIT_FAILED;
                        }
                }
                if (r < 0)
                        return input_failed(r, "asking");
                s->answers.items[q] = answer;
        }
        return EXIT_OK;
}

static void print_answers(const DraftAnswers *given, const DraftAnswers *taken, bool yes) {
        bool any = false;

        for (DraftQuestion q = 0; q < _DRAFT_QUESTION_MAX; q++) {
                if (given->items[q] || !taken->items[q])
                        continue;
                if (!any)
                        fprintf(stderr, "ringwall init: %s:",
                                yes ? "taken as default"
                                    : "no terminal to ask on; taken "
                                      "as default");
                any = true;
                fprintf(stderr, " %s=", questions[q].option);
                for (const char *p = taken->items[q]; *p; p++)
                        if (*p != ' ')
                                fputc(*p, stderr);
        }
        if (any)
                fputc('\n', stderr);
}

static void print_caller(Session *s) {
        const char *answer = s->answers.items[DRAFT_SSH_FROM];
        char buf[ADDRESS_TEXT_MAX];

        if (answer && draft_forgets_caller(s->arena, s->survey, s->catalogue, answer))
                fprintf(stderr,
                        "ringwall init: --ssh-from leaves out %s, which you came from: it gets a "
                        "rule of its own\n",
                        address_print(s->survey->caller_family, s->survey->caller, buf));
}

/* ---- writing */

static void print_next_steps(const Survey *s, const char *path) {
        bool is_default = streq(path, POLICY_FILE_DEFAULT);
        const char *file = is_default ? "" : path, *space = is_default ? "" : " ";

        printf("%s is written; nothing is in force yet. Next:\n"
               "  1. read it, and take in or out what you like\n"
               "  2. ringwall check%s%s\n"
               "  3. ringwall apply%s%s    in force, for as long as you have to confirm\n"
               "  4. ringwall confirm, from a NEW connection: it stays. Otherwise it is undone\n",
               path, space, file, space, file);
        if (s->ufw.is_enabled)
                puts("ufw is switched on: once this policy is confirmed, 'ringwall takeover', or "
                     "both decide");
        if (s->has_kubernetes)
                puts("This looks like a node of Kubernetes: 'ringwall init --from k3s-node' is the "
                     "better begin");
}

static int write_draft(Session *s, Source catalogue, const char *path) {
        Diag *d = diag_new(s->arena);
        const char *text;
        int r = d ? draft_write(s->arena, s->survey, s->catalogue, catalogue, &s->answers, &text, d)
                  : -ENOMEM;

        if (r == -EBADMSG) {
                fputs("ringwall init: what would be written is not valid, so nothing was; please "
                      "report it:\n",
                      stderr);
                diag_print(d, stderr, output_has_colour(stderr));
                return EXIT_FAILED;
        }
        if (r < 0)
                return input_failed(r, "writing the policy");
        r = init_write(path, text, strlen(text));
        if (r == EXIT_OK && !streq(path, "-"))
                print_next_steps(s->survey, path);
        return r;
}

static int survey_failed(int error) {
        int code = input_failed(error, "cannot look at this host");

        if (error == -EOPNOTSUPP)
                fputs("  hint: the kernel lists sockets with its modules tcp_diag and udp_diag: "
                      "modprobe them, or begin with a ready policy, --from NAME\n",
                      stderr);
        return code;
}

int init_from_survey(const InitOptions *options) {
        _cleanup_(input_done) Input input = INPUT_NULL;
        bool asks = !options->yes && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
        Survey survey;
        Session s;
        Tree tree;
        int r = init_look(options->path);

        if (r == EXIT_OK)
                r = input_load_catalogue(&input);
        if (r != EXIT_OK)
                return r;
        tree = (Tree){.arena = input.arena, .root = ""};
        r = survey_read(&tree, input.policy, getenv("SSH_CONNECTION"), &survey);
        if (r < 0)
                return survey_failed(r);
        if (survey_misses_programs(&survey))
                fputs("ringwall init: not every program that listens could be seen; root sees "
                      "them all\n",
                      stderr);
        s = (Session){.arena = input.arena,
                      .survey = &survey,
                      .catalogue = input.policy,
                      .answers = options->answers};
        r = check_options(&s);
        if (r == EXIT_OK)
                r = settle_answers(&s, asks);
        if (r == EXIT_OK && !asks)
                print_answers(&options->answers, &s.answers, options->yes);
        if (r == EXIT_OK)
                print_caller(&s);
        return r == EXIT_OK ? write_draft(&s, *input.policy->sources[0], options->path) : r;
}
