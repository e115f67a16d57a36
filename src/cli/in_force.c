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

/* What a change put in force; NULL: it cannot be read, or there is no need to. */
static const Ruleset *read_change(const char *folder, uint32_t number, Arena *a) {
        const KernelFeatures any = {.fib_in_filter = true};
        _cleanup_(store_closep) Store *store = NULL;
        Diag *quiet = diag_new(a);
        StoreContent content;
        StoreEntry entry;
        Ruleset *rs;

        if (!quiet || store_open(folder, STORE_READ, &store, quiet) < 0 ||
            store_read(store, number, a, &entry, &content, quiet) < 0 ||
            copy_read(&content, &any, a, &rs, quiet) < 0)
                return NULL;
        return has_large_set(rs) ? rs : NULL;
}

/* What ringwalld of this network namespace has just seen to be in force, if it is a policy; as
 * number, and the generation that it saw it in. *ret is its answer. */
static bool ask(const char *runtime_dir, json_t **ret, json_int_t *ret_number, uint32_t *ret_seen) {
        if (remote_ask(runtime_dir, "Status", WAIT_USEC, ret) < 0)
                return false;
        *ret_number = json_integer_value(json_object_get(*ret, "number"));
        *ret_seen = (uint32_t)json_integer_value(json_object_get(*ret, "generation"));
        return json_is_true(json_object_get(*ret, "readBack")) && *ret_number > 0 &&
               namespace_is_of((pid_t)json_integer_value(json_object_get(*ret, "pid"))) > 0;
}

/* Nothing, unless ringwalld has looked in the generation that the kernel is in now. */
static NftKnown find_known(NftLink *link, const char *runtime_dir, Arena *a) {
        const NftKnown nothing = {0};
        NftKnown known = {0};
        json_int_t of = 0;

        for (int i = 0; i < TRIES; i++) {
                json_t *status = NULL;
                json_int_t number;
                uint32_t generation;
                const char *folder;
                bool is_known = ask(runtime_dir, &status, &number, &known.generation);

                folder = json_string_value(json_object_get(status, "stateFolder"));
                if (is_known && folder && number != of)
                        known.ruleset = read_change(folder, (uint32_t)number, a);
                of = number;
                json_decref(status);
                if (!is_known || !known.ruleset || nft_link_generation(link, &generation) < 0)
                        return nothing;
                if (generation == known.generation)
                        return known;
        }
        return nothing;
}

static bool is_whole(const Ruleset *rs) {
        for (size_t i = 0; i < rs->n_sets; i++)
                if (rs->sets[i]->is_unlisted)
                        return false;
        return true;
}

int in_force_read(NftLink *link, const char *runtime_dir, Arena *a, Ruleset **ret) {
        NftKnown known = find_known(link, runtime_dir, a);
        int r = kernel_read_known(link, a, &known, ret);

        /* changed since: then by listing it */
        return r == EXIT_OK && !is_whole(*ret) ? kernel_read(link, a, ret) : r;
}
