/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/takeover_parts.h"

#include <getopt.h>
#include <signal.h>

#include "cli/complaint.h"
#include "cli/kernel.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/verify.h"
#include "guard/store.h"
#include "nft/namespace.h"

static const char help[] =
        "Disables other firewalls (ufw, firewalld, nftables.service; all of them unless named)\n"
        "once ringwall does without them: when a policy is in force, was read back and confirmed,\n"
        "and its claims are proved for the rules that are left then, with your way in. It shows\n"
        "what it would do, and asks. Nothing of other programs is touched. If afterwards a claim\n"
        "does not hold, it brings the other firewall back at once.\n"
        "\n"
        "      --undo             bring back what was disabled, as it was\n"
        "  -y, --yes              do not ask\n"
        "      --i-have-console   with --undo: although you could not come in again\n"
        "      --state-dir DIR    where it is written down what was done (" STORE_FOLDER
        ")\n" REMOTE_HELP "      --json\n"
        "  -h, --help\n"
        "\n"
        "Exit status: 0 done, or nothing to do; 8 nothing was done: it wants --yes; 9 a change\n"
        "waits for its confirmation; 10 a claim would be, or was, refuted; 11 one is undecided;\n"
        "7 you would be locked out.\n"
        "\n"
        "Examples:\n"
        "  ringwall takeover\n"
        "  ringwall takeover ufw --yes\n"
        "  ringwall takeover --undo\n";

/* ---- what has to be so before */

static const char *text_of(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

static int refuse(const Takeover *t, int code, const char *why, const char *hint) {
        complain("takeover", "%s%s", why, t->has_begun ? "" : "; nothing was done");
        if (hint)
                complain_hint("%s", hint);
        return code;
}

static int judge_status(const Takeover *t, const json_t *status) {
        static const struct {
                const char *state, *why, *hint;
                ExitCode code;
        } rows[] = {
                {"unarmed", "no policy is in force yet", "ringwall apply, then ringwall confirm",
                 EXIT_FAILED},
                {"unloaded", "no policy is in force: it was unloaded", "ringwall apply",
                 EXIT_FAILED},
                {"panic", "panic is on", "ringwall panic off", EXIT_FAILED},
                {"lockdown", "no confirmed policy is in force, but the lockdown", "ringwall apply",
                 EXIT_FAILED},
                {"changed", "the kernel holds something else than what should be in force",
                 "ringwall status says what", EXIT_DIFFERS},
                {"failed", "what should be in force could not be put there",
                 "journalctl -u ringwalld", EXIT_KERNEL_REFUSED},
        };
        const char *state = text_of(status, "state");

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (streq(state, rows[i].state))
                        return refuse(t, rows[i].code, rows[i].why, rows[i].hint);
        if (!streq(state, "closed") || !json_is_true(json_object_get(status, "readBack")))
                return refuse(t, EXIT_FAILED, "what is in force is not known", "ringwall status");
        if (json_object_get(status, "pending"))
                return refuse(t, EXIT_AWAITING, "a change waits for its confirmation",
                              "connect anew, then ringwall confirm");
        if (json_is_true(json_object_get(status, "fileDiffers")))
                return refuse(t, EXIT_DIFFERS,
                              "the policy's files say something else than what is in force",
                              "ringwall plan, ringwall apply");
        return EXIT_OK;
}

/* Whether the policy is in force; *ret_file: which. */
static int check_status(Takeover *t, const char **ret_file) {
        json_t *status = NULL;
        int r = remote_call("takeover", t->runtime_dir, "Status", NULL, &status);

        if (r != EXIT_OK)
                return r;
        r = judge_status(t, status);
        if (r == EXIT_OK) {
                *ret_file = arena_strdup(t->arena, text_of(status, "inForce"));
                if (!*ret_file)
                        r = input_failed(-ENOMEM, "takeover");
        }
        json_decref(status);
        return r;
}

/* ---- what is claimed */

/* What a claim's answer makes of it all. Of `always`, only what is left in the end counts: the
 * firewalls that are still there may refuse. */
static int judge_answer(const VerifyAnswer *a, bool is_last) {
        if (a->kind == VERIFY_PROVED || (a->claim == VERIFY_ALWAYS && !is_last))
                return EXIT_OK;
        if (a->claim == VERIFY_WAY_IN)
                return EXIT_LOCKED_OUT;
        return a->kind == VERIFY_REFUTED ? EXIT_REFUTED : EXIT_UNDECIDED;
}

/* The worst: who is locked out can do nothing any more. */
static int judge(const VerifyReport *report, bool is_last) {
        static const int order[] = {EXIT_LOCKED_OUT, EXIT_REFUTED, EXIT_UNDECIDED};

        for (size_t k = 0; k < ARRAY_SIZE(order); k++)
                for (size_t i = 0; i < report->n_answers; i++)
                        if (judge_answer(&report->answers[i], is_last) == order[k])
                                return order[k];
        return EXIT_OK;
}

static int prove(Takeover *t, const World *w) {
        bool beside;

        t->report = (VerifyReport){0};
        return verify_prove("takeover", &t->input, w, &t->report, &beside);
}

static void print_failed(const Takeover *t, bool is_last) {
        fflush(stdout);
        for (size_t i = 0; i < t->report.n_answers; i++)
                if (judge_answer(&t->report.answers[i], is_last) != EXIT_OK && !t->json)
                        verify_print_answer(&t->report.answers[i]);
}

/* What would hold without them. It is proved before anything is done. */
static int prove_plan(Takeover *t) {
        HostSockets sockets = {0};
        World *w;
        int r = verify_read_world("takeover", t->arena, &w);

        if (r != EXIT_OK)
                return r;
        takeover_subtract(&t->rivals.host, &t->plan, w);
        r = sockets_read_listening(t->arena, &sockets);
        if (r == 0)
                r = takeover_compare(t->rivals.live, w, &sockets, t->arena, &t->changes,
                                     &t->n_changes);
        if (r == -ENOMEM)
                return input_failed(r, "takeover");
        t->has_compared = r == 0; /* it says what to expect, and decides nothing */
        r = prove(t, w);
        return r == EXIT_OK ? judge(&t->report, true) : r;
}

/* What holds now. */
static int prove_live(Takeover *t, bool is_last) {
        const char *file;
        World *w;
        int r = check_status(t, &file);

        if (r == EXIT_OK)
                r = verify_read_world("takeover", t->arena, &w);
        if (r == EXIT_OK)
                r = prove(t, w);
        return r == EXIT_OK ? judge(&t->report, is_last) : r;
}

/* Whether somebody who came by SSH could come again, whatever else may hold. */
static bool is_locked_out(Takeover *t) {
        _cleanup_(input_done) Input nothing = INPUT_NULL;
        VerifyReport report = {0};
        bool beside;
        World *w;

        if (input_load_catalogue(&nothing) != EXIT_OK ||
            verify_read_world("takeover", nothing.arena, &w) != EXIT_OK ||
            verify_prove("takeover", &nothing, w, &report, &beside) != EXIT_OK)
                return false; /* nothing is known: what was asked for is done */
        for (size_t i = 0; i < report.n_answers; i++)
                if (report.answers[i].claim == VERIFY_WAY_IN &&
                    report.answers[i].kind == VERIFY_REFUTED)
                        return true;
        return false;
}

/* ---- telling */

/* To the daemon's log, which nobody else writes. Without a daemon nobody is told. */
static void tell_daemon(const Takeover *t, TakeoverRival rival, const char *what) {
        json_t *reply = NULL;

        if (!remote_is_there(t->runtime_dir))
                return;
        (void)remote_call(
                "takeover", t->runtime_dir, "Takeover",
                json_pack("{s:s, s:s}", "rival", takeover_rival_to_string(rival), "what", what),
                &reply);
        json_decref(reply);
}

static void say(const Takeover *t, const char *what, TakeoverRival rival) {
        if (t->json)
                return;
        printf("%s is %s\n", takeover_rival_name(rival), what);
        fflush(stdout);
}

/* ---- doing */

/* Whoever's connection breaks off meanwhile does not leave it half done. */
static void ignore_signals(void) {
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                (void)signal(numbers[i], SIG_IGN);
}

/* What this run has disabled, the last first. */
static void take_back(Takeover *t) {
        complain("takeover", "what was disabled is brought back");
        t->taken_back = true;
        for (size_t i = t->plan.n_steps; i-- > 0;) {
                TakeoverRival rival = t->plan.steps[i].rival;

                if (t->rivals.record.of[rival].phase == TAKEOVER_NONE || !t->done[rival])
                        continue;
                if (rival_restore(&t->rivals, rival) != EXIT_OK) {
                        complain_hint("ringwall takeover --undo tries it again");
                        continue;
                }
                tell_daemon(t, rival, "takenBack");
                say(t, "restored", rival);
        }
}

static int do_plan(Takeover *t) {
        ignore_signals();
        t->has_begun = true;
        for (size_t i = 0; i < t->plan.n_steps; i++) {
                TakeoverRival rival = t->plan.steps[i].rival;
                bool is_last = i + 1 == t->plan.n_steps;
                int r;

                t->done[rival] = true;
                r = rival_disable(&t->rivals, rival);
                if (r == EXIT_OK) {
                        tell_daemon(t, rival, "disabled");
                        r = prove_live(t, is_last);
                        if (r != EXIT_OK)
                                print_failed(t, is_last);
                }
                if (r != EXIT_OK) {
                        take_back(t);
                        return r;
                }
                say(t, "disabled", rival);
        }
        return EXIT_OK;
}

/* One that would lock out whoever asked for it is disabled again. */
static int undo_step(Takeover *t, TakeoverRival rival) {
        bool was_locked_out = is_locked_out(t);
        int r = rival_restore(&t->rivals, rival);

        if (r != EXIT_OK)
                return r;
        t->done[rival] = true;
        if (t->has_console || was_locked_out || !is_locked_out(t)) {
                tell_daemon(t, rival, "restored");
                say(t, "restored", rival);
                return EXIT_OK;
        }
        complain("takeover", "with %s you could not come in again: it is disabled again",
                 takeover_rival_name(rival));
        complain_hint("--i-have-console brings it back all the same");
        t->taken_back = true;
        r = rivals_look(&t->rivals, t->state_dir);
        if (r == EXIT_OK)
                r = rival_disable(&t->rivals, rival);
        return r == EXIT_OK ? EXIT_LOCKED_OUT : r;
}

static int do_undo(Takeover *t) {
        ignore_signals();
        for (size_t i = 0; i < t->plan.n_steps; i++) {
                int r = undo_step(t, t->plan.steps[i].rival);

                if (r != EXIT_OK)
                        return r;
        }
        return EXIT_OK;
}

/* ---- the command */

static bool has_obstacle(const Takeover *t) {
        for (size_t i = 0; i < t->plan.n_steps; i++)
                if (t->plan.steps[i].obstacle)
                        return true;
        return false;
}

static bool agree(const Takeover *t) {
        char line[16];

        if (t->yes)
                return true;
        if (t->json || !isatty(STDIN_FILENO))
                return false;
        printf("%s? [y/N] ", t->undo ? "bring them back" : "disable them");
        fflush(stdout);
        return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

static int ask(const Takeover *t) {
        if (agree(t))
                return EXIT_OK;
        if (!t->json)
                puts("nothing was done: --yes does it");
        return EXIT_DIFFERS;
}

static int begin(Takeover *t) {
        int r = rivals_begin(&t->rivals);

        if (r == EXIT_OK)
                r = rivals_look(&t->rivals, t->state_dir);
        if (r != EXIT_OK)
                return r;
        r = t->undo ? takeover_plan_undo(&t->rivals.host, &t->rivals.record, t->mask, t->arena,
                                         &t->plan)
                    : takeover_plan(&t->rivals.host, &t->rivals.record, t->mask, t->arena,
                                    &t->plan);
        return r < 0 ? input_failed(r, "takeover") : EXIT_OK;
}

static int run_undo(Takeover *t) {
        int r = begin(t);

        if (r != EXIT_OK)
                return r;
        if (t->plan.n_steps == 0) {
                if (!t->json)
                        puts("nothing was taken over: there is nothing to bring back");
                return EXIT_OK;
        }
        if (!t->json)
                takeover_print_plan(t);
        if (has_obstacle(t))
                return refuse(t, EXIT_FAILED, "not all of it can be done", NULL);
        r = ask(t);
        return r == EXIT_OK ? do_undo(t) : r;
}

static int run_takeover(Takeover *t) {
        const char *file = NULL;
        int r = check_status(t, &file);

        if (r == EXIT_OK)
                r = begin(t);
        if (r != EXIT_OK)
                return r;
        if (t->plan.n_steps == 0 && !t->json)
                puts("no other firewall that could be taken over is enabled or active");
        if (!t->json) {
                takeover_print_plan(t);
                r = takeover_print_beside(t, NULL);
        }
        if (r != EXIT_OK || t->plan.n_steps == 0)
                return r;
        if (has_obstacle(t))
                return refuse(t, EXIT_FAILED, "not all of it can be done", NULL);
        r = input_load(&t->input, file);
        if (r == EXIT_OK)
                r = prove_plan(t);
        if (r == EXIT_LOCKED_OUT || r == EXIT_REFUTED || r == EXIT_UNDECIDED) {
                print_failed(t, true);
                return refuse(
                        t, r, "what the policy claims would not hold without them",
                        "change the policy (ringwall edit), or what the last step names: a "
                        "ban of fail2ban's, say, refuses an 'expect' of 'allow' from anywhere");
        }
        if (r != EXIT_OK)
                return r;
        if (!t->json)
                takeover_print_changes(t);
        if (!t->json)
                printf("without them, all %zu claims of %s are proved%s\n", t->report.n_answers,
                       file, t->report.n_answers > 0 ? "" : ": it makes none");
        r = ask(t);
        return r == EXIT_OK ? do_plan(t) : r;
}

static int takeover(Takeover *t) {
        int r;

        if (geteuid() != 0)
                return refuse(t, EXIT_NOT_PERMITTED, "it takes root", NULL);
        if (namespace_is_init() == 0)
                return refuse(t, EXIT_NOT_PERMITTED,
                              "this is not the network namespace in which systemd runs other "
                              "firewalls",
                              "call it on the host itself");
        t->rivals.arena = t->arena;
        t->rivals.path = arena_printf(t->arena, "%s/" RIVALS_FOLDER, t->state_dir);
        if (!t->rivals.path)
                return input_failed(-ENOMEM, "takeover");
        r = t->undo ? run_undo(t) : run_takeover(t);
        if (t->json)
                r = takeover_print_json(t, r);
        if (t->rivals.folder >= 0)
                rivals_end(&t->rivals);
        input_done(&t->input);
        return r;
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"undo", no_argument, NULL, 'u'},
                {"yes", no_argument, NULL, 'y'},
                {"i-have-console", no_argument, NULL, 'c'},
                {"state-dir", required_argument, NULL, 'S'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                REMOTE_OPTION,
                {0},
        };
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Takeover t = {.arena = a, .state_dir = STORE_FOLDER, .rivals = RIVALS_NULL};
        int o;

        if (!a)
                return input_failed(-ENOMEM, "takeover");
        while ((o = getopt_long(argc, argv, "hy", options, NULL)) >= 0)
                switch (o) {
                case 'u':
                        t.undo = true;
                        break;
                case 'y':
                        t.yes = true;
                        break;
                case 'c':
                        t.has_console = true;
                        break;
                case 'S':
                        t.state_dir = optarg;
                        break;
                case 'R':
                        t.runtime_dir = optarg;
                        break;
                case 'j':
                        t.json = true;
                        break;
                default:
                        return o == 'h' ? verb_help(&verb_takeover)
                                        : verb_usage(&verb_takeover, NULL);
                }
        for (int i = optind; i < argc; i++) {
                TakeoverRival rival = takeover_rival_from_string(argv[i]);

                if (rival < 0)
                        return verb_usage(&verb_takeover,
                                          "it takes over from ufw, firewalld and nftables");
                t.mask |= 1U << rival;
        }
        if (t.mask == 0)
                t.mask = TAKEOVER_ALL;
        return takeover(&t);
}

const Verb verb_takeover = {
        .name = "takeover",
        .arguments = "[ufw|firewalld|nftables] [--undo] [--yes]",
        .summary = "Disable other firewalls, once proved",
        .help = help,
        .run = run,
};
