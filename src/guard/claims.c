/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/claims.h"

#include <fcntl.h>
#include <inttypes.h>

#include "base/file.h"
#include "base/text.h"

static const char *const words[] = {
        [VERIFY_PROVED] = "proved",
        [VERIFY_REFUTED] = "refuted",
        [VERIFY_UNDECIDED] = "undecided",
};

static void record_done(ClaimRecord *r) {
        free(r->text);
        free(r->why);
        *r = (ClaimRecord){0};
}

void claim_book_clear(ClaimBook *b) {
        for (size_t i = 0; i < b->n_items; i++)
                record_done(&b->items[i]);
        b->n_items = b->n_claims = b->n_more = b->n_open = 0;
        b->is_known = false;
}

/* What is claimed, without its place: a line above it says nothing of it. */
static const char *meaning_of(const char *text) {
        for (const char *p = text; (p = strchr(p, ':')); p++) {
                size_t n = strspn(p + 1, "0123456789");

                if (n > 0 && p[1 + n] == ':' && p[2 + n] == ' ')
                        return p + n + 3;
        }
        return text;
}

static bool is_same(const char *x, const char *y) {
        return streq(meaning_of(x), meaning_of(y));
}

const ClaimRecord *claim_book_find(const ClaimBook *b, const char *text) {
        for (size_t i = 0; i < b->n_items; i++)
                if (is_same(b->items[i].text, text))
                        return &b->items[i];
        return NULL;
}

size_t claim_book_count(const ClaimBook *b, VerifyKind kind) {
        size_t n = 0;

        for (size_t i = 0; i < b->n_items; i++)
                n += b->items[i].kind == kind;
        return n;
}

/* 0 or -ENOMEM; past CLAIMS_MAX it is only counted. */
static int
add_record(ClaimBook *b, const char *text, const char *why, VerifyKind kind, uint64_t since_usec) {
        ClaimRecord r = {.kind = kind, .since_usec = since_usec};

        if (b->n_items == CLAIMS_MAX) {
                b->n_more++;
                return 0;
        }
        r.text = strdup(text);
        r.why = strdup(why ? why : "");
        if (!r.text || !r.why) {
                record_done(&r);
                return -ENOMEM;
        }
        b->items[b->n_items++] = r;
        return 0;
}

typedef struct Update {
        const ClaimBook *old;
        ClaimBook *next;
        uint64_t now_usec;
        Arena *arena;
        ClaimChange *changes;
        size_t n_changes;
} Update;

static int count_open(Update *u) {
        u->next->n_open++;
        return 0;
}

static int take_answer(Update *u, const ClaimAnswer *answer) {
        const ClaimRecord *was = claim_book_find(u->old, answer->text);
        ClaimChange change = {.text = answer->text, .why = answer->why};
        bool same = was && was->kind == answer->kind;
        int r;

        if (claim_book_find(u->next, answer->text))
                return 0; /* said twice */
        if (answer->is_open)
                return was ? add_record(u->next, answer->text, was->why, was->kind, was->since_usec)
                           : count_open(u);
        if (answer->kind == VERIFY_PROVED) {
                if (!was)
                        return 0;
                change.news = CLAIM_HOLDS;
                change.usec = u->now_usec > was->since_usec ? u->now_usec - was->since_usec : 0;
                return arena_append(u->arena, u->changes, u->n_changes, change) ? 0 : -ENOMEM;
        }
        r = add_record(u->next, answer->text, answer->why, answer->kind,
                       same ? was->since_usec : u->now_usec);
        if (r < 0 || same || u->next->n_more > 0)
                return r;
        change.news = answer->kind == VERIFY_REFUTED ? CLAIM_BROKEN : CLAIM_UNDECIDED;
        return arena_append(u->arena, u->changes, u->n_changes, change) ? 0 : -ENOMEM;
}

int claim_book_update(ClaimBook *b,
                      const ClaimAnswer *answers,
                      size_t n,
                      uint64_t now_usec,
                      Arena *a,
                      ClaimChange **ret,
                      size_t *ret_n) {
        ClaimBook *next = calloc(1, sizeof(*next));
        Update u = {.old = b, .next = next, .now_usec = now_usec, .arena = a};
        int r = next ? 0 : -ENOMEM;

        for (size_t i = 0; i < n && r == 0; i++)
                r = take_answer(&u, &answers[i]);
        if (r == 0) {
                ClaimBook old = *b;

                *b = *next;
                b->n_claims = n;
                b->is_known = true;
                *next = old;
                *ret = u.changes;
                *ret_n = u.n_changes;
        }
        if (next)
                claim_book_clear(next);
        free(next);
        return r;
}

/* ---- the file */

static void parse_line(ClaimBook *b, char *line) {
        char *since = strchr(line, ' '), *text = since ? strchr(since + 1, ' ') : NULL, *why;
        uint64_t usec;

        if (!text)
                return;
        *since++ = *text++ = '\0';
        why = strchr(text, '\t');
        if (why)
                *why++ = '\0';
        if (!text_to_number(since, 0, UINT64_MAX, &usec) || !*text)
                return;
        for (VerifyKind kind = VERIFY_REFUTED; kind <= VERIFY_UNDECIDED; kind++)
                if (streq(line, words[kind]))
                        (void)add_record(b, text, why, kind, usec);
}

void claim_book_parse(ClaimBook *b, char *text) {
        claim_book_clear(b);
        while (text) {
                char *end = strchr(text, '\n');

                if (end)
                        *end++ = '\0';
                parse_line(b, text);
                text = end;
        }
        b->n_more = 0;
}

int claim_book_load(ClaimBook *b, int folder) {
        _cleanup_close_ int fd = openat(folder, CLAIMS_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        size_t size;
        char *text;
        int r;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        r = a ? file_read_fd(a, fd, CLAIMS_FILE_MAX, &text, &size) : -ENOMEM;
        if (r == 0)
                claim_book_parse(b, text);
        return r;
}

int claim_book_save(const ClaimBook *b, int folder) {
        char *text = NULL;
        size_t size = 0;
        FILE *f;
        int r;

        if (b->n_items == 0)
                return file_remove(folder, CLAIMS_FILE);
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        for (size_t i = 0; i < b->n_items; i++)
                fprintf(f, "%s %" PRIu64 " %s\t%s\n", words[b->items[i].kind],
                        b->items[i].since_usec, b->items[i].text, b->items[i].why);
        r = fclose(f) == 0 ? 0 : -ENOMEM;
        if (r == 0)
                r = file_replace(folder, CLAIMS_FILE, text, size);
        free(text);
        return r;
}
