/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "ruleset/packet.h"

/* An interface's name as text; NULL for a value that stands for all names that nobody names. */
static const char *interface_name(U128 value, char *buf) {
        memset(buf, 0, 17);
        u128_to_bytes(value, buf, 16);
        for (size_t i = 0; i < 16; i++)
                if ((buf[i] && (unsigned char)buf[i] <= ' ') || (unsigned char)buf[i] >= 0x7f ||
                    (i > 0 && buf[i] && !buf[i - 1]))
                        return NULL;
        return buf[0] && !buf[15] ? buf : NULL;
}

void question_describe(const PacketQuestion *packet, U128 in, U128 out, FILE *f) {
        PacketQuestion dialled = *packet, *q = &dialled;
        const char *protocol = protocol_to_string(q->protocol);
        char buf[ADDRESS_TEXT_MAX], name[17];

        if (q->translated) {
                q->destination = q->dialled;
                q->destination_port = q->dialled_port;
        }
        if (protocol)
                fputs(protocol, f);
        else
                fprintf(f, "%u", q->protocol);
        if (q->protocol == IPPROTO_ICMP || q->protocol == IPPROTO_ICMPV6)
                fprintf(f, " %u", q->icmp_type);
        if (q->hook == HOOK_OUTPUT)
                fputs(" from host", f);
        else
                fprintf(f, " from %s", address_print(q->family, q->source, buf));
        /* the lowest address stands for all that no rule names */
        if (!u128_is_zero(q->destination))
                fprintf(f, " to %s", address_print(q->family, q->destination, buf));
        if (protocol_has_ports(q->protocol))
                fprintf(f, "%s port %u", u128_is_zero(q->destination) ? " to" : "",
                        q->destination_port);
        if (q->hook != HOOK_OUTPUT && interface_name(in, name))
                fprintf(f, " in %s", name);
        if (q->hook != HOOK_INPUT && !q->translated && interface_name(out, name))
                fprintf(f, " out %s", name);
        if (q->translated)
                fprintf(f, ", which ends at %s port %u",
                        address_print(q->family, packet->destination, buf),
                        packet->destination_port);
        if (q->has_user)
                fprintf(f, " user %u group %u", q->user, q->group);
}

/* A chain that many lines lead to names only one of them: the element of the map knows which. */
static const Element *find_entry(const Evaluation *e, size_t i) {
        const Element *element = i > 0 ? e->steps[i - 1].element : NULL;

        return element && element->verdict.chain && element->verdict.chain == e->steps[i].chain &&
                               element->origin.at.source
                       ? element
                       : NULL;
}

const Origin *evaluation_origin(const Evaluation *e) {
        for (size_t i = e->n_steps; i > 0; i--) {
                const Step *s = &e->steps[i - 1];

                if (s->element && s->element->origin.at.source)
                        return &s->element->origin;
                if (s->rule && s->rule->origin.text) {
                        const Element *entry = find_entry(e, i - 1);

                        return entry ? &entry->origin : &s->rule->origin;
                }
        }
        return NULL;
}
