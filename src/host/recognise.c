/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/recognise.h"

#include <ctype.h>
#include <netinet/in.h>

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

const RangeSet *recognise_ports(const Service *service, uint8_t proto) {
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

static bool means_exactly(const Service *s, const char *protocol, Range ports) {
        const ServiceSet *set = &s->set;
        bool udp = streq(protocol, "udp"), sctp = streq(protocol, "sctp");
        const RangeSet *same = udp ? &set->udp : sctp ? &set->sctp : &set->tcp;

        return same->n_items == 1 && range_equal(same->items[0], ports) &&
               set->tcp.n_items + set->udp.n_items + set->sctp.n_items == 1 &&
               set->icmp.n_items + set->icmpv6.n_items + set->protocols.n_items == 0;
}

const Service *recognise_exact(const Policy *catalogue, const char *protocol, Range ports) {
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

const Service *recognise_service(const Policy *catalogue, const SurveyPort *port, uint16_t number) {
        const Service *only = NULL, *called = NULL;
        size_t n = 0, n_called = 0;

        for (size_t i = 0; i < catalogue->n_services; i++) {
                const Service *s = catalogue->services[i];

                if (is_group(s) ||
                    !range_set_contains(recognise_ports(s, port->proto), u128(number)))
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
        return recognise_exact(catalogue, survey_protocol(port->proto), range_single(u128(number)));
}

const Service *recognise_program(const Policy *catalogue, const SurveyPort *port) {
        const char *name = port->program ? alias_of(port->program) : NULL;
        const Service *s = policy_find_service(catalogue, name            ? name
                                                          : port->program ? port->program
                                                                          : "");

        return s && s->internal && !is_group(s) ? s : NULL;
}
