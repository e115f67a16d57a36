/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "cli/in_force.h"
#include "cli/kernel.h"
#include "cli/output.h"
#include "cli/plan_parts.h"
#include "nft/namespace.h"
#include "ruleset/refused.h"
#include "ruleset/statement.h"

static const char help[] =
        "Says what `apply` would change on this host, or `load` in this network namespace, and "
        "changes\n"
        "nothing: first which connections fare otherwise than now, and which of those that are "
        "open the\n"
        "policy does not admit; then, rule by rule, what that does not tell. It reads the kernel, "
        "and so\n"
        "needs CAP_NET_ADMIN.\n"
        "\n"
        "  + comes, - goes, ~ stays and means something else.\n"
        "\n"
        "  -v, --verbose  every rule that changes, also if it only stands on another line, and "
        "what "
        "it\n"
        "                 means for the kernel: chains, rules, sets\n"
        "      --json     as JSON, always with all of it\n"
        "  -h, --help\n"
        "\n"
        "Exit status: 0 nothing would change; 8 something would; 3 the policy is not valid.\n"
        "\n"
        "Examples:\n"
        "  ringwall plan policy.yaml\n"
        "  ip netns exec web ringwall plan -v policy.yaml\n";

/* What belongs to the policy stays the caller's. */
static void plan_done(PlanInput *p) {
        preview_done(&p->preview);
}

static void plan_input_done(PlanInput *p) {
        plan_done(p);
        input_done(&p->input);
}

/* As `load` would compile it: where the old table compares routes in a chain of its own, `load` had
 * to find that this kernel cannot do it elsewhere. */
static int compile(PlanInput *p) {
        KernelFeatures features = {.fib_in_filter = true};
        int r;

        for (size_t i = 0; i < p->live->n_chains; i++)
                if (p->live->chains[i]->hook == HOOK_PREROUTING &&
                    p->live->chains[i]->type == CHAIN_FILTER)
                        features.fib_in_filter = false;
        r = input_compile_loaded(&p->input, NULL, &features);
        if (r == EXIT_OK)
                r = kernel_add_host(&p->input);
        /* as the daemon does, which follows it: no change of the policy */
        if (r == EXIT_OK && ruleset_find_chain(p->live, RULESET_REFUSED) &&
            ruleset_report_refused(p->input.ruleset) < 0)
                r = input_failed(-ENOMEM, "compiling the policy");
        return r;
}

/* On the host itself, and wherever ringwalld keeps the table, nothing but it changes that. */
static void find_voice(PlanInput *p) {
        bool applies = p->has_daemon || p->live->owner != 0 || namespace_is_init() != 0;

        if (!p->voice.verb)
                p->voice = (PlanVoice){.verb = applies ? "apply" : "load",
                                       .would = true,
                                       .is_plan = true,
                                       .applies = applies,
                                       .tells_ways = true};
}

/* What stands beside the rules is the daemon's alone. */
static int find_beside(PlanInput *p, const InForce *found) {
        StoreSettings settings;
        int r;

        if (!found->has_daemon || (!found->settings && found->ruleset->exists))
                return 0;
        r = store_settings(p->input.arena, p->input.policy, &settings);
        if (r == 0)
                r = store_compare(p->input.arena, found->settings, &settings, &p->beside,
                                  &p->n_beside);
        return r;
}

static int make(PlanInput *p) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        InForce found;
        Plan *made;
        int r = kernel_open(&link);

        if (r == EXIT_OK)
                r = in_force_read(link, p->voice.runtime_dir, p->input.arena, &found);
        if (r != EXIT_OK)
                return r;
        p->live = found.ruleset;
        p->has_daemon = found.has_daemon;
        r = compile(p);
        if (r != EXIT_OK)
                return r;
        r = plan_make(p->input.arena, p->live, p->input.ruleset, &made);
        if (r == 0)
                r = find_beside(p, &found);
        if (r == 0)
                r = preview_make(p->live, p->input.ruleset, made, p->input.policy, p->input.arena,
                                 &p->preview);
        if (r < 0)
                return input_failed(r, "comparing");
        p->plan = made;
        find_voice(p);
        return EXIT_OK;
}

int plan_show(Input *input, const PlanVoice *voice) {
        _cleanup_(plan_done) PlanInput p = {.input = *input, .voice = *voice};
        bool quiet = input->quiet;
        int r;

        /* what was compiled before has said what there is to say */
        p.input.quiet |= input->ruleset != NULL;
        r = make(&p);
        *input = p.input;
        input->quiet = quiet;
        return r == EXIT_OK ? plan_print(&p) : r;
}

int plan_add_json(Input *input, const PlanVoice *voice, json_t *object) {
        _cleanup_(plan_done) PlanInput p = {.input = *input, .voice = *voice, .json = true};
        int r;

        p.input.quiet = true;
        r = make(&p);
        input->ruleset = p.input.ruleset;
        if (r == EXIT_OK)
                preview_add_json(&p.preview, object);
        return r;
}

static int plan(PlanInput *p, const char *file) {
        int r = input_load(&p->input, file);

        if (r == EXIT_OK)
                r = make(p);
        if (r != EXIT_OK)
                return r;
        return p->json ? plan_print_json(p) : plan_print(p);
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"verbose", no_argument, NULL, 'v'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        /* what load would refuse cannot be planned */
        _cleanup_(plan_input_done) PlanInput p = {.input.of_root = true};
        int c;

        while ((c = getopt_long(argc, argv, "vh", options, NULL)) >= 0)
                switch (c) {
                case 'v':
                        p.verbose = true;
                        break;
                case 'j':
                        p.json = true;
                        break;
                case 'h':
                        return verb_help(&verb_plan);
                default:
                        return verb_usage(&verb_plan, NULL);
                }
        if (argc - optind > 1)
                return verb_usage(&verb_plan, "one FILE at a time");
        return plan(&p, argv[optind]);
}

const Verb verb_plan = {
        .name = "plan",
        .arguments = "[FILE] [-v] [--json]",
        .summary = "Say what apply or load would change here",
        .help = help,
        .run = run,
};
