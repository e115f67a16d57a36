/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/journal.h"

#include <limits.h>
#include <poll.h>
#include <sys/stat.h>

#include "base/datagram.h"

bool journal_is_there(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

typedef struct Line {
        char bytes[JOURNAL_SIZE_MAX];
        size_t size; /* may be more than fits */
} Line;

static void add(Line *line, const void *bytes, size_t size) {
        if (line->size <= sizeof(line->bytes) && size <= sizeof(line->bytes) - line->size)
                memcpy(line->bytes + line->size, bytes, size);
        line->size += size;
}

/* NAME=value, or where the value has more lines NAME, its length (little-endian) and the value. */
static void add_field(Line *line, const JournalField *f) {
        size_t size = strlen(f->value);
        bool is_long = strchr(f->value, '\n') != NULL;
        uint8_t length[8];

        for (size_t i = 0; i < sizeof(length); i++)
                length[i] = (uint8_t)((uint64_t)size >> (8 * i));
        add(line, f->name, strlen(f->name));
        add(line, is_long ? "\n" : "=", 1);
        if (is_long)
                add(line, length, sizeof(length));
        add(line, f->value, size);
        add(line, "\n", 1);
}

int journal_send(const char *address, const JournalField *fields, size_t n_fields) {
        Line line;

        line.size = 0;
        for (size_t i = 0; i < n_fields; i++)
                add_field(&line, &fields[i]);
        return line.size > sizeof(line.bytes)
                       ? -EMSGSIZE
                       : datagram_send(address, line.bytes, line.size, -1, NULL);
}

/* Where there is room at all, a pipe has some for one line (PIPE_BUF), see pipe(7). */
int journal_print(int priority, const char *line) {
        struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
        char text[PIPE_BUF];
        int n = snprintf(text, sizeof(text), "<%d>%s\n", priority, line);

        if (n >= (int)sizeof(text)) {
                n = sizeof(text) - 1;
                text[n - 1] = '\n';
        }
        if (poll(&room, 1, 0) == 0)
                return -EAGAIN;
        (void)!write(STDERR_FILENO, text, (size_t)n); /* where it leads nowhere, nobody is told */
        return 0;
}
