/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/image.h"
#include "ruleset/image_reader.h"

void *image_read_array(ImageReader *r, size_t n, size_t size) {
        size_t room = 1;
        void *items;

        while (room < n)
                room *= 2;
        items = arena_alloc_array(r->arena, room, size);
        if (!items)
                bytes_fail(&r->bytes, "there is not enough memory");
        return items;
}

unsigned int image_read_word(ImageReader *r, Vocabulary v) {
        uint64_t i = bytes_get_number(&r->bytes, IMAGE_WORDS_MAX - 1);
        int word = i < r->n_words[v] ? r->words[v][i] : IMAGE_WORD_UNKNOWN;

        if (word != IMAGE_WORD_UNKNOWN)
                return (unsigned int)word;
        bytes_fail(&r->bytes, "it says something that this version of ringwall does not know");
        return 0;
}

static size_t read_string_number(ImageReader *r) {
        return bytes_get_number(&r->bytes, r->n_strings);
}

const char *image_read_string(ImageReader *r) {
        size_t number = read_string_number(r);

        return number > 0 ? r->strings[number - 1] : NULL;
}

static bool can_be_quoted(const char *s) {
        for (; *s; s++)
                if (*s == '"' || *s == '\\' || (unsigned char)*s < ' ' || *s == 0x7f)
                        return false;
        return true;
}

const char *image_read_name(ImageReader *r, size_t max) {
        const char *name = image_read_string(r);

        if (name && *name && strlen(name) <= max && can_be_quoted(name))
                return name;
        bytes_fail(&r->bytes, "a name is missing, too long, or none");
        return "";
}

uint32_t image_read_u32(ImageReader *r) {
        return (uint32_t)bytes_get_number(&r->bytes, UINT32_MAX);
}

size_t image_read_index(ImageReader *r, size_t n) {
        size_t i = bytes_get_number(&r->bytes, SIZE_MAX);

        if (i < n)
                return i;
        bytes_fail(&r->bytes, "it leads to what it does not hold");
        return 0;
}

U128 image_read_value(ImageReader *r, TypeId type) {
        const unsigned char *at = bytes_get(&r->bytes, type_size(type));

        return at ? u128_from_bytes(at, type_size(type)) : U128_ZERO;
}

/* All that stands in one file has one source. */
static const Source *source_of(ImageReader *r, size_t number) {
        const Source **place = &r->sources[number - 1];

        if (!*place) {
                Source *source = image_read_array(r, 1, sizeof(Source));

                if (source)
                        source->name = r->strings[number - 1];
                *place = source;
        }
        return *place;
}

const char *image_read_text(ImageReader *r) {
        const char *text = image_read_string(r);

        if (text && !can_be_quoted(text))
                bytes_fail(&r->bytes, "a text cannot be put between quotation marks");
        return text;
}

Origin image_read_origin(ImageReader *r) {
        Origin origin = {.text = image_read_text(r)};
        size_t source = read_string_number(r);

        if (source == 0)
                return origin;
        origin.at = (Span){
                .source = source_of(r, source),
                .line = image_read_u32(r),
                .column = image_read_u32(r),
                .length = image_read_u32(r),
        };
        return origin;
}

static bool can_be_in_map(VerdictKind kind) {
        return kind == VERDICT_CONTINUE || kind == VERDICT_ACCEPT || kind == VERDICT_DROP ||
               kind == VERDICT_JUMP || kind == VERDICT_GOTO || kind == VERDICT_RETURN;
}

Verdict image_read_verdict(ImageReader *r, bool in_map) {
        VerdictKind kind = (VerdictKind)image_read_word(r, VOCABULARY_VERDICTS);
        size_t chain;

        if (in_map && !can_be_in_map(kind))
                bytes_fail(&r->bytes, "a verdict that no map can have");
        if (kind != VERDICT_JUMP && kind != VERDICT_GOTO)
                return verdict_of(kind);
        chain = image_read_index(r, r->rs->n_chains);
        if (r->bytes.wrong)
                return verdict_of(VERDICT_DROP);
        if (r->rs->chains[chain]->hook != HOOK_NONE)
                bytes_fail(&r->bytes, "a rule leads to a base chain");
        return verdict_to(kind, r->rs->chains[chain]);
}

bool image_limit_is_sound(PacketLimit limit) {
        if (limit.number == 0 || limit.burst == 0)
                return false;
        for (RateUnit unit = 0; unit < _RATE_UNIT_MAX; unit++)
                if (rate_unit_seconds(unit) == limit.seconds)
                        return true;
        return false;
}

PacketLimit image_read_limit(ImageReader *r) {
        return (PacketLimit){
                .number = image_read_u32(r),
                .seconds = image_read_u32(r),
                .burst = image_read_u32(r),
        };
}

static void read_words(ImageReader *r, Vocabulary v) {
        size_t n = bytes_get_count(&r->bytes, 1), n_known = image_n_words(v);

        if (n > IMAGE_WORDS_MAX) {
                bytes_fail(&r->bytes, "a vocabulary has too many words");
                return;
        }
        for (size_t i = 0; i < n; i++) {
                size_t size = bytes_get_count(&r->bytes, 1);
                const unsigned char *word = bytes_get(&r->bytes, size);

                r->words[v][i] = IMAGE_WORD_UNKNOWN;
                for (size_t j = 0; j < n_known && word; j++) {
                        const char *known = image_word(v, j);

                        if (known && strlen(known) == size && memcmp(known, word, size) == 0)
                                r->words[v][i] = (int16_t)j;
                }
        }
        r->n_words[v] = n;
}

/* An image for a kernel that can do what we have never heard of is none for us. */
static void read_features(ImageReader *r, KernelFeatures *ret) {
        size_t n = bytes_get_count(&r->bytes, 1);

        for (size_t i = 0; i < n; i++) {
                unsigned int feature = image_read_word(r, VOCABULARY_FEATURES);

                if (!r->bytes.wrong)
                        *image_feature(ret, feature) = true;
        }
}

static void read_strings(ImageReader *r) {
        size_t n = bytes_get_count(&r->bytes, 1);

        r->strings = image_read_array(r, n, sizeof(char *));
        r->sources = image_read_array(r, n, sizeof(Source *));
        for (size_t i = 0; i < n && !r->bytes.wrong; i++)
                r->strings[i] = bytes_get_string(&r->bytes, r->arena);
        r->n_strings = r->bytes.wrong ? 0 : n;
}

static void read_limits(ImageReader *r) {
        size_t n = bytes_get_count(&r->bytes, 4);

        r->rs->limits = image_read_array(r, n, sizeof(NamedLimit));
        for (size_t i = 0; i < n && !r->bytes.wrong; i++) {
                NamedLimit limit = {.name = image_read_name(r, RULESET_NAME_MAX)};

                limit.limit = image_read_limit(r);
                if (!image_limit_is_sound(limit.limit) || ruleset_find_limit(r->rs, limit.name))
                        bytes_fail(&r->bytes, "a limit that limits nothing, or one twice");
                if (!r->bytes.wrong)
                        r->rs->limits[r->rs->n_limits++] = limit;
        }
}

/* All but the rules. */
static void read_chain(ImageReader *r, Chain *chain) {
        chain->name = image_read_name(r, RULESET_NAME_MAX);
        chain->hook = HOOK_NONE;
        if (bytes_get_bool(&r->bytes)) {
                chain->hook = (Hook)image_read_word(r, VOCABULARY_HOOKS);
                chain->type = (ChainType)image_read_word(r, VOCABULARY_CHAINS);
                chain->priority =
                        (int)((int64_t)bytes_get_number(&r->bytes, UINT32_MAX) + INT32_MIN);
                chain->policy_drop = bytes_get_bool(&r->bytes);
        }
        chain->origin = image_read_origin(r);
        chain->n_rules = bytes_get_count(&r->bytes, 5);
}

static void read_chains(ImageReader *r) {
        size_t n = bytes_get_count(&r->bytes, 5);
        Chain *chains = image_read_array(r, n, sizeof(Chain));

        r->rs->chains = image_read_array(r, n, sizeof(Chain *));
        for (size_t i = 0; i < n && !r->bytes.wrong; i++) {
                read_chain(r, &chains[i]);
                r->rs->chains[i] = &chains[i];
        }
        r->rs->n_chains = r->bytes.wrong ? 0 : n;
}

static int check_version(ImageReader *r, Diag *d) {
        const unsigned char *magic = bytes_get(&r->bytes, sizeof(IMAGE_MAGIC));
        uint64_t version = bytes_get_number(&r->bytes, UINT64_MAX);

        if (!magic || memcmp(magic, IMAGE_MAGIC, sizeof(IMAGE_MAGIC)) != 0)
                return diag_error(d, (Span){0}, "this is no compiled policy");
        if (r->bytes.wrong || version == IMAGE_VERSION)
                return 0;
        return diag_error(d, (Span){0},
                          "another version of ringwall compiled this policy (format %llu; this "
                          "version reads %d)",
                          (unsigned long long)version, IMAGE_VERSION);
}

/* What ruleset_verify() says is meant for mistakes of our own. */
static int check_soundness(const ImageReader *r, Diag *d) {
        Diag *own = diag_new(r->arena);
        int error = own ? ruleset_verify(r->rs, own) : -ENOMEM;

        if (error != -EBADMSG)
                return error;
        return diag_error(d, (Span){0}, "the compiled policy is damaged: it contradicts itself");
}

int ruleset_read_image(Arena *a,
                       const void *bytes,
                       size_t size,
                       Ruleset **ret,
                       KernelFeatures *ret_features,
                       Diag *d) {
        ImageReader r = {.bytes = byte_reader(bytes, size), .arena = a, .rs = ruleset_new(a)};
        KernelFeatures features = {0};
        int error;

        if (!r.rs)
                return -ENOMEM;
        error = check_version(&r, d);
        if (error < 0)
                return error;
        for (Vocabulary v = 0; v < _VOCABULARY_MAX; v++)
                read_words(&r, v);
        read_features(&r, &features);
        read_strings(&r);
        read_limits(&r);
        r.rs->count_elements = bytes_get_bool(&r.bytes);
        read_chains(&r);
        image_read_sets(&r);
        image_read_rules(&r);
        if (r.bytes.at != r.bytes.end)
                bytes_fail(&r.bytes, "something follows its end");
        if (r.bytes.wrong)
                return diag_error(d, (Span){0}, "the compiled policy is damaged at byte %zu: %s",
                                  r.bytes.wrong_at, r.bytes.wrong);
        error = check_soundness(&r, d);
        if (error < 0)
                return error;
        *ret = r.rs;
        *ret_features = features;
        return 0;
}
