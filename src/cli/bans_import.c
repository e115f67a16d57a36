/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/bans_import.h"

#include "base/address.h"
#include "cli/complaint.h"
#include "cli/output.h"
#include "cli/remote.h"

#define LINE_MAX_SIZE 4096               /* bytes of a line that is imported */
#define BATCH_ENTRIES 8000               /* of one call, */
#define BATCH_BYTES ((size_t)384 * 1024) /* and bytes of its lines */
/* Lines that are sorted together, and their bytes. Neighbours stand on the same pages of the
 * store, which writes whole pages: a million in random order are written eight times as fast. */
#define WINDOW_LINES ((size_t)1 << 18)
#define WINDOW_BYTES ((size_t)32 << 20)

typedef struct Line {
        unsigned char key[17]; /* family and address; zero: it stays before all that have one */
        uint32_t size;
        size_t offset; /* in the window's text, where a NUL byte ends it */
        size_t number;
} Line;

typedef struct Refused {
        size_t number;
        char *why;
} Refused;

typedef struct Import {
        const BansImport *o;
        const char *name;
        char *text; /* of the lines of this window */
        Line *lines;
        size_t text_size, n_lines;
        json_t *entries; /* of the next call */
        size_t *numbers; /* of their lines */
        size_t bytes;
        Refused *refused; /* in this window */
        size_t n_refused, refused_room;
        json_int_t added, extended, left_out;
        int kept; /* an ExitCode: whether all of it is stored and in force */
} Import;

static const char *text_of(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

static void set_text(json_t *object, const char *key, const char *text) {
        if (text && *text)
                (void)json_object_set_new(object, key, json_string(text));
}

/* ---- what is left out */

static int refuse(Import *im, size_t number, const char *why) {
        if (im->n_refused == im->refused_room) {
                size_t room = MAX(2 * im->refused_room, 64UL);
                Refused *grown = reallocarray(im->refused, room, sizeof(*grown));

                if (!grown)
                        return EXIT_FAILED;
                im->refused = grown;
                im->refused_room = room;
        }
        im->refused[im->n_refused] = (Refused){number, strdup(why)};
        return im->refused[im->n_refused++].why ? EXIT_OK : EXIT_FAILED;
}

static int compare_refused(const void *x, const void *y) {
        const Refused *a = x, *b = y;

        return (a->number > b->number) - (a->number < b->number);
}

/* In the order of the lines. */
static void tell_refused(Import *im) {
        if (im->n_refused > 0)
                qsort(im->refused, im->n_refused, sizeof(*im->refused), compare_refused);
        for (size_t i = 0; i < im->n_refused; i++) {
                complain_at(&(Complaint){.file = im->name,
                                         .line = (json_int_t)im->refused[i].number,
                                         .text = im->refused[i].why});
                free(im->refused[i].why);
        }
        im->left_out += (json_int_t)im->n_refused;
        im->n_refused = 0;
}

/* ---- calls */

static int take_answer(Import *im, const json_t *reply) {
        const json_t *refused = json_object_get(reply, "refused");
        int r = EXIT_OK;

        for (size_t i = 0; i < json_array_size(refused) && r == EXIT_OK; i++) {
                const json_t *one = json_array_get(refused, i);
                json_int_t index = json_integer_value(json_object_get(one, "index"));

                if (index >= 0 && index < BATCH_ENTRIES)
                        r = refuse(im, im->numbers[index], text_of(one, "message"));
        }
        im->added += json_integer_value(json_object_get(reply, "added"));
        im->extended += json_integer_value(json_object_get(reply, "extended"));
        if (!json_is_true(json_object_get(reply, "stored")) ||
            !json_is_true(json_object_get(reply, "inForce")))
                im->kept = EXIT_FAILED;
        return r;
}

static int send_batch(Import *im) {
        json_t *parameters, *reply = NULL;
        int r;

        if (json_array_size(im->entries) == 0)
                return EXIT_OK;
        parameters = json_pack("{s:o}", "entries", im->entries);
        im->entries = json_array();
        im->bytes = 0;
        set_text(parameters, "jail", im->o->jail);
        set_text(parameters, "reason", im->o->reason);
        set_text(parameters, "source", im->o->source);
        if (im->o->seconds > 0)
                (void)json_object_set_new(parameters, "seconds", json_integer(im->o->seconds));
        r = remote_call("bans", im->o->runtime_dir, "ImportBans", parameters, &reply);
        if (r != EXIT_OK)
                return r;
        r = take_answer(im, reply);
        json_decref(reply);
        return r;
}

static int add_entry(Import *im, json_t *entry, const Line *line) {
        im->numbers[json_array_size(im->entries)] = line->number;
        if (json_array_append_new(im->entries, entry) < 0)
                return EXIT_FAILED;
        im->bytes += line->size + 64;
        return json_array_size(im->entries) == BATCH_ENTRIES || im->bytes > BATCH_BYTES
                       ? send_batch(im)
                       : EXIT_OK;
}

/* ---- lines */

/* What the daemon would refuse the whole call for. */
static bool is_entry(const json_t *entry) {
        static const struct {
                const char *key;
                json_type type;
        } keys[] = {
                {"address", JSON_STRING},  {"service", JSON_STRING}, {"jail", JSON_STRING},
                {"source", JSON_STRING},   {"reason", JSON_STRING},  {"until", JSON_INTEGER},
                {"since", JSON_INTEGER},   {"times", JSON_INTEGER},  {"user", JSON_INTEGER},
                {"packets", JSON_INTEGER}, {"enforced", JSON_TRUE}, /* or false */
        };
        size_t n = 0;

        if (!json_is_object(entry) || !json_object_get(entry, "address"))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const json_t *value = json_object_get(entry, keys[i].key);

                if (value && json_typeof(value) != keys[i].type &&
                    !(keys[i].type == JSON_TRUE && json_is_false(value)))
                        return false;
                n += value != NULL;
        }
        return n == json_object_size(entry);
}

static int send_line(Import *im, const Line *line) {
        char *text = im->text + line->offset, *word, *rest = NULL;
        json_t *entry;

        if (*text == '{') {
                entry = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
                if (entry && is_entry(entry))
                        return add_entry(im, entry, line);
                json_decref(entry);
                return refuse(im, line->number, "it is no object as --export --json writes it");
        }
        word = strtok_r(text, " \t\r\n", &rest);
        entry = word ? json_pack("{s:s}", "address", word) : NULL;
        if (!entry || strtok_r(NULL, " \t\r\n", &rest)) {
                json_decref(entry);
                return refuse(im, line->number, "one address or network a line, in UTF-8");
        }
        return add_entry(im, entry, line);
}

static int compare_lines(const void *x, const void *y) {
        const Line *a = x, *b = y;
        int c = memcmp(a->key, b->key, sizeof(a->key));

        return c != 0 ? c : (a->number > b->number) - (a->number < b->number);
}

static int send_window(Import *im) {
        int r = EXIT_OK;

        if (im->n_lines > 0)
                qsort(im->lines, im->n_lines, sizeof(*im->lines), compare_lines);
        for (size_t i = 0; i < im->n_lines && r == EXIT_OK; i++)
                r = send_line(im, &im->lines[i]);
        if (r == EXIT_OK)
                r = send_batch(im);
        im->n_lines = im->text_size = 0;
        tell_refused(im);
        return r;
}

/* An export's objects are sorted already. */
static void make_key(const char *text, Line *line) {
        char word[64];
        Family family;
        Range range;

        if (sscanf(text, "%63s", word) != 1 ||
            address_range_parse(word, &family, &range) != ADDRESS_OK)
                return;
        line->key[0] = family == FAMILY_IPV4 ? 4 : 6;
        u128_to_bytes(range.low, line->key + 1, 16);
}

static int take_line(Import *im, char *text, size_t size, size_t number) {
        char *comment = *text == '{' ? NULL : strchr(text, '#');
        Line line = {.number = number, .offset = im->text_size};

        if (size > LINE_MAX_SIZE || strlen(text) != size)
                return refuse(im, number, "the line is longer than any ban, or has zero bytes");
        if (comment)
                *comment = '\0';
        if (text[strspn(text, " \t\r\n")] == '\0')
                return EXIT_OK;
        line.size = (uint32_t)strlen(text);
        make_key(text, &line);
        memcpy(im->text + im->text_size, text, line.size + 1);
        im->text_size += line.size + 1;
        im->lines[im->n_lines++] = line;
        return im->n_lines == WINDOW_LINES || im->text_size > WINDOW_BYTES - LINE_MAX_SIZE - 1
                       ? send_window(im)
                       : EXIT_OK;
}

static int import_lines(Import *im, FILE *f) {
        _cleanup_free_ char *text = NULL;
        size_t room = 0, number = 0;
        int r = EXIT_OK;
        ssize_t n;

        while (r == EXIT_OK && (n = getline(&text, &room, f)) >= 0)
                r = take_line(im, text, (size_t)n, ++number);
        if (r == EXIT_OK && ferror(f)) {
                complain("bans", "cannot read %s: %s", im->name, strerror(errno));
                r = EXIT_FAILED;
        }
        return r == EXIT_OK ? send_window(im) : r;
}

static int tell_end(const Import *im, int r) {
        json_t *error;

        if (!im->o->json)
                printf("%lld banned, %lld extended, %lld lines left out\n", (long long)im->added,
                       (long long)im->extended, (long long)im->left_out);
        if (r == EXIT_OK && im->kept != EXIT_OK)
                complain("bans",
                         "not all of it is both on the disk and in force: see ringwall status");
        if (r == EXIT_OK)
                r = im->kept;
        if (r == EXIT_OK && im->left_out > 0)
                r = EXIT_DIFFERS;
        error = complaint_json(r);
        if (im->o->json)
                (void)output_json(json_pack("{s:I, s:I, s:I, s:O*}", "added", im->added, "extended",
                                            im->extended, "refused", im->left_out, "error", error));
        json_decref(error);
        return r;
}

int bans_import(const BansImport *o) {
        bool standard = streq(o->file, "-");
        FILE *f = standard ? stdin : fopen(o->file, "re");
        Import im = {.o = o, .name = standard ? "standard input" : o->file};
        int r = EXIT_FAILED;

        if (!f) {
                complain("bans", "cannot open %s: %s", o->file, strerror(errno));
                return EXIT_FAILED;
        }
        im.entries = json_array();
        im.numbers = calloc(BATCH_ENTRIES + 1, sizeof(*im.numbers));
        im.lines = reallocarray(NULL, WINDOW_LINES, sizeof(*im.lines));
        im.text = malloc(WINDOW_BYTES); /* of which only what is used takes memory */
        if (im.entries && im.numbers && im.lines && im.text)
                r = import_lines(&im, f);
        tell_refused(&im); /* of a window that was broken off */
        if (!standard)
                (void)fclose(f); /* only read */
        json_decref(im.entries);
        free(im.numbers);
        free(im.lines);
        free(im.text);
        free(im.refused);
        return tell_end(&im, r);
}
