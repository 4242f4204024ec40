/* Signatures as Python sees them: `keys_new` makes a cache of tables, `verify` and `verify_packed` judge many at once.
 *
 * What a call reads from Python objects it takes while it holds the interpreter's lock; then the lock is released once,
 * for building tables and judging together.  That work consists of units which do not depend on each other: tables, and
 * parts of the signatures.  A large call shares them out among threads, if the cache was made with more than one. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "ed25519_keys.h"
#include "module.h"
#include "threads.h"

#define CAPSULE "cccnode.crypto._kernel.keys"

typedef struct {
    const char *name;
    verify_jobs *verify;
    int present; /* on this processor */
} back_end;

static back_end back_ends[] = {
#if defined(__x86_64__)
    {"ifma", ed25519_verify_ifma, 0},
    {"avx2", ed25519_verify_avx2, 0},
#endif
    {"portable", ed25519_verify_portable, 1},
};
#define BACK_ENDS ((int)(sizeof back_ends / sizeof *back_ends))

static entry *base_table;

int ed25519_setup(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    back_ends[1].present = avx2;
    back_ends[0].present = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512ifma");
#endif
    return 0;
}

/* --- one call ------------------------------------------------------------------------------------------------------ */

typedef struct {
    keys *cache;
    verify_jobs *verify;
    job *jobs; /* those with tables from the front, the others from the back */
    size_t count, with_table, without;
    batch shared;
    running_call running;
    key_table *builds_of[KEY_BUILDS];
    int build_outcomes[KEY_BUILDS];
    size_t builds;
    int threads;                /* how many there may be */
    size_t part, slow_part;     /* signatures in a unit, with tables and without */
    atomic_int short_of_memory;
} call;

/* The checks that need no arithmetic; the key's are made again where its table was built. */
static int is_well_formed(const uint8_t *signature, const uint8_t *key) {
    return scalar_is_canonical(signature + 32) && !point_is_small_order(signature) && point_is_canonical(key) &&
           !point_is_small_order(key);
}

static int call_open(call *c, keys *cache, int back_end_number, size_t count) {
    memset(c, 0, sizeof *c);
    c->cache = cache;
    c->verify = back_ends[back_end_number].verify;
    c->count = count;
    c->threads = cache->threads;
    c->jobs = malloc((count + 1) * sizeof(job));
    c->shared.base = base_table;
    c->shared.verdicts = calloc(count + 1, 1);
    if (!c->jobs || !c->shared.verdicts) {
        free(c->jobs);
        free(c->shared.verdicts);
        PyErr_NoMemory();
        return 0;
    }
    keys_begin(cache, &c->running);
    return 1;
}

static void call_add(call *c, size_t index, const uint8_t *message, size_t length, const uint8_t *signature,
                     const uint8_t *key) {
    if (!is_well_formed(signature, key)) {
        return; /* its verdict is 0 already */
    }
    key_table *earned = NULL;
    const entry *table = keys_table(c->cache, &c->running, key, c->builds < KEY_BUILDS ? &earned : NULL);
    if (earned) {
        c->builds_of[c->builds++] = earned; /* for use from the next call on */
    }
    job *j = table ? &c->jobs[c->with_table++] : &c->jobs[c->count - ++c->without];
    *j = (job){message, length, signature, key, table, index};
}

/* A lone signature is judged sooner one at a time than in lanes of which all but one are empty. */
static int judge(const call *c, const job *jobs, size_t count) {
    return (count == 1 ? ed25519_verify_portable : c->verify)(&c->shared, jobs, count);
}

static size_t parts_of(size_t count, size_t part) {
    return (count + part - 1) / part;
}

/* Units are numbered: the tables, then the parts of the signatures with tables, then of those without. */
static void call_unit(void *given, size_t unit) {
    call *c = given;
    if (unit < c->builds) {
        c->build_outcomes[unit] = key_table_build(c->builds_of[unit]->entries, c->builds_of[unit]->key);
        return;
    }
    unit -= c->builds;
    const job *jobs = c->jobs;
    size_t count = c->with_table, part = c->part;
    if (unit >= parts_of(count, part)) {
        unit -= parts_of(count, part);
        jobs += c->count - c->without;
        count = c->without, part = c->slow_part;
    }
    size_t first = unit * part, left = count - first;
    if (!judge(c, jobs + first, left < part ? left : part)) {
        atomic_store(&c->short_of_memory, 1);
    }
}

/* What is worth a thread of its own: about half a millisecond of work, where starting one costs twenty microseconds. */
#define PART 256     /* signatures with tables */
#define SLOW_PART 64 /* signatures without */
#define BUILDS 6     /* tables */

/* Runs without the interpreter's lock. */
static void call_work(call *c) {
    size_t worth = c->with_table / PART + c->without / SLOW_PART + c->builds / BUILDS;
    int threads = (size_t)c->threads < worth ? c->threads : (int)worth;
    /* Alone, large parts: one inversion serves them. */
    c->part = threads > 1 ? PART : c->count + 1;
    c->slow_part = threads > 1 ? SLOW_PART : c->count + 1;
    size_t units = c->builds + parts_of(c->with_table, c->part) + parts_of(c->without, c->slow_part);
    share_units(call_unit, c, units, threads);
}

static void call_run(call *c) {
    Py_BEGIN_ALLOW_THREADS;
    call_work(c);
    Py_END_ALLOW_THREADS;
    for (size_t i = 0; i < c->builds; i++) {
        keys_built(c->cache, c->builds_of[i], c->build_outcomes[i]);
    }
}

static void call_close(call *c) {
    keys_end(c->cache, &c->running);
    free(c->jobs);
    free(c->shared.verdicts);
}

/* --- arguments ----------------------------------------------------------------------------------------------------- */

static void capsule_free(PyObject *capsule) {
    keys_free(PyCapsule_GetPointer(capsule, CAPSULE));
}

static int checked_back_end(int number) {
    if (number < 0 || number >= BACK_ENDS || !back_ends[number].present) {
        PyErr_SetString(PyExc_ValueError, "no such back end on this processor");
        return 0;
    }
    return 1;
}

PyDoc_STRVAR(back_ends_doc, "back_ends() -> list[tuple[str, bool]]\n\n"
                            "Name and presence on this processor, by number; the fastest first.");

static PyObject *py_back_ends(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(nothing)) {
    PyObject *list = PyList_New(BACK_ENDS);
    for (int i = 0; list && i < BACK_ENDS; i++) {
        PyObject *row = Py_BuildValue("(sO)", back_ends[i].name, back_ends[i].present ? Py_True : Py_False);
        if (!row || PyList_SetItem(list, i, row) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

PyDoc_STRVAR(keys_new_doc, "keys_new(budget, seed, threads=1) -> capsule\n\n"
                           "An empty cache of tables of keys; `budget` in bytes, used in steps of 2 MiB.  A call with\n"
                           "this cache has up to `threads` threads, 1 to 64.");

static PyObject *py_keys_new(PyObject *Py_UNUSED(module), PyObject *arguments) {
    Py_ssize_t budget;
    unsigned long long seed;
    int threads = 1;
    if (!PyArg_ParseTuple(arguments, "nK|i:keys_new", &budget, &seed, &threads)) {
        return NULL;
    }
    if (budget < 0) {
        PyErr_SetString(PyExc_ValueError, "a budget below zero");
        return NULL;
    }
    if (threads < 1 || threads > THREADS_MAX) {
        PyErr_SetString(PyExc_ValueError, "threads: 1 to 64");
        return NULL;
    }
    if (!base_table && !(base_table = base_table_new())) {
        return PyErr_NoMemory();
    }
    keys *cache = keys_new((size_t)budget, seed, threads);
    if (!cache) {
        return PyErr_NoMemory();
    }
    PyObject *capsule = PyCapsule_New(cache, CAPSULE, capsule_free);
    if (!capsule) {
        keys_free(cache);
    }
    return capsule;
}

/* Calls `act` for each key of 32 bytes in a tuple; returns how many it answered with 1, or -1 with an error set. */
static Py_ssize_t for_each_key(PyObject *arguments, int (*act)(keys *, const uint8_t *)) {
    PyObject *capsule, *tuple;
    if (!PyArg_ParseTuple(arguments, "OO!", &capsule, &PyTuple_Type, &tuple)) {
        return -1;
    }
    keys *cache = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!cache) {
        return -1;
    }
    Py_ssize_t done = 0;
    for (Py_ssize_t i = 0; i < PyTuple_Size(tuple); i++) {
        char *key;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, i), &key, &length) < 0) {
            return -1;
        }
        done += length == 32 && act(cache, (const uint8_t *)key) == 1;
    }
    return done;
}

static int forget(keys *cache, const uint8_t *key) {
    keys_forget(cache, key);
    return 1;
}

PyDoc_STRVAR(keys_register_doc, "keys_register(cache, keys: tuple[bytes, ...]) -> int\n\nHow many were not registered before.");

static PyObject *py_keys_register(PyObject *Py_UNUSED(module), PyObject *arguments) {
    Py_ssize_t done = for_each_key(arguments, keys_register);
    return done < 0 ? NULL : PyLong_FromSsize_t(done);
}

PyDoc_STRVAR(keys_forget_doc, "keys_forget(cache, keys: tuple[bytes, ...]) -> None\n\nThey are strangers from now on.");

static PyObject *py_keys_forget(PyObject *Py_UNUSED(module), PyObject *arguments) {
    if (for_each_key(arguments, forget) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(keys_figures_doc, "keys_figures(cache) -> tuple[int, int, int]\n\n"
                               "Registered keys, tables, bytes of tables.");

static PyObject *py_keys_figures(PyObject *Py_UNUSED(module), PyObject *capsule) {
    const keys *cache = PyCapsule_GetPointer(capsule, CAPSULE);
    return cache ? Py_BuildValue("(nnn)", (Py_ssize_t)cache->registered, (Py_ssize_t)cache->ready,
                                 (Py_ssize_t)keys_bytes(cache))
                 : NULL;
}

/* Item i of a tuple as bytes; 0 with an error set where it is none. */
static int item_bytes(PyObject *tuple, Py_ssize_t i, const uint8_t **bytes, Py_ssize_t *length) {
    char *start;
    if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, i), &start, length) < 0) {
        return 0;
    }
    *bytes = (const uint8_t *)start;
    return 1;
}

#define AHEAD_OBJECTS 16 /* items between asking for an object and reading it */
#define AHEAD_KEYS 8     /* items between asking for a place in the cache and reading it */

/* Objects lie anywhere in memory: the way there is hidden behind the work on the items before. */
static void ask_for_item(const keys *cache, PyObject *const columns[3], Py_ssize_t i, Py_ssize_t count) {
    for (int column = 0; i + AHEAD_OBJECTS < count && column < 3; column++) {
        const char *object = (const char *)PyTuple_GetItem(columns[column], i + AHEAD_OBJECTS);
        __builtin_prefetch(object);
        __builtin_prefetch(object + 64);
    }
    PyObject *item = i + AHEAD_KEYS < count ? PyTuple_GetItem(columns[2], i + AHEAD_KEYS) : NULL;
    if (item && PyBytes_Check(item) && PyBytes_Size(item) == 32) {
        keys_prefetch(cache, (const uint8_t *)PyBytes_AsString(item));
    }
}

static int call_add_items(call *c, PyObject *const columns[3]) {
    for (size_t i = 0; i < c->count; i++) {
        const uint8_t *message, *signature, *key;
        Py_ssize_t message_length, signature_length, key_length, at = (Py_ssize_t)i;
        ask_for_item(c->cache, columns, at, (Py_ssize_t)c->count);
        if (!item_bytes(columns[0], at, &message, &message_length) ||
            !item_bytes(columns[1], at, &signature, &signature_length) ||
            !item_bytes(columns[2], at, &key, &key_length)) {
            return 0;
        }
        if (signature_length == 64 && key_length == 32) {
            call_add(c, i, message, (size_t)message_length, signature, key);
        }
    }
    return 1;
}

/* (a list of booleans, how many were judged without a table) */
static PyObject *listed_verdicts(const call *c) {
    PyObject *list = PyList_New((Py_ssize_t)c->count);
    for (size_t i = 0; list && i < c->count; i++) {
        PyObject *verdict = c->shared.verdicts[i] ? Py_True : Py_False;
        Py_INCREF(verdict);
        if (PyList_SetItem(list, (Py_ssize_t)i, verdict) < 0) {
            Py_CLEAR(list);
        }
    }
    return list ? Py_BuildValue("(Nn)", list, (Py_ssize_t)c->without) : NULL;
}

PyDoc_STRVAR(verify_doc,
             "verify(cache, back_end, messages, signatures, keys) -> tuple[list[bool], int]\n\n"
             "Verdicts in order, and how many signatures were judged without a table.  Three sequences of bytes of\n"
             "equal length; a signature not of 64 bytes or a key not of 32 is not valid.");

static PyObject *py_verify(PyObject *Py_UNUSED(module), PyObject *arguments) {
    PyObject *capsule, *given[3], *columns[3] = {NULL, NULL, NULL}, *result = NULL;
    int number;
    if (!PyArg_ParseTuple(arguments, "OiOOO:verify", &capsule, &number, &given[0], &given[1], &given[2])) {
        return NULL;
    }
    keys *cache = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!cache || !checked_back_end(number)) {
        return NULL;
    }
    for (int i = 0; i < 3; i++) { /* tuples of our own: nobody changes them while the lock is released */
        if (!(columns[i] = PySequence_Tuple(given[i]))) {
            goto end;
        }
    }
    Py_ssize_t count = PyTuple_Size(columns[0]);
    if (PyTuple_Size(columns[1]) != count || PyTuple_Size(columns[2]) != count) {
        PyErr_SetString(PyExc_ValueError, "messages, signatures and keys differ in number");
        goto end;
    }
    call c;
    if (!call_open(&c, cache, number, (size_t)count)) {
        goto end;
    }
    int complete = call_add_items(&c, columns);
    call_run(&c); /* in any case: tables that were promised are built */
    if (complete) {
        result = c.short_of_memory ? PyErr_NoMemory() : listed_verdicts(&c);
    }
    call_close(&c);
end:
    for (int i = 0; i < 3; i++) {
        Py_XDECREF(columns[i]);
    }
    return result;
}

/* Whether the four buffers fit each other; sets an error where they do not. */
static int packed_is_sound(const Py_buffer *messages, const Py_buffer *ends, const Py_buffer *signatures,
                           const Py_buffer *keys_given, const Py_buffer *prefix) {
    Py_ssize_t count = ends->len / 8;
    if (ends->len % 8 || signatures->len / 64 != count || signatures->len % 64 || keys_given->len / 32 != count ||
        keys_given->len % 32) {
        PyErr_SetString(PyExc_ValueError, "ends, signatures and keys differ in number");
        return 0;
    }
    if (prefix->len > PREFIX_MAX) {
        PyErr_SetString(PyExc_ValueError, "a prefix of more than 64 bytes");
        return 0;
    }
    uint64_t before = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        uint64_t end = load64((const uint8_t *)ends->buf + 8 * i);
        if (end < before || end > (uint64_t)messages->len) {
            PyErr_SetString(PyExc_ValueError, "ends do not rise within the messages");
            return 0;
        }
        before = end;
    }
    return 1;
}

PyDoc_STRVAR(verify_packed_doc,
             "verify_packed(cache, back_end, messages, ends, signatures, keys, prefix) -> tuple[bytes, int]\n\n"
             "As verify, from contiguous buffers: message i is prefix and messages[ends[i-1]:ends[i]], `ends` are\n"
             "64-bit integers, signatures have 64 bytes each, keys 32.  The verdicts are bytes 1 and 0.");

static PyObject *py_verify_packed(PyObject *Py_UNUSED(module), PyObject *arguments) {
    PyObject *capsule, *result = NULL;
    Py_buffer messages, ends, signatures, keys_given, prefix;
    int number;
    if (!PyArg_ParseTuple(arguments, "Oiy*y*y*y*y*:verify_packed", &capsule, &number, &messages, &ends, &signatures,
                          &keys_given, &prefix)) {
        return NULL;
    }
    keys *cache = PyCapsule_GetPointer(capsule, CAPSULE);
    call c;
    if (cache && checked_back_end(number) && packed_is_sound(&messages, &ends, &signatures, &keys_given, &prefix) &&
        call_open(&c, cache, number, (size_t)ends.len / 8)) {
        c.shared.prefix = prefix.buf;
        c.shared.prefix_length = (size_t)prefix.len;
        uint64_t start = 0;
        for (size_t i = 0; i < c.count; i++) {
            uint64_t end = load64((const uint8_t *)ends.buf + 8 * i);
            if (i + AHEAD_KEYS < c.count) {
                keys_prefetch(cache, (const uint8_t *)keys_given.buf + 32 * (i + AHEAD_KEYS));
            }
            call_add(&c, i, (const uint8_t *)messages.buf + start, (size_t)(end - start),
                     (const uint8_t *)signatures.buf + 64 * i, (const uint8_t *)keys_given.buf + 32 * i);
            start = end;
        }
        call_run(&c);
        result = c.short_of_memory ? PyErr_NoMemory()
                                   : Py_BuildValue("(y#n)", (const char *)c.shared.verdicts, (Py_ssize_t)c.count,
                                                   (Py_ssize_t)c.without);
        call_close(&c);
    }
    PyBuffer_Release(&messages);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&signatures);
    PyBuffer_Release(&keys_given);
    PyBuffer_Release(&prefix);
    return result;
}

PyMethodDef ed25519_functions[] = {
    {"back_ends", py_back_ends, METH_NOARGS, back_ends_doc},
    {"keys_new", py_keys_new, METH_VARARGS, keys_new_doc},
    {"keys_register", py_keys_register, METH_VARARGS, keys_register_doc},
    {"keys_forget", py_keys_forget, METH_VARARGS, keys_forget_doc},
    {"keys_figures", py_keys_figures, METH_O, keys_figures_doc},
    {"verify", py_verify, METH_VARARGS, verify_doc},
    {"verify_packed", py_verify_packed, METH_VARARGS, verify_packed_doc},
    {NULL, NULL, 0, NULL},
};
