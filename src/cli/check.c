/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "cli/complaint.h"
#include "cli/input.h"
#include "cli/output.h"
#include "nft/sysctl.h"

static const char help[] =
        "Reads the policy, says everything that is wrong with it, and compiles it. Needs no "
        "privileges\n"
        "and changes nothing.\n"
        "\n"
        "      --stop-after=PASS  print the ruleset as it is after that pass (the passes: lower,\n"
        "                         pair, dispatch, merge, trim, share, prune)\n"
        "      --json             print the messages as JSON on standard output\n"
        "  -h, --help\n"
        "\n"
        "Exit status: 0 the policy is valid (with warnings, perhaps), 3 it is not.\n"
        "\n"
        "Examples:\n"
        "  ringwall check                        the policy in /etc/ringwall\n"
        "  ringwall check my-policy.yaml\n"
        "  ringwall check - <my-policy.yaml\n";

static int print_json(const Input *input, int code) {
        json_t *object = json_pack("{s:b, s:o}", "valid", code == EXIT_OK, "messages",
                                   complaint_messages(input->diag));

        return output_json(object) == EXIT_OK ? code : EXIT_FAILED;
}

static const char *plural(size_t n) {
        return n == 1 ? "" : "s";
}

/* Whoever passes traffic on needs more than rules. */
static void print_forwarding(const Policy *p) {
        static const struct {
                bool ipv6;
                const char *family, *key;
        } switches[] = {
                {false, "IPv4", "net.ipv4.ip_forward"},
                {true, "IPv6", "net.ipv6.conf.all.forwarding"},
        };
        bool routes = p->n_masquerades + p->n_forwards > 0;

        for (size_t i = 0; i < p->sections[SECTION_ROUTED].n_rules; i++)
                routes |= p->sections[SECTION_ROUTED].rules[i].verb == RULE_ALLOW;
        if (!routes)
                return;
        for (size_t i = 0; i < ARRAY_SIZE(switches); i++)
                if (!sysctl_forwards(switches[i].ipv6))
                        printf("  note: this policy lets traffic pass through, but forwarding of "
                               "%s is off here: sysctl %s=1\n",
                               switches[i].family, switches[i].key);
}

static void print_summary(const Input *input) {
        OutputStyle style = output_style(stdout);
        const Policy *p = input->policy;
        size_t n_rules = 0, n_kernel = 0;

        for (SectionId id = 0; id < _SECTION_MAX; id++)
                n_rules += p->sections[id].n_rules;
        for (size_t i = 0; i < input->ruleset->n_chains; i++)
                n_kernel += input->ruleset->chains[i]->n_rules;
        printf("%s: %svalid%s: %zu rule%s, %zu protected; inbound %s, routed %s, outbound %s; "
               "%zu rules in %zu chains for the kernel\n",
               p->file, style.good, style.reset, n_rules, plural(n_rules), p->n_protected,
               section_default_to_string(p->sections[SECTION_INBOUND].fallback),
               section_default_to_string(p->sections[SECTION_ROUTED].fallback),
               section_default_to_string(p->sections[SECTION_OUTBOUND].fallback), n_kernel,
               input->ruleset->n_chains);
        if (input->claims.n_proved > 0)
                printf("  %zu claim%s (protected, expect) proved for every connection there can "
                       "be\n",
                       input->claims.n_proved, plural(input->claims.n_proved));
        print_forwarding(p);
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"stop-after", required_argument, NULL, 's'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        _cleanup_(input_done) Input input = INPUT_NULL;
        const char *stop_after = NULL;
        bool json = false;
        int c, code;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 's':
                        stop_after = optarg;
                        break;
                case 'j':
                        json = true;
                        break;
                case 'h':
                        return verb_help(&verb_check);
                default:
                        return verb_usage(&verb_check, NULL);
                }
        if (argc - optind > 1)
                return verb_usage(&verb_check, "one FILE at a time");
        input.quiet = json;
        code = input_compile(&input, argv[optind], stop_after);
        if (json && (code == EXIT_OK || code == EXIT_INVALID))
                return print_json(&input, code);
        if (json) { /* it could not be judged */
                input.quiet = false;
                input_print_messages(&input);
        }
        if (code != EXIT_OK)
                return code;
        if (stop_after)
                ruleset_print(input.ruleset, stdout);
        else
                print_summary(&input);
        return EXIT_OK;
}

const Verb verb_check = {
        .name = "check",
        .arguments = "[FILE] [--stop-after=PASS] [--json]",
        .summary = "Check a policy without touching anything",
        .help = help,
        .run = run,
};
