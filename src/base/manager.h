/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The service manager that has started this process, told by datagrams to $NOTIFY_SOCKET
 * (sd_notify(3) has the words), without ever waiting for it. What it does not take now is kept, the
 * latest of each kind, and sent again before anything else that is told, or by manager_flush(). */

#include "base/util.h"

/* In the order in which they are sent once it reads again. */
typedef enum ManagerKind {
        MANAGER_FORGET, /* a descriptor that it shall keep no more */
        MANAGER_KEEP,   /* one that it shall keep */
        MANAGER_WAIT,   /* how long it shall wait for signs of life */
        MANAGER_STATE,  /* ready, or ending */
        MANAGER_STATUS, /* a line for people */
        MANAGER_ALIVE,  /* a sign of life: the only one that is not kept, for the next one is due */
        _MANAGER_KIND_MAX,
} ManagerKind;

#define MANAGER_TEXT_MAX 512 /* bytes of one message, NUL included; what is longer is cut off */

/* All zero but for blocked, until something is told. */
typedef struct Manager {
        int blocked; /* to wait on until it can be written to, then to flush; -1: nothing waits for
                      * room. Another one, or closed, whenever something is told or flushed. */
        struct {
                char text[MANAGER_TEXT_MAX]; /* "": none */
                int fd;                      /* borrowed, or -1 */
        } kept[_MANAGER_KIND_MAX];
} Manager;

/* fd is sent with it, unless it is -1, and stays the caller's: open as long as that is kept. 0 if
 * it was taken or nobody wants to be told, or a negative errno; it is kept then. */
int manager_tell(Manager *m, ManagerKind kind, int fd, const char *text);
/* Sends what was kept. 0 if nothing is left, or a negative errno. */
int manager_flush(Manager *m);
void manager_done(Manager *m);
