"""A network with genuine signatures and several sets of validators, and what its first node proves to others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import verify_many
from cccnode.node.proving import Prover
from cccnode.rpc.backend import StoredTransaction
from cccnode.types.errors import NOT_FOUND, fault
from cccnode.types.finality import Anchor, EpochLink, Trust
from cccnode.types.proofs import EventsProof, GroupProof, HistoryProof, TransactionProof
from genesis.header import first_record
from tests.driver.council import Council
from tests.simulation import nodes
from tests.simulation.nodes import SimulatedNode
from tests.support.fake_node import FakeNode

EPOCHS = 6
"""The network is in this epoch when it stands still: six sets of validators came before."""


class SignedCouncil(Council):
    """Votes are signed with Ed25519, as anywhere outside of the simulation."""

    keys: dict[bytes, SigningKey]

    def new_key(self, node: SimulatedNode) -> SigningKey:
        key = super().new_key(node)
        self.keys[key.public_key] = key
        return key

    def prover(self, number: int = 0) -> Prover:
        return Prover(self.replica(number).store)

    def trust(self) -> Trust:
        """What somebody knows who has the genesis document."""
        genesis = self.demo.genesis
        return Trust(
            chain=genesis.chain,
            depth=genesis.document.state_depth,
            record=first_record(genesis.document),
            verify_many=verify_many,
        )

    def followed(self) -> Trust:
        """The same after all epochs."""
        trust = self.trust()
        for link in self.links():
            trust.follow(link)
        return trust

    def links(self) -> list[EpochLink]:
        return list(self.prover().epoch_ends(0, 100))

    def tip(self) -> Anchor:
        anchor = self.prover().newest_anchor()
        assert anchor is not None
        return anchor


class _Keys(dict[bytes, SigningKey]):
    """Secrets by public key, first those of the organisations that the genesis knows."""

    def sign(self, public: bytes, message: bytes) -> bytes:
        return self[public].sign(message)


@contextmanager
def signed_council(**shape: Any) -> Iterator[SignedCouncil]:
    """A started network whose votes carry genuine signatures."""
    shape = {"epoch_blocks": 4, **shape}
    keys = _Keys()
    demo = nodes.demo_network(4, 0, shape["epoch_blocks"])
    keys.update({p.consensus.public_key: p.consensus for p in demo.partners if p.consensus is not None})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes, "sign_vote", partial(_Keys.sign, keys))
        patch.setattr(nodes, "verify_votes", verify_many)
        patch.setattr(SignedCouncil, "keys", keys, raising=False)
        yield SignedCouncil(patch, **shape)


@contextmanager
def proven_network() -> Iterator[SignedCouncil]:
    """That network after six epochs in which keys were replaced and members left and came back; idle."""
    with signed_council() as network:
        for epoch in range(EPOCHS):
            if epoch % 2 == 0:
                network.rotate(epoch % 4)
            network.until_epoch(epoch + 1)
        ids = network.transfer(count=20)
        assert network.run(60_000, lambda: network.all_executed(ids) and network.settled()), network.picture()
        network.run(2_000)
        network.sent = ids
        yield network


class ProvenNode(FakeNode):
    """That network's first node, or another, behind the RPC."""

    def __init__(self, network: SignedCouncil, number: int = 0) -> None:
        super().__init__()
        self.network, self.number, self.prover = network, number, network.prover(number)

    async def prove_group(self, group: bytes, height: int | None, wait_ms: int) -> GroupProof:
        return await self.prover.group(group, height, 0)

    async def prove_transaction(self, tx_id: bytes, wait_ms: int) -> TransactionProof:
        return await self.prover.transaction(stored(self.network, tx_id), 0)

    async def prove_events(self, height: int, wait_ms: int) -> EventsProof:
        return await self.prover.events(height, 0)

    def epoch_ends(self, first: int, count: int) -> Sequence[EpochLink]:
        return self.prover.epoch_ends(first, count)

    def newest_anchor(self) -> Anchor | None:
        return self.prover.newest_anchor()

    def prove_history(self, height: int, anchor: Anchor) -> HistoryProof | None:
        return self.prover.history(height, anchor)


def stored(network: SignedCouncil, tx_id: bytes) -> StoredTransaction:
    """A decided transaction, as a node finds it."""
    replica = network.replica()
    decision = replica.decision(tx_id)
    if decision is None:
        raise fault(NOT_FOUND, tx_id=tx_id)
    block, receipts = replica.store.block(decision.height), replica.store.receipts(decision.height)
    return StoredTransaction(
        raw=next(raw for batch in block.batches for raw in batch if replica.id_of(raw) == tx_id),
        height=decision.height,
        position=decision.position,
        receipt=receipts[decision.position],
        header=block.header,
    )
