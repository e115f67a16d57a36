/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A message that is posted to a URL, one at a time. The other side is not trusted: it has
 * WEBHOOK_USEC altogether, it leads nowhere else, and of its answer only the status counts. */

#include <curl/curl.h>

#include "base/util.h"

#define WEBHOOK_USEC (UINT64_C(20) * 1000000)
#define WEBHOOK_ANSWER_MAX ((size_t)64 * 1024) /* bytes; with more it is hung up on */
#define WEBHOOK_FAILURE_MAX (CURL_ERROR_SIZE + 64)

typedef struct Webhook {
        CURLM *multi; /* owned, all of these */
        CURL *easy;   /* NULL: none is under way */
        struct curl_slist *headers;
        char *message;
        size_t answer_size;
        uint64_t limit_usec; /* 0: WEBHOOK_USEC */
        char error[CURL_ERROR_SIZE];
} Webhook;

typedef enum WebhookResult {
        WEBHOOK_WAITS, /* or there is none */
        WEBHOOK_DELIVERED,
        WEBHOOK_REFUSED, /* and would be again */
        WEBHOOK_FAILED,  /* now */
} WebhookResult;

/* 0 or -ENOMEM. */
int webhook_init(Webhook *w);
void webhook_done(Webhook *w);
int webhook_start(Webhook *w, const char *url, const char *message);
/* What became of it; failure: why. */
WebhookResult webhook_finish(Webhook *w, char failure[static WEBHOOK_FAILURE_MAX]);
