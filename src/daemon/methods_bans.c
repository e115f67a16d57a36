/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/methods_bans.h"

#include "daemon/bans.h"

// clang-format off
const RpcField methods_ban_in[] = {
        {"address", RPC_STRING, 0, "an address (of IPv6 its /64) or a network", offsetof(BanRequest, address)},
        {"seconds", RPC_INT, RPC_OPTIONAL, "for which; absent: until it is unbanned", offsetof(BanRequest, seconds), .min = 1, .max = BAN_SECONDS_MAX},
        {"reason", RPC_STRING, RPC_OPTIONAL, "why", offsetof(BanRequest, reason)},
        {"source", RPC_STRING, RPC_OPTIONAL, "what program found it", offsetof(BanRequest, source)},
        {"jail", RPC_STRING, RPC_OPTIONAL, "whose ban it is: each jail ends its own", offsetof(BanRequest, jail)},
        {"wide", RPC_BOOL, RPC_OPTIONAL, "also wider than the policy says (bans.widest); not with a jail or a source", offsetof(BanRequest, wide)},
        {"services", RPC_STRING, RPC_ARRAY | RPC_OPTIONAL, "dialled ports, 22/tcp; absent: everything", offsetof(BanRequest, services)},
        {"restored", RPC_BOOL, RPC_OPTIONAL, "it went on before, and is not counted as another one", offsetof(BanRequest, restored)},
        {0},
};

const RpcField methods_ban_out[] = {
        {"address", RPC_STRING, 0, "or network, that is banned"},
        {"until", RPC_INT, RPC_OPTIONAL, "microseconds since 1970; absent: until it is unbanned"},
        {"extended", RPC_BOOL, 0, "the jail had banned it already"},
        {"times", RPC_INT, 0, "how often so far, this time included"},
        {"escalated", RPC_BOOL, RPC_OPTIONAL, "it lasts longer than was asked for, for that (bans.escalate)"},
        {"widened", RPC_STRING, RPC_OPTIONAL, "the network that is banned with it, as several of it are (bans.ipv6)"},
        {"inForce", RPC_BOOL, 0, "the kernel shuts it out"},
        {"stored", RPC_BOOL, 0, "it is on disk"},
        {0},
};

const RpcField methods_unban_in[] = {
        {"address", RPC_STRING, RPC_OPTIONAL, "whom", offsetof(UnbanRequest, address)},
        {"jail", RPC_STRING, RPC_OPTIONAL, "that jail's bans alone", offsetof(UnbanRequest, jail)},
        {"all", RPC_BOOL, RPC_OPTIONAL, "everybody", offsetof(UnbanRequest, all)},
        {0},
};

const RpcField methods_unban_out[] = {
        {"unbanned", RPC_INT, 0, "bans that ended"},
        {"inForce", RPC_BOOL, 0, "the kernel knows"},
        {"stored", RPC_BOOL, 0, "it is on disk"},
        {0},
};

static const RpcField ban_fields[] = {
        {"address", RPC_STRING, 0, "or network"},
        {"service", RPC_STRING, RPC_OPTIONAL, "the port that is shut, 22/tcp; absent: everything is"},
        {"since", RPC_INT, 0, "microseconds since 1970"},
        {"until", RPC_INT, RPC_OPTIONAL, "likewise; absent: until it is unbanned"},
        {"times", RPC_INT, 0, "how often so far, this time included"},
        {"user", RPC_INT, 0, "number of the user who asked for it"},
        {"jail", RPC_STRING, RPC_OPTIONAL, "whose it is"},
        {"source", RPC_STRING, RPC_OPTIONAL, "what program found it"},
        {"reason", RPC_STRING, RPC_OPTIONAL, "why"},
        {"packets", RPC_INT, RPC_OPTIONAL, "that were dropped since it came into the kernel"},
        {"enforced", RPC_BOOL, RPC_OPTIONAL, "the kernel holds it, now; absent: not looked at"},
        {0},
};

const RpcField methods_bans_in[] = {
        {"address", RPC_STRING, RPC_OPTIONAL, "just that", offsetof(BanListRequest, address)},
        {"jail", RPC_STRING, RPC_OPTIONAL, "that jail's alone", offsetof(BanListRequest, jail)},
        {"since", RPC_INT, RPC_OPTIONAL, "microseconds since 1970: those alone that began then or later", offsetof(BanListRequest, since), .min = 0, .max = INT64_MAX},
        {"after", RPC_STRING, RPC_OPTIONAL, "next of an answer: those behind it", offsetof(BanListRequest, after)},
        {"limit", RPC_INT, RPC_OPTIONAL, "of one answer", offsetof(BanListRequest, limit), .min = 1, .max = BAN_LIST_MAX},
        {0},
};

const RpcField methods_bans_out[] = {
        {"bans", RPC_OBJECT, RPC_ARRAY, "in the order of addresses", .fields = ban_fields},
        {"next", RPC_STRING, RPC_OPTIONAL, "there may be more: after, of the next call"},
        {0},
};

static const RpcField import_fields[] = {
        {"address", RPC_STRING, 0, "as of Ban"},
        {"service", RPC_STRING, RPC_OPTIONAL, "22/tcp"},
        {"until", RPC_INT, RPC_OPTIONAL, "microseconds since 1970"},
        {"jail", RPC_STRING, RPC_OPTIONAL, "instead of the call's"},
        {"source", RPC_STRING, RPC_OPTIONAL, "likewise"},
        {"reason", RPC_STRING, RPC_OPTIONAL, "likewise"},
        /* what Bans tells besides is taken, and not looked at */
        {"since", RPC_INT, RPC_OPTIONAL, "not looked at"},
        {"times", RPC_INT, RPC_OPTIONAL, "not looked at"},
        {"user", RPC_INT, RPC_OPTIONAL, "not looked at"},
        {"packets", RPC_INT, RPC_OPTIONAL, "not looked at"},
        {"enforced", RPC_BOOL, RPC_OPTIONAL, "likewise"},
        {0},
};

const RpcField methods_import_in[] = {
        {"entries", RPC_OBJECT, RPC_ARRAY, "at most 10000", offsetof(BanImportRequest, entries), .fields = import_fields},
        {"seconds", RPC_INT, RPC_OPTIONAL, "of those that say no end", offsetof(BanImportRequest, seconds), .min = 1, .max = BAN_SECONDS_MAX},
        {"reason", RPC_STRING, RPC_OPTIONAL, "of those that say none", offsetof(BanImportRequest, reason)},
        {"source", RPC_STRING, RPC_OPTIONAL, "likewise", offsetof(BanImportRequest, source)},
        {"jail", RPC_STRING, RPC_OPTIONAL, "likewise", offsetof(BanImportRequest, jail)},
        {0},
};

static const RpcField refused_fields[] = {
        {"index", RPC_INT, 0, "of the entry, from 0"},
        {"message", RPC_STRING, 0, "why"},
        {0},
};

const RpcField methods_import_out[] = {
        {"added", RPC_INT, 0, "bans"},
        {"extended", RPC_INT, 0, "bans that the jail had already"},
        {"refused", RPC_OBJECT, RPC_ARRAY, "entries that were left out", .fields = refused_fields},
        {"inForce", RPC_BOOL, 0, "the kernel shuts them out"},
        {"stored", RPC_BOOL, 0, "they are on disk"},
        {0},
};
// clang-format on

int methods_run_ban(RpcCall *call, const void *parameters, void *context) {
        return bans_request_ban(context, call, parameters);
}

int methods_run_unban(RpcCall *call, const void *parameters, void *context) {
        return bans_request_unban(context, call, parameters);
}

int methods_run_bans(RpcCall *call, const void *parameters, void *context) {
        return bans_request_list(context, call, parameters);
}

int methods_run_import(RpcCall *call, const void *parameters, void *context) {
        return bans_request_import(context, call, parameters);
}
