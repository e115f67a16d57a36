/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Where this host's sshd really listens, who is connected to it, and by which of these connections
 * a process came. From the kernel and /proc, and not from sshd's configuration: that may be newer
 * than what runs. Sees other users' processes as root only.
 *
 * An sshd is a process of root's, in no container, with the executable of one: others are anybody's
 * to make. What a translation in front of it (a DNAT, a redirect) was dialled as is not known here.
 */

#include "host/process.h"

typedef struct SshListener {
        HostSocket socket;
        const HostProcess *process; /* sshd, or process 1 */
        const char *unit;           /* the socket unit that process 1 listens for; or NULL */
} SshListener;

typedef struct SshConnection {
        HostSocket socket;
        const HostProcess *process; /* root's sshd that serves it, all its channels and sessions */
        uint64_t started_usec;      /* when that was started, and so when the client connected, if
                                     * not a tick (10 ms) later; CLOCK_BOOTTIME */
        bool is_authenticated;      /* somebody has logged in */
        uint32_t uid;               /* who; if so */
} SshConnection;

typedef struct Sshd {
        SshListener *listeners;
        size_t n_listeners;
        SshConnection *connections;
        size_t n_connections;
        Holders holders;     /* of the connections' sockets */
        size_t n_unreadable; /* processes that we may not look into: something may be missing */
} Sshd;

/* Of the calling process's network namespace. 0; -ENOMEM; as sockets_read_listening(); or why /proc
 * cannot be read. */
int sshd_read(const Tree *t, Sshd *ret);
/* The same where it is known what listens: one walk over all processes less. NULL: it is not. */
int sshd_read_among(const Tree *t, const Listening *listening, Sshd *ret);
/* The same in two steps: whose of the listening sockets are sshd's, and whose of the connected ones
 * (of which those that end elsewhere are passed over). */
int sshd_find_listeners(const Tree *t, const Listening *listening, Sshd *ret);
int sshd_find_connections(const Tree *t, const HostSockets *connected, Sshd *ret);

/* How it is known by which connection a process came, surest first. */
typedef enum SshProof {
        SSH_PROOF_NONE,        /* it came by none: a console, a timer, a multiplexer's server */
        SSH_PROOF_PARENTS,     /* it descends from the sshd: nobody else can bring that about */
        SSH_PROOF_SESSION,     /* the login session it belongs to began with the sshd; who attached
                                * to a terminal multiplexer came by another */
        SSH_PROOF_ENVIRONMENT, /* SSH_CONNECTION says so: its own word, though there is such a
                                * connection */
        SSH_PROOF_UNKNOWN, /* SSH_CONNECTION names one that is gone: a shell that outlived it, in
                            * a terminal multiplexer, whoever is attached to it now */
        _SSH_PROOF_MAX,
} SshProof;

const char *ssh_proof_to_string(SshProof proof);

/* Which of the connections the process came by; NULL with SSH_PROOF_NONE and
 * SSH_PROOF_UNKNOWN. 0; -ESRCH if there is no
 * such process; -ENOMEM. */
int sshd_find_caller(
        const Tree *t, const Sshd *sshd, pid_t pid, SshProof *ret_proof, const SshConnection **ret);
