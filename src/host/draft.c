/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "host/draft_parts.h"

#define PORTS_SHOWN_MAX 40 /* that the head lists, and that get a line of their own */
#define WORDS_A_RULE 6

int draft_begin(Arena *a, const Survey *s, const Policy *catalogue, Draft *ret) {
        Draft d = {.arena = a, .survey = s, .catalogue = catalogue};
        int r = 0;

        for (size_t i = 0; i < s->n_ports && r == 0; i++) {
                DraftPort port = {.port = &s->ports[i]};

                r = draft_name_port(a, s, catalogue, &port);
                if (r == 0 && !arena_append(a, d.ports, d.n_ports, port))
                        r = -ENOMEM;
        }
        if (r == 0)
                r = draft_read_ufw(&d);
        if (r == 0)
                *ret = d;
        return r;
}

/* ---- the head: what was found */

const char *draft_describe(Draft *d, const DraftPort *x) {
        const SurveyPort *p = x->port;
        const char *program = p->program     ? p->program
                              : x->is_tunnel ? "the kernel (WireGuard)"
                                             : "not known";

        if (p->inner > 0 && p->container)
                return arena_printf(d->arena, "%s, to port %u of %s", program, p->inner,
                                    p->container);
        if (p->inner > 0)
                return arena_printf(d->arena, "%s, to port %u of a container", program, p->inner);
        if (p->is_published)
                return arena_printf(d->arena, "%s, for a container", program);
        return p->owner ? arena_printf(d->arena, "%s (%s)", program, p->owner) : program;
}

const char *draft_number(Draft *d, const SurveyPort *p) {
        return arena_printf(d->arena, "%u/%s", p->port, survey_protocol(p->proto));
}

static void put_head(Draft *d) {
        const Survey *s = d->survey;

        draft_note(d, DRAFT_PART_HEAD,
                   "The policy of this host, begun by 'ringwall init' with "
                   "what it found and what it was told.");
        draft_note(d, DRAFT_PART_HEAD,
                   "It is yours: edit it, and 'ringwall check' says what is wrong. Nothing is in "
                   "force before");
        draft_note(d, DRAFT_PART_HEAD, "'ringwall apply'.");
        draft_note(d, DRAFT_PART_HEAD, "%s", "");
        if (d->n_ports == 0) {
                draft_note(d, DRAFT_PART_HEAD, "Nothing listens here that others could reach.");
                return;
        }
        draft_note(d, DRAFT_PART_HEAD,
                   "What listens here, and others could reach if rules let "
                   "them:");
        for (size_t i = 0; i < d->n_ports && i < PORTS_SHOWN_MAX; i++)
                draft_note(d, DRAFT_PART_HEAD, "  %-10s %s", draft_number(d, d->ports[i].port),
                           draft_describe(d, &d->ports[i]));
        if (d->n_ports > PORTS_SHOWN_MAX)
                draft_note(d, DRAFT_PART_HEAD, "  and %zu more: ss -tulnp",
                           d->n_ports - PORTS_SHOWN_MAX);
        if (s->n_unnamed > SURVEY_UNNAMED_MAX)
                draft_note(d, DRAFT_PART_HEAD, "  and %zu that were not kept",
                           s->n_unnamed - SURVEY_UNNAMED_MAX);
        if (survey_misses_programs(s))
                draft_note(d, DRAFT_PART_HEAD,
                           "Other users' programs were not looked into: that takes root.");
}

/* ---- zones and services */

static Words links_of(Draft *d, SurveyLinkKind kind) {
        const Survey *s = d->survey;
        Words words = {0};

        for (size_t i = 0; i < s->n_links; i++)
                if (s->links[i].kind == kind &&
                    draft_add_word(d->arena, &words, s->links[i].name) < 0)
                        d->failed = true;
        return words;
}

static void put_networks(Draft *d, const char *zone, SurveyLinkKind kind) {
        Words words = links_of(d, kind);
        const char *links = draft_list(d, &words);

        if (words.n_items == 0)
                return;
        for (size_t i = 0; i < d->survey->n_links; i++)
                if (d->survey->links[i].kind == kind)
                        draft_note(d, DRAFT_PART_ZONES,
                                   "The networks at %s, followed as they change: %s today.",
                                   d->survey->links[i].name, d->survey->links[i].networks);
        if (words.n_items == 1)
                links = arena_printf(d->arena, "[%s]", links);
        (void)draft_put(d, DRAFT_PART_ZONES, NULL,
                        "%s: { connected: %s, addresses: [\"fe80::/10\"], interfaces: %s }", zone,
                        links, links);
}

static void put_links(Draft *d, const char *zone, SurveyLinkKind kind, const char *about) {
        Words words = links_of(d, kind);
        const char *links = draft_list(d, &words);

        if (words.n_items == 0)
                return;
        draft_note(d, DRAFT_PART_ZONES, "%s", about);
        if (words.n_items == 1)
                links = arena_printf(d->arena, "[%s]", links);
        (void)draft_put(d, DRAFT_PART_ZONES, NULL, "%s: { interfaces: %s }", zone, links);
}

/* A bridge to the network around is taken for one of containers if it is named like those: then the
 * zone is what is there. */
static void put_containers_zone(Draft *d) {
        Words words = links_of(d, SURVEY_LINK_CONTAINERS);
        bool mistaken = false;

        for (size_t i = 0; i < d->survey->n_links; i++)
                mistaken |= d->survey->links[i].seems_containers;
        if (!mistaken)
                return;
        if (draft_add_word(d->arena, &words, "docker0") < 0 ||
            draft_add_word(d->arena, &words, "podman*") < 0)
                d->failed = true;
        draft_note(d, DRAFT_PART_ZONES, "Not every bridge here is of containers: add new ones.");
        (void)draft_put(d, DRAFT_PART_ZONES, NULL, "containers: { interfaces: %s }",
                        draft_list(d, &words));
}

static void put_zones(Draft *d) {
        put_networks(d, "lan", SURVEY_LINK_LAN);
        put_networks(d, "others", SURVEY_LINK_OTHER_LAN);
        put_links(d, "vpn", SURVEY_LINK_VPN, "Whoever comes through a tunnel.");
        put_links(d, "instances", SURVEY_LINK_INSTANCES,
                  "What runs behind bridges that lead to no other device.");
        put_containers_zone(d);
}

static void put_services(Draft *d) {
        const Survey *s = d->survey;
        const char *ports = s->n_ssh_ports == 1 ? "" : "[";

        if (s->n_ssh_ports == 0 || (s->n_ssh_ports == 1 && s->ssh_ports[0] == 22))
                return;
        for (size_t i = 0; i < s->n_ssh_ports && ports; i++)
                ports = arena_printf(d->arena, "%s%s%u", ports, i > 0 ? ", " : "", s->ssh_ports[i]);
        (void)draft_put(d, DRAFT_PART_SERVICES, "where sshd listens", "ssh: { tcp: %s%s }", ports,
                        s->n_ssh_ports == 1 ? "" : "]");
}

/* ---- inbound */

/* The answer's zones but "anywhere", if others must not share their rule. */
static Words without(Draft *d, const Words *words, const char *word) {
        Words rest = {0};

        for (size_t i = 0; i < words->n_items; i++)
                if (!streq(words->items[i], word) &&
                    draft_add_word(d->arena, &rest, words->items[i]) < 0)
                        d->failed = true;
        return rest;
}

const char *draft_caller(Draft *d) {
        char buf[ADDRESS_TEXT_MAX];

        return draft_quote(d->arena,
                           address_print(d->survey->caller_family, d->survey->caller, buf));
}

/* Who is near may at least see that the host is there. */
static void put_ping(Draft *d) {
        Words near = {0};

        if ((survey_has_link(d->survey, SURVEY_LINK_LAN) &&
             draft_add_word(d->arena, &near, "lan") < 0) ||
            (survey_has_link(d->survey, SURVEY_LINK_VPN) &&
             draft_add_word(d->arena, &near, "vpn") < 0))
                d->failed = true;
        if (near.n_items > 0)
                (void)draft_put(d, DRAFT_PART_INBOUND, NULL, "- { allow: ping, from: %s }",
                                draft_list(d, &near));
        else
                draft_note(d, DRAFT_PART_INBOUND, "- { allow: ping, from: anywhere }");
}

static void put_ssh(Draft *d) {
        const Survey *s = d->survey;
        Words known = without(d, &d->ssh_from, "anywhere");
        bool anywhere = draft_has(&d->ssh_from, "anywhere");
        const SurveyLink *link = survey_find_link(s, s->caller_link);
        const char *except = draft_has(&known, "private") && !draft_has(&known, "containers") &&
                                             survey_has_link(s, SURVEY_LINK_CONTAINERS) &&
                                             !(link && link->kind == SURVEY_LINK_CONTAINERS)
                                     ? ", except: containers"
                                     : "";

        if (s->n_ssh_ports == 0 && d->ssh_from.n_items == 0) {
                draft_note(d, DRAFT_PART_INBOUND, "No sshd listens here. For one:");
                draft_note(d, DRAFT_PART_INBOUND, "- { allow: ssh, from: private }");
                return;
        }
        if (known.n_items > 0)
                (void)draft_put(d, DRAFT_PART_INBOUND, NULL, "- { allow: [ssh, ping], from: %s%s }",
                                draft_list(d, &known), except);
        if (anywhere)
                (void)draft_put(d, DRAFT_PART_INBOUND, NULL,
                                "- { allow: ssh, from: anywhere, limit: 10/minute per source }");
        if (anywhere && known.n_items == 0)
                put_ping(d);
        if (s->has_caller && !draft_admits_caller(s, d->catalogue, &d->ssh_from))
                (void)draft_put(d, DRAFT_PART_INBOUND, "you came from there",
                                "- { allow: ssh, from: %s }", draft_caller(d));
}

static bool ufw_limits(const Draft *d, const char *word) {
        for (size_t i = 0; i < d->n_ufw; i++)
                if (d->ufw[i].is_public && d->ufw[i].rule->action == UFW_LIMIT &&
                    draft_has(&d->ufw[i].services, word))
                        return true;
        return false;
}

static void put_public(Draft *d) {
        Words rule = {0};

        for (size_t i = 0; i < d->public.n_items; i++) {
                const char *word = d->public.items[i];

                if (ufw_limits(d, word)) {
                        (void)draft_put(d, DRAFT_PART_INBOUND, "ufw limits it, too",
                                        "- { allow: %s, from: anywhere, limit: 12/minute burst 6 "
                                        "per source }",
                                        draft_quote(d->arena, word));
                        continue;
                }
                if (draft_add_word(d->arena, &rule, word) < 0)
                        d->failed = true;
                if (rule.n_items < WORDS_A_RULE)
                        continue;
                (void)draft_put(d, DRAFT_PART_INBOUND, NULL, "- { allow: %s, from: anywhere }",
                                draft_list(d, &rule));
                rule = (Words){0};
        }
        if (rule.n_items > 0)
                (void)draft_put(d, DRAFT_PART_INBOUND, NULL, "- { allow: %s, from: anywhere }",
                                draft_list(d, &rule));
}

Words draft_services_for_containers(Draft *d) {
        Words words = {0};
        bool host = draft_has(&d->containers, "host");

        for (size_t i = 0; i < d->containers.n_items; i++) {
                const char *word = d->containers.items[i];

                if (!streq(word, "host") && !streq(word, "internet") && !streq(word, "none") &&
                    draft_add_word(d->arena, &words, word) < 0)
                        d->failed = true;
        }
        for (size_t i = 0; i < d->n_ports && host; i++)
                if (!d->ports[i].port->is_ssh && !d->ports[i].port->is_published &&
                    !d->ports[i].is_tunnel &&
                    draft_add_word(d->arena, &words, d->ports[i].word) < 0)
                        d->failed = true;
        return words;
}

static bool has_podman(const Survey *s) {
        for (size_t i = 0; i < s->n_links; i++)
                if (startswith(s->links[i].name, "podman") ||
                    startswith(s->links[i].name, "cni-podman"))
                        return true;
        return false;
}

/* Those whose addresses and names come from a dnsmasq of this host. */
static Words machines(Draft *d) {
        Words words = {0};

        if ((survey_has_link(d->survey, SURVEY_LINK_VMS) &&
             draft_add_word(d->arena, &words, "vms") < 0) ||
            (survey_has_link(d->survey, SURVEY_LINK_INSTANCES) &&
             draft_add_word(d->arena, &words, "instances") < 0))
                d->failed = true;
        return words;
}

static void put_containers(Draft *d) {
        Words services = draft_services_for_containers(d), all = machines(d);

        if (all.n_items > 0)
                (void)draft_put(d, DRAFT_PART_INBOUND, "their addresses and names",
                                "- { allow: [dhcp, dhcpv6, dns], from: %s }", draft_list(d, &all));
        if (has_podman(d->survey) && !draft_has(&services, "dns"))
                (void)draft_put(d, DRAFT_PART_INBOUND, "Podman's name server",
                                "- { allow: dns, from: containers }");
        if (services.n_items > 0)
                (void)draft_put(d, DRAFT_PART_INBOUND, NULL, "- { allow: %s, from: containers }",
                                draft_list(d, &services));
        if (all.n_items > 0 && draft_has(&d->containers, "internet"))
                (void)draft_put(d, DRAFT_PART_ROUTED, NULL,
                                "- { allow: any, from: %s, to: internet }", draft_list(d, &all));
}

bool draft_is_of_networks(const char *word) {
        static const char *const words[] = {"mdns", "llmnr",  "ssdp", "ws-discovery",
                                            "dhcp", "dhcpv6", "dns",  "netbios"};

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (streq(word, words[i]))
                        return true;
        return false;
}

/* What listens, and no rule above opens: as rules to take in. */
static void put_closed(Draft *d) {
        bool lan = survey_has_link(d->survey, SURVEY_LINK_LAN);
        size_t n = 0;

        for (size_t i = 0; i < d->n_ports; i++) {
                const DraftPort *x = &d->ports[i];
                const char *from = x->service && !x->is_internal && !draft_is_of_networks(x->word)
                                           ? "anywhere"
                                   : lan ? "lan"
                                         : "private";
                DraftLine *line;

                if (x->port->is_ssh || x->is_open ||
                    (x->is_internal && !draft_is_of_networks(x->word)))
                        continue;
                if (n++ == 0)
                        draft_note(d, DRAFT_PART_INBOUND,
                                   "These listen, too, and stay closed. Take in what others are to "
                                   "reach:");
                if (n > PORTS_SHOWN_MAX)
                        break;
                line = draft_put(d, DRAFT_PART_INBOUND,
                                 x->port->program ? draft_describe(d, x) : NULL,
                                 "- { allow: %s, from: %s }", draft_quote(d->arena, x->word), from);
                if (line)
                        line->is_out = true;
        }
}

/* ---- all of it */

static int take_answer(Draft *d, const DraftAnswers *answers, DraftQuestion q, Words *ret) {
        const char *text = answers->items[q], *nothing = q == DRAFT_RESCUE ? "last" : "none";
        int r = text ? 0 : draft_default(d->arena, d->survey, d->catalogue, answers, q, &text);

        if (r < 0)
                return r;
        *ret = draft_split(d->arena, text);
        if (ret->n_items == 1 && streq(ret->items[0], nothing))
                *ret = (Words){0};
        return 0;
}

static int take_answers(Draft *d, const DraftAnswers *answers) {
        Words *const words[_DRAFT_QUESTION_MAX] = {
                [DRAFT_SSH_FROM] = &d->ssh_from,
                [DRAFT_PUBLIC] = &d->public,
                [DRAFT_CONTAINERS] = &d->containers,
                [DRAFT_RESCUE] = &d->rescue,
        };
        int r = 0;

        d->has_containers = survey_has_link(d->survey, SURVEY_LINK_CONTAINERS) ||
                            answers->items[DRAFT_CONTAINERS] != NULL;
        for (DraftQuestion q = 0; q < _DRAFT_QUESTION_MAX && r == 0; q++)
                if (draft_asks(d->survey, q) || answers->items[q])
                        r = take_answer(d, answers, q, words[q]);
        return r;
}

bool draft_opens(Draft *d, uint8_t proto, uint16_t port) {
        const Words services = draft_services_for_containers(d);
        bool opens = draft_means(d->arena, d->catalogue, &d->public, proto, port) ||
                     draft_means(d->arena, d->catalogue, &services, proto, port);

        for (size_t i = 0; i < d->n_ufw && !opens; i++)
                opens = !d->ufw[i].refusal && !d->ufw[i].is_public &&
                        d->ufw[i].rule->action <= UFW_LIMIT &&
                        draft_means(d->arena, d->catalogue, &d->ufw[i].services, proto, port);
        return opens;
}

static void mark_open(Draft *d) {
        for (size_t i = 0; i < d->n_ports; i++)
                d->ports[i].is_open =
                        draft_opens(d, d->ports[i].port->proto, d->ports[i].port->port);
}

int draft_write(Arena *a,
                const Survey *s,
                const Policy *catalogue,
                Source catalogue_text,
                const DraftAnswers *answers,
                const char **ret,
                Diag *diag) {
        Draft d;
        int r = draft_begin(a, s, catalogue, &d);

        if (r == 0)
                r = take_answers(&d, answers);
        if (r < 0)
                return r;
        mark_open(&d);
        put_head(&d);
        put_zones(&d);
        put_services(&d);
        put_ssh(&d);
        put_public(&d);
        put_containers(&d);
        draft_put_ufw(&d);
        put_closed(&d);
        draft_put_claims(&d);
        return d.failed ? -ENOMEM : draft_settle(&d, catalogue_text, ret, diag);
}
