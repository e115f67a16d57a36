/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <netinet/in.h>

#include "base/text.h"
#include "host/draft_parts.h"

#define WORD_SHOWN 40 /* bytes of a word that a problem shows */

/* ---- lists */

Words draft_split(Arena *a, const char *text) {
        char *rest = arena_strdup(a, text), *word;
        Words words = {0};

        while (rest && (word = strsep(&rest, ", \t")) != NULL)
                if (*word && draft_add_word(a, &words, word) < 0)
                        break; /* the arena is full, and the next one to ask finds it so */
        return words;
}

bool draft_has(const Words *words, const char *word) {
        for (size_t i = 0; i < words->n_items; i++)
                if (streq(words->items[i], word))
                        return true;
        return false;
}

int draft_add_word(Arena *a, Words *words, const char *word) {
        if (draft_has(words, word))
                return 0;
        return arena_append(a, words->items, words->n_items, word) ? 0 : -ENOMEM;
}

const char *draft_join(Arena *a, const Words *words) {
        const char *text = "";

        for (size_t i = 0; i < words->n_items && text; i++)
                text = arena_printf(a, "%s%s%s", text, i > 0 ? ", " : "", words->items[i]);
        return text;
}

/* ---- the host's own zones */

static const struct {
        const char *name;
        SurveyLinkKind kind;
        bool is_own; /* the draft defines it, and not the catalogue */
} zones[] = {
        {"lan", SURVEY_LINK_LAN, true},
        {"vpn", SURVEY_LINK_VPN, true},
        {"tailnet", SURVEY_LINK_TAILNET, false},
        {"others", SURVEY_LINK_OTHER_LAN, true},
        {"instances", SURVEY_LINK_INSTANCES, true},
        {"containers", SURVEY_LINK_CONTAINERS, false},
        {"vms", SURVEY_LINK_VMS, false},
};

/* Those that people are in, and may log in from. */
#define N_ZONES_OF_PEOPLE 3

static int add_own_zones(Arena *a, const Survey *s, size_t n, Words *to) {
        for (size_t i = 0; i < n; i++)
                if (survey_has_link(s, zones[i].kind) && draft_add_word(a, to, zones[i].name) < 0)
                        return -ENOMEM;
        return 0;
}

const char *draft_zones(Arena *a, const Survey *s) {
        Words words = {0};

        if (add_own_zones(a, s, ARRAY_SIZE(zones), &words) < 0)
                return NULL;
        if (draft_add_word(a, &words, "private") < 0 || draft_add_word(a, &words, "anywhere") < 0)
                return NULL;
        return draft_join(a, &words);
}

static bool is_link_local(Family family, U128 address) {
        return family == FAMILY_IPV6 && address.high >> 54 == 0xfe80 >> 6;
}

/* Whether the caller is in one of the networks that are on link there, as `connected` means them.
 */
static bool is_on_link(const Survey *s, const char *link) {
        if (is_link_local(s->caller_family, s->caller))
                return true;
        for (size_t i = 0; i < s->n_networks; i++) {
                const HostNetwork *n = &s->networks[i];

                if (n->family == s->caller_family &&
                    u128_equal(n->interface, interface_value(link)) &&
                    u128_compare(n->range.low, s->caller) <= 0 &&
                    u128_compare(s->caller, n->range.high) <= 0)
                        return true;
        }
        return false;
}

static bool word_admits(const Survey *s, const Policy *catalogue, const char *word) {
        const SurveyLink *link = survey_find_link(s, s->caller_link);
        const Zone *zone = policy_find_zone(catalogue, word);
        U128 interface = interface_value(link ? link->name : "");
        Family family;
        Range range;

        if (streq(word, "anywhere"))
                return true;
        for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
                if (zones[i].is_own && streq(word, zones[i].name))
                        return link && link->kind == zones[i].kind &&
                               ((link->kind != SURVEY_LINK_LAN &&
                                 link->kind != SURVEY_LINK_OTHER_LAN) ||
                                is_on_link(s, link->name));
        if (zone)
                return zone_contains(zone, link ? &interface : NULL, s->caller_family, s->caller);
        return address_range_parse(word, &family, &range) == ADDRESS_OK &&
               family == s->caller_family && u128_compare(range.low, s->caller) <= 0 &&
               u128_compare(s->caller, range.high) <= 0;
}

bool draft_admits_caller(const Survey *s, const Policy *catalogue, const Words *words) {
        for (size_t i = 0; i < words->n_items; i++)
                if (word_admits(s, catalogue, words->items[i]))
                        return true;
        return !s->has_caller;
}

bool draft_forgets_caller(Arena *a, const Survey *s, const Policy *catalogue, const char *answer) {
        const Words words = draft_split(a, answer);

        return !draft_admits_caller(s, catalogue, &words);
}

/* ---- what is asked, and what is meant where nothing is answered */

bool draft_asks(const Survey *s, DraftQuestion q) {
        switch (q) {
        case DRAFT_SSH_FROM:
        case DRAFT_RESCUE:
                return s->n_ssh_ports > 0;
        case DRAFT_CONTAINERS:
                return survey_has_link(s, SURVEY_LINK_CONTAINERS) ||
                       survey_has_link(s, SURVEY_LINK_VMS) ||
                       survey_has_link(s, SURVEY_LINK_INSTANCES);
        case DRAFT_PUBLIC:
        case _DRAFT_QUESTION_MAX:
                return true;
        }
        return true;
}

/* What ufw says of it; else the networks that people are in, if the caller is in one of them, or
 * sits at the console. Who came by the internet has an address that may be another one tomorrow. */
static int default_ssh(Arena *a, const Draft *d, Words *ret) {
        const Survey *s = d->survey;
        const Words private = {.items = (const char *[]){"private"}, .n_items = 1};
        int r = 0;

        for (size_t i = 0; i < d->n_ufw && r == 0; i++) {
                const UfwRule *rule = d->ufw[i].rule;
                char buf[ADDRESS_TEXT_MAX];
                const char *from = rule->has_source
                                           ? address_range_print(rule->family, rule->source, buf)
                                           : "anywhere";

                if (d->ufw[i].is_ssh && !d->ufw[i].refusal) {
                        from = arena_strdup(a, from);
                        r = from ? draft_add_word(a, ret, from) : -ENOMEM;
                }
        }
        if (r == 0 && draft_has(ret, "anywhere")) {
                *ret = (Words){0};
                r = draft_add_word(a, ret, "anywhere");
        }
        if (r < 0 || ret->n_items > 0)
                return r;
        r = add_own_zones(a, s, N_ZONES_OF_PEOPLE, ret);
        if (r < 0 || (ret->n_items > 0 && draft_admits_caller(s, d->catalogue, ret)))
                return r;
        if (s->has_caller && draft_admits_caller(s, d->catalogue, &private))
                return draft_add_word(a, ret, "private");
        *ret = (Words){0};
        return draft_add_word(a, ret, "anywhere");
}

/* The web and tunnels, where something listens; and what ufw lets anybody use. */
static int default_public(Arena *a, const Draft *d, Words *ret) {
        static const struct {
                uint8_t proto;
                uint16_t port;
                const char *service;
        } web[] = {{IPPROTO_TCP, 80, "http"},
                   {IPPROTO_TCP, 443, "https"},
                   {IPPROTO_UDP, 443, "http3"}};
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(web); i++)
                for (size_t j = 0; j < d->n_ports && r == 0; j++)
                        if (d->ports[j].port->proto == web[i].proto &&
                            d->ports[j].port->port == web[i].port && !d->ports[j].port->is_ssh)
                                r = draft_add_word(a, ret, web[i].service);
        for (size_t i = 0; i < d->n_ports && r == 0; i++)
                if (d->ports[i].is_tunnel)
                        r = draft_add_word(a, ret, d->ports[i].word);
        for (size_t i = 0; i < d->n_ufw && r == 0; i++)
                for (size_t j = 0; j < d->ufw[i].services.n_items && r == 0; j++)
                        if (d->ufw[i].is_public && !d->ufw[i].is_ssh && !d->ufw[i].refusal)
                                r = draft_add_word(a, ret, d->ufw[i].services.items[j]);
        return r < 0 || ret->n_items > 0 ? r : draft_add_word(a, ret, "none");
}

int draft_default(Arena *a,
                  const Survey *s,
                  const Policy *catalogue,
                  const DraftAnswers *answers,
                  DraftQuestion q,
                  const char **ret) {
        const char *ssh = answers->items[DRAFT_SSH_FROM];
        Words words = {0};
        Draft d;
        int r = draft_begin(a, s, catalogue, &d);

        if (r < 0)
                return r;
        if (q == DRAFT_PUBLIC)
                r = default_public(a, &d, &words);
        else if (q == DRAFT_CONTAINERS)
                r = draft_add_word(a, &words, "internet");
        else if (q == DRAFT_RESCUE && ssh)
                words = draft_split(a, ssh);
        else
                r = default_ssh(a, &d, &words);
        if (r == 0 && q == DRAFT_RESCUE && draft_has(&words, "anywhere")) {
                words = (Words){0};
                r = draft_add_word(a, &words, "last");
        }
        if (r < 0)
                return r;
        *ret = draft_join(a, &words);
        return *ret ? 0 : -ENOMEM;
}

/* ---- whether an answer can be taken */

static const char *const wide[] = {"internet", "host"}; /* of containers */

static int refuse(Arena *a, DraftProblem *ret, const char *hint, const char *format, ...)
        _printf_(4, 5);

static int refuse(Arena *a, DraftProblem *ret, const char *hint, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        ret->text = arena_vprintf(a, format, ap);
        va_end(ap);
        ret->hint = hint;
        return ret->text ? 0 : -ENOMEM;
}

static const char *shown(Arena *a, const char *word) {
        char *copy = arena_strndup(a, word, strnlen(word, WORD_SHOWN));

        if (copy)
                tree_clean(copy);
        return copy ? copy : "";
}

static const char *suggestion(Arena *a, const Nearest *nearest, const char *otherwise) {
        return nearest->best ? arena_printf(a, "did you mean '%s'?", nearest->best) : otherwise;
}

static int check_zone(
        Arena *a, const Survey *s, const Policy *catalogue, const char *word, DraftProblem *ret) {
        char buf[ADDRESS_TEXT_MAX];
        Nearest nearest;
        Family family;
        Range range;
        AddressError error = address_range_parse(word, &family, &range);

        nearest_init(&nearest, word);
        if (error == ADDRESS_OK || streq(word, "anywhere") || policy_find_zone(catalogue, word))
                return 1;
        for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
                if (zones[i].is_own && survey_has_link(s, zones[i].kind)) {
                        if (streq(word, zones[i].name))
                                return 1;
                        nearest_consider(&nearest, zones[i].name);
                }
        if (error == ADDRESS_HOST_BITS)
                return refuse(a, ret,
                              arena_printf(a, "the network is %s",
                                           address_range_print(family, range, buf)),
                              "'%s' has bits set behind its length", shown(a, word));
        if (error != ADDRESS_NOT_ONE)
                return refuse(a, ret, "an address, ADDRESS/LENGTH, or LOW-HIGH",
                              "'%s' is no network", shown(a, word));
        for (size_t i = 0; i < catalogue->n_zones; i++)
                nearest_consider(&nearest, catalogue->zones[i]->name);
        nearest_consider(&nearest, "anywhere");
        return refuse(a, ret,
                      suggestion(a, &nearest,
                                 arena_printf(a, "zones here: %s; or an address or a network",
                                              draft_zones(a, s))),
                      "there is no zone '%s'", shown(a, word));
}

static int check_service(
        Arena *a, const Policy *catalogue, DraftQuestion q, const char *word, DraftProblem *ret) {
        const char *alias = service_alias(word);
        Nearest nearest;

        if (policy_find_service(catalogue, word))
                return 1;
        if (alias)
                return refuse(a, ret, arena_printf(a, "did you mean '%s'?", alias),
                              "there is no service '%s'", shown(a, word));
        if (streq(word, "any"))
                return refuse(a, ret, "name what others shall use: https, 8080/tcp",
                              "'any' would open everything");
        for (size_t i = 0; i < 3; i++) {
                static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

                if (draft_word_ports(a, catalogue, word, protos[i]).n_items > 0)
                        return 1;
        }
        nearest_init(&nearest, word);
        for (size_t i = 0; i < catalogue->n_services; i++)
                nearest_consider(&nearest, catalogue->services[i]->name);
        nearest_consider(&nearest, "none");
        for (size_t i = 0; i < ARRAY_SIZE(wide) && q == DRAFT_CONTAINERS; i++)
                nearest_consider(&nearest, wide[i]);
        if (isdigit((unsigned char)word[0]))
                return refuse(a, ret, "ports are written 443/tcp, 8000-8010/tcp or 53/udp",
                              "'%s' is no port", shown(a, word));
        return refuse(a, ret,
                      suggestion(a, &nearest,
                                 "'ringwall list services' lists them; or PORT/tcp, PORT/udp"),
                      "there is no service '%s'", shown(a, word));
}

int draft_check(Arena *a,
                const Survey *s,
                const Policy *catalogue,
                DraftQuestion q,
                const char *answer,
                DraftProblem *ret_problem) {
        static const char *const alone[_DRAFT_QUESTION_MAX] = {
                [DRAFT_PUBLIC] = "none",
                [DRAFT_CONTAINERS] = "none",
                [DRAFT_RESCUE] = "last",
        };
        bool zone = q == DRAFT_SSH_FROM || q == DRAFT_RESCUE;
        Words words;
        int r = 1;

        *ret_problem = (DraftProblem){0};
        if (strlen(answer) > DRAFT_ANSWER_MAX)
                return refuse(a, ret_problem, "the policy can be edited later", "that is too long");
        words = draft_split(a, answer);
        if (words.n_items == 0)
                return refuse(a, ret_problem, alone[q] ? "'none' or 'last' says so" : NULL,
                              "nothing is named");
        if (alone[q] && draft_has(&words, alone[q]))
                return words.n_items == 1
                               ? 1
                               : refuse(a, ret_problem, NULL, "'%s' stands alone", alone[q]);
        for (size_t i = 0; i < words.n_items && r > 0; i++) {
                const char *word = words.items[i];

                if (q == DRAFT_CONTAINERS && (streq(word, wide[0]) || streq(word, wide[1])))
                        continue;
                r = zone ? check_zone(a, s, catalogue, word, ret_problem)
                         : check_service(a, catalogue, q, word, ret_problem);
        }
        return r;
}
