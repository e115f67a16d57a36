/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "rpc/connection.h"
#include "rpc/sample.h"

static void methods_are_found_by_their_full_names(void **state) {
        const RpcInterface *i = rpc_interface_find(sample_interfaces, "io.ringwall.Read");

        assert_ptr_equal(i, &sample_interface);
        assert_string_equal(rpc_method_find(i, "io.ringwall.Read")->name, "Read");
        assert_null(rpc_method_find(i, "io.ringwall.read"));
        assert_null(rpc_method_find(i, "io.ringwall."));
}

static void other_names_find_no_interface(void **state) {
        static const char *const names[] = {"",
                                            ".",
                                            "Read",
                                            "io.ringwall",
                                            "io.ringwall.x.Read",
                                            "io.ringwal.Read",
                                            "io.ringwalls.Read",
                                            "IO.RINGWALL.Read"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                unit_true(names[i], !rpc_interface_find(sample_interfaces, names[i]));
}

static void the_tables_here_are_without_mistakes(void **state) {
        char *wrong = rpc_interface_verify(&sample_interface);

        unit_string("sample", wrong, NULL);
        wrong = rpc_interface_verify(&rpc_service_interface);
        unit_string("service", wrong, NULL);
}

static int run(RpcCall *call, const void *parameters, void *context) {
        return 0;
}

// clang-format off
#define FIELDS(...) (const RpcField[]){__VA_ARGS__, {0}}
#define METHODS(...) (const RpcMethod[]){__VA_ARGS__, {0}}
#define ERRORS(...) (const RpcError[]){__VA_ARGS__, {0}}
#define METHOD_OF(fields) METHODS({ "Get", RPC_ROOT, 0, "d", fields, NULL, 8, run })

static const struct {
        const char *wrong;
        RpcInterface interface;
} mistakes[] = {
        { "'ringwall' is no name of an interface, or has no documentation",
          { "ringwall", "d", METHODS({0}) } },
        { "'a.b' is no name of an interface, or has no documentation",
          { "a.b", "", METHODS({0}) } },
        { "'get' is no name of a method", { "a.b", "d", METHODS({ "get", .doc = "d", .run = run }) } },
        { "'Get_It' is no name of a method",
          { "a.b", "d", METHODS({ "Get_It", .doc = "d", .run = run }) } },
        { "Get has no line of documentation", { "a.b", "d", METHODS({ "Get", .run = run }) } },
        { "Get has no line of documentation",
          { "a.b", "d", METHODS({ "Get", .doc = "a\nb", .run = run }) } },
        { "Get has nothing to run", { "a.b", "d", METHODS({ "Get", .doc = "d" }) } },
        { "Get is there twice", { "a.b", "d", METHODS({ "Get", .doc = "d", .run = run },
                                                      { "Get", .doc = "d", .run = run }) } },
        { "Get wants 'more', but does not know it",
          { "a.b", "d", METHODS({ "Get", .doc = "d", .run = run, .flags = RPC_MORE_ONLY }) } },
        { "Get: '_a' is no name of a field",
          { "a.b", "d", METHOD_OF(FIELDS({ "_a", .doc = "d" })) } },
        { "Get: 'a__b' is no name of a field",
          { "a.b", "d", METHOD_OF(FIELDS({ "a__b", .doc = "d" })) } },
        { "Get: 'a-b' is no name of a field",
          { "a.b", "d", METHOD_OF(FIELDS({ "a-b", .doc = "d" })) } },
        { "Get: 'a' has no line of documentation", { "a.b", "d", METHOD_OF(FIELDS({ "a" })) } },
        { "Get: 'a' is there twice",
          { "a.b", "d", METHOD_OF(FIELDS({ "a", .doc = "d" }, { "a", .doc = "d" })) } },
        { "Get: 'a' is an array and a map",
          { "a.b", "d", METHOD_OF(FIELDS({ "a", RPC_INT, RPC_ARRAY | RPC_MAP, "d" })) } },
        { "Get: 'a' has words, fields or a range, but another type",
          { "a.b", "d", METHOD_OF(FIELDS({ "a", RPC_BOOL, 0, "d", .max = 1 })) } },
        { "Get: 'b c' cannot be a word",
          { "a.b", "d", METHOD_OF(FIELDS({ "a", RPC_STRING, 0, "d",
                                           .words = (const char *const[]){"b c", NULL} })) } },
        { "Get: 'a' does not fit into 8 bytes",
          { "a.b", "d", METHOD_OF(FIELDS({ "a", RPC_INT, 0, "d", 1 })) } },
        { "Get: 'a' does not fit into 8 bytes",
          { "a.b", "d", METHOD_OF(FIELDS({ "a", RPC_STRING, RPC_ARRAY, "d" })) } },
        { "Get: 'a' is of no fields",
          { "a.b", "d", METHOD_OF(FIELDS({ "a", RPC_OBJECT, 0, "d", .fields = FIELDS({0}) })) } },
        { "a: 'B!' is no name of a field",
          { "a.b", "d", METHOD_OF(FIELDS({ "a", RPC_OBJECT, 0, "d",
                                           .fields = FIELDS({ "B!", .doc = "d" }) })) } },
        { "'bad' is no name of an error",
          { "a.b", "d", METHODS({0}), ERRORS({ "bad", "d" }) } },
        { "Bad has no line of documentation", { "a.b", "d", METHODS({0}), ERRORS({ "Bad" }) } },
        { "Bad is there twice",
          { "a.b", "d", METHODS({0}), ERRORS({ "Bad", "d" }, { "Bad", "d" }) } },
        { "Get is a method, too",
          { "a.b", "d", METHODS({ "Get", .doc = "d", .run = run }), ERRORS({ "Get", "d" }) } },
        { "Failed is the library's", { RPC_INTERFACE, "d", METHODS({0}), ERRORS({ "Failed", "d" }) } },
};
// clang-format on

static void mistakes_in_tables_are_found(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
                char *wrong = rpc_interface_verify(&mistakes[i].interface);

                unit_string(mistakes[i].wrong, wrong, mistakes[i].wrong);
                free(wrong);
        }
}

static void an_interface_is_described_in_varlinks_language(void **state) {
        // clang-format off
        static const char *const words[] = {"heal", "alert", NULL};
        static const RpcField line[] = {
                { "text", RPC_STRING, 0,            "What it says" },
                { "at",   RPC_FLOAT,  RPC_OPTIONAL, "When" },
                {0},
        };
        static const RpcField in[] = {
                { "seconds", RPC_INT,    RPC_OPTIONAL, "How long", .min = 1, .max = 60,
                  .fallback = 10 },
                { "force",   RPC_BOOL,   RPC_OPTIONAL, "Whether at all costs", .fallback = 1 },
                { "drift",   RPC_STRING, 0,            "What to do", .words = words },
                {0},
        };
        static const RpcField out[] = {
                { "lines", RPC_OBJECT, RPC_ARRAY,              "The lines", .fields = line },
                { "sizes", RPC_INT,    RPC_OPTIONAL | RPC_MAP, "The sizes" },
                { "raw",   RPC_OBJECT, 0,                      "The rest" },
                {0},
        };
        static const RpcMethod methods[] = {
                { "Get",   RPC_GROUP,  RPC_MORE, "Gets it", in, out, 0, run },
                { "Watch", RPC_ANYONE, RPC_MORE | RPC_MORE_ONLY, "Watches it", .run = run },
                { "Stop",  RPC_ROOT,   0, "Stops it", .run = run },
                {0},
        };
        static const RpcError errors[] = {
                { "Late",  "It was too late", NULL },
                { "Early", "It was too early", line },
                {0},
        };
        // clang-format on
        static const RpcInterface interface = {"io.example.some-thing", "An example", methods,
                                               errors};
        char *text = rpc_interface_describe(&interface);

        assert_string_equal(text, "# An example\n"
                                  "interface io.example.some-thing\n"
                                  "\n"
                                  "# Gets it\n"
                                  "# Root and members of the group 'ringwall' may call it.\n"
                                  "# Called with 'more', it answers again and again.\n"
                                  "method Get(\n"
                                  "  # How long, from 1 to 60; 10 if missing\n"
                                  "  seconds: ?int,\n"
                                  "  # Whether at all costs; true if missing\n"
                                  "  force: ?bool,\n"
                                  "  # What to do\n"
                                  "  drift: (heal, alert)\n"
                                  ") -> (\n"
                                  "  # The lines\n"
                                  "  lines: [](\n"
                                  "    # What it says\n"
                                  "    text: string,\n"
                                  "    # When\n"
                                  "    at: ?float\n"
                                  "  ),\n"
                                  "  # The sizes\n"
                                  "  sizes: ?[string]int,\n"
                                  "  # The rest\n"
                                  "  raw: object\n"
                                  ")\n"
                                  "\n"
                                  "# Watches it\n"
                                  "# Anybody may call it.\n"
                                  "# To be called with 'more': it answers again and again.\n"
                                  "method Watch() -> ()\n"
                                  "\n"
                                  "# Stops it\n"
                                  "# Only root may call it.\n"
                                  "method Stop() -> ()\n"
                                  "\n"
                                  "# It was too late\n"
                                  "error Late ()\n"
                                  "\n"
                                  "# It was too early\n"
                                  "error Early (\n"
                                  "  # What it says\n"
                                  "  text: string,\n"
                                  "  # When\n"
                                  "  at: ?float\n"
                                  ")\n");
        free(text);
}

static void our_own_interface_lists_the_librarys_errors(void **state) {
        char *text = rpc_interface_describe(&sample_interface);

        for (const RpcError *e = rpc_common_errors; e->name; e++) {
                char line[128];

                (void)snprintf(line, sizeof(line), "\nerror %s (", e->name);
                unit_true(e->name, strstr(text, line) != NULL);
        }
        free(text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(methods_are_found_by_their_full_names),
                cmocka_unit_test(other_names_find_no_interface),
                cmocka_unit_test(the_tables_here_are_without_mistakes),
                cmocka_unit_test(mistakes_in_tables_are_found),
                cmocka_unit_test(an_interface_is_described_in_varlinks_language),
                cmocka_unit_test(our_own_interface_lists_the_librarys_errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
