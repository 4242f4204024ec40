/* The order in which a block's writes are written: ascending by bucket and group. */

#include <stdlib.h>

#include "pages.h"

typedef struct {
    uint32_t bucket;
    view group;
    PyObject *name, *changes;
} placed;

static int by_group(const void *a, const void *b) {
    return compare(((const placed *)a)->group, ((const placed *)b)->group);
}

#define DIGIT 4096 /* a bucket is two digits of 12 bits */

/* One pass of a radix sort by bucket: `from` into `to`, by the digit that `shift` selects. */
static void sort_by_digit(const placed *from, placed *to, size_t size, int shift) {
    size_t starts[DIGIT + 1] = {0};
    for (size_t i = 0; i < size; i++) {
        starts[(from[i].bucket >> shift) % DIGIT + 1]++;
    }
    for (int digit = 0; digit < DIGIT; digit++) {
        starts[digit + 1] += starts[digit];
    }
    for (size_t i = 0; i < size; i++) {
        to[starts[(from[i].bucket >> shift) % DIGIT]++] = from[i];
    }
}

/* Order the first half of `rows` by bucket and group; the second half is room to do it in. */
static void sort_rows(placed *rows, size_t size) {
    sort_by_digit(rows, rows + size, size, 0);
    sort_by_digit(rows + size, rows, size, 12);
    for (size_t start = 0, end; start < size; start = end) {
        for (end = start + 1; end < size && rows[end].bucket == rows[start].bucket; end++) {
        }
        if (end - start > 1) {
            qsort(rows + start, end - start, sizeof(placed), by_group);
        }
    }
}

/* Take the rows of a dictionary of writes; returns how many, or -1 with an exception.  The references are borrowed. */
static Py_ssize_t collect(int depth, PyObject *writes, placed *rows, Py_ssize_t room) {
    Py_ssize_t place = 0, count = 0;
    PyObject *name, *changes;
    while (count < room && PyDict_Next(writes, &place, &name, &changes)) {
        placed *row = &rows[count++];
        row->name = name, row->changes = changes;
        if (!view_of(name, "a group", &row->group)) {
            return -1;
        }
        if (!PyDict_Check(changes)) {
            PyErr_SetString(PyExc_TypeError, "the changes of a group must be a dict");
            return -1;
        }
        row->bucket = bucket_of(depth, row->group);
    }
    return count;
}

/* by_bucket(depth, writes) -> (groups ascending by bucket and name, their changes, their buckets as u32) */
FASTCALL(kernel_by_bucket) {
    (void)module;
    int depth;
    if (!counted("by_bucket", count, 2) || (depth = depth_of(arguments[0])) == 0) {
        return NULL;
    }
    if (!PyDict_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "writes must be a dict");
        return NULL;
    }
    Py_ssize_t size = PyDict_Size(arguments[1]);
    PyObject *groups = PyTuple_New(size), *changes = PyTuple_New(size), *result = NULL;
    PyObject *places = PyBytes_FromStringAndSize(NULL, 4 * size);
    placed *rows = PyMem_Malloc((2 * (size_t)size + 1) * sizeof(placed));
    if (rows == NULL) {
        PyErr_NoMemory();
    }
    /* No other code runs between taking the rows and filling the tuples, so what is borrowed stays. */
    if (groups != NULL && changes != NULL && places != NULL && rows != NULL &&
        collect(depth, arguments[1], rows, size) == size) {
        uint8_t *at = (uint8_t *)PyBytes_AsString(places);
        sort_rows(rows, (size_t)size);
        for (Py_ssize_t i = 0; i < size; i++) { /* setting an item of a new tuple cannot fail */
            store_u32(at + 4 * i, rows[i].bucket);
            PyTuple_SetItem(groups, i, Py_NewRef(rows[i].name));
            PyTuple_SetItem(changes, i, Py_NewRef(rows[i].changes));
        }
        result = PyTuple_Pack(3, groups, changes, places);
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_RuntimeError, "the writes changed while they were read");
    }
    PyMem_Free(rows);
    Py_XDECREF(groups);
    Py_XDECREF(changes);
    Py_XDECREF(places);
    return result;
}
