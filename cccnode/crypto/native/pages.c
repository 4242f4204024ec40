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

int are_pages(PyObject *pages, int depth) {
    if (!PyList_Check(pages)) {
        PyErr_SetString(PyExc_TypeError, "pages must be a list");
        return 0;
    }
    if (PyList_Size(pages) != (Py_ssize_t)1 << depth) {
        PyErr_SetString(PyExc_ValueError, "pages has one place for each bucket");
        return 0;
    }
    return 1;
}

/* The page of a bucket, borrowed from the list.  0 with an exception otherwise: KeyError(bucket) if it must be cached
 * first. */
static int find_page(PyObject *pages, uint32_t bucket, view *page) {
    PyObject *found = PyList_GetItem(pages, (Py_ssize_t)bucket);
    if (found == NULL) {
        return 0;
    }
    if (found != Py_None) {
        return view_of(found, "a page", page);
    }
    PyObject *number = PyLong_FromUnsignedLong(bucket);
    if (number != NULL) {
        PyErr_SetObject(PyExc_KeyError, number);
        Py_DECREF(number);
    }
    return 0;
}

int find_record(PyObject *pages, int depth, view group, view *record) {
    view rest;
    if (!find_page(pages, bucket_of(depth, group), &rest)) {
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
    view group;
    return depth != 0 && view_of(arguments[2], "a group", &group) && are_pages(arguments[1], depth) &&
           find_record(arguments[1], depth, group, record);
}

/* read_record(depth, pages, group) -> the record, or None */
FASTCALL(kernel_read_record) {
    (void)module;
    view record;
    if (!counted("read_record", count, 3) || !find_named(arguments, &record)) {
        return NULL;
    }
    return record.size == 0 ? Py_NewRef(Py_None)
                            : PyBytes_FromStringAndSize((const char *)record.data, (Py_ssize_t)record.size);
}

/* read_item(depth, pages, group, item) -> the value, or None */
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

/* Put one page in its place, and note its bucket if it becomes empty or stops being so; 0 with an exception. */
static int put_page(PyObject *pages, uint32_t bucket, PyObject *page, PyObject *moved) {
    PyObject *before = PyList_GetItem(pages, (Py_ssize_t)bucket);
    view old = {NULL, 0}, new;
    if (before == NULL || !view_of(page, "a page", &new) || (before != Py_None && !view_of(before, "a page", &old))) {
        return 0;
    }
    if ((old.size > 0) != (new.size > 0)) {
        PyObject *number = PyLong_FromUnsignedLong(bucket);
        int noted = number != NULL && PyList_Append(moved, number) == 0;
        Py_XDECREF(number);
        if (!noted) {
            return 0;
        }
    }
    return PyList_SetItem(pages, (Py_ssize_t)bucket, Py_NewRef(page)) == 0;
}

/* put_pages(pages, nodes, new) -> the buckets that become empty or stop being so, in order */
FASTCALL(kernel_put_pages) {
    (void)module;
    view nodes;
    if (!counted("put_pages", count, 3) || !view_of(arguments[1], "nodes", &nodes)) {
        return NULL;
    }
    if (!PyList_Check(arguments[0]) || !PyList_Check(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "pages must be lists");
        return NULL;
    }
    if (nodes.size % NODE_BYTES != 0 || nodes.size / NODE_BYTES != (size_t)PyList_Size(arguments[2])) {
        PyErr_SetString(PyExc_ValueError, "there is one page for each node");
        return NULL;
    }
    PyObject *moved = PyList_New(0);
    for (size_t at = 0; moved != NULL && at < nodes.size; at += NODE_BYTES) {
        PyObject *page = PyList_GetItem(arguments[2], (Py_ssize_t)(at / NODE_BYTES));
        if (page == NULL || !put_page(arguments[0], load_u32(nodes.data + at), page, moved)) {
            Py_CLEAR(moved);
        }
    }
    return moved;
}
