/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/sshd.h"

#include <netinet/in.h>

#include "base/text.h"
#include "host/socket_unit.h"

#define ANCESTORS_MAX 128

/* OpenSSH up to 9.7 is one program; then what serves a connection became one of its own. */
static const char *const programs[] = {"sshd", "sshd-session", "sshd-auth"};

static bool is_sshd(const HostProcess *p) {
        const char *slash = p->executable ? strrchr(p->executable, '/') : NULL;
        const char *name = slash ? slash + 1 : p->comm;

        for (size_t i = 0; i < ARRAY_SIZE(programs) && p->uid == 0 && !p->is_nested; i++)
                if (streq(name, programs[i]))
                        return true;
        return false;
}

static bool is_same(const HostProcess *a, const HostProcess *b) {
        return a->pid == b->pid && a->started_usec == b->started_usec; /* numbers come back */
}

static bool listens(const Sshd *sshd, const HostProcess *p) {
        for (size_t i = 0; i < sshd->n_listeners; i++)
                if (is_same(sshd->listeners[i].process, p))
                        return true;
        return false;
}

/* The sshd that has been serving the socket for the longest; what it started inherits it. The one
 * that listens holds every new connection for a moment, and serves none. */
static const HostProcess *find_sshd(const Holders *holders, uint32_t inode, const Sshd *listening) {
        size_t n;
        const Holder *first = process_find_holder(holders, inode, &n);
        const HostProcess *found = NULL;

        for (size_t i = 0; i < n; i++) {
                const HostProcess *p = first[i].process;

                if (is_sshd(p) && !(listening && listens(listening, p)) &&
                    (!found || p->started_usec < found->started_usec))
                        found = p;
        }
        return found;
}

static const HostProcess *find_first_process(const Holders *holders, uint32_t inode) {
        size_t n;
        const Holder *first = process_find_holder(holders, inode, &n);

        return first && first->process->pid == 1 ? first->process : NULL;
}

int sshd_find_listeners(const Tree *t, const Listening *listening, Sshd *ret) {
        const Holders *holders = &listening->holders;
        int r;

        ret->n_unreadable = MAX(ret->n_unreadable, holders->n_unreadable);
        for (size_t i = 0; i < listening->sockets.n_items; i++) {
                SshListener x = {.socket = listening->sockets.items[i]};

                if (x.socket.proto != IPPROTO_TCP)
                        continue;
                x.process = find_sshd(holders, x.socket.inode, NULL);
                if (!x.process) {
                        x.process = find_first_process(holders, x.socket.inode);
                        r = x.process ? socket_unit_find(t, &x.socket, "ssh", &x.unit) : 0;
                        if (r < 0)
                                return r;
                        if (!x.unit)
                                continue;
                }
                if (!arena_append(t->arena, ret->listeners, ret->n_listeners, x))
                        return -ENOMEM;
        }
        return 0;
}

/* Sshd writes on itself how far a connection is: "sshd: alice [priv]" and "[net]", "[accepted]",
 * "[pam]" before and beside the login, "sshd: alice" or "sshd: alice@pts/0" once somebody is in.
 * Whoever listens, "sshd: … [listener] 0 of 10-100 startups", holds a new connection for a moment,
 * and so does what it forks, under the same title. A title that is being written may lack its end.
 */
static bool says_logged_in(const HostProcess *p) {
        const char *text = p->command;

        for (size_t i = 0; i < ARRAY_SIZE(programs) && text; i++) {
                size_t n = strlen(programs[i]);

                if (startswith(text, programs[i]) && startswith(text + n, ": "))
                        return text[n + 2] != '\0' && !strchr(text, '[') &&
                               text[strlen(text) - 1] != ' ';
        }
        return false;
}

static void set_login(const Holders *holders, SshConnection *c) {
        size_t n;
        const Holder *first = process_find_holder(holders, c->socket.inode, &n);

        for (size_t i = 0; i < n; i++) {
                if (!says_logged_in(first[i].process))
                        continue;
                c->is_authenticated = true;
                c->uid = MAX(c->uid, first[i].process->uid); /* root's is beside the user's own */
        }
}

int sshd_find_connections(const Tree *t, const HostSockets *connected, Sshd *ret) {
        int r = process_read_holders(t, connected, &ret->holders);

        if (r < 0)
                return r;
        ret->n_unreadable = MAX(ret->n_unreadable, ret->holders.n_unreadable);
        for (size_t i = 0; i < connected->n_items; i++) {
                SshConnection c = {.socket = connected->items[i]};

                c.process = find_sshd(&ret->holders, c.socket.inode, ret);
                if (!c.process) /* the client's end of one */
                        continue;
                c.started_usec = c.process->started_usec;
                set_login(&ret->holders, &c);
                if (!arena_append(t->arena, ret->connections, ret->n_connections, c))
                        return -ENOMEM;
        }
        return 0;
}

static bool is_first_of_port(const Sshd *sshd, size_t i) {
        for (size_t j = 0; j < i; j++)
                if (sshd->listeners[j].socket.local_port == sshd->listeners[i].socket.local_port)
                        return false;
        return true;
}

/* Appends the connections of each port that sshd listens at. */
static int read_connected(const Tree *t, const Sshd *sshd, HostSockets *ret) {
        for (size_t i = 0; i < sshd->n_listeners; i++) {
                HostSockets more = {0};
                int r;

                if (!is_first_of_port(sshd, i))
                        continue;
                r = sockets_read_connected(t->arena, sshd->listeners[i].socket.local_port, &more);
                if (r < 0)
                        return r;
                for (size_t j = 0; j < more.n_items; j++)
                        if (!arena_append(t->arena, ret->items, ret->n_items, more.items[j]))
                                return -ENOMEM;
        }
        return 0;
}

static int read_listening_tcp(const Tree *t, Listening *ret) {
        int r = sockets_read_listening_tcp(t->arena, &ret->sockets);

        return r == 0 ? process_read_holders(t, &ret->sockets, &ret->holders) : r;
}

int sshd_read_among(const Tree *t, const Listening *listening, Sshd *ret) {
        HostSockets connected = {0};
        Listening tcp;
        Sshd sshd = {0};
        int r = listening ? 0 : read_listening_tcp(t, &tcp);

        if (r == 0)
                r = sshd_find_listeners(t, listening ? listening : &tcp, &sshd);
        if (r == 0)
                r = read_connected(t, &sshd, &connected);
        if (r == 0)
                r = sshd_find_connections(t, &connected, &sshd);
        if (r < 0)
                return r;
        *ret = sshd;
        return 0;
}

int sshd_read(const Tree *t, Sshd *ret) {
        return sshd_read_among(t, NULL, ret);
}

const char *ssh_proof_to_string(SshProof proof) {
        static const char *const names[_SSH_PROOF_MAX] = {
                [SSH_PROOF_NONE] = "none",       [SSH_PROOF_PARENTS] = "parents",
                [SSH_PROOF_SESSION] = "session", [SSH_PROOF_ENVIRONMENT] = "environment",
                [SSH_PROOF_UNKNOWN] = "unknown",
        };

        return names[proof];
}

/* The connection that this very process serves, as root's sshd or as what that started for root. */
static const SshConnection *served_by(const Sshd *sshd, const HostProcess *p) {
        if (!is_sshd(p) || listens(sshd, p))
                return NULL;
        for (size_t i = 0; i < sshd->n_connections; i++) {
                uint32_t inode = sshd->connections[i].socket.inode;
                size_t n;
                const Holder *first = process_find_holder(&sshd->holders, inode, &n);

                for (size_t j = 0; j < n; j++)
                        if (is_same(first[j].process, p))
                                return &sshd->connections[i];
        }
        return NULL;
}

/* What logind (sd-login(3)) has written down about the session. */
static int find_by_session(const Tree *t,
                           const Sshd *sshd,
                           const HostProcess *caller,
                           const SshConnection **ret) {
        const char *session = caller->cgroup.session;
        char *text, *line;
        HostProcess leader;
        uint64_t pid;
        size_t size;
        int r;

        if (!session)
                return 0;
        r = tree_read(t, tree_path(t, "/run/systemd/sessions/%s", session), &text, &size);
        while (r == 0 && (line = strsep(&text, "\n")) != NULL) {
                if (!startswith(line, "LEADER=") ||
                    !text_to_number(line + strlen("LEADER="), 1, INT32_MAX, &pid))
                        continue;
                r = process_read(t, (pid_t)pid, &leader);
                if (r == 0)
                        *ret = served_by(sshd, &leader);
                break;
        }
        return r == -ENOMEM ? r : 0;
}

/* An address and a port, as words; of a link-local address the interface stands behind a %. */
static bool parse_end(char **words, Family *ret_family, U128 *ret, uint16_t *ret_port) {
        char *address = strsep(words, " "), *port = strsep(words, " ");
        uint64_t number;

        if (!address || !port || !text_to_number(port, 1, UINT16_MAX, &number))
                return false;
        address[strcspn(address, "%")] = '\0';
        *ret_port = (uint16_t)number;
        return address_parse(address, ret_family, ret) == ADDRESS_OK;
}

/* PEER PORT LOCAL PORT, as sshd leaves it to what it starts (ssh(1)). */
static const SshConnection *find_by_words(const Sshd *sshd, char *words) {
        uint16_t peer_port, local_port;
        Family family, other;
        U128 peer, local;

        if (!parse_end(&words, &family, &peer, &peer_port) ||
            !parse_end(&words, &other, &local, &local_port) || other != family)
                return NULL;
        for (size_t i = 0; i < sshd->n_connections; i++) {
                const HostSocket *s = &sshd->connections[i].socket;

                if (s->family == family && u128_equal(s->peer, peer) &&
                    u128_equal(s->local, local) && s->peer_port == peer_port &&
                    s->local_port == local_port)
                        return &sshd->connections[i];
        }
        return NULL;
}

/* *ret_names: there is such a word, of whatever connection. */
static int find_by_environment(
        const Tree *t, const Sshd *sshd, pid_t pid, bool *ret_names, const SshConnection **ret) {
        static const char name[] = "SSH_CONNECTION=";
        size_t size;
        char *text;
        int r = tree_read(t, tree_path(t, "/proc/%d/environ", pid), &text, &size);

        if (r < 0)
                return r == -ENOMEM ? r : 0;
        for (char *p = text; p < text + size && !*ret; p += strlen(p) + 1)
                if (startswith(p, name) && p[strlen(name)] != '\0') {
                        *ret_names = true;
                        *ret = find_by_words(sshd, p + strlen(name));
                }
        return 0;
}

typedef struct Ancestors {
        HostProcess items[ANCESTORS_MAX]; /* the process itself first */
        size_t n_items;
} Ancestors;

static int read_ancestors(const Tree *t, pid_t pid, Ancestors *ret) {
        while (pid > 0 && ret->n_items < ANCESTORS_MAX) {
                HostProcess *p = &ret->items[ret->n_items];
                int r = process_read(t, pid, p);

                if (r < 0) /* one that ended has left its children to another */
                        return ret->n_items > 0 && r == -ESRCH ? 0 : r;
                ret->n_items++;
                pid = p->parent;
        }
        return ret->n_items > 0 ? 0 : -ESRCH;
}

int sshd_find_caller(const Tree *t,
                     const Sshd *sshd,
                     pid_t pid,
                     SshProof *ret_proof,
                     const SshConnection **ret) {
        Ancestors *all = arena_new0(t->arena, Ancestors);
        const SshConnection *found = NULL;
        SshProof proof = SSH_PROOF_PARENTS;
        bool names_one = false;
        int r = all ? read_ancestors(t, pid, all) : -ENOMEM;

        for (size_t i = 0; r == 0 && i < all->n_items && !found; i++)
                found = served_by(sshd, &all->items[i]);
        if (r == 0 && !found) {
                proof = SSH_PROOF_SESSION;
                r = find_by_session(t, sshd, &all->items[0], &found);
        }
        if (r == 0 && !found)
                proof = SSH_PROOF_ENVIRONMENT;
        for (size_t i = 0; r == 0 && i < all->n_items && !found; i++)
                r = find_by_environment(t, sshd, all->items[i].pid, &names_one, &found);
        if (r < 0)
                return r;
        *ret_proof = found ? proof : names_one ? SSH_PROOF_UNKNOWN : SSH_PROOF_NONE;
        *ret = found;
        return 0;
}
