/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/suspects.h"

bool suspects_add(Suspects *s, Arena *arena, const Who *who) {
        if (s->n_items == SUSPECTS_MAX) {
                (void)arena_free(arena);
                s->missed = true;
                return false;
        }
        s->items[s->n_items++] = (Suspect){.arena = arena, .who = *who};
        return true;
}

void suspects_end(Suspects *s, pid_t pid) {
        for (size_t i = 0; i < s->n_items; i++)
                s->items[i].is_over |= s->items[i].who.pid == pid;
}

void suspects_miss(Suspects *s) {
        s->missed = true;
}

size_t suspects_running(const Suspects *s) {
        size_t n = 0;

        for (size_t i = 0; i < s->n_items; i++)
                n += !s->items[i].is_over;
        return n;
}

void suspects_clear(Suspects *s) {
        for (size_t i = 0; i < s->n_items; i++)
                (void)arena_free(s->items[i].arena);
        *s = (Suspects){0};
}

/* Whoever has ended cannot be the next one's. */
static void forget_ended(Suspects *s) {
        size_t kept = 0;

        for (size_t i = 0; i < s->n_items; i++) {
                if (s->items[i].is_over) {
                        (void)arena_free(s->items[i].arena);
                        continue;
                }
                s->items[kept] = s->items[i];
                s->items[kept++].was_here = true;
        }
        s->n_items = kept;
        s->missed = false;
}

static void accuse(const Suspects *s, SuspectChange *ret) {
        bool was_here = false;

        ret->arena = arena_new(0);
        ret->is_open = s->missed || !ret->arena;
        for (size_t i = 0; i < s->n_items && ret->arena; i++) {
                if (who_copy(ret->arena, &s->items[i].who, &ret->who[ret->n_who]) == 0)
                        ret->n_who++;
                else
                        ret->is_open = true;
        }
        /* before the first of them came, somebody else may have done it */
        for (size_t i = 0; i < s->n_items; i++)
                was_here |= s->items[i].was_here;
        ret->is_open |= !was_here;
}

bool suspects_look(Suspects *s, bool has_changed, uint64_t now_usec, SuspectChange *ret) {
        if (has_changed) {
                *ret = (SuspectChange){.begin_usec = s->looked_usec, .end_usec = now_usec};
                accuse(s, ret);
        }
        forget_ended(s);
        s->looked_usec = now_usec;
        return has_changed;
}

static const char *describe_who(Arena *a, const Sshd *sshd, SuspectChange *c, size_t i) {
        const Tree tree = {.arena = a, .root = ""};
        const char *text;

        who_find_login(a, &c->who[i]);
        if (c->who[i].known && sshd)
                (void)who_find_connection(&tree, sshd, &c->who[i]);
        text = who_describe(a, &c->who[i]);
        c->who[i].by = NULL; /* they live in a */
        c->who[i].login = NULL;
        return text;
}

const char *suspects_describe(Arena *a, SuspectChange *c) {
        const Tree tree = {.arena = a, .root = ""};
        const char *text = NULL;
        Sshd sshd;
        bool has_sshd = c->n_who > 0 && sshd_read(&tree, &sshd) >= 0;

        for (size_t i = 0; i < c->n_who; i++) {
                const char *one = describe_who(a, has_sshd ? &sshd : NULL, c, i);

                if (!one)
                        return NULL;
                text = text ? arena_printf(a, "%s, or %s", text, one)
                            : arena_printf(a, "%s%s", c->n_who > 1 ? "one of " : "", one);
        }
        if (!text)
                return "somebody unknown";
        return c->is_open ? arena_printf(a, "%s, or somebody unknown", text) : text;
}

void suspect_change_clear(SuspectChange *c) {
        (void)arena_free(c->arena);
        *c = (SuspectChange){0};
}
