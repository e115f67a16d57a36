/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <syslog.h>

#include "ban/widen.h"
#include "daemon/bans.h"

/* What the policy's `bans` says, and what holds whatever it says: who may ask for how much, how
 * many there can be, what is banned with others, and who is let go. */

#define NEIGHBOURHOOD_MAX 4096 /* bans of one that are looked at */
#define TOLD_MAX 5             /* that are let go and named one by one */

/* ---- what a jail may ask for */

static int refuse_caller(BanTurn *turn, LimitedCaller *c, const char *why, const char **ret_why) {
        *ret_why = why;
        if (!why)
                return -ENOMEM;
        if (!c->is_told)
                daemon_event(turn->d, EVENT_FAILURE, LOG_WARNING, "bans are refused: %s", why);
        c->is_told = true;
        return 0;
}

static int check_share(BanTurn *turn, LimitedCaller *c, int64_t now, const char **ret_why) {
        int64_t max = turn->d->ban_rules.rules.max, n = 0;
        int may = limits_may_have(c, turn->n_bans, max, now);

        if (may == -EAGAIN && turn->error == 0 &&
            ban_store_count_of(turn->d->bans->store, c->name, turn->now_usec, &n) == 0) {
                limits_note_count(c, n, now);
                may = limits_may_have(c, turn->n_bans, max, now);
        }
        if (may != 0)
                return 0;
        return refuse_caller(turn, c,
                             arena_printf(turn->arena,
                                          "'%s' has %" PRId64 " bans already, a %d. part of "
                                          "bans.max: unban some (--jail), or import them",
                                          c->name, c->n_bans, LIMITS_SHARE),
                             ret_why);
}

int bans_charge(BanTurn *turn, const char *name, int64_t cost, const char **ret_why) {
        int64_t now = (int64_t)bans_monotonic(), wait;
        LimitedCaller *c;
        int r;

        if (!*name)
                return 0;
        c = limits_find(turn->d->bans->limits, name, now);
        r = check_share(turn, c, now, ret_why);
        if (r < 0 || *ret_why)
                return r;
        wait = limits_take(c, cost);
        if (wait > 0)
                return refuse_caller(
                        turn, c,
                        arena_printf(turn->arena,
                                     "'%s' asks for too many bans: a jail or a program may ask for "
                                     "%d at once and then for %d a second (wide networks count as "
                                     "many); again in %" PRId64 " s; lists are for `ringwall bans "
                                     "--import`",
                                     name, LIMITS_BURST, LIMITS_PER_SECOND, wait),
                        ret_why);
        c->is_told = false;
        return 0;
}

void bans_charge_new(BanTurn *turn, const char *name, int64_t n) {
        if (*name)
                limits_find(turn->d->bans->limits, name, (int64_t)bans_monotonic())->n_bans += n;
}

/* ---- how many there can be */

static int found_one(const Ban *ban, void *to) {
        return 1;
}

/* Whether the jail bans just that: 1, 0 or a negative errno. */
static int has_ban(BanTurn *turn, const BanEntry *key, const char *jail) {
        const BanFilter f = {.address = key, .jail = jail, .limit = 1};

        return ban_store_read(turn->d->bans->store, &f, turn->now_usec, found_one, NULL);
}

int bans_make_room(BanTurn *turn, const BanEntry *key, const char *jail, const char **ret_why) {
        int64_t max = turn->d->ban_rules.rules.max;
        int r = 0;

        /* what cannot be written down is shut out all the same */
        if (turn->n_bans < max || turn->error < 0 || has_ban(turn, key, jail) != 0)
                return 0;
        r = ban_store_trim(turn->d->bans->store, turn->n_bans - max + 1, turn->now_usec,
                           bans_note_change, turn);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                turn->error = r;
        if (r < 0 || turn->n_bans < max)
                return 0;
        *ret_why = arena_printf(turn->arena,
                                "there are %" PRId64 " bans, as many as bans.max lets there be, "
                                "and none of them ends by itself: unban some, or raise it",
                                turn->n_bans);
        return *ret_why ? 0 : -ENOMEM;
}

const char *bans_check_length(BanTurn *turn, const BanEntry *key) {
        Bans *b = turn->d->bans;
        size_t n = 0;

        if (key->protocol != 0 || b->has_prefix[key->family][key->prefix])
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(b->has_prefix[0]); i++)
                n += b->has_prefix[key->family][i];
        if (n < BAN_PREFIXES_MAX)
                return NULL;
        return arena_printf(turn->arena,
                            "networks of %d different lengths of prefix are banned already: ban "
                            "those of another length",
                            BAN_PREFIXES_MAX);
}

/* ---- neighbourhoods */

static int take_neighbour(const Ban *ban, void *to) {
        return widen_take(to, &ban->key) ? 1 : 0;
}

/* Whether so many of it are banned: 1, 0, or a negative errno. */
static int is_bad(BanTurn *turn, Widening *w) {
        Range within = ban_range(&w->around);
        const BanFilter f = {.family = FAMILY_IPV6, .within = &within, .limit = NEIGHBOURHOOD_MAX};

        return ban_store_read(turn->d->bans->store, &f, turn->now_usec, take_neighbour, w);
}

static int put_widened(BanTurn *turn, const Widening *w, int64_t until_usec, int64_t uid) {
        Bans *b = turn->d->bans;
        const char *reason = widen_reason(turn->arena, w);
        Ban ban = {.key = w->around,
                   .jail = WIDEN_JAIL,
                   .source = WIDEN_SOURCE,
                   .reason = reason,
                   .since_usec = turn->now_usec,
                   .until_usec = until_usec,
                   .uid = uid};
        BanChange change;
        int r = reason ? ban_store_put(b->store, &ban, turn->now_usec, &change) : -ENOMEM;

        if (r < 0)
                return r;
        b->has_prefix[FAMILY_IPV6][ban.key.prefix] = true;
        return bans_note_change(&change, turn);
}

int bans_widen(BanTurn *turn, const BanEntry *key, int64_t until_usec, int64_t uid, BanEntry *ret) {
        const BanSettings *rules = &turn->d->ban_rules.rules;
        Widening w = {.length = key->prefix};
        int r = 1;

        for (BanEntry at = *key; turn->error == 0 && widen_step(&at, rules->ipv6_cap, &w.around);
             at = w.around) {
                const char *why = NULL;

                w.length = at.prefix;
                w.n_found = 0;
                r = is_bad(turn, &w);
                if (r <= 0)
                        break;
                why = never_refuse(turn->arena, &turn->never, rules->widest, &w.around, &r);
                if (r == 0 && !why)
                        why = bans_check_length(turn, &w.around);
                if (r == 0 && !why)
                        r = bans_make_room(turn, &w.around, WIDEN_JAIL, &why);
                if (r < 0 || why)
                        break;
                r = put_widened(turn, &w, until_usec, uid);
                if (r < 0)
                        break;
                *ret = w.around;
        }
        if (r < 0 && r != -ENOMEM)
                turn->error = r;
        return r == -ENOMEM ? r : 0;
}

static int take_narrower(const Ban *ban, void *to) {
        const BanEntry *around = to;

        return ban->key.protocol == 0 && ban->key.prefix > around->prefix ? 1 : 0;
}

static int has_narrower(BanTurn *turn, BanEntry *around) {
        Range within = ban_range(around);
        const BanFilter f = {.family = FAMILY_IPV6, .within = &within};

        return ban_store_read(turn->d->bans->store, &f, turn->now_usec, take_narrower, around);
}

int bans_narrow(BanTurn *turn, const BanEntry *key, bool by_hand) {
        BanEntry around;
        int r = 0;

        for (BanEntry at = *key; widen_step(&at, 1, &around) && r == 0; at = around) {
                const BanFilter f = {.address = &around, .jail = WIDEN_JAIL};

                if (!turn->d->bans->has_prefix[FAMILY_IPV6][around.prefix])
                        continue;
                r = has_ban(turn, &around, WIDEN_JAIL);
                if (r == 1)
                        r = by_hand ? 0 : has_narrower(turn, &around) != 0;
                else if (r == 0)
                        r = 1;
                if (r == 0)
                        r = ban_store_drop(turn->d->bans->store, &f, turn->now_usec,
                                           bans_note_change, turn);
                else if (r == 1)
                        r = 0; /* there is none, or it stays */
        }
        return r;
}

/* ---- who is let go */

typedef struct LetGo {
        BanTurn *turn;
        struct Freed {
                BanEntry key;
                const char *why;
        } * items;
        size_t n;
} LetGo;

static int take_covered(const Ban *ban, void *to) {
        LetGo *l = to;
        struct Freed freed = {.key = ban->key};
        NeverRange n;

        if (!never_covers(&l->turn->never, &ban->key, &n))
                return 0;
        freed.why = n.why;
        return arena_append(l->turn->arena, l->items, l->n, freed) ? 0 : -ENOMEM;
}

static int find_covered(LetGo *l) {
        const Never *never = &l->turn->never;
        BanRange *list;
        size_t n;
        int r = bans_never_list(l->turn->arena, never, &list, &n);

        for (size_t i = 0; i < n && r == 0; i++) {
                const BanFilter f = {.family = list[i].family, .within = &list[i].range};

                r = ban_store_read(l->turn->d->bans->store, &f, l->turn->now_usec, take_covered, l);
        }
        return r;
}

/* More than once perhaps: dropping what is gone is no change. */
static int drop_covered(LetGo *l) {
        BanTurn *turn = l->turn;
        size_t n_told = 0, n_all = 0;
        char address[ADDRESS_TEXT_MAX];
        int r = 0;

        for (size_t i = 0; i < l->n && r == 0; i++) {
                const BanFilter f = {.address = &l->items[i].key};
                size_t before = turn->n_changes;

                r = ban_store_drop(turn->d->bans->store, &f, turn->now_usec, bans_note_change,
                                   turn);
                n_all += turn->n_changes > before;
                if (turn->n_changes > before && n_told++ < TOLD_MAX)
                        daemon_event(turn->d, EVENT_NOTE, LOG_NOTICE,
                                     "%s is unbanned, for it is %s",
                                     ban_print_address(&l->items[i].key, address), l->items[i].why);
        }
        if (n_all > TOLD_MAX)
                daemon_event(turn->d, EVENT_NOTE, LOG_NOTICE,
                             "%zu more are unbanned, for they are never banned", n_all - TOLD_MAX);
        return r;
}

/* Bans that do not end stay, however many there are. */
static int drop_surplus(BanTurn *turn) {
        int64_t max = turn->d->ban_rules.rules.max, before = turn->n_bans;
        int r = 0;

        if (before > max)
                r = ban_store_trim(turn->d->bans->store, before - max, turn->now_usec,
                                   bans_note_change, turn);
        if (r == 0 && turn->n_bans < before)
                daemon_event(turn->d, EVENT_NOTE, LOG_NOTICE,
                             "bans.max is %" PRId64 ": the %" PRId64
                             " bans that would have ended soonest are unbanned",
                             max, before - turn->n_bans);
        return r;
}

void bans_obey(Daemon *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Bans *b = d->bans;
        BanTurn turn = {.d = d, .arena = a, .now_usec = bans_now()};
        LetGo l = {.turn = &turn};
        int r = a ? 0 : -ENOMEM;

        if (!b || b->n_bans == 0 || b->is_unsaved)
                return;
        if (r == 0)
                r = bans_never_read(d, a, false, &turn.never);
        if (r == 0)
                r = find_covered(&l);
        if (r == 0 && l.n == 0 && b->n_bans <= (int64_t)d->ban_rules.rules.max)
                return;
        if (r == 0) {
                bans_begin(&turn);
                r = turn.error < 0 ? turn.error : drop_covered(&l);
                if (r == 0)
                        r = drop_surplus(&turn);
                turn.error = r;
                r = bans_finish(&turn);
        }
        if (r < 0)
                daemon_event(d, EVENT_FAILURE, LOG_ERR,
                             "who is never banned could not be let go: %s", strerror(-r));
}
