/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "cli/complaint.h"
#include "cli/kernel.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "nft/ban_table.h"
#include "nft/namespace.h"

static const char load_help[] = "Puts a policy in force in this network namespace, in one "
                                "transaction, and reads it back. What\n"
                                "is in force already is left alone, other programs' tables too. "
                                "Connections that are open stay\n"
                                "open. The namespace of process 1, the host's own, is refused: "
                                "putting a policy on a host comes\n"
                                "with the daemon.\n"
                                "\n"
                                "  -h, --help\n"
                                "\n"
                                "Exit status: 0 in force; 3 the policy is not valid; 4 not "
                                "permitted, or another program owns\n"
                                "the table; 6 the kernel refused.\n"
                                "\n"
                                "Examples:\n"
                                "  unshare -n ringwall load policy.yaml\n"
                                "  ip netns exec web ringwall load policy.yaml\n";

static const char unload_help[] =
        "Removes ringwall's table from this network namespace, which is then as open as the other\n"
        "programs' tables leave it. Where ringwalld keeps the table, it is told; otherwise the\n"
        "namespace of process 1 is refused.\n"
        "\n"
        "      --yes              really\n" REMOTE_HELP "  -h, --help\n"
        "\n"
        "Examples:\n"
        "  ip netns exec web ringwall unload --yes\n";

/* What engine_put_policy() said of a policy that is not in force; an ExitCode. */
static int refused(int error) {
        switch (error) {
        case -EPERM:
                return EXIT_NOT_PERMITTED;
        case -EBADMSG:
        case -EIO:
                return EXIT_KERNEL_REFUSED;
        }
        return EXIT_FAILED;
}

/* The kernel tells the owner's netlink port alone, by which nobody knows ringwalld. */
static bool is_kept_by_daemon(Engine *e) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Ruleset *live;

        return a && nft_read(e->link, a, &live) == 0 && live->owner != 0 && remote_is_there(NULL);
}

static int load(const char *file) {
        _cleanup_(input_done) Input input = {.of_root = true, .unadvised = true};
        _cleanup_(arena_freep) Arena *said = arena_new(0);
        _cleanup_(engine_close) Engine e = {0};
        Diag *d = said ? diag_new(said) : NULL;
        const char *name;
        int r = kernel_refuse_host("load");

        if (r == EXIT_OK && !d)
                r = input_failed(-ENOMEM, "loading the policy");
        if (r == EXIT_OK)
                r = kernel_open_engine(&e);
        if (r == EXIT_OK)
                r = input_load(&input, file);
        if (r == EXIT_OK)
                r = input_compile_loaded(&input, NULL, &e.features);
        if (r != EXIT_OK)
                return r;
        name = input.policy->file;
        r = engine_put_policy(&e, &input.arena, input.policy, input.ruleset, d);
        if (r == -EPERM && is_kept_by_daemon(&e)) {
                complain("load", "ringwalld keeps ringwall's table here, and nobody else can "
                                 "change it: nothing has changed");
                complain_hint("ringwall apply puts a policy in force");
                return EXIT_NOT_PERMITTED;
        }
        complain_diag(d);
        if (r < 0)
                return refused(r);
        if (e.changes.messages == 0)
                printf("%s was in force already: nothing changed\n", name);
        else
                printf("%s is in force in this network namespace\n", name);
        return EXIT_OK;
}

static int run_load(int argc, char **argv) {
        static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                return c == 'h' ? verb_help(&verb_load) : verb_usage(&verb_load, NULL);
        if (argc - optind > 1)
                return verb_usage(&verb_load, "one FILE at a time");
        return load(argv[optind]);
}

/* Those of a daemon that does not run. */
static int remove_bans(NftLink *link) {
        _cleanup_(ban_table_freep) BanTable *bans = ban_table_new(link);

        return bans ? ban_table_remove(bans) : -ENOMEM;
}

/* A host's own rules are the daemon's to take away; where it cannot be started, nft does it. */
static int refuse_host(void) {
        int r = namespace_is_init();

        if (r <= 0)
                return r == 0 ? EXIT_OK : kernel_refuse_host("unload");
        complain("unload", "no ringwalld runs here, and what is in force on a host is taken out by "
                           "it; nothing has been changed");
        complain_hint("systemctl start ringwalld, and again; or, to open this host without it: nft "
                      "delete table inet " RULESET_TABLE "; nft delete table inet " BAN_TABLE);
        return EXIT_NOT_PERMITTED;
}

static int unload(void) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *d = a ? diag_new(a) : NULL;
        bool was_there;
        int r = d ? refuse_host() : EXIT_FAILED;

        if (r == EXIT_OK)
                r = kernel_open(&link);
        if (r != EXIT_OK)
                return r;
        r = nft_delete(link, &was_there, d);
        if (r == 0)
                r = remove_bans(link);
        complain_diag(d);
        if (r == -EPERM)
                return EXIT_NOT_PERMITTED;
        if (r < 0)
                return r == -EBADMSG ? EXIT_KERNEL_REFUSED : input_failed(r, "cannot unload");
        puts(was_there ? "ringwall's table is gone: this network namespace is no longer protected "
                         "by it"
                       : "nothing was loaded: nothing changed");
        return EXIT_OK;
}

/* Where a daemon keeps the table, it has to know. */
static int unload_daemon(const char *runtime_dir) {
        json_t *reply = NULL;
        int r = remote_call("unload", runtime_dir, "Unload", NULL, &reply);

        json_decref(reply);
        if (r == EXIT_OK)
                puts("ringwall's table is gone: this host is open until something is applied, or "
                     "ringwalld starts again");
        return r;
}

static int run_unload(int argc, char **argv) {
        static const struct option options[] = {
                {"yes", no_argument, NULL, 'y'},
                {"help", no_argument, NULL, 'h'},
                REMOTE_OPTION,
                {0},
        };
        const char *runtime_dir = NULL;
        bool yes = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'y':
                        yes = true;
                        break;
                case 'R':
                        runtime_dir = optarg;
                        break;
                case 'h':
                        return verb_help(&verb_unload);
                default:
                        return verb_usage(&verb_unload, NULL);
                }
        if (argc > optind)
                return verb_usage(&verb_unload, "it takes no FILE");
        if (!yes)
                return verb_usage(&verb_unload,
                                  "this opens the network namespace; if you mean it, say --yes");
        if (remote_is_there(runtime_dir))
                return unload_daemon(runtime_dir);
        return unload();
}

const Verb verb_load = {
        .name = "load",
        .arguments = "[FILE]",
        .summary = "Put a policy in force in this network namespace",
        .help = load_help,
        .run = run_load,
};

const Verb verb_unload = {
        .name = "unload",
        .arguments = "--yes",
        .summary = "Take the policy out of force here",
        .help = unload_help,
        .run = run_unload,
};
