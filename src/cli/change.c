/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/change.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cli/complaint.h"
#include "cli/output.h"
#include "policy/rule_file.h"

int change_failed(const Change *c, const char *what, const char *path, int error) {
        complain(c->verb, "cannot %s %s: %s", what, path, strerror(-error));
        return error == -EACCES || error == -EPERM || error == -EROFS ? EXIT_NOT_PERMITTED
                                                                      : EXIT_FAILED;
}

const char *change_folder(Arena *a, const char *path) {
        const char *slash = strrchr(path, '/');

        if (!slash)
                return ".";
        return slash == path ? "/" : arena_strndup(a, path, (size_t)(slash - path));
}

/* Worded as the loader words it, so that messages name the same file. */
const char *change_path(Arena *a, const char *policy, const char *name) {
        const char *slash = strrchr(policy, '/');

        return arena_printf(a, "%.*s" RULE_FILE_FOLDER "/%s", slash ? (int)(slash + 1 - policy) : 0,
                            policy, name);
}

int change_read(Change *c) {
        char *text;
        int r = file_read(c->arena, c->path, POLICY_FILE_MAX, &text, &c->before_size);

        if (r < 0 && r != -ENOENT)
                return change_failed(c, "read", c->path, r);
        c->before = r == 0 ? text : NULL;
        return EXIT_OK;
}

bool change_is_any(const Change *c) {
        return !c->before || c->before_size != c->after_size ||
               memcmp(c->before, c->after, c->after_size) != 0;
}

int change_check(const Change *c,
                 Input *input,
                 void (*translate)(DiagMessage *m, void *context),
                 void *context) {
        const PolicyDraft draft = {c->path, c->after, c->after_size};
        int r;

        *input = (Input){.of_root = !c->no_apply, .quiet = translate != NULL, .draft = &draft};
        r = input_load(input, c->policy);
        if (translate) {
                for (size_t i = 0; input->diag && i < input->diag->n_messages; i++)
                        translate(&input->diag->messages[i], context);
                input->quiet = false;
                input_print_messages(input);
        }
        if (r == EXIT_OK)
                r = input_compile_loaded(input, NULL, NULL);
        input->draft = NULL;
        return r;
}

static bool is_same_file(const char *a, const char *b) {
        struct stat x, y;

        return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int change_ask(Change *c) {
        json_t *status = NULL;
        const char *file;
        int r = apply_ask(c->verb, &c->options, &status);

        if (r != EXIT_OK) {
                if (r == EXIT_NO_DAEMON)
                        fputs("  nothing was written; --no-apply writes without a daemon\n",
                              stderr);
                return r;
        }
        file = json_string_value(json_object_get(status, "inForce"));
        c->files_differed = json_is_true(json_object_get(status, "fileDiffers"));
        if (file && *file && !is_same_file(file, c->policy)) {
                complain(c->verb, "another policy is in force: %s", file);
                complain_hint("ringwall %s %s%s; --no-apply only writes", c->verb,
                              streq(c->verb, "edit") ? "" : "... --policy ", file);
                r = EXIT_FAILED;
        }
        json_decref(status);
        return r;
}

PlanVoice change_voice(const Change *c) {
        PlanVoice voice = apply_voice(c->verb, &c->options);

        voice.tells_ways = c->options.dry_run;
        return voice;
}

/* ---- the file itself */

/* An open folder, and the name in it; through links, so that they stay. */
static int open_folder(Change *c, const char **ret_name, int *ret_fd) {
        char real[PATH_MAX];
        const char *path = realpath(c->path, real) ? arena_strdup(c->arena, real) : c->path,
                   *folder;
        int fd;

        folder = path ? change_folder(c->arena, path) : NULL;
        if (!folder)
                return -ENOMEM;
        if (!c->before && mkdir(folder, 0755) == 0)
                c->made_folder = true;
        else if (!c->before && errno != EEXIST)
                return -errno;
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret_name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        *ret_fd = fd;
        return 0;
}

/* With the mode and owner of the file as it was; the first time, with those of the policy. */
static int write_text(Change *c, const char *text, size_t size) {
        _cleanup_close_ int folder = -1;
        const char *name;
        struct stat like;
        int r = open_folder(c, &name, &folder);

        if (r < 0)
                return r;
        if (!text)
                return file_remove(folder, name);
        if (fstatat(folder, name, &like, 0) < 0 && stat(c->policy, &like) < 0)
                like = (struct stat){.st_mode = 0644, .st_uid = geteuid(), .st_gid = getegid()};
        return file_replace_like(folder, name, text, size, &like);
}

static void put_back(Change *c) {
        int r = write_text(c, c->before, c->before_size);

        if (r == 0 && c->made_folder)
                (void)rmdir(change_folder(c->arena, c->path));
        if (r < 0)
                (void)change_failed(c, "put back", c->path, r);
        else
                fprintf(stderr, "%s is as it was\n", c->path);
}

/* From the file's new text to the daemon's answer nobody breaks off: it would say what was never
 * decided. */
static void hold_signals(bool hold, sigset_t *before) {
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE};
        sigset_t set;

        if (!hold) {
                (void)sigprocmask(SIG_SETMASK, before, NULL);
                return;
        }
        (void)sigemptyset(&set);
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                (void)sigaddset(&set, numbers[i]);
        (void)sigprocmask(SIG_BLOCK, &set, before);
}

static int make(Change *c, json_t **ret) {
        bool any = change_is_any(c);
        int r = any ? write_text(c, c->after, c->after_size) : 0;

        if (r < 0)
                return change_failed(c, "write", c->path, r);
        if (c->no_apply)
                return EXIT_OK;
        r = apply_call(c->verb, c->policy, &c->options, ret);
        if (r != EXIT_OK && any)
                put_back(c);
        return r;
}

int change_make(Change *c, json_t **ret) {
        sigset_t before;
        int r;

        *ret = NULL;
        fflush(stdout);
        hold_signals(true, &before);
        r = make(c, ret);
        hold_signals(false, &before);
        return r;
}
