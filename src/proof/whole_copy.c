/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter.h>

#include "proof/whole_state.h"

/* Where copies of packets go, and packets that rules of a device send on: past every hook that
 * could refuse them, so that none of them may come to this host, or leave by an interface that
 * matters. */

int whole_watch(Whole *x, const RangeSet *names) {
        if (!names) {
                x->watches_all = true;
                return 0;
        }
        return arena_append(x->arena, x->watched, x->n_watched, names) ? 0 : -ENOMEM;
}

void whole_take_refusals(Whole *x) {
        x->refusals = true;
}

/* What the rule has put into a register before, if that is sure. */
static bool read_register(const WorldRule *rule, size_t i, int8_t reg, void *ret, size_t size) {
        while (i-- > 0) {
                const WorldExpr *e = &rule->exprs[i];
                size_t n = e->kind == WORLD_LOOKUP ? e->set->value_size
                           : e->kind == WORLD_DATA ? e->data.size
                                                   : MAX(e->size, 4);

                if (e->target < 0 || e->kind == WORLD_COPY || e->kind == WORLD_FORWARD ||
                    e->target * 4 >= reg * 4 + (int)size ||
                    e->target * 4 + (int)((n + 3) / 4 * 4) <= reg * 4)
                        continue;
                if (e->kind != WORLD_DATA || e->target != reg || e->data.size != size)
                        return false;
                memcpy(ret, e->data.bytes, size);
                return true;
        }
        return false;
}

/* What is sent there may come back by no way but those that are looked at. */
static bool is_harmless_kind(const WorldInterface *i) {
        static const char *const kinds[] = {"veth", "vlan", "bridge", "bond", "wireguard", "dummy"};

        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
                if (!i->kind || streq(i->kind, kinds[k]))
                        return true;
        return false;
}

static bool is_watched(const Whole *x, const WorldInterface *i) {
        char name[16] = {0};
        U128 value;

        (void)snprintf(name, sizeof(name), "%s", i->name);
        value = u128_from_bytes(name, sizeof(name));
        for (size_t k = 0; k < x->n_watched; k++)
                if (range_set_contains(x->watched[k], value))
                        return true;
        return x->watches_all;
}

static const WorldInterface *interface_at(const World *w, int index) {
        for (size_t i = 0; i < w->n_interfaces; i++)
                if (w->interfaces[i].index == index)
                        return &w->interfaces[i];
        return NULL;
}

static bool interface_matters(const Whole *x, const WorldInterface *i) {
        const WorldInterface *master = i && i->master ? interface_at(x->world, i->master) : NULL;

        return !i || i->loopback || !is_harmless_kind(i) || is_watched(x, i) ||
               (i->master && (!master || is_watched(x, master)));
}

bool whole_turns(const Whole *x, const WorldRule *rule, size_t i) {
        const WorldExpr *e = &rule->exprs[i];
        const WorldInterface *to;
        uint32_t index;

        if (e->kind != WORLD_FORWARD || e->target < 0)
                return false;
        if (!read_register(rule, i, e->target, &index, sizeof(index)))
                return true;
        to = interface_at(x->world, (int)index);
        return to && to->loopback;
}

bool whole_copy_matters(const Whole *x, const WorldRule *rule, size_t i) {
        const WorldExpr *e = &rule->exprs[i];
        uint8_t family = x->family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
        uint8_t of = rule->chain->table->family;
        size_t width = x->family == FAMILY_IPV4 ? 4 : 16;
        uint8_t bytes[16];
        uint32_t index;
        U128 address;
        int out;

        if ((of == NFPROTO_IPV4 || of == NFPROTO_IPV6) && of != family)
                return false;
        if (e->kind == WORLD_FORWARD || e->source < 0)
                return e->target < 0 || !read_register(rule, i, e->target, &index, sizeof(index)) ||
                       interface_matters(x, interface_at(x->world, (int)index));
        /* the copy goes through the output hook, and bears the address that was dialled */
        if (!read_register(rule, i, e->source, bytes, width) || !x->deliveries_known ||
            whole_routes_anew(x))
                return true;
        address = u128_from_bytes(bytes, width);
        if (whole_piece_at(x->types, x->n_types, address) != ROUTE_UNICAST)
                return true;
        if (e->target >= 0)
                return !read_register(rule, i, e->target, &index, sizeof(index)) ||
                       interface_matters(x, interface_at(x->world, (int)index));
        out = whole_piece_at(x->routes, x->n_routes, address);
        if (!x->routes_known || out < -1)
                return true;
        return out >= 0 && interface_matters(x, &x->world->interfaces[out]);
}
