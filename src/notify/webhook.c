/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "notify/webhook.h"

int webhook_init(Webhook *w) {
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
                return -ENOMEM;
        w->multi = curl_multi_init();
        return w->multi ? 0 : -ENOMEM;
}

static void hang_up(Webhook *w) {
        if (w->easy) {
                (void)curl_multi_remove_handle(w->multi, w->easy);
                curl_easy_cleanup(w->easy);
        }
        w->easy = NULL;
        curl_slist_free_all(w->headers);
        w->headers = NULL;
        free(w->message);
        w->message = NULL;
}

void webhook_done(Webhook *w) {
        hang_up(w);
        if (w->multi)
                (void)curl_multi_cleanup(w->multi);
        w->multi = NULL;
        curl_global_cleanup();
}

/* Of more than it takes to say "yes" nothing is read. */
static size_t on_answer(char *bytes, size_t one, size_t n, void *userdata) {
        Webhook *w = userdata;

        w->answer_size += n;
        return w->answer_size > WEBHOOK_ANSWER_MAX ? 0 : n;
}

static int set_options(Webhook *w, const char *url) {
        long limit = (long)((w->limit_usec > 0 ? w->limit_usec : WEBHOOK_USEC) / 1000);
        CURL *c = w->easy;
        CURLcode r = curl_easy_setopt(c, CURLOPT_URL, url);

        if (r == CURLE_OK)
                r = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
        if (r == CURLE_OK)
                r = curl_easy_setopt(c, CURLOPT_POSTFIELDS, w->message);
        if (r == CURLE_OK)
                r = curl_easy_setopt(c, CURLOPT_HTTPHEADER, w->headers);
        if (r == CURLE_OK)
                r = curl_easy_setopt(c, CURLOPT_USERAGENT, "ringwall-notify/" RINGWALL_VERSION);
        if (r != CURLE_OK)
                return -ENOMEM;
        /* these do not fail; https is verified, and redirects are not followed, unless asked */
        (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, limit);
        (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
        (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_answer);
        (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, w);
        (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, w->error);
        return 0;
}

int webhook_start(Webhook *w, const char *url, const char *message) {
        int r = -ENOMEM;

        w->answer_size = 0;
        w->error[0] = '\0';
        w->easy = curl_easy_init();
        w->message = strdup(message);
        w->headers = curl_slist_append(NULL, "Content-Type: application/json");
        if (w->easy && w->message && w->headers)
                r = set_options(w, url);
        if (r == 0 && curl_multi_add_handle(w->multi, w->easy) != CURLM_OK)
                r = -ENOMEM;
        if (r < 0)
                hang_up(w);
        return r;
}

/* The status counts, whatever followed it. */
static WebhookResult judge(long status) {
        if (status >= 200 && status < 300)
                return WEBHOOK_DELIVERED;
        if (status == 408 || status == 425 || status == 429 || status >= 500 || status < 300)
                return WEBHOOK_FAILED;
        return WEBHOOK_REFUSED;
}

WebhookResult webhook_finish(Webhook *w, char failure[static WEBHOOK_FAILURE_MAX]) {
        CURLMsg *message;
        WebhookResult result;
        long status = 0;
        int n;

        (void)curl_multi_perform(w->multi, &n);
        message = curl_multi_info_read(w->multi, &n);
        if (!w->easy || !message || message->msg != CURLMSG_DONE)
                return WEBHOOK_WAITS;
        (void)curl_easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &status);
        result = judge(status);
        if (status > 0)
                (void)snprintf(failure, WEBHOOK_FAILURE_MAX, "it answers with status %ld%s", status,
                               status >= 300 && status < 400 ? ", and redirects are not followed"
                                                             : "");
        else
                (void)snprintf(failure, WEBHOOK_FAILURE_MAX, "%s",
                               *w->error ? w->error : curl_easy_strerror(message->data.result));
        hang_up(w);
        return result;
}
