/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

typedef struct SectionShape {
        const NodeEntry *fallback, *rules;
} SectionShape;

// clang-format off
static const SchemaField section_fields[] = {
        {"default", schema_decode_entry, offsetof(SectionShape, fallback), 0,
         "what happens to connections that no rule matches: drop, reject or allow"},
        {"log", NULL, 0, SCHEMA_LATER, "whether the default logs what it refuses"},
        {"rules", schema_decode_entry, offsetof(SectionShape, rules), 0, "a list of rules"},
};

static const Schema section_schemas[_SECTION_MAX] = {
        [SECTION_INBOUND] = {"section 'inbound'", section_fields, ARRAY_SIZE(section_fields),
                             "as a list of rules, or as { default: drop, rules: [...] }"},
        [SECTION_OUTBOUND] = {"section 'outbound'", section_fields, ARRAY_SIZE(section_fields),
                              "as a list of rules, or as { default: reject, rules: [...] }"},
        [SECTION_ROUTED] = {"section 'routed'", section_fields, ARRAY_SIZE(section_fields),
                            "as a list of rules, or as { default: drop, rules: [...] }"},
};

/* What people call the defaults elsewhere. */
static const struct {
        const char *word;
        SectionDefault meant;
} other_words[] = {
        {"accept", DEFAULT_ALLOW},
        {"block", DEFAULT_DROP},
        {"closed", DEFAULT_DROP},
        {"deny", DEFAULT_DROP},
        {"open", DEFAULT_ALLOW},
};
// clang-format on

static SectionDefault default_from_string(const char *s) {
        for (SectionDefault f = 0; f < _DEFAULT_MAX; f++)
                if (streq(section_default_to_string(f), s))
                        return f;
        return _DEFAULT_INVALID;
}

static void hint_at_default(Loader *l, const Node *n) {
        Nearest nearest;
        bool value;

        for (size_t i = 0; i < ARRAY_SIZE(other_words); i++)
                if (streq(other_words[i].word, n->text))
                        diag_hint(l->d, "did you mean '%s'?",
                                  section_default_to_string(other_words[i].meant));
        nearest_init(&nearest, n->text);
        for (SectionDefault f = 0; f < _DEFAULT_MAX; f++)
                nearest_consider(&nearest, section_default_to_string(f));
        if (nearest.best)
                diag_hint(l->d, "did you mean '%s'?", nearest.best);
        else if (definition_find(&l->services, n->text) || strchr(n->text, '/'))
                diag_hint(l->d, "rules are a list: - { allow: %s }", n->text);
        else if (node_is_boolean(n, &value))
                diag_hint(l->d, "YAML takes '%s' for a boolean", n->text);
}

static int decode_default(Loader *l, const NodeEntry *entry, SectionId id, SectionDefault *ret) {
        int r = schema_expect(entry, NODE_SCALAR, "drop, reject or allow", l->d);
        const Node *n = entry->value;

        if (r < 0)
                return r;
        *ret = default_from_string(n->text);
        if (*ret == _DEFAULT_INVALID) {
                diag_error(l->d, n->at, "a default is drop, reject or allow, not '%s'",
                           node_shown(l->arena, n));
                hint_at_default(l, n);
                return -EBADMSG;
        }
        if (*ret == DEFAULT_ALLOW && id != SECTION_OUTBOUND) {
                diag_error(l->d, n->at, "%s cannot allow by default", section_id_to_string(id));
                diag_hint(l->d, "write rules for what may pass");
                return -EBADMSG;
        }
        return 0;
}

/* Two files must not disagree. */
static int set_default(Loader *l, SectionId id, SectionDefault fallback, Span at) {
        Section *s = &l->policy->sections[id];

        if (s->fallback_at.source && s->fallback != fallback) {
                diag_error(l->d, at, "%s has another default already", section_id_to_string(id));
                diag_note(l->d, s->fallback_at, "first given here");
                return -EBADMSG;
        }
        s->fallback = fallback;
        s->fallback_at = at;
        return 0;
}

static int decode_rules(Loader *l, const Node *n, SectionId id, bool *ret_allows) {
        Section *s = &l->policy->sections[id];
        int result = 0;

        for (size_t i = 0; i < n->n_items; i++) {
                PolicyRule rule;
                int r = rule_decode(l, n->items[i], id, &rule);

                if (n->items[i]->kind == NODE_MAPPING && node_find(n->items[i], "allow"))
                        *ret_allows = true;
                if (r == 0 && !arena_append(l->arena, s->rules, s->n_rules, rule))
                        r = -ENOMEM;
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

/* Whoever lists what may leave wants nothing else to leave. */
static int decode_short(Loader *l, const NodeEntry *entry, SectionId id) {
        Section *s = &l->policy->sections[id];
        bool allows = false;
        int r = decode_rules(l, entry->value, id, &allows);

        if (id == SECTION_OUTBOUND && allows && !s->fallback_at.source)
                s->fallback = DEFAULT_REJECT;
        return r;
}

/* `inbound: { allow: ssh }` */
static int report_lone_rule(Loader *l, const NodeEntry *entry) {
        diag_error(l->d, entry->value->at, "'%s' is a list of rules, this is one rule",
                   entry->key->text);
        diag_hint(l->d, "begin each rule with '- '");
        return -EBADMSG;
}

static int decode_long(Loader *l, const NodeEntry *entry, SectionId id) {
        SectionShape shape = {0};
        SectionDefault fallback;
        bool allows = false;
        int result, r = 0;

        if (node_find(entry->value, "allow") || node_find(entry->value, "deny"))
                return report_lone_rule(l, entry);
        result = schema_decode(&section_schemas[id], entry->value, l, &shape, l->d);
        if (result == -ENOMEM)
                return result;
        if (shape.fallback) {
                r = decode_default(l, shape.fallback, id, &fallback);
                if (r == 0)
                        r = set_default(l, id, fallback, shape.fallback->value->at);
                result = r < 0 ? r : result;
        }
        if (shape.rules) {
                r = schema_expect(shape.rules, NODE_SEQUENCE, "a list of rules", l->d);
                if (r == 0)
                        r = decode_rules(l, shape.rules->value, id, &allows);
                result = r < 0 ? r : result;
        }
        if (id == SECTION_OUTBOUND && allows && !shape.fallback && result != -ENOMEM) {
                diag_error(l->d, entry->key->at, "outbound allows something, but has no 'default'");
                diag_hint(l->d, "'default: reject' lets nothing else leave, 'default: allow' all");
                return -EBADMSG;
        }
        return result;
}

int section_decode(Loader *l, const PolicyFile *file, SectionId id) {
        const NodeEntry *entry = file->sections[id];
        SectionDefault fallback;
        int r;

        if (!entry)
                return 0;
        r = schema_expect_value(entry, l->d);
        if (r < 0)
                return r;
        l->policy->sections[id].at = entry->key->at;
        switch (entry->value->kind) {
        case NODE_SEQUENCE:
                return decode_short(l, entry, id);
        case NODE_MAPPING:
                return decode_long(l, entry, id);
        case NODE_SCALAR:
                r = decode_default(l, entry, id, &fallback);
                return r < 0 ? r : set_default(l, id, fallback, entry->value->at);
        case _NODE_KIND_MAX:
        case _NODE_KIND_INVALID:
                break;
        }
        return -EINVAL;
}
