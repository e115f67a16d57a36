/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/sysctl.h"

#include <glob.h>

static bool is_set(const char *path) {
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        int c = f ? fgetc(f) : EOF;

        return c != '0';
}

bool sysctl_accepts_own_source(void) {
        bool found = false;
        glob_t list;

        if (glob("/proc/sys/net/ipv4/conf/*/accept_local", 0, NULL, &list) != 0)
                return true;
        for (size_t i = 0; i < list.gl_pathc && !found; i++)
                found = is_set(list.gl_pathv[i]);
        globfree(&list);
        return found;
}

bool sysctl_forwards(bool v6) {
        return is_set(v6 ? "/proc/sys/net/ipv6/conf/all/forwarding"
                         : "/proc/sys/net/ipv4/ip_forward");
}
