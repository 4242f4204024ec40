"""What a node proves, out of its store, to somebody who knows the genesis document alone."""

import asyncio
from collections.abc import Iterator

import pytest

from cccnode.city.bank.state import balance
from cccnode.ledger.state import Overlay
from cccnode.node import proving
from cccnode.node.proving import Prover
from cccnode.types.block import block_id
from cccnode.types.errors import NOT_FOUND, NOT_PROVABLE, PRUNED, RPC_BUSY, ErrorSpec, Fault
from genesis.bootstrap import ASSET
from genesis.header import first_record
from tests.support.proven import EPOCHS, SignedCouncil, proven_network, stored


@pytest.fixture(scope="module")
def network() -> Iterator[SignedCouncil]:
    with proven_network() as made:
        yield made


def test_the_first_record_needs_no_state(network: SignedCouncil) -> None:
    """The genesis document alone gives the record that the registry makes of the first state."""
    store = network.replica().store
    assert store.header(0).epoch_record_hash == network.links()[0].last.header.epoch_record_hash
    assert 0 == first_record(network.demo.genesis.document).epoch
    network.trust().verify(network.links()[0].last)


def test_epochs_are_followed(network: SignedCouncil) -> None:
    """From genesis to the tip, one block for each epoch."""
    trust = network.followed()
    assert EPOCHS == len(network.links()) == trust.record.epoch
    assert network.record == trust.record
    assert network.tip().header == trust.verify(network.tip())
    assert 2 == len(network.prover().epoch_ends(3, 2))


async def test_groups_are_proven_at_once(network: SignedCouncil) -> None:
    """At the newest height that a final header reports, without waiting; the items are all there are."""
    trust, prover, store = network.followed(), network.prover(), network.replica().store
    account = network.demo.account(0)
    proof = await prover.group(b"bank/" + account, None, 0)
    assert network.tip().header.exec_height == proof.result.height
    state = Overlay(store.state)
    for group in (b"b/" + account, b"no such group"):
        found = (await prover.group(group, None, 0)).verify(trust)
        assert store.state.group(group) == found
    assert balance(state, account, ASSET) > 0


async def test_recent_heights_are_proven(network: SignedCouncil) -> None:
    """Each of the last blocks, until what it replaced is forgotten."""
    trust, prover = network.followed(), network.prover()
    reported = network.tip().header.exec_height
    for height in range(max(0, reported - 10), reported + 1):
        proof = await prover.group(b"m/p/bank", height, 0)
        proof.verify(trust)
        assert height == proof.result.height


async def refused(answer: object) -> ErrorSpec:
    with pytest.raises(Fault) as caught:
        await answer
    return caught.value.spec


async def test_other_heights_are_not(network: SignedCouncil) -> None:
    """rpc/NOT_PROVABLE: a state that is not kept, or no final header in time; rpc/NOT_FOUND: no such block."""
    prover, height = network.prover(), network.replica().store.applied.height
    assert NOT_PROVABLE is await refused(prover.group(b"group", height + 1, 0))
    assert NOT_PROVABLE is await refused(prover.events(height, 1))
    assert NOT_FOUND is await refused(prover.events(height + 1, 0))


async def test_every_block_is_proven(network: SignedCouncil) -> None:
    """Every reported height has a proof of all its receipts and of its place in the history."""
    trust, prover, store = network.followed(), network.prover(), network.replica().store
    for height in range(network.tip().header.exec_height + 1):
        proof = await prover.events(height, 0)
        assert store.receipts(height) == list(proof.receipts)
        assert len(proof.verify(trust)) == len(proof.receipts)
        history = prover.history(height, network.tip())
        assert store.header(height) == history.verify(trust)
    assert prover.history(network.tip().header.height, network.tip()) is None


async def test_every_transaction_is_proven(network: SignedCouncil) -> None:
    """Its bytes, its place and its receipt."""
    trust, prover = network.followed(), network.prover()
    for tx_id in network.sent:
        found = stored(network, tx_id)
        proof = await prover.transaction(found, 0)
        identity, receipt = proof.verify(trust)
        assert (tx_id, 0, found.raw) == (identity, receipt.code, proof.raw)
        assert block_id(found.header) == block_id(proof.block.header)


async def test_a_proof_waits_for_its_header(network: SignedCouncil) -> None:
    """What is newer than every header is proven when one comes; a few may wait."""
    prover = network.prover()
    height = network.replica().store.applied.height
    waiting = asyncio.create_task(prover.group(b"m/p/bank", height, 10_000))
    await asyncio.sleep(0)
    assert 1 == prover.waiting
    network.transfer()
    assert network.run(60_000, lambda: network.settled() and network.tip().header.exec_height >= height)
    prover.wake()
    (await waiting).verify(network.followed())
    assert 0 == prover.waiting


async def test_few_may_wait(network: SignedCouncil, monkeypatch: pytest.MonkeyPatch) -> None:
    """rpc/BUSY beyond that."""
    monkeypatch.setattr(proving, "WAITING_MAX", 0)
    assert RPC_BUSY is await refused(network.prover().events(network.replica().store.applied.height, 1_000))


async def test_what_is_no_longer_kept(network: SignedCouncil, monkeypatch: pytest.MonkeyPatch) -> None:
    """storage/PRUNED names the first height that is kept; paths need nothing older than the block itself."""
    store, prover = network.replica().store, Prover(network.replica().store)
    found = stored(network, network.sent[0])
    kept = type(store).applied_at

    def applied_at(self: object, height: int) -> object:
        return kept(self, height) if height >= found.height - 1 else None

    monkeypatch.setattr(type(store), "applied_at", applied_at)
    (await prover.transaction(found, 0)).verify(network.followed())
    assert PRUNED is await refused(prover.events(found.height - 2, 0))
    monkeypatch.setattr(type(store), "block", lambda self, height: None)
    assert PRUNED is await refused(prover.transaction(found, 0))
