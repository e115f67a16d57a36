/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <time.h>

#include "cli/complaint.h"
#include "cli/kernel.h"
#include "cli/output.h"
#include "cli/question.h"
#include "cli/whole.h"

static const char help[] =
        "Says what would become of a connection, which line of the policy decides, and the way "
        "through\n"
        "the chains. The rules themselves are asked, not the policy read a second time.\n"
        "\n"
        "QUESTION is PROTOCOL from SOURCE to DESTINATION, where PROTOCOL is tcp, udp, sctp, icmp "
        "TYPE,\n"
        "icmpv6 TYPE or any other protocol, SOURCE an ADDRESS, ADDRESS:PORT or 'host' for this "
        "host\n"
        "itself, DESTINATION a PORT (on any address of this host), ADDRESS or ADDRESS:PORT; then "
        "any of\n"
        "  in INTERFACE, out INTERFACE    where it arrives, where it leaves (it is then routed)\n"
        "  dialled ADDRESS[:PORT]         what the client dialled, if the kernel translates it\n"
        "  forwarded, bridged             it passes through; a frame within the bridge `in`\n"
        "  state STATE                    new (the default), established, related, invalid, "
        "untracked\n"
        "  source unrouted|elsewhere|own  no interface leads back to it; another one does; it is "
        "this host's own\n"
        "  hop-limit N\n"
        "  user N, group N                who owns the socket, of what this host sends\n"
        "With '-' as QUESTION, questions are read from standard input, one a line.\n"
        "\n"
        "      --in INTERFACE  the same as `in INTERFACE`\n"
        "      --live          ask the rules in force in this network namespace, not a FILE; those "
        "of\n"
        "                      other programs' tables, too\n"
        "      --json          one JSON object a question\n"
        "  -h, --help\n"
        "\n"
        "Exit status: 0 whatever the verdict.\n"
        "\n"
        "Examples:\n"
        "  ringwall explain 'tcp from 203.0.113.9 to 11434' --in eth0 policy.yaml\n"
        "  ringwall explain 'tcp from 203.0.113.9 to 172.17.0.2:80 dialled 203.0.113.1:8080 out "
        "docker0'\n"
        "  ringwall explain 'udp from host to 9.9.9.9:53 out eth0' --live\n";

typedef struct Explain {
        Arena *arena;
        Diag *diag;
        const Ruleset *rs;
        bool live, json;
        Whole whole; /* with --live */
} Explain;

/* A question about a bridge's frame wants a bridge; a FILE alone names none. */
static int prepare_bridge(Explain *e, Question *q, Ruleset *rs) {
        Set *own = ruleset_find_set(rs, RULESET_BRIDGE_OWN);

        if (!e->live) {
                Bridge bridge = {.name = q->packet.in};

                return ruleset_set_bridges(rs, &bridge, q->bridged ? 1 : 0);
        }
        for (size_t i = 0; own && !q->bridged && q->packet.in && i < own->n_elements; i++)
                if (u128_equal(own->elements[i].key[0].low, interface_value(q->packet.in)))
                        q->packet.ether_destination = own->elements[i].key[1].low;
        return 0;
}

static const char *verdict_word(VerdictKind verdict) {
        return verdict == VERDICT_ACCEPT ? "accept" : verdict == VERDICT_DROP ? "drop" : "reject";
}

static const Rule *deciding_rule(const Evaluation *result) {
        for (size_t i = result->n_steps; i > 0; i--)
                if (result->steps[i - 1].rule && result->steps[i - 1].rule->origin.text)
                        return result->steps[i - 1].rule;
        return NULL;
}

/* What our table does, unless another program's drops it all the same. */
static const char *final_verdict(const Evaluation *result, const WholeAnswer *whole) {
        if (whole->dropper)
                return whole->rejected ? "reject" : "drop";
        return verdict_word(result->verdict);
}

static int print_json(const Explain *e,
                      const char *question,
                      const Question *q,
                      const Evaluation *result,
                      const WholeAnswer *whole) {
        const Origin *origin = evaluation_origin(result);
        const Rule *rule = deciding_rule(result);
        json_t *object = json_object(), *path = json_array();

        (void)json_object_set_new(object, "question", json_string(question));
        (void)json_object_set_new(object, "verdict", json_string(final_verdict(result, whole)));
        (void)json_object_set_new(object, "hook", json_string(hook_to_string(q->packet.hook)));
        (void)json_object_set_new(object, "rule",
                                  rule ? json_string(rule->origin.text) : json_null());
        if (origin)
                output_json_place(object, origin->at);
        if (result->unknown)
                (void)json_object_set_new(object, "unknown", json_true());
        if (result->limited)
                (void)json_object_set_new(object, "limited", json_true());
        for (size_t i = 0; i < result->n_steps; i++) {
                const Step *s = &result->steps[i];
                _cleanup_free_ char *text = s->rule ? output_rule_text(s->rule) : NULL;
                json_t *step = json_object();

                (void)json_object_set_new(step, "chain", json_string(s->chain->name));
                (void)json_object_set_new(step, "rule", json_string(s->rule ? text : "policy"));
                (void)json_object_set_new(step, "why",
                                          s->rule && s->rule->origin.text
                                                  ? json_string(s->rule->origin.text)
                                                  : json_null());
                (void)json_array_append_new(path, step);
        }
        (void)json_object_set_new(object, "path", path);
        whole_print_json(&e->whole, whole, object);
        return output_json(object);
}

static void print_source_line(Span at) {
        const char *p, *end;

        if (!at.source || !at.source->text || at.line == 0)
                return;
        p = at.source->text;
        end = p + at.source->size;
        for (unsigned int i = 1; i < at.line && p < end; i++) {
                p = memchr(p, '\n', (size_t)(end - p));
                if (!p)
                        return;
                p++;
        }
        printf("            %.*s\n", (int)strcspn(p, "\r\n"), p);
}

static void print_way(const Evaluation *result) {
        size_t width = 24;

        for (size_t i = 0; i < result->n_steps; i++)
                width = MAX(width, strlen(result->steps[i].chain->name));
        for (size_t i = 0; i < result->n_steps; i++) {
                const Step *s = &result->steps[i];
                _cleanup_free_ char *text = s->rule ? output_rule_text(s->rule) : NULL;
                char *comment = text ? strstr(text, " comment \"") : NULL;

                if (comment)
                        *comment = '\0';
                printf("  %-10s%-*s %s\n", i == 0 ? "way" : "", (int)width, s->chain->name,
                       text ? text : "the chain's policy");
        }
}

static void print_forwarded(const PacketQuestion *q) {
        char buf[ADDRESS_TEXT_MAX];

        printf("  note      forwarded to %s, port %u\n",
               address_print(q->family, q->destination, buf), q->destination_port);
}

static void print_headline(const Evaluation *result, const WholeAnswer *whole) {
        OutputStyle style = output_style(stdout);
        bool accepted = result->verdict == VERDICT_ACCEPT && !whole->dropper;

        printf("  %s%s%s%s\n", accepted ? style.good : style.bad, accepted ? "ALLOWED" : "REFUSED",
               style.reset,
               accepted ? ""
               : whole->rejected && whole->dropper && result->verdict == VERDICT_ACCEPT
                       ? ": rejected with an answer, by another program's rules"
               : result->verdict == VERDICT_ACCEPT ? ": dropped by another program's rules"
               : result->verdict == VERDICT_DROP   ? ": dropped without an answer"
                                                   : ": rejected with an answer");
}

static void print_answer(const Explain *e,
                         const char *question,
                         const Question *q,
                         const Evaluation *result,
                         const WholeAnswer *whole) {
        const Origin *origin = evaluation_origin(result);
        const Rule *rule = deciding_rule(result);
        bool accepted = result->verdict == VERDICT_ACCEPT;

        puts(question);
        print_headline(result, whole);
        if (whole->dropper)
                whole_print_dropper(whole);
        if (rule)
                printf(whole->dropper ? "  ringwall  lets it through: %s\n" : "  by        %s\n",
                       rule->origin.text);
        else if (result->n_steps > 0 && result->steps[result->n_steps - 1].rule)
                puts("  by        a rule without a name: not ringwall's own");
        if (origin && rule && origin->at.source && origin->at.line != rule->origin.at.line)
                printf("            %s:%u\n", origin->at.source->name, origin->at.line);
        if (origin)
                print_source_line(origin->at);
        print_way(result);
        whole_print(&e->whole, whole);
        if (q->forwarded)
                print_forwarded(&q->packet);
        if (accepted && result->limited)
                output_line("  note      ", "as long as the limit of that rule is not reached");
        if (!q->packet.in && q->packet.hook != HOOK_OUTPUT)
                output_line("  note      ",
                            "no interface was named: rules that ask for one do not match "
                            "(--in)");
        if (q->packet.hook == HOOK_INPUT && q->has_destination && !q->packet.translated &&
            !whole_has_address(&e->whole, q->packet.family, q->packet.destination))
                output_line("  note      ",
                            "the destination is taken for this host's own; if it is routed, "
                            "add: "
                            "out INTERFACE");
        if (q->packet.hook != HOOK_INPUT && !q->packet.out && !q->forwarded)
                output_line("  note      ",
                            "rules that ask where it leaves do not match; add: out INTERFACE");
        if (result->unknown)
                output_line("  note      ",
                            "the table holds rules that are not ringwall's; the kernel may "
                            "decide otherwise");
}

/* One question; an ExitCode. Messages about it are printed at once. */
static int explain(Explain *e, const char *question, const char *in) {
        Diag *d = diag_new(e->arena);
        struct timespec now = {0};
        WholeAnswer whole;
        Evaluation result;
        Question q, asked;
        Packet p;
        int r = d ? question_parse(e->arena, question, &q, d) : -ENOMEM;

        if (r < 0) {
                if (d)
                        complain_diag(d);
                return r == -EBADMSG ? EXIT_USAGE : input_failed(r, "reading the question");
        }
        if (in && (q.packet.in || q.packet.hook == HOOK_OUTPUT)) {
                complain("explain", "--in beside a question that names `in`, or is from host");
                return EXIT_USAGE;
        }
        if (in)
                q.packet.in = in;
        /* of the rules in force some may be over by now */
        (void)clock_gettime(CLOCK_REALTIME, &now);
        q.packet.time = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
        asked = q;
        /* the ruleset is this run's own */
        r = prepare_bridge(e, &q, (Ruleset *)(uintptr_t)e->rs);
        if (r == 0)
                r = ruleset_translate(e->rs, NULL, &q.packet);
        q.forwarded = r > 0;
        packet_init(&p, &q.packet);
        if (r >= 0)
                r = ruleset_eval(e->rs, e->arena, q.packet.hook, &p, &result);
        if (r >= 0)
                r = whole_ask(&e->whole, &asked, &whole);
        if (r < 0)
                return input_failed(r, "walking the rules");
        if (e->json)
                return print_json(e, question, &q, &result, &whole);
        print_answer(e, question, &q, &result, &whole);
        return EXIT_OK;
}

/* Every line of standard input; the worst ExitCode. */
static int explain_lines(Explain *e, const char *in) {
        _cleanup_free_ char *line = NULL;
        int worst = EXIT_OK, r;
        size_t room = 0;
        ssize_t n;

        while ((n = getline(&line, &room, stdin)) >= 0) {
                char *copy;

                if (n > 0 && line[n - 1] == '\n')
                        line[n - 1] = '\0';
                if (line[strspn(line, " \t")] == '\0')
                        continue;
                complaint_next();
                copy = arena_strdup(e->arena, line);
                r = copy ? explain(e, copy, in) : input_failed(-ENOMEM, "reading the questions");
                worst = MAX(worst, complaint_end(r));
        }
        return worst;
}

static int explain_all(Explain *e, const char *question, const char *in) {
        return streq(question, "-") ? explain_lines(e, in) : explain(e, question, in);
}

static int explain_live(Explain *e, const char *question, const char *in) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Ruleset *rs;
        int r = kernel_read_live("explain", a, &rs);

        if (r != EXIT_OK)
                return r;
        e->arena = a;
        e->rs = rs;
        r = whole_read(a, &e->whole);
        if (r == EXIT_OK)
                r = explain_all(e, question, in);
        whole_done(&e->whole);
        return r;
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"in", required_argument, NULL, 'i'},
                {"live", no_argument, NULL, 'l'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        _cleanup_(input_done) Input input = INPUT_NULL;
        Explain e = {0};
        const char *in = NULL;
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'i':
                        in = optarg;
                        break;
                case 'l':
                        e.live = true;
                        break;
                case 'j':
                        e.json = true;
                        break;
                case 'h':
                        return verb_help(&verb_explain);
                default:
                        return verb_usage(&verb_explain, NULL);
                }
        if (argc - optind < 1)
                return verb_usage(&verb_explain, "ask a question: 'tcp from 203.0.113.9 to 22'");
        if (argc - optind > (e.live ? 1 : 2))
                return verb_usage(&verb_explain, "one QUESTION, in quotes, and one FILE or --live");
        if (in && (*in == '\0' || strlen(in) > 15))
                return verb_usage(&verb_explain, "an interface's name has 1 to 15 characters");
        if (e.live)
                return explain_live(&e, argv[optind], in);
        r = input_compile(&input, argv[optind + 1], NULL);
        if (r != EXIT_OK)
                return r;
        e.arena = input.arena;
        e.rs = input.ruleset;
        return explain_all(&e, argv[optind], in);
}

const Verb verb_explain = {
        .name = "explain",
        .arguments = "QUESTION [--in IF] [FILE|--live] [--json]",
        .summary = "Say what becomes of a connection, and why",
        .help = help,
        .run = run,
};
