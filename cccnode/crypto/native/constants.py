"""Every constant of the Ed25519 kernel, derived from its definition: `python -m cccnode.crypto.native.constants`.

Prints `ed25519_constants.h`, which is committed; a test compares the two.  With a file name it writes the file.
Definitions: RFC 8032 (curve, base point, group order), FIPS 180-4 (SHA-512), and the limb forms of field.h,
lanes_ifma.h and lanes_avx2.h.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

P: Final = 2**255 - 19
"""The field."""
L: Final = 2**252 + 27742317777372353535851937790883648493
"""The order of the base point."""
D: Final = -121665 * pow(121666, -1, P) % P
"""The curve is -x² + y² = 1 + D x² y²."""
SQRT_M1: Final = pow(2, (P - 1) // 4, P)
"""A square root of -1."""

_HEAD: Final = """\
/* Written by constants.py; do not edit.  Limbs and words stand lowest first. */

#ifndef CCCNODE_ED25519_CONSTANTS_H
#define CCCNODE_ED25519_CONSTANTS_H

#include <stdint.h>
"""
_TAIL: Final = "\n#endif\n"


def root(square: int) -> int:
    """A square root modulo P (P = 5 modulo 8).

    Raises:
        ValueError: `square` has none.
    """
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square % P:
        x = x * SQRT_M1 % P
    if x * x % P != square % P:
        raise ValueError("not a square")
    return x


def x_of(y: int, sign: int) -> int:
    """The x coordinate of the point with this y whose lowest bit is `sign`.

    Raises:
        ValueError: y is on no point.
    """
    x = root((y * y - 1) * pow(D * y * y + 1, -1, P) % P)
    return P - x if x & 1 != sign else x


def order_eight_y() -> int:
    """The smaller y of a point of order eight.

    Its double has order four, where y = 0; the doubling formula then says x² = -y², and the curve D y⁴ + 2 y² - 1 = 0.
    """
    inverse = pow(D, -1, P)
    for sign in (1, -1):
        square = (-1 + sign * root(1 + D)) * inverse % P
        try:
            y = root(square)
        except ValueError:
            continue
        return min(y, P - y)
    raise ValueError("the curve has no point of order eight")


def _base() -> tuple[int, int]:
    y = 4 * pow(5, -1, P) % P
    return x_of(y, 0), y


def limbs51(value: int) -> list[int]:
    """Five limbs of 51 bits."""
    return [value >> 51 * i & 2**51 - 1 for i in range(5)]


def limbs25(value: int) -> list[int]:
    """Ten limbs of 26 and 25 bits in turn."""
    return [value >> (51 * i + 1) // 2 & 2 ** (26 - i % 2) - 1 for i in range(10)]


def _words(value: int) -> list[int]:
    return [value >> 64 * i & 2**64 - 1 for i in range(4)]


def _primes() -> Iterator[int]:
    return (n for n in range(2, 410) if all(n % k for k in range(2, math.isqrt(n) + 1)))


def _root_fraction(value: int, degree: int) -> int:
    """The first 64 bits after the point of the root of `value`."""
    low, high = 0, 1 << 80
    while low < high:
        middle = (low + high + 1) // 2
        if middle**degree <= value << 64 * degree:
            low = middle
        else:
            high = middle - 1
    return low & 2**64 - 1


def _array(comment: str, name: str, values: Sequence[int], dimensions: str = "") -> str:
    rows = [values[at : at + 5] for at in range(0, len(values), 5)]
    body = ",\n".join("    " + ", ".join(f"0x{value:x}" for value in row) for row in rows)
    return f"\n/* {comment} */\nstatic const uint64_t {name}[{dimensions or len(values)}] = {{\n{body},\n}};\n"


def header() -> str:
    """The text of `ed25519_constants.h`."""
    x, y = _base()
    primes = list(_primes())
    y8 = order_eight_y()
    small = [0, 1, y8, P - y8, P - 1, P, P + 1]
    parts = [
        _array("d of the curve -x^2 + y^2 = 1 + d x^2 y^2", "CURVE_D", limbs51(D)),
        _array("2d", "CURVE_2D", limbs51(2 * D % P)),
        _array("a square root of -1", "SQRT_M1", limbs51(SQRT_M1)),
        _array("the base point: x", "BASE_X", limbs51(x)),
        _array("the base point: y", "BASE_Y", limbs51(y)),
        _array("the base point: x y", "BASE_XY", limbs51(x * y % P)),
        _array("2p, limb by limb (not carried): added before a canonical element is subtracted", "TWO_P",
               [2 * limb for limb in limbs51(P)]),
        _array("4p, limb by limb: added before a carried element is subtracted (field.h)", "FOUR_P",
               [4 * limb for limb in limbs51(P)]),
        _array("2^11 p, limb by limb: added before uncarried products are subtracted (lanes_ifma.h)", "IFMA_BIAS",
               [2**11 * limb for limb in limbs51(P)]),
        _array("2p in limbs of 26 and 25 bits (lanes_avx2.h)", "AVX2_TWO_P", [2 * limb for limb in limbs25(P)]),
        _array("L, the order of the base point", "ORDER", _words(L)),
        _array("L - 2^252", "ORDER_TAIL", _words(L - 2**252)[:2]),
        _array("y of every encoding of a point of order 1, 2, 4 or 8, sign bit apart; the last two are not canonical",
               "SMALL_ORDER_Y", [word for value in small for word in _words(value)], "7 * 4"),
        _array("SHA-512: fractions of the cube roots of the first 80 primes", "SHA512_ROUND",
               [_root_fraction(prime, 3) for prime in primes]),
        _array("SHA-512: fractions of the square roots of the first 8 primes", "SHA512_START",
               [_root_fraction(prime, 2) for prime in primes[:8]]),
    ]  # fmt: skip
    return _HEAD + "".join(parts) + _TAIL


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(header(), encoding="utf-8")
    else:
        sys.stdout.write(header())
