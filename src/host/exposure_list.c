/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/exposure_parts.h"
#include "host/survey.h"

#define LOOPBACK_NET 127

/* ---- what listens */

static const char *shortened(Finder *f, const char *text) {
        char *copy = arena_strndup(f->arena, text, strnlen(text, EXPOSURE_TEXT_MAX));

        if (copy)
                tree_clean(copy);
        return copy;
}

static bool is_loopback(Family family, U128 address) {
        return family == FAMILY_IPV4 ? address.low >> 24 == LOOPBACK_NET
                                     : address.high == 0 && address.low == 1;
}

static const char *interface_name(const World *w, uint32_t index) {
        for (size_t i = 0; i < w->n_interfaces; i++)
                if (w->interfaces[i].index == (int)index)
                        return w->interfaces[i].name;
        return NULL;
}

static const char *describe_at(Finder *f, const HostSocket *s, const char *interface) {
        char buf[ADDRESS_TEXT_MAX];
        const char *text = u128_is_zero(s->local) ? "*" : address_print(s->family, s->local, buf);

        /* the first address of the net is the usual one */
        if (s->family == FAMILY_IPV6 ? u128_equal(s->local, u128(1))
                                     : u128_equal(s->local, u128(0x7f000001)))
                text = "loopback";
        return interface ? arena_printf(f->arena, "%s%%%s", text, interface)
                         : arena_strdup(f->arena, text);
}

static int set_program(Finder *f, const HostProcess *p, ExposureRow *row) {
        const char *owner;

        row->program = shortened(f, process_program(p));
        row->pid = p->pid;
        row->container =
                containers_find_id(&f->input->containers, p->cgroup.engine, p->cgroup.container);
        if (!row->program || cgroup_owner(f->arena, &p->cgroup, &owner) < 0)
                return -ENOMEM;
        row->owner = owner ? shortened(f, owner) : NULL;
        return owner && !row->owner ? -ENOMEM : 0;
}

static void add_place(ExposureRow *row, Family family, const ReachPlace *place) {
        row->has_family[family] = true;
        for (size_t i = 0; i < row->n_places; i++)
                if (row->places[i].family == family && row->places[i].place.kind == place->kind)
                        return;
        if (row->n_places < EXPOSURE_PLACES_MAX)
                row->places[row->n_places++] = (ExposurePlace){family, *place};
}

static int take_socket(Finder *f, const HostSocket *s) {
        const HostProcess *p = process_find_server(&f->input->holders, s->inode);
        const char *interface = s->link ? interface_name(f->input->world, s->link) : NULL;
        ReachPlace place = {.kind = REACH_SOCKET,
                            .proto = s->proto,
                            .any_address = u128_is_zero(s->local),
                            .address = s->local,
                            .port = s->local_port,
                            .interface = interface};
        ExposureRow row = {.kind = EXPOSURE_LISTENS,
                           .proto = s->proto,
                           .low = s->local_port,
                           .high = s->local_port,
                           .is_loopback = is_loopback(s->family, s->local)};

        if (s->local_port == 0)
                return 0;
        row.at = describe_at(f, s, interface);
        if (!row.at || (p && set_program(f, p, &row) < 0))
                return -ENOMEM;
        f->to->misses_programs |= !p && f->input->holders.n_unreadable > 0;
        add_place(&row, s->family, &place);
        if (s->is_dual)
                add_place(&row, FAMILY_IPV4, &place);
        return arena_append(f->arena, f->to->rows, f->to->n_rows, row) ? 0 : -ENOMEM;
}

static int compare_texts(const char *x, const char *y) {
        return strcmp(x ? x : "", y ? y : "");
}

/* By what makes two sockets one row. */
static int compare_sockets(const void *a, const void *b) {
        const ExposureRow *x = a, *y = b;
        int r;

        if (x->proto != y->proto)
                return x->proto < y->proto ? -1 : 1;
        if (x->low != y->low)
                return x->low < y->low ? -1 : 1;
        r = strcmp(x->at, y->at);
        if (r == 0)
                r = compare_texts(x->program, y->program);
        return r == 0 ? compare_texts(x->owner, y->owner) : r;
}

/* What passes connections on, by the word of its command line: from a port of this host's to
 * elsewhere, or from elsewhere to one. */
static void set_relay(Finder *f, const Bypass *b) {
        for (size_t i = 0; i < f->to->n_rows; i++) {
                ExposureRow *row = &f->to->rows[i];

                if (row->proto != b->proto)
                        continue;
                if (b->port == 0 && row->low == b->target_port)
                        row->tunnel = b->what;
                if (b->port == 0 || row->low != b->port || row->is_loopback)
                        continue;
                row->relay = b->what;
                row->target_port = b->target_port;
        }
}

static void set_relays(Finder *f) {
        for (size_t i = 0; i < f->input->n_bypasses; i++) {
                const Bypass *b = &f->input->bypasses[i];

                if (b->state == BYPASS_FOUND && b->effect == BYPASS_RELAYS)
                        set_relay(f, b);
        }
}

/* Sockets of both families, and of several processes of one program, are one row. */
int exposure_list_sockets(Finder *f) {
        ExposureRow *rows;
        size_t kept = 0;
        int r = 0;

        for (size_t i = 0; i < f->input->listening.n_items && r == 0; i++)
                r = take_socket(f, &f->input->listening.items[i]);
        if (r < 0 || f->to->n_rows == 0)
                return r;
        rows = f->to->rows;
        qsort(rows, f->to->n_rows, sizeof(*rows), compare_sockets);
        for (size_t i = 0; i < f->to->n_rows; i++) {
                if (kept == 0 || compare_sockets(&rows[kept - 1], &rows[i]) != 0) {
                        rows[kept++] = rows[i];
                        continue;
                }
                for (size_t j = 0; j < rows[i].n_places; j++)
                        add_place(&rows[kept - 1], rows[i].places[j].family,
                                  &rows[i].places[j].place);
                if (rows[kept - 1].pid == 0 || (rows[i].pid && rows[i].pid < rows[kept - 1].pid))
                        rows[kept - 1].pid = rows[i].pid;
        }
        f->to->n_rows = kept;
        set_relays(f);
        return 0;
}

/* ---- what is translated */

static const char *describe_target(Finder *f, Family family, const ReachPlace *p) {
        char buf[ADDRESS_TEXT_MAX];
        const char *address = address_print(family, p->address, buf);
        bool v6 = family == FAMILY_IPV6;

        if (p->any_address)
                return "elsewhere";
        if (p->port == 0)
                return arena_strdup(f->arena, address);
        return arena_printf(f->arena, "%s%s%s:%u", v6 ? "[" : "", address, v6 ? "]" : "", p->port);
}

/* Docker's `userland-proxy: false` leaves that to dockerd, which answers nobody there. */
static bool keeps_port(const char *program) {
        return survey_publishes(program) || streq(program, "dockerd");
}

/* The engine's own program that holds the port of a translation. */
static bool is_publisher(const ExposureRow *row, Family family, const ReachPlace *p) {
        if (row->kind != EXPOSURE_LISTENS || row->proto != p->proto || row->low != p->low ||
            p->low != p->high || !row->program || !keeps_port(row->program))
                return false;
        if (!p->has_dialled)
                return true;
        for (size_t i = 0; i < row->n_places; i++)
                if (row->places[i].family == family &&
                    (row->places[i].place.any_address ||
                     u128_equal(row->places[i].place.address, p->dialled)))
                        return true;
        return false;
}

/* The same port of the other family, translated to the same container. */
static bool is_twin(const ExposureRow *row, const ExposureRow *other, Family family) {
        return row->kind == EXPOSURE_PUBLISHED && !row->has_family[family] &&
               row->proto == other->proto && row->low == other->low && row->high == other->high &&
               row->target_port == other->target_port && row->container && other->container &&
               row->container == other->container && streq(row->at, other->at);
}

static void copy_program(const ExposureRow *from, ExposureRow *to) {
        to->program = from->program;
        to->owner = from->owner;
        to->pid = from->pid;
        for (size_t i = 0; i < from->n_places; i++)
                add_place(to, from->places[i].family, &from->places[i].place);
}

static int take_translation(Finder *f, Family family, const ReachPlace *p) {
        char buf[ADDRESS_TEXT_MAX];
        ExposureRow row = {.kind = EXPOSURE_PUBLISHED,
                           .proto = p->proto,
                           .low = p->low,
                           .high = p->high,
                           .target_port = p->port,
                           .is_loopback = p->has_dialled && is_loopback(family, p->dialled)};
        Exposure *to = f->to;

        row.target = describe_target(f, family, p);
        row.at = p->has_dialled ? arena_strdup(f->arena, address_print(family, p->dialled, buf))
                                : "*";
        if (!row.target || !row.at)
                return -ENOMEM;
        if (!p->any_address)
                row.container = containers_find_address(&f->input->containers, family, p->address);
        add_place(&row, family, p);
        for (size_t i = 0; i < to->n_rows; i++) {
                if (is_twin(&to->rows[i], &row, family)) {
                        add_place(&to->rows[i], family, p);
                        return 0;
                }
                /* it takes the place of the program that only holds the port for it */
                if (is_publisher(&to->rows[i], family, p)) {
                        copy_program(&to->rows[i], &row);
                        to->rows[i] = row;
                        return 0;
                }
        }
        return arena_append(f->arena, to->rows, to->n_rows, row) ? 0 : -ENOMEM;
}

/* The target of a translation, dialled by its own address. */
static int
add_routed(Finder *f, Family family, const ReachPlace *p, ExposurePlace **list, size_t *n) {
        ExposurePlace one = {family,
                             {.kind = REACH_ROUTED,
                              .proto = p->proto,
                              .address = p->address,
                              .port = p->port ? p->port : p->low}};

        if (p->any_address || (p->port == 0 && p->low != p->high))
                return 0;
        for (size_t i = 0; i < *n; i++)
                if ((*list)[i].family == family && (*list)[i].place.proto == p->proto &&
                    u128_equal((*list)[i].place.address, p->address) &&
                    (*list)[i].place.port == one.place.port)
                        return 0;
        return arena_append(f->arena, *list, *n, one) ? 0 : -ENOMEM;
}

static int add_routed_row(Finder *f, const ExposurePlace *p) {
        char buf[ADDRESS_TEXT_MAX];
        ExposureRow row = {
                .kind = EXPOSURE_ROUTED,
                .proto = p->place.proto,
                .low = p->place.port,
                .high = p->place.port,
                .at = arena_strdup(f->arena, address_print(p->family, p->place.address, buf)),
                .container = containers_find_address(&f->input->containers, p->family,
                                                     p->place.address)};

        add_place(&row, p->family, &p->place);
        return row.at && arena_append(f->arena, f->to->rows, f->to->n_rows, row) ? 0 : -ENOMEM;
}

/* Of one family alone, as ss shows it. */
static int name_wildcard(Finder *f, ExposureRow *row) {
        Family only = row->has_family[FAMILY_IPV4] ? FAMILY_IPV4 : FAMILY_IPV6;

        if (row->at[0] != '*' || (row->has_family[FAMILY_IPV4] && row->has_family[FAMILY_IPV6]))
                return 0;
        row->at =
                arena_printf(f->arena, "%s%s", only == FAMILY_IPV4 ? "0.0.0.0" : "::", row->at + 1);
        return row->at ? 0 : -ENOMEM;
}

/* All that rows ask for must be among the places from the start. */
static int open_families(Finder *f) {
        const Exposure *to = f->to;
        int r = 0;

        for (Family family = 0; family < _FAMILY_MAX && r == 0; family++) {
                ReachPlace *places = arena_alloc_array(
                        f->arena, to->n_rows * EXPOSURE_PLACES_MAX + 1, sizeof(*places));
                size_t n = 0;

                if (!places)
                        return -ENOMEM;
                for (size_t i = 0; i < to->n_rows; i++)
                        for (size_t j = 0; j < to->rows[i].n_places; j++)
                                if (to->rows[i].places[j].family == family)
                                        places[n++] = to->rows[i].places[j].place;
                r = reach_open(f->input->policy, f->input->world, family, places, n, f->clients,
                               f->n_clients, f->arena, &f->reach[family]);
        }
        return r;
}

int exposure_list_translations(Finder *f) {
        ExposurePlace *routed = NULL;
        size_t n_routed = 0;
        int r = 0;

        for (Family family = 0; family < _FAMILY_MAX && r == 0; family++) {
                const ReachPlace *list;
                size_t n = 0;

                r = reach_find_translations(f->input->policy, f->input->world, family, f->arena,
                                            &list, &n);
                for (size_t i = 0; i < n && r == 0; i++) {
                        r = take_translation(f, family, &list[i]);
                        if (r == 0)
                                r = add_routed(f, family, &list[i], &routed, &n_routed);
                }
        }
        for (size_t i = 0; i < n_routed && r == 0; i++)
                r = add_routed_row(f, &routed[i]);
        for (size_t i = 0; i < f->to->n_rows && r == 0; i++)
                r = name_wildcard(f, &f->to->rows[i]);
        return r == 0 ? open_families(f) : r;
}
