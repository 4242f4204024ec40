"""Which piece of a snapshot is asked of whom, and what when no answer comes."""

import pytest

from cccnode.codec import encode
from cccnode.types.errors import NET_MALFORMED, Fault
from p2p.snapshots import (
    AT_ONCE_MAX,
    LATE_MAX,
    OF_ONE_MAX,
    TIMEOUT_MS,
    TIMEOUTS_MAX,
    Ask,
    ManifestReply,
    ManifestRequest,
    Manifests,
    PieceReply,
    PieceRequest,
    Pieces,
    read_snapshot,
    write_snapshot,
)

ONE, TWO, THREE = (bytes([number]) * 32 for number in range(1, 4))


def pieces(count: int, *sources: bytes) -> Pieces:
    made = Pieces(10, count, set())
    for source in sources:
        made.add(source)
    return made


def answer(fetch: Pieces, asked: Ask, *, good: bool = True) -> None:
    piece = fetch.came(asked.peer, asked.request.number)
    assert piece == asked.request.piece
    fetch.checked(piece, good=good)


@pytest.mark.parametrize(
    "message",
    [
        ManifestRequest(1, 0, 7),
        ManifestRequest(1, 10, 7, 4_000),
        ManifestReply(1, 10, 9, b"raw", (bytes(32),)),
        PieceRequest(2, 10, 3),
        PieceReply(2, b"raw"),
    ],
)
def test_messages_come_back(message: object) -> None:
    """What was written is read again."""
    assert read_snapshot(write_snapshot(message)) == message


@pytest.mark.parametrize(
    "raw", [b"", b"\xc1", encode([9, 1]), encode([1, -1, 0, 0]), encode([2, 1, 0, 0, b"", (b"short",)])]
)
def test_what_is_no_message(raw: bytes) -> None:
    """Foreign bytes are refused by name."""
    with pytest.raises(Fault) as found:
        read_snapshot(raw)
    assert found.value.spec is NET_MALFORMED


def test_pieces_come_from_several() -> None:
    """Each neighbour has a few under way, all together no more than fit into memory, none twice."""
    fetch = pieces(100, ONE, TWO, THREE)
    asked = fetch.tick(0)

    assert len(asked) == min(AT_ONCE_MAX, 3 * OF_ONE_MAX)
    assert {ask.peer for ask in asked} == {ONE, TWO, THREE}
    assert [ask.request.piece for ask in asked] == list(range(len(asked)))
    assert fetch.tick(0) == []


def test_until_all_are_here() -> None:
    """Every piece is asked for once where all goes well."""
    fetch, seen = pieces(37, ONE, TWO), list[int]()
    while not fetch.complete:
        for ask in fetch.tick(0):
            seen.append(ask.request.piece)
            answer(fetch, ask)

    assert sorted(seen) == list(range(37))
    assert fetch.tick(0) == []


def test_a_piece_that_does_not_hold_is_asked_of_another() -> None:
    """Who gave it is dropped by the driver; the piece is missing again."""
    fetch = pieces(1, ONE, TWO)
    (first,) = fetch.tick(0)
    answer(fetch, first, good=False)
    fetch.drop(first.peer)
    (second,) = fetch.tick(0)

    assert (first.request.piece, {first.peer, second.peer}) == (second.request.piece, {ONE, TWO})
    answer(fetch, second)
    assert fetch.complete


def test_what_is_being_checked_is_not_asked_for_again() -> None:
    """Between its arrival and the verdict a piece belongs to nobody else."""
    fetch = pieces(1, ONE, TWO)
    (ask,) = fetch.tick(0)
    assert fetch.came(ask.peer, ask.request.number) == 0

    assert fetch.tick(0) == []
    assert not fetch.complete


def test_silence() -> None:
    """After a time-out others are asked; a late answer is welcome; who lets several pass is asked no more."""
    fetch = pieces(1, ONE, TWO)
    (first,) = fetch.tick(0)
    (second,) = fetch.tick(TIMEOUT_MS)

    assert {first.peer, second.peer} == {ONE, TWO}
    answer(fetch, first)
    assert fetch.complete
    fetch = pieces(4 * LATE_MAX, ONE)
    for turn in range(TIMEOUTS_MAX + 1):
        fetch.tick(turn * TIMEOUT_MS)
    assert fetch.sources == {}
    assert fetch.tick(TIMEOUTS_MAX * TIMEOUT_MS) == []


def test_what_was_not_asked_for() -> None:
    """Neither a number nobody sent nor another's answer is a piece."""
    fetch = pieces(5, ONE, TWO)
    asked = fetch.tick(0)
    other = TWO if asked[0].peer == ONE else ONE

    assert fetch.came(ONE, 99) is None
    assert fetch.came(other, asked[0].request.number) is None


def test_a_neighbour_that_is_gone() -> None:
    """What it was asked for is asked of others at once."""
    fetch = pieces(2, ONE)
    fetch.tick(0)
    fetch.drop(ONE)
    fetch.add(TWO)

    assert {ask.peer for ask in fetch.tick(1)} == {TWO}


def part(raw: bytes, offset: int, *, height: int = 10, size: int | None = None, at_once: int = 4) -> ManifestReply:
    whole = len(raw) if size is None else size
    return ManifestReply(1, height, whole, raw[offset : offset + at_once], ())


def test_a_large_manifest_comes_in_parts() -> None:
    """Asked from where it broke off, of one neighbour at a time; a small one of another is taken meanwhile."""
    coming, raw = Manifests(), b"manifests"

    assert coming.take(ONE, 0, part(raw, 0), 0) is None
    assert (coming.peer, coming.have) == (ONE, 4)
    assert coming.take(TWO, 0, part(raw, 0), 1) is None
    assert (coming.peer, coming.have) == (ONE, 4)
    assert coming.take(TWO, 0, part(b"tiny", 0), 1) == b"tiny"
    assert coming.take(ONE, 4, part(raw, 4), 2) is None
    assert coming.take(ONE, 8, part(raw, 8), 3) == raw
    assert coming.peer == b""


def test_a_manifest_that_breaks_off() -> None:
    """Where another snapshot is the newest meanwhile, the neighbour goes or says nothing, it is begun anew."""
    coming, raw = Manifests(), b"manifests"
    for broken in (part(raw, 4, height=11), part(raw, 4, size=20)):
        assert coming.take(ONE, 0, part(raw, 0), 0) is None
        assert coming.take(ONE, 4, broken, 0) is None
        assert coming.have == 0
    assert coming.take(ONE, 0, part(raw, 0), 0) is None
    coming.forget(TWO)
    assert coming.take(TWO, 0, part(raw, 0), TIMEOUT_MS) is None
    assert coming.peer == TWO
    coming.forget(TWO)
    assert coming.take(TWO, 4, part(raw, 4), TIMEOUT_MS) is None
    assert coming.have == 0


@pytest.mark.parametrize("reply", [ManifestReply(1, 10, 4, b"", ()), ManifestReply(1, 10, 4, b"12345", ())])
def test_a_manifest_of_another_size(reply: ManifestReply) -> None:
    """More than it is said to have, or nothing of something: no honest node answers so."""
    with pytest.raises(Fault) as found:
        Manifests().take(ONE, 0, reply, 0)
    assert found.value.spec is NET_MALFORMED
