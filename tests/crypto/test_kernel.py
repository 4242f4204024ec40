"""The native functions on hashes and trees against their definition in Python."""

import subprocess
import sys
from contextlib import suppress
from hashlib import sha256
from random import Random
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.codec import encode
from cccnode.crypto import kernel, trees
from cccnode.crypto.hashing import BRANCH
from cccnode.crypto.proofs import bucket_of
from tests.support.leaks import nothing_leaks

native = pytest.importorskip("cccnode.crypto._kernel", reason="built without a compiler", exc_type=ImportError)

LIMITS = (20, 40, 70_000)
"""Low enough to be met: items of a group, bytes of a name, bytes of a value."""

names = st.one_of(st.sampled_from([b"", b"a", b"b", b"ab", bytes(40), bytes(41)]), st.binary(max_size=42))
groups = st.one_of(st.integers(0, 12).map(lambda number: b"group %d" % number), names)
sizes = st.sampled_from([0, 1, 15, 16, 31, 32, 44, 45, 53, 54, 255, 256, 300, 65_535, 65_536, 70_001])
long = st.builds(lambda byte, size: byte * size, st.binary(min_size=1, max_size=1), sizes)
values = st.one_of(st.none(), st.binary(max_size=5), long)
few = st.dictionaries(st.sampled_from([b"", b"a", b"b", b"ab", bytes(40)]), values, max_size=4)
many = st.integers(0, 21).flatmap(
    lambda count: st.sampled_from([None, b"", b"x"]).map(lambda value: {b"%d" % item: value for item in range(count)})
)
changes = st.one_of(few, many, st.dictionaries(names, values, max_size=3))
blocks = st.lists(st.dictionaries(groups, changes, max_size=6), max_size=5)


@pytest.mark.parametrize("backend", [b"x86", b"portable"])
def test_sha256_is_hashlibs(backend: bytes) -> None:
    """Each way to compute SHA-256 gives what hashlib gives, whatever the length."""
    if native.sha256(b"", backend) is None:
        pytest.skip("this processor lacks the instructions")
    rng = Random(1)
    messages = [rng.randbytes(length) for length in [*range(300), 1 << 20, (1 << 20) + 55]]

    assert [sha256(message).digest() for message in messages] == [
        native.sha256(message, backend) for message in messages
    ]


def test_lists() -> None:
    """Roots over 0 to 1,100 leaves of all lengths, and tagged hashes of them, equal the definition."""
    rng = Random(2)
    leaves = [rng.randbytes(rng.randrange(200)) for _ in range(1_100)]
    hashes = trees.tagged_many(b"\x00", leaves)

    assert hashes == native.tagged_many(b"\x00", leaves) == native.tagged_many(b"\x00", tuple(leaves))
    for size in range(1_101):
        level = hashes[:size] or [sha256(b"").digest()]
        while len(level) > 1:
            level = trees.next_level(level)
        assert level[0] == native.list_root(leaves[:size]) == native.list_root(tuple(leaves[:size]))


@given(st.integers(1, 11), st.randoms(), st.floats(0, 1))
def test_levels(depth: int, rng: Random, share: float) -> None:
    """The nodes above any changed ones, and the level with these put in, equal the definition."""
    width = 1 << depth
    level = rng.randbytes(32 * width)
    nodes = b"".join(index.to_bytes(4, "big") + rng.randbytes(32) for index in range(width) if rng.random() < share)
    after = [bytearray(level), bytearray(level)]
    trees.put_nodes(after[0], nodes)
    native.put_nodes(after[1], nodes)
    above = native.parents(level, nodes)

    assert after[0] == after[1]
    assert trees.parents(level, nodes) == above == native.parents(bytearray(level), nodes)
    for start in range(0, len(above), 36):
        parent = int.from_bytes(above[start : start + 4], "big")
        assert sha256(BRANCH + after[0][64 * parent : 64 * parent + 64]).digest() == above[start + 4 : start + 36]


@given(st.integers(1, 4), blocks, st.integers(1, 7), st.randoms())
def test_blocks(depth: int, history: list, count: int, rng: Random) -> None:
    """Block after block, both give the same order, pages, nodes, engine batch, growth and places to stop at."""
    held: trees.Pages = [b""] * (1 << depth)
    hidden: dict[int, bytes] = {}
    for writes in history:
        block = trees.by_bucket(depth, writes)
        assert block == native.by_bucket(depth, writes)
        for bucket in [bucket for bucket, page in enumerate(held) if page and rng.random() < 0.2]:
            hidden[bucket], held[bucket] = held[bucket] or b"", None
        staged: list[trees.Staged] = [([], []), ([], [])]
        start, nodes = 0, b""
        while start < len(writes):
            results = [
                one.write_buckets(b"g", depth, LIMITS, held, into, block, start, count)
                for one, into in zip((trees, native), staged, strict=True)
            ]
            assert results[0] == results[1]
            assert staged[0] == staged[1]
            nodes += results[0][2]
            written = results[0][0]
            if written < min(start + count, len(writes)):
                bucket = bucket_of(block[0][written], depth)
                if bucket in hidden:
                    held[bucket] = hidden.pop(bucket)
                else:  # a limit: leave the bucket out
                    while written < len(writes) and bucket_of(block[0][written], depth) == bucket:
                        written += 1
            start = written
        for bucket, page in hidden.items():
            held[bucket] = page
        hidden, same = {}, [*held]
        moved = trees.put_pages(held, nodes, staged[0][0])
        assert moved == native.put_pages(same, nodes, staged[1][0])
        assert held == same
        for bucket, page in enumerate(held):
            assert page is not None
            assert trees.page_hash(depth, bucket, page) == native.page_hash(depth, bucket, page)
            rows = [(group, record) for group, (_, record) in trees.parse_page(page).items()]
            assert page == trees.make_page(rows) == native.make_page(rows)
        for group in writes:
            for item in (b"", b"a", b"12"):
                expected = trees.read_item(depth, held, group, item)
                assert expected == native.read_item(depth, held, group, item)
            assert trees.read_record(depth, held, group) == native.read_record(depth, held, group)


@pytest.mark.parametrize("count", [1, 15, 16, 255, 256, 65_535])
@pytest.mark.parametrize("size", [0, 255, 256])
def test_records_at_the_widths_of_msgpack(count: int, size: int) -> None:
    """Where the headers of arrays and byte strings grow, both read and write the same record."""
    record = encode([(b"%05d" % item, b"v" * size if item < 300 else b"") for item in range(count)])
    page = native.make_page([(b"group", record)])

    assert trees.make_page([(b"group", record)]) == page
    held = [page, page]
    block = native.by_bucket(1, {b"group": {b"00000": b"other"}})
    limits = (65_535, 255, 70_000)
    staged: list[trees.Staged] = [([], []), ([], [])]
    trees.write_buckets(b"", 1, limits, held, staged[0], block, 0, 1)
    native.write_buckets(b"", 1, limits, held, staged[1], block, 0, 1)
    assert staged[0] == staged[1] != ([], [])


def _verdict(function: object, *arguments: object) -> object:
    try:
        return function(*arguments)  # type: ignore[operator]
    except ValueError:
        return "ValueError"


@given(few.filter(bool), st.data())
def test_invalid_records(items: dict, data: st.DataObject) -> None:
    """A record with a byte changed, lost or added is refused by both, or means the same to both."""
    record = encode([(item, value or b"") for item, value in sorted(items.items())])
    place = data.draw(st.integers(0, min(len(record) - 1, 300)))
    byte = data.draw(st.one_of(st.sampled_from([0x90, 0x91, 0x92, 0xC4, 0xC5, 0xC6, 0xDC, 0xDD]), st.integers(0, 255)))
    for damaged in (
        record[:place] + bytes([byte]) + record[place + 1 :],
        record[:place] + record[place + 1 :],
        record[:place] + bytes([byte]) + record[place:],
        record[:place],
    ):
        rows = [(b"group", damaged)]
        assert _verdict(trees.make_page, rows) == _verdict(native.make_page, rows)


@pytest.mark.parametrize(
    "rows",
    [
        [(b"", b"\x91\x92\xc4\x00\xc4\x00")],
        [(b"a" * 256, b"\x91\x92\xc4\x00\xc4\x00")],
        [(b"b", b"\x91\x92\xc4\x00\xc4\x00"), (b"a", b"\x91\x92\xc4\x00\xc4\x00")],
        [(b"a", b"\x91\x92\xc4\x00\xc4\x00")] * 2,
        [(b"a", b"\x90")],
        [(b"a", b"")],
        [(b"a", b"\x92\x92\xc4\x01b\xc4\x00\x92\xc4\x01a\xc4\x00")],
        [(b"a", b"\x92\x92\xc4\x01a\xc4\x00\x92\xc4\x01a\xc4\x00")],
        [(b"a", b"\x91\x92\xa0\xc4\x00")],
        [(b"a", encode([(bytes(256), b"")]))],
        [(b"a", encode([(b"%05d" % item, b"") for item in range(65_536)]))],
    ],
)
def test_invalid_rows(rows: list) -> None:
    """Groups and items that no node writes are refused."""
    assert "ValueError" == _verdict(trees.make_page, rows) == _verdict(native.make_page, rows)


def test_a_page_to_load() -> None:
    """A bucket that has groups and no page is named by whoever reads or writes in it."""
    held = [None, None]
    for one in (trees, native):
        with pytest.raises(KeyError) as missing:
            one.read_item(1, held, b"group", b"a")
        assert (bucket_of(b"group", 1),) == missing.value.args
        with pytest.raises(KeyError):
            one.read_record(1, held, b"group")
        staged = ([], [])
        block = one.by_bucket(1, {b"group": {b"a": b"1"}})
        assert (0, 0, b"") == one.write_buckets(b"g", 1, LIMITS, held, staged, block, 0, 9)
        assert ([], []) == staged


class _Sly(bytes):
    """A byte string that pretends to be equal to others."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


_PAGE = trees.make_page([(b"group", encode([(b"a", b"1")])), (b"other", encode([(b"a", b"1")]))])
_ODD = [
    None, True, -1, 0, 1, 3, 1 << 70, 0.5, "text", b"", b"x", bytes(32), bytes(36), bytes(64), bytes(72), bytearray(64),
    bytearray(2), memoryview(bytes(64)), [], [b"x"], [bytes(32)], [1], (), [b"", b""], [None, None], ([], []), ([], {}),
    ([], [], []), [_PAGE[:-1], _PAGE[1:]], [1, ""], [_PAGE, _PAGE], bytes(35), b"\xff" * 36, {}, {b"g": {}},
    {b"g": {b"a": 1}}, {b"g": {"a": b""}}, {b"g": None}, {1: {}}, {_Sly(b"a"): {_Sly(b"b"): b"", b"c": _Sly()}},
    (1, 2, 3), (-1, 1, 1), (1, 256, 1), (1, 1, 1 << 40), ((), (), b""), ((b"g",), ({},), bytes(4)),
    ((b"g",), ({b"a": b"1"},), b"\xff\xff\xff\xff"), ((b"g", b"g"), ({b"a": b"1"},) * 2, bytes(8)), ((b"g",), (), b""),
    ((b"g",), (3,), bytes(4)), ((3,), ({},), bytes(4)), ((b"g",), ({b"a": 3},), bytes(4)), range(3), object(), _Sly(),
    b"x86", b"portable", _PAGE, [(b"a", b"\x91")], [(b"a",)], [("a", b"")], [(b"a", None)],
]  # fmt: skip
_GOOD = {
    "sha256": (b"x", b"portable"),
    "tagged_many": (b"tag", [b"x"]),
    "list_root": ([b"x"],),
    "parents": (bytes(64), bytes(36)),
    "put_nodes": (bytearray(64), bytes(36)),
    "make_page": ([(b"group", encode([(b"a", b"1")]))],),
    "page_hash": (1, 0, b""),
    "read_record": (1, [b"", b""], b"group"),
    "read_item": (1, [b"", b""], b"group", b"a"),
    "put_pages": ([b"", b""], bytes(36), [_PAGE]),
    "by_bucket": (1, {b"group": {b"a": b"1"}}),
    "write_buckets": (
        b"g", 1, LIMITS, [_PAGE, _PAGE], ([], []),
        ((b"group",), ({b"a": b"2"},), bytes(4)), 0, 9,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(_GOOD))
def test_invalid_arguments(name: str) -> None:
    """Whatever it is called with, a native function returns or raises an ordinary error."""
    function, good = getattr(native, name), list(_GOOD[name])
    function(*good)
    rng = Random(name)
    ordinary = (TypeError, ValueError, LookupError, OverflowError, BufferError)
    for wrong in ([], [*good, None], good[1:]):
        with pytest.raises(TypeError):
            function(*wrong)
    for place in range(len(good)):
        for odd in _ODD:
            with suppress(*ordinary):
                function(*good[:place], odd, *good[place + 1 :])
    for _ in range(2_000):
        with suppress(*ordinary):
            function(*[rng.choice(_ODD) if rng.random() < 0.5 else one for one in good])


@pytest.mark.parametrize("name", sorted(_GOOD))
def test_nothing_leaks(name: str) -> None:
    """Neither a call that succeeds nor one that fails keeps memory or references."""
    function, good = getattr(native, name), list(_GOOD[name])

    def use() -> None:
        for odd in (good[-1], object(), {b"g": {b"a": 1}}, ((b"g", b"g"), ({b"a": b"1"},) * 2, bytes(8))):
            with suppress(TypeError, ValueError, LookupError):
                function(*good[:-1], odd)
        function(*good)
        if name == "write_buckets":
            for into in good[4]:
                into.clear()

    nothing_leaks(use, [one for one in good if not isinstance(one, int)])


def test_native_where_it_is_built() -> None:
    """The functions that the rest of the program calls are the native ones."""
    assert kernel.NATIVE
    assert all(getattr(kernel, name) is getattr(native, name) for name in set(_GOOD) - {"sha256"})


def test_invalid_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extension that computes something else is not used."""
    wrong = ModuleType("cccnode.crypto._kernel")
    wrong.list_root = lambda leaves: bytes(32)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cccnode.crypto._kernel", wrong)

    assert kernel._load() is None


def test_without_the_extension() -> None:
    """Where there is no extension, the same names are the functions in Python."""
    code = (
        "import sys; sys.modules['cccnode.crypto._kernel'] = None\n"
        "from cccnode.crypto import kernel, merkle, trees\n"
        "assert not kernel.NATIVE and kernel.write_buckets is trees.write_buckets\n"
        "print(merkle.root([b'a', b'b', b'c']).hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (native.list_root([b"a", b"b", b"c"]).hex(), "") == (done.stdout.strip(), done.stderr)
