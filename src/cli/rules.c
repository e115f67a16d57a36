/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <time.h>

#include "base/text.h"
#include "cli/complaint.h"
#include "cli/lock.h"
#include "cli/output.h"
#include "cli/plan.h"
#include "cli/rules_parts.h"

#define LOCK_SECONDS 10 /* that another change may take */

#define RULE_HELP                                                                                  \
        "\n"                                                                                       \
        "The rule is a line of policy.d/" RULE_FILE_NAME                                           \
        " beside the policy, and goes into force as with\n"                                        \
        "`ringwall apply`: unless it is confirmed it is undone, and what is refused is not "       \
        "written.\n"                                                                               \
        "Rules are those of inbound: who may connect to this host. The others, and all that a\n"   \
        "policy can say beyond: `ringwall edit`.\n"                                                \
        "\n"                                                                                       \
        "  SERVICE  ssh, 8080/tcp, 8000-8010/tcp, any; several with commas\n"                      \
        "  ZONE     a zone, an address, 10.0.0.0/24, A-B; several with commas\n"                   \
        "  TIME     30m, 1h, 2d, 1h30m; or `until 2030-01-31 18:00`. Then the rule is gone\n"      \
        "\n"                                                                                       \
        "Also: `except ZONE`, `to ADDRESS` (this host's own, that was dialled), `log [WORD]`"

static const char allow_help[] =
        "Lets connections to a service of this host in. A rule of the same words that `allow` or\n"
        "`deny` has written before gives way to it.\n" RULE_HELP ",\n"
        "`limit RATE`, `connections NUMBER`. See ringwall-policy(5).\n"
        "\n" APPLY_HELP CHANGE_HELP "      --json\n"
        "  -h, --help\n"
        "\n"
        "Exit status: as of apply; 9 in force, and awaiting confirmation.\n"
        "\n"
        "Examples:\n"
        "  ringwall allow https\n"
        "  ringwall allow ssh from 203.0.113.9 for 1h\n"
        "  ringwall allow 8000-8010/tcp, grafana from lan, vpn -m 'for the office'\n";

static const char deny_help[] =
        "Refuses connections to a service of this host, whatever else allows them. A rule of the "
        "same\n"
        "words that `allow` or `deny` has written before gives way to it.\n" RULE_HELP ".\n"
        "See ringwall-policy(5).\n"
        "\n" APPLY_HELP CHANGE_HELP "      --json\n"
        "  -h, --help\n"
        "\n"
        "Exit status: as of apply; 9 in force, and awaiting confirmation.\n"
        "\n"
        "Examples:\n"
        "  ringwall deny any from 203.0.113.0/24 for 2d\n"
        "  ringwall deny smtp in eth0\n";

static const char remove_help[] =
        "Takes a rule that `ringwall allow` or `deny` has written out again: by its number, or in "
        "the\n"
        "words it was written with. Without a RULE, lists them. Rules that people have written "
        "into\n"
        "the policy go with `ringwall edit`.\n"
        "\n" APPLY_HELP CHANGE_HELP "      --json\n"
        "  -h, --help\n"
        "\n"
        "Exit status: as of apply; 9 in force, and awaiting confirmation; 1 there is no such "
        "rule.\n"
        "\n"
        "Examples:\n"
        "  ringwall remove\n"
        "  ringwall remove 2\n"
        "  ringwall remove allow ssh from 203.0.113.9\n";

static int print_diag(const RuleChange *c, int code) {
        complain_diag(c->diag);
        return code;
}

static int out_of_memory(const RuleChange *c) {
        return input_failed(-ENOMEM, c->verb->name);
}

/* ---- which rules go */

static FileRule *find_number(RuleChange *c, uint64_t number) {
        for (size_t i = 0; i < c->file.n_rules; i++)
                if (c->file.rules[i].is_own && --number == 0)
                        return &c->file.rules[i];
        return NULL;
}

static int no_such_rule(const RuleChange *c) {
        if (c->number > 0)
                complain("remove", "there is no rule %" PRIu64, c->number);
        else
                complain("remove", "`allow` and `deny` have written no rule of just these words");
        complain_hint("`ringwall remove` lists those that they have written");
        return EXIT_FAILED;
}

/* Whether people have said the same: "policy.yaml:12: allow ssh from lan". */
static bool says_so(const RuleChange *c, const PolicyRule *rule, const char *said) {
        const char *words = strstr(rule->text, ": ");
        size_t len = strlen(said);

        return words && strncmp(words + 2, said, len) == 0 &&
               (words[2 + len] == '\0' || words[2 + len] == ' ');
}

/* Whether it is one that the commands have written, in other words than were said. */
static bool is_own(const RuleChange *c, const PolicyRule *rule) {
        for (size_t i = 0; i < c->file.n_rules; i++)
                if (c->file.rules[i].is_own && c->file.rules[i].line == rule->at.line &&
                    streq(rule->at.source->name, c->change.path))
                        return true;
        return false;
}

static int find_elsewhere(const RuleChange *c, bool has_verb) {
        _cleanup_(input_done) Input input = {.quiet = true};
        FileRule bare = c->rule;

        for (RuleKey key = RULE_KEY_LIMIT; key < _RULE_KEY_MAX; key++)
                bare.values[key] = (RuleValue){0};
        if (input_load(&input, c->change.policy) != EXIT_OK)
                return no_such_rule(c);
        for (RuleVerb verb = 0; verb < _RULE_VERB_MAX; verb++) {
                const Section *s = &input.policy->sections[SECTION_INBOUND];
                const char *said;

                bare.verb = verb;
                said = file_rule_describe(c->change.arena, &bare);
                for (size_t i = 0; said && i < s->n_rules; i++)
                        if ((!has_verb || verb == c->rule.verb) && says_so(c, &s->rules[i], said) &&
                            !is_own(c, &s->rules[i])) {
                                complain("remove",
                                         "people have written this rule, or changed it: %s",
                                         s->rules[i].text);
                                complain_hint("ringwall edit %s", s->rules[i].at.source->name);
                                return EXIT_FAILED;
                        }
        }
        return no_such_rule(c);
}

static int choose_removed(RuleChange *c, bool has_verb) {
        size_t n = 0;

        for (size_t i = 0; i < c->file.n_rules; i++) {
                FileRule *rule = &c->file.rules[i];

                if (!rule->is_own || !file_rule_is_about(rule, &c->rule) ||
                    (has_verb && rule->verb != c->rule.verb))
                        continue;
                rule->goes = true;
                n++;
        }
        return n > 0 ? EXIT_OK : find_elsewhere(c, has_verb);
}

/* What was written for the same connections before gives way. */
static void choose_replaced(RuleChange *c) {
        c->comes = true;
        for (size_t i = 0; i < c->file.n_rules; i++) {
                FileRule *rule = &c->file.rules[i];

                if (!rule->is_own || !file_rule_is_about(rule, &c->rule))
                        continue;
                if (file_rule_equal(rule, &c->rule))
                        c->comes = false;
                else
                        rule->goes = true;
        }
}

/* What was said, before any file is looked at. */
static int parse(RuleChange *c, char *const *words, size_t n_words) {
        int r;

        if (c->command == RULE_COMMAND_REMOVE && n_words == 1 &&
            text_to_number(words[0], 1, UINT32_MAX, &c->number))
                return EXIT_OK;
        r = rule_words_parse(c->change.arena, &c->line, c->command, time(NULL), &c->rule,
                             &c->has_verb, c->diag);
        if (r < 0)
                return r == -ENOMEM ? out_of_memory(c) : print_diag(c, EXIT_USAGE);
        return EXIT_OK;
}

static int choose(RuleChange *c) {
        FileRule *rule;

        if (c->command != RULE_COMMAND_REMOVE) {
                choose_replaced(c);
                return EXIT_OK;
        }
        if (c->number == 0)
                return choose_removed(c, c->has_verb);
        rule = find_number(c, c->number);
        if (!rule)
                return no_such_rule(c);
        rule->goes = true;
        return EXIT_OK;
}

/* ---- what changes */

/* Mistakes in the new rule are shown in what was said. */
static void translate(DiagMessage *m, void *context) {
        const RuleChange *c = context;
        Span at;

        if (!c->comes || !m->at.source || m->at.line != c->at ||
            !streq(m->at.source->name, c->change.path) || m->at.column < c->dash)
                return;
        at = file_rule_find(&c->rule, m->at.column - c->dash + 1);
        if (at.source)
                m->at = at;
}

static int make_text(RuleChange *c) {
        const char *start;
        int r;

        for (size_t i = 0; i < c->file.n_rules; i++)
                if (c->file.rules[i].is_own && c->file.rules[i].is_over)
                        c->file.rules[i].goes = true;
        r = rule_file_change(c->change.arena, &c->file, c->comes ? &c->rule : NULL,
                             &c->change.after, &c->change.after_size, &c->at, c->diag);
        if (r < 0)
                return r == -ENOMEM ? out_of_memory(c) : print_diag(c, EXIT_FAILED);
        start = c->change.after;
        for (unsigned int i = 1; c->comes && i < c->at; i++)
                start = strchr(start, '\n') + 1;
        c->dash = (unsigned int)strspn(start, " -") + 1;
        return EXIT_OK;
}

static int finish(RuleChange *c, bool any, json_t *reply) {
        int code;

        if (c->json)
                return rules_print_json(c, reply, any);
        if (c->change.no_apply) {
                puts("what is in force is as it was: ringwall apply");
                return EXIT_OK;
        }
        code = apply_print(reply, &c->change.options);
        if (code == EXIT_AWAITING && any)
                rules_print_back(c);
        json_decref(reply);
        return code;
}

/* From the words to what is in force. The locks are held until the process ends. */
static int carry_out(RuleChange *c) {
        _cleanup_(input_done) Input input = INPUT_NULL;
        _cleanup_(json_decrefp) json_t *preview = NULL;
        const PlanVoice voice = change_voice(&c->change);
        json_t *reply = NULL;
        bool any;
        int r = make_text(c);

        if (r == EXIT_OK && !c->change.no_apply && !c->change.options.dry_run)
                r = change_ask(&c->change);
        if (r == EXIT_OK)
                r = change_check(&c->change, &input, translate, c);
        if (r != EXIT_OK)
                return r;
        any = change_is_any(&c->change);
        if (!c->json)
                rules_print_change(c);
        if (!c->json && c->change.files_differed)
                puts("note: the policy's files say something else already than what is in force, "
                     "and that\n"
                     "  comes into force with it");
        /* for people to see; nothing depends on it */
        preview = json_object();
        if (!c->change.no_apply && !c->json)
                (void)plan_show(&input, &voice);
        else if (!c->change.no_apply)
                (void)plan_add_json(&input, &voice, preview);
        if (c->change.options.dry_run) {
                if (c->json)
                        return rules_print_json(c, json_incref(preview), false);
                puts("nothing was done: --dry-run");
                return EXIT_OK;
        }
        r = change_make(&c->change, &reply);
        if (r == EXIT_OK && c->json)
                (void)json_object_update(reply, preview); /* NULL with --no-apply */
        return r == EXIT_OK ? finish(c, any, reply) : r;
}

/* ---- the command */

static int take_lock(const RuleChange *c, const char *path, unsigned int seconds, int *ret) {
        char buf[128];

        *ret = lock_take(path, seconds);
        if (*ret >= 0 || *ret == -ENOENT) /* what must be there is missed by whoever reads it */
                return EXIT_OK;
        if (*ret != -EWOULDBLOCK)
                return change_failed(&c->change, "read", path, *ret);
        complain(c->verb->name, "%s is being changed by %s", path,
                 lock_holder(path, buf, sizeof(buf)));
        return EXIT_FAILED;
}

static int read_file(RuleChange *c) {
        int r = change_read(&c->change);

        if (r != EXIT_OK)
                return r;
        r = rule_file_read(c->change.arena,
                           (Source){c->change.path, c->change.before, c->change.before_size},
                           time(NULL), &c->file, c->diag);
        if (r == -ENOMEM)
                return out_of_memory(c);
        return r < 0 ? print_diag(c, EXIT_INVALID) : EXIT_OK;
}

/* "allow", and the words behind it. */
static int join(RuleChange *c, char *const *words, size_t n_words) {
        const char *text = c->verb->name;

        for (size_t i = 0; i < n_words && text; i++)
                text = arena_printf(c->change.arena, "%s %s", text, words[i]);
        if (!text)
                return out_of_memory(c);
        c->line = (Source){"command line", text, strlen(text)};
        return EXIT_OK;
}

static int run_words(RuleChange *c, char *const *words, size_t n_words) {
        _cleanup_close_ int folder = -1, file = -1;
        bool writes = n_words > 0 && !c->change.options.dry_run;
        const char *path;
        int r;

        c->diag = diag_new(c->change.arena);
        c->change.verb = c->verb->name;
        c->change.path = change_path(c->change.arena, c->change.policy, RULE_FILE_NAME);
        path = change_folder(c->change.arena, c->change.policy);
        if (!c->diag || !c->change.path || !path)
                return out_of_memory(c);
        r = join(c, words, n_words);
        if (r == EXIT_OK && n_words > 0)
                r = parse(c, words, n_words);
        if (r == EXIT_OK && writes && !c->change.no_apply)
                r = apply_permit(c->verb->name);
        if (r == EXIT_OK && writes)
                r = take_lock(c, path, LOCK_SECONDS, &folder);
        if (r == EXIT_OK && writes)
                r = take_lock(c, c->change.path, 0, &file);
        if (r == EXIT_OK)
                r = read_file(c);
        if (r == EXIT_OK && n_words == 0)
                return rules_list(c);
        if (r == EXIT_OK)
                r = choose(c);
        return r == EXIT_OK ? carry_out(c) : r;
}

static int run(const Verb *verb, RuleCommand command, int argc, char **argv) {
        static const struct option options[] = {
                APPLY_OPTIONS,
                {"no-apply", no_argument, NULL, 'a'},
                {"policy", required_argument, NULL, 'p'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        RuleChange c = {.verb = verb,
                        .command = command,
                        .change = {.arena = a, .policy = POLICY_FILE_DEFAULT}};
        int o;

        if (!a)
                return out_of_memory(&c);
        while ((o = getopt_long(argc, argv, "hnm:", options, NULL)) >= 0)
                if (o == 'j')
                        c.json = true;
                else if (o == 'a')
                        c.change.no_apply = true;
                else if (o == 'p')
                        c.change.policy = optarg;
                else if (!apply_option(o, optarg, &c.change.options))
                        return o == 'h' ? verb_help(verb) : verb_usage(verb, NULL);
        if (optind == argc && command != RULE_COMMAND_REMOVE)
                return verb_usage(verb, "say which SERVICE ('ringwall list services' lists them)");
        return run_words(&c, argv + optind, (size_t)(argc - optind));
}

static int run_allow(int argc, char **argv) {
        return run(&verb_allow, RULE_COMMAND_ALLOW, argc, argv);
}

static int run_deny(int argc, char **argv) {
        return run(&verb_deny, RULE_COMMAND_DENY, argc, argv);
}

static int run_remove(int argc, char **argv) {
        return run(&verb_remove, RULE_COMMAND_REMOVE, argc, argv);
}

const Verb verb_allow = {
        .name = "allow",
        .arguments = "SERVICE [from ZONE] [in IF] [for TIME]",
        .summary = "Let connections to this host in",
        .help = allow_help,
        .run = run_allow,
};

const Verb verb_deny = {
        .name = "deny",
        .arguments = "SERVICE [from ZONE] [in IF] [for TIME]",
        .summary = "Refuse connections to this host",
        .help = deny_help,
        .run = run_deny,
};

const Verb verb_remove = {
        .name = "remove",
        .arguments = "[RULE]",
        .summary = "Take out what allow or deny wrote, or list it",
        .help = remove_help,
        .run = run_remove,
};
