"""A network with genuine signatures and several sets of validators, and what its first node proves to others."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import verify_many
from cccnode.node.proving import Prover
from cccnode.types.finality import Anchor, EpochLink, Trust
from genesis.header import first_record
from tests.driver.council import Council
from tests.simulation import nodes
from tests.simulation.nodes import SimulatedNode

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
