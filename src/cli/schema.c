/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/schemas.h"

#include <getopt.h>

#include "cli/input.h"
#include "cli/output.h"

/* The language as a JSON Schema, for editors: the keys come from the tables that the decoder reads,
 * the names of services and zones from the catalogue. It accepts whatever the decoder accepts, and
 * more: what a name means, whether an address has host bits, what two keys say together is beyond
 * it. `check` has the last word. */

static const char help[] =
        "Prints a JSON Schema (2020-12) of the policy language, with which editors complete and "
        "check\n"
        "a policy while it is written. It knows less than 'ringwall check', which has the last "
        "word.\n"
        "\n"
        "  -h, --help\n"
        "\n"
        "Examples:\n"
        "  ringwall schema >policy.schema.json\n"
        "\n"
        "The language server of YAML reads it where a policy begins with the line\n"
        "  # yaml-language-server: $schema=policy.schema.json\n";

/* What may stand in a value, where the table of keys does not say. Words of YAML 1.1 that mean yes
 * or no are strings for some readers and booleans for others. */
// clang-format off
static const struct {
        const char *name, *json;
} definitions[] = {
        {"boolean", "{\"enum\": [true, false, \"yes\", \"no\", \"on\", \"off\"]}"},
        {"port", "{\"anyOf\": [{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 65535},"
                 " {\"type\": \"string\", \"pattern\": \"^[0-9]+(-[0-9]+)?$\"}]}"},
        {"ports", "{\"anyOf\": [{\"$ref\": \"#/$defs/port\"},"
                  " {\"type\": \"array\", \"minItems\": 1, \"items\": {\"$ref\": \"#/$defs/port\"}}]}"},
        {"number-or-name", "{\"anyOf\": [{\"type\": \"integer\", \"minimum\": 0, \"maximum\": 255},"
                           " {\"type\": \"string\", \"pattern\": \"^[0-9A-Za-z][0-9A-Za-z./-]*$\"}]}"},
        {"numbers-or-names", "{\"anyOf\": [{\"$ref\": \"#/$defs/number-or-name\"}, {\"type\": \"array\","
                             " \"minItems\": 1, \"items\": {\"$ref\": \"#/$defs/number-or-name\"}}]}"},
        {"interface", "{\"type\": \"string\", \"pattern\": \"^[^ ,/:\\\\t\\\\n]{1,15}$\"}"},
        {"interfaces", "{\"anyOf\": [{\"$ref\": \"#/$defs/interface\"}, {\"type\": \"array\","
                       " \"minItems\": 1, \"items\": {\"$ref\": \"#/$defs/interface\"}}]}"},
        {"service-expression", "{\"anyOf\": [{\"$ref\": \"#/$defs/service-term\"}, {\"type\": \"array\","
                               " \"minItems\": 1, \"items\": {\"$ref\": \"#/$defs/service-term\"}}]}"},
        {"zone-expression", "{\"anyOf\": [{\"$ref\": \"#/$defs/zone-term\"}, {\"type\": \"array\","
                            " \"minItems\": 1, \"items\": {\"$ref\": \"#/$defs/zone-term\"}}]}"},
        {"zones", "{\"type\": \"object\", \"propertyNames\": {\"$ref\": \"#/$defs/name\"},"
                  " \"additionalProperties\": {\"anyOf\": [{\"$ref\": \"#/$defs/zone-expression\"},"
                  " {\"$ref\": \"#/$defs/zone\"}]}}"},
        {"services", "{\"type\": \"object\", \"propertyNames\": {\"$ref\": \"#/$defs/name\"},"
                     " \"additionalProperties\": {\"anyOf\": [{\"type\": \"array\", \"minItems\": 1,"
                     " \"items\": {\"$ref\": \"#/$defs/service-term\"}}, {\"$ref\": \"#/$defs/service\"}]}}"},
        {"name", "{\"type\": \"string\", \"pattern\": \"^[A-Za-z][A-Za-z0-9_.-]*$\", \"maxLength\": 63}"},
        {"version", "{\"enum\": [1, \"1\"]}"},
        {"paths", "{\"anyOf\": [{\"type\": \"string\", \"minLength\": 1}, {\"type\": \"array\","
                  " \"items\": {\"type\": \"string\", \"minLength\": 1}}]}"},
        {"text", "{\"type\": [\"string\", \"number\"], \"minLength\": 1}"},
        {"rate", "{\"type\": \"string\", \"pattern\": \"^[0-9]+ */ *(second|minute|hour|day)\"}"},
        {"count", "{\"anyOf\": [{\"type\": \"integer\", \"minimum\": 1},"
                  " {\"type\": \"string\", \"pattern\": \"^[0-9]+( |$)\"}]}"},
        {"log", "{\"type\": [\"boolean\", \"string\", \"number\"]}"},
        {"owners", "{\"anyOf\": [{\"type\": [\"string\", \"integer\"]}, {\"type\": \"array\","
                   " \"minItems\": 1, \"items\": {\"type\": [\"string\", \"integer\"]}}]}"},
        {"duration", "{\"type\": \"string\", \"pattern\": \"^[0-9]+[smh]$\"}"},
        {"mark", "{\"anyOf\": [{\"type\": \"integer\", \"minimum\": 1},"
                 " {\"type\": \"string\", \"pattern\": \"^(0x[0-9A-Fa-f]+|[0-9]+)$\"}]}"},
        {"strings", "{\"type\": \"array\", \"items\": {\"type\": \"string\"}}"},
        {"alerts-or-none", "{\"anyOf\": [{\"const\": \"none\"}, {\"$ref\": \"#/$defs/alerts\"}]}"},
        {"escalation", "{\"anyOf\": [{\"enum\": [\"off\", false]}, {\"type\": \"string\","
                       " \"pattern\": \"^[0-9]+x up to [0-9]+[smhdw]$\"}]}"},
        {"widening", "{\"type\": \"string\", \"pattern\": \"^/(128|64|56|48)( up to /(64|56|48))?$\"}"},
        {"ban-count", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000000}"},
        {"prefix-length", "{\"type\": \"string\", \"pattern\": \"^/[0-9]{1,3}$\"}"},
        {"translations", "{\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/translation\"}}"},
        {"claims", "{\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/claim\"}}"},
        {"expectations", "{\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/expectation\"}}"},
        {"section-name", "{\"enum\": [\"inbound\", \"outbound\", \"routed\"]}"},
        {"refusal", "{\"enum\": [\"drop\", \"reject\"]}"},
        {"default", "{\"enum\": [\"drop\", \"reject\", \"allow\"]}"},
};

/* Which of them, or of those made of tables, a key's value is. The first row that fits counts. */
static const struct {
        const Schema *schema; /* NULL: in every other table */
        const char *key, *definition;
} key_types[] = {
        {&policy_schema, "ringwall", "version"},
        {&policy_schema, "include", "paths"},
        {&policy_schema, "zones", "zones"},
        {&policy_schema, "services", "services"},
        {&policy_schema, "inbound", "section-inbound"},
        {&policy_schema, "outbound", "section-outbound"},
        {&policy_schema, "routed", "section-routed"},
        {&policy_schema, "nat", "translations"},
        {&policy_schema, "protected", "claims"},
        {&policy_schema, "expect", "expectations"},
        {&policy_schema, "settings", "settings"},
        {&policy_schema, "bans", "bans"},
        {&bans_schema, "never", "zone-expression"},
        {&bans_schema, "escalate", "escalation"},
        {&bans_schema, "ipv6", "widening"},
        {&bans_schema, "max", "ban-count"},
        {&bans_schema, "widest", "widest"},
        {&widest_schema, "ipv4", "prefix-length"},
        {&widest_schema, "ipv6", "prefix-length"},
        {&section_schemas[SECTION_OUTBOUND], "default", "default"},
        {NULL, "default", "refusal"},
        {&section_schemas[SECTION_INBOUND], "rules", "rules-inbound"},
        {&section_schemas[SECTION_OUTBOUND], "rules", "rules-outbound"},
        {&section_schemas[SECTION_ROUTED], "rules", "rules-routed"},
        {NULL, "allow", "service-expression"},
        {NULL, "deny", "service-expression"},
        {NULL, "services", "service-expression"},
        {&nat_schema, "to", "text"},
        {NULL, "forward", "service-expression"},
        {NULL, "masquerade", "zone-expression"},
        {NULL, "from", "zone-expression"},
        {NULL, "to", "zone-expression"},
        {NULL, "except", "zone-expression"},
        {NULL, "only-from", "zone-expression"},
        {NULL, "addresses", "zone-expression"},
        {NULL, "rescue", "zone-expression"},
        {NULL, "in", "interfaces"},
        {NULL, "out", "interfaces"},
        {NULL, "interfaces", "interfaces"},
        {NULL, "connected", "interfaces"},
        {NULL, "file", "text"},
        {NULL, "tcp", "ports"},
        {NULL, "udp", "ports"},
        {NULL, "sctp", "ports"},
        {NULL, "icmp", "numbers-or-names"},
        {NULL, "icmpv6", "numbers-or-names"},
        {NULL, "protocols", "numbers-or-names"},
        {NULL, "internal", "boolean"},
        {NULL, "cut-denied", "boolean"},
        {NULL, "name", "text"},
        {NULL, "section", "section-name"},
        {NULL, "limit", "rate"},
        {NULL, "connections", "count"},
        {NULL, "until", "text"},
        {NULL, "log", "log"},
        {NULL, "user", "owners"},
        {NULL, "group", "owners"},
        {NULL, "essentials", "strings"},
        {NULL, "log-limit", "rate"},
        {NULL, "confirm", "duration"},
        {NULL, "mark", "mark"},
        {NULL, "alerts", "alerts-or-none"},
        {NULL, "run", "text"},
        {NULL, "webhook", "text"},
};

/* Definitions made of one table of keys each. */
static const struct {
        const char *name;
        const Schema *schema;
        bool has_verb; /* exactly one of allow and deny */
} objects[] = {
        {"zone", &zone_schema, false},
        {"service", &service_schema, false},
        {"translation", &nat_schema, false},
        {"claim", &protected_schema, false},
        {"settings", &settings_schema, false},
        {"alerts", &alerts_schema, false},
        {"bans", &bans_schema, false},
        {"widest", &widest_schema, false},
        {"long-inbound", &section_schemas[SECTION_INBOUND], false},
        {"long-outbound", &section_schemas[SECTION_OUTBOUND], false},
        {"long-routed", &section_schemas[SECTION_ROUTED], false},
        {"rule-inbound", &rule_schemas[SECTION_INBOUND], true},
        {"rule-outbound", &rule_schemas[SECTION_OUTBOUND], true},
        {"rule-routed", &rule_schemas[SECTION_ROUTED], true},
        {"expected-inbound", &expected_schemas[SECTION_INBOUND], true},
        {"expected-outbound", &expected_schemas[SECTION_OUTBOUND], true},
        {"expected-routed", &expected_schemas[SECTION_ROUTED], true},
};
// clang-format on

static json_t *reference(const char *definition) {
        return json_pack("{s: s+}", "$ref", "#/$defs/", definition);
}

static const char *type_of(const Schema *schema, const char *key) {
        for (size_t i = 0; i < ARRAY_SIZE(key_types); i++)
                if ((!key_types[i].schema || key_types[i].schema == schema) &&
                    streq(key_types[i].key, key))
                        return key_types[i].definition;
        return NULL;
}

static json_t *words(const char *const *list) {
        json_t *array = json_array();

        for (; *list; list++)
                (void)json_array_append_new(array, json_string(*list));
        return json_pack("{s: o}", "enum", array);
}

/* A key without a type may hold anything: better than refusing what is right. */
static json_t *property(const Schema *schema, const SchemaField *field) {
        const char *definition = type_of(schema, field->key);
        json_t *value = field->words ? words(field->words)
                        : definition ? reference(definition)
                                     : json_object();

        if (field->help)
                (void)json_object_set_new(value, "description", json_string(field->help));
        return value;
}

static bool is_built(const SchemaField *field) {
        return !(field->flags & (SCHEMA_LATER | SCHEMA_ELSEWHERE));
}

static json_t *object(const Schema *schema) {
        json_t *properties = json_object(), *required = json_array();

        for (size_t i = 0; i < schema->n_fields; i++) {
                const SchemaField *field = &schema->fields[i];

                if (!is_built(field))
                        continue;
                (void)json_object_set_new(properties, field->key, property(schema, field));
                if (field->flags & SCHEMA_REQUIRED)
                        (void)json_array_append_new(required, json_string(field->key));
        }
        return json_pack("{s: s, s: o, s: o, s: b}", "type", "object", "properties", properties,
                         "required", required, "additionalProperties", 0);
}

static json_t *one_verb(void) {
        return json_pack("[{s: [s]}, {s: [s]}]", "required", "allow", "required", "deny");
}

/* A lone word is the default, a list the rules. */
static int add_section(json_t *defs, SectionId id) {
        const char *name = section_id_to_string(id);
        char text[64];
        json_t *section, *rules;

        (void)snprintf(text, sizeof(text), "#/$defs/rule-%s", name);
        rules = json_pack("{s: s, s: {s: s}}", "type", "array", "items", "$ref", text);
        (void)snprintf(text, sizeof(text), "rules-%s", name);
        if (json_object_set_new(defs, text, rules) < 0)
                return -ENOMEM;
        section = json_pack("{s: [o, {s: s+}, {s: s+}]}", "anyOf",
                            reference(id == SECTION_OUTBOUND ? "default" : "refusal"), "$ref",
                            "#/$defs/rules-", name, "$ref", "#/$defs/long-", name);
        (void)snprintf(text, sizeof(text), "section-%s", name);
        return json_object_set_new(defs, text, section) < 0 ? -ENOMEM : 0;
}

/* An expectation's keys depend on its section. */
static json_t *expectation(void) {
        json_t *any = json_array();

        for (SectionId id = 0; id < _SECTION_MAX; id++) {
                const char *name = section_id_to_string(id);
                json_t *required =
                        id == SECTION_INBOUND ? json_array() : json_pack("[s]", "section");

                (void)json_array_append_new(any, json_pack("{s: s+, s: {s: {s: s}}, s: o}", "$ref",
                                                           "#/$defs/expected-", name, "properties",
                                                           "section", "const", name, "required",
                                                           required));
        }
        return json_pack("{s: o}", "anyOf", any);
}

/* Names that an editor offers; others, and all that is no name, are words just as good. */
static json_t *term(json_t *names, const char *const *others) {
        for (; *others; others++)
                (void)json_array_append_new(names, json_string(*others));
        return json_pack("{s: [{s: o}, {s: [s, s]}]}", "anyOf", "enum", names, "type", "string",
                         "integer");
}

static int add_names(json_t *defs, const Policy *catalogue) {
        static const char *const service_words[] = {"any", NULL};
        static const char *const zone_words[] = {"anywhere", NULL};
        json_t *zones = json_array(), *services = json_array();

        for (size_t i = 0; i < catalogue->n_zones; i++)
                (void)json_array_append_new(zones, json_string(catalogue->zones[i]->name));
        for (size_t i = 0; i < catalogue->n_services; i++)
                (void)json_array_append_new(services, json_string(catalogue->services[i]->name));
        if (json_object_set_new(defs, "zone-term", term(zones, zone_words)) < 0 ||
            json_object_set_new(defs, "service-term", term(services, service_words)) < 0)
                return -ENOMEM;
        return 0;
}

static int add_definitions(json_t *defs, const Policy *catalogue) {
        for (size_t i = 0; i < ARRAY_SIZE(definitions); i++)
                if (json_object_set_new(defs, definitions[i].name,
                                        json_loads(definitions[i].json, 0, NULL)) < 0)
                        return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
                json_t *value = object(objects[i].schema);

                if (objects[i].has_verb)
                        (void)json_object_set_new(value, "oneOf", one_verb());
                if (json_object_set_new(defs, objects[i].name, value) < 0)
                        return -ENOMEM;
        }
        for (SectionId id = 0; id < _SECTION_MAX; id++)
                if (add_section(defs, id) < 0)
                        return -ENOMEM;
        if (json_object_set_new(defs, "expectation", expectation()) < 0)
                return -ENOMEM;
        return add_names(defs, catalogue);
}

static int print_schema(const Policy *catalogue) {
        json_t *top = json_object(), *keys = object(&policy_schema), *defs = json_object();
        int r;

        (void)json_object_set_new(top, "$schema",
                                  json_string("https://json-schema.org/draft/2020-12/schema"));
        (void)json_object_set_new(top, "title", json_string("A policy of ringwall"));
        (void)json_object_update(top, keys);
        json_decref(keys);
        r = add_definitions(defs, catalogue);
        if (json_object_set_new(top, "$defs", defs) < 0 || r < 0) {
                json_decref(top);
                return input_failed(-ENOMEM, "writing the schema");
        }
        r = json_dumpf(top, stdout, JSON_INDENT(2));
        json_decref(top);
        putchar('\n');
        return r == 0 && fflush(stdout) == 0 ? EXIT_OK : input_failed(-EIO, "writing the schema");
}

static int run(int argc, char **argv) {
        static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
        _cleanup_(input_done) Input input = INPUT_NULL;
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                return c == 'h' ? verb_help(&verb_schema) : verb_usage(&verb_schema, NULL);
        if (argc > optind)
                return verb_usage(&verb_schema, "it takes no FILE");
        r = input_load_catalogue(&input);
        return r == EXIT_OK ? print_schema(input.policy) : r;
}

const Verb verb_schema = {
        .name = "schema",
        .arguments = "",
        .summary = "Print a JSON Schema of the language, for editors",
        .help = help,
        .run = run,
};
