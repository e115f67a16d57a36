/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/draft_parts.h"

#define STRANGERS "[198.51.100.7, \"3fff::7\"]" /* of the internet, kept for examples */

/* Zones and addresses that may use the port all the same: containers, and what ufw names. */
static Words users_of(Draft *d, const DraftPort *x) {
        Words words = {0}, services = draft_services_for_containers(d);
        int r = 0;

        if (draft_means(d->arena, d->catalogue, &services, x->port->proto, x->port->port))
                r = draft_add_word(d->arena, &words, "containers");
        for (size_t i = 0; i < d->n_ufw && r == 0; i++) {
                const DraftUfw *u = &d->ufw[i];
                char buf[ADDRESS_TEXT_MAX];
                const char *from;

                if (u->refusal || u->is_ssh || !u->rule->has_source ||
                    u->rule->action > UFW_LIMIT ||
                    !draft_means(d->arena, d->catalogue, &u->services, x->port->proto,
                                 x->port->port))
                        continue;
                from = arena_strdup(d->arena,
                                    address_range_print(u->rule->family, u->rule->source, buf));
                r = from ? draft_add_word(d->arena, &words, from) : -ENOMEM;
        }
        d->failed |= r < 0;
        return words;
}

/* If a rule opens another one of the service's ports, only the port that listens is protected. */
static const char *word_to_protect(Draft *d, const DraftPort *x) {
        uint8_t proto = x->port->proto;
        RangeSet ports = draft_word_ports(d->arena, d->catalogue, x->word, proto);

        for (size_t i = 0; i < ports.n_items; i++)
                for (uint64_t p = ports.items[i].low.low; p <= ports.items[i].high.low; p++)
                        if (p != x->port->port && draft_opens(d, proto, (uint16_t)p))
                                return draft_number(d, x->port);
        return x->word;
}

/* Who listens where. */
static const char *comment_of(Draft *d, const DraftPort *x) {
        const char *number = draft_number(d, x->port);

        return !number || !x->port->program
                       ? number
                       : arena_printf(d->arena, "%s: %s", number, draft_describe(d, x));
}

static void put_protected(Draft *d, Words *ret_closed, Words *ret_limited) {
        Words done = {0};

        for (size_t i = 0; i < d->n_ports; i++) {
                const DraftPort *x = &d->ports[i];
                const char *word = x->word;
                Words users;

                if (!x->is_internal || draft_is_of_networks(word) || x->port->is_ssh ||
                    draft_means(d->arena, d->catalogue, &d->public, x->port->proto, x->port->port))
                        continue;
                word = word_to_protect(d, x);
                if (!word || draft_has(&done, word))
                        continue;
                users = users_of(d, x);
                (void)draft_put(d, DRAFT_PART_PROTECTED, comment_of(d, x), "- { services: %s%s%s }",
                                draft_quote(d->arena, word),
                                users.n_items > 0 ? ", only-from: " : "",
                                users.n_items > 0 ? draft_list(d, &users) : "");
                if (draft_add_word(d->arena, &done, word) < 0 ||
                    draft_add_word(d->arena, users.n_items > 0 ? ret_limited : ret_closed, word) <
                            0)
                        d->failed = true;
        }
        if (done.n_items > 0)
                draft_note(
                        d, DRAFT_PART_PROTECTED,
                        "To share one: - { services: grafana, only-from: %s }, and a rule above.",
                        survey_has_link(d->survey, SURVEY_LINK_LAN) ? "lan" : "private");
}

/* The way to the internet; NULL if there is none, or if it is a tunnel. */
static const char *find_uplink(const Survey *s) {
        for (size_t i = 0; i < s->n_links; i++)
                if (s->links[i].is_uplink && s->links[i].kind <= SURVEY_LINK_OTHER_LAN)
                        return s->links[i].name;
        return NULL;
}

static void put_stranger(Draft *d, const char *services, const char *uplink) {
        (void)draft_put(d, DRAFT_PART_EXPECT, "from the internet",
                        "- { deny: %s, from: " STRANGERS ", in: %s }", services,
                        draft_quote(d->arena, uplink));
}

static void put_strangers(Draft *d, const Words *protected) {
        const char *uplink = find_uplink(d->survey);

        if (!uplink)
                return;
        if (d->survey->n_ssh_ports > 0 && !draft_has(&d->ssh_from, "anywhere"))
                put_stranger(d, "ssh", uplink);
        if (protected->n_items > 0)
                put_stranger(d, draft_list(d, protected), uplink);
        if (draft_asks(d->survey, DRAFT_CONTAINERS))
                (void)draft_put(d, DRAFT_PART_EXPECT, "to a container's own address",
                                "- { deny: any, in: %s, section: routed }",
                                draft_quote(d->arena, uplink));
}

/* Then not all of the internet is let in. */
static bool denies_somebody(const Draft *d) {
        for (size_t i = 0; i < d->n_ufw; i++)
                if (!d->ufw[i].refusal && d->ufw[i].rule->action > UFW_LIMIT)
                        return true;
        return false;
}

static void put_expect(Draft *d, const Words *closed, const Words *limited) {
        const Survey *s = d->survey;
        const char *in = s->caller_link ? arena_printf(d->arena, ", in: %s",
                                                       draft_quote(d->arena, s->caller_link))
                                        : "";
        DraftLine *line;

        if (s->has_caller) {
                line = draft_put(d, DRAFT_PART_EXPECT, "you, as you came in",
                                 "- { allow: ssh, from: %s%s }", draft_caller(d), in);
                if (line)
                        line->must_stay = true;
        }
        if (d->public.n_items > 0)
                (void)draft_put(d, DRAFT_PART_EXPECT, NULL, "- { allow: %s, from: %s }",
                                draft_list(d, &d->public),
                                denies_somebody(d) ? STRANGERS : "internet");
        put_strangers(d, limited);
        if (closed->n_items > 0)
                (void)draft_put(d, DRAFT_PART_EXPECT, NULL, "- { deny: %s, from: anywhere }",
                                draft_list(d, closed));
        /* of those that are here: nobody can mean how others fare that may never come */
        if (survey_has_link(s, SURVEY_LINK_CONTAINERS))
                (void)draft_put(d, DRAFT_PART_EXPECT, NULL,
                                "- { %s, from: containers, to: internet, section: routed }",
                                draft_has(&d->containers, "internet") ? "allow: https"
                                                                      : "deny: any");
}

static void put_settings(Draft *d) {
        if (d->rescue.n_items > 0) {
                draft_note(d, DRAFT_PART_SETTINGS,
                           "Who may still log in when everything else is locked down.");
                (void)draft_put(d, DRAFT_PART_SETTINGS, NULL, "rescue: %s",
                                draft_list(d, &d->rescue));
        }
        if (d->has_containers && !draft_has(&d->containers, "internet"))
                (void)draft_put(d, DRAFT_PART_SETTINGS, "they connect to nobody outside",
                                "containers: closed");
}

void draft_put_claims(Draft *d) {
        Words closed = {0}, limited = {0};

        put_protected(d, &closed, &limited);
        put_expect(d, &closed, &limited);
        put_settings(d);
}
