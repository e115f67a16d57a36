/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "guard/lockdown_file.h"
#include "guard/store_disk.h"

int store_refuse(const Store *s, Diag *d, const char *name, int error) {
        const char *slash = name ? "/" : "";

        if (error == -ENOMEM)
                return error;
        name = name ? name : "";
        switch (error) {
        case -ENOSPC:
        case -EDQUOT:
                (void)diag_error(d, (Span){0},
                                 "cannot write %s%s%s: the disk is full; nothing has changed",
                                 s->path, slash, name);
                diag_hint(d, "make room in the file system of %s, and try again", s->path);
                break;
        case -EROFS:
                (void)diag_error(
                        d, (Span){0},
                        "cannot write %s%s%s: the file system is read-only; nothing has changed",
                        s->path, slash, name);
                diag_hint(d,
                          "the kernel's log may say why; once it is sound: mount -o remount,rw "
                          "$(findmnt -n -o TARGET -T %s)",
                          s->path);
                break;
        default:
                (void)diag_error(d, (Span){0}, "cannot write %s%s%s: %s; nothing has changed",
                                 s->path, slash, name, strerror(-error));
                break;
        }
        return -EBADMSG;
}

static int write_frame(int folder,
                       const char *name,
                       FrameKind kind,
                       const ByteWriter *meta,
                       const void *body,
                       size_t size) {
        _cleanup_(byte_writer_donep) ByteWriter out = {0};

        store_put_frame(&out, kind, meta, body, size);
        return out.failed ? -ENOMEM : file_replace(folder, name, out.bytes, out.size);
}

int store_write_entry(const Store *s,
                      bool history,
                      const char *name,
                      const StoreEntry *entry,
                      const void *body,
                      size_t size) {
        _cleanup_(byte_writer_donep) ByteWriter meta = {0};

        store_put_entry(&meta, entry);
        return write_frame(history ? s->history : s->folder, name, FRAME_ENTRY, &meta, body, size);
}

int store_mark_confirmed(const Store *s,
                         uint32_t number,
                         uint64_t now_usec,
                         const StoreCaller *by) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        char name[STORE_NAME_MAX];
        const char *wrong;
        StoreEntry entry;
        ByteReader meta;
        Frame f;
        int r;

        if (!a)
                return -ENOMEM;
        if (s->history < 0)
                return -ENOENT;
        /* from the sealed copy: so history gets back what it may have lost */
        r = store_read_frame(s, STORE_SEALED, FRAME_ENTRY, true, a, &f, &wrong);
        if (r < 0)
                return r;
        meta = byte_reader(f.meta, f.meta_size);
        store_get_entry(&meta, a, &entry);
        if (meta.wrong || entry.number != number)
                return -EBADMSG;
        entry.confirmed = true;
        entry.confirmed_usec = now_usec;
        entry.confirmed_by = by ? *by : (StoreCaller){0};
        return store_write_entry(s, true, store_entry_name(number, name), &entry, f.body,
                                 f.body_size);
}

/* What must not go from history. */
typedef struct Kept {
        uint32_t sealed, entry, fallback, added;
} Kept;

static Kept find_kept(const Store *s, uint32_t added) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        StoreEntry sealed = {0};
        Pending pending = {0};
        const char *wrong;

        if (a)
                (void)store_read_entry(s, STORE_SEALED, a, &sealed, NULL, &wrong);
        if (store_read_pending(s, &pending, &wrong) < 0)
                pending = (Pending){0};
        return (Kept){sealed.number, pending.entry, pending.fallback.entry, added};
}

static bool is_kept(const Kept *kept, uint32_t number) {
        return number == kept->sealed || number == kept->entry || number == kept->fallback ||
               number == kept->added;
}

static bool is_confirmed(const Store *s, uint32_t number) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        char name[STORE_NAME_MAX];
        StoreEntry entry;
        const char *wrong;

        return a &&
               store_read_entry(s, store_history_name(number, name), a, &entry, NULL, &wrong) ==
                       0 &&
               entry.confirmed;
}

/* The one to go next: the oldest that was not confirmed, else the oldest; or n. */
static size_t find_oldest(const Store *s, const Kept *kept, const uint32_t *numbers, size_t n) {
        size_t oldest = n;

        for (size_t i = 0; i < n; i++) {
                if (numbers[i] == 0 || is_kept(kept, numbers[i]))
                        continue;
                if (oldest == n)
                        oldest = i;
                if (!is_confirmed(s, numbers[i]))
                        return i;
        }
        return oldest;
}

/* History that stays too long harms nobody: errors are passed over. */
static void forget_oldest(const Store *s, uint32_t added) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        uint32_t *numbers;
        char name[STORE_NAME_MAX];
        size_t n;
        Kept kept;

        if (!a || store_read_numbers(s, a, &numbers, &n) < 0 || n <= STORE_HISTORY_MAX)
                return;
        kept = find_kept(s, added);
        for (size_t too_many = n - STORE_HISTORY_MAX; too_many > 0; too_many--) {
                size_t i = find_oldest(s, &kept, numbers, n);

                if (i == n || file_remove(s->history, store_entry_name(numbers[i], name)) < 0)
                        return;
                numbers[i] = 0;
        }
}

static int next_number(const Store *s, uint32_t *ret) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Kept kept = find_kept(s, 0);
        uint32_t *numbers, highest;
        size_t n;
        int r = a ? store_read_numbers(s, a, &numbers, &n) : -ENOMEM;

        if (r < 0)
                return r;
        highest = n > 0 ? numbers[n - 1] : 0;
        highest = MAX(MAX(highest, kept.sealed), MAX(kept.entry, kept.fallback));
        if (highest == UINT32_MAX)
                return -EOVERFLOW;
        *ret = highest + 1;
        return 0;
}

int store_open_history(Store *s) {
        if (s->history >= 0)
                return 0;
        if (mkdirat(s->folder, STORE_HISTORY, 0700) < 0 && errno != EEXIST)
                return -errno;
        if (fsync(s->folder) < 0)
                return -errno;
        s->history = openat(s->folder, STORE_HISTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return s->history < 0 ? -errno : 0;
}

static int check_text(Diag *d, const char *what, const char *text) {
        if (!text || strlen(text) <= STORE_TEXT_MAX)
                return 0;
        return diag_error(d, (Span){0}, "%s is longer than %d bytes", what, STORE_TEXT_MAX);
}

int store_add(Store *s, StoreEntry *entry, const StoreContent *content, Diag *d) {
        _cleanup_(byte_writer_donep) ByteWriter body = {0};
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        StoreEntry added = *entry;
        char name[STORE_NAME_MAX];
        const char *wrong;
        int r;

        assert(s->writable);
        added.confirmed = false;
        if (check_text(d, "the message", added.message) < 0 ||
            check_text(d, "the user's name", added.by.user) < 0)
                return -EBADMSG;
        store_put_content(&body, content);
        if (!a || body.failed)
                return -ENOMEM;
        if (body.size > STORE_ENTRY_MAX)
                return diag_error(d, (Span){0}, "the compiled policy is larger than %zu MiB",
                                  STORE_ENTRY_MAX >> 20);
        r = store_open_history(s);
        if (r == 0)
                r = next_number(s, &added.number);
        if (r < 0)
                return store_refuse(s, d, STORE_HISTORY, r);
        store_history_name(added.number, name);
        r = store_write_entry(s, true, name + strlen(STORE_HISTORY "/"), &added, body.bytes,
                              body.size);
        if (r < 0)
                return store_refuse(s, d, name, r);
        /* what cannot be read now could not be fallen back to later */
        r = store_read_entry(s, name, a, &added, &(StoreContent){0}, &wrong);
        if (r < 0)
                return r == -EBADMSG ? diag_error(d, (Span){0},
                                                  "%s/%s was just written, and is damaged: %s",
                                                  s->path, name, wrong)
                                     : r;
        entry->number = added.number;
        entry->confirmed = false;
        memcpy(entry->digest, added.digest, sizeof(entry->digest));
        forget_oldest(s, added.number);
        return 0;
}

/* The bytes of an entry as they are, from history or the sealed copy. */
static int copy_to_stage(Store *s, uint32_t number, Arena *a, const char **ret_wrong) {
        char history[STORE_NAME_MAX];
        const char *names[] = {store_history_name(number, history), STORE_SEALED};
        int r = -ENOENT;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                ByteReader meta;
                StoreEntry entry;
                Frame f;

                r = store_read_frame(s, names[i], FRAME_ENTRY, true, a, &f, ret_wrong);
                if (r < 0)
                        continue;
                meta = byte_reader(f.meta, f.meta_size);
                store_get_entry(&meta, a, &entry);
                if (!meta.wrong && entry.number == number)
                        return store_write_entry(s, false, STORE_STAGED, &entry, f.body,
                                                 f.body_size);
                r = -ENOENT;
        }
        return r;
}

int store_stage(Store *s, uint32_t number, Diag *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const char *wrong = NULL;
        char name[STORE_NAME_MAX];
        int r = a ? copy_to_stage(s, number, a, &wrong) : -ENOMEM;

        assert(s->writable);
        store_history_name(number, name);
        if (r == 0 && !store_holds(s, STORE_STAGED, number))
                r = -EIO;
        if (r == -ENOENT || r == -EBADMSG)
                return diag_error(
                        d, (Span){0}, "%s/%s is %s%s", s->path, name,
                        r == -ENOENT ? "missing" : "damaged: ", r == -ENOENT ? "" : wrong);
        return r < 0 ? store_refuse(s, d, STORE_STAGED, r) : 0;
}

int store_seal(Store *s, uint32_t number, uint64_t now_usec, const StoreCaller *by, Diag *d) {
        char name[STORE_NAME_MAX];
        int r;

        assert(s->writable);
        if (!store_holds(s, STORE_STAGED, number)) {
                r = store_stage(s, number, d);
                if (r < 0)
                        return r;
        }
        if (renameat(s->folder, STORE_STAGED, s->folder, STORE_SEALED) < 0)
                return store_refuse(s, d, STORE_SEALED, -errno);
        /* from here on it is sealed, whatever else fails */
        store_hold_sealed(s);
        if (fsync(s->folder) < 0)
                diag_warning(d, (Span){0},
                             "the disk does not say that %s/" STORE_SEALED " is safe: %s", s->path,
                             strerror(errno));
        r = store_mark_confirmed(s, number, now_usec, by);
        if (r < 0)
                diag_warning(d, (Span){0}, "%s/%s cannot tell when it was confirmed: %s", s->path,
                             store_history_name(number, name), strerror(-r));
        r = faccessat(s->folder, STORE_ARMED, F_OK, 0) < 0
                    ? file_replace(s->folder, STORE_ARMED, "", 0)
                    : 0;
        if (r < 0)
                diag_warning(d, (Span){0}, "cannot write %s/" STORE_ARMED ": %s", s->path,
                             strerror(-r));
        return 0;
}

int store_write_pending(Store *s, const Pending *pending, Diag *d) {
        _cleanup_(byte_writer_donep) ByteWriter meta = {0};
        const char *wrong;
        Pending there;
        int r;

        assert(s->writable);
        store_put_pending(&meta, pending);
        r = write_frame(s->folder, STORE_PENDING, FRAME_PENDING, &meta, NULL, 0);
        if (r == 0)
                return 0;
        /* it may be there all the same, though not for certain: what waits for nothing must go */
        if (store_read_pending(s, &there, &wrong) == 0 && there.entry == pending->entry &&
            there.armed_usec == pending->armed_usec)
                (void)unlinkat(s->folder, STORE_PENDING, 0);
        return store_refuse(s, d, STORE_PENDING, r);
}

int store_remove_pending(Store *s, Diag *d) {
        int r = file_remove(s->folder, STORE_PENDING);

        assert(s->writable);
        return r < 0 ? store_refuse(s, d, STORE_PENDING, r) : 0;
}

int store_remember_peer(Store *s, StorePeer peer, Diag *d) {
        _cleanup_(byte_writer_donep) ByteWriter meta = {0};
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        StorePeer *known, peers[STORE_RESCUE_MAX] = {peer};
        size_t n_known = 0, n = 1;
        int r;

        assert(s->writable);
        r = a ? store_read_rescue(s, a, &known, &n_known, diag_new(a)) : -ENOMEM;
        if (r < 0)
                return r;
        for (size_t i = 0; i < n_known && n < STORE_RESCUE_MAX; i++)
                if (known[i].family != peer.family || known[i].port != peer.port ||
                    !u128_equal(known[i].address, peer.address))
                        peers[n++] = known[i];
        store_put_rescue(&meta, peers, n);
        r = write_frame(s->folder, STORE_RESCUE, FRAME_RESCUE, &meta, NULL, 0);
        return r < 0 ? store_refuse(s, d, STORE_RESCUE, r) : 0;
}

int store_write_lockdown(Store *s, const void *bytes, size_t size) {
        int r = file_replace(s->folder, LOCKDOWN_FILE, bytes, size);

        s->lockdown_mark = r == 0 ? store_mark(s, LOCKDOWN_FILE) : (StoreMark){0};
        return r;
}

bool store_has_lockdown(const Store *s) {
        return store_is_marked(s, LOCKDOWN_FILE, &s->lockdown_mark);
}

bool store_had_lockdown(const Store *s) {
        return s->lockdown_mark.inode != 0;
}
