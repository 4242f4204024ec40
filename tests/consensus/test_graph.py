"""Consensus state as rows: what is written comes back the same, and nothing else is read."""

import ast
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import consensus
from cccnode.codec import decode, encode
from cccnode.types.errors import INCIDENT_INVALID, INCIDENT_VERSION, Fault
from cccnode.types.validators import Timers
from cccnode.types.vote import Kind, Proposal, nullified
from consensus.effects import Alarm
from consensus.engine import Engine
from consensus.events import BodyInvalid, Pending
from consensus.graph import DEPTH_MAX, HOOKS, KEY_CELLS_MAX, classes, decode_graph, encode_graph, layout, layouts
from tests.consensus.cluster import Cluster

CALLED = {name: lambda *_: None for name in HOOKS}
LIST, TUPLE, DICT, SET, FROZENSET, DEQUE, HOOK, FIRST = range(8)


def read(raw: bytes, known: Any = None) -> Any:
    return decode_graph(raw, hooks=CALLED, known=known or {})


def cluster(milliseconds: int = 700) -> Cluster:
    """Four validators in the middle of their work, one of them dead."""
    found = Cluster(4, timers=Timers(delta_ms=50, min_interval_ms=0), silent=(2,))
    found.pending(True)
    found.run(milliseconds)
    return found


def known_of(engine: Engine) -> Any:
    core = engine._core
    return layouts(Engine(core.config, sign=CALLED["_sign"], verify_many=CALLED["_verify_many"], now_ms=0))


def table(rows: list[Any], root: Any, *kinds: list[Any]) -> bytes:
    return encode([list(kinds), rows, root])


def refused(raw: bytes) -> str:
    with pytest.raises(Fault) as error:
        read(raw)
    return error.value.spec.name


REFUSALS = {INCIDENT_INVALID.name, INCIDENT_VERSION.name}


def outcome(raw: bytes) -> tuple[str, Any]:
    """The name of the refusal, or what was read."""
    try:
        return "", read(raw, KNOWN)
    except Fault as error:
        return error.spec.name, None


# ----- what comes back


@pytest.mark.parametrize("milliseconds", [0, 1, 55, 150, 333, 700, 2_000])
def test_engines_come_back(milliseconds: int) -> None:
    """An engine written at any moment and read again has the same bytes and shows the same status."""
    for member in cluster(milliseconds).members:
        raw = encode_graph(member.engine)
        again = read(raw, known_of(member.engine))
        assert encode_graph(again) == raw
        assert again.status() == member.engine.status()


def test_what_is_shared_stays_shared() -> None:
    """What two places share in memory they share after reading: certificates are compared by identity."""
    engines = [member.engine for member in cluster().members]
    again = [read(encode_graph(engine), known_of(engine))._core for engine in engines]
    assert all(core.votes._verifier is core.verifier for core in again)
    entries = [(core.entry, core.certificates.of_view(core.view - 1)) for core in again]
    assert any(entry is held for entry, opened in entries for held in opened)


def test_containers_come_back() -> None:
    """Every container, plain value, member and noun comes back equal and of its own type, in order."""
    value = (
        [1, -1, 2**63, True, False, None, "é", b"\x00"],
        {"b": (1,), "a": (), b"k": [2]},
        {3, 1, 2},
        frozenset({(Kind.NULLIFY, nullified(4)), (Kind.FINALIZE, nullified(3))}),
        deque([1, 2], maxlen=2),
        deque([1]),
        Kind.NOTARIZE,
        BodyInvalid(block_id=b"b", reason="r"),
    )
    again = read(encode_graph(value))
    assert again == value
    assert list(again[1]) == ["b", "a", b"k"]
    assert (again[4].maxlen, again[5].maxlen) == (2, None)
    assert again[0][3] is True
    assert again[6] is Kind.NOTARIZE


def test_sets_have_one_order() -> None:
    """Equal sets have equal bytes, however they were filled."""
    one, other = set(range(100)), set(range(99, -1, -1))
    one.update(range(1_000, 1_100))
    one.difference_update(range(1_000, 1_100))
    assert encode_graph(one) == encode_graph(other)


def test_unshared_bytes_depend_on_values_only() -> None:
    """For comparing, it does not matter who shares what with whom."""
    part, twin = Proposal(1, 0, 1, b"x" * 32), Proposal(1, 0, 1, b"x" * 32)
    assert encode_graph((part, part)) != encode_graph((part, twin))
    assert encode_graph((part, part), shared=False) == encode_graph((part, twin), shared=False)


def test_every_class_of_consensus_may_appear() -> None:
    """No class of consensus stays outside, except errors, the capsule's own classes and what only rules use."""
    folder = Path(consensus.__file__).parent
    files = [path for path in folder.glob("*.py") if path.stem not in {"graph", "capsule", "replay", "__init__"}]
    written = {f"consensus.{path.stem}.{name}" for path in files for name in _class_names(path)}
    assert written <= set(classes())


def _class_names(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            yield node.name


def test_layout_is_stable() -> None:
    """The hash over all classes is one of this program, whoever asks and in whatever order."""
    assert layout() == layout()
    assert list(classes()) == sorted(classes())


# ----- what is not written


@pytest.mark.parametrize("value", [0.5, object(), lambda: None, Path(), [Ellipsis], {"k": bytearray()}, print])
def test_invalid_value(value: Any) -> None:
    """What is not of the known classes is refused by name, not by a stack trace."""
    with pytest.raises(Fault) as error:
        encode_graph(value)
    assert error.value.spec is INCIDENT_VERSION


def test_invalid_circle() -> None:
    """A value within itself is refused."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(Fault) as error:
        encode_graph(value)
    assert "within itself" in str(error.value)


# ----- what is not read

PENDING = ["consensus.events.Pending", ["waiting"]]
PROPOSAL = ["cccnode.types.vote.Proposal", []]
KIND = ["cccnode.types.vote.Kind", []]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        encode([]),
        encode([[], []]),
        encode([[], [], 0, 0]),
        encode([{}, [], 0]),
        encode([[], {}, 0]),
        table([], 1.5),
        table([], {}),
        table([], [0]),
        table([], [-1]),
        table([], []),
        table([], [True]),
        table([[]], 1),
        table([5], 1),
        table([["0"]], 1),
        table([[True, 1]], [0]),
        table([[LIST, [0]]], [0]),
        table([[LIST, [1]], [LIST]], [0]),
        table([[LIST]], 7),
        table([[LIST], [LIST]], [0]),
        table([[DICT, 1]], [0]),
        table([[DICT, 1, 2, 1, 3]], [0]),
        table([[LIST], [DICT, [0], 1]], [1]),
        table([[LIST], [SET, [0]]], [1]),
        table([[SET, 2, 1]], [0]),
        table([[SET, 1, 1]], [0]),
        table([[DEQUE]], [0]),
        table([[DEQUE, -1, 1]], [0]),
        table([[DEQUE, 1, 1, 2]], [0]),
        table([[DEQUE, 1 << 60]], [0]),
        table([[DEQUE, True]], [0]),
        table([[HOOK, "_eval"]], [0]),
        table([[HOOK]], [0]),
        table([[HOOK, "_sign"]], [0]),
        table([[FIRST, True]], [0]),
        table([[-1, True]], [0]),
        table([[FIRST]], [0], PENDING),
        table([[FIRST, True, True]], [0], PENDING),
        table([], 1, PENDING),
        table([[FIRST, True]], [0], ["consensus.events.Pending"]),
        table([[FIRST, True]], [0], ["consensus.events.Pending", "waiting"]),
        table([[FIRST, True]], [0], [7, ["waiting"]]),
        table([[FIRST, True], [FIRST + 1, True]], [1], PENDING, PENDING),
        table([[FIRST, b"\x00"]], [0], PROPOSAL),
        table([[FIRST, 1]], [0], PROPOSAL),
        table([[FIRST, encode([1, 0, 1, b"short"])]], [0], PROPOSAL),
        table([[FIRST, 9]], [0], KIND),
        table([[FIRST, [0]]], [0], KIND),
        table([[FIRST, None]], [0], KIND),
    ],
)
def test_invalid_bytes(raw: bytes) -> None:
    """Bytes that the writer would not write are refused by name."""
    assert refused(raw) == "incident/INVALID"


@pytest.mark.parametrize(
    "kind",
    [
        ["builtins.object", []],
        ["os.system", []],
        ["subprocess.Popen", ["args"]],
        ["consensus.graph._Reader", []],
        ["consensus.events.Pending", []],
        ["consensus.events.Pending", ["waiting", "more"]],
        ["consensus.events.Pending", ["__class__"]],
        ["consensus.view.Core", ["send"]],
        ["cccnode.types.vote.Proposal", ["view"]],
    ],
)
def test_invalid_class(kind: list[Any]) -> None:
    """No class is looked up by name outside the list, and none gets attributes that it does not have."""
    assert refused(table([[FIRST, True]], [0], kind)) == "incident/VERSION"


def test_limit_of_depth() -> None:
    """Nesting is bounded, whatever the writer of the file wished."""
    rows = [[LIST], *([LIST, [place]] for place in range(DEPTH_MAX * 3))]
    assert refused(table(rows, [len(rows) - 1])) == "incident/INVALID"


def test_limit_of_shared_sizes() -> None:
    """A few rows cannot stand for more cells than memory or time allow, nor make a key that takes for ever to hash."""
    rows: list[list[Any]] = [[TUPLE, 1, 1]]
    while len(rows) < 30:
        rows.append([TUPLE, [len(rows) - 1], [len(rows) - 1]])
    assert refused(table(rows, [len(rows) - 1])) == "incident/INVALID"
    small = rows[: KEY_CELLS_MAX.bit_length()]
    assert refused(table([*small, [SET, [len(small) - 1]]], [len(small)])) == "incident/INVALID"


@given(st.data())
def test_damaged_bytes(data: st.DataObject) -> None:
    """Whatever byte is changed, the answer is a named error or another value of the known classes."""
    raw = bytearray(ENGINE)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    named, again = outcome(bytes(raw))
    assert named in REFUSALS or encode_graph(again) == bytes(raw)


@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.binary(max_size=4), st.lists, max_leaves=12))
def test_any_table(rows: Any) -> None:
    """Tables of anything are read by the rules or refused by name."""
    raw = encode([[PENDING, PROPOSAL, KIND], rows if isinstance(rows, list) else [rows], [0]])
    named, again = outcome(raw)
    assert named in REFUSALS or encode_graph(again) == raw


ENGINE = encode_graph(cluster(120).members[0].engine)
KNOWN = known_of(cluster(0).members[0].engine)


def test_small_effects() -> None:
    """Rows are small: an event or an effect names its class once."""
    assert len(encode_graph(Pending(waiting=True))) < 64
    assert decode(list, encode_graph(Alarm(reason="x")))[1] == [[FIRST, "x"]]
