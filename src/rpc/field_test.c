/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "rpc/field.h"

typedef struct Sample {
        const char *text, *pace;
        int64_t count, any;
        bool flag, on;
        double ratio;
        RpcStrings names;
        json_t *object, *parts, *limits;
} Sample;

// clang-format off
static const char *const paces[] = {"fast", "slow", NULL};

static const RpcField part_fields[] = {
        { "size", RPC_INT,    0,            "d", .min = 1, .max = 9 },
        { "tags", RPC_STRING, RPC_OPTIONAL | RPC_ARRAY, "d" },
        {0},
};

static const RpcField fields[] = {
        { "text",   RPC_STRING, 0,                        "d", offsetof(Sample, text) },
        { "pace",   RPC_STRING, RPC_OPTIONAL,             "d", offsetof(Sample, pace), .words = paces },
        { "count",  RPC_INT,    RPC_OPTIONAL,             "d", offsetof(Sample, count),
          .min = -1, .max = 100, .fallback = 3 },
        { "any",    RPC_INT,    RPC_OPTIONAL,             "d", offsetof(Sample, any) },
        { "flag",   RPC_BOOL,   RPC_OPTIONAL,             "d", offsetof(Sample, flag) },
        { "on",     RPC_BOOL,   RPC_OPTIONAL,             "d", offsetof(Sample, on), .fallback = 1 },
        { "ratio",  RPC_FLOAT,  RPC_OPTIONAL,             "d", offsetof(Sample, ratio) },
        { "names",  RPC_STRING, RPC_OPTIONAL | RPC_ARRAY, "d", offsetof(Sample, names) },
        { "object", RPC_OBJECT, RPC_OPTIONAL,             "d", offsetof(Sample, object) },
        { "parts",  RPC_OBJECT, RPC_OPTIONAL | RPC_ARRAY, "d", offsetof(Sample, parts),
          .fields = part_fields },
        { "limits", RPC_INT,    RPC_OPTIONAL | RPC_MAP,   "d", offsetof(Sample, limits),
          .max = 5 },
        {0},
};
// clang-format on

static json_t *parse(const char *text) {
        json_t *value = json_loads(text, 0, NULL);

        if (!value)
                fail_msg("the test's own JSON is wrong: %s", text);
        return value;
}

static void every_type_reaches_its_member(void **state) {
        json_t *object = parse("{\"text\": \"a\", \"pace\": \"slow\", \"count\": -1,"
                               " \"any\": 9007199254740993, \"flag\": true, \"on\": false,"
                               " \"ratio\": 2, \"names\": [\"b\", \"c\"], \"object\": {\"x\": [1]},"
                               " \"parts\": [{\"size\": 1}, {\"size\": 9, \"tags\": [\"t\"]}],"
                               " \"limits\": {\"any key\": 5}}");
        RpcFieldError e;
        Sample s;

        assert_int_equal(rpc_fields_decode(fields, object, &s, sizeof(s), &e), 0);
        assert_string_equal(s.text, "a");
        assert_string_equal(s.pace, "slow");
        assert_int_equal(s.count, -1);
        assert_true(s.any == 9007199254740993);
        assert_true(s.flag);
        assert_false(s.on);
        assert_true(s.ratio == 2.0);
        assert_int_equal(s.names.n_items, 2);
        assert_string_equal(s.names.items[1], "c");
        assert_int_equal(json_array_size(json_object_get(s.object, "x")), 1);
        assert_int_equal(json_array_size(s.parts), 2);
        assert_int_equal(json_object_size(s.limits), 1);
        rpc_fields_done(fields, &s);
        assert_null(s.names.items);
        json_decref(object);
}

static void what_is_missing_or_null_gets_its_fallback(void **state) {
        static const char *const texts[] = {
                "{\"text\": \"\"}",
                "{\"text\": \"\", \"pace\": null, \"count\": null, \"any\": null, \"flag\": null,"
                " \"on\": null, \"ratio\": null, \"names\": null, \"object\": null,"
                " \"parts\": null, \"limits\": null}",
        };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                json_t *object = parse(texts[i]);
                RpcFieldError e;
                Sample s;

                memset(&s, 0xa5, sizeof(s));
                unit_equal(texts[i], rpc_fields_decode(fields, object, &s, sizeof(s), &e), 0);
                unit_string(texts[i], s.text, "");
                unit_string(texts[i], s.pace, NULL);
                unit_equal(texts[i], s.count, 3);
                unit_equal(texts[i], s.any, 0);
                unit_equal(texts[i], s.flag, false);
                unit_equal(texts[i], s.on, true);
                unit_true(texts[i], s.ratio == 0);
                unit_equal(texts[i], s.names.n_items, 0);
                unit_true(texts[i], !s.object && !s.parts && !s.limits);
                rpc_fields_done(fields, &s);
                json_decref(object);
        }
}

// clang-format off
static const struct {
        const char *text, *path;
} mistakes[] = {
        { "{}",                                          "text" },
        { "{\"text\": null}",                            "text" },
        { "{\"text\": 1}",                               "text" },
        { "{\"text\": \"\", \"txet\": 1}",               "txet" },
        { "{\"text\": \"\", \"Text\": \"\"}",            "Text" },
        { "{\"text\": \"\", \"pace\": \"fas\"}",         "pace" },
        { "{\"text\": \"\", \"count\": 101}",            "count" },
        { "{\"text\": \"\", \"count\": -2}",             "count" },
        { "{\"text\": \"\", \"count\": 1.0}",            "count" },
        { "{\"text\": \"\", \"count\": \"1\"}",          "count" },
        { "{\"text\": \"\", \"flag\": 1}",               "flag" },
        { "{\"text\": \"\", \"ratio\": \"1\"}",          "ratio" },
        { "{\"text\": \"\", \"names\": \"a\"}",          "names" },
        { "{\"text\": \"\", \"names\": {\"a\": \"b\"}}", "names" },
        { "{\"text\": \"\", \"names\": [\"a\", 1]}",     "names[1]" },
        { "{\"text\": \"\", \"names\": [null]}",         "names[0]" },
        { "{\"text\": \"\", \"object\": []}",            "object" },
        { "{\"text\": \"\", \"parts\": {}}",             "parts" },
        { "{\"text\": \"\", \"parts\": [1]}",            "parts[0]" },
        { "{\"text\": \"\", \"parts\": [{\"size\": 1}, {}]}", "parts[1].size" },
        { "{\"text\": \"\", \"parts\": [{\"size\": 0}]}", "parts[0].size" },
        { "{\"text\": \"\", \"parts\": [{\"size\": 1, \"x\": 1}]}", "parts[0].x" },
        { "{\"text\": \"\", \"parts\": [{\"size\": 1, \"tags\": [\"\", 2]}]}",
          "parts[0].tags[1]" },
        { "{\"text\": \"\", \"limits\": [1]}",           "limits" },
        { "{\"text\": \"\", \"limits\": {\"a\": 6}}",    "limits.a" },
        { "{\"text\": \"\", \"limits\": {\"a\": null}}", "limits.a" },
        { "{\"text\": \"\", \"ä\\u001b\": 1}",           "???" },
};
// clang-format on

static void the_parameter_that_is_wrong_is_named(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
                json_t *object = parse(mistakes[i].text);
                static const Sample zero;
                RpcFieldError e;
                Sample s;

                memset(&s, 0xa5, sizeof(s));
                unit_equal(mistakes[i].text, rpc_fields_decode(fields, object, &s, sizeof(s), &e),
                           -EINVAL);
                unit_string(mistakes[i].text, e.path, mistakes[i].path);
                unit_equal(mistakes[i].text, memcmp(&s, &zero, sizeof(s)), 0);
                json_decref(object);
        }
}

static void a_name_however_long_fits_into_the_message(void **state) {
        json_t *object = json_pack("{s:s}", "text", ""), *inner = json_object();
        char key[1000];
        RpcFieldError e;

        memset(key, 'k', sizeof(key) - 1);
        key[sizeof(key) - 1] = 0;
        (void)json_object_set_new(inner, "size", json_integer(1));
        (void)json_object_set_new(inner, key, json_true());
        (void)json_object_set_new(object, "parts", json_pack("[o]", inner));
        assert_int_equal(rpc_fields_check(fields, object, &e), -EINVAL);
        assert_int_equal(strlen(e.path), strlen("parts[0].") + RPC_FIELD_NAME_MAX);
        json_decref(object);
}

static void no_table_takes_nothing_but_nothing(void **state) {
        json_t *object = json_object();
        RpcFieldError e;

        assert_int_equal(rpc_fields_check(NULL, NULL, &e), 0);
        assert_int_equal(rpc_fields_check(NULL, object, &e), 0);
        assert_int_equal(rpc_fields_decode(NULL, object, NULL, 0, &e), 0);
        rpc_fields_done(NULL, NULL);
        (void)json_object_set_new(object, "a", json_null());
        assert_int_equal(rpc_fields_check(NULL, object, &e), -EINVAL);
        assert_string_equal(e.path, "a");
        json_decref(object);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_type_reaches_its_member),
                cmocka_unit_test(what_is_missing_or_null_gets_its_fallback),
                cmocka_unit_test(the_parameter_that_is_wrong_is_named),
                cmocka_unit_test(a_name_however_long_fits_into_the_message),
                cmocka_unit_test(no_table_takes_nothing_but_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
