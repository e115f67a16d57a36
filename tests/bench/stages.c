/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the stages of `ringwall load` take, within one process: seconds of the processor.
 *
 *     stages CATALOGUE RUNS POLICY [CHANGED]
 *
 * Each run is in a new network namespace. Prints a line of JSON a run. CHANGED is put in force
 * after POLICY, in one transaction; what only that took is in "change_...". "send" is the kernel's
 * part: a batch that is ready, until the kernel has answered. */

#include <sched.h>
#include <time.h>

#include "guard/engine.h"
#include "nft/difference.h"
#include "nft/host.h"
#include "proof/claim.h"
#include "proof/effect.h"

static double now(void) {
        struct timespec t;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(int r, const char *what, const Diag *d) {
        if (r >= 0)
                return;
        if (d)
                diag_print(d, stderr, false);
        fprintf(stderr, "stages: %s: %s\n", what, strerror(-r));
        exit(1);
}

/* Seconds since the last one. */
static void stage(const char *name, const char *prefix, double *since) {
        double end = now();

        printf("\"%s%s\": %.7f, ", prefix, name, end - *since);
        *since = now();
}

typedef struct Loaded {
        Arena *arena;
        Diag *d;
        Policy *policy;
        Ruleset *rs;
} Loaded;

static Loaded compile(Engine *e, const char *catalogue, const char *file, const char *prefix) {
        PolicyPaths paths = {.catalogue = catalogue, .policy = file};
        Loaded l = {.arena = arena_new(0)};
        ClaimReport claims;
        double t = now();

        l.d = l.arena ? diag_new(l.arena) : NULL;
        check(l.d ? 0 : -ENOMEM, "memory", NULL);
        check(policy_load(l.arena, &paths, &l.policy, l.d), file, l.d);
        stage("read", prefix, &t);
        check(effect_check(l.policy, l.d), "effect_check", l.d);
        stage("advise", prefix, &t);
        check(ruleset_compile(l.policy, &e->features, NULL, l.arena, &l.rs, l.d), "compile", l.d);
        stage("compile", prefix, &t);
        check(claim_check(l.policy, l.rs, &claims, l.d), "claim_check", l.d);
        stage("prove", prefix, &t);
        check(nft_add_host(l.arena, l.rs), "nft_add_host", NULL);
        return l;
}

static void put(Engine *e, const Loaded *l, const char *prefix) {
        _cleanup_(arena_freep) Arena *before = arena_new(0), *after = arena_new(0);
        _cleanup_(nft_batch_freep) NftBatch *b = NULL;
        NftChanges changes = {0};
        const NftKnown known = {.ruleset = l->rs}; /* as the engine does */
        NftOutcome outcome;
        Ruleset *live;
        double t = now();

        check(before && after ? 0 : -ENOMEM, "memory", NULL);
        check(nft_read(e->link, before, &live), "nft_read", NULL);
        stage("look", prefix, &t);
        b = nft_batch_new(nft_link_sequence(e->link), live->generation);
        check(b ? 0 : -ENOMEM, "memory", NULL);
        check(difference_encode(b, live, l->rs, false, &changes), "difference_encode", NULL);
        check(nft_batch_end(b, true), "nft_batch_end", NULL);
        stage("encode", prefix, &t);
        check(nft_link_send(e->link, b, &outcome) == 0 ? 0 : -EIO, "nft_link_send", NULL);
        stage("send", prefix, &t);
        check(nft_read_known(e->link, after, &known, &live), "nft_read_known", NULL);
        check(ruleset_equal(live, l->rs) ? 0 : -EIO, "what was read back", NULL);
        stage("read_back", prefix, &t);
        printf("\"%smessages\": %zu, \"%sbytes\": %zu%s", prefix, changes.messages, prefix,
               b->bytes.size, prefix[0] ? "" : ", ");
}

static void run(const char *catalogue, const char *file, const char *changed) {
        Engine e = {0};
        Loaded l;

        check(unshare(CLONE_NEWNET) < 0 ? -errno : 0, "a new network namespace", NULL);
        check(engine_open(&e), "engine_open", NULL);
        fputs("{", stdout);
        l = compile(&e, catalogue, file, "");
        put(&e, &l, "");
        l.arena = arena_free(l.arena);
        if (changed) {
                l = compile(&e, catalogue, changed, "change_");
                put(&e, &l, "change_");
                l.arena = arena_free(l.arena);
        }
        puts(changed ? "}" : "\"change_messages\": null}");
        fflush(stdout);
        engine_close(&e);
}

int main(int argc, char **argv) {
        if (argc < 4 || argc > 5) {
                fputs("stages CATALOGUE RUNS POLICY [CHANGED]\n", stderr);
                return 2;
        }
        for (int i = 0; i < atoi(argv[2]); i++)
                run(argv[1], argv[3], argv[4]);
        return 0;
}
