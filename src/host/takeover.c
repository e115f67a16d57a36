/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/takeover.h"

#include "world/print.h"

#define TABLE_DORMANT 1U /* NFT_TABLE_F_DORMANT */

static const struct {
        const char *id, *name;
} rivals[_TAKEOVER_RIVAL_MAX] = {
        [TAKEOVER_FIREWALLD] = {"firewalld", "firewalld"},
        [TAKEOVER_NFTABLES] = {"nftables", "nftables.service"},
        [TAKEOVER_UFW] = {"ufw", "ufw"},
};

const char *takeover_rival_to_string(TakeoverRival rival) {
        return rivals[rival].id;
}

const char *takeover_rival_name(TakeoverRival rival) {
        return rivals[rival].name;
}

TakeoverRival takeover_rival_from_string(const char *s) {
        for (TakeoverRival i = 0; i < _TAKEOVER_RIVAL_MAX; i++)
                if (streq(rivals[i].id, s) || streq(rivals[i].name, s))
                        return i;
        return _TAKEOVER_RIVAL_INVALID;
}

/* ---- what is there */

static bool has_line(const char *text, const char *line) {
        size_t len = strlen(line);

        for (const char *p = text; (p = strstr(p, line)) != NULL; p += len)
                if ((p == text || p[-1] == '\n') && (p[len] == '\n' || p[len] == '\0'))
                        return true;
        return false;
}

TakeoverState takeover_state_parse(const char *text) {
        bool for_this_boot = has_line(text, "UnitFileState=enabled-runtime");

        return (TakeoverState){
                .is_enabled = for_this_boot || has_line(text, "UnitFileState=enabled"),
                .for_this_boot = for_this_boot,
                .is_active = has_line(text, "ActiveState=active") ||
                             has_line(text, "ActiveState=activating") ||
                             has_line(text, "ActiveState=reloading"),
        };
}

/* Whether a file of the host holds the text; line: where a line begins. What cannot be read has
 * none: whoever takes over is root. 0 and 1, or -ENOMEM. */
static int file_has(const Tree *t, const char *path, const char *what, bool line) {
        size_t size;
        char *text;
        int r = tree_read(t, tree_path(t, "%s", path), &text, &size);

        if (r < 0)
                return r == -ENOMEM ? r : 0;
        for (const char *p = text; (p = strstr(p, what)) != NULL; p++) {
                const char *before = p;

                while (before > text && (before[-1] == ' ' || before[-1] == '\t'))
                        before--;
                if (!line || before == text || before[-1] == '\n')
                        return 1;
        }
        return 0;
}

static int assigns(const Tree *t, const char *path, const char *name, const char *value) {
        int r = tree_assigns(t, path, name, value);

        return r < 0 && r != -ENOMEM ? 0 : r;
}

static int is_program(const Tree *t, const char *path) {
        const char *full = tree_path(t, "%s", path);

        return full ? access(full, X_OK) == 0 : -ENOMEM;
}

int takeover_read(const Tree *t, TakeoverHost *ret) {
        static const char defaults[] = "/etc/default/ufw", direct[] = "/etc/firewalld/direct.xml";
        bool has_ufw = false;
        const struct {
                bool *to;
                int is_so;
        } answers[] = {
                {&has_ufw, is_program(t, "/usr/sbin/ufw")},
                {&ret->states[TAKEOVER_UFW].is_enabled,
                 assigns(t, "/etc/ufw/ufw.conf", "ENABLED", "yes")},
                {&ret->ufw_flushes_all, assigns(t, defaults, "MANAGE_BUILTINS", "yes")},
                {&ret->ufw_closes_ipv6, assigns(t, defaults, "IPV6", "no")},
                {&ret->ufw_translates, file_has(t, "/etc/ufw/before.rules", "*nat", true)},
                {&ret->ufw_translates, file_has(t, "/etc/ufw/before6.rules", "*nat", true)},
                {&ret->ufw_runs_scripts, is_program(t, "/etc/ufw/before.init")},
                {&ret->ufw_runs_scripts, is_program(t, "/etc/ufw/after.init")},
                {&ret->firewalld_is_xt,
                 assigns(t, "/etc/firewalld/firewalld.conf", "FirewallBackend", "iptables")},
                {&ret->firewalld_is_direct, file_has(t, direct, "<rule", false)},
                {&ret->firewalld_is_direct, file_has(t, direct, "<chain", false)},
                {&ret->firewalld_is_direct, file_has(t, direct, "<passthrough", false)},
        };

        for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
                if (answers[i].is_so < 0)
                        return answers[i].is_so;
                *answers[i].to |= answers[i].is_so > 0;
        }
        ret->states[TAKEOVER_UFW].is_enabled &= has_ufw; /* settings may outlive the program */
        return 0;
}

static bool is_xt(const WorldTable *table) {
        return streq_null(table->owner, "iptables") || streq_null(table->owner, "ip6tables");
}

static bool is_ufw_chain(const WorldChain *chain) {
        return is_xt(chain->table) &&
               (startswith(chain->name, "ufw-") || startswith(chain->name, "ufw6-"));
}

static bool is_ours(const WorldTable *table) {
        return startswith(table->name, "ringwall");
}

bool takeover_is_firewalld_table(const WorldTable *table) {
        return streq(table->name, "firewalld") || streq(table->name, "firewalld_policy_drop");
}

static bool is_table(const WorldTable *table, uint8_t family, const char *name) {
        return table->family == family && streq(table->name, name);
}

static bool has_chain(const World *w, const WorldChain *like) {
        for (size_t i = 0; i < w->n_chains; i++)
                if (is_table(w->chains[i]->table, like->table->family, like->table->name) &&
                    streq(w->chains[i]->name, like->name))
                        return true;
        return false;
}

/* What in a table of the kernel is somebody else's: the configuration has no word of it, or it is
 * known whose it is. (One that was made with `nft list ruleset` names the chains of all programs.)
 */
static const char *find_stranger(const World *live, const World *alone, const WorldTable *table) {
        for (size_t i = 0; i < live->n_chains; i++) {
                const WorldChain *chain = live->chains[i];

                if (chain->table == table && (!has_chain(alone, chain) ||
                                              !streq_null(world_chain_owner(chain), table->owner)))
                        return chain->name;
        }
        return NULL;
}

/* Tables of other programs, as such a configuration names them, too. */
static bool is_known_as_anothers(const WorldTable *table) {
        return is_ours(table) || takeover_is_firewalld_table(table) ||
               (table->owner && !is_xt(table));
}

static int find_tables(const World *live, const World *alone, Arena *a, TakeoverHost *ret) {
        for (size_t i = 0; i < live->n_tables; i++) {
                const WorldTable *table = &live->tables[i];
                TakeoverTable found = {.family = table->family};
                bool is_made = false;

                for (size_t j = 0; j < alone->n_tables; j++)
                        is_made |= is_table(&alone->tables[j], table->family, table->name);
                if (!is_made || is_known_as_anothers(table))
                        continue;
                found.name = arena_strdup(a, table->name);
                found.stranger = find_stranger(live, alone, table);
                if (!found.name || !arena_append(a, ret->tables, ret->n_tables, found))
                        return -ENOMEM;
        }
        return 0;
}

int takeover_look(const World *live, const World *alone, Arena *a, TakeoverHost *ret) {
        ret->states[TAKEOVER_UFW].is_active = false;
        ret->others_xt = NULL;
        ret->tables = NULL;
        ret->n_tables = 0;
        for (size_t i = 0; i < live->n_chains; i++) {
                const WorldChain *chain = live->chains[i];

                if (is_ufw_chain(chain)) /* the outer chains stay when it is disabled, empty */
                        ret->states[TAKEOVER_UFW].is_active |= chain->n_rules > 0;
                else if (is_xt(chain->table) && !chain->is_base)
                        ret->others_xt = streq_null(world_chain_owner(chain), chain->table->owner)
                                                 ? chain->name
                                                 : world_chain_owner(chain);
        }
        return alone ? find_tables(live, alone, a, ret) : 0;
}

/* ---- what is written down */

static const char header[] = "ringwall takeover 1\n";

static const char *const phases[_TAKEOVER_PHASE_MAX] = {
        [TAKEOVER_NONE] = "none",
        [TAKEOVER_DISABLING] = "disabling",
        [TAKEOVER_DISABLED] = "disabled",
        [TAKEOVER_RESTORING] = "restoring",
};

bool takeover_record_is_empty(const TakeoverRecord *record) {
        for (size_t i = 0; i < _TAKEOVER_RIVAL_MAX; i++)
                if (record->of[i].phase != TAKEOVER_NONE)
                        return false;
        return true;
}

const char *takeover_record_print(Arena *a, const TakeoverRecord *record) {
        const char *text = header;

        for (TakeoverRival i = 0; i < _TAKEOVER_RIVAL_MAX && text; i++) {
                const TakeoverState *before = &record->of[i].before;

                if (record->of[i].phase == TAKEOVER_NONE)
                        continue;
                text = arena_printf(a, "%s%s %s %s %s\n", text, rivals[i].id,
                                    phases[record->of[i].phase],
                                    !before->is_enabled     ? "disabled"
                                    : before->for_this_boot ? "enabled-runtime"
                                                            : "enabled",
                                    before->is_active ? "active" : "inactive");
        }
        return text;
}

static int parse_line(const char *line, TakeoverRecord *ret) {
        char id[16], phase[16], enabled[16], active[16];
        TakeoverRival rival;
        TakeoverState before;
        int n = 0;

        if (sscanf(line, "%15s %15s %15s %15s%n", id, phase, enabled, active, &n) != 4 ||
            line[n] != '\n')
                return -EBADMSG;
        rival = takeover_rival_from_string(id);
        if (rival < 0 || ret->of[rival].phase != TAKEOVER_NONE)
                return -EBADMSG;
        before.for_this_boot = streq(enabled, "enabled-runtime");
        before.is_enabled = before.for_this_boot || streq(enabled, "enabled");
        before.is_active = streq(active, "active");
        if ((!before.is_enabled && !streq(enabled, "disabled")) ||
            (!before.is_active && !streq(active, "inactive")))
                return -EBADMSG;
        for (TakeoverPhase i = TAKEOVER_DISABLING; i < _TAKEOVER_PHASE_MAX; i++)
                if (streq(phase, phases[i])) {
                        ret->of[rival].phase = i;
                        ret->of[rival].before = before;
                        return 0;
                }
        return -EBADMSG;
}

int takeover_record_parse(const char *text, TakeoverRecord *ret) {
        TakeoverRecord record = {0};

        if (!startswith(text, header))
                return -EBADMSG;
        for (const char *p = text + strlen(header); *p; p = strchr(p, '\n') + 1) {
                int r = strchr(p, '\n') ? parse_line(p, &record) : -EBADMSG;

                if (r < 0)
                        return r;
        }
        *ret = record;
        return 0;
}

/* ---- what the kernel holds then */

static bool plans(const TakeoverPlan *plan, TakeoverRival rival) {
        for (size_t i = 0; i < plan->n_steps; i++)
                if (plan->steps[i].rival == rival)
                        return true;
        return false;
}

static bool is_own_table(const TakeoverHost *h, const WorldTable *table) {
        for (size_t i = 0; i < h->n_tables; i++)
                if (!h->tables[i].stranger &&
                    is_table(table, h->tables[i].family, h->tables[i].name))
                        return true;
        return false;
}

void takeover_subtract(const TakeoverHost *h, const TakeoverPlan *plan, World *w) {
        bool firewalld = plans(plan, TAKEOVER_FIREWALLD), nftables = plans(plan, TAKEOVER_NFTABLES),
             ufw = plans(plan, TAKEOVER_UFW);

        for (size_t i = 0; i < w->n_tables; i++) {
                WorldTable *table = &w->tables[i];

                if ((firewalld && takeover_is_firewalld_table(table)) ||
                    (nftables && is_own_table(h, table)))
                        table->flags |= TABLE_DORMANT;
        }
        for (size_t i = 0; i < w->n_chains; i++) {
                WorldChain *chain = w->chains[i];
                bool is_gone = (firewalld && takeover_is_firewalld_table(chain->table)) ||
                               (nftables && is_own_table(h, chain->table));

                if (is_gone || (ufw && is_ufw_chain(chain)))
                        chain->n_rules = 0;
                if (ufw && chain->is_base && is_xt(chain->table) &&
                    streq(chain->table->name, "filter"))
                        chain->policy_drop = false;
        }
}
