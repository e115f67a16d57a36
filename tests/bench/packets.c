/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Sends datagrams from one network namespace into another, as fast as one processor can: veth hands
 * a packet over within the call that sends it, so that the sender's time holds all that the
 * receiving side's rules cost.
 *
 *     packets cost MICROSECONDS ROUNDS NAME=HOST,PEER,ADDRESS,PORT,STATE...
 *         Slices of such a length, of all names in turn, round after round; STATE is new (nobody
 * ever answers) or established. Prints a line a round: nanoseconds of a packet, a column a name.
 * Pinned to a processor and before all other work on it, where that is permitted. packets flow
 * HOST,PEER,ADDRESS,ALLOWED,DENIED Both ports by turns, from 64 sockets each that nobody answers,
 * until its standard input ends. Prints what was sent to either, what arrived, and what the
 * receiving sockets had no room for.
 *
 * HOST and PEER are names in /run/netns. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LANES_MAX 64
#define SOCKETS 64
#define FIRST_PORT 20000
#define BURST 32

static void die(const char *what) {
        perror(what);
        exit(1);
}

static uint64_t now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void enter(const char *name) {
        char path[256];
        int fd;

        snprintf(path, sizeof(path), "/run/netns/%s", name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
                die(path);
        close(fd);
}

static struct sockaddr_in address_of(const char *address, int port) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

        if (address && inet_pton(AF_INET, address, &a.sin_addr) != 1) {
                fprintf(stderr, "%s: not an IPv4 address\n", address);
                exit(2);
        }
        return a;
}

/* Bound to an address (NULL: all) and a port; connected, if the other's is given. */
static int open_socket(const char *at, int bound, const char *address, int port) {
        struct sockaddr_in own = address_of(at, bound), other;
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0)
                die("bind");
        if (address) {
                other = address_of(address, port);
                if (connect(fd, (struct sockaddr *)&other, sizeof(other)) < 0)
                        die("connect");
        }
        return fd;
}

/* Both sides have spoken, and been heard, twice. */
static void establish(int sender, int receiver) {
        struct timeval patience = {.tv_sec = 10};
        char byte = 'x';

        setsockopt(sender, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        for (int i = 0; i < 2; i++) {
                struct sockaddr_in from;
                socklen_t size = sizeof(from);

                if (send(sender, &byte, 1, 0) < 0 ||
                    recvfrom(receiver, &byte, 1, 0, (struct sockaddr *)&from, &size) < 0 ||
                    sendto(receiver, &byte, 1, 0, (struct sockaddr *)&from, size) < 0 ||
                    recv(sender, &byte, 1, 0) < 0)
                        die("a connection that is to be established");
        }
}

/* Of a lane, the sender; the receiver's socket is left open, and soon full. */
static int open_lane(char *lane, int number) {
        char *name = strsep(&lane, "="), *host = strsep(&lane, ","), *peer = strsep(&lane, ","),
             *address = strsep(&lane, ","), *port = strsep(&lane, ","), *state = lane;
        int receiver, sender;

        if (!state) {
                fprintf(stderr, "%s: not NAME=HOST,PEER,ADDRESS,PORT,STATE\n", name);
                exit(2);
        }
        enter(host);
        receiver = open_socket(address, atoi(port), NULL, 0);
        enter(peer);
        sender = open_socket(NULL, FIRST_PORT + number, address, atoi(port));
        if (strcmp(state, "established") == 0)
                establish(sender, receiver);
        return sender;
}

static double slice(int fd, uint64_t duration) {
        uint64_t start = now(), took = 0;
        unsigned int sent = 0;

        for (; took < duration; took = now() - start)
                for (int i = 0; i < BURST; i++, sent++)
                        if (send(fd, "ringwall", 8, 0) < 0 && errno != ECONNREFUSED)
                                die("send");
        return (double)took / sent;
}

static void stay_on_one_processor(void) {
        struct sched_param first = {.sched_priority = 1};
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET((size_t)sched_getcpu(), &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
                die("sched_setaffinity");
        (void)sched_setscheduler(0, SCHED_FIFO, &first); /* without it, there is only more noise */
}

static int cost(int argc, char **argv) {
        int rounds = atoi(argv[1]), senders[LANES_MAX], n = argc - 2;
        uint64_t duration = strtoull(argv[0], NULL, 10) * 1000;

        if (n < 1 || n > LANES_MAX)
                return 2;
        for (int i = 0; i < n; i++)
                senders[i] = open_lane(argv[i + 2], i);
        stay_on_one_processor();
        for (int i = 0; i < n; i++)
                (void)slice(senders[i], duration); /* receivers fill, caches too */
        for (int round = 0; round < rounds; round++) {
                struct timespec pause = {.tv_nsec = 1000000}; /* for those who have to run, too */
                double took[LANES_MAX];

                for (int i = 0; i < n; i++) {
                        int lane = (round + i) % n;

                        took[lane] = slice(senders[lane], duration);
                        nanosleep(&pause, NULL);
                }
                for (int i = 0; i < n; i++)
                        printf("%.1f%c", took[i], i + 1 < n ? ' ' : '\n');
        }
        return 0;
}

typedef struct Sink {
        int fd;
        uint64_t got, lost;
        atomic_bool *ended;
} Sink;

/* Counts what comes, and what the socket had no room for, as the kernel tells with the next one. */
static void *count(void *argument) {
        Sink *s = argument;
        struct pollfd p = {.fd = s->fd, .events = POLLIN};

        for (;;) {
                bool last = atomic_load(s->ended);
                struct mmsghdr messages[BURST];
                struct iovec parts[BURST];
                char bytes[BURST][64], control[BURST][64];
                int n;

                for (int i = 0; i < BURST; i++) {
                        parts[i] = (struct iovec){bytes[i], sizeof(bytes[i])};
                        messages[i] =
                                (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i],
                                                             .msg_iovlen = 1,
                                                             .msg_control = control[i],
                                                             .msg_controllen = sizeof(control[i])}};
                }
                n = recvmmsg(s->fd, messages, BURST, MSG_DONTWAIT, NULL);
                for (int i = 0; i < n; i++) {
                        struct cmsghdr *c = CMSG_FIRSTHDR(&messages[i].msg_hdr);
                        uint32_t lost;

                        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
                                memcpy(&lost, CMSG_DATA(c), sizeof(lost));
                                s->lost = lost;
                        }
                }
                if (n > 0)
                        s->got += (uint64_t)n;
                else if (last)
                        return NULL;
                else
                        (void)poll(&p, 1, 20);
        }
}

static void open_sink(Sink *s, int port, atomic_bool *ended, pthread_t *ret) {
        int size = 1 << 26, yes = 1;

        *s = (Sink){.fd = open_socket(NULL, port, NULL, 0), .ended = ended};
        if (setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
            setsockopt(s->fd, SOL_SOCKET, SO_RXQ_OVFL, &yes, sizeof(yes)) < 0)
                die("setsockopt");
        if (pthread_create(ret, NULL, count, s) != 0)
                die("pthread_create");
}

static bool input_has_ended(void) {
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

        return poll(&p, 1, 0) > 0;
}

static int flow(char *where) {
        char *host = strsep(&where, ","), *peer = strsep(&where, ","),
             *address = strsep(&where, ","), *allowed = strsep(&where, ","), *denied = where;
        uint64_t sent[2] = {0}, start;
        int senders[2][SOCKETS];
        atomic_bool ended = false;
        pthread_t threads[2];
        Sink sinks[2];

        if (!denied)
                return 2;
        enter(host);
        open_sink(&sinks[0], atoi(allowed), &ended, &threads[0]);
        open_sink(&sinks[1], atoi(denied), &ended, &threads[1]);
        enter(peer);
        for (int i = 0; i < 2 * SOCKETS; i++)
                senders[i % 2][i / 2] =
                        open_socket(NULL, FIRST_PORT + i, address, atoi(i % 2 ? denied : allowed));
        puts("ready");
        fflush(stdout);
        start = now();
        for (unsigned int i = 0; !input_has_ended(); i++)
                for (unsigned int j = 0; j < 2 * BURST; j++) {
                        int fd = senders[j % 2][(i + j / 2) % SOCKETS];

                        if (send(fd, "ringwall", 8, 0) == 8)
                                sent[j % 2]++;
                }
        start = now() - start;
        atomic_store(&ended, true);
        for (int i = 0; i < 2; i++)
                if (pthread_join(threads[i], NULL) != 0)
                        die("pthread_join");
        printf("{\"seconds\": %.3f, \"allowed\": %llu, \"arrived\": %llu, \"no_room\": %llu, "
               "\"denied\": %llu, \"passed\": %llu}\n",
               (double)start / 1e9, (unsigned long long)sent[0], (unsigned long long)sinks[0].got,
               (unsigned long long)sinks[0].lost, (unsigned long long)sent[1],
               (unsigned long long)(sinks[1].got + sinks[1].lost));
        return 0;
}

int main(int argc, char **argv) {
        if (argc > 4 && strcmp(argv[1], "cost") == 0)
                return cost(argc - 2, argv + 2);
        if (argc == 3 && strcmp(argv[1], "flow") == 0)
                return flow(argv[2]);
        fputs("packets cost|flow ...: see packets.c\n", stderr);
        return 2;
}
