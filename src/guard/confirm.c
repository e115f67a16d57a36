/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/confirm.h"

/* The orders that are safe wherever they break off:
 *
 *   apply      staged → pending on disk → timer → in force. Whoever starts anew finds `pending`,
 * and so either waits on or falls back. confirm    sealed, and by that alone confirmed; `pending`
 * goes last, so that whoever starts anew and finds both knows that cutting may not have been
 * finished. fall back  in force, then `pending` goes: as long as something unconfirmed may be in
 * force, there is a file that says so. */

/* Failures of one confirm_run(): more than there are copies to try. */
#define FAILURES_MAX 64

static const char *const action_names[_CONFIRM_ACTION_MAX] = {
        [CONFIRM_STAGE] = "stage",
        [CONFIRM_WRITE_PENDING] = "write-pending",
        [CONFIRM_REMOVE_PENDING] = "remove-pending",
        [CONFIRM_ARM_TIMER] = "arm-timer",
        [CONFIRM_DISARM_TIMER] = "disarm-timer",
        [CONFIRM_PUT] = "put",
        [CONFIRM_SEAL] = "seal",
        [CONFIRM_REMEMBER_PEER] = "remember-peer",
        [CONFIRM_CUT] = "cut",
};

const char *confirm_action_to_string(ConfirmActionKind kind) {
        return action_names[kind];
}

bool target_equal(Target a, Target b) {
        return a.kind == b.kind && (a.kind != TARGET_ENTRY || a.entry == b.entry);
}

static Target target_entry(uint32_t entry) {
        return (Target){.kind = TARGET_ENTRY, .entry = entry};
}

/* What is left once it is clear that no entry, or which one, is to be in force. */
static Target target_or_lockdown(uint32_t entry) {
        return entry > 0 ? target_entry(entry) : (Target){.kind = TARGET_LOCKDOWN};
}

static void add(ConfirmPlan *plan, ConfirmAction action) {
        plan->actions[plan->n_actions++] = action;
}

static void add_kind(ConfirmPlan *plan, ConfirmActionKind kind) {
        add(plan, (ConfirmAction){.kind = kind});
}

static void add_put(ConfirmPlan *plan, Target target) {
        add(plan, (ConfirmAction){.kind = CONFIRM_PUT, .target = target});
}

static void add_timer(ConfirmPlan *plan, uint64_t usec) {
        add(plan, (ConfirmAction){.kind = CONFIRM_ARM_TIMER, .usec = usec});
}

static void fall_back(const Confirm *c, ConfirmPlan *plan) {
        *plan = (ConfirmPlan){0};
        add_put(plan, c->base);
        add_kind(plan, CONFIRM_REMOVE_PENDING);
        add_kind(plan, CONFIRM_DISARM_TIMER);
}

/* What is in force when nothing waits. */
static Target resting_place(const ConfirmFound *found) {
        return found->armed ? target_or_lockdown(found->first) : (Target){.kind = TARGET_NOTHING};
}

/* What a change falls back to was in force when it was made. That it was nothing at all is believed
 * only as long as nothing was ever confirmed. */
static Target fallback_of(const ConfirmFound *found) {
        const Target *fallback = &found->pending.fallback;

        if (found->pending_state == PENDING_READ && fallback->kind == TARGET_ENTRY &&
            found->fallback_is_usable)
                return *fallback;
        return resting_place(found);
}

/* A boot, and a clock that runs backwards, end the wait. */
static bool goes_on(const ConfirmFound *found, const ConfirmNow *now) {
        const Pending *pending = &found->pending;

        return found->pending_state == PENDING_READ && found->entry_is_usable &&
               streq(pending->boot, now->boot) && now->boottime_usec >= pending->armed_usec &&
               now->boottime_usec < pending->deadline_usec;
}

void confirm_start(Confirm *c, const ConfirmFound *found, const ConfirmNow *now, ConfirmPlan *ret) {
        *c = (Confirm){.base = resting_place(found)};
        *ret = (ConfirmPlan){0};
        if (found->pending_state == PENDING_NONE) {
                if (found->armed)
                        add_put(ret, c->base);
                else {
                        /* whose table there is, if any, we do not know: we leave it alone */
                        c->is_known = true;
                        c->in_force = c->base;
                }
                return;
        }
        if (found->pending_state == PENDING_READ && found->sealed > 0 &&
            found->sealed == found->pending.entry) {
                add_put(ret, c->base);
                add_kind(ret, CONFIRM_CUT);
                add_kind(ret, CONFIRM_REMOVE_PENDING);
                return;
        }
        c->base = fallback_of(found);
        if (!goes_on(found, now)) {
                fall_back(c, ret);
                return;
        }
        c->is_pending = true;
        c->pending = found->pending;
        add_timer(ret, c->pending.deadline_usec);
        add_put(ret, target_entry(c->pending.entry));
}

void confirm_apply(const Confirm *c,
                   uint32_t entry,
                   uint64_t wait_usec,
                   const ConfirmNow *now,
                   ConfirmPlan *ret) {
        Pending pending = {
                .entry = entry,
                .fallback = c->base,
                .armed_usec = now->boottime_usec,
                .deadline_usec = now->boottime_usec + wait_usec,
                .deadline_realtime_usec = now->realtime_usec + wait_usec,
        };

        *ret = (ConfirmPlan){0};
        if (target_equal(c->base, target_entry(entry))) {
                if (c->is_pending)
                        fall_back(c, ret);
                else
                        add_put(ret, c->base);
                return;
        }
        (void)snprintf(pending.boot, sizeof(pending.boot), "%s", now->boot);
        add(ret, (ConfirmAction){.kind = CONFIRM_STAGE, .target = target_entry(entry)});
        add(ret, (ConfirmAction){.kind = CONFIRM_WRITE_PENDING, .pending = pending});
        add_timer(ret, pending.deadline_usec);
        add_put(ret, target_entry(entry));
}

static bool is_over(const Confirm *c, const ConfirmNow *now) {
        /* what is not surely in force is being undone */
        return !c->is_known || now->boottime_usec >= c->pending.deadline_usec;
}

ConfirmAnswer confirm_confirm(const Confirm *c,
                              const ConfirmCaller *caller,
                              const ConfirmNow *now,
                              ConfirmPlan *ret) {
        *ret = (ConfirmPlan){0};
        if (!c->is_pending)
                return CONFIRM_NOTHING_PENDING;
        if (is_over(c, now)) {
                fall_back(c, ret);
                return CONFIRM_TOO_LATE;
        }
        if (caller->over_ssh && !caller->same_connection && caller->connected_usec <= c->put_usec)
                return CONFIRM_OLD_CONNECTION;
        add(ret, (ConfirmAction){.kind = CONFIRM_SEAL, .target = target_entry(c->pending.entry)});
        add_kind(ret, CONFIRM_DISARM_TIMER);
        add_kind(ret, CONFIRM_REMEMBER_PEER);
        add_kind(ret, CONFIRM_CUT);
        add_kind(ret, CONFIRM_REMOVE_PENDING);
        return CONFIRM_OK;
}

ConfirmAnswer confirm_give_up(const Confirm *c, ConfirmPlan *ret) {
        *ret = (ConfirmPlan){0};
        if (!c->is_pending)
                return CONFIRM_NOTHING_PENDING;
        fall_back(c, ret);
        return CONFIRM_OK;
}

void confirm_timer(const Confirm *c, const ConfirmNow *now, ConfirmPlan *ret) {
        *ret = (ConfirmPlan){0};
        if (c->is_pending && is_over(c, now))
                fall_back(c, ret);
        else if (c->is_pending)
                add_timer(ret, c->pending.deadline_usec);
        else {
                if (!c->is_known)
                        add_put(ret, c->base);
                if (c->has_leftover)
                        add_kind(ret, CONFIRM_REMOVE_PENDING);
        }
}

unsigned int confirm_remaining(const Confirm *c, const ConfirmNow *now) {
        if (!c->is_pending || now->boottime_usec >= c->pending.deadline_usec)
                return 0;
        return (unsigned int)((c->pending.deadline_usec - now->boottime_usec + 999999) / 1000000);
}

/* What waits gives way to another change. */
static void replace_pending(Confirm *c, const ConfirmAction *action) {
        c->has_former = c->is_pending && c->is_known &&
                        target_equal(c->in_force, target_entry(c->pending.entry));
        c->former = c->pending;
        c->former_put_usec = c->put_usec;
        c->is_pending = true;
        c->pending = action->pending;
        c->put_usec = action->usec;
        c->has_leftover = false;
        if (action->usec > 0) /* it was itself that gave way */
                c->has_former = false;
}

void confirm_done(Confirm *c, const ConfirmAction *action, const ConfirmNow *now) {
        switch (action->kind) {
        case CONFIRM_WRITE_PENDING:
                replace_pending(c, action);
                break;
        case CONFIRM_REMOVE_PENDING:
                c->has_leftover = false;
                break;
        case CONFIRM_PUT:
                c->is_known = true;
                c->in_force = action->target;
                c->has_former = false;
                if (target_equal(action->target, c->base))
                        c->is_pending = false;
                else
                        c->put_usec = now->boottime_usec;
                break;
        case CONFIRM_SEAL:
                c->base = action->target;
                c->is_pending = false;
                break;
        case CONFIRM_STAGE:
        case CONFIRM_ARM_TIMER:
        case CONFIRM_DISARM_TIMER:
        case CONFIRM_REMEMBER_PEER:
        case CONFIRM_CUT:
        case _CONFIRM_ACTION_MAX:
                break;
        }
}

/* Leaves the actions behind number i. */
static void go_on_behind(ConfirmPlan *plan, size_t i) {
        plan->n_actions -= i + 1;
        memmove(plan->actions, plan->actions + i + 1, plan->n_actions * sizeof(plan->actions[0]));
}

static void retry(ConfirmPlan *plan, const ConfirmNow *now) {
        *plan = (ConfirmPlan){0};
        add_timer(plan, now->boottime_usec + CONFIRM_RETRY_USEC);
}

static bool changed_nothing(int error) {
        return error == -EBADMSG || error == -EPERM || error == -EAGAIN;
}

/* The change that should have given way to another one, with the time that it had. */
static void wait_on(const Confirm *c, ConfirmPlan *plan) {
        *plan = (ConfirmPlan){0};
        add(plan, (ConfirmAction){.kind = CONFIRM_WRITE_PENDING,
                                  .pending = c->former,
                                  .usec = c->former_put_usec});
        add_timer(plan, c->former.deadline_usec);
}

/* Something else takes the place of what could not be put in force; the rest of the plan stays. */
static void failed_put(Confirm *c,
                       ConfirmPlan *plan,
                       size_t i,
                       int error,
                       uint32_t next_copy,
                       const ConfirmNow *now) {
        Target failed = plan->actions[i].target;

        if (c->has_former && target_equal(failed, target_entry(c->pending.entry)) &&
            changed_nothing(error)) {
                wait_on(c, plan);
                return;
        }
        c->is_known = false;
        if (!target_equal(failed, c->base)) {
                fall_back(c, plan);
                return;
        }
        if (failed.kind == TARGET_ENTRY) {
                c->base = target_or_lockdown(next_copy);
                go_on_behind(plan, i);
                memmove(plan->actions + 1, plan->actions,
                        plan->n_actions * sizeof(plan->actions[0]));
                plan->n_actions++;
                plan->actions[0] = (ConfirmAction){.kind = CONFIRM_PUT, .target = c->base};
                return;
        }
        retry(plan, now);
}

static bool puts_behind(const ConfirmPlan *plan, size_t i) {
        for (i++; i < plan->n_actions; i++)
                if (plan->actions[i].kind == CONFIRM_PUT)
                        return true;
        return false;
}

void confirm_failed(Confirm *c,
                    ConfirmPlan *plan,
                    size_t i,
                    int error,
                    uint32_t next_copy,
                    const ConfirmNow *now) {
        switch (plan->actions[i].kind) {
        case CONFIRM_WRITE_PENDING:
                if (plan->actions[i].usec > 0) { /* it stands there that another one waits */
                        fall_back(c, plan);
                        break;
                }
                *plan = (ConfirmPlan){0}; /* all is as it was */
                break;
        case CONFIRM_STAGE:
        case CONFIRM_SEAL:
                *plan = (ConfirmPlan){0};
                break;
        case CONFIRM_ARM_TIMER:
                /* nothing waits for ever */
                if (puts_behind(plan, i) || (c->is_pending && c->is_known))
                        fall_back(c, plan);
                else
                        go_on_behind(plan, i);
                break;
        case CONFIRM_PUT:
                failed_put(c, plan, i, error, next_copy, now);
                break;
        case CONFIRM_REMOVE_PENDING:
                c->has_leftover = true;
                retry(plan, now);
                break;
        case CONFIRM_DISARM_TIMER:
        case CONFIRM_REMEMBER_PEER:
        case CONFIRM_CUT:
        case _CONFIRM_ACTION_MAX:
                go_on_behind(plan, i);
                break;
        }
}

int confirm_run(Confirm *c, ConfirmPlan *plan, const ConfirmHands *hands) {
        size_t i = 0, n_failures = 0;
        int result = 0;

        while (i < plan->n_actions) {
                const ConfirmAction *action = &plan->actions[i];
                int r = hands->act(hands->context, action);
                ConfirmNow now = hands->now(hands->context);
                uint32_t next = 0;

                if (r >= 0) {
                        confirm_done(c, action, &now);
                        i++;
                        continue;
                }
                if (result == 0)
                        result = r;
                if (action->kind == CONFIRM_PUT && action->target.kind == TARGET_ENTRY &&
                    ++n_failures < FAILURES_MAX)
                        next = hands->next_copy(hands->context, action->target.entry);
                confirm_failed(c, plan, i, r, next, &now);
                i = 0;
        }
        return result;
}
