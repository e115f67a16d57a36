/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cli/complaint.h"
#include "cli/input.h"
#include "cli/kernel.h"
#include "cli/lock.h"
#include "cli/rival_parts.h"
#include "nft/world_read.h"

#define RECORD_MAX ((size_t)4096)
#define LOCK_SECONDS 10

/* ---- what systemd says */

static int look_at_unit(Rivals *x, TakeoverRival rival) {
        const char *text;
        const char *const words[] = {RIVAL_SYSTEMCTL, "show",
                                     "--property=UnitFileState,ActiveState", rival_unit(rival),
                                     NULL};
        int r = program_run(x->arena, words, NULL, false, &text);

        if (r != 0) {
                complain("takeover", "systemd does not say how %s is: %s", rival_unit(rival),
                         r < 0 ? strerror(-r) : "systemctl show failed");
                return EXIT_FAILED;
        }
        x->host.states[rival] = takeover_state_parse(text);
        return EXIT_OK;
}

/* ---- what nftables.service's configuration makes */

static const char *find_configuration(void) {
        static const char *const files[] = {"/etc/nftables.conf", "/etc/sysconfig/nftables.conf"};

        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
                if (access(files[i], F_OK) == 0)
                        return files[i];
        return NULL;
}

static int read_world(Arena *a, World **ret) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        int r = nft_link_open(&link);

        return r < 0 ? r : world_read(link, a, ret);
}

int rival_try(Arena *a, const char *file, World **ret, const char **ret_wrong) {
        const char *const words[] = {RIVAL_NFT, "-f", file, NULL};
        _cleanup_close_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        const char *output = "";
        int r;

        *ret_wrong = NULL;
        if (own < 0 || unshare(CLONE_NEWNET) < 0)
                return -errno;
        r = program_run(a, words, NULL, true, &output);
        if (r > 0)
                *ret_wrong =
                        arena_printf(a, "%s cannot be loaded where there is nothing else (%.*s)",
                                     file, (int)strcspn(output, "\n"), output);
        else if (r == 0 && ret)
                r = read_world(a, ret);
        if (setns(own, CLONE_NEWNET) < 0)
                abort(); /* nothing may go on in the wrong one */
        return r > 0 ? (*ret_wrong ? 0 : -ENOMEM) : r;
}

static int find_tables(Rivals *x, World **ret) {
        const char *file = find_configuration();
        int r;

        if (!file) {
                x->host.tables_wrong = "/etc/nftables.conf is not there";
                return EXIT_OK;
        }
        r = rival_try(x->arena, file, ret, &x->host.tables_wrong);
        return r < 0 ? input_failed(r, "looking at what nftables.service loads") : EXIT_OK;
}

/* ---- what was written down */

static int read_record(Rivals *x) {
        const char *path = arena_printf(x->arena, "%s/%s", x->path, RIVAL_RECORD);
        size_t size;
        char *text;
        int r = path ? file_read(x->arena, path, RECORD_MAX, &text, &size) : -ENOMEM;

        if (r == -ENOENT || r == -ENOTDIR)
                return EXIT_OK;
        if (r == 0)
                r = takeover_record_parse(text, &x->record);
        if (r == -EBADMSG) {
                complain("takeover",
                         "%s cannot be understood: another version wrote it, or it is damaged",
                         path);
                complain_hint("bring the other firewall back by hand (ufw enable, systemctl enable "
                              "--now ...), then remove that file");
                return EXIT_FAILED;
        }
        return r < 0 ? input_failed(r, "reading what was taken over") : EXIT_OK;
}

int rival_write_record(const Rivals *x) {
        const char *text = takeover_record_print(x->arena, &x->record);
        int r = text ? 0 : -ENOMEM;

        if (r == 0 && takeover_record_is_empty(&x->record)) {
                r = file_remove(x->folder, RIVAL_RECORD);
                if (r == 0)
                        r = file_remove(x->folder, RIVAL_TABLES);
        } else if (r == 0) {
                r = file_replace(x->folder, RIVAL_RECORD, text, strlen(text));
        }
        if (r == 0)
                return EXIT_OK;
        complain("takeover", "%s/%s cannot be written: %s", x->path, RIVAL_RECORD, strerror(-r));
        return EXIT_FAILED;
}

/* ---- all of it */

int rivals_look(Rivals *x, const char *state_dir) {
        const Tree tree = {.arena = x->arena, .root = ""};
        bool has_systemd = access("/run/systemd/system", F_OK) == 0;
        World *alone = NULL;
        int r;

        x->path = arena_printf(x->arena, "%s/" RIVALS_FOLDER, state_dir);
        if (!x->path)
                return input_failed(-ENOMEM, "takeover");
        x->host = (TakeoverHost){0};
        x->record = (TakeoverRecord){0};
        r = read_record(x);
        if (r == EXIT_OK && has_systemd)
                r = look_at_unit(x, TAKEOVER_FIREWALLD);
        if (r == EXIT_OK && has_systemd)
                r = look_at_unit(x, TAKEOVER_NFTABLES);
        /* one that never ran, or was broken off at, may have tables all the same */
        if (r == EXIT_OK && (x->host.states[TAKEOVER_NFTABLES].is_active ||
                             x->record.of[TAKEOVER_NFTABLES].phase == TAKEOVER_DISABLING ||
                             x->record.of[TAKEOVER_NFTABLES].phase == TAKEOVER_RESTORING))
                r = find_tables(x, &alone);
        if (r != EXIT_OK)
                return r;
        r = takeover_read(&tree, &x->host);
        if (r == 0)
                r = read_world(x->arena, &x->live);
        if (r == 0)
                r = takeover_look(x->live, alone, x->arena, &x->host);
        return r < 0 ? input_failed(r, "looking at other firewalls") : EXIT_OK;
}

int rivals_begin(Rivals *x) {
        char buf[128];
        int r;

        if (mkdir(x->path, 0700) < 0 && errno != EEXIST) {
                r = -errno;
                complain("takeover", "%s cannot be made: %s", x->path, strerror(-r));
                return EXIT_FAILED;
        }
        x->folder = lock_take(x->path, LOCK_SECONDS);
        if (x->folder >= 0)
                return EXIT_OK;
        complain("takeover", "%s: %s", x->path,
                 x->folder == -EWOULDBLOCK ? lock_holder(x->path, buf, sizeof(buf))
                                           : strerror(-x->folder));
        if (x->folder == -EWOULDBLOCK)
                complain_hint("it takes over, too; wait until it has ended");
        return EXIT_FAILED;
}

void rivals_end(Rivals *x) {
        closep(&x->folder);
        x->folder = -1;
        if (takeover_record_is_empty(&x->record) && x->path)
                (void)rmdir(x->path); /* if something is in it still, it stays */
}
