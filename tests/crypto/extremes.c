/* One operation of a back end's field at a time: test_native_builds.py compiles this with -DHEADER naming lanes_*.h.
 *
 * Reads requests of 1 + 3 * LIMBS words from stdin (operation, three arguments) and answers each with LIMBS words, the
 * result in the first lane; the other lanes get the same arguments and have to agree. */

#include <stdio.h>

#include HEADER
#include "ed25519_lanes.h"

#define LIMBS ((int)(sizeof(elements) / (8 * LANES)))

static void spread(void *all, const uint64_t *limbs) {
    for (int i = 0; i < LIMBS; i++) {
        for (int l = 0; l < LANES; l++) {
            memcpy((char *)all + 8 * (LANES * i + l), &limbs[i], 8);
        }
    }
}

static void apply(uint64_t operation, const uint64_t *arguments, void *result) {
    elements a, b, e;
    products pa, pb, pc, p;
    spread(&a, arguments);
    spread(&pa, arguments);
    spread(&b, arguments + LIMBS);
    spread(&pb, arguments + LIMBS);
    spread(&pc, arguments + 2 * LIMBS);
    switch (operation) {
    case 0: p = multiply(&a, &b); break;
    case 1: p = square(&a); break;
    case 2: e = carried(&pa); break;
    case 3: p = tightened(&a); break;
    case 4: e = sum(&pa, &pb); break;
    case 5: e = difference(&pa, &pb); break;
    case 6: e = twice_plus(&pa, &pb); break;
    case 7: e = twice_minus(&pa, &pb); break;
    case 8: e = less_both(&pa, &pb, &pc); break;
    case 9: e = twice_less(&pa, &pb, &pc); break;
    default: {
        words limb[5];
        canonical(limb, &pa);
        memset(result, 0, sizeof(elements));
        memcpy(result, limb, sizeof limb);
        return;
    }
    }
    if (operation == 0 || operation == 1 || operation == 3) {
        memcpy(result, &p, sizeof p);
    } else {
        memcpy(result, &e, sizeof e);
    }
}

int main(void) {
    uint64_t request[1 + 3 * 10], result[10 * LANES], answer[10];
    (void)verify;
    while (fread(request, 8, (size_t)(1 + 3 * LIMBS), stdin) == (size_t)(1 + 3 * LIMBS)) {
        apply(request[0], request + 1, result);
        for (int i = 0; i < LIMBS; i++) {
            answer[i] = result[LANES * i];
            for (int l = 1; l < LANES; l++) {
                if (result[LANES * i + l] != answer[i]) {
                    return 1;
                }
            }
        }
        fwrite(answer, 8, (size_t)LIMBS, stdout);
    }
    return 0;
}
