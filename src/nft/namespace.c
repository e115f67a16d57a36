/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/namespace.h"

#include <sys/stat.h>

#include "base/util.h"

/* Two views of a namespace each. The first is the namespace itself, but reading process 1's may be
 * forbidden even to root; the second is a file that every namespace has of its own, and anyone may
 * look at it. */
static const char *const files[] = {"ns/net", "net/dev"};

int namespace_is_of(pid_t pid) {
        int r = -ENOENT;

        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                char path[64], own_path[64];
                struct stat one, own;

                (void)snprintf(path, sizeof(path), "/proc/%jd/%s", (intmax_t)pid, files[i]);
                (void)snprintf(own_path, sizeof(own_path), "/proc/self/%s", files[i]);
                if (stat(path, &one) == 0 && stat(own_path, &own) == 0)
                        return one.st_dev == own.st_dev && one.st_ino == own.st_ino;
                r = -errno;
        }
        return r;
}

int namespace_is_init(void) {
        return namespace_is_of(1);
}
