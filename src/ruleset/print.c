/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <netinet/in.h>

#include <linux/netfilter.h>

#include "base/address.h"
#include "ruleset/packet.h"
#include "ruleset/statement.h"

#define LINE_WIDTH 96

/* What was just printed, so that a rule says `tcp dport 22` and not `meta l4proto tcp th dport 22`:
 * nft puts the same dependency back when it reads the text. */
typedef struct Context {
        bool has_protocol;
        uint8_t protocol;
} Context;

static void print_ifname(FILE *f, Range r) {
        char low[17] = {0};
        unsigned int length;

        u128_to_bytes(r.low, low, 16);
        if (range_is_single(r) || !range_is_prefix(r, 128, &length))
                fprintf(f, "\"%s\"", low);
        else
                fprintf(f, "\"%.*s*\"", (int)(length / 8), low);
}

static void print_ether(FILE *f, U128 value) {
        unsigned char b[6];

        u128_to_bytes(value, b, sizeof(b));
        fprintf(f, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
}

static void print_number(FILE *f, TypeId type, U128 value) {
        const char *symbol = type_symbol_name(type, (uint32_t)value.low);

        if (symbol)
                fputs(symbol, f);
        else
                fprintf(f, "%" PRIu64, value.low);
}

static void print_range(FILE *f, TypeId type, Range r) {
        char buf[ADDRESS_TEXT_MAX];

        switch (type) {
        case TYPE_IFNAME:
                print_ifname(f, r);
                return;
        case TYPE_IPV4_ADDR:
                fputs(address_range_print(FAMILY_IPV4, r, buf), f);
                return;
        case TYPE_IPV6_ADDR:
                fputs(address_range_print(FAMILY_IPV6, r, buf), f);
                return;
        case TYPE_ETHER_ADDR:
                print_ether(f, r.low);
                return;
        case TYPE_TIME: /* nft reads whole seconds */
                r.low.low /= UINT64_C(1000000000);
                r.high.low /= UINT64_C(1000000000);
                break;
        case TYPE_PRESENCE:
        case TYPE_NFPROTO:
        case TYPE_INET_PROTO:
        case TYPE_INET_SERVICE:
        case TYPE_ICMP_TYPE:
        case TYPE_ICMPV6_TYPE:
        case TYPE_CT_STATE:
        case TYPE_CT_STATUS:
        case TYPE_MARK:
        case TYPE_FIB_ADDRTYPE:
        case TYPE_ARPHRD:
        case TYPE_UID:
        case TYPE_GID:
        case TYPE_NUMBER:
        case _TYPE_MAX:
        case _TYPE_INVALID:
                break;
        }
        print_number(f, type, r.low);
        if (!range_is_single(r)) {
                fputc('-', f);
                print_number(f, type, r.high);
        }
}

static void print_verdict(FILE *f, Verdict v) {
        fputs(verdict_kind_to_string(v.kind), f);
        if (v.chain)
                fprintf(f, " %s", v.chain->name);
}

void element_print(const Set *set, const Element *e, FILE *f) {
        for (size_t i = 0; i < set->n_types; i++) {
                if (i > 0)
                        fputs(" . ", f);
                print_range(f, set->types[i], e->key[i]);
        }
        /* a set with a name says it once, for all of them */
        if (set->counted && !set->name && set->n_elements > 1)
                fputs(" counter", f);
        if (e->origin.text)
                fprintf(f, " comment \"%.*s\"", (int)comment_size(e->origin.text), e->origin.text);
        if (set->is_map) {
                fputs(" : ", f);
                print_verdict(f, e->verdict);
        }
}

static void print_set_reference(FILE *f, const Set *set) {
        if (set->name) {
                fprintf(f, "@%s", set->name);
                return;
        }
        if (set->n_elements == 1 && !set->is_map && set->n_types == 1) {
                element_print(set, &set->elements[0], f);
                return;
        }
        fputs("{ ", f);
        for (size_t i = 0; i < set->n_elements; i++) {
                if (i > 0)
                        fputs(", ", f);
                element_print(set, &set->elements[i], f);
        }
        fputs(" }", f);
}

static bool single_value(const Match *m, FieldId field, uint32_t *ret) {
        if (m->op != MATCH_IN || m->n_fields != 1 || m->fields[0] != field || m->set->name ||
            m->set->n_elements != 1 || !range_is_single(m->set->elements[0].key[0]))
                return false;
        *ret = (uint32_t)m->set->elements[0].key[0].low.low;
        return true;
}

/* The fields that are looked at behind match i of the rule: the next match, or the map. */
static const FieldId *fields_behind(const Rule *rule, size_t i, size_t *ret_n) {
        if (i + 1 < rule->n_matches) {
                *ret_n = rule->matches[i + 1].n_fields;
                return rule->matches[i + 1].fields;
        }
        *ret_n = rule->n_map_fields;
        return rule->map_fields;
}

static bool needed_by_next(const Rule *rule, size_t i, FieldId field, uint32_t value) {
        size_t n;
        const FieldId *next = fields_behind(rule, i, &n);

        for (size_t j = 0; j < n; j++)
                if (fields[next[j]].has_needs && fields[next[j]].needs == field &&
                    fields[next[j]].needs_value == value)
                        return true;
        return false;
}

/* Whether nft puts this match there by itself when it reads what follows. */
static bool is_implied(const Rule *rule, size_t i) {
        const Match *m = &rule->matches[i];
        uint32_t value;
        size_t n;

        /* what nft puts there for a map it would put behind the counter */
        if (rule->counted && rule->map && i + 1 == rule->n_matches)
                return false;
        if (single_value(m, FIELD_IIFTYPE, &value))
                return needed_by_next(rule, i, FIELD_IIFTYPE, value);
        if (single_value(m, FIELD_NFPROTO, &value)) {
                uint32_t protocol;

                if (i + 1 < rule->n_matches &&
                    single_value(&rule->matches[i + 1], FIELD_L4PROTO, &protocol) &&
                    is_implied(rule, i + 1))
                        return (protocol == IPPROTO_ICMP && value == NFPROTO_IPV4) ||
                               (protocol == IPPROTO_ICMPV6 && value == NFPROTO_IPV6);
                return needed_by_next(rule, i, FIELD_NFPROTO, value);
        }
        if (single_value(m, FIELD_L4PROTO, &value)) {
                const FieldId *next = fields_behind(rule, i, &n);

                if (needed_by_next(rule, i, FIELD_L4PROTO, value))
                        return true;
                return n == 1 && (next[0] == FIELD_SPORT || next[0] == FIELD_DPORT) &&
                       type_symbol_name(TYPE_INET_PROTO, value);
        }
        return false;
}

static void print_field(FILE *f, FieldId field, const Context *c) {
        const char *protocol =
                c->has_protocol ? type_symbol_name(TYPE_INET_PROTO, c->protocol) : NULL;

        if ((field == FIELD_SPORT || field == FIELD_DPORT) && protocol)
                fprintf(f, "%s %s", protocol, field == FIELD_SPORT ? "sport" : "dport");
        else
                fputs(fields[field].name, f);
}

static void print_fields(FILE *f, const FieldId *list, size_t n, const Context *c) {
        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        fputs(" . ", f);
                print_field(f, list[i], c);
        }
}

/* Bits that have names stand for themselves; others are cut out of the field. */
static void print_bits(FILE *f, TypeId type, U128 mask, bool none) {
        const char *separator = "";

        if (!types[type].symbols) {
                fprintf(f, " & 0x%08" PRIx64 " %s 0", mask.low, none ? "==" : "!=");
                return;
        }
        fputs(none ? " ! " : " ", f);

        for (const TypeSymbol *s = types[type].symbols; s && s->name; s++)
                if (mask.low & s->value) {
                        fprintf(f, "%s%s", separator, s->name);
                        separator = ",";
                }
}

static void print_match(FILE *f, const Match *m, const Context *c) {
        if (m->op == MATCH_UNKNOWN) {
                fprintf(f, "/* not ringwall's: %s */", m->text);
                return;
        }
        print_fields(f, m->fields, m->n_fields, c);
        switch (m->op) {
        case MATCH_IN:
                fputc(' ', f);
                print_set_reference(f, m->set);
                break;
        case MATCH_NOT_IN:
                fputs(" != ", f);
                print_set_reference(f, m->set);
                break;
        case MATCH_BITS:
        case MATCH_NO_BITS:
                print_bits(f, fields[m->fields[0]].type, m->mask, m->op == MATCH_NO_BITS);
                break;
        case MATCH_UNKNOWN:
                break;
        }
}

static void print_target(FILE *f, const NatTarget *target) {
        bool v6 = target->family == FAMILY_IPV6, port = target->port > 0;
        char buf[ADDRESS_TEXT_MAX];

        fprintf(f, " %s to %s%s%s", v6 ? "ip6" : "ip", v6 && port ? "[" : "",
                address_print(target->family, target->address, buf), v6 && port ? "]" : "");
        if (port)
                fprintf(f, ":%" PRIu16, target->port);
}

void rule_print(const Rule *rule, FILE *f) {
        const char *separator = "";
        Context c = {0};

        for (size_t i = 0; i < rule->n_matches; i++) {
                uint32_t protocol;

                if (single_value(&rule->matches[i], FIELD_L4PROTO, &protocol))
                        c = (Context){.has_protocol = true, .protocol = (uint8_t)protocol};
                if (is_implied(rule, i))
                        continue;
                fputs(separator, f);
                print_match(f, &rule->matches[i], &c);
                separator = " ";
        }
        for (size_t i = 0; i < rule->n_statements; i++, separator = " ") {
                fputs(separator, f);
                statement_print(&rule->statements[i], f);
        }
        if (rule->counted) {
                fprintf(f, "%scounter", separator);
                if (rule->packets > 0)
                        fprintf(f, " packets %" PRIu64 " bytes %" PRIu64, rule->packets,
                                rule->bytes);
                separator = " ";
        }
        if (rule->verdict.kind == VERDICT_MAP) {
                fputs(separator, f);
                print_fields(f, rule->map_fields, rule->n_map_fields, &c);
                fputs(" vmap ", f);
                print_set_reference(f, rule->map);
        } else if (rule->verdict.kind != VERDICT_CONTINUE) {
                fputs(separator, f);
                print_verdict(f, rule->verdict);
                if (rule->verdict.kind == VERDICT_DNAT)
                        print_target(f, rule->target);
        }
        if (rule->origin.text)
                fprintf(f, " comment \"%.*s\"", (int)comment_size(rule->origin.text),
                        rule->origin.text);
}

static void print_elements(FILE *f, const Set *set) {
        size_t column = LINE_WIDTH;

        fputs("\t\telements = {", f);
        for (size_t i = 0; i < set->n_elements; i++) {
                _cleanup_free_ char *text = NULL;
                size_t size = 0;
                FILE *line = open_memstream(&text, &size);

                if (!line)
                        return;
                element_print(set, &set->elements[i], line);
                (void)fclose(
                        line); /* a memory stream: only allocation can fail, leaving text NULL */
                if (column + size > LINE_WIDTH) {
                        fputs("\n\t\t\t", f);
                        column = 24;
                } else
                        fputc(' ', f);
                fprintf(f, "%s%s", text ? text : "", i + 1 < set->n_elements ? "," : "");
                column += size + 2;
        }
        fputs("\n\t\t}\n", f);
}

static void print_set(FILE *f, const Set *set) {
        fprintf(f, "\t%s %s {\n\t\ttype ", set->is_map ? "map" : "set", set->name);
        for (size_t i = 0; i < set->n_types; i++)
                fprintf(f, "%s%s", i > 0 ? " . " : "", types[set->types[i]].name);
        fprintf(f, "%s\n", set->is_map ? " : verdict" : "");
        if (set->dynamic) {
                fprintf(f, "\t\tsize %" PRIu32 "\n\t\tflags dynamic%s\n", set->room,
                        set->timeout > 0 ? ",timeout" : "");
                if (set->timeout > 0)
                        fprintf(f, "\t\ttimeout %" PRIu32 "s\n", set->timeout);
        }
        if (set->interval)
                fputs("\t\tflags interval\n", f);
        if (set->counted)
                fputs("\t\tcounter\n", f);
        if (set->n_elements > 0 && !set->dynamic)
                print_elements(f, set);
        fputs("\t}\n", f);
}

static void print_chain(FILE *f, const Chain *chain) {
        fprintf(f, "\tchain %s {\n", chain->name);
        if (chain->hook != HOOK_NONE)
                fprintf(f, "\t\ttype %s hook %s priority %d; policy %s;\n",
                        chain->type == CHAIN_NAT ? "nat" : "filter", hook_to_string(chain->hook),
                        chain->priority, chain->policy_drop ? "drop" : "accept");
        for (size_t i = 0; i < chain->n_rules; i++) {
                fputs("\t\t", f);
                rule_print(&chain->rules[i], f);
                fputc('\n', f);
        }
        fputs("\t}\n", f);
}

static const char *print_chains(FILE *f, const Ruleset *rs, bool base, const char *separator) {
        for (size_t i = 0; i < rs->n_chains; i++)
                if ((rs->chains[i]->hook != HOOK_NONE) == base) {
                        fputs(separator, f);
                        print_chain(f, rs->chains[i]);
                        separator = "\n";
                }
        return separator;
}

void ruleset_print(const Ruleset *rs, FILE *f) {
        const char *separator = "";

        fputs("table inet " RULESET_TABLE " {\n", f);
        for (size_t i = 0; i < rs->n_limits; i++, separator = "\n") {
                fprintf(f, "%s\tlimit %s {\n\t\t", separator, rs->limits[i].name);
                limit_print(rs->limits[i].limit, f);
                fputs("\n\t}\n", f);
        }
        for (size_t i = 0; i < rs->n_sets; i++, separator = "\n") {
                fputs(separator, f);
                print_set(f, rs->sets[i]);
        }
        /* a reader begins where a packet does */
        separator = print_chains(f, rs, true, separator);
        (void)print_chains(f, rs, false, separator); /* nothing follows that it would separate */
        fputs("}\n", f);
}
