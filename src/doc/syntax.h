/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* YAML's syntax errors in our own words, with the hint that helps. Private to src/doc. */

#include "base/diag.h"

typedef struct SyntaxError {
        const char *problem; /* as libyaml words it; NULL if it gave none */
        Span at;             /* where libyaml noticed it */
        const char *context; /* "while parsing a flow sequence", or NULL */
        Span context_at;     /* where that began; no source if nowhere */
} SyntaxError;

/* Reports it in d; always -EBADMSG. */
int syntax_report(const SyntaxError *e, Diag *d);
