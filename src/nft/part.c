/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/part.h"

#include <linux/netfilter/nf_tables.h>

#include "nft/decode.h"
#include "nft/large_set.h"

typedef struct PartRead {
        NftLink *link;
        NftBytes bytes;
        const Ruleset *known;
        const Touched *touched;
        bool steady;
} PartRead;

static int dump(PartRead *p, uint16_t type, const char *of) {
        int r = nft_link_dump(p->link, type, RULESET_TABLE, of, &p->bytes);

        /* gone, as another answer says, too; or of two generations */
        return r == -ENOENT || (r == -EINTR && !p->steady) ? 0 : r;
}

static int read_chains(PartRead *p) {
        const TouchedNames *of = &p->touched->of[TOUCHED_CHAIN];
        int r = 0;

        if (of->all) {
                r = dump(p, NFT_MSG_GETCHAIN, NULL);
                return r == 0 ? dump(p, NFT_MSG_GETRULE, NULL) : r;
        }
        for (size_t i = 0; i < of->n && r == 0; i++) {
                r = nft_link_get(p->link, NFT_MSG_GETCHAIN, NFTA_CHAIN_NAME, of->names[i],
                                 &p->bytes);
                if (r == 0)
                        r = dump(p, NFT_MSG_GETRULE, of->names[i]);
        }
        return r;
}

/* To fill it anew takes less than to list it. */
static bool is_large(const PartRead *p, const char *name) {
        const Set *known = ruleset_find_set(p->known, name);

        return known && large_set_is(known);
}

static int read_elements(const char *name, void *userdata) {
        return is_large(userdata, name) ? 0 : dump(userdata, NFT_MSG_GETSETELEM, name);
}

/* The sets and, but for those that the kernel fills itself, what is in them. */
static int read_set(const char *name, void *userdata) {
        _cleanup_(nft_bytes_done) NftBytes found = {0};
        PartRead *p = userdata;
        int r = nft_link_get(p->link, NFT_MSG_GETSET, NFTA_SET_NAME, name, &found);

        if (r < 0 || found.size == 0)
                return r;
        r = nft_bytes_append(&p->bytes, found.data, found.size);
        return r == 0 ? decode_set_names(found.data, found.size, read_elements, p) : r;
}

static int read_all_sets(PartRead *p) {
        _cleanup_(nft_bytes_done) NftBytes found = {0};
        int r = nft_link_dump(p->link, NFT_MSG_GETSET, RULESET_TABLE, NULL, &found);

        if (r < 0 || found.size == 0)
                return r == -ENOENT ? 0 : r;
        r = nft_bytes_append(&p->bytes, found.data, found.size);
        return r == 0 ? decode_set_names(found.data, found.size, read_elements, p) : r;
}

static int add_name(const char *name, void *userdata) {
        touched_add(userdata, TOUCHED_SET, name);
        return 0;
}

/* Those that were touched, and those without a name that rules make use of. */
static int read_sets(PartRead *p) {
        Touched wanted = {.of[TOUCHED_SET] = p->touched->of[TOUCHED_SET]};
        const TouchedNames *of = &wanted.of[TOUCHED_SET];
        int r = 0;

        if (p->bytes.size > 0)
                (void)decode_sets_of_rules(p->bytes.data, p->bytes.size, add_name, &wanted);
        if (of->all)
                return read_all_sets(p);
        for (size_t i = 0; i < of->n && r == 0; i++)
                r = read_set(of->names[i], p);
        return r;
}

/* The table itself, if it is there. */
static int read_table(PartRead *p, Arena *a, bool *ret_exists) {
        Ruleset *rs;
        int r = nft_link_get(p->link, NFT_MSG_GETTABLE, NFTA_TABLE_NAME, RULESET_TABLE, &p->bytes);

        *ret_exists = false;
        if (r < 0 || p->bytes.size == 0)
                return r;
        r = decode_ruleset(a, p->bytes.data, p->bytes.size, &rs);
        if (r == 0)
                *ret_exists = rs->exists;
        return r;
}

static int read_all(PartRead *p, Arena *a) {
        bool exists = false;
        int r = read_table(p, a, &exists);

        if (r == 0 && exists)
                r = read_chains(p);
        if (r == 0 && exists)
                r = read_sets(p);
        return r == 0 && exists ? dump(p, NFT_MSG_GETOBJ, NULL) : r;
}

static int read_steadily(PartRead *p, Arena *a, uint32_t *ret_generation) {
        uint32_t before;
        int r = nft_link_generation(p->link, &before);

        if (r == 0)
                r = read_all(p, a);
        if (r == 0)
                r = nft_link_generation(p->link, ret_generation);
        return r == 0 && before != *ret_generation ? -EAGAIN : r;
}

int part_read(NftLink *link,
              Arena *a,
              const Ruleset *known,
              const Touched *touched,
              bool steady,
              Ruleset **ret) {
        PartRead p = {.link = link, .known = known, .touched = touched, .steady = steady};
        uint32_t generation = 0;
        int r = steady ? read_steadily(&p, a, &generation) : read_all(&p, a);

        if (r == 0)
                r = decode_part(a, p.bytes.size > 0 ? (const void *)p.bytes.data : "", p.bytes.size,
                                known, ret);
        if (r == 0)
                (*ret)->generation = generation;
        for (size_t i = 0; r == 0 && i < (*ret)->n_sets; i++)
                (*ret)->sets[i]->is_unlisted = is_large(&p, (*ret)->sets[i]->name);
        nft_bytes_done(&p.bytes);
        return r == -EINTR ? -EAGAIN : r;
}

/* Adds those chains and sets of rs that were touched, or those that were not. */
static int add(Ruleset *to, const Ruleset *rs, const Touched *touched, bool were) {
        for (size_t i = 0; i < rs->n_chains; i++)
                if (touched_has(touched, TOUCHED_CHAIN, rs->chains[i]->name) == were &&
                    !arena_append(to->arena, to->chains, to->n_chains, rs->chains[i]))
                        return -ENOMEM;
        for (size_t i = 0; i < rs->n_sets; i++)
                if (touched_has(touched, TOUCHED_SET, rs->sets[i]->name) == were &&
                    !arena_append(to->arena, to->sets, to->n_sets, rs->sets[i]))
                        return -ENOMEM;
        return 0;
}

Ruleset *part_of(Arena *a, const Ruleset *rs, const Touched *touched) {
        Ruleset *part = ruleset_new(a);

        if (!part || add(part, rs, touched, true) < 0)
                return NULL;
        part->flags = rs->flags;
        part->limits = rs->limits;
        part->n_limits = rs->n_limits;
        return part;
}

int part_complete(Ruleset *live, const Ruleset *known, const Touched *touched) {
        return live->exists ? add(live, known, touched, false) : 0;
}
