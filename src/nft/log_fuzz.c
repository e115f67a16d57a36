/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The input is what the kernel would send of packets that rules logged: netlink messages in a row,
 * with anybody's packets and conntrack's entries inside. */

#include "nft/attribute.h"
#include "nft/log.h"
#include "ruleset/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ void *aligned = malloc(MAX(size, 1UL));

        if (!aligned)
                return 0;
        memcpy(aligned, data, size);
        message_for_each(h, aligned, size) {
                char text[LOG_TEXT_MAX];
                LogLine line;

                if (!log_parse(h, &line))
                        continue;
                if (strlen(log_describe(&line, text)) >= sizeof(text) ||
                    strlen(line.prefix) >= sizeof(line.prefix) ||
                    strlen(line.in) >= sizeof(line.in) || strlen(line.out) >= sizeof(line.out))
                        abort();
                /* ports belong to protocols that have them */
                if (line.has_ports && !protocol_has_ports(line.protocol))
                        abort();
        }
        return 0;
}
