/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/event_log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"

#define FILE_MAX (4 * EVENT_LOG_SIZE) /* bytes that are read of one */
#define LINE_MAX_SIZE (EVENT_HASH_TEXT + 2 * TEXT_NUMBER_MAX + 32 + EVENT_TEXT_MAX)
#define CHAIN "chain" /* behind the hash that a file goes on from, in its first line */
#define WRONG_MAX 20  /* places that are told of */

static const struct {
        const char *name, *id;
} kinds[_EVENT_KIND_MAX] = {
        [EVENT_NOTE] = {"note", "441793cb8b4e44e5aa947ca338516907"},
        [EVENT_IN_FORCE] = {"in-force", "a20aecc9fcea40088b6923129882a3bf"},
        [EVENT_CONFIRMED] = {"confirmed", "85fd85696d2b4eaaaf35d2c2091429a7"},
        [EVENT_UNDONE] = {"undone", "e2e250b6db0b429fa3b4b974ecf4eec7"},
        [EVENT_LOCKDOWN] = {"lockdown", "9741edc30dea4b298d148f31221814e8"},
        [EVENT_UNLOADED] = {"unloaded", "7e7b15a8de364cf992374c83b7c67a1b"},
        [EVENT_CUT] = {"cut", "c2c4018785704c47a636a0f0f2ae2d3b"},
        [EVENT_DRIFT] = {"drift", "08b56f7f91f34fb286ca861ae9fa056e"},
        [EVENT_HEALED] = {"healed", "92345a8a5d614bf8889a45946ce02b14"},
        [EVENT_PANIC] = {"panic", "8e278fbfe93d4432b316a81345c0671d"},
        [EVENT_ALERT] = {"alert", "268583b998a2470c8657ba2456169a42"},
        [EVENT_UNDECIDED] = {"undecided", "5a16b142b841455db35512e84af2bc36"},
        [EVENT_HOLDS] = {"holds", "82228638aaa54e64a9b4fb3475acafff"},
        [EVENT_NOTICE] = {"notice", "c348505173934b5faf43c84e7c1eb21a"},
        [EVENT_FAILURE] = {"failure", "699ef8b235f549b78be729dfdd982ba1"},
        [EVENT_TAMPERED] = {"tampered", "bcea6e1dd6a7410ba958c04bd0da7ea2"},
        [EVENT_TAKEOVER] = {"takeover", "4f0c7d3a1be84f6f9a52d86c0e7b3195"},
};

const char *event_kind_to_string(EventKind kind) {
        return kinds[kind].name;
}

EventKind event_kind_from_string(const char *s) {
        for (EventKind kind = 0; kind < _EVENT_KIND_MAX; kind++)
                if (streq(kinds[kind].name, s))
                        return kind;
        return _EVENT_KIND_INVALID;
}

const char *event_kind_id(EventKind kind) {
        return kinds[kind].id;
}

/* Of the line without its own hash. */
static void hash_line(const unsigned char *before,
                      const char *line,
                      size_t size,
                      unsigned char ret[EVENT_HASH_SIZE]) {
        crypto_generichash_state state;

        /* these never fail for such sizes */
        (void)crypto_generichash_init(&state, NULL, 0, EVENT_HASH_SIZE);
        (void)crypto_generichash_update(&state, before, EVENT_HASH_SIZE);
        (void)crypto_generichash_update(&state, (const unsigned char *)line, size);
        (void)crypto_generichash_final(&state, ret, EVENT_HASH_SIZE);
}

static void hash_text(const unsigned char *hash, char ret[EVENT_HASH_TEXT]) {
        (void)sodium_bin2hex(ret, EVENT_HASH_TEXT, hash, EVENT_HASH_SIZE);
}

static bool hash_parse(const char *text, size_t size, unsigned char *ret) {
        size_t n = 0;

        return sodium_hex2bin(ret, EVENT_HASH_SIZE, text, size, NULL, &n, NULL) == 0 &&
               n == EVENT_HASH_SIZE;
}

/* ---- reading */

/* One line of a file, as far as it can be understood. */
typedef struct Line {
        const char *body; /* what is hashed */
        size_t body_size;
        bool has_hash, is_event, is_chain, is_whole;
        unsigned char hash[EVENT_HASH_SIZE];
        Event event;
} Line;

/* The next word of a line; false at its end. Words are ended by one space. */
static bool take_word(Arena *a, const char **p, const char *end, const char **ret) {
        const char *space = memchr(*p, ' ', (size_t)(end - *p));

        if (!space)
                return false;
        *ret = arena_strndup(a, *p, (size_t)(space - *p));
        *p = space + 1;
        return *ret != NULL;
}

static void parse_event(Arena *a, const char *p, const char *end, Line *line) {
        const char *number, *time, *kind;
        Event *e = &line->event;

        if (!take_word(a, &p, end, &number) || !take_word(a, &p, end, &time) ||
            !take_word(a, &p, end, &kind) || !text_to_number(number, 1, UINT64_MAX, &e->number) ||
            !text_to_number(time, 0, UINT64_MAX, &e->time_usec))
                return;
        e->kind = event_kind_from_string(kind);
        e->text = arena_strndup(a, p, (size_t)(end - p));
        line->is_event = e->kind >= 0 && e->text;
}

static void parse_line(Arena *a, const char *p, const char *end, Line *ret) {
        *ret = (Line){.is_whole = true};
        if (end - p > EVENT_HASH_TEXT && p[EVENT_HASH_TEXT - 1] == ' ')
                ret->has_hash = hash_parse(p, EVENT_HASH_TEXT - 1, ret->hash);
        if (!ret->has_hash)
                return;
        ret->body = p + EVENT_HASH_TEXT;
        ret->body_size = (size_t)(end - ret->body);
        ret->is_chain =
                ret->body_size == strlen(CHAIN) && memcmp(ret->body, CHAIN, ret->body_size) == 0;
        parse_event(a, ret->body, end, ret);
}

typedef int LineTake(const char *file, unsigned int number, const Line *line, void *to);

/* Hands over every line of a file, the last one also if it is broken off. */
static int read_lines(int folder, const char *file, Arena *a, LineTake *take, void *to) {
        _cleanup_close_ int fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        unsigned int number = 1;
        size_t size;
        char *text;
        int r;

        if (fd < 0)
                return -errno;
        r = file_read_fd(a, fd, FILE_MAX, &text, &size);
        for (const char *p = text; r == 0 && p < text + size; number++) {
                const char *end = memchr(p, '\n', (size_t)(text + size - p));
                Line line;

                parse_line(a, p, end ? end : text + size, &line);
                line.is_whole = end != NULL;
                r = take(file, number, &line, to);
                p = end ? end + 1 : text + size;
        }
        return r;
}

/* Both files, the older one first; that it is missing is no error. */
static int read_both(int folder, Arena *a, LineTake *take, void *to) {
        int r = read_lines(folder, EVENT_LOG_OLD, a, take, to);

        return r < 0 && r != -ENOENT ? r : read_lines(folder, EVENT_LOG_FILE, a, take, to);
}

typedef struct Collector {
        Arena *arena;
        EventList list;
} Collector;

static int collect(const char *file, unsigned int number, const Line *line, void *to) {
        Collector *c = to;

        if (!line->is_event)
                return 0;
        return arena_append(c->arena, c->list.items, c->list.n_items, line->event) ? 0 : -ENOMEM;
}

int event_log_read(int folder, Arena *a, EventList *ret) {
        Collector c = {.arena = a};
        int r = read_both(folder, a, collect, &c);

        *ret = c.list;
        return r;
}

/* ---- the chain */

typedef struct Walk {
        Diag *d;
        unsigned char hash[EVENT_HASH_SIZE]; /* of the line before */
        bool has_hash, begun;
        bool from_first; /* nothing is before what is kept */
        uint64_t number;
        EventCheck check;
        size_t n_wrong;
} Walk;

static void complain(Walk *w, const char *file, unsigned int number, const char *what) {
        if (w->n_wrong++ < WRONG_MAX)
                (void)diag_error(w->d, (Span){0}, "%s, line %u: %s", file, number, what);
}

static void walk_chain(Walk *w, const char *file, unsigned int number, const Line *line) {
        if (w->begun && memcmp(w->hash, line->hash, sizeof(w->hash)) != 0)
                complain(w, file, number, "it does not go on where the file before ends");
        /* the file before this one is kept */
        if (!w->begun && streq(file, EVENT_LOG_FILE) &&
            !sodium_is_zero(line->hash, sizeof(line->hash)))
                complain(w, file, number, EVENT_LOG_OLD ", the file before it, is gone");
        if (!w->begun)
                w->from_first = sodium_is_zero(line->hash, sizeof(line->hash));
        memcpy(w->hash, line->hash, sizeof(w->hash));
        w->has_hash = true;
}

static int walk(const char *file, unsigned int number, const Line *line, void *to) {
        unsigned char hash[EVENT_HASH_SIZE];
        Walk *w = to;

        if (!line->is_whole)
                complain(w, file, number, "broken off");
        else if (!line->is_event && !line->is_chain)
                complain(w, file, number, "no event");
        if (line->is_chain)
                walk_chain(w, file, number, line);
        if (!line->is_event)
                return 0;
        hash_line(w->hash, line->body, line->body_size, hash);
        if (!w->has_hash)
                complain(w, file, number, "what stood before it is gone");
        else if (memcmp(hash, line->hash, sizeof(hash)) != 0)
                complain(w, file, number,
                         (w->begun || w->from_first) && line->event.number != w->number + 1
                                 ? "events are missing before this one"
                                 : "it was changed, or what stood before it");
        if (!w->begun)
                w->check.first = line->event.number;
        w->begun = w->has_hash = true;
        w->number = line->event.number;
        memcpy(w->hash, line->hash, sizeof(w->hash));
        w->check.n_events++;
        return 0;
}

/* "NUMBER HASH". False if it cannot be read. */
static bool read_head(int folder, Arena *a, uint64_t *ret_number, unsigned char *ret_hash) {
        _cleanup_close_ int fd = openat(folder, EVENT_LOG_HEAD, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        char *text, *space;
        size_t size;

        if (fd < 0 || file_read_fd(a, fd, LINE_MAX_SIZE, &text, &size) < 0)
                return false;
        text += strspn(text, " "); /* the number is padded */
        space = strchr(text, ' ');
        if (!space)
                return false;
        *space = '\0';
        return text_to_number(text, 0, UINT64_MAX, ret_number) &&
               hash_parse(space + 1, strcspn(space + 1, "\n"), ret_hash);
}

static int follow(int folder, Arena *a, Walk *w) {
        unsigned char hash[EVENT_HASH_SIZE];
        uint64_t number;
        int r;

        if (sodium_init() < 0)
                return -ENOMEM;
        r = read_both(folder, a, walk, w);
        if (r < 0 && r != -ENOENT)
                return r;
        w->check.last = w->number;
        hash_text(w->hash, w->check.hash);
        if (!read_head(folder, a, &number, hash)) {
                if (w->begun)
                        complain(w, EVENT_LOG_HEAD, 1,
                                 "missing or damaged: whether the end of the "
                                 "log was cut off cannot be told");
        } else if (number > w->number)
                complain(w, EVENT_LOG_FILE, 1,
                         arena_printf(a, "the end was cut off: event %" PRIu64 " is missing%s",
                                      number,
                                      number > w->number + 1 ? ", and some before it" : ""));
        else if (number < w->number || memcmp(hash, w->hash, sizeof(hash)) != 0)
                complain(w, EVENT_LOG_HEAD, 1, "does not belong to this log");
        return r;
}

int event_log_check(int folder, Arena *a, EventCheck *ret, Diag *d) {
        Walk w = {.d = d};
        int r = follow(folder, a, &w);

        if (w.n_wrong > WRONG_MAX)
                (void)diag_error(d, (Span){0}, "and %zu more places", w.n_wrong - WRONG_MAX);
        *ret = w.check;
        return r < 0 && r != -ENOENT ? r : w.n_wrong > 0 ? -EBADMSG : r;
}

/* ---- writing */

/* Files are open only while they are written to: the disk can be made read-only at any time. */
static int open_file(const EventLog *log, const char *name, int flags) {
        int fd = openat(log->folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

        return fd < 0 ? -errno : fd;
}

static int write_line(int fd, const char *line, int size) {
        ssize_t n = write(fd, line, (size_t)size);

        return n < 0 ? -errno : n != size ? -ENOSPC : 0;
}

static int write_chain(EventLog *log, int fd) {
        char hash[EVENT_HASH_TEXT], line[LINE_MAX_SIZE];

        hash_text(log->hash, hash);
        return write_line(fd, line, snprintf(line, sizeof(line), "%s " CHAIN "\n", hash));
}

/* The file to append to, which may have to be begun; its size. Or a negative errno. */
static int open_log(EventLog *log, off_t *ret_size) {
        int fd = open_file(log, EVENT_LOG_FILE, O_APPEND), r = 0;
        char last = '\n';
        struct stat st;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                r = -errno;
        else if (st.st_size == 0)
                r = write_chain(log, fd);
        /* a line that was broken off ends here, so that the next one is not part of it */
        else if (pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n')
                r = write_line(fd, "\n", 1);
        if (r == 0 && fstat(fd, &st) < 0)
                r = -errno;
        if (r < 0) {
                (void)close(fd); /* nothing that counts was written */
                return r;
        }
        *ret_size = st.st_size;
        return fd;
}

static void tell_what_is_wrong(const Diag *found, Diag *d) {
        for (size_t i = 0; i < found->n_messages; i++)
                diag_warning(d, (Span){0}, "the log of events: %s", found->messages[i].text);
}

int event_log_open(int folder, EventLog *ret, Diag *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *found = a ? diag_new(a) : NULL;
        EventLog log = {0};
        Walk w = {.d = found};
        int r = found ? follow(folder, a, &w) : -ENOMEM;

        if (r < 0 && r != -ENOENT)
                return r;
        if (w.n_wrong > 0)
                tell_what_is_wrong(found, d);
        log.number = w.number;
        memcpy(log.hash, w.hash, sizeof(log.hash));
        log.folder = fcntl(folder, F_DUPFD_CLOEXEC, 3);
        if (log.folder < 0)
                return -errno;
        *ret = log;
        return 0;
}

void event_log_close(EventLog *log) {
        if (log->folder >= 0)
                (void)close(log->folder); /* only a folder */
        log->folder = -1;
}

/* Not synced: a power failure may take the last lines, and the next start says so. */
static void write_head(const EventLog *log) {
        _cleanup_close_ int fd = open_file(log, EVENT_LOG_HEAD, 0);
        char hash[EVENT_HASH_TEXT], line[LINE_MAX_SIZE];
        int size;

        hash_text(log->hash, hash);
        size = snprintf(line, sizeof(line), "%20" PRIu64 " %s\n", log->number, hash);
        /* if it cannot be written, a check says that it does not belong to the log */
        if (fd >= 0)
                (void)!pwrite(fd, line, (size_t)size, 0);
}

static int rotate(EventLog *log) {
        struct stat st;

        if (fstatat(log->folder, EVENT_LOG_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        return (size_t)st.st_size < EVENT_LOG_SIZE
                       ? 0
                       : file_rename(log->folder, EVENT_LOG_FILE, EVENT_LOG_OLD);
}

int event_log_append(EventLog *log, Event *event) {
        unsigned char hash[EVENT_HASH_SIZE];
        char hex[EVENT_HASH_TEXT], text[EVENT_TEXT_MAX], body[LINE_MAX_SIZE], line[LINE_MAX_SIZE];
        _cleanup_close_ int fd = -1;
        off_t before = 0;
        int size, r = rotate(log);

        if (r < 0)
                return r;
        (void)snprintf(text, sizeof(text), "%s", event->text);
        for (char *p = text; *p; p++)
                if ((unsigned char)*p < ' ' || *p == 0x7f)
                        *p = ' ';
        size = snprintf(body, sizeof(body), "%" PRIu64 " %" PRIu64 " %s %s", log->number + 1,
                        event->time_usec, event_kind_to_string(event->kind), text);
        hash_line(log->hash, body, (size_t)size, hash);
        hash_text(hash, hex);
        fd = open_log(log, &before);
        if (fd < 0)
                return fd;
        r = write_line(fd, line, snprintf(line, sizeof(line), "%s %s\n", hex, body));
        if (r < 0) {
                /* half a line is taken back; if that fails it is found broken off */
                (void)!ftruncate(fd, before);
                return r;
        }
        event->number = ++log->number;
        memcpy(log->hash, hash, sizeof(log->hash));
        write_head(log);
        return 0;
}
