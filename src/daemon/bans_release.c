/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/bans_act.h"

/* Who is to be unbanned: an address, all of a jail, or everybody. */

/* Of an address, while the store cannot be written: what it says of other jails, which are to let
 * in as well, stands until then; and what could not be written down is in the kernel alone. */
static int note_unsaved(BanTurn *turn, const UnbanRequest *q, const BanEntry *key, size_t before) {
        BanChange change = {.key = *key, .before_usec = 1};
        bool holds = false;

        for (size_t i = before; i < turn->n_changes && !q->jail; i++)
                turn->changes[i].kernel_usec = 0;
        if (q->jail && ban_store_holds(turn->d->bans->store, key, turn->now_usec, &holds) < 0)
                holds = true;
        return holds ? 0 : bans_note_change(&change, turn);
}

static int unban_all(BanTurn *turn, BanAnswer *ret) {
        int64_t n;
        int r = ban_store_drop_all(turn->d->bans->store, turn->now_usec, &n);

        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                turn->error = r;
                n = turn->d->bans->n_bans;
        }
        turn->n_changes = 0;
        turn->is_emptied = true;
        turn->n_bans = 0;
        ret->reply = json_pack("{s:I}", "unbanned", (json_int_t)n);
        return 0;
}

/* Of a single IPv6 address all that it may have been banned as; else just that. */
static int drop_address(BanTurn *turn, const UnbanRequest *q, size_t before, const char **ret_why) {
        const unsigned int lengths[] = {turn->d->ban_rules.rules.ipv6, 128, BAN_HOST_IPV6};
        size_t n = strchr(q->address, '/') || !strchr(q->address, ':') ? 1 : ARRAY_SIZE(lengths);
        Bans *b = turn->d->bans;
        BanEntry key;
        const BanFilter filter = {.address = &key, .jail = q->jail};

        for (size_t i = 0; i < n; i++) {
                int r = ban_parse_address(turn->arena, q->address, lengths[i], &key, ret_why);

                if (r == 0)
                        r = ban_store_drop(b->store, &filter, turn->now_usec, bans_note_change,
                                           turn);
                if (r == -EBADMSG && *ret_why)
                        return r;
                if (r < 0 && r != -ENOMEM)
                        turn->error = r;
                if (r == -ENOMEM ||
                    ((turn->error < 0 || b->is_unsaved) && note_unsaved(turn, q, &key, before) < 0))
                        return -ENOMEM;
        }
        return 0;
}

static int drop_jail(BanTurn *turn, const char *jail) {
        const BanFilter filter = {.jail = jail};
        int r = ban_store_drop(turn->d->bans->store, &filter, turn->now_usec, bans_note_change,
                               turn);

        if (r < 0 && r != -ENOMEM)
                turn->error = r;
        return r == -ENOMEM ? r : 0;
}

/* What widening made of those that were ended. */
static int narrow_all(BanTurn *turn, const UnbanRequest *q, size_t before) {
        size_t n = turn->n_changes;
        int r = 0;

        for (size_t i = before; i < n && r == 0 && turn->error == 0; i++)
                if (turn->changes[i].was_there)
                        r = bans_narrow(turn, &turn->changes[i].key, q->address && !q->jail);
        if (r < 0 && r != -ENOMEM)
                turn->error = r;
        return r == -ENOMEM ? r : 0;
}

static int run_unban(BanTurn *turn, const BanCall *call, BanAnswer *ret) {
        const UnbanRequest *q = call->parameters;
        const char *why = NULL;
        size_t before = turn->n_changes, n = 0;
        int r;

        if (!q->address && !q->jail && !q->all)
                return bans_refuse(ret, BAN_INVALID, "say whom: an address, a jail, or all");
        if (!q->address && !q->jail)
                return unban_all(turn, ret);
        r = q->address ? drop_address(turn, q, before, &why) : drop_jail(turn, q->jail);
        if (why)
                return bans_refuse(ret, BAN_INVALID, why);
        if (r == 0)
                r = narrow_all(turn, q, before);
        for (size_t i = before; i < turn->n_changes; i++)
                n += turn->changes[i].was_there;
        ret->reply = json_pack("{s:I}", "unbanned", (json_int_t)n);
        return r == -ENOMEM ? r : 0;
}

const BanAct bans_act_unban = {false, run_unban};
