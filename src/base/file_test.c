/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/unit.h"

typedef struct Folder {
        Arena *arena;
        char path[32];
} Folder;

static int make_folder(void **state) {
        Folder *folder = calloc(1, sizeof(*folder));

        if (!folder)
                return -1;
        strcpy(folder->path, "/tmp/file_test.XXXXXX");
        folder->arena = arena_new(0);
        *state = folder;
        return mkdtemp(folder->path) && folder->arena ? 0 : -1;
}

static int remove_folder(void **state) {
        static const char *const names[] = {"file", "fifo", "file.new", "other"};
        Folder *folder = *state;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                (void)unlink(arena_printf(folder->arena, "%s/%s", folder->path, names[i]));
        (void)rmdir(folder->path);
        (void)arena_free(folder->arena);
        free(folder);
        return 0;
}

static const char *write_file(Folder *folder, const void *bytes, size_t size) {
        const char *path = arena_printf(folder->arena, "%s/file", folder->path);
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, size, f), size);
        assert_int_equal(fclose(f), 0);
        return path;
}

static void a_file_is_read_whole_and_ends_in_nul(void **state) {
        static const size_t sizes[] = {0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 300000};
        Folder *folder = *state;
        char *bytes = malloc(300000);

        assert_non_null(bytes);
        for (size_t i = 0; i < 300000; i++)
                bytes[i] = (char)(i % 251); /* NUL bytes, too */
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                const char *path = write_file(folder, bytes, sizes[i]);
                size_t size;
                char *text;

                assert_int_equal(file_read(folder->arena, path, 300000, &text, &size), 0);
                assert_int_equal(size, sizes[i]);
                assert_memory_equal(text, bytes, size);
                assert_int_equal(text[size], '\0');
        }
        free(bytes);
}

static void a_file_may_be_as_large_as_the_limit_and_no_larger(void **state) {
        Folder *folder = *state;
        const char *path = write_file(folder, "12345678", 8);
        size_t size;
        char *text;

        assert_int_equal(file_read(folder->arena, path, 8, &text, &size), 0);
        assert_int_equal(file_read(folder->arena, path, 7, &text, &size), -EFBIG);
        /* a device does not tell its size */
        assert_int_equal(file_read(folder->arena, "/dev/zero", 1 << 20, &text, &size), -EFBIG);
}

static void what_cannot_be_read_is_told(void **state) {
        Folder *folder = *state;
        size_t size;
        char *text;

        assert_int_equal(file_read(folder->arena, folder->path, 100, &text, &size), -EISDIR);
        assert_int_equal(file_read(folder->arena, "/nowhere/at/all", 100, &text, &size), -ENOENT);
}

static void a_fifo_that_nobody_writes_to_does_not_hang(void **state) {
        Folder *folder = *state;
        const char *path = arena_printf(folder->arena, "%s/fifo", folder->path);
        size_t size = 99;
        char *text;

        assert_int_equal(mkfifo(path, 0600), 0);
        (void)alarm(20); /* ends the test program, should it hang after all */
        assert_int_equal(file_read(folder->arena, path, 100, &text, &size), 0);
        (void)alarm(0);
        assert_int_equal(size, 0);
}

static void *write_slowly(void *p) {
        int fd = *(int *)p;

        for (const char *s = "slow"; *s; s++) {
                (void)usleep(20000);
                if (write(fd, s, 1) != 1)
                        break;
        }
        (void)close(fd);
        return NULL;
}

/* ringwall check <(command): the file is a pipe by the name of /dev/fd/N */
static void a_slow_writer_behind_a_pipe_is_waited_for(void **state) {
        Folder *folder = *state;
        pthread_t writer;
        size_t size = 0;
        int fds[2];
        char *text;

        assert_int_equal(pipe(fds), 0);
        assert_int_equal(pthread_create(&writer, NULL, write_slowly, &fds[1]), 0);
        assert_int_equal(file_read(folder->arena, arena_printf(folder->arena, "/dev/fd/%d", fds[0]),
                                   100, &text, &size),
                         0);
        assert_int_equal(pthread_join(writer, NULL), 0);
        assert_string_equal(text, "slow");
        assert_int_equal(size, 4);
        assert_int_equal(close(fds[0]), 0);
}

static int open_folder(const Folder *folder) {
        int fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(fd >= 0);
        return fd;
}

static const char *text_of(Folder *folder, const char *name) {
        size_t size;
        char *text;
        int r = file_read(folder->arena, arena_printf(folder->arena, "%s/%s", folder->path, name),
                          100, &text, &size);

        return r < 0 ? NULL : text;
}

static void a_file_is_replaced_whole_and_is_its_owners_alone(void **state) {
        Folder *folder = *state;
        _cleanup_close_ int fd = open_folder(folder);
        struct stat st;

        assert_int_equal(file_replace(fd, "file", "first", 5), 0);
        assert_string_equal(text_of(folder, "file"), "first");
        assert_int_equal(file_replace(fd, "file", "", 0), 0);
        assert_string_equal(text_of(folder, "file"), "");
        assert_int_equal(file_replace(fd, "file", "second", 6), 0);
        assert_string_equal(text_of(folder, "file"), "second");
        assert_int_equal(fstatat(fd, "file", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_null(text_of(folder, "file" FILE_UNFINISHED));
}

static void a_file_is_replaced_with_the_mode_and_owner_it_had(void **state) {
        Folder *folder = *state;
        _cleanup_close_ int fd = open_folder(folder);
        struct stat before, st;

        assert_int_equal(file_replace(fd, "file", "first", 5), 0);
        assert_int_equal(fchmodat(fd, "file", 0640, 0), 0);
        if (geteuid() == 0)
                assert_int_equal(fchownat(fd, "file", 0, 4, 0), 0);
        assert_int_equal(fstatat(fd, "file", &before, 0), 0);
        assert_int_equal(file_replace_like(fd, "file", "second", 6, &before), 0);
        assert_string_equal(text_of(folder, "file"), "second");
        assert_int_equal(fstatat(fd, "file", &st, 0), 0);
        assert_int_equal(st.st_mode, before.st_mode);
        assert_int_equal(st.st_uid, before.st_uid);
        assert_int_equal(st.st_gid, before.st_gid);
        assert_int_not_equal(st.st_ino, before.st_ino);
}

static void what_a_killed_writer_left_behind_is_no_obstacle(void **state) {
        Folder *folder = *state;
        _cleanup_close_ int fd = open_folder(folder);

        assert_int_equal(
                symlink("/etc/passwd", arena_printf(folder->arena, "%s/file.new", folder->path)),
                0);
        assert_int_equal(file_replace(fd, "file", "text", 4), 0);
        assert_string_equal(text_of(folder, "file"), "text");
}

static void what_cannot_be_written_leaves_the_old_file(void **state) {
        Folder *folder = *state;
        _cleanup_close_ int fd = open_folder(folder);
        char name[256];

        assert_int_equal(file_replace(fd, "file", "old", 3), 0);
        assert_int_equal(mkdirat(fd, "file.new", 0700), 0);
        assert_true(file_replace(fd, "file", "new", 3) < 0);
        assert_string_equal(text_of(folder, "file"), "old");
        assert_int_equal(unlinkat(fd, "file.new", AT_REMOVEDIR), 0);
        memset(name, 'x', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        assert_int_equal(file_replace(fd, name, "new", 3), -ENAMETOOLONG);
        assert_int_equal(file_replace(-1, "file", "new", 3), -EBADF);
}

static void files_are_renamed_over_others_and_removed(void **state) {
        Folder *folder = *state;
        _cleanup_close_ int fd = open_folder(folder);

        assert_int_equal(file_replace(fd, "file", "a", 1), 0);
        assert_int_equal(file_replace(fd, "other", "b", 1), 0);
        assert_int_equal(file_rename(fd, "file", "other"), 0);
        assert_null(text_of(folder, "file"));
        assert_string_equal(text_of(folder, "other"), "a");
        assert_int_equal(file_rename(fd, "file", "other"), -ENOENT);
        assert_string_equal(text_of(folder, "other"), "a");
        assert_int_equal(file_remove(fd, "other"), 0);
        assert_int_equal(file_remove(fd, "other"), 0);
        assert_null(text_of(folder, "other"));
}

int main(void) {
#define folder_test(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
        const struct CMUnitTest tests[] = {
                folder_test(a_file_is_read_whole_and_ends_in_nul),
                folder_test(a_file_may_be_as_large_as_the_limit_and_no_larger),
                folder_test(what_cannot_be_read_is_told),
                folder_test(a_fifo_that_nobody_writes_to_does_not_hang),
                folder_test(a_slow_writer_behind_a_pipe_is_waited_for),
                folder_test(a_file_is_replaced_whole_and_is_its_owners_alone),
                folder_test(a_file_is_replaced_with_the_mode_and_owner_it_had),
                folder_test(what_a_killed_writer_left_behind_is_no_obstacle),
                folder_test(what_cannot_be_written_leaves_the_old_file),
                folder_test(files_are_renamed_over_others_and_removed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
