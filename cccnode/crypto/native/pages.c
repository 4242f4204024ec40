/* Pages: making, hashing and reading them. */

#include "pages.h"

#include "groups.h"

int next_entry(view *rest, entry *result) {
    if (rest->size < 1 || rest->size < (size_t)1 + rest->data[0] + SHA256_BYTES + 4) {
        return 0;
    }
    result->start = rest->data;
    result->group = (view){rest->data + 1, rest->data[0]};
    result->listed = 1 + result->group.size + SHA256_BYTES;
    size_t head = result->listed + 4, size = load_u32(rest->data + result->listed);
    if (rest->size - head < size) {
        return 0;
    }
    result->record = (view){rest->data + head, size};
    result->size = head + size;
    *rest = (view){rest->data + result->size, rest->size - result->size};
    return 1;
}

size_t entry_size(view group, size_t record_size) {
    return 1 + group.size + SHA256_BYTES + 4 + record_size;
}

void write_entry(uint8_t *at, view group, const uint8_t digest[SHA256_BYTES], view record) {
    *at++ = (uint8_t)group.size;
    memcpy(at, group.data, group.size);
    memcpy(at + group.size, digest, SHA256_BYTES);
    at += group.size + SHA256_BYTES;
    store_u32(at, (uint32_t)record.size);
    memcpy(at + 4, record.data, record.size);
}

size_t write_listing(uint8_t *at, int depth, uint32_t bucket, view page) {
    entry one;
    memcpy(at, BUCKET_TAG, sizeof BUCKET_TAG - 1);
    at[sizeof BUCKET_TAG - 1] = (uint8_t)depth;
    store_u32(at + sizeof BUCKET_TAG, bucket);
    size_t size = LISTING_HEAD;
    while (page.size > 0) {
        if (!next_entry(&page, &one)) {
            return 0;
        }
        memcpy(at + size, one.start, one.listed);
        size += one.listed;
    }
    return size;
}

uint32_t bucket_of(int depth, view group) {
    uint8_t digest[SHA256_BYTES];
    sha256(group.data, group.size, digest);
    return load_u32(digest) >> (32 - depth);
}

/* One row of a stored bucket; DAMAGED unless it is (group, record) as a node writes them, after the group `before`. */
static verdict read_row(PyObject *row, view before, view *group, view *record, pairs *items) {
    if (!PyTuple_Check(row) || PyTuple_Size(row) != 2) {
        PyErr_SetString(PyExc_TypeError, "rows must be a list of (group, record)");
        return FAILED;
    }
    if (!view_of(PyTuple_GetItem(row, 0), "a group", group) || !view_of(PyTuple_GetItem(row, 1), "a record", record)) {
        return FAILED;
    }
    if (group->size < 1 || group->size > 0xff || record->size > UINT32_MAX || compare(before, *group) >= 0) {
        return DAMAGED;
    }
    return read_record(*record, items);
}

/* make_page(rows) -> the page of a bucket with these (group, record); ValueError if no node has written them */
FASTCALL(kernel_make_page) {
    (void)module;
    if (!counted("make_page", count, 1)) {
        return NULL;
    }
    PyObject *rows = PySequence_Tuple(arguments[0]); /* which nobody else can change */
    if (rows == NULL) {
        return NULL;
    }
    pairs items = {NULL, 0, 0};
    verdict found = SOUND;
    view before = {(const uint8_t *)"", 0}, group, record;
    size_t size = 0;
    Py_ssize_t number = PyTuple_Size(rows);
    for (Py_ssize_t i = 0; found == SOUND && i < number; i++, before = group) {
        found = read_row(PyTuple_GetItem(rows, i), before, &group, &record, &items);
        size += found == SOUND ? entry_size(group, record.size) : 0;
    }
    if (found == DAMAGED) {
        PyErr_SetString(PyExc_ValueError, "not the groups of a bucket");
    }
    PyObject *page = found == SOUND ? PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size) : NULL;
    uint8_t *at = page == NULL ? NULL : (uint8_t *)PyBytes_AsString(page);
    before = (view){(const uint8_t *)"", 0};
    for (Py_ssize_t i = 0; page != NULL && i < number; i++, before = group) {
        uint8_t digest[SHA256_BYTES];
        if (read_row(PyTuple_GetItem(rows, i), before, &group, &record, &items) != SOUND) {
            Py_CLEAR(page); /* no memory: it was sound before */
            break;
        }
        hash_group(group, &items, digest);
        write_entry(at, group, digest, record);
        at += entry_size(group, record.size);
    }
    PyMem_Free(items.at);
    Py_DECREF(rows);
    return page;
}

/* page_hash(depth, bucket, page) -> the hash of the bucket; b"" is the page of an empty one */
FASTCALL(kernel_page_hash) {
    (void)module;
    view page;
    int depth;
    if (!counted("page_hash", count, 3) || (depth = depth_of(arguments[0])) == 0 ||
        !view_of(arguments[2], "a page", &page)) {
        return NULL;
    }
    unsigned long bucket = PyLong_AsUnsignedLong(arguments[1]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    uint8_t digest[SHA256_BYTES], *listing = PyMem_Malloc(LISTING_HEAD + page.size);
    if (listing == NULL) {
        return PyErr_NoMemory();
    }
    size_t size = bucket >> depth == 0 ? write_listing(listing, depth, (uint32_t)bucket, page) : 0;
    sha256(listing, size, digest);
    PyMem_Free(listing);
    if (size == 0) {
        PyErr_SetString(PyExc_ValueError, "no page of such a bucket");
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)digest, SHA256_BYTES);
}

/* Whether a bucket has groups, by the byte array that says so; -1 with an exception. */
static int is_occupied(PyObject *occupied, int depth, uint32_t bucket) {
    Py_buffer bytes;
    if (PyObject_GetBuffer(occupied, &bytes, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    int result = -1;
    if (bytes.len == (Py_ssize_t)1 << depth) {
        result = ((const uint8_t *)bytes.buf)[bucket] != 0;
    } else {
        PyErr_SetString(PyExc_ValueError, "occupied has one byte for each bucket");
    }
    PyBuffer_Release(&bytes);
    return result;
}

int take_held(PyObject *held, PyObject **pages, PyObject **occupied) {
    if (!PyTuple_Check(held)) {
        PyErr_SetString(PyExc_TypeError, "held must be a tuple");
        return 0;
    }
    return PyArg_ParseTuple(held, "O!O;held is (pages, occupied)", &PyDict_Type, pages, occupied);
}

/* The page of a bucket, borrowed from the dictionary and empty if the bucket is.  0 with an exception otherwise:
 * KeyError(bucket) if it must be cached first. */
static int find_page(PyObject *pages, PyObject *occupied, int depth, uint32_t bucket, view *page) {
    PyObject *number = PyLong_FromUnsignedLong(bucket);
    PyObject *found = number == NULL ? NULL : PyDict_GetItemWithError(pages, number);
    int there = 0;
    if (found != NULL) {
        there = view_of(found, "a page", page);
    } else if (!PyErr_Occurred()) {
        int full = is_occupied(occupied, depth, bucket);
        *page = (view){(const uint8_t *)"", 0};
        there = full == 0;
        if (full > 0) {
            PyErr_SetObject(PyExc_KeyError, number);
        }
    }
    Py_XDECREF(number);
    return there;
}

int find_record(PyObject *pages, PyObject *occupied, int depth, view group, view *record) {
    view rest;
    if (!find_page(pages, occupied, depth, bucket_of(depth, group), &rest)) {
        return 0;
    }
    *record = (view){(const uint8_t *)"", 0};
    entry one;
    while (rest.size > 0) {
        if (!next_entry(&rest, &one)) {
            PyErr_SetString(PyExc_ValueError, "not a page");
            return 0;
        }
        int order = compare(one.group, group);
        if (order == 0) {
            *record = one.record;
        }
        if (order >= 0) {
            break;
        }
    }
    return 1;
}

/* The record that the arguments of the next two functions name. */
static int find_named(PyObject *const *arguments, view *record) {
    int depth = depth_of(arguments[0]);
    PyObject *pages, *occupied;
    view group;
    return depth != 0 && view_of(arguments[2], "a group", &group) && take_held(arguments[1], &pages, &occupied) &&
           find_record(pages, occupied, depth, group, record);
}

/* read_record(depth, held, group) -> the record, or None */
FASTCALL(kernel_read_record) {
    (void)module;
    view record;
    if (!counted("read_record", count, 3) || !find_named(arguments, &record)) {
        return NULL;
    }
    return record.size == 0 ? Py_NewRef(Py_None)
                            : PyBytes_FromStringAndSize((const char *)record.data, (Py_ssize_t)record.size);
}

/* read_item(depth, held, group, item) -> the value, or None */
FASTCALL(kernel_read_item) {
    (void)module;
    view record, item, value = {NULL, 0};
    if (!counted("read_item", count, 4) || !view_of(arguments[3], "an item", &item) || !find_named(arguments, &record)) {
        return NULL;
    }
    if (record.size > 0 && find_item(record, item, &value) != SOUND) {
        PyErr_SetString(PyExc_ValueError, "not the record of a group");
        return NULL;
    }
    return value.data == NULL ? Py_NewRef(Py_None)
                              : PyBytes_FromStringAndSize((const char *)value.data, (Py_ssize_t)value.size);
}
