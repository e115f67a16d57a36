/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "cli/complaint.h"
#include "cli/input.h"
#include "cli/output.h"
#include "cli/ready.h"
#include "ruleset/field.h"

static const char help[] = "Lists the services or the zones that a policy can name, its own and "
                           "the catalogue's; or the\n"
                           "ready policies that 'ringwall init' can begin yours with.\n"
                           "\n"
                           "      --json\n"
                           "  -h, --help\n"
                           "\n"
                           "Examples:\n"
                           "  ringwall list services\n"
                           "  ringwall list zones policy.yaml\n"
                           "  ringwall list policies\n";

static void
print_ports(FILE *f, const char *protocol, const RangeSet *ports, const char **separator) {
        for (size_t i = 0; i < ports->n_items; i++) {
                Range r = ports->items[i];

                fprintf(f, "%s%u", *separator, (unsigned int)r.low.low);
                if (!range_is_single(r))
                        fprintf(f, "-%u", (unsigned int)r.high.low);
                fprintf(f, "/%s", protocol);
                *separator = ", ";
        }
}

static void print_types(
        FILE *f, const char *protocol, TypeId type, const RangeSet *set, const char **separator) {
        for (size_t i = 0; i < set->n_items; i++)
                for (uint64_t v = set->items[i].low.low; v <= set->items[i].high.low; v++) {
                        const char *name = type_symbol_name(type, (uint32_t)v);

                        if (name)
                                fprintf(f, "%s%s/%s", *separator, name, protocol);
                        else
                                fprintf(f, "%s%u/%s", *separator, (unsigned int)v, protocol);
                        *separator = ", ";
                }
}

static void print_service(FILE *f, const ServiceSet *set) {
        const char *separator = "";

        if (set->any) {
                fputs("any", f);
                return;
        }
        print_ports(f, "tcp", &set->tcp, &separator);
        print_ports(f, "udp", &set->udp, &separator);
        print_ports(f, "sctp", &set->sctp, &separator);
        print_types(f, "icmp", TYPE_ICMP_TYPE, &set->icmp, &separator);
        print_types(f, "icmpv6", TYPE_ICMPV6_TYPE, &set->icmpv6, &separator);
        for (size_t i = 0; i < set->protocols.n_items; i++)
                for (uint64_t v = set->protocols.items[i].low.low;
                     v <= set->protocols.items[i].high.low; v++) {
                        const char *name = protocol_to_string((uint8_t)v);

                        if (name)
                                fprintf(f, "%s%s", separator, name);
                        else
                                fprintf(f, "%s%u", separator, (unsigned int)v);
                        separator = ", ";
                }
}

/* Calls the printer with a stream into memory; the text is to be freed. NULL without memory. */
static char *text_of(void (*print)(FILE *f, const void *what), const void *what) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        print(f, what);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        return text;
}

static void print_service_row(FILE *f, const void *what) {
        print_service(f, &((const Service *)what)->set);
}

static void print_zone_row(FILE *f, const void *what) {
        const Zone *zone = what;

        zone_parts_print(zone->parts, zone->n_parts, f);
}

static const char *origin_of(bool from_catalogue) {
        return from_catalogue ? "catalogue" : "policy";
}

static int list_services(const Input *input, OutputTable *table, json_t *array) {
        const Policy *p = input->policy;

        for (size_t i = 0; i < p->n_services; i++) {
                const Service *s = p->services[i];
                _cleanup_free_ char *text = text_of(print_service_row, s);
                const char *note = s->internal ? "internal" : "";
                json_t *object;

                if (!text ||
                    output_table_add(table, (const char *[]){s->name, origin_of(s->from_catalogue),
                                                             note, text}) < 0)
                        return -ENOMEM;
                object = json_pack("{ss ss sb ss}", "name", s->name, "defined",
                                   origin_of(s->from_catalogue), "internal", s->internal, "means",
                                   text);
                if (json_array_append_new(array, object) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int list_zones(const Input *input, OutputTable *table, json_t *array) {
        const Policy *p = input->policy;

        for (size_t i = 0; i < p->n_zones; i++) {
                const Zone *z = p->zones[i];
                _cleanup_free_ char *text = text_of(print_zone_row, z);
                json_t *object;

                if (!text ||
                    output_table_add(table, (const char *[]){z->name, origin_of(z->from_catalogue),
                                                             text}) < 0)
                        return -ENOMEM;
                object = json_pack("{ss ss ss}", "name", z->name, "defined",
                                   origin_of(z->from_catalogue), "means", text);
                if (json_array_append_new(array, object) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int list_policies(const Input *input, OutputTable *table, json_t *array) {
        ReadyPolicy *list;
        const char *failed;
        size_t n;
        int r = ready_read(input->arena, &list, &n, &failed);

        if (r < 0 && r != -ENOMEM)
                complain("list", "%s: %s", failed, strerror(-r));
        for (size_t i = 0; i < n && r == 0; i++) {
                json_t *object = json_pack("{ss ss ss}", "name", list[i].name, "file", list[i].path,
                                           "summary", list[i].summary);

                r = output_table_add(table, (const char *[]){list[i].name, list[i].summary});
                if (json_array_append_new(array, object) < 0)
                        r = -ENOMEM;
        }
        return r;
}

static const char *const service_columns[] = {"SERVICE", "DEFINED IN", "NOTE", "MEANS"};
static const char *const zone_columns[] = {"ZONE", "DEFINED IN", "MEANS"};
static const char *const policy_columns[] = {"POLICY", "FOR"};

static const struct {
        const char *name;
        const char *const *columns;
        size_t n_columns;
        bool of_policy; /* a policy says more of them */
        int (*list)(const Input *input, OutputTable *table, json_t *array);
} kinds[] = {
        {"services", service_columns, ARRAY_SIZE(service_columns), true, list_services},
        {"zones", zone_columns, ARRAY_SIZE(zone_columns), true, list_zones},
        {"policies", policy_columns, ARRAY_SIZE(policy_columns), false, list_policies},
};

static int list(size_t kind, const Input *input, bool json) {
        _cleanup_(output_table_freep) OutputTable *table =
                output_table_new(kinds[kind].columns, kinds[kind].n_columns);
        json_t *array = json_array();
        int r = table && array ? kinds[kind].list(input, table, array) : -ENOMEM;

        if (r < 0) {
                json_decref(array);
                return r == -ENOMEM ? input_failed(r, "listing") : EXIT_FAILED;
        }
        if (json)
                return output_json(array);
        json_decref(array);
        output_table_print(table);
        return EXIT_OK;
}

/* What is listed is of a policy: the one that is named, or the host's, or the catalogue alone. */
static int load(size_t kind, Input *input, const char *file) {
        if (!kinds[kind].of_policy) {
                input->arena = arena_new(0);
                return input->arena ? EXIT_OK : input_failed(-ENOMEM, "listing");
        }
        return !file && access(POLICY_FILE_DEFAULT, F_OK) < 0 ? input_load_catalogue(input)
                                                              : input_load(input, file);
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        _cleanup_(input_done) Input input = INPUT_NULL;
        const char *file;
        bool json = false;
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'j':
                        json = true;
                        break;
                case 'h':
                        return verb_help(&verb_list);
                default:
                        return verb_usage(&verb_list, NULL);
                }
        if (argc - optind < 1 || argc - optind > 2)
                return verb_usage(&verb_list, "say what to list: services, zones or policies");
        file = argv[optind + 1];
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                if (!streq(argv[optind], kinds[i].name))
                        continue;
                if (file && !kinds[i].of_policy)
                        return verb_usage(&verb_list, "ready policies stand in no FILE");
                r = load(i, &input, file);
                return r == EXIT_OK ? list(i, &input, json) : r;
        }
        complain("list", "there are no '%s' to list, only services, zones and policies",
                 argv[optind]);
        return verb_usage(&verb_list, NULL);
}

const Verb verb_list = {
        .name = "list",
        .arguments = "services|zones|policies [FILE] [--json]",
        .summary = "List what rules can name, and ready policies",
        .help = help,
        .run = run,
};
