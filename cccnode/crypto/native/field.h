/* The field of 2^255 - 19, one element at a time: five limbs of 51 bits in 64-bit words.
 *
 * Bounds.  An element is *carried* when its limbs are below 2^51 + 2^13: products are.  fe_add and fe_sub take carried
 * elements and do not carry; what they return is *loose*: below 2^54.  Products take loose elements.  Nothing else may
 * be loose: fe_carry makes a loose element carried.  fe_sub adds 4p, whose limbs are above every carried limb, so that
 * no limb falls below zero. */

#ifndef CCCNODE_FIELD_H
#define CCCNODE_FIELD_H

#include <string.h>

#include "bounds.h"
#include "ed25519_constants.h"

#define LIMB_MASK ((1ULL << 51) - 1)
#define CARRIED_BOUND ((1ULL << 51) + (1ULL << 13))
#define LOOSE_BOUND (1ULL << 54)

typedef unsigned __int128 uint128;

typedef struct {
    uint64_t limb[5];
} fe;

static inline uint64_t load64(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    return word;
}

static inline fe fe_of(const uint64_t limbs[5]) {
    fe element;
    memcpy(element.limb, limbs, sizeof element.limb);
    return element;
}

static inline fe fe_small(uint64_t value) {
    return (fe){{value, 0, 0, 0, 0}};
}

static inline fe fe_add(const fe *a, const fe *b) {
    BOUND(a->limb, 5, CARRIED_BOUND);
    BOUND(b->limb, 5, CARRIED_BOUND);
    fe sum;
    for (int i = 0; i < 5; i++) {
        sum.limb[i] = a->limb[i] + b->limb[i];
    }
    return sum;
}

static inline fe fe_sub(const fe *a, const fe *b) {
    BOUND(a->limb, 5, CARRIED_BOUND);
    BOUND(b->limb, 5, CARRIED_BOUND);
    fe difference;
    for (int i = 0; i < 5; i++) {
        difference.limb[i] = a->limb[i] + FOUR_P[i] - b->limb[i];
    }
    return difference;
}

/* Loose to carried: after one pass a limb is at most 2^51 - 1 plus the carry of its neighbour (2^3, the lowest 19 * 2^3). */
static inline fe fe_carry(const fe *a) {
    BOUND(a->limb, 5, LOOSE_BOUND);
    fe c;
    uint64_t carry = 0;
    for (int i = 0; i < 5; i++) {
        uint64_t limb = a->limb[i] + carry;
        c.limb[i] = limb & LIMB_MASK;
        carry = limb >> 51;
    }
    c.limb[0] += 19 * carry;
    return c;
}

/* Five columns of products, each below 2^115, to a carried element.  The last carry is below 2^60: it comes from the
 * top column, in which nothing was multiplied by 19 (5 * 2^108 at most). */
static inline fe fe_fold(uint128 r0, uint128 r1, uint128 r2, uint128 r3, uint128 r4) {
    fe o;
    r1 += (uint64_t)(r0 >> 51);
    r2 += (uint64_t)(r1 >> 51);
    r3 += (uint64_t)(r2 >> 51);
    r4 += (uint64_t)(r3 >> 51);
    uint64_t low = ((uint64_t)r0 & LIMB_MASK) + 19 * (uint64_t)(r4 >> 51);
    o.limb[0] = low & LIMB_MASK;
    o.limb[1] = ((uint64_t)r1 & LIMB_MASK) + (low >> 51);
    o.limb[2] = (uint64_t)r2 & LIMB_MASK;
    o.limb[3] = (uint64_t)r3 & LIMB_MASK;
    o.limb[4] = (uint64_t)r4 & LIMB_MASK;
    BOUND(o.limb, 5, CARRIED_BOUND);
    return o;
}

static inline fe fe_mul(const fe *a, const fe *b) {
    BOUND(a->limb, 5, LOOSE_BOUND);
    BOUND(b->limb, 5, LOOSE_BOUND);
    uint64_t a0 = a->limb[0], a1 = a->limb[1], a2 = a->limb[2], a3 = a->limb[3], a4 = a->limb[4];
    uint64_t b0 = b->limb[0], b1 = b->limb[1], b2 = b->limb[2], b3 = b->limb[3], b4 = b->limb[4];
    uint64_t n1 = 19 * a1, n2 = 19 * a2, n3 = 19 * a3, n4 = 19 * a4; /* 2^255 = 19 */
    return fe_fold((uint128)a0 * b0 + (uint128)n4 * b1 + (uint128)n3 * b2 + (uint128)n2 * b3 + (uint128)n1 * b4,
                   (uint128)a1 * b0 + (uint128)a0 * b1 + (uint128)n4 * b2 + (uint128)n3 * b3 + (uint128)n2 * b4,
                   (uint128)a2 * b0 + (uint128)a1 * b1 + (uint128)a0 * b2 + (uint128)n4 * b3 + (uint128)n3 * b4,
                   (uint128)a3 * b0 + (uint128)a2 * b1 + (uint128)a1 * b2 + (uint128)a0 * b3 + (uint128)n4 * b4,
                   (uint128)a4 * b0 + (uint128)a3 * b1 + (uint128)a2 * b2 + (uint128)a1 * b3 + (uint128)a0 * b4);
}

static inline fe fe_square(const fe *a) {
    BOUND(a->limb, 5, LOOSE_BOUND);
    uint64_t a0 = a->limb[0], a1 = a->limb[1], a2 = a->limb[2], a3 = a->limb[3], a4 = a->limb[4];
    uint64_t d0 = 2 * a0, d1 = 2 * a1, d2 = 2 * a2, n3 = 19 * a3, n4 = 19 * a4;
    return fe_fold((uint128)a0 * a0 + (uint128)d1 * n4 + (uint128)d2 * n3,
                   (uint128)d0 * a1 + (uint128)d2 * n4 + (uint128)a3 * n3,
                   (uint128)d0 * a2 + (uint128)a1 * a1 + (uint128)(2 * a3) * n4,
                   (uint128)d0 * a3 + (uint128)d1 * a2 + (uint128)a4 * n4,
                   (uint128)d0 * a4 + (uint128)d1 * a3 + (uint128)a2 * a2);
}

/* The one representative below p, limbs below 2^51. */
static inline fe fe_canonical(const fe *a) {
    fe c = fe_carry(a);
    c = fe_carry(&c); /* now below 2^255 + 19 */
    uint64_t above = (c.limb[0] + 19) >> 51;
    for (int i = 1; i < 5; i++) {
        above = (c.limb[i] + above) >> 51;
    }
    c.limb[0] += 19 * above; /* `above` is 1 from p on: subtracting p is adding 19 and dropping 2^255 */
    for (int i = 0; i < 4; i++) {
        c.limb[i + 1] += c.limb[i] >> 51;
        c.limb[i] &= LIMB_MASK;
    }
    c.limb[4] &= LIMB_MASK;
    BOUND(c.limb, 5, LIMB_MASK + 1);
    return c;
}

static inline int fe_equal(const fe *a, const fe *b) {
    fe x = fe_canonical(a), y = fe_canonical(b);
    return memcmp(&x, &y, sizeof x) == 0;
}

static inline fe fe_negated(const fe *a) {
    fe zero = fe_small(0), negated = fe_sub(&zero, a);
    return fe_carry(&negated);
}

/* The lowest 255 bits. */
static inline fe fe_from_bytes(const uint8_t bytes[32]) {
    uint64_t w0 = load64(bytes), w1 = load64(bytes + 8), w2 = load64(bytes + 16), w3 = load64(bytes + 24);
    return (fe){{
        w0 & LIMB_MASK,
        (w0 >> 51 | w1 << 13) & LIMB_MASK,
        (w1 >> 38 | w2 << 26) & LIMB_MASK,
        (w2 >> 25 | w3 << 39) & LIMB_MASK,
        w3 >> 12 & LIMB_MASK,
    }};
}

static inline fe fe_squared_times(const fe *a, int times) {
    fe power = *a;
    while (times--) {
        power = fe_square(&power);
    }
    return power;
}

/* a^(2^250 - 1), and a^11 on the way. */
static inline fe fe_power_250(const fe *a, fe *power_11) {
    fe t, p2 = fe_square(a), p8 = fe_squared_times(&p2, 2), p9 = fe_mul(a, &p8);
    *power_11 = fe_mul(&p2, &p9);
    t = fe_square(power_11);
    fe e5 = fe_mul(&p9, &t); /* e5 = a^(2^5 - 1), and so on */
    t = fe_squared_times(&e5, 5);
    fe e10 = fe_mul(&t, &e5);
    t = fe_squared_times(&e10, 10);
    fe e20 = fe_mul(&t, &e10);
    t = fe_squared_times(&e20, 20);
    fe e40 = fe_mul(&t, &e20);
    t = fe_squared_times(&e40, 10);
    fe e50 = fe_mul(&t, &e10);
    t = fe_squared_times(&e50, 50);
    fe e100 = fe_mul(&t, &e50);
    t = fe_squared_times(&e100, 100);
    fe e200 = fe_mul(&t, &e100);
    t = fe_squared_times(&e200, 50);
    return fe_mul(&t, &e50);
}

/* 1/a = a^(p - 2) with p - 2 = 2^255 - 21; 0 of 0. */
static inline fe fe_inverse(const fe *a) {
    fe power_11, t = fe_power_250(a, &power_11);
    t = fe_squared_times(&t, 5);
    return fe_mul(&t, &power_11);
}

/* a^((p - 5) / 8) with (p - 5) / 8 = 2^252 - 3. */
static inline fe fe_power_p58(const fe *a) {
    fe power_11, t = fe_power_250(a, &power_11);
    t = fe_squared_times(&t, 2);
    return fe_mul(&t, a);
}

#endif
