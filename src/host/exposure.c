/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "host/exposure_parts.h"
#include "host/recognise.h"

#define RANGES_MAX 4 /* that are put together side by side: of two protocols, or addresses */

const char *exposure_kind_to_string(ExposureKind kind) {
        static const char *const words[] = {"listens", "published", "routed"};

        return words[kind];
}

const char *exposure_danger_to_string(ExposureDanger danger) {
        static const char *const words[] = {"protected", "internal", "undecided",
                                            "internet",  "outside",  "closed"};

        return words[danger];
}

/* ---- clients */

static int compare_zones(const void *a, const void *b) {
        const Zone *x = *(const Zone *const *)a, *y = *(const Zone *const *)b;
        bool first = streq(x->name, "internet"), second = streq(y->name, "internet");

        if (first != second)
                return first ? -1 : 1;
        if (x->from_catalogue != y->from_catalogue)
                return x->from_catalogue ? 1 : -1;
        return strcmp(x->name, y->name);
}

static bool is_short(const Zone *z) {
        size_t n = 0;

        for (size_t i = 0; i < z->n_parts; i++)
                n += z->parts[i].addresses[FAMILY_IPV4].n_items +
                     z->parts[i].addresses[FAMILY_IPV6].n_items;
        return n <= EXPOSURE_ZONE_RANGES_MAX;
}

static int list_zones(Finder *f) {
        const Policy *p = f->input->policy;
        const Zone **list = arena_alloc_array(f->arena, p->n_zones + 1, sizeof(*list));
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < p->n_zones; i++)
                if (is_short(p->zones[i]))
                        list[n++] = p->zones[i];
        qsort(list, n, sizeof(*list), compare_zones);
        f->to->zones = list;
        f->to->n_zones = MIN(n, (size_t)EXPOSURE_ZONES_MAX);
        f->to->n_zones_left_out = p->n_zones - f->to->n_zones;
        return 0;
}

static int add_zones(Finder *f) {
        const Exposure *x = f->to;
        ZoneExpression *expressions =
                arena_alloc_array(f->arena, x->n_zones + 1, sizeof(*expressions));
        ZoneTerm *terms = arena_alloc_array(f->arena, x->n_zones + 1, sizeof(*terms));

        if (!expressions || !terms)
                return -ENOMEM;
        for (size_t i = 0; i < x->n_zones; i++) {
                terms[i] = (ZoneTerm){.zone = x->zones[i]};
                expressions[i] = (ZoneExpression){
                        .given = true, .restricts = true, .terms = &terms[i], .n_terms = 1};
                f->clients[f->n_clients++] = (ReachClients){.from = &expressions[i]};
        }
        return 0;
}

static bool is_same(const ZoneExpression *x, const ZoneExpression *y) {
        return x->given == y->given && (!x->given || streq_null(x->text, y->text));
}

/* Whoever the claim does not name; claims that name the same share it. */
static void add_claims(Finder *f) {
        const Policy *p = f->input->policy;

        for (size_t i = 0; i < p->n_protected; i++) {
                const ZoneExpression *named = &p->protected[i].only_from;
                size_t same = 0;

                while (same < i && !is_same(&p->protected[same].only_from, named))
                        same++;
                if (same < i) {
                        f->claims[i] = f->claims[same];
                        continue;
                }
                /* of too many: everybody, which says more than is so */
                f->claims[i] = f->n_clients < REACH_CLIENTS_MAX ? f->n_clients : f->everybody;
                if (f->n_clients < REACH_CLIENTS_MAX)
                        f->clients[f->n_clients++] =
                                (ReachClients){.except = named->given ? named : NULL};
        }
}

static int add_outsiders(Finder *f) {
        const Zone *const inside[] = {f->input->policy->containers, f->input->policy->vms};
        ZoneExpression *expression = arena_new0(f->arena, ZoneExpression);
        ZoneTerm *terms = arena_alloc_array(f->arena, ARRAY_SIZE(inside), sizeof(*terms));
        size_t n = 0;

        if (!expression || !terms)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(inside); i++)
                if (inside[i])
                        terms[n++] = (ZoneTerm){.zone = inside[i]};
        *expression =
                (ZoneExpression){.given = true, .restricts = true, .terms = terms, .n_terms = n};
        f->clients[f->outsiders] = (ReachClients){.except = n > 0 ? expression : NULL};
        return 0;
}

static int list_clients(Finder *f) {
        size_t n = f->to->n_zones + f->input->policy->n_protected + 3;

        f->clients = arena_alloc_array(f->arena, n, sizeof(*f->clients));
        f->claims = arena_alloc_array(f->arena, n, sizeof(*f->claims));
        f->answers = arena_alloc_array(f->arena, n, sizeof(*f->answers));
        f->wanted = arena_alloc_array(f->arena, n, sizeof(*f->wanted));
        if (!f->clients || !f->claims || !f->answers || !f->wanted || add_zones(f) < 0)
                return -ENOMEM;
        f->everybody = f->n_clients++;
        f->neighbours = f->n_clients++;
        f->outsiders = f->n_clients++;
        f->clients[f->everybody] = (ReachClients){0};
        f->clients[f->neighbours] = (ReachClients){.to_loopback = true};
        if (add_outsiders(f) < 0)
                return -ENOMEM;
        add_claims(f);
        return 0;
}

/* ---- who gets there */

static bool holds(const ServiceSet *s, const ExposureRow *row) {
        const RangeSet *ports = row->proto == IPPROTO_TCP   ? &s->tcp
                                : row->proto == IPPROTO_UDP ? &s->udp
                                                            : &s->sctp;

        if (s->any || range_set_contains(&s->protocols, u128(row->proto)) ||
            (row->target_port && range_set_contains(ports, u128(row->target_port))))
                return true;
        for (size_t i = 0; i < ports->n_items; i++)
                if (ports->items[i].low.low <= row->high && row->low <= ports->items[i].high.low)
                        return true;
        return false;
}

/* What it seems to be: by where it ends, if that is known. */
static const Service *find_internal(const Policy *p, const ExposureRow *row) {
        const SurveyPort port = {.proto = row->proto,
                                 .port = row->low,
                                 .program = row->target ? NULL : row->program,
                                 .words = row->container && row->container->name
                                                  ? row->container->name
                                                  : row->owner};
        const Service *s =
                recognise_service(p, &port, row->target_port ? row->target_port : row->low);

        if (!s || !s->internal)
                s = recognise_program(p, &port);
        return s && s->internal ? s : NULL;
}

static void find_services(Finder *f, ExposureRow *row) {
        const Policy *p = f->input->policy;

        row->internal = find_internal(p, row);
        for (size_t i = 0; i < f->n_clients; i++)
                f->wanted[i] = i <= f->outsiders;
        for (size_t i = 0; i < p->n_protected; i++)
                if (holds(&p->protected[i].services.set, row)) {
                        f->wanted[f->claims[i]] = true;
                        if (!row->claim)
                                row->claim = &p->protected[i];
                }
}

static ExposureAnswer join(const ExposureRow *row, const ReachAnswer *families) {
        ExposureAnswer sum = {.absent = true};
        size_t n_there = 0, n_reached = 0, n_all = 0;
        bool covered = true, unsure = true;

        for (Family f = 0; f < _FAMILY_MAX; f++) {
                const ReachAnswer *one = &families[f];

                if (!row->has_family[f] || one->absent)
                        continue;
                sum.absent = false;
                n_there++;
                if (one->count == REACH_NOBODY)
                        continue;
                n_reached++;
                n_all += one->count == REACH_ALL;
                covered &= one->covered;
                unsure &= one->unsure;
                sum.family = f;
        }
        if (n_reached == 0)
                return sum;
        sum.is_one_family = n_reached == 1 && n_there > 1;
        sum.count = n_all == n_reached ? REACH_ALL : REACH_SOME;
        sum.unsure = unsure;
        sum.covered = covered && sum.count == REACH_SOME;
        return sum;
}

/* The row's places of that family. */
static size_t places_of(const ExposureRow *row, Family family, ReachPlace *ret) {
        size_t n = 0;

        for (size_t i = 0; i < row->n_places; i++)
                if (row->places[i].family == family)
                        ret[n++] = row->places[i].place;
        return n;
}

static int ask_all(Finder *f, const ExposureRow *row, ReachAnswer (*sums)[_FAMILY_MAX]) {
        int r = 0;

        for (Family family = 0; family < _FAMILY_MAX && r == 0; family++) {
                ReachPlace places[EXPOSURE_PLACES_MAX];
                size_t n = places_of(row, family, places);

                if (n > 0)
                        r = reach_ask(f->reach[family], places, n, f->wanted, f->answers);
                for (size_t i = 0; i < f->n_clients && r == 0 && n > 0; i++)
                        if (f->wanted[i])
                                sums[i][family] = f->answers[i];
        }
        return r;
}

/* What breaks a claim that protects it: the clients, or n_clients. */
static void
judge_claims(Finder *f, ExposureRow *row, const ReachAnswer (*sums)[_FAMILY_MAX], size_t *ret) {
        const Policy *p = f->input->policy;
        bool unsure = false;

        *ret = f->n_clients;
        for (size_t i = 0; i < p->n_protected; i++) {
                ExposureAnswer one = join(row, sums[f->claims[i]]);

                if (!holds(&p->protected[i].services.set, row) || one.count == REACH_NOBODY)
                        continue;
                if (one.unsure) {
                        unsure = true;
                        continue;
                }
                row->claim = &p->protected[i];
                row->danger = EXPOSURE_PROTECTED;
                *ret = f->claims[i];
                return;
        }
        /* nobody knows who comes by those ways */
        if (row->claim && row->tunnel) {
                row->danger = EXPOSURE_PROTECTED;
        } else if (row->claim && row->by_neighbours) {
                row->danger = EXPOSURE_PROTECTED;
                *ret = f->neighbours;
        } else if (unsure) {
                row->danger = MIN(row->danger, EXPOSURE_UNDECIDED);
        }
}

static void
judge(Finder *f, ExposureRow *row, const ReachAnswer (*sums)[_FAMILY_MAX], size_t *ret) {
        const ExposureAnswer *internet = NULL;
        ExposureAnswer neighbours;

        for (size_t i = 0; i < f->to->n_zones; i++) {
                row->zones[i] = join(row, sums[i]);
                if (streq(f->to->zones[i]->name, "internet"))
                        internet = &row->zones[i];
        }
        row->anywhere = join(row, sums[f->everybody]);
        row->by_outsiders = join(row, sums[f->outsiders]).count != REACH_NOBODY;
        neighbours = join(row, sums[f->neighbours]);
        row->by_neighbours = neighbours.count != REACH_NOBODY && !neighbours.unsure;
        row->danger = row->anywhere.count == REACH_NOBODY && !row->by_neighbours ? EXPOSURE_CLOSED
                      : internet && internet->count != REACH_NOBODY              ? EXPOSURE_INTERNET
                                                                                 : EXPOSURE_OUTSIDE;
        if (row->tunnel)
                row->danger = MIN(row->danger, EXPOSURE_OUTSIDE);
        judge_claims(f, row, sums, ret);
        if (row->danger == EXPOSURE_INTERNET && row->internal && !f->input->in_force &&
            !internet->unsure) {
                row->danger = EXPOSURE_INTERNAL;
                *ret = (size_t)(internet - row->zones);
        }
}

static int show(Finder *f, ExposureRow *row, size_t clients) {
        int r = 0;

        for (Family family = 0; family < _FAMILY_MAX && r == 0 && !row->connection; family++) {
                ReachPlace places[EXPOSURE_PLACES_MAX];
                size_t n = places_of(row, family, places);

                if (n > 0)
                        r = reach_show(f->reach[family], places, n, clients, &row->connection);
        }
        return r;
}

static int answer_row(Finder *f, ExposureRow *row, ReachAnswer (*sums)[_FAMILY_MAX]) {
        size_t shown;
        int r;

        row->zones = arena_alloc_array(f->arena, f->to->n_zones + 1, sizeof(*row->zones));
        if (!row->zones)
                return -ENOMEM;
        memset(sums, 0, f->n_clients * sizeof(*sums));
        find_services(f, row);
        r = ask_all(f, row, sums);
        if (r < 0)
                return r;
        judge(f, row, sums, &shown);
        if (shown < f->n_clients && row->danger <= EXPOSURE_INTERNAL &&
            f->to->n_danger[EXPOSURE_PROTECTED] + f->to->n_danger[EXPOSURE_INTERNAL] <
                    EXPOSURE_SHOWN_MAX)
                r = show(f, row, shown);
        f->to->n_danger[row->danger]++;
        return r;
}

/* Whether the row leads to the target that the other one is dialled at. */
static bool leads_to(const ExposureRow *row, const ExposureRow *target) {
        const ReachPlace *to = &target->places[0].place;

        for (size_t i = 0; i < row->n_places; i++) {
                const ReachPlace *p = &row->places[i].place;

                if (p->kind == REACH_TRANSLATED &&
                    row->places[i].family == target->places[0].family && p->proto == to->proto &&
                    !p->any_address && u128_equal(p->address, to->address) &&
                    (p->port ? p->port : p->low) == to->port)
                        return true;
        }
        return false;
}

/* How many of a zone's clients the row lets in who are no containers or machines of this host's. */
static ReachCount from_outside(const Finder *f, const ExposureRow *row, size_t zone) {
        const Zone *z = f->to->zones[zone];

        return z == f->input->policy->containers || z == f->input->policy->vms ||
                               row->zones[zone].covered
                       ? REACH_NOBODY
                       : row->zones[zone].count;
}

/* A target at its own address is news where it lets somebody in whom no publication does. */
static bool is_news(const Finder *f, const ExposureRow *row, size_t n_before) {
        const Exposure *x = f->to;
        bool news = row->kind != EXPOSURE_ROUTED || row->danger <= EXPOSURE_UNDECIDED ||
                    row->by_outsiders;

        for (size_t i = 0; i < n_before && news && row->kind == EXPOSURE_ROUTED; i++) {
                if (!leads_to(&x->rows[i], row))
                        continue;
                news = row->danger < x->rows[i].danger;
                for (size_t j = 0; j < x->n_zones && !news; j++)
                        news = from_outside(f, row, j) > x->rows[i].zones[j].count;
        }
        return news;
}

static int answer_all(Finder *f) {
        ReachAnswer(*sums)[_FAMILY_MAX] = arena_alloc_array(f->arena, f->n_clients, sizeof(*sums));
        Exposure *x = f->to;
        size_t kept = 0;
        int r = sums ? 0 : -ENOMEM;

        for (size_t i = 0; i < x->n_rows && r == 0; i++) {
                r = answer_row(f, &x->rows[i], sums);
                if (is_news(f, &x->rows[i], kept))
                        x->rows[kept++] = x->rows[i];
                else
                        x->n_danger[x->rows[i].danger]--;
        }
        x->n_rows = kept;
        for (Family family = 0; family < _FAMILY_MAX && r == 0; family++) {
                const char **open;
                bool any = false;
                size_t n;

                r = reach_open_ends(f->reach[family], &any, &open, &n);
                x->is_open |= any;
                for (size_t i = 0; i < n && r == 0; i++) {
                        bool told = false;

                        for (size_t j = 0; j < x->n_open; j++)
                                told |= streq(x->open[j], open[i]);
                        if (!told && !arena_append(f->arena, x->open, x->n_open, open[i]))
                                r = -ENOMEM;
                }
        }
        return r;
}

static int compare_rows(const void *a, const void *b) {
        const ExposureRow *x = a, *y = b;

        if (x->danger != y->danger)
                return x->danger < y->danger ? -1 : 1;
        if (x->low != y->low)
                return x->low < y->low ? -1 : 1;
        if (x->proto != y->proto)
                return x->proto < y->proto ? -1 : 1;
        if (x->kind != y->kind)
                return x->kind < y->kind ? -1 : 1;
        return strcmp(x->at, y->at);
}

static bool is_same_answer(const ExposureAnswer *x, const ExposureAnswer *y) {
        return x->count == y->count && x->unsure == y->unsure && x->covered == y->covered &&
               x->is_one_family == y->is_one_family &&
               (!x->is_one_family || x->family == y->family);
}

/* Whether they say the same of ports that follow one another. */
static bool continues(const Exposure *x, const ExposureRow *row, const ExposureRow *next) {
        bool same = next->low == row->high + 1 && row->proto == next->proto &&
                    row->kind == next->kind && row->danger == next->danger &&
                    streq(row->at, next->at) && streq_null(row->program, next->program) &&
                    streq_null(row->owner, next->owner) && row->container == next->container &&
                    row->claim == next->claim && row->internal == next->internal && !row->relay &&
                    !next->relay && !row->tunnel && !next->tunnel &&
                    row->by_neighbours == next->by_neighbours &&
                    is_same_answer(&row->anywhere, &next->anywhere);

        for (size_t i = 0; i < x->n_zones && same; i++)
                same = is_same_answer(&row->zones[i], &next->zones[i]);
        for (Family f = 0; f < _FAMILY_MAX && same; f++)
                same = row->has_family[f] == next->has_family[f];
        if (!same || !row->target || !next->target)
                return same && !row->target && !next->target;
        /* each port to the same one of the other host */
        return row->n_places == next->n_places && row->target_port == row->low &&
               next->target_port == next->low &&
               u128_equal(row->places[0].place.address, next->places[0].place.address);
}

/* Ranges of ports, as engines publish them and media servers listen at them, are one row. */
static void join_ranges(Exposure *x) {
        size_t kept = 0;

        for (size_t i = 0; i < x->n_rows; i++) {
                size_t j = kept, end = kept > RANGES_MAX ? kept - RANGES_MAX : 0;

                while (j > end && !continues(x, &x->rows[j - 1], &x->rows[i]))
                        j--;
                if (j > end)
                        x->rows[j - 1].high = x->rows[i].high;
                else
                        x->rows[kept++] = x->rows[i];
        }
        x->n_rows = kept;
}

int exposure_find(Arena *a, const ExposureInput *input, Exposure *ret) {
        Exposure found = {0};
        Finder f = {.arena = a, .input = input, .to = &found};
        int r = list_zones(&f);

        if (r == 0)
                r = list_clients(&f);
        if (r == 0)
                r = exposure_list_sockets(&f);
        if (r == 0)
                r = exposure_list_translations(&f);
        if (r == 0)
                r = answer_all(&f);
        for (Family family = 0; family < _FAMILY_MAX; family++)
                f.reach[family] = reach_close(f.reach[family]);
        if (r < 0)
                return r;
        if (found.n_rows > 0)
                qsort(found.rows, found.n_rows, sizeof(*found.rows), compare_rows);
        join_ranges(&found);
        *ret = found;
        return 0;
}
