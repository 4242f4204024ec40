/* Four lanes, AVX2: ten limbs of 26 and 25 bits in turn, each vector holding one limb of four field elements.
 *
 * vpmuludq multiplies the lowest 32 bits of two limbs to 64.  Bounds, for even (26-bit) limbs; odd limbs have half:
 *
 *   products  carried: below 2^26 + 2^18.
 *   elements  second factor: below 2^27.6 (3 * 2^26, which times 19 is below 2^32); first factor: below 2^28.4.
 *   columns   of a product, before carrying: five terms of at most 2^(28.4 + 27.6) * 19, less than 2^63.
 *
 * Sums and differences are not carried: a + b is below 2^27.1, a + 2p - b below 2^27.6, 2a + b below 2^27.6; 2a + 2p - b
 * (below 2^28.1) and 2a + 2p - b + c (below 2^28.4) are first factors only. */

#ifndef CCCNODE_LANES_AVX2_H
#define CCCNODE_LANES_AVX2_H

#include <immintrin.h>

#include "ed25519.h"

#define LANES 4
#define INLINE static inline __attribute__((always_inline))
#define OUTLINE static __attribute__((noinline))

#define LIMB25_CARRIED ((1ULL << 26) + (1ULL << 18))
#define LIMB25_SECOND (3 * (1ULL << 26) + (1ULL << 20))
#define LIMB25_FIRST (5 * (1ULL << 26) + (1ULL << 22))
#define MASK26 ((1ULL << 26) - 1)
#define MASK25 ((1ULL << 25) - 1)

typedef __m256i lane;

typedef struct {
    lane limb[10];
} elements;

typedef elements products;

#define PLUS(a, b) _mm256_add_epi64(a, b)
#define MINUS(a, b) _mm256_sub_epi64(a, b)
#define TIMES(a, b) _mm256_mul_epu32(a, b)
#define EACH_LIMB for (int i = 0; i < 10; i++)

/* `bound` is that of even limbs. */
#define BOUND25(element, bound)                                                                                        \
    do {                                                                                                               \
        for (int bound_limb_at = 0; bound_limb_at < 10; bound_limb_at++) {                                             \
            BOUND(&(element)->limb[bound_limb_at], LANES, (bound) >> (bound_limb_at & 1));                             \
        }                                                                                                              \
    } while (0)

INLINE lane lane_every(uint64_t x) {
    return _mm256_set1_epi64x((long long)x);
}

/* Two chains side by side, from limb 0 and from limb 5; what leaves limb 9 comes back times 19. */
INLINE products carry(lane r[10]) {
    const lane mask26 = lane_every(MASK26), mask25 = lane_every(MASK25);
    lane c;
#define CARRY_EVEN(i) c = _mm256_srli_epi64(r[i], 26), r[i] = _mm256_and_si256(r[i], mask26), r[i + 1] = PLUS(r[i + 1], c)
#define CARRY_ODD(i) c = _mm256_srli_epi64(r[i], 25), r[i] = _mm256_and_si256(r[i], mask25), r[i + 1] = PLUS(r[i + 1], c)
    CARRY_EVEN(0);
    CARRY_ODD(5);
    CARRY_ODD(1);
    CARRY_EVEN(6);
    CARRY_EVEN(2);
    CARRY_ODD(7);
    CARRY_ODD(3);
    CARRY_EVEN(8);
    CARRY_EVEN(4);
    c = _mm256_srli_epi64(r[9], 25), r[9] = _mm256_and_si256(r[9], mask25);
    r[0] = PLUS(r[0], PLUS(c, PLUS(_mm256_slli_epi64(c, 1), _mm256_slli_epi64(c, 4))));
    CARRY_ODD(5);
    CARRY_EVEN(0);
#undef CARRY_EVEN
#undef CARRY_ODD
    products o;
    EACH_LIMB {
        o.limb[i] = r[i];
    }
    BOUND25(&o, LIMB25_CARRIED);
    return o;
}

/* The ten sums stay in registers, and each factor of `a` is used up before the next is loaded: there are 16 registers,
 * and left alone the compiler mixes the rows and moves most of them to memory and back (a third slower). */
#define ROW_DONE(r)                                                                                                    \
    __asm__("" : "+x"(r[0]), "+x"(r[1]), "+x"(r[2]), "+x"(r[3]), "+x"(r[4]), "+x"(r[5]), "+x"(r[6]), "+x"(r[7]),       \
            "+x"(r[8]), "+x"(r[9]))

/* Limb i counts 2^ceil(25.5 i): two odd limbs meet one bit above their column, so their product is doubled; what meets
 * beyond limb 9 comes back times 19. */
OUTLINE products multiply(const elements *a, const elements *b) {
    BOUND25(a, LIMB25_FIRST);
    BOUND25(b, LIMB25_SECOND);
    lane g[10], g19[10], r[10];
    EACH_LIMB {
        g[i] = b->limb[i];
        g19[i] = TIMES(g[i], lane_every(19));
    }
    EACH_LIMB {
        r[i] = TIMES(a->limb[0], g[i]);
    }
#pragma GCC unroll 10
    for (int i = 1; i < 10; i++) {
        lane f = a->limb[i], twice = PLUS(f, f);
#pragma GCC unroll 10
        for (int j = 0; j < 10; j++) {
            int column = (i + j) % 10;
            r[column] = PLUS(r[column], TIMES(i & j & 1 ? twice : f, i + j >= 10 ? g19[j] : g[j]));
        }
        ROW_DONE(r);
    }
    return carry(r);
}

/* The same with each pair of unlike limbs multiplied once and doubled. */
OUTLINE products square(const elements *a) {
    BOUND25(a, LIMB25_SECOND);
    lane g[10], g19[10], r[10];
    EACH_LIMB {
        g[i] = a->limb[i];
        g19[i] = TIMES(g[i], lane_every(19));
    }
    EACH_LIMB {
        r[i] = TIMES(i ? PLUS(g[0], g[0]) : g[0], g[i]);
    }
#pragma GCC unroll 10
    for (int i = 1; i < 10; i++) {
        lane f = a->limb[i], twice = PLUS(f, f), four_times = PLUS(twice, twice);
#pragma GCC unroll 10
        for (int j = i; j < 10; j++) {
            int column = (i + j) % 10, both_odd = i & j & 1;
            lane factor = i == j ? (both_odd ? twice : f) : (both_odd ? four_times : twice);
            r[column] = PLUS(r[column], TIMES(factor, i + j >= 10 ? g19[j] : g[j]));
        }
        ROW_DONE(r);
    }
    return carry(r);
}

INLINE elements carried(const products *a) {
    return *a;
}

INLINE products tightened(const elements *a) {
    lane r[10];
    EACH_LIMB {
        r[i] = a->limb[i];
    }
    return carry(r);
}

INLINE elements sum(const products *a, const products *b) {
    elements o;
    EACH_LIMB {
        o.limb[i] = PLUS(a->limb[i], b->limb[i]);
    }
    return o;
}

INLINE elements difference(const products *a, const products *b) {
    BOUND25(b, LIMB25_CARRIED);
    elements o;
    EACH_LIMB {
        o.limb[i] = PLUS(a->limb[i], MINUS(lane_every(AVX2_TWO_P[i]), b->limb[i]));
    }
    return o;
}

/* 2a + b */
INLINE elements twice_plus(const products *a, const products *b) {
    elements o;
    EACH_LIMB {
        o.limb[i] = PLUS(PLUS(a->limb[i], a->limb[i]), b->limb[i]);
    }
    return o;
}

/* 2a - b; first factor only */
INLINE elements twice_minus(const products *a, const products *b) {
    BOUND25(b, LIMB25_CARRIED);
    elements o;
    EACH_LIMB {
        o.limb[i] = PLUS(PLUS(a->limb[i], a->limb[i]), MINUS(lane_every(AVX2_TWO_P[i]), b->limb[i]));
    }
    return o;
}

/* 2a - (b - c); first factor only */
INLINE elements twice_less(const products *a, const products *b, const products *c) {
    BOUND25(b, LIMB25_CARRIED);
    elements o;
    EACH_LIMB {
        lane twice = PLUS(a->limb[i], a->limb[i]);
        o.limb[i] = PLUS(PLUS(twice, c->limb[i]), MINUS(lane_every(AVX2_TWO_P[i]), b->limb[i]));
    }
    return o;
}

/* Limbs of 51 bits, as tables hold them, to pairs and back.  Limbs up to 2^51 + 2^44 give carried pairs. */
INLINE products from_limbs(const lane limbs[5]) {
    products o;
    for (int i = 0; i < 5; i++) {
        o.limb[2 * i] = _mm256_and_si256(limbs[i], lane_every(MASK26));
        o.limb[2 * i + 1] = _mm256_srli_epi64(limbs[i], 26);
    }
    BOUND25(&o, LIMB25_CARRIED);
    return o;
}

INLINE void get_limbs(lane limbs[5], const products *a) {
    for (int i = 0; i < 5; i++) {
        limbs[i] = PLUS(a->limb[2 * i], _mm256_slli_epi64(a->limb[2 * i + 1], 26));
    }
}

INLINE elements every(const uint64_t limbs[5]) {
    lane all[5];
    for (int i = 0; i < 5; i++) {
        all[i] = lane_every(limbs[i]);
    }
    return from_limbs(all);
}

/* Row i of four words becomes lane i of four vectors. */
INLINE void transpose(lane out[4], const lane row[4]) {
    lane a0 = _mm256_unpacklo_epi64(row[0], row[1]), a1 = _mm256_unpackhi_epi64(row[0], row[1]);
    lane a2 = _mm256_unpacklo_epi64(row[2], row[3]), a3 = _mm256_unpackhi_epi64(row[2], row[3]);
    out[0] = _mm256_permute2x128_si256(a0, a2, 0x20), out[2] = _mm256_permute2x128_si256(a0, a2, 0x31);
    out[1] = _mm256_permute2x128_si256(a1, a3, 0x20), out[3] = _mm256_permute2x128_si256(a1, a3, 0x31);
}

INLINE lane load32(const void *bytes) {
    return _mm256_loadu_si256(bytes);
}

/* `count` times four words of every lane's memory. */
INLINE void load_rows(lane *out, const uint64_t *entries, int count) {
    for (int block = 0; block < count; block++) {
        lane row[4];
        for (int l = 0; l < LANES; l++) {
            row[l] = load32((const char *)entries[l] + 32 * block);
        }
        transpose(out + 4 * block, row);
    }
}

/* In lanes with `negative`: y + x and y - x change places, t becomes 2p - t. */
INLINE void negate(elements *plus, elements *minus, elements *t, const uint64_t *negative) {
    lane n = load32(negative);
    EACH_LIMB {
        lane a = plus->limb[i], b = minus->limb[i];
        plus->limb[i] = _mm256_blendv_epi8(a, b, n);
        minus->limb[i] = _mm256_blendv_epi8(b, a, n);
        t->limb[i] = _mm256_blendv_epi8(t->limb[i], MINUS(lane_every(AVX2_TWO_P[i]), t->limb[i]), n);
    }
}

INLINE void load_entries(elements *plus, elements *minus, elements *t, const uint64_t *entries, const uint64_t *negative) {
    lane word[15];
    load_rows(word, entries, 3);
    for (int quarter = 0; quarter < 3; quarter++) { /* 13 bits of another limb are above every limb */
        lane limb = _mm256_srli_epi64(word[4 * quarter], 51);
        for (int i = 1; i < 4; i++) {
            lane piece = _mm256_srli_epi64(word[4 * quarter + i], 51 - TOP_BITS * i);
            limb = _mm256_or_si256(limb, _mm256_and_si256(piece, lane_every((uint64_t)0x1fff << TOP_BITS * i)));
        }
        word[ENTRY_WORDS + quarter] = limb;
    }
    for (int i = 0; i < ENTRY_WORDS; i++) {
        word[i] = _mm256_and_si256(word[i], lane_every(LIMB_MASK));
    }
    *plus = from_limbs(word);
    *minus = from_limbs(word + 5);
    *t = from_limbs(word + 10);
    negate(plus, minus, t, negative);
}

/* Four elements a lane: y + x, y - x, z, 2dt of one multiple of a key, made by store_multiple. */
INLINE void load_multiple(elements part[4], const uint64_t *entries, const uint64_t *negative) {
    lane word[20];
    load_rows(word, entries, 5);
    for (int i = 0; i < 4; i++) {
        part[i] = from_limbs(word + 5 * i);
    }
    negate(&part[0], &part[1], &part[3], negative);
}

INLINE void store_multiple(const uint64_t *entries, const products part[4]) {
    for (int i = 0; i < 4; i++) {
        lane limbs[5];
        uint64_t word[5][LANES];
        get_limbs(limbs, &part[i]);
        memcpy(word, limbs, sizeof word);
        for (int l = 0; l < LANES; l++) {
            for (int k = 0; k < 5; k++) {
                ((uint64_t *)entries[l])[5 * i + k] = word[k][l];
            }
        }
    }
}

/* SHA-512 */
#define rotate(x, bits) _mm256_or_si256(_mm256_srli_epi64(x, bits), _mm256_slli_epi64(x, 64 - (bits)))

INLINE lane xor3(lane a, lane b, lane c) {
    return _mm256_xor_si256(a, _mm256_xor_si256(b, c));
}

INLINE lane choose(lane e, lane f, lane g) {
    return _mm256_xor_si256(g, _mm256_and_si256(e, _mm256_xor_si256(f, g)));
}

INLINE lane majority(lane a, lane b, lane c) {
    return _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b)));
}

INLINE lane lane_select(uint32_t mask, lane no, lane yes) {
    lane where = _mm256_set_epi64x(-(long long)(mask >> 3 & 1), -(long long)(mask >> 2 & 1),
                                   -(long long)(mask >> 1 & 1), -(long long)(mask & 1));
    return _mm256_blendv_epi8(no, yes, where);
}

INLINE void load_block(lane words[16], const uint8_t *const *block) {
    const lane swap = _mm256_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607, 0x08090a0b0c0d0e0f, 0x0001020304050607);
    for (int quarter = 0; quarter < 4; quarter++) {
        lane row[4];
        for (int l = 0; l < LANES; l++) {
            row[l] = _mm256_shuffle_epi8(load32(block[l] + 32 * quarter), swap);
        }
        transpose(words + 4 * quarter, row);
    }
}

#endif
