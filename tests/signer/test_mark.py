"""The high-water mark: whatever is asked, in whatever order, no two signatures contradict each other."""

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.codec import encode
from cccnode.signer.mark import Mark, Marks, allowed
from cccnode.types.errors import SIGNER_CHAIN, SIGNER_CONFLICT, SIGNER_DAMAGED, SIGNER_MARK, ErrorSpec, Fault
from cccnode.types.vote import Kind, Proposal, Vote, contradict, nullified
from storage.memory import MemoryDisk

KEY, CHAIN, OTHER = b"k" * 32, b"c" * 32, b"o" * 32
ONE, TWO = Proposal(5, 4, 9, b"1" * 32), Proposal(5, 3, 8, b"2" * 32)
GONE = nullified(5)


def _marks(disk: MemoryDisk | None = None) -> Marks:
    marks = Marks(disk or MemoryDisk(), KEY)
    if not marks.known:
        marks.found()
        marks.allow(CHAIN)
    return marks


def _asked(view: int, epoch: int = 0) -> list[tuple[Kind, int, Proposal]]:
    blocks = [Proposal(view, view - 1, view, block * 32) for block in (b"1", b"2")]
    votes = [(kind, epoch, block) for kind in (Kind.NOTARIZE, Kind.FINALIZE) for block in blocks]
    return [*votes, (Kind.NULLIFY, epoch, nullified(view))]


ASKS = st.lists(st.sampled_from([ask for view, epoch in product((1, 2, 3), (0, 1)) for ask in _asked(view, epoch)]))


@given(ASKS, st.integers(0, 20))
def test_nothing_contradicts(asks: list[tuple[Kind, int, Proposal]], stop: int) -> None:
    """Any requests, with a restart in between: signed votes never contradict, and each is signed again alike."""
    disk = MemoryDisk()
    marks, signed = _marks(disk), []
    for number, (kind, epoch, proposal) in enumerate(asks):
        if number == stop:
            marks = Marks(disk, KEY)
        if marks.note(kind, CHAIN, epoch, proposal) is None:
            signed.append((epoch, Vote(kind, proposal, 0, bytes(64))))
            assert marks.note(kind, CHAIN, epoch, proposal) is None
    for (epoch, one), (other_epoch, other) in combinations(signed, 2):
        assert epoch <= other_epoch
        if epoch == other_epoch:
            assert one.proposal.view <= other.proposal.view
            assert not contradict(one, other)
    for view in range(1, 4):
        left = {vote.kind for _, vote in signed if vote.proposal.view == view and vote.kind is not Kind.NOTARIZE}
        assert len({(epoch, kind) for epoch in (0, 1) for kind in left}) <= 2 * max(1, len(left))


@pytest.mark.parametrize(
    ("before", "then", "verdict"),
    [
        ([(Kind.NOTARIZE, ONE)], (Kind.NOTARIZE, TWO), SIGNER_CONFLICT),
        ([(Kind.NOTARIZE, ONE)], (Kind.FINALIZE, ONE), None),
        ([(Kind.NOTARIZE, ONE)], (Kind.FINALIZE, TWO), None),
        ([(Kind.NOTARIZE, ONE)], (Kind.NULLIFY, GONE), None),
        ([(Kind.FINALIZE, ONE)], (Kind.FINALIZE, TWO), SIGNER_CONFLICT),
        ([(Kind.FINALIZE, ONE)], (Kind.NULLIFY, GONE), SIGNER_CONFLICT),
        ([(Kind.NULLIFY, GONE)], (Kind.FINALIZE, ONE), SIGNER_CONFLICT),
        ([(Kind.NULLIFY, GONE)], (Kind.NOTARIZE, ONE), SIGNER_CONFLICT),
        ([(Kind.NULLIFY, GONE)], (Kind.NULLIFY, GONE), None),
        ([(Kind.NULLIFY, nullified(6))], (Kind.NOTARIZE, ONE), SIGNER_MARK),
    ],
)
def test_one_view(before: list[tuple[Kind, Proposal]], then: tuple[Kind, Proposal], verdict: ErrorSpec | None) -> None:
    """What one view allows: notarize once, then leave by one of two ways."""
    marks = _marks()
    for kind, proposal in before:
        assert marks.note(kind, CHAIN, 0, proposal) is None
    assert marks.note(then[0], CHAIN, 0, then[1]) is verdict


def test_the_epoch_comes_first() -> None:
    """Views begin anew with an epoch, and an old epoch is over."""
    marks = _marks()
    assert marks.note(Kind.NOTARIZE, CHAIN, 1, ONE) is None
    assert marks.note(Kind.NULLIFY, CHAIN, 0, nullified(100)) is SIGNER_MARK
    assert marks.note(Kind.NULLIFY, CHAIN, 2, nullified(1)) is None


def test_what_is_not_durable_is_not_signed() -> None:
    """The mark is on the disk when a vote may be signed; a disk that refuses keeps the mark where it was."""

    class Full(MemoryDisk):
        def replace_file(self, path: str, data: bytes) -> None:
            raise Fault(SIGNER_DAMAGED)

    disk = MemoryDisk()
    assert _marks(disk).note(Kind.NOTARIZE, CHAIN, 0, ONE) is None
    assert Marks(disk, KEY).known[CHAIN].notarized == ONE
    full = _marks()
    before = full.known[CHAIN]
    full._disk = Full()  # type: ignore[attr-defined]
    with pytest.raises(Fault):
        full.note(Kind.NOTARIZE, CHAIN, 0, ONE)
    assert full.known[CHAIN] == before


def test_floors_only_rise() -> None:
    """A chain is allowed once; later only a higher floor is taken, and at the floor itself nothing is signed."""
    marks = Marks(MemoryDisk(), KEY)
    assert marks.note(Kind.NOTARIZE, CHAIN, 0, ONE) is SIGNER_CHAIN
    marks.allow(CHAIN, epoch=0, view=5)
    assert marks.note(Kind.NOTARIZE, CHAIN, 0, ONE) is SIGNER_MARK
    assert marks.note(Kind.NOTARIZE, CHAIN, 0, Proposal(6, 5, 9, b"1" * 32)) is None
    for epoch, view in ((0, 0), (0, 5), (0, 6)):
        with pytest.raises(Fault) as refused:
            marks.allow(CHAIN, epoch=epoch, view=view)
        assert refused.value.spec is SIGNER_DAMAGED
    marks.allow(CHAIN, epoch=1)
    assert marks.note(Kind.NULLIFY, CHAIN, 1, nullified(1)) is None


def test_a_key_is_new_once() -> None:
    """A key that was made here needs no floor for its first chain; its second one does."""
    disk = MemoryDisk()
    marks = Marks(disk, KEY)
    assert not marks.made
    marks.found()
    assert marks.made
    marks.allow(CHAIN)
    assert not marks.made
    for name in list(disk.list(KEY.hex())):
        disk.remove(f"{KEY.hex()}/{name}")
    assert not Marks(disk, KEY).made  # marks that were deleted do not make a key new


@pytest.mark.parametrize("content", [b"", b"x", encode(Mark(KEY, OTHER, 0, 0)), encode(Mark(OTHER, CHAIN, 0, 0))])
def test_damaged_marks_are_refused(content: bytes) -> None:
    """Whoever has no sound mark signs nothing."""
    disk = MemoryDisk()
    _marks(disk)
    disk.replace_file(f"{KEY.hex()}/{CHAIN.hex()}.mark", content)
    with pytest.raises(Fault) as refused:
        Marks(disk, KEY)
    assert refused.value.spec is SIGNER_DAMAGED


def test_allowed_is_pure() -> None:
    """The same question has the same answer, and a repetition changes nothing."""
    after = allowed(Mark(KEY, CHAIN, 0, 5), Kind.NOTARIZE, 0, ONE)
    assert isinstance(after, Mark)
    assert allowed(after, Kind.NOTARIZE, 0, ONE) == after
