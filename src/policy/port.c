/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#define PORT_MAX 65535

static bool is_number(const char *s) {
        return *s && strspn(s, "0123456789") == strlen(s);
}

/* "LOW-HIGH" or one number; false if it is written otherwise. Numbers may still be out of range. */
static bool split_range(Arena *a, const char *text, const char **low, const char **high) {
        const char *dash = strchr(text, '-');

        *low = *high = text;
        if (dash) {
                *low = arena_strndup(a, text, (size_t)(dash - text));
                *high = dash + 1;
        }
        return *low && is_number(*low) && is_number(*high);
}

/* The numbers of a range; says what is wrong with them. `what` is "port". */
static int decode_range(Loader *l,
                        const Node *n,
                        const char *text,
                        const char *what,
                        unsigned int min,
                        unsigned int max,
                        Range *ret) {
        const char *low, *high;

        if (!split_range(l->arena, text, &low, &high))
                return 0;
        if (!text_to_number(low, min, max, &ret->low.low) ||
            !text_to_number(high, min, max, &ret->high.low)) {
                const char *bad = text_to_number(low, min, max, &ret->low.low) ? high : low;

                if (bad[0] == '0' && bad[1] != '\0') {
                        diag_error(l->d, n->at, "%s %.20s begins with a zero", what, bad);
                        return -EBADMSG;
                }
                diag_error(l->d, n->at, "%s %.20s is out of range", what, bad);
                diag_hint(l->d, "%ss go from %u to %u", what, min, max);
                return -EBADMSG;
        }
        ret->low.high = ret->high.high = 0;
        if (ret->low.low > ret->high.low) {
                diag_error(l->d, n->at, "this range runs backwards");
                diag_hint(l->d, "the lower number comes first: %s-%s", high, low);
                return -EBADMSG;
        }
        return 1;
}

int port_range_decode(Loader *l, const Node *n, const char *text, Range *ret) {
        int r = decode_range(l, n, text, "port", 1, PORT_MAX, ret);

        if (r != 0)
                return MIN(r, 0);
        diag_error(l->d, n->at, "'%.60s' is not a port", text);
        if (strpbrk(text, ", "))
                diag_hint(l->d, n->text == text ? "a list is written [80, 443]"
                                                : "a list is written [80/tcp, 443/tcp]");
        else if (strchr(text, ':'))
                diag_hint(l->d, "a range is written LOW-HIGH; of a port published as 3001:8080, "
                                "write 3001 alone");
        else if (definition_find(&l->services, text))
                diag_hint(l->d, "'%s' is a service: its name alone says its ports", text);
        return -EBADMSG;
}

int icmp_range_decode(Loader *l, Family family, const Node *n, const char *text, Range *ret) {
        int r = decode_range(l, n, text, "type", 0, 255, ret);
        const char *what = family == FAMILY_IPV4 ? "ICMP" : "ICMPv6";
        Nearest nearest;
        uint8_t type;

        if (r != 0)
                return MIN(r, 0);
        if (icmp_type_from_string(family, text, &type)) {
                *ret = range_single(u128(type));
                return 0;
        }
        diag_error(l->d, n->at, "'%.60s' is no type of %s", text, what);
        nearest_init(&nearest, text);
        icmp_type_suggest(family, &nearest);
        if (nearest.best)
                diag_hint(l->d, "did you mean '%s'?", nearest.best);
        else
                diag_hint(l->d, "a type is a name such as 'echo-request', or a number");
        return -EBADMSG;
}

/* TCP and the like are never meant as a whole by accident: their ports are asked for. */
static int refuse_class(Loader *l, const Node *n, const char *name) {
        bool icmp = startswith(name, "icmp");

        diag_error(l->d, n->at, "'%s' needs a %s", node_shown(l->arena, n), icmp ? "type" : "port");
        if (icmp)
                diag_hint(l->d, "such as 'echo-request/%s'; every type is '0-255/%s'", name, name);
        else
                diag_hint(l->d, "such as '443/%s'; every port is '1-%d/%s'", name, PORT_MAX, name);
        return -EBADMSG;
}

int protocol_decode(Loader *l, const Node *n, uint8_t *ret) {
        const char *name = n->text;
        uint64_t number;

        if (is_number(n->text)) {
                if (!text_to_number(n->text, 0, 255, &number)) {
                        diag_error(l->d, n->at, "'%.20s' is no IP protocol's number", n->text);
                        diag_hint(l->d, "a port is written '%.20s/tcp'", n->text);
                        return -EBADMSG;
                }
                name = protocol_to_string((uint8_t)number);
                if (!name) {
                        diag_warning(l->d, n->at, "this means IP protocol %s, not a port", n->text);
                        diag_hint(l->d, "a port is written '%s/tcp'", n->text);
                }
                *ret = (uint8_t)number;
        } else if (!protocol_from_string(n->text, ret))
                return diag_error(l->d, n->at, "'%s' is no IP protocol", node_shown(l->arena, n));
        if (name && streq(protocol_to_string(*ret), "icmpv6"))
                name = "icmpv6";
        if (name && service_class_from_string(name) != _SERVICE_CLASS_INVALID)
                return refuse_class(l, n, name);
        return 0;
}
