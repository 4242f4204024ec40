/* Groups and their records: the canonical MessagePack of [[item, value], ...], ascending by item. */

#include "groups.h"

#include <stdlib.h>

static int append(pairs *list, pair one) {
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 64 : 2 * list->room;
        pair *larger = PyMem_Realloc(list->at, room * sizeof(pair));
        if (larger == NULL) {
            PyErr_NoMemory();
            return 0;
        }
        list->at = larger, list->room = room;
    }
    list->at[list->count++] = one;
    return 1;
}

/* --- records --------------------------------------------------------------------------------------------------- */

#define PAIR 0x92    /* an array of two */
#define FEW 0x90     /* an array of up to 15, with their number */
#define MANY 0xdc    /* an array of up to 65,535 */
#define BYTES_8 0xc4 /* byte strings by the width of their length */
#define BYTES_16 0xc5
#define BYTES_32 0xc6

/* Read one byte string in its shortest form; 0 if there is none. */
static int read_bytes(view *rest, view *bytes) {
    const uint8_t *at = rest->data;
    size_t head = 0, size = 0;
    if (rest->size >= 2 && at[0] == BYTES_8) {
        head = 2, size = at[1];
    } else if (rest->size >= 3 && at[0] == BYTES_16) {
        head = 3, size = (size_t)at[1] << 8 | at[2];
    } else if (rest->size >= 5 && at[0] == BYTES_32) {
        head = 5, size = load_u32(at + 1);
    }
    size_t shortest = size <= 0xff ? 2 : size <= 0xffff ? 3 : 5;
    if (head != shortest || rest->size - head < size) {
        return 0;
    }
    *bytes = (view){at + head, size};
    *rest = (view){at + head + size, rest->size - head - size};
    return 1;
}

static int read_count(view *rest, size_t *count) {
    const uint8_t *at = rest->data;
    size_t head = 0;
    *count = 0;
    if (rest->size >= 1 && (at[0] & 0xf0) == FEW) {
        head = 1, *count = at[0] & 0x0f;
    } else if (rest->size >= 3 && at[0] == MANY) {
        head = 3, *count = (size_t)at[1] << 8 | at[2];
    }
    *rest = (view){at + head, rest->size - head};
    return *count > 0 && head == (*count <= 15 ? 1 : 3);
}

verdict read_record(view record, pairs *items) {
    size_t count;
    items->count = 0;
    if (!read_count(&record, &count)) {
        return DAMAGED;
    }
    for (size_t i = 0; i < count; i++) {
        pair one;
        if (record.size == 0 || record.data[0] != PAIR) {
            return DAMAGED;
        }
        record.data++, record.size--;
        if (!read_bytes(&record, &one.item) || !read_bytes(&record, &one.value) || one.item.size > 0xff ||
            (i > 0 && compare(items->at[i - 1].item, one.item) >= 0)) {
            return DAMAGED;
        }
        if (!append(items, one)) {
            return FAILED;
        }
    }
    return record.size == 0 ? SOUND : DAMAGED;
}

static size_t bytes_head(size_t size) {
    return size <= 0xff ? 2 : size <= 0xffff ? 3 : 5;
}

static uint8_t *write_bytes(uint8_t *at, view bytes) {
    size_t head = bytes_head(bytes.size);
    at[0] = head == 2 ? BYTES_8 : head == 3 ? BYTES_16 : BYTES_32;
    for (size_t i = 1; i < head; i++) {
        at[i] = (uint8_t)(bytes.size >> 8 * (head - 1 - i));
    }
    memcpy(at + head, bytes.data, bytes.size);
    return at + head + bytes.size;
}

PyObject *write_record(const pairs *items) {
    size_t size = items->count == 0 ? 0 : items->count <= 15 ? 1 : 3;
    for (size_t i = 0; i < items->count; i++) {
        view item = items->at[i].item, value = items->at[i].value;
        size += 1 + bytes_head(item.size) + item.size + bytes_head(value.size) + value.size;
    }
    PyObject *record = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (record == NULL || items->count == 0) {
        return record;
    }
    uint8_t *at = (uint8_t *)PyBytes_AsString(record);
    if (items->count <= 15) {
        *at++ = (uint8_t)(FEW | items->count);
    } else {
        *at++ = MANY, *at++ = (uint8_t)(items->count >> 8), *at++ = (uint8_t)items->count;
    }
    for (size_t i = 0; i < items->count; i++) {
        *at++ = PAIR;
        at = write_bytes(at, items->at[i].item);
        at = write_bytes(at, items->at[i].value);
    }
    return record;
}

void hash_group(view group, const pairs *items, uint8_t digest[SHA256_BYTES]) {
    sha256_context whole, single;
    uint8_t size = (uint8_t)group.size;
    sha256_start(&whole);
    sha256_add(&whole, GROUP_TAG, sizeof GROUP_TAG - 1);
    sha256_add(&whole, &size, 1);
    sha256_add(&whole, group.data, group.size);
    for (size_t i = 0; i < items->count; i++) {
        view item = items->at[i].item, value = items->at[i].value;
        sha256_start(&single);
        sha256_add(&single, VALUE_TAG, sizeof VALUE_TAG - 1);
        sha256_add(&single, value.data, value.size);
        sha256_finish(&single, digest);
        size = (uint8_t)item.size;
        sha256_add(&whole, &size, 1);
        sha256_add(&whole, item.data, item.size);
        sha256_add(&whole, digest, SHA256_BYTES);
    }
    sha256_finish(&whole, digest);
}

verdict find_item(view record, view item, view *value) {
    size_t count;
    if (!read_count(&record, &count)) {
        return DAMAGED;
    }
    *value = (view){NULL, 0};
    for (size_t i = 0; i < count; i++) {
        view name, content;
        if (record.size == 0 || record.data[0] != PAIR) {
            return DAMAGED;
        }
        record.data++, record.size--;
        if (!read_bytes(&record, &name) || !read_bytes(&record, &content)) {
            return DAMAGED;
        }
        if (compare(name, item) == 0) {
            *value = content;
            break;
        }
    }
    return SOUND;
}

/* --- changes --------------------------------------------------------------------------------------------------- */

static int by_item(const void *a, const void *b) {
    return compare(((const pair *)a)->item, ((const pair *)b)->item);
}

verdict read_changes(PyObject *mapping, const limits *limit, pairs *changes) {
    PyObject *item, *value;
    Py_ssize_t place = 0;
    changes->count = 0;
    while (PyDict_Next(mapping, &place, &item, &value)) {
        pair one = {{NULL, 0}, {NULL, 0}};
        if (!view_of(item, "an item", &one.item) ||
            (value != Py_None && !view_of(value, "a value", &one.value)) || !append(changes, one)) {
            return FAILED;
        }
        if (one.value.data != NULL && (one.item.size > (size_t)limit->name_bytes ||
                                       one.value.size > (size_t)limit->value_bytes)) {
            return DAMAGED;
        }
    }
    if (changes->count > 1) {
        qsort(changes->at, changes->count, sizeof(pair), by_item);
    }
    return SOUND;
}

int merge_changes(const pairs *before, const pairs *changes, pairs *after) {
    size_t i = 0, j = 0;
    after->count = 0;
    while (i < before->count || j < changes->count) {
        int order = i == before->count    ? 1
                    : j == changes->count ? -1
                                          : compare(before->at[i].item, changes->at[j].item);
        if (order < 0 && !append(after, before->at[i])) {
            return 0;
        }
        if (order >= 0 && changes->at[j].value.data != NULL && !append(after, changes->at[j])) {
            return 0;
        }
        i += order <= 0;
        j += order >= 0;
    }
    return 1;
}
