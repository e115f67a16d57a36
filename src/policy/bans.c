/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

/* `bans: { never, escalate, ipv6, max, widest }` */

#define WORDS_MAX 4
#define ESCALATE_EXAMPLE "2x up to 7d, or off"
#define IPV6_EXAMPLE "/64, or /64 up to /48"
#define LONGEST_MIN 60 /* seconds */
#define IPV6_DEFAULT 64
#define WIDEST_IPV4_DEFAULT 16U
#define WIDEST_IPV6_DEFAULT 32U

void ban_settings_init(BanSettings *ret) {
        *ret = (BanSettings){
                .ipv6 = IPV6_DEFAULT,
                .ipv6_cap = IPV6_DEFAULT,
                .max = BANS_MAX,
                .widest = {WIDEST_IPV4_DEFAULT, WIDEST_IPV6_DEFAULT},
        };
}

static int refuse(Diag *d, const Node *n, const char *what, const char *example) {
        diag_error(d, n->at, "'%s' is no %s", node_shown(d->arena, n), what);
        diag_hint(d, "it is written %s", example);
        return -EBADMSG;
}

/* The words of "FIRST up to LAST"; or FIRST alone, and *ret_last is NULL. False: they are others.
 */
static bool split(char *copy, const char **ret_first, const char **ret_last) {
        const char *words[WORDS_MAX + 1] = {0};
        char *state = NULL;
        size_t n = 0;

        for (char *p = strtok_r(copy, " ", &state); p; p = strtok_r(NULL, " ", &state)) {
                if (n == WORDS_MAX)
                        return false;
                words[n++] = p;
        }
        if (n != 1 && (n != WORDS_MAX || !streq(words[1], "up") || !streq(words[2], "to")))
                return false;
        *ret_first = words[0];
        *ret_last = words[3];
        return true;
}

/* ---- never */

static int check_never(Loader *l, const ZoneExpression *e) {
        const ZoneTerm *t = zone_expression_find_interface(e);
        size_t n = 0;

        if (!e->restricts) {
                diag_error(l->d, e->at, "'never: anywhere' would ban nobody");
                diag_hint(l->d, "name those alone that must not be shut out");
                return -EBADMSG;
        }
        if (t) {
                diag_error(l->d, t->at,
                           "zone '%s' is known by its interfaces, and who is banned by an address "
                           "alone",
                           t->zone->name);
                diag_note(l->d, t->zone->at, "its interfaces stand here");
                diag_hint(l->d, "write addresses, or a zone that is 'connected' to an interface");
                return -EBADMSG;
        }
        for (size_t i = 0; i < e->n_terms; i++)
                for (size_t j = 0; e->terms[i].zone && j < e->terms[i].zone->n_parts; j++)
                        for (Family f = 0; f < _FAMILY_MAX; f++)
                                n += e->terms[i].zone->parts[j].addresses[f].n_items;
        if (n > BANS_NEVER_MAX)
                return diag_error(l->d, e->at, "'never' has %zu ranges of addresses, %d at most", n,
                                  BANS_NEVER_MAX);
        return 0;
}

static int
decode_never(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        ZoneExpression e = {0};
        int r = zone_expression_decode(context, entry, &e);

        if (r == 0)
                r = check_never(context, &e);
        if (r == 0)
                *(ZoneExpression *)ret = e;
        return r;
}

/* ---- escalate */

/* 90s, 10m, 12h, 7d, 2w. 0: it is no time. */
static uint64_t seconds_of(const char *text) {
        static const struct {
                char unit;
                unsigned int seconds;
        } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
        char number[TEXT_NUMBER_MAX] = "";
        size_t size = strlen(text);
        uint64_t n;

        if (size < 2 || size > sizeof(number))
                return 0;
        memcpy(number, text, size - 1);
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (units[i].unit == text[size - 1] && text_to_number(number, 1, UINT32_MAX, &n))
                        return n * units[i].seconds;
        return 0;
}

static int decode_escalate(
        const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        int r = schema_expect(entry, NODE_SCALAR, "a factor and a time: 2x up to 7d", d);
        const Node *n = entry->value;
        char *copy = arena_strdup(d->arena, r == 0 ? n->text : "");
        const char *first, *last;
        uint64_t factor, longest;
        size_t size;
        bool said;

        if (r < 0 || !copy)
                return r < 0 ? r : -ENOMEM;
        if (node_is_boolean(n, &said) && !said) {
                *(Escalation *)ret = (Escalation){0};
                return 0;
        }
        if (!split(copy, &first, &last) || !last)
                return refuse(d, n, "escalation", ESCALATE_EXAMPLE);
        size = strlen(first);
        if (size < 2 || first[size - 1] != 'x' ||
            !text_to_number(arena_printf(d->arena, "%.*s", (int)size - 1, first), 2,
                            BANS_FACTOR_MAX, &factor)) {
                diag_error(d, n->at, "each further ban is from 2x to %dx as long, not '%s'",
                           BANS_FACTOR_MAX, first);
                diag_hint(d, "it is written " ESCALATE_EXAMPLE);
                return -EBADMSG;
        }
        longest = seconds_of(last);
        if (longest < LONGEST_MIN || longest > BANS_LONGEST_MAX) {
                diag_error(d, n->at, "the longest ban is a time from 1m to 365d, not '%s'", last);
                diag_hint(d, "it is written " ESCALATE_EXAMPLE);
                return -EBADMSG;
        }
        *(Escalation *)ret = (Escalation){(unsigned int)factor, (unsigned int)longest};
        return 0;
}

/* ---- lengths of prefix */

static bool length_of(const char *text, unsigned int min, unsigned int max, unsigned int *ret) {
        uint64_t number;

        if (text[0] != '/' || !text_to_number(text + 1, min, max, &number))
                return false;
        *ret = (unsigned int)number;
        return true;
}

/* What people are given by their providers, or a single address. */
static bool is_step(unsigned int length, unsigned int longest) {
        return length <= longest && (length == 128 || length == 64 || length == 56 || length == 48);
}

static int
decode_ipv6(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        int r = schema_expect(entry, NODE_SCALAR, "a length of prefix, /64", d);
        const Node *n = entry->value;
        char *copy = arena_strdup(d->arena, r == 0 ? n->text : "");
        BanSettings *b = ret;
        const char *first, *last;
        unsigned int length, cap;

        if (r < 0 || !copy)
                return r < 0 ? r : -ENOMEM;
        if (!split(copy, &first, &last))
                return refuse(d, n, "length of prefix", IPV6_EXAMPLE);
        if (!length_of(first, 1, 128, &length) || !is_step(length, 128)) {
                diag_error(d, n->at,
                           "a single IPv6 address stands for its /128, /64, /56 or /48, not '%s'",
                           first);
                diag_hint(d, "it is written " IPV6_EXAMPLE);
                return -EBADMSG;
        }
        cap = length;
        if (last && (!length_of(last, 1, 128, &cap) || !is_step(cap, MIN(length, 64U)))) {
                diag_error(d, n->at, "bans are widened up to /64, /56 or /48, not '%s'", last);
                diag_hint(d, "it is written " IPV6_EXAMPLE);
                return -EBADMSG;
        }
        if (cap == length && last) {
                diag_error(d, n->at, "'%s up to %s' widens nothing", first, last);
                diag_hint(d, "leave out 'up to %s', or write a shorter prefix there", last);
                return -EBADMSG;
        }
        b->ipv6 = length;
        b->ipv6_cap = cap;
        return 0;
}

static int
decode_max(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        int r = schema_expect(entry, NODE_SCALAR, "a number of bans", d);
        uint64_t number;

        if (r < 0)
                return r;
        if (!text_to_number(entry->value->text, 1, BANS_MAX, &number))
                return diag_error(d, entry->value->at, "'max' is a number from 1 to %d, not '%s'",
                                  BANS_MAX, node_shown(d->arena, entry->value));
        *(unsigned int *)ret = (unsigned int)number;
        return 0;
}

/* Of the family that the key names. */
static int
decode_length(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        int r = schema_expect(entry, NODE_SCALAR, "a length of prefix", d);
        bool is_ipv4 = streq(field->key, "ipv4");
        unsigned int min = is_ipv4 ? BANS_WIDEST_IPV4 : BANS_WIDEST_IPV6;
        unsigned int max = is_ipv4 ? 32 : 128;

        if (r < 0)
                return r;
        if (length_of(entry->value->text, min, max, ret))
                return 0;
        diag_error(d, entry->value->at, "the widest %s prefix is from /%u to /%u, not '%s'",
                   is_ipv4 ? "IPv4" : "IPv6", min, max, node_shown(d->arena, entry->value));
        diag_hint(d, "it is written %s: /%u", field->key,
                  is_ipv4 ? WIDEST_IPV4_DEFAULT : WIDEST_IPV6_DEFAULT);
        return -EBADMSG;
}

// clang-format off
static const SchemaField widest_fields[] = {
        {"ipv4", decode_length, FAMILY_IPV4 * sizeof(unsigned int), 0, "the widest IPv4 network that is banned"},
        {"ipv6", decode_length, FAMILY_IPV6 * sizeof(unsigned int), 0, "the widest IPv6 network that is banned"},
};

const Schema widest_schema = {
        "'widest'", widest_fields, ARRAY_SIZE(widest_fields), "{ ipv4: /16, ipv6: /32 }",
};
// clang-format on

static int
decode_widest(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        int r = schema_expect(entry, NODE_MAPPING, "a length of prefix for each family", d);

        if (r < 0) {
                diag_hint(d, "it is written %s", widest_schema.example);
                return r;
        }
        return schema_decode(&widest_schema, entry->value, context, ret, d);
}

// clang-format off
static const SchemaField bans_fields[] = {
        {"escalate", decode_escalate, offsetof(BanSettings, escalate), 0,
         "how much longer each further ban of an address lasts"},
        {"ipv6", decode_ipv6, 0, 0,
         "what a single IPv6 address stands for, and up to which prefix bans are widened"},
        {"max", decode_max, offsetof(BanSettings, max), 0, "how many bans are kept"},
        {"never", decode_never, offsetof(BanSettings, never), 0, "who is never banned"},
        {"widest", decode_widest, offsetof(BanSettings, widest), 0,
         "the widest networks that are banned"},
};
// clang-format on

_Static_assert(ARRAY_SIZE(bans_fields) <= POLICY_BANS_MAX, "bans_at is too small");

const Schema bans_schema = {
        "'bans'",
        bans_fields,
        ARRAY_SIZE(bans_fields),
        "{ never: admin, escalate: 2x up to 7d }",
};

int bans_decode(Loader *l, const PolicyFile *file) {
        const NodeEntry *entry = file->bans;
        int r, result;

        if (!entry)
                return 0;
        r = schema_expect(entry, NODE_MAPPING, "a mapping", l->d);
        if (r < 0) {
                diag_hint(l->d, "it is written %s; addresses are banned with `ringwall ban`",
                          bans_schema.example);
                return r;
        }
        result = settings_check_said_once(l, &bans_schema, entry->value, l->bans_at);
        r = schema_decode(&bans_schema, entry->value, l, &l->policy->bans, l->d);
        return r < 0 ? r : result;
}

static Span said_at(const Loader *l, const char *key) {
        for (size_t i = 0; i < ARRAY_SIZE(bans_fields); i++)
                if (streq(bans_fields[i].key, key))
                        return l->bans_at[i];
        return (Span){0};
}

int bans_check(Loader *l) {
        const BanSettings *b = &l->policy->bans;
        Span ipv6 = said_at(l, "ipv6"), widest = said_at(l, "widest");

        if (b->ipv6_cap >= b->widest[FAMILY_IPV6])
                return 0;
        diag_error(l->d, ipv6.source ? ipv6 : widest,
                   "an IPv6 ban may become a /%u, and nothing wider than a /%u may be banned",
                   b->ipv6_cap, b->widest[FAMILY_IPV6]);
        if (ipv6.source && widest.source)
                diag_note(l->d, widest, "the widest prefix stands here");
        return -EBADMSG;
}
