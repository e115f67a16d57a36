/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/input.h"

#include "cli/complaint.h"
#include "cli/output.h"
#include "nft/networks.h"
#include "policy/datadir.h"
#include "proof/effect.h"

int input_failed(int error, const char *what) {
        complain(NULL, "%s: %s", what, strerror(-error));
        return error == -EPERM || error == -EACCES ? EXIT_NOT_PERMITTED : EXIT_FAILED;
}

void input_print_messages(Input *input) {
        Diag rest;

        if (!input->diag || input->quiet)
                return;
        rest = *input->diag;
        if (rest.messages)
                rest.messages += input->n_printed;
        rest.n_messages -= input->n_printed;
        complain_diag(&rest);
        input->n_printed = input->diag->n_messages;
}

static int load(Input *input, const char *file) {
        PolicyPaths paths = {.policy = file,
                             .of_root = input->of_root,
                             .networks = networks_read,
                             .draft = input->draft};
        const char *datadir;
        int r;

        input->arena = arena_new(0);
        input->diag = input->arena ? diag_new(input->arena) : NULL;
        datadir = input->diag ? datadir_find(input->arena) : NULL;
        paths.catalogue = datadir ? arena_printf(input->arena, "%s/catalogue.yaml", datadir) : NULL;
        if (!paths.catalogue)
                return input_failed(-ENOMEM, "reading the policy");
        r = policy_load(input->arena, &paths, &input->policy, input->diag);
        if (r == -ENOENT && file && streq(file, POLICY_FILE_DEFAULT))
                diag_hint(input->diag, "write your policy there ('ringwall init' begins one), or "
                                       "name another file");
        input_print_messages(input);
        if (r == -EACCES)
                return EXIT_NOT_PERMITTED;
        if (r == -ENOMEM)
                return input_failed(r, "reading the policy");
        return r < 0 ? EXIT_INVALID : EXIT_OK;
}

int input_load(Input *input, const char *file) {
        return load(input, file ? file : POLICY_FILE_DEFAULT);
}

int input_load_catalogue(Input *input) {
        return load(input, NULL);
}

static int check_claims(Input *input) {
        int r = claim_check(input->policy, input->ruleset, &input->claims, input->diag);

        input_print_messages(input);
        if (r == -EBADMSG)
                return EXIT_INVALID;
        if (r == -EPROTO) /* told already */
                return EXIT_FAILED;
        return r < 0 ? input_failed(r, "proving what the policy claims") : EXIT_OK;
}

int input_compile_loaded(Input *input, const char *stop_after, const KernelFeatures *features) {
        static const KernelFeatures all = {.fib_in_filter = true};
        bool advise = !stop_after && !input->unadvised;
        int r = advise ? effect_check(input->policy, input->diag) : 0;

        if (r < 0)
                return input_failed(r, "looking for rules without effect");
        r = ruleset_compile(input->policy, features ? features : &all, stop_after, input->arena,
                            &input->ruleset, input->diag);
        input_print_messages(input);
        if (r == -ENOENT) {
                const char *names = "lower";

                for (size_t i = 0; i < n_passes && names; i++)
                        names = arena_printf(input->arena, "%s, %s", names, passes[i].name);
                complain("check", "there is no pass '%s'; the passes are: %s", stop_after,
                         names ? names : "");
                return EXIT_USAGE;
        }
        if (r == -EBADMSG)
                return EXIT_FAILED;
        if (r < 0)
                return input_failed(r, "compiling the policy");
        return stop_after ? EXIT_OK : check_claims(input);
}

int input_compile(Input *input, const char *file, const char *stop_after) {
        int r = input_load(input, file);

        return r == EXIT_OK ? input_compile_loaded(input, stop_after, NULL) : r;
}

void input_done(Input *input) {
        input->arena = arena_free(input->arena);
}

void input_load_names(Input *input) {
        input->quiet = true;
        if (access(POLICY_FILE_DEFAULT, R_OK) == 0 && input_load(input, NULL) == EXIT_OK)
                return;
        input_done(input);
        *input = (Input){.quiet = true};
        if (input_load_catalogue(input) != EXIT_OK)
                input->policy = NULL;
}
