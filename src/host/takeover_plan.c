/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/takeover.h"

#include "world/print.h"

/* What is done to each rival, and what that means, in words. */

static int say(Arena *a, TakeoverStep *step, bool is_so, const char *text) {
        if (!is_so)
                return 0;
        return text && arena_append(a, step->means, step->n_means, text) ? 0 : -ENOMEM;
}

/* "inet filter, ip nat"; NULL if there is none. */
static int name_tables(const TakeoverHost *h, Arena *a, const char **ret) {
        const char *text = NULL;

        for (size_t i = 0; i < h->n_tables; i++) {
                const TakeoverTable *table = &h->tables[i];

                if (table->stranger)
                        continue;
                text = arena_printf(a, "%s%s%s %s", text ? text : "", text ? ", " : "",
                                    world_family_to_string(table->family), table->name);
                if (!text)
                        return -ENOMEM;
        }
        *ret = text;
        return 0;
}

/* ---- disabling */

static int plan_firewalld(const TakeoverHost *h, Arena *a, TakeoverStep *step) {
        step->does = "systemctl disable firewalld; end it without its own clean-up; delete its "
                     "tables (inet firewalld)";
        if (h->firewalld_is_xt || h->firewalld_is_direct) {
                step->obstacle = h->firewalld_is_xt
                                         ? "its rules are in the tables of iptables "
                                           "(FirewallBackend=iptables), and cannot be told from "
                                           "those of other programs"
                                         : "it has direct rules (/etc/firewalld/direct.xml), which "
                                           "are in the tables of iptables and cannot be told from "
                                           "those of other programs";
                step->way_out = "systemctl disable --now firewalld; that empties all tables of "
                                "iptables: restart Docker, fail2ban and whoever else has rules "
                                "there";
        }
        return say(a, step, true,
                   "its zones, forwardings and masquerading go; nothing of other programs does: "
                   "its own clean-up would empty all tables of iptables, and units that are a part "
                   "of it "
                   "(fail2ban) would end with it");
}

static int plan_nftables(const TakeoverHost *h, Arena *a, TakeoverStep *step) {
        const char *tables;
        int r = name_tables(h, a, &tables);

        if (r < 0)
                return r;
        step->does = tables ? arena_printf(a,
                                           "systemctl disable nftables; stop it without its 'nft "
                                           "flush ruleset'; delete its tables (%s)",
                                           tables)
                            : "systemctl disable nftables; stop it without its 'nft flush ruleset'";
        if (!step->does)
                return -ENOMEM;
        if (h->tables_wrong) {
                step->obstacle = arena_printf(a, "which tables are its own cannot be told: %s",
                                              h->tables_wrong);
                step->way_out = "systemctl disable nftables (and do not stop it: that empties the "
                                "tables of all programs), and restart this host";
                if (!step->obstacle)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < h->n_tables && r == 0; i++)
                if (h->tables[i].stranger)
                        r = say(a, step, true,
                                arena_printf(a,
                                             "the table %s %s stays until the next boot: the chain "
                                             "%s in it is not of its configuration",
                                             world_family_to_string(h->tables[i].family),
                                             h->tables[i].name, h->tables[i].stranger));
        if (r == 0)
                r = say(a, step, true, "tables of other programs stay as they are");
        return r;
}

static int plan_ufw(const TakeoverHost *h, Arena *a, TakeoverStep *step) {
        int r;

        step->does = "let what ufw does not decide pass it; ufw disable";
        if (h->ufw_flushes_all && h->others_xt) {
                step->obstacle = arena_printf(a,
                                              "MANAGE_BUILTINS=yes in /etc/default/ufw: disabling "
                                              "it would empty the tables of iptables, where there "
                                              "are rules of others (%s)",
                                              h->others_xt);
                step->way_out = "set MANAGE_BUILTINS=no there, and try again";
                if (!step->obstacle)
                        return -ENOMEM;
        }
        r = say(a, step, true,
                "its chains are emptied, for IPv4 and IPv6, and the policies of INPUT, FORWARD and "
                "OUTPUT become ACCEPT; chains of other programs stay as they are");
        if (r == 0)
                r = say(a, step, h->ufw_closes_ipv6,
                        "it refused all of IPv6 (IPV6=no): from now on the policy decides there, "
                        "too");
        if (r == 0)
                r = say(a, step, h->ufw_translates,
                        "what /etc/ufw/before.rules translates (*nat) stays until the next boot, "
                        "and is gone then: write it into the policy's 'nat'");
        if (r == 0)
                r = say(a, step, h->ufw_runs_scripts,
                        "its scripts /etc/ufw/before.init and after.init are run with 'stop'");
        return r;
}

static int (*const plans[_TAKEOVER_RIVAL_MAX])(const TakeoverHost *, Arena *, TakeoverStep *) = {
        [TAKEOVER_FIREWALLD] = plan_firewalld,
        [TAKEOVER_NFTABLES] = plan_nftables,
        [TAKEOVER_UFW] = plan_ufw,
};

/* A ufw that is off has no rules that it could be given back. */
static bool is_there(const TakeoverHost *h, TakeoverRival rival) {
        return h->states[rival].is_enabled || (h->states[rival].is_active && rival != TAKEOVER_UFW);
}

static bool is_broken_off(const TakeoverRecord *record, TakeoverRival rival) {
        return record->of[rival].phase == TAKEOVER_DISABLING ||
               record->of[rival].phase == TAKEOVER_RESTORING;
}

int takeover_plan(const TakeoverHost *h,
                  const TakeoverRecord *record,
                  unsigned int mask,
                  Arena *a,
                  TakeoverPlan *ret) {
        *ret = (TakeoverPlan){0};
        for (TakeoverRival i = 0; i < _TAKEOVER_RIVAL_MAX; i++) {
                TakeoverStep step = {.rival = i};
                int r;

                if (!(mask & 1U << i) || (!is_there(h, i) && !is_broken_off(record, i)))
                        continue;
                r = plans[i](h, a, &step);
                if (r == 0 && record->of[i].phase == TAKEOVER_DISABLING)
                        r = say(a, &step, true, "this was begun before, and is gone on with");
                if (r < 0 || !arena_append(a, ret->steps, ret->n_steps, step))
                        return -ENOMEM;
        }
        return 0;
}

/* ---- restoring */

static const char *undo_words(const TakeoverRecord *record, TakeoverRival rival) {
        const TakeoverState *before = &record->of[rival].before;

        switch (rival) {
        case TAKEOVER_FIREWALLD:
                return !before->is_active   ? "systemctl enable firewalld"
                       : before->is_enabled ? "systemctl enable firewalld; systemctl start "
                                              "firewalld"
                                            : "systemctl start firewalld";
        case TAKEOVER_NFTABLES:
                return !before->is_active ? "systemctl enable nftables"
                       : before->is_enabled
                               ? "systemctl enable nftables; start it with the tables that it had"
                               : "start nftables.service with the tables that it had";
        case TAKEOVER_UFW:
                return "ufw enable";
        case _TAKEOVER_RIVAL_MAX:
        case _TAKEOVER_RIVAL_INVALID:
                break;
        }
        return "";
}

static int
explain_undo(const TakeoverHost *h, const TakeoverRecord *record, Arena *a, TakeoverStep *step) {
        bool starts = record->of[step->rival].before.is_active;
        int r = say(a, step, true,
                    "ringwall's rules stay in force beside it: a packet passes if both let it");

        if (r == 0)
                r = say(a, step,
                        step->rival == TAKEOVER_FIREWALLD && starts && h->others_xt != NULL,
                        "its start empties all tables of iptables, where there are rules of "
                        "others: they are put back behind it");
        if (r == 0)
                r = say(a, step, step->rival == TAKEOVER_NFTABLES && starts,
                        "its 'flush ruleset' is not run; the next boot loads its configuration as "
                        "it is then");
        return r;
}

/* Each unit says that it conflicts with the other, and systemd stops the one for the other. */
static int
find_conflict(const TakeoverHost *h, const TakeoverRecord *record, Arena *a, TakeoverStep *step) {
        TakeoverRival other =
                step->rival == TAKEOVER_FIREWALLD ? TAKEOVER_NFTABLES : TAKEOVER_FIREWALLD;

        if (step->rival == TAKEOVER_UFW || !record->of[step->rival].before.is_active ||
            !h->states[other].is_active || h->states[step->rival].is_active)
                return 0;
        step->obstacle = arena_printf(a,
                                      "%s runs by now, and systemd would stop it for this one: "
                                      "with its own clean-up, which empties tables of other "
                                      "programs, too",
                                      takeover_rival_name(other));
        step->way_out = arena_printf(a, "ringwall takeover %s, and then this",
                                     takeover_rival_to_string(other));
        return step->obstacle && step->way_out ? 0 : -ENOMEM;
}

int takeover_plan_undo(const TakeoverHost *h,
                       const TakeoverRecord *record,
                       unsigned int mask,
                       Arena *a,
                       TakeoverPlan *ret) {
        *ret = (TakeoverPlan){0};
        for (TakeoverRival i = _TAKEOVER_RIVAL_MAX; i-- > 0;) {
                TakeoverStep step = {.rival = i};

                if (!(mask & 1U << i) || record->of[i].phase == TAKEOVER_NONE)
                        continue;
                step.does = undo_words(record, i);
                if (explain_undo(h, record, a, &step) < 0 ||
                    find_conflict(h, record, a, &step) < 0 ||
                    !arena_append(a, ret->steps, ret->n_steps, step))
                        return -ENOMEM;
        }
        return 0;
}
