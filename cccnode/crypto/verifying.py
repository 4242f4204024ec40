"""The one signature rule of the protocol: strict, cofactorless Ed25519 as libsodium checks it (consensus.md 2).

valid(key, message, signature) is: key is not one of the 14 encodings of a small-order point, neither is the
signature's R, S < L, key and R are canonical, and R == [S]B - [k]A byte for byte.  The rule is the same for
transactions, votes and handshakes; libraries disagree at its edges, and a disagreement would split the chain.

The verdict depends on nothing else: not on the back end (`backend`), on the batch, or on what was verified before.
Only the time does.  A key that is registered or often used has a table, with which a signature costs a fourth.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cccnode.crypto.backend import Backend, Keys, Packed, Status, load, seed
from cccnode.crypto.strict import SMALL_ORDER, verify_strictly

__all__ = [
    "SMALL_ORDER",
    "TABLE_BYTES",
    "Tables",
    "Verifier",
    "backend",
    "default",
    "set_alarm",
    "verify",
    "verify_many",
]

TABLE_BYTES: Final = 64 << 20
"""The default budget for tables of keys: 4,288 keys, 15 KB each.  The base point has 1.2 MB besides.

Measured on 2,000 and 4,096 keys in random order, also with cold caches: tables of 12 to 30 KB differ by 5 %; keys
beyond the budget are verified without tables, at about four times the time.  Of 10,000 registered keys in turn 43 %
have a table, and a signature costs three quarters of one without."""
_BACKEND: Final = load()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What the cache of a verifier holds."""

    registered: int
    """Keys."""
    tables: int
    bytes: int


class Verifier:
    """Verifies many signatures at once, and keeps tables of the keys that it meets often.

    Threads may share one.  A call takes what it needs while it holds the interpreter's lock, then releases it once and
    judges, a large one with several threads (`backend`); a table that a running call reads is not replaced
    (native/ed25519_keys.h).
    """

    def __init__(self, *, table_bytes: int = TABLE_BYTES, using: Backend = _BACKEND) -> None:
        """Make one with its own tables.  `table_bytes`: the most that they may take, in steps of 2 MiB."""
        self._backend = using
        self._keys: Keys = using.kernel.keys_new(table_bytes, seed(), max(1, using.threads)) if using.kernel else None

    def register(self, public_keys: Iterable[bytes]) -> int:
        """Members: they get a table when they are first used, and strangers' tables make room for them.

        Returns how many were not registered before.  At most 65,536 are; the rest stay strangers.
        """
        return self._backend.kernel.keys_register(self._keys, tuple(public_keys)) if self._backend.kernel else 0

    def forget(self, public_keys: Iterable[bytes]) -> None:
        """Members no longer: as any other key from now on."""
        if self._backend.kernel:
            self._backend.kernel.keys_forget(self._keys, tuple(public_keys))

    def tables(self) -> Tables:
        """What the cache holds now."""
        kernel = self._backend.kernel
        registered, tables, size = kernel.keys_figures(self._keys) if kernel else (0, 0, 0)
        return Tables(registered=registered, tables=tables, bytes=size)

    def verify_many(
        self, messages: Sequence[bytes], signatures: Sequence[bytes], public_keys: Sequence[bytes]
    ) -> list[bool]:
        """One verdict per (message, signature, public key), in order; a bad one never affects another.

        Raises:
            ValueError: the three sequences differ in length (our own mistake, never a peer's).
        """
        return self.verify_counting(messages, signatures, public_keys)[0]

    def verify_counting(
        self, messages: Sequence[bytes], signatures: Sequence[bytes], public_keys: Sequence[bytes]
    ) -> tuple[list[bool], int]:
        """The verdicts, and how many signatures were by keys without a table: each costs about as much as four others.

        A caller that serves many peers takes that number off the sender's quota.

        Raises:
            ValueError: the three sequences differ in length.
        """
        self._backend.require()
        kernel, number = self._backend.kernel, self._backend.number
        if kernel is not None and number is not None:
            verdicts, slow = kernel.verify(self._keys, number, messages, signatures, public_keys)
            if self._backend.agrees(
                len(verdicts), verdicts.__getitem__, lambda at: (messages[at], signatures[at], public_keys[at])
            ):
                return verdicts, slow
        verdicts = [
            verify_strictly(message, signature, key)
            for message, signature, key in zip(messages, signatures, public_keys, strict=True)
        ]
        return verdicts, len(verdicts)

    def verify_packed(
        self, messages: Packed, ends: Packed, signatures: Packed, public_keys: Packed, *, prefix: bytes = b""
    ) -> tuple[bytes, int]:
        """The same for a caller whose bytes lie together: (a byte 1 or 0 for each signature, how many had no table).

        Message i is `prefix` followed by `messages[ends[i - 1]:ends[i]]`; `ends` holds 64-bit integers in the machine's
        order, as `array("Q")` does; signatures have 64 bytes each, keys 32.  `prefix` has at most 64 bytes.

        Raises:
            ValueError: the buffers do not fit each other.
        """
        self._backend.require()
        kernel, number = self._backend.kernel, self._backend.number
        if kernel is not None and number is not None:
            verdicts, slow = kernel.verify_packed(self._keys, number, messages, ends, signatures, public_keys, prefix)
            if self._backend.agrees(
                len(verdicts),
                lambda at: verdicts[at] == 1,
                lambda at: _Unpacked(messages, ends, signatures, public_keys, prefix).one(at),
            ):
                return verdicts, slow
        sample = _Unpacked(messages, ends, signatures, public_keys, prefix)
        sample.check()
        verdicts = bytes(verify_strictly(*sample.one(at)) for at in range(sample.count))
        return verdicts, len(verdicts)


class _Unpacked:
    """Single signatures out of packed buffers."""

    def __init__(self, messages: Packed, ends: Packed, signatures: Packed, public_keys: Packed, prefix: bytes) -> None:
        self._messages, self._signatures, self._keys = (
            memoryview(each).cast("B") for each in (messages, signatures, public_keys)
        )
        self._ends = memoryview(ends).cast("B").cast("Q")
        self._prefix = prefix
        self.count = len(self._ends)

    def check(self) -> None:
        """As the kernel does.

        Raises:
            ValueError: the buffers do not fit each other.
        """
        rising = all(a <= b for a, b in zip([0, *self._ends], self._ends, strict=False))
        if len(self._signatures) != 64 * self.count or len(self._keys) != 32 * self.count:
            raise ValueError("ends, signatures and keys differ in number")
        if len(self._prefix) > 64:
            raise ValueError("a prefix of more than 64 bytes")
        if not rising or (self.count and self._ends[-1] > len(self._messages)):
            raise ValueError("ends do not rise within the messages")

    def one(self, at: int) -> tuple[bytes, bytes, bytes]:
        start = self._ends[at - 1] if at else 0
        return (
            self._prefix + bytes(self._messages[start : self._ends[at]]),
            bytes(self._signatures[64 * at : 64 * at + 64]),
            bytes(self._keys[32 * at : 32 * at + 32]),
        )


default: Final = Verifier()
"""The verifier of this process: one cache of tables for everybody."""


def verify_many(messages: Sequence[bytes], signatures: Sequence[bytes], public_keys: Sequence[bytes]) -> list[bool]:
    """One verdict per (message, signature, public key), in order; a bad one never affects another.

    Raises:
        ValueError: the three sequences differ in length (our own mistake, never a peer's).
    """
    return default.verify_many(messages, signatures, public_keys)


def verify(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether `signature` (64 bytes) by `public_key` (32 bytes) over `message` is valid under the strict rule."""
    return default.verify_many((message,), (signature,), (public_key,))[0]


def backend() -> Status:
    """What verifies in this process, and why: for the log line at start.

    Raises:
        Unavailable: CCCNODE_VERIFY names something that this machine does not have, or CCCNODE_VERIFY_THREADS nonsense.
    """
    return _BACKEND.status()


def set_alarm(alarm: Callable[[str], None]) -> None:
    """Who is told, once and in one line, should native code and PyNaCl ever differ; stderr otherwise."""
    _BACKEND.on_alarm = alarm
