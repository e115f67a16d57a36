/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  private: [10.0.0.0/8, 192.168.0.0/16, \"fc00::/7\"]\n"
                                "  containers: { interfaces: [docker0, \"br-*\"] }\n"
                                "  vms: { interfaces: [\"virbr*\"] }\n"
                                "services:\n"
                                "  ssh: { tcp: 22 }\n"
                                "  dns: { tcp: 53, udp: 53 }\n"
                                "  ping: { icmp: echo-request, icmpv6: echo-request }\n"
                                "  ollama: { tcp: 11434, internal: yes }\n"
                                "  ai-backends: [ollama, 8000/tcp]\n";

/* What a valid policy promises to those behind it. */
static void check(const Policy *p) {
        for (size_t i = 0; i < p->n_zones; i++)
                if (p->zones[i]->n_parts == 0 ||
                    policy_find_zone(p, p->zones[i]->name) != p->zones[i])
                        abort();
        for (size_t i = 0; i < p->n_services; i++)
                if (policy_find_service(p, p->services[i]->name) != p->services[i])
                        abort();
        for (SectionId id = 0; id < _SECTION_MAX; id++)
                for (size_t i = 0; i < p->sections[id].n_rules; i++)
                        if (p->sections[id].rules[i].services.n_terms == 0 ||
                            !p->sections[id].rules[i].text)
                                abort();
        if (!p->containers || !p->vms)
                abort();
}

/* Any bytes are a valid policy, or an error with a message that can be printed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new((size_t)64 << 20);
        _cleanup_fclose_ FILE *null = fopen("/dev/null", "w");
        Source below = {.name = "catalogue.yaml", .text = catalogue, .size = sizeof(catalogue) - 1};
        Source above = {.name = "fuzz.yaml", .text = (const char *)data, .size = size};
        Diag *d = a ? diag_new(a) : NULL;
        Policy *p = NULL;
        int r;

        if (!d || !null)
                return 0;
        r = policy_load_text(a, below, above, &p, d);
        if (r == -EBADMSG && d->n_errors == 0)
                abort();
        if (r == 0)
                check(p);
        diag_print(d, null, false);
        return 0;
}
