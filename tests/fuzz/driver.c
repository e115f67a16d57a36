/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Stands in for libFuzzer where the compiler has none: gives every file of the folders named on the
 * command line to the fuzz target, once, and reports each as one test (TAP). A crash ends the run
 * with the name of its file already printed. A folder without a file is a failure: a target whose
 * corpus went missing must not pass. */

#include <dirent.h>
#include <limits.h>

#include "base/file.h"

#define INPUT_MAX ((size_t)64 * 1024 * 1024) /* bytes of one file */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        _cleanup_free_ uint8_t *exact = NULL;
        size_t size;
        char *text;
        int r;

        if (!a)
                return -ENOMEM;
        r = file_read(a, path, INPUT_MAX, &text, &size);
        if (r < 0)
                return r;
        /* as long as the input and no longer, so that a sanitizer sees one byte too many */
        exact = malloc(MAX(size, 1UL));
        if (!exact)
                return -ENOMEM;
        memcpy(exact, text, size);
        (void)LLVMFuzzerTestOneInput(exact, size); /* libFuzzer ignores it, too */
        return 0;
}

static int visible(const struct dirent *entry) {
        return entry->d_name[0] != '.';
}

static unsigned int replay_folder(const char *folder, unsigned int *number) {
        struct dirent **entries;
        int n = scandir(folder, &entries, visible, alphasort);
        unsigned int n_failed = 0;
        char path[PATH_MAX];

        if (n <= 0) {
                printf("not ok %u - %s\n# %s\n", ++*number, folder,
                       n < 0 ? strerror(errno) : "the folder holds no file");
                return 1;
        }
        for (int i = 0; i < n; i++) {
                int r;

                (void)snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
                printf("# %s\n", path);
                (void)fflush(stdout); /* or a crash would take the name with it */
                r = replay(path);
                if (r < 0) {
                        printf("not ok %u - %s\n# %s\n", ++*number, path, strerror(-r));
                        n_failed++;
                } else
                        printf("ok %u - %s\n", ++*number, path);
                free(entries[i]);
        }
        free(entries);
        return n_failed;
}

int main(int argc, char **argv) {
        unsigned int n_failed = 0, number = 0;

        for (int i = 1; i < argc; i++)
                n_failed += replay_folder(argv[i], &number);
        printf("1..%u\n", number);
        return number > 0 && n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
