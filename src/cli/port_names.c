/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/port_names.h"

#define WIDEST 3 /* ports of a service whose name says something about one of them */

static const RangeSet *ports_of(const ServiceSet *set, const char *protocol) {
        const struct {
                const char *name;
                const RangeSet *ports;
        } rows[] = {
                {"tcp", &set->tcp},   {"udp", &set->udp},       {"sctp", &set->sctp},
                {"icmp", &set->icmp}, {"icmpv6", &set->icmpv6},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (streq(rows[i].name, protocol))
                        return rows[i].ports;
        return NULL;
}

/* How many ports and types it means; SIZE_MAX for whole protocols. */
static size_t breadth(const ServiceSet *set) {
        const RangeSet *all[] = {&set->tcp, &set->udp, &set->sctp, &set->icmp, &set->icmpv6};
        size_t n = 0;

        if (set->any || set->protocols.n_items > 0)
                return SIZE_MAX;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                for (size_t j = 0; j < all[i]->n_items; j++)
                        n += all[i]->items[j].high.low - all[i]->items[j].low.low + 1;
        return n;
}

void port_names_find(const Policy *policy, const char *protocol, uint64_t port, PortNames *ret) {
        size_t best = WIDEST;

        *ret = (PortNames){0};
        for (size_t i = 0; policy && i < policy->n_services; i++) {
                const Service *s = policy->services[i];
                const RangeSet *ports = ports_of(&s->set, protocol);
                size_t wide = ports ? breadth(&s->set) : SIZE_MAX;

                if (wide > best || !range_set_contains(ports, u128(port)) ||
                    (wide == best && ret->of_policy && s->from_catalogue))
                        continue;
                if (wide < best || ret->of_policy == s->from_catalogue)
                        *ret = (PortNames){0};
                best = wide;
                ret->of_policy = !s->from_catalogue;
                ret->exact = wide == 1;
                if (ret->n_names++ < PORT_NAMES_MAX)
                        ret->names[ret->n_names - 1] = s->name;
        }
}

const char *port_names_only(const PortNames *names) {
        return names->exact && names->n_names == 1 ? names->names[0] : NULL;
}

const char *port_names_print(const PortNames *names, char buf[static PORT_NAMES_TEXT_MAX]) {
        size_t n = MIN(names->n_names, (size_t)PORT_NAMES_MAX);
        int size = 0;

        *buf = '\0';
        for (size_t i = 0; i < n; i++)
                size += snprintf(buf + size, PORT_NAMES_TEXT_MAX - (size_t)size, "%s%.32s",
                                 i > 0          ? " or "
                                 : names->exact ? ""
                                                : "part of ",
                                 names->names[i]);
        if (n > 0)
                (void)snprintf(buf + size, PORT_NAMES_TEXT_MAX - (size_t)size, "%s in the %s",
                               names->n_names > n ? " and others" : "",
                               names->of_policy ? "policy" : "catalogue");
        return buf;
}
