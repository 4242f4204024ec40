/* The precomputed tables: of the base point, made once, and of keys. */

#define _GNU_SOURCE

#include <stdlib.h>
#include <sys/mman.h>

#include "ed25519.h"

void *huge_new(size_t bytes) {
    size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *memory = aligned_alloc(HUGE_PAGE, whole);
#ifdef MADV_HUGEPAGE
    if (memory) {
        (void)madvise(memory, whole, MADV_HUGEPAGE); /* fewer address translations; no matter if refused */
    }
#endif
    return memory;
}

static point doubled(point p, int times) {
    while (times--) {
        p = point_double(&p);
    }
    return p;
}

static point negated(const point *p) {
    return (point){fe_negated(&p->X), p->Y, p->Z, fe_negated(&p->T)};
}

#define TEETH_MOST 16
#define BLOCKS_MOST 8

/* Every block of the comb of `p`: entry e of a block is its top tooth and every other tooth t, positive where bit t of e
 * is set, negative where it is not.  Tooth t of block b is 2^(columns t + rounds b) p. */
static void comb(point *points, point p, int teeth, int columns, int blocks, int rounds) {
    point tooth[BLOCKS_MOST][TEETH_MOST], twice[BLOCKS_MOST][TEETH_MOST];
    int done = 0; /* doublings */
    for (int t = 0; t < teeth; t++) {
        for (int b = 0; b < blocks; b++) {
            tooth[b][t] = doubled(p, columns * t + rounds * b - done);
            p = twice[b][t] = point_double(&tooth[b][t]);
            done = columns * t + rounds * b + 1;
        }
    }
    for (int b = 0; b < blocks; b++) {
        point *block = points + (size_t)b * COMB_BLOCK(teeth);
        block[0] = tooth[b][teeth - 1];
        for (int t = 0; t < teeth - 1; t++) {
            point minus = negated(&tooth[b][t]);
            block[0] = point_add(&block[0], &minus);
        }
        for (int t = 0; t < teeth - 1; t++) {
            for (int e = 0; e < 1 << t; e++) {
                block[e + (1 << t)] = point_add(&block[e], &twice[b][t]);
            }
        }
    }
}

_Static_assert(BASE_TEETH <= TEETH_MOST && KEY_TEETH <= TEETH_MOST, "TEETH_MOST");
_Static_assert(BASE_BLOCKS <= BLOCKS_MOST && KEY_BLOCKS <= BLOCKS_MOST, "BLOCKS_MOST");

entry *base_table_new(void) {
    entry *table = huge_new(BASE_ENTRIES * sizeof(entry));
    point *points = malloc(BASE_ENTRIES * sizeof(point));
    fe *scratch = malloc(BASE_ENTRIES * sizeof(fe));
    if (table && points && scratch) {
        point p = {fe_of(BASE_X), fe_of(BASE_Y), fe_small(1), fe_of(BASE_XY)};
        comb(points, p, BASE_TEETH, BASE_COLUMNS, BASE_BLOCKS, BASE_ROUNDS);
        entries_from_points(table, points, scratch, BASE_ENTRIES);
    } else {
        free(table);
        table = NULL;
    }
    free(points);
    free(scratch);
    return table;
}

int key_table_build(entry table[KEY_ENTRIES], const uint8_t key[32]) {
    point p;
    if (!point_is_canonical(key) || point_is_small_order(key) || !point_decode(&p, key)) {
        return 0;
    }
    point *points = malloc(KEY_ENTRIES * sizeof(point));
    fe *scratch = malloc(KEY_ENTRIES * sizeof(fe));
    if (points && scratch) {
        points[0] = (point){fe_small(0), fe_small(1), fe_small(1), fe_small(0)};
        points[1] = negated(&p);
        comb(points + KEY_COMB, points[1], KEY_TEETH, KEY_COLUMNS, KEY_BLOCKS, KEY_ROUNDS);
        entries_from_points(table, points, scratch, KEY_ENTRIES);
    }
    int done = points && scratch ? 1 : -1;
    free(points);
    free(scratch);
    return done;
}
