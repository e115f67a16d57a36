/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What somebody is told of an event: a JSON object, on one line. */

#include "notify/alert.h"

/* To be freed; NULL without memory. */
char *message_make(const Alert *alert, const char *host);
