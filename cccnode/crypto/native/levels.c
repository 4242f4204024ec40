/* The state tree above its buckets (crypto/proofs.py).
 *
 * Nodes of one level travel as one byte string of entries `index u32 (big-endian) || hash`, ascending by index. */

#include "trees.h"

#include <string.h>

#include "sha256.h"

/* Whether `nodes` are entries of a level with `width` nodes; `parents` gets the number of nodes above them. */
static int check_nodes(view nodes, size_t width, size_t *parents) {
    if (nodes.size % NODE_BYTES != 0) {
        PyErr_SetString(PyExc_ValueError, "nodes are entries of 36 bytes");
        return 0;
    }
    int64_t before = -1;
    *parents = 0;
    for (size_t at = 0; at < nodes.size; at += NODE_BYTES) {
        int64_t index = load_u32(nodes.data + at);
        if (index <= before || (size_t)index >= width) {
            PyErr_SetString(PyExc_ValueError, "nodes ascend and lie within their level");
            return 0;
        }
        *parents += before < 0 || index >> 1 != before >> 1;
        before = index;
    }
    return 1;
}

/* Put the children of the next parent into a form: changed ones from `nodes`, the others from the level.  Returns the
 * first entry that belongs to a later parent. */
static const uint8_t *join(const uint8_t *entry, const uint8_t *end, const uint8_t *level, sha256_form *form,
                           uint8_t *parent) {
    uint8_t *children = form->bytes + sizeof BRANCH_TAG - 1;
    uint32_t above = load_u32(entry) >> 1;
    store_u32(parent, above);
    memcpy(children, level + (size_t)above * 2 * SHA256_BYTES, 2 * SHA256_BYTES);
    while (entry < end && load_u32(entry) >> 1 == above) {
        memcpy(children + (load_u32(entry) & 1) * SHA256_BYTES, entry + 4, SHA256_BYTES);
        entry += NODE_BYTES;
    }
    return entry;
}

static void hash_parents(view nodes, const uint8_t *level, uint8_t *parent, size_t parents) {
    const uint8_t *entry = nodes.data, *end = nodes.data + nodes.size;
    sha256_form forms[2];
    for (int i = 0; i < 2; i++) {
        memcpy(forms[i].bytes, BRANCH_TAG, sizeof BRANCH_TAG - 1);
        sha256_form_close(&forms[i], sizeof BRANCH_TAG - 1 + 2 * SHA256_BYTES);
    }
    for (; parents > 1; parents -= 2, parent += 2 * NODE_BYTES) {
        entry = join(entry, end, level, &forms[0], parent);
        entry = join(entry, end, level, &forms[1], parent + NODE_BYTES);
        uint8_t *const digests[2] = {parent + 4, parent + NODE_BYTES + 4};
        sha256_form_hash_pair(forms, digests);
    }
    if (parents == 1) {
        join(entry, end, level, &forms[0], parent);
        sha256_form_hash(&forms[0], parent + 4);
    }
}

/* parents(level, nodes) -> the nodes above `nodes`, whose siblings stand in `level` unless they are among `nodes` */
FASTCALL(kernel_parents) {
    (void)module;
    view nodes;
    Py_buffer level;
    if (!counted("parents", count, 2) || !view_of(arguments[1], "nodes", &nodes) ||
        PyObject_GetBuffer(arguments[0], &level, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    size_t parents, width = (size_t)level.len / SHA256_BYTES;
    if (level.len % (2 * SHA256_BYTES) != 0) {
        PyErr_SetString(PyExc_ValueError, "a level below the root has pairs of hashes");
    } else if (check_nodes(nodes, width, &parents)) {
        result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(parents * NODE_BYTES));
    }
    if (result != NULL) {
        uint8_t *parent = (uint8_t *)PyBytes_AsString(result);
        PyThreadState *released = parents > QUICK ? PyEval_SaveThread() : NULL;
        hash_parents(nodes, level.buf, parent, parents);
        if (released != NULL) {
            PyEval_RestoreThread(released);
        }
    }
    PyBuffer_Release(&level);
    return result;
}

/* put_nodes(level, nodes): copy the nodes into a writable level */
FASTCALL(kernel_put_nodes) {
    (void)module;
    view nodes;
    Py_buffer level;
    if (!counted("put_nodes", count, 2) || !view_of(arguments[1], "nodes", &nodes) ||
        PyObject_GetBuffer(arguments[0], &level, PyBUF_WRITABLE) < 0) {
        return NULL;
    }
    size_t parents;
    int sound = check_nodes(nodes, (size_t)level.len / SHA256_BYTES, &parents);
    for (size_t at = 0; sound && at < nodes.size; at += NODE_BYTES) {
        const uint8_t *entry = nodes.data + at;
        memcpy((uint8_t *)level.buf + (size_t)load_u32(entry) * SHA256_BYTES, entry + 4, SHA256_BYTES);
    }
    PyBuffer_Release(&level);
    return sound ? Py_NewRef(Py_None) : NULL;
}
