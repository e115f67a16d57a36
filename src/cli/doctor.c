/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/doctor.h"

#include <getopt.h>

#include "cli/input.h"
#include "cli/output.h"

#define COLUMNS 96 /* that a line of a finding takes at most */

static const char help[] =
        "Looks at this host as it is, and changes nothing: other firewalls, what the kernel can "
        "do\n"
        "and how it is set, bridges, forwarding, and what may stand in front. Of each finding it\n"
        "says what was seen, why it matters and what to do. Problems are to be settled, notes to\n"
        "be known. Not all of it can be seen without root.\n"
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
        return r < 0 ? r : doctor_examine_surroundings(t, ret);
}

/* ---- telling */

static void print_wrapped(const char *label, const char *text) {
        size_t indent = strlen(label), column = indent;

        fputs(label, stdout);
        while (*text) {
                size_t len = strcspn(text, " ");

                if (column > indent && column + 1 + len > COLUMNS) {
                        printf("\n%*s", (int)indent, "");
                        column = indent;
                }
                if (column > indent)
                        column += (size_t)printf(" ");
                column += len;
                printf("%.*s", (int)len, text);
                text += len + strspn(text + len, " ");
        }
        putchar('\n');
}

static void print_finding(const Finding *f) {
        OutputStyle style = output_style(stdout);
        const char *colour = f->kind == FINDING_PROBLEM ? style.bad : style.bold;

        printf("%s%s%s: %s  %s[%s]%s\n", colour, finding_kind_to_string(f->kind), style.reset,
               f->what, style.faint, f->id, style.reset);
        if (f->seen)
                print_wrapped("  seen  ", f->seen);
        print_wrapped("  why   ", f->why);
        print_wrapped("  do    ", f->advice);
        putchar('\n');
}

static void print_text(const Findings *all) {
        for (size_t k = 0; k < ARRAY_SIZE(order); k++)
                for (size_t i = 0; i < all->n_items; i++)
                        if (all->items[i].kind == order[k])
                                print_finding(&all->items[i]);
        printf("problems: %zu, not looked at: %zu, notes: %zu\n", all->n_kind[FINDING_PROBLEM],
               all->n_kind[FINDING_UNKNOWN], all->n_kind[FINDING_NOTE]);
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

static int print_json(const Findings *all) {
        json_t *object = json_object(), *list = json_array();

        for (size_t k = 0; k < ARRAY_SIZE(order); k++)
                for (size_t i = 0; i < all->n_items; i++)
                        if (all->items[i].kind == order[k])
                                (void)json_array_append_new(list, json_finding(&all->items[i]));
        (void)json_object_set_new(object, "findings", list);
        return output_json(object);
}

static int doctor(bool json) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Tree t = {.arena = a, .root = ""};
        Findings all = {0};
        int r = a ? examine(&t, &all) : -ENOMEM;

        if (r < 0)
                return input_failed(r, "cannot look at this host");
        if (json) {
                r = print_json(&all);
                if (r != EXIT_OK)
                        return r;
        } else {
                print_text(&all);
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
