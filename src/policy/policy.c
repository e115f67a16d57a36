/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/policy.h"

static const char *const section_names[_SECTION_MAX] = {
        [SECTION_INBOUND] = "inbound",
        [SECTION_OUTBOUND] = "outbound",
        [SECTION_ROUTED] = "routed",
};

static const char *const default_names[_DEFAULT_MAX] = {
        [DEFAULT_DROP] = "drop",
        [DEFAULT_REJECT] = "reject",
        [DEFAULT_ALLOW] = "allow",
};

static const char *const verb_names[_RULE_VERB_MAX] = {
        [RULE_ALLOW] = "allow",
        [RULE_DENY] = "deny",
};

static const char *const rate_unit_names[_RATE_UNIT_MAX] = {
        [RATE_SECOND] = "second",
        [RATE_MINUTE] = "minute",
        [RATE_HOUR] = "hour",
        [RATE_DAY] = "day",
};

static const char *const essential_names[_ESSENTIAL_MAX] = {
        [ESSENTIAL_NEIGHBOURS] = "neighbour-discovery",
        [ESSENTIAL_MLD] = "mld",
        [ESSENTIAL_IGMP] = "igmp",
        [ESSENTIAL_DHCP] = "dhcp",
        [ESSENTIAL_ERRORS] = "errors",
};

const char *rate_unit_to_string(RateUnit unit) {
        return rate_unit_names[unit];
}

uint32_t rate_unit_seconds(RateUnit unit) {
        static const uint32_t seconds[_RATE_UNIT_MAX] = {
                [RATE_SECOND] = 1,
                [RATE_MINUTE] = 60,
                [RATE_HOUR] = 3600,
                [RATE_DAY] = 86400,
        };

        return seconds[unit];
}

const char *essential_to_string(EssentialId essential) {
        return essential_names[essential];
}

const char *section_id_to_string(SectionId id) {
        return section_names[id];
}

const char *section_default_to_string(SectionDefault fallback) {
        return default_names[fallback];
}

const char *rule_verb_to_string(RuleVerb verb) {
        return verb_names[verb];
}

static int compare_zone(const void *name, const void *item) {
        return strcmp(name, (*(const Zone *const *)item)->name);
}

static int compare_service(const void *name, const void *item) {
        return strcmp(name, (*(const Service *const *)item)->name);
}

const Zone *policy_find_zone(const Policy *p, const char *name) {
        Zone **found = NULL;

        if (p->n_zones > 0)
                found = bsearch(name, p->zones, p->n_zones, sizeof(*p->zones), compare_zone);
        return found ? *found : NULL;
}

const Service *policy_find_service(const Policy *p, const char *name) {
        Service **found = NULL;

        if (p->n_services > 0)
                found = bsearch(name, p->services, p->n_services, sizeof(*p->services),
                                compare_service);
        return found ? *found : NULL;
}
