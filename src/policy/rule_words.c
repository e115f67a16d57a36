/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/rule_words.h"

#include <ctype.h>
#include <time.h>

#include "base/text.h"
#include "doc/text_check.h"
#include "policy/loader.h"

typedef struct Parser {
        Arena *arena;
        const Source *source;
        Diag *d;
        int64_t now;
        RuleWord *tokens; /* words and commas */
        size_t n_tokens, at;
        const char *said[_RULE_KEY_MAX]; /* by which word; or NULL */
        bool is_removal;
} Parser;

/* What says what comes behind it. */
static const struct {
        const char *word;
        RuleKey key;
        const char *wanted;
} keywords[] = {
        {"from", RULE_KEY_FROM, "a zone or an address"},
        {"to", RULE_KEY_TO, "an address of this host"},
        {"except", RULE_KEY_EXCEPT, "a zone or an address"},
        {"in", RULE_KEY_IN, "an interface"},
        {"limit", RULE_KEY_LIMIT, "a rate such as 10/minute"},
        {"connections", RULE_KEY_CONNECTIONS, "a number"},
        {"log", RULE_KEY_LOG, NULL},
        {"until", RULE_KEY_UNTIL, "a date such as 2030-01-31"},
        {"for", RULE_KEY_UNTIL, "a time such as 1h"},
};

/* What people say elsewhere. */
static const struct {
        const char *word, *hint;
} other_words[] = {
        {"on", "did you mean 'in'?"},
        {"out", "these are rules of inbound; those of outbound and routed: ringwall edit"},
        {"user", "these are rules of inbound; those of outbound and routed: ringwall edit"},
        {"port", "a port is written 8080/tcp"},
        {"proto", "the protocol stands behind the port: 8080/tcp"},
        {"and", "a list is written with commas: ssh, https"},
};

static const struct {
        const char *names[4];
        uint64_t seconds;
} units[] = {
        {{"s", "sec", "second", "seconds"}, 1}, {{"m", "min", "minute", "minutes"}, 60},
        {{"h", "hr", "hour", "hours"}, 3600},   {{"d", "day", "days"}, 86400},
        {{"w", "week", "weeks"}, 604800},
};

/* ---- words */

/* A rule is one line, and blanks part its words. */
static int check_blanks(const Source *line, Diag *d) {
        size_t len = strcspn(line->text, "\t\r\n");
        unsigned int column = 1;

        if (!line->text[len])
                return 0;
        for (size_t i = 0; i < len; i++)
                column += ((unsigned char)line->text[i] & 0xc0) != 0x80;
        diag_error(d, (Span){line, 1, column, 1}, "%s has no place in a rule",
                   line->text[len] == '\t' ? "a tab" : "a line break");
        diag_hint(d, "it is said in one line, with blanks between its words");
        return -EBADMSG;
}

static int add_token(Parser *p, const char *start, size_t len, unsigned int column) {
        RuleWord token = {.text = arena_strndup(p->arena, start, len),
                          .at = {p->source, 1, column, 0}};

        for (size_t i = 0; i < len; i++)
                token.at.length += ((unsigned char)start[i] & 0xc0) != 0x80;
        if (!token.text || !arena_append(p->arena, p->tokens, p->n_tokens, token))
                return -ENOMEM;
        return (int)token.at.length;
}

static int split(Parser *p) {
        const char *s = p->source->text;
        unsigned int column = 1;

        while (*s) {
                size_t len = *s == ',' ? 1 : strcspn(s, " ,");
                int r;

                if (*s == ' ') {
                        s++;
                        column++;
                        continue;
                }
                r = add_token(p, s, len, column);
                if (r < 0)
                        return r;
                s += len;
                column += (unsigned int)r;
        }
        return 0;
}

static const RuleWord *peek(const Parser *p) {
        return p->at < p->n_tokens ? &p->tokens[p->at] : NULL;
}

static bool next_is(const Parser *p, const char *word) {
        return peek(p) && streq(peek(p)->text, word);
}

static size_t find_keyword(const RuleWord *word) {
        for (size_t i = 0; word && i < ARRAY_SIZE(keywords); i++)
                if (streq(keywords[i].word, word->text))
                        return i;
        return ARRAY_SIZE(keywords);
}

/* Of the next word, or of the line's end. */
static Span here(const Parser *p) {
        Span last;

        if (peek(p))
                return peek(p)->at;
        if (p->n_tokens == 0)
                return (Span){p->source, 1, 1, 1};
        last = p->tokens[p->n_tokens - 1].at;
        return (Span){p->source, 1, last.column + last.length + 1, 1};
}

static int report_missing(Parser *p, const char *wanted) {
        return diag_error(p->d, here(p), "%s is missing here", wanted);
}

static int report_unexpected(Parser *p) {
        const RuleWord *word = peek(p);
        Nearest nearest;

        diag_error(p->d, word->at, "'%s' has no place here", word->text);
        for (size_t i = 0; i < ARRAY_SIZE(other_words); i++)
                if (streq(other_words[i].word, word->text)) {
                        diag_hint(p->d, "%s", other_words[i].hint);
                        return -EBADMSG;
                }
        nearest_init(&nearest, word->text);
        for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
                nearest_consider(&nearest, keywords[i].word);
        if (nearest.best)
                diag_hint(p->d, "did you mean '%s'?", nearest.best);
        else
                diag_hint(p->d, "a list is written with commas: ssh, https");
        return -EBADMSG;
}

/* ---- values */

static int take_list(Parser *p, const char *wanted, RuleValue *ret) {
        for (;;) {
                const RuleWord *word = peek(p);

                if (!word || streq(word->text, ",") || find_keyword(word) < ARRAY_SIZE(keywords))
                        return report_missing(p, wanted);
                if (!arena_append(p->arena, ret->words, ret->n_words, *word))
                        return -ENOMEM;
                p->at++;
                if (!next_is(p, ","))
                        return 0;
                p->at++;
        }
}

/* All words up to the next that says what follows it. */
static int take_text(Parser *p, const char *wanted, RuleValue *ret) {
        RuleWord text = {.text = ""};

        while (peek(p) && find_keyword(peek(p)) == ARRAY_SIZE(keywords)) {
                const RuleWord *word = peek(p);

                text.text = text.at.source ? arena_printf(p->arena, "%s %s", text.text, word->text)
                                           : word->text;
                text.at = text.at.source ? span_join(text.at, word->at) : word->at;
                if (!text.text)
                        return -ENOMEM;
                p->at++;
        }
        if (!text.at.source)
                return report_missing(p, wanted);
        return arena_append(p->arena, ret->words, ret->n_words, text) ? 0 : -ENOMEM;
}

/* How many seconds one of "h", "hours" has; 0 if it is no unit. */
static uint64_t find_unit(const char *s, size_t len) {
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                for (size_t j = 0; j < ARRAY_SIZE(units[i].names) && units[i].names[j]; j++)
                        if (strlen(units[i].names[j]) == len &&
                            strncasecmp(units[i].names[j], s, len) == 0)
                                return units[i].seconds;
        return 0;
}

/* "1h", "1h30m", "2 days". */
static bool read_duration(const char *s, uint64_t *ret) {
        uint64_t total = 0;

        while (*s) {
                uint64_t number = 0, unit;
                size_t len;

                if (!isdigit((unsigned char)*s))
                        return false;
                for (; isdigit((unsigned char)*s); s++)
                        number = MIN(number * 10 + (uint64_t)(*s - '0'), (uint64_t)1 << 40);
                s += strspn(s, " ");
                len = strcspn(s, " 0123456789");
                unit = find_unit(s, len);
                if (unit == 0)
                        return false;
                s += len;
                s += strspn(s, " ");
                total = MIN(total + number * unit, (uint64_t)1 << 40);
        }
        *ret = total;
        return true;
}

/* The moment, as `until` takes it: local time, with how far that is from Greenwich, which makes the
 * hour that comes twice in autumn one of the two. */
static const char *moment_text(Arena *a, int64_t moment) {
        time_t t = (time_t)moment;
        char buf[64];
        struct tm tm;
        size_t n;

        if (!localtime_r(&t, &tm))
                return NULL;
        n = strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S%z", &tm); /* +0100 */
        if (n < 5)
                return NULL;
        return arena_printf(a, "%.*s:%s", (int)(n - 2), buf, buf + n - 2);
}

static int take_duration(Parser *p, const char *wanted, RuleValue *ret) {
        uint64_t seconds;
        int r = take_text(p, wanted, ret);

        if (r < 0)
                return r;
        if (!read_duration(ret->words[0].text, &seconds)) {
                diag_error(p->d, ret->words[0].at, "'%s' is not a time", ret->words[0].text);
                diag_hint(p->d, "it is written 30m, 1h, 2d or 1h30m");
                return -EBADMSG;
        }
        if (seconds == 0 || seconds > RULE_SECONDS_MAX)
                return diag_error(p->d, ret->words[0].at,
                                  "a rule can be for a second to ten years");
        ret->words[0].text = moment_text(p->arena, p->now + (int64_t)seconds);
        return ret->words[0].text ? 0 : -ENOMEM;
}

/* What it says is found out with the policy; but nobody means a rule that is over. */
static int take_moment(Parser *p, const char *wanted, RuleValue *ret) {
        Loader l = {.arena = p->arena, .d = diag_new(p->arena), .now = p->now};
        Node node = {.kind = NODE_SCALAR};
        NodeEntry entry = {.value = &node};
        int64_t until;
        int r = l.d ? take_text(p, wanted, ret) : -ENOMEM;

        if (r < 0 || p->is_removal)
                return r;
        node.text = ret->words[0].text;
        node.at = ret->words[0].at;
        if (until_decode(&l, &entry, &until) < 0 || until > p->now)
                return 0;
        diag_error(p->d, node.at, "'%s' is over already", node.text);
        diag_hint(p->d, "a rule is until a moment to come, or for a while: for 1h");
        return -EBADMSG;
}

/* `log` alone means yes. */
static int take_log(Parser *p, RuleValue *ret) {
        RuleWord word = {.text = "yes", .at = p->tokens[p->at - 1].at};

        if (peek(p) && find_keyword(peek(p)) == ARRAY_SIZE(keywords) && !next_is(p, ","))
                word = p->tokens[p->at++];
        return arena_append(p->arena, ret->words, ret->n_words, word) ? 0 : -ENOMEM;
}

/* ---- the line */

static int take_services(Parser *p, RuleValue *ret) {
        int r;

        if (find_keyword(peek(p)) < ARRAY_SIZE(keywords)) {
                report_missing(p, "a service or a port");
                diag_hint(p->d, "what it is about comes first: %s ssh from lan", p->tokens[0].text);
                return -EBADMSG;
        }
        r = take_list(p, "a service or a port", ret);
        for (size_t i = 0; i < ret->n_words && r == 0; i++) {
                const char *s = ret->words[i].text;

                /* in a policy it would be an IP protocol; here it is a port that lacks its */
                if (strspn(s, "0123456789") == strlen(s)) {
                        r = diag_error(p->d, ret->words[i].at, "'%s' says no protocol", s);
                        diag_hint(p->d, "a port is written %s/tcp or %s/udp", s, s);
                }
        }
        return r;
}

static int take_key(Parser *p, FileRule *ret) {
        const RuleWord *word = peek(p);
        size_t i = find_keyword(word);
        const char *said;
        RuleValue *value;

        if (i == ARRAY_SIZE(keywords))
                return report_unexpected(p);
        said = p->said[keywords[i].key];
        if (said && streq(said, word->text))
                return diag_error(p->d, word->at, "'%s' is said already", said);
        if (said)
                return diag_error(p->d, word->at,
                                  "'%s' and '%s' both say when it ends: one of them will do", said,
                                  word->text);
        p->said[keywords[i].key] = word->text;
        p->at++;
        value = &ret->values[keywords[i].key];
        if (rule_key_is_list(keywords[i].key))
                return take_list(p, keywords[i].wanted, value);
        if (keywords[i].key == RULE_KEY_LOG)
                return take_log(p, value);
        if (streq(keywords[i].word, "for"))
                return take_duration(p, keywords[i].wanted, value);
        if (keywords[i].key == RULE_KEY_UNTIL)
                return take_moment(p, keywords[i].wanted, value);
        return take_text(p, keywords[i].wanted, value);
}

int rule_words_parse(Arena *a,
                     const Source *line,
                     RuleCommand command,
                     int64_t now,
                     FileRule *ret,
                     bool *ret_has_verb,
                     Diag *d) {
        Parser p = {.arena = a,
                    .source = line,
                    .d = d,
                    .now = now,
                    .is_removal = command == RULE_COMMAND_REMOVE};
        FileRule rule = {.verb = command == RULE_COMMAND_DENY ? RULE_DENY : RULE_ALLOW};
        bool has_verb = command != RULE_COMMAND_REMOVE;
        int r;

        if (line->size > RULE_WORDS_MAX)
                return diag_error(d, (Span){.source = line}, "this is longer than %d bytes",
                                  RULE_WORDS_MAX);
        r = text_check(line, d);
        if (r == 0)
                r = check_blanks(line, d);
        if (r == 0)
                r = split(&p);
        if (r < 0)
                return r;
        p.at = 1; /* behind the command */
        if (!has_verb && (next_is(&p, "allow") || next_is(&p, "deny"))) {
                rule.verb = next_is(&p, "allow") ? RULE_ALLOW : RULE_DENY;
                has_verb = true;
                p.at++;
        }
        r = take_services(&p, &rule.values[RULE_KEY_SERVICES]);
        while (r == 0 && peek(&p))
                r = take_key(&p, &rule);
        if (r < 0)
                return r;
        *ret = rule;
        *ret_has_verb = has_verb;
        return 0;
}
