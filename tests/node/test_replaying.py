"""The chain executed again from genesis gives what the nodes have, and says who changed what."""

import dataclasses
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.bank.state import balances_group
from cccnode.driver.certified import certify
from cccnode.node.replaying import Change, Replay, at_genesis, at_snapshot, leads_to
from cccnode.types.block import FinalBlock
from cccnode.types.errors import REPLAY_IMPOSSIBLE, SNAPSHOT_INVALID, Fault
from storage.snapshots import Shelf, read_manifest
from storage.store import Store
from tests.driver.test_snapshots import Town, verify_votes
from tests.node.support import Watched
from tests.simulation.nodes import STATE_DEPTH


def replay_of(watched: Watched, **given: Any) -> Replay:
    genesis = watched.network.demo.genesis
    document = replace(genesis.document, state_depth=STATE_DEPTH)
    return Replay(at_genesis(dataclasses.replace(genesis, document=document)), **given)


def busy() -> tuple[Watched, Store]:
    """A network that decided something, and a node's store."""
    watched = Watched()
    for _ in range(4):
        watched.send()
        watched.run(400)
    watched.run(3_000)
    return watched, watched.node.replica.store


def blocks(store: Store) -> list[FinalBlock]:
    found = [store.block(height) for height in range(1, store.applied.height + 1)]
    return [block for block in found if block is not None]


def test_it_gives_what_the_nodes_have() -> None:
    """Every root of every height, with and without watching; and the results lead to those of a final header."""
    watched, store = busy()
    for watching in (False, True):
        replay = replay_of(watched)
        for block in blocks(store):
            before = replay.results
            executed = replay.apply(block, [] if watching else None)
            then = store.applied_at(executed.height)
            assert (then.state_root, then.receipts_root) == (executed.state_root, executed.receipts_root)
            assert then.results.root() == executed.results_root
            leaf = (executed.height, executed.state_root, executed.receipts_root)
            assert leads_to(before, [leaf], executed.results_root)
            assert not leads_to(before, [leaf], bytes(32))
        assert store.applied.block_id == replay.block_id


def test_who_changed_what() -> None:
    """The changes of a block end in what it wrote, each names its transaction, and the rules' own name none."""
    watched, store = busy()
    replay, seen = replay_of(watched), False
    for block in blocks(store):
        changes: list[Change] = []
        executed = replay.apply(block, changes)
        final = {change.key: change.after for change in changes}
        writes = {(group, item): raw for group, items in executed.outcome.writes.items() for item, raw in items.items()}
        assert {key: raw for key, raw in writes.items() if key in final} == final
        for change in changes:
            seen = seen or change.transaction is not None
            if change.transaction is not None and change.key[0].startswith(b"b/"):
                account = executed.transactions[change.transaction].transaction.account
                touched = {row.key[0] for row in changes if row.transaction == change.transaction}
                assert balances_group(account) in touched
    assert seen


def test_invalid_blocks() -> None:
    """divergence/REPLAY_IMPOSSIBLE: another height, another parent, other transactions, an unknown epoch."""
    watched, store = busy()
    first = next(block for block in blocks(store) if block.header.height == 1)
    replay = replay_of(watched)
    spoiled = [
        first.__class__(replace(first.header, height=2), first.batches, None, ()),
        first.__class__(replace(first.header, parent=bytes(32)), first.batches, None, ()),
        first.__class__(first.header, (*first.batches, (b"x",)), None, ()),
        first.__class__(replace(first.header, epoch_record_hash=bytes(32)), first.batches, None, ()),
    ]
    for block in spoiled:
        with pytest.raises(Fault) as refused:
            replay.apply(block)
        assert REPLAY_IMPOSSIBLE is refused.value.spec
    assert replay.apply(first).height == 1


def test_unknown_rules_are_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of an epoch with a feature that this program does not know is not executed by other rules."""
    watched, store = busy()
    document = replace(watched.network.demo.genesis.document, state_depth=STATE_DEPTH, features=("demo",))
    replay = Replay(at_genesis(dataclasses.replace(watched.network.demo.genesis, document=document)))
    (first, *_) = blocks(store)
    (record_hash,) = [known for known, record in replay._records.items() if record.epoch == 0]
    block = first.__class__(
        replace(first.header, parent=replay.block_id, epoch_record_hash=record_hash), first.batches, None, ()
    )
    monkeypatch.setattr(CITY, "features", frozenset())
    with pytest.raises(Fault, match="does not know the rules of demo"):
        replay.apply(block)


def test_an_agreed_epoch_is_asked_for() -> None:
    """An epoch that no block leads to is found by whoever knows the record."""
    watched, store = busy()
    first = blocks(store)[0]
    asked: list[bytes] = []
    record = watched.node.replica.record
    strange = replace(first.header, epoch_record_hash=b"r" * 32)
    replay = replay_of(watched, find_record=lambda wanted: asked.append(wanted) or record)

    replay.apply(FinalBlock(strange, first.batches, None, ()))

    assert asked == [b"r" * 32]


def test_from_a_snapshot() -> None:
    """Begun at a certified snapshot it gives the same as from genesis, over the end of epochs; damage is refused."""
    town = Town(epoch_blocks=15)
    town.start()
    town.busy(12)
    node = town.network.nodes[0]
    shelf, store = Shelf(node.disk), node.replica.store
    certified = certify(read_manifest(shelf.manifest(shelf.heights()[0])), town.origin, verify_votes)
    content = certified.manifest.content
    replay = Replay(at_snapshot(certified, partial(shelf.piece, content)))
    assert replay.height == certified.manifest.height
    assert replay.results.root() == store.applied_at(replay.height).results.root()
    for height in range(replay.height + 1, store.applied.height + 1):
        executed = replay.apply(store.block(height), [])
        assert executed.results_root == store.applied_at(height).results.root()
    assert replay.height > certified.manifest.height
    with pytest.raises(Fault, match=SNAPSHOT_INVALID.name):
        at_snapshot(certified, lambda number: shelf.piece(content, number)[:-1])
