/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For nft/programs*.c alone: what bpf() tells of (include/uapi/linux/bpf.h). Each appends what it
 * finds: 0, -ENOMEM, or what the kernel said: -EPERM without CAP_BPF and CAP_NET_ADMIN, -EINVAL
 * from a kernel that does not know the kind. */

#include "nft/programs.h"

int programs_read_tcx(const HostNet *net, Programs *ret);
int programs_read_lookups(Programs *ret);
int programs_read_cgroups(const char *const *cgroups, size_t n, Programs *ret);
int programs_read_netfilter(Programs *ret);

int programs_add(Programs *to, Program p);
/* Names that are too long are cut. */
Program programs_make(ProgramKind kind, const char *link, const char *name);
