/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The control socket's methods about bans: what each takes and answers, for the table of methods.c.
 */

#include "daemon/daemon.h"

extern const RpcField methods_ban_in[], methods_ban_out[];
extern const RpcField methods_unban_in[], methods_unban_out[];
extern const RpcField methods_bans_in[], methods_bans_out[];
extern const RpcField methods_import_in[], methods_import_out[];

int methods_run_ban(RpcCall *call, const void *parameters, void *context);
int methods_run_unban(RpcCall *call, const void *parameters, void *context);
int methods_run_bans(RpcCall *call, const void *parameters, void *context);
int methods_run_import(RpcCall *call, const void *parameters, void *context);
