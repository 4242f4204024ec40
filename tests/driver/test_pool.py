"""What is known of each batch, and what a proposal lists."""

from types import SimpleNamespace

from cccnode.driver.pool import EARLY_MAX, REMOVED_MAX, BatchPool, Entry, make_entry
from cccnode.driver.quotas import OWN, adopted_from
from cccnode.types.limits import BLOCK_BYTES_MAX, BLOCK_TXS_MAX, BLOCK_WEIGHT_MAX, UNCOVERED_BYTES_MAX
from cccnode.types.transaction import Verified

NOW = 1_000


def transaction(name: bytes, *, size: int = 100, weight: int = 1, valid_until_ms: int = 9_000) -> Verified:
    return Verified(name, SimpleNamespace(valid_until_ms=valid_until_ms), bytes(size), weight)


def entry(name: bytes, *, txs: int = 1, creator: int | None = None, **fields: int) -> Entry:
    return make_entry(name, [transaction(name + b"/%d" % number, **fields) for number in range(txs)], creator)


def pool_of(*entries: Entry, covered: bool = True, quorum: int = 3) -> BatchPool:
    pool = BatchPool(quorum=quorum)
    for made in entries:
        pool.quotas.charge(made.creator, made.size)
        pool.add(made)
        pool.mark_durable(made.id, 0)
        if covered:
            pool.held_by(made.id, 1)
            pool.held_by(made.id, 2)
    return pool


def chosen(pool: BatchPool, *, exclude: tuple[bytes, ...] = (), time_ms: int = NOW) -> list[bytes]:
    return [made.id for made in pool.select(exclude=exclude, time_ms=time_ms)]


def test_oldest_first() -> None:
    """A proposal lists batches in their order of arrival."""
    assert [b"a", b"b"] == chosen(pool_of(entry(b"a"), entry(b"b")))


def test_not_before_it_is_durable() -> None:
    """A batch that is not synced to disk is neither listed nor a reason to make a block (J10)."""
    pool = BatchPool(quorum=3)
    pool.add(entry(b"a"))

    assert [] == chosen(pool)
    assert not pool.waiting
    assert pool.ready(b"a") is None

    pool.mark_durable(b"a", 0)

    assert pool.waiting
    assert pool.mark_durable(b"a", 0) is None, "the second time says nothing new"


def test_listed_above_is_not_listed_again() -> None:
    """What an unexecuted ancestor lists stays out."""
    assert [b"b"] == chosen(pool_of(entry(b"a"), entry(b"b")), exclude=(b"a",))


def test_expired_is_not_listed() -> None:
    """A batch whose last deadline is not above the block's time stays out (J3)."""
    pool = pool_of(entry(b"a", valid_until_ms=NOW), entry(b"b", valid_until_ms=NOW + 1))

    assert [b"b"] == chosen(pool)
    assert [b"a"] == pool.expired(NOW)


def test_uncovered_within_a_small_budget() -> None:
    """Batches that lack a quorum of Haves share 256 KiB of a block; covered ones do not count (J9)."""
    half = UNCOVERED_BYTES_MAX // 2
    lonely = [entry(b"u%d" % number, size=half) for number in range(3)]
    pool = pool_of(*lonely, covered=False)
    pool.held_by(b"u0", 1)
    covered = entry(b"c", size=half)
    pool.add(covered)
    pool.mark_durable(b"c", 0)
    pool.held_by(b"c", 1)
    pool.held_by(b"c", 3)

    assert [b"u0", b"u1", b"c"] == chosen(pool)


def test_limits_of_a_block() -> None:
    """Count, bytes and weight of a block are never passed (J2)."""
    assert 19 == len(chosen(pool_of(*(entry(b"%d" % number, txs=512) for number in range(25))))) == BLOCK_TXS_MAX // 512
    large = [entry(b"%d" % number, txs=16, size=16_000) for number in range(30)]
    assert sum(made.size for made in pool_of(*large).select(exclude=(), time_ms=NOW)) <= BLOCK_BYTES_MAX
    heavy = [entry(b"%d" % number, weight=BLOCK_WEIGHT_MAX // 2) for number in range(3)]
    assert 2 == len(chosen(pool_of(*heavy)))


def test_early_holders_are_counted() -> None:
    """Who announced a batch before it came is known to hold it afterwards."""
    pool = BatchPool(quorum=3)
    assert not pool.held_by(b"a", 1)
    assert not pool.held_by(b"a", 2)
    assert {1, 2} == pool.early_holders(b"a")

    pool.add(entry(b"a"))
    pool.mark_durable(b"a", 0)

    assert {0, 1, 2} == pool.get(b"a").holders
    assert set() == pool.early_holders(b"a")


def test_one_liar_cannot_crowd_out_announcements() -> None:
    """Unknown ids are bounded for each validator by itself: who floods displaces only its own."""
    pool = BatchPool(quorum=3)
    pool.held_by(b"honest", 1)
    for number in range(EARLY_MAX + 10):
        pool.held_by(b"%d" % number, 2)

    assert {1} == pool.early_holders(b"honest")
    assert set() == pool.early_holders(b"0")
    assert {2} == pool.early_holders(b"%d" % (EARLY_MAX + 9))


def test_removed_batches_are_remembered_for_a_while() -> None:
    """Late copies of a final batch are known to be late; the memory is bounded."""
    pool = pool_of(entry(b"a"))
    pool.remove([b"a"], 7)

    assert not pool.waiting
    assert pool.was_removed(b"a")
    assert pool.held_by(b"a", 3), "an announcement of it asks for nothing"
    assert 7 == pool.executed_at(b"a")
    pool.remove([b"a"])
    assert 7 == pool.executed_at(b"a"), "expiry does not hide that it was executed"

    pool.remove([b"%d" % number for number in range(REMOVED_MAX)], 8)

    assert not pool.was_removed(b"a")


def test_an_executed_batch_that_came_back_is_never_listed() -> None:
    """A batch held again because a later block lists it wakes nobody and is not listed anew."""
    again = entry(b"a")
    again.executed = True
    pool = BatchPool(quorum=1)
    pool.add(again)
    pool.mark_durable(b"a", 0)

    assert not pool.waiting
    assert [] == chosen(pool)
    pool.remove([b"a"], 9)
    assert not pool.waiting


def test_executed_while_another_block_lists_it() -> None:
    """It stays as long as that block may become final, and wakes nobody meanwhile (J10)."""
    pool = pool_of(entry(b"a"))
    pool.mark_executed(b"a")
    pool.mark_executed(b"a")

    assert pool.ready(b"a") is not None
    assert not pool.waiting
    assert [] == chosen(pool)
    pool.remove([b"a"], 2)
    assert not pool.waiting


def test_quota_is_given_back() -> None:
    """A creator is charged while its batch waits, and no longer."""
    pool = pool_of(entry(b"a", creator=2), entry(b"b", creator=2))
    assert 200 == pool.quotas.used(2)

    pool.remove([b"a", b"a"], 3)
    pool.remove([b"b"])

    assert 0 == pool.quotas.used(2)


def test_transactions_are_found_in_their_batch() -> None:
    """A waiting transaction leads to its batch until that leaves."""
    pool = pool_of(entry(b"a", txs=2))
    assert b"a" == pool.batch_of(b"a/1")

    pool.remove([b"a"], 1)

    assert pool.batch_of(b"a/1") is None


# Another epoch: other numbers, other debts


def test_holders_follow_their_organisations() -> None:
    """Who holds a batch is known by number: numbers change, who left holds nothing, who came has said nothing yet."""
    pool = pool_of(entry(b"a"))
    pool.held_by(b"a", 3)
    pool.held_by(b"late", 1)
    pool.begin_epoch(quorum=2, moved={0: 1, 2: 0, 3: 3}, me=1)

    assert ({0, 1, 3}, 2) == (pool.get(b"a").holders, pool.quorum)
    assert set() == pool.early_holders(b"late"), "it is announced anew"


def test_creators_follow_their_organisations() -> None:
    """Debts move with whoever made a batch; those of a validator that left are nobody's."""
    made = {b"mine": 0, b"theirs": 1, b"adopted": adopted_from(1), b"gone": 2, b"lost": adopted_from(2), b"block": None}
    pool = pool_of(*(entry(name, creator=creator) for name, creator in made.items()))
    pool.begin_epoch(quorum=3, moved={0: 2, 1: 0}, me=2)

    assert {b"mine": 2, b"theirs": 0, b"adopted": adopted_from(0), b"gone": None, b"lost": None, b"block": None} == {
        held.id: held.creator for held in pool
    }
    assert [100, 100, 100, 0] == [pool.quotas.used(creator) for creator in (2, 0, adopted_from(0), adopted_from(1))]
    pool.remove([held.id for held in pool], 1)
    assert [0, 0, 0] == [pool.quotas.used(creator) for creator in (2, 0, adopted_from(0))]


def test_a_validator_that_is_none_any_more_keeps_its_own() -> None:
    """What it made stays its own, and it holds nothing for others; when it comes back both are as before."""
    pool = pool_of(entry(b"mine", creator=0), entry(b"theirs", creator=1))
    pool.begin_epoch(quorum=3, moved={0: OWN, 1: 0}, me=None)
    assert [OWN, 0] == [held.creator for held in pool]
    assert [set(), set()] == [held.holders & {OWN} for held in pool]
    assert 100 == pool.quotas.used(OWN)

    pool.begin_epoch(quorum=3, moved={0: 1}, me=0)
    assert [0, 1] == [held.creator for held in pool]
    assert all(0 in held.holders for held in pool)
    assert (0, 100) == (pool.quotas.used(OWN), pool.quotas.used(0))
