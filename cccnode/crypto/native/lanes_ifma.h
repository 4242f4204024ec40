/* Eight lanes, AVX-512 IFMA: five limbs of 51 bits, each vector holding one limb of eight field elements.
 *
 * vpmadd52 multiplies the lowest 52 bits of two limbs and adds the lowest or the highest 52 bits of the product to a
 * 64-bit sum.  So what is multiplied must fit 52 bits, and the sums have room to spare.  Bounds:
 *
 *   elements  tight: every limb below 2^51 + 2^17.  One factor of a product may instead be below 2^52.
 *   products  five columns, not carried, each below 2^60.  (The largest is the lowest: one low product and 19 times four
 *             low products and twice five high ones; 19 * (4 + 10/2) + 1 = 172 times 2^52 with one factor below 2^52.)
 *
 * Carrying is what costs beside multiplying, so it is put off: sums and differences are taken of products as they are
 * and carried once.  A difference adds 2^11 p, whose limbs are above 2^62 - 2^16 and every subtrahend (below 2^60).  The
 * largest sum is below 3 * 2^60 + 2^62 < 2^63; its carries are below 2^12, and one step of carrying in parallel leaves
 * limbs below 2^51 + 19 * 2^12 < 2^51 + 2^17: tight. */

#ifndef CCCNODE_LANES_IFMA_H
#define CCCNODE_LANES_IFMA_H

#include <immintrin.h>

#include "ed25519.h"

#define LANES 8
#define INLINE static inline __attribute__((always_inline))
#define OUTLINE static __attribute__((noinline))

#define TIGHT_BOUND ((1ULL << 51) + (1ULL << 17))
#define FACTOR_BOUND (1ULL << 52)
#define COLUMN_BOUND (1ULL << 60)
#define SUM_BOUND (1ULL << 63)

typedef __m512i lane;

typedef struct {
    lane limb[5];
} elements;

typedef struct {
    lane limb[5];
} products;

#define LOW(sum, a, b) _mm512_madd52lo_epu64(sum, a, b)
#define HIGH(sum, a, b) _mm512_madd52hi_epu64(sum, a, b)
#define PLUS(a, b) _mm512_add_epi64(a, b)
#define MINUS(a, b) _mm512_sub_epi64(a, b)

INLINE lane lane_every(uint64_t x) {
    return _mm512_set1_epi64((long long)x);
}

INLINE lane times_19(lane a) {
    return PLUS(PLUS(a, _mm512_slli_epi64(a, 1)), _mm512_slli_epi64(a, 4));
}

/* One step of carrying in all limbs at once. */
INLINE elements carry(lane r0, lane r1, lane r2, lane r3, lane r4) {
    const lane mask = lane_every(LIMB_MASK);
    BOUND(&r0, LANES, SUM_BOUND);
    BOUND(&r1, LANES, SUM_BOUND);
    BOUND(&r2, LANES, SUM_BOUND);
    BOUND(&r3, LANES, SUM_BOUND);
    BOUND(&r4, LANES, SUM_BOUND);
    elements o = {{
        LOW(_mm512_and_si512(r0, mask), _mm512_srli_epi64(r4, 51), lane_every(19)),
        PLUS(_mm512_and_si512(r1, mask), _mm512_srli_epi64(r0, 51)),
        PLUS(_mm512_and_si512(r2, mask), _mm512_srli_epi64(r1, 51)),
        PLUS(_mm512_and_si512(r3, mask), _mm512_srli_epi64(r2, 51)),
        PLUS(_mm512_and_si512(r4, mask), _mm512_srli_epi64(r3, 51)),
    }};
    BOUND(o.limb, 5 * LANES, TIGHT_BOUND);
    return o;
}

/* Columns 5 to 9 stand for 2^255 and more: they come back times 19. */
INLINE products folded(lane c0, lane c1, lane c2, lane c3, lane c4, lane c5, lane c6, lane c7, lane c8, lane c9) {
    products o = {{
        PLUS(c0, times_19(c5)),
        PLUS(c1, times_19(c6)),
        PLUS(c2, times_19(c7)),
        PLUS(c3, times_19(c8)),
        PLUS(c4, times_19(c9)),
    }};
    BOUND(o.limb, 5 * LANES, COLUMN_BOUND);
    return o;
}

/* The high half of a limb product counts 2^52 = 2 * 2^51: high halves are summed one column up and doubled, then the low
 * halves are added on top. */
INLINE products multiply(const elements *a, const elements *b) {
    BOUND(a->limb, 5 * LANES, FACTOR_BOUND);
    BOUND(b->limb, 5 * LANES, FACTOR_BOUND);
    const lane zero = _mm512_setzero_si512();
    lane a0 = a->limb[0], a1 = a->limb[1], a2 = a->limb[2], a3 = a->limb[3], a4 = a->limb[4];
    lane b0 = b->limb[0], b1 = b->limb[1], b2 = b->limb[2], b3 = b->limb[3], b4 = b->limb[4];
    lane c1 = HIGH(zero, a0, b0);
    lane c2 = HIGH(zero, a0, b1), c3 = HIGH(zero, a0, b2), c4 = HIGH(zero, a0, b3), c5 = HIGH(zero, a0, b4);
    c2 = HIGH(c2, a1, b0), c3 = HIGH(c3, a1, b1), c4 = HIGH(c4, a1, b2), c5 = HIGH(c5, a1, b3);
    lane c6 = HIGH(zero, a1, b4);
    c3 = HIGH(c3, a2, b0), c4 = HIGH(c4, a2, b1), c5 = HIGH(c5, a2, b2), c6 = HIGH(c6, a2, b3);
    lane c7 = HIGH(zero, a2, b4);
    c4 = HIGH(c4, a3, b0), c5 = HIGH(c5, a3, b1), c6 = HIGH(c6, a3, b2), c7 = HIGH(c7, a3, b3);
    lane c8 = HIGH(zero, a3, b4);
    c5 = HIGH(c5, a4, b0), c6 = HIGH(c6, a4, b1), c7 = HIGH(c7, a4, b2), c8 = HIGH(c8, a4, b3);
    lane c9 = HIGH(zero, a4, b4);
    c1 = PLUS(c1, c1), c2 = PLUS(c2, c2), c3 = PLUS(c3, c3), c4 = PLUS(c4, c4), c5 = PLUS(c5, c5);
    c6 = PLUS(c6, c6), c7 = PLUS(c7, c7), c8 = PLUS(c8, c8), c9 = PLUS(c9, c9);
    lane c0 = LOW(zero, a0, b0);
    c1 = LOW(c1, a0, b1), c2 = LOW(c2, a0, b2), c3 = LOW(c3, a0, b3), c4 = LOW(c4, a0, b4);
    c1 = LOW(c1, a1, b0), c2 = LOW(c2, a1, b1), c3 = LOW(c3, a1, b2), c4 = LOW(c4, a1, b3), c5 = LOW(c5, a1, b4);
    c2 = LOW(c2, a2, b0), c3 = LOW(c3, a2, b1), c4 = LOW(c4, a2, b2), c5 = LOW(c5, a2, b3), c6 = LOW(c6, a2, b4);
    c3 = LOW(c3, a3, b0), c4 = LOW(c4, a3, b1), c5 = LOW(c5, a3, b2), c6 = LOW(c6, a3, b3), c7 = LOW(c7, a3, b4);
    c4 = LOW(c4, a4, b0), c5 = LOW(c5, a4, b1), c6 = LOW(c6, a4, b2), c7 = LOW(c7, a4, b3), c8 = LOW(c8, a4, b4);
    return folded(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9);
}

/* The same with each pair of unlike limbs multiplied once and doubled. */
INLINE products square(const elements *a) {
    BOUND(a->limb, 5 * LANES, TIGHT_BOUND);
    const lane zero = _mm512_setzero_si512();
    lane a0 = a->limb[0], a1 = a->limb[1], a2 = a->limb[2], a3 = a->limb[3], a4 = a->limb[4];
    lane c2 = HIGH(zero, a0, a1), c3 = HIGH(zero, a0, a2), c4 = HIGH(zero, a0, a3), c5 = HIGH(zero, a0, a4);
    lane c6 = HIGH(zero, a1, a4), c7 = HIGH(zero, a2, a4), c8 = HIGH(zero, a3, a4);
    c4 = HIGH(c4, a1, a2), c5 = HIGH(c5, a1, a3), c6 = HIGH(c6, a2, a3);
    c2 = PLUS(c2, c2), c3 = PLUS(c3, c3), c4 = PLUS(c4, c4), c5 = PLUS(c5, c5);
    c6 = PLUS(c6, c6), c7 = PLUS(c7, c7), c8 = PLUS(c8, c8);
    lane c1 = HIGH(zero, a0, a0), c9 = HIGH(zero, a4, a4);
    c3 = HIGH(c3, a1, a1), c5 = HIGH(c5, a2, a2), c7 = HIGH(c7, a3, a3);
    c1 = LOW(c1, a0, a1), c2 = LOW(c2, a0, a2), c3 = LOW(c3, a0, a3), c4 = LOW(c4, a0, a4);
    c3 = LOW(c3, a1, a2), c4 = LOW(c4, a1, a3), c5 = LOW(c5, a1, a4);
    c5 = LOW(c5, a2, a3), c6 = LOW(c6, a2, a4), c7 = LOW(c7, a3, a4);
    c1 = PLUS(c1, c1), c2 = PLUS(c2, c2), c3 = PLUS(c3, c3), c4 = PLUS(c4, c4), c5 = PLUS(c5, c5);
    c6 = PLUS(c6, c6), c7 = PLUS(c7, c7), c8 = PLUS(c8, c8), c9 = PLUS(c9, c9);
    lane c0 = LOW(zero, a0, a0);
    c2 = LOW(c2, a1, a1), c4 = LOW(c4, a2, a2), c6 = LOW(c6, a3, a3), c8 = LOW(c8, a4, a4);
    return folded(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9);
}

INLINE elements carried(const products *a) {
    return carry(a->limb[0], a->limb[1], a->limb[2], a->limb[3], a->limb[4]);
}

/* Tight elements are products too: their limbs are far below 2^60. */
INLINE products tightened(const elements *a) {
    return (products){{a->limb[0], a->limb[1], a->limb[2], a->limb[3], a->limb[4]}};
}

/* The combinations below are written limb by limb: `r` is an array of five that is then carried. */
#define EACH_LIMB(expression)                                                                                          \
    lane r[5];                                                                                                         \
    for (int i = 0; i < 5; i++) {                                                                                      \
        const lane bias = lane_every(IFMA_BIAS[i]);                                                                    \
        (void)bias;                                                                                                    \
        r[i] = (expression);                                                                                           \
    }                                                                                                                  \
    return carry(r[0], r[1], r[2], r[3], r[4])

INLINE elements sum(const products *a, const products *b) {
    EACH_LIMB(PLUS(a->limb[i], b->limb[i]));
}

INLINE elements difference(const products *a, const products *b) {
    EACH_LIMB(PLUS(a->limb[i], MINUS(bias, b->limb[i])));
}

/* 2a + b */
INLINE elements twice_plus(const products *a, const products *b) {
    EACH_LIMB(PLUS(PLUS(a->limb[i], a->limb[i]), b->limb[i]));
}

/* 2a - b */
INLINE elements twice_minus(const products *a, const products *b) {
    EACH_LIMB(PLUS(PLUS(a->limb[i], a->limb[i]), MINUS(bias, b->limb[i])));
}

/* 2a - (b - c) */
INLINE elements twice_less(const products *a, const products *b, const products *c) {
    EACH_LIMB(PLUS(PLUS(PLUS(a->limb[i], a->limb[i]), c->limb[i]), MINUS(bias, b->limb[i])));
}

INLINE elements every(const uint64_t limbs[5]) {
    elements o;
    for (int i = 0; i < 5; i++) {
        o.limb[i] = lane_every(limbs[i]);
    }
    return o;
}

INLINE void get_limbs(lane limbs[5], const products *a) {
    elements tight = carried(a);
    memcpy(limbs, tight.limb, sizeof tight.limb);
}

INLINE products from_limbs(const lane limbs[5]) {
    products o;
    memcpy(o.limb, limbs, sizeof o.limb);
    return o;
}

/* Row i of eight words becomes lane i of eight vectors. */
INLINE void transpose(lane out[8], const lane row[8]) {
    lane a0 = _mm512_unpacklo_epi64(row[0], row[1]), a1 = _mm512_unpackhi_epi64(row[0], row[1]);
    lane a2 = _mm512_unpacklo_epi64(row[2], row[3]), a3 = _mm512_unpackhi_epi64(row[2], row[3]);
    lane a4 = _mm512_unpacklo_epi64(row[4], row[5]), a5 = _mm512_unpackhi_epi64(row[4], row[5]);
    lane a6 = _mm512_unpacklo_epi64(row[6], row[7]), a7 = _mm512_unpackhi_epi64(row[6], row[7]);
    lane b0 = _mm512_shuffle_i64x2(a0, a2, 0x88), b2 = _mm512_shuffle_i64x2(a0, a2, 0xdd);
    lane b1 = _mm512_shuffle_i64x2(a1, a3, 0x88), b3 = _mm512_shuffle_i64x2(a1, a3, 0xdd);
    lane b4 = _mm512_shuffle_i64x2(a4, a6, 0x88), b6 = _mm512_shuffle_i64x2(a4, a6, 0xdd);
    lane b5 = _mm512_shuffle_i64x2(a5, a7, 0x88), b7 = _mm512_shuffle_i64x2(a5, a7, 0xdd);
    out[0] = _mm512_shuffle_i64x2(b0, b4, 0x88), out[4] = _mm512_shuffle_i64x2(b0, b4, 0xdd);
    out[1] = _mm512_shuffle_i64x2(b1, b5, 0x88), out[5] = _mm512_shuffle_i64x2(b1, b5, 0xdd);
    out[2] = _mm512_shuffle_i64x2(b2, b6, 0x88), out[6] = _mm512_shuffle_i64x2(b2, b6, 0xdd);
    out[3] = _mm512_shuffle_i64x2(b3, b7, 0x88), out[7] = _mm512_shuffle_i64x2(b3, b7, 0xdd);
}

/* Eight words of every lane's memory, from `offset` bytes on. */
INLINE void load_rows(lane out[8], const uint64_t *entries, int offset) {
    lane row[8];
    for (int l = 0; l < LANES; l++) {
        row[l] = _mm512_load_si512((const char *)entries[l] + offset);
    }
    transpose(out, row);
}

/* In lanes with `negative`: y + x and y - x change places, t becomes 2p - t (below 2^52: one factor may be). */
INLINE void negate(elements *plus, elements *minus, elements *t, const uint64_t *negative) {
    lane n = _mm512_loadu_si512(negative);
    __mmask8 where = _mm512_test_epi64_mask(n, n);
    for (int i = 0; i < 5; i++) {
        lane a = plus->limb[i], b = minus->limb[i];
        plus->limb[i] = _mm512_mask_mov_epi64(a, where, b);
        minus->limb[i] = _mm512_mask_mov_epi64(b, where, a);
        t->limb[i] = _mm512_mask_sub_epi64(t->limb[i], where, lane_every(TWO_P[i]), t->limb[i]);
    }
}

/* Four words of every lane's memory; 32 bytes of a table never cross a cache line. */
INLINE void load_quarter(lane out[4], const uint64_t *entries, int offset) {
    const lane first = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0), second = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    lane row[4];
    for (int l = 0; l < 4; l++) {
        __m256i low = _mm256_load_si256((const __m256i *)((const char *)entries[l] + offset));
        __m256i high = _mm256_load_si256((const __m256i *)((const char *)entries[l + 4] + offset));
        row[l] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    lane a0 = _mm512_unpacklo_epi64(row[0], row[1]), a1 = _mm512_unpackhi_epi64(row[0], row[1]);
    lane a2 = _mm512_unpacklo_epi64(row[2], row[3]), a3 = _mm512_unpackhi_epi64(row[2], row[3]);
    out[0] = _mm512_permutex2var_epi64(a0, first, a2), out[2] = _mm512_permutex2var_epi64(a0, second, a2);
    out[1] = _mm512_permutex2var_epi64(a1, first, a3), out[3] = _mm512_permutex2var_epi64(a1, second, a3);
}

/* The limb in the top bits of four words: piece i, 13 bits long, belongs at bit 13 i. */
INLINE lane limb_above(const lane word[4]) {
    lane limb = _mm512_srli_epi64(word[0], 51);
    for (int i = 1; i < 4; i++) {
        lane piece = _mm512_srli_epi64(word[i], 51 - TOP_BITS * i), where = lane_every((uint64_t)0x1fff << TOP_BITS * i);
        limb = _mm512_ternarylogic_epi64(limb, piece, where, 0xf8); /* limb | (piece & where) */
    }
    return limb;
}

INLINE void load_entries(elements *plus, elements *minus, elements *t, const uint64_t *entries, const uint64_t *negative) {
    lane word[15];
    for (int quarter = 0; quarter < 3; quarter++) {
        load_quarter(word + 4 * quarter, entries, 32 * quarter);
        word[ENTRY_WORDS + quarter] = limb_above(word + 4 * quarter);
    }
    for (int i = 0; i < ENTRY_WORDS; i++) {
        word[i] = _mm512_and_si512(word[i], lane_every(LIMB_MASK));
    }
    memcpy(plus, word, sizeof *plus);
    memcpy(minus, word + 5, sizeof *minus);
    memcpy(t, word + 10, sizeof *t);
    negate(plus, minus, t, negative);
}

/* Four elements a lane: y + x, y - x, z, 2dt of one multiple of a key, made by store_multiple. */
INLINE void load_multiple(elements part[4], const uint64_t *entries, const uint64_t *negative) {
    lane word[24];
    for (int block = 0; block < 3; block++) {
        load_rows(word + 8 * block, entries, 64 * block);
    }
    memcpy(part, word, 20 * sizeof(lane));
    negate(&part[0], &part[1], &part[3], negative);
}

INLINE void store_multiple(const uint64_t *entries, const products part[4]) {
    lane word[24], row[8];
    for (int i = 0; i < 4; i++) {
        get_limbs(word + 5 * i, &part[i]);
    }
    for (int i = 20; i < 24; i++) {
        word[i] = _mm512_setzero_si512();
    }
    for (int block = 0; block < 3; block++) {
        transpose(row, word + 8 * block);
        for (int l = 0; l < LANES; l++) {
            _mm512_store_si512((char *)entries[l] + 64 * block, row[l]);
        }
    }
}

/* SHA-512 */
#define rotate(x, bits) _mm512_ror_epi64(x, bits) /* the count is part of the instruction */
#define xor3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define choose(e, f, g) _mm512_ternarylogic_epi64(e, f, g, 0xca)
#define majority(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0xe8)

INLINE lane lane_select(uint32_t mask, lane no, lane yes) {
    return _mm512_mask_mov_epi64(no, (__mmask8)mask, yes);
}

INLINE void load_block(lane words[16], const uint8_t *const *block) {
    const lane swap = _mm512_set_epi64(0x08090a0b0c0d0e0f, 0x0001020304050607, 0x08090a0b0c0d0e0f, 0x0001020304050607,
                                       0x08090a0b0c0d0e0f, 0x0001020304050607, 0x08090a0b0c0d0e0f, 0x0001020304050607);
    for (int half = 0; half < 2; half++) {
        lane row[8];
        for (int l = 0; l < LANES; l++) {
            row[l] = _mm512_shuffle_epi8(_mm512_loadu_si512(block[l] + 64 * half), swap);
        }
        transpose(words + 8 * half, row);
    }
}

#endif
