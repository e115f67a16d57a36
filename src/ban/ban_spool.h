/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is asked for about bans while ringwalld is away: a file of lines in its runtime folder,
 * which it reads and removes as soon as it is there. Whoever writes a line asks afterwards whether
 * it has come meanwhile, and if so asks it for the same, so that no line waits for the next time.
 * Only its own user may write there, root; it does not outlive the boot. */

#include "base/util.h"

#define BAN_SPOOL_FILE "bans.later"
#define BAN_SPOOL_MAX ((size_t)1 << 20) /* bytes of the file; some 5,000 bans */
#define BAN_SPOOL_LINE_MAX 16384        /* bytes of a line */

/* Appends a line, as a whole or not at all; the folder is made if need be. -EINVAL: it is none, or
 * too long; -EFBIG: the file is full; -EPERM: the file is somebody else's; or another negative
 * errno. */
int ban_spool_add(const char *folder, const char *line);

/* The file, locked. */
typedef struct BanSpool {
        int fd;
        char *text; /* malloc'ed */
        size_t size, next;
} BanSpool;

/* 1: there is one; 0: there is none; -EAGAIN: somebody is writing to it just now; -EPERM: it is
 * somebody else's; or another negative errno. Then ret has nothing that is to be let go. */
int ban_spool_open(const char *folder, BanSpool *ret);
/* The next line, without its end, which is valid until it is closed; NULL: that was the last. What
 * is behind BAN_SPOOL_MAX is not read. */
const char *ban_spool_next(BanSpool *s);
/* Lets go of it. is_done: and removes it. */
void ban_spool_close(BanSpool *s, const char *folder, bool is_done);
