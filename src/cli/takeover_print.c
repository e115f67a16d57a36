/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/takeover_parts.h"

#include <netinet/in.h>

#include "cli/complaint.h"
#include "cli/output.h"
#include "host/rivals.h"

void takeover_print_plan(const Takeover *t) {
        OutputStyle style = output_style(stdout);

        for (size_t i = 0; i < t->plan.n_steps; i++) {
                const TakeoverStep *s = &t->plan.steps[i];

                printf("%s%s%s would be %s\n", style.bold, takeover_rival_name(s->rival),
                       style.reset, t->undo ? "restored" : "disabled");
                output_wrapped("  how     ", s->does);
                for (size_t j = 0; j < s->n_means; j++)
                        output_wrapped(j == 0 ? "  means   " : "          ", s->means[j]);
                if (s->obstacle) {
                        output_wrapped("  cannot  ", s->obstacle);
                        output_wrapped("  do      ", s->way_out);
                }
        }
}

static const char *protocol_name(uint8_t proto) {
        return proto == IPPROTO_UDP ? "udp" : proto == IPPROTO_SCTP ? "sctp" : "tcp";
}

static const char *families(const TakeoverChange *x) {
        return x->ipv4 && x->ipv6 ? "" : x->ipv4 ? ", IPv4" : ", IPv6";
}

void takeover_print_changes(const Takeover *t) {
        if (!t->has_compared)
                return;
        if (t->n_changes == 0)
                puts("no port at which something listens now opens or closes, tried from one "
                     "address by each interface");
        for (size_t i = 0; i < t->n_changes; i++) {
                const TakeoverChange *x = &t->changes[i];

                printf("%s %s %u, which listens, for %s %s%s\n", x->opens ? "opens" : "closes",
                       protocol_name(x->proto), x->port,
                       x->is_far ? "the world behind" : "the network of", x->interface,
                       families(x));
        }
}

static json_t *json_change(const TakeoverChange *x) {
        json_t *list = json_array();

        if (x->ipv4)
                (void)json_array_append_new(list, json_string("IPv4"));
        if (x->ipv6)
                (void)json_array_append_new(list, json_string("IPv6"));
        return json_pack("{s:s, s:s, s:i, s:s, s:b, s:o}", "what", x->opens ? "opens" : "closes",
                         "protocol", protocol_name(x->proto), "port", (int)x->port, "interface",
                         x->interface, "behindDefaultRoute", (int)x->is_far, "families", list);
}

/* Those that it does not take over from. */
static bool is_beside(const Takeover *t, const Rival *x) {
        TakeoverRival rival = takeover_rival_from_string(x->id);

        if (x->kind != RIVAL_MANAGER || x->state == RIVAL_ABSENT || x->state == RIVAL_INSTALLED)
                return false;
        return rival < 0 || !(t->mask & 1U << rival);
}

static void print_other(const Rival *x) {
        printf("%s stays as it is\n", x->name);
        output_wrapped("  seen    ", x->how);
        output_wrapped("  do      ", x->advice);
}

int takeover_print_beside(Takeover *t, json_t *to) {
        const Tree tree = {.arena = t->arena, .root = ""};
        Rival *list;
        size_t n;
        int r = rivals_read(&tree, &list, &n);

        if (r < 0)
                return input_failed(r, "looking for other firewalls");
        for (size_t i = 0; i < n; i++) {
                if (!is_beside(t, &list[i]))
                        continue;
                if (to)
                        (void)json_array_append_new(to, json_pack("{s:s, s:s}", "rival", list[i].id,
                                                                  "advice", list[i].advice));
                else
                        print_other(&list[i]);
        }
        return EXIT_OK;
}

static json_t *json_step(const Takeover *t, const TakeoverStep *s) {
        json_t *object = json_object(), *means = json_array();
        const char *word = t->undo ? "restored" : "disabled";

        if (t->taken_back)
                word = "taken-back";
        for (size_t i = 0; i < s->n_means; i++)
                (void)json_array_append_new(means, json_string(s->means[i]));
        (void)json_object_set_new(object, "rival", json_string(takeover_rival_to_string(s->rival)));
        (void)json_object_set_new(object, "does", json_string(s->does));
        (void)json_object_set_new(object, "means", means);
        (void)json_object_set_new(object, "state",
                                  json_string(t->done[s->rival] ? word : "planned"));
        if (s->obstacle) {
                (void)json_object_set_new(object, "obstacle", json_string(s->obstacle));
                (void)json_object_set_new(object, "wayOut", json_string(s->way_out));
        }
        return object;
}

int takeover_print_json(Takeover *t, int code) {
        static const char *const words[] = {
                [VERIFY_PROVED] = "proved",
                [VERIFY_REFUTED] = "refuted",
                [VERIFY_UNDECIDED] = "undecided",
        };
        json_t *object = json_object(), *steps = json_array(), *beside = json_array(),
               *claims = json_array(), *changes = json_array();
        int r;

        for (size_t i = 0; i < t->plan.n_steps; i++)
                (void)json_array_append_new(steps, json_step(t, &t->plan.steps[i]));
        for (size_t i = 0; i < t->report.n_answers; i++)
                (void)json_array_append_new(claims, json_pack("{s:s, s:s}", "claim",
                                                              t->report.answers[i].text, "answer",
                                                              words[t->report.answers[i].kind]));
        for (size_t i = 0; i < t->n_changes; i++)
                (void)json_array_append_new(changes, json_change(&t->changes[i]));
        r = takeover_print_beside(t, beside);
        (void)json_object_set_new(object, "rivals", steps);
        (void)json_object_set_new(object, "beside", beside);
        (void)json_object_set_new(object, "claims", claims);
        (void)json_object_set_new(object, "changes", changes);
        if (code != EXIT_OK)
                (void)json_object_set_new(object, "error", complaint_json(code));
        if (output_json(object) != EXIT_OK || r != EXIT_OK)
                return EXIT_FAILED;
        return code;
}
