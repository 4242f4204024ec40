"""Accounts as people read them: bech32m (BIP-350) with the prefix `ccc`, so that a typing error is noticed.

Longer texts that people copy (network cards, join requests) have the same alphabet and checksum, and name their limit.
"""

from base64 import b32encode
from functools import cache
from typing import Final

ACCOUNT_PREFIX: Final = "ccc"
ACCOUNT_BYTES: Final = 20

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32M: Final = 0x2BC830A3
_CHECKSUM: Final = 6
_LENGTH_MAX: Final = 90
_SHIFTS: Final = tuple(5 * place for place in reversed(range(_CHECKSUM)))
_FROM_BASE32: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET)
"""RFC 4648 cuts bytes into the same words; 20 bytes need no padding."""


class AddressError(ValueError):
    """The text is not a bech32m address of the expected kind; says why."""


class ChecksumError(AddressError):
    """Every character is of the alphabet, but the checksum does not match: one was changed, lost or added."""


def account_text(account: bytes) -> str:
    """`ccc1...` for the 20 bytes of an account id."""
    if len(account) != ACCOUNT_BYTES:
        return bech32m_encode(ACCOUNT_PREFIX, account)
    tables, checksum = _checksums()
    for table, byte in zip(tables, account, strict=True):
        checksum ^= table[byte]
    last = "".join([_ALPHABET[checksum >> shift & 31] for shift in _SHIFTS])
    return f"{ACCOUNT_PREFIX}1{b32encode(account).decode().translate(_FROM_BASE32)}{last}"


@cache
def _checksums() -> tuple[list[list[int]], int]:
    """What each byte at each place of an account adds to the checksum of zeros, and that checksum.

    The checksum is linear, so those of single bits make up all: a sixth of the time of `bech32m_encode`, and a node
    that tells a block says thousands of accounts.
    """

    def checksum(account: int) -> int:
        words = _regroup(account.to_bytes(ACCOUNT_BYTES, "big"), width=8, to=5, pad=True)
        return _polymod(_expand(ACCOUNT_PREFIX) + words + [0] * _CHECKSUM) ^ _BECH32M

    zero, tables = checksum(0), []
    for place in reversed(range(ACCOUNT_BYTES)):
        table = [0]
        for bit in range(8):
            difference = checksum(1 << 8 * place + bit) ^ zero
            table += [known ^ difference for known in table]
        tables.append(table)
    return tables, zero


def parse_account(text: str) -> bytes:
    """The 20 bytes behind `ccc1...`.

    Raises:
        AddressError: wrong prefix, character, length or checksum.
    """
    prefix, data = bech32m_decode(text)
    if prefix != ACCOUNT_PREFIX:
        raise AddressError(f"an account begins with {ACCOUNT_PREFIX}1, not {prefix}1")
    if len(data) != ACCOUNT_BYTES:
        raise AddressError(f"an account has {ACCOUNT_BYTES} bytes, not {len(data)}")
    return data


def bech32m_encode(prefix: str, data: bytes) -> str:
    """The lower-case bech32m text of `data`."""
    words = _regroup(data, width=8, to=5, pad=True)
    residue = _polymod(_expand(prefix) + words + [0] * _CHECKSUM) ^ _BECH32M
    words += [(residue >> 5 * (_CHECKSUM - 1 - i)) & 31 for i in range(_CHECKSUM)]
    return f"{prefix}1{''.join(_ALPHABET[word] for word in words)}"


def bech32m_decode(text: str, *, length_max: int = _LENGTH_MAX) -> tuple[str, bytes]:
    """(prefix, data) of a bech32m text; all lower or all upper case (QR codes), never mixed.

    Raises:
        AddressError: not bech32m; `ChecksumError` when only the checksum is wrong.
    """
    words = bech32m_words(text, length_max=length_max)
    prefix = text.lower()[: text.rindex("1")]
    return prefix, bytes(_regroup(words, width=5, to=8, pad=False))


def bech32m_words(text: str, *, length_max: int = _LENGTH_MAX) -> list[int]:
    """The 5-bit words of a bech32m text without its checksum (what BIP-350's vectors speak of).

    Raises:
        AddressError: length, case, prefix, character or checksum is wrong.
    """
    if len(text) > length_max:
        raise AddressError(f"longer than {length_max} characters")
    if any(not "!" <= character <= "~" for character in text):
        raise AddressError("a character is not printable ASCII")
    if text != text.lower() and text != text.upper():
        raise AddressError("upper and lower case are mixed")
    prefix, separator, data = text.lower().rpartition("1")
    if not separator or not prefix or len(data) < _CHECKSUM:
        raise AddressError("too short, or no prefix before a 1")
    if any(character not in _VALUES for character in data):
        raise AddressError("a character is not of the bech32 alphabet")
    words = [_VALUES[character] for character in data]
    if _polymod(_expand(prefix) + words) != _BECH32M:
        raise ChecksumError("the checksum does not match: a character is wrong")
    return words[:-_CHECKSUM]


def _expand(prefix: str) -> list[int]:
    return [ord(character) >> 5 for character in prefix] + [0] + [ord(character) & 31 for character in prefix]


def _polymod(words: list[int]) -> int:
    residue = 1
    for word in words:
        top = residue >> 25
        residue = (residue & 0x1FFFFFF) << 5 ^ word
        for i, generator in enumerate(_GENERATOR):
            residue ^= generator if top >> i & 1 else 0
    return residue


def _regroup(words: bytes | list[int], *, width: int, to: int, pad: bool) -> list[int]:
    value = bits = 0
    result = []
    for word in words:
        value = (value << width | word) & 0xFFFF
        bits += width
        while bits >= to:
            bits -= to
            result.append(value >> bits & ((1 << to) - 1))
    left = value & ((1 << bits) - 1)
    if pad and bits:
        result.append(left << (to - bits) & ((1 << to) - 1))
    elif not pad and (bits >= width or left):
        raise AddressError("the padding is not zero")
    return result
