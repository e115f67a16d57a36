/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/regions.h"

#include "base/cpu_time.h"
#include "cli/output.h"

#define REGIONS_MAX 1000 /* of a way and a family, that are looked for; JSON has them all */
#define LINES_MAX 50
#define UNUSUAL_MAX 3 /* of a way */

/* A region, or the same one of both families. */
struct RegionLine {
        const DifferenceRegion *region;
        char *text, *place;
        bool of_family, of_both;
        bool of_published; /* the same is so of what is dialled here and sent elsewhere */
        bool shown;        /* to people */
};

static char *text_of(Regions *list, const DifferenceRegion *r, bool *ret_of_family) {
        char *text = NULL, *copy;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        *ret_of_family = difference_describe(r, list->policy, list->arena, f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        copy = text ? arena_strdup(list->arena, text) : NULL;
        free(text);
        return copy;
}

/* The line that decides in the new policy, or in the old one about what is gone. */
static const Origin *origin_of(const DifferenceRegion *r) {
        bool gone = r->kind == DIFFERENCE_LOST;
        const Origin *first = gone ? &r->before : &r->after;

        return first->text || !gone ? first : &r->after;
}

static char *place_of(Regions *list, const DifferenceRegion *r) {
        const Origin *o = origin_of(r);

        if (o->at.source)
                return arena_printf(list->arena, "%s:%u", o->at.source->name, o->at.line);
        return arena_strdup(list->arena, o->text ? o->text : "");
}

static int add_line(Regions *list, const DifferenceRegion *r) {
        RegionLine line = {.region = r};

        line.text = text_of(list, r, &line.of_family);
        line.place = place_of(list, r);
        if (!line.text || !line.place)
                return -ENOMEM;
        for (size_t i = 0; i < list->n_lines; i++) {
                RegionLine *l = &list->lines[i];

                if (l->region->way == r->way && l->region->kind == r->kind &&
                    l->region->family != r->family && !l->of_both && !l->of_family &&
                    streq(l->text, line.text) && streq(l->place, line.place)) {
                        l->of_both = true;
                        return 0;
                }
        }
        if (r->unusual)
                list->n_unusual[r->way]++;
        return arena_append(list->arena, list->lines, list->n_lines, line) ? 0 : -ENOMEM;
}

/* What is published fares like what comes to this host itself, unless a policy protects something:
 * it is not told twice then. */
static void join_published(Regions *list) {
        size_t n = 0;

        for (size_t i = 0; i < list->n_lines; i++) {
                RegionLine *l = &list->lines[i], *same = NULL;

                for (size_t j = 0; j < n && l->region->way == DIFFERENCE_DIALLED && !same; j++) {
                        RegionLine *other = &list->lines[j];

                        if (other->region->way == DIFFERENCE_INBOUND &&
                            other->region->kind == l->region->kind &&
                            other->of_both == l->of_both &&
                            other->region->family == l->region->family &&
                            streq(other->text, l->text) && streq(other->place, l->place))
                                same = other;
                }
                if (!same) {
                        list->lines[n++] = *l;
                        continue;
                }
                same->of_published = true;
                list->n_unusual[DIFFERENCE_DIALLED] -= l->region->unusual;
        }
        list->n_lines = n;
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
static void print_line(const RegionLine *l, bool more) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const char *family =
                l->of_both || l->of_family ? NULL : family_to_string(l->region->family);
        bool is_here = l->region->way == DIFFERENCE_INBOUND && !l->of_published && !more;
        const char *text =
                a ? arena_printf(a, "%s: %s%s%s%s%s%s%s%s",
                                 difference_kind_to_string(l->region->kind), l->text,
                                 family ? " (" : "", family ? family : "", family ? ")" : "",
                                 is_here ? ", at this host itself" : "", l->place[0] ? " (" : "",
                                 l->place, l->place[0] ? ")" : "")
                  : NULL;
        char label[8];

        (void)snprintf(label, sizeof(label), "  %s ", sign_of(l->region));
        output_line(label, text ? text : "?");
}

/* How many lines there are for people; the others are left to JSON. */
static size_t mark_shown(Regions *list) {
        size_t n = 0;

        for (size_t i = 0; i < list->n_lines; i++) {
                RegionLine *l = &list->lines[i];

                if (l->region->unusual && list->n_unusual[l->region->way] > UNUSUAL_MAX)
                        continue;
                l->shown = n < LINES_MAX;
                n++;
        }
        return n;
}

static void print_way(const Regions *list, DifferenceWay way) {
        bool headed = false;

        for (size_t i = 0; i < list->n_lines; i++) {
                const RegionLine *l = &list->lines[i];

                if (l->region->way != way || !l->shown)
                        continue;
                if (!headed)
                        printf("%s:\n", difference_way_to_string(way));
                headed = true;
                print_line(l, list->difference.more);
        }
        if (list->n_unusual[way] > UNUSUAL_MAX)
                printf("%s: %zu regions of packets that are not what they seem (with a source that "
                       "this host routes elsewhere, say): --json has them\n",
                       difference_way_to_string(way), list->n_unusual[way]);
}

void regions_print(const Regions *list) {
        if (list->n_lines == 0)
                puts("the same meaning: every connection fares alike");
        for (DifferenceWay way = 0; way < _DIFFERENCE_WAY_MAX; way++)
                print_way(list, way);
        if (list->n_usual > LINES_MAX)
                printf("and %zu more regions: --json has them\n", list->n_usual - LINES_MAX);
        if (list->difference.more)
                printf("There are more: the search was ended after %d regions of a kind.\n",
                       REGIONS_MAX);
}

bool regions_tell_of(const Regions *list, const char *rule) {
        for (size_t i = 0; i < list->n_lines && rule; i++) {
                const RegionLine *l = &list->lines[i];
                const char *text = origin_of(l->region)->text;

                if (l->shown && text && streq(text, rule))
                        return true;
        }
        return false;
}

static json_t *json_line(const RegionLine *l) {
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

json_t *regions_json(const Regions *list) {
        json_t *object = json_object(), *array = json_array();

        for (size_t i = 0; i < list->n_lines; i++)
                (void)json_array_append_new(array, json_line(&list->lines[i]));
        (void)json_object_set_new(object, "same", json_boolean(list->n_lines == 0));
        (void)json_object_set_new(object, "more", json_boolean(list->difference.more));
        (void)json_object_set_new(object, "regions", array);
        return object;
}

int regions_find(const Ruleset *before,
                 const Ruleset *after,
                 const Policy *policy,
                 unsigned int seconds,
                 Arena *a,
                 Regions *ret) {
        uint64_t end = seconds > 0 ? cpu_time_usec() + (uint64_t)seconds * 1000000 : 0;
        int r;

        *ret = (Regions){.arena = a, .policy = policy};
        r = difference_find_until(before, after, REGIONS_MAX, end, a, &ret->difference);
        for (size_t i = 0; i < ret->difference.n_regions && r == 0; i++)
                r = add_line(ret, &ret->difference.regions[i]);
        if (r < 0)
                return r;
        join_published(ret);
        ret->n_usual = mark_shown(ret);
        return 0;
}

/* Of the packet about which two codes do not agree. */
static const char *describe_odd(const Regions *list) {
        const Difference *d = &list->difference;
        char *text = NULL;
        const char *told;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        fputs("internal error: the proof and the evaluator do not agree about ", f);
        question_describe(&d->odd, d->odd_in, d->odd_out, f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        told = text ? arena_strdup(list->arena, text) : NULL;
        free(text);
        return told;
}

const char *regions_describe_failure(const Regions *list, int error, const char **ret_hint) {
        switch (error) {
        case -E2BIG:
                *ret_hint = "ringwall plan -v compares them rule by rule";
                return "the rules are too complex to be compared for every connection";
        case -EUNATCH:
                *ret_hint = "ringwall plan -v shows it";
                return "ringwall's table in the kernel holds a rule that is not ringwall's, which "
                       "nobody can compare";
        case -EPROTO:
                *ret_hint = "nothing was decided; please report this, with both policies";
                return describe_odd(list);
        }
        return NULL;
}
