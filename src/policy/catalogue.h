/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The catalogue as it was when the program was built (policies/catalogue.yaml). It holds wherever
 * the installed one says the same, and nothing else of it is known here: what counts is the file.
 */

#include "doc/recording.h"

extern const Recording catalogue_recording;
