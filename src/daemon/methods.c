/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>

#include "daemon/bans.h"
#include "daemon/change.h"
#include "daemon/methods_bans.h"
#include "rpc/socket.h"

/* The control socket's methods: what each takes, answers, and who may call it. */

// clang-format off
static const RpcField place_fields[] = {
        {"severity", RPC_STRING, 0, "error, warning or note"},
        {"file", RPC_STRING, RPC_OPTIONAL, "of the policy"},
        {"line", RPC_INT, RPC_OPTIONAL, "in it"},
        {"column", RPC_INT, RPC_OPTIONAL, "in that"},
        {"message", RPC_STRING, 0, "what is wrong"},
        {"hint", RPC_STRING, RPC_OPTIONAL, "what to do"},
        {0},
};

static const RpcField pending_fields[] = {
        {"number", RPC_INT, 0, "of the change that waits"},
        {"seconds", RPC_INT, 0, "until it is undone"},
        {0},
};

static const RpcField event_fields[] = {
        {"time", RPC_INT, 0, "microseconds since 1970"},
        {"text", RPC_STRING, 0, "what happened"},
        {0},
};

static const RpcField drift_fields[] = {
        {"seen", RPC_INT, 0, "changes of the rules by other programs, since ringwalld was started"},
        {"undone", RPC_INT, 0, "of these"},
        {"longest", RPC_INT, 0, "microseconds for which one of these could let something in"},
        {"shut", RPC_BOOL, 0, "others change them without end, or own the table: until that stops, only those who may rescue come in, or"},
        {"kept", RPC_BOOL, 0, "whom the rules admit: they stand in a table, inet ringwall_shut, that nobody else can change"},
        {"times", RPC_INT, 0, "how often that was so"},
        {0},
};

static const RpcField panic_fields[] = {
        {"seconds", RPC_INT, 0, "until it ends; 0: on demand"},
        {0},
};

static const RpcField claim_fields[] = {
        {"claim", RPC_STRING, 0, "the policy's line, or whose way in it is"},
        {"answer", RPC_STRING, 0, "refuted: it does not hold; undecided: nobody knows"},
        {"since", RPC_INT, 0, "microseconds since 1970: when that was noticed"},
        {"why", RPC_STRING, 0, "a packet, whose rule lets it in or refuses it, and how to take that out; or what it hangs on"},
        {0},
};

static const RpcField claims_fields[] = {
        {"known", RPC_BOOL, 0, "they have been proved since ringwalld was started, and can be now"},
        {"count", RPC_INT, 0, "claims of what is in force, and ways in of those connected now"},
        {"proved", RPC_INT, 0, "microseconds since 1970: when the last proof began; 0: none has been made"},
        {"broken", RPC_OBJECT, RPC_ARRAY, "those that are not proved", .fields = claim_fields},
        {"more", RPC_INT, 0, "that are not among them, as they are too many"},
        {0},
};

static const RpcField bans_fields[] = {
        {"bans", RPC_INT, 0, "each jail's counted"},
        {"desired", RPC_INT, 0, "addresses, networks and services that are to be shut"},
        {"enforced", RPC_INT, 0, "of these, by the kernel"},
        {"suspended", RPC_BOOL, 0, "unloaded on demand: nobody is shut out"},
        {"unsaved", RPC_BOOL, 0, "some could not be written to the disk, and are in the kernel alone"},
        {0},
};

static const RpcField status_out[] = {
        {"state", RPC_STRING, 0, "closed: a policy is in force; unarmed: none has been confirmed; unloaded: on demand; "
                                 "lockdown; panic; changed: the kernel holds something else; taken: another program owns the table"},
        {"inForce", RPC_STRING, RPC_OPTIONAL, "the policy's file, if it was read back just now"},
        {"expected", RPC_STRING, RPC_OPTIONAL, "the policy's file, if it should be in force and is not"},
        {"number", RPC_INT, RPC_OPTIONAL, "of the change that brought it"},
        {"since", RPC_INT, RPC_OPTIONAL, "microseconds since 1970"},
        {"readBack", RPC_BOOL, 0, "the kernel holds just that, now"},
        {"generation", RPC_INT, RPC_OPTIONAL, "the kernel's number of its rules then; it counts every program's changes"},
        {"owned", RPC_BOOL, 0, "no other program can change it"},
        {"policyFile", RPC_STRING, 0, "what apply puts in force if it is told no file"},
        {"stateFolder", RPC_STRING, 0, "where what was applied is kept"},
        {"fileDiffers", RPC_BOOL, 0, "the policy's files say something else by now"},
        {"differingFile", RPC_STRING, RPC_OPTIONAL, "the first of them"},
        {"kernelDiffers", RPC_STRING, RPC_OPTIONAL, "what the kernel holds instead of what it should"},
        {"pending", RPC_OBJECT, RPC_OPTIONAL, "a change that has not been confirmed", .fields = pending_fields},
        {"drift", RPC_OBJECT, 0, "what other programs changed", .fields = drift_fields},
        {"claims", RPC_OBJECT, 0, "what the policy claims, whatever other programs do", .fields = claims_fields},
        {"bans", RPC_OBJECT, RPC_OPTIONAL, "who is shut out; absent: the store cannot be opened", .fields = bans_fields},
        {"panic", RPC_OBJECT, RPC_OPTIONAL, "everything is closed but the rescue path", .fields = panic_fields},
        {"startsAtBoot", RPC_BOOL, RPC_OPTIONAL, "systemd starts ringwalld at the next boot; absent: no unit is installed"},
        {"lateStarts", RPC_INT, RPC_OPTIONAL, "ringwalld has ended again and again, and had to wait so often before it was started again"},
        {"rules", RPC_INT, 0, "of the kernel's"},
        {"chains", RPC_INT, 0, "of the kernel's"},
        {"version", RPC_STRING, 0, "of ringwalld"},
        {"pid", RPC_INT, 0, "of ringwalld"},
        {"events", RPC_OBJECT, RPC_ARRAY, "the last ones, the latest first", .fields = event_fields},
        {0},
};

typedef struct ApplyIn {
        const char *file, *message;
        bool no_confirm, dry_run, has_console;
} ApplyIn;

static const RpcField apply_in[] = {
        {"file", RPC_STRING, RPC_OPTIONAL, "an absolute path; absent: the host's own policy", offsetof(ApplyIn, file)},
        {"message", RPC_STRING, RPC_OPTIONAL, "for the history", offsetof(ApplyIn, message)},
        {"noConfirm", RPC_BOOL, RPC_OPTIONAL, "take it for confirmed", offsetof(ApplyIn, no_confirm)},
        {"dryRun", RPC_BOOL, RPC_OPTIONAL, "say what would happen, and do nothing", offsetof(ApplyIn, dry_run)},
        {"hasConsole", RPC_BOOL, RPC_OPTIONAL, "go on although the caller could not come in again", offsetof(ApplyIn, has_console)},
        {0},
};

static const RpcField way_fields[] = {
        {"text", RPC_STRING, 0, "peer and port"},
        {"admitted", RPC_BOOL, 0, "a new connection would be let in"},
        {"rule", RPC_STRING, RPC_OPTIONAL, "what decides"},
        {"mine", RPC_BOOL, 0, "the caller came by it"},
        {0},
};

static const RpcField apply_out[] = {
        {"changed", RPC_BOOL, 0, "something came into force"},
        {"number", RPC_INT, RPC_OPTIONAL, "of the change"},
        {"awaitsConfirmation", RPC_BOOL, 0, "it will be undone unless confirmed"},
        {"seconds", RPC_INT, RPC_OPTIONAL, "until then"},
        {"file", RPC_STRING, 0, "the policy's"},
        {"ways", RPC_OBJECT, RPC_ARRAY, "open connections to sshd, and whether each could be made anew", .fields = way_fields},
        {"messages", RPC_OBJECT, RPC_ARRAY, "warnings and notes about the policy", .fields = place_fields},
        {"cut", RPC_INT, RPC_OPTIONAL, "connections that were cut, if it is confirmed already"},
        {"notCut", RPC_STRING, RPC_OPTIONAL, "which may be left, and why"},
        {0},
};

typedef struct ConfirmIn {
        bool same_connection;
} ConfirmIn;

static const RpcField confirm_in[] = {
        {"sameConnection", RPC_BOOL, RPC_OPTIONAL, "although the caller came before the change", offsetof(ConfirmIn, same_connection)},
        {0},
};

static const RpcField confirm_out[] = {
        {"number", RPC_INT, 0, "of the change"},
        {"cut", RPC_INT, 0, "open connections that it does not admit, and were cut"},
        {"notCut", RPC_STRING, RPC_OPTIONAL, "which may be left, and why"},
        {0},
};

typedef struct RollbackIn {
        int64_t number;
        bool has_console;
} RollbackIn;

static const RpcField rollback_in[] = {
        {"number", RPC_INT, RPC_OPTIONAL, "of the change to go back to; absent: undo what waits, or else the last one", offsetof(RollbackIn, number), .min = 0, .max = UINT32_MAX},
        {"hasConsole", RPC_BOOL, RPC_OPTIONAL, "go on although the caller could not come in again", offsetof(RollbackIn, has_console)},
        {0},
};

static const RpcField rollback_out[] = {
        {"number", RPC_INT, RPC_OPTIONAL, "of what is in force now; absent: nothing is"},
        {"awaitsConfirmation", RPC_BOOL, 0, "a change of its own, which wants to be confirmed"},
        {"seconds", RPC_INT, RPC_OPTIONAL, "until then"},
        {0},
};

static const RpcField entry_fields[] = {
        {"number", RPC_INT, 0, "which it is called by"},
        {"time", RPC_INT, 0, "microseconds since 1970"},
        {"user", RPC_STRING, RPC_OPTIONAL, "who"},
        {"peer", RPC_STRING, RPC_OPTIONAL, "from where"},
        {"message", RPC_STRING, RPC_OPTIONAL, "why"},
        {"file", RPC_STRING, RPC_OPTIONAL, "the policy's"},
        {"state", RPC_STRING, 0, "in force; expected: it should be, but the kernel holds something else; pending, confirmed, undone, damaged"},
        {0},
};

static const RpcField history_out[] = {
        {"entries", RPC_OBJECT, RPC_ARRAY, "the latest first", .fields = entry_fields},
        {0},
};

static const RpcField panic_in[] = {
        {"on", RPC_BOOL, 0, "or off", offsetof(PanicRequest, on)},
        {"seconds", RPC_INT, RPC_OPTIONAL, "until it ends by itself; absent: on demand alone", offsetof(PanicRequest, seconds), .min = 1, .max = 31536000},
        {"hasConsole", RPC_BOOL, RPC_OPTIONAL, "go on although the caller could not come in again", offsetof(PanicRequest, has_console)},
        {0},
};

static const RpcField panic_out[] = {
        {"on", RPC_BOOL, 0, "what is so now"},
        {"cut", RPC_INT, RPC_OPTIONAL, "open connections that were cut"},
        {"ways", RPC_OBJECT, RPC_ARRAY | RPC_OPTIONAL, "open connections to sshd, and whether each could be made anew", .fields = way_fields},
        {"rescue", RPC_BOOL, RPC_OPTIONAL, "somebody may come in by sshd meanwhile; false: a console alone is left"},
        {0},
};

static const RpcField events_in[] = {
        {"after", RPC_INT, RPC_OPTIONAL, "only those with a higher number", offsetof(EventsRequest, after), .min = 0, .max = INT64_MAX},
        {"since", RPC_INT, RPC_OPTIONAL, "microseconds since 1970: only those from then on", offsetof(EventsRequest, since), .min = 0, .max = INT64_MAX},
        {"limit", RPC_INT, RPC_OPTIONAL, "the latest so many", offsetof(EventsRequest, limit), .min = 1, .max = 1000},
        {0},
};

static const RpcField logged_fields[] = {
        {"number", RPC_INT, 0, "of the event, from 1"},
        {"time", RPC_INT, 0, "microseconds since 1970"},
        {"kind", RPC_STRING, 0, "drift, healed, in-force, ..."},
        {"text", RPC_STRING, 0, "what happened"},
        {0},
};

static const RpcField events_out[] = {
        {"events", RPC_OBJECT, RPC_ARRAY, "the earliest first", .fields = logged_fields},
        {0},
};

static const RpcField alerts_out[] = {
        {"run", RPC_STRING, RPC_OPTIONAL, "a program's path"},
        {"webhook", RPC_STRING, RPC_OPTIONAL, "a URL"},
        {0},
};

typedef struct DropsIn {
        int64_t since, limit;
} DropsIn;

static const RpcField drops_in[] = {
        {"since", RPC_INT, RPC_OPTIONAL, "only what came after the packet of that number", offsetof(DropsIn, since), .min = 0, .max = INT64_MAX},
        {"limit", RPC_INT, RPC_OPTIONAL, "groups in one answer", offsetof(DropsIn, limit), .min = 1, .max = DAEMON_DROPS_MAX, .fallback = 100},
        {0},
};

static const char *const drop_sections[] = {"inbound", "routed", "outbound", NULL};
static const char *const drop_kinds[] = {"default", "deny", "protected", "limit", "outdated", NULL};

static const RpcField drop_fields[] = {
        {"number", RPC_INT, 0, "of its latest packet: grows with every packet"},
        {"count", RPC_INT, 0, "packets that were seen; of a source that sends many a part: the rules' own counters count all"},
        {"first", RPC_INT, 0, "microseconds since 1970"},
        {"last", RPC_INT, 0, "microseconds since 1970"},
        {"section", RPC_STRING, 0, "of the policy, which refused it", .words = drop_sections},
        {"from", RPC_STRING, 0, "an address; or a network, if many of its addresses are refused alike"},
        {"to", RPC_STRING, RPC_OPTIONAL, "the address; of a translated connection the one that was dialled, if the kernel tells"},
        {"protocol", RPC_STRING, 0, "its name or number"},
        {"port", RPC_INT, RPC_OPTIONAL, "the destination's; of a translated connection the one that was dialled"},
        {"type", RPC_INT, RPC_OPTIONAL, "of ICMP and ICMPv6"},
        {"in", RPC_STRING, RPC_OPTIONAL, "the interface by which it came"},
        {"out", RPC_STRING, RPC_OPTIONAL, "the interface by which it would have left"},
        {"user", RPC_INT, RPC_OPTIONAL, "whose socket sent it, from this host"},
        {"target", RPC_STRING, RPC_OPTIONAL, "of a translated connection (a published port): where it ends"},
        {"targetPort", RPC_INT, RPC_OPTIONAL, "likewise"},
        {"kind", RPC_STRING, 0, "default: no rule admits it; deny: a rule refuses it; protected: likewise, and no rule could admit it; "
                                "limit: a rule's limit was reached; outdated: the rules now in force admit it", .words = drop_kinds},
        {"by", RPC_STRING, RPC_OPTIONAL, "the line of the policy that refused it, or whose limit was reached"},
        {0},
};

static const RpcField drops_out[] = {
        {"drops", RPC_OBJECT, RPC_ARRAY, "alike ones together, the latest first", .fields = drop_fields},
        {"number", RPC_INT, 0, "of the latest packet: for since"},
        {"forgotten", RPC_INT, 0, "groups that had to make room for later ones"},
        {"watching", RPC_BOOL, 0, "the kernel shows what is refused, and ringwalld reads it"},
        {0},
};

/* As host/takeover.h calls them. */
static const char *const rival_words[] = {"ufw", "firewalld", "nftables", NULL};
static const char *const takeover_words[] = {"disabled", "restored", "takenBack", NULL};

static const RpcField takeover_in[] = {
        {"rival", RPC_STRING, 0, "which other firewall", offsetof(TakeoverNotice, rival), .words = rival_words},
        {"what", RPC_STRING, 0, "what was done to it; takenBack: it was disabled, and restored because something did not hold without it", offsetof(TakeoverNotice, what), .words = takeover_words},
        {0},
};

static const RpcField reload_out[] = {
        {"changed", RPC_BOOL, 0, "lists of addresses were read anew"},
        {"policyDiffers", RPC_BOOL, 0, "the policy's files say something else by now: apply them"},
        {0},
};
// clang-format on

/* A failure that change.c has told of. */
static int fail(RpcCall *call, int r, RequestFailure *f) {
        json_t *parameters;
        int result;

        if (r == -ENOMEM || !f->text) {
                request_failure_done(f);
                return r;
        }
        parameters = json_pack("{s:s}", "message", f->text);
        if (f->messages)
                (void)json_object_set(parameters, "messages", f->messages);
        result = rpc_call_error(call, f->error ? f->error : RPC_INTERFACE ".Failed", parameters);
        request_failure_done(f);
        return result;
}

static int finish(RpcCall *call, int r, json_t *reply, RequestFailure *f) {
        return r < 0 ? fail(call, r, f) : rpc_call_reply(call, reply);
}

static int run_status(RpcCall *call, const void *parameters, void *context) {
        return rpc_call_reply(call, request_status(context));
}

static int run_apply(RpcCall *call, const void *parameters, void *context) {
        const ApplyIn *in = parameters;
        ApplyRequest request = {
                .file = in->file,
                .message = in->message,
                .no_confirm = in->no_confirm,
                .dry_run = in->dry_run,
                .has_console = in->has_console,
                .peer = rpc_call_peer(call),
        };
        RequestFailure f = {0};
        json_t *reply = NULL;
        int r = request_apply(context, &request, &reply, &f);

        return finish(call, r, reply, &f);
}

static int run_confirm(RpcCall *call, const void *parameters, void *context) {
        const ConfirmIn *in = parameters;
        RequestFailure f = {0};
        json_t *reply = NULL;
        int r = request_confirm(context, rpc_call_peer(call), in->same_connection, &reply, &f);

        return finish(call, r, reply, &f);
}

static int run_rollback(RpcCall *call, const void *parameters, void *context) {
        const RollbackIn *in = parameters;
        RollbackRequest request = {
                .number = in->number,
                .has_console = in->has_console,
                .peer = rpc_call_peer(call),
        };
        RequestFailure f = {0};
        json_t *reply = NULL;
        int r = request_rollback(context, &request, &reply, &f);

        return finish(call, r, reply, &f);
}

static int run_history(RpcCall *call, const void *parameters, void *context) {
        RequestFailure f = {0};
        json_t *reply = NULL;
        int r = request_history(context, &reply, &f);

        return finish(call, r, reply, &f);
}

static int run_panic(RpcCall *call, const void *parameters, void *context) {
        PanicRequest request = *(const PanicRequest *)parameters;
        RequestFailure f = {0};
        json_t *reply = NULL;
        int r;

        request.peer = rpc_call_peer(call);
        r = request_panic(context, &request, &reply, &f);
        return finish(call, r, reply, &f);
}

static int run_events(RpcCall *call, const void *parameters, void *context) {
        return request_events(context, call, parameters);
}

static int run_alerts(RpcCall *call, const void *parameters, void *context) {
        return rpc_call_reply(call, request_alerts(context));
}

static int run_drops(RpcCall *call, const void *parameters, void *context) {
        const DropsIn *in = parameters;

        return request_drops(context, call, (uint64_t)in->since, (size_t)in->limit);
}

static int run_reload(RpcCall *call, const void *parameters, void *context) {
        RequestFailure f = {0};
        json_t *reply = NULL;
        int r = request_reload(context, rpc_call_peer(call), &reply, &f);

        return finish(call, r, reply, &f);
}

static int run_takeover(RpcCall *call, const void *parameters, void *context) {
        RequestFailure f = {0};
        int r = request_takeover(context, parameters, rpc_call_peer(call));

        return finish(call, r, r < 0 ? NULL : json_object(), &f);
}

static int run_unload(RpcCall *call, const void *parameters, void *context) {
        RequestFailure f = {0};

        int r = request_unload(context, rpc_call_peer(call), &f);

        return finish(call, r, r < 0 ? NULL : json_object(), &f);
}

// clang-format off
static const RpcMethod methods[] = {
        {"Status",   RPC_GROUP, 0, "what is in force", NULL, status_out, 0, run_status},
        {"History",  RPC_GROUP, 0, "what was in force", NULL, history_out, 0, run_history},
        {"Alerts",   RPC_GROUP, 0, "who is to be told of events", NULL, alerts_out, 0, run_alerts},
        {"Events",   RPC_GROUP, RPC_MORE, "what happened, and with more: as it happens", events_in, events_out, sizeof(EventsRequest), run_events},
        {"Drops",    RPC_GROUP, RPC_MORE, "what was refused lately, and with more: as it comes", drops_in, drops_out, sizeof(DropsIn), run_drops},
        {"Bans",     RPC_GROUP, 0, "who is banned, why and until when", methods_bans_in, methods_bans_out, sizeof(BanListRequest), methods_run_bans},
        {"Ban",      RPC_ROOT,  0, "shut somebody out; again: for longer", methods_ban_in, methods_ban_out, sizeof(BanRequest), methods_run_ban},
        {"ImportBans", RPC_ROOT, 0, "shut many out", methods_import_in, methods_import_out, sizeof(BanImportRequest), methods_run_import},
        {"Unban",    RPC_ROOT,  0, "let somebody in again; nobody is no error", methods_unban_in, methods_unban_out, sizeof(UnbanRequest), methods_run_unban},
        {"Apply",    RPC_ROOT,  0, "put a policy in force, to be confirmed", apply_in, apply_out, sizeof(ApplyIn), run_apply},
        {"Confirm",  RPC_ROOT,  0, "keep what was applied", confirm_in, confirm_out, sizeof(ConfirmIn), run_confirm},
        {"Rollback", RPC_ROOT,  0, "go back", rollback_in, rollback_out, sizeof(RollbackIn), run_rollback},
        {"Panic",    RPC_ROOT,  0, "close everything but the rescue path, or take that back", panic_in, panic_out, sizeof(PanicRequest), run_panic},
        {"Reload",   RPC_ROOT,  0, "read lists of addresses again, unless that locks the caller out", NULL, reload_out, 0, run_reload},
        {"Takeover", RPC_ROOT,  0, "write down that another firewall was disabled, or restored, by the caller", takeover_in, NULL, sizeof(TakeoverNotice), run_takeover},
        {"Unload",   RPC_ROOT,  0, "take everything out of force: open", NULL, NULL, 0, run_unload},
        {0},
};

static const RpcField message_fields[] = {{"message", RPC_STRING, 0, "why"}, {0}};
static const RpcField invalid_fields[] = {
        {"message", RPC_STRING, 0, "why"},
        {"messages", RPC_OBJECT, RPC_ARRAY | RPC_OPTIONAL, "each mistake", .fields = place_fields},
        {0},
};

static const RpcError errors[] = {
        {"PolicyInvalid", "it has mistakes; nothing has changed", invalid_fields},
        {"WouldLockOut", "the caller could not come in again; nothing has changed", message_fields},
        {"KernelRefused", "nothing has changed", invalid_fields},
        {"NotArmed", "it cannot be written down, and is not applied or not confirmed", invalid_fields},
        {"AwaitsConfirmation", "another change has not been confirmed", message_fields},
        {"InPanic", "panic is on; nothing has changed", message_fields},
        {"NothingPending", "there is nothing to confirm", message_fields},
        {"SameConnection", "the caller came before the change", message_fields},
        {"BanInvalid", "that cannot be banned or unbanned; nothing has changed", message_fields},
        {"BanRefused", "that is never banned; nothing has changed", message_fields},
        {"NoSuchChange", "no change of that number is kept", message_fields},
        {0},
};
// clang-format on

static const RpcInterface interface = {
        .name = RPC_INTERFACE,
        .doc = "The firewall of this host",
        .methods = methods,
        .errors = errors,
};

int methods_describe(FILE *f) {
        _cleanup_free_ char *text = rpc_interface_describe(&interface);

        if (!text)
                return -ENOMEM;
        return fputs(text, f) < 0 || fflush(f) != 0 ? -EIO : 0;
}

static gid_t reader_group(void) {
        const struct group *g = getgrnam(RPC_GROUP_NAME);

        return g ? g->gr_gid : RPC_NO_GROUP;
}

#define SOCKET_PATH_MAX 4096 /* what is too long for a socket's address is refused later */

static int socket_path(const Daemon *d, char ret[SOCKET_PATH_MAX]) {
        int n = snprintf(ret, SOCKET_PATH_MAX, "%s/%s", d->runtime_dir, DAEMON_SOCKET);

        return n < 0 || n >= SOCKET_PATH_MAX ? -ENAMETOOLONG : 0;
}

bool methods_is_bound(const Daemon *d) {
        char path[SOCKET_PATH_MAX];
        struct stat st;

        return socket_path(d, path) == 0 && lstat(path, &st) == 0 &&
               st.st_dev == d->socket_device && st.st_ino == d->socket_inode;
}

int methods_bind(Daemon *d) {
        char path[SOCKET_PATH_MAX];
        struct stat st;
        int fd, r = socket_path(d, path);

        if (r < 0)
                return r;
        if (mkdir(d->runtime_dir, 0755) < 0 && errno != EEXIST)
                return -errno;
        /* everybody may connect: the table says who may call what */
        fd = rpc_socket_listen(path, 0666, RPC_NO_GROUP);
        if (fd < 0)
                return fd;
        r = lstat(path, &st) < 0 ? -errno : rpc_server_listen(d->rpc, fd);
        if (r < 0) {
                (void)close(fd);
                return r;
        }
        d->socket_device = st.st_dev;
        d->socket_inode = st.st_ino;
        return 1;
}

int methods_start(Daemon *d) {
        static const RpcInterface *const interfaces[] = {&interface, NULL};
        RpcServerOptions options = {
                .interfaces = interfaces,
                .context = d,
                .group = reader_group(),
                .vendor = "ringwall",
                .product = "ringwalld",
                .version = RINGWALL_VERSION,
                .url = "https://github.com/ringwall",
        };
        int r = rpc_server_new(d->event, &options, &d->rpc);

        if (r >= 0)
                r = methods_bind(d);
        return r < 0 ? r : 0;
}

void methods_stop(Daemon *d) {
        d->rpc = rpc_server_free(d->rpc);
}
