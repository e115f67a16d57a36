/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/in_force.h"

#include "cli/kernel.h"
#include "cli/remote.h"
#include "guard/copy.h"
#include "nft/namespace.h"

#define WAIT_USEC ((uint64_t)2 * 1000000) /* for ringwalld, which may have something else to do */
#define TRIES 3 /* another program's transaction may come between its look and ours */

static bool has_large_set(const Ruleset *rs) {
        for (size_t i = 0; i < rs->n_sets; i++)
                if (large_set_is(rs->sets[i]))
                        return true;
        return false;
}

/* What ringwalld says. */
typedef struct Answer {
        bool is_of_here; /* it is that of this network namespace */
        bool is_seen;    /* what it put in force is there, */
        uint32_t generation;
        uint32_t number; /* of the change that should be in force; 0: none */
        const char *folder;
} Answer;

typedef struct Finder {
        Arena *arena;
        InForce *to;
        NftKnown known;
        uint32_t number; /* of the change that was read */
} Finder;

static bool ask(const char *runtime_dir, Arena *a, Answer *ret) {
        json_t *status = NULL;
        const char *folder;

        if (remote_ask(runtime_dir, "Status", WAIT_USEC, &status) < 0)
                return false;
        folder = json_string_value(json_object_get(status, "stateFolder"));
        *ret = (Answer){
                .is_of_here = namespace_is_of((pid_t)json_integer_value(
                                      json_object_get(status, "pid"))) > 0,
                .is_seen = json_is_true(json_object_get(status, "readBack")),
                .generation = (uint32_t)json_integer_value(json_object_get(status, "generation")),
                .number = (uint32_t)json_integer_value(json_object_get(status, "number")),
                .folder = folder ? arena_strdup(a, folder) : NULL,
        };
        json_decref(status);
        return ret->is_of_here;
}

/* What a change put in force, as far as it can be read. */
static void read_change(Finder *x, const Answer *answer) {
        const KernelFeatures any = {.fib_in_filter = true};
        _cleanup_(store_closep) Store *store = NULL;
        Diag *quiet = diag_new(x->arena);
        StoreSettings *settings = arena_new0(x->arena, StoreSettings);
        StoreContent content;
        StoreEntry entry;
        Ruleset *rs;

        x->number = answer->number;
        x->known = (NftKnown){0};
        x->to->settings = NULL;
        if (!quiet || !settings || !answer->folder || answer->number == 0 ||
            store_open(answer->folder, STORE_READ, &store, quiet) < 0 ||
            store_read(store, answer->number, x->arena, &entry, &content, quiet) < 0)
                return;
        *settings = content.settings;
        x->to->settings = settings;
        if (copy_read(&content, &any, x->arena, &rs, quiet) == 0 && has_large_set(rs))
                x->known.ruleset = rs;
}

/* Large sets are known if ringwalld has looked in the generation that the kernel is in now. */
static void find(Finder *x, NftLink *link, const char *runtime_dir) {
        for (int i = 0; i < TRIES; i++) {
                uint32_t generation;
                Answer answer;

                x->known.generation = 0;
                if (!ask(runtime_dir, x->arena, &answer))
                        return;
                x->to->has_daemon = true;
                if (i == 0 || answer.number != x->number)
                        read_change(x, &answer);
                if (!x->known.ruleset || !answer.is_seen ||
                    nft_link_generation(link, &generation) < 0)
                        return;
                if (generation == answer.generation) {
                        x->known.generation = generation;
                        return;
                }
        }
}

static bool is_whole(const Ruleset *rs) {
        for (size_t i = 0; i < rs->n_sets; i++)
                if (rs->sets[i]->is_unlisted)
                        return false;
        return true;
}

int in_force_read(NftLink *link, const char *runtime_dir, Arena *a, InForce *ret) {
        InForce found = {0};
        Finder x = {.arena = a, .to = &found};
        int r;

        find(&x, link, runtime_dir);
        if (x.known.generation == 0) /* each range would be asked for, and no difference told */
                x.known.ruleset = NULL;
        r = kernel_read_known(link, a, &x.known, &found.ruleset);
        if (r == EXIT_OK && !is_whole(found.ruleset)) /* changed since: then by listing it */
                r = kernel_read(link, a, &found.ruleset);
        if (r == EXIT_OK)
                *ret = found;
        return r;
}
