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

/* Part `part` (y + x, y - x, 2dxy) of an entry that was made from the first lane of three elements. */
static elements through_entry(const products *of, int part, int negated) {
    entry packed[LANES];
    fe canonical_parts[3];
    elements read[3];
    uint64_t places[LANES], negative[LANES];
    for (int i = 0; i < 3; i++) {
        words limb[5];
        canonical(limb, &of[i]);
        for (int k = 0; k < 5; k++) {
            canonical_parts[i].limb[k] = limb[k][0];
        }
    }
    for (int l = 0; l < LANES; l++) {
        entry_pack(&packed[l], &canonical_parts[0], &canonical_parts[1], &canonical_parts[2]);
        places[l] = (uint64_t)(uintptr_t)&packed[l];
        negative[l] = negated ? ~0ULL : 0;
    }
    load_entries(&read[0], &read[1], &read[2], places, negative);
    return read[part];
}

static void apply(uint64_t operation, const uint64_t *arguments, void *result) {
    elements a, b, e;
    products of[3], pa, pb, pc, p;
    spread(&a, arguments);
    spread(&pa, arguments);
    spread(&b, arguments + LIMBS);
    spread(&pb, arguments + LIMBS);
    spread(&pc, arguments + 2 * LIMBS);
    of[0] = pa, of[1] = pb, of[2] = pc;
    switch (operation) {
    case 0: p = multiply(&a, &b); break;
    case 1: p = square(&a); break;
    case 2: e = carried(&pa); break;
    case 3: p = tightened(&a); break;
    case 4: e = sum(&pa, &pb); break;
    case 5: e = difference(&pa, &pb); break;
    case 6: e = twice_plus(&pa, &pb); break;
    case 7: e = twice_minus(&pa, &pb); break;
    case 8: e = twice_less(&pa, &pb, &pc); break;
    case 10: case 11: case 12: e = through_entry(of, (int)operation - 10, 0); break;
    case 13: e = through_entry(of, 0, 1); break;
    case 14: e = through_entry(of, 2, 1); break;
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
