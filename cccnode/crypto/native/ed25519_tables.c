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

/* points[i] = (i + 1) p */
static void multiples(point *points, const point *p, int count) {
    points[0] = *p;
    for (int i = 1; i < count; i++) {
        points[i] = i % 2 ? point_double(&points[i / 2]) : point_add(&points[i - 1], p);
    }
}

static point doubled(point p, int times) {
    while (times--) {
        p = point_double(&p);
    }
    return p;
}

entry *base_table_new(void) {
    entry *table = huge_new(BASE_ENTRIES * sizeof(entry));
    point *points = malloc(BASE_TOP_ROW * sizeof(point));
    fe *scratch = malloc(BASE_TOP_ROW * sizeof(fe));
    if (table && points && scratch) {
        point p = {fe_of(BASE_X), fe_of(BASE_Y), fe_small(1), fe_of(BASE_XY)};
        for (int digit = 0; digit < BASE_DIGITS; digit++) {
            entry *row = table + (size_t)digit * BASE_ROW;
            int count = digit == BASE_DIGITS - 1 ? BASE_TOP_ROW - 1 : BASE_HALF;
            entry_identity(row);
            multiples(points, &p, count);
            entries_from_points(row + 1, points, scratch, count);
            p = doubled(points[BASE_HALF - 1], 1);
        }
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
        p.X = fe_negated(&p.X);
        p.T = fe_negated(&p.T);
        for (int i = 0; i < KEY_ROWS; i++) {
            point *row = points + (size_t)i * KEY_ROW;
            row[0] = (point){fe_small(0), fe_small(1), fe_small(1), fe_small(0)};
            multiples(row + 1, &p, KEY_HALF);
            p = doubled(row[KEY_HALF], KEY_WINDOW * KEY_ROUNDS - (KEY_WINDOW - 1));
        }
        entries_from_points(table, points, scratch, KEY_ENTRIES);
    }
    int done = points && scratch ? 1 : -1;
    free(points);
    free(scratch);
    return done;
}
