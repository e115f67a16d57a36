/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/apply.h"

#include <linux/netfilter/nf_tables.h>

#include "nft/encode.h"

/* What the message was about, as a person would say it. */
static const char *describe(Arena *a, const NftSubject *s) {
        static const char *const without_name[_SUBJECT_MAX] = {
                [SUBJECT_TABLE] = "the table",
                [SUBJECT_CHAIN] = "a chain",
                [SUBJECT_RULE] = "a rule",
                [SUBJECT_SET] = "the set of a rule",
                [SUBJECT_ELEMENTS] = "the elements of a rule's set",
                [SUBJECT_LIMIT] = "a limit",
        };
        static const char *const with_name[_SUBJECT_MAX] = {
                [SUBJECT_TABLE] = "table",
                [SUBJECT_CHAIN] = "chain",
                [SUBJECT_RULE] = "a rule of chain",
                [SUBJECT_SET] = "set",
                [SUBJECT_ELEMENTS] = "elements of set",
                [SUBJECT_LIMIT] = "limit",
        };
        const char *removes, *text;

        if (!s)
                return "the transaction";
        removes = s->removes ? "the removal of " : "";
        if (s->name)
                text = arena_printf(a, "%s%s %s", removes, with_name[s->kind], s->name);
        else
                text = arena_printf(a, "%s%s", removes, without_name[s->kind]);
        return text ? text : without_name[s->kind];
}

static void add_hint(Diag *d, int error) {
        switch (error) {
        case -EPERM:
                diag_hint(d, "this needs the capability CAP_NET_ADMIN, and no other program may "
                             "own the table inet " RULESET_TABLE);
                return;
        case -ENOENT:
        case -EOPNOTSUPP:
        case -EPROTONOSUPPORT:
                diag_hint(d, "the running kernel may lack a part of nf_tables, or the module "
                             "of it");
                return;
        case -ENOMEM:
        case -ENOBUFS:
                diag_hint(d, "the kernel has too little memory for these rules");
                return;
        }
}

static void report(const NftBatch *b, const NftError *e, Diag *d) {
        const NftSubject *s = nft_batch_subject(b, e->sequence);
        const Origin *origin = s ? s->origin : NULL;
        const Element *element = NULL;

        if (s && s->kind == SUBJECT_ELEMENTS)
                element = encode_element_at(b, s, e->offset);
        if (element && (element->origin.at.source || element->origin.text))
                origin = &element->origin;
        (void)diag_error(
                d, origin ? origin->at : (Span){0}, "the kernel refused %s%s%s%s: %s%s%s%s",
                describe(d->arena, s), origin && origin->text ? " (" : "",
                origin && origin->text ? origin->text : "", origin && origin->text ? ")" : "",
                strerror(-e->error), e->text[0] ? " (" : "", e->text, e->text[0] ? ")" : "");
        add_hint(d, e->error);
}

/* Tells of everything that was refused; the errno for the caller. */
static int report_all(const NftBatch *b, const NftOutcome *outcome, Diag *d) {
        size_t kept = MIN(outcome->n_errors, (size_t)NFT_ERRORS_MAX);
        int r = -EBADMSG;

        for (size_t i = 0; i < kept; i++) {
                report(b, &outcome->errors[i], d);
                if (outcome->errors[i].error == -EPERM)
                        r = -EPERM;
        }
        d->n_errors += outcome->n_errors - kept;
        return r;
}

static int refuse_owned(const NftLink *link, const Ruleset *live, Diag *d) {
        if (!(live->flags & NFT_TABLE_F_OWNER) || live->owner == nft_link_port(link))
                return 0;
        (void)diag_error(d, (Span){0},
                         "another program owns the table inet " RULESET_TABLE " (netlink port %u)",
                         live->owner);
        diag_hint(d, "ask that program, or stop it first");
        return -EPERM;
}

/* Nothing but chains that are to go, and that something leads to. */
static bool chains_are_busy(const NftBatch *b, const NftOutcome *outcome) {
        for (size_t i = 0; i < MIN(outcome->n_errors, (size_t)NFT_ERRORS_MAX); i++) {
                const NftSubject *s = nft_batch_subject(b, outcome->errors[i].sequence);

                if (!s || s->kind != SUBJECT_CHAIN || !s->removes ||
                    outcome->errors[i].error != -EBUSY)
                        return false;
        }
        return true;
}

/* As nft_apply(); 1: chains are busy, nothing has changed, and nothing was said of it. */
static int apply(NftLink *link,
                 const Ruleset *live,
                 const Ruleset *desired,
                 bool empties_maps,
                 NftChanges *ret,
                 Diag *d) {
        _cleanup_(nft_batch_freep) NftBatch *b = NULL;
        NftChanges changes = {0};
        NftOutcome outcome;
        int r;

        b = nft_batch_new(nft_link_sequence(link), live->generation);
        if (!b)
                return -ENOMEM;
        r = difference_encode(b, live, desired, empties_maps, &changes);
        if (r < 0 || b->error < 0)
                return r < 0 ? r : b->error;
        if (changes.messages > 0) {
                r = refuse_owned(link, live, d);
                if (r == 0)
                        r = nft_batch_end(b, true);
                if (r == 0)
                        r = nft_link_send(link, b, &outcome);
                if (r > 0)
                        return !empties_maps && chains_are_busy(b, &outcome)
                                       ? 1
                                       : report_all(b, &outcome, d);
                if (r < 0)
                        return r;
        }
        *ret = changes;
        return 0;
}

/* As it is, whatever that is: nothing that it holds can let in more than a table that sleeps does.
 * live becomes what there is then, if nobody comes in between. */
static int wake(NftLink *link, Ruleset *live, const Ruleset *desired, Diag *d) {
        _cleanup_(nft_batch_freep) NftBatch *b =
                nft_batch_new(nft_link_sequence(link), live->generation);
        NftOutcome outcome;
        int r = b ? refuse_owned(link, live, d) : -ENOMEM;

        if (r < 0)
                return r;
        difference_encode_wake(b, live, desired);
        r = b->error < 0 ? b->error : nft_batch_end(b, true);
        if (r == 0)
                r = nft_link_send(link, b, &outcome);
        if (r > 0)
                return report_all(b, &outcome, d);
        if (live->flags & NFT_TABLE_F_OWNER)
                live->owner = nft_link_port(link);
        if (live->generation != 0) /* 0 is passed over */
                live->generation = MAX(live->generation + 1, 1U);
        return r;
}

int nft_apply(
        NftLink *link, const Ruleset *live, const Ruleset *desired, NftChanges *ret, Diag *d) {
        Ruleset woken = *live;
        int r = difference_wakes_first(live, desired);

        if (r > 0) {
                r = wake(link, &woken, desired, d);
                live = &woken;
        }
        if (r < 0)
                return r;
        r = apply(link, live, desired, false, ret, d);

        /* Before Linux 6.5 and 6.1.36 ("drop map element references from preparation phase") a map
         * that is deleted leads to its chains until the commit, and these cannot be removed. Only
         * there are the elements taken out first; remove_set() tells why not everywhere. */
        return r > 0 ? apply(link, live, desired, true, ret, d) : r;
}

int nft_replace(
        NftLink *link, const Ruleset *live, const Ruleset *desired, NftChanges *ret, Diag *d) {
        _cleanup_(nft_batch_freep) NftBatch *b =
                nft_batch_new(nft_link_sequence(link), live->generation);
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const Ruleset *nothing = a ? ruleset_new(a) : NULL;
        NftChanges changes = {0};
        NftOutcome outcome;
        int r = b && nothing ? refuse_owned(link, live, d) : -ENOMEM;

        if (r < 0)
                return r;
        encode_delete_table(b);
        r = difference_encode(b, nothing, desired, false, &changes);
        if (r == 0)
                r = nft_batch_end(b, true);
        if (r == 0)
                r = nft_link_send(link, b, &outcome);
        if (r > 0)
                return report_all(b, &outcome, d);
        if (r == 0)
                *ret = changes;
        return r;
}

/* 1: refused, which is told of if d is given. */
static int apply_blind(NftLink *link, const Ruleset *desired, bool is_there, Diag *d) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(nft_link_sequence(link), 0);
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const Ruleset *nothing = a ? ruleset_new(a) : NULL;
        NftChanges changes = {0};
        NftOutcome outcome;
        int r = b && nothing ? 0 : -ENOMEM;

        if (r == 0 && is_there)
                difference_encode_refill(b, desired);
        else if (r == 0)
                r = difference_encode(b, nothing, desired, false, &changes);
        if (r == 0)
                r = nft_batch_end(b, true);
        if (r == 0)
                r = nft_link_send(link, b, &outcome);
        return r > 0 && d ? report_all(b, &outcome, d) : r;
}

int nft_apply_blind(NftLink *link, const Ruleset *desired, Diag *d) {
        int r = apply_blind(link, desired, true, NULL);

        return r > 0 ? apply_blind(link, desired, false, d) : r;
}

int nft_delete(NftLink *link, bool *ret_was_there, Diag *d) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(nft_link_sequence(link), 0);
        NftOutcome outcome;
        int r;

        if (!b)
                return -ENOMEM;
        encode_delete_table(b);
        r = nft_batch_end(b, true);
        if (r == 0)
                r = nft_link_send(link, b, &outcome);
        if (r < 0)
                return r;
        if (r > 0 && outcome.errors[0].error != -ENOENT)
                return report_all(b, &outcome, d);
        *ret_was_there = r == 0;
        return 0;
}

int nft_write_batch(const Ruleset *rs, NftBytes *ret, uint32_t *ret_last) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(1, 0);
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const Ruleset *nothing = a ? ruleset_new(a) : NULL;
        NftChanges changes = {0};
        struct nlmsghdr *table;
        int r = b && nothing ? difference_encode(b, nothing, rs, false, &changes) : -ENOMEM;

        if (r == 0)
                r = nft_batch_end(b, true);
        if (r < 0)
                return r;
        if (b->n_subjects == 0 || b->subjects[0].kind != SUBJECT_TABLE)
                return -EINVAL;
        table = (void *)(b->bytes.data + b->subjects[0].offset);
        table->nlmsg_flags |= NLM_F_EXCL;
        *ret_last = nft_batch_last_sequence(b);
        return nft_bytes_append(ret, b->bytes.data, b->bytes.size);
}
