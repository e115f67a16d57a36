/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Lines for people, in the journal (its own protocol: systemd.io/JOURNAL_NATIVE_PROTOCOL) or on
 * standard error, without ever waiting for a reader: what guards the rules must not stand still
 * because nobody writes down what it says. */

#include "base/util.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define JOURNAL_SIZE_MAX 8192 /* bytes of a line with all its fields */

typedef struct JournalField {
        const char *name; /* capital letters, digits and underscores */
        const char *value;
} JournalField;

/* Whether standard error leads to the journal (systemd.exec(5), $JOURNAL_STREAM): then fields can
 * be sent there as well. */
bool journal_is_there(void);
/* One line to the journal at address, JOURNAL_SOCKET but for tests. 0 or a negative errno; -EAGAIN:
 * it does not read. */
int journal_send(const char *address, const JournalField *fields, size_t n_fields);
/* One line to standard error, with its priority as systemd reads it. 0, or -EAGAIN: nobody reads
 * there. */
int journal_print(int priority, const char *line);
