/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <syslog.h>

#include "daemon/change.h"
#include "daemon/daemon.h"
#include "guard/lockdown.h"
#include "policy/datadir.h"

/* Runs as root with CAP_NET_ADMIN alone (and what finding the caller's way in needs: to look into
 * other processes). It starts no program (a proof is made by a copy of itself, which
 * ends with it, see claims.c), opens no network socket and reads no log. What it does to
 * the kernel it does through one netlink socket. */

typedef struct DaemonService {
        const char *name;
        int (*start)(Daemon *d);
        void (*stop)(Daemon *d);
} DaemonService;

/* In this order: nobody is answered before something is in force. */
static const DaemonService services[] = {
        {"events", events_start, events_stop},    {"drift", drift_start, drift_stop},
        {"policy", change_start, change_stop},    {"bans", bans_start, bans_stop},
        {"links", links_start, links_stop},       {"logs", logs_start, logs_stop},
        {"refused", refused_start, refused_stop}, {"claims", claims_start, claims_stop},
        {"socket", methods_start, methods_stop},  {"outlook", outlook_start, outlook_stop},
};

static const char help[] =
        "Keeps a policy in force on this host, or in this network namespace.\n"
        "\n"
        "Usage: ringwalld [OPTIONS]\n"
        "\n"
        "Without --policy it puts in force what was confirmed last, and waits for `ringwall "
        "apply`.\n"
        "\n"
        "      --lockdown[=if-open]\n"
        "                         close everything but the way in of those who may rescue, and "
        "end;\n"
        "                         if-open: unless something is in force\n"
        "      --policy FILE      put this policy in force at start\n"
        "      --state-dir DIR    what is confirmed, and its history (" STORE_FOLDER ")\n"
        "      --runtime-dir DIR  the control socket (" DAEMON_RUNTIME_DIR ")\n"
        "      --describe         print the control socket's interface, and end\n"
        "  -h, --help\n"
        "      --version\n"
        "\n"
        "Stopped, it leaves its rules in place: `ringwall unload --yes` takes them away.\n"
        "See ringwalld(8).\n";

static int on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        absence_begin(userdata, (pid_t)si->ssi_pid);
        return sd_event_exit(sd_event_source_get_event(s), 0);
}

static int on_reload(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Daemon *d = userdata;

        (void)turn_tell(d, MANAGER_STATE, -1, "RELOADING=1");
        (void)request_reload(d, NULL, NULL, NULL); /* it says itself what went wrong */
        (void)turn_tell(d, MANAGER_STATE, -1, "READY=1");
        return 0;
}

static int add_signals(Daemon *d) {
        static const struct {
                int number;
                sd_event_signal_handler_t handler;
        } rows[] = {{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                int r = sd_event_add_signal(d->event, NULL,
                                            rows[i].number | SD_EVENT_SIGNAL_PROCMASK,
                                            rows[i].handler, d);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int run_services(Daemon *d) {
        size_t n = 0;
        int r = 0;

        for (; n < ARRAY_SIZE(services); n++) {
                r = services[n].start(d);
                if (r < 0) {
                        daemon_say(d, LOG_ERR, "cannot start (%s): %s", services[n].name,
                                   strerror(-r));
                        break;
                }
        }
        if (r >= 0)
                r = turn_start(d);
        if (r >= 0) {
                (void)turn_tell(d, MANAGER_STATE, -1, "READY=1\nSTATUS=%s", change_status(d));
                r = sd_event_loop(d->event);
                (void)turn_tell(d, MANAGER_STATE, -1, "STOPPING=1");
        }
        while (n > 0)
                services[--n].stop(d);
        return r;
}

static int make_folder(const char *path, mode_t mode) {
        if (mkdir(path, mode) == 0 || errno == EEXIST)
                return 0;
        fprintf(stderr, "ringwalld: cannot make the folder %s: %s\n", path, strerror(errno));
        return -errno;
}

static int run(Daemon *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        int r;

        if (!a)
                return -ENOMEM;

        /* another root process could otherwise take our socket, and with it the table */
        (void)prctl(PR_SET_DUMPABLE, 0);
        (void)signal(SIGPIPE, SIG_IGN); /* whoever read what it says may have gone */
        ban_settings_init(&d->ban_rules.rules);
        if (make_folder(d->state_dir, 0700) < 0 || make_folder(d->runtime_dir, 0755) < 0)
                return -EIO;
        d->catalogue = arena_printf(a, "%s/catalogue.yaml", datadir_find(a));
        if (!d->catalogue)
                return -ENOMEM;
        r = sd_event_new(&d->event);
        if (r >= 0)
                r = add_signals(d);
        if (r >= 0)
                r = park_open(d);
        d->engine.reports_refused = true;
        if (r >= 0)
                nft_link_set_progress(d->engine.link, turn_step, d);
        if (r < 0) {
                fprintf(stderr, "ringwalld: cannot start: %s\n", strerror(-r));
                return r;
        }
        (void)starts_read(arena_printf(a, "%s/" STARTS_FILE, d->runtime_dir), &d->starts);
        (void)links_open(d); /* if it cannot be, links_start() says so */
        r = run_services(d);
        turn_stop(d);
        engine_close(&d->engine);
        d->event = sd_event_unref(d->event);
        return r;
}

static int lockdown_put(Engine *e, Store *store, Arena **rules, Diag *d) {
        Ruleset *rs;
        int r;

        *rules = arena_free(*rules);
        *rules = arena_new(0);
        r = *rules ? lockdown_make(store, &e->features, *rules, &rs, d) : -ENOMEM;
        return r == 0 ? engine_put_ruleset(e, rules, rs, d) : r;
}

/* What was confirmed cannot be read. Without the folder nothing was, unless it is on a file system
 * that could not be mounted: then the policy that stands elsewhere is the only trace. */
static bool may_be_armed(const Daemon *d, int error, bool if_open) {
        return error != -ENOENT || (if_open && access(d->policy_file, F_OK) == 0);
}

/* --lockdown: closes, and ends. What systemd calls when the daemon cannot start. Before the first
 * confirmation there is nothing to close for. */
static int run_lockdown(Daemon *d, bool if_open) {
        _cleanup_(arena_freep) Arena *a = arena_new(0), *rules = NULL;
        _cleanup_(engine_close) Engine e = {0};
        _cleanup_(store_closep) Store *store = NULL;
        ConfirmFound found = {0};
        int r;

        d->diag = a ? diag_new(a) : NULL;
        if (!d->diag)
                return -ENOMEM;
        r = store_open(d->state_dir, STORE_READ, &store, d->diag);
        if (r == 0)
                r = store_find(store, &found, d->diag);
        if (r == 0 ? !found.armed : !may_be_armed(d, r, if_open))
                return 0;
        /* what cannot be read may hold what was confirmed: closed, and nobody is known to rescue */
        if (r < 0)
                store = store_close(store);
        r = engine_open(&e);
        e.owner = ENGINE_OWNER_LEAVE; /* the daemon adopts it once it runs */
        /* what cannot be read may be open */
        if (r == 0 && if_open && engine_is_open(&e) == 0)
                return 0;
        if (r == 0)
                r = lockdown_put(&e, store, &rules, d->diag);
        if (r == -EBADMSG && engine_learn(&e))
                r = lockdown_put(&e, store, &rules, d->diag);
        daemon_say_all(d, d->diag);
        if (r == 0)
                daemon_say(d, LOG_CRIT, "in force: the lockdown");
        else
                daemon_say(d, LOG_CRIT, "the lockdown cannot be put in force: %s", strerror(-r));
        return r;
}

static int usage(const char *problem) {
        if (problem)
                fprintf(stderr, "ringwalld: %s\n", problem);
        fputs("Try 'ringwalld --help'.\n", stderr);
        return 2;
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                {"lockdown", optional_argument, NULL, 'l'},
                {"policy", required_argument, NULL, 'p'},
                {"state-dir", required_argument, NULL, 's'},
                {"runtime-dir", required_argument, NULL, 'r'},
                {"describe", no_argument, NULL, 'd'},
                {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, 'V'},
                {0},
        };
        static Daemon d = {
                .policy_file = DAEMON_POLICY_FILE,
                .state_dir = STORE_FOLDER,
                .runtime_dir = DAEMON_RUNTIME_DIR,
                .log_fd = -1,
                .sample_fd = -1,
                .watch_fd = -1,
                .drift.watch.fd = -1,
                .turn.manager = {.blocked = -1},
                .log_file.folder = -1,
        };
        bool lockdown = false, if_open = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'p':
                        d.policy_file = optarg;
                        d.standalone = true;
                        break;
                case 'l':
                        if (optarg && !streq(optarg, "if-open"))
                                return usage("--lockdown takes nothing, or if-open");
                        lockdown = true;
                        if_open = optarg != NULL;
                        break;
                case 's':
                        d.state_dir = optarg;
                        break;
                case 'r':
                        d.runtime_dir = optarg;
                        break;
                case 'd':
                        return methods_describe(stdout) < 0 ? 1 : 0;
                case 'h':
                        fputs(help, stdout);
                        return 0;
                case 'V':
                        puts("ringwalld " RINGWALL_VERSION);
                        return 0;
                default:
                        return usage(NULL);
                }
        if (optind < argc)
                return usage("it takes options only");
        return (lockdown ? run_lockdown(&d, if_open) : run(&d)) < 0 ? 1 : 0;
}
