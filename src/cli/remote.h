/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Calls of ringwalld, with its errors turned into messages and exit codes. */

#include <jansson.h>

#include "cli/verb.h"

/* The option that says which daemon, for each verb's table: --runtime-dir DIR; else
 * $RINGWALL_RUNTIME_DIR, else /run/ringwall. */
#define REMOTE_OPTION                                                                              \
        { "runtime-dir", required_argument, NULL, 'R' }
#define REMOTE_HELP                                                                                \
        "      --runtime-dir DIR  where the daemon's socket is (/run/ringwall, or\n"               \
        "                         $RINGWALL_RUNTIME_DIR)\n"

/* What most calls take; a verb has the rows of those that it takes in its own table. */
typedef struct RemoteOptions {
        const char *runtime_dir; /* REMOTE_OPTION */
        bool json, has_console;
} RemoteOptions;

#define REMOTE_CONSOLE_OPTION                                                                      \
        { "i-have-console", no_argument, NULL, 'c' }
#define REMOTE_JSON_OPTION                                                                         \
        { "json", no_argument, NULL, 'j' }

/* Takes one that getopt_long() found; false if it is none of them. */
bool remote_option(int c, const char *argument, RemoteOptions *ret);

/* Whether a daemon listens there. */
bool remote_is_there(const char *runtime_dir);

/* The folder that is meant. */
const char *remote_folder(const char *runtime_dir);

/* Calls io.ringwall.METHOD and returns an ExitCode; what failed has been printed, as `ringwall
 * VERB: ...`. parameters are taken over, and may be NULL. *ret is the caller's. */
int remote_call(const char *verb,
                const char *runtime_dir,
                const char *method,
                json_t *parameters,
                json_t **ret);

/* The same, of whatever is not needed: no word about what fails. 0; or a negative errno: *ret is as
 * it was. timeout_usec: that it is waited for. */
int remote_ask(const char *runtime_dir, const char *method, uint64_t timeout_usec, json_t **ret);

/* As remote_call(), for a method that goes on answering: take gets each answer, until it returns
 * false, or nobody reads standard output any more. */
int remote_follow(const char *verb,
                  const char *runtime_dir,
                  const char *method,
                  json_t *parameters,
                  bool (*take)(json_t *answer, void *to),
                  void *to);
