/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cli/input.h"
#include "cli/output.h"
#include "cli/ready.h"

#define POLICY_FOLDER_DEFAULT "/etc/ringwall"

static const char help[] =
        "Begins your policy as a copy of a ready one, comments and all. A file that is there "
        "already\n"
        "is never touched, and nothing is put in force.\n"
        "\n"
        "      --from=NAME    the ready policy; 'ringwall list policies' lists them\n"
        "  -o, --output=FILE  where to (" POLICY_FILE_DEFAULT "); - is standard output\n"
        "  -h, --help\n"
        "\n"
        "Examples:\n"
        "  ringwall init --from ai-server\n"
        "  ringwall init --from vlan-router -o my-policy.yaml\n";

static const ReadyPolicy *find(const ReadyPolicy *list, size_t n, const char *name) {
        Nearest nearest;

        nearest_init(&nearest, name);
        for (size_t i = 0; i < n; i++) {
                if (streq(list[i].name, name))
                        return &list[i];
                nearest_consider(&nearest, list[i].name);
        }
        fprintf(stderr, "ringwall init: there is no ready policy '%s'\n", name);
        if (nearest.best)
                fprintf(stderr, "  hint: did you mean '%s'?\n", nearest.best);
        else
                fputs("  hint: 'ringwall list policies' lists them\n", stderr);
        return NULL;
}

static int write_all(int fd, const char *text, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, text, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                text += n;
                size -= (size_t)n;
        }
        return fsync(fd) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}

/* -EEXIST if there is anything of that name, a link to nowhere too. */
static int create(const char *path, const ReadyPolicy *policy) {
        _cleanup_close_ int fd =
                open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0644);
        int r;

        if (fd < 0)
                return -errno;
        r = fchmod(fd, 0644) < 0 ? -errno : 0; /* whatever the umask: others must not write to it */
        if (r == 0)
                r = write_all(fd, policy->text, policy->size);
        if (r < 0)
                (void)unlink(path); /* half a policy is worse than none; the reason is told */
        return r;
}

static int report_failure(const char *path, int r) {
        if (r == -EEXIST) {
                fprintf(stderr, "ringwall init: %s is there already and stays as it is\n", path);
                fputs("  hint: name another file with -o, or move that one away\n", stderr);
                return EXIT_FAILED;
        }
        fprintf(stderr, "ringwall init: cannot write %s: %s\n", path, strerror(-r));
        return r == -EACCES || r == -EPERM || r == -EROFS ? EXIT_NOT_PERMITTED : EXIT_FAILED;
}

static void print_next_steps(const char *path, const char *name) {
        bool is_default = streq(path, POLICY_FILE_DEFAULT);
        const char *file = is_default ? "" : path, *space = is_default ? "" : " ";

        printf("%s is now a copy of '%s'. Next:\n"
               "  1. edit it: its comment says what to write in before it is used, above all your\n"
               "     networks in 'zones'\n"
               "  2. ringwall check%s%s\n"
               "  3. ringwall explain 'tcp from 203.0.113.9 to 22'%s%s    and whatever else you\n"
               "     count on being open, or closed\n"
               "  4. unshare -n ringwall load%s%s    tries it in a network namespace of its own\n",
               path, name, space, file, space, file, space, file);
}

static int init(const char *from, const char *path) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const ReadyPolicy *policy;
        ReadyPolicy *list;
        const char *failed;
        size_t n;
        int r = a ? ready_read(a, &list, &n, &failed) : -ENOMEM;

        if (r < 0)
                return input_failed(r, a ? failed : "reading");
        policy = find(list, n, from);
        if (!policy)
                return EXIT_FAILED;
        if (streq(path, "-")) {
                r = write_all(STDOUT_FILENO, policy->text, policy->size);
                return r < 0 ? report_failure("to standard output", r) : EXIT_OK;
        }
        if (streq(path, POLICY_FILE_DEFAULT) && mkdir(POLICY_FOLDER_DEFAULT, 0755) < 0 &&
            errno != EEXIST)
                return report_failure(POLICY_FOLDER_DEFAULT, -errno);
        r = create(path, policy);
        if (r < 0)
                return report_failure(path, r);
        print_next_steps(path, policy->name);
        return EXIT_OK;
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"from", required_argument, NULL, 'f'},
                {"output", required_argument, NULL, 'o'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        const char *from = NULL, *path = POLICY_FILE_DEFAULT;
        int c;

        while ((c = getopt_long(argc, argv, "o:h", options, NULL)) >= 0)
                switch (c) {
                case 'f':
                        from = optarg;
                        break;
                case 'o':
                        path = optarg;
                        break;
                case 'h':
                        return verb_help(&verb_init);
                default:
                        return verb_usage(&verb_init, NULL);
                }
        if (argc > optind)
                return verb_usage(&verb_init, "say where to with -o FILE");
        if (!from)
                return verb_usage(&verb_init, "say which policy to begin with: --from NAME "
                                              "('ringwall list policies' lists them)");
        return init(from, path);
}

const Verb verb_init = {
        .name = "init",
        .arguments = "--from NAME [-o FILE]",
        .summary = "Begin a policy as a copy of a ready one",
        .help = help,
        .run = run,
};
