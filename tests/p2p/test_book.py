"""The address book: the newest genuine record of every registered node, and a name for every other one."""

import pytest
from msgspec.structs import replace

from cccnode.crypto.signing import SigningKey
from cccnode.types.errors import Fault
from cccnode.types.limits import NODE_ADDRESSES_MAX
from p2p import book as books
from p2p.addresses import AddressRecord, record_bytes
from p2p.book import AHEAD_MS_MAX, AddressBook

CHAIN = bytes(range(32))
OWN, ANN, BOB = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
NOW_MS = 1_800_000_000_000


class Clock:
    """A wall clock that the test sets."""

    def __init__(self):
        self.now_ms = NOW_MS

    def __call__(self):
        return self.now_ms


def book_of(who, *, clock=None, registered=(OWN, ANN, BOB), chain=CHAIN):
    made = AddressBook(chain=chain, own_key=who.public_key, sign=who.sign, wall_ms=clock or Clock())
    made.set_registered([key.public_key for key in registered])
    return made


def said(who, *addresses, time_ms=NOW_MS, chain=CHAIN):
    """The record of a node."""
    signed = record_bytes(chain=chain, node_key=who.public_key, time_ms=time_ms, addresses=addresses)
    return AddressRecord(who.public_key, time_ms, addresses, who.sign(signed))


def names(refused):
    return [reason.spec.name for reason in refused]


def test_the_newest_wins():
    """A newer record replaces an older one, in whatever order they come; an equal one is passed over in silence."""
    book = book_of(OWN)
    first, second = said(ANN, "a:1"), said(ANN, "b:2", "c:3", time_ms=NOW_MS + 1)
    assert book.learn([first]) == []
    assert book.learn([second]) == []
    assert book.addresses(ANN.public_key) == ("b:2", "c:3")
    assert book.learn([second]) == []
    assert names(book.learn([first])) == ["net/ADDRESS_STALE"]
    other = book_of(OWN)
    assert other.learn([second, first]) == []
    assert other.records() == (second,)


def test_a_node_that_listens_nowhere_says_so():
    """A record without addresses takes the older ones back."""
    book = book_of(OWN)
    book.learn([said(ANN, "a:1"), said(ANN, time_ms=NOW_MS + 1)])
    assert book.addresses(ANN.public_key) == ()
    assert book.record(ANN.public_key) is not None


def test_invalid_forged():
    """Changed by a bit, signed by another, of another chain, or with an address that cannot be: all are forged."""
    book = book_of(OWN)
    genuine = said(ANN, "a:1")
    forged = [
        replace(genuine, time_ms=genuine.time_ms + 1),
        replace(genuine, addresses=("b:1",)),
        replace(genuine, signature=bytes(64)),
        replace(said(BOB, "a:1"), node_key=ANN.public_key),
        said(ANN, "a:1", chain=bytes(32)),
        said(ANN, "a:99999"),
        said(ANN, "0.0.0.0:5"),
    ]
    for record in forged:
        assert names(book.learn([record])) == ["net/ADDRESS_FORGED"]
    assert book.records() == ()
    assert names(book.learn([forged[0], genuine, said(BOB, "b:1")])) == ["net/ADDRESS_FORGED"]
    assert book.records() == tuple(sorted([genuine, said(BOB, "b:1")], key=lambda record: record.node_key))


def test_invalid_dated_ahead():
    """Ten minutes ahead is the most: else a wrong clock would lock an address for ever."""
    clock = Clock()
    book = book_of(OWN, clock=clock)
    assert names(book.learn([said(ANN, "a:1", time_ms=NOW_MS + AHEAD_MS_MAX + 1)])) == ["net/ADDRESS_AHEAD"]
    assert book.learn([said(ANN, "a:1", time_ms=NOW_MS + AHEAD_MS_MAX)]) == []
    clock.now_ms += 1
    assert book.learn([said(ANN, "b:1", time_ms=NOW_MS + AHEAD_MS_MAX + 1)]) == []


def test_invalid_stranger():
    """Records of nodes that are not registered are not kept, nor those of such as are no longer."""
    book = book_of(OWN, registered=[ANN])
    assert names(book.learn([said(BOB, "b:1"), said(ANN, "a:1")])) == ["net/NOT_REGISTERED"]
    book.set_registered([])
    assert book.records() == ()
    own = book.advertise(["o:1"])
    book.set_registered([])
    assert book.records() == (own,)


def test_own_record_is_made_once():
    """What is said already is not signed again; what changed is, with a later date even if the clock stands still."""
    book = book_of(OWN)
    first = book.advertise(["o:1"])
    assert book.advertise(["o:1"]) is first
    second = book.advertise(["o:2", "o:3", "o:2"])
    assert (second.addresses, second.time_ms) == (("o:2", "o:3"), NOW_MS + 1)
    assert book.own == second
    assert book_of(ANN).learn([first, second]) == []


@pytest.mark.parametrize("wrong", [["0.0.0.0:1"], ["a:0"], ["nonsense"], ["ก:1"], ["x" * 200 + ":1"]])
def test_invalid_own_address(wrong):
    """A node says nothing that nobody could dial."""
    with pytest.raises(Fault, match="config/INVALID"):
        book_of(OWN).advertise(wrong)


def test_invalid_too_many_own_addresses():
    """Four addresses are enough for anyone."""
    with pytest.raises(Fault, match="config/INVALID"):
        book_of(OWN).advertise([f"a:{port}" for port in range(1, NODE_ADDRESSES_MAX + 2)])


def test_kept_records_come_back():
    """What was exported is imported, checked like any other; an unchanged address needs no new signature."""
    book = book_of(OWN)
    book.learn([said(ANN, "a:1"), said(BOB, "b:1", time_ms=NOW_MS + 5)])
    own = book.advertise(["o:1"])
    kept = book.records()
    assert [record.time_ms for record in kept] == [NOW_MS + 5, NOW_MS, NOW_MS]
    again = book_of(OWN)
    assert again.learn(kept) == []
    assert again.records() == kept
    assert again.advertise(["o:1"]) == own
    damaged = [replace(kept[0], addresses=("evil:1",))]
    assert names(book_of(OWN).learn(damaged)) == ["net/ADDRESS_FORGED"]


def test_own_older_words_are_overruled():
    """A node whose clock was set back learns what it said last, and dates its words after that."""
    clock = Clock()
    clock.now_ms = NOW_MS - 60_000
    book = book_of(OWN, clock=clock)
    book.advertise(["new:1"])
    assert book.learn([said(OWN, "old:1", time_ms=NOW_MS)]) == []
    assert (book.own.addresses, book.own.time_ms) == (("new:1",), NOW_MS + 1)
    assert book_of(ANN).learn([book.own]) == []


def test_news_are_told_once_and_not_back():
    """Since a serial number there is only what came later, without what the reader told us or says itself."""
    book = book_of(OWN)
    book.learn([said(ANN, "a:1")], source=BOB.public_key)
    start = book.serial
    own = book.advertise(["o:1"])
    bobs = said(BOB, "b:1")
    book.learn([bobs], source=ANN.public_key)
    assert book.since(0, reader=BOB.public_key, limit=9) == ((own,), book.serial)
    assert book.since(start, reader=ANN.public_key, limit=9) == ((own,), book.serial)
    stranger = bytes(32)
    some, serial = book.since(start, reader=stranger, limit=1)
    assert some == (own,)
    rest, serial = book.since(serial, reader=stranger, limit=1)
    assert (rest, serial) == ((bobs,), book.serial)
    assert book.since(serial, reader=stranger, limit=1) == ((), book.serial)


def test_the_book_is_bounded(monkeypatch):
    """Beyond its limit the record taken up longest ago is forgotten, never the own one."""
    monkeypatch.setattr(books, "NODES_REMEMBERED_MAX", 2)
    book = book_of(OWN)
    own = book.advertise(["o:1"])
    book.learn([said(ANN, "a:1")])
    book.learn([said(BOB, "b:1")])
    assert set(book.records()) == {own, said(BOB, "b:1")}
