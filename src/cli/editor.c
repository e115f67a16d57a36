/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/editor.h"

#include <spawn.h>
#include <sys/wait.h>

#include "cli/complaint.h"

static const char *const usual[] = {"sensible-editor", "editor", "nano", "vi"};

/* One word: quotes and backslashes keep blanks together, as a shell has it, and nothing else has a
 * meaning. NULL if a quote does not end; *ret is behind the word. */
static char *take_word(Arena *a, const char *s, const char **ret) {
        char *word = arena_alloc(a, strlen(s) + 1), *p = word, quote = '\0';

        for (; word && *s && (quote || !strchr(" \t\n", *s)); s++) {
                if (*s == quote)
                        quote = '\0';
                else if (!quote && (*s == '\'' || *s == '"'))
                        quote = *s;
                else if (*s == '\\' && quote != '\'' && s[1])
                        *p++ = *++s;
                else
                        *p++ = *s;
        }
        *ret = s;
        return quote ? NULL : word;
}

static bool is_found(Arena *a, const char *name) {
        const char *path = getenv("PATH");

        for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
                size_t len = strcspn(p, ":");
                const char *file = arena_printf(a, "%.*s/%s", (int)len, p, name);

                if (file && access(file, X_OK) == 0)
                        return true;
                p += len + (p[len] == ':');
        }
        return false;
}

/* What was asked for, as it was asked. */
static const char *find(Arena *a, const char **ret_variable) {
        static const char *const variables[] = {"VISUAL", "EDITOR"};

        for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
                const char *given = secure_getenv(variables[i]);

                *ret_variable = variables[i];
                if (given && given[strspn(given, " \t\n")])
                        return given;
        }
        *ret_variable = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
                if (is_found(a, usual[i]))
                        return usual[i];
        return NULL;
}

static int split(Arena *a, const char *text, const char *path, char ***ret) {
        char **words = NULL, *word;
        size_t n = 0;

        for (;;) {
                text += strspn(text, " \t\n");
                if (!*text)
                        break;
                word = take_word(a, text, &text);
                if (!word)
                        return -EINVAL;
                if (!arena_append(a, words, n, word))
                        return -ENOMEM;
        }
        word = arena_strdup(a, path);
        if (!word || !arena_append(a, words, n, word))
                return -ENOMEM;
        word = NULL;
        if (!arena_append(a, words, n, word))
                return -ENOMEM;
        *ret = words;
        return 0;
}

/* Ctrl-C and Ctrl-\ are for the editor, as they are everywhere. */
static int spawn(char *const *words, const volatile sig_atomic_t *stop, int *ret_status) {
        struct sigaction ignore = {.sa_handler = SIG_IGN}, before[2];
        posix_spawnattr_t attributes;
        sigset_t usual_signals;
        pid_t pid;
        int r;

        (void)sigemptyset(&usual_signals);
        (void)sigaddset(&usual_signals, SIGINT);
        (void)sigaddset(&usual_signals, SIGQUIT);
        r = -posix_spawnattr_init(&attributes);
        if (r < 0)
                return r;
        (void)posix_spawnattr_setsigdefault(&attributes, &usual_signals);
        (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
        (void)sigaction(SIGINT, &ignore, &before[0]);
        (void)sigaction(SIGQUIT, &ignore, &before[1]);
        r = -posix_spawnp(&pid, words[0], NULL, &attributes, words, environ);
        while (r == 0 && waitpid(pid, ret_status, 0) < 0)
                if (errno != EINTR)
                        r = -errno;
                else if (*stop)
                        (void)kill(pid, *stop);
        (void)sigaction(SIGINT, &before[0], NULL);
        (void)sigaction(SIGQUIT, &before[1], NULL);
        (void)posix_spawnattr_destroy(&attributes);
        return r;
}

int editor_run(Arena *a, const char *verb, const char *path, const volatile sig_atomic_t *stop) {
        const char *variable, *text = find(a, &variable);
        char **words;
        int status = 0, r;

        if (!text) {
                complain(verb, "there is no editor: set EDITOR");
                return 1;
        }
        r = split(a, text, path, &words);
        if (r == -EINVAL) {
                complain(verb, "a quotation does not end in %s: %s", variable, text);
                return 1;
        }
        fflush(stdout);
        if (r == 0)
                r = spawn(words, stop, &status);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                complain(verb, "the editor '%s' cannot be started: %s", words[0], strerror(-r));
        else if (WIFSIGNALED(status))
                complain(verb, "the editor '%s' was ended by signal %d", words[0],
                         WTERMSIG(status));
        else if (WEXITSTATUS(status) != 0)
                complain(verb, "the editor '%s' failed: exit status %d", words[0],
                         WEXITSTATUS(status));
        return r < 0 || status != 0;
}
