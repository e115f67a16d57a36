/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/doctor.h"

#include <inttypes.h>

#include "host/starts.h"
#include "host/tree_unit.h"

/* NULL if there is none. */
static const Finding *find(const Findings *all, const char *id) {
        for (size_t i = 0; i < all->n_items; i++)
                if (streq(all->items[i].id, id))
                        return &all->items[i];
        return NULL;
}

static Finding get(const Findings *all, const char *id) {
        const Finding *found = find(all, id);

        if (!found)
                fail_msg("nothing was found of '%s'", id);
        return found ? *found : (Finding){0};
}

static Rival rival(const char *id, RivalKind kind, RivalState state) {
        return (Rival){.id = id,
                       .name = id,
                       .kind = kind,
                       .state = state,
                       .how = "how",
                       .why = "why",
                       .advice = "advice"};
}

static void another_manager_is_a_problem_and_a_writer_a_note(void **state) {
        const Rival rivals[] = {
                rival("ufw", RIVAL_MANAGER, RIVAL_ENABLED),
                rival("firewalld", RIVAL_MANAGER, RIVAL_INSTALLED),
                rival("nftables", RIVAL_MANAGER, RIVAL_ABSENT),
                rival("iptables-legacy", RIVAL_MANAGER, RIVAL_UNKNOWN),
                rival("docker", RIVAL_WRITER, RIVAL_ACTIVE),
                rival("podman", RIVAL_WRITER, RIVAL_INSTALLED),
        };
        Findings all = {0};

        assert_int_equal(doctor_examine_rivals(*state, rivals, ARRAY_SIZE(rivals), &all), 0);
        assert_int_equal(all.n_items, 3);
        assert_int_equal(get(&all, "rival.ufw").kind, FINDING_PROBLEM);
        assert_string_equal(get(&all, "rival.ufw").what, "ufw is enabled");
        assert_string_equal(get(&all, "rival.ufw").seen, "how");
        assert_int_equal(get(&all, "rival.docker").kind, FINDING_NOTE);
        assert_int_equal(get(&all, "rival.iptables-legacy").kind, FINDING_UNKNOWN);
        assert_string_equal(get(&all, "rival.iptables-legacy").advice, "run this as root");
        assert_int_equal(all.n_kind[FINDING_PROBLEM], 1);
        assert_int_equal(all.n_kind[FINDING_NOTE], 1);
        assert_int_equal(all.n_kind[FINDING_UNKNOWN], 1);
}

static Ability ability(const char *id, bool is_needed, bool is_there) {
        return (Ability){id, id, "lack", "advice", is_needed, is_there};
}

static void what_is_needed_is_a_problem_and_what_some_policies_need_a_note(void **state) {
        const Ability list[] = {
                ability("nftables", true, true), ability("conntrack", true, false),
                ability("limit", false, false),  ability("per-source", false, false),
                ability("owner", false, true),   ability("persist", false, false),
                ability("reject", false, true),
        };
        Findings all = {0};

        assert_int_equal(doctor_examine_kernel(*state, list, ARRAY_SIZE(list), 0, &all), 0);
        assert_int_equal(get(&all, "kernel.conntrack").kind, FINDING_PROBLEM);
        assert_int_equal(get(&all, "kernel.limit").kind, FINDING_NOTE);
        assert_int_equal(get(&all, "kernel.persist").kind, FINDING_NOTE);
        assert_null(find(&all, "kernel.per-source")); /* goes without saying */
        assert_null(find(&all, "kernel.reject"));
        assert_int_equal(all.n_items, 3);
}

static void a_kernel_without_nftables_is_one_problem(void **state) {
        const Ability list[] = {ability("nftables", true, false), ability("conntrack", true, false),
                                ability("fib", true, false), ability("fib-in-filter", false, false),
                                ability("nat", false, false)};
        Findings all = {0};

        assert_int_equal(doctor_examine_kernel(*state, list, ARRAY_SIZE(list), 0, &all), 0);
        assert_int_equal(all.n_items, 1);
        assert_int_equal(get(&all, "kernel.nftables").kind, FINDING_PROBLEM);
        all = (Findings){0};
        assert_int_equal(doctor_examine_kernel(*state, NULL, 0, -EPROTONOSUPPORT, &all), 0);
        assert_int_equal(get(&all, "kernel.nftables").kind, FINDING_PROBLEM);
}

static void without_privileges_the_kernel_is_unknown(void **state) {
        Findings all = {0};

        assert_int_equal(doctor_examine_kernel(*state, NULL, 0, -EPERM, &all), 0);
        assert_int_equal(all.n_items, 1);
        assert_int_equal(get(&all, "kernel").kind, FINDING_UNKNOWN);
}

/* A host with two interfaces, of which each case changes something. */
typedef struct Host {
        SysctlInterface interfaces[8];
        HostRoute routes[4];
        Rival rivals[2];
        Sysctls settings;
        HostNet net;
} Host;

static void host_init(Host *h) {
        *h = (Host){
                .interfaces = {{.name = "eth0"}, {.name = "eth1"}},
                .routes = {{.link = 2, .is_default = true}},
                .rivals = {rival("docker", RIVAL_WRITER, RIVAL_ABSENT),
                           rival("kubernetes", RIVAL_WRITER, RIVAL_ABSENT)},
                .settings = {.bridge_calls = SYSCTL_UNKNOWN, .bridge_calls6 = SYSCTL_UNKNOWN},
        };
        h->settings.interfaces = h->interfaces;
        h->settings.n_interfaces = 2;
        h->net.routes = h->routes;
        h->net.n_routes = 1;
}

static Findings examine(const Tree *t, const Host *h) {
        Findings all = {0};

        assert_int_equal(doctor_examine_settings(t, &h->settings, &h->net, h->rivals,
                                                 ARRAY_SIZE(h->rivals), &all),
                         0);
        return all;
}

static void an_ordinary_host_has_no_problem(void **state) {
        Findings all;
        Host h;

        host_init(&h);
        h.interfaces[0].rp_filter = 1;
        all = examine(*state, &h);
        assert_int_equal(all.n_kind[FINDING_PROBLEM], 0);
        assert_int_equal(all.n_items, 1);
        assert_non_null(strstr(get(&all, "forwarding").what, "passes no packets on"));
}

static void says_which_family_is_forwarded(void **state) {
        static const struct {
                int v4, v6;
                const char *says;
        } rows[] = {
                {1, 1, "of IPv4 and IPv6"},     {1, 0, "of IPv4"},
                {1, SYSCTL_UNKNOWN, "of IPv4"}, {0, 1, "of IPv6"},
                {0, 0, "passes no packets on"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Findings all;
                const char *what;
                Host h;

                host_init(&h);
                h.settings.forwarding = rows[i].v4;
                h.settings.forwarding6 = rows[i].v6;
                all = examine(*state, &h);
                what = get(&all, "forwarding").what;
                unit_string(rows[i].says, what + strlen(what) - strlen(rows[i].says), rows[i].says);
        }
}

static void one_interface_may_forward_alone(void **state) {
        Findings all;
        Host h;

        host_init(&h);
        h.interfaces[1].forwarding = 1;
        all = examine(*state, &h);
        assert_non_null(strstr(get(&all, "forwarding").what, "passes packets on, of IPv4"));
}

static void a_strict_filter_matters_with_several_ways_out(void **state) {
        Findings all;
        Host h;

        host_init(&h);
        h.interfaces[1].rp_filter = 1;
        h.routes[1] = (HostRoute){.link = 2, .is_default = true}; /* the same way, twice */
        h.routes[2] = (HostRoute){.link = 3, .is_default = true, .family = FAMILY_IPV6};
        h.net.n_routes = 3;
        all = examine(*state, &h);
        assert_null(find(&all, "rp-filter"));

        h.routes[3] = (HostRoute){.link = 3, .is_default = true};
        h.net.n_routes = 4;
        all = examine(*state, &h);
        assert_int_equal(get(&all, "rp-filter").kind, FINDING_PROBLEM);
        assert_non_null(strstr(get(&all, "rp-filter").seen, "eth1"));
        assert_null(strstr(get(&all, "rp-filter").seen, "eth0"));

        h.interfaces[1].rp_filter = 2;
        all = examine(*state, &h);
        assert_null(find(&all, "rp-filter"));
}

static void reachable_loopback_is_a_problem_unless_it_is_needed(void **state) {
        Findings all;
        Host h;

        host_init(&h);
        h.interfaces[0].route_localnet = 1;
        all = examine(*state, &h);
        assert_int_equal(get(&all, "route-localnet").kind, FINDING_PROBLEM);
        h.rivals[1].state = RIVAL_ACTIVE;
        all = examine(*state, &h);
        assert_int_equal(get(&all, "route-localnet").kind, FINDING_NOTE);
}

static void bridges_say_whether_their_frames_are_seen(void **state) {
        Findings all;
        Host h;

        host_init(&h);
        h.net.links = (HostLink[]){{.name = "eth0"}, {.name = "br0", .kind = "bridge"}};
        h.net.n_links = 2;
        all = examine(*state, &h);
        assert_string_equal(get(&all, "bridges").what, "there are bridges: br0");
        assert_non_null(strstr(get(&all, "bridges").why, "passes no rule"));
        h.settings.bridge_calls = 1;
        all = examine(*state, &h);
        assert_non_null(strstr(get(&all, "bridges").seen, "bridge-nf-call-iptables is on"));
}

static void a_bridge_of_containers_that_no_zone_knows_is_a_note(void **state) {
        Findings all;
        Host h;

        host_init(&h);
        h.net.links = (HostLink[]){
                {.index = 1, .name = "docker0", .kind = "bridge"},
                {.index = 2, .name = "br-0123456789ab", .kind = "bridge"},
                {.index = 3, .name = "ai0", .kind = "bridge"},
                {.index = 4, .name = "veth1", .kind = "veth", .master = 3},
                {.index = 5, .name = "vmbr0", .kind = "bridge"},
                {.index = 6, .name = "eth0", .kind = "", .master = 5},
        };
        h.net.n_links = 6;
        h.rivals[0].id = "docker";
        h.rivals[0].state = RIVAL_ABSENT;
        all = examine(*state, &h);
        assert_null(find(&all, "bridge-names"));
        h.rivals[0].state = RIVAL_ACTIVE;
        all = examine(*state, &h);
        assert_string_equal(get(&all, "bridge-names").what,
                            "bridges of other names than containers' have: ai0");
        assert_int_equal(get(&all, "bridge-names").kind, FINDING_NOTE);
}

static void many_interfaces_are_counted(void **state) {
        static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
        Findings all;
        Host h;

        host_init(&h);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                h.interfaces[i] = (SysctlInterface){.name = names[i], .accept_local = 1};
        h.settings.n_interfaces = ARRAY_SIZE(names);
        all = examine(*state, &h);
        assert_non_null(strstr(get(&all, "accept-local").seen, "for a, b, c, d, e and 3 more"));
}

static void names_the_providers_firewall(void **state) {
        static const struct {
                const char *file, *text, *says;
        } rows[] = {
                {"sys_vendor", "Amazon EC2\n",
                 "AWS, which has a firewall of its own (security groups"},
                {"sys_vendor", "Hetzner\n", "Hetzner"},
                {"product_name", "Google Compute Engine\n", "Google Cloud"},
                {"chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n", "Azure"},
                {"sys_vendor", "LENOVO\n", "may stand in front"},
        };
        const Tree *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Findings all = {0};

                tree_write(t, arena_printf(t->arena, "/sys/class/dmi/id/%s", rows[i].file),
                           rows[i].text);
                assert_int_equal(doctor_examine_surroundings(t, &all), 0);
                if (!strstr(get(&all, "in-front").what, rows[i].says))
                        fail_msg("%s: %s", rows[i].says, get(&all, "in-front").what);
                tree_write(t, arena_printf(t->arena, "/sys/class/dmi/id/%s", rows[i].file), "");
        }
}

static void a_unit_that_does_not_start_is_a_problem(void **state) {
        static const char unit[] = "/etc/systemd/system/ringwalld.service";
        const Tree *t = *state;
        Findings none = {0}, disabled = {0}, masked = {0};

        assert_int_equal(doctor_examine_boot(t, &none), 0);
        assert_int_equal(none.n_items, 0);
        tree_write(t, "/usr/lib/systemd/system/ringwalld.service", "");
        assert_int_equal(doctor_examine_boot(t, &disabled), 0);
        assert_string_equal(get(&disabled, "boot").advice, "systemctl enable ringwalld");
        assert_int_equal(get(&disabled, "boot").kind, FINDING_PROBLEM);
        tree_link(t, unit, "/dev/null");
        assert_int_equal(doctor_examine_boot(t, &masked), 0);
        assert_non_null(strstr(get(&masked, "boot").what, "masked"));
        assert_non_null(strstr(get(&masked, "boot").seen, unit));
}

static void a_daemon_that_does_not_run_is_a_problem(void **state) {
        const Tree *t = *state;
        Findings unknown = {0}, stopped = {0}, runs = {0};

        tree_write(t, "/proc/1/comm", "systemd\n");
        assert_int_equal(doctor_examine_daemon(t, &unknown), 0);
        assert_int_equal(unknown.n_items, 0);
        tree_write(t, "/usr/lib/systemd/system/ringwalld.service", "");
        assert_int_equal(doctor_examine_daemon(t, &stopped), 0);
        assert_int_equal(get(&stopped, "daemon").kind, FINDING_PROBLEM);
        tree_write(t, "/proc/100/comm", "ringwalld\n");
        assert_int_equal(doctor_examine_daemon(t, &runs), 0);
        assert_int_equal(runs.n_items, 0);
}

static void a_daemon_that_ends_again_and_again_is_a_problem(void **state) {
        static const char file[] = "/run/ringwall/starts";
        const Tree *t = *state;
        Findings calm = {0}, now = {0}, before = {0};
        uint64_t late = starts_now() + 3600 * UINT64_C(1000000); /* as long as the test takes */

        tree_write(t, "/usr/lib/systemd/system/ringwalld.service", "");
        tree_write(t, "/proc/100/comm", "ringwalld\n");
        tree_write(t, file, arena_printf(t->arena, "%" PRIu64 " 50000000 0\n", late));
        assert_int_equal(doctor_examine_daemon(t, &calm), 0);
        assert_int_equal(calm.n_items, 0);
        tree_write(t, file, arena_printf(t->arena, "%" PRIu64 " 55000000 3\n", late));
        assert_int_equal(doctor_examine_daemon(t, &now), 0);
        assert_int_equal(get(&now, "daemon.restarts").kind, FINDING_PROBLEM);
        assert_non_null(strstr(get(&now, "daemon.restarts").seen, "3 times"));
        tree_write(t, file, "0 0 3\n");
        assert_int_equal(doctor_examine_daemon(t, &before), 0);
        assert_int_equal(before.n_items, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(another_manager_is_a_problem_and_a_writer_a_note),
                tree_test(what_is_needed_is_a_problem_and_what_some_policies_need_a_note),
                tree_test(a_kernel_without_nftables_is_one_problem),
                tree_test(without_privileges_the_kernel_is_unknown),
                tree_test(an_ordinary_host_has_no_problem),
                tree_test(says_which_family_is_forwarded),
                tree_test(one_interface_may_forward_alone),
                tree_test(a_strict_filter_matters_with_several_ways_out),
                tree_test(reachable_loopback_is_a_problem_unless_it_is_needed),
                tree_test(bridges_say_whether_their_frames_are_seen),
                tree_test(a_bridge_of_containers_that_no_zone_knows_is_a_note),
                tree_test(many_interfaces_are_counted),
                tree_test(names_the_providers_firewall),
                tree_test(a_unit_that_does_not_start_is_a_problem),
                tree_test(a_daemon_that_does_not_run_is_a_problem),
                tree_test(a_daemon_that_ends_again_and_again_is_a_problem),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
