/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/whole.h"

#include <inttypes.h>

#include "cli/kernel.h"
#include "cli/output.h"
#include "nft/ban_table.h"
#include "nft/shut.h"
#include "nft/world_read.h"
#include "world/print.h"

/* What the policy says is told in the policy's words; of who is banned it knows nothing, nor of
 * what is shut for a while. */
static bool is_ours(const WorldTable *table) {
        return streq_null(table->owner, "ringwall") && !ban_table_is(table->name) &&
               !nft_is_shut_table(table->name);
}

/* Chains of ARP are not on the way of a packet that the kernel takes for IP. */
static bool has_others(const World *w) {
        for (size_t i = 0; i < w->n_chains; i++) {
                const WorldChain *chain = w->chains[i];

                if (chain->is_base && !is_ours(chain->table) && !(chain->table->flags & 1) &&
                    !streq(world_family_to_string(chain->table->family), "arp"))
                        return true;
        }
        return false;
}

int whole_read(Arena *a, Whole *ret) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        int r = kernel_open(&link);

        *ret = (Whole){0};
        if (r != EXIT_OK)
                return r;
        r = world_read(link, a, &ret->world);
        if (r == 0)
                r = world_walker_new(ret->world, &ret->walker);
        if (r < 0)
                return input_failed(r, "cannot read the rules of all tables");
        ret->others = has_others(ret->world);
        return EXIT_OK;
}

void whole_done(Whole *w) {
        w->walker = world_walker_free(w->walker);
}

/* --- the question as a packet --- */

static const char *name_of(const World *w, int index) {
        for (size_t i = 0; i < w->n_interfaces; i++)
                if (w->interfaces[i].index == index)
                        return w->interfaces[i].name;
        return NULL;
}

static bool is_loopback(const World *w, int index) {
        for (size_t i = 0; i < w->n_interfaces; i++)
                if (w->interfaces[i].index == index)
                        return w->interfaces[i].loopback;
        return false;
}

/* Where a packet from there comes in: the interface with the longest route back; or NULL. */
static const char *interface_towards(const World *w, Family family, U128 source) {
        const WorldRoute *best = NULL;

        for (size_t i = 0; i < w->n_routes; i++) {
                const WorldRoute *route = &w->routes[i];
                unsigned int width = family_width(family);
                U128 host, mask;

                if (route->family != family || route->prefix > width || route->type != 1)
                        continue;
                host = u128_low_mask(width - route->prefix);
                mask = (U128){~host.high, ~host.low};
                if (u128_equal(u128_and(source, mask), u128_and(route->destination, mask)) &&
                    (!best || route->prefix > best->prefix))
                        best = route;
        }
        return best ? name_of(w, best->index) : NULL;
}

/* An address of this host's own, of that interface if it can be; false if there is none. */
static bool own_address(const World *w, Family family, const char *interface, U128 *ret) {
        bool found = false;

        for (size_t i = 0; i < w->n_addresses; i++) {
                const WorldAddress *a = &w->addresses[i];
                bool there = interface && streq_null(name_of(w, a->index), interface);

                if (a->family != family || a->address.high >> 54 == 0x3fa ||
                    (is_loopback(w, a->index) && !there))
                        continue;
                if (there || !found)
                        *ret = a->address;
                if (there)
                        return true;
                found = true;
        }
        return found;
}

static bool is_own(const World *w, Family family, U128 address) {
        for (size_t i = 0; i < w->n_addresses; i++)
                if (w->addresses[i].family == family &&
                    u128_equal(w->addresses[i].address, address))
                        return true;
        return false;
}

static WorldState state_of(uint32_t state) {
        switch (state) {
        case CT_STATE_ESTABLISHED:
                return WORLD_STATE_ESTABLISHED;
        case CT_STATE_RELATED:
                return WORLD_STATE_RELATED;
        case CT_STATE_INVALID:
                return WORLD_STATE_INVALID;
        case CT_STATE_UNTRACKED:
                return WORLD_STATE_UNTRACKED;
        }
        return WORLD_STATE_NEW;
}

static bool set_addresses(const World *w, const Question *q, WorldPacket *p, WorldFields *f) {
        const PacketQuestion *packet = &q->packet;
        bool sent = packet->hook == HOOK_OUTPUT;

        f->source = packet->source;
        f->destination = packet->translated ? packet->dialled : packet->destination;
        f->destination_port = packet->translated ? packet->dialled_port : packet->destination_port;
        if (sent && u128_is_zero(f->source) &&
            !own_address(w, packet->family, packet->out, &f->source))
                return false;
        if (!sent && !p->in)
                p->in = interface_towards(w, packet->family, f->source);
        if (!sent && !p->in)
                return false;
        if (packet->hook == HOOK_INPUT && !packet->translated && !q->has_destination)
                return own_address(w, packet->family, p->in, &f->destination);
        return true;
}

/* False: there is no such packet on this host. */
static bool packet_of(const World *w, const Question *q, WorldPacket *ret) {
        const PacketQuestion *packet = &q->packet;
        WorldFields f = {.family = packet->family,
                         .protocol = packet->protocol,
                         .source_port = packet->source_port,
                         .icmp_type = packet->icmp_type,
                         .hop_limit = packet->hop_limit};
        WorldPacket p = {.in = packet->hook == HOOK_OUTPUT ? NULL : packet->in,
                         .bridged = q->bridged,
                         .state = state_of(packet->ct_state),
                         .ct_mark = packet->ct_mark,
                         .has_owner = packet->has_user || packet->has_group,
                         .uid = packet->user,
                         .gid = packet->group,
                         .time = packet->time};

        if (!set_addresses(w, q, &p, &f))
                return false;
        if (packet->ct_state != CT_STATE_NEW) {
                f.tcp_flags = 16; /* ACK */
                p.translated = packet->translated;
                p.translated_to = packet->destination;
                p.translated_port = packet->destination_port;
        }
        if (packet->out && !q->bridged) {
                p.routing = WORLD_ROUTED_ON;
                p.out = packet->out;
        } else if (packet->hook == HOOK_INPUT && !packet->translated &&
                   !is_own(w, packet->family, f.destination))
                p.routing = WORLD_ROUTED_HERE;
        world_packet_fill(&p, &f);
        for (size_t i = 0; i < w->n_interfaces && p.in && !q->bridged; i++)
                if (streq(w->interfaces[i].name, p.in)) /* the frame is for this host */
                        memcpy(p.link, w->interfaces[i].address, sizeof(w->interfaces[i].address));
        *ret = p;
        return true;
}

bool whole_has_address(const Whole *w, Family family, U128 address) {
        return w->world && is_own(w->world, family, address);
}

/* Drops, and answers. */
static bool rejects(const WorldStep *s) {
        for (size_t i = 0; s->rule && i < s->rule->n_exprs; i++)
                if (s->rule->exprs[i].kind == WORLD_REJECT && s->verdict.kind == WORLD_DROP)
                        return true;
        return false;
}

int whole_ask(Whole *w, const Question *q, WholeAnswer *ret) {
        WorldPacket p;
        int r;

        *ret = (WholeAnswer){.family = q->packet.family};
        if (!w->world || !packet_of(w->world, q, &p))
                return 0;
        r = world_walk(w->walker, &p, &ret->walk);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return 0; /* an interface that is not there */
        ret->asked = true;
        if (ret->walk.outcomes[0].where == WORLD_DROPPED && ret->walk.n_steps > 0)
                ret->rejected = rejects(&ret->walk.steps[ret->walk.n_steps - 1]);
        if (!ret->walk.may_pass && !ret->walk.incomplete &&
            ret->walk.outcomes[0].where == WORLD_DROPPED && ret->walk.n_steps > 0) {
                const WorldStep *last = &ret->walk.steps[ret->walk.n_steps - 1];

                if (!is_ours(last->chain->table))
                        ret->dropper = last;
        }
        return 0;
}

/* --- the answer --- */

static const char *step_word(const WorldStep *s) {
        static const char *const nat[] = {
                [WORLD_DNAT] = "dnat",
                [WORLD_SNAT] = "snat",
                [WORLD_MASQUERADE] = "masquerade",
                [WORLD_REDIRECT] = "redirect",
                [WORLD_TPROXY] = "tproxy",
        };

        if (s->nat)
                return nat[s->nat->kind];
        if (rejects(s))
                return "reject";
        if (!s->rule)
                return s->verdict.kind == WORLD_DROP ? "policy drop" : "policy accept";
        return world_verdict_to_string(s->verdict.kind);
}

void whole_print_dropper(const WholeAnswer *answer) {
        const WorldStep *s = answer->dropper;
        const WorldTable *table = s->chain->table;
        const char *owner = world_chain_owner(s->chain);

        printf("  by        %s %s %s, ", world_family_to_string(table->family), table->name,
               s->chain->name);
        if (s->rule)
                printf("handle %" PRIu64, s->rule->handle);
        else
                fputs("its policy", stdout);
        printf("%s%s%s\n", owner ? "  (" : "", owner ? owner : "", owner ? ")" : "");
}

static size_t name_width(const WorldStep *s) {
        return strlen(world_family_to_string(s->chain->table->family)) +
               strlen(s->chain->table->name) + strlen(s->chain->name) + 2;
}

/* width: of the longest name. */
static void print_step(const WorldStep *s, size_t width, bool first) {
        const WorldTable *table = s->chain->table;
        const char *owner = world_chain_owner(s->chain);
        char handle[32] = "";

        if (s->rule)
                (void)snprintf(handle, sizeof(handle), "handle %" PRIu64, s->rule->handle);
        printf("  %-10s%s %s %s%*s %-13s %s%s", first ? "tables" : "",
               world_family_to_string(table->family), table->name, s->chain->name,
               (int)(width - name_width(s)), "", handle, step_word(s), s->verdict.chain ? " " : "");
        printf("%s%s%s%s\n", s->verdict.chain ? s->verdict.chain->name : "", owner ? "  (" : "",
               owner ? owner : "", owner ? ")" : "");
}

static void print_end(const WholeAnswer *answer) {
        const WorldOutcome *o = &answer->walk.outcomes[0];
        char buf[ADDRESS_TEXT_MAX];

        switch (o->where) {
        case WORLD_DROPPED:
                puts(answer->rejected ? "  end       rejected with an answer"
                                      : "  end       dropped");
                break;
        case WORLD_REFUSED:
                puts("  end       refused by the kernel itself: its addresses or routes do not "
                     "allow it");
                break;
        case WORLD_DELIVERED:
        case WORLD_LEFT:
                printf("  end       %s%s, as a packet to %s, port %u\n",
                       o->where == WORLD_LEFT ? "leaves by " : "delivered to this host",
                       o->where == WORLD_DELIVERED ? ""
                       : o->out                    ? o->out
                                                   : "an interface that is not known",
                       address_print(answer->family, o->destination, buf), o->destination_port);
                break;
        }
}

void whole_print(const Whole *w, const WholeAnswer *answer) {
        const WorldWalk *walk = &answer->walk;
        size_t width = 32;

        if (!w->others)
                return;
        if (!answer->asked) {
                output_line("  note      ",
                            "other programs have tables, too; name an interface of this host "
                            "(--in) to see the way through them");
                return;
        }
        for (size_t i = 0; i < walk->n_steps; i++)
                width = MAX(width, name_width(&walk->steps[i]));
        for (size_t i = 0; i < walk->n_steps; i++)
                print_step(&walk->steps[i], width, i == 0);
        print_end(answer);
        if (walk->may_pass && walk->may_drop)
                puts("  note      it may end otherwise: something that counts, times out or is not "
                     "understood has a part in it");
}

static const char *where_word(WorldWhere where) {
        switch (where) {
        case WORLD_DROPPED:
                return "dropped";
        case WORLD_REFUSED:
                return "refused";
        case WORLD_DELIVERED:
                return "delivered";
        case WORLD_LEFT:
                return "left";
        }
        return "dropped";
}

void whole_print_json(const Whole *w, const WholeAnswer *answer, json_t *object) {
        const WorldWalk *walk = &answer->walk;
        json_t *path;

        if (!w->others || !answer->asked)
                return;
        path = json_array();
        for (size_t i = 0; i < walk->n_steps; i++) {
                const WorldStep *s = &walk->steps[i];
                const WorldTable *table = s->chain->table;
                const char *owner = world_chain_owner(s->chain);
                json_t *step = json_object();

                (void)json_object_set_new(step, "family",
                                          json_string(world_family_to_string(table->family)));
                (void)json_object_set_new(step, "table", json_string(table->name));
                (void)json_object_set_new(step, "owner", owner ? json_string(owner) : json_null());
                (void)json_object_set_new(step, "chain", json_string(s->chain->name));
                (void)json_object_set_new(step, "handle",
                                          s->rule ? json_integer((json_int_t)s->rule->handle)
                                                  : json_null());
                (void)json_object_set_new(step, "does", json_string(step_word(s)));
                if (s->verdict.chain)
                        (void)json_object_set_new(step, "target",
                                                  json_string(s->verdict.chain->name));
                (void)json_array_append_new(path, step);
        }
        (void)json_object_set_new(object, "tables", path);
        (void)json_object_set_new(object, "end", json_string(where_word(walk->outcomes[0].where)));
        if ((walk->may_pass && walk->may_drop) || walk->incomplete)
                (void)json_object_set_new(object, "open", json_true());
}
