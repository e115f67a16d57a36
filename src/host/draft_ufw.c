/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <netinet/in.h>

#include "host/draft_parts.h"

#define SHOWN_MAX 40                         /* rules that are not taken over, and are told of */
#define LIMIT "12/minute burst 6 per source" /* what ufw means by it: 6 in 30 seconds */

/* ---- what a rule says, in the policy's words */

static bool listens(const Survey *s, uint8_t proto, Range ports) {
        for (size_t i = 0; i < s->n_ports; i++)
                if (s->ports[i].proto == proto && s->ports[i].port >= ports.low.low &&
                    s->ports[i].port <= ports.high.low)
                        return true;
        return false;
}

static int add_ports(Draft *d, const char *protocol, Range ports, Words *to) {
        const char *word = draft_word(d->arena, d->catalogue, protocol, ports);

        return word ? draft_add_word(d->arena, to, word) : -ENOMEM;
}

/* What is said of no protocol is meant for both, but as a rule only one of them has a server. */
static int add_services(Draft *d, const UfwRule *rule, Range ports, Words *to) {
        bool any = streq(rule->protocol, "any");
        bool udp =
                streq(rule->protocol, "udp") || (any && (listens(d->survey, IPPROTO_UDP, ports) ||
                                                         !listens(d->survey, IPPROTO_TCP, ports)));
        bool tcp = streq(rule->protocol, "tcp") || any;
        int r = 0;

        if (tcp)
                r = add_ports(d, "tcp", ports, to);
        if (udp && r == 0)
                r = add_ports(d, "udp", ports, to);
        return r;
}

static int read_services(Draft *d, DraftUfw *x) {
        const Range all = {u128(1), u128(UINT16_MAX)};
        const UfwRule *rule = x->rule;
        int r = 0;

        if (rule->ports.n_items == 0)
                return streq(rule->protocol, "any") ? draft_add_word(d->arena, &x->services, "any")
                                                    : add_services(d, rule, all, &x->services);
        for (size_t i = 0; i < rule->ports.n_items && r == 0; i++)
                r = add_services(d, rule, rule->ports.items[i], &x->services);
        return r;
}

static bool is_of_ssh(const Survey *s, const UfwRule *rule) {
        bool is = rule->ports.n_items > 0 && !streq(rule->protocol, "udp") && !rule->in &&
                  !rule->has_destination && rule->action <= UFW_LIMIT;

        for (size_t i = 0; i < rule->ports.n_items && is; i++) {
                Range r = rule->ports.items[i];
                bool found = false;

                for (size_t j = 0; j < s->n_ssh_ports; j++)
                        found |= range_is_single(r) && r.low.low == s->ssh_ports[j];
                is = found;
        }
        return is;
}

static bool is_internal(Draft *d, const Words *services) {
        for (size_t i = 0; i < services->n_items; i++) {
                const Service *s = policy_find_service(d->catalogue, services->items[i]);

                if (s && s->internal)
                        return true;
        }
        for (size_t i = 0; i < d->n_ports; i++) {
                const SurveyPort *p = d->ports[i].port;

                if (d->ports[i].is_internal && !draft_has(services, "any") &&
                    draft_means(d->arena, d->catalogue, services, p->proto, p->port))
                        return true;
        }
        return false;
}

static bool shuts_out_caller(const Survey *s, const UfwRule *rule) {
        return s->has_caller && rule->family == s->caller_family &&
               u128_compare(rule->source.low, s->caller) <= 0 &&
               u128_compare(s->caller, rule->source.high) <= 0;
}

static bool has_ports(const char *protocol) {
        return streq(protocol, "any") || streq(protocol, "tcp") || streq(protocol, "udp");
}

/* Why the rule is not taken over; NULL if it is. */
static const char *refusal_of(const Draft *d, const DraftUfw *x) {
        const UfwRule *rule = x->rule;
        bool allows = rule->action <= UFW_LIMIT;

        if (rule->is_outgoing || rule->is_routed)
                return rule->is_routed ? "of 'routed'" : "of 'outbound'";
        if (rule->has_source_ports || !has_ports(rule->protocol))
                return "write it by hand, if it is needed";
        if (rule->in && !survey_find_link(d->survey, rule->in))
                return "there is no such interface";
        if (!allows && !rule->has_source)
                return "closed anyway, if no rule opens it";
        if (!allows && shuts_out_caller(d->survey, rule))
                return "it would shut you out";
        if (allows && x->is_internal && !rule->has_source)
                return "never for everybody: say who may";
        if (allows && draft_has(&x->services, "any") && !rule->has_source && !rule->in)
                return "it opens everything: name services";
        return NULL;
}

static bool is_same_rule(const UfwRule *x, const UfwRule *y) {
        return x->action == y->action && x->is_routed == y->is_routed &&
               x->is_outgoing == y->is_outgoing && streq(x->protocol, y->protocol) &&
               range_set_equal(&x->ports, &y->ports) && streq_null(x->in, y->in) &&
               streq_null(x->out, y->out);
}

/* A rule that names no address is written down twice, once for each family. */
static bool is_twin(const Draft *d, const UfwRule *rule) {
        for (size_t i = 0; i < d->n_ufw; i++) {
                const UfwRule *other = d->ufw[i].rule;

                if (!rule->has_source && !rule->has_destination && !other->has_source &&
                    !other->has_destination && is_same_rule(rule, other))
                        return true;
        }
        return false;
}

int draft_read_ufw(Draft *d) {
        const Ufw *ufw = &d->survey->ufw;

        for (size_t i = 0; i < ufw->n_rules && ufw->is_enabled; i++) {
                DraftUfw x = {.rule = &ufw->rules[i]};

                if (is_twin(d, x.rule))
                        continue;
                if (has_ports(x.rule->protocol) && read_services(d, &x) < 0)
                        return -ENOMEM;
                x.is_internal = is_internal(d, &x.services);
                x.is_ssh = is_of_ssh(d->survey, x.rule);
                x.is_public = x.rule->action <= UFW_LIMIT && !x.rule->has_source &&
                              !x.rule->has_destination && !x.rule->in;
                x.refusal = refusal_of(d, &x);
                if (!arena_append(d->arena, d->ufw, d->n_ufw, x))
                        return -ENOMEM;
        }
        return 0;
}

/* ---- what becomes of it */

static const char *range_text(Arena *a, const UfwRule *rule, Range range) {
        char buf[ADDRESS_TEXT_MAX];

        return arena_strdup(a, address_range_print(rule->family, range, buf));
}

const char *draft_describe_ufw(Arena *a, const DraftUfw *x) {
        const UfwRule *rule = x->rule;
        const char *what = x->services.n_items > 0 ? draft_join(a, &x->services) : rule->protocol;
        const char *from = rule->has_source ? range_text(a, rule, rule->source) : "anywhere";

        if (!what || !from)
                return NULL;
        return arena_printf(a, "%s%s %s from %s%s%s%s%s%s%s%s%s",
                            rule->is_routed     ? "route "
                            : rule->is_outgoing ? "out "
                                                : "",
                            ufw_action_to_string(rule->action), what, from,
                            rule->has_source_ports ? " by source port" : "",
                            rule->has_destination ? " to " : "",
                            rule->has_destination ? range_text(a, rule, rule->destination) : "",
                            rule->in ? " in " : "", rule->in ? rule->in : "",
                            rule->name ? " (" : "", rule->name ? rule->name : "",
                            rule->name ? ")" : "");
}

static void put_rule(Draft *d, const DraftUfw *x) {
        const UfwRule *rule = x->rule;
        bool allows = rule->action <= UFW_LIMIT;
        const char *key = allows ? "allow" : "deny", *services = draft_list(d, &x->services);
        const char *from = "", *to = "", *in = "";
        const char *comment = rule->name ? arena_printf(d->arena, "ufw: %s", rule->name) : "ufw";

        if (rule->has_source)
                from = arena_printf(
                        d->arena, ", from: %s",
                        draft_quote(d->arena, range_text(d->arena, rule, rule->source)));
        if (rule->has_destination)
                to = arena_printf(
                        d->arena, ", to: %s",
                        draft_quote(d->arena, range_text(d->arena, rule, rule->destination)));
        if (rule->in)
                in = arena_printf(d->arena, ", in: %s", draft_quote(d->arena, rule->in));
        if (!services || !from || !to || !in || !comment) {
                d->failed = true;
                return;
        }
        (void)draft_put(d, DRAFT_PART_INBOUND, comment, "- { %s: %s%s%s%s%s }", key, services, from,
                        to, in, rule->action == UFW_LIMIT ? ", limit: " LIMIT : "");
}

/* Of what anybody may use, what the answer named is there already. */
static bool is_named(Draft *d, const DraftUfw *x) {
        for (size_t i = 0; i < x->services.n_items; i++)
                if (!draft_has(&d->public, x->services.items[i]))
                        return false;
        return true;
}

static void put_left_out(Draft *d) {
        const Ufw *ufw = &d->survey->ufw;
        size_t n = 0;

        for (size_t i = 0; i < d->n_ufw; i++) {
                const DraftUfw *x = &d->ufw[i];
                bool unnamed = !x->refusal && x->is_public && !x->is_ssh && !is_named(d, x);

                if (!x->refusal && !unnamed)
                        continue;
                if (n++ == 0)
                        draft_note(d, DRAFT_PART_INBOUND,
                                   "ufw says more, which is not taken over:");
                if (n <= SHOWN_MAX)
                        draft_note(d, DRAFT_PART_INBOUND, "  %s: %s",
                                   draft_describe_ufw(d->arena, x),
                                   x->refusal ? x->refusal : "you did not name it");
        }
        if (n > SHOWN_MAX)
                draft_note(d, DRAFT_PART_INBOUND, "  and %zu more: ufw status", n - SHOWN_MAX);
        if (ufw->is_enabled && ufw->n_left_out > 0)
                draft_note(d, DRAFT_PART_INBOUND,
                           "%zu of ufw's rules could not be made out: ufw status", ufw->n_left_out);
        if (ufw->is_unreadable)
                draft_note(d, DRAFT_PART_INBOUND, "ufw's rules could not be read: ufw status");
        else if (!ufw->is_enabled && ufw->n_rules > 0)
                draft_note(d, DRAFT_PART_INBOUND,
                           "ufw is switched off: what it would allow is not taken over");
}

void draft_put_ufw(Draft *d) {
        for (size_t i = 0; i < d->n_ufw; i++)
                if (!d->ufw[i].refusal && !d->ufw[i].is_ssh && !d->ufw[i].is_public)
                        put_rule(d, &d->ufw[i]);
        put_left_out(d);
}
