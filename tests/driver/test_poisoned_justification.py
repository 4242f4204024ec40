"""A leader that spoils what nobody's signature covers must not keep others from fetching its blocks."""

import pytest
from msgspec.structs import replace

from cccnode.types.certificate import Certificate
from cccnode.types.vote import Kind, Proposal
from consensus.messages import Message, ProposalMessage
from p2p.scores import Offence
from tests.driver.support import Audited
from tests.driver.test_hostile_validators import on_consensus

JUNK = Certificate(9, Kind.NOTARIZE, Proposal(1, 0, 1, b"x" * 32), b"\xff", (b"s" * 64,))
"""Of an old view, which is no news to anybody and is not looked at."""


def test_a_malformed_certificate_beside_good_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not kept with the block, and a node that catches up holds nothing against those who serve it."""
    network = Audited(3, monkeypatch, validators=4, peers=1)
    network.start()
    network.run(500)

    def spoil(_peer: bytes, message: Message) -> Message:
        if isinstance(message, ProposalMessage) and message.proposal.view > 3:
            return replace(message, justification=(*message.justification, JUNK))
        return message

    network.filters[1] = on_consensus(spoil)
    peer = network.nodes[4]
    network.crash(peer, wipe=True)
    for _ in range(12):
        network.send(network.nodes[0], count=2)
        network.run(600)
    network.restart(peer)
    reached = network.height()

    assert network.run(20_000, lambda: peer.replica.chain.height >= reached)
    kept = [peer.replica.store.block(height).justification for height in range(1, reached + 1)]
    assert all(JUNK not in justification for justification in kept)
    assert not [offence for _, offence, _ in peer.links.punished if offence is not Offence.TIMEOUT]
