/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/rival.h"

#include <sys/stat.h>

#include "base/file.h"
#include "cli/complaint.h"
#include "cli/input.h"
#include "cli/rival_parts.h"
#include "nft/remove.h"
#include "nft/world_read.h"
#include "world/print.h"

#define DROP_IN_FOLDER "/run/systemd/system/%s.d"
#define DROP_IN "90-ringwall-takeover.conf"
#define TRIES_MAX 20

const char *rival_unit(TakeoverRival rival) {
        static const char *const units[_TAKEOVER_RIVAL_MAX] = {
                [TAKEOVER_FIREWALLD] = "firewalld.service",
                [TAKEOVER_NFTABLES] = "nftables.service",
                [TAKEOVER_UFW] = "ufw.service",
        };

        return units[rival];
}

/* ---- programs */

static int fail(Arena *a, const char *const *words, int r, const char *output) {
        const char *line = words[0];
        int size = output ? (int)strcspn(output, "\n") : 0;

        for (size_t i = 1; words[i] && line; i++)
                line = arena_printf(a, "%s %s", line, words[i]);
        line = line ? line : words[0];
        if (r < 0)
                complain("takeover", "'%s' failed: %s", line, strerror(-r));
        else
                complain("takeover", "'%s' failed: exit status %d%s%.*s", line, r,
                         size > 0 ? ": " : "", size, size > 0 ? output : "");
        return EXIT_FAILED;
}

static int run(const Rivals *x, const char *const *words) {
        const char *output = NULL;
        int r = program_run(x->arena, words, NULL, true, &output);

        return r == 0 ? EXIT_OK : fail(x->arena, words, r, output);
}

#define run_words(x, ...) run((x), (const char *const[]){__VA_ARGS__, NULL})

/* ---- units, without what they do to others when they start and end */

static const char *drop_in_path(const Rivals *x, TakeoverRival rival, const char *name) {
        return arena_printf(x->arena, DROP_IN_FOLDER "%s%s", rival_unit(rival), *name ? "/" : "",
                            name);
}

static int write_drop_in(const Rivals *x, TakeoverRival rival, const char *text) {
        const char *folder = drop_in_path(x, rival, ""), *path = drop_in_path(x, rival, DROP_IN);
        bool wrong;
        FILE *f;

        if (!folder || !path)
                return input_failed(-ENOMEM, "takeover");
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
                return input_failed(-errno, folder);
        f = fopen(path, "we");
        if (!f)
                return input_failed(-errno, path);
        wrong = fputs(text, f) < 0;
        if (fclose(f) != 0 || wrong)
                return input_failed(-EIO, path);
        return run_words(x, RIVAL_SYSTEMCTL, "daemon-reload");
}

static int remove_drop_in(const Rivals *x, TakeoverRival rival) {
        const char *folder = drop_in_path(x, rival, ""), *path = drop_in_path(x, rival, DROP_IN);

        if (!folder || !path)
                return input_failed(-ENOMEM, "takeover");
        if (unlink(path) < 0 && errno != ENOENT)
                return input_failed(-errno, path);
        (void)rmdir(folder); /* others' may be there */
        return run_words(x, RIVAL_SYSTEMCTL, "daemon-reload");
}

/* With other settings meanwhile. Units that are a part of it, as fail2ban's says of all firewalls,
 * would be stopped with it if systemd looked at dependencies. */
static int stop_unit(const Rivals *x, TakeoverRival rival, const char *settings) {
        int r = write_drop_in(x, rival, settings), removed;

        if (r == EXIT_OK)
                r = run_words(x, RIVAL_SYSTEMCTL, "--job-mode=ignore-dependencies", "stop",
                              rival_unit(rival));
        removed = remove_drop_in(x, rival);
        return r == EXIT_OK ? removed : r;
}

static int start_unit(const Rivals *x, TakeoverRival rival, const char *settings) {
        int r = write_drop_in(x, rival, settings), removed;

        if (r == EXIT_OK)
                r = run_words(x, RIVAL_SYSTEMCTL, "start", rival_unit(rival));
        removed = remove_drop_in(x, rival);
        return r == EXIT_OK ? removed : r;
}

static int disable_unit(const Rivals *x, TakeoverRival rival) {
        const TakeoverState *before = &x->record.of[rival].before;

        if (!before->is_enabled)
                return EXIT_OK;
        if (before->for_this_boot)
                return run_words(x, RIVAL_SYSTEMCTL, "--quiet", "--runtime", "disable",
                                 rival_unit(rival));
        return run_words(x, RIVAL_SYSTEMCTL, "--quiet", "disable", rival_unit(rival));
}

static int enable_unit(const Rivals *x, TakeoverRival rival) {
        const TakeoverState *before = &x->record.of[rival].before;

        if (!before->is_enabled)
                return EXIT_OK;
        if (before->for_this_boot)
                return run_words(x, RIVAL_SYSTEMCTL, "--quiet", "--runtime", "enable",
                                 rival_unit(rival));
        return run_words(x, RIVAL_SYSTEMCTL, "--quiet", "enable", rival_unit(rival));
}

/* ---- tables, all of them in one transaction */

typedef bool (*IsTable)(const Rivals *x, const WorldTable *table);

static bool is_firewallds(const Rivals *x, const WorldTable *table) {
        return takeover_is_firewalld_table(table);
}

static bool is_nftables(const Rivals *x, const WorldTable *table) {
        for (size_t i = 0; i < x->host.n_tables; i++)
                if (!x->host.tables[i].stranger && x->host.tables[i].family == table->family &&
                    streq(x->host.tables[i].name, table->name))
                        return true;
        return false;
}

/* One try. -EAGAIN: somebody changed something meanwhile. */
static int try_to_delete(const Rivals *x, IsTable is_its) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        NftTableName *tables = NULL;
        size_t n = 0;
        World *w;
        int r = nft_link_open(&link);

        if (r == 0)
                r = world_read(link, x->arena, &w);
        if (r < 0)
                return r;
        for (size_t i = 0; i < w->n_tables; i++) {
                NftTableName name = {w->tables[i].family, w->tables[i].name};

                if (is_its(x, &w->tables[i]) && !arena_append(x->arena, tables, n, name))
                        return -ENOMEM;
        }
        return n > 0 ? nft_remove_tables(link, tables, n, w->generation) : 0;
}

/* Read anew: one that ran until just now may have made some since it was looked at. */
static int delete_tables(const Rivals *x, IsTable is_its) {
        int r = -EAGAIN;

        for (int tries = 0; tries < TRIES_MAX && r == -EAGAIN; tries++)
                r = try_to_delete(x, is_its);
        return r < 0 ? input_failed(r, "deleting the tables of another firewall") : EXIT_OK;
}

/* As nft tells them, so that loading it puts each in the place of what is there by then. */
static int list_tables(const Rivals *x, const char **ret) {
        const char *text = "";

        for (size_t i = 0; i < x->live->n_tables; i++) {
                const WorldTable *table = &x->live->tables[i];
                const char *family = world_family_to_string(table->family), *listed = NULL;
                const char *const words[] = {RIVAL_NFT, "list", "table", family, table->name, NULL};
                int r;

                if (!is_nftables(x, table))
                        continue;
                r = program_run(x->arena, words, NULL, false, &listed);
                if (r != 0)
                        return fail(x->arena, words, r, NULL);
                text = arena_printf(x->arena, "%sadd table %s %s\ndelete table %s %s\n%s", text,
                                    family, table->name, family, table->name, listed);
                if (!text)
                        return input_failed(-ENOMEM, "takeover");
        }
        *ret = text;
        return EXIT_OK;
}

/* Nothing is deleted that could not be loaded again. */
static int save_tables(const Rivals *x) {
        const char *path = arena_printf(x->arena, "%s/" RIVAL_TABLES, x->path), *text = "", *wrong;
        int r = path ? list_tables(x, &text) : input_failed(-ENOMEM, "takeover");

        if (r != EXIT_OK)
                return r;
        r = file_replace(x->folder, RIVAL_TABLES, text, strlen(text));
        if (r == 0)
                r = rival_try(x->arena, path, NULL, &wrong);
        if (r < 0)
                return input_failed(r, path);
        if (!wrong)
                return EXIT_OK;
        complain("takeover",
                 "nftables.service's tables could not be brought back, so they stay: %s", wrong);
        return EXIT_FAILED;
}

/* ---- disabling */

static int disable_firewalld(const Rivals *x) {
        int r = disable_unit(x, TAKEOVER_FIREWALLD);

        /* what it does at its end empties every table of iptables */
        if (r == EXIT_OK)
                r = stop_unit(x, TAKEOVER_FIREWALLD, "[Service]\nKillSignal=SIGKILL\n");
        if (r == EXIT_OK)
                r = delete_tables(x, is_firewallds);
        if (r == EXIT_OK) /* a unit that was ended so counts as failed; if not, it says so */
                (void)program_run(x->arena,
                                  (const char *const[]){RIVAL_SYSTEMCTL, "reset-failed",
                                                        rival_unit(TAKEOVER_FIREWALLD), NULL},
                                  NULL, false, NULL);
        return r;
}

static int disable_nftables(const Rivals *x) {
        int r = disable_unit(x, TAKEOVER_NFTABLES);

        if (r == EXIT_OK)
                r = stop_unit(x, TAKEOVER_NFTABLES, "[Service]\nExecStop=\nExecStopPost=\n");
        return r == EXIT_OK ? delete_tables(x, is_nftables) : r;
}

/* ufw empties its chains one after the other before it changes the policies: meanwhile nobody could
 * come in. Where this fails (there is no IPv6, say), ufw does it, later. */
static void let_pass(const Rivals *x) {
        static const char *const programs[] = {"/usr/sbin/iptables", "/usr/sbin/ip6tables"};
        static const char *const chains[] = {"INPUT", "FORWARD", "OUTPUT"};

        for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
                for (size_t j = 0; j < ARRAY_SIZE(chains); j++)
                        (void)program_run(x->arena,
                                          (const char *const[]){programs[i], "-w", "-P", chains[j],
                                                                "ACCEPT", NULL},
                                          NULL, false, NULL);
}

static int disable_ufw(const Rivals *x) {
        let_pass(x);
        return run_words(x, RIVAL_UFW, "disable");
}

static int (*const disable[_TAKEOVER_RIVAL_MAX])(const Rivals *x) = {
        [TAKEOVER_FIREWALLD] = disable_firewalld,
        [TAKEOVER_NFTABLES] = disable_nftables,
        [TAKEOVER_UFW] = disable_ufw,
};

int rival_disable(Rivals *x, TakeoverRival rival) {
        TakeoverPhase phase = x->record.of[rival].phase;
        int r = EXIT_OK;

        /* of one that was broken off at, how it was is known from then */
        if (phase == TAKEOVER_NONE || phase == TAKEOVER_DISABLED) {
                x->record.of[rival].before = x->host.states[rival];
                if (rival == TAKEOVER_NFTABLES)
                        r = save_tables(x);
        }
        x->record.of[rival].phase = TAKEOVER_DISABLING;
        if (r == EXIT_OK)
                r = rival_write_record(x);
        if (r != EXIT_OK) { /* nothing was done */
                x->record.of[rival].phase = phase;
                return r;
        }
        r = disable[rival](x);
        if (r != EXIT_OK)
                return r;
        x->record.of[rival].phase = TAKEOVER_DISABLED;
        return rival_write_record(x);
}

/* ---- restoring */

/* firewalld's start empties every table of iptables. What was there is put back, unless its owner
 * has done so already. */
typedef struct Kept {
        const char *save, *restore;
        const char *text;
} Kept;

static bool has_rules(const char *text) {
        return startswith(text, "-A ") || strstr(text, "\n-A ") != NULL;
}

static int keep(const Rivals *x, Kept *k) {
        const char *const words[] = {k->save, NULL};
        int r;

        k->text = "";
        if (access(k->save, X_OK) < 0)
                return EXIT_OK;
        r = program_run(x->arena, words, NULL, false, &k->text);
        return r == 0 ? EXIT_OK : fail(x->arena, words, r, NULL);
}

static int put_back(const Rivals *x, const Kept *k) {
        const char *const words[] = {k->restore, "-w", "--noflush", NULL};
        const char *output = NULL;
        Kept now = *k;
        int r = keep(x, &now);

        if (r != EXIT_OK || !has_rules(k->text) || has_rules(now.text))
                return r;
        r = program_run(x->arena, words, k->text, true, &output);
        return r == 0 ? EXIT_OK : fail(x->arena, words, r, output);
}

static int restore_firewalld(const Rivals *x) {
        Kept kept[] = {
                {"/usr/sbin/iptables-save", "/usr/sbin/iptables-restore", NULL},
                {"/usr/sbin/ip6tables-save", "/usr/sbin/ip6tables-restore", NULL},
        };
        int r = enable_unit(x, TAKEOVER_FIREWALLD), started;

        if (r != EXIT_OK || !x->record.of[TAKEOVER_FIREWALLD].before.is_active)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(kept) && r == EXIT_OK; i++)
                r = keep(x, &kept[i]);
        if (r != EXIT_OK)
                return r;
        started = run_words(x, RIVAL_SYSTEMCTL, "start", rival_unit(TAKEOVER_FIREWALLD));
        /* systemd is told before its rules are there; it answers nobody until they are */
        if (started == EXIT_OK)
                started = run_words(x, RIVAL_FIREWALL_CMD, "--state");
        for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
                if (r == EXIT_OK)
                        r = put_back(x, &kept[i]);
        return started == EXIT_OK ? r : started;
}

/* Started with its own words it would empty the tables of all programs. */
static int restore_nftables(const Rivals *x) {
        const char *text = arena_printf(
                x->arena, "[Service]\nExecStart=\nExecStart=" RIVAL_NFT " -f %s/" RIVAL_TABLES "\n",
                x->path);
        int r = enable_unit(x, TAKEOVER_NFTABLES);

        if (r != EXIT_OK || !x->record.of[TAKEOVER_NFTABLES].before.is_active)
                return r;
        return text ? start_unit(x, TAKEOVER_NFTABLES, text) : input_failed(-ENOMEM, "takeover");
}

static int restore_ufw(const Rivals *x) {
        return run_words(x, RIVAL_UFW, "--force", "enable");
}

static int (*const restore[_TAKEOVER_RIVAL_MAX])(const Rivals *x) = {
        [TAKEOVER_FIREWALLD] = restore_firewalld,
        [TAKEOVER_NFTABLES] = restore_nftables,
        [TAKEOVER_UFW] = restore_ufw,
};

int rival_restore(Rivals *x, TakeoverRival rival) {
        int r;

        x->record.of[rival].phase = TAKEOVER_RESTORING;
        r = rival_write_record(x);
        if (r == EXIT_OK)
                r = restore[rival](x);
        if (r != EXIT_OK)
                return r;
        x->record.of[rival].phase = TAKEOVER_NONE;
        return rival_write_record(x);
}
