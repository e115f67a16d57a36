/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "cli/change.h"
#include "cli/complaint.h"
#include "cli/editor.h"
#include "cli/lock.h"
#include "cli/output.h"
#include "cli/plan.h"
#include "policy/rule_file.h"

#define LOCK_SECONDS 10 /* that another change may take */

static const char help[] =
        "Edits a copy of the policy, or of one of its files, with $VISUAL, $EDITOR or this host's\n"
        "editor; checks the whole policy with it, and puts it in force as `ringwall apply` does.\n"
        "On mistakes it says where, and asks whether to edit again. A policy that is not valid, "
        "or\n"
        "that the daemon refuses, never takes the file's place; the copy is kept then, and the "
        "next\n"
        "`ringwall edit` goes on with it. Nobody else can edit the file in the meantime.\n"
        "\n" APPLY_HELP CHANGE_HELP "  -h, --help\n"
        "\n"
        "Exit status: as of apply; 9 in force, and awaiting confirmation; 0 also if nothing was\n"
        "changed; 1 also if the editor failed.\n"
        "\n"
        "Examples:\n"
        "  ringwall edit\n"
        "  ringwall edit /etc/ringwall/policy.d/70-office.yaml\n"
        "  EDITOR='emacs -nw' ringwall edit -m 'a new printer'\n";

typedef struct Edit {
        Change change;
        const char *draft;    /* the copy's path */
        int lock, draft_lock; /* of the file; and of the draft, for files that are not there yet */
        bool is_new;          /* there is no such file yet */
        bool is_broken;       /* the draft was not valid, or was refused */
} Edit;

static const char new_text[] = "ringwall: 1\n"; /* what a file begins with that is not there yet */

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
        interrupted = number;
}

/* Whoever breaks off finds the draft again. The editor starts with the usual actions. */
static void catch_signals(void) {
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
        struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: questions end */

        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                (void)sigaction(numbers[i], &action, NULL);
}

/* The first letter of an answer; `otherwise` if it is empty, 'q' if there is none. */
static char ask(const char *question, char otherwise) {
        char line[64];

        printf("%s ", question);
        fflush(stdout);
        if (interrupted || !fgets(line, sizeof(line), stdin) || interrupted) {
                putchar('\n');
                return 'q';
        }
        return line[0] == '\n' ? otherwise : line[0];
}

static int keep_draft(const Edit *e, int code) {
        fflush(stdout);
        fprintf(stderr,
                "%s is as it was; what you wrote is kept in %s, and `ringwall edit` goes on with "
                "it\n",
                e->change.path, e->draft);
        return code;
}

static void remove_draft(const Edit *e) {
        (void)unlink(e->draft); /* where it stays, the next edit asks about it */
}

/* ---- which file of which policy */

static bool is_same_file(const char *a, const char *b) {
        struct stat x, y;

        return streq(a, b) || (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
                               x.st_ino == y.st_ino);
}

static bool is_part(const Policy *p, const char *path) {
        for (size_t i = 1; i < p->n_files; i++) /* behind the catalogue */
                if (is_same_file(p->sources[i]->name, path))
                        return true;
        return false;
}

/* Whether the host's own policy includes it. */
static bool is_included(const char *path) {
        _cleanup_(input_done) Input input = {.quiet = true};

        return access(POLICY_FILE_DEFAULT, F_OK) == 0 &&
               input_load(&input, POLICY_FILE_DEFAULT) == EXIT_OK && is_part(input.policy, path);
}

/* The policy that a file is one of: named, beside its policy.d, the host's own, or itself. */
static const char *find_policy(Arena *a, const char *path) {
        const char *folder = change_folder(a, path), *name, *beside;

        if (!folder)
                return NULL;
        name = strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder;
        if (streq(name, RULE_FILE_FOLDER)) {
                beside = arena_printf(a, "%.*spolicy.yaml", (int)(name - folder), folder);
                if (!beside || access(beside, F_OK) == 0)
                        return beside;
        }
        return !streq(path, POLICY_FILE_DEFAULT) && is_included(path) ? POLICY_FILE_DEFAULT : path;
}

/* ---- the draft */

static int write_draft(Edit *e, const char *text, size_t size) {
        int fd = open(e->draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
        int r = 0;

        if (!f)
                return change_failed(&e->change, "write", e->draft, -errno);
        if (fwrite(text, 1, size, f) != size)
                r = -errno;
        if (fclose(f) != 0 && r == 0)
                r = -errno;
        if (r == 0)
                return EXIT_OK;
        remove_draft(e);
        return change_failed(&e->change, "write", e->draft, r);
}

/* What is at path is this edit's alone. An ExitCode; *ret is the lock, or -ENOENT. */
static int take_lock(const Edit *e, const char *path, int *ret) {
        char buf[128];

        *ret = lock_take(path, 0);
        if (*ret >= 0 || *ret == -ENOENT)
                return EXIT_OK;
        if (*ret != -EWOULDBLOCK)
                return change_failed(&e->change, "read", path, *ret);
        complain("edit", "%s is being edited by %s", e->change.path,
                 lock_holder(path, buf, sizeof(buf)));
        return EXIT_FAILED;
}

/* What an earlier edit has left. 1: to go on with it; 0: it is gone; -1: neither. */
static int find_draft(const Edit *e) {
        char when[64] = "?";
        struct stat st, file;
        struct tm tm;

        if (lstat(e->draft, &st) < 0)
                return 0;
        if (localtime_r(&st.st_mtime, &tm))
                (void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
        printf("there is a draft of %s, which was not put in force: %s\n", when, e->draft);
        if (stat(e->change.path, &file) == 0 && file.st_mtime > st.st_mtime)
                printf("%s has changed since then\n", e->change.path);
        for (;;)
                switch (ask("(g)o on with it, (d)iscard it, (q)uit? [g]", 'g')) {
                case 'g':
                        return 1;
                case 'd':
                        remove_draft(e);
                        return 0;
                case 'q':
                        return -1;
                }
}

static int begin(Edit *e) {
        Change *c = &e->change;
        int r = change_read(c);

        if (r != EXIT_OK)
                return r;
        e->is_new = !c->before;
        if (e->is_new && streq(c->path, c->policy)) {
                complain("edit", "%s: there is no such file", c->path);
                complain_hint("`ringwall init` begins a policy");
                return EXIT_INVALID;
        }
        r = find_draft(e);
        if (r < 0)
                return keep_draft(e, EXIT_FAILED);
        if (r > 0)
                return EXIT_OK;
        closep(&e->draft_lock);
        r = write_draft(e, e->is_new ? new_text : c->before,
                        e->is_new ? sizeof(new_text) - 1 : c->before_size);
        return r == EXIT_OK ? take_lock(e, e->draft, &e->draft_lock) : r;
}

/* 0 with what was written, or an ExitCode. */
static int read_draft(Edit *e) {
        Change *c = &e->change;
        char *text;
        int r = file_read(c->arena, e->draft, POLICY_FILE_MAX, &text, &c->after_size);

        if (r < 0)
                return change_failed(c, "read", e->draft, r);
        c->after = text;
        return EXIT_OK;
}

/* ---- from the draft to what is in force */

static int check(Edit *e, Input *input) {
        int r = change_check(&e->change, input, NULL, NULL);

        if (r == EXIT_OK && !is_part(input->policy, e->change.path)) {
                complain("edit", "%s is not read as a part of the policy %s", e->change.path,
                         e->change.policy);
                complain_hint("files of " RULE_FILE_FOLDER
                              " end in .yaml; --policy names another policy");
                return EXIT_INVALID;
        }
        return r;
}

/* Whoever writes to the file without asking for its lock loses nothing either. */
static bool is_untouched(Edit *e) {
        Change now = e->change;

        if (change_read(&now) != EXIT_OK || !now.before != !e->change.before)
                return false;
        return !now.before || (now.before_size == e->change.before_size &&
                               memcmp(now.before, e->change.before, now.before_size) == 0);
}

static int install(Edit *e, json_t **ret) {
        const char *folder = change_folder(e->change.arena, e->change.policy);
        _cleanup_close_ int lock = folder ? lock_take(folder, LOCK_SECONDS) : -ENOMEM;
        char buf[128];

        if (lock == -EWOULDBLOCK) {
                complain("edit", "%s is being changed by %s", folder,
                         lock_holder(folder, buf, sizeof(buf)));
                return EXIT_FAILED;
        }
        if (lock < 0)
                return change_failed(&e->change, "read", folder ? folder : "", lock);
        if (!is_untouched(e)) {
                complain("edit", "somebody else has changed %s in the meantime", e->change.path);
                return EXIT_FAILED;
        }
        return change_make(&e->change, ret);
}

static int finish(Edit *e, json_t *reply) {
        int code;

        remove_draft(e);
        if (e->change.no_apply) {
                printf("%s is written; what is in force is as it was: ringwall apply\n",
                       e->change.path);
                return EXIT_OK;
        }
        code = apply_print(reply, &e->change.options);
        if (code == EXIT_AWAITING)
                printf("%s keeps its new text even then: `ringwall edit` changes it back\n",
                       e->change.path);
        json_decref(reply);
        return code;
}

static bool is_unchanged(const Edit *e) {
        return e->is_new ? streq(e->change.after, new_text) : !change_is_any(&e->change);
}

/* One time with the editor. *ret_again: what can be mended by editing again is wrong. */
static int edit_once(Edit *e, bool *ret_again) {
        _cleanup_(input_done) Input input = INPUT_NULL;
        const PlanVoice voice = change_voice(&e->change);
        json_t *reply = NULL;
        int r = editor_run(e->change.arena, "edit", e->draft, &interrupted), r2 = read_draft(e);

        *ret_again = false;
        if (r2 != EXIT_OK)
                return r2;
        if (is_unchanged(e)) {
                remove_draft(e);
                if (r == 0)
                        printf("%s is unchanged\n", e->change.path);
                return r == 0 ? EXIT_OK : EXIT_FAILED;
        }
        if (r != 0 || interrupted)
                return keep_draft(e, EXIT_FAILED);
        r = check(e, &input);
        *ret_again = r != EXIT_OK;
        if (r != EXIT_OK || interrupted)
                return r != EXIT_OK ? r : keep_draft(e, EXIT_FAILED);
        if (!e->change.no_apply)
                (void)plan_show(&input, &voice); /* for people to see; nothing depends on it */
        if (e->change.options.dry_run) {
                puts("nothing was done: --dry-run");
                return keep_draft(e, EXIT_OK);
        }
        r = install(e, &reply);
        *ret_again = r == EXIT_LOCKED_OUT || r == EXIT_KERNEL_REFUSED || r == EXIT_INVALID;
        if (r == EXIT_OK)
                return finish(e, reply);
        return *ret_again ? r : keep_draft(e, r);
}

static int edit(Edit *e) {
        bool again;
        int r = begin(e);

        if (r != EXIT_OK)
                return r;
        for (;;) {
                r = edit_once(e, &again);
                if (!again)
                        return r;
                for (char c = '\0'; c != 'e';) {
                        c = ask("what now? (e)dit again, (q)uit and keep the draft [e]", 'e');
                        if (c == 'q')
                                return keep_draft(e, r);
                }
        }
}

/* ---- the command */

static int prepare(Edit *e, bool has_policy) {
        Change *c = &e->change;
        const char *name = strrchr(c->path, '/') ? strrchr(c->path, '/') + 1 : c->path, *folder;
        int r;

        if (!has_policy)
                c->policy = find_policy(c->arena, c->path);
        /* beside the policy and not in policy.d, where every name is looked at */
        folder = c->policy ? change_folder(c->arena, c->policy) : NULL;
        e->draft = folder ? arena_printf(c->arena, "%s/.edit-%s", folder, name) : NULL;
        if (!e->draft)
                return input_failed(-ENOMEM, "edit");
        r = take_lock(e, c->path, &e->lock);
        if (r == EXIT_OK)
                r = take_lock(e, e->draft, &e->draft_lock);
        if (r != EXIT_OK)
                return r;
        if (c->no_apply || c->options.dry_run)
                return EXIT_OK;
        return change_ask(c); /* rather than after an hour of work */
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                APPLY_OPTIONS,
                {"no-apply", no_argument, NULL, 'a'},
                {"policy", required_argument, NULL, 'p'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Edit e = {.change = {.arena = a, .verb = "edit", .path = POLICY_FILE_DEFAULT},
                  .lock = -1,
                  .draft_lock = -1};
        int o, r;

        if (!a)
                return input_failed(-ENOMEM, "edit");
        while ((o = getopt_long(argc, argv, "hnm:", options, NULL)) >= 0)
                if (o == 'a')
                        e.change.no_apply = true;
                else if (o == 'p')
                        e.change.policy = optarg;
                else if (!apply_option(o, optarg, &e.change.options))
                        return o == 'h' ? verb_help(&verb_edit) : verb_usage(&verb_edit, NULL);
        if (argc - optind > 1)
                return verb_usage(&verb_edit, "one FILE at a time");
        if (optind < argc)
                e.change.path = argv[optind];
        else if (e.change.policy)
                e.change.path = e.change.policy;
        r = e.change.no_apply || e.change.options.dry_run ? EXIT_OK : apply_permit("edit");
        if (r != EXIT_OK)
                return r;
        catch_signals();
        setvbuf(stdin, NULL, _IONBF, 0); /* the editor reads from it, too */
        r = prepare(&e, e.change.policy != NULL);
        if (r == EXIT_OK)
                r = edit(&e);
        closep(&e.draft_lock);
        closep(&e.lock);
        return r;
}

const Verb verb_edit = {
        .name = "edit",
        .arguments = "[FILE] [-m TEXT] [--no-confirm]",
        .summary = "Edit the policy, check it, put it in force",
        .help = help,
        .run = run,
};
