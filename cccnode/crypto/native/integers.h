/* Unsigned integers in MessagePack, each in its shortest form. */

#ifndef CCCNODE_INTEGERS_H
#define CCCNODE_INTEGERS_H

#include "trees.h"

/* The integer that the bytes are; NULL without an exception if they are anything else. */
static inline PyObject *read_integer(view raw) {
    static const uint8_t widths[4] = {1, 2, 4, 8};
    uint64_t value = 0;
    if (raw.size == 1 && raw.data[0] <= 0x7f) {
        return PyLong_FromLong(raw.data[0]);
    }
    if (raw.size < 2 || raw.data[0] < 0xcc || raw.data[0] > 0xcf || raw.size != 1u + widths[raw.data[0] - 0xcc]) {
        return NULL;
    }
    for (size_t i = 1; i < raw.size; i++) {
        value = value << 8 | raw.data[i];
    }
    return PyLong_FromUnsignedLongLong(value);
}

/* The bytes of an integer. */
static inline PyObject *write_integer(uint64_t value) {
    uint8_t bytes[9];
    if (value <= 0x7f) {
        bytes[0] = (uint8_t)value;
        return PyBytes_FromStringAndSize((const char *)bytes, 1);
    }
    int power = value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= 0xffffffff ? 2 : 3, width = 1 << power;
    bytes[0] = (uint8_t)(0xcc + power);
    for (int i = 0; i < width; i++) {
        bytes[1 + i] = (uint8_t)(value >> 8 * (width - 1 - i));
    }
    return PyBytes_FromStringAndSize((const char *)bytes, 1 + width);
}

#endif
