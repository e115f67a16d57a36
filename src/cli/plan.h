/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Prints what putting the policy in force would change, as `ringwall plan` does; an ExitCode. */
int plan_show(const char *file);
