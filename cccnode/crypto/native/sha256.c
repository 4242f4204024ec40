/* SHA-256: padding, messages in parts, and the portable compression function of FIPS 180-4. */

#include "sha256.h"

#include <string.h>

static const uint32_t INITIAL[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

const uint32_t sha256_round[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t read_u32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void write_u32(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

/* --- the portable compression function ------------------------------------------------------------------------- */

static uint32_t rotated(uint32_t value, int count) {
    return value >> count | value << (32 - count);
}

static void compress(uint32_t state[8], const uint8_t *data, size_t blocks) {
    for (; blocks > 0; blocks--, data += SHA256_BLOCK) {
        uint32_t w[64];
        for (int t = 0; t < 16; t++) {
            w[t] = read_u32(data + 4 * t);
        }
        for (int t = 16; t < 64; t++) {
            uint32_t s0 = rotated(w[t - 15], 7) ^ rotated(w[t - 15], 18) ^ w[t - 15] >> 3;
            uint32_t s1 = rotated(w[t - 2], 17) ^ rotated(w[t - 2], 19) ^ w[t - 2] >> 10;
            w[t] = w[t - 16] + s0 + w[t - 7] + s1;
        }
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int t = 0; t < 64; t++) {
            uint32_t s1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
            uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + sha256_round[t] + w[t];
            uint32_t s0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
            uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

static void compress_pair(uint32_t *const states[2], const uint8_t *const data[2], size_t blocks) {
    compress(states[0], data[0], blocks);
    compress(states[1], data[1], blocks);
}

static int always(void) {
    return 1;
}

const sha256_backend sha256_portable = {"portable", always, compress, compress_pair};

const sha256_backend *const sha256_backends[2] = {&sha256_x86, &sha256_portable};

static const sha256_backend *chosen = &sha256_portable;

void sha256_choose(void) {
    chosen = sha256_x86.available() ? &sha256_x86 : &sha256_portable;
}

/* --- messages -------------------------------------------------------------------------------------------------- */

void sha256_start_with(sha256_context *context, const sha256_backend *backend) {
    context->backend = backend;
    memcpy(context->state, INITIAL, sizeof INITIAL);
    context->size = 0;
}

void sha256_start(sha256_context *context) {
    sha256_start_with(context, chosen);
}

void sha256_add(sha256_context *context, const void *data, size_t size) {
    const uint8_t *at = data;
    size_t filled = context->size % SHA256_BLOCK, room = SHA256_BLOCK - filled;
    context->size += size;
    if (filled > 0 && size >= room) {
        memcpy(context->block + filled, at, room);
        context->backend->one(context->state, context->block, 1);
        at += room, size -= room, filled = 0;
    }
    if (filled == 0 && size >= SHA256_BLOCK) {
        size_t blocks = size / SHA256_BLOCK;
        context->backend->one(context->state, at, blocks);
        at += blocks * SHA256_BLOCK, size -= blocks * SHA256_BLOCK;
    }
    if (size > 0) {
        memcpy(context->block + filled, at, size);
    }
}

/* Append 0x80, zeros, and the length in bits as u64; returns the number of blocks.  There must be room for 72 bytes
 * behind the part of the message that stands at `buffer`. */
static size_t pad(uint8_t *buffer, size_t part, uint64_t size) {
    size_t blocks = (part + 9 + SHA256_BLOCK - 1) / SHA256_BLOCK, end = blocks * SHA256_BLOCK;
    buffer[part] = 0x80;
    memset(buffer + part + 1, 0, end - part - 9);
    write_u32(buffer + end - 8, (uint32_t)(size >> 29));
    write_u32(buffer + end - 4, (uint32_t)(size << 3));
    return blocks;
}

static void write_digest(const uint32_t state[8], uint8_t digest[SHA256_BYTES]) {
    for (int i = 0; i < 8; i++) {
        write_u32(digest + 4 * i, state[i]);
    }
}

void sha256_finish(sha256_context *context, uint8_t digest[SHA256_BYTES]) {
    uint8_t last[2 * SHA256_BLOCK];
    size_t part = context->size % SHA256_BLOCK;
    memcpy(last, context->block, part);
    context->backend->one(context->state, last, pad(last, part, context->size));
    write_digest(context->state, digest);
}

void sha256(const void *data, size_t size, uint8_t digest[SHA256_BYTES]) {
    sha256_context context;
    sha256_start(&context);
    sha256_add(&context, data, size);
    sha256_finish(&context, digest);
}

void sha256_form_close(sha256_form *form, size_t size) {
    form->blocks = pad(form->bytes, size, size);
}

void sha256_form_hash(const sha256_form *form, uint8_t digest[SHA256_BYTES]) {
    uint32_t state[8];
    memcpy(state, INITIAL, sizeof INITIAL);
    chosen->one(state, form->bytes, form->blocks);
    write_digest(state, digest);
}

void sha256_form_hash_pair(const sha256_form forms[2], uint8_t *const digests[2]) {
    uint32_t first[8], second[8];
    memcpy(first, INITIAL, sizeof INITIAL);
    memcpy(second, INITIAL, sizeof INITIAL);
    uint32_t *const states[2] = {first, second};
    const uint8_t *const data[2] = {forms[0].bytes, forms[1].bytes};
    chosen->pair(states, data, forms[0].blocks);
    write_digest(first, digests[0]);
    write_digest(second, digests[1]);
}

void sha256_two(uint8_t *const messages[2], const size_t sizes[2], uint8_t *const digests[2]) {
    uint32_t states[2][8];
    size_t blocks[2];
    for (int i = 0; i < 2; i++) {
        memcpy(states[i], INITIAL, sizeof INITIAL);
        blocks[i] = pad(messages[i], sizes[i], sizes[i]);
    }
    size_t both = blocks[0] < blocks[1] ? blocks[0] : blocks[1];
    chosen->pair((uint32_t *const[2]){states[0], states[1]}, (const uint8_t *const[2]){messages[0], messages[1]}, both);
    for (int i = 0; i < 2; i++) {
        chosen->one(states[i], messages[i] + both * SHA256_BLOCK, blocks[i] - both);
        write_digest(states[i], digests[i]);
    }
}
