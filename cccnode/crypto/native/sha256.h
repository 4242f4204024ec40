/* SHA-256 (FIPS 180-4), one message at a time or two side by side. */

#ifndef CCCNODE_SHA256_H
#define CCCNODE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32
#define SHA256_BLOCK 64

/* One way to compress blocks.  `pair` takes two messages of equal length at once: with the instructions of x86 one
 * message alone leaves the unit idle half of the time, because each round waits for the one before. */
typedef struct {
    const char *name;
    int (*available)(void);
    void (*one)(uint32_t state[8], const uint8_t *data, size_t blocks);
    void (*pair)(uint32_t *const states[2], const uint8_t *const data[2], size_t blocks);
} sha256_backend;

extern const sha256_backend sha256_portable; /* sha256.c */
extern const sha256_backend sha256_x86;      /* sha256_x86.c; never available on other processors */
extern const sha256_backend *const sha256_backends[2]; /* fastest first */

extern const uint32_t sha256_round[64]; /* the constants of the 64 rounds, on a boundary of 16 bytes */

/* Choose the fastest backend that this processor has.  Called once, when the module is loaded; the choice is the only
 * global state, and it never changes a result. */
void sha256_choose(void);

/* A message that arrives in parts. */
typedef struct {
    const sha256_backend *backend;
    uint32_t state[8];
    uint64_t size;
    uint8_t block[SHA256_BLOCK];
} sha256_context;

void sha256_start(sha256_context *context);
void sha256_start_with(sha256_context *context, const sha256_backend *backend);
void sha256_add(sha256_context *context, const void *data, size_t size);
void sha256_finish(sha256_context *context, uint8_t digest[SHA256_BYTES]);

void sha256(const void *data, size_t size, uint8_t digest[SHA256_BYTES]);

/* A short message of which a few bytes in the middle change from hash to hash: the node of a tree. */
#define SHA256_FORM_BLOCKS 2
typedef struct {
    uint8_t bytes[SHA256_FORM_BLOCKS * SHA256_BLOCK];
    size_t blocks;
} sha256_form;

/* Pad the `size` bytes that stand at the beginning of the form; at most 119. */
void sha256_form_close(sha256_form *form, size_t size);
void sha256_form_hash(const sha256_form *form, uint8_t digest[SHA256_BYTES]);
/* The same for two forms of equal length at once. */
void sha256_form_hash_pair(const sha256_form forms[2], uint8_t *const digests[2]);

/* Two messages of any length at once.  They are padded in place: there is room for 72 bytes behind each. */
#define SHA256_PADDING 72
void sha256_two(uint8_t *const messages[2], const size_t sizes[2], uint8_t *const digests[2]);

#endif
