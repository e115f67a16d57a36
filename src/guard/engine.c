/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/engine.h"

#include "nft/host.h"
#include "nft/owner.h"
#include "nft/part.h"
#include "nft/probe.h"
#include "nft/sysctl.h"
#include "proof/claim.h"
#include "ruleset/refused.h"
#include "ruleset/shut.h"

#define TRIES 5 /* other programs' transactions may come between reading and writing */

/* What a kernel can do is found out by doing it, see engine_put_policy(). */
static void expect_features(Engine *e) {
        e->features = (KernelFeatures){
                .fib_in_filter = true,
                .own_source_routed = sysctl_accepts_own_source(),
        };
}

int engine_open(Engine *e) {
        int r = nft_link_open(&e->link);

        if (r == 0)
                expect_features(e);
        return r;
}

int engine_open_with(Engine *e, int fd) {
        int r = nft_link_adopt(fd, &e->link);

        if (r == 0)
                expect_features(e);
        return r;
}

static void forget(Engine *e) {
        e->arena = arena_free(e->arena);
        e->host = arena_free(e->host);
        e->desired = NULL;
        e->is_seen = e->was_right = e->is_settled = false;
        e->large_right = 0;
}

void engine_forget_found(Engine *e) {
        e->found_arena = arena_free(e->found_arena);
        e->found = NULL;
}

void engine_close(Engine *e) {
        e->link = nft_link_close(e->link);
        engine_forget_found(e);
        forget(e);
}

int engine_compile(const Engine *e, const Policy *policy, Ruleset **ret, Diag *d) {
        ClaimReport claims;
        Ruleset *rs;
        int r = ruleset_compile(policy, &e->features, NULL, policy->arena, &rs, d);

        if (r == 0)
                r = claim_check(policy, rs, &claims, d);
        if (r == -EPROTO) /* two codes that do not agree: told in d, and nothing may come of it */
                return -EBADMSG;
        if (r < 0)
                return r;
        *ret = rs;
        return 0;
}

/* Why reading failed, for people. */
static int report_read(int error, Diag *d) {
        if (error == -EBUSY)
                (void)diag_error(d, (Span){0},
                                 "other programs kept changing the kernel's rules while they were "
                                 "read");
        else if (error == -EPERM)
                (void)diag_error(d, (Span){0}, "reading the kernel's rules needs CAP_NET_ADMIN");
        else
                (void)diag_error(d, (Span){0}, "cannot read the kernel's rules: %s",
                                 strerror(-error));
        return error == -EBUSY ? -EAGAIN : error;
}

/* An answer that did not come may still come, or block what is asked next (a list that was not read
 * to its end: EBUSY). The socket stays: the table may be its own. Whether it was that. */
static bool was_stuck(Engine *e, int error) {
        if (error != -ETIMEDOUT && error != -EBUSY && error != -ENOBUFS && error != -EPROTO)
                return false;
        nft_link_reset(e->link);
        return true;
}

static bool owns(const Engine *e, const Ruleset *live) {
        return live->exists && live->flags & TABLE_OWNER && live->owner == nft_link_port(e->link);
}

static void note_owner(Engine *e, const Ruleset *live) {
        e->is_own = owns(e, live);
        e->is_anothers = live->exists && live->flags & TABLE_OWNER && !e->is_own;
}

/* Once more where it was only the link, but not to wait a second time for a kernel that is silent.
 */
static int read_live(Engine *e, Arena *a, const NftKnown *known, Ruleset **ret) {
        int r = nft_read_known(e->link, a, known, ret);

        if (was_stuck(e, r) && r != -ETIMEDOUT)
                r = nft_read_known(e->link, a, known, ret);
        if (r == 0)
                note_owner(e, *ret);
        return r;
}

/* Of large sets what was put in force is vouched for by the generation that it made, or by nobody
 * else's being able to write; without either, each range is asked for. */
static NftKnown known(const Engine *e) {
        return (NftKnown){
                .ruleset = e->desired,
                .generation = e->large_right,
                .if_owned = e->owns && e->is_settled,
        };
}

/* live was turned into something in one transaction, or not. */
static void note_written(Engine *e, const Ruleset *live, int r, const NftChanges *changes) {
        if (r == 0 && changes->messages > 0)
                e->large_right = live->generation == 0 ? 0 : MAX(live->generation + 1, 1U);
        else if (r < 0 && r != -EBADMSG && r != -EAGAIN && r != -EPERM) {
                e->large_right = 0;
                e->is_settled = false;
        }
}

/* Whether a table can be had that persists. A table that does is proof enough. */
static bool can_own(Engine *e, const Ruleset *live) {
        if (!e->asked_owner) {
                int r = live && live->flags & TABLE_PERSIST ? 1 : nft_probe_owner(e->link);

                e->asked_owner = r >= 0; /* else next time */
                e->can_own = r > 0;
        }
        return e->can_own;
}

bool engine_can_own(Engine *e) {
        return can_own(e, NULL);
}

/* The flags that the table shall be made with, or be given. */
static uint32_t table_flags(Engine *e, const Ruleset *live) {
        if (e->owner == ENGINE_OWNER_NONE || (live->exists && !(live->flags & TABLE_PERSIST)) ||
            !can_own(e, live))
                return 0;
        return e->owner == ENGINE_OWNER_SELF ? TABLE_OWNER | TABLE_PERSIST : TABLE_PERSIST;
}

/* One that was made without the flags can gain none, whoever asks. */
static bool is_to_be_made_anew(Engine *e, const Ruleset *live) {
        return e->owner == ENGINE_OWNER_SELF && live->exists && !(live->flags & TABLE_PERSIST) &&
               can_own(e, live);
}

/* A table that sleeps holds everything, and judges nothing. */
static bool is_in_force(const Ruleset *live, const Ruleset *desired) {
        return live->exists && !(live->flags & TABLE_DORMANT) && ruleset_equal(live, desired);
}

static void note_seen(Engine *e, uint32_t generation) {
        e->seen = generation;
        if (e->is_seen) {
                e->was_right = e->is_settled = true;
                e->right = e->large_right = generation;
        }
}

/* In force, and still the link's if it was. */
static bool is_same(Engine *e, const Ruleset *live, const Ruleset *rs) {
        e->is_seen = is_in_force(live, rs) && (!e->owns || owns(e, live));
        note_seen(e, live->generation);
        return e->is_seen;
}

/* As nft_apply(). */
static int write_rules(Engine *e, const Ruleset *live, Ruleset *rs, NftChanges *ret, Diag *d) {
        Diag before = *d;
        int r;

        if (is_to_be_made_anew(e, live)) {
                rs->flags = TABLE_OWNER | TABLE_PERSIST;
                r = nft_replace(e->link, live, rs, ret, d);
                if (r != -EBADMSG)
                        return r;
                *d = before; /* then as it is: what is wrong with the rules is met again */
        }
        rs->flags = table_flags(e, live);
        return nft_apply(e->link, live, rs, ret, d);
}

/* Asking takes two transactions: what was read before them is of another generation. */
static bool asks_owner(Engine *e, const Ruleset *live) {
        if (e->asked_owner || e->owner == ENGINE_OWNER_NONE || live->flags & TABLE_PERSIST ||
            (live->exists && e->owner != ENGINE_OWNER_SELF))
                return false;
        (void)can_own(e, live);
        return true;
}

static void keep_found(Engine *e, Arena **a, const Ruleset *live) {
        (void)arena_free(e->found_arena);
        e->found_arena = TAKE_PTR(*a);
        e->found = live;
}

/* Reads, compares and writes, again if another program's transaction came in between. */
static int apply(Engine *e, Ruleset *rs, NftChanges *ret, Diag *d) {
        bool has_asked = false;

        for (int i = 0; i < TRIES; i++) {
                NftKnown before = e->desired ? known(e) : (NftKnown){.ruleset = rs};
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                Ruleset *live;
                int r = a ? read_live(e, a, &before, &live) : -ENOMEM;

                if (r < 0)
                        return report_read(r, d);
                if (!has_asked && asks_owner(e, live)) {
                        has_asked = true;
                        continue;
                }
                r = write_rules(e, live, rs, ret, d);
                note_written(e, live, r, ret);
                (void)was_stuck(e, r);
                if (r == 0 && ret->messages == 0)
                        (void)is_same(e, live, rs);
                e->wrote_flags = r == 0 && ret->messages == 1 && live->flags != rs->flags &&
                                 is_in_force(live, rs);
                if (e->keeps_found)
                        keep_found(e, &a, live);
                if (r != -EAGAIN)
                        return r;
        }
        (void)diag_error(d, (Span){0},
                         "other programs changed the kernel's rules each time; nothing was loaded");
        diag_hint(d, "try again");
        return -EAGAIN;
}

/* Nobody goes unprotected because the kernel cannot tell of it. */
static int apply_reporting(Engine *e, Ruleset *rs, NftChanges *ret, Diag *d) {
        Diag before = *d;
        int r;

        if (!e->reports_refused)
                return apply(e, rs, ret, d);
        if (ruleset_report_refused(rs) < 0)
                return -ENOMEM;
        r = apply(e, rs, ret, d);
        if (r != -EBADMSG)
                return r;
        *d = before; /* if it is something else, it is met again */
        ruleset_forget_refused(rs);
        r = apply(e, rs, ret, d);
        if (r == 0)
                e->reports_refused = false;
        return r;
}

/* Where nothing but its flags was written to a table that was right, and nobody has written
 * anything since, all else is as it was read. */
static bool are_flags_seen(Engine *e, const Ruleset *rs) {
        _cleanup_(arena_freep) Arena *a = e->wrote_flags ? arena_new(0) : NULL;
        Ruleset *table;

        if (!a || e->large_right == 0 || nft_read_table(e->link, a, &table) < 0 ||
            table->generation != e->large_right || !table->exists || table->flags != rs->flags)
                return false;
        note_owner(e, table);
        e->owns = e->is_own;
        e->is_seen = true;
        note_seen(e, table->generation);
        return true;
}

static int read_back(Engine *e, const Ruleset *rs, Diag *d) {
        const NftKnown written = {rs, .generation = e->large_right, .if_owned = e->owns};
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Ruleset *live;
        int r;

        if (are_flags_seen(e, rs))
                return 0;
        r = a ? read_live(e, a, &written, &live) : -ENOMEM;
        if (r < 0) {
                (void)report_read(r, d);
                diag_hint(d,
                          "the kernel took the policy, but it could not be read back; look with: "
                          "ringwall show --live");
                return -EIO;
        }
        e->owns = e->is_own;
        if (is_same(e, live, rs))
                return 0;
        (void)diag_error(d, (Span){0},
                         "the kernel took the policy but holds something else: another program may "
                         "have changed the table just now");
        diag_hint(d, "look with: ringwall show --live");
        return -EIO;
}

/* What the kernel has taken is ours from now on. */
static int keep(Engine *e, Arena **arena, Ruleset *rs, int r) {
        bool is_seen = r == 0;

        if (r < 0 && r != -EIO && !(r == -EPERM && e->insists) &&
            !(e->stands_beside && (r == -EPERM || r == -EAGAIN))) {
                engine_forget_found(e); /* it may borrow from what the caller frees */
                return r;
        }
        forget(e);
        e->is_seen = e->was_right = e->is_settled = is_seen;
        e->right = e->seen;
        e->large_right = is_seen ? e->seen : 0;
        e->arena = TAKE_PTR(*arena);
        e->desired = rs;
        return r;
}

static int put(Engine *e, Arena *arena, Ruleset *rs, Diag *d) {
        int r = nft_add_host(arena, rs);

        if (r < 0)
                (void)diag_error(d, (Span){0}, "cannot list this host's networks and bridges: %s",
                                 strerror(-r));
        if (r == 0)
                r = apply_reporting(e, rs, &e->changes, d);
        if (r < 0)
                return r;
        if (e->changes.messages > 0 || !e->is_seen)
                return read_back(e, rs, d);
        e->owns = e->is_own; /* nothing was written: what was read stands */
        return 0;
}

int engine_put_ruleset(Engine *e, Arena **arena, Ruleset *rs, Diag *d) {
        return keep(e, arena, rs, put(e, *arena, rs, d));
}

/* Only where the kernel refuses is it asked what it lacks: the question is a transaction that is
 * taken back, after which kernels check the next one far more slowly, rule by rule. */
bool engine_learn(Engine *e) {
        KernelFeatures found;

        if (!e->features.fib_in_filter || nft_probe(e->link, &found) < 0 || found.fib_in_filter)
                return false;
        e->features.fib_in_filter = false;
        return true;
}

int engine_put_policy(Engine *e, Arena **arena, const Policy *policy, Ruleset *rs, Diag *d) {
        Diag before = *d;
        int r = put(e, *arena, rs, d);

        if (r == -EBADMSG && engine_learn(e)) {
                *d = before; /* what the first attempt met is of no interest to anybody */
                r = engine_compile(e, policy, &rs, d);
                if (r == 0)
                        r = put(e, *arena, rs, d);
        }
        return keep(e, arena, rs, r);
}

bool engine_is_same(const Engine *e, Ruleset *rs) {
        bool same;

        if (!e->desired || (e->reports_refused && ruleset_report_refused(rs) < 0))
                return false;
        same = ruleset_equal(rs, e->desired);
        ruleset_forget_refused(rs);
        return same;
}

static bool is_same_set(const Set *x, const Set *y) {
        if (x->n_elements != y->n_elements)
                return false;
        for (size_t i = 0; i < x->n_elements; i++)
                if (memcmp(x->elements[i].key, y->elements[i].key, sizeof(x->elements[i].key)) != 0)
                        return false;
        return true;
}

/* 1 if the host is another one than before, 0 if not. a takes the place of e->host. */
static int look_again(Engine *e, Arena *a) {
        Ruleset *rs = e->desired;
        Set *before = a ? arena_alloc_array(a, MAX(rs->n_sets, 1UL), sizeof(*before)) : NULL;
        bool changed = false;
        int r;

        if (!before)
                return -ENOMEM;
        for (size_t i = 0; i < rs->n_sets; i++)
                before[i] = *rs->sets[i];
        r = nft_add_host(a, rs);
        for (size_t i = 0; i < rs->n_sets && r == 0; i++)
                changed |= !is_same_set(&before[i], rs->sets[i]);
        return r < 0 ? r : changed;
}

/* Nothing changes a rule without a new generation. */
static bool is_still_seen(const Engine *e) {
        uint32_t generation;

        return e->is_seen && nft_link_generation(e->link, &generation) == 0 &&
               generation == e->seen;
}

int engine_refresh(Engine *e, Diag *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        NftChanges changes = {0};
        int r;

        if (!e->desired)
                return 0;
        r = look_again(e, a);
        if (r < 0) {
                (void)diag_error(d, (Span){0}, "cannot list this host's networks and bridges: %s",
                                 strerror(-r));
                return r;
        }
        (void)arena_free(e->host); /* nothing of it is in use any more */
        e->host = TAKE_PTR(a);
        /* what others have done since is noticed, told of and undone by itself: not here, unseen */
        if (r == 0 && e->is_seen)
                return 0;
        e->is_seen = e->was_right = false; /* something else is desired now */
        r = apply(e, e->desired, &changes, d);
        if (r == 0 && changes.messages > 0)
                r = read_back(e, e->desired, d);
        return r < 0 ? r : changes.messages > 0;
}

void engine_keep_tracking(Engine *e) {
        if (e->desired && !e->owns && !e->tracks)
                e->tracks = nft_keep_tracking(e->link) == 0; /* else tried again next time */
}

bool engine_is_as_desired(const Engine *e, const Ruleset *live) {
        return e->desired && is_in_force(live, e->desired);
}

int engine_compare(Engine *e, Arena *a, bool at_once, Ruleset **ret_live) {
        const NftKnown before = known(e);
        int r = at_once ? nft_read_known_once(e->link, a, &before, ret_live)
                        : read_live(e, a, &before, ret_live);

        (void)was_stuck(e, r);
        if (r < 0)
                return r;
        (void)is_same(e, *ret_live, e->desired);
        return is_in_force(*ret_live, e->desired);
}

static int heal(Engine *e, const Ruleset *live, const Ruleset *desired, Diag *d) {
        NftChanges changes = {0};
        int r = nft_apply(e->link, live, desired, &changes, d);

        note_written(e, live, r, &changes);
        (void)was_stuck(e, r);
        return r < 0 ? r : changes.messages > 0;
}

int engine_read_part(Engine *e, Arena *a, const Touched *touched, bool steady, Ruleset **ret_live) {
        int r;

        if (!e->was_right || touched_is_all(touched))
                return -EAGAIN;
        r = part_read(e->link, a, e->desired, touched, steady, ret_live);
        (void)was_stuck(e, r);
        return r;
}

/* Where the table is gone all is open. To make it takes the kernel long if it is large: first it is
 * shut, then the rest comes. Returns what there is now, which is live if that could not be done. */
static const Ruleset *shut_first(Engine *e, const Ruleset *live, Diag *d) {
        Ruleset *shut = ruleset_shut(live->arena, e->desired);
        Diag before = *d;

        if (!shut || heal(e, live, shut, d) <= 0) {
                *d = before; /* what is wrong is met again with the whole */
                return live;
        }
        shut->exists = true;
        shut->owner = shut->flags & TABLE_OWNER ? nft_link_port(e->link) : 0;
        /* if nobody came in between; 0 is passed over */
        shut->generation = live->generation == 0 ? 0 : MAX(live->generation + 1, 1U);
        return shut;
}

int engine_heal(Engine *e, const Ruleset *live, Diag *d) {
        e->desired->flags = table_flags(e, live);
        if (!live->exists)
                live = shut_first(e, live, d);
        return heal(e, live, e->desired, d);
}

int engine_heal_part(Engine *e, const Ruleset *live, const Touched *touched, Diag *d) {
        const Ruleset *part;
        Diag before = *d;
        int r;

        e->desired->flags = table_flags(e, live);
        if (live->exists) {
                part = part_of(live->arena, e->desired, touched);
        } else {
                live = shut_first(e, live, d);
                part = e->desired;
        }
        r = part ? heal(e, live, part, d) : -ENOMEM;
        if (r != -EBADMSG)
                return r;
        *d = before; /* if it is not only the part, it is met again with the whole */
        return -EAGAIN;
}

int engine_complete_part(const Engine *e, Ruleset *live, const Touched *touched) {
        return part_complete(live, e->desired, touched);
}

int engine_heal_blind(Engine *e, Diag *d) {
        int r = nft_apply_blind(e->link, e->desired, d);

        e->large_right = 0; /* others may go on */
        (void)was_stuck(e, r);
        return r < 0 ? r : 1;
}

int engine_shut(Engine *e, Ruleset *rs) {
        int r = nft_shut(e->link, rs, e->shut_name);

        (void)was_stuck(e, r);
        return r;
}

int engine_unshut(Engine *e) {
        int r = nft_unshut(e->link, e->shut_name);

        (void)was_stuck(e, r);
        return r;
}

int engine_unshut_if_any(Engine *e) {
        int r = nft_unshut_if_any(e->link);

        (void)was_stuck(e, r);
        return r;
}

int engine_holds(Engine *e) {
        const NftKnown before = known(e);
        _cleanup_(arena_freep) Arena *a = NULL;
        Ruleset *live;
        int r;

        if (is_still_seen(e))
                return 1;
        a = arena_new(0);
        r = a ? read_live(e, a, &before, &live) : -ENOMEM;
        if (r < 0)
                return r;
        return e->desired ? is_same(e, live, e->desired) : !live->exists;
}

int engine_is_open(Engine *e) {
        const NftKnown before = known(e);
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        bool input = false, forward = false;
        Ruleset *live;
        int r = a ? read_live(e, a, &before, &live) : -ENOMEM;

        if (r < 0)
                return r;
        for (size_t i = 0; live->exists && i < live->n_chains; i++) {
                const Chain *c = live->chains[i];

                input |= c->hook == HOOK_INPUT && c->policy_drop;
                forward |= c->hook == HOOK_FORWARD && c->policy_drop;
        }
        return !input || !forward;
}

int engine_remove(Engine *e, bool *ret_was_there, Diag *d) {
        int r = nft_delete(e->link, ret_was_there, d);

        if (r < 0)
                return r;
        engine_forget_found(e);
        forget(e);
        e->owns = false;
        return 0;
}
