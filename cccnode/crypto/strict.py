"""The one signature rule of the protocol as PyNaCl computes it, one signature at a time (consensus.md 2).

This is what every faster way is compared with: by the tests, at start, and for a sample of signatures while it runs.
Everybody else uses `verifying`.
"""

from typing import Final

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

_P: Final = 2**255 - 19
_ORDER_8_Y: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
"""The y coordinate of two points of order eight; the other two have its negative."""


def _small_order_encodings() -> frozenset[bytes]:
    """All 32-byte strings that decode to a point of order 1, 2, 4 or 8, canonical or not: y, y + p, either sign."""
    ys = (0, 1, _P - 1, _ORDER_8_Y, _P - _ORDER_8_Y)
    encodings = {y + k * _P + (sign << 255) for y in ys for k in (0, 1) for sign in (0, 1) if y + k * _P < 2**255}
    return frozenset(value.to_bytes(32, "little") for value in encodings)


SMALL_ORDER: Final = _small_order_encodings()
"""Encodings that no key and no R may have.  A key among them would accept signatures that nobody made."""


def verify_strictly(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether `signature` by `public_key` over `message` is valid under the rule; a wrong length is not."""
    if len(signature) != 64 or len(public_key) != 32:
        return False
    if public_key in SMALL_ORDER or signature[:32] in SMALL_ORDER:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except (BadSignatureError, ValueError):
        return False
    return True
