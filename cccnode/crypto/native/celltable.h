/* The cells of an overlay: decoded values by group and item, with a log of what the running transaction changed;
 * celltable.c.  Cells are never removed, so the number of a cell stays good whatever runs meanwhile. */

#ifndef CCCNODE_CELLTABLE_H
#define CCCNODE_CELLTABLE_H

#include "trees.h"

#define CELL_LOGGED 1u  /* the running transaction changed it */
#define CELL_DIRTY 2u   /* a committed transaction changed it */
#define CELL_ABSENT 4u  /* the view has no such item, */
#define CELL_PRESENT 8u /* or it has; neither: nobody asked */

#define NO_CELL ((size_t)-1)

typedef struct {
    PyObject *group, *item;
    PyObject *value; /* NULL: nobody has read it */
    uint32_t flags;
} cell;

typedef struct {
    uint32_t hash;
    uint32_t number; /* of the cell, plus one; 0 for a free place */
} cell_place;

typedef struct {
    PyObject *before; /* NULL: nobody had read it */
    uint32_t number;
} cell_note;

typedef struct {
    PyObject *items; /* every item's name once, so that cells share it and are told apart by its address */
    cell *cells;
    size_t count, room;
    cell_place *places; /* a hash table with open addressing; its size is a power of two */
    size_t places_size;
    cell_note *log;
    size_t logged, log_room;
    uint32_t *dirty; /* numbers of cells in the order of their first committed change */
    size_t changed, dirty_room;
} cell_table;

int cell_table_open(cell_table *table); /* 0 with an exception if there is no memory */
void cell_table_close(cell_table *table);

/* The number of a cell; NO_CELL, with an exception if the arguments are no byte strings or there is no memory.
 * `cell_find` adds no cell; `cell_reach` adds one that nobody has read. */
size_t cell_find(const cell_table *table, PyObject *group, PyObject *item);
size_t cell_reach(cell_table *table, PyObject *group, PyObject *item);

/* Set a cell's value and log what was there; 0 with an exception if there is no memory. */
int cell_change(cell_table *table, size_t number, PyObject *value);

/* The logged changes are good; 0 with an exception if there is no memory. */
int cell_keep(cell_table *table);

/* Undo the newest change of the log; the value that goes is handed over.  NO_CELL if there is none. */
size_t cell_undo(cell_table *table, PyObject **gone);

#endif
