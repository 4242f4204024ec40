/* Transactions of the usual kind, many in one call.  What that is, and what comes of them, is defined by
 * ledger/opening.py.
 *
 * Decoding calls Python code, so everything that is kept over it is held by a reference of our own. */

#include "trees.h"

#include "module.h"
#include "sha256.h"

#define SIGN_BYTES (sizeof SIGN_TAG - 1)
#define PART_HEADER 0x99 /* of the signed part: an array of nine */
#define TAIL_BYTES 67    /* behind the signed part: an array of one signature */

typedef struct {
    PyObject *decode, *unreadable, *encode, *verified, *weights;
    view chain;
    long version, size_max, weight_max;
} rules;

/* One that is usual; references are held. */
typedef struct {
    Py_ssize_t position;
    PyObject *transaction, *weight;
} usual;

typedef struct {
    PyObject *raws;                               /* a tuple of our own */
    PyObject *opened, *messages, *signatures, *keys; /* what is returned */
    usual *found;
    view *parts; /* of those found, within `messages` */
    size_t count;
} opening;

/* Attributes of a transaction. */
enum { VERSION, CHAIN, MESSAGES, SIGNERS, SIGNATURES, NAMES };
static const char *const spelled[NAMES] = {"version", "chain", "messages", "signers", "signatures"};
static PyObject *names[NAMES];

int opening_setup(void) {
    for (int i = 0; i < NAMES; i++) {
        if (names[i] == NULL && (names[i] = PyUnicode_InternFromString(spelled[i])) == NULL) {
            return -1;
        }
    }
    return 0;
}

static int is_bytes(PyObject *object, view wanted) {
    return PyBytes_Check(object) && (size_t)PyBytes_Size(object) == wanted.size &&
           memcmp(PyBytes_AsString(object), wanted.data, wanted.size) == 0;
}

/* Whether the bytes are the encoding of the transaction; -1 with an exception. */
static int is_canonical(const rules *rules, PyObject *transaction, view raw) {
    PyObject *encoded = PyObject_CallFunctionObjArgs(rules->encode, transaction, NULL);
    int same = encoded == NULL ? -1 : is_bytes(encoded, raw);
    Py_XDECREF(encoded);
    return same;
}

static int is_here(const rules *rules, PyObject *transaction) {
    PyObject *version = PyObject_GetAttr(transaction, names[VERSION]);
    PyObject *chain = version == NULL ? NULL : PyObject_GetAttr(transaction, names[CHAIN]);
    int here = chain == NULL ? -1 : PyLong_AsLong(version) == rules->version && is_bytes(chain, rules->chain);
    here = PyErr_Occurred() ? -1 : here;
    Py_XDECREF(version);
    Py_XDECREF(chain);
    return here;
}

/* The only item of an attribute that is a tuple: 1 with a reference, 0 if there are more, -1 with an exception. */
static int only_item(PyObject *transaction, int name, PyObject **item) {
    PyObject *tuple = PyObject_GetAttr(transaction, names[name]);
    if (tuple == NULL) {
        return -1;
    }
    int only = PyTuple_Check(tuple) && PyTuple_Size(tuple) == 1;
    *item = only ? Py_NewRef(PyTuple_GetItem(tuple, 0)) : NULL;
    Py_DECREF(tuple);
    return only;
}

/* The weight of the only message: 1 with a reference, 0 if it has no fixed one or too much, -1 with an exception. */
static int fixed_weight(const rules *rules, PyObject *transaction, PyObject **weight) {
    PyObject *message;
    int only = only_item(transaction, MESSAGES, &message);
    if (only != 1) {
        return only;
    }
    PyObject *found = PyDict_GetItemWithError(rules->weights, (PyObject *)Py_TYPE(message));
    long number = found == NULL ? -1 : PyLong_AsLong(found);
    int fits = number >= 0 && number <= rules->weight_max;
    *weight = fits ? Py_NewRef(found) : NULL;
    Py_DECREF(message);
    return PyErr_Occurred() ? -1 : fits;
}

/* What the signer signed, with its signed part noted behind those found before. */
static PyObject *signed_message(opening *o, view raw) {
    size_t size = raw.size - TAIL_BYTES;
    PyObject *message = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(SIGN_BYTES + size));
    if (message != NULL) {
        uint8_t *at = (uint8_t *)PyBytes_AsString(message);
        memcpy(at, SIGN_TAG, SIGN_BYTES);
        at[SIGN_BYTES] = PART_HEADER;
        memcpy(at + SIGN_BYTES + 1, raw.data + 1, size - 1);
        o->parts[o->count] = (view){at + SIGN_BYTES, size};
    }
    return message;
}

static int append(PyObject *list, PyObject *item) {
    return item != NULL && PyList_Append(list, item) == 0;
}

/* Note a transaction whose weight fits: 1, 0 if it has not one signer with one signature, -1 with an exception. */
static int add(opening *o, Py_ssize_t position, view raw, PyObject *transaction, PyObject *weight) {
    PyObject *key = NULL, *signature = NULL, *message = NULL;
    int only = only_item(transaction, SIGNERS, &key);
    only = only == 1 ? only_item(transaction, SIGNATURES, &signature) : only;
    if (only == 1) {
        message = signed_message(o, raw);
        only = append(o->messages, message) && append(o->signatures, signature) && append(o->keys, key) ? 1 : -1;
    }
    if (only == 1) {
        o->found[o->count++] = (usual){position, Py_NewRef(transaction), Py_NewRef(weight)};
    }
    Py_XDECREF(key);
    Py_XDECREF(signature);
    Py_XDECREF(message);
    return only;
}

/* 1 if it was usual and is noted, 0 if not, -1 with an exception. */
static int open_one(const rules *rules, opening *o, Py_ssize_t position) {
    PyObject *object = PyTuple_GetItem(o->raws, position), *weight = NULL;
    view raw;
    if (!view_of(object, "a transaction", &raw)) {
        return -1;
    }
    if (raw.size > (size_t)rules->size_max || raw.size <= TAIL_BYTES) {
        return 0;
    }
    PyObject *transaction = PyObject_CallFunctionObjArgs(rules->decode, object, NULL);
    if (transaction == NULL) {
        if (!PyErr_ExceptionMatches(rules->unreadable)) {
            return -1;
        }
        PyErr_Clear();
        return 0;
    }
    int good = is_canonical(rules, transaction, raw);
    good = good == 1 ? is_here(rules, transaction) : good;
    good = good == 1 ? fixed_weight(rules, transaction, &weight) : good;
    good = good == 1 ? add(o, position, raw, transaction, weight) : good;
    Py_XDECREF(weight);
    Py_DECREF(transaction);
    return good;
}

/* Give those found their ids. */
static int identify(const rules *rules, opening *o) {
    uint8_t *ids = PyMem_Malloc((o->count + 1) * SHA256_BYTES);
    if (ids == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    hash_all((view){(const uint8_t *)TX_TAG, sizeof TX_TAG - 1}, o->parts, o->count, ids);
    int done = 1;
    for (size_t i = 0; done && i < o->count; i++) {
        const usual *one = &o->found[i];
        PyObject *id = PyBytes_FromStringAndSize((const char *)ids + SHA256_BYTES * i, SHA256_BYTES);
        PyObject *verified = id == NULL ? NULL
                                        : PyObject_CallFunctionObjArgs(rules->verified, id, one->transaction,
                                                                       PyTuple_GetItem(o->raws, one->position),
                                                                       one->weight, NULL);
        done = verified != NULL && PyList_SetItem(o->opened, one->position, verified) == 0;
        Py_XDECREF(id);
    }
    PyMem_Free(ids);
    return done;
}

static int opening_begin(opening *o, PyObject *raws) {
    memset(o, 0, sizeof *o);
    o->raws = PySequence_Tuple(raws);
    if (o->raws == NULL) {
        return 0;
    }
    Py_ssize_t count = PyTuple_Size(o->raws);
    o->opened = PyList_New(count), o->messages = PyList_New(0);
    o->signatures = PyList_New(0), o->keys = PyList_New(0);
    o->found = PyMem_Calloc((size_t)count + 1, sizeof(usual));
    o->parts = PyMem_Calloc((size_t)count + 1, sizeof(view));
    if (o->opened == NULL || o->messages == NULL || o->signatures == NULL || o->keys == NULL) {
        return 0;
    }
    if (o->found == NULL || o->parts == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (PyList_SetItem(o->opened, i, Py_NewRef(Py_None)) < 0) {
            return 0;
        }
    }
    return 1;
}

static void opening_end(opening *o) {
    for (size_t i = 0; i < o->count; i++) {
        Py_DECREF(o->found[i].transaction);
        Py_DECREF(o->found[i].weight);
    }
    PyMem_Free(o->found);
    PyMem_Free(o->parts);
    Py_XDECREF(o->raws);
    Py_XDECREF(o->opened);
    Py_XDECREF(o->messages);
    Py_XDECREF(o->signatures);
    Py_XDECREF(o->keys);
}

static int take_rules(PyObject *object, rules *rules) {
    PyObject *chain;
    if (!PyTuple_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "rules must be a tuple");
        return 0;
    }
    if (!PyArg_ParseTuple(object, "OO!OOO!Olll;rules as ledger/opening.py has them", &rules->decode,
                          &PyTuple_Type, &rules->unreadable, &rules->encode, &rules->verified, &PyDict_Type, &rules->weights, &chain, &rules->version, &rules->size_max,
                          &rules->weight_max)) {
        return 0;
    }
    if (rules->size_max < 0) {
        PyErr_SetString(PyExc_ValueError, "a size below zero");
        return 0;
    }
    return view_of(chain, "a chain", &rules->chain);
}

/* open_usual(rules, raws) -> (opened, messages, signatures, keys) */
FASTCALL(kernel_open_usual) {
    (void)module;
    rules rules;
    opening o;
    if (!counted("open_usual", count, 2) || !take_rules(arguments[0], &rules)) {
        return NULL;
    }
    int good = opening_begin(&o, arguments[1]) ? 0 : -1;
    for (Py_ssize_t i = 0; good >= 0 && i < PyTuple_Size(o.raws); i++) {
        good = open_one(&rules, &o, i);
    }
    PyObject *result = NULL;
    if (good >= 0 && identify(&rules, &o)) {
        result = Py_BuildValue("(OOOO)", o.opened, o.messages, o.signatures, o.keys);
    }
    opening_end(&o);
    return result;
}
