/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "notify/message.h"

#include <inttypes.h>
#include <jansson.h>

/* `text` says all of it: chats that take JSON show that member, and no other. */
char *message_make(const Alert *alert, const char *host) {
        const char *severity = alert_severity(alert->kind);
        json_t *object, *text = alert->more == 0 ? json_string(alert->text)
                                                 : json_sprintf("%s (and %" PRIu64 " more before)",
                                                                alert->text, alert->more);
        char *message;

        object = json_pack("{s:s, s:I, s:I, s:s, s:s, s:o, s:I}", "host", host, "number",
                           (json_int_t)alert->number, "time", (json_int_t)alert->time_usec, "kind",
                           alert->kind, "severity", severity ? severity : "notice", "text", text,
                           "more", (json_int_t)alert->more);
        message = object ? json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
        json_decref(object);
        return message;
}
