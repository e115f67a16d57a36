/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The user's editor: $VISUAL, $EDITOR, or what this host has. No shell is asked. */

#include <signal.h>

#include "base/arena.h"

/* Edits the file and waits for the editor's end. `verb` is for messages. 0; 1 if the editor failed,
 * which has been told; or a negative errno. Interrupts of the terminal are the editor's meanwhile;
 * another signal's number that a handler puts into *stop is handed on to it. */
int editor_run(Arena *a, const char *verb, const char *path, const volatile sig_atomic_t *stop);
