/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Times as people say them, for the verbs about bans. */

#include <jansson.h>

#include "base/util.h"

/* "90s", "10m", "2h", "3d", "1w"; "ever" is 0. False: none of these, or more than 100 years. */
bool ban_words_seconds(const char *text, json_int_t *ret);
/* "2026-11-26 18:37:24" of microseconds since 1970; returns buf. */
const char *ban_words_time(json_int_t usec, char buf[static 32]);
