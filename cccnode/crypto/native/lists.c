/* Hashes of many messages in one call: tagged ones, and the root of an RFC 6962 tree over a list. */

#include "trees.h"

#include <string.h>

#include "sha256.h"

/* A list of messages: the tuple keeps the bytes alive while the interpreter runs elsewhere. */
typedef struct {
    PyObject *tuple;
    view *views;
    size_t count;
} messages;

static void release(messages *list) {
    PyMem_Free(list->views);
    Py_XDECREF(list->tuple);
}

static int collect(PyObject *sequence, messages *list) {
    list->views = NULL;
    list->tuple = PySequence_Tuple(sequence);
    if (list->tuple == NULL) {
        return 0;
    }
    list->count = (size_t)PyTuple_Size(list->tuple);
    list->views = PyMem_Malloc((list->count + 1) * sizeof(view));
    if (list->views == NULL) {
        PyErr_NoMemory();
        release(list);
        return 0;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (!view_of(PyTuple_GetItem(list->tuple, (Py_ssize_t)i), "a message", &list->views[i])) {
            release(list);
            return 0;
        }
    }
    return 1;
}

static void hash_tagged(view tag, view message, uint8_t digest[SHA256_BYTES]) {
    sha256_context context;
    sha256_start(&context);
    sha256_add(&context, tag.data, tag.size);
    sha256_add(&context, message.data, message.size);
    sha256_finish(&context, digest);
}

#define SIDE 1024 /* messages up to this length, with their tag, are copied and hashed two at a time */

static void hash_side_by_side(view tag, const view messages[2], uint8_t *digests) {
    uint8_t copies[2][SIDE + SHA256_PADDING];
    for (int i = 0; i < 2; i++) {
        memcpy(copies[i], tag.data, tag.size);
        memcpy(copies[i] + tag.size, messages[i].data, messages[i].size);
    }
    sha256_two((uint8_t *const[2]){copies[0], copies[1]},
               (const size_t[2]){tag.size + messages[0].size, tag.size + messages[1].size},
               (uint8_t *const[2]){digests, digests + SHA256_BYTES});
}

void hash_all(view tag, const view *messages, size_t count, uint8_t *digests) {
    size_t i = 0, room = tag.size < SIDE ? SIDE - tag.size : 0;
    while (i < count) {
        uint8_t *digest = digests + SHA256_BYTES * i;
        if (i + 1 < count && messages[i].size <= room && messages[i + 1].size <= room) {
            hash_side_by_side(tag, messages + i, digest);
            i += 2;
        } else {
            hash_tagged(tag, messages[i], digest);
            i++;
        }
    }
}

/* The same with the interpreter free for others if it takes long; NULL with an exception if there is no memory. */
static uint8_t *digests_of(view tag, const messages *list) {
    uint8_t *digests = PyMem_Malloc((list->count + 1) * SHA256_BYTES);
    if (digests == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    PyThreadState *released = list->count > QUICK ? PyEval_SaveThread() : NULL;
    hash_all(tag, list->views, list->count, digests);
    if (released != NULL) {
        PyEval_RestoreThread(released);
    }
    return digests;
}

static PyObject *digest_at(const uint8_t *digests, size_t number) {
    return PyBytes_FromStringAndSize((const char *)digests + SHA256_BYTES * number, SHA256_BYTES);
}

/* tagged_many(tag, messages) -> [SHA-256(tag || message), ...] */
FASTCALL(kernel_tagged_many) {
    (void)module;
    view tag;
    messages list;
    if (!counted("tagged_many", count, 2) || !view_of(arguments[0], "the tag", &tag) || !collect(arguments[1], &list)) {
        return NULL;
    }
    uint8_t *digests = digests_of(tag, &list);
    PyObject *result = digests == NULL ? NULL : PyList_New((Py_ssize_t)list.count);
    for (size_t i = 0; result != NULL && i < list.count; i++) {
        PyObject *digest = digest_at(digests, i);
        if (digest == NULL || PyList_SetItem(result, (Py_ssize_t)i, digest) < 0) {
            Py_CLEAR(result);
        }
    }
    PyMem_Free(digests);
    release(&list);
    return result;
}

/* Fold a level of hashes in place until one is left; an odd last node moves up unchanged. */
static void fold(uint8_t *level, size_t count) {
    sha256_form forms[2];
    for (int i = 0; i < 2; i++) {
        forms[i].bytes[0] = 0x01;
        sha256_form_close(&forms[i], 1 + 2 * SHA256_BYTES);
    }
    for (; count > 1; count = (count + 1) / 2) {
        size_t pairs = count / 2, i = 0;
        for (; i + 1 < pairs; i += 2) {
            memcpy(forms[0].bytes + 1, level + 64 * i, 64);
            memcpy(forms[1].bytes + 1, level + 64 * i + 64, 64);
            uint8_t *const above[2] = {level + 32 * i, level + 32 * i + 32};
            sha256_form_hash_pair(forms, above);
        }
        if (i < pairs) {
            memcpy(forms[0].bytes + 1, level + 64 * i, 64);
            sha256_form_hash(&forms[0], level + 32 * i);
        }
        if (count % 2 != 0) {
            memcpy(level + 32 * pairs, level + 32 * (count - 1), 32);
        }
    }
}

/* list_root(leaves) -> the RFC 6962 root over a sequence of byte strings */
FASTCALL(kernel_list_root) {
    (void)module;
    static const uint8_t prefix[1] = {0x00};
    messages list;
    if (!counted("list_root", count, 1) || !collect(arguments[0], &list)) {
        return NULL;
    }
    uint8_t *level = digests_of((view){prefix, 1}, &list);
    PyObject *result = NULL;
    if (level != NULL) {
        if (list.count == 0) {
            sha256("", 0, level);
        } else {
            fold(level, list.count);
        }
        result = digest_at(level, 0);
    }
    PyMem_Free(level);
    release(&list);
    return result;
}
