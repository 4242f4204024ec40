/* A block's writes: new pages of the buckets that they touch, bucket by bucket in ascending order.
 *
 * Each bucket is taken whole: its page is read once, merged with all changes of its groups, written once and hashed
 * while it is in the processor's cache. */

#include "groups.h"
#include "pages.h"

/* Bytes that grow, kept from bucket to bucket. */
typedef struct {
    uint8_t *at;
    size_t size, room;
} buffer;

/* Make room for so many bytes more; returns where they begin, or NULL with an exception. */
static uint8_t *extend(buffer *b, size_t more) {
    if (b->room - b->size < more) {
        size_t room = 2 * (b->size + more);
        uint8_t *larger = PyMem_Realloc(b->at, room);
        if (larger == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        b->at = larger, b->room = room;
    }
    b->size += more;
    return b->at + b->size - more;
}

typedef struct {
    view prefix; /* of the engine's keys */
    int depth;
    limits limit;
    PyObject *pages;               /* list: the page of each bucket, or None if it is not cached */
    PyObject *new_pages, *puts;    /* lists to extend: pages; (engine key, record or None) */
    PyObject *groups, *mappings;   /* tuples: the groups in order, their changes */
    view places;                   /* their buckets */
    pairs before, changes, after;  /* of one group */
    buffer page, nodes;            /* of one bucket; of all */
    buffer listed[2];              /* what the hashes of the last one or two nodes cover */
    int waiting;                   /* how many of them wait for their hash */
    int changed;                   /* whether a group of the bucket is another than before */
    Py_ssize_t growth;             /* bytes by which the pages grow */
} writer;

/* engine key: prefix || bucket u32 || group */
static int put(writer *w, uint32_t bucket, view group, PyObject *record) {
    PyObject *key = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(w->prefix.size + 4 + group.size));
    if (key == NULL) {
        return 0;
    }
    uint8_t *at = (uint8_t *)PyBytes_AsString(key);
    memcpy(at, w->prefix.data, w->prefix.size);
    store_u32(at + w->prefix.size, bucket);
    memcpy(at + w->prefix.size + 4, group.data, group.size);
    PyObject *both = PyTuple_Pack(2, key, PyBytes_Size(record) > 0 ? record : Py_None);
    Py_DECREF(key);
    int done = both != NULL && PyList_Append(w->puts, both) == 0;
    Py_XDECREF(both);
    return done;
}

/* Copy an entry of the old page. */
static int keep(writer *w, const entry *old) {
    uint8_t *at = extend(&w->page, old->size);
    if (at != NULL) {
        memcpy(at, old->start, old->size);
    }
    return at != NULL;
}

/* Write the entry of a changed group, and what the engine must write.  The items in `w->after` may belong to the
 * dictionary of changes: they are not used any more once `put` may run other code. */
static verdict replace(writer *w, uint32_t bucket, view group, PyObject *record) {
    view content = {(const uint8_t *)PyBytes_AsString(record), (size_t)PyBytes_Size(record)};
    if (content.size > UINT32_MAX) {
        return DAMAGED;
    }
    if (content.size > 0) {
        uint8_t digest[SHA256_BYTES], *at = extend(&w->page, entry_size(group, content.size));
        if (at == NULL) {
            return FAILED;
        }
        hash_group(group, &w->after, digest);
        write_entry(at, group, digest, content);
    }
    w->changed = 1;
    return put(w, bucket, group, record) ? SOUND : FAILED;
}

/* Change one group; `old` is its entry, with an empty record if it is not there. */
static verdict change(writer *w, uint32_t bucket, view group, const entry *old, PyObject *mapping) {
    if (group.size == 0 || group.size > (size_t)w->limit.name_bytes) {
        return DAMAGED;
    }
    if (!PyDict_Check(mapping)) {
        PyErr_SetString(PyExc_TypeError, "the changes of a group must be a dict");
        return FAILED;
    }
    verdict found = SOUND;
    w->before.count = 0;
    if (old->record.size > 0) {
        found = read_record(old->record, &w->before);
    }
    if (found == SOUND) {
        found = read_changes(mapping, &w->limit, &w->changes);
    }
    if (found == SOUND && !merge_changes(&w->before, &w->changes, &w->after)) {
        found = FAILED;
    }
    if (found == SOUND && w->after.count > (size_t)w->limit.items) {
        found = DAMAGED;
    }
    PyObject *record = found == SOUND ? write_record(&w->after) : NULL;
    if (record == NULL) {
        return found == SOUND ? FAILED : found;
    }
    if ((size_t)PyBytes_Size(record) == old->record.size &&
        memcmp(PyBytes_AsString(record), old->record.data, old->record.size) == 0) {
        found = old->record.size == 0 || keep(w, old) ? SOUND : FAILED;
    } else {
        found = replace(w, bucket, group, record);
    }
    Py_DECREF(record);
    return found;
}

/* Merge the old page with the writes from `start` to `end` into `w->page`. */
static verdict merge_page(writer *w, uint32_t bucket, view rest, Py_ssize_t start, Py_ssize_t end) {
    entry old = {NULL, {NULL, 0}, {NULL, 0}, 0, 0};
    int more = next_entry(&rest, &old);
    view last = {(const uint8_t *)"", 0};
    w->page.size = 0, w->changed = 0;
    for (Py_ssize_t i = start; i < end; i++) {
        view group;
        if (!view_of(PyTuple_GetItem(w->groups, i), "a group", &group)) {
            return FAILED;
        }
        if (i > start && compare(last, group) >= 0) {
            PyErr_SetString(PyExc_ValueError, "the groups of a bucket ascend");
            return FAILED;
        }
        last = group;
        int order = 1;
        while (more && (order = compare(old.group, group)) < 0) {
            if (!keep(w, &old)) {
                return FAILED;
            }
            more = next_entry(&rest, &old);
        }
        const entry none = {NULL, group, {(const uint8_t *)"", 0}, 0, 0};
        int there = more && order == 0;
        verdict found = change(w, bucket, group, there ? &old : &none, PyTuple_GetItem(w->mappings, i));
        if (found != SOUND) {
            return found;
        }
        if (there) {
            more = next_entry(&rest, &old);
        }
    }
    while (more) {
        if (!keep(w, &old)) {
            return FAILED;
        }
        more = next_entry(&rest, &old);
    }
    return rest.size == 0 ? SOUND : DAMAGED;
}

/* Hash what waits: two buckets side by side if there are two. */
static void hash_waiting(writer *w) {
    if (w->waiting == 0) {
        return;
    }
    uint8_t *last = w->nodes.at + w->nodes.size - SHA256_BYTES;
    if (w->waiting == 1) {
        sha256(w->listed[0].at, w->listed[0].size, last);
    } else {
        sha256_two((uint8_t *const[2]){w->listed[0].at, w->listed[1].at},
                   (const size_t[2]){w->listed[0].size, w->listed[1].size},
                   (uint8_t *const[2]){last - NODE_BYTES, last});
    }
    w->waiting = 0;
}

/* Append a node whose hash is made as soon as another waits with it. */
static int add_node(writer *w, uint32_t bucket) {
    uint8_t *node = extend(&w->nodes, NODE_BYTES);
    buffer *listed = &w->listed[w->waiting];
    listed->size = 0;
    uint8_t *at = node == NULL ? NULL : extend(listed, LISTING_HEAD + w->page.size + SHA256_PADDING);
    if (at == NULL) {
        return 0;
    }
    store_u32(node, bucket);
    listed->size = write_listing(at, w->depth, bucket, (view){w->page.at, w->page.size});
    if (++w->waiting == 2) {
        hash_waiting(w);
    }
    return 1;
}

/* Put the merged page where all that depends on it finds it. */
static int store(writer *w, uint32_t bucket, size_t before) {
    view page = {w->page.at, w->page.size};
    if (!add_node(w, bucket)) {
        return 0;
    }
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)page.data, (Py_ssize_t)page.size);
    if (bytes == NULL) {
        return 0;
    }
    w->growth += (Py_ssize_t)page.size - (Py_ssize_t)before;
    int done = PyList_Append(w->new_pages, bytes) == 0;
    Py_DECREF(bytes);
    return done;
}

/* Write one bucket, with the page that is cached; DAMAGED leaves everything as it was. */
static verdict write_bucket(writer *w, uint32_t bucket, Py_ssize_t start, Py_ssize_t end) {
    PyObject *page = PyList_GetItem(w->pages, (Py_ssize_t)bucket);
    view before;
    if (page == NULL || page == Py_None) {
        return page == NULL ? FAILED : DAMAGED;
    }
    if (!view_of(page, "a page", &before)) {
        return FAILED;
    }
    Py_INCREF(page);
    Py_ssize_t puts = PyList_Size(w->puts);
    verdict found = merge_page(w, bucket, before, start, end);
    if (found == SOUND && w->changed && !store(w, bucket, before.size)) {
        found = FAILED;
    }
    if (found == DAMAGED && PyList_SetSlice(w->puts, puts, PyList_Size(w->puts), NULL) < 0) {
        found = FAILED;
    }
    Py_DECREF(page);
    return found;
}

/* Write whole buckets from number `start` on until `count` groups are written or one bucket cannot be; returns the
 * number of the first write that is left, or -1 with an exception. */
static Py_ssize_t write_from(writer *w, Py_ssize_t start, Py_ssize_t count) {
    Py_ssize_t size = PyTuple_Size(w->groups), stop = count < size - start ? start + count : size;
    while (start < stop) {
        const uint8_t *place = w->places.data + 4 * start;
        uint32_t bucket = load_u32(place);
        Py_ssize_t end = start + 1;
        for (place += 4; end < size && load_u32(place) == bucket; place += 4) {
            end++;
        }
        if (bucket >> w->depth != 0) {
            PyErr_SetString(PyExc_ValueError, "a bucket beyond the tree");
            return -1;
        }
        verdict found = write_bucket(w, bucket, start, end);
        if (found != SOUND) {
            return found == FAILED ? -1 : start;
        }
        start = end;
    }
    return start;
}

/* Check the arguments of write_buckets.  They stay borrowed: the caller of a function keeps its arguments alive, and
 * tuples do not change. */
static int open_writer(writer *w, PyObject *const *arguments) {
    PyObject *places;
    if (!PyTuple_Check(arguments[2]) || !PyTuple_Check(arguments[4]) || !PyTuple_Check(arguments[5])) {
        PyErr_SetString(PyExc_TypeError, "limits, staged and block must be tuples");
        return 0;
    }
    if (!view_of(arguments[0], "the prefix", &w->prefix) || (w->depth = depth_of(arguments[1])) == 0 ||
        !PyArg_ParseTuple(arguments[2], "lll;limits are (items, name bytes, value bytes)", &w->limit.items,
                          &w->limit.name_bytes, &w->limit.value_bytes) ||
        !are_pages(arguments[3], w->depth) ||
        !PyArg_ParseTuple(arguments[4], "O!O!;staged is (pages, puts)", &PyList_Type, &w->new_pages, &PyList_Type,
                          &w->puts) ||
        !PyArg_ParseTuple(arguments[5], "O!O!O;a block is (groups, changes, buckets)", &PyTuple_Type, &w->groups,
                          &PyTuple_Type, &w->mappings, &places) ||
        !view_of(places, "the buckets of a block", &w->places)) {
        return 0;
    }
    if (w->limit.items < 0 || w->limit.items > 0xffff || w->limit.name_bytes < 0 || w->limit.name_bytes > 0xff ||
        w->limit.value_bytes < 0 || w->limit.value_bytes > 1 << 24) {
        PyErr_SetString(PyExc_ValueError, "limits that records cannot hold");
        return 0;
    }
    w->pages = arguments[3];
    if (w->places.size != 4 * (size_t)PyTuple_Size(w->groups) || PyTuple_Size(w->groups) != PyTuple_Size(w->mappings)) {
        PyErr_SetString(PyExc_ValueError, "a block has changes and a bucket for each group");
        return 0;
    }
    return 1;
}

/* write_buckets(prefix, depth, limits, pages, staged, block, start, count) -> (next, growth, nodes) */
FASTCALL(kernel_write_buckets) {
    (void)module;
    writer w;
    PyObject *result = NULL;
    memset(&w, 0, sizeof w);
    if (!counted("write_buckets", count, 8) || !open_writer(&w, arguments)) {
        return NULL;
    }
    Py_ssize_t start = PyLong_AsSsize_t(arguments[6]), groups = PyErr_Occurred() ? -1 : PyLong_AsSsize_t(arguments[7]);
    if (start < 0 || groups < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "start and count are not negative");
        }
        return NULL;
    }
    Py_ssize_t next = write_from(&w, start, groups);
    if (next >= 0) {
        hash_waiting(&w);
        const char *nodes = w.nodes.size > 0 ? (const char *)w.nodes.at : ""; /* y# takes NULL for None */
        result = Py_BuildValue("nny#", next, w.growth, nodes, (Py_ssize_t)w.nodes.size);
    }
    PyMem_Free(w.before.at);
    PyMem_Free(w.changes.at);
    PyMem_Free(w.after.at);
    PyMem_Free(w.page.at);
    PyMem_Free(w.nodes.at);
    PyMem_Free(w.listed[0].at);
    PyMem_Free(w.listed[1].at);
    return result;
}
