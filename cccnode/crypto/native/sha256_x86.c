/* SHA-256 with the SHA instructions of x86-64 (Intel since Ice Lake, AMD since Zen). */

#include "sha256.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <cpuid.h>
#include <immintrin.h>

#define SHA_CODE __attribute__((target("sha,sse4.1,ssse3")))

/* The instructions want the eight words as two registers, (a b e f) and (c d g h), highest word first. */
SHA_CODE static inline void load_state(const uint32_t state[8], __m128i *abef, __m128i *cdgh) {
    __m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    *abef = _mm_alignr_epi8(abcd, efgh, 8);
    *cdgh = _mm_blend_epi16(efgh, abcd, 0xF0);
}

SHA_CODE static inline void save_state(uint32_t state[8], __m128i abef, __m128i cdgh) {
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Compress `lanes` messages in step.  `lanes` is a constant where this is inlined, so all inner loops disappear. */
SHA_CODE __attribute__((always_inline)) static inline void compress(
    int lanes, uint32_t *const states[], const uint8_t *const data[], size_t blocks) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef[2], cdgh[2], w[2][4];
    for (int i = 0; i < lanes; i++) {
        load_state(states[i], &abef[i], &cdgh[i]);
    }
    for (size_t block = 0; block < blocks; block++) {
        __m128i abef_before[2], cdgh_before[2];
        for (int i = 0; i < lanes; i++) {
            abef_before[i] = abef[i], cdgh_before[i] = cdgh[i];
            const __m128i *from = (const __m128i *)(data[i] + block * SHA256_BLOCK);
            for (int j = 0; j < 4; j++) {
                w[i][j] = _mm_shuffle_epi8(_mm_loadu_si128(from + j), swap);
            }
        }
#pragma GCC unroll 16
        for (int quad = 0; quad < 16; quad++) { /* four rounds at a time */
            const __m128i constants = _mm_load_si128((const __m128i *)(sha256_round + 4 * quad));
            for (int i = 0; i < lanes; i++) {
                __m128i *now = &w[i][quad & 3];
                const __m128i next = w[i][(quad + 1) & 3], third = w[i][(quad + 2) & 3], last = w[i][(quad + 3) & 3];
                const __m128i words = _mm_add_epi32(*now, constants);
                cdgh[i] = _mm_sha256rnds2_epu32(cdgh[i], abef[i], words);
                abef[i] = _mm_sha256rnds2_epu32(abef[i], cdgh[i], _mm_shuffle_epi32(words, 0x0E));
                if (quad < 12) { /* the message words of four quads later */
                    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(*now, next), _mm_alignr_epi8(last, third, 4));
                    *now = _mm_sha256msg2_epu32(sum, last);
                }
            }
        }
        for (int i = 0; i < lanes; i++) {
            abef[i] = _mm_add_epi32(abef[i], abef_before[i]);
            cdgh[i] = _mm_add_epi32(cdgh[i], cdgh_before[i]);
        }
    }
    for (int i = 0; i < lanes; i++) {
        save_state(states[i], abef[i], cdgh[i]);
    }
}

SHA_CODE static void compress_one(uint32_t state[8], const uint8_t *data, size_t blocks) {
    uint32_t *const states[1] = {state};
    const uint8_t *const from[1] = {data};
    compress(1, states, from, blocks);
}

SHA_CODE static void compress_pair(uint32_t *const states[2], const uint8_t *const data[2], size_t blocks) {
    compress(2, states, data, blocks);
}

static int available(void) {
    unsigned int a, b, c, d;
    const unsigned int ssse3_and_sse41 = 1u << 9 | 1u << 19, sha = 1u << 29;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & ssse3_and_sse41) != ssse3_and_sse41) {
        return 0;
    }
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & sha) != 0;
}

const sha256_backend sha256_x86 = {"x86", available, compress_one, compress_pair};

#else

static int never(void) {
    return 0;
}

const sha256_backend sha256_x86 = {"x86", never, 0, 0};

#endif
