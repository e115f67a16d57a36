/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"
#include "cli/output.h"
#include "cli/rules_parts.h"

static void print_rule(const RuleChange *c, bool comes, const FileRule *rule) {
        OutputStyle style = output_style(stdout);
        const char *text = file_rule_describe(c->change.arena, rule);

        printf("  %s%c%s %s%s\n", comes ? style.good : style.bad, comes ? '+' : '-', style.reset,
               text ? text : "?", rule->is_over ? " (is over)" : "");
}

void rules_print_change(const RuleChange *c) {
        if (!change_is_any(&c->change)) {
                printf("%s says so already\n", c->change.path);
                return;
        }
        puts(c->change.path);
        for (size_t i = 0; i < c->file.n_rules; i++)
                if (c->file.rules[i].goes)
                        print_rule(c, false, &c->file.rules[i]);
        if (c->comes)
                print_rule(c, true, &c->rule);
}

static json_t *json_rules(const RuleChange *c, bool come) {
        json_t *array = json_array();

        for (size_t i = 0; i < c->file.n_rules && !come; i++)
                if (c->file.rules[i].goes)
                        (void)json_array_append_new(
                                array, json_string(file_rule_describe(c->change.arena,
                                                                      &c->file.rules[i])));
        if (come && c->comes)
                (void)json_array_append_new(
                        array, json_string(file_rule_describe(c->change.arena, &c->rule)));
        return array;
}

int rules_print_json(const RuleChange *c, json_t *reply, bool written) {
        int code = reply ? apply_code(reply) : EXIT_OK;

        if (!reply)
                reply = json_object();
        (void)json_object_set_new(reply, "rulesFile", json_string(c->change.path));
        (void)json_object_set_new(reply, "come", json_rules(c, true));
        (void)json_object_set_new(reply, "go", json_rules(c, false));
        (void)json_object_set_new(reply, "written", json_boolean(written));
        return output_json(reply) == EXIT_OK ? code : EXIT_FAILED;
}

void rules_print_back(const RuleChange *c) {
        size_t n = 1;

        printf("%s keeps it even then", c->change.path);
        for (size_t i = 0; i < c->file.n_rules; i++)
                n += c->file.rules[i].is_own && !c->file.rules[i].goes;
        if (c->comes)
                printf(": `ringwall remove %zu` takes it out again", n);
        putchar('\n');
}

static int list_json(const RuleChange *c) {
        json_t *array = json_array();

        for (size_t i = 0, n = 0; i < c->file.n_rules; i++) {
                const FileRule *rule = &c->file.rules[i];
                const char *text = file_rule_describe(c->change.arena, rule);

                if (!rule->is_own)
                        continue;
                (void)json_array_append_new(
                        array, json_pack("{sI ss ss sI sb}", "number", (json_int_t)++n, "rule",
                                         text ? text : "", "file", c->change.path, "line",
                                         (json_int_t)rule->line, "over", rule->is_over));
        }
        return output_json(array);
}

int rules_list(const RuleChange *c) {
        static const char *const columns[] = {"NUMBER", "RULE", ""};
        _cleanup_(output_table_freep) OutputTable *t =
                output_table_new(columns, ARRAY_SIZE(columns));
        size_t n = 0;

        if (c->json)
                return list_json(c);
        for (size_t i = 0; t && i < c->file.n_rules; i++) {
                const FileRule *rule = &c->file.rules[i];
                char number[TEXT_NUMBER_MAX];
                const char *text = file_rule_describe(c->change.arena, rule);

                if (rule->is_own &&
                    (!text ||
                     output_table_add(t, (const char *[]){text_from_number(++n, number), text,
                                                          rule->is_over ? "is over" : ""}) < 0))
                        return input_failed(-ENOMEM, c->verb->name);
        }
        if (!t)
                return input_failed(-ENOMEM, c->verb->name);
        if (n > 0)
                output_table_print(t);
        else
                printf("no rules of `ringwall allow` and `deny` in %s\n", c->change.path);
        return EXIT_OK;
}
