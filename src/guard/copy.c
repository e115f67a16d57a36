/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/copy.h"

#include "nft/networks.h"
#include "proof/claim.h"
#include "ruleset/image.h"

static const char *first_error(const Diag *d) {
        for (size_t i = 0; i < d->n_messages; i++)
                if (d->messages[i].severity == DIAG_ERROR)
                        return d->messages[i].text;
        return "";
}

static int keep_texts(Arena *a, const PolicyTexts *from, PolicyTexts *ret) {
        Source *sources = arena_alloc_array(a, MAX(from->n_sources, 1UL), sizeof(*sources));
        PolicyOwner *owners = arena_alloc_array(a, MAX(from->n_owners, 1UL), sizeof(*owners));

        if (!sources || !owners)
                return -ENOMEM;
        for (size_t i = 0; i < from->n_sources; i++) {
                sources[i] = from->sources[i];
                sources[i].name = arena_strdup(a, from->sources[i].name);
                sources[i].text = arena_strndup(a, from->sources[i].text, sources[i].size);
                if (!sources[i].name || !sources[i].text)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < from->n_owners; i++) {
                owners[i] = from->owners[i];
                owners[i].name = arena_strdup(a, from->owners[i].name);
                if (!owners[i].name)
                        return -ENOMEM;
        }
        *ret = *from;
        ret->sources = sources;
        ret->owners = owners;
        return 0;
}

static int compile(const StoreContent *content,
                   const KernelFeatures *features,
                   Arena *a,
                   Ruleset **ret,
                   Diag *d) {
        PolicyTexts *texts = arena_new0(a, PolicyTexts); /* the rules point into them */
        const PolicyPaths paths = {.networks = networks_read, .texts = texts};
        ClaimReport claims;
        Policy *policy;
        int r = texts ? keep_texts(a, &content->texts, texts) : -ENOMEM;

        if (r == 0)
                r = policy_load(a, &paths, &policy, d);
        if (r == 0)
                r = ruleset_compile(policy, features, NULL, a, ret, d);
        if (r == 0)
                r = claim_check(policy, *ret, &claims, d);
        return r == -EPROTO ? -EBADMSG : r; /* told in d */
}

int copy_compile(const StoreContent *content,
                 const KernelFeatures *features,
                 const char *why,
                 Arena *a,
                 Ruleset **ret,
                 Diag *d) {
        /* what else is wrong already must not count as a mistake of these texts */
        Diag *own = diag_new(a);
        int r = own ? compile(content, features, a, ret, own) : -ENOMEM;

        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return diag_error(d, (Span){0}, "%s; its texts cannot be compiled anew: %s", why,
                                  own->n_errors > 0 ? first_error(own) : strerror(-r));
        diag_warning(d, (Span){0}, "%s: its texts were compiled anew", why);
        return 0;
}

/* What this kernel can do beyond the image does not matter; what the image leaves to a kernel that
 * cannot do it, does. */
static const char *find_misfit(const KernelFeatures *image, const KernelFeatures *kernel) {
        if (image->fib_in_filter && !kernel->fib_in_filter)
                return "this policy was compiled for another kernel";
        if (kernel->own_source_routed && !image->own_source_routed)
                return "this policy was compiled for a host without accept_local";
        return NULL;
}

int copy_read(const StoreContent *content,
              const KernelFeatures *features,
              Arena *a,
              Ruleset **ret,
              Diag *d) {
        Diag *own = diag_new(a);
        KernelFeatures compiled_for = {0};
        const char *why;
        int r = own ? ruleset_read_image(a, content->image, content->image_size, ret, &compiled_for,
                                         own)
                    : -ENOMEM;

        if (r < 0 && r != -EBADMSG)
                return r;
        why = r == 0 ? find_misfit(&compiled_for, features) : first_error(own);
        return why ? copy_compile(content, features, why, a, ret, d) : 0;
}
