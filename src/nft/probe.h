/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the running kernel can do, found out by trying and not by its version. */

#include "nft/link.h"
#include "ruleset/pass.h"

/* Nothing of it is ever committed, so no packet and no other program notices. -EPERM without
 * CAP_NET_ADMIN; else errors as of nft_link_send(). */
int nft_probe(NftLink *link, KernelFeatures *ret);
