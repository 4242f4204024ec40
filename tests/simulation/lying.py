"""A whole node that lies: it runs the honest program, and what it says is changed on its way out."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from cccnode.codec import DecodeError, decode, encode
from cccnode.types.block import FinalBlock, block_id, body_root
from cccnode.types.vote import Kind, Proposal, Vote, vote_bytes
from consensus.messages import Message, ProposalMessage, VotesMessage, decode_message, encode_message
from p2p.frames import Channel
from p2p.messages import BlockMessage, Blocks, write
from tests.simulation.nodes import SimulatedNetwork, SimulatedNode, sign_vote

REMEMBERED = 200
"""Frames that it may say again."""
ALTERATIONS: tuple[dict[str, Any], ...] = (
    {"time_ms": 1},
    {"body": ()},
    {"state_root": bytes(32)},
    {"next_epoch_record_hash": b"n" * 32},
    {"next_epoch_record_hash": bytes(32)},
)


def altered(key: bytes, chain: bytes, message: ProposalMessage, **changes: Any) -> ProposalMessage:
    """Another block of the same leader in the same view, with a good signature."""
    body = changes.pop("body", message.body)
    if "time_ms" in changes:
        changes["time_ms"] += message.header.time_ms
    header = replace(message.header, body_root=body_root(body), **changes)
    old = message.proposal
    proposal = Proposal(old.view, old.parent_view, old.height, block_id(header))
    signature = sign_vote(key, vote_bytes(Kind.NOTARIZE, chain, message.epoch, proposal))
    return replace(message, header=header, body=body, proposal=proposal, signature=signature)


def other_vote(key: bytes, chain: bytes, epoch: int, vote: Vote) -> Vote:
    """A vote of the same kind and view for a block that nobody has."""
    proposal = replace(vote.proposal, block_id=bytes([vote.proposal.view % 256]) * 32)
    return replace(vote, proposal=proposal, signature=sign_vote(key, vote_bytes(vote.kind, chain, epoch, proposal)))


class Liar:
    """Lies in one manner to some, and now and then in every other."""

    def __init__(self, network: SimulatedNetwork, node: SimulatedNode) -> None:
        """The organisation of `node` may break every rule from now on."""
        self._network, self._node, self._rng = network, node, network.rng
        self._chain = network.demo.genesis.chain
        self._seen: list[tuple[Channel, bytes]] = []
        self._often = self._rng.choice([0.05, 0.2, 0.5])
        self._manners: list[Callable[[Channel, bytes], bytes | None]] = [
            self._drop,
            self._garble,
            self._repeat,
            self._equivocate,
            self._equivocate,
            self._serve_falsely,
        ]
        self._manner = self._rng.choice(self._manners)
        network.liars.add(node.name)
        network.booted = self._take_over

    def _take_over(self, node: SimulatedNode) -> None:
        """Stand between a process of its own that was just started and its links."""
        if node is not self._node:
            return
        links = node.links
        assert links is not None
        send = links.send

        def lied(peer: bytes, channel: Channel, payload: bytes) -> bool:
            said = self._say(channel, payload)
            return True if said is None else send(peer, channel, said)

        links.send = lied  # type: ignore[method-assign]

    def _say(self, channel: Channel, payload: bytes) -> bytes | None:
        self._seen.append((channel, payload))
        del self._seen[:-REMEMBERED]
        if self._rng.random() >= self._often:
            return payload
        self._network.coverage["lies"] += 1
        manner = self._manner if self._rng.random() < 0.8 else self._rng.choice(self._manners)
        return manner(channel, payload)

    def _drop(self, _channel: Channel, _payload: bytes) -> bytes | None:
        return None

    def _garble(self, _channel: Channel, payload: bytes) -> bytes | None:
        at = self._rng.randrange(len(payload)) if payload else 0
        return payload[:at] + self._rng.randbytes(1) + payload[at + 1 :]

    def _repeat(self, channel: Channel, _payload: bytes) -> bytes | None:
        return self._rng.choice([old for kind, old in self._seen if kind is channel])

    def _equivocate(self, channel: Channel, payload: bytes) -> bytes | None:
        if channel is not Channel.CONSENSUS:
            return payload
        message = decode_message(payload)
        key = self._key(message)
        if key is None:
            return payload
        match message:
            case ProposalMessage():
                return encode_message(altered(key, self._chain, message, **self._rng.choice(ALTERATIONS)))
            case VotesMessage(epoch=epoch, votes=votes):
                if any(vote.kind is Kind.NULLIFY for vote in votes):
                    return payload
                return encode_message(
                    replace(message, votes=tuple(other_vote(key, self._chain, epoch, vote) for vote in votes))
                )
        return payload

    def _key(self, message: Message) -> bytes | None:
        """Its consensus key in the epoch of a message."""
        record = self._network.audit.records.get(message.epoch)
        rows = record.validators if record is not None else ()
        return next((row.consensus_key for row in rows if row.organisation == self._node.name), None)

    def _serve_falsely(self, channel: Channel, payload: bytes) -> bytes | None:
        if channel is not Channel.BLOCK:
            return payload
        try:
            message = decode(BlockMessage, payload)  # type: ignore[arg-type]  # a union is not a type[T] to mypy
        except DecodeError:
            return payload
        if not isinstance(message, Blocks):
            return payload
        blocks = [decode(FinalBlock, raw) for raw in message.blocks]
        false = [replace(block, header=replace(block.header, state_root=bytes(32))) for block in blocks]
        return write(Blocks(message.number, tuple(encode(block) for block in false)))
