/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/request.h"
#include "nft/host.h"
#include "ruleset/image.h"

/* What was in force before comes back. */

/* The confirmed change before the one that is in force; 0 if there is none. */
static int find_former(Daemon *d, Arena *a, uint32_t *ret) {
        StoreListed *list;
        size_t n;
        int r = store_list(d->store, a, &list, &n, d->diag);

        *ret = 0;
        for (size_t i = 0; i < n && r == 0; i++)
                if (list[i].entry.confirmed && !list[i].damage &&
                    list[i].entry.number != d->confirm.base.entry &&
                    (d->confirm.base.kind != TARGET_ENTRY ||
                     list[i].entry.number < d->confirm.base.entry)) {
                        *ret = list[i].entry.number;
                        break;
                }
        return r;
}

/* What this program cannot read is made anew when it comes into force; whether it locks out shows
 * then. */
static int check_way_back(Arena *a,
                          const Caller *caller,
                          const StoreContent *content,
                          const ApplyRequest *q,
                          RequestFailure *f) {
        json_t *ways = json_object();
        KernelFeatures features;
        Diag *quiet = diag_new(a);
        Ruleset *rs;
        int r = ways && quiet ? 0 : -ENOMEM;

        if (r == 0 && ruleset_read_image(a, content->image, content->image_size, &rs, &features,
                                         quiet) == 0) {
                r = nft_add_host(a, rs);
                if (r == 0)
                        r = request_check_way(caller, a, rs, NULL, q, ways, f);
        }
        json_decref(ways);
        return r;
}

static int
rollback(Daemon *d, Arena *a, const RollbackRequest *request, json_t *reply, RequestFailure *f) {
        const ApplyRequest q = {.peer = request->peer, .has_console = request->has_console};
        int64_t number = request->number;
        StoreContent content = {0};
        uint32_t to = (uint32_t)number, former = request_waiting(d);
        ConfirmPlan plan;
        Caller caller;
        int r;

        if (number == 0 && d->confirm.is_pending) {
                if (caller_read(a, request->peer, &caller) == 0) /* it is undone whoever it is */
                        d->by = caller_describe(a, request->peer, &caller);
                (void)confirm_give_up(&d->confirm, &plan);
                r = change_run(d, &plan);
                (void)json_object_set_new(reply, "awaitsConfirmation", json_false());
                if (d->confirm.in_force.kind == TARGET_ENTRY)
                        (void)json_object_set_new(reply, "number",
                                                  json_integer(d->confirm.in_force.entry));
                return r < 0 ? request_fail_with_diag(f, RPC_INTERFACE ".KernelRefused", d->diag, r)
                             : 0;
        }
        r = number == 0 ? find_former(d, a, &to) : 0;
        if (r == 0)
                r = caller_read(a, request->peer, &caller);
        if (r < 0)
                return r;
        d->caller = caller.who;
        d->by = caller_describe(a, request->peer, &caller);
        if (to == 0)
                return request_fail(f, RPC_INTERFACE ".NoSuchChange",
                                    "nothing was confirmed before what is in force");
        if (store_read(d->store, to, a, &(StoreEntry){0}, &content, d->diag) < 0)
                return request_fail(
                        f, RPC_INTERFACE ".NoSuchChange",
                        "there is no change %u, or it is damaged; `ringwall history` lists "
                        "them",
                        to);
        r = check_way_back(a, &caller, &content, &q, f);
        if (r < 0)
                return r;
        r = request_put_number(d, to, content.settings.confirm, &q, reply);
        (void)json_object_del(reply, "changed");
        return r < 0 ? request_fail_to_put(d, former, f, r) : 0;
}

int request_rollback(Daemon *d, const RollbackRequest *request, json_t **ret, RequestFailure *f) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        json_t *reply = json_object();
        int r = request_begin(d, a);

        if (r == 0)
                r = request_refuse_panic(d, f);
        if (r == 0)
                r = request_refuse_taken(d, f);
        if (r == 0)
                r = rollback(d, a, request, reply, f);
        if (r < 0)
                json_decref(reply);
        else
                *ret = reply;
        return request_finish(d, r);
}
