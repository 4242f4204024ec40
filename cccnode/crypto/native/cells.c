/* The type `Cells`: what rules see of a state while a block is executed.  What it does is defined by ledger/cells.py.
 *
 * Any call of Python code (a view, a decoder, the end of a value) may call the same object again, so nothing but numbers
 * of cells is kept over one. */

#include "celltable.h"
#include "groups.h"
#include "integers.h"
#include "module.h"
#include "pages.h"

typedef struct {
    PyObject_HEAD
    cell_table table;
    PyObject *view;
    PyObject *pages; /* the view's cache; NULL if it has none */
    int depth;
    PyObject *reader, *read, *encode, *full, *large; /* the rules, as `Rules` has them */
    long items_max, name_max, value_max;
    PyObject *counts; /* items by group, where a change of this block may have changed their number */
} overlay;

/* --- life ------------------------------------------------------------------------------------------------------- */

static int take_cache(overlay *self, PyObject *cache) {
    if (cache == Py_None) {
        return 1;
    }
    PyObject *depth, *pages;
    if (!PyTuple_Check(cache)) {
        PyErr_SetString(PyExc_TypeError, "a cache is (depth, pages)");
        return 0;
    }
    if (!PyArg_ParseTuple(cache, "OO;a cache is (depth, pages)", &depth, &pages) ||
        (self->depth = depth_of(depth)) == 0 || !are_pages(pages, self->depth)) {
        return 0;
    }
    self->pages = Py_NewRef(pages);
    return 1;
}

static int overlay_init(PyObject *object, PyObject *arguments, PyObject *keywords) {
    overlay *self = (overlay *)object;
    PyObject *view, *cache, *reader, *read, *encode, *full, *large;
    long items_max, name_max, value_max;
    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Cells takes no keywords");
        return -1;
    }
    if (!PyArg_ParseTuple(arguments, "OO(OOOOOlll);Cells(view, cache, rules)", &view, &cache, &reader, &read, &encode,
                          &full, &large, &items_max, &name_max, &value_max)) {
        return -1;
    }
    if (self->view != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "an overlay is opened once");
        return -1;
    }
    self->counts = PyDict_New();
    if (self->counts == NULL || !take_cache(self, cache) || !cell_table_open(&self->table)) {
        Py_CLEAR(self->counts);
        Py_CLEAR(self->pages);
        return -1;
    }
    self->view = Py_NewRef(view);
    self->reader = Py_NewRef(reader), self->read = Py_NewRef(read), self->encode = Py_NewRef(encode);
    self->full = Py_NewRef(full), self->large = Py_NewRef(large);
    self->items_max = items_max, self->name_max = name_max, self->value_max = value_max;
    return 0;
}

static int overlay_traverse(PyObject *object, visitproc visit, void *arg) {
    overlay *self = (overlay *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->view);
    Py_VISIT(self->pages);
    Py_VISIT(self->reader);
    Py_VISIT(self->read);
    Py_VISIT(self->encode);
    Py_VISIT(self->full);
    Py_VISIT(self->large);
    Py_VISIT(self->counts);
    for (size_t i = 0; i < self->table.count; i++) {
        Py_VISIT(self->table.cells[i].value);
    }
    for (size_t i = 0; i < self->table.logged; i++) {
        Py_VISIT(self->table.log[i].before);
    }
    return 0;
}

static int overlay_clear(PyObject *object) {
    overlay *self = (overlay *)object;
    cell_table_close(&self->table);
    Py_CLEAR(self->view);
    Py_CLEAR(self->pages);
    Py_CLEAR(self->reader);
    Py_CLEAR(self->read);
    Py_CLEAR(self->encode);
    Py_CLEAR(self->full);
    Py_CLEAR(self->large);
    Py_CLEAR(self->counts);
    return 0;
}

static void overlay_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    overlay_clear(object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* Whether the overlay was opened and not given up; a RuntimeError otherwise. */
static int is_open(const overlay *self) {
    if (self->view == NULL || self->table.items == NULL || self->counts == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the overlay is not open");
        return 0;
    }
    return 1;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

/* Look into the view's cached pages.  1 with the value, whose data is NULL if there is none; 0 if the view must be
 * asked, be it for a page that is not cached or for the error that it will raise. */
static int find_cached(const overlay *self, PyObject *group, PyObject *item, view *value) {
    view name, wanted, record;
    *value = (view){NULL, 0};
    if (self->pages == NULL || !view_of(group, "a group", &name) || !view_of(item, "an item", &wanted) ||
        !find_record(self->pages, self->depth, name, &record) ||
        (record.size > 0 && find_item(record, wanted, value) != SOUND)) {
        PyErr_Clear();
        return 0;
    }
    return 1;
}

/* The encoded value as the view gives it: bytes or None, owned; NULL with an exception. */
static PyObject *ask_view(overlay *self, PyObject *group, PyObject *item) {
    PyObject *raw = PyObject_CallMethod(self->view, "get", "OO", group, item);
    if (raw != NULL && raw != Py_None && !PyBytes_CheckExact(raw)) {
        PyErr_SetString(PyExc_TypeError, "a view gives bytes or None");
        Py_CLEAR(raw);
    }
    return raw;
}

/* The decoded value of bytes that need no further life; NULL with an exception. */
static PyObject *decode(overlay *self, PyObject *kind, view raw, PyObject *bytes) {
    if (kind == (PyObject *)&PyLong_Type) {
        PyObject *number = read_integer(raw);
        if (number != NULL || PyErr_Occurred()) {
            return number;
        }
    }
    bytes = bytes != NULL ? Py_NewRef(bytes) : PyBytes_FromStringAndSize((const char *)raw.data, (Py_ssize_t)raw.size);
    if (bytes == NULL) {
        return NULL;
    }
    PyObject *reader = PyObject_CallFunctionObjArgs(self->reader, kind, NULL);
    PyObject *value = reader == NULL ? NULL : PyObject_CallFunctionObjArgs(reader, bytes, NULL);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear();
        value = PyObject_CallFunctionObjArgs(self->read, kind, bytes, NULL);
    }
    Py_XDECREF(reader);
    Py_DECREF(bytes);
    return value;
}

/* The committed value, decoded, or None; NULL with an exception. */
static PyObject *read_value(overlay *self, PyObject *group, PyObject *item, PyObject *kind) {
    view raw;
    if (find_cached(self, group, item, &raw)) {
        return raw.data == NULL ? Py_NewRef(Py_None) : decode(self, kind, raw, NULL);
    }
    PyObject *bytes = ask_view(self, group, item);
    if (bytes == NULL || bytes == Py_None) {
        return bytes;
    }
    PyObject *value = view_of(bytes, "a value", &raw) ? decode(self, kind, raw, bytes) : NULL;
    Py_DECREF(bytes);
    return value;
}

/* The value of a cell, read if nobody has, or None; NULL with an exception. */
static PyObject *value_of(overlay *self, size_t number, PyObject *group, PyObject *item, PyObject *kind) {
    if (self->table.cells[number].value != NULL) {
        return Py_NewRef(self->table.cells[number].value);
    }
    PyObject *value = read_value(self, group, item, kind);
    if (value != NULL && number < self->table.count && self->table.cells[number].value == NULL) {
        self->table.cells[number].value = Py_NewRef(value);
    }
    return value;
}

static PyObject *overlay_get(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    overlay *self = (overlay *)object;
    if (!counted("get", count, 3) || !is_open(self)) {
        return NULL;
    }
    size_t number = cell_reach(&self->table, arguments[0], arguments[1]);
    return number == NO_CELL ? NULL : value_of(self, number, arguments[0], arguments[1], arguments[2]);
}

/* Whether the view has an item; -1 with an exception. */
static int in_view(overlay *self, PyObject *group, PyObject *item) {
    view raw;
    if (find_cached(self, group, item, &raw)) {
        return raw.data != NULL;
    }
    PyObject *bytes = ask_view(self, group, item);
    if (bytes == NULL) {
        return -1;
    }
    int present = bytes != Py_None;
    Py_DECREF(bytes);
    return present;
}

static PyObject *overlay_has(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    overlay *self = (overlay *)object;
    if (!counted("has", count, 2) || !is_open(self)) {
        return NULL;
    }
    size_t number = cell_find(&self->table, arguments[0], arguments[1]);
    if (number == NO_CELL && PyErr_Occurred()) {
        return NULL;
    }
    if (number != NO_CELL && self->table.cells[number].value != NULL) {
        return PyBool_FromLong(self->table.cells[number].value != Py_None);
    }
    int present = in_view(self, arguments[0], arguments[1]);
    return present < 0 ? NULL : PyBool_FromLong(present);
}

/* known(group) -> {item: value} of the cells that were read or written */
static PyObject *overlay_known(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    overlay *self = (overlay *)object;
    if (!counted("known", count, 1) || !is_open(self)) {
        return NULL;
    }
    if (!PyBytes_CheckExact(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "groups and items must be bytes");
        return NULL;
    }
    PyObject *result = PyDict_New(), *item, *same;
    Py_ssize_t place = 0;
    while (result != NULL && PyDict_Next(self->table.items, &place, &item, &same)) {
        size_t number = cell_find(&self->table, arguments[0], item);
        if (number == NO_CELL && PyErr_Occurred()) {
            Py_CLEAR(result);
        } else if (number != NO_CELL && self->table.cells[number].value != NULL &&
                   PyDict_SetItem(result, item, self->table.cells[number].value) < 0) {
            Py_CLEAR(result);
        }
    }
    return result;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

/* Raise what a rule makes of its arguments; always NULL. */
static PyObject *refuse(PyObject *rule, PyObject *group, PyObject *item, long number) {
    PyObject *error = PyObject_CallFunction(rule, "OOl", group, item, number);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

/* The number of items in a group; -1 with an exception. */
static long count_items(overlay *self, PyObject *group) {
    PyObject *known = PyDict_GetItemWithError(self->counts, group);
    if (known != NULL || PyErr_Occurred()) {
        return known == NULL ? -1 : PyLong_AsLong(known);
    }
    PyObject *items = PyObject_CallMethod(self->view, "group", "O", group);
    Py_ssize_t size = items == NULL ? -1 : PyObject_Size(items);
    Py_XDECREF(items);
    if (size > 0x7ffffff) {
        PyErr_SetString(PyExc_ValueError, "no group has so many items");
        return -1;
    }
    return (long)size;
}

static int set_count(overlay *self, PyObject *group, long items) {
    PyObject *number = PyLong_FromLong(items);
    int done = number == NULL ? -1 : PyDict_SetItem(self->counts, group, number);
    Py_XDECREF(number);
    return done;
}

/* Whether there is such an item now, and a note of what the view has; -1 with an exception. */
static int is_present(overlay *self, size_t number, PyObject *group, PyObject *item) {
    const cell *one = &self->table.cells[number];
    if (one->value != NULL) {
        return one->value != Py_None;
    }
    int present = in_view(self, group, item);
    if (present >= 0 && number < self->table.count) {
        self->table.cells[number].flags |= present ? CELL_PRESENT : CELL_ABSENT;
    }
    return present;
}

/* Keep the group's item count when an item may appear or disappear; 0 with an exception if it may not. */
static int recount(overlay *self, size_t number, PyObject *group, PyObject *item, PyObject *value) {
    int present = is_present(self, number, group, item);
    int step = (value != Py_None) - present;
    if (present < 0 || step == 0) {
        return present >= 0;
    }
    if (PyBytes_Size(group) > self->name_max || PyBytes_Size(item) > self->name_max) {
        return refuse(self->large, group, item, self->name_max) != NULL;
    }
    long items = count_items(self, group);
    if (items == -1 && PyErr_Occurred()) {
        return 0;
    }
    if (items + step > self->items_max) {
        return refuse(self->full, group, item, items) != NULL;
    }
    return set_count(self, group, items + step) == 0;
}

/* Whether a value is small enough to be stored; 0 with an exception if it is not. */
static int is_small(overlay *self, PyObject *group, PyObject *item, PyObject *value) {
    if (value == Py_None || PyLong_CheckExact(value)) {
        return 1;
    }
    PyObject *raw = PyObject_CallFunctionObjArgs(self->encode, value, NULL);
    Py_ssize_t size = raw == NULL ? -1 : PyObject_Size(raw);
    Py_XDECREF(raw);
    if (size > self->value_max) {
        refuse(self->large, group, item, self->value_max);
        return 0;
    }
    return size >= 0;
}

/* Change a cell, whose value is small enough; 0 with an exception. */
static int set_value(overlay *self, size_t number, PyObject *group, PyObject *item, PyObject *value) {
    PyObject *before = self->table.cells[number].value;
    if ((before == NULL || before == Py_None || value == Py_None) && !recount(self, number, group, item, value)) {
        return 0;
    }
    return is_open(self) && cell_change(&self->table, number, value);
}

static PyObject *overlay_put(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    overlay *self = (overlay *)object;
    if (!counted("put", count, 3) || !is_open(self)) {
        return NULL;
    }
    PyObject *group = arguments[0], *item = arguments[1], *value = arguments[2];
    if (!is_small(self, group, item, value) || !is_open(self)) {
        return NULL; /* before the item is counted: what is refused leaves no trace */
    }
    size_t number = cell_reach(&self->table, group, item);
    return number != NO_CELL && set_value(self, number, group, item, value) ? Py_NewRef(Py_None) : NULL;
}

/* --- integers --------------------------------------------------------------------------------------------------- */

/* Whether both are integers; 0 with an exception if not. */
static int are_integers(PyObject *amount, PyObject *limit) {
    if (!PyLong_CheckExact(amount) || !PyLong_CheckExact(limit)) {
        PyErr_SetString(PyExc_TypeError, "amounts must be integers");
        return 0;
    }
    return 1;
}

/* The integer in an item, zero if there is none, and the number of its cell; NULL with an exception. */
static PyObject *integer_of(overlay *self, PyObject *group, PyObject *item, size_t *number) {
    *number = cell_reach(&self->table, group, item);
    PyObject *value =
        *number == NO_CELL ? NULL : value_of(self, *number, group, item, (PyObject *)&PyLong_Type);
    if (value == Py_None) {
        Py_DECREF(value);
        value = PyLong_FromLong(0);
    }
    if (value != NULL && (!is_open(self) || !are_integers(value, value))) {
        Py_CLEAR(value);
    }
    return value;
}

/* Set an item to an integer, or delete it with zero; 0 with an exception.  Comparing integers cannot fail. */
static int set_integer(overlay *self, size_t number, PyObject *group, PyObject *item, PyObject *value) {
    return value != NULL && set_value(self, number, group, item, PyObject_IsTrue(value) ? value : Py_None);
}

/* take(group, item, amount) -> what was there; changed only if it was enough */
static PyObject *overlay_take(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    overlay *self = (overlay *)object;
    size_t number;
    if (!counted("take", count, 3) || !is_open(self) || !are_integers(arguments[2], arguments[2])) {
        return NULL;
    }
    PyObject *owned = integer_of(self, arguments[0], arguments[1], &number);
    if (owned != NULL && PyObject_RichCompareBool(owned, arguments[2], Py_GE)) {
        PyObject *left = PyNumber_Subtract(owned, arguments[2]);
        if (!set_integer(self, number, arguments[0], arguments[1], left)) {
            Py_CLEAR(owned);
        }
        Py_XDECREF(left);
    }
    return owned;
}

/* give(group, item, amount, limit) -> the sum; changed only if that is within the limit */
static PyObject *overlay_give(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    overlay *self = (overlay *)object;
    size_t number;
    if (!counted("give", count, 4) || !is_open(self) || !are_integers(arguments[2], arguments[3])) {
        return NULL;
    }
    PyObject *owned = integer_of(self, arguments[0], arguments[1], &number);
    PyObject *sum = owned == NULL ? NULL : PyNumber_Add(owned, arguments[2]);
    if (sum != NULL && PyObject_RichCompareBool(sum, arguments[3], Py_LE) &&
        !set_integer(self, number, arguments[0], arguments[1], sum)) {
        Py_CLEAR(sum);
    }
    Py_XDECREF(owned);
    return sum;
}

static PyObject *overlay_commit(PyObject *object, PyObject *unused) {
    (void)unused;
    overlay *self = (overlay *)object;
    return is_open(self) && cell_keep(&self->table) ? Py_NewRef(Py_None) : NULL;
}

/* Count an item again whose change was dropped; 0 with an exception. */
static int recount_dropped(overlay *self, size_t number, int present) {
    const cell *one = &self->table.cells[number];
    int now = one->value == NULL ? (one->flags & CELL_PRESENT) != 0 : one->value != Py_None;
    PyObject *items = now == present ? NULL : PyDict_GetItemWithError(self->counts, one->group);
    if (items == NULL) {
        return !PyErr_Occurred();
    }
    long count = PyLong_AsLong(items);
    return !(count == -1 && PyErr_Occurred()) && set_count(self, one->group, count + now - present) == 0;
}

static PyObject *overlay_rollback(PyObject *object, PyObject *unused) {
    (void)unused;
    overlay *self = (overlay *)object;
    if (!is_open(self)) {
        return NULL;
    }
    PyObject *gone;
    size_t number;
    while ((number = cell_undo(&self->table, &gone)) != NO_CELL) {
        int done = recount_dropped(self, number, gone != Py_None);
        Py_XDECREF(gone);
        if (!done || !is_open(self)) {
            return NULL;
        }
    }
    return Py_NewRef(Py_None);
}

/* --- results ---------------------------------------------------------------------------------------------------- */

/* A cell's value as it will be stored: bytes, or None if the item goes; NULL with an exception. */
static PyObject *encoded(overlay *self, PyObject *value) {
    if (value == Py_None) {
        return Py_NewRef(Py_None);
    }
    if (PyLong_CheckExact(value)) {
        unsigned long long number = PyLong_AsUnsignedLongLong(value);
        if (!PyErr_Occurred()) {
            return write_integer(number);
        }
        PyErr_Clear();
    }
    PyObject *held = Py_NewRef(value), *raw = PyObject_CallFunctionObjArgs(self->encode, held, NULL);
    Py_DECREF(held);
    return raw;
}

/* Put one change among the others of its group; -1 with an exception. */
static int add_write(PyObject *writes, PyObject *group, PyObject *item, PyObject *raw) {
    PyObject *items = PyDict_GetItemWithError(writes, group);
    if (items != NULL && PyDict_Check(items)) {
        return PyDict_SetItem(items, item, raw);
    }
    if (items != NULL || PyErr_Occurred()) {
        if (items != NULL) {
            PyErr_SetString(PyExc_TypeError, "the changes of a group must be a dict");
        }
        return -1;
    }
    items = PyDict_New();
    int done = items == NULL || PyDict_SetItem(items, item, raw) < 0 ? -1 : PyDict_SetItem(writes, group, items);
    Py_XDECREF(items);
    return done;
}

/* collect(writes, start, count) -> how many changes are now in `writes`, the first `start` being there before */
static PyObject *overlay_collect(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    overlay *self = (overlay *)object;
    if (!counted("collect", count, 3) || !is_open(self)) {
        return NULL;
    }
    if (!PyDict_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "writes must be a dict");
        return NULL;
    }
    Py_ssize_t start = PyLong_AsSsize_t(arguments[1]), more = PyErr_Occurred() ? -1 : PyLong_AsSsize_t(arguments[2]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (start < 0 || more < 0) {
        PyErr_SetString(PyExc_ValueError, "changes are counted from 0");
        return NULL;
    }
    if (self->table.logged > 0) {
        PyErr_SetString(PyExc_AssertionError, "an open transaction has no result");
        return NULL;
    }
    size_t at = (size_t)start;
    for (; more > 0 && at < self->table.changed; more--, at++) {
        const cell *one = &self->table.cells[self->table.dirty[at]];
        PyObject *group = Py_NewRef(one->group), *item = Py_NewRef(one->item), *raw = encoded(self, one->value);
        int done = raw == NULL ? -1 : add_write(arguments[0], group, item, raw);
        Py_DECREF(group);
        Py_DECREF(item);
        Py_XDECREF(raw);
        if (done < 0) {
            return NULL;
        }
    }
    return PyLong_FromSize_t(at);
}

#define FAST(name, doc) {#name, (PyCFunction)(void (*)(void))overlay_##name, METH_FASTCALL, doc}

static PyMethodDef methods[] = {
    FAST(get, "get(group, item, kind)"),
    FAST(has, "has(group, item)"),
    FAST(known, "known(group)"),
    FAST(put, "put(group, item, value)"),
    FAST(take, "take(group, item, amount)"),
    FAST(give, "give(group, item, amount, limit)"),
    {"commit", overlay_commit, METH_NOARGS, "commit()"},
    {"rollback", overlay_rollback, METH_NOARGS, "rollback()"},
    FAST(collect, "collect(writes, start, count)"),
    {NULL, NULL, 0, NULL},
};

static PyObject *overlay_view(PyObject *object, void *unused) {
    (void)unused;
    overlay *self = (overlay *)object;
    return is_open(self) ? Py_NewRef(self->view) : NULL;
}

static PyGetSetDef properties[] = {
    {"view", overlay_view, NULL, "The committed state underneath.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Cells(view, cache, rules): decoded values over a view; see ledger/cells.py"},
    {Py_tp_init, overlay_init},
    {Py_tp_traverse, overlay_traverse},
    {Py_tp_clear, overlay_clear},
    {Py_tp_dealloc, overlay_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cccnode.crypto._kernel.Cells",
    .basicsize = sizeof(overlay),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int cells_setup(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int done = type == NULL ? -1 : PyModule_AddObjectRef(module, "Cells", type);
    Py_XDECREF(type);
    return done;
}
