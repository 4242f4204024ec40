/* The cells of an overlay: a hash table, a log and a list of changes.  Nothing here calls back into Python code, but
 * for the end of a value, which comes after everything is in order. */

#include "celltable.h"

#define SMALLEST 16

/* Room for one element more; the array, or NULL with an exception. */
static void *with_room(void *array, size_t count, size_t *room, size_t size) {
    if (count < *room) {
        return array;
    }
    size_t more = *room == 0 ? SMALLEST : 2 * *room;
    void *larger = PyMem_Realloc(array, more * size);
    if (larger == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *room = more;
    return larger;
}

int cell_table_open(cell_table *table) {
    memset(table, 0, sizeof *table);
    table->places = PyMem_Calloc(SMALLEST, sizeof(cell_place));
    table->items = PyDict_New();
    if (table->places == NULL || table->items == NULL) {
        PyErr_NoMemory();
        cell_table_close(table);
        return 0;
    }
    table->places_size = SMALLEST;
    return 1;
}

void cell_table_close(cell_table *table) {
    cell_table old = *table;
    memset(table, 0, sizeof *table); /* what ends below sees an empty table */
    for (size_t i = 0; i < old.count; i++) {
        Py_DECREF(old.cells[i].group);
        Py_DECREF(old.cells[i].item);
        Py_XDECREF(old.cells[i].value);
    }
    for (size_t i = 0; i < old.logged; i++) {
        Py_XDECREF(old.log[i].before);
    }
    PyMem_Free(old.cells);
    PyMem_Free(old.places);
    PyMem_Free(old.log);
    PyMem_Free(old.dirty);
    Py_XDECREF(old.items);
}

static int same_bytes(PyObject *a, PyObject *b) {
    Py_ssize_t size;
    if (a == b) {
        return 1;
    }
    size = PyBytes_Size(a);
    return size == PyBytes_Size(b) && memcmp(PyBytes_AsString(a), PyBytes_AsString(b), (size_t)size) == 0;
}

/* The hash of a cell: Python's of both names, which nobody outside can aim. */
static uint32_t hash_of(PyObject *group, PyObject *item) {
    uint64_t mixed = (uint64_t)PyObject_Hash(group) + 0x9e3779b97f4a7c15u * (uint64_t)PyObject_Hash(item);
    mixed *= 0xd6e8feb86659fd93u;
    return (uint32_t)(mixed >> 32);
}

/* The name of an item as cells know it, borrowed; NULL if no cell has it, with an exception if it cannot be one. */
static PyObject *known_item(const cell_table *table, PyObject *group, PyObject *item) {
    if (!PyBytes_CheckExact(group) || !PyBytes_CheckExact(item)) {
        PyErr_SetString(PyExc_TypeError, "groups and items must be bytes");
        return NULL;
    }
    if (table->items == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the overlay is not open");
        return NULL;
    }
    return PyDict_GetItemWithError(table->items, item);
}

/* The place of a cell, or the free one where it belongs.  `item` is the known name. */
static cell_place *place_of(const cell_table *table, uint32_t hash, PyObject *group, PyObject *item) {
    size_t mask = table->places_size - 1, at = hash & mask;
    for (; table->places[at].number != 0; at = (at + 1) & mask) {
        if (table->places[at].hash == hash) {
            const cell *found = &table->cells[table->places[at].number - 1];
            if (found->item == item && same_bytes(found->group, group)) {
                break;
            }
        }
    }
    return &table->places[at];
}

size_t cell_find(const cell_table *table, PyObject *group, PyObject *item) {
    PyObject *known = known_item(table, group, item);
    if (known == NULL) {
        return NO_CELL;
    }
    return (size_t)place_of(table, hash_of(group, known), group, known)->number - 1; /* 0 - 1 is NO_CELL */
}

/* Double the hash table when it is two thirds full; 0 with an exception if there is no memory. */
static int widen(cell_table *table) {
    if (3 * (table->count + 1) <= 2 * table->places_size) {
        return 1;
    }
    size_t size = 2 * table->places_size, mask = size - 1;
    cell_place *places = size > UINT32_MAX ? NULL : PyMem_Calloc(size, sizeof(cell_place));
    if (places == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    for (size_t i = 0; i < table->places_size; i++) {
        if (table->places[i].number != 0) {
            size_t at = table->places[i].hash & mask;
            while (places[at].number != 0) {
                at = (at + 1) & mask;
            }
            places[at] = table->places[i];
        }
    }
    PyMem_Free(table->places);
    table->places = places, table->places_size = size;
    return 1;
}

size_t cell_reach(cell_table *table, PyObject *group, PyObject *item) {
    PyObject *known = known_item(table, group, item);
    if (known == NULL) {
        if (PyErr_Occurred() || PyDict_SetItem(table->items, item, item) < 0) {
            return NO_CELL;
        }
        known = item;
    }
    uint32_t hash = hash_of(group, known);
    cell_place *place = place_of(table, hash, group, known);
    if (place->number != 0) {
        return place->number - 1;
    }
    cell *cells = with_room(table->cells, table->count, &table->room, sizeof(cell));
    if (cells == NULL) {
        return NO_CELL;
    }
    table->cells = cells;
    if (!widen(table)) {
        return NO_CELL;
    }
    cells[table->count++] = (cell){Py_NewRef(group), Py_NewRef(known), NULL, 0};
    *place_of(table, hash, group, known) = (cell_place){hash, (uint32_t)table->count};
    return table->count - 1;
}

int cell_change(cell_table *table, size_t number, PyObject *value) {
    cell *one = &table->cells[number];
    PyObject *before = one->value;
    if (!(one->flags & CELL_LOGGED)) {
        cell_note *log = with_room(table->log, table->logged, &table->log_room, sizeof(cell_note));
        if (log == NULL) {
            return 0;
        }
        table->log = log;
        log[table->logged++] = (cell_note){before, (uint32_t)number};
        one->flags |= CELL_LOGGED;
        before = NULL; /* the log has it now */
    }
    one->value = Py_NewRef(value);
    Py_XDECREF(before);
    return 1;
}

/* Empty the log.  It is taken away first: the end of a value may run code that begins another. */
static void forget_log(cell_table *table) {
    cell_note *log = table->log;
    size_t logged = table->logged, room = table->log_room;
    table->log = NULL, table->logged = 0, table->log_room = 0;
    for (size_t i = 0; i < logged; i++) {
        Py_XDECREF(log[i].before);
    }
    if (table->log == NULL) {
        table->log = log, table->log_room = room;
    } else {
        PyMem_Free(log);
    }
}

int cell_keep(cell_table *table) {
    for (size_t i = 0; i < table->logged; i++) { /* room first, so that it is kept whole or not at all */
        uint32_t *dirty = with_room(table->dirty, table->changed + i, &table->dirty_room, sizeof(uint32_t));
        if (dirty == NULL) {
            return 0;
        }
        table->dirty = dirty;
    }
    for (size_t i = 0; i < table->logged; i++) {
        cell *one = &table->cells[table->log[i].number];
        if (!(one->flags & CELL_DIRTY)) {
            table->dirty[table->changed++] = table->log[i].number;
        }
        one->flags = (one->flags | CELL_DIRTY) & ~CELL_LOGGED;
    }
    forget_log(table);
    return 1;
}

size_t cell_undo(cell_table *table, PyObject **gone) {
    if (table->logged == 0) {
        return NO_CELL;
    }
    cell_note last = table->log[--table->logged];
    cell *one = &table->cells[last.number];
    *gone = one->value;
    one->value = last.before;
    one->flags &= ~CELL_LOGGED;
    return last.number;
}
