/* One lane, plain 64-bit C: the field of field.h under the names that ed25519_lanes.h uses.
 *
 * Products are carried; what sum, difference, twice_plus and twice_minus return is loose: below 2^54. */

#ifndef CCCNODE_LANES_PORTABLE_H
#define CCCNODE_LANES_PORTABLE_H

#include "ed25519.h"

#define LANES 1
#define INLINE static inline __attribute__((always_inline))
#define OUTLINE static __attribute__((noinline))

typedef uint64_t lane;
typedef fe elements;
typedef fe products;

OUTLINE products multiply(const elements *a, const elements *b) {
    return fe_mul(a, b);
}

OUTLINE products square(const elements *a) {
    return fe_square(a);
}

INLINE elements carried(const products *a) {
    return *a;
}

INLINE products tightened(const elements *a) {
    return fe_carry(a);
}

INLINE elements sum(const products *a, const products *b) {
    return fe_add(a, b);
}

INLINE elements difference(const products *a, const products *b) {
    return fe_sub(a, b);
}

/* 2a + b, 2a - b: below 2^52 + 2^53 + a few bits, which is loose too. */
INLINE elements twice_plus(const products *a, const products *b) {
    elements r;
    for (int i = 0; i < 5; i++) {
        r.limb[i] = 2 * a->limb[i] + b->limb[i];
    }
    return r;
}

INLINE elements twice_minus(const products *a, const products *b) {
    elements r;
    for (int i = 0; i < 5; i++) {
        r.limb[i] = 2 * a->limb[i] + (FOUR_P[i] - b->limb[i]);
    }
    return r;
}

/* 2a - (b - c) */
INLINE elements twice_less(const products *a, const products *b, const products *c) {
    elements r;
    for (int i = 0; i < 5; i++) {
        r.limb[i] = 2 * a->limb[i] + c->limb[i] + (FOUR_P[i] - b->limb[i]);
    }
    return r;
}

INLINE elements every(const uint64_t limbs[5]) {
    return fe_of(limbs);
}

INLINE void get_limbs(lane limbs[5], const products *a) {
    memcpy(limbs, a->limb, 40);
}

INLINE products from_limbs(const lane limbs[5]) {
    return fe_of(limbs);
}

/* Entries of a table, one per lane, negated where `negative` is all ones: y + x and y - x change places, 2dxy its sign. */
INLINE void load_entries(elements *plus, elements *minus, elements *t, const uint64_t *entries, const uint64_t *negative) {
    uint64_t word[15], n = negative[0];
    entry_unpack(word, (const entry *)entries[0]);
    *plus = fe_of(word + (n & 5));
    *minus = fe_of(word + 5 - (n & 5));
    for (int i = 0; i < 5; i++) {
        t->limb[i] = ((TWO_P[i] - word[10 + i]) & n) | (word[10 + i] & ~n);
    }
}

INLINE void load_multiple(elements part[4], const uint64_t *entries, const uint64_t *negative) {
    const uint64_t *word = (const uint64_t *)entries[0];
    uint64_t n = negative[0];
    part[0] = fe_of(word + (n & 5));
    part[1] = fe_of(word + 5 - (n & 5));
    part[2] = fe_of(word + 10);
    for (int i = 0; i < 5; i++) {
        part[3].limb[i] = ((FOUR_P[i] - word[15 + i]) & n) | (word[15 + i] & ~n);
    }
}

INLINE void store_multiple(const uint64_t *entries, const products part[4]) {
    memcpy((void *)entries[0], part, 4 * sizeof(products));
}

/* SHA-512 */
INLINE lane rotate(lane x, int bits) {
    return x >> bits | x << (64 - bits);
}

INLINE lane xor3(lane a, lane b, lane c) {
    return a ^ b ^ c;
}

INLINE lane choose(lane e, lane f, lane g) {
    return g ^ (e & (f ^ g));
}

INLINE lane majority(lane a, lane b, lane c) {
    return (a & b) | (c & (a | b));
}

INLINE lane lane_select(uint32_t mask, lane no, lane yes) {
    return mask & 1 ? yes : no;
}

INLINE lane lane_every(uint64_t x) {
    return x;
}

INLINE void load_block(lane words[16], const uint8_t *const *block) {
    for (int i = 0; i < 16; i++) {
        words[i] = __builtin_bswap64(load64(block[0] + 8 * i));
    }
}

#endif
