/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/store_text.h"

/* The longest unit that it is a number of, weeks excepted: 7d is what people say. */
static void print_time(unsigned int seconds, FILE *f) {
        static const struct {
                char letter;
                unsigned int seconds;
        } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (seconds % units[i].seconds == 0) {
                        fprintf(f, "%u%c", seconds / units[i].seconds, units[i].letter);
                        return;
                }
}

/* Where a URL leads, for those who may read it: whoever may tell something there, a chat say, is
 * known by a token in its path, its query or before its host. */
static void print_url(const char *url, FILE *f) {
        const char *host = strstr(url, "://") + 3, *end = host + strcspn(host, "/?#"), *at;

        fprintf(f, "%.*s", (int)(host - url), url);
        at = memrchr(host, '@', (size_t)(end - host));
        host = at ? at + 1 : host;
        fprintf(f, "%.*s", (int)(end - host), host);
        fputs(at || (*end && !streq(end, "/")) ? "/…" : end, f);
}

/* NULL without memory. */
static char *shown_url(const char *url) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        print_url(url, f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        return text;
}

/* Whether two URLs differ in what is not printed of them. */
static bool hides_change(const Alerts *a, const Alerts *b) {
        _cleanup_free_ char *x = a->webhook ? shown_url(a->webhook) : NULL;
        _cleanup_free_ char *y = b->webhook ? shown_url(b->webhook) : NULL;

        return x && y && streq(x, y) && !streq(a->webhook, b->webhook);
}

static void print_alerts(const StoreSettings *s, FILE *f) {
        const Alerts *a = &s->alerts;

        if (!a->run && !a->webhook)
                return;
        fputs("{ ", f);
        if (a->run)
                fprintf(f, "run: %s", a->run);
        if (a->webhook) {
                fprintf(f, "%swebhook: ", a->run ? ", " : "");
                print_url(a->webhook, f);
        }
        fputs(" }", f);
}

/* A policy's confirm has no unit above hours. */
static void print_confirm(const StoreSettings *s, FILE *f) {
        fprintf(f, "%us", s->confirm);
}

static void print_cut_denied(const StoreSettings *s, FILE *f) {
        fputs(s->cut_denied ? "yes" : "no", f);
}

static void print_drift(const StoreSettings *s, FILE *f) {
        fputs(s->drift == DRIFT_ALERT ? "alert" : "heal", f);
}

static void print_ownership(const StoreSettings *s, FILE *f) {
        fputs(s->ownership == OWNERSHIP_OFF ? "off" : "auto", f);
}

static void print_rescue(const StoreSettings *s, FILE *f) {
        if (s->n_rescue == 1 && s->rescue[0].any_interface && s->rescue[0].any_address)
                fputs("anywhere", f);
        else
                zone_parts_print(s->rescue, s->n_rescue, f);
}

static void print_escalate(const StoreSettings *s, FILE *f) {
        const Escalation *e = &s->bans.rules.escalate;

        if (e->factor == 0)
                return;
        fprintf(f, "%ux up to ", e->factor);
        print_time(e->longest, f);
}

static void print_ipv6(const StoreSettings *s, FILE *f) {
        const BanSettings *b = &s->bans.rules;

        fprintf(f, "/%u", b->ipv6);
        if (b->ipv6_cap != b->ipv6)
                fprintf(f, " up to /%u", b->ipv6_cap);
}

static void print_max(const StoreSettings *s, FILE *f) {
        fprintf(f, "%u", s->bans.rules.max);
}

/* The networks that are on link may be others tomorrow: their interfaces are what was said. */
static void print_never(const StoreSettings *s, FILE *f) {
        const StoreBans *b = &s->bans;

        for (size_t i = 0; i < b->n_never; i++) {
                const ZonePart *from = &b->never[i];
                ZonePart fixed = {.any_interface = true}, without = {.any_interface = true};
                bool has_fixed = false, has_without = false;

                for (Family family = 0; family < _FAMILY_MAX; family++) {
                        fixed.addresses[family] = from->fixed[family];
                        without.addresses[family] = from->without[family];
                        has_fixed |= from->fixed[family].n_items > 0;
                        has_without |= from->without[family].n_items > 0;
                }
                fputs(i > 0 ? "; " : "", f);
                zone_parts_print(&fixed, 1, f);
                if (from->connected.n_items > 0) {
                        fprintf(f, "%sconnected to ", has_fixed ? ", " : "");
                        interfaces_print(&from->connected, f);
                }
                if (has_without) {
                        fputs(" but ", f);
                        zone_parts_print(&without, 1, f);
                }
        }
}

static void print_widest(const StoreSettings *s, FILE *f) {
        fprintf(f, "{ ipv4: /%u, ipv6: /%u }", s->bans.rules.widest[FAMILY_IPV4],
                s->bans.rules.widest[FAMILY_IPV6]);
}

/* Nothing is printed of what is not said. What becomes rules of the kernel's is not among them. */
static const struct {
        const char *section, *key;
        void (*print)(const StoreSettings *s, FILE *f);
} rows[] = {
        {"settings", "alerts", print_alerts},
        {"settings", "confirm", print_confirm},
        {"settings", "cut-denied", print_cut_denied},
        {"settings", "drift", print_drift},
        {"settings", "ownership", print_ownership},
        {"settings", "rescue", print_rescue},
        {"bans", "escalate", print_escalate},
        {"bans", "ipv6", print_ipv6},
        {"bans", "max", print_max},
        {"bans", "never", print_never},
        {"bans", "widest", print_widest},
};

/* "" if there is none; NULL without memory. */
static const char *text_of(Arena *a, size_t row, const StoreSettings *s) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        rows[row].print(s, f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        return text ? arena_strdup(a, text) : NULL;
}

int store_compare(Arena *a,
                  const StoreSettings *before,
                  const StoreSettings *after,
                  StoreChange **ret,
                  size_t *ret_n) {
        StoreChange *list = NULL;
        StoreSettings unsaid;
        Policy nothing = {0};
        size_t n = 0;

        settings_init(&nothing.settings);
        ban_settings_init(&nothing.bans);
        if (store_settings(a, &nothing, &unsaid) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *x = text_of(a, i, before ? before : &unsaid);
                const char *y = text_of(a, i, after);
                StoreChange c = {.section = rows[i].section, .key = rows[i].key};

                if (y && rows[i].print == print_alerts && before &&
                    hides_change(&before->alerts, &after->alerts))
                        y = arena_printf(a, "%s (another URL)", y);
                if (!x || !y)
                        return -ENOMEM;
                if (streq(x, y))
                        continue;
                c.before = before && *x ? x : NULL;
                c.after = *y ? y : NULL;
                if (!arena_append(a, list, n, c))
                        return -ENOMEM;
        }
        *ret = list;
        *ret_n = n;
        return 0;
}
