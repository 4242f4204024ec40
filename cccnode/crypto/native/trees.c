/* Hashes and trees of a block: the functions that Python sees.  What each does is defined by crypto/trees.py. */

#include "trees.h"

#include <string.h>

#include "module.h"
#include "sha256.h"

/* sha256(message, backend name) -> digest, or None if this processor lacks the backend; for tests */
FASTCALL(kernel_sha256) {
    (void)module;
    view message, name;
    if (!counted("sha256", count, 2) || !view_of(arguments[0], "a message", &message) ||
        !view_of(arguments[1], "a backend", &name)) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof sha256_backends / sizeof *sha256_backends; i++) {
        const sha256_backend *backend = sha256_backends[i];
        if (strcmp((const char *)name.data, backend->name) == 0) {
            uint8_t digest[SHA256_BYTES];
            if (!backend->available()) {
                return Py_NewRef(Py_None);
            }
            sha256_context context;
            sha256_start_with(&context, backend);
            sha256_add(&context, message.data, message.size);
            sha256_finish(&context, digest);
            return PyBytes_FromStringAndSize((const char *)digest, SHA256_BYTES);
        }
    }
    PyErr_SetString(PyExc_ValueError, "no such backend");
    return NULL;
}

#define ENTRY(name, doc) {#name, (PyCFunction)(void (*)(void))kernel_##name, METH_FASTCALL, doc}

PyMethodDef trees_functions[] = {
    ENTRY(sha256, "sha256(message, backend)"),
    ENTRY(tagged_many, "tagged_many(tag, messages)"),
    ENTRY(list_root, "list_root(leaves)"),
    ENTRY(parents, "parents(level, nodes)"),
    ENTRY(put_nodes, "put_nodes(level, nodes)"),
    ENTRY(make_page, "make_page(rows)"),
    ENTRY(page_hash, "page_hash(depth, bucket, page)"),
    ENTRY(read_record, "read_record(depth, pages, group)"),
    ENTRY(read_item, "read_item(depth, pages, group, item)"),
    ENTRY(put_pages, "put_pages(pages, nodes, new)"),
    ENTRY(by_bucket, "by_bucket(depth, writes)"),
    ENTRY(write_buckets, "write_buckets(prefix, depth, limits, pages, staged, block, start, count)"),
    ENTRY(open_usual, "open_usual(rules, raws); see ledger/opening.py"),
    {NULL, NULL, 0, NULL},
};

int trees_setup(PyObject *module) {
    (void)module;
    sha256_choose();
    return 0;
}
