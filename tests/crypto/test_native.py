"""Every back end of the native kernel says what PyNaCl says: edges of the rule, sizes, positions, tables, threads."""

import os
import random
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import accumulate
from typing import Any

import pytest

from cccnode.crypto import known_answers
from cccnode.crypto.native import constants
from cccnode.crypto.strict import verify_strictly
from tests.crypto import cases
from tests.crypto.cases import Case, columns
from tests.tidy.source import ROOT

try:
    KERNEL: Any = import_module("cccnode.crypto._kernel")
except ImportError:
    KERNEL = None
NAMES = [name for name, present in KERNEL.back_ends() if present] if KERNEL else []
ALL = ["ifma", "avx2", "portable"]
LONG_SIZE = 100_000
"""Signatures in one slice of the full count: 20 slices are two million."""


@pytest.fixture(params=ALL)
def back_end(request: pytest.FixtureRequest) -> int:
    """The number of a back end; skipped by name where the extension or the processor lacks it."""
    if request.param not in NAMES:
        pytest.skip(f"{request.param}: not shown, this machine lacks it")
    return [name for name, _ in KERNEL.back_ends()].index(request.param)


def wrong(back_end: int, cache: Any, judged: list[Case], expected: list[bool]) -> list[str]:
    """What a back end judges otherwise than it should."""
    given, _ = KERNEL.verify(cache, back_end, *columns(judged))
    return [
        f"{case.kind}: said {said}: {case.key.hex()}, {case.signature.hex()}, {case.message.hex()}"
        for case, said, due in zip(judged, given, expected, strict=True)
        if said is not due
    ]


def verdicts(judged: list[Case]) -> list[bool]:
    return [case.verdict() for case in judged]


def with_tables(keys: list[bytes], back_end: int, judged: list[Case]) -> Any:
    """A cache in which all `keys` that can have one have a table."""
    cache = KERNEL.keys_new(64 << 20, 1)
    KERNEL.keys_register(cache, tuple(keys))
    for _ in range(len(set(keys)) // 32 + 1):
        KERNEL.verify(cache, back_end, *columns(judged))
    return cache


@pytest.mark.parametrize("tables", [False, True])
def test_edges(back_end: int, *, tables: bool) -> None:
    """All edge cases: torsion in keys and R, odd S, small order, non-canonical, no point, swapped and short fields."""
    judged = cases.edge_cases(1)
    whole = [case for case in judged if len(case.signature) == 64 and len(case.key) == 32]
    cache = with_tables([case.key for case in whole], back_end, whole) if tables else KERNEL.keys_new(0, 1)
    expected = verdicts(judged)

    assert [] == wrong(back_end, cache, judged, expected)
    assert sum(expected) > len(cases.LENGTHS)


def test_fuzzed(back_end: int) -> None:
    """A fixed sample of good, changed and odd signatures, with tables appearing under way."""
    judged = cases.fuzzed(2, 2_500)
    expected = verdicts(judged)
    cache = KERNEL.keys_new(2 << 20, 1)
    KERNEL.keys_register(cache, tuple(sorted({case.key for case in judged if case.kind == "good"}))[:20])

    for first in range(0, len(judged), 500):
        part = slice(first, first + 500)
        assert [] == wrong(back_end, cache, judged[part], expected[part])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 120))
def test_fuzzed_all(seed: int) -> None:
    """Two million in all, each through every back end of this machine."""
    judged = cases.fuzzed(seed, LONG_SIZE)
    expected = verdicts(judged)
    assert NAMES
    for number, (_name, present) in enumerate(KERNEL.back_ends()):
        cache = KERNEL.keys_new(4 << 20, seed)
        for first in range(0, LONG_SIZE if present else 0, 1_000):
            part = slice(first, first + 1_000)
            assert [] == wrong(number, cache, judged[part], expected[part])


def test_message_lengths(back_end: int) -> None:
    """Every length from 0 to 300: all ways in which a message fills blocks of the hash."""
    rng = random.Random(3)
    judged = [cases.signed(rng, length) for length in range(301)]
    judged += [Case("one byte more", case.message + b"\0", case.signature, case.key) for case in judged[:140]]

    assert [] == wrong(back_end, KERNEL.keys_new(0, 1), judged, [True] * 301 + [False] * 140)


def test_long_messages(back_end: int) -> None:
    """Lanes with messages of very different length do not disturb each other."""
    rng = random.Random(4)
    judged = [cases.signed(rng, length) for length in (70_000, 0, 1_000, 129, 5, 4_096, 64, 999, 3)]

    assert [] == wrong(back_end, KERNEL.keys_new(0, 1), judged, [True] * 9)


@pytest.mark.parametrize("tables", [False, True])
def test_sizes_and_positions(back_end: int, *, tables: bool) -> None:
    """Batches of 0 to 1,025, good and bad ones permuted: no verdict depends on where a signature stands."""
    rng = random.Random(5)
    pool = [case for case in cases.fuzzed(6, 200, signers=12) if len(case.signature) == 64 and len(case.key) == 32]
    known = {case: case.verdict() for case in pool}
    cache = with_tables([case.key for case in pool], back_end, pool) if tables else KERNEL.keys_new(0, 1)
    sizes = [
        *range(18),
        31,
        63,
        64,
        65,
        127,
        128,
        129,
        255,
        256,
        257,
        511,
        512,
        513,
        *((1_024, 1_025) if tables else ()),
    ]
    for size in sizes:
        judged = rng.choices(pool, k=size)
        assert [] == wrong(back_end, cache, judged, [known[case] for case in judged])


def test_mixed_with_keys_off_the_curve(back_end: int) -> None:
    """A key on no point spoils only its own verdict, in every lane, although lanes share an inversion."""
    rng = random.Random(7)
    good = [cases.signed(rng, 10) for _ in range(24)]
    off = next(key for key in (rng.randbytes(32) for _ in range(99)) if not _decodes(key))
    for lane in range(8):
        judged = [
            Case("off the curve", case.message, case.signature, off) if at % 8 == lane else case
            for at, case in enumerate(good)
        ]
        assert [] == wrong(back_end, KERNEL.keys_new(0, 1), judged, [at % 8 != lane for at in range(24)])


def _decodes(key: bytes) -> bool:
    try:
        constants.x_of(int.from_bytes(key, "little") & 2**255 - 1, 0)
    except ValueError:
        return False
    return True


def test_packed(back_end: int) -> None:
    """The packed form says the same, with and without a prefix, whatever the prefix leaves of the first block."""
    judged = [case for case in cases.fuzzed(8, 40) if len(case.signature) == 64 and len(case.key) == 32]
    messages, signatures, keys = columns(judged)
    cache = KERNEL.keys_new(2 << 20, 1)
    for size in (0, 1, 10, 63, 64):
        rest = [message[size:] for message in messages]
        ends = b"".join(end.to_bytes(8, "little") for end in accumulate(map(len, rest)))
        for prefix in {case.message[:size] for case in judged if case.kind == "good" and len(case.message) > 64}:
            whole = [prefix + message for message in rest]
            due = bytes(map(verify_strictly, whole, signatures, keys))
            packed = (b"".join(rest), ends, b"".join(signatures), b"".join(keys), prefix)

            assert due == KERNEL.verify_packed(cache, back_end, *packed)[0]
            assert any(due)


def test_threads(back_end: int) -> None:
    """Two threads at once, more keys than tables: tables are replaced all the time and no verdict suffers."""
    rng = random.Random(9)
    judged = [cases.signed(rng, 30) for _ in range(90)]
    cache = KERNEL.keys_new(2 << 20, 1)
    KERNEL.keys_register(cache, tuple(case.key for case in judged))

    def rounds(seed: int) -> list[str]:
        own = random.Random(seed)
        found = []
        for _ in range(12):
            chosen = own.choices(judged, k=200)
            found += wrong(back_end, cache, chosen, [True] * 200)
        return found

    with ThreadPoolExecutor(2) as pool:
        assert [[], []] == list(pool.map(rounds, (1, 2)))


@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_shared_out(back_end: int, threads: int) -> None:
    """One large call by several threads says the same: keys with and without tables, good and bad, tables under way."""
    rng = random.Random(10)
    pool = [case for case in cases.fuzzed(11, 150, signers=40) if len(case.signature) == 64 and len(case.key) == 32]
    judged = rng.choices(pool, k=1_100)
    known = {case: case.verdict() for case in pool}
    cache = KERNEL.keys_new(2 << 20, 1, threads)
    KERNEL.keys_register(cache, tuple({case.key for case in pool[::2]}))
    for _ in range(3):
        assert [] == wrong(back_end, cache, judged, [known[case] for case in judged])


@pytest.mark.skipif(KERNEL is None or not hasattr(os, "fork"), reason="the extension is not built")
def test_fork() -> None:
    """A process that has verified with threads may fork, and its child verifies too: no thread outlives a call."""
    rng = random.Random(12)
    judged = [cases.signed(rng, 10)] * 600
    cache = KERNEL.keys_new(2 << 20, 1, 4)
    number = len(KERNEL.back_ends()) - 1
    assert [] == wrong(number, cache, judged, [True] * 600)
    child = os.fork()
    if not child:
        os._exit(len(wrong(number, cache, judged, [True] * 600)))

    assert 0 == os.waitpid(child, 0)[1]
    assert [] == wrong(number, cache, judged, [True] * 600)


@pytest.mark.skipif(KERNEL is None, reason="the extension is not built")
class TestTables:
    """Which keys get tables; the number of slow signatures shows it."""

    def slow(self, cache: Any, judged: list[Case]) -> int:
        fastest = [name for name, _ in KERNEL.back_ends()].index(NAMES[0])
        given, slow = KERNEL.verify(cache, fastest, *columns(judged))
        assert all(given)
        return slow

    def test_registered(self) -> None:
        """A registered key has a table from its second call on; forgetting it leaves the table until it is needed."""
        case = cases.signed(random.Random(1), 5)
        cache = KERNEL.keys_new(2 << 20, 1)
        assert 1 == KERNEL.keys_register(cache, (case.key, case.key, b"short"))

        assert [1, 0, 0] == [self.slow(cache, [case]) for _ in range(3)]
        assert (1, 1, 2 << 20) == KERNEL.keys_figures(cache)
        KERNEL.keys_forget(cache, (case.key,))
        assert (0, 1, 2 << 20) == KERNEL.keys_figures(cache)
        assert 0 == self.slow(cache, [case])

    def test_strangers(self) -> None:
        """Any other key has one after 128 uses."""
        case = cases.signed(random.Random(1), 5)
        cache = KERNEL.keys_new(2 << 20, 1)

        assert [1] * 128 + [0] * 6 == [self.slow(cache, [case]) for _ in range(134)]

    def test_no_budget(self) -> None:
        """Without a budget there are no tables, and verdicts all the same."""
        case = cases.signed(random.Random(1), 5)
        cache = KERNEL.keys_new((2 << 20) - 1, 1)
        KERNEL.keys_register(cache, (case.key,))

        assert [1] * 3 == [self.slow(cache, [case]) for _ in range(3)]
        assert (1, 0, 0) == KERNEL.keys_figures(cache)

    def test_budget(self) -> None:
        """Never more than the budget; a member's table is not given to a stranger, a stranger's to a member."""
        rng = random.Random(2)
        members, strangers = ([cases.signed(rng, 5) for _ in range(size)] for size in (20, 150))
        cache = KERNEL.keys_new(2 << 20, 1)
        for _ in range(9):
            self.slow(cache, strangers * 30)
        filled = KERNEL.keys_figures(cache)
        KERNEL.keys_register(cache, tuple(case.key for case in members))
        for _ in range(20):
            self.slow(cache, members * 10)
            self.slow(cache, strangers * 10)

        assert (0, 2 << 20) == (filled[0], filled[2])
        assert 20 < filled[1] < 150
        assert 0 == self.slow(cache, members)
        left_over = 150 - (filled[1] - 20)  # and one whose table is given to another in this very call
        assert left_over <= self.slow(cache, strangers) <= left_over + 1
        assert (20, *filled[1:]) == KERNEL.keys_figures(cache)

    def test_many_strangers(self) -> None:
        """More strangers than are remembered: counting starts anew, and members stay."""
        member = cases.signed(random.Random(3), 5)
        cache = KERNEL.keys_new(2 << 20, 1)
        KERNEL.keys_register(cache, (member.key,))
        self.slow(cache, [member])
        self.slow(cache, [member])
        rng = random.Random(4)
        made_up = [rng.randbytes(32) for _ in range(9_000)]
        for first in range(0, 9_000, 1_000):
            keys = made_up[first : first + 1_000]
            KERNEL.verify(cache, 0 if NAMES[0] == "ifma" else len(KERNEL.back_ends()) - 1, [b""] * 1_000,
                          [member.signature] * 1_000, keys)  # fmt: skip

        assert 0 == self.slow(cache, [member])

    def test_no_table_for_no_point(self) -> None:
        """A registered key that is no point never gets a table, and its memory goes to the next."""
        rng = random.Random(7)
        off = next(key for key in (rng.randbytes(32) for _ in range(99)) if not _decodes(key))
        case = cases.signed(rng, 5)
        cache = KERNEL.keys_new(2 << 20, 1)
        KERNEL.keys_register(cache, (off,))
        for _ in range(3):
            assert [False] == KERNEL.verify(cache, len(KERNEL.back_ends()) - 1, [b""], [case.signature], [off])[0]

        assert (1, 0, 2 << 20) == KERNEL.keys_figures(cache)


@pytest.mark.parametrize(
    "arguments",
    [
        ([b""], [bytes(64)], []),
        ([b""], [], [bytes(32)]),
        ([], [bytes(64)], [bytes(32)]),
    ],
)
@pytest.mark.skipif(KERNEL is None, reason="the extension is not built")
def test_invalid_lengths(arguments: tuple[list[bytes], ...]) -> None:
    """Columns of different length are refused."""
    with pytest.raises(ValueError, match="differ in number"):
        KERNEL.verify(KERNEL.keys_new(0, 1), len(KERNEL.back_ends()) - 1, *arguments)


@pytest.mark.skipif(KERNEL is None, reason="the extension is not built")
def test_invalid_types() -> None:
    """What is no bytes, no cache, or no back end is refused, and nothing is left locked."""
    cache = KERNEL.keys_new(2 << 20, 1)
    number = len(KERNEL.back_ends()) - 1
    with pytest.raises(TypeError):
        KERNEL.verify(cache, number, [b"", "text"], [bytes(64)] * 2, [bytes(32)] * 2)
    with pytest.raises(ValueError, match="Capsule"):
        KERNEL.verify(object(), number, [], [], [])
    with pytest.raises(ValueError, match="back end"):
        KERNEL.verify(cache, 99, [], [], [])
    with pytest.raises(ValueError, match="below zero"):
        KERNEL.keys_new(-1, 1)
    for threads in (0, -1, 65):
        with pytest.raises(ValueError, match="threads: 1 to 64"):
            KERNEL.keys_new(0, 1, threads)

    assert ([], 0) == KERNEL.verify(cache, number, [], [], [])


def test_constants() -> None:
    """The committed header is what the script derives."""
    committed = ROOT / "cccnode/crypto/native/ed25519_constants.h"

    assert committed.read_text(encoding="utf-8") == constants.header()


def test_known_answers() -> None:
    """PyNaCl gives the known answers, and the script prints the rows."""
    for message, signature, key, verdict in known_answers.answers():
        assert verdict == verify_strictly(message, signature, key)
    assert list(cases.rows()) == list(known_answers.ROWS)
    assert {True, False} == {row[-1] for row in known_answers.ROWS}
