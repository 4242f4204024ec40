"""The history of accounts: pages newest first, idempotent by height, replaced when damaged."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.types.errors import DISK_FAILED, Fault, fault
from storage import history as module
from storage.history import History, open_history
from storage.leveldb import LevelDB
from storage.memory import MemoryEngine

ACCOUNTS = [bytes([number]) * 20 for number in (0, 1, 254, 255)]


def tx(number):
    return b"%032d" % number


def test_pages_newest_first(tmp_path):
    """An account's entries, and no other's, backwards in time; the next page begins where the last one ended."""
    history = open_history(tmp_path / "history")
    blocks = [
        (height, [(tx(10 * height + position), ACCOUNTS[: position + 1]) for position in range(3)])
        for height in range(1, 400, 7)
    ]
    for (before, _), (height, rows) in pairwise([(0, None), *blocks]):
        history.add([*((empty, []) for empty in range(before + 1, height)), (height, rows)])
    for number, account in enumerate(ACCOUNTS):
        expected = [((h, p), tx(10 * h + p)) for h, _ in reversed(blocks) for p in range(2, number - 1, -1)]
        assert history.page(account, limit=1_000) == expected
        first = history.page(account, limit=5)
        assert first == expected[:5]
        if first:
            assert history.page(account, before=first[-1][0], limit=7) == expected[5:12]
    history.close()
    again = open_history(tmp_path / "history")
    assert (again.first_height, again.indexed_height) == (1, 393)
    again.close()


@given(
    st.lists(st.lists(st.sets(st.sampled_from(ACCOUNTS)), max_size=4), max_size=12),
    st.sampled_from(ACCOUNTS),
    st.integers(1, 5),
)
def test_pages_join_to_everything(blocks, account, limit):
    """Whatever a page holds, walking them gives each entry once and in order."""
    history = History(MemoryEngine())
    for height, rows in enumerate(blocks, 3):
        history.add([(height, [(tx(height * 10 + at), sorted(names)) for at, names in enumerate(rows)])])
    places = [(h, at) for h, rows in enumerate(blocks, 3) for at, names in enumerate(rows) if account in names]
    walked, before = [], None
    while page := history.page(account, before=before, limit=limit):
        walked += [place for place, _ in page]
        before = page[-1][0]
    assert walked == places[::-1]


def test_adding_again_changes_nothing():
    """A height that was added before is ignored; one that leaves a gap is our own mistake."""
    history = History(MemoryEngine())
    history.add([])
    assert (history.first_height, history.indexed_height) == (None, None)
    history.add([(5, [(tx(1), ACCOUNTS)])])
    history.add([(4, [(tx(2), ACCOUNTS)]), (5, [(tx(2), ACCOUNTS)])])
    assert history.page(ACCOUNTS[1], limit=9) == [((5, 0), tx(1))]
    assert (history.first_height, history.indexed_height) == (5, 5)
    with pytest.raises(AssertionError):
        history.add([(7, [])])


def test_a_damaged_one_is_replaced(tmp_path):
    """What cannot be read is thrown away: it is filled again from blocks and receipts."""
    folder = tmp_path / "history"
    history = open_history(folder)
    history.add([(1, [(tx(1), ACCOUNTS)])])
    history.close()
    for manifest in folder.glob("MANIFEST*"):
        manifest.write_bytes(b"")
    empty = open_history(folder)
    assert (empty.indexed_height, empty.page(ACCOUNTS[0], limit=9)) == (None, [])
    empty.close()


def test_a_full_disk_is_not_damage(tmp_path, monkeypatch):
    """Only damage costs the history; any other refusal is the operator's to mend."""
    folder = tmp_path / "history"
    open_history(folder).close()

    def refuse(path):
        raise fault(DISK_FAILED, path=str(path), reason="made up")

    monkeypatch.setattr(module, "LevelDB", refuse)
    with pytest.raises(Fault) as refused:
        open_history(folder)
    assert refused.value.spec is DISK_FAILED
    assert folder.exists()


def test_what_is_not_written_is_not_said(tmp_path):
    """After a failed write the progress stays where it was."""
    engine = MemoryEngine()
    history = History(engine)
    history.add([(1, [])])
    engine.refuse = lambda operation, path: 28
    with pytest.raises(Fault):
        history.add([(2, [])])
    assert history.indexed_height == 1


@pytest.mark.parametrize("make", [MemoryEngine, None])
def test_engines_begin_where_they_are_told(make, tmp_path):
    """Both engines start at a key inside the prefix, behind it or before it."""
    engine = LevelDB(tmp_path / "db") if make is None else make()
    engine.write([(key, b"v") for key in (b"a", b"b1", b"b3", b"b5", b"c")], sync=True)
    for start, expected in [(b"", [b"b1", b"b3", b"b5"]), (b"b2", [b"b3", b"b5"]), (b"b3", [b"b3", b"b5"])]:
        assert [key for key, _ in engine.iterate(b"b", start=start)] == expected
    assert [key for key, _ in engine.iterate(b"b", start=b"b6")] == []
    engine.close()


def test_pruning(tmp_path):
    """What happened below a height is forgotten in short steps, shown no more at once, and the rest stays."""
    for history in (History(MemoryEngine()), open_history(tmp_path / "history")):
        history.add([(height, [(tx(height), ACCOUNTS[: 1 + height % 4])]) for height in range(1, 101)])
        steps = history.prune(60)
        next(steps)
        assert history.earliest == history.first_height == 60
        for account in ACCOUNTS:
            assert all(height >= 60 for (height, _), _ in history.page(account, limit=1_000))
        assert sum(steps) >= 0
        assert len(list(history._engine.iterate(b""))) == 1 + sum(1 + height % 4 for height in range(60, 101))
        assert [height for (height, _), _ in history.page(ACCOUNTS[0], limit=3)] == [100, 99, 98]
        history.close()
    again = open_history(tmp_path / "history")
    assert (again.first_height, again.indexed_height) == (60, 100)
    again.begin(150)
    again.add([(150, [])])
    assert (again.first_height, again.indexed_height) == (150, 150)
    again.close()


def test_nothing_to_prune():
    """A history that holds nothing yet is left alone."""
    history = History(MemoryEngine())
    assert list(history.prune(5)) == []
    assert history.indexed_height is None
