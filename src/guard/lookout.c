/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/lookout.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>

#define SEEN_MAX 16
#define CHANGES_MAX 8                   /* of legacy tables, until somebody takes them */
#define STACK_SIZE ((size_t)256 * 1024) /* what is not used costs nothing */
#define WAIT_MSEC 20
#define PRIORITY 1 /* the lowest of those that go before everybody else */

/* One process, as it was at its first transaction of several in a row. */
typedef struct Seen {
        Arena *arena; /* owned; NULL: nobody yet */
        Who who;
        uint32_t first, last; /* generations */
} Seen;

struct Lookout {
        pthread_t thread;
        bool is_running;
        CommitWatch watch;
        int stop;            /* eventfd; */
        int changed;         /* likewise */
        LegacyWatch *legacy; /* owned, the thread's; NULL: there is none */
        pid_t own;
        pthread_mutex_t lock;
        pthread_cond_t news; /* with CLOCK_MONOTONIC */
        /* Under the lock, but for the thread's own reading. */
        Seen seen[SEEN_MAX]; /* a ring */
        size_t n_seen;
        uint32_t generation; /* up to which it has looked */
        bool has_looked;
        SuspectChange changes[CHANGES_MAX]; /* in their order; owned */
        size_t n_changes;
};

/* Generations are counted round. */
static bool is_before(uint32_t a, uint32_t b) {
        return (int32_t)(a - b) < 0;
}

/* new NULL: nobody new. */
static void add(Lookout *w, const Seen *new, uint32_t generation) {
        Seen *slot = &w->seen[w->n_seen % SEEN_MAX];

        (void)pthread_mutex_lock(&w->lock); /* these cannot fail for such a mutex */
        if (new) {
                (void)arena_free(slot->arena);
                *slot = *new;
                w->n_seen++;
        }
        w->generation = generation;
        w->has_looked = true;
        (void)pthread_cond_broadcast(&w->news);
        (void)pthread_mutex_unlock(&w->lock);
}

static void extend(Lookout *w, Seen *last, uint32_t generation) {
        (void)pthread_mutex_lock(&w->lock);
        last->last = generation;
        (void)pthread_mutex_unlock(&w->lock);
        add(w, NULL, generation);
}

static bool is_same(const Who *who, const Commit *c) {
        return who->pid == c->pid && strncmp(who->name, c->name, sizeof(c->name)) == 0;
}

static void look(const Commit *c, void *to) {
        Lookout *w = to;
        Seen *last = w->n_seen > 0 ? &w->seen[(w->n_seen - 1) % SEEN_MAX] : NULL;
        Seen new = {.first = c->generation, .last = c->generation};
        Tree tree = {.root = ""};

        if (c->pid == w->own) {
                add(w, NULL, c->generation);
                return;
        }
        if (last && last->arena && is_same(&last->who, c)) {
                extend(w, last, c->generation);
                return;
        }
        tree.arena = new.arena = arena_new(0);
        if (new.arena && who_read(&tree, c, &new.who) < 0)
                new.arena = arena_free(new.arena); /* it stays unknown */
        add(w, &new, c->generation);
}

/* Of so many that nobody takes them, the last two become one, of whom it is not known who it was.
 */
static void merge(SuspectChange *last, SuspectChange *new) {
        last->end_usec = new->end_usec;
        last->is_open = true;
        suspect_change_clear(new);
}

static void take_change(SuspectChange *c, void *to) {
        const uint64_t one = 1;
        Lookout *w = to;

        (void)pthread_mutex_lock(&w->lock);
        if (w->n_changes == CHANGES_MAX)
                merge(&w->changes[CHANGES_MAX - 1], c);
        else
                w->changes[w->n_changes++] = *c;
        (void)pthread_mutex_unlock(&w->lock);
        (void)!write(w->changed, &one, sizeof(one)); /* it is not full for a long time */
}

/* Whoever commits something is gone sooner than whoever has been started. */
static bool step(Lookout *w, const struct pollfd *wait) {
        if (wait[0].revents != 0 && commit_watch_read(&w->watch, look, w) < 0)
                return false;
        if (w->legacy && wait[2].revents != 0 && legacy_watch_step(w->legacy) < 0)
                w->legacy = legacy_watch_close(w->legacy);
        return true;
}

static void *run(void *userdata) {
        const struct sched_param first = {.sched_priority = PRIORITY};
        Lookout *w = userdata;
        struct pollfd wait[] = {{.fd = w->watch.fd, .events = POLLIN},
                                {.fd = w->stop, .events = POLLIN},
                                {.fd = -1, .events = POLLIN}};

        /* where it may not, it is as quick as the others */
        (void)pthread_setschedparam(pthread_self(), SCHED_RR, &first);
        (void)legacy_watch_open(&w->legacy, take_change, w); /* else the slow look is left */
        while (wait[1].revents == 0) {
                wait[2].fd = w->legacy ? legacy_watch_fd(w->legacy) : -1;
                if (poll(wait, ARRAY_SIZE(wait), -1) < 0 && errno != EINTR)
                        break;
                if (!step(w, wait))
                        break;
        }
        w->legacy = legacy_watch_close(w->legacy);
        return NULL;
}

static int start(Lookout *w) {
        pthread_attr_t attributes;
        sigset_t all, before;
        int r = pthread_attr_init(&attributes);

        if (r != 0)
                return -r;
        (void)sigfillset(&all); /* signals are the main thread's */
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_attr_setstacksize(&attributes, STACK_SIZE);
        if (r == 0)
                r = pthread_create(&w->thread, &attributes, run, w);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&attributes);
        w->is_running = r == 0;
        return -r;
}

int lookout_new(Lookout **ret) {
        _cleanup_(lookout_freep) Lookout *w = calloc(1, sizeof(*w));
        pthread_condattr_t attributes;
        int r;

        if (!w)
                return -ENOMEM;
        w->watch.fd = w->stop = w->changed = -1;
        w->own = getpid();
        (void)pthread_mutex_init(&w->lock, NULL); /* neither can fail on Linux */
        (void)pthread_condattr_init(&attributes);
        (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        (void)pthread_cond_init(&w->news, &attributes);
        (void)pthread_condattr_destroy(&attributes);
        w->stop = eventfd(0, EFD_CLOEXEC);
        w->changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (w->stop < 0 || w->changed < 0)
                return -errno;
        r = commit_watch_open(&w->watch);
        if (r == 0)
                r = commit_watch_skip_objects(&w->watch);
        if (r == 0)
                r = start(w);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

Lookout *lookout_free(Lookout *w) {
        const uint64_t one = 1;

        if (!w)
                return NULL;
        if (w->is_running) {
                (void)!write(w->stop, &one, sizeof(one)); /* of an empty eventfd: it has room */
                (void)pthread_join(w->thread, NULL);
        }
        for (size_t i = 0; i < SEEN_MAX; i++)
                (void)arena_free(w->seen[i].arena);
        while (w->n_changes > 0)
                suspect_change_clear(&w->changes[--w->n_changes]);
        commit_watch_close(&w->watch);
        if (w->stop >= 0)
                (void)close(w->stop); /* nothing is kept in it */
        if (w->changed >= 0)
                (void)close(w->changed); /* likewise */
        (void)pthread_cond_destroy(&w->news);
        (void)pthread_mutex_destroy(&w->lock);
        free(w);
        return NULL;
}

void lookout_hear(Lookout *w, bool hears) {
        if (w)
                (void)commit_watch_hear(&w->watch, hears); /* the thread only reads from it */
}

static void wait_for(Lookout *w, uint32_t generation) {
        struct timespec end;

        (void)clock_gettime(CLOCK_MONOTONIC, &end); /* cannot fail for this clock */
        end.tv_nsec += WAIT_MSEC * 1000L * 1000;
        if (end.tv_nsec >= 1000L * 1000 * 1000) {
                end.tv_sec++;
                end.tv_nsec -= 1000L * 1000 * 1000;
        }
        while (!w->has_looked || is_before(w->generation, generation))
                if (pthread_cond_timedwait(&w->news, &w->lock, &end) != 0)
                        return;
}

static const Seen *find(const Lookout *w, uint32_t generation) {
        for (size_t i = 0; i < SEEN_MAX; i++) {
                const Seen *s = &w->seen[i];

                if (s->arena && !is_before(generation, s->first) && !is_before(s->last, generation))
                        return s;
        }
        return NULL;
}

bool lookout_find(Lookout *w, uint32_t generation, Arena *a, Who *ret) {
        const Seen *found;
        bool is_there;

        (void)pthread_mutex_lock(&w->lock);
        wait_for(w, generation);
        found = find(w, generation);
        is_there = found && who_copy(a, &found->who, ret) == 0;
        (void)pthread_mutex_unlock(&w->lock);
        return is_there;
}

int lookout_fd(const Lookout *w) {
        return w->changed;
}

bool lookout_take(Lookout *w, SuspectChange *ret) {
        uint64_t n;
        bool is_there;

        (void)pthread_mutex_lock(&w->lock);
        is_there = w->n_changes > 0;
        if (is_there) {
                *ret = w->changes[0];
                memmove(w->changes, w->changes + 1, --w->n_changes * sizeof(*w->changes));
        } else
                (void)!read(w->changed, &n, sizeof(n)); /* or there was none since */
        (void)pthread_mutex_unlock(&w->lock);
        return is_there;
}
