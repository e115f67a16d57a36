/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/takeover.h"

#include "host/tree_unit.h"

#define DORMANT 1U                      /* NFT_TABLE_F_DORMANT */
enum { INET = 1, IPV4 = 2, IPV6 = 10 }; /* NFPROTO_... */

/* ---- how units are */

static void a_unit_is_as_systemctl_says(void **state) {
        static const struct {
                const char *text;
                TakeoverState is;
        } rows[] = {
                {"UnitFileState=enabled\nActiveState=active\n",
                 {.is_enabled = true, .is_active = true}},
                {"ActiveState=inactive\nUnitFileState=disabled\n", {0}},
                {"ActiveState=failed\nUnitFileState=enabled\n", {.is_enabled = true}},
                {"ActiveState=active\nUnitFileState=enabled-runtime",
                 {.is_enabled = true, .for_this_boot = true, .is_active = true}},
                {"ActiveState=activating\nUnitFileState=disabled\n", {.is_active = true}},
                {"ActiveState=inactive\nUnitFileState=\n", {0}}, /* there is no such unit */
                {"XUnitFileState=enabled\nActiveState=inactive\n", {0}},
                {"", {0}},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                TakeoverState found = takeover_state_parse(rows[i].text);

                unit_true(rows[i].text, found.is_enabled == rows[i].is.is_enabled);
                unit_true(rows[i].text, found.for_this_boot == rows[i].is.for_this_boot);
                unit_true(rows[i].text, found.is_active == rows[i].is.is_active);
        }
}

/* ---- what the files say */

static void write_program(const Tree *t, const char *path) {
        tree_write(t, path, "#!/bin/sh\n");
        assert_int_equal(chmod(tree_path(t, "%s", path), 0755), 0);
}

static void settings_that_matter_are_read(void **state) {
        const Tree *t = *state;
        TakeoverHost h = {0};

        write_program(t, "/usr/sbin/ufw");
        tree_write(t, "/etc/ufw/ufw.conf", "ENABLED=yes\n");
        tree_write(t, "/etc/default/ufw", "IPV6=no\nMANAGE_BUILTINS=yes\n");
        tree_write(t, "/etc/ufw/before6.rules", "*filter\nCOMMIT\n  *nat\n");
        write_program(t, "/etc/ufw/after.init");
        tree_write(t, "/etc/firewalld/firewalld.conf", "FirewallBackend=iptables\n");
        tree_write(t, "/etc/firewalld/direct.xml", "<direct><rule ipv=\"ipv4\">\n");
        assert_int_equal(takeover_read(t, &h), 0);
        assert_true(h.states[TAKEOVER_UFW].is_enabled && h.ufw_closes_ipv6 && h.ufw_flushes_all);
        assert_true(h.ufw_translates && h.ufw_runs_scripts);
        assert_true(h.firewalld_is_xt && h.firewalld_is_direct);
}

static void settings_as_they_are_delivered_stand_in_nobodys_way(void **state) {
        const Tree *t = *state;
        TakeoverHost h = {0};

        write_program(t, "/usr/sbin/ufw");
        tree_write(t, "/etc/ufw/ufw.conf", "ENABLED=no\n");
        tree_write(t, "/etc/default/ufw", "IPV6=yes\n#IPV6=no\nMANAGE_BUILTINS=no\n");
        tree_write(t, "/etc/ufw/before.rules", "# the section *nat\n*filter\nCOMMIT\n");
        tree_write(t, "/etc/ufw/after.init", "#!/bin/sh\n"); /* not to be run */
        tree_write(t, "/etc/firewalld/firewalld.conf", "FirewallBackend=nftables\n");
        tree_write(t, "/etc/firewalld/direct.xml", "<?xml?>\n<direct>\n</direct>\n");
        assert_int_equal(takeover_read(t, &h), 0);
        assert_memory_equal(&h, &(TakeoverHost){0}, sizeof(h));
}

static void the_settings_of_a_ufw_that_was_removed_enable_nothing(void **state) {
        const Tree *t = *state;
        TakeoverHost h = {0};

        tree_write(t, "/etc/ufw/ufw.conf", "ENABLED=yes\n");
        assert_int_equal(takeover_read(t, &h), 0);
        assert_false(h.states[TAKEOVER_UFW].is_enabled);
}

/* ---- what the kernel holds */

static WorldRule some_rule;

static WorldTable *add_table(World *w, uint8_t family, const char *name, const char *owner) {
        WorldTable table = {.family = family, .name = name, .owner = owner};

        assert_true(w->n_tables < 16); /* of new_world(): chains point to them */
        w->tables[w->n_tables] = table;
        return &w->tables[w->n_tables++];
}

static WorldChain *add_chain(World *w, const WorldTable *table, const char *name, bool is_base) {
        WorldChain *chain = arena_new0(w->arena, WorldChain);

        assert_non_null(chain);
        *chain = (WorldChain){.table = table,
                              .name = name,
                              .is_base = is_base,
                              .policy_drop = is_base,
                              .rules = &some_rule,
                              .n_rules = 1};
        assert_true(arena_append(w->arena, w->chains, w->n_chains, chain));
        return chain;
}

static World *new_world(const Tree *t) {
        World *w = arena_new0(t->arena, World);

        assert_non_null(w);
        w->arena = t->arena;
        w->tables = arena_alloc_array(t->arena, 16, sizeof(WorldTable));
        assert_non_null(w->tables);
        return w;
}

static void tables_of_nftables_service_are_those_that_nobody_else_is_in(void **state) {
        const Tree *t = *state;
        World *live = new_world(t), *alone = new_world(t);
        TakeoverHost h = {0};
        const WorldTable *table;

        /* its configuration, made with `nft list ruleset`, names everybody's */
        (void)add_chain(alone, add_table(alone, INET, "filter", NULL), "input", true);
        table = add_table(alone, IPV4, "nat", "iptables");
        (void)add_chain(alone, table, "PREROUTING", true);
        (void)add_chain(alone, table, "DOCKER", false);
        (void)add_chain(alone, add_table(alone, INET, "mine", NULL), "input", true);
        (void)add_table(alone, INET, "ringwall", NULL);
        (void)add_table(alone, INET, "f2b-table", "fail2ban");
        (void)add_table(alone, INET, "firewalld", "firewalld");
        (void)add_table(alone, INET, "deleted", NULL);

        (void)add_chain(live, add_table(live, INET, "filter", NULL), "input", true);
        table = add_table(live, IPV4, "nat", "iptables");
        (void)add_chain(live, table, "PREROUTING", true);
        (void)add_chain(live, table, "DOCKER", false);
        table = add_table(live, INET, "mine", NULL);
        (void)add_chain(live, table, "input", true);
        (void)add_chain(live, table, "somebodys", false);
        (void)add_table(live, INET, "ringwall", NULL);
        (void)add_table(live, INET, "f2b-table", "fail2ban");
        (void)add_table(live, INET, "firewalld", "firewalld");
        (void)add_table(live, IPV6, "filter", NULL); /* of another family */

        assert_int_equal(takeover_look(live, alone, t->arena, &h), 0);
        assert_int_equal(h.n_tables, 3);
        assert_string_equal(h.tables[0].name, "filter");
        assert_null(h.tables[0].stranger);
        assert_string_equal(h.tables[1].stranger, "DOCKER");
        assert_string_equal(h.tables[2].stranger, "somebodys");
        assert_string_equal(h.others_xt, "Docker");
}

static const WorldTable *add_ufw(World *w) {
        const WorldTable *table = add_table(w, IPV4, "filter", "iptables");

        (void)add_chain(w, table, "INPUT", true);
        (void)add_chain(w, table, "ufw-before-input", false);
        return table;
}

static void a_ufw_whose_chains_are_empty_is_not_active(void **state) {
        const Tree *t = *state;
        World *w = new_world(t);
        TakeoverHost h = {0};

        (void)add_ufw(w);
        assert_int_equal(takeover_look(w, NULL, t->arena, &h), 0);
        assert_true(h.states[TAKEOVER_UFW].is_active);
        assert_null(h.others_xt);
        w->chains[1]->n_rules = 0; /* as `ufw disable` leaves it */
        assert_int_equal(takeover_look(w, NULL, t->arena, &h), 0);
        assert_false(h.states[TAKEOVER_UFW].is_active);
}

static void what_holds_then_is_all_but_the_rivals_rules(void **state) {
        const Tree *t = *state;
        World *w = new_world(t);
        TakeoverHost h = {.tables = &(TakeoverTable){INET, "filter", NULL}, .n_tables = 1};
        TakeoverRecord record = {0};
        TakeoverPlan plan;
        WorldChain *docker, *fire, *own, *mine, *bans;

        for (TakeoverRival i = 0; i < _TAKEOVER_RIVAL_MAX; i++)
                h.states[i].is_enabled = true;
        docker = add_chain(w, add_ufw(w), "DOCKER", false);
        fire = add_chain(w, add_table(w, INET, "firewalld", "firewalld"), "in", true);
        mine = add_chain(w, add_table(w, INET, "filter", NULL), "input", true);
        own = add_chain(w, add_table(w, INET, "ringwall", "ringwall"), "input", true);
        bans = add_chain(w, add_table(w, INET, "f2b-table", "fail2ban"), "f2b", true);

        assert_int_equal(takeover_plan(&h, &record, 1U << TAKEOVER_UFW, t->arena, &plan), 0);
        takeover_subtract(&h, &plan, w);
        assert_false(w->chains[0]->policy_drop);
        assert_int_equal(w->chains[0]->n_rules, 1); /* others' jumps stay in it */
        assert_int_equal(w->chains[1]->n_rules, 0);
        assert_true(fire->n_rules == 1 && mine->n_rules == 1 && !fire->table->flags);

        assert_int_equal(takeover_plan(&h, &record, TAKEOVER_ALL, t->arena, &plan), 0);
        assert_int_equal(plan.n_steps, _TAKEOVER_RIVAL_MAX);
        takeover_subtract(&h, &plan, w);
        assert_true(fire->n_rules == 0 && fire->table->flags == DORMANT);
        assert_true(mine->n_rules == 0 && mine->table->flags == DORMANT);
        assert_true(own->n_rules == 1 && own->policy_drop && !own->table->flags);
        assert_true(bans->n_rules == 1 && !bans->table->flags && docker->n_rules == 1);
}

/* ---- what changes for who listens */

#define INPUT 1 /* NF_INET_LOCAL_IN */

static U128 add_address(World *w, const char *text, uint8_t prefix, int index) {
        WorldAddress at = {.prefix = prefix, .index = index};
        WorldRoute local = {.type = 2, .table = 255, .index = index},
                   net = {.type = 1, .table = 254, .index = index, .prefix = prefix};
        U128 mask;

        assert_int_equal(address_parse(text, &at.family, &at.address), ADDRESS_OK);
        local.family = net.family = at.family;
        local.prefix = at.family == FAMILY_IPV4 ? 32 : 128;
        local.destination = at.address;
        mask = u128_low_mask((unsigned int)local.prefix - prefix);
        net.destination = (U128){at.address.high & ~mask.high, at.address.low & ~mask.low};
        assert_true(arena_append(w->arena, w->addresses, w->n_addresses, at));
        assert_true(arena_append(w->arena, w->routes, w->n_routes, local));
        assert_true(arena_append(w->arena, w->routes, w->n_routes, net));
        return at.address;
}

/* eth0 leads to the world, eth1 to a network; a firewall lets nobody in. */
static World *closed_world(const Tree *t) {
        static const char *const names[] = {"lo", "eth0", "eth1"};
        WorldRoute all = {.family = FAMILY_IPV4, .type = 1, .table = 254, .index = 2};
        World *w = new_world(t);
        WorldChain *input = add_chain(w, add_table(w, INET, "filter", NULL), "input", true);

        input->hook = INPUT;
        input->n_rules = 0;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                WorldInterface in = {.index = (int)i + 1,
                                     .name = names[i],
                                     .type = 1,
                                     .up = true,
                                     .loopback = i == 0};

                assert_true(arena_append(w->arena, w->interfaces, w->n_interfaces, in));
        }
        (void)add_address(w, "127.0.0.1", 8, 1);
        (void)add_address(w, "203.0.113.1", 24, 2);
        (void)add_address(w, "10.0.0.1", 24, 3);
        (void)add_address(w, "fd00::1", 64, 3);
        assert_true(arena_append(w->arena, w->routes, w->n_routes, all));
        return w;
}

static void what_opens_for_whom_is_told_of_each_port_that_listens(void **state) {
        const Tree *t = *state;
        HostSocket sockets[] = {
                {.proto = 6, .family = FAMILY_IPV6, .is_dual = true, .local_port = 443},
                {.proto = 6, .family = FAMILY_IPV4, .local_port = 22},
                {.proto = 17, .family = FAMILY_IPV4, .local_port = 53, .local.low = 0x7f000001},
        };
        HostSockets list = {sockets, ARRAY_SIZE(sockets)};
        World *now = closed_world(t), *then = closed_world(t);
        TakeoverChange *found;
        size_t n;
        Family family;

        assert_int_equal(address_parse("10.0.0.1", &family, &sockets[1].local), ADDRESS_OK);
        assert_int_equal(takeover_compare(now, then, &list, t->arena, &found, &n), 0);
        assert_int_equal(n, 0);

        then->chains[0]->policy_drop = false;
        assert_int_equal(takeover_compare(now, then, &list, t->arena, &found, &n), 0);
        assert_int_equal(n, 3);
        assert_int_equal(found[0].port, 22);
        assert_string_equal(found[0].interface, "eth1");
        assert_true(found[0].opens && found[0].ipv4 && !found[0].ipv6 && !found[0].is_far);
        assert_int_equal(found[1].port, 443);
        assert_string_equal(found[1].interface, "eth0");
        assert_true(found[1].is_far && found[1].ipv4 && !found[1].ipv6);
        assert_string_equal(found[2].interface, "eth1");
        assert_true(found[2].ipv4 && found[2].ipv6);

        assert_int_equal(takeover_compare(then, now, &list, t->arena, &found, &n), 0);
        assert_true(n == 3 && !found[0].opens);
}

/* ---- plans */

static const char *names_of(Arena *a, const TakeoverPlan *plan) {
        const char *text = "";

        for (size_t i = 0; i < plan->n_steps; i++)
                text = arena_printf(a, "%s%s%s", text, *text ? " " : "",
                                    takeover_rival_to_string(plan->steps[i].rival));
        return text;
}

static void what_is_there_is_planned_for_and_undone_the_other_way_round(void **state) {
        static const struct {
                const char *name;
                TakeoverPhase phases[_TAKEOVER_RIVAL_MAX]; /* firewalld, nftables, ufw */
                TakeoverState states[_TAKEOVER_RIVAL_MAX];
                unsigned int mask;
                const char *plan, *undo;
        } rows[] = {
                {.name = "nothing", .mask = TAKEOVER_ALL, .plan = "", .undo = ""},
                {.name = "two of three",
                 .states = {{.is_enabled = true}, {.is_active = true}, {0}},
                 .mask = TAKEOVER_ALL,
                 .plan = "firewalld nftables",
                 .undo = ""},
                {.name = "one that was named",
                 .states = {{.is_enabled = true}, {0}, {.is_enabled = true}},
                 .mask = 1U << TAKEOVER_UFW,
                 .plan = "ufw",
                 .undo = ""},
                {.name = "a ufw that is off, with chains that somebody else filled",
                 .states = {{0}, {0}, {.is_active = true}},
                 .mask = TAKEOVER_ALL,
                 .plan = "",
                 .undo = ""},
                {.name = "done",
                 .phases = {TAKEOVER_DISABLED, TAKEOVER_NONE, TAKEOVER_DISABLED},
                 .mask = TAKEOVER_ALL,
                 .plan = "",
                 .undo = "ufw firewalld"},
                {.name = "broken off",
                 .phases = {TAKEOVER_DISABLED, TAKEOVER_DISABLING, TAKEOVER_RESTORING},
                 .mask = TAKEOVER_ALL,
                 .plan = "nftables ufw",
                 .undo = "ufw nftables firewalld"},
                {.name = "enabled again by somebody",
                 .phases = {TAKEOVER_DISABLED, TAKEOVER_NONE, TAKEOVER_NONE},
                 .states = {{.is_enabled = true}, {0}, {0}},
                 .mask = TAKEOVER_ALL,
                 .plan = "firewalld",
                 .undo = "firewalld"},
        };
        const Tree *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                TakeoverRecord record = {0};
                TakeoverHost h = {0};
                TakeoverPlan plan;

                for (size_t j = 0; j < _TAKEOVER_RIVAL_MAX; j++) {
                        h.states[j] = rows[i].states[j];
                        record.of[j].phase = rows[i].phases[j];
                }
                assert_int_equal(takeover_plan(&h, &record, rows[i].mask, t->arena, &plan), 0);
                unit_string(rows[i].name, names_of(t->arena, &plan), rows[i].plan);
                for (size_t j = 0; j < plan.n_steps; j++)
                        unit_true(rows[i].name, !plan.steps[j].obstacle && plan.steps[j].n_means);
                assert_int_equal(takeover_plan_undo(&h, &record, rows[i].mask, t->arena, &plan), 0);
                unit_string(rows[i].name, names_of(t->arena, &plan), rows[i].undo);
        }
}

static void what_would_harm_others_is_an_obstacle_with_a_way_out(void **state) {
        static const TakeoverRecord firewalld_ran = {
                .of[TAKEOVER_FIREWALLD] = {TAKEOVER_DISABLED, {.is_active = true}}};
        const struct {
                const char *name;
                TakeoverHost host;
                TakeoverRecord record;
                bool undo;
                const char *obstacle; /* a part of it; NULL: there is none */
        } rows[] = {
                {.name = "ufw that empties all",
                 .host = {.states[TAKEOVER_UFW].is_enabled = true,
                          .ufw_flushes_all = true,
                          .others_xt = "Docker"},
                 .obstacle = "Docker"},
                {.name = "ufw that empties all, where there is nothing else",
                 .host = {.states[TAKEOVER_UFW].is_enabled = true, .ufw_flushes_all = true}},
                {.name = "firewalld with direct rules",
                 .host = {.states[TAKEOVER_FIREWALLD].is_enabled = true,
                          .firewalld_is_direct = true},
                 .obstacle = "direct.xml"},
                {.name = "firewalld over iptables",
                 .host = {.states[TAKEOVER_FIREWALLD].is_active = true, .firewalld_is_xt = true},
                 .obstacle = "FirewallBackend=iptables"},
                {.name = "an nftables.conf that does not load",
                 .host = {.states[TAKEOVER_NFTABLES].is_active = true,
                          .tables_wrong = "line 3: syntax error"},
                 .obstacle = "line 3"},
                {.name = "back to firewalld", .record = firewalld_ran, .undo = true},
                {.name = "back to firewalld, for which systemd would stop nftables.service",
                 .host = {.states[TAKEOVER_NFTABLES].is_active = true},
                 .record = firewalld_ran,
                 .undo = true,
                 .obstacle = "nftables.service runs"},
        };
        const Tree *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                int (*make)(const TakeoverHost *, const TakeoverRecord *, unsigned int, Arena *,
                            TakeoverPlan *) = rows[i].undo ? takeover_plan_undo : takeover_plan;
                const TakeoverStep *step;
                TakeoverPlan plan;

                assert_int_equal(
                        make(&rows[i].host, &rows[i].record, TAKEOVER_ALL, t->arena, &plan), 0);
                unit_true(rows[i].name, plan.n_steps == 1);
                step = &plan.steps[0];
                unit_true(rows[i].name, !step->obstacle == !rows[i].obstacle);
                if (rows[i].obstacle)
                        unit_true(rows[i].name,
                                  strstr(step->obstacle, rows[i].obstacle) && step->way_out);
        }
}

/* ---- what is written down */

static void what_is_written_down_is_read_again(void **state) {
        const Tree *t = *state;
        TakeoverRecord record = {0}, read;
        const char *text;

        assert_true(takeover_record_is_empty(&record));
        record.of[TAKEOVER_UFW].phase = TAKEOVER_DISABLED;
        record.of[TAKEOVER_UFW].before = (TakeoverState){.is_enabled = true, .is_active = true};
        record.of[TAKEOVER_NFTABLES].phase = TAKEOVER_RESTORING;
        record.of[TAKEOVER_NFTABLES].before =
                (TakeoverState){.is_enabled = true, .for_this_boot = true};
        text = takeover_record_print(t->arena, &record);
        assert_string_equal(text, "ringwall takeover 1\n"
                                  "nftables restoring enabled-runtime inactive\n"
                                  "ufw disabled enabled active\n");
        assert_int_equal(takeover_record_parse(text, &read), 0);
        assert_string_equal(takeover_record_print(t->arena, &read), text);
        assert_false(takeover_record_is_empty(&read));
}

static void what_this_version_did_not_write_is_refused(void **state) {
        static const char *const texts[] = {
                "",
                "ringwall takeover 2\n",
                "ringwall takeover 1\nufw disabled enabled\n",
                "ringwall takeover 1\nufw disabled enabled active",
                "ringwall takeover 1\nufw disabled enabled active more\n",
                "ringwall takeover 1\nufw none enabled active\n",
                "ringwall takeover 1\nufw disabled maybe active\n",
                "ringwall takeover 1\nufw disabled enabled maybe\n",
                "ringwall takeover 1\nferm disabled enabled active\n",
                "ringwall takeover 1\nufw disabled enabled active\nufw disabled enabled active\n",
                "ringwall takeover 1\n\n",
        };
        TakeoverRecord record = {.of[0].phase = TAKEOVER_DISABLED};

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                unit_equal(texts[i], takeover_record_parse(texts[i], &record), -EBADMSG);
        assert_int_equal(record.of[0].phase, TAKEOVER_DISABLED); /* as it was */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_unit_is_as_systemctl_says),
                tree_test(settings_that_matter_are_read),
                tree_test(settings_as_they_are_delivered_stand_in_nobodys_way),
                tree_test(the_settings_of_a_ufw_that_was_removed_enable_nothing),
                tree_test(tables_of_nftables_service_are_those_that_nobody_else_is_in),
                tree_test(a_ufw_whose_chains_are_empty_is_not_active),
                tree_test(what_holds_then_is_all_but_the_rivals_rules),
                tree_test(what_opens_for_whom_is_told_of_each_port_that_listens),
                tree_test(what_is_there_is_planned_for_and_undone_the_other_way_round),
                tree_test(what_would_harm_others_is_an_obstacle_with_a_way_out),
                tree_test(what_is_written_down_is_read_again),
                cmocka_unit_test(what_this_version_did_not_write_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
