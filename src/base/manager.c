/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/manager.h"

#include "base/datagram.h"

static const char *listener(void) {
        const char *address = getenv("NOTIFY_SOCKET");

        return address && *address ? address : NULL;
}

int manager_flush(Manager *m) {
        const char *address = listener();
        int error = 0;

        manager_done(m);
        /* what is refused for itself holds up nothing else: a sign of life less of all */
        for (size_t i = 0; i < ARRAY_SIZE(m->kept) && error != -EAGAIN; i++) {
                const char *text = m->kept[i].text;
                int r = 0;

                if (address && *text)
                        r = datagram_send(address, text, strlen(text), m->kept[i].fd, &m->blocked);
                if (r < 0)
                        error = r;
                else
                        m->kept[i].text[0] = '\0';
        }
        return error;
}

int manager_tell(Manager *m, ManagerKind kind, int fd, const char *text) {
        int r;

        (void)snprintf(m->kept[kind].text, sizeof(m->kept[kind].text), "%s", text);
        m->kept[kind].fd = fd;
        r = manager_flush(m);
        m->kept[MANAGER_ALIVE].text[0] = '\0';
        return r;
}

void manager_done(Manager *m) {
        closep(&m->blocked);
        m->blocked = -1;
}
