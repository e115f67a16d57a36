/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/containers.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "host/tree_unit.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define HEADER "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"

static const char trie[] = "Main:\n"
                           "  +-- 0.0.0.0/0 3 0 5\n"
                           "     |-- 0.0.0.0\n"
                           "        /0 universe UNICAST\n"
                           "     +-- 172.17.0.0/16 2 0 2\n"
                           "           |-- 172.17.0.0\n"
                           "              /16 link UNICAST\n"
                           "           |-- 172.17.0.2\n"
                           "              /32 host LOCAL\n"
                           "        |-- 172.17.255.255\n"
                           "           /32 link BROADCAST\n"
                           "     |-- 127.0.0.1\n"
                           "        /32 host LOCAL\n"
                           "Local:\n"
                           "           |-- 172.17.0.2\n"
                           "              /32 host LOCAL\n";
static const char inet6[] = "00000000000000000000000000000001 01 80 10 80       lo\n"
                            "fd001700000000000000000000000002 04 40 00 80     eth0\n"
                            "fe800000000000000042acfffe110002 04 40 20 80     eth0\n";

static U128 address(const char *text, Family *ret) {
        U128 value;

        assert_int_equal(address_parse(text, ret, &value), ADDRESS_OK);
        return value;
}

static const Container *find(const ContainerList *c, const char *text) {
        Family family;
        U128 value = address(text, &family);

        return containers_find_address(c, family, value);
}

static void docker_tells_names_and_addresses(void **state) {
        static const char answer[] = HEADER
                "[{\"Id\":\"" ID "\",\"Names\":[\"/web\"],\"NetworkSettings\":{\"Networks\":"
                "{\"bridge\":{\"IPAddress\":\"172.17.0.2\",\"GlobalIPv6Address\":\"fd00::2\"},"
                "\"back\":{\"IPAddress\":\"172.18.0.9\",\"GlobalIPv6Address\":\"\"}}}},"
                "{\"Id\":\"" OTHER "\",\"Names\":[],\"NetworkSettings\":{}}]";
        ContainerList c = {0};

        assert_int_equal(containers_take_answer(*state, answer, strlen(answer), &c), 0);
        assert_int_equal(c.n_items, 2);
        assert_string_equal(find(&c, "172.17.0.2")->name, "web");
        assert_string_equal(find(&c, "172.18.0.9")->id, "0123456789ab");
        assert_ptr_equal(find(&c, "fd00::2"), &c.items[0]);
        assert_null(find(&c, "172.17.0.3"));
        assert_ptr_equal(containers_find_id(&c, "docker", "fedcba987654"), &c.items[1]);
        assert_null(c.items[1].name);
}

static void what_is_no_answer_of_dockers_is_passed_over(void **state) {
        static const char *const rows[] = {
                "",
                "HTTP/1.0 200 OK",
                "HTTP/1.0 500 Internal Server Error\r\n\r\n[{\"Id\":\"" ID "\"}]",
                HEADER,
                HEADER "{\"Id\":\"" ID "\"}",
                HEADER "[{\"Id\":\"" ID "\"}",
                HEADER "[1,null,\"x\",{\"Id\":7},{\"Id\":\"\"}]",
                "220 mail.example.org ESMTP\r\n\r\n[{\"Id\":\"" ID "\"}]",
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                ContainerList c = {0};

                unit_equal(rows[i], containers_take_answer(*state, rows[i], strlen(rows[i]), &c),
                           0);
                unit_equal(rows[i], c.n_items, 0);
        }
}

static void a_name_made_for_a_terminal_fits_into_a_line(void **state) {
        static const char answer[] = HEADER
                "[{\"Id\":\"" ID "\",\"Names\":[\"/\\u001b[2Jx\\n"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]}]";
        ContainerList c = {0};

        assert_int_equal(containers_take_answer(*state, answer, strlen(answer), &c), 0);
        assert_null(strpbrk(c.items[0].name, "\n\033"));
        assert_true(strlen(c.items[0].name) <= CONTAINER_NAME_MAX);
}

static void a_namespaces_own_addresses_are_found_and_no_others(void **state) {
        ContainerList c = {0};

        assert_int_equal(containers_take_trie(*state, trie, 0, &c), 0);
        assert_int_equal(containers_take_inet6(*state, inet6, 0, &c), 0);
        assert_int_equal(c.n_addresses, 2);
        assert_int_equal(c.addresses[0].address.low, 0xac110002);
        assert_int_equal(c.addresses[1].address.high, UINT64_C(0xfd00170000000000));
        assert_int_equal(c.addresses[1].address.low, 2);
}

static void add(const Tree *t, int pid, const char *comm, const char *cgroup, const char *space) {
        FakeProcess p = {.pid = pid, .parent = 1, .comm = comm, .cgroup = cgroup};
        const char *at = arena_printf(t->arena, "/proc/%d", pid);

        tree_add_process(t, &p);
        tree_link(t, arena_printf(t->arena, "%s/ns/net", at), space);
        tree_write(t, arena_printf(t->arena, "%s/net/fib_trie", at), trie);
        tree_write(t, arena_printf(t->arena, "%s/net/if_inet6", at), inet6);
}

static void a_process_in_a_namespace_of_its_own_tells_whose_an_address_is(void **state) {
        const Tree *t = *state;
        ContainerList c;

        tree_link(t, "/proc/self/ns/net", "net:[1]");
        add(t, 100, "sshd", "0::/system.slice/ssh.service\n", "net:[1]");
        add(t, 200, "nginx", "0::/system.slice/docker-" ID ".scope\n", "net:[2]");
        add(t, 201, "nginx", "0::/system.slice/docker-" ID ".scope\n", "net:[2]");
        add(t, 300, "ollama", "0::/machine.slice/libpod-" OTHER ".scope/container\n", "net:[1]");
        add(t, 400, "unshared", "0::/user.slice/x.scope\n", "net:[4]");
        assert_int_equal(containers_read(t, &c), 0);
        assert_int_equal(c.n_items, 1);
        assert_int_equal(c.n_addresses, 2);
        assert_string_equal(find(&c, "172.17.0.2")->engine, "docker");
        assert_string_equal(find(&c, "172.17.0.2")->id, "0123456789ab");
        assert_null(find(&c, "172.17.0.2")->name);
}

/* Answers one question at the tree's /run/docker.sock, in a process of its own: with nothing, and
 * without an end, if answer is NULL. */
static pid_t serve(const Tree *t, const char *answer) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client;
        const char *path = tree_make_parents(t, "/run/docker.sock");
        char request[512];
        pid_t pid;

        assert_true(fd >= 0 && strlen(path) < sizeof(at.sun_path));
        memcpy(at.sun_path, path, strlen(path) + 1);
        assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(listen(fd, 1), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid > 0) {
                (void)close(fd);
                return pid;
        }
        client = accept(fd, NULL, NULL);
        if (read(client, request, sizeof(request)) > 0 && answer)
                (void)!write(client, answer, strlen(answer));
        while (!answer && read(client, request, sizeof(request)) > 0)
                ;
        _exit(0);
}

static void docker_is_asked_over_its_socket_where_it_runs_and_never_waited_for(void **state) {
        static const struct {
                const char *name, *answer;
                size_t n;
        } rows[] = {
                {"an answer", HEADER "[{\"Id\":\"" ID "\",\"Names\":[\"/web\"]}]", 1},
                {"half of one", HEADER "[{\"Id\":\"" ID, 0},
                {"none, and no end", NULL, 0},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Tree t = {.arena = ((Tree *)*state)->arena,
                          .root = arena_printf(((Tree *)*state)->arena, "%s/%zu",
                                               ((Tree *)*state)->root, i)};
                ContainerList c;
                pid_t pid;

                assert_int_equal(mkdir(t.root, 0755), 0);
                tree_link(&t, "/proc/self/ns/net", "net:[1]");
                add(&t, 90, "dockerd", "0::/system.slice/docker.service\n", "net:[1]");
                pid = serve(&t, rows[i].answer);
                unit_equal(rows[i].name, containers_read(&t, &c), 0);
                unit_equal(rows[i].name, c.n_items, rows[i].n);
                unit_equal(rows[i].name, waitpid(pid, NULL, 0), pid);
        }
}

static void of_two_with_an_address_the_one_that_has_a_name_is_it(void **state) {
        static const char answer[] =
                HEADER "[{\"Id\":\"" ID "\",\"Names\":[\"/web\"],\"NetworkSettings\":{\"Networks\":"
                       "{\"bridge\":{\"IPAddress\":\"172.17.0.2\"}}}}]";
        ContainerList c = {0};
        Container liar = {.engine = "docker", .id = "liar"};

        c.items = &liar;
        c.n_items = 1;
        assert_int_equal(containers_take_trie(*state, trie, 0, &c), 0);
        c.items = arena_new0(*state, Container);
        *c.items = liar;
        assert_int_equal(containers_take_answer(*state, answer, strlen(answer), &c), 0);
        assert_string_equal(find(&c, "172.17.0.2")->name, "web");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(docker_tells_names_and_addresses),
                unit_arena_test(what_is_no_answer_of_dockers_is_passed_over),
                unit_arena_test(a_name_made_for_a_terminal_fits_into_a_line),
                unit_arena_test(a_namespaces_own_addresses_are_found_and_no_others),
                unit_arena_test(of_two_with_an_address_the_one_that_has_a_name_is_it),
                tree_test(docker_is_asked_over_its_socket_where_it_runs_and_never_waited_for),
                tree_test(a_process_in_a_namespace_of_its_own_tells_whose_an_address_is),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
