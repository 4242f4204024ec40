/* Judging signatures LANES at a time, over the field of one back end: included by ed25519_{ifma,avx2,portable}.c.
 *
 * Every lane carries one signature from its bytes to its verdict; no lane sees another.  The only thing that lanes and
 * groups share is one inversion at the end, and that stands on values that cannot be zero (Z of a complete formula).
 *
 * `elements` are what may be multiplied, `products` what multiplying returns; lanes_*.h says how large their limbs are.
 * An argument marked "first factor" may be larger than a second one. */

#include <stdlib.h>

#include "challenge_lanes.h"

typedef struct {
    products X, Y, Z;
    elements T;
} points;

/* Where the next entry of every lane lies, and all ones where it is to be negated. */
typedef struct {
    _Alignas(64) uint64_t entries[LANES];
    uint64_t negative[LANES];
} step;

#define AHEAD 4 /* steps between asking for an entry and using it: what hides the way to memory */
#define GROUPS 64 /* groups of LANES that share an inversion */

/* --- points ------------------------------------------------------------------------------------------------------ */

INLINE void points_identity(points *p) {
    const uint64_t zero[5] = {0}, one[5] = {1};
    elements nothing = every(zero), unit = every(one);
    p->X = tightened(&nothing);
    p->Y = tightened(&unit);
    p->Z = tightened(&unit);
    p->T = nothing;
}

/* The last half of both additions: a = (Y1-X1)(Y2-X2), b = (Y1+X1)(Y2+X2), c = 2d T1 T2, z = Z1 Z2.  In this order
 * every product is begun as soon as its factors are there, and T, which the next addition wants first, is early. */
INLINE void finish_addition(points *p, const products *a, const products *b, const products *c, const products *z) {
    elements g = twice_plus(z, c), f = twice_minus(z, c);
    p->Z = multiply(&f, &g); /* f: first factor only */
    elements e = difference(b, a), h = sum(b, a);
    products t = multiply(&e, &h);
    p->T = carried(&t);
    p->X = multiply(&f, &e);
    p->Y = multiply(&g, &h);
}

/* p += an entry of a table (Z = 1) */
INLINE void add_entry(points *p, const step *s) {
    elements plus, minus, t;
    load_entries(&plus, &minus, &t, s->entries, s->negative);
    elements y_minus_x = difference(&p->Y, &p->X), y_plus_x = sum(&p->Y, &p->X);
    products c = multiply(&t, &p->T), a = multiply(&minus, &y_minus_x), b = multiply(&plus, &y_plus_x);
    finish_addition(p, &a, &b, &c, &p->Z);
}

/* p += a multiple of an unknown key (any Z) */
INLINE void add_multiple(points *p, const step *s) {
    elements part[4];
    load_multiple(part, s->entries, s->negative);
    elements y_minus_x = difference(&p->Y, &p->X), y_plus_x = sum(&p->Y, &p->X), z = carried(&p->Z);
    products c = multiply(&part[3], &p->T), a = multiply(&part[1], &y_minus_x), b = multiply(&part[0], &y_plus_x);
    products zz = multiply(&z, &part[2]);
    finish_addition(p, &a, &b, &c, &zz);
}

INLINE void double_points(points *p, int with_t) {
    elements x = carried(&p->X), y = carried(&p->Y), z = carried(&p->Z), xy = sum(&p->X, &p->Y);
    products xx = square(&x), yy = square(&y), zz = square(&z), aa = square(&xy);
    elements h = sum(&yy, &xx), g = difference(&yy, &xx), e = less_both(&aa, &xx, &yy), f = twice_less(&zz, &yy, &xx);
    p->X = multiply(&f, &e); /* f: first factor only */
    p->Y = multiply(&g, &h);
    p->Z = multiply(&f, &g);
    if (with_t) {
        products t = multiply(&e, &h);
        p->T = carried(&t);
    }
}

INLINE void prefetch(const step *s) {
    for (int l = 0; l < LANES; l++) {
        __builtin_prefetch((const void *)s->entries[l]);
        __builtin_prefetch((const char *)s->entries[l] + 64);
    }
}

/* AHEAD more steps stand behind the last one, to be asked for and not used. */
OUTLINE void add_run(points *p, const step *steps, int count) {
    points sum_so_far = *p;
    for (int i = 0; i < count; i++) {
        prefetch(&steps[i + AHEAD]);
        add_entry(&sum_so_far, &steps[i]);
    }
    *p = sum_so_far;
}

OUTLINE void double_run(points *p, int count) {
    points power = *p;
    for (int i = 0; i < count - 1; i++) {
        double_points(&power, 0);
    }
    double_points(&power, 1);
    *p = power;
}

OUTLINE void add_one_multiple(points *p, const step *s) {
    add_multiple(p, s);
}

/* --- powers: as in field.h ---------------------------------------------------------------------------------------- */

OUTLINE elements times(const elements *a, const elements *b) {
    products p = multiply(a, b);
    return carried(&p);
}

OUTLINE elements squared_times(const elements *a, int count) {
    elements power = *a;
    while (count--) {
        products p = square(&power);
        power = carried(&p);
    }
    return power;
}

static elements power_250(const elements *a, elements *power_11) {
    elements t, p2 = squared_times(a, 1), p8 = squared_times(&p2, 2), p9 = times(a, &p8);
    *power_11 = times(&p2, &p9);
    t = squared_times(power_11, 1);
    elements e5 = times(&p9, &t);
    t = squared_times(&e5, 5);
    elements e10 = times(&t, &e5);
    t = squared_times(&e10, 10);
    elements e20 = times(&t, &e10);
    t = squared_times(&e20, 20);
    elements e40 = times(&t, &e20);
    t = squared_times(&e40, 10);
    elements e50 = times(&t, &e10);
    t = squared_times(&e50, 50);
    elements e100 = times(&t, &e50);
    t = squared_times(&e100, 100);
    elements e200 = times(&t, &e100);
    t = squared_times(&e200, 50);
    return times(&t, &e50);
}

static elements inverse_of(const elements *a) {
    elements power_11, t = power_250(a, &power_11);
    t = squared_times(&t, 5);
    return times(&t, &power_11);
}

static elements power_p58(const elements *a) {
    elements power_11, t = power_250(a, &power_11);
    t = squared_times(&t, 2);
    return times(&t, a);
}

/* --- digits of scalars, as places in tables ------------------------------------------------------------------------ */

INLINE words digit_at(const words *scalar, int bit, int width) {
    int word = bit >> 6, shift = bit & 63;
    words digit = scalar[word] >> shift;
    if (shift + width > 64) {
        digit |= scalar[word + 1] << (64 - shift);
    }
    return digit & (((uint64_t)1 << width) - 1);
}

/* A digit above half becomes negative and carries one into the next. */
INLINE void step_signed(step *s, words row, words digit, words *carry_in, int width, uint64_t entry_bytes) {
    digit += *carry_in;
    words negative = (words)(digit > (words){0} + ((uint64_t)1 << (width - 1)));
    words size = (negative & (((uint64_t)1 << width) - digit)) | (~negative & digit);
    *carry_in = negative & 1;
    words place = row + size * entry_bytes;
    memcpy(s->entries, &place, sizeof place);
    memcpy(s->negative, &negative, sizeof negative);
}

/* The steps of [S]B; every lane reads the one table. */
static void steps_of_base(step *steps, const batch *shared, const job *const *jobs) {
    uint64_t scalar[5][LANES] = {{0}};
    for (int l = 0; l < LANES; l++) {
        for (int i = 0; i < 4; i++) {
            scalar[i][l] = load64(jobs[l]->signature + 32 + 8 * i);
        }
    }
    words s[5], carry_in = {0}, base = (words){0} + (uint64_t)(uintptr_t)shared->base;
    memcpy(s, scalar, sizeof s);
#pragma GCC unroll 32
    for (int i = 0; i < BASE_DIGITS - 1; i++) {
        words row = base + (uint64_t)i * BASE_ROW * sizeof(entry);
        step_signed(&steps[i], row, digit_at(s, BASE_WINDOW * i, BASE_WINDOW), &carry_in, BASE_WINDOW, sizeof(entry));
    }
    int top = BASE_DIGITS - 1; /* what is left is not negative: at most 2^12 and the carry */
    words digit = digit_at(s, BASE_WINDOW * top, 64 - BASE_WINDOW * top % 64) + carry_in;
    words place = base + (uint64_t)top * BASE_ROW * sizeof(entry) + digit * sizeof(entry);
    memcpy(steps[top].entries, &place, sizeof place);
    memset(steps[top].negative, 0, sizeof steps[top].negative);
}

/* How many steps the rounds above `round` have. */
INLINE int steps_before_round(int round) {
    int count = 0;
    for (int above = KEY_ROUNDS - 1; above > round; above--) {
        count += (KEY_DIGITS - above + KEY_ROUNDS - 1) / KEY_ROUNDS;
    }
    return count;
}

/* The steps of -[k]A from tables: digit i lies in row i / KEY_ROUNDS and belongs to round i % KEY_ROUNDS. */
static void steps_of_keys(step *steps, const words *k, const job *const *jobs) {
    uint64_t tables[LANES];
    for (int l = 0; l < LANES; l++) {
        tables[l] = (uint64_t)(uintptr_t)jobs[l]->table;
    }
    words base, carry_in = {0};
    memcpy(&base, tables, sizeof base);
#pragma GCC unroll 64
    for (int i = 0; i < KEY_DIGITS; i++) {
        words row = base + (uint64_t)(i / KEY_ROUNDS) * KEY_ROW * sizeof(entry);
        step *s = &steps[steps_before_round(i % KEY_ROUNDS) + i / KEY_ROUNDS];
        step_signed(s, row, digit_at(k, KEY_WINDOW * i, KEY_WINDOW), &carry_in, KEY_WINDOW, sizeof(entry));
    }
}

/* --- a group of LANES signatures ----------------------------------------------------------------------------------- */

#define UNKNOWN_WINDOW 5
#define UNKNOWN_DIGITS ((253 + UNKNOWN_WINDOW - 1) / UNKNOWN_WINDOW)
#define UNKNOWN_ROW ((1 << (UNKNOWN_WINDOW - 1)) + 1)
#define MULTIPLE_WORDS 24

typedef struct {
    products X, Y, Z;
    uint32_t decoded; /* lanes whose key is a point */
} outcome;

/* Memory of one call. */
typedef struct {
    step steps[(KEY_DIGITS > UNKNOWN_DIGITS ? KEY_DIGITS : UNKNOWN_DIGITS) + BASE_DIGITS + AHEAD];
    _Alignas(64) uint64_t multiples[LANES][UNKNOWN_ROW][MULTIPLE_WORDS];
    elements before[GROUPS];
    outcome outcomes[]; /* as many as the call has groups, at most GROUPS */
} workspace;

static void repeat_last(step *steps, int count) {
    for (int i = 0; i < AHEAD; i++) {
        steps[count + i] = steps[count - 1];
    }
}

static void group_with_tables(outcome *o, workspace *space, const batch *shared, const job *const *jobs) {
    words k[5];
    hash_lanes(k, shared, jobs);
    const step *steps = space->steps;
    steps_of_keys(space->steps, k, jobs);
    steps_of_base(space->steps + KEY_DIGITS, shared, jobs);
    repeat_last(space->steps, KEY_DIGITS + BASE_DIGITS);
    for (int i = 0; i < AHEAD; i++) {
        prefetch(&steps[i]);
    }
    points p;
    points_identity(&p);
    for (int round = KEY_ROUNDS - 1; round >= 0; round--) {
        int count = (KEY_DIGITS - round + KEY_ROUNDS - 1) / KEY_ROUNDS;
        if (round < KEY_ROUNDS - 1) {
            double_run(&p, KEY_WINDOW);
        }
        add_run(&p, steps, count + (round == 0 ? BASE_DIGITS : 0));
        steps += count;
    }
    *o = (outcome){p.X, p.Y, p.Z, ~(uint32_t)0};
}

/* -A of every lane (Z = 1); returns the lanes whose key is a point.  As point_decode.
 *
 * A lane whose key is no point carries the neutral element instead: off the curve Z might become zero, and the inversion
 * that it shares with the same lane of other groups would fail for them too. */
static uint32_t decode_negated(points *p, const job *const *jobs) {
    const uint64_t one_limbs[5] = {1};
    uint64_t limbs[5][LANES];
    lane limb[5];
    for (int l = 0; l < LANES; l++) {
        fe y = fe_from_bytes(jobs[l]->key);
        for (int i = 0; i < 5; i++) {
            limbs[i][l] = y.limb[i];
        }
    }
    memcpy(limb, limbs, sizeof limb);
    products y_tight = from_limbs(limb);
    elements y = carried(&y_tight), one_element = every(one_limbs), d = every(CURVE_D);
    products one = tightened(&one_element), yy = square(&y), yy_tight;
    elements yy_element = carried(&yy);
    yy_tight = multiply(&yy_element, &d);
    elements u = difference(&yy, &one), v = sum(&yy_tight, &one);
    elements v2 = squared_times(&v, 1), v3 = times(&v2, &v), v6 = squared_times(&v3, 1), v7 = times(&v6, &v);
    elements uv7 = times(&v7, &u), power = power_p58(&uv7), uv3 = times(&v3, &u), x = times(&uv3, &power);
    elements xx = squared_times(&x, 1), check = times(&xx, &v);

    lane x_limbs[5], u_limbs[5], check_limbs[5];
    products x_tight = tightened(&x), u_tight = tightened(&u), check_tight = tightened(&check);
    get_limbs(x_limbs, &x_tight);
    get_limbs(u_limbs, &u_tight);
    get_limbs(check_limbs, &check_tight);
    uint64_t xs[5][LANES], us[5][LANES], checks[5][LANES];
    memcpy(xs, x_limbs, sizeof xs);
    memcpy(us, u_limbs, sizeof us);
    memcpy(checks, check_limbs, sizeof checks);
    uint32_t decoded = 0;
    for (int l = 0; l < LANES; l++) {
        fe xl, ul, cl;
        for (int i = 0; i < 5; i++) {
            xl.limb[i] = xs[i][l], ul.limb[i] = us[i][l], cl.limb[i] = checks[i][l];
        }
        xl = fe_carry(&xl);
        ul = fe_carry(&ul);
        int on_curve = 1;
        if (!fe_equal(&cl, &ul)) {
            fe minus_u = fe_negated(&ul), root = fe_of(SQRT_M1);
            on_curve = fe_equal(&cl, &minus_u);
            xl = fe_mul(&xl, &root);
        }
        xl = fe_canonical(&xl);
        if ((xl.limb[0] & 1) == (uint64_t)(jobs[l]->key[31] >> 7)) { /* the sign asked for, so the other one: -A */
            xl = fe_negated(&xl);
        }
        decoded |= (uint32_t)on_curve << l;
        for (int i = 0; i < 5; i++) {
            xs[i][l] = on_curve ? xl.limb[i] : 0;
            limbs[i][l] = on_curve ? limbs[i][l] : i == 0;
        }
    }
    memcpy(limb, xs, sizeof limb);
    p->X = from_limbs(limb);
    memcpy(limb, limbs, sizeof limb);
    p->Y = from_limbs(limb);
    p->Z = one;
    elements x_chosen = carried(&p->X), y_chosen = carried(&p->Y);
    p->T = times(&x_chosen, &y_chosen);
    return decoded;
}

/* 0..2^4 times the points, to space->multiples. */
static void store_multiples(workspace *space, const points *p) {
    step first;
    memset(&first, 0, sizeof first);
    for (int l = 0; l < LANES; l++) {
        first.entries[l] = (uint64_t)(uintptr_t)space->multiples[l][1];
    }
    elements k = every(CURVE_2D);
    points q;
    points_identity(&q);
    for (int i = 0; i < UNKNOWN_ROW; i++) {
        if (i == 1) {
            q = *p;
        } else if (i > 1) {
            add_one_multiple(&q, &first);
        }
        elements plus = sum(&q.Y, &q.X), minus = difference(&q.Y, &q.X);
        products part[4] = {tightened(&plus), tightened(&minus), q.Z, multiply(&k, &q.T)};
        uint64_t places[LANES];
        for (int l = 0; l < LANES; l++) {
            places[l] = (uint64_t)(uintptr_t)space->multiples[l][i];
        }
        store_multiple(places, part);
    }
}

static void group_unknown(outcome *o, workspace *space, const batch *shared, const job *const *jobs) {
    words k[5], carry_in = {0}, rows;
    points p;
    hash_lanes(k, shared, jobs);
    uint32_t decoded = decode_negated(&p, jobs);
    store_multiples(space, &p);

    uint64_t places[LANES];
    for (int l = 0; l < LANES; l++) {
        places[l] = (uint64_t)(uintptr_t)space->multiples[l];
    }
    memcpy(&rows, places, sizeof rows);
    step *steps = space->steps, *base_steps = space->steps + UNKNOWN_DIGITS;
#pragma GCC unroll 64
    for (int i = 0; i < UNKNOWN_DIGITS; i++) {
        words digit = digit_at(k, UNKNOWN_WINDOW * i, UNKNOWN_WINDOW);
        step_signed(&steps[i], rows, digit, &carry_in, UNKNOWN_WINDOW, 8 * MULTIPLE_WORDS);
    }
    steps_of_base(base_steps, shared, jobs);
    repeat_last(base_steps, BASE_DIGITS);

    points_identity(&p);
    add_one_multiple(&p, &steps[UNKNOWN_DIGITS - 1]);
    for (int i = UNKNOWN_DIGITS - 2; i >= 0; i--) {
        if (i < AHEAD) {
            prefetch(&base_steps[i]);
        }
        double_run(&p, UNKNOWN_WINDOW);
        add_one_multiple(&p, &steps[i]);
    }
    add_run(&p, base_steps, BASE_DIGITS);
    *o = (outcome){p.X, p.Y, p.Z, decoded};
}

/* --- verdicts ------------------------------------------------------------------------------------------------------ */

/* The canonical limbs of every lane; as fe_canonical. */
INLINE void canonical(words limb[5], const products *a) {
    lane raw[5];
    get_limbs(raw, a);
    memcpy(limb, raw, sizeof raw);
    for (int pass = 0; pass < 2; pass++) {
        words carry_in = {0};
        for (int i = 0; i < 5; i++) {
            limb[i] += carry_in;
            carry_in = limb[i] >> 51;
            limb[i] &= LIMB_MASK;
        }
        limb[0] += 19 * carry_in;
    }
    words above = (limb[0] + 19) >> 51;
    for (int i = 1; i < 5; i++) {
        above = (limb[i] + above) >> 51;
    }
    limb[0] += 19 * above;
    for (int i = 0; i < 4; i++) {
        limb[i + 1] += limb[i] >> 51;
        limb[i] &= LIMB_MASK;
    }
    limb[4] &= LIMB_MASK;
}

/* Encodes the point of every lane and compares it with R; `inverse` is 1/Z. */
static void judge(const outcome *o, const elements *inverse, const batch *shared, const job *const *jobs, int count) {
    elements X = carried(&o->X), Y = carried(&o->Y);
    products x = multiply(&X, inverse), y = multiply(&Y, inverse);
    words a[5], b[5], word[4];
    canonical(a, &x);
    canonical(b, &y);
    word[0] = b[0] | b[1] << 51;
    word[1] = b[1] >> 13 | b[2] << 38;
    word[2] = b[2] >> 26 | b[3] << 25;
    word[3] = b[3] >> 39 | b[4] << 12 | a[0] << 63;
    uint64_t encoding[4][LANES];
    memcpy(encoding, word, sizeof encoding);
    for (int l = 0; l < count; l++) {
        const uint8_t *r = jobs[l]->signature;
        uint64_t differs = (encoding[0][l] ^ load64(r)) | (encoding[1][l] ^ load64(r + 8)) |
                           (encoding[2][l] ^ load64(r + 16)) | (encoding[3][l] ^ load64(r + 24));
        shared->verdicts[jobs[l]->index] = differs == 0 && (o->decoded >> l & 1);
    }
}

/* All groups with one inversion: the product of all Z is inverted, and every Z takes its own out of it. */
static void judge_groups(workspace *space, int groups, const batch *shared, const job *const *jobs, size_t count) {
    const uint64_t one[5] = {1};
    elements product = every(one);
    for (int i = 0; i < groups; i++) {
        elements z = carried(&space->outcomes[i].Z);
        space->before[i] = product;
        product = times(&product, &z);
    }
    elements inverse = inverse_of(&product);
    for (int i = groups; i--;) {
        elements z = carried(&space->outcomes[i].Z), own = times(&inverse, &space->before[i]);
        inverse = times(&inverse, &z);
        size_t first = (size_t)i * LANES;
        judge(&space->outcomes[i], &own, shared, jobs + first, count - first < LANES ? (int)(count - first) : LANES);
    }
}

static int verify(const batch *shared, const job *jobs, size_t count) {
    size_t most = (count + LANES - 1) / LANES;
    most = most < GROUPS ? most : GROUPS;
    size_t bytes = sizeof(workspace) + most * sizeof(outcome);
    workspace *space = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!space) {
        return 0;
    }
    const job *chosen[GROUPS * LANES];
    for (size_t first = 0; first < count; first += most * LANES) {
        size_t left = count - first < most * LANES ? count - first : most * LANES;
        int groups = (int)((left + LANES - 1) / LANES);
        for (size_t i = 0; i < (size_t)groups * LANES; i++) {
            chosen[i] = &jobs[first + (i < left ? i : 0)]; /* empty lanes do the first one again */
        }
        for (int i = 0; i < groups; i++) {
            outcome *o = &space->outcomes[i];
            const job *const *group = chosen + (size_t)i * LANES;
            if (jobs->table) {
                group_with_tables(o, space, shared, group);
            } else {
                group_unknown(o, space, shared, group);
            }
        }
        judge_groups(space, groups, shared, chosen, left);
    }
    free(space);
    return 1;
}
