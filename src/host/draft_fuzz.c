/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The input is what others have a say in, with a NUL between the parts: ufw's rules, the name of a
 * program that listens, and four answers. Whatever they are, what is written is a valid policy that
 * earns no warning (or memory runs out); draft_write() tries it itself. */

#include "host/draft.h"

#include <netinet/in.h>

#define LIMIT ((size_t)256 * 1024 * 1024)
#define PARTS (2 + _DRAFT_QUESTION_MAX)
#define SIZE_MAX_TRIED                                                                             \
        ((size_t)16 * 1024) /* the time that compiling takes is not what is sought                 \
                             */

static const char catalogue_text[] =
        "ringwall: 1\n"
        "zones:\n"
        "  private: [10.0.0.0/8, \"fc00::/7\"]\n"
        "  internet: { addresses: [0.0.0.0/0, \"2000::/3\"], except: private }\n"
        "  containers: { interfaces: [docker0, \"br-*\"] }\n"
        "  vms: { interfaces: [\"virbr*\"] }\n"
        "services:\n"
        "  ping: { icmp: echo-request, icmpv6: echo-request }\n"
        "  ssh: { tcp: 22 }\n"
        "  dns: { tcp: 53, udp: 53 }\n"
        "  dhcp: { udp: 67, internal: yes }\n"
        "  dhcpv6: { udp: 547, internal: yes }\n"
        "  http: { tcp: 80 }\n"
        "  https: { tcp: 443 }\n"
        "  http3: { udp: 443 }\n"
        "  mosh: { udp: 60000-61000 }\n"
        "  minio: { tcp: 9000-9001, internal: yes }\n"
        "  portainer: { tcp: [9000, 9443], internal: yes }\n"
        "  postgresql: { tcp: 5432, internal: yes }\n"
        "  ollama: { tcp: 11434, internal: yes }\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill(Survey *s, const char *program) {
        static SurveyPort ports[6];
        static SurveyLink links[] = {
                {.name = "eth0", .kind = SURVEY_LINK_LAN, .is_uplink = true, .networks = "x"},
                {.name = "wg0", .kind = SURVEY_LINK_VPN, .networks = ""},
                {.name = "docker0", .kind = SURVEY_LINK_CONTAINERS, .networks = ""},
                {.name = "virbr0", .kind = SURVEY_LINK_VMS, .networks = ""},
        };
        static uint16_t ssh_ports[] = {22};
        static const uint16_t numbers[] = {22, 443, 5432, 9000, 9999, 11434};

        for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
                ports[i] = (SurveyPort){.proto = IPPROTO_TCP,
                                        .port = numbers[i],
                                        .is_ssh = i == 0,
                                        .program = program,
                                        .words = program};
        *s = (Survey){.ports = ports,
                      .n_ports = ARRAY_SIZE(ports),
                      .links = links,
                      .n_links = ARRAY_SIZE(links),
                      .ssh_ports = ssh_ports,
                      .n_ssh_ports = ARRAY_SIZE(ssh_ports),
                      .has_caller = true,
                      .caller = u128(0x0a280a02), /* 10.40.10.2 */
                      .caller_link = "eth0",
                      .ufw = {.is_enabled = true}};
}

static void
take_answers(Arena *a, const Survey *s, const Policy *p, char *const *parts, DraftAnswers *ret) {
        for (DraftQuestion q = 0; q < _DRAFT_QUESTION_MAX; q++) {
                DraftProblem problem;

                if (*parts[2 + q] && draft_check(a, s, p, q, parts[2 + q], &problem) > 0)
                        ret->items[q] = parts[2 + q];
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new(LIMIT);
        Source catalogue = {"catalogue", catalogue_text, sizeof(catalogue_text) - 1};
        Source nothing = {"policy", "ringwall: 1\n", 12};
        Diag *d = a ? diag_new(a) : NULL;
        char *text, *parts[PARTS];
        DraftAnswers answers = {0};
        const char *written;
        Policy *p;
        Survey s;
        int r;

        text = d && size <= SIZE_MAX_TRIED ? arena_alloc(a, size + PARTS) : NULL;
        if (!text || policy_load_text(a, catalogue, nothing, &p, d) < 0)
                return 0;
        memcpy(text, data, size); /* and a NUL for each part behind it */
        for (size_t i = 0; i < PARTS; i++) {
                parts[i] = text;
                text += strlen(text) + 1;
        }
        tree_clean(parts[1]); /* as the survey does */
        fill(&s, parts[1]);
        for (Family family = 0; family < _FAMILY_MAX; family++)
                if (ufw_take(a, parts[0], strlen(parts[0]), family, &s.ufw) < 0)
                        return 0;
        take_answers(a, &s, p, parts, &answers);
        r = draft_write(a, &s, p, catalogue, &answers, &written, d);
        if (r < 0 && r != -ENOMEM) {
                diag_print(d, stderr, false);
                abort();
        }
        return 0;
}
