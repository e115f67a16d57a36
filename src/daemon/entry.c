/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/entry.h"

#include <dirent.h>
#include <syslog.h>

#include "base/file.h"
#include "daemon/change.h"
#include "daemon/siege.h"
#include "guard/boot.h"
#include "guard/copy.h"
#include "guard/lockdown.h"
#include "nft/host.h"
#include "nft/networks.h"
#include "proof/effect.h"
#include "ruleset/image.h"

static uint64_t hash_bytes(const void *bytes, size_t size) {
        const unsigned char *p = bytes;
        uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a: to notice, not to prove */

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ p[i]) * UINT64_C(1099511628211);
        return hash;
}

static void keep_marks(Daemon *d, const StoreContent *content) {
        d->marks_arena = arena_free(d->marks_arena);
        d->marks = NULL;
        d->n_marks = 0;
        d->marks_arena = arena_new(0);
        for (size_t i = 0; i < content->texts.n_files && d->marks_arena; i++) {
                const Source *s = &content->texts.sources[i];
                FileMark mark = {.name = arena_strdup(d->marks_arena, s->name),
                                 .hash = hash_bytes(s->text, s->size)};

                if (mark.name)
                        (void)arena_append(d->marks_arena, d->marks, d->n_marks, mark);
        }
}

void entry_forget(Daemon *d) {
        d->file[0] = '\0';
        d->marks_arena = arena_free(d->marks_arena);
        d->marks = NULL;
        d->n_marks = 0;
}

static bool mark_differs(const FileMark *mark) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        size_t size = 0;
        char *text;

        if (!a || file_read(a, mark->name, POLICY_FILE_MAX, &text, &size) < 0)
                return true;
        return hash_bytes(text, size) != mark->hash;
}

static bool is_marked(const Daemon *d, const char *path) {
        for (size_t i = 0; i < d->n_marks; i++)
                if (streq(d->marks[i].name, path))
                        return true;
        return false;
}

static int is_policy_file(const struct dirent *entry) {
        const char *dot = strrchr(entry->d_name, '.');

        return entry->d_name[0] != '.' && dot && streq(dot, ".yaml");
}

/* A file that came to policy.d, or NULL. */
static const char *find_new_file(const Daemon *d, Arena *a) {
        const char *slash = strrchr(d->file, '/'), *path = NULL;
        struct dirent **names = NULL;
        int n, length = slash ? (int)(slash - d->file) : 0;
        const char *folder = slash ? arena_printf(a, "%.*s/policy.d", length, d->file) : NULL;

        n = folder ? scandir(folder, &names, is_policy_file, alphasort) : 0;
        for (int i = 0; i < n; i++) {
                const char *one = path ? NULL : arena_printf(a, "%s/%s", folder, names[i]->d_name);

                if (one && !is_marked(d, one))
                        path = one;
                free(names[i]);
        }
        free(names);
        return path;
}

const char *entry_differing_file(const Daemon *d, Arena *a) {
        for (size_t i = 0; i < d->n_marks; i++)
                if (mark_differs(&d->marks[i]))
                        return d->marks[i].name;
        return d->n_marks > 0 ? find_new_file(d, a) : NULL;
}

bool entry_files_differ(const Daemon *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);

        return !a || entry_differing_file(d, a) != NULL;
}

/* A lockdown or a panic forgets them not: just then somebody has to be told. */
static void keep_alerts(Daemon *d, const Alerts *alerts) {
        char *run = alerts->run ? strdup(alerts->run) : NULL;
        char *webhook = alerts->webhook ? strdup(alerts->webhook) : NULL;

        free(d->alerts.run);
        free(d->alerts.webhook);
        d->alerts.run = run;
        d->alerts.webhook = webhook;
}

/* Likewise. Without memory the former ones stay. */
static void keep_ban_rules(Daemon *d, const StoreBans *bans) {
        Arena *a = arena_new(0);
        StoreBans copy;

        if (!a || store_bans_copy(a, bans, &copy) < 0) {
                daemon_say(d, LOG_ERR, "the policy's rules for bans could not be taken over");
                (void)arena_free(a);
                return;
        }
        (void)arena_free(d->ban_rules_arena);
        d->ban_rules_arena = a;
        d->ban_rules = copy;
}

static void keep_settings(Daemon *d, const StoreContent *content) {
        d->settings = content->settings;
        d->settings.rescue = NULL; /* lives in the entry's arena */
        d->settings.n_rescue = 0;
        d->settings.alerts = (Alerts){0};
        keep_alerts(d, &content->settings.alerts);
        d->settings.bans = (StoreBans){0};
        keep_ban_rules(d, &content->settings.bans);
}

/* Without it nothing says which file was in force: the first that is no catalogue. */
static void keep_file(Daemon *d, const StoreContent *content) {
        const char *name = content->texts.n_sources > 1 ? content->texts.sources[1].name : "";

        (void)snprintf(d->file, sizeof(d->file), "%s", name);
        keep_marks(d, content);
        keep_settings(d, content);
}

static int read_entry(Daemon *d, uint32_t number, Arena *a, StoreContent *ret) {
        StoreEntry entry;
        int r = store_read(d->store, number, a, &entry, ret, d->diag);

        return r == -ENOENT ? store_read_sealed(d->store, a, &entry, ret, d->diag) : r;
}

void entry_keep_settings(Daemon *d, uint32_t number) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        StoreContent content;

        if (a && read_entry(d, number, a, &content) == 0)
                keep_settings(d, &content);
}

static int try_put(Daemon *d, uint32_t number) {
        _cleanup_(arena_freep) Arena *a = arena_new(0), *read = arena_new(0);
        StoreContent content;
        Ruleset *rs;
        int r;

        if (!a || !read)
                return -ENOMEM;
        r = read_entry(d, number, read, &content); /* not to be kept as long as the rules */
        if (r == 0)
                r = copy_read(&content, &d->engine.features, a, &rs, d->diag);
        if (r < 0)
                return r;
        d->engine.owner =
                content.settings.ownership == OWNERSHIP_OFF ? ENGINE_OWNER_NONE : ENGINE_OWNER_SELF;
        r = engine_put_ruleset(&d->engine, &a, rs, d->diag);
        siege_follow(d, true);
        if (r == 0 || (r == -EPERM && d->engine.insists))
                keep_file(d, &content);
        else
                diag_keep_names(d->diag); /* of rules that may go with the arena */
        return r;
}

int entry_put(Daemon *d, uint32_t number) {
        Diag before = *d->diag;
        int r = try_put(d, number);

        if (r != -EBADMSG || !engine_learn(&d->engine))
                return r;
        *d->diag = before; /* what a kernel lacks can be done without: compiled anew */
        return try_put(d, number);
}

int entry_put_lockdown(Daemon *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Ruleset *rs;
        int r = a ? lockdown_make(d->store, &d->engine.features, a, &rs, d->diag) : -ENOMEM;

        if (r < 0)
                return r;
        /* as the policy wants it in whose place this comes, if one was in force */
        d->engine.owner =
                d->settings.ownership == OWNERSHIP_OFF ? ENGINE_OWNER_NONE : ENGINE_OWNER_SELF;
        r = engine_put_ruleset(&d->engine, &a, rs, d->diag);
        siege_follow(d, true);
        if (r == 0)
                entry_forget(d);
        return r;
}

/* Whether the policy says, word for word, what is in force; lists may say something else. */
static bool is_kept(const Daemon *d, const Policy *p) {
        if (p->n_files != d->n_marks)
                return false;
        for (size_t i = 0; i < p->n_files; i++) {
                const Source *s = p->sources[i];

                if (!streq(d->marks[i].name, s->name) ||
                    d->marks[i].hash != hash_bytes(s->text, s->size))
                        return false;
        }
        return true;
}

void draft_done(Draft *draft) {
        draft->arena = arena_free(draft->arena);
}

int draft_make(Daemon *d, const char *file, Draft *ret) {
        const PolicyPaths paths = {
                .catalogue = d->catalogue,
                .policy = file ? file : d->policy_file,
                .networks = networks_read,
                .of_root = true,
        };
        Draft draft = {.arena = arena_new(0)};
        int r;

        if (!draft.arena)
                return -ENOMEM;
        *ret = draft;
        r = policy_load(draft.arena, &paths, &ret->policy, d->diag);
        turn_step(d, 0);
        if (r == 0)
                r = effect_check(ret->policy, d->diag);
        turn_step(d, 0);
        if (r == 0)
                r = engine_compile(&d->engine, ret->policy, &ret->rs, d->diag);
        turn_step(d, 0);
        if (r == 0)
                r = nft_add_host(draft.arena, ret->rs);
        if (r == 0)
                ret->is_same = engine_is_same(&d->engine, ret->rs);
        if (r == 0)
                ret->is_kept = is_kept(d, ret->policy);
        return r;
}

static int collect_texts(const Policy *policy, Arena *a, PolicyTexts *ret) {
        Source *sources = arena_alloc_array(a, policy->n_sources, sizeof(*sources));

        if (!sources)
                return -ENOMEM;
        for (size_t i = 0; i < policy->n_sources; i++)
                sources[i] = *policy->sources[i];
        *ret = (PolicyTexts){
                .sources = sources,
                .n_sources = policy->n_sources,
                .n_files = policy->n_files,
                .owners = policy->owners,
                .n_owners = policy->n_owners,
        };
        return 0;
}

int draft_store(Daemon *d, const Draft *draft, const char *message, uint32_t *ret_number) {
        StoreEntry entry = {.created_usec = daemon_now(), .by = d->caller, .message = message};
        StoreContent content = {0};
        void *image;
        int r = collect_texts(draft->policy, draft->arena, &content.texts);

        if (r == 0)
                r = store_settings(draft->arena, draft->policy, &content.settings);
        if (r == 0)
                r = ruleset_write_image(draft->arena, draft->rs, &d->engine.features, &image,
                                        &content.image_size);
        if (r < 0)
                return r;
        content.image = image;
        turn_step(d, 0);
        r = store_add(d->store, &entry, &content, d->diag);
        turn_step(d, 0);
        if (r == 0)
                *ret_number = entry.number;
        return r;
}
