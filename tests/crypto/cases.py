"""Signatures at the edges of the rule, made with a slow model of the curve: what a verifier could get wrong.

`python -m tests.crypto.cases` prints the table of `cccnode/crypto/known_answers.py`.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count

from cccnode.crypto import known_answers
from cccnode.crypto.native.constants import SQRT_M1, D, L, P, order_eight_y, x_of
from cccnode.crypto.signing import SigningKey
from cccnode.crypto.strict import SMALL_ORDER, verify_strictly

Point = tuple[int, int, int, int]
"""Extended coordinates."""


@dataclass(frozen=True, slots=True)
class Case:
    kind: str
    message: bytes
    signature: bytes
    key: bytes

    def verdict(self) -> bool:
        return verify_strictly(self.message, self.signature, self.key)


IDENTITY: Point = (0, 1, 1, 0)


def add(a: Point, b: Point) -> Point:
    """Complete addition on the curve of RFC 8032, 5.1.4."""
    e1, e2 = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = e2 - e1, d - c, d + c, e2 + e1
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    product = IDENTITY
    while scalar:
        if scalar & 1:
            product = add(product, point)
        point = add(point, point)
        scalar >>= 1
    return product


def point_of(x: int, y: int) -> Point:
    return x, y, 1, x * y % P


def encode(point: Point) -> bytes:
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_Y = 4 * pow(5, -1, P) % P
BASE = point_of(x_of(_Y, 0), _Y)
_Y8 = order_eight_y()
TORSION = [multiply(i, point_of(x_of(_Y8, 0), _Y8)) for i in range(8)]
"""The points of order 1, 2, 4 and 8."""

ODD_S = (0, 1, 2, L - 1, L, L + 1, 2 * L, 2**252 - 1, 2**252, 2**252 + 1, 2**253 - 1, 2**253, 2**255 - 19, 2**256 - 1)
LENGTHS = (0, 1, 31, 32, 46, 47, 48, 63, 64, 65, 110, 111, 112, 127, 128, 129, 174, 175, 176, 191, 192, 193, 300)
"""Messages at which blocks of the hash begin, end, or need one more for the padding; R and key add 64."""


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L


def shifted(rng: random.Random, of_key: int, of_r: int, *, message: bytes) -> Case:
    """A signature whose key and R carry torsion: right under the cofactored equation, and sometimes under ours."""
    secret, nonce = rng.randrange(1, L), rng.randrange(1, L)
    key = encode(add(multiply(secret, BASE), TORSION[of_key]))
    r = encode(add(multiply(nonce, BASE), TORSION[of_r]))
    s = (nonce + challenge(r, key, message) * secret) % L
    return Case("torsion", message, r + s.to_bytes(32, "little"), key)


def accepted_with_torsion(rng: random.Random, of_key: int) -> Case:
    """A mixed-order key under which a signature is good all the same: k is a multiple of the torsion's order."""
    for number in count():
        case = shifted(rng, of_key, 0, message=b"mixed %d" % number)
        if case.verdict():
            return Case("mixed order, good", case.message, case.signature, case.key)
    raise AssertionError


def signed(rng: random.Random, length: int, kind: str = "good") -> Case:
    signer = SigningKey(rng.randbytes(32))
    message = rng.randbytes(length)
    return Case(kind, message, signer.sign(message), signer.public_key)


def _with_odd_encodings(rng: random.Random) -> Iterator[Case]:
    """Keys and R at small order, at y near 0 and near p, beyond p, and on no point at all."""
    good = signed(rng, 20)
    s = good.signature[32:]
    near = [y for each in range(26) for y in (each, P - 1 - each)] + [P + each for each in range(19)] + [SQRT_M1]
    odd = sorted(SMALL_ORDER) + [(y | sign << 255).to_bytes(32, "little") for y in near for sign in (0, 1)]
    for encoding in odd:
        yield Case("odd key", good.message, good.signature, encoding)
        yield Case("odd key, S = 0", good.message, encoding + bytes(32), encoding)
        yield Case("odd R", good.message, encoding + s, good.key)
    for a in sorted(SMALL_ORDER):
        for r in sorted(SMALL_ORDER):
            yield Case("small order", b"Zcash", r + bytes(32), a)


def _with_odd_fields(rng: random.Random) -> Iterator[Case]:
    good = signed(rng, 110)
    r, s, key = good.signature[:32], good.signature[32:], good.key
    for value in ODD_S:
        yield Case("odd S", good.message, r + value.to_bytes(32, "little"), key)
    for kind, signature, other in (
        ("R and S swapped", s + r, key),
        ("key as R", key + s, key),
        ("R as key", r + s, r),
        ("S as key", r + s, s),
        ("sign of R", r[:31] + bytes([r[31] ^ 128]) + s, key),
        ("sign of key", r + s, key[:31] + bytes([key[31] ^ 128])),
        ("all zero", bytes(64), bytes(32)),
        ("all ones", b"\xff" * 64, b"\xff" * 32),
        ("short signature", (r + s)[:63], key),
        ("long signature", r + s + b"\0", key),
        ("short key", r + s, key[:31]),
    ):
        yield Case(kind, good.message, signature, other)
    for _ in range(4):
        each = signed(rng, 50)
        higher = int.from_bytes(each.signature[32:], "little") + L
        yield Case("S + L", each.message, each.signature[:32] + higher.to_bytes(32, "little"), each.key)


@cache
def edge_cases(seed: int) -> list[Case]:
    """About 700, the same for the same seed, of every kind; not to be changed."""
    rng = random.Random(seed)
    cases = [signed(rng, length) for length in LENGTHS]
    cases += [shifted(rng, a, r, message=b"torsion") for a in range(8) for r in range(8)]
    cases += [accepted_with_torsion(rng, of_key) for of_key in range(1, 8)]
    cases += _with_odd_fields(rng)
    cases += _with_odd_encodings(rng)
    return cases


def mutated(rng: random.Random, case: Case) -> Case:
    """The same with one thing changed; often still what it was, in its verdict."""
    message, signature, key = case.message, bytearray(case.signature), bytearray(case.key)
    match rng.randrange(8):
        case 0 | 1 | 2:
            signature[rng.randrange(len(signature))] ^= 1 << rng.randrange(8)
        case 3:
            key[rng.randrange(len(key))] ^= 1 << rng.randrange(8)
        case 4:
            message += b"\0"
        case 5:
            signature[32:] = rng.choice(ODD_S).to_bytes(32, "little")
        case 6:
            signature[:32] = rng.choice(sorted(SMALL_ORDER))
        case _:
            signature[32:] = ((int.from_bytes(signature[32:], "little") + L) % 2**256).to_bytes(32, "little")
    return Case(f"{case.kind}, changed", message, bytes(signature), bytes(key))


def fuzzed(seed: int, size: int, *, signers: int = 64) -> list[Case]:
    """`size` cases: half of them good, by few signers, the others changed or from the edges."""
    rng = random.Random(seed)
    owners = [SigningKey(rng.randbytes(32)) for _ in range(signers)]
    edges = edge_cases(seed % 4)
    cases = []
    for _ in range(size):
        owner, message = (
            rng.choice(owners),
            rng.randbytes(rng.choice(LENGTHS) if rng.random() < 0.3 else rng.randrange(300)),
        )
        case = Case("good", message, owner.sign(message), owner.public_key)
        draw = rng.random()
        if draw < 0.1:
            case = rng.choice(edges)
        elif draw < 0.15:
            case = mutated(rng, rng.choice(edges))
        elif draw < 0.2:
            case = Case("another's key", message, case.signature, rng.choice(owners).public_key)
        elif draw < 0.25:
            case = Case("random key", message, case.signature, rng.randbytes(32))
        elif draw < 0.5:
            case = mutated(rng, case)
        cases.append(case)
    return cases


def columns(cases: Sequence[Case]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Messages, signatures, keys."""
    return [case.message for case in cases], [case.signature for case in cases], [case.key for case in cases]


Row = tuple[int, str, str, str, bool]


def row(kind: str, length: int, case: Case) -> Row:
    assert case.message == known_answers.pattern(length), kind
    return length, case.key.hex(), case.signature[:32].hex(), case.signature[32:].hex(), case.verdict()


def rows() -> Iterator[Row]:
    """The table of known answers: good ones of every length, then keys and R with torsion, refused and accepted."""
    rng = random.Random(8032)
    for length in (*LENGTHS[:-1], 500):
        signer, message = SigningKey(rng.randbytes(32)), known_answers.pattern(length)
        yield row("good", length, Case("good", message, signer.sign(message), signer.public_key))
    for of_key, of_r in ((0, 1), (0, 4), (1, 0), (1, 7), (2, 6), (4, 4), (4, 0)):
        yield row("torsion", 40, shifted(rng, of_key, of_r, message=known_answers.pattern(40)))
    for of_key in (1, 2, 4, 7):
        tries = (shifted(rng, of_key, 0, message=known_answers.pattern(41)) for _ in count())
        yield row("mixed order, good", 41, next(case for case in tries if case.verdict()))


def table() -> str:
    """The rows as they stand in the file."""
    lines = [
        f'    (\n        {length},\n        "{key}",\n        "{r}",\n        "{s}",\n        {verdict},\n    ),\n'
        for length, key, r, s, verdict in rows()
    ]
    return "".join(["ROWS: Final = (\n", *lines, ")\n"])


if __name__ == "__main__":
    print(table(), end="")
