/* What the files of this part share: one function per Python function, and the words of crypto/hashing.py. */

#ifndef CCCNODE_TREES_H
#define CCCNODE_TREES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define TX_TAG "ccc/1/tx"
#define SIGN_TAG "ccc/1/sign"
#define VALUE_TAG "ccc/1/value"
#define GROUP_TAG "ccc/1/group"
#define BUCKET_TAG "ccc/1/bucket"
#define BRANCH_TAG "ccc/1/branch"

#define NODE_BYTES 36 /* a node of a level on its way: index u32 (big-endian) || hash */

#define DEPTH_MAX 24 /* crypto/proofs.py */

/* So many hashes are done before another thread could take the interpreter and give it back. */
#define QUICK 256

/* Bytes that somebody else keeps alive. */
typedef struct {
    const uint8_t *data;
    size_t size;
} view;

static inline uint32_t load_u32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void store_u32(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

/* The order of byte strings. */
static inline int compare(view a, view b) {
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* The content of a bytes object; 0 and a TypeError for anything else. */
static inline int view_of(PyObject *object, const char *what, view *result) {
    if (!PyBytes_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be bytes", what);
        return 0;
    }
    result->data = (const uint8_t *)PyBytes_AsString(object);
    result->size = (size_t)PyBytes_Size(object);
    return 1;
}

/* Whether a call got as many arguments as it takes; a TypeError otherwise. */
static inline int counted(const char *name, Py_ssize_t given, Py_ssize_t taken) {
    if (given != taken) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, not %zd", name, taken, given);
        return 0;
    }
    return 1;
}

/* A depth between 1 and DEPTH_MAX; 0 and an exception for anything else. */
static inline int depth_of(PyObject *object) {
    long depth = PyLong_AsLong(object);
    if (depth == -1 && PyErr_Occurred()) {
        return 0;
    }
    if (depth < 1 || depth > DEPTH_MAX) {
        PyErr_SetString(PyExc_ValueError, "a tree of this depth does not exist");
        return 0;
    }
    return (int)depth;
}

#define FASTCALL(name) PyObject *name(PyObject *module, PyObject *const *arguments, Py_ssize_t count)

FASTCALL(kernel_sha256);        /* trees.c */
FASTCALL(kernel_tagged_many);   /* lists.c */
FASTCALL(kernel_list_root);     /* lists.c */
FASTCALL(kernel_parents);       /* levels.c */
FASTCALL(kernel_put_nodes);     /* levels.c */
FASTCALL(kernel_make_page);     /* pages.c */
FASTCALL(kernel_page_hash);     /* pages.c */
FASTCALL(kernel_read_record);   /* pages.c */
FASTCALL(kernel_read_item);     /* pages.c */
FASTCALL(kernel_put_pages);     /* pages.c */
FASTCALL(kernel_by_bucket);     /* ordering.c */
FASTCALL(kernel_write_buckets); /* writing.c */
FASTCALL(kernel_open_usual);    /* opening.c */

/* SHA-256(tag || message) of each message, one digest after the other; lists.c */
void hash_all(view tag, const view *messages, size_t count, uint8_t *digests);

#endif
