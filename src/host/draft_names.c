/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <netinet/in.h>

#include "base/text.h"
#include "host/draft_parts.h"

#define SSH "ssh"    /* means sshd's own ports in the policy, wherever those are */
#define GROUP_MIN 12 /* ranges of ports that no single service has: a group of the catalogue's */

/* Programs that are not called like the service that they are. */
static const struct {
        const char *program, *service;
} aliases[] = {
        {"aardvark-dns", "dns"},      {"avahi-daemon", "mdns"},
        {"charon", "ipsec"},          {"cupsd", "ipp"},
        {"dnsmasq", "dns"},           {"epmd", "rabbitmq"},
        {"influxd", "influxdb"},      {"llama-server", "llama-cpp"},
        {"mariadbd", "mysql"},        {"mongod", "mongodb"},
        {"mysqld", "mysql"},          {"named", "dns"},
        {"nmbd", "netbios"},          {"postgres", "postgresql"},
        {"redis-server", "redis"},    {"smbd", "smb"},
        {"systemd-resolve", "llmnr"}, {"unbound", "dns"},
        {"valkey-server", "redis"},
};

/* Services whose own port answers nobody without a key. */
static const char *const tunnels[] = {"wireguard", "openvpn", "ipsec"};

static const RangeSet *ports_of(const Service *service, uint8_t proto) {
        return proto == IPPROTO_UDP    ? &service->set.udp
               : proto == IPPROTO_SCTP ? &service->set.sctp
                                       : &service->set.tcp;
}

static bool is_group(const Service *service) {
        return service->set.tcp.n_items + service->set.udp.n_items >= GROUP_MIN;
}

/* Whether the word stands in the text by itself; "_" counts as "-". */
static bool stands_in(const char *text, const char *word) {
        size_t len = strlen(word);

        for (const char *p = text; *p; p++) {
                size_t i = 0;

                if (p > text && isalnum((unsigned char)p[-1]))
                        continue;
                while (i < len && p[i] &&
                       (tolower((unsigned char)p[i]) == word[i] || (p[i] == '_' && word[i] == '-')))
                        i++;
                if (i == len && !isalnum((unsigned char)p[i]))
                        return true;
        }
        return false;
}

static const char *alias_of(const char *program) {
        for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
                if (streq(aliases[i].program, program))
                        return aliases[i].service;
        return NULL;
}

static bool recognises(const Service *service, const SurveyPort *port) {
        const char *alias = port->program ? alias_of(port->program) : NULL;

        return (alias && streq(alias, service->name)) ||
               (port->words && stands_in(port->words, service->name));
}

/* The service at that port: the one that the process is called like, or the only one that has the
 * port, or that has no other. */
static const Service *find_at(const Policy *catalogue, const SurveyPort *port, uint16_t number) {
        const Service *only = NULL, *called = NULL;
        size_t n = 0, n_called = 0;

        for (size_t i = 0; i < catalogue->n_services; i++) {
                const Service *s = catalogue->services[i];

                if (is_group(s) || !range_set_contains(ports_of(s, port->proto), u128(number)))
                        continue;
                only = s;
                n++;
                if (!recognises(s, port))
                        continue;
                /* of "dask" and "dask-scheduler" the longer name says more */
                if (!called || strlen(s->name) > strlen(called->name))
                        called = s;
                n_called++;
        }
        if (n_called > 0 || n <= 1)
                return n_called > 0 ? called : only;
        return draft_find_exact(catalogue, survey_protocol(port->proto),
                                range_single(u128(number)));
}

/* A program that is called like an internal service, at another port than usual. */
static const Service *find_by_program(const Policy *catalogue, const SurveyPort *port) {
        const char *name = port->program ? alias_of(port->program) : NULL;
        const Service *s = policy_find_service(catalogue, name            ? name
                                                          : port->program ? port->program
                                                                          : "");

        return s && s->internal && !is_group(s) ? s : NULL;
}

static bool is_wireguard(const Survey *s, const SurveyPort *port) {
        if (port->proto != IPPROTO_UDP || port->program || s->n_unreadable > 0)
                return false;
        for (size_t i = 0; i < s->n_links; i++)
                if (s->links[i].is_wireguard)
                        return true;
        return false;
}

int draft_name_port(Arena *a, const Survey *s, const Policy *catalogue, DraftPort *port) {
        const SurveyPort *p = port->port;
        Range single = range_single(u128(p->port));
        const Service *guess;
        bool is_usual;

        port->service = find_at(catalogue, p, p->port);
        is_usual = port->service && !streq(port->service->name, SSH);
        /* translated, it is protected by the port where it ends */
        guess = p->inner ? find_at(catalogue, p, p->inner) : find_by_program(catalogue, p);
        if (guess && guess->internal && !(port->service && port->service->internal)) {
                port->service = guess;
                is_usual = p->inner != 0;
        }
        port->is_internal = port->service && port->service->internal;
        /* anybody may listen at these ports, and must not get them opened by that */
        port->is_tunnel = p->of_root && is_wireguard(s, p) && !port->is_internal;
        for (size_t i = 0; i < ARRAY_SIZE(tunnels) && port->service; i++)
                port->is_tunnel |= p->of_root && streq(port->service->name, tunnels[i]) &&
                                   (p->program || s->n_unreadable > 0 || is_wireguard(s, p));
        port->word = is_usual ? port->service->name
                              : draft_word(a, catalogue, survey_protocol(p->proto), single);
        return port->word ? 0 : -ENOMEM;
}

static bool means_exactly(const Service *s, const char *protocol, Range ports) {
        const ServiceSet *set = &s->set;
        bool udp = streq(protocol, "udp"), sctp = streq(protocol, "sctp");
        const RangeSet *same = udp ? &set->udp : sctp ? &set->sctp : &set->tcp;

        return same->n_items == 1 && range_equal(same->items[0], ports) &&
               set->tcp.n_items + set->udp.n_items + set->sctp.n_items == 1 &&
               set->icmp.n_items + set->icmpv6.n_items + set->protocols.n_items == 0;
}

const Service *draft_find_exact(const Policy *catalogue, const char *protocol, Range ports) {
        const Service *found = NULL;

        for (size_t i = 0; i < catalogue->n_services; i++) {
                if (!means_exactly(catalogue->services[i], protocol, ports))
                        continue;
                if (found)
                        return NULL;
                found = catalogue->services[i];
        }
        return found;
}

const char *draft_word(Arena *a, const Policy *catalogue, const char *protocol, Range ports) {
        const Service *s = draft_find_exact(catalogue, protocol, ports);
        unsigned int low = (unsigned int)ports.low.low, high = (unsigned int)ports.high.low;

        if (s && !streq(s->name, SSH))
                return s->name;
        return low == high ? arena_printf(a, "%u/%s", low, protocol)
                           : arena_printf(a, "%u-%u/%s", low, high, protocol);
}

RangeSet draft_word_ports(Arena *a, const Policy *catalogue, const char *word, uint8_t proto) {
        const Service *s = policy_find_service(catalogue, word);
        const char *slash = strchr(word, '/'), *dash = strchr(word, '-');
        uint64_t low, high;
        const char *from, *to;
        RangeSet set = {0};

        if (s)
                return *ports_of(s, proto);
        if (!slash || !streq(slash + 1, survey_protocol(proto)))
                return set;
        from = arena_strndup(a, word, (size_t)((dash ? dash : slash) - word));
        to = dash ? arena_strndup(a, dash + 1, (size_t)(slash - dash - 1)) : from;
        if (from && to && text_to_number(from, 1, UINT16_MAX, &low) &&
            text_to_number(to, low, UINT16_MAX, &high))
                (void)range_set_add(a, &set, (Range){u128(low), u128(high)}); /* else: none */
        return set;
}

bool draft_means(
        Arena *a, const Policy *catalogue, const Words *words, uint8_t proto, uint16_t port) {
        for (size_t i = 0; i < words->n_items; i++) {
                RangeSet set = draft_word_ports(a, catalogue, words->items[i], proto);

                if (streq(words->items[i], "any") || range_set_contains(&set, u128(port)))
                        return true;
        }
        return false;
}
