/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <syslog.h>
#include <time.h>

#include "base/text.h"
#include "notify/channel.h"
#include "notify/follow.h"
#include "notify/message.h"
#include "notify/run.h"
#include "notify/webhook.h"

/* Runs as a user of its own without any capability, who may ask ringwalld what happened (its group)
 * and speak with a network; ringwalld does neither start programs nor speak with a network. */

#define STATE_DIR "/var/lib/ringwall-notify"
#define RUNTIME_DIR "/run/ringwall"
#define WAIT_MAX_MSEC 3600000

typedef struct Notify {
        Follow follow;
        Channel run, webhook;
        Run running;
        Webhook posting;
        char host[256];
        int folder, signals;
        bool is_stopping, has_events;
} Notify;

static const char help[] =
        "Tells of events: runs a program and posts to a URL as the policy's settings.alerts say.\n"
        "\n"
        "Usage: ringwall-notify [OPTIONS]\n"
        "\n"
        "      --state-dir DIR    how far it has come (" STATE_DIR ")\n"
        "      --runtime-dir DIR  of ringwalld's control socket (" RUNTIME_DIR ")\n"
        "      --timeout SECONDS  that a program or a URL may take (30 and 20)\n"
        "  -h, --help\n"
        "      --version\n"
        "\n"
        "See ringwall-notify(8).\n";

static uint64_t now(void) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* ---- what happens */

static int ask_targets(Notify *n) {
        FollowTargets targets = {0};
        int r = follow_find_targets(&n->follow, &targets);

        if (r < 0)
                return r;
        channel_set_target(&n->run, targets.run);
        channel_set_target(&n->webhook, targets.webhook);
        return 0;
}

static void take_event(const Alert *alert, void *to) {
        Notify *n = to;

        /* an event may have changed who is told; in the middle of others the latest word counts */
        if (!n->has_events)
                (void)ask_targets(n);
        n->has_events = true;
        alert_queue_add(&n->run.queue, alert, n->run.target != NULL);
        alert_queue_add(&n->webhook.queue, alert, n->webhook.target != NULL);
}

static void connect_to_daemon(Notify *n) {
        uint64_t last;

        if (now() < n->follow.retry_usec || follow_find_last(&n->follow, &last) < 0 ||
            ask_targets(n) < 0)
                return;
        channel_begin(&n->run, last);
        channel_begin(&n->webhook, last);
        (void)follow_open(&n->follow, MIN(n->run.queue.received, n->webhook.queue.received));
}

static void read_events(Notify *n) {
        if (!n->follow.client)
                connect_to_daemon(n);
        n->has_events = false;
        if (n->follow.client)
                (void)follow_read(&n->follow, take_event, n); /* it says itself what is wrong */
}

/* ---- what is done about it */

static void start_run(Notify *n) {
        const Alert *alert = n->run.target ? alert_queue_next(&n->run.queue, now()) : NULL;
        _cleanup_free_ char *message = alert ? message_make(alert, n->host) : NULL;
        int r;

        if (!alert)
                return;
        r = message ? run_start(&n->running, n->run.target, message, now()) : -ENOMEM;
        if (r == 0)
                return;
        channel_report(&n->run, strerror(-r));
        alert_queue_finish(&n->run.queue, ALERT_DONE, now());
}

static void end_run(Notify *n) {
        char failure[RUN_FAILURE_MAX];

        run_watch(&n->running, now());
        if (!run_reap(&n->running, failure))
                return;
        /* what the program has done before it failed is not known: it is not asked again */
        channel_report(&n->run, *failure ? failure : NULL);
        alert_queue_finish(&n->run.queue, ALERT_DONE, now());
}

static void start_post(Notify *n) {
        const Alert *alert = n->webhook.target ? alert_queue_next(&n->webhook.queue, now()) : NULL;
        _cleanup_free_ char *message = alert ? message_make(alert, n->host) : NULL;
        int r;

        if (!alert)
                return;
        r = message ? webhook_start(&n->posting, n->webhook.target, message) : -ENOMEM;
        if (r == 0)
                return;
        channel_report(&n->webhook, strerror(-r));
        alert_queue_finish(&n->webhook.queue, ALERT_RETRY, now());
}

static void end_post(Notify *n) {
        char failure[WEBHOOK_FAILURE_MAX];
        WebhookResult result = webhook_finish(&n->posting, failure);

        if (result == WEBHOOK_WAITS)
                return;
        channel_report(&n->webhook, result == WEBHOOK_DELIVERED ? NULL : failure);
        alert_queue_finish(&n->webhook.queue, result == WEBHOOK_FAILED ? ALERT_RETRY : ALERT_DONE,
                           now());
}

/* ---- the loop */

static int time_left(const Notify *n) {
        uint64_t due = UINT64_MAX, at = now(), left;

        due = MIN(due, n->follow.client ? UINT64_MAX : n->follow.retry_usec);
        due = MIN(due, n->running.pid > 0 ? n->running.due_usec : UINT64_MAX);
        if (n->run.target) {
                uint64_t run = alert_queue_due(&n->run.queue);

                due = MIN(due, run);
        }
        if (n->webhook.target) {
                uint64_t webhook = alert_queue_due(&n->webhook.queue);

                due = MIN(due, webhook);
        }
        left = due > at ? due - at : 0;
        return (int)MIN(left / 1000 + (left > 0), (uint64_t)WAIT_MAX_MSEC);
}

static int wait_for_something(Notify *n) {
        struct curl_waitfd fds[2] = {{.fd = n->signals, .events = CURL_WAIT_POLLIN}};
        unsigned int n_fds = 1;

        if (n->follow.client)
                fds[n_fds++] = (struct curl_waitfd){.fd = rpc_client_fd(n->follow.client),
                                                    .events = CURL_WAIT_POLLIN};
        return curl_multi_poll(n->posting.multi, fds, n_fds, time_left(n), NULL) == CURLM_OK
                       ? 0
                       : -ENOMEM;
}

static void read_signals(Notify *n) {
        struct signalfd_siginfo si;

        while (read(n->signals, &si, sizeof(si)) == sizeof(si))
                if (si.ssi_signo != SIGCHLD)
                        n->is_stopping = true;
}

static int loop(Notify *n) {
        int r = 0;

        while (r == 0 && !n->is_stopping) {
                read_events(n);
                end_run(n);
                end_post(n);
                start_run(n);
                start_post(n);
                end_post(n); /* starts to speak */
                channel_save(&n->run, n->folder);
                channel_save(&n->webhook, n->folder);
                r = wait_for_something(n);
                read_signals(n);
        }
        return r;
}

static int run(Notify *n, const char *state_dir) {
        sigset_t signals;
        int r;

        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGTERM);
        (void)sigaddset(&signals, SIGINT);
        (void)sigaddset(&signals, SIGCHLD);
        (void)sigprocmask(SIG_BLOCK, &signals, NULL);
        (void)signal(SIGPIPE, SIG_IGN);
        n->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        n->folder = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (n->signals < 0 || n->folder < 0) {
                r = -errno;
                fprintf(stderr, "ringwall-notify: cannot start: %s: %s\n", state_dir, strerror(-r));
                return r;
        }
        channel_open(&n->run, n->folder);
        channel_open(&n->webhook, n->folder);
        (void)gethostname(n->host, sizeof(n->host) - 1);
        r = webhook_init(&n->posting);
        if (r == 0)
                r = loop(n);
        run_stop(&n->running);
        webhook_done(&n->posting);
        follow_close(&n->follow);
        channel_set_target(&n->run, NULL);
        channel_set_target(&n->webhook, NULL);
        return r;
}

static int usage(const char *problem) {
        if (problem)
                fprintf(stderr, "ringwall-notify: %s\n", problem);
        fputs("Try 'ringwall-notify --help'.\n", stderr);
        return 2;
}

static int run_in(Notify *n, const char *state_dir, const char *runtime_dir) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);

        n->follow.path = a ? arena_printf(a, "%s/%s", runtime_dir, RPC_INTERFACE) : NULL;
        return n->follow.path && run(n, state_dir) == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                {"state-dir", required_argument, NULL, 's'},
                {"runtime-dir", required_argument, NULL, 'r'},
                {"timeout", required_argument, NULL, 't'},
                {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, 'V'},
                {0},
        };
        static Notify n = {.run.name = "run", .webhook.name = "webhook"};
        const char *state_dir = STATE_DIR, *runtime_dir = RUNTIME_DIR;
        uint64_t seconds;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 's':
                        state_dir = optarg;
                        break;
                case 'r':
                        runtime_dir = optarg;
                        break;
                case 't':
                        if (!text_to_number(optarg, 1, 600, &seconds))
                                return usage("--timeout takes 1 to 600");
                        n.running.limit_usec = n.posting.limit_usec = seconds * 1000000;
                        break;
                case 'h':
                        fputs(help, stdout);
                        return 0;
                case 'V':
                        puts("ringwall-notify " RINGWALL_VERSION);
                        return 0;
                default:
                        return usage(NULL);
                }
        if (optind < argc)
                return usage("it takes options only");
        return run_in(&n, state_dir, runtime_dir);
}
