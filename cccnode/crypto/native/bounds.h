/* What the field arithmetic promises about the size of its limbs, checked where it is asked for.
 *
 * Compiled with -DCHECK_BOUNDS every operation checks what it is given and what it returns and stops the process at the
 * first limb beyond its bound; otherwise nothing is left of it.  tests/crypto/test_native_builds.py runs such a build. */

#ifndef CCCNODE_BOUNDS_H
#define CCCNODE_BOUNDS_H

#include <stdint.h>

#ifdef CHECK_BOUNDS
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void bound_limb(uint64_t limb, uint64_t bound, const char *file, int line) {
    if (limb >= bound) {
        fprintf(stderr, "%s:%d: a limb of %#llx reaches the bound %#llx\n", file, line, (unsigned long long)limb,
                (unsigned long long)bound);
        abort();
    }
}

/* Every one of the `count` limbs at address `limbs` (words or vectors of words) is below `bound`. */
#define BOUND(limbs, count, bound)                                                                                     \
    do {                                                                                                               \
        for (int bound_at = 0; bound_at < (int)(count); bound_at++) {                                                  \
            uint64_t bound_word;                                                                                       \
            memcpy(&bound_word, (const char *)(limbs) + 8 * bound_at, 8);                                              \
            bound_limb(bound_word, (bound), __FILE__, __LINE__);                                                       \
        }                                                                                                              \
    } while (0)
#else
#define BOUND(limbs, count, bound) ((void)0)
#endif

#endif
