/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/file.h"
#include "policy/catalogue.h"

/* A program of the build: `catalogue_record FILE` writes the C source of the catalogue's recording.
 */

#define CATALOGUE_MAX ((size_t)1 << 20) /* bytes */

int main(int argc, char **argv) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Diag *d = a ? diag_new(a) : NULL;
        Source source = {.name = "catalogue.yaml"};
        const Node *root;
        char *text;
        int r;

        if (!d || argc != 2)
                return EXIT_FAILURE;
        r = file_read(a, argv[1], CATALOGUE_MAX, &text, &source.size);
        if (r == 0) {
                source.text = text;
                r = node_parse(a, a, &source, &root, d);
        }
        if (r == 0 && d->n_messages == 0)
                r = recording_print(root, &source, "policy/catalogue.h", "catalogue_recording",
                                    stdout);
        diag_print(d, stderr, false);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
        return r < 0 || d->n_messages > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
