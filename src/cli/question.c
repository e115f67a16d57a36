/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/question.h"

#include <ctype.h>
#include <netinet/in.h>

#include "base/text.h"
#include "policy/policy.h"

typedef struct Parser {
        Arena *arena;
        Diag *d;
        const Source *source;
        const char **words;
        Span *places;
        size_t n_words, next;
        Question q;
        unsigned int said; /* bits: 1 << number of the clause */
        bool has_source, from_host, forwarded, has_family, has_port;
} Parser;

static Span here(const Parser *p) {
        size_t i = p->next > 0 ? p->next - 1 : 0;

        return p->n_words > 0 ? p->places[i] : (Span){.source = p->source, .line = 1, .column = 1};
}

static int split(Parser *p, const char *text) {
        size_t i = 0;

        while (text[i]) {
                size_t len = strcspn(text + i, " \t\n");
                Span at = {
                        .source = p->source,
                        .line = 1,
                        .column = (unsigned int)i + 1,
                        .length = (unsigned int)len,
                };
                const char *word = arena_strndup(p->arena, text + i, len);
                size_t n = p->n_words;

                if (!word)
                        return -ENOMEM;
                if (len > 0 && (!arena_append(p->arena, p->words, p->n_words, word) ||
                                !arena_append(p->arena, p->places, n, at)))
                        return -ENOMEM;
                i += len + (text[i + len] != '\0');
        }
        return 0;
}

/* The next word, or NULL with an error. */
static const char *take(Parser *p, const char *wanted) {
        if (p->next >= p->n_words) {
                (void)diag_error(p->d, here(p), "the question ends where %s should stand", wanted);
                return NULL;
        }
        return p->words[p->next++];
}

static int parse_port(Parser *p, const char *text, uint16_t *ret) {
        uint64_t n;

        if (!text_to_number(text, 1, 65535, &n))
                return diag_error(p->d, here(p), "'%s' is not a port from 1 to 65535", text);
        *ret = (uint16_t)n;
        p->has_port = true;
        return 0;
}

static int set_family(Parser *p, Family family) {
        if (p->has_family && family != p->q.packet.family)
                return diag_error(p->d, here(p), "IPv4 and IPv6 cannot be one connection");
        p->has_family = true;
        p->q.packet.family = family;
        return 0;
}

/* ADDR, ADDR:PORT, [ADDR]:PORT. *ret_port stays as it is if no port is named. */
static int parse_endpoint(Parser *p, const char *word, U128 *ret_address, uint16_t *ret_port) {
        char *text = arena_strdup(p->arena, word), *port = NULL, *end;
        Family family;

        if (!text)
                return -ENOMEM;
        if (text[0] == '[') {
                end = strchr(text, ']');
                if (!end || (end[1] != '\0' && end[1] != ':'))
                        return diag_error(p->d, here(p), "'%s' lacks the ']' of [ADDRESS]:PORT",
                                          word);
                if (end[1] == ':')
                        port = end + 2;
                *end = '\0';
                text++;
        } else if (strchr(text, ':') && strchr(text, ':') == strrchr(text, ':')) {
                port = strchr(text, ':');
                *port++ = '\0';
        }
        if (address_parse(text, &family, ret_address) != ADDRESS_OK) {
                (void)diag_error(p->d, here(p), "'%s' is not an address", text);
                diag_hint(p->d, strchr(text, '/')
                                        ? "a question is about one address, not a network"
                                        : "give one address, such as 203.0.113.9: names and zones "
                                          "are not looked up");
                return -EBADMSG;
        }
        if (set_family(p, family) < 0)
                return -EBADMSG;
        return port ? parse_port(p, port, ret_port) : 0;
}

static int parse_protocol(Parser *p) {
        const char *word = take(p, "a protocol"), *type;
        char lower[QUESTION_MAX + 1] = {0};
        uint64_t n;

        if (!word)
                return -EBADMSG;
        for (size_t i = 0; word[i]; i++)
                lower[i] = (char)tolower((unsigned char)word[i]);
        if (text_to_number(word, 0, 255, &n))
                p->q.packet.protocol = (uint8_t)n;
        else if (!protocol_from_string(lower, &p->q.packet.protocol)) {
                (void)diag_error(p->d, here(p), "'%s' is not a protocol", word);
                diag_hint(p->d,
                          "a question begins with tcp, udp, icmp, …: tcp from 203.0.113.9 to 443");
                return -EBADMSG;
        }
        if (p->q.packet.protocol != IPPROTO_ICMP && p->q.packet.protocol != IPPROTO_ICMPV6)
                return 0;
        if (set_family(p, p->q.packet.protocol == IPPROTO_ICMP ? FAMILY_IPV4 : FAMILY_IPV6) < 0)
                return -EBADMSG;
        type = take(p, "a type such as echo-request");
        if (!type)
                return -EBADMSG;
        if (text_to_number(type, 0, 255, &n))
                p->q.packet.icmp_type = (uint8_t)n;
        else if (!icmp_type_from_string(p->q.packet.family, type, &p->q.packet.icmp_type)) {
                (void)diag_error(p->d, here(p), "'%s' is not a type of %s", type, word);
                diag_hint(p->d, "its type stands behind it, as in %s echo-request from %s", word,
                          p->q.packet.family == FAMILY_IPV4 ? "203.0.113.9" : "2001:db8::9");
                return -EBADMSG;
        }
        return 0;
}

static int parse_from(Parser *p) {
        const char *word = take(p, "an address or 'host'");

        if (!word)
                return -EBADMSG;
        p->has_source = true;
        if (streq(word, "host")) {
                p->from_host = true;
                return 0;
        }
        return parse_endpoint(p, word, &p->q.packet.source, &p->q.packet.source_port);
}

static bool is_port(const char *word) {
        return word[0] != '\0' && strspn(word, "0123456789") == strlen(word);
}

static int parse_to(Parser *p) {
        const char *word = take(p, "an address or a port");

        if (!word)
                return -EBADMSG;
        if (is_port(word + (word[0] == ':')))
                return parse_port(p, word + (word[0] == ':'), &p->q.packet.destination_port);
        p->q.has_destination = true;
        return parse_endpoint(p, word, &p->q.packet.destination, &p->q.packet.destination_port);
}

static int parse_dialled(Parser *p) {
        const char *word = take(p, "the address that was dialled");

        p->q.packet.translated = true;
        p->q.packet.dialled_port = 0;
        return word ? parse_endpoint(p, word, &p->q.packet.dialled, &p->q.packet.dialled_port)
                    : -EBADMSG;
}

static int parse_interface(Parser *p, const char **ret) {
        const char *word = take(p, "an interface");

        if (!word)
                return -EBADMSG;
        if (strlen(word) > 15)
                return diag_error(p->d, here(p), "'%s' is longer than an interface's name can be",
                                  word);
        *ret = word;
        return 0;
}

static int parse_in(Parser *p) {
        return parse_interface(p, &p->q.packet.in);
}

static int parse_out(Parser *p) {
        return parse_interface(p, &p->q.packet.out);
}

static int parse_forwarded(Parser *p) {
        p->forwarded = true;
        return 0;
}

static int parse_bridged(Parser *p) {
        p->q.bridged = p->forwarded = true;
        return 0;
}

static int parse_state(Parser *p) {
        const char *word = take(p, "a state");

        if (!word)
                return -EBADMSG;
        if (!type_symbol_value(TYPE_CT_STATE, word, &p->q.packet.ct_state))
                return diag_error(p->d, here(p),
                                  "'%s' is not new, established, related, invalid or untracked",
                                  word);
        return 0;
}

static int parse_source(Parser *p) {
        const char *word = take(p, "'unrouted', 'elsewhere' or 'own'");

        if (!word)
                return -EBADMSG;
        if (streq(word, "unrouted"))
                p->q.packet.source_route = SOURCE_UNROUTED;
        else if (streq(word, "elsewhere"))
                p->q.packet.source_route = SOURCE_ELSEWHERE;
        else if (streq(word, "own"))
                p->q.packet.source_route = SOURCE_LOCAL;
        else
                return diag_error(p->d, here(p), "'%s' is not 'unrouted', 'elsewhere' or 'own'",
                                  word);
        return 0;
}

static int parse_hop_limit(Parser *p) {
        const char *word = take(p, "a number");
        uint64_t n;

        if (!word)
                return -EBADMSG;
        if (!text_to_number(word, 1, 255, &n))
                return diag_error(p->d, here(p), "'%s' is not a hop limit from 1 to 255", word);
        p->q.packet.hop_limit = (uint8_t)n;
        return 0;
}

static int parse_owner(Parser *p, const char *what, uint32_t *ret, bool *ret_said) {
        const char *word = take(p, what);
        uint64_t n;

        if (!word)
                return -EBADMSG;
        if (!text_to_number(word, 0, UINT32_MAX - 1, &n))
                return diag_error(p->d, here(p), "'%s' is not %s", word, what);
        *ret = (uint32_t)n;
        *ret_said = true;
        return 0;
}

static int parse_user(Parser *p) {
        return parse_owner(p, "a user's number", &p->q.packet.user, &p->q.packet.has_user);
}

static int parse_group(Parser *p) {
        return parse_owner(p, "a group's number", &p->q.packet.group, &p->q.packet.has_group);
}

static const struct {
        const char *word;
        int (*parse)(Parser *p);
} clauses[] = {
        {"from", parse_from},       {"to", parse_to},
        {"in", parse_in},           {"out", parse_out},
        {"dialled", parse_dialled}, {"forwarded", parse_forwarded},
        {"bridged", parse_bridged}, {"state", parse_state},
        {"source", parse_source},   {"hop-limit", parse_hop_limit},
        {"user", parse_user},       {"group", parse_group},
};

static int parse_clause(Parser *p) {
        const char *word = take(p, "a word");
        Nearest nearest;

        nearest_init(&nearest, word);
        for (size_t i = 0; i < ARRAY_SIZE(clauses); i++) {
                if (streq(clauses[i].word, word)) {
                        if (p->said & 1U << i)
                                return diag_error(p->d, here(p), "'%s' is said twice", word);
                        p->said |= 1U << i;
                        return clauses[i].parse(p);
                }
                nearest_consider(&nearest, clauses[i].word);
        }
        (void)diag_error(p->d, here(p), "'%s' has no meaning here", word);
        if (nearest.best)
                diag_hint(p->d, "did you mean '%s'?", nearest.best);
        else
                diag_hint(p->d, "after the protocol: from, to, in, out, dialled, state, …");
        return -EBADMSG;
}

static bool is_loopback(Family family, U128 address) {
        return family == FAMILY_IPV4 ? address.low >> 24 == 127 : u128_equal(address, u128(1));
}

static int finish(Parser *p) {
        PacketQuestion *q = &p->q.packet;
        Span whole = {.source = p->source, .line = 1, .column = 1};

        if (!p->has_source) {
                (void)diag_error(p->d, whole, "the question does not say from where");
                diag_hint(p->d, "add: from ADDRESS, or: from host");
                return -EBADMSG;
        }
        if (protocol_has_ports(q->protocol) && q->destination_port == 0) {
                (void)diag_error(p->d, whole, "the question does not say to which port");
                diag_hint(p->d, "add: to PORT, to ADDRESS:PORT, or: to [IPV6-ADDRESS]:PORT");
                return -EBADMSG;
        }
        if (!protocol_has_ports(q->protocol) && p->has_port)
                return diag_error(p->d, whole, "this protocol has no ports");
        if ((q->has_user || q->has_group) && !p->from_host)
                return diag_error(p->d, whole,
                                  "only this host's own connections have a user or a group: say "
                                  "'from host'");
        if (p->from_host && q->in)
                return diag_error(p->d, whole,
                                  "what this host sends does not arrive: leave out 'in'");
        if (p->from_host) {
                q->hook = HOOK_OUTPUT;
                q->source_route = SOURCE_LOCAL;
                if (!q->out && is_loopback(q->family, q->destination))
                        q->out = "lo";
        } else
                q->hook = p->forwarded || q->out ? HOOK_FORWARD : HOOK_INPUT;
        if (p->q.bridged && !q->in)
                return diag_error(p->d, whole, "'bridged' wants 'in BRIDGE'");
        if (p->q.bridged)
                q->out = q->in;
        if (q->translated && q->dialled_port == 0)
                q->dialled_port = q->destination_port;
        if (q->source_port == 0)
                q->source_port = 49152; /* the first of IANA's dynamic ports */
        return 0;
}

int question_parse(Arena *a, const char *text, Question *ret, Diag *d) {
        Source *source = arena_new0(a, Source);
        Parser p = {.arena = a, .d = d, .source = source, .q.packet.ct_state = CT_STATE_NEW};
        int r;

        if (!source)
                return -ENOMEM;
        *source = (Source){.name = "question", .text = text, .size = strlen(text)};
        if (source->size > QUESTION_MAX)
                return diag_error(d, (Span){0}, "a question has at most %d characters",
                                  QUESTION_MAX);
        r = split(&p, text);
        if (r == 0)
                r = parse_protocol(&p);
        while (r == 0 && p.next < p.n_words)
                r = parse_clause(&p);
        if (r == 0)
                r = finish(&p);
        if (r == 0)
                *ret = p.q;
        return r;
}
