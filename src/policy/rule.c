/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#include <ctype.h>

#define RULE_NAME_MAX 63 /* bytes */

typedef struct RuleShape {
        const NodeEntry *allow, *deny, *from, *to, *except, *in, *out, *name, *section;
        const NodeEntry *user, *group, *limit, *connections, *until, *log;
} RuleShape;

#define KEY(key, member, help)                                                                     \
        { key, schema_decode_entry, offsetof(RuleShape, member), 0, help }
#define ELSEWHERE(key, help)                                                                       \
        { key, NULL, 0, SCHEMA_ELSEWHERE, help }

#define WORDS_OF_OTHER_FIREWALLS                                                                   \
        ELSEWHERE("accept", "did you mean 'allow'?"), ELSEWHERE("drop", "did you mean 'deny'?"),   \
                ELSEWHERE("interface", "did you mean 'in' or 'out'?"),                             \
                ELSEWHERE("port", "ports stand behind 'allow' or 'deny', such as 8080/tcp"),       \
                ELSEWHERE("ports", "ports stand behind 'allow' or 'deny', such as 8080/tcp"),      \
                ELSEWHERE("reject", "did you mean 'deny'?"),                                       \
                ELSEWHERE("source", "did you mean 'from'?")

#define KEYS_OF_EVERY_SECTION                                                                      \
        KEY("allow", allow, "the services that are allowed"),                                      \
                KEY("deny", deny, "the services that are denied, whatever else allows them"),      \
                KEY("except", except, "zones taken away from the side that it is about"),          \
                KEY("name", name, "how messages and statistics name the rule"),                    \
                KEY("to", to, "zones of the server"),                                              \
                KEY("connections", connections, "how many may be open at once"),                   \
                KEY("limit", limit, "how many new connections in a time"),                         \
                KEY("log", log, "whether matches are logged, or a word for the log's line"),       \
                KEY("until", until, "when the rule ends"), WORDS_OF_OTHER_FIREWALLS

#define KEYS_OF_EVERY_EXPECTATION                                                                  \
        KEY("allow", allow, "the services that are allowed"),                                      \
                KEY("deny", deny, "the services that are dropped or rejected"),                    \
                KEY("section", section, "which section it is about: inbound if absent"),           \
                KEY("to", to, "zones of the server"),                                              \
                ELSEWHERE("except", "write one more expectation instead"),                         \
                ELSEWHERE("connections", "an expectation holds limits aside"),                     \
                ELSEWHERE("limit", "an expectation holds limits aside"),                           \
                ELSEWHERE("name", "an expectation is named by its line"),                          \
                ELSEWHERE("out", "an expectation holds whichever interface it leaves on"),         \
                WORDS_OF_OTHER_FIREWALLS

// clang-format off
static const SchemaField inbound_fields[] = {
        KEYS_OF_EVERY_SECTION,
        KEY("from", from, "zones of the client"),
        KEY("in", in, "interfaces on which it arrives"),
        ELSEWHERE("out", "what arrives here does not leave; 'out' belongs to outbound and routed"),
        ELSEWHERE("user", "only this host's own connections have a user: use it in outbound"),
        ELSEWHERE("group", "only this host's own connections have a group: use it in outbound"),
};

static const SchemaField outbound_fields[] = {
        KEYS_OF_EVERY_SECTION,
        KEY("out", out, "interfaces on which it leaves"),
        KEY("user", user, "who owns the socket"),
        KEY("group", group, "the primary group of who owns the socket"),
        ELSEWHERE("from", "outbound connections all come from this host itself"),
        ELSEWHERE("in", "outbound connections arrive on no interface; did you mean 'out'?"),
};

static const SchemaField routed_fields[] = {
        KEYS_OF_EVERY_SECTION,
        KEY("from", from, "zones of the client"),
        KEY("in", in, "interfaces on which it arrives"),
        KEY("out", out, "interfaces on which it leaves"),
        ELSEWHERE("user", "only this host's own connections have a user: use it in outbound"),
        ELSEWHERE("group", "only this host's own connections have a group: use it in outbound"),
};

static const SchemaField expected_in_fields[] = {
        KEYS_OF_EVERY_EXPECTATION,
        KEY("from", from, "zones of the client"),
        KEY("in", in, "interfaces on which it arrives"),
};

static const SchemaField expected_out_fields[] = {
        KEYS_OF_EVERY_EXPECTATION,
        ELSEWHERE("from", "outbound connections all come from this host itself"),
        ELSEWHERE("in", "outbound connections arrive on no interface"),
};

const Schema rule_schemas[_SECTION_MAX] = {
        [SECTION_INBOUND] = {"an inbound rule", inbound_fields, ARRAY_SIZE(inbound_fields),
                             "{ allow: ssh, from: lan }"},
        [SECTION_OUTBOUND] = {"an outbound rule", outbound_fields, ARRAY_SIZE(outbound_fields),
                              "{ allow: https, to: internet }"},
        [SECTION_ROUTED] = {"a routed rule", routed_fields, ARRAY_SIZE(routed_fields),
                            "{ allow: dns, from: vms, to: lan }"},
};

const Schema expected_schemas[_SECTION_MAX] = {
        [SECTION_INBOUND] = {"an expectation", expected_in_fields, ARRAY_SIZE(expected_in_fields),
                             "{ deny: ssh, from: internet }"},
        [SECTION_OUTBOUND] = {"an expectation of outbound", expected_out_fields,
                              ARRAY_SIZE(expected_out_fields),
                              "{ deny: smtp, to: internet, section: outbound }"},
        [SECTION_ROUTED] = {"an expectation of routed", expected_in_fields,
                            ARRAY_SIZE(expected_in_fields),
                            "{ deny: any, from: guests, to: lan, section: routed }"},
};
// clang-format on

/* Results of several steps, of which each is taken: the first that failed, -ENOMEM before all. */
static void keep(int *result, int r) {
        if (*result == 0 || r == -ENOMEM)
                *result = r;
}

static int decode_verb(
        Loader *l, const Schema *schema, const Node *n, const RuleShape *shape, PolicyRule *ret) {
        if (shape->allow && shape->deny) {
                diag_error(l->d, shape->deny->key->at, "%s either allows or denies", schema->what);
                diag_hint(l->d, "make two of it");
                return -EBADMSG;
        }
        if (!shape->allow && !shape->deny) {
                diag_error(l->d, n->at, "this neither allows nor denies anything");
                diag_hint(l->d, "%s is written %s", schema->what, schema->example);
                return -EBADMSG;
        }
        ret->verb = shape->allow ? RULE_ALLOW : RULE_DENY;
        return service_expression_decode(l, shape->allow ? shape->allow : shape->deny,
                                         &ret->services);
}

static int decode_name(Loader *l, const NodeEntry *entry, const char **ret) {
        int r = schema_expect(entry, NODE_SCALAR, "a name", l->d);
        const Node *n = entry->value;

        if (r < 0)
                return r;
        if (n->text[0] == '\0' || strlen(n->text) > RULE_NAME_MAX)
                return diag_error(l->d, n->at, "a rule's name has 1 to %d bytes", RULE_NAME_MAX);
        if (strpbrk(n->text, "\"\\\t\n"))
                return diag_error(l->d, n->at,
                                  "a rule's name holds no quotation marks, backslashes or tabs");
        *ret = n->text;
        return 0;
}

static int decode_except(Loader *l, const NodeEntry *entry, PolicyRule *ret) {
        int r = zone_expression_decode(l, entry, &ret->except);

        if (r == 0 && !ret->except.restricts)
                return diag_error(l->d, entry->value->at,
                                  "'except: anywhere' leaves nothing that the rule could match");
        return r;
}

/* A section's log may say how much; a rule's may not, and would be read as a word. */
static bool is_rate(const char *text) {
        size_t digits = strspn(text, "0123456789");

        return digits > 0 && (text[digits] == '\0' || text[digits] == '/');
}

/* yes, no, or a word that the log's line carries. */
static int decode_log(Loader *l, const NodeEntry *entry, PolicyRule *ret) {
        int r = schema_expect(entry, NODE_SCALAR, "yes, no or a word", l->d);
        const Node *n = entry->value;

        if (r < 0 || node_is_boolean(n, &ret->log))
                return r;
        if (n->text[0] == '\0' || strlen(n->text) > LOG_WORD_MAX)
                return diag_error(l->d, n->at, "a word for the log has 1 to %d characters",
                                  LOG_WORD_MAX);
        if (is_rate(n->text)) {
                diag_error(l->d, n->at, "'%s' is how much is logged, and a rule does not say that",
                           n->text);
                diag_hint(l->d, "write 'log: yes'; 'log-limit' of the settings says how much");
                return -EBADMSG;
        }
        for (const char *p = n->text; *p; p++)
                if (!isalnum((unsigned char)*p) && !strchr("-_.:/", *p)) {
                        diag_error(l->d, n->at, "'%s' is not a word for the log",
                                   node_shown(l->arena, n));
                        diag_hint(l->d, "it holds letters, digits, '-', '_', '.', ':' and '/'");
                        return -EBADMSG;
                }
        ret->log = true;
        ret->log_word = n->text;
        return 0;
}

/* What is refused beyond a limit is what no rule allows: a limit on `deny` would open. */
static int check_limited(Loader *l, const NodeEntry *entry, const PolicyRule *rule) {
        if (rule->verb == RULE_ALLOW)
                return 0;
        diag_error(l->d, entry->key->at, "'%s' belongs to rules that allow", entry->key->text);
        diag_hint(l->d, "what an 'allow' admits no more is refused by the default");
        return -EBADMSG;
}

static int decode_limits(Loader *l, const RuleShape *shape, PolicyRule *ret) {
        int result = 0;

        if (shape->limit) {
                keep(&result, check_limited(l, shape->limit, ret));
                keep(&result, limit_decode(l, shape->limit, &ret->limit));
        }
        if (shape->connections) {
                keep(&result, check_limited(l, shape->connections, ret));
                keep(&result, connections_decode(l, shape->connections, &ret->connections));
        }
        return result;
}

static int decode_keys(Loader *l, const RuleShape *shape, PolicyRule *ret) {
        int result = 0;

        if (shape->from)
                keep(&result, zone_expression_decode(l, shape->from, &ret->from));
        if (shape->to)
                keep(&result, zone_expression_decode(l, shape->to, &ret->to));
        if (shape->except)
                keep(&result, decode_except(l, shape->except, ret));
        if (shape->in)
                keep(&result, interface_set_decode(l, shape->in, &ret->in));
        if (shape->out)
                keep(&result, interface_set_decode(l, shape->out, &ret->out));
        if (shape->name)
                keep(&result, decode_name(l, shape->name, &ret->name));
        if (shape->user)
                keep(&result, owner_decode(l, shape->user, OWNER_USER, &ret->users));
        if (shape->group)
                keep(&result, owner_decode(l, shape->group, OWNER_GROUP, &ret->groups));
        keep(&result, decode_limits(l, shape, ret));
        if (shape->until)
                keep(&result, until_decode(l, shape->until, &ret->until));
        if (shape->log)
                keep(&result, decode_log(l, shape->log, ret));
        return result;
}

/* What has an open door by mistake in other firewalls has to be meant here. */
static int check_wide(Loader *l, const PolicyRule *rule) {
        if (rule->verb != RULE_ALLOW || rule->from.given || rule->in.n_items > 0)
                return 0;
        for (size_t i = 0; i < rule->services.n_terms; i++) {
                const ServiceTerm *t = &rule->services.terms[i];

                if (t->set.any)
                        diag_error(l->d, t->at, "'%s' from anywhere would open everything",
                                   t->text);
                else if (t->service && t->service->internal)
                        diag_error(l->d, t->at, "'%s' never belongs on the internet", t->text);
                else
                        continue;
                diag_hint(l->d, "say from where; if it is meant: 'from: anywhere'");
                return -EBADMSG;
        }
        return 0;
}

static int check_to(Loader *l, const PolicyRule *rule) {
        const ZoneTerm *t = zone_expression_find_interface(&rule->to);

        if (!t)
                return 0;
        diag_error(l->d, t->at,
                   "'to' wants addresses here, but zone '%s' is known by its interfaces",
                   t->zone->name);
        diag_hint(l->d,
                  "in inbound, 'to' says which of this host's addresses was dialled; 'in' says "
                  "on which interface");
        return -EBADMSG;
}

/* An IPv4 address takes nothing away from IPv6. */
static void check_except(Loader *l, const PolicyRule *rule) {
        for (Family f = 0; f < _FAMILY_MAX; f++) {
                Family other = f == FAMILY_IPV4 ? FAMILY_IPV6 : FAMILY_IPV4;

                if (!rule->except.given || !zone_expression_has_family(&rule->except, f) ||
                    zone_expression_has_family(&rule->except, other) ||
                    !zone_expression_has_family(&rule->from, other) ||
                    !zone_expression_has_family(&rule->to, other))
                        continue;
                diag_warning(l->d, rule->except.at, "'%s' takes nothing away from %s",
                             rule->except.text, family_to_string(other));
                diag_hint(l->d, "it holds %s addresses alone, the rule is about both",
                          family_to_string(f));
        }
}

/* Made for every rule, so it is put together at once. */
static const char *describe(Loader *l, const PolicyRule *rule, const RuleShape *shape) {
        const struct {
                const char *word;
                const ZoneExpression *zones; /* or: */
                const NodeEntry *entry;
        } keys[] = {
                {" from ", &rule->from, NULL},
                {" to ", &rule->to, NULL},
                {" except ", &rule->except, NULL},
                {" in ", NULL, shape->in},
                {" out ", NULL, shape->out},
                {" user ", NULL, shape->user},
                {" group ", NULL, shape->group},
                {" limit ", NULL, shape->limit},
                {" connections ", NULL, shape->connections},
                {" until ", NULL, shape->until},
        };
        char line[TEXT_NUMBER_MAX];
        const char *parts[7 + 2 * ARRAY_SIZE(keys)] = {place_file(rule->at), ":",
                                                       text_from_number(rule->at.line, line), ": "};
        size_t n = 4;

        if (rule->name) {
                parts[n++] = rule->name;
                return arena_join(l->arena, parts, n);
        }
        parts[n++] = rule_verb_to_string(rule->verb);
        parts[n++] = " ";
        parts[n++] = rule->services.text;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                if (keys[i].zones ? !keys[i].zones->given : !keys[i].entry)
                        continue;
                parts[n++] = keys[i].word;
                parts[n++] = keys[i].zones ? keys[i].zones->text
                                           : words_join(l->arena, keys[i].entry->value);
        }
        return arena_join(l->arena, parts, n);
}

static int
decode(Loader *l, const Schema *schema, const Node *n, RuleShape *shape, PolicyRule *ret) {
        int result = schema_decode(schema, n, l, shape, l->d);

        if (n->kind != NODE_MAPPING || result == -ENOMEM)
                return result;
        *ret = (PolicyRule){.at = n->n_entries > 0 ? n->entries[0].key->at : n->at};
        if (result == 0 || shape->allow || shape->deny)
                keep(&result, decode_verb(l, schema, n, shape, ret));
        keep(&result, decode_keys(l, shape, ret));
        return result;
}

int rule_decode(Loader *l, const Node *n, SectionId section, PolicyRule *ret) {
        RuleShape shape = {0};
        int result = decode(l, &rule_schemas[section], n, &shape, ret);

        if (result < 0)
                return result;
        if (section == SECTION_INBOUND) {
                keep(&result, check_wide(l, ret));
                keep(&result, check_to(l, ret));
        }
        check_except(l, ret);
        ret->text = describe(l, ret, &shape);
        return ret->text ? result : -ENOMEM;
}

int rule_decode_expected(Loader *l, const Node *n, SectionId section, PolicyRule *ret) {
        RuleShape shape = {0};
        int result = decode(l, &expected_schemas[section], n, &shape, ret);

        if (result == 0 && section == SECTION_INBOUND)
                result = check_to(l, ret);
        if (result < 0)
                return result;
        ret->text = describe(l, ret, &shape);
        return ret->text ? 0 : -ENOMEM;
}
