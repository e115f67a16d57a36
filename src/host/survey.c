/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/survey.h"

#include <netinet/in.h>

#include "base/text.h"
#include "host/containers.h"
#include "host/survey_links.h"
#include "nft/world_read.h"
#include "world/published.h"

#define SSH_PORT 22
#define EPHEMERAL_LOW 32768 /* the kernel's own default, if /proc does not say */
#define EPHEMERAL_HIGH 60999

const char *survey_protocol(uint8_t proto) {
        return proto == IPPROTO_UDP ? "udp" : proto == IPPROTO_SCTP ? "sctp" : "tcp";
}

const SurveyLink *survey_find_link(const Survey *s, const char *name) {
        for (size_t i = 0; name && i < s->n_links; i++)
                if (streq(s->links[i].name, name))
                        return &s->links[i];
        return NULL;
}

bool survey_has_link(const Survey *s, SurveyLinkKind kind) {
        for (size_t i = 0; i < s->n_links; i++)
                if (s->links[i].kind == kind)
                        return true;
        return false;
}

bool survey_misses_programs(const Survey *s) {
        for (size_t i = 0; i < s->n_ports; i++)
                if (!s->ports[i].program && s->n_unreadable > 0)
                        return true;
        return false;
}

/* ---- who listens */

static char *shortened(Arena *a, const char *text) {
        char *copy = arena_strndup(a, text, strnlen(text, SURVEY_TEXT_MAX));

        if (copy)
                tree_clean(copy);
        return copy;
}

static int set_owner(Arena *a, const HostProcess *p, SurveyPort *to) {
        const char *owner;

        if (cgroup_owner(a, &p->cgroup, &owner) < 0)
                return -ENOMEM;
        to->owner = owner ? shortened(a, owner) : NULL;
        return owner && !to->owner ? -ENOMEM : 0;
}

bool survey_publishes(const char *program) {
        static const char *const names[] = {"docker-proxy", "conmon", "rootlessport", "pasta",
                                            "pasta.avx2",   "passt",  "slirp4netns"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(program, names[i]))
                        return true;
        return false;
}

/* docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip IP -container-port 80 */
static uint16_t inner_port(Arena *a, const char *command) {
        static const char option[] = " -container-port ";
        const char *found = command ? strstr(command, option) : NULL, *digits;
        uint64_t port;

        if (!found)
                return 0;
        found += strlen(option);
        digits = arena_strndup(a, found, strspn(found, "0123456789"));
        return digits && text_to_number(digits, 1, UINT16_MAX, &port) ? (uint16_t)port : 0;
}

/* Likewise: NULL if it does not say. */
static const char *inner_address(Arena *a, const char *command) {
        static const char option[] = " -container-ip ";
        const char *found = command ? strstr(command, option) : NULL;

        if (!found)
                return NULL;
        found += strlen(option);
        return arena_strndup(a, found, strcspn(found, " "));
}

static int set_program(Arena *a, const HostProcess *p, SurveyPort *to) {
        const char *name = process_program(p);
        const char *unit = p->cgroup.unit ? p->cgroup.unit : "";
        int r = 0;

        to->program = shortened(a, name);
        to->words =
                arena_printf(a, "%s %s %s %s", name, p->comm, p->command ? p->command : "", unit);
        if (!to->program || !to->words)
                return -ENOMEM;
        to->is_published = survey_publishes(name);
        if (to->is_published) {
                to->inner = inner_port(a, p->command);
                to->inner_address = inner_address(a, p->command);
        } else
                r = set_owner(a, p, to);
        return r;
}

/* ---- which ports */

typedef struct Ephemeral {
        uint64_t low, high;
} Ephemeral;

static Ephemeral read_ephemeral(const Tree *t) {
        Ephemeral e = {EPHEMERAL_LOW, EPHEMERAL_HIGH};
        char *text, *high;
        size_t size;

        if (tree_read(t, tree_path(t, "/proc/sys/net/ipv4/ip_local_port_range"), &text, &size) < 0)
                return e;
        high = text + strcspn(text, " \t");
        high += strspn(high, " \t");
        text[strcspn(text, " \t\n")] = '\0';
        high[strcspn(high, " \t\n")] = '\0';
        if (!text_to_number(text, 1, UINT16_MAX, &e.low) ||
            !text_to_number(high, e.low, UINT16_MAX, &e.high))
                e = (Ephemeral){EPHEMERAL_LOW, EPHEMERAL_HIGH};
        return e;
}

/* Whether a service of the catalogue has the port; alone: and not in the middle of a range. */
static bool is_named(const Policy *catalogue, uint8_t proto, uint16_t port, bool alone) {
        for (size_t i = 0; i < catalogue->n_services; i++) {
                const ServiceSet *services = &catalogue->services[i]->set;
                const RangeSet *set = proto == IPPROTO_UDP ? &services->udp : &services->tcp;

                for (size_t j = 0; j < set->n_items; j++)
                        if (set->items[j].low.low <= port && port <= set->items[j].high.low &&
                            (!alone || range_is_single(set->items[j])))
                                return true;
        }
        return false;
}

/* A UDP socket says not whether it serves or asks. One at a port that the kernel gave out asks; the
 * DHCP client's needs no rule. */
static bool is_client(const Policy *catalogue,
                      const HostSocket *s,
                      const HostProcess *holder,
                      const Holders *holders,
                      Ephemeral e) {
        if (s->proto != IPPROTO_UDP)
                return false;
        if (s->local_port == 68 || s->local_port == 546)
                return true;
        if (s->local_port < e.low || s->local_port > e.high ||
            is_named(catalogue, IPPROTO_UDP, s->local_port, true))
                return false;
        if (!holder) /* a tunnel of the kernel's own */
                return holders->n_unreadable > 0;
        return !survey_publishes(process_program(holder));
}

static bool is_loopback(const HostNet *net, const HostSocket *s) {
        const HostLink *link = s->link ? routes_find_link(net, s->link) : NULL;

        if (link && link->is_loopback)
                return true;
        return s->family == FAMILY_IPV4 ? s->local.low >> 24 == 127 : u128_equal(s->local, u128(1));
}

static SurveyPort *find_port(const Survey *s, const HostSocket *socket) {
        for (size_t i = s->n_ports; i > 0; i--) /* they come sorted: of late is near */
                if (s->ports[i - 1].proto == socket->proto &&
                    s->ports[i - 1].port == socket->local_port)
                        return &s->ports[i - 1];
        return NULL;
}

static int add_port(const Tree *t,
                    const Policy *catalogue,
                    const SurveyInput *input,
                    const Holders *holders,
                    Ephemeral e,
                    const HostSocket *socket,
                    Survey *s) {
        const HostProcess *holder = process_find_server(holders, socket->inode);
        SurveyPort port = {.proto = socket->proto,
                           .port = socket->local_port,
                           .of_root = socket->uid == 0},
                   *same;

        if (socket->local_port == 0 || is_loopback(&input->net, socket) ||
            is_client(catalogue, socket, holder, holders, e))
                return 0;
        same = find_port(s, socket);
        if (same)
                same->of_root &= socket->uid == 0;
        if (same && (same->program || !holder))
                return 0;
        if (!same && !is_named(catalogue, socket->proto, socket->local_port, false) &&
            s->n_unnamed++ >= SURVEY_UNNAMED_MAX)
                return 0;
        if (holder && set_program(t->arena, holder, same ? same : &port) < 0)
                return -ENOMEM;
        return same || arena_append(t->arena, s->ports, s->n_ports, port) ? 0 : -ENOMEM;
}

/* What is published without a program that passes it on: Docker's `userland-proxy: false`, where
 * dockerd itself keeps the port from others, and Podman's netavark. Whatever listens there, the
 * rules come first. */
static int add_published(Arena *a, const Policy *catalogue, const Published *p, Survey *s) {
        const HostSocket socket = {.proto = p->proto, .local_port = p->port};
        SurveyPort port = {.proto = p->proto,
                           .port = p->port,
                           .inner = p->inner,
                           .is_published = true,
                           .of_root = true,
                           .program = p->engine,
                           .words = p->engine};
        SurveyPort *same = find_port(s, &socket);

        if (same && !same->is_published && !p->loopback)
                *same = port;
        if (same || p->loopback)
                return 0;
        if (!is_named(catalogue, p->proto, p->port, false) && s->n_unnamed++ >= SURVEY_UNNAMED_MAX)
                return 0;
        return arena_append(a, s->ports, s->n_ports, port) ? 0 : -ENOMEM;
}

static int read_published(const Tree *t, const Policy *catalogue, const World *w, Survey *s) {
        Published *list = NULL;
        size_t n = 0;
        int r = w ? published_find(w, t->arena, &list, &n) : 0;

        for (size_t i = 0; i < n && r == 0; i++)
                r = add_published(t->arena, catalogue, &list[i], s);
        return r;
}

static int compare_ports(const void *a, const void *b) {
        const SurveyPort *x = a, *y = b;

        if (x->proto != y->proto)
                return x->proto < y->proto ? -1 : 1;
        return x->port < y->port ? -1 : x->port > y->port;
}

/* Docker is asked only if it publishes something. */
static int name_containers(const Tree *t, Survey *s) {
        ContainerList list = {0};
        bool asked = false;

        for (size_t i = 0; i < s->n_ports; i++) {
                SurveyPort *p = &s->ports[i];
                const Container *c;
                Family family;
                U128 address;

                if (!p->inner_address ||
                    address_parse(p->inner_address, &family, &address) != ADDRESS_OK)
                        continue;
                if (!asked && containers_read(t, &list) < 0)
                        return -ENOMEM;
                asked = true;
                c = containers_find_address(&list, family, address);
                if (c && c->name)
                        p->container = c->name;
        }
        return 0;
}

static int read_ports(const Tree *t, const Policy *catalogue, const SurveyInput *input, Survey *s) {
        Ephemeral e = read_ephemeral(t);
        Holders holders;
        int r = process_read_holders(t, &input->listening, &holders);

        for (size_t i = 0; i < input->listening.n_items && r == 0; i++)
                r = add_port(t, catalogue, input, &holders, e, &input->listening.items[i], s);
        if (r == 0)
                r = read_published(t, catalogue, input->world, s);
        if (r == 0)
                r = name_containers(t, s);
        if (r < 0)
                return r;
        s->n_unreadable = holders.n_unreadable;
        if (s->n_ports > 0)
                qsort(s->ports, s->n_ports, sizeof(*s->ports), compare_ports);
        return 0;
}

/* ---- sshd, and the caller */

static int add_ssh_port(Arena *a, Survey *s, uint16_t port) {
        size_t at = 0;

        while (at < s->n_ssh_ports && s->ssh_ports[at] < port)
                at++;
        if (at < s->n_ssh_ports && s->ssh_ports[at] == port)
                return 0;
        if (!arena_append(a, s->ssh_ports, s->n_ssh_ports, port))
                return -ENOMEM;
        memmove(s->ssh_ports + at + 1, s->ssh_ports + at,
                (s->n_ssh_ports - 1 - at) * sizeof(*s->ssh_ports));
        s->ssh_ports[at] = port;
        return 0;
}

/* Not as root, sshd is not ours to see: then what listens at its usual port is taken for it. */
static int read_ssh_ports(Arena *a, const SurveyInput *input, Survey *s) {
        int r = 0;

        for (size_t i = 0; i < input->sshd.n_listeners && r == 0; i++)
                if (!is_loopback(&input->net, &input->sshd.listeners[i].socket))
                        r = add_ssh_port(a, s, input->sshd.listeners[i].socket.local_port);
        for (size_t i = 0; i < s->n_ports && r == 0; i++)
                if (s->n_unreadable > 0 && s->n_ssh_ports == 0 && !s->ports[i].program &&
                    s->ports[i].proto == IPPROTO_TCP && s->ports[i].port == SSH_PORT)
                        r = add_ssh_port(a, s, SSH_PORT);
        return r;
}

/* PEER PORT LOCAL PORT, as sshd leaves it to what it starts; of a link-local address the interface
 * stands behind a %. */
static bool parse_environment(Arena *a, const char *text, HostSocket *ret, const char **ret_link) {
        char *words = arena_strdup(a, text), *peer = strsep(&words, " "), *link;
        const char *port = NULL;
        Family family;
        uint64_t number;

        for (int i = 0; i < 3; i++)
                port = strsep(&words, " ");
        link = peer ? strchr(peer, '%') : NULL;
        if (link)
                *link++ = '\0';
        *ret_link = link;
        if (!peer || !port || !text_to_number(port, 1, UINT16_MAX, &number) ||
            address_parse(peer, &family, &ret->peer) != ADDRESS_OK)
                return false;
        ret->family = family;
        ret->local_port = (uint16_t)number;
        return true;
}

static bool is_own(const HostNet *net, Family family, U128 address) {
        for (size_t i = 0; i < net->n_addresses; i++)
                if (net->addresses[i].family == family &&
                    u128_equal(net->addresses[i].address, address))
                        return true;
        return false;
}

static int read_caller(Arena *a, const SurveyInput *input, Survey *s) {
        HostSocket socket = {.proto = IPPROTO_TCP};
        const HostLink *bound;
        const char *name = NULL;
        const SurveyLink *link;

        if (input->connection)
                socket = input->connection->socket;
        else if (!input->environment || !parse_environment(a, input->environment, &socket, &name))
                return 0;
        bound = socket.link ? routes_find_link(&input->net, socket.link) : NULL;
        if (is_own(&input->net, socket.family, socket.peer))
                return 0;
        if (!name)
                name = bound ? bound->name : survey_route(&input->net, socket.family, socket.peer);
        link = survey_find_link(s, name);
        s->has_caller = true;
        s->caller_family = socket.family;
        s->caller = socket.peer;
        s->caller_link = link ? link->name : NULL;
        return add_ssh_port(a, s, socket.local_port);
}

/* Of several private networks the host's own is the one that the caller is in, else what leads
 * outside. Two cards in the same network are in it. */
static void settle_lan(Survey *s) {
        const SurveyLink *own = survey_find_link(s, s->caller_link);

        if (own && own->kind != SURVEY_LINK_LAN)
                own = NULL;
        for (size_t i = 0; i < s->n_links && !own; i++)
                if (s->links[i].kind == SURVEY_LINK_LAN && s->links[i].is_uplink)
                        own = &s->links[i];
        for (size_t i = 0; i < s->n_links && own; i++)
                if (s->links[i].kind == SURVEY_LINK_LAN && &s->links[i] != own &&
                    !streq(s->links[i].networks, own->networks))
                        s->links[i].kind = SURVEY_LINK_OTHER_LAN;
}

static void mark_ssh(Survey *s) {
        for (size_t i = 0; i < s->n_ports; i++)
                for (size_t j = 0; j < s->n_ssh_ports; j++)
                        if (s->ports[i].proto == IPPROTO_TCP && s->ports[i].port == s->ssh_ports[j])
                                s->ports[i].is_ssh = true;
}

int survey_make(const Tree *t, const Policy *catalogue, const SurveyInput *input, Survey *ret) {
        Survey s = {0};
        int r = networks_of(&input->net, t->arena, &s.networks, &s.n_networks);

        if (r == 0)
                r = survey_read_links(t->arena, catalogue, &input->net, &s);
        if (r == 0)
                r = read_ports(t, catalogue, input, &s);
        if (r == 0)
                r = read_ssh_ports(t->arena, input, &s);
        if (r == 0)
                r = read_caller(t->arena, input, &s);
        if (r == 0)
                r = ufw_read(t, &s.ufw);
        if (r < 0)
                return r;
        mark_ssh(&s);
        settle_lan(&s);
        *ret = s;
        return 0;
}

/* Without the right to read the rules, or while others keep changing them, it goes without. */
static int read_world(Arena *a, const World **ret) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        World *w = NULL;
        int r = nft_link_open(&link);

        if (r == 0)
                r = world_read(link, a, &w);
        *ret = r == 0 ? w : NULL;
        return r == -ENOMEM ? r : 0;
}

int survey_read(const Tree *t, const Policy *catalogue, const char *environment, Survey *ret) {
        SurveyInput input = {.environment = environment};
        SshProof proof;
        int r = sockets_read_listening(t->arena, &input.listening);

        if (r == 0)
                r = read_world(t->arena, &input.world);

        if (r == 0)
                r = routes_read(t->arena, &input.net);
        if (r == 0)
                r = sshd_read(t, &input.sshd);
        if (r == 0)
                r = sshd_find_caller(t, &input.sshd, getpid(), &proof, &input.connection);
        return r < 0 ? r : survey_make(t, catalogue, &input, ret);
}
