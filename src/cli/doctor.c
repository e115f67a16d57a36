/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/doctor.h"

#include <getopt.h>
#include <netinet/in.h>

#include "cli/input.h"
#include "cli/output.h"
#include "host/bypass.h"

static const char help[] =
        "Looks at this host as it is, and changes nothing: other firewalls, what the kernel can "
        "do\n"
        "and how it is set, bridges, forwarding, and what may stand in front. Of each finding it\n"
        "says what was seen, why it matters and what to do. Problems are to be settled, notes to\n"
        "be known. Beside nftables it looks for what could pass connections by its rules (XDP, "
        "tc,\n"
        "legacy iptables, programs that relay) and says what was found. Not all of it can be seen\n"
        "without root.\n"
        "\n"
        "      --json\n"
        "  -h, --help\n"
        "\n"
        "Exit status: 0 no problem; 8 there are problems; 4 none, but something could not be\n"
        "looked at.\n"
        "\n"
        "Examples:\n"
        "  ringwall doctor\n"
        "  ringwall doctor --json | jq '.findings[] | select(.kind == \"problem\")'\n";

/* Problems first. */
static const FindingKind order[] = {FINDING_PROBLEM, FINDING_UNKNOWN, FINDING_NOTE};

/* ---- looking */

static int ask_kernel(Arena *a, Ability **ret, size_t *ret_n) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        int r = nft_link_open(&link);

        return r < 0 ? r : nft_probe_abilities(link, a, ret, ret_n);
}

typedef struct Beside {
        Bypass *items;
        size_t n_items;
} Beside;

static int examine(const Tree *t, Findings *ret) {
        Ability *abilities = NULL;
        size_t n_abilities = 0, n_rivals = 0;
        Rival *rivals;
        Sysctls settings;
        HostNet net;
        int r = rivals_read(t, &rivals, &n_rivals);

        if (r == 0)
                r = sysctls_read(t, &settings);
        if (r == 0)
                r = routes_read(t->arena, &net);
        if (r == 0)
                r = doctor_examine_rivals(t, rivals, n_rivals, ret);
        if (r < 0)
                return r;
        r = ask_kernel(t->arena, &abilities, &n_abilities);
        if (r == -ENOMEM)
                return r;
        r = doctor_examine_kernel(t, abilities, n_abilities, r, ret);
        if (r == 0)
                r = doctor_examine_settings(t, &settings, &net, rivals, n_rivals, ret);
        if (r == 0)
                r = doctor_examine_boot(t, ret);
        if (r == 0)
                r = doctor_examine_daemon(t, ret);
        return r < 0 ? r : doctor_examine_surroundings(t, ret);
}

/* ---- telling */

static void print_finding(const Finding *f) {
        OutputStyle style = output_style(stdout);
        const char *colour = f->kind == FINDING_PROBLEM ? style.bad : style.bold;

        printf("%s%s%s: %s  %s[%s]%s\n", colour, finding_kind_to_string(f->kind), style.reset,
               f->what, style.faint, f->id, style.reset);
        if (f->seen)
                output_wrapped("  seen  ", f->seen);
        output_wrapped("  why   ", f->why);
        output_wrapped("  do    ", f->advice);
        putchar('\n');
}

/* "not found: XDP, tc filters": the kinds of that state, each once. */
static int print_kinds(Arena *a, const Beside *b, BypassState state, const char *label) {
        const char *names = NULL;

        for (size_t i = 0; i < b->n_items; i++) {
                const Bypass *x = &b->items[i];
                const char *name = bypass_kind_name(x->kind);

                if (x->state != state || (i > 0 && x[-1].state == state && x[-1].kind == x->kind))
                        continue;
                names = names ? arena_printf(a, "%s, %s", names, name) : name;
                if (!names)
                        return -ENOMEM;
        }
        if (names)
                output_wrapped(label, names);
        return 0;
}

/* Advice stands once, behind all that it is for. */
static bool is_last_with_hint(const Beside *b, size_t i) {
        size_t next = i + 1;

        while (next < b->n_items && b->items[next].state != BYPASS_FOUND)
                next++;
        return next == b->n_items || !streq_null(b->items[next].hint, b->items[i].hint);
}

static int print_beside(Arena *a, const Beside *b) {
        OutputStyle style = output_style(stdout);
        bool is_unknown = false;
        int r;

        printf("%sbeside nftables%s\n", style.bold, style.reset);
        for (size_t i = 0; i < b->n_items; i++) {
                const Bypass *x = &b->items[i];

                is_unknown = is_unknown || x->state == BYPASS_UNKNOWN;
                if (x->state != BYPASS_FOUND)
                        continue;
                output_wrapped("  found  ", x->what);
                if (x->hint && is_last_with_hint(b, i))
                        output_wrapped("  do     ", x->hint);
        }
        r = print_kinds(a, b, BYPASS_UNKNOWN, "  not looked at: ");
        if (is_unknown)
                output_wrapped("  do     ", "run this as root");
        if (r == 0)
                r = print_kinds(a, b, BYPASS_ABSENT, "  not found: ");
        putchar('\n');
        return r;
}

static int print_text(Arena *a, const Findings *all, const Beside *beside) {
        int r;

        for (size_t k = 0; k < ARRAY_SIZE(order); k++)
                for (size_t i = 0; i < all->n_items; i++)
                        if (all->items[i].kind == order[k])
                                print_finding(&all->items[i]);
        r = print_beside(a, beside);
        printf("problems: %zu, not looked at: %zu, notes: %zu\n", all->n_kind[FINDING_PROBLEM],
               all->n_kind[FINDING_UNKNOWN], all->n_kind[FINDING_NOTE]);
        return r;
}

static json_t *json_finding(const Finding *f) {
        json_t *object = json_object();

        (void)json_object_set_new(object, "kind", json_string(finding_kind_to_string(f->kind)));
        (void)json_object_set_new(object, "id", json_string(f->id));
        (void)json_object_set_new(object, "what", json_string(f->what));
        if (f->seen)
                (void)json_object_set_new(object, "seen", json_string(f->seen));
        (void)json_object_set_new(object, "why", json_string(f->why));
        (void)json_object_set_new(object, "advice", json_string(f->advice));
        return object;
}

static void json_set_port(json_t *object, const char *name, uint16_t port) {
        if (port != 0)
                (void)json_object_set_new(object, name, json_integer(port));
}

static json_t *json_bypass(const Bypass *b) {
        json_t *object = json_object(), *families = json_array();

        (void)json_object_set_new(object, "kind", json_string(bypass_kind_to_string(b->kind)));
        (void)json_object_set_new(object, "state", json_string(bypass_state_to_string(b->state)));
        if (b->state == BYPASS_ABSENT) {
                json_decref(families);
                return object;
        }
        (void)json_object_set_new(object, "what", json_string(b->what));
        (void)json_object_set_new(object, "effect",
                                  json_string(bypass_effect_to_string(b->effect)));
        if (b->ipv4)
                (void)json_array_append_new(families, json_string("IPv4"));
        if (b->ipv6)
                (void)json_array_append_new(families, json_string("IPv6"));
        (void)json_object_set_new(object, "families", families);
        if (b->interface)
                (void)json_object_set_new(object, "interface", json_string(b->interface));
        if (b->effect == BYPASS_LETS_IN)
                (void)json_object_set_new(object, "behind", json_boolean(b->is_behind));
        if (b->state == BYPASS_FOUND && b->effect == BYPASS_RELAYS)
                (void)json_object_set_new(object, "protocol",
                                          json_string(b->proto == IPPROTO_UDP ? "udp" : "tcp"));
        json_set_port(object, "port", b->port);
        json_set_port(object, "targetPort", b->target_port);
        if (b->hint)
                (void)json_object_set_new(object, "hint", json_string(b->hint));
        return object;
}

static int print_json(const Findings *all, const Beside *b) {
        json_t *object = json_object(), *list = json_array(), *beside = json_array();

        for (size_t k = 0; k < ARRAY_SIZE(order); k++)
                for (size_t i = 0; i < all->n_items; i++)
                        if (all->items[i].kind == order[k])
                                (void)json_array_append_new(list, json_finding(&all->items[i]));
        for (size_t i = 0; i < b->n_items; i++)
                (void)json_array_append_new(beside, json_bypass(&b->items[i]));
        (void)json_object_set_new(object, "findings", list);
        (void)json_object_set_new(object, "beside", beside);
        return output_json(object);
}

static int doctor(bool json) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Tree t = {.arena = a, .root = ""};
        Findings all = {0};
        Beside beside = {0};
        Listening listening;
        int r = a ? examine(&t, &all) : -ENOMEM;

        if (r == 0)
                r = process_read_listening(&t, &listening);
        if (r == 0)
                r = bypass_read(&t, &listening, &beside.items, &beside.n_items);
        if (r < 0)
                return input_failed(r, "cannot look at this host");
        if (json) {
                r = print_json(&all, &beside);
                if (r != EXIT_OK)
                        return r;
        } else if (print_text(a, &all, &beside) < 0) {
                return input_failed(-ENOMEM, "cannot tell what was found");
        }
        if (all.n_kind[FINDING_PROBLEM] > 0)
                return EXIT_DIFFERS;
        return all.n_kind[FINDING_UNKNOWN] > 0 ? EXIT_NOT_PERMITTED : EXIT_OK;
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        bool json = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'j':
                        json = true;
                        break;
                case 'h':
                        return verb_help(&verb_doctor);
                default:
                        return verb_usage(&verb_doctor, NULL);
                }
        if (argc > optind)
                return verb_usage(&verb_doctor, "it takes no argument");
        return doctor(json);
}

const Verb verb_doctor = {
        .name = "doctor",
        .arguments = "[--json]",
        .summary = "Look for what stands in ringwall's way here",
        .help = help,
        .run = run,
};
