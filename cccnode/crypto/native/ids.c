/* The class Ids: names of 32 bytes in the order in which they came, forgotten from the old end.  `ledger/ids.py` defines
 * what each method does; 3,000,000 names take 38 bytes each here.
 *
 * Names lie one after the other in chunks and are numbered from the first one ever.  A hash table finds the number of a
 * name: buckets of one cache line with fifteen slots, each four bytes: the low bits of a number, and above them a tag,
 * which is more of the name's hash.  A slot is a hint only: a name is found when all its bytes are compared.  A name
 * whose bucket is full lies in the next one that is not; `passed` counts those, so that a search knows where to end and
 * nothing has to stay where a name was removed.
 *
 * A table that became too small or too large is replaced bit by bit: each name that comes moves a few of the old ones,
 * oldest first, so that none waits for all. */

#include <Python.h>
#include <stdint.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "module.h"

#define NAME 32
#define CHUNK_BITS 12
#define CHUNK ((uint64_t)1 << CHUNK_BITS) /* names */
#define LANES 15
#define USED 12     /* slots of a bucket that are used on average when the table counts as full */
#define SPARSE 2    /* and when it counts as too large */
#define MOVES 2     /* names moved for each one that comes: done long before the next table is full */
#define BITS_MIN 4  /* of the number of buckets */
#define BITS_MAX 24 /* 200 million names */
#define AHEAD 8     /* names whose buckets are fetched before they are needed */
#define HUGE_PAGE ((size_t)2 << 20)
#define NONE UINT64_MAX

typedef struct {
    uint32_t passed;
    uint32_t slots[LANES]; /* 0: free */
} bucket;

typedef struct {
    void *memory;
    bucket *buckets; /* in `memory`, at the begin of a cache line or a huge page; NULL: no table */
    uint32_t mask;
    unsigned bits;
} table;

typedef struct {
    PyObject_HEAD
    uint64_t keys[1 + NAME / 4];
    uint64_t first, next;   /* numbers of the oldest name and of the one to come */
    uint64_t moved, border; /* names from `moved` to below `border` are still in `old` only */
    uint8_t **chunks;       /* the first holds the oldest name */
    size_t chunks_held, chunks_room;
    table now, old;
} ids;

/* Multilinear hashing: two names fall together by chance only, whoever made them, for the keys are this process's. */
static inline uint32_t hash_of(const ids *self, const uint8_t *name) {
    uint32_t words[NAME / 4];
    uint64_t sum = self->keys[0];
    memcpy(words, name, NAME);
    for (int i = 0; i < NAME / 4; i++) {
        sum += self->keys[1 + i] * words[i];
    }
    return (uint32_t)(sum >> 32);
}

static inline uint8_t *name_at(const ids *self, uint64_t number) {
    return self->chunks[(number >> CHUNK_BITS) - (self->first >> CHUNK_BITS)] + NAME * (number & (CHUNK - 1));
}

/* How many low bits of a number a slot holds.  More names than those bits can tell apart are never in the table. */
static inline unsigned number_bits(const table *in) { return in->bits + 4; }

static inline uint32_t slot_of(const table *in, uint32_t hash, uint64_t number) {
    uint32_t tag = hash >> number_bits(in), low = (uint32_t)number & (((uint32_t)1 << number_bits(in)) - 1);
    return (tag == 0 ? 1 : tag) << number_bits(in) | low;
}

/* A large table is asked for in huge pages: what it touches at random costs fewer walks through the tables of pages, and
 * its first ten thousand names do not wait for thousands of pages. */
static int table_open(table *made, unsigned bits) {
    size_t size = sizeof(bucket) << bits, align = size < HUGE_PAGE ? sizeof(bucket) : HUGE_PAGE;
    void *memory = bits > BITS_MAX ? NULL : PyMem_Calloc(1, size + align);
    if (memory == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    uintptr_t begin = ((uintptr_t)memory + align - 1) & ~(uintptr_t)(align - 1);
#ifdef MADV_HUGEPAGE
    if (align == HUGE_PAGE) {
        (void)madvise((void *)begin, size, MADV_HUGEPAGE); /* refused: ordinary pages do */
    }
#endif
    *made = (table){memory, (bucket *)begin, ((uint32_t)1 << bits) - 1, bits};
    return 1;
}

static void table_close(table *gone) {
    PyMem_Free(gone->memory);
    *gone = (table){NULL, NULL, 0, 0};
}

static void table_put(table *into, uint32_t hash, uint64_t number) {
    for (uint32_t at = hash & into->mask;; at = (at + 1) & into->mask) {
        bucket *here = &into->buckets[at];
        for (int i = 0; i < LANES; i++) {
            if (here->slots[i] == 0) {
                here->slots[i] = slot_of(into, hash, number);
                return;
            }
        }
        here->passed++;
    }
}

/* Remove a number that was put, with the same hash. */
static void table_remove(table *from, uint32_t hash, uint64_t number) {
    uint32_t slot = slot_of(from, hash, number);
    for (uint32_t at = hash & from->mask;; at = (at + 1) & from->mask) {
        bucket *here = &from->buckets[at];
        for (int i = 0; i < LANES; i++) {
            if (here->slots[i] == slot) {
                here->slots[i] = 0;
                return;
            }
        }
        here->passed--;
    }
}

/* The number of a name that a table knows, or NONE. */
static inline uint64_t table_find(const ids *self, const table *in, uint32_t hash, const uint8_t *name) {
    unsigned shift = number_bits(in);
    uint32_t tag = slot_of(in, hash, 0) >> shift, low = ((uint32_t)1 << shift) - 1;
    for (uint32_t at = hash & in->mask;; at = (at + 1) & in->mask) {
        const bucket *here = &in->buckets[at];
        uint32_t same = 0;
        for (int i = 0; i < LANES; i++) {
            same |= (uint32_t)(here->slots[i] >> shift == tag) << i;
        }
        for (; same != 0; same &= same - 1) {
            uint32_t slot = here->slots[__builtin_ctz(same)];
            uint64_t number = self->first + ((slot - (uint32_t)self->first) & low);
            if (number < self->next && memcmp(name_at(self, number), name, NAME) == 0) {
                return number;
            }
        }
        if (here->passed == 0) {
            return NONE;
        }
    }
}

static uint64_t number_of(const ids *self, uint32_t hash, const uint8_t *name) {
    uint64_t number = table_find(self, &self->now, hash, name);
    return number == NONE && self->old.buckets != NULL ? table_find(self, &self->old, hash, name) : number;
}

static inline void fetch(const table *of, uint32_t hash) { __builtin_prefetch(&of->buckets[hash & of->mask], 1); }

/* Take some of the oldest names over from the old table, and end it after the last. */
static void move_some(ids *self, uint64_t count) {
    uint32_t hashes[AHEAD];
    uint64_t hashed = self->moved, left = self->border > self->moved ? self->border - self->moved : 0;
    uint64_t end = self->moved + (count < left ? count : left);
    for (; self->moved < end; self->moved++) {
        for (; hashed < end && hashed < self->moved + AHEAD; hashed++) {
            hashes[hashed % AHEAD] = hash_of(self, name_at(self, hashed));
            fetch(&self->now, hashes[hashed % AHEAD]);
        }
        table_put(&self->now, hashes[self->moved % AHEAD], self->moved);
    }
    if (self->moved >= self->border) {
        table_close(&self->old);
    }
}

/* Begin to replace the table by one with so many buckets. */
static int replace(ids *self, unsigned bits) {
    table made;
    if (self->old.buckets != NULL) {
        move_some(self, NONE);
    }
    if (!table_open(&made, bits)) {
        return 0;
    }
    self->old = self->now, self->now = made;
    self->moved = self->first, self->border = self->next;
    return 1;
}

/* Room for one name more in the chunks. */
static int chunk_room(ids *self) {
    size_t at = (size_t)((self->next >> CHUNK_BITS) - (self->first >> CHUNK_BITS));
    if (at < self->chunks_held) {
        return 1;
    }
    if (at == self->chunks_room) {
        uint8_t **more = PyMem_Realloc(self->chunks, (at + 64) * sizeof(uint8_t *));
        if (more == NULL) {
            PyErr_NoMemory();
            return 0;
        }
        self->chunks = more, self->chunks_room = at + 64;
    }
    self->chunks[at] = PyMem_Malloc(CHUNK * NAME);
    if (self->chunks[at] == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    self->chunks_held++;
    return 1;
}

static int append(ids *self, uint32_t hash, const uint8_t *name) {
    uint64_t live = self->next - self->first, full = (uint64_t)USED << self->now.bits;
    if (number_of(self, hash, name) != NONE) {
        PyErr_SetString(PyExc_ValueError, "an id is there already");
        return 0;
    }
    if (!chunk_room(self) || (live >= full && !replace(self, self->now.bits + 1))) {
        return 0;
    }
    memcpy(name_at(self, self->next), name, NAME);
    table_put(&self->now, hash, self->next++);
    return 1;
}

/* Undo the newest appends. */
static void take_back(ids *self, uint64_t next) {
    while (self->next > next) {
        uint64_t last = self->next - 1;
        if (self->old.buckets == NULL || last >= self->border || last < self->moved) {
            table_remove(&self->now, hash_of(self, name_at(self, last)), last);
        }
        self->next = last;
        self->border = self->border > last ? last : self->border;
    }
}

/* The bytes of a name; NULL if the object is none. */
static const uint8_t *name_of(PyObject *object) {
    return PyBytes_Check(object) && PyBytes_Size(object) == NAME ? (const uint8_t *)PyBytes_AsString(object) : NULL;
}

static int are_names(PyObject *names) {
    for (Py_ssize_t i = 0; i < PyTuple_Size(names); i++) {
        if (name_of(PyTuple_GetItem(names, i)) == NULL) {
            PyErr_SetString(PyExc_ValueError, "an id is 32 bytes");
            return 0;
        }
    }
    return 1;
}

static PyObject *ids_add(PyObject *object, PyObject *sequence) {
    ids *self = (ids *)object;
    PyObject *names = PySequence_Tuple(sequence);
    if (names == NULL || !are_names(names)) {
        Py_XDECREF(names);
        return NULL;
    }
    uint64_t before = self->next;
    uint32_t hashes[AHEAD];
    Py_ssize_t count = PyTuple_Size(names), hashed = 0;
    int good = 1;
    for (Py_ssize_t i = 0; good && i < count; i++) {
        for (; hashed < count && hashed < i + AHEAD; hashed++) {
            hashes[hashed % AHEAD] = hash_of(self, name_of(PyTuple_GetItem(names, hashed)));
            fetch(&self->now, hashes[hashed % AHEAD]);
        }
        good = append(self, hashes[i % AHEAD], name_of(PyTuple_GetItem(names, i)));
    }
    Py_DECREF(names);
    if (!good) {
        take_back(self, before);
        return NULL;
    }
    if (self->old.buckets != NULL) {
        move_some(self, MOVES * (uint64_t)count);
    }
    Py_RETURN_NONE;
}

/* Forget the oldest name; `hash` is its. */
static void forget(ids *self, uint32_t hash) {
    if (self->old.buckets != NULL && self->first >= self->moved) {
        self->moved = self->first + 1; /* it lies in the table that ends soon */
    } else {
        table_remove(&self->now, hash, self->first);
    }
    self->first++;
    if ((self->first & (CHUNK - 1)) == 0) {
        PyMem_Free(self->chunks[0]);
        self->chunks_held--;
        memmove(self->chunks, self->chunks + 1, self->chunks_held * sizeof(uint8_t *));
    }
}

static PyObject *ids_drop(PyObject *object, PyObject *argument) {
    ids *self = (ids *)object;
    size_t count = PyLong_AsSize_t(argument);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (count > self->next - self->first) {
        PyErr_SetString(PyExc_ValueError, "there are fewer ids");
        return NULL;
    }
    uint32_t hashes[AHEAD];
    uint64_t hashed = self->first, end = self->first + count;
    while (self->first < end) {
        for (; hashed < end && hashed < self->first + AHEAD; hashed++) {
            hashes[hashed % AHEAD] = hash_of(self, name_at(self, hashed));
            fetch(&self->now, hashes[hashed % AHEAD]);
        }
        forget(self, hashes[self->first % AHEAD]);
    }
    if (self->old.buckets != NULL) {
        move_some(self, count);
    } else if (self->now.bits > BITS_MIN && self->next - self->first < (uint64_t)SPARSE << self->now.bits) {
        if (!replace(self, self->now.bits - 1)) {
            PyErr_Clear(); /* it stays as large as it is */
        }
    }
    Py_RETURN_NONE;
}

static PyObject *ids_find(PyObject *object, PyObject *argument) {
    ids *self = (ids *)object;
    const uint8_t *name = name_of(argument);
    uint64_t number = name == NULL ? NONE : number_of(self, hash_of(self, name), name);
    if (number == NONE) {
        Py_RETURN_NONE;
    }
    return PyLong_FromUnsignedLongLong(number);
}

static int ids_contains(PyObject *object, PyObject *argument) {
    ids *self = (ids *)object;
    const uint8_t *name = name_of(argument);
    return name != NULL && number_of(self, hash_of(self, name), name) != NONE;
}

static Py_ssize_t ids_length(PyObject *object) {
    ids *self = (ids *)object;
    return (Py_ssize_t)(self->next - self->first);
}

static PyObject *ids_item(PyObject *object, Py_ssize_t at) {
    ids *self = (ids *)object;
    if (at < 0 || at >= ids_length(object)) {
        PyErr_SetString(PyExc_IndexError, "there are fewer ids");
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)name_at(self, self->first + (uint64_t)at), NAME);
}

static size_t table_size(const table *of) { return of->buckets == NULL ? 0 : sizeof(bucket) << of->bits; }

static PyObject *ids_sizeof(PyObject *object, PyObject *unused) {
    (void)unused;
    ids *self = (ids *)object;
    size_t chunks = self->chunks_held * NAME * CHUNK + self->chunks_room * sizeof(uint8_t *);
    return PyLong_FromSize_t(sizeof(ids) + chunks + table_size(&self->now) + table_size(&self->old));
}

/* Keys from Python's own keyed hash, which is another in every process. */
static int make_keys(ids *self) {
    for (size_t i = 0; i < sizeof self->keys / sizeof *self->keys; i++) {
        PyObject *label = PyBytes_FromFormat("cccnode ids %zu", i);
        if (label == NULL) {
            return 0;
        }
        self->keys[i] = (uint64_t)PyObject_Hash(label);
        Py_DECREF(label);
    }
    return 1;
}

static void release(ids *self) {
    for (size_t i = 0; i < self->chunks_held; i++) {
        PyMem_Free(self->chunks[i]);
    }
    PyMem_Free(self->chunks);
    self->chunks = NULL, self->chunks_held = self->chunks_room = 0;
    self->first = self->next = self->moved = self->border = 0;
    table_close(&self->now);
    table_close(&self->old);
}

static PyObject *ids_new(PyTypeObject *type, PyObject *args, PyObject *kwds) {
    if (PyTuple_Size(args) != 0 || (kwds != NULL && PyDict_Size(kwds) != 0)) {
        PyErr_SetString(PyExc_TypeError, "Ids takes no arguments");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *object = allocate(type, 0); /* all zeros */
    if (object != NULL && !(make_keys((ids *)object) && table_open(&((ids *)object)->now, BITS_MIN))) {
        Py_CLEAR(object);
    }
    return object;
}

static void ids_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    release((ids *)object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"add", ids_add, METH_O, "add(ids)"},
    {"drop", ids_drop, METH_O, "drop(count)"},
    {"find", ids_find, METH_O, "find(id)"},
    {"__sizeof__", ids_sizeof, METH_NOARGS, "Bytes in use."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Ids(): names in order, forgotten from the old end; see ledger/ids.py"},
    {Py_tp_new, ids_new},
    {Py_tp_dealloc, ids_dealloc},
    {Py_tp_methods, methods},
    {Py_sq_contains, ids_contains},
    {Py_sq_length, ids_length},
    {Py_sq_item, ids_item},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cccnode.crypto._kernel.Ids",
    .basicsize = sizeof(ids),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

int ids_setup(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int done = type == NULL ? -1 : PyModule_AddObjectRef(module, "Ids", type);
    Py_XDECREF(type);
    return done;
}
