/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "base/text.h"
#include "host/bypass_parts.h"

#define NAME_SHOWN 48 /* bytes of a program's name */

/* ---- command lines, which processes may change: the words stand between spaces */

/* A port that a word, or the part of one in front of a comma, ends with; 0 if it is none. */
static uint16_t number_at(const char *text) {
        unsigned long n = 0;
        size_t len = strspn(text, "0123456789");

        if (len == 0 || len > 5 || !strchr(" ,:/", text[len]))
                return 0; /* strchr() finds the end, too */
        for (size_t i = 0; i < len; i++)
                n = n * 10 + (unsigned long)(text[i] - '0');
        return n <= UINT16_MAX ? (uint16_t)n : 0;
}

/* The next word, and its length; false at the end. */
static bool next_word(const char **p, const char **word, size_t *len) {
        *p += strspn(*p, " ");
        *word = *p;
        *len = strcspn(*p, " ");
        *p += *len;
        return *len > 0;
}

/* The number behind the last colon of the word. */
static uint16_t last_number(const char *word, size_t len) {
        for (size_t i = len; i > 0; i--)
                if (word[i - 1] == ':')
                        return number_at(word + i);
        return 0;
}

uint16_t bypass_target_docker(const char *command, uint16_t port) {
        static const char option[] = " -container-port ";
        const char *found = strstr(command, option);

        (void)port; /* one process, one port */
        return found ? number_at(found + strlen(option)) : 0;
}

/* [ADDRESS:]PORT:HOST:PORT; the port in front if it is asked for. */
static uint16_t forwarded(const char *word, size_t len, uint16_t port) {
        size_t colons = 0, from = 0;

        for (size_t i = len; i > 0; i--)
                if (word[i - 1] == ':' && word[i] != ']') {
                        from = i - 1;
                        if (++colons == 2)
                                break;
                }
        if (colons < 2)
                return 0;
        while (from > 0 && word[from - 1] >= '0' && word[from - 1] <= '9')
                from--;
        return port == 0 || number_at(word + from) == port ? last_number(word, len) : 0;
}

static uint16_t target_of_ssh(const char *command, char option, uint16_t port) {
        const char *p = command, *word;
        size_t len;

        while (next_word(&p, &word, &len)) {
                uint16_t target;

                if (word[0] != '-' || word[1] == '-' || !memchr(word, option, len))
                        continue;
                if (word[len - 1] == option) {
                        if (!next_word(&p, &word, &len))
                                return 0;
                } else if (word[1] == option) {
                        word += 2;
                        len -= 2;
                }
                target = forwarded(word, len, port);
                if (target != 0)
                        return target;
        }
        return 0;
}

uint16_t bypass_target_ssh(const char *command, uint16_t port) {
        return target_of_ssh(command, 'L', port);
}

uint16_t bypass_target_ssh_remote(const char *command) {
        return target_of_ssh(command, 'R', 0);
}

uint16_t bypass_target_socat(const char *command, uint16_t port) {
        static const char *const kinds[] = {"TCP", "UDP", "OPENSSL", "SSL"};
        const char *p = command, *word;
        size_t len;

        (void)port; /* one process, one port */
        while (next_word(&p, &word, &len)) {
                size_t kind = strcspn(word, ": "), rest = strcspn(word, ", ");

                for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                        if (strncasecmp(word, kinds[i], strlen(kinds[i])) == 0 && kind < len &&
                            !memmem(word, kind, "-L", 2) && !memmem(word, kind, "-l", 2))
                                return last_number(word, rest);
        }
        return 0;
}

uint16_t bypass_target_url(const char *command) {
        static const char option[] = " --url";
        const char *found = strstr(command, option);

        if (!found || (found[strlen(option)] != ' ' && found[strlen(option)] != '='))
                return 0;
        found += strlen(option) + 1;
        if (startswith(found, "http://"))
                found += strlen("http://");
        else if (startswith(found, "https://"))
                found += strlen("https://");
        return last_number(found, strcspn(found, "/ "));
}

/* The command without a last word that may be cut: of "-container-port 11434" could be left 11. */
static const char *whole_words(Arena *a, const HostProcess *p) {
        const char *last = p->command ? strrchr(p->command, ' ') : NULL;

        if (!p->command || strlen(p->command) < PROCESS_COMMAND_MAX)
                return p->command;
        return last ? arena_strndup(a, p->command, (size_t)(last - p->command)) : NULL;
}

/* ---- what listens */

static const struct Listener {
        const char *program; /* name of the executable */
        BypassKind kind;
        uint16_t (*target)(const char *command, uint16_t port);
} listeners[] = {
        {"3proxy", BYPASS_PROXY, NULL},
        {"apache2", BYPASS_PROXY, NULL},
        {"caddy", BYPASS_PROXY, NULL},
        {"danted", BYPASS_PROXY, NULL},
        {"docker-proxy", BYPASS_DOCKER_PROXY, bypass_target_docker},
        {"envoy", BYPASS_PROXY, NULL},
        {"gvproxy", BYPASS_FORWARDER, NULL},
        {"haproxy", BYPASS_PROXY, NULL},
        {"httpd", BYPASS_PROXY, NULL},
        {"nginx", BYPASS_PROXY, NULL},
        {"passt", BYPASS_FORWARDER, NULL},
        {"passt.avx2", BYPASS_FORWARDER, NULL},
        {"pasta", BYPASS_FORWARDER, NULL},
        {"pasta.avx2", BYPASS_FORWARDER, NULL},
        {"rootlesskit", BYPASS_FORWARDER, NULL},
        {"rootlessport", BYPASS_FORWARDER, NULL},
        {"slirp4netns", BYPASS_FORWARDER, NULL},
        {"socat", BYPASS_RELAY, bypass_target_socat},
        {"socat1", BYPASS_RELAY, bypass_target_socat},
        {"squid", BYPASS_PROXY, NULL},
        {"ssh", BYPASS_SSH, bypass_target_ssh},
        {"sshd", BYPASS_SSH, NULL},
        {"sshd-session", BYPASS_SSH, NULL},
        {"stunnel", BYPASS_PROXY, NULL},
        {"stunnel4", BYPASS_PROXY, NULL},
        {"traefik", BYPASS_PROXY, NULL},
        {"varnishd", BYPASS_PROXY, NULL},
};

static const struct Listener *find_listener(const HostProcess *p) {
        for (size_t i = 0; i < ARRAY_SIZE(listeners); i++) {
                if (!streq(process_program(p), listeners[i].program))
                        continue;
                /* the server itself, and not what it does for somebody: "sshd: user@pts/0" */
                if (startswith(listeners[i].program, "sshd") &&
                    (!p->command || !startswith(p->command, "sshd") || !strstr(p->command, ": ") ||
                     strstr(p->command, "[listener]")))
                        return NULL;
                return &listeners[i];
        }
        return NULL;
}

static bool is_for_outside(const HostSocket *s) {
        bool loopback = s->family == FAMILY_IPV4 ? s->local.low >> 24 == 127
                                                 : s->local.high == 0 && s->local.low == 1;

        return !loopback && s->local_port != 0 &&
               (s->proto == IPPROTO_TCP || s->proto == IPPROTO_UDP);
}

static bool is_told(const Bypasses *to, const Bypass *b) {
        for (size_t i = 0; i < to->n_items; i++) {
                const Bypass *x = &to->items[i];

                /* Docker runs one a family, and a port has one meaning */
                if (x->kind == b->kind && x->proto == b->proto && x->port == b->port &&
                    x->target_port == b->target_port &&
                    (streq(x->what, b->what) ||
                     (b->kind == BYPASS_DOCKER_PROXY && b->target_port != 0)))
                        return true;
        }
        return false;
}

static Bypass
describe(Arena *a, const HostProcess *p, const struct Listener *l, const HostSocket *s) {
        const char *proto = s->proto == IPPROTO_TCP ? "tcp" : "udp";
        const char *command = whole_words(a, p);
        Bypass b = {.kind = l->kind, .state = BYPASS_FOUND, .effect = BYPASS_RELAYS};

        if (l->kind == BYPASS_PROXY) {
                b.effect = BYPASS_BY_SETTINGS;
                b.what = arena_printf(a, "%.*s can pass on what it is asked for", NAME_SHOWN,
                                      l->program);
                return b;
        }
        b.proto = s->proto;
        b.port = s->local_port;
        b.ipv4 = b.ipv6 = true; /* another socket may be of the other family */
        b.target_port = l->target && command ? l->target(command, s->local_port) : 0;
        b.what =
                b.target_port != 0
                        ? arena_printf(a, "process %d, %.*s: port %u/%s goes to port %u", p->pid,
                                       NAME_SHOWN, process_program(p), b.port, proto, b.target_port)
                        : arena_printf(a, "process %d, %.*s: port %u/%s goes to where it says",
                                       p->pid, NAME_SHOWN, process_program(p), b.port, proto);
        return b;
}

static int look_at_listening(Bypasses *to) {
        const BypassInput *in = to->input;
        int r = 0;

        for (size_t i = 0; i < in->listening.n_items && r == 0; i++) {
                const HostSocket *s = &in->listening.items[i];
                const HostProcess *p = s->inode == 0 || !is_for_outside(s)
                                               ? NULL
                                               : process_find_server(&in->holders, s->inode);
                const struct Listener *l = p ? find_listener(p) : NULL;
                Bypass b;

                if (!l)
                        continue;
                b = describe(to->tree->arena, p, l, s);
                if (!b.what)
                        return -ENOMEM;
                if (!is_told(to, &b))
                        r = bypass_add(to, b);
        }
        return r;
}

/* ---- what brings connections from elsewhere */

static const struct Tunnel {
        const char *comm, *name;
        uint16_t (*target)(const char *command);
        bool needs_target; /* else it is no tunnel */
} tunnels[] = {
        {"bore", "bore", NULL, false},
        {"cloudflared", "cloudflared", bypass_target_url, false},
        {"frpc", "frpc", NULL, false},
        {"nebula", "Nebula", NULL, false},
        {"ngrok", "ngrok", NULL, false},
        {"openvpn", "OpenVPN", NULL, false},
        {"ssh", "ssh -R", bypass_target_ssh_remote, true},
        {"tailscaled", "Tailscale", NULL, false},
        {"zerotier-one", "ZeroTier", NULL, false},
};

static int take_process(const Tree *t, pid_t pid, const char *comm, void *to) {
        for (size_t i = 0; i < ARRAY_SIZE(tunnels); i++) {
                const struct Tunnel *x = &tunnels[i];
                Bypass b = {.kind = BYPASS_TUNNEL, .state = BYPASS_FOUND};
                const char *command;
                HostProcess p;
                int r;

                if (!streq(comm, x->comm))
                        continue;
                r = process_read(t, pid, &p);
                if (r < 0)
                        return r == -ENOMEM ? r : 0; /* it has gone */
                if (process_is_elsewhere(t, pid))
                        return 0;
                command = whole_words(t->arena, &p);
                b.target_port = x->target && command ? x->target(command) : 0;
                if (b.target_port == 0 && x->needs_target)
                        return 0;
                b.proto = IPPROTO_TCP;
                b.effect = b.target_port != 0 ? BYPASS_RELAYS : BYPASS_BY_SETTINGS;
                b.what = b.target_port != 0
                                 ? arena_printf(t->arena,
                                                "process %d, %s, brings connections from elsewhere "
                                                "to port %u",
                                                pid, x->name, b.target_port)
                                 : arena_printf(t->arena,
                                                "process %d, %s, may bring connections from "
                                                "elsewhere",
                                                pid, x->name);
                return bypass_add(to, b);
        }
        return 0;
}

static int add_wireguard(Bypasses *to) {
        const HostNet *net = &to->input->net;
        int r = 0;

        for (size_t i = 0; i < net->n_links && r == 0; i++)
                if (streq(net->links[i].kind, "wireguard"))
                        r = bypass_add(to, (Bypass){.kind = BYPASS_TUNNEL,
                                                    .state = BYPASS_FOUND,
                                                    .interface = net->links[i].name,
                                                    .what = arena_printf(
                                                            to->tree->arena,
                                                            "%s (WireGuard): what comes out of it "
                                                            "meets the rules",
                                                            net->links[i].name)});
        return r;
}

/* A socket without a holder is the kernel's own, unless there are processes that we may not see.
 * Process 1 passes nothing on: what it listens for is a program of its own once somebody connects.
 */
static bool has_hidden(const BypassInput *in) {
        size_t n = in->holders.n_unreadable - in->holders.is_first_unreadable;

        for (size_t i = 0; i < in->listening.n_items && n > 0; i++) {
                const HostSocket *s = &in->listening.items[i];

                if (s->inode != 0 && is_for_outside(s) &&
                    !process_find_server(&in->holders, s->inode))
                        return true;
        }
        return false;
}

int bypass_look_at_processes(Bypasses *to) {
        static const BypassKind hidden[] = {BYPASS_DOCKER_PROXY, BYPASS_FORWARDER, BYPASS_SSH,
                                            BYPASS_RELAY, BYPASS_PROXY};
        int r = look_at_listening(to);

        if (r == 0)
                r = process_walk(to->tree, take_process, to);
        if (r == 0)
                r = add_wireguard(to);
        for (size_t i = 0; i < ARRAY_SIZE(hidden) && r == 0 && has_hidden(to->input); i++)
                r = bypass_add_unknown(to, hidden[i], -EPERM);
        return r;
}
