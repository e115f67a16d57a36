/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "cli/kernel.h"
#include "cli/output.h"
#include "proof/difference.h"

#define REGIONS_MAX 1000 /* of a way and a family, that are looked for; --json has them all */
#define LINES_MAX 50

static const char help[] =
        "Says which connections fare otherwise under the policy NEW than under OLD: the difference "
        "in\n"
        "meaning, of all first packets there can be, and not of the text. Both are compiled; "
        "nothing is\n"
        "changed.\n"
        "\n"
        "      --live   in the place of OLD: the rules of ringwall's in force in this network\n"
        "               namespace; needs CAP_NET_ADMIN\n"
        "      --json   one JSON object, with every region\n"
        "  -h, --help\n"
        "\n"
        "How a connection is refused (with an answer or without), what is logged and what is "
        "counted is\n"
        "no difference.\n"
        "\n"
        "Exit status: 0 the same meaning, 8 another one, 3 a policy is not valid.\n"
        "\n"
        "Examples:\n"
        "  ringwall diff /etc/ringwall/policy.yaml new.yaml\n"
        "  ringwall diff --live new.yaml\n";

/* A region, or the same one of both families. */
typedef struct Line {
        const DifferenceRegion *region;
        char *text, *place;
        bool of_family, of_both;
        bool of_published; /* the same is so of what is dialled here and sent elsewhere */
} Line;

typedef struct Diff {
        Input old, new;
        const Ruleset *before;
        Arena *arena;
        Difference difference;
        Line *lines;
        size_t n_lines;
        size_t n_unusual[_DIFFERENCE_WAY_MAX]; /* regions of packets that are not what they seem */
        bool live, json;
} Diff;

static void diff_done(Diff *d) {
        input_done(&d->old);
        input_done(&d->new);
        d->arena = arena_free(d->arena);
}

static char *text_of(Diff *d, const DifferenceRegion *r, bool *ret_of_family) {
        char *text = NULL, *copy;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        *ret_of_family = difference_describe(r, d->new.policy, d->arena, f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        copy = text ? arena_strdup(d->arena, text) : NULL;
        free(text);
        return copy;
}

/* The line that decides in the new policy, or in the old one about what is gone. */
static const Origin *origin_of(const DifferenceRegion *r) {
        bool gone = r->kind == DIFFERENCE_LOST;
        const Origin *first = gone ? &r->before : &r->after;

        return first->text || !gone ? first : &r->after;
}

static char *place_of(Diff *d, const DifferenceRegion *r) {
        const Origin *o = origin_of(r);

        if (o->at.source)
                return arena_printf(d->arena, "%s:%u", o->at.source->name, o->at.line);
        return arena_strdup(d->arena, o->text ? o->text : "");
}

static int add_line(Diff *d, const DifferenceRegion *r) {
        Line line = {.region = r};

        line.text = text_of(d, r, &line.of_family);
        line.place = place_of(d, r);
        if (!line.text || !line.place)
                return -ENOMEM;
        for (size_t i = 0; i < d->n_lines; i++) {
                Line *l = &d->lines[i];

                if (l->region->way == r->way && l->region->kind == r->kind &&
                    l->region->family != r->family && !l->of_both && !l->of_family &&
                    streq(l->text, line.text) && streq(l->place, line.place)) {
                        l->of_both = true;
                        return 0;
                }
        }
        if (r->unusual)
                d->n_unusual[r->way]++;
        return arena_append(d->arena, d->lines, d->n_lines, line) ? 0 : -ENOMEM;
}

/* What is published fares like what comes to this host itself, unless a policy protects something:
 * it is not told twice then. */
static void join_published(Diff *d) {
        size_t n = 0;

        for (size_t i = 0; i < d->n_lines; i++) {
                Line *l = &d->lines[i], *same = NULL;

                for (size_t j = 0; j < n && l->region->way == DIFFERENCE_DIALLED && !same; j++) {
                        Line *other = &d->lines[j];

                        if (other->region->way == DIFFERENCE_INBOUND &&
                            other->region->kind == l->region->kind &&
                            other->of_both == l->of_both &&
                            other->region->family == l->region->family &&
                            streq(other->text, l->text) && streq(other->place, l->place))
                                same = other;
                }
                if (!same) {
                        d->lines[n++] = *l;
                        continue;
                }
                same->of_published = true;
                d->n_unusual[DIFFERENCE_DIALLED] -= l->region->unusual;
        }
        d->n_lines = n;
}

static const char *sign_of(const DifferenceRegion *r) {
        switch (r->kind) {
        case DIFFERENCE_GAINED:
        case DIFFERENCE_GAINED_LIMITED:
        case DIFFERENCE_SENT:
                return "+";
        case DIFFERENCE_LOST:
        case DIFFERENCE_NOT_SENT:
                return "-";
        case DIFFERENCE_LIMITED:
        case DIFFERENCE_UNLIMITED:
        case DIFFERENCE_OTHER_LIMIT:
        case _DIFFERENCE_KIND_MAX:
                break;
        }
        return "~";
}

/* more: what is published may have been left out. */
static void print_line(const Line *l, bool more) {
        printf("  %s %s: %s", sign_of(l->region), difference_kind_to_string(l->region->kind),
               l->text);
        if (!l->of_both && !l->of_family)
                printf(" (%s)", family_to_string(l->region->family));
        if (l->region->way == DIFFERENCE_INBOUND && !l->of_published && !more)
                fputs(", at this host itself", stdout);
        printf("%s%s%s\n", l->place[0] ? " (" : "", l->place, l->place[0] ? ")" : "");
}

static void print_text(const Diff *d) {
        size_t n = 0, n_left = 0;

        if (d->n_lines == 0)
                puts("the same meaning: every connection fares alike");
        for (DifferenceWay w = 0; w < _DIFFERENCE_WAY_MAX; w++) {
                bool headed = false;

                for (size_t i = 0; i < d->n_lines; i++) {
                        const Line *l = &d->lines[i];

                        if (l->region->way != w || (l->region->unusual && d->n_unusual[w] > 3))
                                continue;
                        if (n == LINES_MAX) {
                                n_left++;
                                continue;
                        }
                        if (!headed)
                                printf("%s:\n", difference_way_to_string(w));
                        headed = true;
                        print_line(l, d->difference.more);
                        n++;
                }
                if (d->n_unusual[w] > 3)
                        printf("%s: %zu regions of packets that are not what they seem (with a "
                               "source that this host routes elsewhere, say): --json has them\n",
                               difference_way_to_string(w), d->n_unusual[w]);
        }
        if (n_left > 0)
                printf("and %zu more regions: --json has them\n", n_left);
        if (d->difference.more)
                printf("There are more: the search was ended after %d regions of a kind.\n",
                       REGIONS_MAX);
}

static json_t *json_line(const Line *l) {
        const DifferenceRegion *r = l->region;
        const Origin *o = origin_of(r);
        json_t *object = json_object(), *families = json_array(), *ways = json_array();
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        for (Family family = 0; family < _FAMILY_MAX; family++)
                if (l->of_both || family == r->family)
                        (void)json_array_append_new(families,
                                                    json_string(family_to_string(family)));
        (void)json_array_append_new(ways, json_string(difference_way_to_string(r->way)));
        if (l->of_published)
                (void)json_array_append_new(
                        ways, json_string(difference_way_to_string(DIFFERENCE_DIALLED)));
        (void)json_object_set_new(object, "ways", ways);
        (void)json_object_set_new(object, "unusual", json_boolean(r->unusual));
        (void)json_object_set_new(object, "change",
                                  json_string(difference_kind_to_string(r->kind)));
        (void)json_object_set_new(object, "region", json_string(l->text));
        (void)json_object_set_new(object, "families", families);
        if (f) {
                question_describe(&r->packet, r->in, r->out, f);
                (void)fclose(f); /* fails only without memory, and then leaves text NULL */
                (void)json_object_set_new(object, "packet", json_string(text ? text : ""));
                free(text);
        }
        output_json_place(object, o->at);
        if (o->text)
                (void)json_object_set_new(object, "rule", json_string(o->text));
        return object;
}

static int print_json(const Diff *d) {
        json_t *object = json_object(), *list = json_array();

        for (size_t i = 0; i < d->n_lines; i++)
                (void)json_array_append_new(list, json_line(&d->lines[i]));
        (void)json_object_set_new(object, "same", json_boolean(d->n_lines == 0));
        (void)json_object_set_new(object, "more", json_boolean(d->difference.more));
        (void)json_object_set_new(object, "regions", list);
        return output_json(object);
}

static int failed(const Diff *d, int error) {
        if (error == -E2BIG)
                fputs("ringwall diff: the rules are too complex to be compared for every "
                      "connection\n  hint: ringwall plan compares them rule by rule\n",
                      stderr);
        else if (error == -EUNATCH)
                fputs("ringwall diff: ringwall's table in the kernel holds a rule that is not "
                      "ringwall's, which nobody can compare\n  hint: ringwall plan shows it\n",
                      stderr);
        else if (error == -EPROTO) {
                fputs("ringwall diff: internal error: the proof and the evaluator do not agree "
                      "about ",
                      stderr);
                question_describe(&d->difference.odd, d->difference.odd_in, d->difference.odd_out,
                                  stderr);
                fputs("\n  hint: nothing was decided; please report this, with both policies\n",
                      stderr);
        } else
                return input_failed(error, "comparing");
        return EXIT_FAILED;
}

/* The kernel's rules were compiled for this kernel, and know this host's networks and bridges; what
 * is compared with them must, too. */
static int read_live(Diff *d, const char *new) {
        KernelFeatures features = {.fib_in_filter = true};
        Ruleset *live;
        int r = kernel_read_live("diff", d->arena, &live);

        if (r != EXIT_OK)
                return r;
        for (size_t i = 0; i < live->n_chains; i++)
                if (live->chains[i]->hook == HOOK_PREROUTING &&
                    live->chains[i]->type == CHAIN_FILTER)
                        features.fib_in_filter = false;
        d->before = live;
        r = input_load(&d->new, new);
        if (r == EXIT_OK)
                r = input_compile_loaded(&d->new, NULL, &features);
        return r == EXIT_OK ? kernel_add_host(&d->new) : r;
}

static int read_both(Diff *d, const char *old, const char *new) {
        int r;

        if (d->live)
                return read_live(d, new);
        r = input_compile(&d->old, old, NULL);
        d->before = d->old.ruleset;
        return r == EXIT_OK ? input_compile(&d->new, new, NULL) : r;
}

static int diff(Diff *d, const char *old, const char *new) {
        int r;

        d->arena = arena_new(0);
        if (!d->arena)
                return input_failed(-ENOMEM, "comparing");
        r = read_both(d, old, new);
        if (r != EXIT_OK)
                return r;
        r = difference_find(d->before, d->new.ruleset, REGIONS_MAX, d->arena, &d->difference);
        for (size_t i = 0; i < d->difference.n_regions && r == 0; i++)
                r = add_line(d, &d->difference.regions[i]);
        if (r < 0)
                return failed(d, r);
        join_published(d);
        if (d->json)
                r = print_json(d);
        else
                print_text(d);
        return r != EXIT_OK ? r : d->n_lines == 0 ? EXIT_OK : EXIT_DIFFERS;
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"live", no_argument, NULL, 'l'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };
        _cleanup_(diff_done) Diff d = {0};
        int c, n;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'l':
                        d.live = true;
                        break;
                case 'j':
                        d.json = true;
                        break;
                case 'h':
                        return verb_help(&verb_diff);
                default:
                        return verb_usage(&verb_diff, NULL);
                }
        n = argc - optind;
        if (n != (d.live ? 1 : 2))
                return verb_usage(&verb_diff,
                                  d.live ? "--live stands for OLD: one FILE, the new policy"
                                         : "two policies: OLD and NEW");
        return diff(&d, argv[optind], argv[argc - 1]);
}

const Verb verb_diff = {
        .name = "diff",
        .arguments = "OLD NEW | --live NEW [--json]",
        .summary = "Say what a policy changes in meaning",
        .help = help,
        .run = run,
};
