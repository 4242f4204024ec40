/* Points of the curve, one at a time: decoding, adding, doubling, and the entries of precomputed tables.
 *
 * Extended coordinates (X : Y : Z : T), x = X/Z, y = Y/Z, x y = T/Z; the formulas (Hisil and others 2008) are complete:
 * they hold for every pair of points of this curve, so nothing here asks for special cases. */

#ifndef CCCNODE_POINT_H
#define CCCNODE_POINT_H

#include "field.h"

typedef struct {
    fe X, Y, Z, T; /* carried */
} point;

/* A point of a table: y + x, y - x and 2 d x y, fifteen canonical limbs of 51 bits in twelve words.  Word i holds limb i
 * and above it 13 bits of another: limb 12 lies in the top bits of words 0 to 3, limb 13 of 4 to 7, limb 14 of 8 to 11,
 * lowest bits first.  An entry touches two cache lines. */
#define ENTRY_WORDS 12
#define TOP_BITS 13
typedef struct {
    _Alignas(32) uint64_t word[ENTRY_WORDS];
} entry;

static inline point point_double(const point *p) {
    fe xx = fe_square(&p->X), yy = fe_square(&p->Y), zz = fe_square(&p->Z);
    fe xy = fe_add(&p->X, &p->Y), aa = fe_square(&xy);
    fe h = fe_add(&yy, &xx), g = fe_sub(&yy, &xx), zz2 = fe_add(&zz, &zz);
    h = fe_carry(&h);
    g = fe_carry(&g);
    zz2 = fe_carry(&zz2);
    fe e = fe_sub(&aa, &h), f = fe_sub(&zz2, &g);
    return (point){fe_mul(&e, &f), fe_mul(&h, &g), fe_mul(&g, &f), fe_mul(&e, &h)};
}

static inline point point_add(const point *p, const point *q) {
    fe k = fe_of(CURVE_2D);
    fe p_minus = fe_sub(&p->Y, &p->X), q_minus = fe_sub(&q->Y, &q->X);
    fe p_plus = fe_add(&p->Y, &p->X), q_plus = fe_add(&q->Y, &q->X);
    fe a = fe_mul(&p_minus, &q_minus), b = fe_mul(&p_plus, &q_plus);
    fe c = fe_mul(&p->T, &q->T), z = fe_mul(&p->Z, &q->Z);
    c = fe_mul(&c, &k);
    fe d = fe_add(&z, &z);
    d = fe_carry(&d);
    fe e = fe_sub(&b, &a), f = fe_sub(&d, &c), g = fe_add(&d, &c), h = fe_add(&b, &a);
    return (point){fe_mul(&e, &f), fe_mul(&g, &h), fe_mul(&f, &g), fe_mul(&e, &h)};
}

/* Whether y is below p; the sign bit is set aside. */
static inline int point_is_canonical(const uint8_t encoding[32]) {
    uint64_t top = load64(encoding + 24) & ~(1ULL << 63);
    return !(top == ~(1ULL << 63) && load64(encoding + 16) == ~0ULL && load64(encoding + 8) == ~0ULL &&
             load64(encoding) >= 0ULL - 19);
}

/* Whether this encodes a point of order 1, 2, 4 or 8, canonical or not. */
static inline int point_is_small_order(const uint8_t encoding[32]) {
    uint64_t low = load64(encoding);
    for (int i = 0; i < 7; i++) {
        const uint64_t *y = SMALL_ORDER_Y + 4 * i;
        if (low == y[0] && load64(encoding + 8) == y[1] && load64(encoding + 16) == y[2] &&
            (load64(encoding + 24) & ~(1ULL << 63)) == y[3]) {
            return 1;
        }
    }
    return 0;
}

/* The point of a canonical encoding (RFC 8032, 5.1.3); 0 where y is on no point. */
static inline int point_decode(point *p, const uint8_t encoding[32]) {
    fe one = fe_small(1), d = fe_of(CURVE_D), y = fe_from_bytes(encoding);
    fe u = fe_square(&y), v = fe_mul(&u, &d);
    u = fe_sub(&u, &one);
    u = fe_carry(&u); /* x^2 = u / v with u = y^2 - 1, v = d y^2 + 1 */
    v = fe_add(&v, &one);
    v = fe_carry(&v);
    fe v2 = fe_square(&v), v3 = fe_mul(&v2, &v), v6 = fe_square(&v3), v7 = fe_mul(&v6, &v), uv7 = fe_mul(&u, &v7);
    fe power = fe_power_p58(&uv7), uv3 = fe_mul(&u, &v3), x = fe_mul(&uv3, &power);
    fe xx = fe_square(&x), check = fe_mul(&v, &xx);
    if (!fe_equal(&check, &u)) {
        fe minus_u = fe_negated(&u);
        if (!fe_equal(&check, &minus_u)) {
            return 0;
        }
        fe root = fe_of(SQRT_M1);
        x = fe_mul(&x, &root);
    }
    x = fe_canonical(&x);
    if ((x.limb[0] & 1) != (uint64_t)(encoding[31] >> 7)) {
        x = fe_negated(&x);
    }
    *p = (point){x, y, one, fe_mul(&x, &y)};
    return 1;
}

static inline void entry_pack(entry *e, const fe *plus, const fe *minus, const fe *t) {
    uint64_t limb[15];
    memcpy(limb, plus->limb, 40);
    memcpy(limb + 5, minus->limb, 40);
    memcpy(limb + 10, t->limb, 40);
    BOUND(limb, 15, LIMB_MASK + 1);
    for (int i = 0; i < ENTRY_WORDS; i++) {
        e->word[i] = limb[i] | limb[ENTRY_WORDS + i / 4] >> TOP_BITS * (i % 4) << 51;
    }
}

/* All fifteen limbs. */
static inline void entry_unpack(uint64_t limb[15], const entry *e) {
    memset(limb + ENTRY_WORDS, 0, 24);
    for (int i = 0; i < ENTRY_WORDS; i++) {
        limb[i] = e->word[i] & LIMB_MASK;
        limb[ENTRY_WORDS + i / 4] |= e->word[i] >> 51 << TOP_BITS * (i % 4);
    }
}

/* `count` points become entries, with one inversion for all; `scratch` holds as many elements. */
static inline void entries_from_points(entry *entries, const point *points, fe *scratch, int count) {
    fe k = fe_of(CURVE_2D), product = fe_small(1);
    for (int i = 0; i < count; i++) {
        scratch[i] = product;
        product = fe_mul(&product, &points[i].Z);
    }
    fe inverse = fe_inverse(&product); /* of the product of all Z up to and with points[i] */
    for (int i = count; i--;) {
        fe z = fe_mul(&inverse, &scratch[i]);
        inverse = fe_mul(&inverse, &points[i].Z);
        fe x = fe_mul(&points[i].X, &z), y = fe_mul(&points[i].Y, &z), xy = fe_mul(&x, &y);
        fe plus = fe_add(&y, &x), minus = fe_sub(&y, &x), t = fe_mul(&xy, &k);
        plus = fe_canonical(&plus);
        minus = fe_canonical(&minus);
        t = fe_canonical(&t);
        entry_pack(&entries[i], &plus, &minus, &t);
    }
}

#endif
