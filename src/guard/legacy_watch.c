/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/legacy_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

#include "nft/executions.h"
#include "nft/legacy.h"

/* One that goes on is looked at again, ever less often. */
#define FIRST_USEC (50 * UINT64_C(1000))
#define LAST_USEC (1000 * UINT64_C(1000))
/* Of one that had ended before it could be seen it is not known what it was, unless it ended sooner
 * than any of those programs is loaded; however many there are, for them it is looked no more often
 * than that. */
#define LOADED_USEC UINT64_C(250)
#define MISSED_USEC (200 * UINT64_C(1000))
#define NAMES_MAX 4096 /* bytes of a file with names of tables */
#define EVENTS_MAX 16  /* at a time */
#define LINK_MAX 4096

typedef struct Run {
        pid_t pid;
        int fd; /* that tells its end */
} Run;

struct LegacyWatch {
        int fd, executions, timer;
        int sockets[_FAMILY_MAX]; /* -1: such sockets are forbidden, and names are all there is */
        Suspects suspects;
        Run runs[SUSPECTS_MAX];
        size_t n_runs;
        uint64_t wait_usec; /* until the next look; 0: the timer is off */
        uint64_t hash;      /* of what was seen last */
        bool is_looking;    /* and hears who has begun meanwhile */
        void (*take)(SuspectChange *c, void *to);
        void *to;
};

static uint64_t now(void) {
        struct timespec t = {0};

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

bool legacy_watch_knows(const char *executable) {
        static const char *const beginnings[] = {"xtables-legacy", "xtables-multi", "iptables",
                                                 "ip6tables"};
        const char *slash = strrchr(executable, '/');

        /* behind iptables' other names is xtables-nft-multi, a file of that name is the old one */
        for (size_t i = 0; i < ARRAY_SIZE(beginnings); i++)
                if (startswith(slash ? slash + 1 : executable, beginnings[i]))
                        return true;
        return false;
}

/* ---- looking */

static void mix(uint64_t *hash, const char *text) {
        for (; *text; text++)
                *hash = (*hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
        *hash = (*hash ^ '\n') * UINT64_C(0x100000001b3);
}

static void add_tables(const LegacyWatch *w, const char *path, Family family, uint64_t *hash) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        char text[NAMES_MAX], *rest = text, *name;
        ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

        text[MAX(n, 0)] = '\0';
        while ((name = strsep(&rest, "\n")) != NULL) {
                if (!*name)
                        continue;
                mix(hash, path);
                mix(hash, name);
                if (family >= 0 && w->sockets[family] >= 0)
                        /* what cannot be read is known by its name alone */
                        (void)legacy_digest(w->sockets[family], family, name, hash);
        }
}

static uint64_t digest(const LegacyWatch *w) {
        uint64_t hash = 0;

        add_tables(w, "/proc/self/net/ip_tables_names", FAMILY_IPV4, &hash);
        add_tables(w, "/proc/self/net/ip6_tables_names", FAMILY_IPV6, &hash);
        add_tables(w, "/proc/self/net/arp_tables_names", _FAMILY_INVALID, &hash);
        return hash;
}

static void take_execution(const Execution *e, void *to);

/* Whoever has begun until now may have done it, too. */
static void hear_all(LegacyWatch *w) {
        w->is_looking = true;
        if (executions_read(w->executions, take_execution, w) != 0)
                suspects_miss(&w->suspects); /* and the next turn meets the error again */
        w->is_looking = false;
}

static void look(LegacyWatch *w) {
        uint64_t hash;
        SuspectChange change;

        if (w->is_looking)
                return;
        hash = digest(w);
        if (hash != w->hash)
                hear_all(w);
        if (suspects_look(&w->suspects, hash != w->hash, now(), &change))
                w->take(&change, w->to);
        w->hash = hash;
}

static void look_in(LegacyWatch *w, uint64_t usec) {
        const struct itimerspec t = {
                .it_value = {.tv_sec = (time_t)(usec / 1000000),
                             .tv_nsec = (long)(usec % 1000000) * 1000},
        };

        w->wait_usec = usec;
        (void)timerfd_settime(w->timer, 0, &t, NULL); /* such a time cannot be refused */
}

static void miss(LegacyWatch *w) {
        suspects_miss(&w->suspects);
        if (w->wait_usec == 0)
                look_in(w, MISSED_USEC);
}

/* ---- who runs */

static int add_fd(LegacyWatch *w, int fd, uint64_t what) {
        struct epoll_event e = {.events = EPOLLIN, .data = {.u64 = what}};

        return epoll_ctl(w->fd, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

static Run *find_run(LegacyWatch *w, pid_t pid) {
        for (size_t i = 0; i < w->n_runs; i++)
                if (w->runs[i].pid == pid)
                        return &w->runs[i];
        return NULL;
}

static void end_run(LegacyWatch *w, Run *run) {
        suspects_end(&w->suspects, run->pid);
        (void)close(run->fd); /* nothing is written to it */
        *run = w->runs[--w->n_runs];
}

/* What a link of the process's in /proc says. 1; 0: it is gone; -1: it is not to be seen. */
static int read_link(pid_t pid, const char *name, char text[LINK_MAX]) {
        char path[64];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        n = readlink(path, text, LINK_MAX - 1);
        if (n < 0)
                return errno == ENOENT || errno == ESRCH ? 0 : -1;
        text[n] = '\0';
        return 1;
}

/* 1; 0: in another network namespace; -1: that cannot be told. */
static int is_here(pid_t pid) {
        char own[LINK_MAX], its[LINK_MAX];

        if (read_link(getpid(), "ns/net", own) <= 0 || read_link(pid, "ns/net", its) <= 0)
                return -1;
        return streq(own, its);
}

/* The number is the process's own as long as the descriptor tells of no end. */
static bool has_ended(int fd) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        return poll(&p, 1, 0) != 0;
}

static bool add_run(LegacyWatch *w, pid_t pid, int fd) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const Tree tree = {.arena = a, .root = ""};
        Who who;

        if (!a || who_read_number(&tree, pid, &who) < 0 || has_ended(fd) ||
            w->n_runs == SUSPECTS_MAX || add_fd(w, fd, (uint64_t)pid) < 0)
                return false;
        if (!suspects_add(&w->suspects, TAKE_PTR(a), &who))
                return false;
        w->runs[w->n_runs++] = (Run){.pid = pid, .fd = fd};
        return true;
}

/* A process that is one of those programs now, or may have been. */
static void begin_run(LegacyWatch *w, pid_t pid) {
        _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        char executable[LINK_MAX];
        int here = fd >= 0 ? is_here(pid) : -1;

        if (here == 0)
                return;
        if (here < 0 || read_link(pid, "exe", executable) <= 0) {
                miss(w);
                return;
        }
        if (!legacy_watch_knows(executable))
                return;
        if (add_run(w, pid, fd))
                fd = -1;
        else
                miss(w);
        look(w);
        if (w->n_runs > 0)
                look_in(w, FIRST_USEC);
}

static void take_execution(const Execution *e, void *to) {
        LegacyWatch *w = to;
        Run *run = find_run(w, e->pid);
        char executable[LINK_MAX];
        int r;

        if (run) { /* it has become another program */
                end_run(w, run);
                look(w);
        }
        r = read_link(e->pid, "exe", executable);
        if (r == 0 && now() - e->usec >= LOADED_USEC)
                miss(w);
        else if (r > 0 && legacy_watch_knows(executable))
                begin_run(w, e->pid);
}

static int take_process(const Tree *t, pid_t pid, const char *comm, void *to) {
        LegacyWatch *w = to;
        char executable[LINK_MAX];

        if (!find_run(w, pid) && read_link(pid, "exe", executable) > 0 &&
            legacy_watch_knows(executable))
                begin_run(w, pid);
        return 0;
}

/* Who runs already, or has begun unheard. */
static void find_running(LegacyWatch *w) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const Tree tree = {.arena = a, .root = ""};

        suspects_miss(&w->suspects);
        if (a)
                (void)process_walk_numbers(&tree, take_process, w); /* what is found is found */
        look(w);
}

/* ---- the loop's */

static int on_executions(LegacyWatch *w) {
        int r = executions_read(w->executions, take_execution, w);

        if (r > 0)
                find_running(w);
        return r < 0 ? r : 0;
}

static void on_timer(LegacyWatch *w) {
        uint64_t waited = w->wait_usec, n;

        if (read(w->timer, &n, sizeof(n)) < 0)
                return; /* it was set anew meanwhile */
        w->wait_usec = 0;
        look(w);
        if (suspects_running(&w->suspects) > 0)
                look_in(w, MIN(waited * 2, LAST_USEC));
}

static void on_end(LegacyWatch *w, pid_t pid) {
        Run *run = find_run(w, pid);

        if (!run)
                return;
        end_run(w, run);
        look(w);
}

int legacy_watch_step(LegacyWatch *w) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(w->fd, events, EVENTS_MAX, 0), r = 0;

        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        for (int i = 0; i < n && r == 0; i++) {
                uint64_t what = events[i].data.u64;

                if (what == (uint64_t)getpid())
                        r = on_executions(w);
                else if (what == 0)
                        on_timer(w);
                else
                        on_end(w, (pid_t)what);
        }
        return r;
}

int legacy_watch_fd(const LegacyWatch *w) {
        return w->fd;
}

size_t legacy_watch_running(const LegacyWatch *w) {
        return w->n_runs;
}

int legacy_watch_open(LegacyWatch **ret, void (*take)(SuspectChange *c, void *to), void *to) {
        _cleanup_(legacy_watch_closep) LegacyWatch *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;
        w->take = take;
        w->to = to;
        w->executions = w->timer = -1;
        /* where they are forbidden, as in the unit's sandbox, tables are known by name */
        w->sockets[FAMILY_IPV4] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        w->sockets[FAMILY_IPV6] = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        w->fd = epoll_create1(EPOLL_CLOEXEC);
        if (w->fd < 0)
                return -errno;
        w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (w->timer < 0)
                return -errno;
        r = add_fd(w, w->timer, 0);
        if (r == 0)
                r = executions_open(&w->executions);
        if (r == 0) /* no other process has this one's number */
                r = add_fd(w, w->executions, (uint64_t)getpid());
        if (r < 0)
                return r;
        w->hash = digest(w); /* what there is already is nobody's change */
        w->suspects.looked_usec = now();
        find_running(w);
        *ret = TAKE_PTR(w);
        return 0;
}

LegacyWatch *legacy_watch_close(LegacyWatch *w) {
        const int fds[] = {w ? w->timer : -1, w ? w->fd : -1, w ? w->sockets[FAMILY_IPV4] : -1,
                           w ? w->sockets[FAMILY_IPV6] : -1};

        if (!w)
                return NULL;
        executions_close(w->executions);
        while (w->n_runs > 0)
                end_run(w, &w->runs[0]);
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                if (fds[i] >= 0)
                        (void)close(fds[i]); /* nothing is kept in them */
        suspects_clear(&w->suspects);
        free(w);
        return NULL;
}
