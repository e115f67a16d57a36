/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cli/complaint.h"
#include "cli/init.h"
#include "cli/output.h"
#include "cli/ready.h"

#define POLICY_FOLDER_DEFAULT "/etc/ringwall"

static const char help[] =
        "Begins your policy with what this host has: what listens and by which program, its\n"
        "networks, containers and machines, sshd's ports, the address that you came from, and "
        "what\n"
        "ufw lets in. Asks at most four questions; without a terminal, or with --yes, the "
        "defaults\n"
        "are taken. The policy is valid, keeps your own way in over SSH, and protects what never\n"
        "belongs on the internet. Run it as root, who sees every program. A file that is there\n"
        "already is never touched, and nothing is put in force.\n"
        "\n"
        "      --ssh-from=ZONE       who may log in over SSH: zones and addresses, between commas\n"
        "      --public=SERVICE      what everybody may reach: services and ports; none\n"
        "      --containers=SERVICE  what containers may reach: internet, services of this host,\n"
        "                            host for all of these; none\n"
        "      --rescue=ZONE         who may still log in when all else is locked down; last is\n"
        "                            whoever confirmed last\n"
        "  -y, --yes                 take the default of what these do not say\n"
        "      --from=NAME           instead, copy a ready policy, comments and all: 'ringwall "
        "list\n"
        "                            policies' lists them\n"
        "  -o, --output=FILE         where to (" POLICY_FILE_DEFAULT "); - is standard output\n"
        "  -h, --help\n"
        "\n"
        "Examples:\n"
        "  ringwall init\n"
        "  ringwall init --public https,8448/tcp --ssh-from 10.40.10.0/24 --yes\n"
        "  ringwall init --yes -o -\n"
        "  ringwall init --from vlan-router -o my-policy.yaml\n";

static const ReadyPolicy *find(const ReadyPolicy *list, size_t n, const char *name) {
        Nearest nearest;

        nearest_init(&nearest, name);
        for (size_t i = 0; i < n; i++) {
                if (streq(list[i].name, name))
                        return &list[i];
                nearest_consider(&nearest, list[i].name);
        }
        complain("init", "there is no ready policy '%s'", name);
        if (nearest.best)
                complain_hint("did you mean '%s'?", nearest.best);
        else
                complain_hint("'ringwall list policies' lists them");
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

static int write_new(int fd, const char *text, size_t size) {
        /* whatever the umask: others must not write to it */
        int r = fchmod(fd, 0644) < 0 ? -errno : 0;

        return r < 0 ? r : write_all(fd, text, size);
}

/* -EEXIST if there is anything of that name, a link to nowhere too. Nobody interrupts it half-way.
 */
static int create(const char *path, const char *text, size_t size) {
        _cleanup_close_ int fd = -EBADF;
        sigset_t all, before;
        int r;

        (void)sigfillset(&all);
        (void)sigprocmask(SIG_BLOCK, &all, &before);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0644);
        r = fd < 0 ? -errno : write_new(fd, text, size);
        if (fd >= 0 && r < 0)
                (void)unlink(path); /* half a policy is worse than none; the reason is told */
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        return r;
}

static int report_failure(const char *path, int r) {
        if (r == -EEXIST) {
                complain("init", "%s is there already and stays as it is", path);
                complain_hint("name another file with -o, or move that one away");
                return EXIT_FAILED;
        }
        complain("init", "cannot write %s: %s", path, strerror(-r));
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

int init_look(const char *path) {
        struct stat st;

        if (streq(path, "-") || lstat(path, &st) < 0)
                return EXIT_OK; /* what else may be wrong there, writing it says */
        return report_failure(path, -EEXIST);
}

int init_write(const char *path, const char *text, size_t size) {
        int r;

        if (streq(path, "-")) {
                r = write_all(STDOUT_FILENO, text, size);
                return r < 0 ? report_failure("to standard output", r) : EXIT_OK;
        }
        if (streq(path, POLICY_FILE_DEFAULT) && mkdir(POLICY_FOLDER_DEFAULT, 0755) < 0 &&
            errno != EEXIST)
                return report_failure(POLICY_FOLDER_DEFAULT, -errno);
        r = create(path, text, size);
        return r < 0 ? report_failure(path, r) : EXIT_OK;
}

static int copy_ready(const char *from, const char *path) {
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
        r = init_write(path, policy->text, policy->size);
        if (r == EXIT_OK && !streq(path, "-"))
                print_next_steps(path, policy->name);
        return r;
}

enum { OPTION_ANSWER = 256 }; /* and a DraftQuestion */

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"ssh-from", required_argument, NULL, OPTION_ANSWER + DRAFT_SSH_FROM},
                {"public", required_argument, NULL, OPTION_ANSWER + DRAFT_PUBLIC},
                {"containers", required_argument, NULL, OPTION_ANSWER + DRAFT_CONTAINERS},
                {"rescue", required_argument, NULL, OPTION_ANSWER + DRAFT_RESCUE},
                {"yes", no_argument, NULL, 'y'},
                {"from", required_argument, NULL, 'f'},
                {"output", required_argument, NULL, 'o'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        InitOptions o = {.path = POLICY_FILE_DEFAULT};
        bool answers = false;
        const char *from = NULL;
        int c;

        while ((c = getopt_long(argc, argv, "o:yh", options, NULL)) >= 0)
                switch (c) {
                case 'f':
                        from = optarg;
                        break;
                case 'o':
                        o.path = optarg;
                        break;
                case 'y':
                        o.yes = true;
                        break;
                case 'h':
                        return verb_help(&verb_init);
                case '?':
                        return verb_usage(&verb_init, NULL);
                default:
                        o.answers.items[c - OPTION_ANSWER] = optarg;
                        answers = true;
                }
        if (argc > optind)
                return verb_usage(&verb_init, "say where to with -o FILE");
        if (from && (answers || o.yes))
                return verb_usage(&verb_init, "a ready policy is copied as it is: --from goes with "
                                              "-o alone");
        return from ? copy_ready(from, o.path) : init_from_survey(&o);
}

const Verb verb_init = {
        .name = "init",
        .arguments = "[--from NAME] [-o FILE] [--yes]",
        .summary = "Begin a policy with what this host has",
        .help = help,
        .run = run,
};
