/* Groups and their records; groups.c. */

#ifndef CCCNODE_GROUPS_H
#define CCCNODE_GROUPS_H

#include "sha256.h"
#include "trees.h"

typedef struct {
    view item;
    view value; /* of a change: data is NULL if the item goes */
} pair;

/* A list of pairs that grows, kept from group to group; `at` is given back with PyMem_Free. */
typedef struct {
    pair *at;
    size_t count, room;
} pairs;

typedef struct {
    long items, name_bytes, value_bytes;
} limits;

typedef enum { FAILED = -1, DAMAGED = 0, SOUND = 1 } verdict; /* FAILED: an exception is set */

/* Take a record apart; DAMAGED unless it is what `write_record` makes of some pairs. */
verdict read_record(view record, pairs *items);

/* The value of one item; its data is NULL if there is none. */
verdict find_item(view record, view item, view *value);

/* The record of some pairs, empty for none: a group without items has no record. */
PyObject *write_record(const pairs *items);

void hash_group(view group, const pairs *items, uint8_t digest[SHA256_BYTES]);

/* Take a dictionary of changes, ascending by item; DAMAGED if one is over a limit. */
verdict read_changes(PyObject *mapping, const limits *limit, pairs *changes);

/* The items of a group after the changes; 0 with an exception if there is no memory. */
int merge_changes(const pairs *before, const pairs *changes, pairs *after);

#endif
