"""Backup words (BIP-39) and the keys that follow from them (SLIP-10, Ed25519); also words to read a hash aloud.

Twenty-four English words hold 256 bits and a checksum.  SLIP-10 knows only hardened derivation for Ed25519, so every
step of a path is written with an apostrophe.  A member's account n is m/44'/COIN'/n'; keys of other roles stand one
step below, so that the same words never give one key for two things.
"""

import hmac
import re
from hashlib import sha512
from typing import TYPE_CHECKING, Final

from cccnode.crypto.signing import SigningKey
from cccnode.types.errors import KEY_WORDS, fault

if TYPE_CHECKING:
    from mnemonic import Mnemonic

COIN: Final = 0x636363
"""Second step of every path: the letters ccc.  SLIP-44 has no number for this network."""
STRENGTH_BITS: Final = 256
WORD_COUNTS: Final = (12, 15, 18, 21, 24)
NUMBER_MAX: Final = 2**31 - 1
DEPTH_MAX: Final = 10
FINGERPRINT_BYTES: Final = 16

_BELOW: Final = {"account": "", "validator": "/1'", "node": "/2'"}
"""By role of the key (`cccnode.keys.Role`)."""
_HARDENED: Final = 0x80000000
_PATH: Final = re.compile(r"m(/(0|[1-9][0-9]{0,9})')*\Z")


def new_words() -> str:
    """Twenty-four words with 256 bits of the operating system's randomness."""
    return str(_language().generate(STRENGTH_BITS))


def check_words(text: str) -> str:
    """The words in small letters with single spaces.

    Raises:
        Fault: `keys/WORDS`: their number, a word that is not in the list (by its place, never the word), the checksum.
    """
    words, language = text.lower().split(), _language()
    if len(words) not in WORD_COUNTS:
        raise fault(KEY_WORDS, why=f"{len(words)} words; there must be 24 (or 12, 15, 18, 21)")
    unknown = [str(place) for place, word in enumerate(words, 1) if word not in language.wordlist]
    if unknown:
        raise fault(KEY_WORDS, why=f"not in the list: word {', '.join(unknown)}")
    if not language.check(" ".join(words)):
        raise fault(KEY_WORDS, why="the checksum does not hold: a word is wrong, or they stand in another order")
    return " ".join(words)


def words_seed(words: str, extra: str = "") -> bytes:
    """The 64-byte seed of checked words; `extra` is BIP-39's passphrase, which this program leaves empty."""
    from mnemonic import Mnemonic  # noqa: PLC0415 - slow import, needed for backup words only

    return bytes(Mnemonic.to_seed(words, extra))


def path_of(role: str, number: int = 0) -> str:
    """Where the key of that role and number lies below the words.

    Raises:
        ValueError: the number is none that a path holds.
    """
    if not 0 <= number <= NUMBER_MAX:
        raise ValueError(f"the number of a key is 0 to {NUMBER_MAX}")
    return f"m/44'/{COIN}'/{number}'{_BELOW[role]}"


def derive(seed: bytes, path: str) -> SigningKey:
    """The Ed25519 key at a path below a seed (SLIP-0010).

    Raises:
        ValueError: the path is not made of hardened steps.
    """
    node = hmac.digest(b"ed25519 seed", seed, sha512)
    for step in _steps(path):
        node = hmac.digest(node[32:], b"\0" + node[:32] + (step | _HARDENED).to_bytes(4, "big"), sha512)
    return SigningKey(node[:32])


def key_of_words(words: str, role: str, number: int = 0) -> SigningKey:
    """The key of that role and number.

    Raises:
        Fault: `keys/WORDS`.
    """
    return derive(words_seed(check_words(words)), path_of(role, number))


def fingerprint(digest: bytes) -> str:
    """Twelve words that two people compare aloud: the first 128 bits of a hash and a checksum of four bits."""
    return str(_language().to_mnemonic(digest[:FINGERPRINT_BYTES]))


def _steps(path: str) -> list[int]:
    if not _PATH.match(path):
        raise ValueError(f"{path!r} is not a path of hardened steps such as m/44'/0'")
    steps = [int(step.rstrip("'")) for step in path.split("/")[1:]]
    if len(steps) > DEPTH_MAX or any(step > NUMBER_MAX for step in steps):
        raise ValueError(f"{path!r} is longer than {DEPTH_MAX} steps, or has one above {NUMBER_MAX}")
    return steps


def _language() -> "Mnemonic":
    from mnemonic import Mnemonic  # noqa: PLC0415 - as above

    return Mnemonic("english")
