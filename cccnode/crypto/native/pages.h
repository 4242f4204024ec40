/* Pages: a bucket in memory, as one byte string; pages.c.
 *
 * `size u8 || group || group hash || record size u32 || record` for each group, ascending by group.  The part before
 * the record size is what the bucket's hash covers. */

#ifndef CCCNODE_PAGES_H
#define CCCNODE_PAGES_H

#include "sha256.h"
#include "trees.h"

typedef struct {
    const uint8_t *start;
    view group, record;
    size_t listed; /* bytes from the start that the bucket's hash covers */
    size_t size;   /* bytes of the whole entry */
} entry;

/* Take the entry at the beginning of `rest` off; 0 if there is none or it is cut off. */
int next_entry(view *rest, entry *result);

/* Write an entry of `entry_size(...)` bytes. */
size_t entry_size(view group, size_t record_size);
void write_entry(uint8_t *at, view group, const uint8_t digest[SHA256_BYTES], view record);

/* What the hash of a bucket covers: at most LISTING_HEAD bytes more than its page.  Returns how many; 0 for bytes that
 * are no page. */
#define LISTING_HEAD (sizeof BUCKET_TAG - 1 + 1 + 4)
size_t write_listing(uint8_t *at, int depth, uint32_t bucket, view page);

/* The bucket that a group lies in. */
uint32_t bucket_of(int depth, view group);

/* Whether this is a list with a place for each bucket: its page, or None if it must be cached first.  0 with an
 * exception for anything else. */
int are_pages(PyObject *pages, int depth);

/* A group's record, empty if there is none, borrowed from its page.  0 with an exception otherwise: KeyError(bucket) if
 * the page must be cached first. */
int find_record(PyObject *pages, int depth, view group, view *record);

#endif
