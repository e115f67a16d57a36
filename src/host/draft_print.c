/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>

#include "host/draft_parts.h"
#include "proof/claim.h"
#include "proof/effect.h"
#include "ruleset/pass.h"

#define COLUMN_MAX 60      /* how far to the right comments are aligned */
#define ROUNDS_MAX 64      /* of taking out what earns a warning */
#define NAME "policy.yaml" /* in messages, that only a mistake of ours can show */

/* ---- lines */

static DraftLine *append(Draft *d, DraftLine line) {
        if (d->failed || !line.text || !arena_append(d->arena, d->lines, d->n_lines, line)) {
                d->failed = true;
                return NULL;
        }
        return &d->lines[d->n_lines - 1];
}

DraftLine *draft_put(Draft *d, DraftPart part, const char *comment, const char *format, ...) {
        DraftLine line = {.part = part, .comment = comment};
        va_list ap;

        va_start(ap, format);
        line.text = arena_vprintf(d->arena, format, ap);
        va_end(ap);
        return append(d, line);
}

void draft_note(Draft *d, DraftPart part, const char *format, ...) {
        DraftLine line = {.part = part, .is_comment = true};
        va_list ap;

        va_start(ap, format);
        line.text = arena_vprintf(d->arena, format, ap);
        va_end(ap);
        (void)append(d, line);
}

/* Words that YAML takes for something else than a text. */
static bool is_keyword(const char *word) {
        static const char *const keywords[] = {"y",   "n",    "yes",   "no",  "on",
                                               "off", "true", "false", "null"};

        for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
                if (strcasecmp(word, keywords[i]) == 0)
                        return true;
        return false;
}

/* Names of links and words of answers hold no quotation mark and no backslash. */
const char *draft_quote(Arena *a, const char *word) {
        bool plain = word && isalnum((unsigned char)word[0]) && !is_keyword(word);

        for (const char *p = word; plain && *p; p++)
                plain = isalnum((unsigned char)*p) || strchr("._-/", *p);
        /* digits alone, with a dot or an exponent, are a number */
        if (plain && strspn(word, "0123456789.eExX_") == strlen(word) && !strchr(word, '/') &&
            strchr(word, '.') == strrchr(word, '.'))
                plain = false;
        return !word ? NULL : arena_printf(a, plain ? "%s" : "\"%s\"", word);
}

const char *draft_list(Draft *d, const Words *words) {
        const char *text = words->n_items == 1 ? "" : "[";

        for (size_t i = 0; i < words->n_items && text; i++) {
                const char *word = draft_quote(d->arena, words->items[i]);

                text = word ? arena_printf(d->arena, "%s%s%s", text, i > 0 ? ", " : "", word)
                            : NULL;
        }
        if (text && words->n_items != 1)
                text = arena_printf(d->arena, "%s]", text);
        if (!text)
                d->failed = true;
        return text ? text : "";
}

/* ---- the text */

static const struct {
        const char *heading; /* NULL: no key of its own */
        const char *above;   /* what it is about; NULL: nothing to say */
} parts[_DRAFT_PART_MAX] = {
        [DRAFT_PART_ZONES] = {"zones:", NULL},
        [DRAFT_PART_SERVICES] = {"services:", NULL},
        [DRAFT_PART_INBOUND] = {"inbound:",
                                "# What may be reached on this host, ports that containers publish "
                                "included. All else is dropped.\n"},
        [DRAFT_PART_ROUTED] = {"routed:", "# What may pass through this host.\n"},
        [DRAFT_PART_PROTECTED] =
                {"protected:", "# What must stay closed, whatever rules come to say, here or of "
                               "other programs: what is used\n# on this host itself, and by nobody "
                               "else but 'only-from'.\n"},
        [DRAFT_PART_EXPECT] = {"expect:",
                               "# What must come of it, whatever is changed above: tried by every "
                               "check, and before every apply.\n"},
        [DRAFT_PART_SETTINGS] = {"settings:", NULL},
};

typedef struct Page {
        FILE *f;
        unsigned int line; /* that is written next */
} Page;

static void print_text(Page *page, const char *text) {
        fputs(text, page->f);
        for (; *text; text++)
                page->line += *text == '\n';
}

/* An expectation that does not hold was no good one. */
static bool is_hidden(const DraftLine *line) {
        return line->is_out && line->part == DRAFT_PART_EXPECT;
}

static size_t comment_column(const Draft *d, DraftPart part) {
        size_t column = 0;

        for (size_t i = 0; i < d->n_lines; i++) {
                const DraftLine *line = &d->lines[i];
                size_t len = strlen(line->text) + (line->is_out ? 2 : 0);

                if (line->part == part && line->comment && len <= COLUMN_MAX && !is_hidden(line))
                        column = MAX(column, len);
        }
        return column;
}

static void print_line(Page *page, DraftLine *line, size_t column) {
        bool head = line->part == DRAFT_PART_HEAD;
        const char *sign = head || line->is_comment ? "# " : line->is_out ? "# " : "";
        int width = line->comment ? (int)column - (int)strlen(sign) : 0;

        if (!head && line->text[0])
                fputs("  ", page->f);
        line->number = page->line;
        if (head && !line->text[0])
                print_text(page, "#\n");
        else if (line->comment)
                fprintf(page->f, "%s%-*s # %s\n", sign, MAX(width, 0), line->text, line->comment);
        else
                fprintf(page->f, "%s%s\n", sign, line->text);
        page->line += head && !line->text[0] ? 0 : 1;
}

static void print_part(Page *page, Draft *d, DraftPart part) {
        size_t column = comment_column(d, part);
        bool has_lines = false, has_rules = false;

        for (size_t i = 0; i < d->n_lines; i++) {
                has_lines |= d->lines[i].part == part;
                has_rules |=
                        d->lines[i].part == part && !d->lines[i].is_out && !d->lines[i].is_comment;
        }
        if (!has_lines || (!has_rules && parts[part].heading && part != DRAFT_PART_INBOUND))
                return;
        if (page->line > 1)
                print_text(page, "\n");
        if (parts[part].above)
                print_text(page, parts[part].above);
        if (parts[part].heading)
                print_text(page, parts[part].heading);
        if (parts[part].heading) /* a list with nothing in it would be no list */
                print_text(page, has_rules ? "\n" : " drop\n");
        for (size_t i = 0; i < d->n_lines; i++)
                if (d->lines[i].part == part && !is_hidden(&d->lines[i]))
                        print_line(page, &d->lines[i], column);
        if (part == DRAFT_PART_HEAD)
                print_text(page, "\nringwall: 1\n");
}

const char *draft_print(Draft *d) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        Page page = {.f = open_memstream(&text, &size), .line = 1};
        bool failed;

        if (!page.f)
                return NULL;
        for (DraftPart part = 0; part < _DRAFT_PART_MAX && !d->failed; part++)
                print_part(&page, d, part);
        failed = ferror(page.f) != 0;
        failed |= fclose(page.f) != 0 || d->failed;
        return failed ? NULL : arena_strndup(d->arena, text, size);
}

/* ---- trying it */

static DraftLine *find_line(Draft *d, unsigned int number) {
        for (size_t i = 0; i < d->n_lines; i++)
                if (d->lines[i].number == number && !d->lines[i].is_out && !d->lines[i].is_comment)
                        return &d->lines[i];
        return NULL;
}

/* Takes out the lines that messages are about: what another rule covers, what a 'deny' or a claim
 * leaves nothing of, an expectation that does not hold. Whether there was any. */
static bool take_out(Draft *d, const Diag *messages) {
        bool any = false;

        for (size_t i = 0; i < messages->n_messages; i++) {
                const DiagMessage *m = &messages->messages[i];
                DraftLine *line = m->severity == DIAG_NOTE ? NULL : find_line(d, m->at.line);

                if (!line || line->must_stay || line->part < DRAFT_PART_INBOUND ||
                    line->part == DRAFT_PART_PROTECTED)
                        continue;
                line->is_out = true;
                line->comment = "would change nothing";
                any = true;
        }
        return any;
}

static int try(const Draft *d, Source catalogue, const char *text, Arena *a, Diag *messages) {
        static const KernelFeatures features = {.fib_in_filter = true};
        Source source = {.name = NAME, .text = text, .size = strlen(text)};
        ClaimReport claims;
        Policy *policy;
        Ruleset *rs;
        int r = policy_load_text_on_link(a, catalogue, source, d->survey->networks,
                                         d->survey->n_networks, &policy, messages);

        if (r == 0)
                r = effect_check(policy, messages);
        if (r == 0)
                r = ruleset_compile(policy, &features, NULL, a, &rs, messages);
        if (r == 0)
                r = claim_check(policy, rs, &claims, messages);
        return r;
}

/* Messages quote their text, which dies with the arena that they were made in. */
static void hand_over(const Diag *messages, Diag *to) {
        for (size_t i = 0; i < messages->n_messages; i++)
                if (messages->messages[i].severity != DIAG_NOTE)
                        (void)diag_error(to, (Span){0}, "line %u: %s",
                                         messages->messages[i].at.line, messages->messages[i].text);
}

int draft_settle(Draft *d, Source catalogue, const char **ret, Diag *diag) {
        int r = -EBADMSG;

        for (size_t i = 0; i < ROUNDS_MAX && r == -EBADMSG; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                Diag *messages = a ? diag_new(a) : NULL;
                const char *text = messages ? draft_print(d) : NULL;

                if (!text)
                        return -ENOMEM;
                r = try(d, catalogue, text, a, messages);
                if (r == 0 && messages->n_warnings == 0) {
                        *ret = text;
                        return 0;
                }
                if (r == 0 || r == -EBADMSG) {
                        r = -EBADMSG;
                        if (take_out(d, messages))
                                continue;
                        hand_over(messages, diag);
                        break;
                }
        }
        return r;
}
