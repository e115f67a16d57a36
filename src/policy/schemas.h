/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The tables of the language's keys, for those who document or complete them. Each stands beside
 * the code that decodes it. */

#include "doc/schema.h"
#include "policy/policy.h"

extern const Schema policy_schema; /* the top level */
extern const Schema zone_schema;
extern const Schema service_schema;
extern const Schema section_schemas[_SECTION_MAX]; /* in their long form */
extern const Schema rule_schemas[_SECTION_MAX];
extern const Schema expected_schemas[_SECTION_MAX];
extern const Schema nat_schema;
extern const Schema protected_schema;
extern const Schema settings_schema;
extern const Schema alerts_schema; /* of settings */
extern const Schema bans_schema;
extern const Schema widest_schema; /* of bans */
