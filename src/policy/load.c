/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#include <time.h>

#include "policy/catalogue.h"

#define LANGUAGE_VERSION "1"

#define KEY(key, member, help)                                                                     \
        { key, schema_decode_entry, offsetof(PolicyFile, member), 0, help }
#define LATER(key, help)                                                                           \
        { key, NULL, 0, SCHEMA_LATER, help }

// clang-format off
static const SchemaField policy_fields[] = {
        {"ringwall", schema_decode_entry, offsetof(PolicyFile, version), SCHEMA_REQUIRED,
         "begin the file with 'ringwall: " LANGUAGE_VERSION "', the version of the language"},
        KEY("include", include, "other files to read"),
        KEY("zones", zones, "names for addresses and interfaces"),
        KEY("services", services, "names for ports and protocols"),
        KEY("inbound", sections[SECTION_INBOUND], "who may connect to this host"),
        KEY("outbound", sections[SECTION_OUTBOUND], "where this host may connect to"),
        KEY("routed", sections[SECTION_ROUTED], "what may pass through this host"),
        KEY("nat", nat, "translation of addresses"),
        KEY("protected", protected, "what stays closed, whatever the rules say"),
        KEY("expect", expect, "the policy's own tests"),
        KEY("settings", settings, "how ringwall works"),
        KEY("bans", bans, "who is never banned, and how long and how widely others are"),
        LATER("containers", "what containers must look like"),
        LATER("gate", "the model server's reverse proxy"),
        LATER("host", "what the host must look like"),
        LATER("jails", "logs in which failures are counted"),
        LATER("monitor", "metrics and alerts"),
        LATER("ssh", "what the SSH server must look like"),
        LATER("waive", "findings that are accepted"),
};
// clang-format on

const Schema policy_schema = {
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
static int decode_tree(Loader *l, PolicyFile *file, const Node *n) {
        /* mistakes from here on have been said, and the rest goes on */
        int r = schema_decode(&policy_schema, n, l, file, l->d);

        if (r != -ENOMEM && file->zones)
                r = definition_collect(l, &l->zones, file, file->zones);
        if (r != -ENOMEM && file->services)
                r = definition_collect(l, &l->services, file, file->services);
        if (r != -ENOMEM && file->include)
                r = policy_files_include(l, file);
        return r == -ENOMEM ? r : 0;
}

int policy_file_decode(Loader *l, PolicyFile *file) {
        const Node *n = NULL;
        int r;

        /* a byte order mark says nothing that we do not know */
        if (file->source.size >= 3 && memcmp(file->source.text, "\xef\xbb\xbf", 3) == 0) {
                file->source.text += 3;
                file->source.size -= 3;
        }
        r = recording_replay(l->trees, &catalogue_recording, &file->source, &n);
        if (r == 0)
                r = node_parse(l->trees, l->arena, &file->source, &n, l->d);
        if (r >= 0)
                r = check_version(l, n);
        if (r == 0)
                r = decode_tree(l, file, n);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || n->kind != NODE_MAPPING)
                l->unreadable = true;
        return 0;
}

static const Zone *get_zone(Loader *l, const char *name) {
        const Zone *z = policy_find_zone(l->policy, name);

        if (!z && l->d->n_errors == 0)
                diag_error(l->d, (Span){.source = &l->files[0]->source},
                           "the catalogue lacks zone '%s'", name);
        return z;
}

/* Everything behind the reading of the files. 0 or -ENOMEM; mistakes are in l->d. */
static int build(Loader *l) {
        int r = definition_index(l, &l->zones);

        if (r == 0)
                r = definition_index(l, &l->services);
        if (r == 0)
                r = zone_resolve_all(l);
        if (r == 0)
                r = zone_connect_all(l);
        if (r == 0)
                r = service_resolve_all(l);
        for (size_t i = 0; i < l->n_files && r != -ENOMEM; i++)
                r = settings_decode(l, l->files[i]);
        for (size_t i = 0; i < l->n_files && r != -ENOMEM; i++)
                r = bans_decode(l, l->files[i]);
        if (r != -ENOMEM)
                r = bans_check(l);
        for (SectionId id = 0; id < _SECTION_MAX && r != -ENOMEM; id++)
                for (size_t i = 0; i < l->n_files && r != -ENOMEM; i++)
                        r = section_decode(l, l->files[i], id);
        for (size_t i = 0; i < l->n_files && r != -ENOMEM; i++)
                r = nat_decode(l, l->files[i]);
        for (size_t i = 0; i < l->n_files && r != -ENOMEM; i++)
                r = protected_decode(l, l->files[i]);
        for (size_t i = 0; i < l->n_files && r != -ENOMEM; i++)
                r = expect_decode(l, l->files[i]);
        if (r != -ENOMEM)
                r = nat_check(l);
        if (r != -ENOMEM)
                r = conflict_check(l);
        l->policy->containers = get_zone(l, "containers");
        l->policy->vms = get_zone(l, "vms");
        return r;
}

static int load(Loader *l, int (*read)(Loader *l, const void *what), const void *what) {
        _cleanup_(arena_freep) Arena *trees = arena_new(0);
        size_t n_before = l->d->n_messages;
        int r;

        if (!trees)
                return -ENOMEM;
        l->trees = trees;
        l->now = time(NULL);
        l->zones.what = "zone";
        l->services.what = "service";
        l->policy = arena_new0(l->arena, Policy);
        if (!l->policy)
                return -ENOMEM;
        l->policy->arena = l->arena;
        l->policy->sections[SECTION_OUTBOUND].fallback = DEFAULT_ALLOW;
        settings_init(&l->policy->settings);
        ban_settings_init(&l->policy->bans);
        r = read(l, what);
        /* without one of the files, names would be reported as unknown that are in it */
        if (r == 0 && !l->unreadable)
                r = build(l);
        if (r != -ENOMEM && messages_sort(l->d, n_before, l->sources, l->n_sources) < 0)
                r = -ENOMEM;
        if (r < 0)
                return r;
        if (l->error)
                return l->error;
        return l->d->n_errors > 0 ? -EBADMSG : 0;
}

static int read_texts(Loader *l, const void *what) {
        const Source *const *texts = what;
        int r = 0;

        for (size_t i = 0; i < 2 && r == 0; i++) {
                PolicyFile *file = policy_file_new(l, *texts[i], NULL);

                r = file ? policy_file_decode(l, file) : -ENOMEM;
        }
        return r;
}

/* What they include, and what policy.d held, follows them in the list. */
static int read_given(Loader *l, const PolicyTexts *texts) {
        int r = 0;

        if (texts->n_files < 2 || texts->n_files > texts->n_sources)
                return diag_error(l->d, (Span){0}, "the texts of this policy are not known");
        for (size_t i = 0; i < texts->n_files && r == 0; i++) {
                PolicyFile *file = policy_file_new(l, texts->sources[i], NULL);

                r = file ? policy_file_decode(l, file) : -ENOMEM;
        }
        return r;
}

static int read_files(Loader *l, const void *what) {
        return l->paths->texts ? read_given(l, l->paths->texts) : policy_files_read(l);
}

int policy_load_text(Arena *a, Source catalogue, Source policy, Policy **ret, Diag *d) {
        return policy_load_text_on_link(a, catalogue, policy, NULL, 0, ret, d);
}

int policy_load_text_on_link(Arena *a,
                             Source catalogue,
                             Source policy,
                             const HostNetwork *networks,
                             size_t n_networks,
                             Policy **ret,
                             Diag *d) {
        Loader l = {.arena = a, .d = d, .networks = networks, .n_networks = n_networks};
        const Source *const texts[] = {&catalogue, &policy};
        int r = load(&l, read_texts, texts);

        if (r < 0)
                return r;
        l.policy->file = policy.name;
        *ret = l.policy;
        return 0;
}

static bool is_policy_file(const Loader *l, const Source *source) {
        for (size_t i = 0; i < l->n_files; i++)
                if (source == &l->files[i]->source)
                        return true;
        return false;
}

/* What else was opened (a folder that holds files, say) has no text. */
static int list_sources(const Loader *l) {
        Policy *p = l->policy;

        for (size_t i = 0; i < l->n_files; i++) {
                const Source *source = &l->files[i]->source;

                if (!arena_append(l->arena, p->sources, p->n_sources, source))
                        return -ENOMEM;
        }
        p->n_files = p->n_sources;
        for (size_t i = 0; i < l->n_sources; i++)
                if (l->sources[i]->text && !is_policy_file(l, l->sources[i]) &&
                    !arena_append(l->arena, p->sources, p->n_sources, l->sources[i]))
                        return -ENOMEM;
        return 0;
}

int policy_load(Arena *a, const PolicyPaths *paths, Policy **ret, Diag *d) {
        Loader l = {.arena = a, .d = d, .paths = paths};
        int r = load(&l, read_files, NULL);

        if (r == 0)
                r = list_sources(&l);
        if (r < 0)
                return r;
        l.policy->file = l.files[1]->source.name;
        *ret = l.policy;
        return 0;
}
