/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/whole_state.h"

/* Registers: their bytes are known, or are bytes of what differs from packet to packet. */

void whole_put_known(Byte *registers, int8_t target, const void *data, size_t n) {
        const uint8_t *bytes = data;

        for (size_t i = 0; i < n && target >= 0; i++)
                if ((size_t)target * 4 + i < WORLD_REGISTERS * 4)
                        registers[target * 4 + i] = (Byte){.kind = BYTE_KNOWN, .known = bytes[i]};
        /* what is shorter than a register fills it with zeros */
        for (size_t i = n; i % 4 != 0 && target >= 0; i++)
                if ((size_t)target * 4 + i < WORLD_REGISTERS * 4)
                        registers[target * 4 + i] = (Byte){.kind = BYTE_KNOWN};
}

void whole_put_any(Byte *registers, int8_t target, size_t n) {
        whole_put_known(registers, target, "", 0);
        for (size_t i = 0; i < (n + 3) / 4 * 4 && target >= 0; i++)
                if ((size_t)target * 4 + i < WORLD_REGISTERS * 4)
                        registers[target * 4 + i] = (Byte){.kind = BYTE_ANY};
}

void whole_put_byte(
        Whole *x, Byte *registers, int8_t target, size_t at, int value, unsigned int index) {
        size_t i = (size_t)target * 4 + at;

        if (target >= 0 && i < WORLD_REGISTERS * 4)
                registers[i] = (Byte){.kind = BYTE_VALUE,
                                      .mask = 0xff,
                                      .value = (uint16_t)value,
                                      .index = (uint8_t)index};
}

void whole_put_value(Whole *x, Byte *registers, int8_t target, int value, size_t n) {
        whole_put_known(registers, target, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", MIN(n, 15UL));
        for (size_t i = 0; i < n; i++)
                whole_put_byte(x, registers, target, i, value, (unsigned int)i);
}

Byte *whole_register_at(Registers *r, int8_t number, size_t size) {
        if (number < 0 || (size_t)number * 4 + size > WORLD_REGISTERS * 4)
                return NULL;
        return r->bytes + number * 4;
}

void whole_bitwise(Registers *r, const WorldExpr *e) {
        Byte *from = whole_register_at(r, e->source, e->size),
             *to = whole_register_at(r, e->target, e->size);

        for (size_t i = 0; from && to && i < e->size; i++) {
                Byte b = from[i];

                if (e->shift != 0 || i >= WORLD_DATA_MAX)
                        b = (Byte){.kind = BYTE_ANY};
                else if (e->mask.bytes[i] == 0)
                        b = (Byte){.kind = BYTE_KNOWN, .known = e->data.bytes[i]};
                else if (b.kind == BYTE_KNOWN)
                        b.known = (uint8_t)((b.known & e->mask.bytes[i]) ^ e->data.bytes[i]);
                else {
                        b.flip = (uint8_t)((b.flip & e->mask.bytes[i]) ^ e->data.bytes[i]);
                        b.mask &= e->mask.bytes[i];
                }
                to[i] = b;
        }
}

void whole_byteorder(Registers *r, const WorldExpr *e) {
        Byte *from = whole_register_at(r, e->source, e->size),
             *to = whole_register_at(r, e->target, e->size);
        Byte copy[WORLD_REGISTERS * 4];

        if (!from || !to || e->unit == 0)
                return;
        memcpy(copy, from, e->size * sizeof(*from));
        for (size_t i = 0; i < e->size; i++) {
                size_t unit = i / e->unit * e->unit, mirrored = unit + e->unit - 1 - (i - unit);

                if (mirrored < e->size)
                        to[i] = copy[mirrored];
        }
}

bool whole_known_value(Registers *r, int8_t number, size_t size, uint8_t *ret) {
        const Byte *b = whole_register_at(r, number, size);

        for (size_t i = 0; b && i < size; i++) {
                if (b[i].kind != BYTE_KNOWN)
                        return false;
                ret[i] = b[i].known;
        }
        return b != NULL;
}
