/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "cli/complaint.h"
#include "cli/kernel.h"
#include "cli/output.h"
#include "cli/verify.h"
#include "guard/judge.h"
#include "host/sshd.h"
#include "nft/world_read.h"
#include "proof/verify.h"

static const char help[] =
        "Decides for every first packet from outside whether the rules in force in this network\n"
        "namespace, those of every table of every program, keep closed what the policy protects, "
        "and\n"
        "whether what it expects holds: nothing of a deny comes in, all of an allow does. Over "
        "SSH, also\n"
        "whether you could come in again. It changes nothing, and needs CAP_NET_ADMIN to read the\n"
        "rules.\n"
        "\n"
        "PROVED: no packet breaks the claim. REFUTED: one does; it is shown, with its way and the "
        "table\n"
        "that lets it in, or refuses it. UNDECIDED: it hangs on what is named.\n"
        "\n"
        "      --policy FILE  the policy whose claims are meant; /etc/ringwall/policy.yaml if not "
        "given\n"
        "      --json         one JSON object\n"
        "  -h, --help\n"
        "\n"
        "What lies beside nftables and could let packets in (XDP and tc programs, legacy "
        "iptables, ...)\n"
        "leaves a claim undecided; a program that passes connections on to a protected port "
        "refutes it.\n"
        "\n"
        "Exit status: 0 all claims are proved, 10 one is refuted, 11 one is undecided and none "
        "refuted.\n"
        "\n"
        "Examples:\n"
        "  ringwall verify\n"
        "  ringwall verify --policy my-policy.yaml --json\n";

static const char *const kinds[] = {
        [VERIFY_PROVED] = "proved",
        [VERIFY_REFUTED] = "refuted",
        [VERIFY_UNDECIDED] = "undecided",
};

static const char *const claim_words[] = {
        [VERIFY_PROTECTED] = "protected",
        [VERIFY_NEVER] = "never",
        [VERIFY_ALWAYS] = "always",
        [VERIFY_WAY_IN] = "way-in",
};

static const char *const claims[] = {
        [VERIFY_PROTECTED] = "",
        [VERIFY_NEVER] = ": never reachable",
        [VERIFY_ALWAYS] = ": always reachable",
        [VERIFY_WAY_IN] = "",
};

static void print_step(const WorldStep *s) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const char *text = a ? judge_describe_step(a, s) : NULL;

        output_line("  way       ", text ? text : "?");
}

/* The command, where one rule of another program's does it. */
static void print_remedy(const VerifyAnswer *answer) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const WorldStep *culprit = judge_culprit(answer);
        const char *command = a && culprit ? judge_remedy(a, culprit) : NULL;

        output_line(
                "  do        ",
                command ? command
                : answer->claim == VERIFY_ALWAYS || answer->claim == VERIFY_WAY_IN
                        ? "see the table of the last step: the rule there refuses it, or sends it "
                          "elsewhere"
                        : "load the policy (ringwall apply) if it is not in force; else take out "
                          "the "
                          "rule that lets it in");
}

void verify_print_answer(const VerifyAnswer *a) {
        OutputStyle style = output_style(stdout);
        const char *colour = a->kind == VERIFY_PROVED ? style.good : style.bad;
        static const char *const words[] = {"PROVED: ", "REFUTED: ", "UNDECIDED: "};
        _cleanup_free_ char *claim = NULL;

        if (asprintf(&claim, "%s%s", a->text, claims[a->claim]) < 0)
                claim = NULL;
        output_coloured_line(colour, words[a->kind], claim ? claim : a->text);
        if (a->kind == VERIFY_REFUTED) {
                output_line("  packet    ", a->connection ? a->connection : "?");
                for (size_t i = 0; i < a->n_steps; i++)
                        print_step(&a->steps[i]);
                print_remedy(a);
        }
        for (size_t i = 0; i < a->n_reasons && a->kind == VERIFY_UNDECIDED; i++)
                output_line(i == 0 ? "  hangs on  " : "            ", a->reasons[i]);
}

static json_t *json_answer(const VerifyAnswer *a) {
        json_t *object = json_object(), *way = json_array(), *reasons = json_array();

        (void)json_object_set_new(object, "claim", json_string(a->text));
        (void)json_object_set_new(object, "kind", json_string(claim_words[a->claim]));
        output_json_place(object, a->at);
        (void)json_object_set_new(object, "answer", json_string(kinds[a->kind]));
        if (a->connection)
                (void)json_object_set_new(object, "packet", json_string(a->connection));
        for (size_t i = 0; i < a->n_steps; i++) {
                const WorldStep *s = &a->steps[i];
                json_t *step = json_object();

                (void)json_object_set_new(step, "table", json_string(s->chain->table->name));
                (void)json_object_set_new(step, "chain", json_string(s->chain->name));
                if (s->rule)
                        (void)json_object_set_new(step, "handle",
                                                  json_integer((json_int_t)s->rule->handle));
                (void)json_array_append_new(way, step);
        }
        for (size_t i = 0; i < a->n_reasons; i++)
                (void)json_array_append_new(reasons, json_string(a->reasons[i]));
        (void)json_object_set_new(object, "way", way);
        (void)json_object_set_new(object, "hangs-on", reasons);
        return object;
}

static int print_json(const VerifyReport *report, bool beside, int code) {
        json_t *object = json_object(), *list = json_array(), *bypasses = json_array();

        for (size_t i = 0; i < report->n_answers; i++)
                (void)json_array_append_new(list, json_answer(&report->answers[i]));
        for (size_t i = 0; i < report->n_bypasses; i++)
                (void)json_array_append_new(bypasses, json_string(report->bypasses[i]));
        (void)json_object_set_new(object, "scope", json_string(beside ? "host" : "nftables"));
        (void)json_object_set_new(object, "claims", list);
        (void)json_object_set_new(object, "bypasses", bypasses);
        return output_json(object) == EXIT_OK ? code : EXIT_FAILED;
}

static int code_of(const VerifyReport *report) {
        int code = EXIT_OK;

        for (size_t i = 0; i < report->n_answers; i++) {
                if (report->answers[i].kind == VERIFY_REFUTED)
                        return EXIT_REFUTED;
                if (report->answers[i].kind == VERIFY_UNDECIDED)
                        code = EXIT_UNDECIDED;
        }
        return code;
}

static int print_report(const VerifyReport *report, bool beside) {
        if (report->n_answers == 0)
                puts("the policy claims nothing: there is nothing to prove");
        for (size_t i = 0; i < report->n_answers; i++)
                verify_print_answer(&report->answers[i]);
        for (size_t i = 0; i < report->n_bypasses; i++)
                output_line("  beside    ", report->bypasses[i]);
        if (report->n_answers > 0 && !beside)
                puts("This is about nftables alone: what lies beside it (XDP, tc, legacy iptables, "
                     "programs that pass connections on) could not be looked at.");
        return code_of(report);
}

int verify_read_world(const char *verb, Arena *a, World **ret) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        int r = kernel_open(&link);

        if (r != EXIT_OK)
                return r;
        r = world_read(link, a, ret);
        if (r == 0)
                return EXIT_OK;
        if (r == -EPERM) {
                complain(verb, "reading the kernel's rules needs CAP_NET_ADMIN: run it as root");
                return EXIT_NOT_PERMITTED;
        }
        if (r == -EBUSY) {
                complain(verb, "other programs kept changing the kernel's rules while they were "
                               "read; try again");
                return EXIT_FAILED;
        }
        return input_failed(r, "cannot read the kernel's rules");
}

/* The connection that this process came by: by its sshd, else by the environment's own word, which
 * is enough for a question. */
static bool find_way(const Tree *t, const Listening *listening, VerifyWay *ret) {
        const char *environment = getenv("SSH_CONNECTION");
        char peer[ADDRESS_TEXT_MAX], local[ADDRESS_TEXT_MAX];
        const SshConnection *c = NULL;
        unsigned int port;
        SshProof proof;
        Family other;
        Sshd sshd;

        if (sshd_read_among(t, listening, &sshd) == 0 &&
            sshd_find_caller(t, &sshd, getpid(), &proof, &c) == 0 && c) {
                *ret = (VerifyWay){c->socket.family, c->socket.peer, c->socket.local,
                                   c->socket.local_port};
                return true;
        }
        if (!environment || sscanf(environment, "%45s %*u %45s %u", peer, local, &port) != 3 ||
            port == 0 || port > UINT16_MAX || address_parse(peer, &ret->family, &ret->peer) < 0 ||
            address_parse(local, &other, &ret->local) < 0 || other != ret->family)
                return false;
        ret->port = (uint16_t)port;
        return true;
}

static bool is_here(const World *w, const VerifyWay *way) {
        for (size_t i = 0; i < w->n_addresses; i++)
                if (w->addresses[i].family == way->family &&
                    u128_equal(w->addresses[i].address, way->local))
                        return true;
        return false;
}

/* Behind the others. A connection to another network namespace says nothing here. */
static int
add_way(const Tree *t, const Listening *listening, const World *w, VerifyReport *report) {
        Arena *a = t->arena;
        VerifyAnswer *list = arena_alloc_array(a, report->n_answers + 1, sizeof(*list));
        VerifyWay way;
        int r;

        if (!list)
                return -ENOMEM;
        if (!find_way(t, listening, &way) || !is_here(w, &way))
                return 0;
        if (report->n_answers > 0)
                memcpy(list, report->answers, report->n_answers * sizeof(*list));
        r = verify_way_in(w, &way, a, &list[report->n_answers]);
        if (r < 0)
                return r;
        report->answers = list;
        report->n_answers++;
        return 0;
}

int verify_prove(
        const char *verb, Input *input, const World *w, VerifyReport *ret, bool *ret_beside) {
        const Tree tree = {.arena = input->arena, .root = ""};
        Listening found, *listening;
        const char *what = NULL;
        int r = process_read_listening(&tree, &found);

        listening = r == 0 ? &found : NULL;
        if (r != -ENOMEM)
                r = judge_claims(input->policy, w, listening, true, input->arena, ret, ret_beside,
                                 &what);
        if (r == 0)
                r = add_way(&tree, listening, w, ret);
        if (r == -EPROTO) {
                complain(verb, "internal error: the proof and the evaluator do not agree about %s",
                         what ? what : "a packet");
                complain_hint("nothing was decided; please report this");
                return EXIT_FAILED;
        }
        return r < 0 ? input_failed(r, "proving what the policy claims") : EXIT_OK;
}

static int verify(const char *file, bool json) {
        _cleanup_(input_done) Input input = INPUT_NULL;
        VerifyReport report = {0};
        bool beside = false;
        World *world;
        int r = input_load(&input, file);

        if (r == EXIT_OK)
                r = verify_read_world("verify", input.arena, &world);
        if (r == EXIT_OK)
                r = verify_prove("verify", &input, world, &report, &beside);
        if (r != EXIT_OK)
                return r;
        return json ? print_json(&report, beside, code_of(&report)) : print_report(&report, beside);
}

int verify_run(const Verb *verb,
               int argc,
               char **argv,
               int (*answer)(const char *file, bool json)) {
        static const struct option options[] = {
                {"policy", required_argument, NULL, 'p'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        const char *file = NULL;
        bool json = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'p':
                        file = optarg;
                        break;
                case 'j':
                        json = true;
                        break;
                case 'h':
                        return verb_help(verb);
                default:
                        return verb_usage(verb, NULL);
                }
        if (argc > optind)
                return verb_usage(verb, "a policy is named with --policy FILE");
        return answer(file, json);
}

static int run(int argc, char **argv) {
        return verify_run(&verb_verify, argc, argv, verify);
}

const Verb verb_verify = {
        .name = "verify",
        .arguments = "[--policy FILE] [--json]",
        .summary = "Prove what the policy claims, with all tables",
        .help = help,
        .run = run,
};
