/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "guard/store_internal.h"

#define SEALED "sealed"
#define STAGED "sealed.next"
#define HISTORY "history"
#define PENDING "pending"
#define RESCUE "rescue"
#define ARMED "armed"
#define LOCK "lock"

#define NAME_MAX_SIZE 32 /* bytes of "history/00000007" and its like, with the NUL */
#define LIST_MAX 4096    /* entries that are looked at, if somebody has put more there */

static const char pending_magic[STORE_MAGIC_SIZE + 1] = "RWPENDG1";
static const char rescue_magic[STORE_MAGIC_SIZE + 1] = "RWRESCU1";

static const char *entry_name(uint32_t number, char buf[NAME_MAX_SIZE]) {
        (void)snprintf(buf, NAME_MAX_SIZE, HISTORY "/%08" PRIu32, number);
        return buf;
}

/* ---- opening */

static int refuse(const char *folder, Diag *d, const char *why, int r) {
        (void)diag_error(d, (Span){0}, "%s %s", folder, why);
        return r;
}

/* Whoever can write here decides what is in force at the next boot. */
static int check_owner(int fd, const char *folder, Diag *d) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_uid != geteuid())
                return refuse(folder, d, "belongs to another user", -EBADMSG);
        if (st.st_mode & 022) {
                (void)diag_error(d, (Span){0}, "%s can be written by others", folder);
                diag_hint(d, "chmod 700 %s", folder);
                return -EBADMSG;
        }
        return 0;
}

static int take_lock(Store *s, Diag *d) {
        s->lock = openat(s->folder, LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        /* on a read-only disk there is nothing to guard against */
        if (s->lock < 0 && errno == EROFS)
                return 0;
        if (s->lock < 0)
                return -errno;
        if (flock(s->lock, LOCK_EX | LOCK_NB) < 0)
                return refuse(s->path, d, "is in use by another ringwalld", -EBUSY);
        return 0;
}

int store_open(const char *folder, StoreMode mode, Store **ret, Diag *d) {
        _cleanup_(store_closep) Store *s = calloc(1, sizeof(*s));
        int r;

        if (!s || sodium_init() < 0)
                return -ENOMEM;
        s->lock = -1;
        s->path = strdup(folder);
        s->folder = -1;
        if (!s->path)
                return -ENOMEM;
        if (mode == STORE_WRITE && mkdir(folder, 0700) < 0 && errno != EEXIST && errno != EROFS)
                return refuse(folder, d, strerror(errno), -EBADMSG);
        s->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->folder < 0 && errno == ENOENT)
                return -ENOENT;
        if (s->folder < 0)
                return refuse(folder, d, strerror(errno), -EBADMSG);
        r = check_owner(s->folder, folder, d);
        if (r == 0 && mode == STORE_WRITE)
                r = take_lock(s, d);
        if (r < 0)
                return r;
        if (mode == STORE_WRITE && mkdirat(s->folder, HISTORY, 0700) < 0 && errno != EEXIST &&
            errno != EROFS)
                return refuse(folder, d, strerror(errno), -EBADMSG);
        *ret = TAKE_PTR(s);
        return 0;
}

Store *store_close(Store *s) {
        if (!s)
                return NULL;
        if (s->folder >= 0)
                (void)close(s->folder); /* only read */
        if (s->lock >= 0)
                (void)close(s->lock); /* and so let go of */
        free((char *)(uintptr_t)s->path);
        free(s);
        return NULL;
}

/* ---- entries */

static int read_entry(Store *s,
                      const char *name,
                      Arena *a,
                      StoreEntry *ret,
                      StoreContent *ret_content,
                      const void **ret_raw,
                      size_t *ret_raw_size,
                      Diag *d) {
        const char *damage = NULL;
        StoreContent ignored;
        size_t size = 0;
        void *bytes;
        int r = store_read_file(s, name, STORE_ENTRY_MAX, a, &bytes, &size, d);

        if (r < 0)
                return r == -ENOENT ? r : -EBADMSG;
        r = store_decode_entry(a, bytes, size, ret, ret_content ? ret_content : &ignored, ret_raw,
                               ret_raw_size, &damage);
        if (r == -EBADMSG)
                (void)diag_error(d, (Span){0}, "%s/%s is damaged: %s", s->path, name, damage);
        return r;
}

int store_read(
        Store *s, uint32_t number, Arena *a, StoreEntry *ret, StoreContent *ret_content, Diag *d) {
        char name[NAME_MAX_SIZE];

        return read_entry(s, entry_name(number, name), a, ret, ret_content, NULL, NULL, d);
}

int store_read_sealed(Store *s, Arena *a, StoreEntry *ret, StoreContent *ret_content, Diag *d) {
        return read_entry(s, SEALED, a, ret, ret_content, NULL, NULL, d);
}

/* Whether it can be read, without a word. Its number goes to ret_number. */
static bool is_whole(Store *s, const char *name, uint32_t *ret_number) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *d = a ? diag_new(a) : NULL;
        StoreEntry entry;

        if (!d || read_entry(s, name, a, &entry, NULL, NULL, NULL, d) < 0)
                return false;
        if (ret_number)
                *ret_number = entry.number;
        return true;
}

static int compare_numbers(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return x < y ? 1 : x > y ? -1 : 0; /* the newest first */
}

/* The numbers that history has, the newest first. */
static int list_numbers(Store *s, Arena *a, uint32_t **ret, size_t *ret_n) {
        int fd = openat(s->folder, HISTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
        uint32_t *list = NULL;
        struct dirent *e;
        size_t n = 0;

        *ret = NULL;
        *ret_n = 0;
        if (!folder)
                return errno == ENOENT ? 0 : -errno;
        while (n < LIST_MAX && (e = readdir(folder)) != NULL) {
                unsigned long number = strtoul(e->d_name, NULL, 10);

                if (strlen(e->d_name) != 8 || strspn(e->d_name, "0123456789") != 8 || number == 0)
                        continue;
                if (!arena_append(a, list, n, (uint32_t)number))
                        break;
        }
        (void)closedir(folder); /* only read */
        if (n > 0)
                qsort(list, n, sizeof(*list), compare_numbers);
        *ret = list;
        *ret_n = n;
        return 0;
}

static int read_header(Store *s, uint32_t number, Arena *a, StoreEntry *ret, const char **damage) {
        char name[NAME_MAX_SIZE];
        _cleanup_close_ int fd =
                openat(s->folder, entry_name(number, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        unsigned char buf[STORE_HEADER_MAX];
        ssize_t n = fd >= 0 ? pread(fd, buf, sizeof(buf), 0) : -1;

        if (n < 0) {
                *damage = "it cannot be read";
                return -EBADMSG;
        }
        return store_decode_entry(a, buf, (size_t)n, ret, NULL, NULL, NULL, damage);
}

int store_list(Store *s, Arena *a, StoreListed **ret, size_t *ret_n, Diag *d) {
        uint32_t *numbers, sealed = 0;
        StoreListed *list;
        size_t n;
        int r = list_numbers(s, a, &numbers, &n);

        if (r < 0)
                return diag_error(d, (Span){0}, "%s/" HISTORY " cannot be listed: %s", s->path,
                                  strerror(-r));
        (void)is_whole(s, SEALED, &sealed);
        list = arena_alloc_array(a, MAX(n, 1UL), sizeof(*list));
        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                if (read_header(s, numbers[i], a, &list[i].entry, &list[i].damage) < 0)
                        list[i].entry = (StoreEntry){.number = numbers[i]};
                list[i].entry.number = numbers[i];
                list[i].sealed = sealed == numbers[i];
        }
        *ret = list;
        *ret_n = n;
        return 0;
}

/* Unconfirmed ones go first, the oldest first; never the newest, or one that is needed. */
static void forget_old(Store *s, Arena *a, const uint32_t *keep, size_t n_keep, Diag *d) {
        StoreListed *list;
        size_t n, left;

        if (store_list(s, a, &list, &n, d) < 0)
                return;
        left = n;
        for (unsigned int confirmed = 0; confirmed < 2; confirmed++)
                for (size_t i = n; i > 1 && left > STORE_HISTORY_MAX; i--) {
                        StoreListed *l = &list[i - 1];
                        bool needed = l->sealed || l->entry.number == 0 ||
                                      l->entry.confirmed != confirmed;
                        char name[NAME_MAX_SIZE];

                        for (size_t j = 0; j < n_keep; j++)
                                needed |= keep[j] == l->entry.number;
                        if (needed)
                                continue;
                        if (store_remove_file(s, entry_name(l->entry.number, name), d) == 0)
                                left--;
                        l->entry.number = 0;
                }
}

int store_add(Store *s, StoreEntry *entry, const StoreContent *content, Diag *d) {
        _cleanup_(byte_writer_donep) ByteWriter w = {0};
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        uint32_t *numbers, sealed = 0;
        char name[NAME_MAX_SIZE];
        size_t n;
        int r = a ? list_numbers(s, a, &numbers, &n) : -ENOMEM;

        if (r < 0)
                return r == -ENOMEM
                               ? r
                               : diag_error(d, (Span){0}, "%s/" HISTORY " cannot be listed: %s",
                                            s->path, strerror(-r));
        (void)is_whole(s, SEALED, &sealed);
        entry->number = MAX(n > 0 ? numbers[0] : 0, sealed) + 1;
        r = store_encode_entry(entry, content, &w);
        if (r == 0)
                r = store_write_file(s, entry_name(entry->number, name), w.bytes, w.size, d);
        if (r == 0) {
                _cleanup_(arena_freep) Arena *scratch = arena_new(0);
                ConfirmFound found = {0};
                Diag *quiet = scratch ? diag_new(scratch) : NULL;
                uint32_t keep[3] = {entry->number};

                if (quiet && store_find(s, &found, quiet) == 0) {
                        keep[1] = found.pending.entry;
                        keep[2] = found.pending.fallback.entry;
                        forget_old(s, a, keep, ARRAY_SIZE(keep), quiet);
                }
        }
        return r;
}

/* A copy of an entry's file under another name. */
static int copy_entry(Store *s, uint32_t number, const char *to, Diag *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        char name[NAME_MAX_SIZE];
        StoreContent content;
        StoreEntry entry;
        size_t size = 0;
        void *bytes;
        int r;

        if (!a)
                return -ENOMEM;
        r = read_entry(s, entry_name(number, name), a, &entry, &content, NULL, NULL, d);
        if (r == -ENOENT)
                r = diag_error(d, (Span){0}, "there is no change %" PRIu32, number);
        if (r == 0)
                r = store_read_file(s, name, STORE_ENTRY_MAX, a, &bytes, &size, d);
        return r == 0 ? store_write_file(s, to, bytes, size, d) : r;
}

int store_stage(Store *s, uint32_t number, Diag *d) {
        uint32_t staged;

        /* the room that an older one took is needed, perhaps */
        if (is_whole(s, STAGED, &staged) && staged == number)
                return 0;
        return copy_entry(s, number, STAGED, d);
}

/* In history, too, it shall be told. */
static int
mark_confirmed(Store *s, uint32_t number, uint64_t now_usec, const StoreCaller *by, Diag *d) {
        _cleanup_(byte_writer_donep) ByteWriter w = {0};
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        char name[NAME_MAX_SIZE];
        StoreContent content;
        StoreEntry entry;
        const void *raw;
        size_t size;
        int r = a ? read_entry(s, entry_name(number, name), a, &entry, &content, &raw, &size, d)
                  : -ENOMEM;

        if (r < 0)
                return r;
        entry.confirmed = true;
        entry.confirmed_usec = now_usec;
        if (by)
                entry.confirmed_by = *by;
        r = store_encode_header(&entry, raw, size, &w);
        return r == 0 ? store_write_file(s, name, w.bytes, w.size, d) : r;
}

int store_seal(Store *s, uint32_t number, uint64_t now_usec, const StoreCaller *by, Diag *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *quiet = a ? diag_new(a) : NULL;
        int r = store_stage(s, number, d);

        if (r == 0)
                r = store_rename_file(s, STAGED, SEALED, d);
        if (r < 0)
                return r;
        if (!quiet || mark_confirmed(s, number, now_usec, by, quiet) < 0)
                diag_warning(
                        d, (Span){0},
                        "change %" PRIu32 " is confirmed, but %s/" HISTORY " cannot be told so: %s",
                        number, s->path,
                        quiet && quiet->n_messages > 0 ? quiet->messages[0].text : "out of memory");
        if (!store_has_file(s, ARMED) && quiet)
                (void)store_write_file(s, ARMED, "", 0, quiet); /* `sealed` says so, too */
        return 0;
}

/* ---- pending, rescue */

int store_write_pending(Store *s, const Pending *pending, Diag *d) {
        _cleanup_(byte_writer_donep) ByteWriter w = {0};

        bytes_put_number(&w, pending->entry);
        bytes_put_number(&w, (uint64_t)pending->fallback.kind);
        bytes_put_number(&w, pending->fallback.entry);
        bytes_put_number(&w, pending->deadline_usec);
        bytes_put_number(&w, pending->deadline_realtime_usec);
        bytes_put_string(&w, pending->boot);
        return store_write_small(s, PENDING, pending_magic, &w, d);
}

int store_remove_pending(Store *s, Diag *d) {
        return store_remove_file(s, PENDING, d);
}

static int read_pending(Store *s, Arena *a, Pending *ret, Diag *d) {
        const char *boot;
        ByteReader r;
        int error = store_read_small(s, PENDING, pending_magic, a, &r, d);

        if (error < 0)
                return error;
        ret->entry = (uint32_t)bytes_get_number(&r, UINT32_MAX);
        ret->fallback.kind = (TargetKind)bytes_get_number(&r, TARGET_ENTRY);
        ret->fallback.entry = (uint32_t)bytes_get_number(&r, UINT32_MAX);
        ret->deadline_usec = bytes_get_number(&r, UINT64_MAX);
        ret->deadline_realtime_usec = bytes_get_number(&r, UINT64_MAX);
        boot = bytes_get_string(&r, a);
        if (r.wrong || !boot || strlen(boot) >= sizeof(ret->boot))
                return -EBADMSG;
        (void)snprintf(ret->boot, sizeof(ret->boot), "%s", boot);
        return 0;
}

static bool entry_is_whole(Store *s, uint32_t number) {
        char name[NAME_MAX_SIZE];
        uint32_t sealed;

        return number > 0 && (is_whole(s, entry_name(number, name), NULL) ||
                              (is_whole(s, SEALED, &sealed) && sealed == number));
}

int store_find(Store *s, ConfirmFound *ret, Diag *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        ConfirmFound found = {0};
        int r;

        if (!a)
                return -ENOMEM;
        if (!is_whole(s, SEALED, &found.sealed)) {
                found.sealed = 0;
                if (store_has_file(s, SEALED))
                        diag_warning(d, (Span){0}, "%s/" SEALED " is damaged", s->path);
        }
        found.armed = found.sealed > 0 || store_has_file(s, SEALED) || store_has_file(s, ARMED);
        found.first = found.sealed > 0 ? found.sealed : store_next_copy(s, 0);
        r = read_pending(s, a, &found.pending, d);
        found.pending_state = r == 0 ? PENDING_READ : r == -ENOENT ? PENDING_NONE : PENDING_DAMAGED;
        if (r == 0) {
                found.entry_is_usable = entry_is_whole(s, found.pending.entry);
                found.fallback_is_usable = found.pending.fallback.kind != TARGET_ENTRY ||
                                           entry_is_whole(s, found.pending.fallback.entry);
        }
        *ret = found;
        return 0;
}

uint32_t store_next_copy(Store *s, uint32_t after) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *d = a ? diag_new(a) : NULL;
        uint32_t sealed = 0;
        StoreListed *list;
        size_t n;

        if (!d || store_list(s, a, &list, &n, d) < 0)
                return 0;
        (void)is_whole(s, SEALED, &sealed);
        for (size_t i = 0; i < n; i++) {
                const StoreEntry *e = &list[i].entry;

                /* behind the sealed copy come all others; behind one of those the older ones */
                if (list[i].damage || !e->confirmed || e->number == sealed ||
                    (after > 0 && after != sealed && e->number >= after) ||
                    !entry_is_whole(s, e->number))
                        continue;
                return e->number;
        }
        return 0;
}

static int read_rescue(Store *s, Arena *a, StorePeer **ret, size_t *ret_n, Diag *d) {
        StorePeer *list = arena_alloc_array(a, STORE_RESCUE_MAX, sizeof(*list));
        size_t n = 0, found;
        ByteReader r;
        int error;

        if (!list)
                return -ENOMEM;
        *ret = list;
        *ret_n = 0;
        error = store_read_small(s, RESCUE, rescue_magic, a, &r, d);
        if (error < 0)
                return error == -ENOMEM ? error : 0;
        found = bytes_get_count(&r, 3);
        for (; n < found && n < STORE_RESCUE_MAX; n++) {
                list[n].family = (Family)bytes_get_number(&r, _FAMILY_MAX - 1);
                list[n].address.high = bytes_get_number(&r, UINT64_MAX);
                list[n].address.low = bytes_get_number(&r, UINT64_MAX);
        }
        *ret_n = r.wrong ? 0 : n;
        return 0;
}

int store_read_rescue(Store *s, Arena *a, StorePeer **ret, size_t *ret_n, Diag *d) {
        return read_rescue(s, a, ret, ret_n, d);
}

int store_remember_peer(Store *s, StorePeer peer, Diag *d) {
        _cleanup_(byte_writer_donep) ByteWriter w = {0};
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        StorePeer *old, list[STORE_RESCUE_MAX] = {peer};
        size_t n_old, n = 1;
        int r = a ? read_rescue(s, a, &old, &n_old, d) : -ENOMEM;

        for (size_t i = 0; r == 0 && i < n_old && n < STORE_RESCUE_MAX; i++)
                if (old[i].family != peer.family || !u128_equal(old[i].address, peer.address))
                        list[n++] = old[i];
        if (r < 0)
                return r;
        bytes_put_number(&w, n);
        for (size_t i = 0; i < n; i++) {
                bytes_put_number(&w, (uint64_t)list[i].family);
                bytes_put_number(&w, list[i].address.high);
                bytes_put_number(&w, list[i].address.low);
        }
        return store_write_small(s, RESCUE, rescue_magic, &w, d);
}

int store_settings(Arena *a, const Policy *policy, StoreSettings *ret) {
        const Settings *s = &policy->settings;
        StoreSettings settings = {
                .confirm = s->confirm,
                .mark = s->mark,
                .cut_denied = s->cut_denied,
                .ownership = s->ownership,
                .drift = s->drift,
        };

        for (size_t i = 0; i < s->rescue.n_terms; i++) {
                const ZoneTerm *t = &s->rescue.terms[i];
                ZonePart written = {.any_interface = true};

                for (size_t j = 0; t->zone && j < t->zone->n_parts; j++)
                        if (!arena_append(a, settings.rescue, settings.n_rescue, t->zone->parts[j]))
                                return -ENOMEM;
                if (t->zone)
                        continue;
                if (range_set_add(a, &written.addresses[t->family], t->range) < 0 ||
                    !arena_append(a, settings.rescue, settings.n_rescue, written))
                        return -ENOMEM;
        }
        if (s->rescue.given && !s->rescue.restricts) {
                ZonePart all = {.any_interface = true, .any_address = true};

                if (!arena_append(a, settings.rescue, settings.n_rescue, all))
                        return -ENOMEM;
        }
        *ret = settings;
        return 0;
}
