/* Written by constants.py; do not edit.  Limbs and words stand lowest first. */

#ifndef CCCNODE_ED25519_CONSTANTS_H
#define CCCNODE_ED25519_CONSTANTS_H

#include <stdint.h>

/* d of the curve -x^2 + y^2 = 1 + d x^2 y^2 */
static const uint64_t CURVE_D[5] = {
    0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff,
};

/* 2d */
static const uint64_t CURVE_2D[5] = {
    0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff,
};

/* a square root of -1 */
static const uint64_t SQRT_M1[5] = {
    0x61b274a0ea0b0, 0xd5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d,
};

/* the base point: x */
static const uint64_t BASE_X[5] = {
    0x62d608f25d51a, 0x412a4b4f6592a, 0x75b7171a4b31d, 0x1ff60527118fe, 0x216936d3cd6e5,
};

/* the base point: y */
static const uint64_t BASE_Y[5] = {
    0x6666666666658, 0x4cccccccccccc, 0x1999999999999, 0x3333333333333, 0x6666666666666,
};

/* the base point: x y */
static const uint64_t BASE_XY[5] = {
    0x68ab3a5b7dda3, 0xeea2a5eadbb, 0x2af8df483c27e, 0x332b375274732, 0x67875f0fd78b7,
};

/* 2p, limb by limb (not carried): added before a canonical element is subtracted */
static const uint64_t TWO_P[5] = {
    0xfffffffffffda, 0xffffffffffffe, 0xffffffffffffe, 0xffffffffffffe, 0xffffffffffffe,
};

/* 4p, limb by limb: added before a carried element is subtracted (field.h) */
static const uint64_t FOUR_P[5] = {
    0x1fffffffffffb4, 0x1ffffffffffffc, 0x1ffffffffffffc, 0x1ffffffffffffc, 0x1ffffffffffffc,
};

/* 2^11 p, limb by limb: added before uncarried products are subtracted (lanes_ifma.h) */
static const uint64_t IFMA_BIAS[5] = {
    0x3fffffffffff6800, 0x3ffffffffffff800, 0x3ffffffffffff800, 0x3ffffffffffff800, 0x3ffffffffffff800,
};

/* 2p in limbs of 26 and 25 bits (lanes_avx2.h) */
static const uint64_t AVX2_TWO_P[10] = {
    0x7ffffda, 0x3fffffe, 0x7fffffe, 0x3fffffe, 0x7fffffe,
    0x3fffffe, 0x7fffffe, 0x3fffffe, 0x7fffffe, 0x3fffffe,
};

/* L, the order of the base point */
static const uint64_t ORDER[4] = {
    0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0x0, 0x1000000000000000,
};

/* L - 2^252 */
static const uint64_t ORDER_TAIL[2] = {
    0x5812631a5cf5d3ed, 0x14def9dea2f79cd6,
};

/* y of every encoding of a point of order 1, 2, 4 or 8, sign bit apart; the last two are not canonical */
static const uint64_t SMALL_ORDER_Y[7 * 4] = {
    0x0, 0x0, 0x0, 0x0, 0x1,
    0x0, 0x0, 0x0, 0xb027b2c28f95e826, 0xf098eff289f4c345,
    0x3933c6d305acdfd5, 0x5fc536d880238b1, 0x4fd84d3d706a17c7, 0xf67100d760b3cba, 0xc6cc392cfa53202a,
    0x7a03ac9277fdc74e, 0xffffffffffffffec, 0xffffffffffffffff, 0xffffffffffffffff, 0x7fffffffffffffff,
    0xffffffffffffffed, 0xffffffffffffffff, 0xffffffffffffffff, 0x7fffffffffffffff, 0xffffffffffffffee,
    0xffffffffffffffff, 0xffffffffffffffff, 0x7fffffffffffffff,
};

/* SHA-512: fractions of the cube roots of the first 80 primes */
static const uint64_t SHA512_ROUND[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0xfc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x6ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x6f067aa72176fba, 0xa637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

/* SHA-512: fractions of the square roots of the first 8 primes */
static const uint64_t SHA512_START[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1, 0x510e527fade682d1,
    0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

#endif
