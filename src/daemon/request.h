/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the answers to requests that change something share. A request is between request_begin()
 * and request_finish(): d->diag and d->by are its own. */

#include "daemon/caller.h"
#include "daemon/change.h"

/* -ENOMEM without an arena. */
int request_begin(Daemon *d, Arena *a);
int request_finish(Daemon *d, int r);
/* While panic is on, nothing else can be asked for. */
int request_refuse_panic(const Daemon *d, RequestFailure *f);
int request_refuse_taken(Daemon *d, RequestFailure *f);

/* A change that waits before another one is asked for; or 0. */
uint32_t request_waiting(const Daemon *d);
bool request_is_base(const Daemon *d, uint32_t number);

/* The first error of d, with all of them beside it. */
int request_fail_with_diag(RequestFailure *f, const char *error, const Diag *d, int r);
/* A change that could not be written down, or that the kernel did not take; former: what waited. */
int request_fail_to_put(Daemon *d, uint32_t former, RequestFailure *f, int r);
/* What became of the change that waited, if one did. */
void request_tell_of_former(Daemon *d, uint32_t former, RequestFailure *f);
json_t *request_messages(const Diag *d);
/* What was cut, and what could not be. */
void request_add_cut(const Daemon *d, json_t *reply);

/* Puts an entry in force; wait: seconds until it is undone unless it is confirmed. */
int request_put_number(
        Daemon *d, uint32_t number, unsigned int wait, const ApplyRequest *q, json_t *reply);
/* Whether the caller's way in would still be open. */
int request_check_way(const Caller *caller,
                      Arena *a,
                      const Ruleset *rs,
                      const Ruleset *before,
                      const ApplyRequest *q,
                      json_t *reply,
                      RequestFailure *f);
