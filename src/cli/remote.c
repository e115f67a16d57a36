/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/remote.h"

#include <poll.h>
#include <pwd.h>

#include "cli/output.h"
#include "host/starts.h"
#include "rpc/client.h"
#include "rpc/socket.h"

#define TIMEOUT_USEC ((uint64_t)60 * 1000000) /* a large policy takes its time */

/* Which error of the interface is which exit code; others are EXIT_FAILED. */
static const struct {
        const char *error;
        ExitCode code;
} codes[] = {
        {RPC_INTERFACE ".PolicyInvalid", EXIT_INVALID},
        {RPC_INTERFACE ".WouldLockOut", EXIT_LOCKED_OUT},
        {RPC_INTERFACE ".KernelRefused", EXIT_KERNEL_REFUSED},
        {RPC_INTERFACE ".SameConnection", EXIT_AWAITING},
        {RPC_INTERFACE ".BanInvalid", EXIT_USAGE},
        {RPC_INTERFACE ".BanRefused", EXIT_LOCKED_OUT},
};

static int code_of(const char *error) {
        for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
                if (streq(codes[i].error, error))
                        return codes[i].code;
        return EXIT_FAILED;
}

static const char *text_of(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

/* The policy's mistakes, one a line, as check prints them but for the source line. */
static bool print_mistakes(const json_t *parameters) {
        const json_t *list = json_object_get(parameters, "messages");
        bool printed = false;

        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *m = json_array_get(list, i);
                json_int_t line = json_integer_value(json_object_get(m, "line"));

                if (line == 0 && *text_of(m, "file"))
                        fprintf(stderr, "%s: ", text_of(m, "file"));
                if (line > 0)
                        fprintf(stderr, "%s:%lld:%lld: ", text_of(m, "file"), (long long)line,
                                (long long)json_integer_value(json_object_get(m, "column")));
                fprintf(stderr, "%s: %s\n", text_of(m, "severity"), text_of(m, "message"));
                if (*text_of(m, "hint"))
                        fprintf(stderr, "  hint: %s\n", text_of(m, "hint"));
                printed |= streq(text_of(m, "severity"), "error");
        }
        return printed;
}

/* What people ask for is a command, and not a method. */
static int report_permission(const char *verb, const char *method) {
        static const char *const readers[] = {"Status", "History", "Alerts",
                                              "Events", "Drops",   "Bans"};
        const struct passwd *user = getpwuid(geteuid());
        bool reads = false;

        for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
                reads |= streq(readers[i], method);
        fprintf(stderr, "ringwall %s: %s\n  hint: sudo ringwall %s ...", verb,
                reads ? "only root and members of the group '" RPC_GROUP_NAME "'"
                        " may see what ringwalld does"
                      : "only root may change what is in force",
                verb);
        if (reads)
                fprintf(stderr,
                        "; or let the user in, who then logs in again: sudo usermod "
                        "-aG " RPC_GROUP_NAME " %s",
                        user ? user->pw_name : "NAME");
        fputc('\n', stderr);
        return EXIT_NOT_PERMITTED;
}

static int report(const char *verb, const char *method, const RpcAnswer *answer, const Diag *d) {
        if (streq(answer->error, RPC_PERMISSION_DENIED))
                return report_permission(verb, method);
        if (!print_mistakes(answer->parameters)) {
                const DiagMessage *m = d->n_messages > 0 ? &d->messages[0] : NULL;

                fprintf(stderr, "ringwall %s: %s\n", verb, m ? m->text : answer->error);
                if (m && m->hint)
                        fprintf(stderr, "  hint: %s\n", m->hint);
        }
        return code_of(answer->error);
}

const char *remote_folder(const char *runtime_dir) {
        const char *given = secure_getenv("RINGWALL_RUNTIME_DIR");

        if (runtime_dir)
                return runtime_dir;
        return given && *given ? given : STARTS_FOLDER;
}

static const char *runtime_path(Arena *a, const char *runtime_dir, const char *name) {
        return arena_printf(a, "%s/%s", remote_folder(runtime_dir), name);
}

/* The socket's path; NULL without memory. */
static const char *socket_path(Arena *a, const char *runtime_dir) {
        return runtime_path(a, runtime_dir, RPC_INTERFACE);
}

bool remote_option(int c, const char *argument, RemoteOptions *ret) {
        switch (c) {
        case 'c':
                ret->has_console = true;
                return true;
        case 'R':
                ret->runtime_dir = argument;
                return true;
        case 'j':
                ret->json = true;
                return true;
        default:
                return false;
        }
}

bool remote_is_there(const char *runtime_dir) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const char *path = a ? socket_path(a, runtime_dir) : NULL;
        int fd = path ? rpc_socket_connect(path, TIMEOUT_USEC) : -ENOMEM;

        if (fd >= 0)
                (void)close(fd); /* nothing was said */
        return fd >= 0;
}

/* Whether nobody answers because systemd lets it wait. */
static bool is_started_late(Arena *a, const char *runtime_dir) {
        const char *path = a ? runtime_path(a, runtime_dir, STARTS_FILE) : NULL;
        Starts s;

        return path && starts_read(path, &s) && starts_are_late(&s, starts_now());
}

/* Why there was no answer. */
static int
report_failure(const char *verb, Arena *a, const char *runtime_dir, int r, const Diag *d) {
        const char *hint = d && d->n_messages > 0 ? d->messages[0].hint : NULL;

        if (rpc_is_absent(r) && is_started_late(a, runtime_dir))
                hint = "ringwalld ends again and again, and is started once more within seconds: "
                       "journalctl -u ringwalld";
        fprintf(stderr, "ringwall %s: %s\n", verb,
                d && d->n_messages > 0 ? d->messages[0].text : strerror(-r));
        if (hint)
                fprintf(stderr, "  hint: %s\n", hint);
        if (r == -EACCES)
                return EXIT_NOT_PERMITTED;
        /* one that does not answer is as good as none */
        return rpc_is_absent(r) || r == -ETIMEDOUT || r == -ECONNRESET ? EXIT_NO_DAEMON
                                                                       : EXIT_FAILED;
}

/* When a connection was made is known to a tick of the kernel's (10 ms), and one of the change's
 * own tick is not taken for new: whoever connects once this program has ended is. */
#define TICK_USEC 20000

static void let_tick_pass(const json_t *reply) {
        if (json_is_true(json_object_get(reply, "awaitsConfirmation")))
                (void)usleep(TICK_USEC);
}

int remote_call(const char *verb,
                const char *runtime_dir,
                const char *method,
                json_t *parameters,
                json_t **ret) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const char *path, *name;
        Diag *d = a ? diag_new(a) : NULL;
        RpcAnswer answer = {0};
        int r, code = EXIT_OK;

        path = d ? socket_path(a, runtime_dir) : NULL;
        name = path ? arena_printf(a, "%s.%s", RPC_INTERFACE, method) : NULL;
        r = name ? rpc_call(path, name, parameters, TIMEOUT_USEC, &answer, d) : -ENOMEM;
        json_decref(parameters);
        if (r < 0)
                return report_failure(verb, a, runtime_dir, r, d);
        if (r == 1) {
                code = report(verb, method, &answer, d);
        } else {
                let_tick_pass(answer.parameters);
                *ret = json_incref(answer.parameters);
        }
        rpc_answer_done(&answer);
        return code;
}

int remote_ask(const char *runtime_dir, const char *method, uint64_t timeout_usec, json_t **ret) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *d = a ? diag_new(a) : NULL;
        const char *path = d ? socket_path(a, runtime_dir) : NULL;
        const char *name = path ? arena_printf(a, "%s.%s", RPC_INTERFACE, method) : NULL;
        RpcAnswer answer = {0};
        int r = name ? rpc_call(path, name, NULL, timeout_usec, &answer, d) : -ENOMEM;

        if (r == 0)
                *ret = json_incref(answer.parameters);
        rpc_answer_done(&answer);
        return r > 0 ? -EPROTO : r;
}

/* As rpc_client_next(), however long that takes; 2: nobody reads along any more. *ret_d: what is
 * told of the failure, and not of the waiting before. */
static int next(RpcClient *client, Arena *a, RpcAnswer *ret, Diag **ret_d) {
        struct pollfd fds[] = {
                {.fd = rpc_client_fd(client), .events = POLLIN},
                {.fd = STDOUT_FILENO}, /* a pipe whose reader is gone */
        };
        int r;

        for (;;) {
                *ret_d = diag_new(a);
                r = *ret_d ? rpc_client_next(client, 0, ret, *ret_d) : -ENOMEM;
                if (r != -ETIMEDOUT)
                        return r;
                if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
                        return -errno;
                if (fds[1].revents != 0)
                        return 2;
        }
}

/* One answer. An ExitCode; *ret_wanted: whether there is to be another one. */
static int follow_once(const char *verb,
                       const char *method,
                       RpcClient *client,
                       bool (*take)(json_t *answer, void *to),
                       void *to,
                       bool *ret_wanted) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *d = NULL;
        RpcAnswer answer = {0};
        int r = a ? next(client, a, &answer, &d) : -ENOMEM, code = EXIT_OK;

        *ret_wanted = false;
        if (r < 0)
                return report_failure(verb, NULL, NULL, r, d);
        if (r == 1)
                code = report(verb, method, &answer, d);
        else if (r == 0)
                *ret_wanted = take(answer.parameters, to) && answer.continues;
        rpc_answer_done(&answer);
        return code;
}

int remote_follow(const char *verb,
                  const char *runtime_dir,
                  const char *method,
                  json_t *parameters,
                  bool (*take)(json_t *answer, void *to),
                  void *to) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        _cleanup_(rpc_client_closep) RpcClient *client = NULL;
        Diag *d = a ? diag_new(a) : NULL;
        const char *path = d ? socket_path(a, runtime_dir) : NULL;
        const char *name = path ? arena_printf(a, "%s.%s", RPC_INTERFACE, method) : NULL;
        int r = name ? rpc_client_open(path, TIMEOUT_USEC, &client, d) : -ENOMEM, code = EXIT_OK;
        bool wanted = true;

        if (r == 0)
                r = rpc_client_send(client, name, parameters, RPC_SEND_MORE, TIMEOUT_USEC, d);
        json_decref(parameters);
        if (r < 0)
                return report_failure(verb, a, runtime_dir, r, d);
        while (code == EXIT_OK && wanted)
                code = follow_once(verb, method, client, take, to, &wanted);
        return code;
}
