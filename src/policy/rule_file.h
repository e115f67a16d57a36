/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The file of a policy into which commands write rules of `inbound`, a line each. What people write
 * there stays as it is: whole lines come and go, of those alone that are worded as they are written
 * here, and what became of it is read back. A file in which that is not possible is left alone. */

#include "policy/policy.h"

#define RULE_FILE_FOLDER "policy.d"
#define RULE_FILE_NAME "50-cli.yaml"

/* In the order in which they are written. */
typedef enum RuleKey {
        RULE_KEY_SERVICES, /* behind `allow` or `deny` */
        RULE_KEY_FROM,
        RULE_KEY_TO,
        RULE_KEY_EXCEPT,
        RULE_KEY_IN,
        RULE_KEY_LIMIT,
        RULE_KEY_CONNECTIONS,
        RULE_KEY_LOG,
        RULE_KEY_UNTIL,
        _RULE_KEY_MAX,
        _RULE_KEY_INVALID = -EINVAL,
} RuleKey;

const char *rule_key_to_string(RuleKey key); /* "from"; of the services "service" */
bool rule_key_is_list(RuleKey key);

typedef struct RuleWord {
        const char *text;
        Span at; /* on the command line; no source if it was read from the file */
} RuleWord;

typedef struct RuleValue {
        RuleWord *words;
        size_t n_words; /* 0: the rule does not have this key */
} RuleValue;

typedef struct FileRule {
        RuleVerb verb;
        RuleValue values[_RULE_KEY_MAX];
        unsigned int line; /* of the file */
        bool is_own;       /* worded just as it is written here, so that its line may go */
        bool is_over;      /* its time */
        bool goes;         /* the caller's wish; own ones alone */
} FileRule;

typedef struct RuleFile {
        Source source;                     /* no text: there is no such file yet */
        const struct Node *root, *inbound; /* inbound: its list, or NULL */
        Span inbound_at;                   /* of the key */
        FileRule *rules;                   /* of inbound, in the order of the file */
        size_t n_rules;
} RuleFile;

/* Reads the file, whose text must live as long as the arena. now: seconds since 1970. -EBADMSG if
 * it cannot be read, or written to without losing anything; d says why. */
int rule_file_read(Arena *a, Source source, int64_t now, RuleFile *ret, Diag *d);

/* The text without the rules that go, and with the one that comes (NULL: none) behind the others,
 * at *ret_line. As above. */
int rule_file_change(Arena *a,
                     const RuleFile *file,
                     const FileRule *comes,
                     const char **ret,
                     size_t *ret_size,
                     unsigned int *ret_line,
                     Diag *d);

/* Whether both are about the same connections, in the same words: only what they do with them, how
 * many, and until when may be another matter. */
bool file_rule_is_about(const FileRule *a, const FileRule *b);
/* Whether they say the same word for word. */
bool file_rule_equal(const FileRule *a, const FileRule *b);

/* "{ allow: ssh, from: [lan, vpn] }"; NULL without memory. */
const char *file_rule_text(Arena *a, const FileRule *rule);
/* "allow ssh from lan, vpn", as it would be said; NULL without memory. */
const char *file_rule_describe(Arena *a, const FileRule *rule);
/* Where the word was said that stands in this column of the rule's text (its first is 1): nowhere,
 * if it was not said. */
Span file_rule_find(const FileRule *rule, unsigned int column);
