/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc/field.h"

/* Where a value stands: the chain of what it stands in, from the inside out. */
typedef struct Place Place;
struct Place {
        const Place *within; /* NULL for the parameters themselves */
        const char *key;     /* NULL in an array */
        size_t index;
};

/* How long the path is; never more than size - 1. */
static size_t print_place(const Place *place, char *path, size_t size) {
        size_t len;
        int n;

        if (!place)
                return 0;
        len = print_place(place->within, path, size);
        if (place->key)
                n = snprintf(path + len, size - len, "%s%.*s", len > 0 ? "." : "",
                             RPC_FIELD_NAME_MAX, place->key);
        else
                n = snprintf(path + len, size - len, "[%zu]", place->index);
        return MIN(len + (size_t)MAX(n, 0), size - 1);
}

static int invalid(RpcFieldError *e, const Place *place) {
        if (!e)
                return -EINVAL;
        (void)print_place(place, e->path, sizeof(e->path));
        /* a key of the caller's may be cut within a character, which no JSON string may hold */
        for (char *c = e->path; *c; c++)
                if (*c < ' ' || *c > '~')
                        *c = '?';
        return -EINVAL;
}

static bool is_word(const char *const *words, const char *s) {
        for (; *words; words++)
                if (streq(*words, s))
                        return true;
        return false;
}

static const RpcField *find_field(const RpcField *fields, const char *name) {
        for (; fields && fields->name; fields++)
                if (streq(fields->name, name))
                        return fields;
        return NULL;
}

static int check_field(const RpcField *field, json_t *value, const Place *place, RpcFieldError *e);

static int
check_fields(const RpcField *fields, json_t *object, const Place *place, RpcFieldError *e) {
        Place inner = {.within = place};
        json_t *value;
        int r;

        json_object_foreach(object, inner.key, value) {
                if (!find_field(fields, inner.key))
                        return invalid(e, &inner);
        }
        for (; fields && fields->name; fields++) {
                inner.key = fields->name;
                r = check_field(fields, json_object_get(object, fields->name), &inner, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_within(const RpcField *field, json_int_t value) {
        return field->min == field->max || (value >= field->min && value <= field->max);
}

/* One value, whatever the flags say. */
static int check_value(const RpcField *field, json_t *value, const Place *place, RpcFieldError *e) {
        bool fits = false;

        switch (field->type) {
        case RPC_BOOL:
                fits = json_is_boolean(value);
                break;
        case RPC_INT:
                fits = json_is_integer(value) && is_within(field, json_integer_value(value));
                break;
        case RPC_FLOAT:
                fits = json_is_number(value);
                break;
        case RPC_STRING:
                fits = json_is_string(value) &&
                       (!field->words || is_word(field->words, json_string_value(value)));
                break;
        case RPC_OBJECT:
                if (json_is_object(value) && field->fields)
                        return check_fields(field->fields, value, place, e);
                fits = json_is_object(value);
                break;
        case _RPC_TYPE_MAX:
                break;
        }
        return fits ? 0 : invalid(e, place);
}

static int check_field(const RpcField *field, json_t *value, const Place *place, RpcFieldError *e) {
        Place inner = {.within = place};
        json_t *item;
        int r = 0;

        if (!value || json_is_null(value))
                return field->flags & RPC_OPTIONAL ? 0 : invalid(e, place);
        if (field->flags & RPC_ARRAY) {
                if (!json_is_array(value))
                        return invalid(e, place);
                json_array_foreach(value, inner.index, item) {
                        r = check_value(field, item, &inner, e);
                        if (r < 0)
                                return r;
                }
                return 0;
        }
        if (field->flags & RPC_MAP) {
                if (!json_is_object(value))
                        return invalid(e, place);
                json_object_foreach(value, inner.key, item) {
                        r = check_value(field, item, &inner, e);
                        if (r < 0)
                                return r;
                }
                return 0;
        }
        return check_value(field, value, place, e);
}

int rpc_fields_check(const RpcField *fields, json_t *object, RpcFieldError *e) {
        return check_fields(fields, object, NULL, e);
}

static bool is_strings(const RpcField *field) {
        return field->type == RPC_STRING && (field->flags & RPC_ARRAY);
}

static int decode_strings(json_t *array, RpcStrings *ret) {
        size_t n = json_array_size(array);
        const char **items;

        if (n == 0)
                return 0;
        items = calloc(n, sizeof(*items));
        if (!items)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                items[i] = json_string_value(json_array_get(array, i));
        *ret = (RpcStrings){.items = items, .n_items = n};
        return 0;
}

/* value was checked; NULL where the field is missing. */
static int decode_field(const RpcField *field, json_t *value, void *ret) {
        if (is_strings(field))
                return decode_strings(value, ret);
        if (field->flags & (RPC_ARRAY | RPC_MAP)) {
                *(json_t **)ret = value;
                return 0;
        }
        switch (field->type) {
        case RPC_BOOL:
                *(bool *)ret = value ? json_is_true(value) : field->fallback != 0;
                break;
        case RPC_INT:
                *(int64_t *)ret = value ? json_integer_value(value) : field->fallback;
                break;
        case RPC_FLOAT:
                *(double *)ret = json_number_value(value);
                break;
        case RPC_STRING:
                *(const char **)ret = json_string_value(value);
                break;
        case RPC_OBJECT:
                *(json_t **)ret = value;
                break;
        case _RPC_TYPE_MAX:
                break;
        }
        return 0;
}

int rpc_fields_decode(const RpcField *fields,
                      json_t *object,
                      void *target,
                      size_t target_size,
                      RpcFieldError *e) {
        int r = rpc_fields_check(fields, object, e);

        if (target_size > 0)
                memset(target, 0, target_size);
        if (r < 0)
                return r;
        for (const RpcField *field = fields; field && field->name; field++) {
                json_t *value = json_object_get(object, field->name);

                r = decode_field(field, json_is_null(value) ? NULL : value,
                                 (char *)target + field->offset);
                if (r < 0) {
                        rpc_fields_done(fields, target);
                        memset(target, 0, target_size);
                        return r;
                }
        }
        return 0;
}

void rpc_fields_done(const RpcField *fields, void *target) {
        for (; fields && fields->name; fields++) {
                RpcStrings *strings = (void *)((char *)target + fields->offset);

                if (!is_strings(fields))
                        continue;
                free(strings->items);
                *strings = (RpcStrings){0};
        }
}

size_t rpc_field_size(const RpcField *field) {
        if (is_strings(field))
                return sizeof(RpcStrings);
        if (field->flags & (RPC_ARRAY | RPC_MAP))
                return sizeof(json_t *);
        switch (field->type) {
        case RPC_BOOL:
                return sizeof(bool);
        case RPC_INT:
                return sizeof(int64_t);
        case RPC_FLOAT:
                return sizeof(double);
        case RPC_STRING:
                return sizeof(const char *);
        case RPC_OBJECT:
                return sizeof(json_t *);
        case _RPC_TYPE_MAX:
                break;
        }
        return 0;
}
