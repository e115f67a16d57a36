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
        *ret = s;
        return 0;
}
