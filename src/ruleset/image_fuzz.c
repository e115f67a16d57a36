/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/image.h"

#define LIMIT ((size_t)256 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read can be written, and is then read as the same. */
static void check(Arena *a, const Ruleset *rs, const KernelFeatures *features) {
        KernelFeatures again;
        Diag *d = diag_new(a);
        Ruleset *copy;
        void *image;
        size_t size;
        int r;

        if (!d)
                return;
        r = ruleset_write_image(a, rs, features, &image, &size);
        if (r == 0)
                r = ruleset_read_image(a, image, size, &copy, &again, d);
        if (r == -ENOMEM)
                return;
        if (r < 0 || !ruleset_equal(rs, copy))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new(LIMIT);
        _cleanup_fclose_ FILE *sink = fopen("/dev/null", "w");
        Diag *d = a ? diag_new(a) : NULL;
        KernelFeatures features;
        Ruleset *rs;
        int r;

        if (!d || !sink)
                return 0;
        r = ruleset_read_image(a, data, size, &rs, &features, d);
        if (r == -EBADMSG && d->n_errors == 0)
                abort();
        if (r == 0) {
                ruleset_print(rs, sink);
                check(a, rs, &features);
        }
        diag_print(d, sink, false);
        return 0;
}
