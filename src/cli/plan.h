/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "cli/input.h"

/* Prints what putting the policy in force would change, as `ringwall plan` does; an ExitCode. */
int plan_show(const char *file);
/* The same of a policy that was read already, with its messages printed. */
int plan_show_loaded(Input *input);
