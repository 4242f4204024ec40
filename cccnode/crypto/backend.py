"""Which code verifies signatures in this process: the fastest that this processor has and that passes its self-test.

`ifma` and `avx2` use the vector instructions of those names, `portable` is plain C, `pynacl` needs no extension.  The
environment variable CCCNODE_VERIFY forces one of them (for tests, and for an incident).  Before its first use a back
end is asked the known answers; on any difference the next one is taken, in the end PyNaCl, and `Status.reason` says so.
While it runs, one signature in `SHADOW_EVERY` is verified by PyNaCl too.  Should the two ever differ, PyNaCl's verdicts
count, nothing native verifies again in this process, and the alarm is raised.

A large call is shared out among threads where this process has more than two processors: one is left for the rest of
the node.  CCCNODE_VERIFY_THREADS sets another number.  No verdict depends on it.
"""

import os
import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol, TypeAlias, cast

from cccnode.crypto import known_answers
from cccnode.crypto.strict import verify_strictly

VARIABLE: Final = "CCCNODE_VERIFY"
THREADS_VARIABLE: Final = "CCCNODE_VERIFY_THREADS"
THREADS_UNASKED: Final = 8
"""The most that are used by themselves; more of them wait for memory and for each other."""
THREADS_MOST: Final = 64
PYNACL: Final = "pynacl"
SHADOW_EVERY: Final = 4_096
"""One PyNaCl verification costs as much as about 35 of the fastest back end: 35 / 4,096 is 0.9 % of its time."""
_HASH_BITS: Final = 2**64 - 1
_SHOWN_MESSAGE_BYTES: Final = 1_024

Keys = Any
"""A cache of tables inside the extension."""
Packed: TypeAlias = "bytes | bytearray | memoryview | array[int]"
"""Bytes that lie together."""


class Kernel(Protocol):
    """What the extension offers for signatures (native/ed25519.c)."""

    def back_ends(self) -> list[tuple[str, bool]]:
        """Name and presence on this processor, by number, the fastest first."""

    def keys_new(self, budget: int, seed: int, threads: int = 1, /) -> Keys:
        """An empty cache under a budget of bytes; a call with it has up to `threads` threads."""

    def keys_register(self, cache: Keys, keys: tuple[bytes, ...], /) -> int:
        """How many of them were not registered before."""

    def keys_forget(self, cache: Keys, keys: tuple[bytes, ...], /) -> None:
        """They are strangers from now on."""

    def keys_figures(self, cache: Keys, /) -> tuple[int, int, int]:
        """Registered keys, tables, bytes of tables."""

    def verify(
        self,
        cache: Keys,
        back_end: int,
        messages: Sequence[bytes],
        signatures: Sequence[bytes],
        keys: Sequence[bytes],
        /,
    ) -> tuple[list[bool], int]:
        """Verdicts, and how many signatures were judged without a table."""

    def verify_packed(
        self,
        cache: Keys,
        back_end: int,
        messages: Packed,
        ends: Packed,
        signatures: Packed,
        keys: Packed,
        prefix: Packed,
        /,
    ) -> tuple[bytes, int]:
        """The same from contiguous buffers."""


class Unavailable(RuntimeError):
    """CCCNODE_VERIFY names a back end that cannot be used here, or CCCNODE_VERIFY_THREADS no number of threads.

    The text says what can be.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """For the log line at start and for `status`."""

    backend: str
    reason: str
    """Why it is not the fastest one that there could be; empty where it is."""
    alarm: str
    """The difference to PyNaCl that was met; empty as it should be."""
    shadowed: int
    """Signatures verified twice so far, about."""


class Backend:
    """The choice for this process, and its shadow check.

    Two threads may call at once: each call reads `number` once, and the count of signatures is only for sampling.
    """

    def __init__(
        self, kernel: Kernel | None, *, wanted: str | None = None, missing: str = "", threads: str | None = None
    ) -> None:
        """Choose.  `missing`: why there is no kernel; `threads`: how many a call may have, as the environment says."""
        self._kernel = kernel
        self.threads = _threads(threads)
        """How many one call may have; 0 where what was asked for is no such number."""
        self._alarm, self._seen, self._shadowed = "", 0, 0
        self.number: int | None = None
        """The kernel's number of the back end in use; None where PyNaCl verifies."""
        self._unavailable = "" if self.threads else _not_threads(threads)
        self.on_alarm: Callable[[str], None] = _to_stderr
        """Called once, with one line, when native code and PyNaCl differ."""
        self._reason = f"the native kernel is not in use: {missing}" if kernel is None and missing else ""
        present = [name for name, present in kernel.back_ends() if present] if kernel else []
        if wanted and wanted not in (*present, PYNACL):
            self._unavailable = _unavailable(wanted, present, missing)
        elif wanted != PYNACL and kernel and self.threads:
            self._choose(kernel, present[present.index(wanted) if wanted else 0 :])
        if wanted and not self._unavailable:
            self._reason = "; ".join(filter(None, (f"{VARIABLE}={wanted}", self._reason)))

    def _choose(self, kernel: Kernel, names: Sequence[str]) -> None:
        """The first of `names` that answers as it should."""
        numbers = {name: number for number, (name, _) in enumerate(kernel.back_ends())}
        for name in names:
            wrong = known_answers.failures(kernel, numbers[name])
            if not wrong:
                self.number = numbers[name]
                return
            self._reason = "; ".join(filter(None, (self._reason, f"{name} failed its self-test ({wrong[0]})")))

    @property
    def kernel(self) -> Kernel | None:
        """The extension, where it is there."""
        return self._kernel

    @property
    def name(self) -> str:
        """The back end in use.

        Raises:
            Unavailable: another one was asked for.
        """
        if self._unavailable:
            raise Unavailable(self._unavailable)
        return PYNACL if self.number is None or self._kernel is None else self._kernel.back_ends()[self.number][0]

    def status(self) -> Status:
        """What is in use, and why.

        Raises:
            Unavailable: another one was asked for.
        """
        return Status(backend=self.name, reason=self._reason, alarm=self._alarm, shadowed=self._shadowed)

    def require(self) -> None:
        """Before a verdict is given.

        Raises:
            Unavailable: another back end was asked for.
        """
        if self._unavailable:
            raise Unavailable(self._unavailable)

    def agrees(self, count: int, valid: Callable[[int], bool], sample: Callable[[int], tuple[bytes, ...]]) -> bool:
        """Whether PyNaCl says the same about the next signatures that are due; if not, native code is switched off.

        `valid` is the native verdict on signature i of `count`, `sample` its (message, signature, key).
        """
        first = -self._seen % SHADOW_EVERY
        self._seen += count
        for at in range(first, count, SHADOW_EVERY):
            self._shadowed += 1
            message, signature, key = sample(at)
            if verify_strictly(message, signature, key) != valid(at):
                self._switch_off(message, signature, key, said=valid(at))
                return False
        return True

    def _switch_off(self, message: bytes, signature: bytes, key: bytes, *, said: bool) -> None:
        if self.number is None:
            return  # another thread met the same
        name, self.number = self.name, None
        shown = message.hex() if len(message) <= _SHOWN_MESSAGE_BYTES else f"({len(message)} bytes)"
        self._alarm = (
            f"signature verification by {name} differs from PyNaCl: it said {'valid' if said else 'invalid'} "
            f"(key {key.hex()}, signature {signature.hex()}, message {shown}); PyNaCl's verdict counts, and PyNaCl "
            f"verifies alone until this process ends. Keep this line and report it; {VARIABLE}={PYNACL} avoids the rest"
        )
        self._reason = self._alarm
        self.on_alarm(self._alarm)


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"cccnode: {line}\n")


def _unavailable(wanted: str, present: Sequence[str], missing: str) -> str:
    why = f" ({missing})" if missing else ""
    return (
        f"{VARIABLE}={wanted}: this machine has no such way of verifying signatures{why}; "
        f"it has {', '.join((*present, PYNACL))}. Name one of these, or unset {VARIABLE} for the fastest"
    )


def _threads(asked: str | None) -> int:
    """How many threads a call may have: as asked for, else one less than there are processors; 0 is nonsense."""
    if asked is None:
        may_use = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, min(THREADS_UNASKED, may_use - 1))
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= len(str(THREADS_MOST)) else 0
    return number if number <= THREADS_MOST else 0


def _not_threads(asked: str | None) -> str:
    return (
        f"{THREADS_VARIABLE}={asked}: not a number of threads. Give one from 1 to {THREADS_MOST}, or unset it for one "
        f"less than the processors that there are, at most {THREADS_UNASKED}"
    )


def load() -> Backend:
    """The choice for this process, from what is installed and from the environment."""
    wanted, threads = os.environ.get(VARIABLE), os.environ.get(THREADS_VARIABLE)
    try:
        extension = import_module("cccnode.crypto._kernel")
    except ImportError as error:
        missing = f"it is not built or cannot be loaded: {error}"
        return Backend(None, wanted=wanted, missing=missing, threads=threads)
    return Backend(cast("Kernel", extension), wanted=wanted, threads=threads)


def seed() -> int:
    """A number that nobody outside this process knows: the interpreter's own secret of its hashes."""
    return hash(b"places of keys") & _HASH_BITS
