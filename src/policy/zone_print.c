/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/policy.h"

static void print_addresses(FILE *f, const ZonePart *part) {
        const char *separator = "";
        char buf[ADDRESS_TEXT_MAX];

        if (part->any_address)
                fputs("any address", f);
        for (Family family = 0; family < _FAMILY_MAX; family++)
                for (size_t i = 0; i < part->addresses[family].n_items; i++) {
                        fprintf(f, "%s%s", separator,
                                address_range_print(family, part->addresses[family].items[i], buf));
                        separator = ", ";
                }
}

static void print_names(FILE *f, const RangeSet *interfaces) {
        const char *separator = "";

        for (size_t i = 0; i < interfaces->n_items; i++) {
                Range r = interfaces->items[i];
                char name[17] = {0};
                unsigned int length = 128;

                u128_to_bytes(r.low, name, 16);
                fputs(separator, f);
                if (range_is_single(r) || !range_is_prefix(r, 128, &length))
                        fputs(name, f);
                else
                        fprintf(f, "%.*s*", (int)(length / 8), name);
                separator = ", ";
        }
}

/* The names, and those that were taken away from them. */
static void print_interfaces(FILE *f, const ZonePart *part) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        RangeSet base, minus;

        if (!a || interface_set_split(a, &part->interfaces, &base, &minus) < 0)
                return;
        if (interface_set_is_open(&base))
                fputs("any interface", f);
        else
                print_names(f, &base);
        if (minus.n_items > 0) {
                fputs(" but ", f);
                print_names(f, &minus);
        }
}

void zone_parts_print(const ZonePart *parts, size_t n, FILE *f) {
        for (size_t i = 0; i < n; i++) {
                const ZonePart *part = &parts[i];

                if (i > 0)
                        fputs("; ", f);
                if (!part->any_interface)
                        print_interfaces(f, part);
                if (!part->any_interface && !part->any_address)
                        fputs(" with ", f);
                if (part->any_interface || !part->any_address)
                        print_addresses(f, part);
        }
}

void interfaces_print(const RangeSet *interfaces, FILE *f) {
        print_names(f, interfaces);
}
