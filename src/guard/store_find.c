/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>

#include "guard/store_disk.h"

/* What stands in the store, damage included. */

int store_read_pending(const Store *s, Pending *ret, const char **ret_wrong) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        ByteReader meta;
        Frame f;
        int r = a ? store_read_frame(s, STORE_PENDING, FRAME_PENDING, true, a, &f, ret_wrong)
                  : -ENOMEM;

        if (r < 0)
                return r;
        meta = byte_reader(f.meta, f.meta_size);
        store_get_pending(&meta, ret);
        if (!meta.wrong)
                return 0;
        *ret_wrong = meta.wrong;
        return -EBADMSG;
}

int store_read_rescue(Store *s, Arena *a, StorePeer **ret, size_t *ret_n, Diag *d) {
        StorePeer *peers = arena_alloc_array(a, STORE_RESCUE_MAX, sizeof(*peers));
        const char *wrong = NULL;
        ByteReader meta;
        size_t n = 0;
        Frame f;
        int r = peers ? store_read_frame(s, STORE_RESCUE, FRAME_RESCUE, true, a, &f, &wrong)
                      : -ENOMEM;

        if (r == -ENOMEM)
                return r;
        if (r == 0) {
                meta = byte_reader(f.meta, f.meta_size);
                n = store_get_rescue(&meta, peers);
                wrong = meta.wrong;
        }
        if (wrong)
                diag_warning(d, (Span){0}, "%s/" STORE_RESCUE " is damaged: %s", s->path, wrong);
        *ret = peers;
        *ret_n = n;
        return 0;
}

/* The number of the sealed copy, if it can be read; or 0. */
static uint32_t sealed_number(const Store *s, const char **ret_wrong) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        StoreContent content;
        StoreEntry entry;

        *ret_wrong = NULL;
        if (!a)
                return 0;
        return store_read_entry(s, STORE_SEALED, a, &entry, &content, ret_wrong) == 0 ? entry.number
                                                                                      : 0;
}

/* The newest confirmed entry in history that can be read, below a number, but for one. */
static uint32_t newest_confirmed(const Store *s, uint32_t below, uint32_t but) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        uint32_t *numbers;
        size_t n;

        if (!a || store_read_numbers(s, a, &numbers, &n) < 0)
                return 0;
        for (; n > 0; n--) {
                uint32_t number = numbers[n - 1];
                char name[STORE_NAME_MAX];
                const char *wrong;
                StoreEntry entry;

                if (number >= below || number == but)
                        continue;
                store_history_name(number, name);
                if (store_read_entry(s, name, a, &entry, NULL, &wrong) == 0 && entry.confirmed &&
                    store_holds(s, name, number))
                        return number;
        }
        return 0;
}

uint32_t store_next_copy(Store *s, uint32_t after) {
        const char *wrong;
        uint32_t sealed = sealed_number(s, &wrong);

        return newest_confirmed(s, after == sealed ? UINT32_MAX : after, sealed);
}

static bool exists(const Store *s, const char *name) {
        return faccessat(s->folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_usable(const Store *s, uint32_t number, uint32_t sealed) {
        char name[STORE_NAME_MAX];

        return number > 0 &&
               (number == sealed || store_holds(s, store_history_name(number, name), number));
}

static int find_pending(const Store *s, ConfirmFound *ret, Diag *d) {
        const char *wrong;
        int r = store_read_pending(s, &ret->pending, &wrong);

        if (r == -ENOMEM)
                return r;
        ret->pending_state = r == 0 ? PENDING_READ : r == -ENOENT ? PENDING_NONE : PENDING_DAMAGED;
        if (r < 0)
                ret->pending = (Pending){0};
        if (ret->pending_state == PENDING_DAMAGED)
                diag_warning(d, (Span){0},
                             "%s/" STORE_PENDING
                             " is damaged: %s; the change that waited is undone",
                             s->path, wrong);
        return 0;
}

int store_find(Store *s, ConfirmFound *ret, Diag *d) {
        ConfirmFound found = {0};
        const char *wrong;
        int r;

        found.sealed = sealed_number(s, &wrong);
        found.first = found.sealed ? found.sealed : newest_confirmed(s, UINT32_MAX, 0);
        found.armed = exists(s, STORE_SEALED) || exists(s, STORE_ARMED) || found.first > 0;
        if (found.sealed == 0)
                s->sealed_number = 0; /* what was damaged before is not store_mend()'s */
        if (wrong)
                diag_warning(d, (Span){0}, "%s/" STORE_SEALED " is damaged: %s", s->path, wrong);
        else if (found.armed && found.sealed == 0)
                diag_warning(d, (Span){0}, "%s/" STORE_SEALED " is missing", s->path);
        r = find_pending(s, &found, d);
        if (r < 0)
                return r;
        found.entry_is_usable = is_usable(s, found.pending.entry, found.sealed);
        found.fallback_is_usable = is_usable(s, found.pending.fallback.entry, found.sealed);
        *ret = found;
        return 0;
}

int store_list(Store *s, Arena *a, StoreListed **ret, size_t *ret_n, Diag *d) {
        const char *wrong;
        uint32_t sealed = sealed_number(s, &wrong), *numbers;
        StoreListed *listed;
        size_t n;
        int r = store_read_numbers(s, a, &numbers, &n);

        if (r < 0 && r != -ENOMEM)
                return diag_error(d, (Span){0}, "cannot read %s/" STORE_HISTORY ": %s", s->path,
                                  strerror(-r));
        listed = r == 0 ? arena_alloc_array(a, MAX(n, 1UL), sizeof(*listed)) : NULL;
        if (!listed)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                StoreListed *item = &listed[n - 1 - i];
                char name[STORE_NAME_MAX];

                store_history_name(numbers[i], name);
                r = store_read_entry(s, name, a, &item->entry, NULL, &item->damage);
                if (r == -ENOMEM)
                        return r;
                if (r == -ENOENT)
                        item->damage = "it is gone";
                item->entry.number = numbers[i];
                item->sealed = sealed == numbers[i];
                item->entry.confirmed |= item->sealed;
        }
        *ret = listed;
        *ret_n = n;
        return 0;
}
