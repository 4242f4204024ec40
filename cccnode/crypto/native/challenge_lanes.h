/* The challenge of a signature, LANES at a time: k = SHA-512(R, A, prefix, message) modulo L, A being the key.
 *
 * Messages of different length stand side by side: a lane whose message has ended keeps its state.  Included by
 * ed25519_lanes.h. */

#ifndef CCCNODE_CHALLENGE_LANES_H
#define CCCNODE_CHALLENGE_LANES_H

typedef uint64_t words __attribute__((vector_size(8 * LANES))); /* the same as `lane`, with C's operators */

typedef struct {
    _Alignas(64) uint8_t first[128]; /* R, A and what follows them in the first block */
    uint8_t last[256];               /* the one or two blocks with the padding */
    size_t whole, blocks;            /* whole blocks before the padding; all blocks */
} stream;

/* `from` bytes into prefix and message together, `count` of them. */
static void copy_text(uint8_t *to, const batch *shared, const job *j, size_t from, size_t count) {
    if (from < shared->prefix_length) {
        size_t part = shared->prefix_length - from < count ? shared->prefix_length - from : count;
        memcpy(to, shared->prefix + from, part);
        to += part;
        from += part;
        count -= part;
    }
    if (count) {
        memcpy(to, j->message + (from - shared->prefix_length), count);
    }
}

static void stream_open(stream *s, const batch *shared, const job *j) {
    size_t text = shared->prefix_length + j->length, total = 64 + text;
    s->whole = total / 128;
    s->blocks = (total + 17 + 127) / 128;
    size_t rest = total - 128 * s->whole;
    memcpy(s->first, j->signature, 32);
    memcpy(s->first + 32, j->key, 32);
    copy_text(s->first + 64, shared, j, 0, text < 64 ? text : 64);
    memset(s->last, 0, sizeof s->last);
    if (s->whole) {
        copy_text(s->last, shared, j, 128 * s->whole - 64, rest);
    } else {
        memcpy(s->last, s->first, rest);
    }
    s->last[rest] = 0x80;
    uint64_t bits = __builtin_bswap64((uint64_t)total * 8);
    memcpy(s->last + 128 * (s->blocks - s->whole) - 8, &bits, 8);
}

/* The prefix lies in the first block, so every later whole block lies in the message itself. */
INLINE const uint8_t *stream_block(const stream *s, const batch *shared, const job *j, size_t block) {
    if (block >= s->whole) {
        return block < s->blocks ? s->last + 128 * (block - s->whole) : s->last; /* ended: any block will do */
    }
    return block == 0 ? s->first : j->message + (128 * block - 64 - shared->prefix_length);
}

INLINE void sha512_block(words state[8], const uint8_t *const *block, uint32_t running) {
    lane text[16];
    load_block(text, block);
    words w[16], s[8];
    memcpy(w, text, sizeof w);
    memcpy(s, state, sizeof s);
#pragma GCC unroll 16
    for (int t = 0; t < 80; t++) {
        int i = t & 15;
        if (t >= 16) {
            lane a = (lane)w[(t + 1) & 15], b = (lane)w[(t + 14) & 15];
            w[i] += w[(t + 9) & 15] + (words)xor3(rotate(a, 1), rotate(a, 8), (lane)((words)a >> 7)) +
                    (words)xor3(rotate(b, 19), rotate(b, 61), (lane)((words)b >> 6));
        }
        lane e = (lane)s[4], a = (lane)s[0];
        words t1 = s[7] + SHA512_ROUND[t] + w[i] + (words)choose(e, (lane)s[5], (lane)s[6]) +
                   (words)xor3(rotate(e, 14), rotate(e, 18), rotate(e, 41));
        words t2 = (words)majority(a, (lane)s[1], (lane)s[2]) +
                   (words)xor3(rotate(a, 28), rotate(a, 34), rotate(a, 39));
        s[7] = s[6], s[6] = s[5], s[5] = s[4], s[4] = s[3] + t1;
        s[3] = s[2], s[2] = s[1], s[1] = s[0], s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) {
        state[i] = (words)lane_select(running, (lane)state[i], (lane)(state[i] + s[i]));
    }
}

static void hash_lanes(words k[5], const batch *shared, const job *const *jobs) {
    stream streams[LANES];
    size_t most = 0;
    for (int l = 0; l < LANES; l++) {
        stream_open(&streams[l], shared, jobs[l]);
        most = streams[l].blocks > most ? streams[l].blocks : most;
    }
    words state[8];
    for (int i = 0; i < 8; i++) {
        state[i] = (words)lane_every(SHA512_START[i]);
    }
    for (size_t block = 0; block < most; block++) {
        const uint8_t *text[LANES];
        uint32_t running = 0;
        for (int l = 0; l < LANES; l++) {
            running |= (uint32_t)(block < streams[l].blocks) << l;
            text[l] = stream_block(&streams[l], shared, jobs[l], block);
        }
        sha512_block(state, text, running);
    }
    uint64_t digest[8][LANES], scalar[4][LANES];
    memcpy(digest, state, sizeof digest);
    for (int l = 0; l < LANES; l++) {
        uint64_t number[8], reduced[4];
        for (int i = 0; i < 8; i++) {
            number[i] = __builtin_bswap64(digest[i][l]);
        }
        scalar_reduce(reduced, number);
        for (int i = 0; i < 4; i++) {
            scalar[i][l] = reduced[i];
        }
    }
    memcpy(k, scalar, sizeof scalar);
    k[4] = (words){0};
}

#endif
