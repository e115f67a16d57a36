/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/catalogue.h"

/* Where what was built cannot be run, nothing is recorded. */
const Recording catalogue_recording;
