/* Which keys have tables: a cache under a budget of bytes.  No verdict depends on it; only the time to reach one does.
 *
 * A *registered* key (a member's) earns its table by being used; any other by being used KEY_USES times.  While there is
 * room a table is simply made.  When there is none, the table that was used longest ago gives way: a stranger's before a
 * member's, and a member's never to a stranger.  Any other replacement must be paid for: each signature that had to be
 * verified without a table is one credit, a replacement costs KEY_CREDITS.  Building takes as long as verifying about 13
 * signatures without a table with the fastest back end, so no choice of keys makes it cost more than a tenth of what
 * verifying costs anyway.  At most KEY_BUILDS tables are built in one call.
 *
 * Every function is called with the interpreter's lock.  Verification itself runs without it: a call notes itself in
 * `running`, and a table that a running call may read is not replaced. */

#ifndef CCCNODE_ED25519_KEYS_H
#define CCCNODE_ED25519_KEYS_H

#include "ed25519.h"

#define KEY_USES 128
#define KEY_CREDITS 160
#define KEY_BUILDS 32
#define KEYS_REGISTERED_MAX (1 << 16) /* more than these are treated as strangers */
#define KEYS_SEEN_MAX (1 << 13)       /* strangers whose uses are counted; beyond them counting starts anew */

/* Memory for one table, and whose it is. */
typedef struct {
    entry *entries;
    uint8_t key[32];
    uint64_t used; /* the call that used it last */
    uint8_t taken, ready, registered;
} key_table;

/* One cache line: what a lookup reads is all here. */
typedef struct {
    _Alignas(64) uint8_t key[32];
    const entry *ready; /* the entries of its table once they are built */
    key_table *table;   /* NULL: none */
    uint32_t uses;
    uint8_t taken; /* this place holds a key */
    uint8_t registered;
    uint8_t refused; /* the key is no point: it never gets a table */
} known_key;

/* A call that is verifying: tables used since `number` are not touched. */
typedef struct running_call {
    uint64_t number;
    struct running_call *next;
} running_call;

typedef struct {
    known_key *places; /* open addressing, a power of two */
    size_t capacity, taken, registered, seen;
    uint64_t seed;
    key_table *tables; /* those in use first */
    size_t tables_made, tables_max, ready, ready_strangers;
    entry **slabs; /* huge pages that hold them */
    size_t slabs_made;
    uint64_t calls, credits;
    running_call *running;
    int threads; /* of one call */
} keys;

keys *keys_new(size_t budget_bytes, uint64_t seed, int threads); /* NULL when memory is short */
void keys_free(keys *k);
int keys_register(keys *k, const uint8_t key[32]);   /* 1 new, 0 known, -1 not: too many, or memory is short */
void keys_forget(keys *k, const uint8_t key[32]);    /* a stranger from now on */
void keys_begin(keys *k, running_call *call);
void keys_end(keys *k, running_call *call);

/* Asks the memory for what keys_table will read. */
void keys_prefetch(const keys *k, const uint8_t key[32]);

/* The table of a key for this call, or NULL.  Where the key has earned one and `earned` is not NULL, that is set to the
 * memory for it: the caller builds it and then says with keys_built how that went (key_table_build). */
const entry *keys_table(keys *k, const running_call *call, const uint8_t key[32], key_table **earned);
void keys_built(keys *k, key_table *table, int outcome);

size_t keys_bytes(const keys *k); /* of tables */

#endif
