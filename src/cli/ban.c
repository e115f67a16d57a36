/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <inttypes.h>
#include <time.h>

#include "ban/ban.h"
#include "ban/ban_spool.h"
#include "cli/ban_words.h"
#include "cli/input.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "rpc/method.h"

static const char ban_help[] =
        "Shuts addresses and networks out, from this host, its containers and all that it routes:\n"
        "before anything else is asked, and open connections with them. A single IPv6 address\n"
        "stands for its /64 (or what the policy says: bans.ipv6); write /128 for just that one. A\n"
        "second ban extends the first; who was banned before may be banned for longer\n"
        "(bans.escalate). Who may never be banned (this host, its gateways and name servers, its\n"
        "containers, whoever administers it over SSH just now, and bans.never) is refused, and "
        "the\n"
        "answer says so.\n"
        "\n"
        "      --for=TIME         10m, 2h, 3d or 1w; else until they are unbanned\n"
        "      --reason=TEXT      to be shown by `ringwall bans`\n"
        "      --source=NAME      what found them\n"
        "      --jail=NAME        whose ban it is: each jail extends and ends its own\n"
        "      --wide             also networks wider than bans.widest; not with --jail, --source\n"
        "      --restored         it went on before, as what fail2ban restores: not counted anew\n"
        "      --services=LIST    only these: ssh,443/tcp; by the port that is "
        "dialled\n"
        "      --or-later         while ringwalld is away it is written down, and done when it "
        "comes\n" REMOTE_HELP "      --json\n"
        "  -h, --help\n"
        "\n"
        "Exit status: 7 if it is never banned.\n"
        "\n"
        "Examples:\n"
        "  ringwall ban 203.0.113.9 --for 1h --reason 'tries passwords'\n"
        "  ringwall ban 198.51.100.0/24\n"
        "  ringwall ban 2001:db8::5 --services ssh\n";

static const char unban_help[] =
        "Lets addresses in again, whoever banned them. Nobody is no error.\n"
        "\n"
        "      --jail=NAME        only that jail's bans; without an address all of them\n"
        "      --all              everybody\n"
        "      --or-later         while ringwalld is away it is written down, and done when it "
        "comes\n" REMOTE_HELP "      --json\n"
        "  -h, --help\n"
        "\n"
        "Examples:\n"
        "  ringwall unban 203.0.113.9\n"
        "  ringwall unban --jail sshd\n";

typedef struct Options {
        const char *runtime_dir, *reason, *source, *jail, *services;
        json_int_t seconds;
        bool json, all, wide, restored, or_later;
} Options;

/* ---- services as ports */

static int add_ports(json_t *list, const RangeSet *ports, const char *protocol) {
        for (size_t i = 0; i < ports->n_items; i++)
                for (uint64_t p = ports->items[i].low.low; p <= ports->items[i].high.low; p++) {
                        if (json_array_size(list) == BAN_SERVICES_MAX)
                                return -E2BIG;
                        (void)json_array_append_new(list,
                                                    json_sprintf("%" PRIu64 "/%s", p, protocol));
                }
        return 0;
}

/* A name of the policy's or the catalogue's; everything else the daemon looks at. */
static int add_service(const Input *input, json_t *list, const char *word) {
        const Service *s = input->policy ? policy_find_service(input->policy, word) : NULL;
        int r;

        if (!s)
                return json_array_append_new(list, json_string(word));
        r = add_ports(list, &s->set.tcp, "tcp");
        if (r == 0)
                r = add_ports(list, &s->set.udp, "udp");
        if (r == 0)
                r = add_ports(list, &s->set.sctp, "sctp");
        if (r == 0 && json_array_size(list) == 0)
                r = -E2BIG; /* ICMP, or everything */
        return r;
}

static int expand_services(const char *text, json_t *list) {
        char *copy = strdup(text), *rest = NULL;
        Input input = {0};
        int r = copy ? 0 : -ENOMEM;

        input_load_names(&input);
        for (char *word = copy ? strtok_r(copy, ", ", &rest) : NULL; word && r == 0;
             word = strtok_r(NULL, ", ", &rest))
                r = add_service(&input, list, word);
        input_done(&input);
        free(copy);
        return r == 0 && json_array_size(list) == 0 ? -EINVAL : r;
}

/* ---- what was answered */

static void print_ban(const json_t *reply) {
        const json_t *until = json_object_get(reply, "until");
        char when[32];

        printf("%s is %s%s%s", json_string_value(json_object_get(reply, "address")),
               json_is_true(json_object_get(reply, "extended")) ? "banned still, " : "banned ",
               until ? "until " : "until it is unbanned",
               until ? ban_words_time(json_integer_value(until), when) : "");
        if (json_integer_value(json_object_get(reply, "times")) > 1)
                printf("; banned %lld times by now%s",
                       (long long)json_integer_value(json_object_get(reply, "times")),
                       json_is_true(json_object_get(reply, "escalated")) ? ", and so for longer"
                                                                         : "");
        putchar('\n');
        if (json_object_get(reply, "widened"))
                printf("%s is banned with it, for several networks of it are\n",
                       json_string_value(json_object_get(reply, "widened")));
}

static void print_unban(const json_t *reply) {
        long long n = (long long)json_integer_value(json_object_get(reply, "unbanned"));

        if (n == 0)
                puts("nobody was banned");
        else
                printf("%lld ban%s ended\n", n, n == 1 ? "" : "s");
}

/* What is not in force, or would not outlive a restart, is never passed over. */
static int tell_rest(const char *verb, const json_t *reply) {
        if (!json_is_true(json_object_get(reply, "stored")))
                fprintf(stderr,
                        "ringwall %s: it holds now, but could not be written to the disk, and "
                        "would be lost with a restart of ringwalld\n",
                        verb);
        if (!json_is_true(json_object_get(reply, "inForce")))
                fprintf(stderr,
                        "ringwall %s: it is kept, but not in force: ringwall is unloaded, or the "
                        "kernel refused it; see ringwall status\n",
                        verb);
        return json_is_true(json_object_get(reply, "stored")) &&
                               json_is_true(json_object_get(reply, "inForce"))
                       ? EXIT_OK
                       : EXIT_FAILED;
}

static int call(const Options *o, const char *verb, const char *method, json_t *parameters);

static int write_down(const Options *o, const char *verb, const char *method, json_t *parameters) {
        json_t *message = json_pack("{s:s+, s:I, s:O}", "method", RPC_INTERFACE ".", method, "at",
                                    (json_int_t)time(NULL) * 1000000, "parameters", parameters);
        char *line = message ? json_dumps(message, JSON_COMPACT) : NULL;
        int r = line ? ban_spool_add(remote_folder(o->runtime_dir), line) : -ENOMEM;

        free(line);
        json_decref(message);
        if (r < 0)
                fprintf(stderr, "ringwall %s: it cannot be written down for later either: %s\n",
                        verb, strerror(-r));
        return r;
}

/* Who comes back meanwhile may have read before that was written: it is asked for it as well. */
static int call_later(const Options *o, const char *verb, const char *method, json_t *parameters) {
        if (write_down(o, verb, method, parameters) < 0)
                return EXIT_NO_DAEMON;
        if (remote_is_there(o->runtime_dir)) {
                Options now = *o;
                int r;

                now.or_later = false;
                r = call(&now, verb, method, json_incref(parameters));
                if (r != EXIT_NO_DAEMON)
                        return r;
        }
        if (o->json)
                return output_json(json_pack("{s:b}", "later", 1));
        puts("it is written down, and done as soon as ringwalld is there");
        return EXIT_OK;
}

static int call(const Options *o, const char *verb, const char *method, json_t *parameters) {
        json_t *reply = NULL;
        int r = remote_call(verb, o->runtime_dir, method, json_incref(parameters), &reply);

        if (r == EXIT_NO_DAEMON && o->or_later)
                r = call_later(o, verb, method, parameters);
        json_decref(parameters);
        if (!reply) /* that was said */
                return r;
        if (o->json)
                r = output_json(json_incref(reply));
        else if (streq(method, "Ban"))
                print_ban(reply);
        else
                print_unban(reply);
        if (r == EXIT_OK)
                r = tell_rest(verb, reply);
        json_decref(reply);
        return r;
}

static void set_text(json_t *object, const char *key, const char *text) {
        if (text)
                (void)json_object_set_new(object, key, json_string(text));
}

static int ban_all(const Options *o, char **addresses, int n) {
        json_t *services = NULL;
        int code = EXIT_OK;

        if (o->services) {
                services = json_array();
                if (expand_services(o->services, services) < 0) {
                        json_decref(services);
                        fprintf(stderr,
                                "ringwall ban: --services takes names and ports, ssh,443/tcp, of "
                                "at most %d ports in all\n",
                                BAN_SERVICES_MAX);
                        return EXIT_USAGE;
                }
        }
        for (int i = 0; i < n; i++) {
                json_t *parameters = json_pack("{s:s}", "address", addresses[i]);
                int r;

                set_text(parameters, "reason", o->reason);
                set_text(parameters, "source", o->source);
                set_text(parameters, "jail", o->jail);
                if (o->seconds > 0)
                        (void)json_object_set_new(parameters, "seconds", json_integer(o->seconds));
                if (o->wide)
                        (void)json_object_set_new(parameters, "wide", json_true());
                if (o->restored)
                        (void)json_object_set_new(parameters, "restored", json_true());
                if (services)
                        (void)json_object_set(parameters, "services", services);
                r = call(o, "ban", "Ban", parameters);
                code = r != EXIT_OK ? r : code;
        }
        json_decref(services);
        return code;
}

static int unban_all(const Options *o, char **addresses, int n) {
        int code = EXIT_OK;

        for (int i = 0; i < MAX(n, 1); i++) {
                json_t *parameters = json_object();
                int r;

                set_text(parameters, "address", n > 0 ? addresses[i] : NULL);
                set_text(parameters, "jail", o->jail);
                if (o->all)
                        (void)json_object_set_new(parameters, "all", json_true());
                r = call(o, "unban", "Unban", parameters);
                code = r != EXIT_OK ? r : code;
        }
        return code;
}

/* ---- command lines */

static const struct option options[] = {
        {"for", required_argument, NULL, 'f'},
        {"reason", required_argument, NULL, 'r'},
        {"source", required_argument, NULL, 's'},
        {"services", required_argument, NULL, 'S'},
        {"jail", required_argument, NULL, 'J'},
        {"wide", no_argument, NULL, 'w'},
        {"restored", no_argument, NULL, 'e'},
        {"or-later", no_argument, NULL, 'l'},
        {"all", no_argument, NULL, 'a'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        REMOTE_OPTION,
        {0},
};

static int read_options(const Verb *verb, int argc, char **argv, Options *ret) {
        bool bans = verb == &verb_ban;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
                if (c == '?' || c == 'h')
                        return c == 'h' ? verb_help(verb) : verb_usage(verb, NULL);
                if (bans ? c == 'a' : strchr("frsSwe", c) != NULL)
                        return verb_usage(verb, "it takes no such option");
                if (c == 'f' && !ban_words_seconds(optarg, &ret->seconds))
                        return verb_usage(verb, "--for takes a time from 1s to 100 years: 90s, "
                                                "10m, 2h, 3d, 1w; or ever");
                ret->reason = c == 'r' ? optarg : ret->reason;
                ret->source = c == 's' ? optarg : ret->source;
                ret->services = c == 'S' ? optarg : ret->services;
                ret->jail = c == 'J' ? optarg : ret->jail;
                ret->runtime_dir = c == 'R' ? optarg : ret->runtime_dir;
                ret->restored |= c == 'e';
                ret->or_later |= c == 'l';
                ret->all |= c == 'a';
                ret->wide |= c == 'w';
                ret->json |= c == 'j';
        }
        return -1; /* go on */
}

static int run_ban(int argc, char **argv) {
        Options o = {0};
        int r = read_options(&verb_ban, argc, argv, &o);

        if (r >= 0)
                return r;
        if (optind == argc)
                return verb_usage(&verb_ban, "say whom: an address or a network");
        return ban_all(&o, argv + optind, argc - optind);
}

static int run_unban(int argc, char **argv) {
        Options o = {0};
        int r = read_options(&verb_unban, argc, argv, &o);

        if (r >= 0)
                return r;
        if (optind == argc && !o.all && !o.jail)
                return verb_usage(&verb_unban, "say whom: an address, --jail NAME, or --all");
        if (optind < argc && o.all)
                return verb_usage(&verb_unban, "--all and addresses do not go together");
        return unban_all(&o, argv + optind, argc - optind);
}

const Verb verb_ban = {
        .name = "ban",
        .arguments = "ADDRESS... [--for TIME]",
        .summary = "Shut addresses and networks out",
        .help = ban_help,
        .run = run_ban,
};

const Verb verb_unban = {
        .name = "unban",
        .arguments = "ADDRESS...|--jail NAME|--all",
        .summary = "Let them in again",
        .help = unban_help,
        .run = run_unban,
};
