/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/meaning_state.h"

/* Fields of packets: which variable stands for each, which values there are, and the packet at a
 * point. */

/* One more than the variable; 0: none. */
static const uint8_t variables[_FIELD_MAX] = {
        [FIELD_IP_SADDR] = MEANING_SOURCE + 1,
        [FIELD_IP6_SADDR] = MEANING_SOURCE + 1,
        [FIELD_IP_SADDR_16] = MEANING_SOURCE + 1,
        [FIELD_IP_SADDR_20] = MEANING_SOURCE + 1,
        [FIELD_IP_SADDR_24] = MEANING_SOURCE + 1,
        [FIELD_IP_SADDR_28] = MEANING_SOURCE + 1,
        [FIELD_IP6_SADDR_48] = MEANING_SOURCE + 1,
        [FIELD_IP6_SADDR_56] = MEANING_SOURCE + 1,
        [FIELD_IP6_SADDR_64] = MEANING_SOURCE + 1,
        [FIELD_CT_IP_DADDR] = MEANING_DIALLED + 1,
        [FIELD_CT_IP6_DADDR] = MEANING_DIALLED + 1,
        [FIELD_IP_DADDR] = MEANING_FINAL + 1,
        [FIELD_IP6_DADDR] = MEANING_FINAL + 1,
        [FIELD_L4PROTO] = MEANING_PROTOCOL + 1,
        [FIELD_CT_DPORT] = MEANING_DIALLED_PORT + 1,
        [FIELD_DPORT] = MEANING_FINAL_PORT + 1,
        [FIELD_SPORT] = MEANING_SOURCE_PORT + 1,
        [FIELD_ICMP_TYPE] = MEANING_ICMP + 1,
        [FIELD_ICMPV6_TYPE] = MEANING_ICMP + 1,
        [FIELD_IIFNAME] = MEANING_IN + 1,
        [FIELD_OIFNAME] = MEANING_OUT + 1,
        [FIELD_ETHER_DADDR] = MEANING_LINK + 1,
        [FIELD_IP6_HOPLIMIT] = MEANING_HOPS + 1,
        [FIELD_SKUID] = MEANING_USER + 1,
        [FIELD_SKGID] = MEANING_GROUP + 1,
        [FIELD_TIME] = MEANING_TIME + 1,
        [FIELD_FIB_SADDR_OIF] = MEANING_FIB_SOURCE_OUT + 1,
        [FIELD_FIB_SADDR_IIF_OIF] = MEANING_FIB_SOURCE_IN_OUT + 1,
        [FIELD_FIB_SADDR_TYPE] = MEANING_FIB_SOURCE_TYPE + 1,
        [FIELD_FIB_DADDR_TYPE] = MEANING_FIB_DESTINATION_TYPE + 1,
};

/* False of fields that are the same in all packets of a class. */
bool meaning_find_variable(FieldId field, MeaningVariable *ret) {
        if (variables[field] == 0)
                return false;
        *ret = (MeaningVariable)(variables[field] - 1);
        return true;
}

MeaningVariable meaning_seen_as(MeaningWay way, MeaningVariable v) {
        if (v == MEANING_FINAL && (way == MEANING_PLAIN || way == MEANING_OUTPUT))
                return MEANING_DIALLED;
        if (v == MEANING_FINAL_PORT && way != MEANING_TRANSLATED)
                return MEANING_DIALLED_PORT;
        return v;
}

/* Asked once: rules of ten thousand sets ask again and again. */
void meaning_find_families(Meaning *m) {
        Family other = m->family == FAMILY_IPV4 ? FAMILY_IPV6 : FAMILY_IPV4;
        PacketQuestion q = {.hook = HOOK_FORWARD, .family = other, .ct_state = CT_STATE_NEW};
        Packet theirs, ours;

        packet_init(&theirs, &q);
        q.family = m->family;
        packet_init(&ours, &q);
        for (FieldId f = 0; f < _FIELD_MAX; f++)
                m->is_of_family[f] = ours.present[f] || !theirs.present[f];
}

Range meaning_of_prefixes(FieldId field, Range r) {
        unsigned int bits = types[fields[field].type].bits;
        U128 rest = u128_low_mask(bits - fields[field].prefix), all = u128_low_mask(bits);
        U128 low = field_prefix(field, r.low);

        if (fields[field].prefix == 0)
                return r;
        /* the first value with that prefix or a later one */
        if (u128_compare(low, r.low) < 0) {
                low = u128_or(low, rest);
                if (u128_equal(low, all))
                        return (Range){U128_MAX, U128_ZERO};
                low = u128_next(low);
        }
        return (Range){low, u128_or(r.high, rest)};
}

Range meaning_values(const Meaning *m, MeaningVariable v) {
        U128 address = u128_low_mask(m->family == FAMILY_IPV4 ? 32 : 128);

        switch (v) {
        case MEANING_SOURCE:
        case MEANING_DIALLED:
        case MEANING_FINAL:
                return (Range){U128_ZERO, address};
        case MEANING_PROTOCOL:
        case MEANING_ICMP:
        case MEANING_HOPS:
                return (Range){U128_ZERO, u128(UINT8_MAX)};
        case MEANING_DIALLED_PORT:
        case MEANING_FINAL_PORT:
        case MEANING_SOURCE_PORT:
                return (Range){u128(1), u128(UINT16_MAX)};
        case MEANING_LINK:
                return (Range){U128_ZERO, u128_low_mask(48)};
        case MEANING_USER:
        case MEANING_GROUP:
                return (Range){U128_ZERO, u128(MEANING_NOBODY)};
        case MEANING_HOOK:
        case MEANING_FIB_SOURCE_OUT:
        case MEANING_FIB_SOURCE_IN_OUT:
                return (Range){U128_ZERO, u128(1)};
        case MEANING_CLASS:
                return (Range){U128_ZERO, u128(_MEANING_CLASS_MAX - 1)};
        case MEANING_TIME:
                return (Range){U128_ZERO, u128(UINT64_MAX)};
        case MEANING_FIB_SOURCE_TYPE:
        case MEANING_FIB_DESTINATION_TYPE:
                return (Range){U128_ZERO, u128(11)}; /* RTN_UNSPEC to RTN_XRESOLVE */
        case MEANING_IN:
        case MEANING_OUT:
        case _MEANING_VARIABLE_MAX:
                break;
        }
        return (Range){U128_ZERO, U128_MAX};
}

void meaning_make_classes(Meaning *m, MeaningWay way) {
        static const uint32_t states[_MEANING_CLASS_MAX] = {
                [MEANING_NEW] = CT_STATE_NEW,
                [MEANING_UNTRACKED] = CT_STATE_UNTRACKED,
                [MEANING_EXPECTED] = CT_STATE_RELATED,
        };

        for (MeaningClass c = 0; c < _MEANING_CLASS_MAX; c++) {
                PacketQuestion q = {
                        .hook = way == MEANING_OUTPUT ? HOOK_OUTPUT : HOOK_FORWARD,
                        .family = m->family,
                        .ct_state = states[c],
                        .expected = c == MEANING_EXPECTED,
                        .translated = way == MEANING_TRANSLATED || way == MEANING_PORT_KEPT,
                };

                packet_init(&m->classes[way][c], &q);
        }
}

static U128 value_at(const Meaning *m, MeaningVariable v, const uint32_t *point) {
        return axis_values(&m->axes[v], point[v]).low;
}

void meaning_packet(const Meaning *m,
                    MeaningWay way,
                    const uint32_t *point,
                    PacketQuestion *ret_q,
                    U128 *ret_in,
                    U128 *ret_out,
                    Packet *ret) {
        static const uint32_t states[] = {CT_STATE_NEW, CT_STATE_UNTRACKED, CT_STATE_RELATED};
        U128 user = value_at(m, MEANING_USER, point), group = value_at(m, MEANING_GROUP, point);
        uint64_t class = value_at(m, MEANING_CLASS, point).low;
        PacketQuestion q = {
                .hook = way == MEANING_OUTPUT                            ? HOOK_OUTPUT
                        : u128_is_zero(value_at(m, MEANING_HOOK, point)) ? HOOK_INPUT
                                                                         : HOOK_FORWARD,
                .family = m->family,
                .source = value_at(m, MEANING_SOURCE, point),
                .destination = value_at(m, meaning_seen_as(way, MEANING_FINAL), point),
                .protocol = (uint8_t)value_at(m, MEANING_PROTOCOL, point).low,
                .source_port = (uint16_t)value_at(m, MEANING_SOURCE_PORT, point).low,
                .destination_port =
                        (uint16_t)value_at(m, meaning_seen_as(way, MEANING_FINAL_PORT), point).low,
                .icmp_type = (uint8_t)value_at(m, MEANING_ICMP, point).low,
                .ct_state = states[class],
                .expected = class == MEANING_EXPECTED,
                .has_user = user.low < MEANING_NOBODY,
                .has_group = group.low < MEANING_NOBODY,
                .user = (uint32_t)user.low,
                .group = (uint32_t)group.low,
                .time = value_at(m, MEANING_TIME, point).low,
                .translated = way == MEANING_TRANSLATED || way == MEANING_PORT_KEPT,
                .dialled = value_at(m, MEANING_DIALLED, point),
                .dialled_port = (uint16_t)value_at(m, MEANING_DIALLED_PORT, point).low,
                .ether_destination = value_at(m, MEANING_LINK, point),
        };

        packet_init(ret, &q);
        *ret_in = value_at(m, MEANING_IN, point);
        *ret_out = value_at(m, MEANING_OUT, point);
        if (ret->present[FIELD_IIFNAME])
                ret->values[FIELD_IIFNAME] = *ret_in;
        if (ret->present[FIELD_OIFNAME])
                ret->values[FIELD_OIFNAME] = *ret_out;
        ret->values[FIELD_IP6_HOPLIMIT] = value_at(m, MEANING_HOPS, point);
        ret->values[FIELD_FIB_SADDR_OIF] = value_at(m, MEANING_FIB_SOURCE_OUT, point);
        ret->values[FIELD_FIB_SADDR_IIF_OIF] = value_at(m, MEANING_FIB_SOURCE_IN_OUT, point);
        ret->values[FIELD_FIB_SADDR_TYPE] = value_at(m, MEANING_FIB_SOURCE_TYPE, point);
        ret->values[FIELD_FIB_DADDR_TYPE] = value_at(m, MEANING_FIB_DESTINATION_TYPE, point);
        *ret_q = q;
}

static double width(Range r) {
        U128 w = {r.high.high - r.low.high - (r.high.low < r.low.low), r.high.low - r.low.low};

        return (double)w.high * 0x1p64 + (double)w.low + 1;
}

double meaning_share(const void *meaning, unsigned int variable, uint32_t low, uint32_t high) {
        const Meaning *m = meaning;
        Range all, r;

        if (variable >= _MEANING_VARIABLE_MAX)
                return low == 0 && high > 0 ? 1 : 0.5;
        all = meaning_values(m, variable);
        r.low = axis_values(&m->axes[variable], low).low;
        r.high = (size_t)high + 1 >= m->axes[variable].n_lows
                         ? U128_MAX
                         : axis_values(&m->axes[variable], high).high;
        if (u128_compare(r.low, all.low) < 0)
                r.low = all.low;
        if (u128_compare(r.high, all.high) > 0)
                r.high = all.high;
        return u128_compare(r.low, r.high) > 0 ? 0 : width(r) / width(all);
}
