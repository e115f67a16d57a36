/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A ban as people say it: of an address, a network, or one service of a host; until when, why, and
 * by whom. Each jail has its own ban of an address, which it alone ends; the kernel holds an
 * address as long as any of them does. */

#include "nft/ban_table.h"

#define BAN_REASON_MAX 500  /* bytes */
#define BAN_NAME_MAX 64     /* bytes of a jail's or a source's name */
#define BAN_SERVICES_MAX 64 /* ports of one ban */
#define BAN_EVER INT64_MAX  /* an end that never comes */
#define BAN_SECONDS_MAX (INT64_C(100) * 365 * 86400)
#define BAN_HOST_IPV6 64 /* of which services may be shut */

typedef struct Ban {
        BanEntry key;                       /* without its timeout */
        const char *jail, *source, *reason; /* "": none */
        int64_t since_usec, until_usec;     /* CLOCK_REALTIME; BAN_EVER */
        int64_t times;                      /* how often so far, this time included; of any jail */
        int64_t uid;                        /* whose process asked for it */
        bool is_restored; /* it went on before, and is not counted as another one */
} Ban;

/* "192.0.2.7", "2001:db8::5" (its /ipv6: 64, say), "198.51.100.0/24", "2001:db8::5/128". An IPv4
 * address within IPv6 is taken for IPv4. 0, or -EBADMSG, and why (of static memory or of a). */
int ban_parse_address(
        Arena *a, const char *text, unsigned int ipv6, BanEntry *ret, const char **ret_why);
/* "22/tcp": into protocol and port of an entry that is a host. Likewise. */
int ban_parse_service(Arena *a, const char *text, BanEntry *e, const char **ret_why);
/* Why a text cannot be one's reason (or name, of at most `max` bytes): NULL if it can. */
const char *ban_check_text(const char *text, size_t max);

/* "192.0.2.7", "2001:db8::/64". Returns buf, of ADDRESS_TEXT_MAX bytes. */
const char *ban_print_address(const BanEntry *e, char *buf);
/* "22/tcp"; "" if it is about everything. Returns buf, of BAN_SERVICE_TEXT_MAX bytes. */
#define BAN_SERVICE_TEXT_MAX 24
const char *ban_print_service(const BanEntry *e, char *buf);

/* For the kernel: from now until then, in milliseconds; 0: for ever. What is over gets one. */
uint64_t ban_timeout(int64_t until_usec, int64_t now_usec) _const_;

/* The addresses of the key. */
Range ban_range(const BanEntry *e);

/* The key as bytes that sort by address. */
#define BAN_KEY_BYTES_MAX 21
size_t ban_key_write(const BanEntry *e, unsigned char key[static BAN_KEY_BYTES_MAX]);
/* False: they are none. */
bool ban_key_read(const unsigned char *key, size_t size, BanEntry *ret);
