"""Copies of a running node's engine: of one moment, one at a time, closed however they end."""

import pytest

from cccnode.driver.copies import Copies
from cccnode.types.errors import BACKUP_BUSY, HOME_EMPTY, Fault
from storage.copying import END, read_origin, read_page
from storage.memory import MemoryDisk, MemoryEngine
from tests.storage.builders import commit, initialised


class AtOnce:
    """A runtime whose writers are done at once."""

    def run_in_writer(self, writer, job, done):
        assert writer == "backup"
        try:
            result = job()
        except Fault as refused:
            result = refused
        done(result)


class Watched(MemoryEngine):
    """Counts the snapshots that nobody let go of."""

    held = 0

    def snapshot(self):
        self.held += 1
        reading = super().snapshot()
        reading.close = self._let_go
        return reading

    def _let_go(self):
        self.held -= 1


@pytest.fixture
def engine():
    return Watched()


@pytest.fixture
def store(engine):
    store = initialised(MemoryDisk(), engine)
    for _ in range(5):
        commit(store)
    return store


def all_of(copy):
    found = []
    copy.next(found.append)
    while isinstance(found[-1], bytes):
        copy.next(found.append)
    return found


def test_of_one_moment(store, engine):
    """All pages are of the height at which the copy began, though the node goes on."""
    copy = Copies(AtOnce(), engine).begin(2)
    commit(store)
    origin, *pages, none = all_of(copy)
    assert none is None
    assert read_origin(origin).applied.height == 5
    assert read_page(pages[-1]) == END
    heights = [row for page in pages for row in read_page(page).rows if read_page(page).kind == "heights"]
    assert len(heights) == 2 * 4


def test_one_at_a_time(store, engine):
    """A second copy waits until the first is closed; closing twice is harmless."""
    copies = Copies(AtOnce(), engine)
    copy = copies.begin(0)
    with pytest.raises(Fault) as busy:
        copies.begin(0)
    assert busy.value.spec is BACKUP_BUSY
    copy.close()
    copy.close()
    assert engine.held == 0
    copies.begin(0).close()
    assert engine.held == 0


def test_what_goes_wrong_is_handed_on():
    """A named error goes to whoever asked, and not into the loop; anything else stops the node."""
    taken = []
    Copies(AtOnce(), Watched()).begin(0).next(taken.append)
    assert [refused.spec for refused in taken] == [HOME_EMPTY]

    class Broken(AtOnce):
        def run_in_writer(self, writer, job, done):
            done(ValueError("a bug"))

    with pytest.raises(ValueError, match="a bug"):
        Copies(Broken(), Watched()).begin(0).next(taken.append)
