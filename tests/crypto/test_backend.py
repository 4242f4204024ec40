"""Which code verifies: forced, missing, failing its self-test, and caught by the shadow check."""

import contextlib
import os
import subprocess
import sys
from array import array
from importlib import import_module
from itertools import accumulate, pairwise
from typing import Any

import pytest

from cccnode.crypto import backend, known_answers, verifying
from cccnode.crypto.backend import PYNACL, SHADOW_EVERY, Backend, Unavailable
from cccnode.crypto.strict import verify_strictly
from cccnode.crypto.verifying import Verifier
from tests.crypto import cases
from tests.crypto.cases import columns

NAMES = ("ifma", "avx2", "portable")


class FakeKernel:
    """An extension with the verdicts of PyNaCl, but for the back ends that are told to lie."""

    def __init__(self, *liars: str) -> None:
        self.liars = set(liars)

    def back_ends(self) -> list[tuple[str, bool]]:
        return [(name, name != "avx2") for name in NAMES]

    def keys_new(self, *_: int) -> object:
        return object()

    def keys_register(self, _: object, keys: tuple[bytes, ...]) -> int:
        return len(keys)

    def keys_forget(self, *_: object) -> None:
        pass

    def keys_figures(self, _: object) -> tuple[int, int, int]:
        return 0, 0, 0

    def verify(self, _: object, number: int, *given: Any) -> tuple[list[bool], int]:
        return [NAMES[number] in self.liars or cases.Case("", *each).verdict() for each in zip(*given, strict=True)], 0

    def verify_packed(
        self, _: object, number: int, messages: bytes, ends: bytes, signatures: bytes, keys: bytes, prefix: bytes
    ) -> tuple[bytes, int]:
        assert not prefix
        rising = [0, *memoryview(ends).cast("B").cast("Q")]
        columns = (
            [messages[a:b] for a, b in pairwise(rising)],
            [signatures[at : at + 64] for at in range(0, len(signatures), 64)],
            [keys[at : at + 32] for at in range(0, len(keys), 32)],
        )
        return bytes(self.verify(None, number, *columns)[0]), 0


def test_fastest() -> None:
    """The first that the processor has is taken, without a reason."""
    chosen = Backend(FakeKernel())

    assert ("ifma", "", "") == (chosen.status().backend, chosen.status().reason, chosen.status().alarm)


@pytest.mark.parametrize("name", ["ifma", "portable", PYNACL])
def test_forced(name: str) -> None:
    """CCCNODE_VERIFY forces one, and the status says why."""
    status = Backend(FakeKernel(), wanted=name).status()

    assert (name, f"CCCNODE_VERIFY={name}") == (status.backend, status.reason)


@pytest.mark.parametrize("name", ["avx2", "fast"])
def test_invalid_forced(name: str) -> None:
    """What the machine does not have is refused with cause and remedy, at the first use."""
    chosen = Backend(FakeKernel(), wanted=name)

    for use in (chosen.status, lambda: Verifier(using=chosen).verify_many([], [], [])):
        with pytest.raises(Unavailable, match=f"CCCNODE_VERIFY={name}: .* ifma, portable, pynacl.* unset"):
            use()


def test_invalid_forced_without_extension() -> None:
    """A native back end cannot be forced where the extension is missing; the text says why it is missing."""
    with pytest.raises(Unavailable, match="no module of that name"):
        _ = Backend(None, wanted="ifma", missing="no module of that name").name


@pytest.mark.parametrize(("asked", "threads"), [("1", 1), ("8", 8), ("64", 64)])
def test_threads(asked: str, threads: int) -> None:
    """CCCNODE_VERIFY_THREADS says how many threads a call may have."""
    assert threads == Backend(FakeKernel(), threads=asked).threads


@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (2, 1), (3, 2), (8, 7), (96, 8)])
def test_threads_unasked(monkeypatch: pytest.MonkeyPatch, processors: int, threads: int) -> None:
    """One processor that this process may use is left for others; on two nothing is shared out."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)), raising=False)

    assert threads == Backend(FakeKernel()).threads


@pytest.mark.parametrize("asked", ["", "0", "-1", "65", "two", "1.5", "9" * 5_000, "٣"])
def test_invalid_threads(asked: str) -> None:
    """What is no number of threads is refused with cause and remedy, at the first use, kernel or not."""
    for chosen in (Backend(FakeKernel(), threads=asked), Backend(None, threads=asked)):
        for use in (chosen.status, lambda: Verifier(using=chosen).verify_many([], [], [])):  # noqa: B023
            with pytest.raises(Unavailable, match=f"CCCNODE_VERIFY_THREADS={asked}: .* from 1 to 64, or unset"):
                use()


def test_process_with_threads() -> None:
    """The environment variable is read at start."""
    program = (
        "from cccnode.crypto import verifying\n"
        "verifying.backend()\n"
        "print(verifying.default.verify_many([b''] * 600, [bytes(64)] * 600, [bytes(32)] * 600).count(False))"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "CCCNODE_VERIFY_THREADS": asked},
            capture_output=True,
            text=True,
            check=False,
        )
        for asked in ("3", "none")
    ]

    assert "600" == said[0].stdout.strip()
    assert "CCCNODE_VERIFY_THREADS=none" in said[1].stderr


def test_missing_extension() -> None:
    """Without the extension PyNaCl verifies, and the status says why."""
    status = Backend(None, missing="no module of that name").status()

    assert PYNACL == status.backend
    assert "no module of that name" in status.reason


def test_failed_self_test() -> None:
    """A back end that answers wrongly is passed over for the next; the status names it and what it got wrong."""
    status = Backend(FakeKernel("ifma")).status()

    assert "portable" == status.backend
    assert status.reason.startswith("ifma failed its self-test (")
    assert "said True" in status.reason


def test_all_failed_self_test() -> None:
    """PyNaCl is the last resort, also for one that was forced."""
    for wanted in (None, "ifma"):
        status = Backend(FakeKernel(*NAMES), wanted=wanted).status()
        assert PYNACL == status.backend
        assert "portable failed its self-test" in status.reason


def _watched(kernel: FakeKernel) -> tuple[Verifier, Backend, list[str]]:
    chosen = Backend(kernel)
    alarms: list[str] = []
    chosen.on_alarm = alarms.append
    return Verifier(using=chosen), chosen, alarms


def test_shadow() -> None:
    """One signature in so many is verified twice, whatever the sizes of the calls."""
    verifier, chosen, alarms = _watched(FakeKernel())
    case = cases.signed(cases.random.Random(1), 3)
    for size in (1, 5, 700, SHADOW_EVERY, 0, 3):
        assert all(verifier.verify_many(*columns([case] * size)))

    assert 1 + (709 + SHADOW_EVERY - 1) // SHADOW_EVERY == chosen.status().shadowed
    assert [] == alarms


def test_shadow_difference() -> None:
    """At the first difference PyNaCl's verdicts count, native code is off for good, and one alarm names the case."""
    kernel = FakeKernel()
    verifier, chosen, alarms = _watched(kernel)
    good = cases.signed(cases.random.Random(1), 3)
    bad = cases.Case("", b"other", good.signature, good.key)
    kernel.liars = {"ifma"}

    assert [False] * 3 == verifier.verify_many(*columns([bad] * 3))
    assert [False] * SHADOW_EVERY == verifier.verify_many(*columns([bad] * SHADOW_EVERY))
    assert 1 == len(alarms)
    assert bad.key.hex() in alarms[0]
    assert bad.signature.hex() in alarms[0]
    assert b"other".hex() in alarms[0]
    status = chosen.status()
    assert (PYNACL, alarms[0], alarms[0]) == (status.backend, status.alarm, status.reason)


def test_shadow_difference_packed() -> None:
    """The packed form is watched too."""
    kernel = FakeKernel()
    verifier, _, alarms = _watched(kernel)
    good = cases.signed(cases.random.Random(1), 3)
    kernel.liars = {"ifma"}
    packed = (b"other" * 2, array("Q", (5, 10)), good.signature * 2, good.key * 2)

    assert (b"\0\0", 2) == verifier.verify_packed(*packed)
    assert 1 == len(alarms)


def test_alarm_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node sets whom the alarm of its process goes to."""
    monkeypatch.setattr(verifying._BACKEND, "on_alarm", print)
    heard: list[str] = []
    verifying.set_alarm(heard.append)
    verifying._BACKEND.on_alarm("a line")

    assert ["a line"] == heard


def test_alarm_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody listens, the alarm is a line on stderr."""
    kernel = FakeKernel()
    verifier = Verifier(using=Backend(kernel))
    kernel.liars = {"ifma"}
    verifier.verify_many([bytes(2_000)], [bytes(63) + b"\1"], [bytes(32)])

    assert capsys.readouterr().err.startswith(
        "cccnode: signature verification by ifma differs from PyNaCl: it said valid"
    )


@pytest.mark.parametrize("chosen", [Backend(None), backend.load()], ids=["pynacl", "fastest"])
def test_packed(chosen: Backend) -> None:
    """PyNaCl and the kernel read packed buffers alike."""
    judged = [case for case in cases.fuzzed(3, 60) if len(case.signature) == 64 and len(case.key) == 32]
    messages, signatures, keys = columns(judged)
    prefix = messages[0][:10]
    rest = [message[10:] for message in messages]
    due = bytes(map(verify_strictly, [prefix + message for message in rest], signatures, keys))
    packed = (bytearray(b"".join(rest)), array("Q", accumulate(map(len, rest))))

    assert due == Verifier(using=chosen).verify_packed(*packed, b"".join(signatures), b"".join(keys), prefix=prefix)[0]


@pytest.mark.parametrize("chosen", [Backend(None), backend.load()], ids=["pynacl", "fastest"])
@pytest.mark.parametrize(
    ("messages", "ends", "signatures", "keys", "prefix", "why"),
    [
        (b"abc", (3,), bytes(64), b"", b"", "differ in number"),
        (b"abc", (3,), bytes(63), bytes(32), b"", "differ in number"),
        (b"abc", (), bytes(64), bytes(32), b"", "differ in number"),
        (b"abc", (4,), bytes(64), bytes(32), b"", "rise"),
        (b"abc", (3, 2), bytes(128), bytes(64), b"", "rise"),
        (b"abc", (3,), bytes(64), bytes(32), bytes(65), "prefix"),
    ],
)
def test_invalid_packed(
    chosen: Backend, messages: bytes, ends: tuple[int, ...], signatures: bytes, keys: bytes, prefix: bytes, why: str
) -> None:
    """Buffers that do not fit each other are refused."""
    with pytest.raises(ValueError, match=why):
        Verifier(using=chosen).verify_packed(messages, array("Q", ends), signatures, keys, prefix=prefix)


def test_verifier_without_kernel() -> None:
    """Registering means nothing to PyNaCl, and every signature counts as slow."""
    verifier = Verifier(using=Backend(None))
    case = cases.signed(cases.random.Random(1), 3)

    assert 0 == verifier.register([case.key])
    verifier.forget([case.key])
    assert ([True], 1) == verifier.verify_counting(*columns([case]))
    assert 0 == verifier.tables().bytes


def test_counting() -> None:
    """The number of slow signatures falls to nothing when a registered key has its table."""
    verifier = Verifier(table_bytes=2 << 20)
    if verifier._backend.number is None:
        pytest.skip("no native back end on this machine")
    case = cases.signed(cases.random.Random(1), 3)

    assert 1 == verifier.register([case.key])
    assert [([True] * 9, 9), ([True] * 9, 0)] == [verifier.verify_counting(*columns([case] * 9)) for _ in range(2)]
    assert (1, 1) == (verifier.tables().registered, verifier.tables().tables)


_WITHOUT = """
import sys
sys.modules["cccnode.crypto._kernel"] = None
from cccnode.crypto import known_answers, verifying
assert "pynacl" == verifying.backend().backend, verifying.backend()
messages, signatures, keys, verdicts = map(list, zip(*known_answers.answers()))
assert verdicts == verifying.verify_many(messages, signatures, keys)
print(verifying.backend().reason)
"""


def test_process_without_extension() -> None:
    """A process that cannot load the extension verifies with PyNaCl and says so."""
    done = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=True)

    assert "the native kernel is not in use" in done.stdout


@pytest.mark.parametrize("name", [*(NAMES), PYNACL])
def test_process_with_forced_back_end(name: str) -> None:
    """The environment variable is read at start."""
    have = [PYNACL]
    with contextlib.suppress(ImportError):
        have += [name for name, present in import_module("cccnode.crypto._kernel").back_ends() if present]
    if name not in have:
        pytest.skip(f"{name}: not shown, this machine lacks it")
    program = "from cccnode.crypto import verifying; print(verifying.backend().backend)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "CCCNODE_VERIFY": name},
        capture_output=True,
        text=True,
        check=True,
    )

    assert name == done.stdout.strip()


def test_self_test_asks_enough() -> None:
    """The known answers are of both kinds, with every length that fills a block, and torsion."""
    asked = known_answers.answers()

    assert 200 <= len(asked)
    assert 25 <= sum(verdict for *_, verdict in asked) < len(asked) / 2
