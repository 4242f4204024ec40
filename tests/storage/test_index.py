"""The transaction index: derived, idempotent by height, replaced when damaged."""

import sqlite3
import threading

import pytest

from cccnode.types.errors import DISK_FAILED, DISK_FULL, DISK_READ_ONLY, Fault
from storage import index as module
from storage.index import Index


def tx(number):
    return b"%032d" % number


@pytest.fixture(params=["file", "memory"])
def index(request, tmp_path):
    index = Index(tmp_path / "data/index/tx.sqlite" if request.param == "file" else None)
    yield index
    index.close()


def test_lookup(index):
    """A transaction is found at the height and position at which it was added; others are None."""
    assert index.indexed_height is None
    index.add([(0, [])])
    index.add([(1, [tx(1), tx(2)])])
    index.add([(2, [tx(3)])])
    assert [index.lookup(tx(number)) for number in range(1, 5)] == [(1, 0), (1, 1), (2, 0), None]
    assert index.indexed_height == 2


@pytest.mark.parametrize("count", [99, 100, 101, 250])
def test_many_together(index, count):
    """Blocks of any size are indexed whole, and an id that was decided twice keeps its first place."""
    order = [tx(number * 7919 % count) for number in range(count)]
    index.add([(1, order[:60]), (2, order[60:] + order[:1])])
    assert [index.lookup(one) for one in order] == [(1, at) if at < 60 else (2, at - 60) for at in range(count)]


def test_adding_again_changes_nothing(index):
    """A height that was added before is ignored; one that leaves a gap is our own mistake."""
    index.add([(5, [tx(1)])])
    index.add([(5, [tx(2)])])
    index.add([(4, [tx(3)])])
    assert [index.lookup(tx(number)) for number in (1, 2, 3)] == [(5, 0), None, None]
    with pytest.raises(AssertionError):
        index.add([(7, [])])


def test_clear(index):
    """A cleared index can be filled from any height again."""
    index.add([(5, [tx(1)])])
    index.clear()
    assert (index.lookup(tx(1)), index.indexed_height) == (None, None)
    index.add([(1, [tx(1)])])
    assert index.lookup(tx(1)) == (1, 0)


def test_it_stays(tmp_path):
    """What was added is there after closing and opening."""
    first = Index(tmp_path / "tx")
    first.add([(3, [tx(1)])])
    first.close()
    second = Index(tmp_path / "tx")
    assert (second.lookup(tx(1)), second.indexed_height) == ((3, 0), 3)
    second.close()


def test_written_in_a_thread_read_outside(tmp_path):
    """One thread adds while another looks up, each on its own connection."""
    index = Index(tmp_path / "tx")
    thread = threading.Thread(target=lambda: [index.add([(height, [tx(height)])]) for height in range(50)])
    thread.start()
    for _ in range(50):
        assert index.lookup(tx(0)) in (None, (0, 0))
    thread.join()
    assert index.lookup(tx(49)) == (49, 0)
    index.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5_000])
def test_a_damaged_file_is_replaced(tmp_path, content):
    """A damaged index is started anew: it is filled from the receipts again."""
    (tmp_path / "tx").write_bytes(content)
    index = Index(tmp_path / "tx")
    assert index.indexed_height is None
    index.add([(1, [tx(1)])])
    assert index.lookup(tx(1)) == (1, 0)
    index.close()


def test_another_schema_is_replaced(tmp_path, monkeypatch):
    """An index of another schema version is emptied."""
    first = Index(tmp_path / "tx")
    first.add([(3, [tx(1)])])
    first.close()
    connection = sqlite3.connect(tmp_path / "tx")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    second = Index(tmp_path / "tx")
    assert (second.lookup(tx(1)), second.indexed_height) == (None, None)
    second.close()


def test_invalid_place(tmp_path):
    """A path that cannot be a file is a named error."""
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "file/tx"):
        (tmp_path / "file").write_bytes(b"x")
        with pytest.raises(Fault) as refusal:
            Index(path)
        assert refusal.value.spec is DISK_FAILED


@pytest.mark.parametrize(
    ("code", "spec"), [(sqlite3.SQLITE_FULL, DISK_FULL), (sqlite3.SQLITE_READONLY | 8 << 8, DISK_READ_ONLY)]
)
def test_a_refusing_disk_is_named(code, spec):
    """SQLite's answers become the names that every store uses."""
    error = sqlite3.OperationalError("refused")
    error.sqlite_errorcode = code
    assert module._fault(error, "tx").spec is spec
