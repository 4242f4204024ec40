/* Ed25519 verification: what its files share.  Verification only: nothing here is written for secrets.
 *
 * The rule is strict (verifying.py): S < L; neither key nor R encodes a point of small order; the key is canonical and
 * on the curve; and R is, byte for byte, the encoding of [S]B - [k]A with k = SHA-512(R, A, message) modulo L.  R is
 * never decoded: equal bytes say all there is to say about it.
 *
 * [S]B is a sum of 21 entries of one table; [k]A is a sum of entries of the key's own table where there is one (a fifth
 * of the work), otherwise it is computed digit by digit. */

#ifndef CCCNODE_ED25519_H
#define CCCNODE_ED25519_H

#include <stddef.h>

#include "point.h"
#include "scalar.h"

/* The base point: row i holds 0..2^11 times 2^(12 i) B for the signed digits of S; the top row, whose digit takes the
 * last carry and is not signed, holds 0..2^12 + 1 (S < 2^252 + 2^125). */
#define BASE_WINDOW 12
#define BASE_DIGITS ((252 + BASE_WINDOW - 1) / BASE_WINDOW)
#define BASE_HALF (1 << (BASE_WINDOW - 1))
#define BASE_ROW (BASE_HALF + 1)
#define BASE_TOP_ROW ((1 << (252 - BASE_WINDOW * (BASE_DIGITS - 1))) + 2)
#define BASE_ENTRIES ((BASE_DIGITS - 1) * BASE_ROW + BASE_TOP_ROW)

/* A key A: row i holds 0..2^5 times -2^(6 * KEY_ROUNDS * i) A.  The digits of k are taken in KEY_ROUNDS rounds with six
 * doublings between them: more rounds, fewer rows. */
#ifndef KEY_WINDOW
#define KEY_WINDOW 6
#endif
#ifndef KEY_ROUNDS
#define KEY_ROUNDS 3
#endif
#define KEY_DIGITS ((253 + KEY_WINDOW - 1) / KEY_WINDOW)
#define KEY_HALF (1 << (KEY_WINDOW - 1))
#define KEY_ROW (KEY_HALF + 1)
#define KEY_ROWS ((KEY_DIGITS + KEY_ROUNDS - 1) / KEY_ROUNDS)
#define KEY_ENTRIES (KEY_ROWS * KEY_ROW)
#define KEY_TABLE_BYTES (KEY_ENTRIES * sizeof(entry))

#define PREFIX_MAX 64 /* bytes before every message of a call, such as a domain tag: they fit the first hash block */

typedef struct {
    const uint8_t *message;
    size_t length;
    const uint8_t *signature; /* 64 bytes */
    const uint8_t *key;       /* 32 bytes */
    const entry *table;       /* of the key, or NULL */
    size_t index;             /* where the verdict goes */
} job;

typedef struct {
    const uint8_t *prefix;
    size_t prefix_length;
    const entry *base; /* BASE_ENTRIES */
    uint8_t *verdicts; /* 1 valid, 0 not */
} batch;

/* One of the back ends: judges `count` jobs, all of them with tables or all without.  The jobs have passed the checks of
 * bytes (job_is_well_formed).  Returns 0 when memory is short. */
typedef int verify_jobs(const batch *shared, const job *jobs, size_t count);

verify_jobs ed25519_verify_portable;
#if defined(__x86_64__)
verify_jobs ed25519_verify_avx2;
verify_jobs ed25519_verify_ifma;
#endif

/* ed25519_tables.c */
entry *base_table_new(void);                                     /* NULL when memory is short */
int key_table_build(entry table[KEY_ENTRIES], const uint8_t key[32]); /* 1 done, 0 not a point, -1 memory is short */

/* Memory in whole huge pages where the system has them. */
#define HUGE_PAGE ((size_t)2 << 20)
void *huge_new(size_t bytes);

#endif
