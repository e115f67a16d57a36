/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/preview.h"

#include <netinet/in.h>

#include "base/cpu_time.h"
#include "cli/output.h"
#include "guard/way_in.h"

#define GROUPS_SHOWN 10

/* ---- who asks, and whether they could come in again */

typedef struct Own {
        Sshd sshd;
        const SshConnection *connection; /* by which whoever asks came; or NULL */
} Own;

static int add_ways(const Ruleset *after, const Own *own, Arena *a, json_t *ways) {
        HostNet net;
        int r = routes_read(a, &net);

        for (size_t i = 0; i < own->sshd.n_connections && r == 0; i++) {
                const SshConnection *s = &own->sshd.connections[i];
                json_t *way;
                WayIn w;

                r = way_in_decide(after, &net, &s->socket, a, &w);
                if (r < 0)
                        break;
                way = json_pack("{s:s, s:b, s:b, s:s*}", "text", w.text, "admitted", w.admitted,
                                "mine", s == own->connection, "rule", w.rule);
                r = json_array_append_new(ways, way) < 0 ? -ENOMEM : 0;
        }
        return r;
}

static void find_ways(Preview *p, const Ruleset *after, Arena *a, Own *own) {
        const Tree tree = {.arena = a, .root = ""};
        SshProof proof;

        if (sshd_read(&tree, &own->sshd) < 0)
                return;
        (void)sshd_find_caller(&tree, &own->sshd, getpid(), &proof, &own->connection);
        p->ways = json_array();
        if (add_ways(after, own, a, p->ways) < 0) {
                json_decref(p->ways);
                p->ways = NULL;
        }
}

void preview_print_ways(const json_t *ways) {
        OutputStyle style = output_style(stdout);

        for (size_t i = 0; i < json_array_size(ways); i++) {
                const json_t *way = json_array_get(ways, i);
                bool admitted = json_is_true(json_object_get(way, "admitted"));
                const char *rule = json_string_value(json_object_get(way, "rule"));

                printf("%s: %s %s%s%s%s%s\n",
                       json_is_true(json_object_get(way, "mine")) ? "you" : "somebody",
                       json_string_value(json_object_get(way, "text")),
                       admitted ? style.good : style.bad,
                       admitted ? "stays" : "could not be made anew", style.reset, rule ? ": " : "",
                       rule ? rule : "");
        }
}

/* ---- open connections */

typedef struct Taker {
        CutGroups *groups;
        const HostSocket *own; /* the caller's; or NULL */
} Taker;

static bool is_own(const HostSocket *s, const Connection *c) {
        return s && c->protocol == s->proto && c->family == s->family &&
               c->source_port == s->peer_port && c->destination_port == s->local_port &&
               u128_equal(c->source, s->peer) && u128_equal(c->destination, s->local);
}

static int take(const Connection *c, CutWay way, CutVerdict verdict, void *to) {
        Taker *t = to;

        if (verdict == CUT_YES)
                return cut_groups_add(t->groups, c, way, is_own(t->own, c));
        t->groups->n_unknown++;
        return 0;
}

/* The one service that is just this port. */
static const char *service_name(const Policy *policy, uint8_t protocol, uint16_t port) {
        const char *found = NULL;

        for (size_t i = 0; i < policy->n_services; i++) {
                const Service *s = policy->services[i];
                const RangeSet *ports = protocol == IPPROTO_TCP    ? &s->set.tcp
                                        : protocol == IPPROTO_UDP  ? &s->set.udp
                                        : protocol == IPPROTO_SCTP ? &s->set.sctp
                                                                   : NULL;

                if (!ports || ports->n_items != 1 || !range_is_single(ports->items[0]) ||
                    ports->items[0].low.low != port)
                        continue;
                if (found)
                        return NULL;
                found = s->name;
        }
        return found;
}

static void describe_service(const Policy *policy, const CutGroup *g, FILE *f) {
        bool is_icmp = g->protocol == IPPROTO_ICMP || g->protocol == IPPROTO_ICMPV6;
        const char *protocol = protocol_to_string(g->protocol), *name;

        if (protocol)
                fputs(protocol, f);
        else
                fprintf(f, "protocol %u", g->protocol);
        name = is_icmp ? icmp_type_to_string(g->family, (uint8_t)g->port)
                       : service_name(policy, g->protocol, g->port);
        if (is_icmp && name)
                fprintf(f, " %s", name);
        else if (is_icmp || g->port > 0)
                fprintf(f, " %u", g->port);
        if (!is_icmp && name)
                fprintf(f, " (%s)", name);
}

static void print_group(const Policy *policy, const CutGroup *g) {
        char buf[ADDRESS_TEXT_MAX];

        fputs("  ", stdout);
        describe_service(policy, g, stdout);
        if (g->way != CUT_WAY_OUT)
                printf(" from %s", address_print(g->family, g->source, buf));
        if (g->way != CUT_WAY_IN)
                printf(" to %s", address_print(g->family, g->dialled, buf));
        printf(": %zu%s\n", g->n, g->is_mine ? ", by which you came yourself" : "");
}

void preview_print_connections(const Preview *p, const char *fate) {
        const CutGroups *g = &p->groups;
        size_t n_shown = 0;

        if (p->groups_error == -ETIMEDOUT)
                puts("note: too many connections are open: not all could be looked at");
        else if (p->groups_error == -EINTR)
                puts("note: open connections changed all the time: some may not have been looked "
                     "at");
        else if (p->groups_error < 0)
                printf("note: open connections could not be looked at: %s\n",
                       strerror(-p->groups_error));
        if (g->n > 0)
                printf("open connections that it does not admit, %s: %zu\n", fate, g->n);
        for (size_t i = 0; i < g->n_items && i < GROUPS_SHOWN; i++) {
                print_group(p->policy, &g->items[i]);
                n_shown += g->items[i].n;
        }
        if (n_shown < g->n)
                printf("  and %zu more\n", g->n - n_shown);
        if (g->n_unknown > 0)
                printf("note: %zu open connections of this host's own are left alone: whether they "
                       "are admitted depends on who owns them, which nobody can tell\n",
                       g->n_unknown);
}

static json_t *json_group(const Policy *policy, const CutGroup *g) {
        char buf[ADDRESS_TEXT_MAX];
        json_t *object = json_object();
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (f) {
                describe_service(policy, g, f);
                (void)fclose(f); /* fails only without memory, and then leaves text NULL */
                (void)json_object_set_new(object, "service", json_string(text ? text : ""));
                free(text);
        }
        if (g->way != CUT_WAY_OUT)
                (void)json_object_set_new(object, "from",
                                          json_string(address_print(g->family, g->source, buf)));
        if (g->way != CUT_WAY_IN)
                (void)json_object_set_new(object, "to",
                                          json_string(address_print(g->family, g->dialled, buf)));
        (void)json_object_set_new(object, "number", json_integer((json_int_t)g->n));
        (void)json_object_set_new(object, "mine", json_boolean(g->is_mine));
        return object;
}

static json_t *json_connections(const Preview *p) {
        const CutGroups *g = &p->groups;
        json_t *array = json_array(), *object;
        size_t n = 0;

        for (size_t i = 0; i < g->n_items && i < GROUPS_SHOWN; i++) {
                (void)json_array_append_new(array, json_group(p->policy, &g->items[i]));
                n += g->items[i].n;
        }
        object = json_pack("{s:I, s:o, s:I, s:I, s:b, s:b}", "number", (json_int_t)g->n, "groups",
                           array, "more", (json_int_t)(g->n - n), "unknown",
                           (json_int_t)g->n_unknown, "cut", p->cuts, "complete",
                           p->groups_error == 0);
        if (p->groups_error < 0)
                (void)json_object_set_new(object, "error", json_string(strerror(-p->groups_error)));
        return object;
}

/* ---- both */

int preview_make(const Ruleset *live,
                 const Ruleset *after,
                 const Plan *plan,
                 const Policy *policy,
                 Arena *a,
                 Preview *ret) {
        Preview p = {
                .has_base = live->exists && !plan->wakes,
                .cuts = policy->settings.cut_denied,
                .policy = policy,
        };
        Taker t = {.groups = &p.groups};
        Own own = {0};

        if (p.has_base && plan->differs)
                p.meaning_error = regions_find(live, after, policy, PREVIEW_SECONDS, a, &p.regions);
        find_ways(&p, after, a, &own);
        t.own = own.connection ? &own.connection->socket : NULL;
        if (plan->differs)
                p.groups_error =
                        cut_list(after, policy->settings.mark,
                                 cpu_time_usec() + PREVIEW_SECONDS * UINT64_C(1000000), take, &t);
        cut_groups_finish(&p.groups);
        *ret = p;
        if (p.meaning_error != -ENOMEM && p.groups_error != -ENOMEM)
                return 0;
        preview_done(ret);
        return -ENOMEM;
}

void preview_done(Preview *p) {
        cut_groups_done(&p->groups);
        json_decref(p->ways);
        p->ways = NULL;
}

static const char *why_unknown(const Preview *p) {
        const char *hint, *text = regions_describe_failure(&p->regions, p->meaning_error, &hint);

        return text ? text : strerror(-p->meaning_error);
}

void preview_print_meaning(const Preview *p) {
        if (p->has_base && p->meaning_error < 0)
                printf("what that means for connections is not known: %s\n", why_unknown(p));
        else if (p->has_base)
                regions_print(&p->regions);
}

void preview_add_json(const Preview *p, json_t *object) {
        json_t *meaning = json_null();

        if (p->has_base && p->meaning_error < 0)
                meaning = json_pack("{s:s}", "unknown", why_unknown(p));
        else if (p->has_base)
                meaning = regions_json(&p->regions);
        (void)json_object_set_new(object, "meaning", meaning);
        (void)json_object_set_new(object, "connections", json_connections(p));
}
