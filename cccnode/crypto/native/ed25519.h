/* Ed25519 verification: what its files share.  Verification only: nothing here is written for secrets.
 *
 * The rule is strict (verifying.py): S < L; neither key nor R encodes a point of small order; the key is canonical and
 * on the curve; and R is, byte for byte, the encoding of [S]B - [k]A with k = SHA-512(R, A, message) modulo L.  R is
 * never decoded: equal bytes say all there is to say about it.
 *
 * [S]B is a sum of 20 entries of one table; [k]A is a sum of entries of the key's own table where there is one (a fifth
 * of the work), otherwise it is computed digit by digit. */

#ifndef CCCNODE_ED25519_H
#define CCCNODE_ED25519_H

#include <stddef.h>

#include "point.h"
#include "scalar.h"

/* Tables are combs (Lim and Lee 1994, with signs).  The bits of an odd scalar, read as 1 and -1 for their weights, fill
 * TEETH rows of COLUMNS bits; a column, one bit out of every row, is one entry: the sum of its teeth.  Of a column and
 * its negative only that with the top tooth positive is kept, so a block has 2^(TEETH - 1) entries.  Columns are taken
 * in ROUNDS rounds with one doubling between them, and columns of one round that lie ROUNDS apart have blocks of their
 * own: more rounds, fewer blocks.  Both combs share the doublings.
 *
 * With u = (s >> 1) + 2^(n - 1), n = TEETH COLUMNS, an odd s below 2^n is the sum of (2 u_i - 1) 2^i over the bits u_i.
 *
 * Measured (4,000 signers at random, the other core busy with memory): blocks of a key 3 (10 KB) to 10 (30 KB) differ by
 * 5 %, and so do tables of the base of 0.6 to 6 MB; what matters is how many keys have a table at all. */
#ifndef BASE_TEETH
#define BASE_TEETH 13
#endif
#ifndef BASE_BLOCKS
#define BASE_BLOCKS 3
#endif
#ifndef KEY_TEETH
#define KEY_TEETH 6
#endif
#ifndef KEY_BLOCKS
#define KEY_BLOCKS 5
#endif
#define COMB_COLUMNS(teeth) ((254 + (teeth) - 1) / (teeth)) /* S + L has up to 254 bits */
#define COMB_ROUNDS(columns, blocks) (((columns) + (blocks) - 1) / (blocks))
#define COMB_BLOCK(teeth) (1 << ((teeth) - 1)) /* entries */

#define BASE_COLUMNS COMB_COLUMNS(BASE_TEETH)
#define BASE_ROUNDS COMB_ROUNDS(BASE_COLUMNS, BASE_BLOCKS)
#define BASE_ENTRIES (BASE_BLOCKS * COMB_BLOCK(BASE_TEETH))
_Static_assert(BASE_ROUNDS * (BASE_BLOCKS - 1) < BASE_COLUMNS, "no block of the base is empty");

/* A key's table: the neutral element, -A, and the comb of -A.  An even k is taken as k + 1, and one A is added. */
#define KEY_COLUMNS COMB_COLUMNS(KEY_TEETH)
#define KEY_ROUNDS COMB_ROUNDS(KEY_COLUMNS, KEY_BLOCKS)
#define KEY_COMB 2 /* entries before the comb */
#define KEY_ENTRIES (KEY_COMB + KEY_BLOCKS * COMB_BLOCK(KEY_TEETH))
#define KEY_TABLE_BYTES (KEY_ENTRIES * sizeof(entry))
_Static_assert(KEY_ROUNDS * (KEY_BLOCKS - 1) < KEY_COLUMNS, "no block of a key is empty");
_Static_assert(BASE_ROUNDS <= KEY_ROUNDS, "the base shares the doublings of the key");

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
