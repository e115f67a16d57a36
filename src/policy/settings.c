/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#define CONFIRM_MIN 10
#define CONFIRM_MAX 3600
#define CONFIRM_DEFAULT 120
#define MARK_DEFAULT 0x10000000
#define LOG_LIMIT_DEFAULT 10
#define ALERT_MAX 2048 /* bytes of a path or a URL */

/* In the order of the enums. */
static const char *const antispoof_words[] = {"loose", "strict", "off", NULL};
static const char *const containers_words[] = {"open", "closed", NULL};
static const char *const ownership_words[] = {"auto", "off", NULL};
static const char *const drift_words[] = {"heal", "alert", NULL};
static const char *const counters_words[] = {"rules", "each", "off", NULL};

static int add_essential(const Node *n, unsigned int *ret, Diag *d) {
        const char *words[_ESSENTIAL_MAX + 1] = {0};
        unsigned int number = 0;
        int r;

        for (EssentialId e = 0; e < _ESSENTIAL_MAX; e++)
                words[e] = essential_to_string(e);
        if (n->kind != NODE_SCALAR)
                return diag_error(d, n->at, "expected an essential's name, found %s",
                                  node_kind_to_string(n->kind));
        r = schema_find_word("an essential is", n, words, &number, d);
        if (r < 0)
                return r;
        if (*ret & 1U << number)
                return diag_error(d, n->at, "'%s' stands here twice", n->text);
        *ret |= 1U << number;
        return 0;
}

static int decode_essentials(
        const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        int result = schema_expect_value(entry, d), r;
        const Node *n = entry->value;
        unsigned int essentials = 0;

        if (result < 0)
                return result;
        if (n->kind != NODE_SEQUENCE)
                result = add_essential(n, &essentials, d);
        for (size_t i = 0; i < n->n_items; i++) {
                r = add_essential(n->items[i], &essentials, d);
                if (r < 0)
                        result = r;
        }
        *(unsigned int *)ret = essentials;
        return result;
}

/* A number that has one bit, in decimal or hexadecimal. */
static int
decode_mark(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        int r = schema_expect(entry, NODE_SCALAR, "a number", d);
        const char *text = r == 0 ? entry->value->text : "";
        bool hexadecimal = startswith(text, "0x");
        const char *digits = hexadecimal ? text + 2 : text;
        unsigned long long value;

        if (r < 0)
                return r;
        if (*digits == '\0' || strlen(digits) > 15 ||
            strspn(digits, hexadecimal ? "0123456789abcdefABCDEF" : "0123456789") !=
                    strlen(digits)) {
                diag_error(d, entry->value->at, "'%s' is not a number",
                           node_shown(d->arena, entry->value));
                diag_hint(d, "a mark is written 0x10000000");
                return -EBADMSG;
        }
        value = strtoull(digits, NULL, hexadecimal ? 16 : 10);
        if (value == 0 || value > UINT32_MAX || (value & (value - 1)) != 0)
                return diag_error(d, entry->value->at,
                                  "the mark is one bit of 32: 0x1, 0x2, 0x4, and so on up to "
                                  "0x80000000");
        *(uint32_t *)ret = (uint32_t)value;
        return 0;
}

static int decode_log_limit(
        const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        int r = schema_expect(entry, NODE_SCALAR, "a rate such as 10/second", d);

        return r < 0 ? r : rate_decode(context, entry->value, entry->value->text, ret);
}

static int
decode_rescue(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        return zone_expression_decode(context, entry, ret);
}

/* 90s, 2m, 1h */
static int decode_confirm(
        const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        static const struct {
                char letter;
                unsigned int seconds;
        } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}};
        int r = schema_expect(entry, NODE_SCALAR, "a time such as 120s", d);
        const Node *n = entry->value;
        size_t len = r == 0 ? strspn(n->text, "0123456789") : 0;
        const char *digits = arena_strndup(d->arena, r == 0 ? n->text : "", len);
        unsigned int seconds = 0;
        uint64_t number;

        if (r < 0 || !digits)
                return r < 0 ? r : -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (n->text[len] == units[i].letter && n->text[len + 1] == '\0')
                        seconds = units[i].seconds;
        if (len == 0 || seconds == 0) {
                diag_error(d, n->at, "'%s' is not a time", node_shown(d->arena, n));
                diag_hint(d, "a time is written %.10ss, or with m or h for minutes or hours",
                          len > 0 ? digits : "120");
                return -EBADMSG;
        }
        if (!text_to_number(digits, 1, CONFIRM_MAX, &number) || number * seconds < CONFIRM_MIN ||
            number * seconds > CONFIRM_MAX)
                return diag_error(d, n->at, "'confirm' is from %ds to %ds", CONFIRM_MIN,
                                  CONFIRM_MAX);
        *(unsigned int *)ret = (unsigned int)number * seconds;
        return 0;
}

static int decode_text(const SchemaField *field,
                       const NodeEntry *entry,
                       const char *expected,
                       const char **ret,
                       Diag *d) {
        int r = schema_expect(entry, NODE_SCALAR, expected, d);
        const char *text = r == 0 ? entry->value->text : "";

        if (r < 0)
                return r;
        if (strlen(text) > ALERT_MAX)
                return diag_error(d, entry->value->at, "'%s' has at most %d bytes", field->key,
                                  ALERT_MAX);
        *ret = text;
        return 0;
}

static int
decode_run(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        const char *text = "";
        int r = decode_text(field, entry, "a program's path", &text, d);

        if (r < 0)
                return r;
        if (text[0] != '/') {
                diag_error(d, entry->value->at, "'run' is a program's whole path, not '%s'",
                           node_shown(d->arena, entry->value));
                diag_hint(d, "a path begins with '/'; arguments and shells are not taken");
                return -EBADMSG;
        }
        *(const char **)ret = text;
        return 0;
}

static int decode_webhook(
        const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        const char *text = "";
        int r = decode_text(field, entry, "a URL", &text, d);

        if (r < 0)
                return r;
        if ((!startswith(text, "https://") && !startswith(text, "http://")) ||
            strpbrk(text, " \t\n") || strstr(text, "://")[3] == '\0') {
                /* which may have a token in it, and the message a way to the journal */
                diag_error(d, entry->value->at, "this is not a URL of http or https");
                diag_hint(d, "it is written https://host/path");
                return -EBADMSG;
        }
        *(const char **)ret = text;
        return 0;
}

// clang-format off
static const SchemaField alerts_fields[] = {
        {"run", decode_run, offsetof(Alerts, run), 0, "a program that is run for each event"},
        {"webhook", decode_webhook, offsetof(Alerts, webhook), 0, "a URL that is told each event"},
};

const Schema alerts_schema = {
        "'alerts'", alerts_fields, ARRAY_SIZE(alerts_fields),
        "none, or { run: /usr/local/bin/tell-me, webhook: \"https://example.org/hook\" }",
};
// clang-format on

static int
decode_alerts(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        int r = schema_expect_value(entry, d);

        if (r < 0)
                return r;
        if (entry->value->kind == NODE_SCALAR && streq(entry->value->text, "none"))
                return 0;
        return schema_decode(&alerts_schema, entry->value, context, ret, d);
}

#define WORD(key, member, words, help)                                                             \
        { key, schema_decode_word, offsetof(Settings, member), 0, help, words }

// clang-format off
static const SchemaField settings_fields[] = {
        {"alerts", decode_alerts, offsetof(Settings, alerts), 0, "who is told of events"},
        WORD("antispoof", antispoof, antispoof_words,
             "which sources that no interface leads back to are dropped"),
        {"confirm", decode_confirm, offsetof(Settings, confirm), 0,
         "how long a change waits for its confirmation"},
        WORD("containers", containers, containers_words,
             "whether containers may open connections outward"),
        WORD("counters", counters, counters_words, "what is counted"),
        {"cut-denied", schema_decode_boolean, offsetof(Settings, cut_denied), 0,
         "whether open connections are cut that the policy would not admit"},
        WORD("drift", drift, drift_words, "what happens to a foreign change of our tables"),
        {"essentials", decode_essentials, offsetof(Settings, essentials), 0,
         "what passes unasked"},
        {"log-limit", decode_log_limit, offsetof(Settings, log_limit), 0, "how much is logged"},
        {"mark", decode_mark, offsetof(Settings, mark), 0,
         "the connection mark's bit that tells a cut connection"},
        WORD("ownership", ownership, ownership_words,
             "whether the kernel's tables are owned where that can be"),
        {"rescue", decode_rescue, offsetof(Settings, rescue), 0,
         "who may reach sshd in lockdown and panic"},
};
// clang-format on

_Static_assert(ARRAY_SIZE(settings_fields) <= POLICY_SETTINGS_MAX, "settings_at is too small");

const Schema settings_schema = {
        "'settings'",
        settings_fields,
        ARRAY_SIZE(settings_fields),
        "{ antispoof: strict }",
};

void settings_init(Settings *ret) {
        *ret = (Settings){
                .essentials = (1U << _ESSENTIAL_MAX) - 1,
                .mark = MARK_DEFAULT,
                .log_limit = {.number = LOG_LIMIT_DEFAULT, .unit = RATE_SECOND},
                .cut_denied = true,
                .confirm = CONFIRM_DEFAULT,
        };
}

static int check_said_once(Loader *l, const Schema *schema, const Node *key, Span *said_at) {
        for (size_t i = 0; i < schema->n_fields; i++) {
                if (!streq(schema->fields[i].key, key->text))
                        continue;
                if (!said_at[i].source) {
                        said_at[i] = key->at;
                        return 0;
                }
                diag_error(l->d, key->at, "'%s' is set by another file already", key->text);
                diag_note(l->d, said_at[i], "first set here");
                return -EBADMSG;
        }
        return 0;
}

int settings_check_said_once(Loader *l, const Schema *schema, const Node *n, Span *said_at) {
        int result = 0;

        for (size_t i = 0; i < n->n_entries; i++)
                if (check_said_once(l, schema, n->entries[i].key, said_at) < 0)
                        result = -EBADMSG;
        return result;
}

int settings_decode(Loader *l, const PolicyFile *file) {
        const NodeEntry *entry = file->settings;
        int r, result;

        if (!entry)
                return 0;
        r = schema_expect(entry, NODE_MAPPING, "a mapping of settings", l->d);
        if (r < 0)
                return r;
        result = settings_check_said_once(l, &settings_schema, entry->value, l->settings_at);
        r = schema_decode(&settings_schema, entry->value, l, &l->policy->settings, l->d);
        return r < 0 ? r : result;
}
