/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#include <ctype.h>

static const char *const wide_words[] = {"all", "anything", "everything", "*"};

static int report_unknown(Loader *l, const Node *n) {
        static const char *const words[] = {"any"};
        const char *s = n->text, *alias = service_alias(s);
        bool value;

        diag_error(l->d, n->at, "there is no service '%s'", node_shown(l->arena, n));
        for (size_t i = 0; i < ARRAY_SIZE(wide_words); i++)
                if (strcasecmp(s, wide_words[i]) == 0)
                        diag_hint(l->d, "did you mean 'any'?");
        if (alias && (strchr(alias, '/') || definition_find(&l->services, alias)))
                diag_hint(l->d, "did you mean '%s'?", alias);
        if (node_is_boolean(n, &value))
                diag_hint(l->d,
                          "YAML takes '%s' for a boolean; as a service's name, quote it: \"%s\"", s,
                          s);
        else if (definition_find(&l->zones, s))
                diag_hint(l->d, "'%s' is a zone", s);
        else if (strpbrk(s, " ,"))
                diag_hint(l->d, "a list is written [a, b]");
        else if (isdigit((unsigned char)s[0]) && strchr(s, ':'))
                diag_hint(l->d,
                          "of a port published as 3001:8080, write 3001/tcp: what clients dial");
        else if (isdigit((unsigned char)s[0]))
                diag_hint(l->d, "ports are written 443/tcp, 8000-8010/tcp or 53/udp");
        definition_suggest(l, &l->services, s, words, ARRAY_SIZE(words));
        diag_hint(l->d, "write its port, as in 8080/tcp; `ringwall list services` lists the names "
                        "that there are");
        return -EBADMSG;
}

static int report_protocol(Loader *l, const Node *n, const char *ports, const char *protocol) {
        Nearest nearest;
        uint8_t number;

        if (service_class_from_string(ports) != _SERVICE_CLASS_INVALID) {
                diag_error(l->d, n->at, "the protocol stands behind the port");
                diag_hint(l->d, "write %.60s/%s", protocol, ports);
                return -EBADMSG;
        }
        if (protocol_from_string(protocol, &number)) {
                diag_error(l->d, n->at, "protocol '%s' has no ports", protocol);
                diag_hint(l->d, "its name stands alone: %s", protocol);
                return -EBADMSG;
        }
        diag_error(l->d, n->at, "'%.60s' is no protocol that has ports", protocol);
        nearest_init(&nearest, protocol);
        for (ServiceClass c = 0; c < SERVICE_PROTOCOL; c++)
                nearest_consider(&nearest, service_class_to_string(c));
        if (nearest.best)
                diag_hint(l->d, "did you mean '%s'?", nearest.best);
        else
                diag_hint(l->d, "ports are written 443/tcp, 8000-8010/tcp or 53/udp");
        return -EBADMSG;
}

/* PORT/PROTO, LOW-HIGH/PROTO, TYPE/icmp. */
static int decode_ports(Loader *l, const Node *n, const char *slash, ServiceSet *ret) {
        const char *ports = arena_strndup(l->arena, n->text, (size_t)(slash - n->text));
        ServiceClass class = service_class_from_string(slash + 1);
        Range range;
        int r;

        if (!ports)
                return -ENOMEM;
        if (class == _SERVICE_CLASS_INVALID)
                return report_protocol(l, n, ports, slash + 1);
        if (class == SERVICE_ICMP || class == SERVICE_ICMPV6)
                r = icmp_range_decode(l, class == SERVICE_ICMP ? FAMILY_IPV4 : FAMILY_IPV6, n,
                                      ports, &range);
        else
                r = port_range_decode(l, n, ports, &range);
        return r < 0 ? r : range_set_add(l->arena, service_set_class(ret, class), range);
}

static bool is_protocol(const char *s) {
        uint8_t protocol;

        return protocol_from_string(s, &protocol) || strspn(s, "0123456789") == strlen(s);
}

int service_term_decode(Loader *l, const Node *n, ServiceTerm *ret) {
        const char *slash;
        Definition *def;
        uint8_t protocol;
        int r;

        *ret = (ServiceTerm){.at = n->at, .text = n->text};
        if (n->kind != NODE_SCALAR)
                return diag_error(l->d, n->at, "expected a service or a port, found %s%s",
                                  node_kind_to_string(n->kind),
                                  n->kind == NODE_SEQUENCE ? " in a list" : "");
        if (n->text[0] == '\0')
                return diag_error(l->d, n->at, "a service or a port is missing here");
        if (streq(n->text, "any")) {
                ret->set.any = true;
                return 0;
        }
        def = definition_find(&l->services, n->text);
        if (def) {
                r = definition_resolve(l, &l->services, def, n->at, service_resolve);
                ret->service = def->service;
                ret->set = def->service->set;
                return r;
        }
        slash = strrchr(n->text, '/');
        if (slash)
                return decode_ports(l, n, slash, &ret->set);
        if (!is_protocol(n->text))
                return report_unknown(l, n);
        r = protocol_decode(l, n, &protocol);
        if (r < 0)
                return r;
        return range_set_add(l->arena, &ret->set.protocols, range_single(u128(protocol)));
}
