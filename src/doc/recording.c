/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doc/recording.h"

typedef struct Replay {
        Arena *arena;
        const Recording *recording;
        const Source *source;
        Node *nodes; /* as many as were recorded */
        size_t next;
} Replay;

static int replay_node(Replay *p, const Node **ret);

static int replay_child(Replay *p, Node *parent, const Node **ret) {
        int r = replay_node(p, ret);

        if (r < 0)
                return r;
        parent->height = MAX(parent->height, (*ret)->height + 1U);
        parent->size += (*ret)->size;
        return 0;
}

static int replay_sequence(Replay *p, Node *n, uint32_t n_items) {
        const Node **items = arena_alloc_array(p->arena, n_items, sizeof(items[0]));
        int r = items ? 0 : -ENOMEM;

        n->items = items;
        n->n_items = n_items;
        for (uint32_t i = 0; i < n_items && r == 0; i++)
                r = replay_child(p, n, &items[i]);
        return r;
}

static int replay_mapping(Replay *p, Node *n, uint32_t n_entries) {
        NodeEntry *entries = arena_alloc_array(p->arena, n_entries, sizeof(entries[0]));
        int r = entries ? 0 : -ENOMEM;

        n->entries = entries;
        n->n_entries = n_entries;
        for (uint32_t i = 0; i < n_entries && r == 0; i++) {
                r = replay_node(p, &entries[i].key);
                if (r == 0)
                        r = replay_child(p, n, &entries[i].value);
        }
        return r;
}

static int replay_node(Replay *p, const Node **ret) {
        const RecordedNode *recorded = &p->recording->nodes[p->next];
        Node *n = &p->nodes[p->next++];

        *n = (Node){
                .at = {p->source, recorded->line, recorded->column, recorded->length},
                .kind = recorded->kind,
                .plain = recorded->plain,
                .size = 1,
                .height = 1,
        };
        *ret = n;
        switch (n->kind) {
        case NODE_SCALAR:
                n->text = p->recording->words + recorded->value;
                return 0;
        case NODE_SEQUENCE:
                return replay_sequence(p, n, recorded->value);
        case NODE_MAPPING:
                return replay_mapping(p, n, recorded->value);
        case _NODE_KIND_MAX:
        case _NODE_KIND_INVALID:
                break;
        }
        return -EINVAL;
}

int recording_replay(Arena *a, const Recording *recording, const Source *source, const Node **ret) {
        Replay p = {.arena = a, .recording = recording, .source = source};
        const Node *root;
        int r;

        if (!recording->text || source->size != recording->size ||
            memcmp(source->text, recording->text, source->size) != 0)
                return 0;
        p.nodes = arena_alloc_array(a, recording->n_nodes, sizeof(p.nodes[0]));
        if (!p.nodes)
                return -ENOMEM;
        r = replay_node(&p, &root);
        if (r < 0)
                return r;
        *ret = root;
        return 1;
}
