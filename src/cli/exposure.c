/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/exposure.h"

#include <netinet/in.h>
#include <stdarg.h>

#include "cli/complaint.h"
#include "cli/kernel.h"
#include "cli/output.h"
#include "cli/verify.h"
#include "host/survey.h"
#include "nft/world_read.h"

#define ZONES_SHOWN 4 /* names in one cell */
#define REASONS_SHOWN 6
#define DANGERS_SHOWN 5
#define CLAIM_SHOWN 70 /* bytes */

static const char help[] =
        "Lists all that listens on this host or is published by it, and who reaches it by the "
        "rules in\n"
        "force of all programs, ringwall's or not: what could be wrong first. It changes nothing, "
        "and\n"
        "needs CAP_NET_ADMIN to read the rules.\n"
        "\n"
        "  !!  the policy protects it, and yet somebody else than who may gets there\n"
        "  !   the internet reaches what never belongs there, and no policy of ringwall's is in "
        "force\n"
        "  ?   it hangs on something that is not understood\n"
        "\n"
        "      --policy FILE  the policy whose zones and whose protected services are meant;\n"
        "                     /etc/ringwall/policy.yaml if not given, the catalogue alone if "
        "there is none\n"
        "      --json         one JSON object\n"
        "  -h, --help\n"
        "\n"
        "Exit status: 10 if something protected is reached, 8 if a line bears one !, 11 if it is "
        "not sure\n"
        "whether something protected is reached, else 0.\n"
        "\n"
        "Examples:\n"
        "  ringwall exposure\n"
        "  ringwall exposure --json | jq -r '.ports[] | select(.danger == \"internet\") | .port'\n";

typedef struct Report {
        Arena *arena;
        Exposure found;
        const Bypass *bypasses;
        size_t n_bypasses;
        bool in_force, has_policy;
} Report;

/* ---- text */

static bool lets_in(const Bypass *b) {
        return b->state != BYPASS_ABSENT && b->effect == BYPASS_LETS_IN;
}

/* What is worth a line: all that is not in the table, and could let somebody in. */
static bool is_beside(const Bypass *b) {
        return lets_in(b) || (b->kind == BYPASS_TUNNEL && b->state == BYPASS_FOUND &&
                              b->effect != BYPASS_NO_EFFECT);
}

static const char *port_text(Arena *a, const ExposureRow *row) {
        const char *proto = survey_protocol(row->proto);

        return row->low == row->high ? arena_printf(a, "%u/%s", row->low, proto)
                                     : arena_printf(a, "%u-%u/%s", row->low, row->high, proto);
}

static const char *container_text(Arena *a, const Container *c) {
        return arena_printf(a, "%s %s", c->engine, c->name ? c->name : c->id);
}

static const char *what_text(Arena *a, const ExposureRow *row) {
        const char *program = row->program ? row->program : "?";
        const char *owner = row->container ? container_text(a, row->container) : row->owner;

        if (row->target && row->low != row->high && row->target_port == row->low)
                return arena_printf(a, "%s%s-> %s-%u", row->container ? owner : "",
                                    row->container ? " " : "", row->target, row->high);
        if (row->target)
                return row->container ? arena_printf(a, "%s -> %s", owner, row->target)
                                      : arena_printf(a, "-> %s", row->target);
        if (row->kind == EXPOSURE_ROUTED)
                return row->container ? arena_printf(a, "%s, dialled directly", owner)
                                      : "dialled directly";
        if (row->target_port)
                return arena_printf(a, "%s -> port %u", program, row->target_port);
        if (row->relay)
                return arena_printf(a, "%s -> elsewhere", program);
        return owner ? arena_printf(a, "%s (%s)", program, owner) : program;
}

static const char *family_text(const ExposureAnswer *x) {
        return !x->is_one_family ? "" : x->family == FAMILY_IPV4 ? " (IPv4)" : " (IPv6)";
}

static const char *add_zone(Arena *a, const char *sum, const char *name, const ExposureAnswer *x) {
        return arena_printf(a, "%s%s%s%s%s%s", sum, *sum ? ", " : "",
                            x->count == REACH_SOME ? "some of " : "", name, family_text(x),
                            x->unsure ? "?" : "");
}

static const char *zones_text(Arena *a, const Exposure *found, const ExposureRow *row) {
        const char *sum = "";
        size_t n = 0, more = 0;

        for (size_t i = 0; i < found->n_zones && sum; i++) {
                const ExposureAnswer *x = &row->zones[i];

                if (x->count == REACH_NOBODY || x->covered)
                        continue;
                if (n++ < ZONES_SHOWN)
                        sum = add_zone(a, sum, found->zones[i]->name, x);
                else
                        more++;
        }
        if (sum && more > 0)
                return arena_printf(a, "%s and %zu more", sum, more);
        return sum && !*sum ? arena_printf(a, "some addresses%s%s", family_text(&row->anywhere),
                                           row->anywhere.unsure ? "?" : "")
                            : sum;
}

static const char *from_text(Arena *a, const Exposure *found, const ExposureRow *row) {
        static const char neighbours[] = "neighbours, by a loopback address";
        const ExposureAnswer *all = &row->anywhere;
        const char *text;

        if (all->count == REACH_NOBODY)
                return row->tunnel          ? "whoever comes by the tunnel"
                       : row->by_neighbours ? neighbours
                       : row->is_loopback   ? "this host alone"
                                            : "nobody outside";
        text = all->count == REACH_ALL
                       ? arena_printf(a, "anywhere%s%s", family_text(all), all->unsure ? "?" : "")
                       : zones_text(a, found, row);
        if (text && row->tunnel)
                return arena_printf(a, "%s; whoever comes by the tunnel", text);
        return text && row->by_neighbours && row->is_loopback
                       ? arena_printf(a, "%s; %s", text, neighbours)
                       : text;
}

static const char *mark_text(const ExposureRow *row) {
        return row->danger == EXPOSURE_PROTECTED   ? "!!"
               : row->danger == EXPOSURE_INTERNAL  ? "!"
               : row->danger == EXPOSURE_UNDECIDED ? "?"
                                                   : "";
}

static int print_table(const Report *report) {
        static const char *const columns[] = {"", "PORT", "AT", "WHAT", "REACHED FROM"};
        _cleanup_(output_table_freep) OutputTable *table =
                output_table_new(columns, ARRAY_SIZE(columns));
        OutputStyle style = output_style(stdout);
        const Exposure *found = &report->found;

        for (size_t i = 0; i < found->n_rows && table; i++) {
                const ExposureRow *row = &found->rows[i];
                const char *cells[] = {mark_text(row), port_text(report->arena, row), row->at,
                                       what_text(report->arena, row),
                                       from_text(report->arena, found, row)};

                for (size_t j = 0; j < ARRAY_SIZE(cells); j++)
                        if (!cells[j])
                                return -ENOMEM;
                if (output_table_add(table, cells) < 0)
                        return -ENOMEM;
                output_table_colour(table, row->danger <= EXPOSURE_INTERNAL ? style.bad
                                           : row->danger == EXPOSURE_CLOSED ? style.faint
                                                                            : "");
        }
        if (!table)
                return -ENOMEM;
        if (found->n_rows > 0)
                output_table_print(table);
        return 0;
}

/* A line of the text around the table. */
static void say(const Report *report, const char *label, const char *format, ...) _printf_(3, 4);

static void say(const Report *report, const char *label, const char *format, ...) {
        const char *text;
        va_list args;

        va_start(args, format);
        text = arena_vprintf(report->arena, format, args);
        va_end(args);
        output_line(label, text ? text : "?");
}

static void print_packet(const Report *report, const char *connection) {
        const char *end = strstr(connection, ", which ends at ");

        if (end) {
                say(report, "   packet  ", "%.*s,", (int)(end - connection), connection);
                say(report, "           ", "%s", end + strlen(", "));
        } else {
                say(report, "   packet  ", "%s", connection);
        }
}

static void print_danger(const Report *report) {
        const Exposure *found = &report->found;
        size_t n = 0;

        while (n < found->n_rows && found->rows[n].danger <= EXPOSURE_INTERNAL)
                n++;
        for (size_t i = 0; i < n && i < DANGERS_SHOWN; i++) {
                const ExposureRow *row = &found->rows[i];
                const char *port = port_text(report->arena, row);
                char label[8];

                (void)snprintf(label, sizeof(label), "%-2s ", mark_text(row));
                if (row->danger == EXPOSURE_PROTECTED && row->claim)
                        say(report, label, "%s at %s: %.*s%s", port ? port : "", row->at,
                            CLAIM_SHOWN, row->claim->text,
                            strlen(row->claim->text) > CLAIM_SHOWN ? "..." : "");
                else
                        say(report, label,
                            "%s at %s: looks like %s, which never belongs on the internet",
                            port ? port : "", row->at,
                            row->internal ? row->internal->name : "what");
                if (row->connection)
                        print_packet(report, row->connection);
                if (row->relay || row->tunnel)
                        say(report, "   relay   ", "%s", row->tunnel ? row->tunnel : row->relay);
        }
        if (n > DANGERS_SHOWN)
                printf("   and %zu more of them\n", n - DANGERS_SHOWN);
        if (n > 0)
                output_line("   do      ",
                            report->in_force     ? "'ringwall verify' shows which rule lets it in"
                            : report->has_policy ? "put the policy in force: ringwall apply"
                                                 : "write a policy, and put it in force: ringwall "
                                                   "init");
}

static void print_reasons(const Report *report) {
        const Exposure *found = &report->found;

        for (size_t i = 0; i < found->n_open && i < REASONS_SHOWN; i++)
                say(report, "not sure: ", "%s hangs on %s",
                    found->is_open ? "it" : "what bears a ?", found->open[i]);
        for (size_t i = 0, n = 0; i < report->n_bypasses; i++)
                if (is_beside(&report->bypasses[i]) && n++ < REASONS_SHOWN)
                        output_line("beside the rules: ", report->bypasses[i].what);
        if (found->n_zones_left_out > 0)
                printf("left out: %zu zones of too many addresses\n", found->n_zones_left_out);
        if (found->misses_programs)
                puts("not every program could be seen: root sees them all");
}

static void print_summary(const Report *report) {
        static const char *const words[_EXPOSURE_DANGER_MAX] = {
                [EXPOSURE_PROTECTED] = "protected and yet reached",
                [EXPOSURE_INTERNAL] = "that the internet should never reach",
                [EXPOSURE_UNDECIDED] = "protected and not sure",
                [EXPOSURE_INTERNET] = "reached from the internet",
                [EXPOSURE_OUTSIDE] = "from elsewhere outside",
                [EXPOSURE_CLOSED] = "from nowhere outside",
        };
        const Exposure *found = &report->found;
        const char *separator = ": ", *text;
        size_t n = 0;
        size_t n_before = found->n_danger[EXPOSURE_PROTECTED] + found->n_danger[EXPOSURE_INTERNAL];

        for (ExposureDanger i = 0; i < _EXPOSURE_DANGER_MAX; i++)
                n += found->n_danger[i];
        text = arena_printf(report->arena, "%zu %s", n, n == 1 ? "port" : "ports");
        for (ExposureDanger i = 0; i < _EXPOSURE_DANGER_MAX && text; i++) {
                if (found->n_danger[i] > 0)
                        text = arena_printf(report->arena, "%s%s%zu %s", text, separator,
                                            found->n_danger[i], words[i]);
                else if (i == EXPOSURE_INTERNET && n_before == 0)
                        text = arena_printf(report->arena, "%s%snone reached from the internet",
                                            text, separator);
                else
                        continue;
                separator = ", ";
        }
        output_line("", text ? text : "?");
}

/* ---- JSON */

static json_t *json_answers(const Report *report, const ExposureRow *row) {
        json_t *list = json_array();

        for (size_t i = 0; i < report->found.n_zones; i++) {
                const ExposureAnswer *x = &row->zones[i];
                json_t *object;

                if (x->count == REACH_NOBODY)
                        continue;
                object = json_object();
                (void)json_object_set_new(object, "zone",
                                          json_string(report->found.zones[i]->name));
                (void)json_object_set_new(object, "all", json_boolean(x->count == REACH_ALL));
                (void)json_object_set_new(object, "sure", json_boolean(!x->unsure));
                if (x->is_one_family)
                        (void)json_object_set_new(object, "family",
                                                  json_string(family_to_string(x->family)));
                (void)json_array_append_new(list, object);
        }
        return list;
}

static void set_text(json_t *object, const char *key, const char *text) {
        if (text)
                (void)json_object_set_new(object, key, json_string(text));
}

static json_t *json_container(const Container *c) {
        json_t *object = json_object();

        set_text(object, "engine", c->engine);
        set_text(object, "id", c->id);
        set_text(object, "name", c->name);
        return object;
}

static json_t *json_row(const Report *report, const ExposureRow *row) {
        json_t *object = json_object(), *families = json_array();

        set_text(object, "danger", exposure_danger_to_string(row->danger));
        set_text(object, "kind", exposure_kind_to_string(row->kind));
        set_text(object, "protocol", survey_protocol(row->proto));
        (void)json_object_set_new(object, "port", json_integer(row->low));
        if (row->high != row->low)
                (void)json_object_set_new(object, "lastPort", json_integer(row->high));
        set_text(object, "at", row->at);
        for (Family f = 0; f < _FAMILY_MAX; f++)
                if (row->has_family[f])
                        (void)json_array_append_new(families, json_string(family_to_string(f)));
        (void)json_object_set_new(object, "families", families);
        set_text(object, "program", row->program);
        set_text(object, "owner", row->owner);
        if (row->pid > 0)
                (void)json_object_set_new(object, "process", json_integer(row->pid));
        set_text(object, "target", row->target);
        if (row->target_port > 0)
                (void)json_object_set_new(object, "targetPort", json_integer(row->target_port));
        if (row->container)
                (void)json_object_set_new(object, "container", json_container(row->container));
        set_text(object, "relay", row->relay);
        set_text(object, "tunnel", row->tunnel);
        set_text(object, "protected", row->claim ? row->claim->text : NULL);
        set_text(object, "internal", row->internal ? row->internal->name : NULL);
        (void)json_object_set_new(object, "anywhere",
                                  json_boolean(row->anywhere.count == REACH_ALL));
        (void)json_object_set_new(object, "reachedFrom", json_answers(report, row));
        (void)json_object_set_new(object, "byNeighbours", json_boolean(row->by_neighbours));
        set_text(object, "packet", row->connection);
        return object;
}

static int print_json(const Report *report, int code) {
        json_t *object = json_object(), *ports = json_array(), *zones = json_array();
        json_t *open = json_array(), *beside = json_array(), *counts = json_object();
        const Exposure *found = &report->found;

        for (size_t i = 0; i < found->n_zones; i++)
                (void)json_array_append_new(zones, json_string(found->zones[i]->name));
        for (size_t i = 0; i < found->n_rows; i++)
                (void)json_array_append_new(ports, json_row(report, &found->rows[i]));
        for (size_t i = 0; i < found->n_open; i++)
                (void)json_array_append_new(open, json_string(found->open[i]));
        for (size_t i = 0; i < report->n_bypasses; i++)
                if (is_beside(&report->bypasses[i]))
                        (void)json_array_append_new(beside, json_string(report->bypasses[i].what));
        for (ExposureDanger i = 0; i < _EXPOSURE_DANGER_MAX; i++)
                (void)json_object_set_new(counts, exposure_danger_to_string(i),
                                          json_integer((json_int_t)found->n_danger[i]));
        (void)json_object_set_new(object, "inForce", json_boolean(report->in_force));
        (void)json_object_set_new(object, "policy", json_boolean(report->has_policy));
        (void)json_object_set_new(object, "zones", zones);
        (void)json_object_set_new(object, "ports", ports);
        (void)json_object_set_new(object, "counts", counts);
        (void)json_object_set_new(object, "notSure", open);
        (void)json_object_set_new(object, "beside", beside);
        (void)json_object_set_new(object, "allPrograms", json_boolean(!found->misses_programs));
        return output_json(object) == EXIT_OK ? code : EXIT_FAILED;
}

/* ---- asking */

static int code_of(const Report *report) {
        const Exposure *found = &report->found;
        bool open = found->is_open, claimed = false;

        for (size_t i = 0; i < report->n_bypasses; i++)
                open |= lets_in(&report->bypasses[i]);
        for (size_t i = 0; i < found->n_rows; i++)
                claimed |= found->rows[i].claim != NULL;
        return found->n_danger[EXPOSURE_PROTECTED] > 0                        ? EXIT_REFUTED
               : found->n_danger[EXPOSURE_INTERNAL] > 0                       ? EXIT_DIFFERS
               : found->n_danger[EXPOSURE_UNDECIDED] > 0 || (open && claimed) ? EXIT_UNDECIDED
                                                                              : EXIT_OK;
}

static int print_report(const Report *report) {
        if (!report->in_force)
                puts("No policy of ringwall's is in force here: other programs' rules alone "
                     "decide.");
        if (print_table(report) < 0)
                return input_failed(-ENOMEM, "printing the table");
        print_danger(report);
        print_reasons(report);
        print_summary(report);
        return code_of(report);
}

static bool is_in_force(const World *w) {
        for (size_t i = 0; i < w->n_tables; i++)
                if (streq_null(w->tables[i].owner, "ringwall") && !(w->tables[i].flags & 1))
                        return true;
        return false;
}

/* The default policy need not be there: the question has an answer without. */
static int read_policy(Input *input, const char *file, bool *ret_has) {
        *ret_has = file || access(POLICY_FILE_DEFAULT, F_OK) == 0 || errno != ENOENT;
        return *ret_has ? input_load(input, file) : input_load_catalogue(input);
}

static int look(const Input *input, const World *world, Report *report) {
        const Tree tree = {.arena = input->arena, .root = ""};
        ExposureInput what = {
                .policy = input->policy, .world = world, .in_force = report->in_force};
        Bypass *bypasses = NULL;
        Listening listening;
        int r = process_read_listening(&tree, &listening);

        if (r == 0)
                r = containers_read(&tree, &what.containers);
        /* beside the rules: what cannot be looked at is not there for this answer */
        if (r == 0 && bypass_read(&tree, &listening, &bypasses, &what.n_bypasses) == -ENOMEM)
                r = -ENOMEM;
        if (r < 0)
                return r;
        what.listening = listening.sockets;
        what.holders = listening.holders;
        what.bypasses = report->bypasses = bypasses;
        report->n_bypasses = what.n_bypasses = bypasses ? what.n_bypasses : 0;
        return exposure_find(input->arena, &what, &report->found);
}

static int expose(const char *file, bool json) {
        _cleanup_(input_done) Input input = INPUT_NULL;
        Report report = {0};
        World *world;
        int r = read_policy(&input, file, &report.has_policy);

        if (r == EXIT_OK)
                r = verify_read_world("exposure", input.arena, &world);
        if (r != EXIT_OK)
                return r;
        report.arena = input.arena;
        report.in_force = is_in_force(world);
        r = look(&input, world, &report);
        if (r == -EPROTO) {
                complain("exposure", "internal error: the proof and the evaluator do not agree");
                complain_hint("nothing is said rather than something wrong; please report this");
                return EXIT_FAILED;
        }
        if (r == -EOPNOTSUPP) {
                complain("exposure", "this kernel cannot list its sockets");
                complain_hint("modprobe tcp_diag and udp_diag");
                return EXIT_KERNEL_REFUSED;
        }
        if (r < 0)
                return input_failed(r, "looking at what listens");
        return json ? print_json(&report, code_of(&report)) : print_report(&report);
}

static int run(int argc, char **argv) {
        return verify_run(&verb_exposure, argc, argv, expose);
}

const Verb verb_exposure = {
        .name = "exposure",
        .arguments = "[--policy FILE] [--json]",
        .summary = "List what listens, and who reaches it",
        .help = help,
        .run = run,
};
