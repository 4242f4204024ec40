/* Numbers modulo L, the order of the base point: whether S is below it, and a SHA-512 digest reduced by it. */

#ifndef CCCNODE_SCALAR_H
#define CCCNODE_SCALAR_H

#include "field.h"

static inline int scalar_is_canonical(const uint8_t s[32]) {
    for (int i = 3; i >= 0; i--) {
        uint64_t word = load64(s + 8 * i);
        if (word != ORDER[i]) {
            return word < ORDER[i];
        }
    }
    return 0;
}

/* `a` times L - 2^252; `product` has count + 2 words. */
static inline void scalar_times_tail(uint64_t *product, const uint64_t *a, int count) {
    memset(product, 0, 8 * ((size_t)count + 2));
    for (int i = 0; i < count; i++) {
        uint128 t = (uint128)a[i] * ORDER_TAIL[0] + product[i];
        product[i] = (uint64_t)t;
        t = (uint128)a[i] * ORDER_TAIL[1] + product[i + 1] + (uint64_t)(t >> 64);
        product[i + 1] = (uint64_t)t;
        product[i + 2] = (uint64_t)(t >> 64);
    }
}

/* `words` into its lowest 252 bits and the `high_count` words above them. */
static inline void scalar_split(uint64_t low[4], uint64_t *high, const uint64_t *words, int word_count, int high_count) {
    memcpy(low, words, 32);
    low[3] &= (1ULL << 60) - 1;
    for (int i = 0; i < high_count; i++) {
        high[i] = words[i + 3] >> 60 | (i + 4 < word_count ? words[i + 4] << 4 : 0);
    }
}

/* a - b; returns the borrow. */
static inline uint64_t scalar_subtract(uint64_t a[4], const uint64_t b[4]) {
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) {
        uint128 t = (uint128)a[i] - b[i] - borrow;
        a[i] = (uint64_t)t;
        borrow = (uint64_t)(t >> 64) & 1;
    }
    return borrow;
}

/* A number of 512 bits modulo L.
 *
 * With c = L - 2^252 (125 bits), 2^252 = -c.  Three times the part above 2^252 is replaced by its product with c, of
 * alternating sign: x = l0 - h1 c, h1 c = l1 + 2^252 h2, h2 c = l2 + 2^252 h3, so x = l0 - l1 + l2 - h3 c.  h1 has 260
 * bits, h2 133, h3 6; with 2L added the sum is above 0 and below 5L, and below 2^256. */
static inline void scalar_reduce(uint64_t reduced[4], const uint64_t x[8]) {
    uint64_t l0[4], l1[4], l2[4], h1[5], h2[3], h3[1], product[7];
    scalar_split(l0, h1, x, 8, 5);
    scalar_times_tail(product, h1, 5);
    scalar_split(l1, h2, product, 7, 3);
    scalar_times_tail(product, h2, 3);
    scalar_split(l2, h3, product, 5, 1);
    uint64_t last[4] = {0, 0, 0, 0};
    scalar_times_tail(last, h3, 1);

    uint128 sum = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t twice_order = ORDER[i] << 1 | (i ? ORDER[i - 1] >> 63 : 0);
        sum += (uint128)l0[i] + l2[i] + twice_order;
        reduced[i] = (uint64_t)sum;
        sum >>= 64;
    }
    scalar_subtract(reduced, l1);
    scalar_subtract(reduced, last);
    for (int i = 0; i < 4; i++) {
        uint64_t less[4];
        memcpy(less, reduced, 32);
        if (scalar_subtract(less, ORDER)) {
            break;
        }
        memcpy(reduced, less, 32);
    }
}

#endif
