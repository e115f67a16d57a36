/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The sets of the table of bans: how they are called, and what their keys are. */

#include "nft/ban_table.h"

#define BAN_KEY_MAX 24 /* bytes of a set's key */
#define BAN_SET_NAME_MAX 16

/* One of the sets, by what it holds. */
typedef struct BanSet {
        Family family;
        uint8_t prefix; /* that its keys are cut to */
        bool of_services;
} BanSet;

BanSet ban_set_of(const BanEntry *e);
/* "hosts4", "hosts6", "nets4-24", "services6". Returns buf. */
const char *ban_set_name(BanSet set, char buf[static BAN_SET_NAME_MAX]);
/* False: none of those. */
bool ban_set_parse(const char *name, BanSet *ret);
bool ban_set_is_of_hosts(BanSet set);
/* Of an address, the bits that keys have. */
U128 ban_set_mask(BanSet set);
/* A stem and the digit of the family, as "from4". Returns buf. */
const char *ban_family_name(const char *stem, Family family, char buf[static BAN_SET_NAME_MAX]);
/* "hits4", "hits6": the packets of hosts. Returns buf. */
const char *ban_hits_name(Family family, char buf[static BAN_SET_NAME_MAX]);
/* "never4", "never6": who may not be banned. Returns buf. */
const char *ban_never_name(Family family, char buf[static BAN_SET_NAME_MAX]);
/* The length of the prefix that is a host's. */
unsigned int ban_host_prefix(Family family);
/* In bytes. */
size_t ban_address_size(Family family);
/* The bytes of the key; returns how many. */
size_t ban_key_put(BanSet set, const BanEntry *e, unsigned char key[static BAN_KEY_MAX]);
/* False: it cannot be one. */
bool ban_key_parse(BanSet set, const unsigned char *key, size_t size, BanEntry *ret);
