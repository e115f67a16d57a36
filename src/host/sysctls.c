/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/sysctls.h"

#include <dirent.h>

#include "base/text.h"

#define VALUE_MAX 1000000

static int read_value(const Tree *t, const char *path, int *ret) {
        const char *word;
        uint64_t value;
        int r = tree_read_word(t, path, &word);

        *ret = SYSCTL_UNKNOWN;
        if (r == 0 && text_to_number(word, 0, VALUE_MAX, &value))
                *ret = (int)value;
        return r == -ENOMEM ? r : 0;
}

/* What an interface says, and what is said for all of them. */
typedef struct Setting {
        const char *name;
        size_t offset; /* of an int in SysctlInterface */
        bool with_all; /* the larger of its own and of "all" is in force */
} Setting;

// clang-format off
static const Setting settings[] = {
        {"rp_filter",      offsetof(SysctlInterface, rp_filter),      true},
        {"accept_local",   offsetof(SysctlInterface, accept_local),   true},
        {"route_localnet", offsetof(SysctlInterface, route_localnet), true},
        {"forwarding",     offsetof(SysctlInterface, forwarding),     false},
};

static const struct {
        const char *path;
        size_t offset; /* of an int in Sysctls */
} globals[] = {
        {"/proc/sys/net/ipv4/conf/all/forwarding",        offsetof(Sysctls, forwarding)},
        {"/proc/sys/net/ipv6/conf/all/forwarding",        offsetof(Sysctls, forwarding6)},
        {"/proc/sys/net/bridge/bridge-nf-call-iptables",  offsetof(Sysctls, bridge_calls)},
        {"/proc/sys/net/bridge/bridge-nf-call-ip6tables", offsetof(Sysctls, bridge_calls6)},
};
// clang-format on

static int *int_at(void *base, size_t offset) {
        return (int *)(void *)((char *)base + offset);
}

/* One setting of an interface, or of "all". */
static int read_setting(const Tree *t, const Setting *s, const char *name, SysctlInterface *ret) {
        return read_value(t, tree_path(t, "/proc/sys/net/ipv4/conf/%s/%s", name, s->name),
                          int_at(ret, s->offset));
}

static int read_all(const Tree *t, SysctlInterface *ret) {
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(settings) && r == 0; i++)
                if (settings[i].with_all)
                        r = read_setting(t, &settings[i], "all", ret);
        return r;
}

static int
read_interface(const Tree *t, const char *name, SysctlInterface *all, SysctlInterface *ret) {
        for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
                const Setting *s = &settings[i];
                int *own = int_at(ret, s->offset), r = read_setting(t, s, name, ret);

                if (r < 0)
                        return r;
                if (s->with_all)
                        *own = MAX(*own, *int_at(all, s->offset));
        }
        ret->name = arena_strdup(t->arena, name);
        return ret->name ? 0 : -ENOMEM;
}

static bool is_interface(const struct dirent *entry) {
        return entry->d_name[0] != '.' && !streq(entry->d_name, "all") &&
               !streq(entry->d_name, "default") && !streq(entry->d_name, "lo");
}

static int compare(const void *a, const void *b) {
        const SysctlInterface *x = a, *y = b;

        return strcmp(x->name, y->name);
}

int sysctls_read(const Tree *t, Sysctls *ret) {
        const char *path = tree_path(t, "/proc/sys/net/ipv4/conf");
        const struct dirent *entry;
        SysctlInterface all = {0};
        Sysctls s = {0};
        int r = 0;
        DIR *d;

        if (!path)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(globals) && r == 0; i++)
                r = read_value(t, tree_path(t, "%s", globals[i].path),
                               int_at(&s, globals[i].offset));
        if (r == 0)
                r = read_all(t, &all);
        d = opendir(path);
        if (!d)
                return -errno;
        while (r == 0 && (entry = readdir(d)) != NULL) {
                SysctlInterface x = {0};

                if (!is_interface(entry))
                        continue;
                r = read_interface(t, entry->d_name, &all, &x);
                if (r == 0 && !arena_append(t->arena, s.interfaces, s.n_interfaces, x))
                        r = -ENOMEM;
        }
        (void)closedir(d); /* read only */
        if (r < 0)
                return r;
        if (s.n_interfaces > 0)
                qsort(s.interfaces, s.n_interfaces, sizeof(*s.interfaces), compare);
        *ret = s;
        return 0;
}
