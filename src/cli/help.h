/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A verb's help as it was written, or, on a narrower terminal, in lines that fit it. */

/* Paragraphs, which begin at the margin, are broken anew; so is what stands behind an option, below
 * itself. Other indented lines are examples, and stay. */
void help_print(const char *text);
