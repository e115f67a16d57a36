/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#include "base/file.h"

#define LANGUAGE_VERSION "1"

#define KEY(key, member, help)                                                                     \
        { key, schema_decode_entry, offsetof(PolicyFile, member), 0, help }
#define LATER(key, help)                                                                           \
        { key, NULL, 0, SCHEMA_LATER, help }

// clang-format off
static const SchemaField policy_fields[] = {
        {"ringwall", schema_decode_entry, offsetof(PolicyFile, version), SCHEMA_REQUIRED,
         "begin the file with 'ringwall: " LANGUAGE_VERSION "', the version of the language"},
        KEY("zones", zones, "names for addresses and interfaces"),
        KEY("services", services, "names for ports and protocols"),
        KEY("inbound", sections[SECTION_INBOUND], "who may connect to this host"),
        KEY("outbound", sections[SECTION_OUTBOUND], "where this host may connect to"),
        KEY("routed", sections[SECTION_ROUTED], "what may pass through this host"),
        KEY("protected", protected, "what stays closed, whatever the rules say"),
        LATER("bans", "addresses that are shut out"),
        LATER("containers", "what containers must look like"),
        LATER("expect", "the policy's own tests"),
        LATER("gate", "the model server's reverse proxy"),
        LATER("host", "what the host must look like"),
        LATER("include", "other files to read"),
        LATER("jails", "logs in which failures are counted"),
        LATER("monitor", "metrics and alerts"),
        LATER("nat", "translation of addresses"),
        LATER("settings", "how ringwall works"),
        LATER("ssh", "what the SSH server must look like"),
        LATER("waive", "findings that are accepted"),
};
// clang-format on

static const Schema policy_schema = {
        "a policy",
        policy_fields,
        ARRAY_SIZE(policy_fields),
        "with keys: 'ringwall: " LANGUAGE_VERSION "', then 'inbound:' and others",
};

/* Another version's file would be misread from the first line to the last. */
static int check_version(Loader *l, const Node *n) {
        const NodeEntry *entry = node_find(n, "ringwall");
        int r;

        if (!entry)
                return 0; /* the schema says so */
        r = schema_expect(entry, NODE_SCALAR, "a version, " LANGUAGE_VERSION, l->d);
        if (r < 0 || streq(entry->value->text, LANGUAGE_VERSION))
                return r;
        diag_error(l->d, entry->value->at, "version '%s' of the policy language is unknown here",
                   node_shown(l->arena, entry->value));
        diag_hint(l->d, "this ringwall reads version " LANGUAGE_VERSION);
        return -EBADMSG;
}

/* The names that the file defines come into the index; the rest waits in *file. */
static int read_source(Loader *l, PolicyFile *file) {
        const Node *n;
        int r;

        /* a byte order mark says nothing that we do not know */
        if (file->source.size >= 3 && memcmp(file->source.text, "\xef\xbb\xbf", 3) == 0) {
                file->source.text += 3;
                file->source.size -= 3;
        }
        r = node_parse(l->arena, &file->source, &n, l->d);
        if (r == 0)
                r = check_version(l, n);
        if (r < 0)
                return r;
        /* mistakes from here on have been said, and the rest goes on */
        r = schema_decode(&policy_schema, n, l, file, l->d);
        if (r != -ENOMEM && file->zones)
                r = definition_collect(l, &l->zones, file, file->zones);
        if (r != -ENOMEM && file->services)
                r = definition_collect(l, &l->services, file, file->services);
        return r == -ENOMEM || n->kind != NODE_MAPPING ? r : 0;
}

static const Zone *get_zone(Loader *l, const PolicyFile *catalogue, const char *name) {
        const Zone *z = policy_find_zone(l->policy, name);

        if (!z && l->d->n_errors == 0)
                diag_error(l->d, (Span){.source = &catalogue->source},
                           "the catalogue lacks zone '%s'", name);
        return z;
}

/* Everything behind the reading of the files. 0 or -ENOMEM; mistakes are in l->d. */
static int build(Loader *l, const PolicyFile *const *files, size_t n_files) {
        int r = definition_index(l, &l->zones);

        if (r == 0)
                r = definition_index(l, &l->services);
        if (r == 0)
                r = zone_resolve_all(l);
        if (r == 0)
                r = service_resolve_all(l);
        for (SectionId id = 0; id < _SECTION_MAX && r != -ENOMEM; id++)
                for (size_t i = 0; i < n_files && r != -ENOMEM; i++)
                        r = section_decode(l, files[i], id);
        for (size_t i = 0; i < n_files && r != -ENOMEM; i++)
                r = protected_decode(l, files[i]);
        return r == -ENOMEM ? r : conflict_check(l);
}

static int load(Arena *a, PolicyFile *catalogue, PolicyFile *policy, Policy **ret, Diag *d) {
        const PolicyFile *files[] = {catalogue, policy};
        Loader l = {
                .arena = a,
                .d = d,
                .policy = arena_new0(a, Policy),
                .zones.what = "zone",
                .services.what = "service",
        };
        size_t n_before = d->n_messages;
        bool readable;
        int r;

        if (!l.policy)
                return -ENOMEM;
        l.policy->arena = a;
        l.policy->file = policy->source.name;
        l.policy->sections[SECTION_OUTBOUND].fallback = DEFAULT_ALLOW;
        r = read_source(&l, catalogue);
        readable = r == 0;
        if (r != -ENOMEM)
                r = read_source(&l, policy);
        if (r == -ENOMEM)
                return r;
        /* without the catalogue every other name would be reported as unknown */
        if (!readable || r < 0)
                return -EBADMSG;
        r = build(&l, files, ARRAY_SIZE(files));
        if (r < 0)
                return r;
        l.policy->containers = get_zone(&l, catalogue, "containers");
        l.policy->vms = get_zone(&l, catalogue, "vms");
        r = messages_sort(d, n_before, &catalogue->source);
        if (r < 0)
                return r;
        if (d->n_errors > 0)
                return -EBADMSG;
        *ret = l.policy;
        return 0;
}

static PolicyFile *file_new(Arena *a, Source source, bool is_catalogue) {
        PolicyFile *file = arena_new0(a, PolicyFile);

        if (file) {
                file->source = source; /* outlives the policy: spans point to it */
                file->is_catalogue = is_catalogue;
        }
        return file;
}

int policy_load_text(Arena *a, Source catalogue, Source policy, Policy **ret, Diag *d) {
        PolicyFile *first = file_new(a, catalogue, true), *second = file_new(a, policy, false);

        return first && second ? load(a, first, second, ret, d) : -ENOMEM;
}

static int report_unreadable(const Source *source, int r, Diag *d) {
        Span at = {.source = source};

        switch (r) {
        case -ENOMEM:
                return r;
        case -EFBIG:
                return diag_error(d, at, "this file is larger than %zu MiB", POLICY_FILE_MAX >> 20);
        case -EISDIR:
                return diag_error(d, at, "this is a directory, not a file");
        case -ENOENT:
                diag_error(d, at, "there is no such file");
                return r;
        case -EACCES:
                diag_error(d, at, "this file may not be read by you");
                return r;
        }
        diag_error(d, at, "cannot be read: %s", strerror(-r));
        return r;
}

static int read_file(Arena *a, const char *path, bool is_catalogue, PolicyFile **ret, Diag *d) {
        bool is_stdin = !is_catalogue && streq(path, "-");
        PolicyFile *file;
        char *text;
        int r;

        file = file_new(a, (Source){.name = is_stdin ? "stdin" : path}, is_catalogue);
        if (!file)
                return -ENOMEM;
        if (is_stdin)
                r = file_read_fd(a, STDIN_FILENO, POLICY_FILE_MAX, &text, &file->source.size);
        else
                r = file_read(a, path, POLICY_FILE_MAX, &text, &file->source.size);
        if (r < 0)
                return report_unreadable(&file->source, r, d);
        file->source.text = text;
        *ret = file;
        return 0;
}

/* A policy that says nothing of its own. */
static int no_file(Arena *a, PolicyFile **ret) {
        static const char text[] = "ringwall: 1\n";
        Source source = {.name = "no policy", .text = text, .size = sizeof(text) - 1};

        *ret = file_new(a, source, false);
        return *ret ? 0 : -ENOMEM;
}

int policy_load(Arena *a, const PolicyPaths *paths, Policy **ret, Diag *d) {
        PolicyFile *catalogue = NULL, *policy = NULL;
        int r = read_file(a, paths->catalogue, true, &catalogue, d);

        if (r < 0 && r != -ENOMEM)
                diag_hint(d, "the catalogue is a part of ringwall's installation");
        if (r == 0 && paths->policy)
                r = read_file(a, paths->policy, false, &policy, d);
        else if (r == 0)
                r = no_file(a, &policy);
        return r < 0 ? r : load(a, catalogue, policy, ret, d);
}
