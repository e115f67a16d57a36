/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/arena.h"

/* The folder that holds catalogue.yaml: $RINGWALL_DATADIR, else ../share/ringwall beside the
 * running program, else where it was installed to. Never NULL but without memory. */
const char *datadir_find(Arena *a);
