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

#define AHEAD 2 /* steps between asking for an entry and using it: what hides the way to memory; more is slower */
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
    elements x = carried(&p->X), y = carried(&p->Y), z = carried(&p->Z);
    products xx = square(&x), yy = square(&y), zz = square(&z), xy = multiply(&x, &y); /* fewer steps than (X + Y)^2 */
    elements h = sum(&yy, &xx), g = difference(&yy, &xx), e = sum(&xy, &xy), f = twice_less(&zz, &yy, &xx);
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

/* Rounds of additions, `counts` of them from the last to the first, with one doubling between two rounds.  AHEAD more
 * steps stand behind the last one, to be asked for and not used. */
OUTLINE void add_rounds(points *p, const step *steps, const int *counts, int rounds) {
    points sum_so_far = *p;
    while (rounds--) {
        for (const step *end = steps + counts[rounds]; steps < end; steps++) {
            prefetch(&steps[AHEAD]);
            add_entry(&sum_so_far, steps);
        }
        if (rounds) {
            double_points(&sum_so_far, 1);
        }
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

/* One addition for every column of a comb, written to the places `at` of their rounds.  `scalar` is odd. */
INLINE void steps_of_comb(step **at, const words *scalar, words table, int teeth, int columns, int rounds) {
    words same[16], top = digit_at(scalar, columns * (teeth - 1) + 1, columns) | (uint64_t)1 << (columns - 1);
#pragma GCC unroll 16
    for (int t = 0; t < teeth - 1; t++) { /* the teeth whose sign is that of the top one */
        same[t] = ~(digit_at(scalar, columns * t + 1, columns) ^ top);
    }
#pragma GCC unroll 64
    for (int column = 0; column < columns; column++) {
        words place = {0}, negative = (top >> column & 1) - 1;
#pragma GCC unroll 16
        for (int t = 0; t < teeth - 1; t++) { /* bit t of the entry's number, times 32 */
            int down = column - t - 5;
            place |= (down >= 0 ? same[t] >> down : same[t] << -down) & (uint64_t)1 << (t + 5);
        }
        place = table + (uint64_t)(column / rounds) * COMB_BLOCK(teeth) * sizeof(entry) + place + 2 * place;
        step *s = at[column % rounds]++;
        memcpy(s->entries, &place, sizeof place);
        memcpy(s->negative, &negative, sizeof negative);
    }
}

_Static_assert(sizeof(entry) == 3 * 32, "an entry's place is its number times 32, times 3");

/* The steps of [S]B; every lane reads the one table.  An even S becomes S + L: B has order L. */
static void steps_of_base(step **at, const batch *shared, const job *const *jobs) {
    uint64_t scalar[5][LANES] = {{0}};
    for (int l = 0; l < LANES; l++) {
        const uint8_t *s = jobs[l]->signature + 32;
        uint64_t even = (uint64_t)(s[0] & 1) - 1;
        uint128 sum = 0;
        for (int i = 0; i < 4; i++) {
            sum += (uint128)load64(s + 8 * i) + (ORDER[i] & even);
            scalar[i][l] = (uint64_t)sum;
            sum >>= 64;
        }
    }
    words s[5], table = (words){0} + (uint64_t)(uintptr_t)shared->base;
    memcpy(s, scalar, sizeof s);
    steps_of_comb(at, s, table, BASE_TEETH, BASE_COLUMNS, BASE_ROUNDS);
}

/* The steps of -[k]A from tables.  An even k counts as k + 1 and one A comes on top: keys need not have order L. */
static void steps_of_keys(step **at, const words *k, const job *const *jobs) {
    uint64_t tables[LANES];
    for (int l = 0; l < LANES; l++) {
        tables[l] = (uint64_t)(uintptr_t)jobs[l]->table;
    }
    words table, place, negative = ~(words){0};
    memcpy(&table, tables, sizeof table);
    steps_of_comb(at, k, table + KEY_COMB * sizeof(entry), KEY_TEETH, KEY_COLUMNS, KEY_ROUNDS);
    place = table + (~k[0] & 1) * sizeof(entry);
    step *s = at[0]++;
    memcpy(s->entries, &place, sizeof place);
    memcpy(s->negative, &negative, sizeof negative);
}

/* Columns of a comb in one of its rounds. */
INLINE int in_round(int round, int columns, int rounds) {
    return round < rounds ? (columns - round + rounds - 1) / rounds : 0;
}

/* How many steps the rounds have, and where in `steps` each of them begins: the last round is the first one done. */
static void lay_out(step **at, int *counts, step *steps, int rounds, int with_keys) {
    for (int round = rounds; round--;) {
        counts[round] = in_round(round, BASE_COLUMNS, BASE_ROUNDS);
        counts[round] += with_keys ? in_round(round, KEY_COLUMNS, KEY_ROUNDS) + (round == 0) : 0;
        at[round] = steps;
        steps += counts[round];
    }
    memset(steps, 0, AHEAD * sizeof *steps);
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
    step steps[(KEY_COLUMNS + 1 > UNKNOWN_DIGITS ? KEY_COLUMNS + 1 : UNKNOWN_DIGITS) + BASE_COLUMNS + AHEAD];
    _Alignas(64) uint64_t multiples[LANES][UNKNOWN_ROW][MULTIPLE_WORDS];
    elements before[GROUPS];
    outcome outcomes[]; /* as many as the call has groups, at most GROUPS */
} workspace;

static void group_with_tables(outcome *o, workspace *space, const batch *shared, const job *const *jobs) {
    words k[5];
    step *at[KEY_ROUNDS];
    int counts[KEY_ROUNDS];
    hash_lanes(k, shared, jobs);
    lay_out(at, counts, space->steps, KEY_ROUNDS, 1);
    steps_of_keys(at, k, jobs);
    steps_of_base(at, shared, jobs);
    for (int i = 0; i < AHEAD; i++) {
        prefetch(&space->steps[i]);
    }
    points p;
    points_identity(&p);
    add_rounds(&p, space->steps, counts, KEY_ROUNDS);
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
    step *steps = space->steps, *base_steps = space->steps + UNKNOWN_DIGITS, *at[BASE_ROUNDS];
    int counts[BASE_ROUNDS], waiting = 0;
#pragma GCC unroll 64
    for (int i = 0; i < UNKNOWN_DIGITS; i++) {
        words digit = digit_at(k, UNKNOWN_WINDOW * i, UNKNOWN_WINDOW);
        step_signed(&steps[i], rows, digit, &carry_in, UNKNOWN_WINDOW, 8 * MULTIPLE_WORDS);
    }
    lay_out(at, counts, base_steps, BASE_ROUNDS, 0);
    steps_of_base(at, shared, jobs);

    points_identity(&p);
    for (int bit = UNKNOWN_WINDOW * (UNKNOWN_DIGITS - 1); bit >= 0; bit--, waiting++) {
        if (bit % UNKNOWN_WINDOW && bit >= BASE_ROUNDS) {
            continue;
        }
        if (waiting) {
            double_run(&p, waiting);
        }
        waiting = 0;
        if (bit % UNKNOWN_WINDOW == 0) {
            add_one_multiple(&p, &steps[bit / UNKNOWN_WINDOW]);
        }
        if (bit < BASE_ROUNDS) { /* the comb of the base joins in */
            add_rounds(&p, base_steps, &counts[bit], 1);
            base_steps += counts[bit];
        } else if (bit / UNKNOWN_WINDOW <= AHEAD + BASE_ROUNDS / UNKNOWN_WINDOW) {
            prefetch(&base_steps[AHEAD + BASE_ROUNDS / UNKNOWN_WINDOW - bit / UNKNOWN_WINDOW]);
        }
    }
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
