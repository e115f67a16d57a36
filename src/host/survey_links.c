/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/survey_links.h"

#include <ctype.h>

#define NETWORKS_SHOWN 4
#define TAILSCALE "tailscale0"

static bool contains(Range r, U128 value) {
        return u128_compare(r.low, value) <= 0 && u128_compare(value, r.high) <= 0;
}

/* The one with the larger beginning, of two that hold the same address, is the narrower one. */
static bool is_narrower(const HostRoute *x, const HostRoute *y) {
        if (x->is_default != y->is_default)
                return y->is_default;
        return u128_compare(x->to.low, y->to.low) > 0 || u128_compare(x->to.high, y->to.high) < 0;
}

const char *survey_route(const HostNet *net, Family family, U128 address) {
        const HostRoute *best = NULL;
        const HostLink *link;

        for (size_t i = 0; i < net->n_routes; i++) {
                const HostRoute *r = &net->routes[i];

                if (r->family == family && (r->is_default || contains(r->to, address)) &&
                    (!best || is_narrower(r, best)))
                        best = r;
        }
        link = best ? routes_find_link(net, best->link) : NULL;
        return link ? link->name : NULL;
}

static bool is_plain(const char *name) {
        if (!isalnum((unsigned char)name[0]))
                return false;
        for (const char *p = name; *p; p++)
                if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
                        return false;
        return true;
}

static bool zone_has(const Zone *zone, const char *name) {
        for (size_t i = 0; zone && i < zone->n_parts; i++)
                if (zone->parts[i].any_interface ||
                    range_set_contains(&zone->parts[i].interfaces, interface_value(name)))
                        return true;
        return false;
}

/* A bridge is a way to others if one of its ports is: a device, a VLAN, a bond; not the end of a
 * container's or a machine's cable. */
static bool has_real_port(const HostNet *net, const HostLink *bridge) {
        for (size_t i = 0; i < net->n_links; i++)
                if (net->links[i].master == bridge->index && !streq(net->links[i].kind, "veth") &&
                    !streq(net->links[i].kind, "tun"))
                        return true;
        return false;
}

static bool is_uplink(const HostNet *net, const HostLink *link) {
        for (size_t i = 0; i < net->n_routes; i++)
                if (net->routes[i].is_default && net->routes[i].link == link->index)
                        return true;
        return false;
}

/* Private networks, and no public one of IPv4: what a provider puts many customers' hosts into is
 * nobody's own network. Public prefixes of IPv6 are usual at home, too. */
static bool is_private(const Survey *s, const Policy *catalogue, const HostLink *link) {
        const Zone *zone = policy_find_zone(catalogue, "private");
        bool has_private = false;

        for (size_t i = 0; i < s->n_networks && zone; i++) {
                const HostNetwork *n = &s->networks[i];
                bool inside = zone_contains(zone, NULL, n->family, n->range.low) &&
                              zone_contains(zone, NULL, n->family, n->range.high);

                if (!u128_equal(n->interface, interface_value(link->name)))
                        continue;
                if (!inside && n->family == FAMILY_IPV4)
                        return false;
                has_private |= inside;
        }
        return has_private;
}

/* Kinds of links that stand for a network card. */
static bool is_card(const HostLink *link) {
        static const char *const kinds[] = {"",     "vlan",    "bond",  "team",
                                            "veth", "macvlan", "ipvlan"};

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (streq(link->kind, kinds[i]))
                        return true;
        return false;
}

static SurveyLinkKind kind_of(const HostLink *link,
                              const HostNet *net,
                              const Policy *catalogue,
                              const Survey *s,
                              bool uplink) {
        bool bridge = streq(link->kind, "bridge");

        if (streq(link->name, TAILSCALE))
                return SURVEY_LINK_TAILNET;
        if (streq(link->kind, "wireguard") || streq(link->kind, "tun"))
                return SURVEY_LINK_VPN;
        if (zone_has(catalogue->containers, link->name) && !uplink)
                return SURVEY_LINK_CONTAINERS;
        if (zone_has(catalogue->vms, link->name))
                return SURVEY_LINK_VMS;
        if (bridge && !uplink && !has_real_port(net, link))
                return SURVEY_LINK_INSTANCES;
        if ((bridge || is_card(link)) && is_private(s, catalogue, link))
                return SURVEY_LINK_LAN;
        return SURVEY_LINK_OTHER;
}

static const char *networks_of_link(Arena *a, const Survey *s, const char *name) {
        const char *text = "";
        size_t n = 0;

        for (size_t i = 0; i < s->n_networks && text; i++) {
                char buf[ADDRESS_TEXT_MAX];

                if (u128_equal(s->networks[i].interface, interface_value(name)) &&
                    n++ < NETWORKS_SHOWN)
                        text = arena_printf(a, "%s%s%s", text, *text ? ", " : "",
                                            address_range_print(s->networks[i].family,
                                                                s->networks[i].range, buf));
        }
        return text;
}

static bool is_of_kubernetes(const char *name) {
        return streq(name, "cni0") || startswith(name, "flannel.") || startswith(name, "cali");
}

/* Routed by itself: no bridge's and no bond's port. */
static bool is_independent(const HostNet *net, const HostLink *link) {
        const HostLink *master = link->master ? routes_find_link(net, link->master) : NULL;

        return !link->is_loopback && !streq(link->kind, "vrf") &&
               (!master || streq(master->kind, "vrf"));
}

int survey_read_links(Arena *a, const Policy *catalogue, const HostNet *net, Survey *s) {
        for (size_t i = 0; i < net->n_links; i++) {
                const HostLink *link = &net->links[i];
                SurveyLink x = {.name = link->name, .is_uplink = is_uplink(net, link)};

                s->has_kubernetes |= is_of_kubernetes(link->name);
                if (!is_independent(net, link) || !is_plain(link->name))
                        continue;
                x.kind = kind_of(link, net, catalogue, s, x.is_uplink);
                x.is_wireguard = streq(link->kind, "wireguard");
                x.seems_containers = x.kind != SURVEY_LINK_CONTAINERS &&
                                     zone_has(catalogue->containers, link->name);
                x.networks = networks_of_link(a, s, link->name);
                if (!x.networks || !arena_append(a, s->links, s->n_links, x))
                        return -ENOMEM;
        }
        return 0;
}
