/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/bans.h"

/* What is asked about the bans, and changes nothing. */

typedef struct Listing {
        Daemon *d;
        json_t *bans;
        bool counts; /* one by one, from the kernel */
        unsigned char last[BAN_KEY_BYTES_MAX];
        size_t last_size;
        char last_jail[BAN_NAME_MAX + 1];
} Listing;

static void add_text(json_t *object, const char *key, const char *text) {
        if (*text)
                (void)json_object_set_new(object, key, json_string(text));
}

static int add_ban(const Ban *ban, void *to) {
        Listing *l = to;
        char address[ADDRESS_TEXT_MAX], service[BAN_SERVICE_TEXT_MAX];
        BanFound found;
        int r;
        json_t *object =
                json_pack("{s:s, s:I, s:I, s:I}", "address", ban_print_address(&ban->key, address),
                          "since", (json_int_t)ban->since_usec, "times", (json_int_t)ban->times,
                          "user", (json_int_t)ban->uid);

        add_text(object, "service", ban_print_service(&ban->key, service));
        add_text(object, "jail", ban->jail);
        add_text(object, "source", ban->source);
        add_text(object, "reason", ban->reason);
        if (ban->until_usec != BAN_EVER)
                (void)json_object_set_new(object, "until", json_integer(ban->until_usec));
        r = l->counts ? ban_table_find(l->d->bans->table, &ban->key, &found) : -ENODATA;
        if (r >= 0)
                (void)json_object_set_new(object, "enforced", json_boolean(r == 1));
        if (r == 1 && found.is_counted)
                (void)json_object_set_new(object, "packets",
                                          json_integer((json_int_t)found.packets));
        l->last_size = ban_key_write(&ban->key, l->last);
        (void)snprintf(l->last_jail, sizeof(l->last_jail), "%s", ban->jail);
        return json_array_append_new(l->bans, object) < 0 ? -ENOMEM : 0;
}

/* "04c0000207200000..:sshd": where the next page begins. */
static json_t *json_cursor(const Listing *l) {
        char text[2 * BAN_KEY_BYTES_MAX + BAN_NAME_MAX + 2], *p = text;

        for (size_t i = 0; i < l->last_size; i++)
                p += sprintf(p, "%02x", l->last[i]);
        (void)snprintf(p, sizeof(text) - (size_t)(p - text), ":%s", l->last_jail);
        return json_string(text);
}

static bool
parse_cursor(const char *text, unsigned char key[static BAN_KEY_BYTES_MAX], BanFilter *f) {
        const char *colon = strchr(text, ':');
        size_t n = colon ? (size_t)(colon - text) : 1;

        if (n % 2 || n > 2 * BAN_KEY_BYTES_MAX)
                return false;
        for (size_t i = 0; i < n / 2; i++)
                if (sscanf(text + 2 * i, "%2hhx", &key[i]) != 1)
                        return false;
        f->after = key;
        f->after_size = n / 2;
        f->after_jail = colon + 1;
        return true;
}

/* That itself, and the networks around it. */
static int list_address(Daemon *d, BanFilter *f, Listing *l) {
        BanEntry key = *f->address;
        int r = 0;

        f->address = &key;
        for (uint8_t prefix = key.prefix; prefix > 0 && r == 0; prefix--) {
                U128 host = u128_low_mask(family_width(key.family) - prefix);

                if (prefix < key.prefix && !d->bans->has_prefix[key.family][prefix])
                        continue;
                key.prefix = prefix;
                key.address = u128_and(key.address, (U128){~host.high, ~host.low});
                r = ban_store_read(d->bans->store, f, bans_now(), add_ban, l);
        }
        return r;
}

int bans_request_list(Daemon *d, RpcCall *call, const BanListRequest *q) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Listing l = {.d = d, .bans = json_array()};
        unsigned char after[BAN_KEY_BYTES_MAX];
        BanFilter f = {.jail = q->jail,
                       .since_usec = q->since,
                       .limit = (size_t)(q->limit > 0 ? q->limit : BAN_LIST_MAX)};
        const char *why = NULL;
        BanEntry key;
        json_t *reply;
        int r = a ? 0 : -ENOMEM;

        if (!d->bans) {
                json_decref(l.bans);
                return rpc_call_fail(call, "the store of bans could not be opened");
        }
        if (r == 0 && q->address)
                r = ban_parse_address(a, q->address, 128, &key,
                                      &why); /* and all that is around it */
        if (r == 0 && q->after && !parse_cursor(q->after, after, &f)) {
                r = -EBADMSG;
                why = "'after' is not what an answer said";
        }
        if (q->address)
                f.address = &key;
        l.counts = q->address || q->jail || d->bans->n_keys <= BAN_COUNTED_MAX;
        if (r == 0)
                r = q->address ? list_address(d, &f, &l)
                               : ban_store_read(d->bans->store, &f, bans_now(), add_ban, &l);
        if (r < 0) {
                json_decref(l.bans);
                return why ? rpc_call_error(call, BAN_INVALID, json_pack("{s:s}", "message", why))
                           : rpc_call_fail(call, "the bans cannot be read: %s", strerror(-r));
        }
        reply = json_pack("{s:o}", "bans", l.bans);
        if (json_array_size(l.bans) == f.limit && !q->address)
                (void)json_object_set_new(reply, "next", json_cursor(&l));
        return rpc_call_reply(call, reply);
}

json_t *bans_status(Daemon *d) {
        Bans *b = d->bans;

        if (!b)
                return NULL;
        return json_pack("{s:I, s:I, s:I, s:b, s:b}", "bans", (json_int_t)b->n_bans, "desired",
                         (json_int_t)b->n_keys, "enforced", (json_int_t)bans_enforced(d),
                         "suspended", b->is_suspended, "unsaved", b->is_unsaved || b->is_copy);
}
