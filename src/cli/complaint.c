/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/complaint.h"

#include <getopt.h>
#include <stdarg.h>

#include "cli/output.h"
#include "cli/verb.h"

/* Of this process, as its standard output is. */
static struct {
        const char *verb;
        int argc;
        char **argv;
        bool json, answered;
        json_t *messages; /* NULL until the first one */
} state;

/* An option that is abbreviated, as getopt_long() takes it, counts: who asks wrongly is to be told
 * so in the form that was asked for. */
static bool asks_for_json(int argc, char **argv) {
        static const char option[] = "--json";

        for (int i = 1; i < argc && !streq(argv[i], "--"); i++)
                if (strlen(argv[i]) > 2 && startswith(option, argv[i]))
                        return true;
        return false;
}

void complaint_begin(const char *verb, int argc, char **argv) {
        state.verb = verb;
        state.argc = argc;
        state.argv = argv;
        state.json = asks_for_json(argc, argv);
        complaint_next();
}

/* ---- what is kept for programs */

static void keep(json_t *message) {
        if (state.json && !state.messages)
                state.messages = json_array();
        if (state.json && json_array_size(state.messages) < COMPLAINTS_MAX)
                (void)json_array_append(state.messages, message);
        json_decref(message);
}

/* NULL if nothing was said yet. */
static json_t *last_message(void) {
        size_t n = json_array_size(state.messages);

        return n > 0 ? json_array_get(state.messages, n - 1) : NULL;
}

/* NULL if the text is not UTF-8, as a word of the command line may be. */
static json_t *json_message(const char *severity, const char *text) {
        return json_pack("{s:s, s:s}", "severity", severity, "message", text);
}

static void add_hint(json_t *message, const char *hint) {
        if (message && hint && *hint && !json_object_get(message, "hint"))
                (void)json_object_set_new(message, "hint", json_string(hint));
}

static json_t *json_diag_message(const DiagMessage *m) {
        json_t *object = json_object();

        (void)json_object_set_new(object, "severity",
                                  json_string(diag_severity_to_string(m->severity)));
        output_json_place(object, m->at);
        (void)json_object_set_new(object, "message", json_string(m->text));
        add_hint(object, m->hint);
        return object;
}

json_t *complaint_messages(const Diag *d) {
        json_t *messages = json_array(), *last = NULL;

        for (size_t i = 0; d && i < d->n_messages; i++) {
                const DiagMessage *m = &d->messages[i];
                json_t *message = json_diag_message(m);

                if (m->continues && last) {
                        json_t *notes = json_object_get(last, "notes");

                        if (!notes) {
                                notes = json_array();
                                (void)json_object_set_new(last, "notes", notes);
                        }
                        (void)json_array_append_new(notes, message);
                        continue;
                }
                (void)json_array_append_new(messages, message);
                last = message;
        }
        return messages;
}

/* ---- complaints */

static char *format_text(const char *format, va_list args) _printf_(1, 0);

static char *format_text(const char *format, va_list args) {
        char *text = NULL;

        return vasprintf(&text, format, args) < 0 ? NULL : text;
}

void complain(const char *verb, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list args;

        va_start(args, format);
        text = format_text(format, args);
        va_end(args);
        if (!text)
                return;
        fflush(stdout);
        fprintf(stderr, "ringwall%s%s: %s\n", verb ? " " : "", verb ? verb : "", text);
        keep(json_message("error", text));
}

void complain_hint(const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list args;

        va_start(args, format);
        text = format_text(format, args);
        va_end(args);
        if (!text)
                return;
        fprintf(stderr, "  hint: %s\n", text);
        add_hint(last_message(), text);
}

void complain_diag(const Diag *d) {
        json_t *list;

        fflush(stdout);
        diag_print(d, stderr, output_has_colour(stderr));
        list = state.json ? complaint_messages(d) : NULL;
        for (size_t i = 0; i < json_array_size(list); i++)
                keep(json_incref(json_array_get(list, i)));
        json_decref(list);
}

void complain_at(const Complaint *c) {
        const char *severity = c->severity ? c->severity : "error";
        json_t *message = json_message(severity, c->text);

        fflush(stdout);
        if (*c->file)
                fprintf(stderr, "%s:", c->file);
        if (*c->file && c->line > 0)
                fprintf(stderr, "%" JSON_INTEGER_FORMAT ":", c->line);
        if (*c->file && c->line > 0 && c->column > 0)
                fprintf(stderr, "%" JSON_INTEGER_FORMAT ":", c->column);
        fprintf(stderr, "%s%s: %s\n", *c->file ? " " : "", severity, c->text);
        if (c->hint && *c->hint)
                fprintf(stderr, "  hint: %s\n", c->hint);
        if (message && *c->file)
                (void)json_object_set_new(message, "file", json_string(c->file));
        if (message && c->line > 0)
                (void)json_object_set_new(message, "line", json_integer(c->line));
        if (message && c->line > 0 && c->column > 0)
                (void)json_object_set_new(message, "column", json_integer(c->column));
        add_hint(message, c->hint);
        keep(message);
}

void complain_usage(const char *verb, const char *problem) {
        _cleanup_free_ char *text = NULL, *hint = NULL;
        const char *word = optind > 0 && optind <= state.argc ? state.argv[optind - 1] : NULL;

        if (problem)
                complain(verb, "%s", problem);
        else if (!last_message() && asprintf(&text, "the command line is wrong%s%s",
                                             word ? " at " : "", word ? word : "") >= 0)
                keep(json_message("error", text));
        if (asprintf(&hint, "ringwall %s --help", verb) >= 0)
                add_hint(last_message(), hint);
}

/* ---- what programs are told */

void complaint_answered(void) {
        state.answered = true;
}

void complaint_next(void) {
        state.answered = false;
        json_decref(state.messages);
        state.messages = NULL;
}

/* What went wrong, where nothing else says it; the exit code's meaning. */
static const char *describe(int code) {
        static const char *const words[] = {
                [EXIT_FAILED] = "it failed",
                [EXIT_USAGE] = "the command line is wrong",
                [EXIT_INVALID] = "the policy is not valid",
                [EXIT_NOT_PERMITTED] = "that is not permitted",
                [EXIT_NO_DAEMON] = "the daemon does not run, or does not answer",
                [EXIT_KERNEL_REFUSED] = "the kernel refused",
                [EXIT_LOCKED_OUT] = "you would be locked out",
        };

        return code > 0 && (size_t)code < ARRAY_SIZE(words) ? words[code] : words[EXIT_FAILED];
}

static const json_t *first_error(void) {
        for (size_t i = 0; i < json_array_size(state.messages); i++) {
                const json_t *m = json_array_get(state.messages, i);

                if (streq(json_string_value(json_object_get(m, "severity")), "error"))
                        return m;
        }
        return NULL;
}

json_t *complaint_json(int code) {
        static const char *const keys[] = {"hint", "file", "line", "column"};
        const json_t *first = first_error();
        json_t *error;

        if (code == EXIT_OK || (!first && code >= EXIT_DIFFERS))
                return NULL;
        error = json_pack("{s:s*, s:i, s:s}", "command", state.verb, "exit", code, "message",
                          first ? json_string_value(json_object_get(first, "message"))
                                : describe(code));
        for (size_t i = 0; first && i < ARRAY_SIZE(keys); i++)
                if (json_object_get(first, keys[i]))
                        (void)json_object_set(error, keys[i], json_object_get(first, keys[i]));
        if (state.messages)
                (void)json_object_set(error, "messages", state.messages);
        return error;
}

int complaint_end(int code) {
        json_t *error = state.json && !state.answered ? complaint_json(code) : NULL;

        if (error)
                (void)output_json(json_pack("{s:o}", "error", error));
        return code;
}
