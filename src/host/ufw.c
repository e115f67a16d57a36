/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/ufw.h"

#include "base/file.h"
#include "base/text.h"

#define TUPLE "### tuple ###"
#define COMMENT " comment="
#define FIELDS_MAX 9

static const char *const actions[_UFW_ACTION_MAX] = {
        [UFW_ALLOW] = "allow",
        [UFW_LIMIT] = "limit",
        [UFW_DENY] = "deny",
        [UFW_REJECT] = "reject",
};

/* What ufw takes for a protocol. */
static const char *const protocols[] = {"any", "tcp", "udp", "ah", "esp", "gre", "ipv6", "igmp"};

const char *ufw_action_to_string(UfwAction action) {
        return actions[action];
}

/* "allow", "route:deny", "limit_log-all" */
static bool parse_action(char *word, UfwRule *ret) {
        if (startswith(word, "route:")) {
                ret->is_routed = true;
                word += strlen("route:");
        }
        word[strcspn(word, "_")] = '\0';
        for (UfwAction i = 0; i < _UFW_ACTION_MAX; i++)
                if (streq(word, actions[i])) {
                        ret->action = i;
                        return true;
                }
        return false;
}

static bool parse_protocol(const char *word, UfwRule *ret) {
        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
                if (streq(word, protocols[i])) {
                        ret->protocol = protocols[i];
                        return true;
                }
        return false;
}

/* "any", "22", "80,443", "6000:6007". 1 if so, 0 if it is not like that, -ENOMEM. */
static int parse_ports(Arena *a, char *word, RangeSet *ret) {
        char *item;

        if (streq(word, "any"))
                return 1;
        while ((item = strsep(&word, ",")) != NULL) {
                char *high = strchr(item, ':');
                uint64_t low, end;

                if (high)
                        *high++ = '\0';
                if (!text_to_number(item, 1, UINT16_MAX, &low) ||
                    !text_to_number(high ? high : item, low, UINT16_MAX, &end))
                        return 0;
                if (range_set_add(a, ret, (Range){u128(low), u128(end)}) < 0)
                        return -ENOMEM;
        }
        range_set_normalise(ret);
        return 1;
}

/* An address or a network; 0.0.0.0/0 and ::/0 are any. What is not of the file's family is not
 * ufw's. */
static bool parse_network(const char *word, Family family, bool *ret_has, Range *ret) {
        AddressError error;
        Family found;

        if (streq(word, "any"))
                return true;
        error = address_range_parse(word, &found, ret);
        if ((error != ADDRESS_OK && error != ADDRESS_HOST_BITS) || found != family)
                return false;
        *ret_has = !u128_is_zero(ret->low) ||
                   !u128_equal(ret->high, u128_low_mask(family_width(family)));
        return true;
}

static char *clean_copy(Arena *a, const char *text) {
        char *copy = arena_strndup(a, text, strnlen(text, UFW_NAME_MAX));

        if (copy)
                tree_clean(copy);
        return copy;
}

/* "in", "out_eth0", "in_eth0!out_eth1" */
static int parse_direction(Arena *a, char *word, UfwRule *ret) {
        char *part;

        while ((part = strsep(&word, "!")) != NULL) {
                char *name = strchr(part, '_');
                bool out;

                if (name)
                        *name++ = '\0';
                out = streq(part, "out");
                if (!out && !streq(part, "in"))
                        return 0;
                if (!ret->is_routed)
                        ret->is_outgoing |= out;
                if (!name)
                        continue;
                name = clean_copy(a, name);
                if (!name)
                        return -ENOMEM;
                if (out)
                        ret->out = name;
                else
                        ret->in = name;
        }
        return 1;
}

/* "Nginx%20Full" */
static int parse_application(Arena *a, const char *word, UfwRule *ret) {
        char *name;

        if (streq(word, "-") || ret->name)
                return 0;
        name = arena_strndup(a, word, strnlen(word, UFW_NAME_MAX));
        if (!name)
                return -ENOMEM;
        ret->name = name;
        for (char *blank; (blank = strstr(name, "%20")) != NULL;) {
                *blank = ' ';
                memmove(blank + 1, blank + 3, strlen(blank + 3) + 1);
        }
        tree_clean(name);
        return 0;
}

static int digit_of(char c) {
        static const char digits[] = "0123456789abcdef";
        const char *found = c ? strchr(digits, c | 0x20) : NULL;

        return found ? (int)(found - digits) : -1;
}

/* It is written in hexadecimal digits. What is not, is no comment. */
static int parse_comment(Arena *a, const char *word, UfwRule *ret) {
        size_t len = 0;
        char *text = arena_alloc(a, UFW_NAME_MAX + 1);

        if (!text)
                return -ENOMEM;
        for (; len < UFW_NAME_MAX && digit_of(word[0]) >= 0 && digit_of(word[1]) >= 0; word += 2)
                text[len++] = (char)(digit_of(word[0]) << 4 | digit_of(word[1]));
        if (text[0] == '\0')
                return 0;
        tree_clean(text);
        ret->name = text;
        return 0;
}

/* ACTION PROTOCOL PORTS TO PORTS FROM [APPLICATION APPLICATION] [DIRECTION]. 1 if it could be made
 * out, 0 if not, -ENOMEM. */
static int parse_fields(Arena *a, char **fields, size_t n, UfwRule *ret) {
        RangeSet sources = {0};
        int r;

        if (n < 6 || !parse_action(fields[0], ret) || !parse_protocol(fields[1], ret) ||
            !parse_network(fields[3], ret->family, &ret->has_destination, &ret->destination) ||
            !parse_network(fields[5], ret->family, &ret->has_source, &ret->source))
                return 0;
        r = parse_ports(a, fields[2], &ret->ports);
        if (r > 0)
                r = parse_ports(a, fields[4], &sources);
        ret->has_source_ports = sources.n_items > 0;
        if (r > 0 && n % 2 == 1) /* of old it was not there, and meant "in" */
                r = parse_direction(a, fields[n - 1], ret);
        if (r > 0 && n >= 8)
                r = parse_application(a, fields[6], ret) < 0 ? -ENOMEM : r;
        return r;
}

static int take_tuple(Arena *a, char *line, Family family, Ufw *to) {
        UfwRule rule = {.family = family};
        char *fields[FIELDS_MAX + 1], *comment = strstr(line, COMMENT), *word;
        size_t n = 0;
        int r = 0;

        if (comment) {
                *comment = '\0';
                r = parse_comment(a, comment + strlen(COMMENT), &rule);
        }
        while ((word = strsep(&line, " \t\r")) != NULL && n < ARRAY_SIZE(fields))
                if (*word)
                        fields[n++] = word;
        if (r == 0 && n <= FIELDS_MAX)
                r = parse_fields(a, fields, n, &rule);
        if (r > 0 && to->n_rules < UFW_RULES_MAX)
                return arena_append(a, to->rules, to->n_rules, rule) ? 0 : -ENOMEM;
        to->n_left_out++;
        return r < 0 ? r : 0;
}

int ufw_take(Arena *a, const char *text, size_t size, Family family, Ufw *to) {
        char *copy = arena_strndup(a, text, strnlen(text, size)), *line;
        int r = copy ? 0 : -ENOMEM;

        while (r == 0 && (line = strsep(&copy, "\n")) != NULL)
                if (startswith(line, TUPLE))
                        r = take_tuple(a, line + strlen(TUPLE), family, to);
        return r;
}

int ufw_read(const Tree *t, Ufw *ret) {
        static const struct {
                const char *path;
                Family family;
        } files[] = {{"/etc/ufw/user.rules", FAMILY_IPV4}, {"/etc/ufw/user6.rules", FAMILY_IPV6}};
        int r = tree_assigns(t, "/etc/ufw/ufw.conf", "ENABLED", "yes");
        Ufw ufw = {.is_enabled = r > 0, .is_unreadable = r < 0};

        for (size_t i = 0; i < ARRAY_SIZE(files) && r != -ENOMEM; i++) {
                const char *path = tree_path(t, "%s", files[i].path);
                char *text;
                size_t size;

                r = path ? file_read(t->arena, path, UFW_FILE_MAX, &text, &size) : -ENOMEM;
                if (r == 0)
                        r = ufw_take(t->arena, text, size, files[i].family, &ufw);
                else if (r != -ENOENT && r != -ENOTDIR)
                        ufw.is_unreadable = true;
        }
        if (r == -ENOMEM)
                return r;
        *ret = ufw;
        return 0;
}
