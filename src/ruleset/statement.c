/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/statement.h"

#include <inttypes.h>

static const struct {
        uint32_t seconds;
        const char *name; /* nft's */
} units[] = {{1, "second"}, {60, "minute"}, {3600, "hour"}, {86400, "day"}};

bool limit_equal(PacketLimit a, PacketLimit b) {
        return a.number == b.number && a.seconds == b.seconds && a.burst == b.burst;
}

static bool same_set(const Set *a, const Set *b) {
        return !a == !b && (!a || streq_null(a->name, b->name));
}

bool statement_equal(const Statement *a, const Statement *b) {
        return a->kind == b->kind && limit_equal(a->limit, b->limit) &&
               a->connections == b->connections && same_set(a->set, b->set) &&
               (!a->set || a->field == b->field) && streq_null(a->text, b->text);
}

bool rule_is_unconditional(const Rule *rule) {
        for (size_t i = 0; i < rule->n_statements; i++)
                if (rule->statements[i].kind != STATEMENT_LOG &&
                    rule->statements[i].kind != STATEMENT_SAMPLE)
                        return false;
        return rule->n_matches == 0;
}

bool rule_has_state(const Rule *rule) {
        for (size_t i = 0; i < rule->n_statements; i++)
                switch (rule->statements[i].kind) {
                case STATEMENT_LIMIT:
                case STATEMENT_CONNECTIONS:
                        return true;
                case STATEMENT_NAMED_LIMIT: /* its state is the named limit's */
                case STATEMENT_LOG:
                case STATEMENT_SAMPLE:
                case _STATEMENT_MAX:
                case _STATEMENT_INVALID:
                        break;
                }
        return false;
}

void limit_print(PacketLimit limit, FILE *f) {
        const char *unit = "second";

        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (units[i].seconds == limit.seconds)
                        unit = units[i].name;
        fprintf(f, "rate %" PRIu32 "/%s burst %" PRIu32 " packets", limit.number, unit,
                limit.burst);
}

static void print_key(const Statement *s, FILE *f) {
        const Set *set = s->set;

        fprintf(f, "%s @%s { %s ", set->timeout > 0 ? "update" : "add", set->name,
                fields[s->field].name);
        if (set->timeout > 0)
                fprintf(f, "timeout %" PRIu32 "s ", set->timeout);
}

void statement_print(const Statement *s, FILE *f) {
        if (s->set)
                print_key(s, f);
        switch (s->kind) {
        case STATEMENT_LIMIT:
                fputs("limit ", f);
                limit_print(s->limit, f);
                break;
        case STATEMENT_CONNECTIONS:
                fprintf(f, "ct count %" PRIu32, s->connections);
                break;
        case STATEMENT_NAMED_LIMIT:
                fprintf(f, "limit name \"%s\"", s->text);
                break;
        case STATEMENT_LOG:
                fprintf(f, "log prefix \"%s\" group %d", s->text, RULESET_LOG_GROUP);
                break;
        case STATEMENT_SAMPLE:
                if (s->text)
                        fprintf(f, "log prefix \"%s\" group %d", s->text, RULESET_SAMPLE_GROUP);
                else
                        fprintf(f, "log group %d", RULESET_SAMPLE_GROUP);
                break;
        case _STATEMENT_MAX:
        case _STATEMENT_INVALID:
                break;
        }
        if (s->set)
                fputs(" }", f);
}
