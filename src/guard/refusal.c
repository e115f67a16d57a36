/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/refusal.h"

#include "ruleset/packet.h"
#include "ruleset/plan.h"
#include "ruleset/refused.h"

static const char *const kind_names[_REFUSAL_KIND_MAX] = {
        [REFUSAL_DEFAULT] = "default",     [REFUSAL_DENY] = "deny",
        [REFUSAL_PROTECTED] = "protected", [REFUSAL_LIMIT] = "limit",
        [REFUSAL_OUTDATED] = "outdated",
};

const char *refusal_kind_to_string(RefusalKind kind) {
        return kind_names[kind];
}

/* What the chains are asked: at the hook where the packet came by first. */
static bool make_question(const LogLine *line, uint64_t time_nsec, PacketQuestion *ret) {
        Hook hook = line->hook == HOOK_POSTROUTING ? HOOK_OUTPUT : line->hook;

        if (!line->has_addresses ||
            (hook != HOOK_INPUT && hook != HOOK_FORWARD && hook != HOOK_OUTPUT))
                return false;
        *ret = (PacketQuestion){
                .hook = hook,
                .family = line->family,
                .in = line->in[0] ? line->in : NULL,
                .out = line->out[0] ? line->out : NULL,
                .source = line->source,
                .destination = line->destination,
                .protocol = line->protocol,
                .source_port = line->source_port,
                .destination_port = line->destination_port,
                .icmp_type = line->icmp_type,
                .ct_state = line->has_connection ? line->ct_state : CT_STATE_NEW,
                .ct_mark = line->ct_mark,
                .expected = line->expected,
                .has_user = line->has_user,
                .has_group = line->has_group,
                .user = line->user,
                .group = line->group,
                .time = time_nsec,
                .translated = line->translated,
                .dialled = line->dialled,
                .dialled_port = line->dialled_port,
        };
        if (!line->has_connection && streq(line->prefix, RULESET_TRANSLATED)) {
                ret->translated = true;
                ret->dialled = line->destination; /* and no port */
        }
        return true;
}

/* What goes back into the bridge that it came by is addressed to this host: a frame between its
 * ports is none of the policy's business. */
static void add_bridge(const Ruleset *rs, PacketQuestion *q) {
        const Set *own = ruleset_find_set(rs, RULESET_BRIDGE_OWN);

        for (size_t i = 0; own && q->in && i < own->n_elements; i++)
                if (u128_equal(own->elements[i].key[0].low, interface_value(q->in)))
                        q->ether_destination = own->elements[i].key[1].low;
}

/* Of the last step that has something to tell: of many rules that became one the element knows
 * which it was. */
static const char *deciding_text(const Evaluation *e) {
        for (size_t i = e->n_steps; i > 0; i--) {
                const Step *s = &e->steps[i - 1];

                if (!s->rule || !s->rule->origin.text)
                        continue;
                if (s->element && s->element->origin.text)
                        return s->element->origin.text;
                return s->rule->origin.text;
        }
        return "";
}

/* The last rule with a limit: what it did not admit fell through to what refused it. */
static const char *limited_text(const Evaluation *e) {
        for (size_t i = e->n_steps; i > 0; i--)
                if (e->steps[i - 1].rule && rule_has_state(e->steps[i - 1].rule))
                        return e->steps[i - 1].rule->origin.text;
        return NULL;
}

/* "inbound default: drop" */
static bool is_default(const char *words) {
        for (SectionId id = 0; id < _SECTION_MAX; id++) {
                const char *name = section_id_to_string(id);

                if (startswith(words, name) && startswith(words + strlen(name), " default: "))
                        return true;
        }
        return false;
}

static RefusalKind kind_of(const char *text) {
        const char *words = plan_words(text);

        if (startswith(words, "protected "))
                return REFUSAL_PROTECTED;
        return is_default(words) ? REFUSAL_DEFAULT : REFUSAL_DENY;
}

static void copy_text(char to[REFUSAL_TEXT_MAX], const char *from) {
        size_t n = comment_size(from);

        memcpy(to, from, n);
        to[n] = '\0';
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)to[i] < ' ' || to[i] == 0x7f)
                        to[i] = '?';
}

static void
decide(const LogLine *line, const PacketQuestion *q, const Evaluation *e, Refusal *ret) {
        const char *limited = e->limited ? limited_text(e) : NULL;

        *ret = (Refusal){
                .section = q->hook == HOOK_OUTPUT                      ? SECTION_OUTBOUND
                           : q->hook == HOOK_FORWARD && !q->translated ? SECTION_ROUTED
                                                                       : SECTION_INBOUND,
                .translated = q->translated,
                .is_dialled_known = !q->translated || line->has_connection,
                .destination = q->destination,
                .destination_port = q->destination_port,
        };
        if (ret->section == SECTION_INBOUND && q->translated) {
                ret->destination = q->dialled;
                ret->destination_port = q->dialled_port;
        }
        if (e->verdict != VERDICT_ACCEPT) {
                copy_text(ret->by, deciding_text(e));
                ret->kind = kind_of(ret->by);
        } else if (limited) {
                copy_text(ret->by, limited);
                ret->kind = REFUSAL_LIMIT;
        } else {
                ret->kind = REFUSAL_OUTDATED;
        }
}

int refusal_find(const Ruleset *rs, const LogLine *line, uint64_t time_nsec, Refusal *ret) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        PacketQuestion q;
        Evaluation e;
        Packet p;
        int r;

        if (!a)
                return -ENOMEM;
        if (!make_question(line, time_nsec, &q))
                return 0;
        add_bridge(rs, &q);
        packet_init(&p, &q);
        r = ruleset_eval(rs, a, q.hook, &p, &e);
        if (r < 0)
                return r;
        decide(line, &q, &e, ret);
        return 1;
}
