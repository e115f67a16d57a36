/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world/print.h"

#include <inttypes.h>
#include <netinet/in.h>

#include <linux/netfilter.h>

static void print_bytes(FILE *f, const uint8_t *bytes, size_t size) {
        for (size_t i = 0; i < size; i++)
                fprintf(f, "%02x", bytes[i]);
}

static void print_data(FILE *f, const char *before, const WorldData *data) {
        fputs(before, f);
        print_bytes(f, data->bytes, data->size);
}

const char *world_verdict_to_string(WorldVerdictKind kind) {
        static const char *const words[] = {
                [WORLD_CONTINUE] = "continue", [WORLD_BREAK] = "break", [WORLD_ACCEPT] = "accept",
                [WORLD_DROP] = "drop",         [WORLD_QUEUE] = "queue", [WORLD_STOLEN] = "stolen",
                [WORLD_JUMP] = "jump",         [WORLD_GOTO] = "goto",   [WORLD_RETURN] = "return",
        };

        return (size_t)kind < ARRAY_SIZE(words) ? words[kind] : "?";
}

const char *world_family_to_string(uint8_t family) {
        switch (family) {
        case NFPROTO_INET:
                return "inet";
        case NFPROTO_IPV4:
                return "ip";
        case NFPROTO_IPV6:
                return "ip6";
        case NFPROTO_ARP:
                return "arp";
        case NFPROTO_BRIDGE:
                return "bridge";
        case NFPROTO_NETDEV:
                return "netdev";
        }
        return "?";
}

const char *world_hook_to_string(const WorldChain *chain) {
        static const char *const names[] = {
                [NF_INET_PRE_ROUTING] = "prerouting",   [NF_INET_LOCAL_IN] = "input",
                [NF_INET_FORWARD] = "forward",          [NF_INET_LOCAL_OUT] = "output",
                [NF_INET_POST_ROUTING] = "postrouting",
        };

        if (chain->ingress || chain->egress)
                return chain->ingress ? "ingress" : "egress";
        if (chain->table->family == NFPROTO_ARP) /* it counts by itself */
                return chain->hook == 0 ? "input" : "output";
        return (size_t)chain->hook < ARRAY_SIZE(names) ? names[chain->hook] : "?";
}

const char *world_chain_owner(const WorldChain *chain) {
        /* in the tables of iptables, where everybody has some */
        static const struct {
                const char *prefix, *owner;
        } chains[] = {
                {"DOCKER", "Docker"},     {"ufw", "ufw"},          {"f2b-", "fail2ban"},
                {"LIBVIRT_", "libvirt"},  {"KUBE-", "kube-proxy"}, {"CNI-", "CNI"},
                {"NETAVARK", "Podman"},   {"ts-", "Tailscale"},    {"cali-", "Calico"},
                {"CROWDSEC", "CrowdSec"},
        };
        static const char *const of_zones[] = {"IN_", "FWD_", "PRE_", "POST_", "OUT_"};
        bool zones = chain->table->has_zones;

        for (size_t i = 0; i < ARRAY_SIZE(chains); i++)
                if (strncmp(chain->name, chains[i].prefix, strlen(chains[i].prefix)) == 0)
                        return chains[i].owner;
        for (size_t i = 0; i < ARRAY_SIZE(of_zones) && zones; i++)
                if (strncmp(chain->name, of_zones[i], strlen(of_zones[i])) == 0)
                        return "firewalld";
        return zones && (strstr(chain->name, "_ZONES") || strstr(chain->name, "_POLICIES_"))
                       ? "firewalld"
                       : chain->table->owner;
}

static void print_verdict(FILE *f, const WorldVerdict *v) {
        fputs(world_verdict_to_string(v->kind), f);
        if (v->chain)
                fprintf(f, " %s", v->chain->name);
}

static void print_element(FILE *f, const WorldSet *set, const WorldElement *e) {
        if (e->catch_all)
                fputs("*", f);
        else
                print_bytes(f, e->low, set->key_size);
        if (e->high && memcmp(e->low, e->high, set->key_size) != 0) {
                fputs("-", f);
                print_bytes(f, e->high, set->key_size);
        }
        if (e->maybe)
                fputs("?", f);
        if (set->is_verdict_map) {
                fputs(":", f);
                print_verdict(f, &e->verdict);
        }
        if (e->value) {
                fputs(":", f);
                print_bytes(f, e->value, set->value_size);
        }
}

static void print_elements(FILE *f, const WorldSet *set) {
        fprintf(f, "{%s%s", set->unknown ? " unknown" : "", set->dynamic ? " dynamic" : "");
        for (size_t i = 0; i < set->n_elements; i++) {
                fputs(" ", f);
                print_element(f, set, &set->elements[i]);
        }
        fputs(" }", f);
}

static bool is_anonymous(const WorldSet *set) {
        return strncmp(set->name, "__", 2) == 0;
}

static const char *compare_to_string(WorldCompare op) {
        static const char *const words[] = {
                [WORLD_EQUAL] = "==",      [WORLD_NOT_EQUAL] = "!=", [WORLD_LESS] = "<",
                [WORLD_LESS_EQUAL] = "<=", [WORLD_GREATER] = ">",    [WORLD_GREATER_EQUAL] = ">=",
        };

        return (size_t)op < ARRAY_SIZE(words) ? words[op] : "?";
}

static void print_nat(FILE *f, const WorldNat *nat) {
        static const char *const words[] = {
                [WORLD_DNAT] = "dnat",
                [WORLD_SNAT] = "snat",
                [WORLD_MASQUERADE] = "masquerade",
                [WORLD_REDIRECT] = "redirect",
                [WORLD_TPROXY] = "tproxy",
        };

        if (nat->has_base)
                fprintf(f, "from base %u ", nat->base);
        fprintf(f, "%s address r%d-r%d port r%d-r%d", words[nat->kind], nat->address_low,
                nat->address_high, nat->port_low, nat->port_high);
}

static void print_ports(FILE *f, const WorldExpr *x) {
        fprintf(f, "ports%s%s%s", x->inverted ? " not" : "", x->ports->source ? " source" : "",
                x->ports->destination ? " destination" : "");
        for (size_t i = 0; i < x->ports->n; i++)
                fprintf(f, " %u-%u", x->ports->ranges[i].low, x->ports->ranges[i].high);
}

static void print_payload(const WorldExpr *x, FILE *f) {
        fprintf(f, "r%d = payload %d %" PRIu32 " size %u", x->target, (int)x->base, x->offset,
                x->size);
}

static void print_meta(const WorldExpr *x, FILE *f) {
        fprintf(f, "r%d = meta %" PRIu32, x->target, x->key);
}

static void print_ct(const WorldExpr *x, FILE *f) {
        fprintf(f, "r%d = ct %" PRIu32 "%s%s", x->target, x->key,
                x->direction == 0   ? " original"
                : x->direction == 1 ? " reply"
                                    : "",
                x->bypass ? " or 0" : "");
}

static void print_fib(const WorldExpr *x, FILE *f) {
        fprintf(f, "r%d = fib %" PRIu32 " flags %" PRIx32, x->target, x->key, x->offset);
}

static void print_exthdr(const WorldExpr *x, FILE *f) {
        fprintf(f, "r%d = exthdr %u %" PRIu32 " offset %" PRIu32 " size %u%s", x->target, x->unit,
                x->key, x->offset, x->size, x->present ? " present" : "");
}

static void print_immediate(const WorldExpr *x, FILE *f) {
        fprintf(f, "r%d =", x->target);
        print_data(f, " ", &x->data);
}

static void print_any(const WorldExpr *x, FILE *f) {
        fprintf(f, "r%d = any %s", x->target, x->name);
}

static void print_bitwise(const WorldExpr *x, FILE *f) {
        fprintf(f, "r%d = r%d", x->target, x->source);
        if (x->shift != 0) {
                fprintf(f, " shift %d", x->shift);
                return;
        }
        print_data(f, " & ", &x->mask);
        print_data(f, " ^ ", &x->data);
}

static void print_byteorder(const WorldExpr *x, FILE *f) {
        fprintf(f, "r%d = swap r%d size %u unit %u", x->target, x->source, x->size, x->unit);
}

static void print_compare(const WorldExpr *x, FILE *f) {
        fprintf(f, "r%d %s", x->source, compare_to_string(x->op));
        print_data(f, " ", &x->data);
}

static void print_range(const WorldExpr *x, FILE *f) {
        fprintf(f, "r%d %sin", x->source, x->inverted ? "not " : "");
        print_data(f, " ", &x->data);
        print_data(f, "-", &x->high);
}

static void print_lookup(const WorldExpr *x, FILE *f) {
        fprintf(f, "r%d %sin ", x->source, x->inverted ? "not " : "");
        if (is_anonymous(x->set))
                print_elements(f, x->set);
        else
                fprintf(f, "@%s", x->set->name);
        if (x->target >= 0)
                fprintf(f, " to r%d", x->target);
}

static void print_multiport(const WorldExpr *x, FILE *f) {
        print_ports(f, x);
}

static void print_set_meta(const WorldExpr *x, FILE *f) {
        fprintf(f, "meta %" PRIu32 " = r%d", x->key, x->source);
}

static void print_set_ct(const WorldExpr *x, FILE *f) {
        fprintf(f, "ct %" PRIu32 " = r%d", x->key, x->source);
}

static void print_set_payload(const WorldExpr *x, FILE *f) {
        fprintf(f, "payload %d %" PRIu32 " size %u = r%d", (int)x->base, x->offset, x->size,
                x->source);
}

static void print_translation(const WorldExpr *x, FILE *f) {
        print_nat(f, &x->nat);
}

static void print_end(const WorldExpr *x, FILE *f) {
        print_verdict(f, &x->verdict);
}

static void print_name(const WorldExpr *x, FILE *f) {
        fputs(x->name, f);
}

static void print_way(const WorldExpr *x, FILE *f) {
        fprintf(f, "%s address r%d device r%d", x->name, x->source, x->target);
}

static void print_choice(const WorldExpr *x, FILE *f) {
        fprintf(f, "maybe %s", x->name);
}

static void print_unknown(const WorldExpr *x, FILE *f) {
        fprintf(f, "unknown %s", x->name);
}

static void (*const printers[])(const WorldExpr *x, FILE *f) = {
        [WORLD_PAYLOAD] = print_payload,
        [WORLD_META] = print_meta,
        [WORLD_CT] = print_ct,
        [WORLD_FIB] = print_fib,
        [WORLD_EXTHDR] = print_exthdr,
        [WORLD_DATA] = print_immediate,
        [WORLD_LOAD_ANY] = print_any,
        [WORLD_BITWISE] = print_bitwise,
        [WORLD_BYTEORDER] = print_byteorder,
        [WORLD_CMP] = print_compare,
        [WORLD_RANGE] = print_range,
        [WORLD_LOOKUP] = print_lookup,
        [WORLD_PORTS] = print_multiport,
        [WORLD_SET_META] = print_set_meta,
        [WORLD_SET_CT] = print_set_ct,
        [WORLD_SET_PAYLOAD] = print_set_payload,
        [WORLD_NOTRACK] = print_name,
        [WORLD_NAT] = print_translation,
        [WORLD_COPY] = print_way,
        [WORLD_FORWARD] = print_way,
        [WORLD_NOTHING] = print_name,
        [WORLD_CHOICE] = print_choice,
        [WORLD_IS] = print_end,
        [WORLD_REJECT] = print_name,
        [WORLD_UNKNOWN] = print_unknown,
};

void world_print_expr(const WorldExpr *x, FILE *f) {
        if ((size_t)x->kind < ARRAY_SIZE(printers) && printers[x->kind])
                printers[x->kind](x, f);
        else
                print_unknown(x, f);
}

static void print_chain(const WorldChain *chain, FILE *f) {
        fprintf(f, "chain %s %s %s", world_family_to_string(chain->table->family),
                chain->table->name, chain->name);
        if (chain->is_base)
                fprintf(f, " %s %d %s %s",
                        chain->type == WORLD_NATS    ? "nat"
                        : chain->type == WORLD_ROUTE ? "route"
                                                     : "filter",
                        chain->priority, world_hook_to_string(chain),
                        chain->policy_drop ? "drop" : "accept");
        for (size_t i = 0; i < chain->n_devices; i++)
                fprintf(f, " %s", chain->devices[i]);
        fputs("\n", f);
        for (size_t i = 0; i < chain->n_rules; i++) {
                const WorldRule *rule = &chain->rules[i];

                fputs("  ", f);
                for (size_t j = 0; j < rule->n_exprs; j++) {
                        fputs(j > 0 ? "; " : "", f);
                        world_print_expr(&rule->exprs[j], f);
                }
                fprintf(f, "%s%s\n", rule->comment ? " # " : "",
                        rule->comment ? rule->comment : "");
        }
}

void world_print(const World *w, FILE *f) {
        for (size_t i = 0; i < w->n_tables; i++)
                fprintf(f, "table %s %s%s\n", world_family_to_string(w->tables[i].family),
                        w->tables[i].name, w->tables[i].flags & 1 ? " dormant" : "");
        for (size_t i = 0; i < w->n_sets; i++) {
                const WorldSet *set = w->sets[i];

                if (is_anonymous(set))
                        continue;
                fprintf(f, "set %s %s %s ", world_family_to_string(set->table->family),
                        set->table->name, set->name);
                print_elements(f, set);
                fputs("\n", f);
        }
        for (size_t i = 0; i < w->n_chains; i++)
                print_chain(w->chains[i], f);
}

const char *world_step_effect(const WorldStep *s) {
        if (s->nat)
                return "translates";
        for (size_t i = 0; s->rule && s->verdict.kind == WORLD_STOLEN && i < s->rule->n_exprs; i++)
                if (s->rule->exprs[i].kind == WORLD_FORWARD)
                        return "sends it on past all others";
        for (size_t i = 0; s->rule && i < s->rule->n_exprs; i++) {
                if (s->rule->exprs[i].kind == WORLD_SET_PAYLOAD)
                        return "rewrites it";
                if (s->rule->exprs[i].kind == WORLD_NOTRACK)
                        return "hides it from conntrack";
        }
        return NULL;
}
