/* Signatures judged by the ifma back end; compiled for such processors only, called on no other (see setup.py). */

#if defined(__x86_64__)

#include "lanes_ifma.h"

#include "ed25519_lanes.h"

int ed25519_verify_ifma(const batch *shared, const job *jobs, size_t count) {
    return verify(shared, jobs, count);
}

#else

typedef int ed25519_no_ifma; /* an empty file is no C */

#endif
