/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/stat.h>

#include "policy/load_unit.h"

static void an_empty_policy_denies_what_comes_in(void **state) {
        const Policy *p = load(*state, "ringwall: 1\n");

        assert_int_equal(p->sections[SECTION_INBOUND].fallback, DEFAULT_DROP);
        assert_int_equal(p->sections[SECTION_INBOUND].n_rules, 0);
        assert_int_equal(p->n_protected, 0);
        assert_string_equal(p->file, "dir/policy.yaml");
}

static void a_byte_order_mark_changes_nothing(void **state) {
        Diag *d;

        (void)load(*state, "\xef\xbb\xbfringwall: 1\n");
        assert_null(load_with_diag(*state, "\xef\xbb\xbfringwal: 1\n", &d));
        assert_int_equal(d->messages[0].at.column, 1);
}

static void another_version_is_the_only_mistake_reported(void **state) {
        Diag *d;

        assert_null(load_with_diag(*state, "ringwall: 2\nfoo: bar\n", &d));
        assert_int_equal(d->n_errors, 1);
        assert_int_equal(d->messages[0].at.line, 1);
}

static void messages_come_in_the_order_of_the_file(void **state) {
        unsigned int last = 0;
        Diag *d;

        assert_null(load_with_diag(*state,
                                   "ringwall: 1\n"
                                   "protected: [{ services: olama }]\n"
                                   "routed: yes\n"
                                   "services: { a: { tcp: 0 } }\n"
                                   "inbound:\n"
                                   "  - { allow: shh }\n"
                                   "  - { allow: ssh, except: nobody }\n"
                                   "zones: { b: [10.0.0.1/8] }\n"
                                   "nat: [{ snat: a }]\n",
                                   &d));
        assert_int_equal(d->n_errors, 7);
        for (size_t i = 0; i < d->n_messages; i++) {
                assert_true(d->messages[i].at.line >= last);
                last = d->messages[i].at.line;
        }
}

static void mistakes_in_the_catalogue_are_reported_too(void **state) {
        static const char broken[] = "ringwall: 1\nzones:\n  a: [10.0.0.1/8]\n";
        static const char policy[] = "ringwall: 1\ninbound: [{ allow: any }]\n";
        Diag *d = diag_new(*state);
        Policy *p = NULL;
        int r = policy_load_text(
                *state, (Source){.name = "below", .text = broken, .size = strlen(broken)},
                (Source){.name = "above", .text = policy, .size = strlen(policy)}, &p, d);

        assert_int_equal(r, -EBADMSG);
        assert_null(p);
        assert_int_equal(d->n_errors, 2);
        assert_string_equal(d->messages[0].at.source->name, "below");
        assert_string_equal(d->messages[1].at.source->name, "above");
}

static void a_text_without_a_file_includes_none(void **state) {
        assert_string_equal(load_error(*state, "ringwall: 1\ninclude: /etc/passwd\n"),
                            "what is no file cannot include others");
}

static void a_catalogue_without_its_zones_is_an_error(void **state) {
        static const char text[] = "ringwall: 1\n";
        Diag *d = diag_new(*state);
        Policy *p = NULL;
        Source source = {.name = "x", .text = text, .size = strlen(text)};

        assert_int_equal(policy_load_text(*state, source, source, &p, d), -EBADMSG);
        assert_string_equal(d->messages[0].text, "the catalogue lacks zone 'containers'");
}

static void files_that_cannot_be_read_say_why(void **state) {
        char folder[] = "/tmp/ringwall-load-XXXXXX";
        const char *catalogue, *absent;
        Diag *d = diag_new(*state);
        Policy *p = NULL;
        FILE *f;

        assert_non_null(mkdtemp(folder));
        catalogue = arena_printf(*state, "%s/catalogue.yaml", folder);
        absent = arena_printf(*state, "%s/absent.yaml", folder);
        f = fopen(catalogue, "we");
        assert_non_null(f);
        assert_true(fputs(LOAD_CATALOGUE, f) >= 0);
        assert_int_equal(fclose(f), 0);

        assert_int_equal(policy_load(*state, &(PolicyPaths){catalogue, absent}, &p, d), -ENOENT);
        assert_string_equal(d->messages[0].text, "there is no such file");
        assert_string_equal(d->messages[0].at.source->name, absent);
        assert_int_equal(policy_load(*state, &(PolicyPaths){catalogue, folder}, &p, d), -EBADMSG);
        assert_int_equal(policy_load(*state, &(PolicyPaths){absent, catalogue}, &p, d), -ENOENT);
        assert_null(p);
        assert_int_equal(
                policy_load(*state, &(PolicyPaths){catalogue, catalogue}, &p, diag_new(*state)), 0);
        assert_string_equal(p->file, catalogue);
        assert_int_equal(unlink(catalogue), 0);
        assert_int_equal(rmdir(folder), 0);
}

static void write_file(const char *path, const char *text) {
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

/* Sources in this order: the catalogue, policy.yaml, a.yaml, b.yaml, policy.d/c.yaml, list. */
static Policy *load_six_files(Arena *a, const char *folder) {
        static const struct {
                const char *name, *text;
        } files[] = {
                {"catalogue.yaml", LOAD_CATALOGUE},
                {"policy.yaml", "ringwall: 1\n"
                                "include: [\"[ab].yaml\", a.yaml]\n"
                                "zones: { z: { file: list } }\n"
                                "inbound: [{ allow: ssh, from: z }]\n"},
                {"a.yaml", "ringwall: 1\noutbound: [{ deny: ssh, user: root }]\n"},
                {"b.yaml", "ringwall: 1\noutbound: [{ deny: https, group: [root, 5] }]\n"},
                {"policy.d/c.yaml", "ringwall: 1\ninbound: [{ deny: https }]\n"},
                {"list", "10.1.0.0/16\n"},
        };
        const char *paths[ARRAY_SIZE(files)], *sub = arena_printf(a, "%s/policy.d", folder);
        Diag *d = diag_new(a);
        Policy *p = NULL;

        assert_int_equal(mkdir(sub, 0755), 0);
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                paths[i] = arena_printf(a, "%s/%s", folder, files[i].name);
                write_file(paths[i], files[i].text);
        }
        if (policy_load(a, &(PolicyPaths){paths[0], paths[1]}, &p, d) < 0)
                fail_msg("%s", d->messages[0].text);
        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
                assert_int_equal(unlink(paths[i]), 0);
        assert_int_equal(rmdir(sub), 0);
        return p;
}

static void what_was_loaded_from_files_is_loaded_again_without_them(void **state) {
        char folder[] = "/tmp/ringwall-load-XXXXXX";
        PolicyOwner owners[] = {{.name = "root", .number = 7},
                                {.is_group = true, .name = "root", .number = 8}};
        PolicyTexts texts = {.owners = owners, .n_owners = 2};
        Source sources[6];
        Diag *d = diag_new(*state);
        const Policy *p;
        Policy *again;

        assert_non_null(mkdtemp(folder));
        p = load_six_files(*state, folder);
        assert_int_equal(rmdir(folder), 0);
        assert_int_equal(p->n_sources, 6);
        assert_int_equal(p->n_files, 5);
        assert_int_equal(p->n_owners, 2);
        assert_false(p->owners[0].is_group);
        assert_int_equal(p->owners[0].number, 0);
        for (size_t i = 0; i < 6; i++)
                sources[i] = *p->sources[i];
        texts.sources = sources;
        texts.n_sources = 6;
        texts.n_files = 5;
        if (policy_load(*state, &(PolicyPaths){.texts = &texts}, &again, d) < 0)
                fail_msg("%s", d->messages[0].text);
        assert_string_equal(again->file, p->file);
        assert_int_equal(again->n_sources, 6);
        for (size_t i = 0; i < 6; i++)
                assert_string_equal(again->sources[i]->name, sources[i].name);
        assert_int_equal(again->sections[SECTION_INBOUND].n_rules, 2);
        assert_int_equal(again->sections[SECTION_OUTBOUND].n_rules, 2);
        assert_true(
                zone_contains(policy_find_zone(again, "z"), NULL, FAMILY_IPV4, u128(0x0a010203)));
        /* the numbers are those of then, and this host is not asked */
        assert_true(range_set_contains(&again->sections[SECTION_OUTBOUND].rules[0].users, u128(7)));
        assert_true(
                range_set_contains(&again->sections[SECTION_OUTBOUND].rules[1].groups, u128(8)));
        assert_int_equal(again->n_owners, 2);
        texts.n_owners = 1;
        assert_int_equal(policy_load(*state, &(PolicyPaths){.texts = &texts}, &again, d), -EBADMSG);
        assert_string_equal(d->messages[0].text, "there is no group 'root' on this host");
}

static void without_memory_the_load_says_so_at_every_step(void **state) {
        static const char text[] = "ringwall: 1\nzones: { a: [10.0.0.0/8, private], "
                                   "b: { addresses: a, except: [vms, 10.0.0.1] } }\n"
                                   "settings: { confirm: 2m, rescue: b, drift: heal }\n"
                                   "expect: [{ deny: ssh, from: b, section: routed }]\n"
                                   "inbound: [{ allow: [ssh, 80/tcp], from: a, in: eth0 }]\n"
                                   "protected: [{ services: ollama, only-from: a }]\n";
        Source catalogue = {"catalogue", LOAD_CATALOGUE, sizeof(LOAD_CATALOGUE) - 1};
        Source policy = {"policy", text, sizeof(text) - 1};
        size_t limit = 64;
        int r = -ENOMEM;

        for (; r == -ENOMEM && limit < 1 << 20; limit += 64) {
                Arena *small = arena_new(limit);
                Policy *p = NULL;

                r = policy_load_text(small, catalogue, policy, &p, diag_new(*state));
                assert_true(r == 0 ? p != NULL : r == -ENOMEM && !p);
                (void)arena_free(small);
        }
        assert_int_equal(r, 0);
        assert_true(limit > 4096);
}

/* A folder with a catalogue, a policy and what is in policy.d. */
typedef struct Files {
        char folder[32];
        const char *catalogue, *policy, *part;
} Files;

static void write_text(const char *path, const char *text) {
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, 0644), 0);
}

static Files make_files(Arena *a) {
        Files f = {.folder = "/tmp/ringwall-load-XXXXXX"};

        assert_non_null(mkdtemp(f.folder));
        f.catalogue = arena_printf(a, "%s/catalogue.yaml", f.folder);
        f.policy = arena_printf(a, "%s/policy.yaml", f.folder);
        f.part = arena_printf(a, "%s/policy.d/50.yaml", f.folder);
        write_text(f.catalogue, LOAD_CATALOGUE);
        write_text(f.policy, "ringwall: 1\ninbound: [{ allow: ssh }]\n");
        return f;
}

static void remove_files(Arena *a, const Files *f) {
        assert_int_equal(system(arena_printf(a, "rm -r %s", f->folder)), 0);
}

/* The services of the inbound rules with the draft: "ssh https". */
static const char *
services_with(Arena *a, const Files *f, const char *path, const char *text, Diag *d) {
        const PolicyDraft draft = {path, text, strlen(text)};
        const PolicyPaths paths = {f->catalogue, f->policy, .draft = &draft};
        const char *all = "";
        Policy *p = NULL;

        if (policy_load(a, &paths, &p, d) < 0)
                return NULL;
        for (size_t i = 0; i < p->sections[SECTION_INBOUND].n_rules; i++)
                all = arena_printf(a, "%s %s", all,
                                   p->sections[SECTION_INBOUND].rules[i].services.text);
        return all;
}

static void a_draft_is_read_in_the_place_of_its_file(void **state) {
        static const char https[] = "ringwall: 1\ninbound: [{ allow: https }]\n";
        Files f = make_files(*state);
        const char *folder = arena_printf(*state, "%s/policy.d", f.folder);
        const char *same = arena_printf(*state, "%s/policy.d/../policy.yaml", f.folder);
        Diag *d = diag_new(*state);

        assert_string_equal(services_with(*state, &f, f.policy, https, d), " https");
        assert_int_equal(mkdir(folder, 0755), 0);
        assert_string_equal(services_with(*state, &f, same, https, d), " https");
        write_text(f.part, "ringwall: 1\ninbound: [{ allow: ping }]\n");
        assert_string_equal(services_with(*state, &f, f.part, https, d), " ssh https");
        assert_null(services_with(*state, &f, f.part, "ringwall: 1\ninbound: [{ allow: x }]\n", d));
        assert_string_equal(d->messages[0].at.source->name, f.part);
        assert_int_equal(d->messages[0].at.line, 2);
        remove_files(*state, &f);
}

static void a_draft_that_is_no_file_yet_counts_as_one_of_the_folder(void **state) {
        static const char https[] = "ringwall: 1\ninbound: [{ allow: https }]\n";
        Files f = make_files(*state);
        const char *folder = arena_printf(*state, "%s/policy.d", f.folder);
        const char *other = arena_printf(*state, "%s/policy.d/70.yaml", f.folder);
        const char *elsewhere = arena_printf(*state, "%s/policy.e/50.yaml", f.folder);
        Diag *d = diag_new(*state);

        assert_string_equal(services_with(*state, &f, f.part, https, d), " ssh https");
        assert_int_equal(mkdir(folder, 0755), 0);
        assert_string_equal(services_with(*state, &f, f.part, https, d), " ssh https");
        write_text(other, "ringwall: 1\ninbound: [{ allow: ping }]\n");
        assert_string_equal(services_with(*state, &f, f.part, https, d), " ssh https ping");
        assert_string_equal(services_with(*state, &f, elsewhere, https, d), " ssh ping");
        assert_int_equal(d->n_messages, 0);
        remove_files(*state, &f);
}

static void a_draft_is_no_way_around_who_may_write_the_file(void **state) {
        Files f = make_files(*state);
        Diag *d = diag_new(*state);

        assert_int_equal(chmod(f.policy, 0664), 0);
        assert_null(services_with(*state, &f, f.policy, "ringwall: 1\n", d));
        assert_non_null(strstr(d->messages[0].text, "can be written by its group"));
        remove_files(*state, &f);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(an_empty_policy_denies_what_comes_in),
                unit_arena_test(a_byte_order_mark_changes_nothing),
                unit_arena_test(another_version_is_the_only_mistake_reported),
                unit_arena_test(messages_come_in_the_order_of_the_file),
                unit_arena_test(mistakes_in_the_catalogue_are_reported_too),
                unit_arena_test(a_text_without_a_file_includes_none),
                unit_arena_test(a_catalogue_without_its_zones_is_an_error),
                unit_arena_test(files_that_cannot_be_read_say_why),
                unit_arena_test(what_was_loaded_from_files_is_loaded_again_without_them),
                unit_arena_test(without_memory_the_load_says_so_at_every_step),
                unit_arena_test(a_draft_is_read_in_the_place_of_its_file),
                unit_arena_test(a_draft_that_is_no_file_yet_counts_as_one_of_the_folder),
                unit_arena_test(a_draft_is_no_way_around_who_may_write_the_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
