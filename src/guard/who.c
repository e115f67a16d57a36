/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/who.h"

#include <inttypes.h>
#include <pwd.h>

#include "base/address.h"

/* What the audit subsystem wrote down at login (proc(5)); without it nobody knows. */
static uint32_t read_login(const Tree *t, pid_t pid) {
        const char *path = tree_path(t, "/proc/%d/loginuid", (int)pid);
        const char *word;
        char *end;
        unsigned long uid;

        if (!path || tree_read_word(t, path, &word) < 0)
                return WHO_UNKNOWN_LOGIN;
        uid = strtoul(word, &end, 10);
        return *end || uid > UINT32_MAX ? WHO_UNKNOWN_LOGIN : (uint32_t)uid;
}

int who_read(const Tree *t, const Commit *c, Who *ret) {
        Who who = {.login_uid = WHO_UNKNOWN_LOGIN, .pid = c->pid};
        int r = c->pid > 0 ? process_read(t, c->pid, &who.process) : -ESRCH;

        memcpy(who.name, c->name, sizeof(who.name));
        if (r == -ENOMEM)
                return r;
        who.known = r == 0 && who.process.comm && streq(who.process.comm, who.name);
        if (who.known)
                who.login_uid = read_login(t, c->pid);
        *ret = who;
        return 0;
}

static bool is_same_text(const char *a, const char *b) {
        return a && b ? streq(a, b) : a == b;
}

bool who_is_alike(const Who *a, const Who *b) {
        const Cgroup *x = &a->process.cgroup, *y = &b->process.cgroup;

        if (a->known != b->known || !streq(a->name, b->name) || a->login_uid != WHO_UNKNOWN_LOGIN ||
            b->login_uid != WHO_UNKNOWN_LOGIN)
                return false;
        if (!a->known)
                return true;
        return (x->unit || x->container) && is_same_text(x->unit, y->unit) &&
               is_same_text(x->container, y->container);
}

int who_copy(Arena *a, const Who *who, Who *ret) {
        Who copy = *who;
        HostProcess *p = &copy.process;
        const char **const texts[] = {
                &copy.login,          &p->comm,           &p->executable,
                &p->command,          &p->cgroup.path,    &p->cgroup.unit,
                &p->cgroup.user_unit, &p->cgroup.session, &p->cgroup.container,
        };

        copy.by = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                const char *text = *texts[i];

                *texts[i] = text ? arena_strdup(a, text) : NULL;
                if (text && !*texts[i])
                        return -ENOMEM;
        }
        *ret = copy;
        return 0;
}

void who_find_login(Arena *a, Who *who) {
        const struct passwd *user =
                who->login_uid == WHO_UNKNOWN_LOGIN ? NULL : getpwuid(who->login_uid);

        who->login = user ? arena_strdup(a, user->pw_name) : NULL;
}

int who_find_connection(const Tree *t, const Sshd *sshd, Who *who) {
        SshProof proof;
        int r;

        if (!who->known)
                return 0;
        r = sshd_find_caller(t, sshd, who->pid, &proof, &who->by);
        /* it has ended meanwhile; its parent, mostly a shell, is still there */
        if (r == -ESRCH && who->process.parent > 1)
                r = sshd_find_caller(t, sshd, who->process.parent, &proof, &who->by);
        return r == -ESRCH ? 0 : r;
}

/* A process may give itself any name and arguments: they are shown as its words. */
static const char *describe_process(Arena *a, const Who *who) {
        const HostProcess *p = &who->process;
        const char *what = p->command ? p->command : p->executable;
        const char *unit = p->cgroup.container ? p->cgroup.container : p->cgroup.unit;

        return arena_printf(a, "%s (process %d%s%s)%s%s", who->name, (int)who->pid,
                            what ? ": " : "", what ? what : "",
                            !unit                 ? ""
                            : p->cgroup.container ? " in container "
                                                  : " of ",
                            unit ? unit : "");
}

const char *who_describe(Arena *a, const Who *who) {
        char buf[ADDRESS_TEXT_MAX];
        const char *text, *login;

        if (!who->known && who->pid == 0 && who->name[0])
                return arena_printf(a, "%s (a process that is not to be seen from here)",
                                    who->name);
        if (!who->known)
                return who->name[0] ? arena_printf(a, "%s (process %d, which is gone)", who->name,
                                                   (int)who->pid)
                                    : "somebody unknown";
        text = describe_process(a, who);
        if (!text || who->login_uid == WHO_UNKNOWN_LOGIN)
                return text;
        login = who->login ? who->login : arena_printf(a, "user %" PRIu32, who->login_uid);
        if (!login)
                return NULL;
        return who->by ? arena_printf(
                                 a, "%s, logged in as %s from %s", text, login,
                                 address_print(who->by->socket.family, who->by->socket.peer, buf))
                       : arena_printf(a, "%s, logged in as %s", text, login);
}

int who_read_number(const Tree *t, pid_t pid, Who *ret) {
        Who who = {.known = true, .pid = pid};
        int r = process_read(t, pid, &who.process);

        if (r < 0)
                return r == -ENOMEM ? r : -ESRCH;
        (void)snprintf(who.name, sizeof(who.name), "%s", who.process.comm ? who.process.comm : "?");
        who.login_uid = read_login(t, pid);
        *ret = who;
        return 0;
}

int who_read_process(const Tree *t, pid_t pid, Who *ret) {
        int r = who_read_number(t, pid, ret);

        if (r == 0)
                who_find_login(t->arena, ret);
        return r;
}
