/* Signatures judged by the portable back end: any 64-bit processor with its lowest byte first. */

#if !defined(__SIZEOF_INT128__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the kernel needs a 64-bit little-endian machine; without it PyNaCl verifies"
#endif

#include "lanes_portable.h"

#include "ed25519_lanes.h"

int ed25519_verify_portable(const batch *shared, const job *jobs, size_t count) {
    return verify(shared, jobs, count);
}
