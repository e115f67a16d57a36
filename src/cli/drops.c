/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <netinet/in.h>
#include <time.h>

#include "cli/input.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "host/containers.h"
#include "ruleset/field.h"

static const char help[] =
        "Lists what was refused lately, alike ones together and the latest first: how often, from\n"
        "where, what for, which line of the policy refused it, and the rule that would admit it, "
        "to be\n"
        "copied into that section. What is always refused (a forged source, say) is not listed.\n"
        "\n"
        "SEEN counts what the kernel showed: of a source that sends many packets 20 at once and "
        "one a\n"
        "second; in floods less. All are counted by the rules: ringwall show --live.\n"
        "\n"
        "  -f, --follow           go on with what is refused from now on, until interrupted\n"
        "  -n N                   at most so many groups (100, at most 500)\n" REMOTE_HELP
        "      --json             one object; with -f one a line\n"
        "  -h, --help\n";

#define RULE_MAX 384   /* bytes of one that is made */
#define NAMES_MAX 3    /* services that a port is said to be */
#define NAMES_SIZE 160 /* bytes of these */

typedef struct Drops {
        Input input; /* for the names of services */
        bool json, follow, said_nothing;
        ContainerList containers; /* looked for when a published port was refused, ... */
        Arena *arena;             /* ... in this one; owned, NULL before */
} Drops;

static const char *text_of(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *key) {
        return json_integer_value(json_object_get(object, key));
}

static const char *time_text(const json_t *drop, char *buf, size_t size) {
        time_t t = (time_t)(number_of(drop, "last") / 1000000);
        struct tm tm;

        if (!localtime_r(&t, &tm) || strftime(buf, size, "%m-%d %H:%M:%S", &tm) == 0)
                return "?";
        return buf;
}

/* ---- names of services */

static const RangeSet *ports_of(const ServiceSet *set, const char *protocol) {
        const struct {
                const char *name;
                const RangeSet *ports;
        } rows[] = {
                {"tcp", &set->tcp},   {"udp", &set->udp},       {"sctp", &set->sctp},
                {"icmp", &set->icmp}, {"icmpv6", &set->icmpv6},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (streq(rows[i].name, protocol))
                        return rows[i].ports;
        return NULL;
}

/* How many ports and types it means; SIZE_MAX for whole protocols. */
static size_t breadth(const ServiceSet *set) {
        const RangeSet *all[] = {&set->tcp, &set->udp, &set->sctp, &set->icmp, &set->icmpv6};
        size_t n = 0;

        if (set->any || set->protocols.n_items > 0)
                return SIZE_MAX;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                for (size_t j = 0; j < all[i]->n_items; j++)
                        n += all[i]->items[j].high.low - all[i]->items[j].low.low + 1;
        return n;
}

/* The narrowest services that have it: none if only wide ones do. How many; names gets the first
 * few, with a separator. */
static size_t services_of(const Drops *d, const json_t *drop, char *names, size_t size) {
        const char *protocol = text_of(drop, "protocol");
        bool icmp = startswith(protocol, "icmp");
        const json_t *port = json_object_get(drop, icmp ? "type" : "port");
        size_t best = 3, found = 0, length = 0;

        *names = '\0';
        for (size_t i = 0; d->input.policy && port && i < d->input.policy->n_services; i++) {
                const Service *s = d->input.policy->services[i];
                const RangeSet *ports = ports_of(&s->set, protocol);

                if (!ports || breadth(&s->set) > best ||
                    !range_set_contains(ports, u128((uint64_t)json_integer_value(port))))
                        continue;
                if (breadth(&s->set) < best)
                        found = length = 0;
                best = breadth(&s->set);
                if (found++ >= NAMES_MAX)
                        continue;
                length += (size_t)snprintf(names + length, size - length, "%s%.40s",
                                           length > 0 ? ", " : "", s->name);
        }
        if (found > NAMES_MAX)
                (void)snprintf(names + length, size - length, ", ...");
        return found;
}

static const char *type_name(const char *protocol, json_int_t type) {
        return type_symbol_name(streq(protocol, "icmp") ? TYPE_ICMP_TYPE : TYPE_ICMPV6_TYPE,
                                (uint32_t)type);
}

/* "3000/tcp", "echo-request/icmp", "esp": as a rule can say it. */
static void port_text(const json_t *drop, char *buf, size_t size) {
        const char *protocol = text_of(drop, "protocol");
        const json_t *port = json_object_get(drop, "port"), *type = json_object_get(drop, "type");
        const char *name = type ? type_name(protocol, json_integer_value(type)) : NULL;

        if (name)
                (void)snprintf(buf, size, "%s/%s", name, protocol);
        else if (port || type)
                (void)snprintf(buf, size, "%lld/%s",
                               (long long)json_integer_value(port ? port : type), protocol);
        else
                (void)snprintf(buf, size, "%s", protocol);
}

/* ---- what a drop says */

typedef struct Words {
        char when[32], count[32], from[64], to[320], interface[40];
        char by[256], admit[RULE_MAX + 32];
} Words;

/* An address as YAML takes it on one line. */
static const char *quote(const char *address, char *buf, size_t size) {
        (void)snprintf(buf, size, strchr(address, ':') ? "\"%s\"" : "%s", address);
        return buf;
}

/* The rule, if there is one that would admit it. service: the only one that is meant, or NULL. */
static bool print_rule(const json_t *drop, const char *service, char *buf, size_t size) {
        const char *section = text_of(drop, "section");
        bool outbound = streq(section, "outbound");
        char port[64], from[64], to[64];

        if (!streq(text_of(drop, "kind"), "default") || !*text_of(drop, "to"))
                return false;
        port_text(drop, port, sizeof(port));
        (void)quote(text_of(drop, "from"), from, sizeof(from));
        (void)quote(text_of(drop, "to"), to, sizeof(to));
        (void)snprintf(
                buf, size, "- { allow: %s%s%s%s%s }", service ? service : port,
                outbound ? "" : ", from: ", outbound ? "" : from,
                streq(section, "inbound") ? "" : ", to: ", streq(section, "inbound") ? "" : to);
        return true;
}

static const struct {
        const char *kind, *by, *admit;
} kinds[] = {
        {"default", "no rule allows it: ", ""},
        {"deny", "", "no rule: a deny wins over every allow"},
        {"protected", "", "no rule: it is protected"},
        {"limit", "its limit was reached: ", "a higher limit in that rule"},
        {"outdated", "rules that are in force no more", "it is allowed by now"},
};

static void say_kind(const json_t *drop, Words *w) {
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (streq(kinds[i].kind, text_of(drop, "kind"))) {
                        (void)snprintf(w->by, sizeof(w->by), "%s%s", kinds[i].by,
                                       text_of(drop, "by"));
                        (void)snprintf(w->admit, sizeof(w->admit), "%s", kinds[i].admit);
                }
}

/* What the container is called that has the address; NULL: nobody knows. */
static const char *owner_of(const Drops *d, const char *address) {
        const Container *found;
        Family family;
        U128 value;

        if (address_parse(address, &family, &value) != ADDRESS_OK)
                return NULL;
        found = containers_find_address(&d->containers, family, value);
        return !found ? NULL : found->name ? found->name : found->id;
}

/* "10.0.0.1 3000/tcp (grafana)", and where a published port leads to; or that alone, if the kernel
 * does not tell what was dialled. */
static void say_destination(const Drops *d, const json_t *drop, const char *names, Words *w) {
        const char *to = text_of(drop, "to"), *target = text_of(drop, "target");
        const char *owner = *target ? owner_of(d, target) : NULL;
        long long end = (long long)number_of(drop, "targetPort");
        char port[64];

        port_text(drop, port, sizeof(port));
        if (*target && !*to)
                (void)snprintf(w->to, sizeof(w->to), "a port published to %s%s%s %lld/%s%s",
                               owner ? owner : "", owner ? " (" : "", target, end,
                               text_of(drop, "protocol"), owner ? ")" : "");
        else if (*target)
                (void)snprintf(w->to, sizeof(w->to), "%s %s%s%s%s -> %s%s%s %lld%s", to, port,
                               *names ? " (" : "", names, *names ? ")" : "", owner ? owner : "",
                               owner ? " (" : "", target, end, owner ? ")" : "");
        else
                (void)snprintf(w->to, sizeof(w->to), "%s%s%s%s%s%s", to, *to ? " " : "", port,
                               *names ? " (" : "", names, *names ? ")" : "");
}

static void make_words(const Drops *d, const json_t *drop, Words *w) {
        bool outbound = streq(text_of(drop, "section"), "outbound");
        const json_t *user = json_object_get(drop, "user");
        char rule[RULE_MAX], names[NAMES_SIZE];
        size_t n_names = services_of(d, drop, names, sizeof(names));

        *w = (Words){0};
        (void)time_text(drop, w->when, sizeof(w->when));
        (void)snprintf(w->count, sizeof(w->count), "%lld", (long long)number_of(drop, "count"));
        if (outbound && user)
                (void)snprintf(w->from, sizeof(w->from), "this host, user %lld",
                               (long long)json_integer_value(user));
        else
                (void)snprintf(w->from, sizeof(w->from), "%s",
                               outbound ? "this host" : text_of(drop, "from"));
        say_destination(d, drop, names, w);
        (void)snprintf(w->interface, sizeof(w->interface), "%s%s%s%s", text_of(drop, "in"),
                       *text_of(drop, "in") && *text_of(drop, "out") ? " " : "",
                       *text_of(drop, "out") ? "out " : "", text_of(drop, "out"));
        say_kind(drop, w);
        if (*text_of(drop, "target") && !*text_of(drop, "to") &&
            streq(text_of(drop, "kind"), "default"))
                (void)snprintf(w->admit, sizeof(w->admit), "%s",
                               "inbound: a rule for the port that it is published as");
        if (print_rule(drop, n_names == 1 ? names : NULL, rule, sizeof(rule)))
                (void)snprintf(w->admit, sizeof(w->admit), "%s: %s", text_of(drop, "section"),
                               rule);
}

/* The rule stands on a line of its own, whole: it is there to be copied. */
static void print_list(const Drops *d, const json_t *list) {
        for (size_t i = 0; i < json_array_size(list); i++) {
                char label[96], who[512];
                Words w;

                make_words(d, json_array_get(list, i), &w);
                (void)snprintf(label, sizeof(label), "%s  %sx  ", w.when, w.count);
                (void)snprintf(who, sizeof(who), "%s -> %s%s%s", w.from, w.to,
                               *w.interface ? " by " : "", w.interface);
                output_wrapped(label, who);
                output_wrapped("    ", w.by);
                printf("    %s\n", w.admit);
        }
}

/* What is followed comes a line at a time, the latest last. */
static void print_lines(const Drops *d, const json_t *list) {
        for (size_t i = json_array_size(list); i > 0; i--) {
                Words w;

                make_words(d, json_array_get(list, i - 1), &w);
                printf("%s  %sx  %s -> %s%s%s: %s; %s\n", w.when, w.count, w.from, w.to,
                       *w.interface ? " by " : "", w.interface, w.by, w.admit);
        }
        (void)fflush(stdout);
}

/* The answer with what only the catalogue and the language tell. */
static void add_words(const Drops *d, json_t *list) {
        for (size_t i = 0; i < json_array_size(list); i++) {
                json_t *drop = json_array_get(list, i);
                char rule[RULE_MAX], names[NAMES_SIZE];
                size_t n = services_of(d, drop, names, sizeof(names));

                if (n > 0)
                        (void)json_object_set_new(drop, "service", json_string(names));
                if (print_rule(drop, n == 1 ? names : NULL, rule, sizeof(rule)))
                        (void)json_object_set_new(drop, "admit", json_string(rule));
        }
}

static int print_json(const Drops *d, const json_t *reply) {
        json_t *list = json_object_get(reply, "drops");

        add_words(d, list);
        if (!d->follow)
                return output_json(json_incref((json_t *)(uintptr_t)reply));
        for (size_t i = json_array_size(list); i > 0; i--) {
                int r = output_json(json_incref(json_array_get(list, i - 1)));

                if (r != EXIT_OK)
                        return r;
        }
        return EXIT_OK;
}

static bool has_published(const json_t *list) {
        for (size_t i = 0; i < json_array_size(list); i++)
                if (*text_of(json_array_get(list, i), "target"))
                        return true;
        return false;
}

/* Whose the addresses are that published ports lead to, by now: containers come and go. What cannot
 * be looked at has no name. */
static void find_containers(Drops *d, const json_t *list) {
        Tree tree = {.root = ""};

        if (d->json || !has_published(list))
                return;
        d->arena = arena_free(d->arena);
        d->containers = (ContainerList){0};
        d->arena = tree.arena = arena_new(0);
        if (tree.arena && containers_read(&tree, &d->containers) < 0)
                d->containers = (ContainerList){0};
}

/* One answer; whether another one is wanted. */
static bool take_answer(json_t *reply, void *to) {
        Drops *d = to;
        const json_t *list = json_object_get(reply, "drops");

        if (!json_is_true(json_object_get(reply, "watching")) && !d->said_nothing) {
                fputs("ringwall drops: ringwalld is not shown what is refused: the kernel cannot, "
                      "or "
                      "its journal says why\n",
                      stderr);
                d->said_nothing = true;
        }
        if (d->json)
                return print_json(d, reply) == EXIT_OK;
        find_containers(d, list);
        if (d->follow)
                print_lines(d, list);
        else if (json_array_size(list) > 0)
                print_list(d, list);
        else
                puts("nothing was refused lately");
        return !ferror(stdout);
}

static int run(int argc, char **argv) {
        static const struct option options[] = {
                {"follow", no_argument, NULL, 'f'},
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                REMOTE_OPTION,
                {0},
        };
        const char *runtime_dir = NULL;
        json_t *reply = NULL, *parameters;
        Drops d = {0};
        char *end;
        long limit = 100;
        int c, r;

        while ((c = getopt_long(argc, argv, "fn:h", options, NULL)) >= 0)
                switch (c) {
                case 'f':
                        d.follow = true;
                        break;
                case 'n':
                        limit = strtol(optarg, &end, 10);
                        if (*end || end == optarg || limit < 1 || limit > 500)
                                return verb_usage(&verb_drops, "-n takes a number up to 500");
                        break;
                case 'j':
                        d.json = true;
                        break;
                case 'R':
                        runtime_dir = optarg;
                        break;
                default:
                        return c == 'h' ? verb_help(&verb_drops) : verb_usage(&verb_drops, NULL);
                }
        if (optind < argc)
                return verb_usage(&verb_drops, "it takes no argument");
        parameters = json_pack("{s:I}", "limit", (json_int_t)limit);
        input_load_names(&d.input);
        if (d.follow) {
                r = remote_follow("drops", runtime_dir, "Drops", parameters, take_answer, &d);
        } else {
                r = remote_call("drops", runtime_dir, "Drops", parameters, &reply);
                if (r == EXIT_OK && !take_answer(reply, &d))
                        r = EXIT_FAILED;
                json_decref(reply);
        }
        input_done(&d.input);
        (void)arena_free(d.arena);
        return r;
}

const Verb verb_drops = {
        .name = "drops",
        .arguments = "[-f] [-n N] [--json]",
        .summary = "List what was refused lately, and why",
        .help = help,
        .run = run,
};
