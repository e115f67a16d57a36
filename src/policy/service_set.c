/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

static const struct {
        const char *name; /* NULL: several protocols */
        size_t offset;
} classes[_SERVICE_CLASS_MAX] = {
        [SERVICE_TCP] = {"tcp", offsetof(ServiceSet, tcp)},
        [SERVICE_UDP] = {"udp", offsetof(ServiceSet, udp)},
        [SERVICE_SCTP] = {"sctp", offsetof(ServiceSet, sctp)},
        [SERVICE_ICMP] = {"icmp", offsetof(ServiceSet, icmp)},
        [SERVICE_ICMPV6] = {"icmpv6", offsetof(ServiceSet, icmpv6)},
        [SERVICE_PROTOCOL] = {NULL, offsetof(ServiceSet, protocols)},
};

const char *service_class_to_string(ServiceClass class) {
        return classes[class].name;
}

ServiceClass service_class_from_string(const char *s) {
        for (ServiceClass c = 0; c < _SERVICE_CLASS_MAX; c++)
                if (classes[c].name && streq(classes[c].name, s))
                        return c;
        return _SERVICE_CLASS_INVALID;
}

RangeSet *service_set_class(ServiceSet *set, ServiceClass class) {
        return (RangeSet *)(void *)((char *)set + classes[class].offset);
}

const RangeSet *service_set_class_const(const ServiceSet *set, ServiceClass class) {
        return (const RangeSet *)(const void *)((const char *)set + classes[class].offset);
}

int service_set_add_all(Arena *a, ServiceSet *set, const ServiceSet *other) {
        set->any |= other->any;
        for (ServiceClass c = 0; c < _SERVICE_CLASS_MAX; c++)
                if (range_set_add_all(a, service_set_class(set, c),
                                      service_set_class_const(other, c)) < 0)
                        return -ENOMEM;
        return 0;
}

void service_set_normalise(ServiceSet *set) {
        if (set->any)
                *set = (ServiceSet){.any = true};
        for (ServiceClass c = 0; c < _SERVICE_CLASS_MAX; c++)
                range_set_normalise(service_set_class(set, c));
}

bool service_set_is_empty(const ServiceSet *set) {
        for (ServiceClass c = 0; c < _SERVICE_CLASS_MAX; c++)
                if (service_set_class_const(set, c)->n_items > 0)
                        return false;
        return !set->any;
}

bool service_set_covers(const ServiceSet *outer, const ServiceSet *inner) {
        if (outer->any || inner->any)
                return outer->any;
        for (ServiceClass c = 0; c < _SERVICE_CLASS_MAX; c++)
                if (!range_set_covers(service_set_class_const(outer, c),
                                      service_set_class_const(inner, c)))
                        return false;
        return true;
}

int service_set_intersect(Arena *a, const ServiceSet *x, const ServiceSet *y, ServiceSet *ret) {
        ServiceSet result = {0};

        if (x->any || y->any) {
                *ret = x->any ? *y : *x;
                return 0;
        }
        for (ServiceClass c = 0; c < _SERVICE_CLASS_MAX; c++)
                if (range_set_intersect(a, service_set_class_const(x, c),
                                        service_set_class_const(y, c),
                                        service_set_class(&result, c)) < 0)
                        return -ENOMEM;
        *ret = result;
        return 0;
}
