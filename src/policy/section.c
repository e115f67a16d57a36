/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

typedef struct SectionShape {
        const NodeEntry *fallback, *log, *rules;
} SectionShape;

// clang-format off
static const SchemaField section_fields[] = {
        {"default", schema_decode_entry, offsetof(SectionShape, fallback), 0,
         "what happens to connections that no rule matches: drop, reject or allow"},
        {"log", schema_decode_entry, offsetof(SectionShape, log), 0,
         "whether what the default refuses is logged: yes, no, or how much of it"},
        {"rules", schema_decode_entry, offsetof(SectionShape, rules), 0, "a list of rules"},
};

const Schema section_schemas[_SECTION_MAX] = {
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

/* Two files must not disagree. `written`: in so many words. */
static int set_default(Loader *l, SectionId id, SectionDefault fallback, bool written, Span at) {
        SaidDefault *said = &l->defaults[id];
        Section *s = &l->policy->sections[id];

        if (said->at.source && said->fallback != fallback) {
                const char *name = section_id_to_string(id);

                if (written)
                        diag_error(l->d, at, "%s has another default already, '%s'", name,
                                   section_default_to_string(said->fallback));
                else
                        diag_error(l->d, at,
                                   "a list that allows something means that the rest is "
                                   "rejected, but the default of %s is '%s' already",
                                   name, section_default_to_string(said->fallback));
                if (!written)
                        diag_hint(l->d, "write it as { default: %s, rules: [...] }",
                                  section_default_to_string(said->fallback));
                diag_note(l->d, said->at, "first given here");
                return -EBADMSG;
        }
        if (!said->at.source)
                *said = (SaidDefault){at, fallback};
        s->fallback = fallback;
        if (written && !s->fallback_at.source)
                s->fallback_at = at;
        return 0;
}

/* Sections are long: room is made for a whole list, and twice as much when file follows file. */
static int reserve_rules(Loader *l, SectionId id, size_t n_more) {
        Section *s = &l->policy->sections[id];
        size_t n = s->n_rules + n_more;
        PolicyRule *rules;

        if (n <= l->n_rules_max[id])
                return 0;
        n = MAX(n, 2 * l->n_rules_max[id]);
        rules = arena_alloc_array(l->arena, n, sizeof(rules[0]));
        if (!rules)
                return -ENOMEM;
        if (s->n_rules > 0)
                memcpy(rules, s->rules, s->n_rules * sizeof(rules[0]));
        s->rules = rules;
        l->n_rules_max[id] = n;
        return 0;
}

static int decode_rules(Loader *l, const Node *n, SectionId id, bool *ret_allows) {
        Section *s = &l->policy->sections[id];
        int result = 0;

        if (reserve_rules(l, id, n->n_items) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < n->n_items; i++) {
                PolicyRule *rule = &s->rules[s->n_rules]; /* one of them once it is good */
                int r = rule_decode(l, n->items[i], id, rule);

                if (!*ret_allows && n->items[i]->kind == NODE_MAPPING &&
                    node_find(n->items[i], "allow"))
                        *ret_allows = true;
                if (r == 0 && rule->until > 0 && rule->until <= l->now)
                        continue;
                if (r == 0)
                        s->n_rules++;
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

/* Whoever lists what may leave wants nothing else to leave. */
static int decode_short(Loader *l, const NodeEntry *entry, SectionId id) {
        bool allows = false;
        int r = decode_rules(l, entry->value, id, &allows), r2 = 0;

        if (id == SECTION_OUTBOUND && allows && r != -ENOMEM)
                r2 = set_default(l, id, DEFAULT_REJECT, false, entry->key->at);
        return r < 0 ? r : r2;
}

/* `inbound: { allow: ssh }` */
static int report_lone_rule(Loader *l, const NodeEntry *entry) {
        diag_error(l->d, entry->value->at, "'%s' is a list of rules, this is one rule",
                   entry->key->text);
        diag_hint(l->d, "begin each rule with '- '");
        return -EBADMSG;
}

static int decode_log(Loader *l, const NodeEntry *entry, SectionId id) {
        int r = schema_expect(entry, NODE_SCALAR, "yes, no or a rate such as 5/minute", l->d);
        Section *s = &l->policy->sections[id];

        if (r < 0)
                return r;
        if (l->log_at[id].source) {
                diag_error(l->d, entry->key->at, "another file says what %s logs already",
                           section_id_to_string(id));
                diag_note(l->d, l->log_at[id], "first said here");
                return -EBADMSG;
        }
        l->log_at[id] = entry->key->at;
        if (node_is_boolean(entry->value, &s->log))
                return 0;
        s->log = true;
        return rate_decode(l, entry->value, entry->value->text, &s->log_limit);
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
                        r = set_default(l, id, fallback, true, shape.fallback->value->at);
                result = r < 0 ? r : result;
        }
        if (shape.log) {
                r = decode_log(l, shape.log, id);
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
        if (!l->policy->sections[id].at.source)
                l->policy->sections[id].at = entry->key->at;
        switch (entry->value->kind) {
        case NODE_SEQUENCE:
                return decode_short(l, entry, id);
        case NODE_MAPPING:
                return decode_long(l, entry, id);
        case NODE_SCALAR:
                r = decode_default(l, entry, id, &fallback);
                return r < 0 ? r : set_default(l, id, fallback, true, entry->value->at);
        case _NODE_KIND_MAX:
        case _NODE_KIND_INVALID:
                break;
        }
        return -EINVAL;
}
