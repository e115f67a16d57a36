/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "base/text.h"
#include "host/draft_parts.h"
#include "host/recognise.h"

#define SSH "ssh" /* means sshd's own ports in the policy, wherever those are */

/* Services whose own port answers nobody without a key. */
static const char *const tunnels[] = {"wireguard", "openvpn", "ipsec"};

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

        port->service = recognise_service(catalogue, p, p->port);
        is_usual = port->service && !streq(port->service->name, SSH);
        /* translated, it is protected by the port where it ends */
        guess = p->inner ? recognise_service(catalogue, p, p->inner)
                         : recognise_program(catalogue, p);
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

const char *draft_word(Arena *a, const Policy *catalogue, const char *protocol, Range ports) {
        const Service *s = recognise_exact(catalogue, protocol, ports);
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
                return *recognise_ports(s, proto);
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
