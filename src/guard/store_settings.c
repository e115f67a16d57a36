/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/store.h"

/* As it is now: at boot there may be no network yet to ask what is on link. */
static ZonePart frozen(const ZonePart *part) {
        ZonePart copy = *part;

        copy.connected = (RangeSet){0};
        for (Family family = 0; family < _FAMILY_MAX; family++)
                copy.fixed[family] = copy.without[family] = (RangeSet){0};
        return copy;
}

static int add_term(Arena *a, const ZoneTerm *term, StoreSettings *s) {
        ZonePart part = {.any_interface = true};

        for (size_t i = 0; term->zone && i < term->zone->n_parts; i++)
                if (!arena_append(a, s->rescue, s->n_rescue, frozen(&term->zone->parts[i])))
                        return -ENOMEM;
        if (term->zone)
                return 0;
        if (range_set_add(a, &part.addresses[term->family], term->range) < 0 ||
            !arena_append(a, s->rescue, s->n_rescue, part))
                return -ENOMEM;
        return 0;
}

/* The part of a zone that is to be followed. */
static int add_never(Arena *a, const ZonePart *from, StoreBans *s) {
        ZonePart part = {.any_interface = true, .connected = from->connected};

        for (Family family = 0; family < _FAMILY_MAX; family++) {
                part.fixed[family] =
                        from->connected.n_items > 0 ? from->fixed[family] : from->addresses[family];
                part.without[family] = from->without[family];
        }
        return arena_append(a, s->never, s->n_never, part) ? 0 : -ENOMEM;
}

static int add_bans(Arena *a, const BanSettings *from, StoreBans *s) {
        *s = (StoreBans){.rules = *from};
        s->rules.never = (ZoneExpression){0};
        for (size_t i = 0; i < from->never.n_terms; i++) {
                const ZoneTerm *t = &from->never.terms[i];
                ZonePart literal = {0};

                if (!t->zone && (range_set_add(a, &literal.addresses[t->family], t->range) < 0 ||
                                 add_never(a, &literal, s) < 0))
                        return -ENOMEM;
                for (size_t j = 0; t->zone && j < t->zone->n_parts; j++)
                        if (add_never(a, &t->zone->parts[j], s) < 0)
                                return -ENOMEM;
        }
        return 0;
}

int store_bans_copy(Arena *a, const StoreBans *from, StoreBans *ret) {
        StoreBans copy = {.rules = from->rules};
        int r = 0;

        for (size_t i = 0; i < from->n_never && r == 0; i++) {
                const ZonePart *part = &from->never[i];
                ZonePart new = {.any_interface = true};

                r = range_set_add_all(a, &new.connected, &part->connected);
                for (Family f = 0; f < _FAMILY_MAX && r == 0; f++) {
                        r = range_set_add_all(a, &new.fixed[f], &part->fixed[f]);
                        if (r == 0)
                                r = range_set_add_all(a, &new.without[f], &part->without[f]);
                }
                if (r == 0 && !arena_append(a, copy.never, copy.n_never, new))
                        r = -ENOMEM;
        }
        if (r == 0)
                *ret = copy;
        return r;
}

int store_settings(Arena *a, const Policy *policy, StoreSettings *ret) {
        const Settings *from = &policy->settings;
        StoreSettings s = {
                .confirm = from->confirm,
                .mark = from->mark,
                .cut_denied = from->cut_denied,
                .ownership = from->ownership,
                .drift = from->drift,
                .alerts = from->alerts,
        };

        for (size_t i = 0; i < from->rescue.n_terms; i++)
                if (add_term(a, &from->rescue.terms[i], &s) < 0)
                        return -ENOMEM;
        if (from->rescue.given && !from->rescue.restricts) {
                ZonePart anywhere = {.any_interface = true, .any_address = true};

                if (!arena_append(a, s.rescue, s.n_rescue, anywhere))
                        return -ENOMEM;
        }
        if (add_bans(a, &policy->bans, &s.bans) < 0)
                return -ENOMEM;
        *ret = s;
        return 0;
}
