"""The transaction index follows the chain, and is filled again where it is missing."""

from typing import Any

import msgspec
import pytest

from cccnode.city import CITY
from cccnode.codec import encode
from cccnode.crypto.hashing import ZERO
from cccnode.ingress import trusted_transactions
from cccnode.ledger.receipts import accounts_in
from cccnode.node.indexing import (
    FLUSH_MS,
    REBUILD_BLOCKS,
    WAITING_MAX,
    Indexer,
    _concerned,
    history_indexer,
    transaction_indexer,
)
from cccnode.types.errors import DISK_FAILED, Fault, fault
from cccnode.types.receipt import Receipt
from storage.history import History
from storage.index import Index
from storage.memory import MemoryEngine
from tests.node.support import Watched

SECOND = 1_000
ALICE, BOB = b"a" * 20, b"b" * 20


def with_blocks(count: int) -> Watched:
    """A network in which so many blocks were executed."""
    watched = Watched(index=False)
    while watched.node.replica.chain.height < count:
        watched.send()
        watched.run(60)
    return watched


def indexer_of(watched: Watched, index: Index) -> Indexer[bytes]:
    indexer = transaction_indexer(runtime=watched.node.runtime, store=watched.node.replica.store, index=index)
    indexer.follow(watched.node.replica.decided_hooks)
    return indexer


def decided(watched: Watched) -> dict[bytes, int]:
    return {tx_id: height for tx_id, (height, _) in watched.network.decided.items()}


def test_it_follows_the_chain() -> None:
    """Every decided transaction is found, a few seconds after its block."""
    watched = Watched()
    for _ in range(5):
        watched.send()
        watched.run(200)
    watched.run(2 * FLUSH_MS)

    assert watched.indexer.height == watched.node.replica.chain.height > 0
    found = {tx_id: watched.index.lookup(tx_id)[0] for tx_id in watched.network.decided}
    assert decided(watched) == found


def test_an_empty_index_is_filled_from_receipts() -> None:
    """A lost index is rebuilt while the chain goes on, in jobs of bounded size, without a gap."""
    watched = with_blocks(2 * REBUILD_BLOCKS)
    index = Index(None)
    indexer = indexer_of(watched, index)
    assert 0 == indexer.height
    for _ in range(8):
        watched.send()
        watched.run(100)
    watched.run(2 * FLUSH_MS)

    assert indexer.height == watched.node.replica.chain.height
    assert decided(watched) == {tx_id: index.lookup(tx_id)[0] for tx_id in watched.network.decided}


def test_blocks_that_wait_are_bounded() -> None:
    """While the disk is slow, no more than some blocks wait in memory; the rest is read from the store later."""
    watched = with_blocks(3)
    watched.node.runtime._disk_ms = (0, 0)
    index = Index(None)
    indexer = indexer_of(watched, index)
    watched.run(SECOND)
    indexer._flushing = True  # As during a job that takes very long.
    applied = []
    watched.node.replica.decided_hooks.append(applied.append)
    while len(applied) < 4:
        watched.send()
        watched.run(60)
    for _ in range(WAITING_MAX):
        indexer.applied(applied[-1])
    assert len(indexer._waiting) <= WAITING_MAX
    indexer._waiting.clear()
    indexer._flush()
    watched.run(2 * FLUSH_MS)

    assert indexer.height == watched.node.replica.chain.height


def test_an_index_that_fails_stops_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses is named; nobody answers `expired` from a broken index."""
    watched = Watched()

    def broken(*_: object, **__: object) -> None:
        raise fault(DISK_FAILED, path="index")

    monkeypatch.setattr(watched.index, "add", broken)
    watched.send()
    with pytest.raises(Fault, match="home/DISK_FAILED"):
        watched.run(2 * FLUSH_MS)


def test_the_history_of_accounts() -> None:
    """Sender and receiver find every transfer that concerns them, newest first; nobody else does."""
    watched = with_blocks(3)
    replica = watched.node.replica
    history = History(MemoryEngine())
    history_indexer(runtime=watched.node.runtime, store=replica.store, index=history, registry=CITY).follow(
        replica.decided_hooks
    )
    for _ in range(4):
        watched.send()
        watched.run(100)
    watched.run(2 * FLUSH_MS)
    assert (history.first_height, history.indexed_height) == (1, replica.chain.height)

    concerned: dict[bytes, list[tuple[tuple[int, int], bytes]]] = {}
    for height in range(1, replica.chain.height + 1):
        raws = [raw for batch in replica.store.block(height).batches for raw in batch]
        for position, verified in enumerate(trusted_transactions(CITY, raws)):
            (message,) = verified.transaction.messages
            for account in {verified.transaction.account, message.to}:
                concerned.setdefault(account, []).insert(0, ((height, position), verified.id))
    assert len(concerned) >= 2
    assert {account: history.page(account, limit=1_000) for account in concerned} == concerned
    assert history.page(bytes(20), limit=9) == []


def test_skipped_transactions_shift_nobody() -> None:
    """Where a block lists transactions that it does not decide, or one twice, each receipt keeps its own payer."""
    watched = with_blocks(3)
    store = watched.node.replica.store
    blocks = [store.block(height) for height in (1, 2, 3)]
    first, second, third = (tuple(raw for batch in block.batches for raw in batch) for block in blocks)
    mixed = Block(
        block=msgspec.structs.replace(blocks[0], batches=((*third, *first), (*first, *second))),
        receipts=store.receipts(1) + store.receipts(2) + [encode(Receipt(ZERO, 0, 0, (("bank", "paid", BOB),)))],
    )
    concerned = _concerned(mixed, CITY, 1)
    alone = [row for height in (1, 2) for row in _concerned(store, CITY, height)]
    assert alone
    assert concerned == [*alone, (ZERO, [BOB])]
    pruned = _concerned(Block(block=None, receipts=mixed.receipts(1)), CITY, 1)
    assert [tx_id for tx_id, _ in pruned] == [tx_id for tx_id, _ in concerned]


class Block:
    """A store of one block."""

    def __init__(self, *, block: Any, receipts: list[bytes]) -> None:
        self.block, self.receipts = lambda _: block, lambda _: receipts


def test_what_a_receipt_names() -> None:
    """Fields of twenty bytes are accounts; texts, numbers and hashes are not."""
    events = (("bank", "transfer", ALICE, BOB, 5, "x" * 20), ("consent", "granted", bytes(32), ALICE, None, True))
    assert accounts_in(Receipt(bytes(32), 0, 0, events)) == {ALICE, BOB}
