/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

#include "daemon/claims.h"
#include "guard/judge.h"
#include "nft/networks.h"
#include "nft/world_read.h"
#include "policy/policy.h"
#include "proof/ends.h"

/* What a proof takes of memory and time is given back with the process that made it, and nobody
 * waits for it meanwhile. The child writes to nothing but its answer: it has none of the daemon's
 * sockets, and opens one to read from the kernel. */

#define ANSWERS_MAX (2 * CLAIMS_MAX) /* that are passed on */
#define WAYS_MAX 32                  /* of administrators */
#define WHY_MAX 600                  /* bytes of one text */

typedef struct Proof {
        const Daemon *daemon;
        const ClaimBook *book;
        Arena *arena;
        const Policy *policy;
        World *world;
        json_t *answers, *ends;
        size_t n_claims;
        uint64_t looked_usec; /* see VerifyReport */
} Proof;

static bool is_known(const ClaimBook *book, const char *text) {
        return claim_book_find(book, text) != NULL;
}

/* The rule that does it, of whose table, and how to take it out. */
static const char *describe_refutation(Proof *p, const VerifyAnswer *answer, json_t *object) {
        const WorldStep *culprit = judge_culprit(answer);
        const char *packet = answer->connection ? answer->connection : "a packet", *text;
        const char *owner = culprit ? culprit->chain->table->owner : NULL, *remedy;

        if (!culprit)
                return packet;
        (void)json_object_set_new(object, "table", json_string(culprit->chain->table->name));
        text = judge_describe_step(p->arena, culprit);
        text = text ? arena_printf(p->arena, "%s; by table %s", packet, text) : NULL;
        if (text && owner && !streq(owner, "ringwall"))
                text = arena_printf(p->arena, "%s, of %s", text, owner);
        remedy = judge_remedy(p->arena, culprit);
        if (text && remedy)
                text = arena_printf(p->arena, "%s; to take it out: %s", text, remedy);
        return text ? text : packet;
}

static const char *describe_reasons(Proof *p, const VerifyAnswer *answer) {
        const char *text = NULL;

        for (size_t i = 0; i < answer->n_reasons; i++)
                text = text ? arena_printf(p->arena, "%s; %s", text, answer->reasons[i])
                            : answer->reasons[i];
        return arena_printf(p->arena, "it hangs on %s", text ? text : "what is not known");
}

static int add_answer(Proof *p, const char *text, const VerifyAnswer *answer, bool is_open) {
        json_t *object;
        const char *why = NULL;
        char *copy = arena_strdup(p->arena, text);

        p->n_claims++;
        if (!copy)
                return -ENOMEM;
        tree_clean(copy);
        if (json_array_size(p->answers) >= ANSWERS_MAX ||
            (answer->kind == VERIFY_PROVED && !is_known(p->book, copy)))
                return 0;
        object = json_pack("{s:s, s:i, s:b}", "text", copy, "kind", (int)answer->kind, "open",
                           is_open);
        if (!object)
                return -ENOMEM;
        if (answer->kind == VERIFY_REFUTED)
                why = describe_refutation(p, answer, object);
        else if (answer->kind == VERIFY_UNDECIDED)
                why = describe_reasons(p, answer);
        if (answer->claim == VERIFY_ALWAYS)
                (void)json_object_set_new(object, "always", json_true());
        if (answer->hangs_on_legacy)
                (void)json_object_set_new(object, "legacy", json_true());
        if (why) {
                char *line = arena_strndup(p->arena, why, strnlen(why, WHY_MAX));

                if (line)
                        tree_clean(line);
                (void)json_object_set_new(object, "why", json_string(line ? line : ""));
        }
        return json_array_append_new(p->answers, object) < 0 ? -ENOMEM : 0;
}

static int prove_policy(Proof *p, const Listening *listening) {
        VerifyReport report;
        const char *what;
        bool beside;
        int r = judge_claims(p->policy, p->world, listening, false, p->arena, &report, &beside,
                             &what);

        p->looked_usec = r == 0 ? report.looked_usec : 0;
        for (size_t i = 0; i < report.n_answers && r == 0; i++) {
                const VerifyAnswer *answer = &report.answers[i];
                bool absent = answer->claim == VERIFY_ALWAYS && !answer->described &&
                              answer->kind == VERIFY_UNDECIDED;

                r = add_answer(p, answer->text, answer, absent);
        }
        return r;
}

static bool is_here(const World *w, const HostSocket *s) {
        for (size_t i = 0; i < w->n_addresses; i++)
                if (w->addresses[i].family == s->family &&
                    u128_equal(w->addresses[i].address, s->local))
                        return true;
        return false;
}

static bool is_first(const Sshd *sshd, size_t n) {
        const HostSocket *s = &sshd->connections[n].socket;

        for (size_t i = 0; i < n; i++) {
                const SshConnection *c = &sshd->connections[i];

                if (c->is_authenticated && c->socket.family == s->family &&
                    c->socket.local_port == s->local_port && u128_equal(c->socket.peer, s->peer) &&
                    u128_equal(c->socket.local, s->local))
                        return false;
        }
        return true;
}

/* Whoever is connected to sshd now: whether they could come again. A limit leaves that open,
 * always: what is open is not told of. */
static int prove_ways(Proof *p, const Tree *t, const Listening *listening) {
        char peer[ADDRESS_TEXT_MAX];
        Sshd sshd;
        size_t n = 0;
        int r = sshd_read_among(t, listening, &sshd);

        if (r < 0)
                return r == -ENOMEM ? r : 0; /* nobody's way is known */
        for (size_t i = 0; i < sshd.n_connections && n < WAYS_MAX && r == 0; i++) {
                const HostSocket *s = &sshd.connections[i].socket;
                const VerifyWay way = {s->family, s->peer, s->local, s->local_port};
                VerifyAnswer answer;
                const char *text;

                if (!sshd.connections[i].is_authenticated || !is_here(p->world, s) ||
                    !is_first(&sshd, i))
                        continue;
                n++;
                r = verify_way_in(p->world, &way, p->arena, &answer);
                text = arena_printf(p->arena, "the way in from %s to port %u",
                                    address_print(s->family, s->peer, peer), s->local_port);
                if (r == 0 && answer.kind == VERIFY_UNDECIDED && answer.is_plain)
                        answer.kind = VERIFY_PROVED; /* but for limits */
                if (r == 0)
                        r = text ? add_answer(p, text, &answer, answer.kind == VERIFY_UNDECIDED)
                                 : -ENOMEM;
        }
        return r;
}

/* Where ports end that somebody translates. Without an answer there are no notices. */
static int find_ends(Proof *p) {
        End *ends;
        size_t n;
        int r = ends_find(p->world, p->arena, &ends, &n);

        if (r < 0)
                return r == -ENOMEM ? r : 0;
        p->ends = json_array();
        for (size_t i = 0; i < n; i++) {
                const char *dialled = end_describe_dialled(p->arena, &ends[i]);
                const char *target = end_describe_target(p->arena, &ends[i]);

                if (!dialled || !target ||
                    json_array_append_new(p->ends, json_pack("{s:s, s:s}", "dialled", dialled,
                                                             "target", target)) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int read_policy(Proof *p, uint32_t entry, Policy **ret) {
        _cleanup_(store_closep) Store *store = NULL;
        Diag *diag = diag_new(p->arena);
        PolicyPaths paths = {.networks = networks_read};
        StoreContent *content = arena_new0(p->arena, StoreContent);
        StoreEntry found;
        int r = diag && content ? store_open(p->daemon->state_dir, STORE_READ, &store, diag)
                                : -ENOMEM;

        if (r == 0)
                r = store_read(store, entry, p->arena, &found, content, diag);
        if (r == -ENOENT)
                r = store_read_sealed(store, p->arena, &found, content, diag);
        if (r < 0)
                return r;
        paths.texts = &content->texts;
        return policy_load(p->arena, &paths, ret, diag);
}

static int read_world(Proof *p) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        int r = nft_link_open(&link);

        return r == 0 ? world_read(link, p->arena, &p->world) : r;
}

static int prove(Proof *p, uint32_t entry) {
        const Tree tree = {.arena = p->arena, .root = ""};
        Listening found, *listening = NULL;
        Policy *policy;
        int r = read_policy(p, entry, &policy);

        p->policy = policy;
        if (r == 0)
                r = read_world(p);
        if (r == 0 && process_read_listening(&tree, &found) == 0)
                listening = &found;
        if (r == 0)
                r = prove_policy(p, listening);
        if (r == 0)
                r = prove_ways(p, &tree, listening);
        return r == 0 ? find_ends(p) : r;
}

/* The daemon's sockets stay the daemon's alone; its signals are the child's end; and of all
 * processes it is the one to go if memory runs out. */
static void leave_daemon(int fd) {
        _cleanup_close_ int oom = -1;
        sigset_t none;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)prctl(PR_SET_NAME, "ringwalld-proof");
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        if (fd > 3)
                (void)close_range(3, (unsigned int)fd - 1, 0);
        (void)close_range((unsigned int)fd + 1, UINT32_MAX, 0);
        errno = 0;
        (void)!nice(10); /* a sandbox may forbid it */
        oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (oom >= 0)
                (void)!write(oom, "500", 3);
}

_noreturn_ void claims_prove(const Daemon *d, uint32_t entry, const ClaimBook *book, int fd) {
        Proof p = {.daemon = d, .book = book, .arena = arena_new(0), .answers = json_array()};
        json_t *result;
        int r;

        leave_daemon(fd);
        r = p.arena && p.answers ? prove(&p, entry) : -ENOMEM;
        result = json_pack("{s:i, s:I, s:I, s:I, s:O}", "error", r, "generation",
                           (json_int_t)(p.world ? p.world->generation : 0), "claims",
                           (json_int_t)p.n_claims, "looked", (json_int_t)p.looked_usec, "answers",
                           p.answers);
        if (result && p.ends)
                (void)json_object_set_new(result, "ends", p.ends);
        /* without memory nothing is written, which says it */
        if (result)
                (void)json_dumpfd(result, fd, JSON_COMPACT);
        _exit(0);
}
