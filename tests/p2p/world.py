"""Many nodes' gossip in one process and virtual time: links, latencies, losses and dials come from one seed."""

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from cccnode.types.limits import PEERS_PER_VALIDATOR_MAX
from p2p import handshake
from p2p.events import (
    Arrived,
    BadBlocks,
    Contact,
    Deliver,
    DialFailed,
    Frame,
    Hangup,
    Hint,
    Item,
    Linked,
    Punish,
    Registered,
    Send,
    Serve,
    Submit,
    Tick,
    Tip,
    Unlinked,
    Want,
)  # fmt: skip
from p2p.frames import HEADER_BYTES, Channel
from p2p.gossip import Gossip, fit_blocks
from p2p.messages import Blocks, Role, write
from p2p.overlay import GossipConfig
from p2p.peers import PEER_LINKS_MAX

CHAIN = bytes(32)
SILENCE_MS = 15_000
REDIAL_MS = 1_000
BYTES_PER_MS = 10_000
EXECUTE_MS = 3


@dataclass
class SimNode:
    """A node: its gossip, what it stores, and what it would be measured by."""

    key: bytes
    validator: bool
    gossip: Gossip
    blocks: list[bytes]
    links: set[bytes] = field(default_factory=set)
    wanted: frozenset[bytes] = frozenset()
    alive: bool = True
    mute: bool = False
    """Takes everything and answers no request for blocks."""
    liar: bool = False
    """Answers with blocks that are wrong."""
    deaf: bool = False
    """A validator that consensus does not reach."""
    sent_bytes: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    punished: list[Punish] = field(default_factory=list)
    arrived: list[bytes] = field(default_factory=list)
    links_max: int = 0
    due_ms: int | None = None
    heard_ms: dict[int, int] = field(default_factory=dict)
    """When it had each height."""

    @property
    def height(self):
        return len(self.blocks) - 1


def block(height: int, size: int = 4_000) -> bytes:
    """The block of that height."""
    return height.to_bytes(8, "big") * (size // 8)


class World:
    """Validators and peers, linked as gossip and the handshake want it."""

    def __init__(self, *, validators: int, peers: int, seed: int, **config: Any) -> None:
        self.now_ms = 0
        self.chance = random.Random(seed)
        self._queue: list[tuple[int, int, Any]] = []
        self._turn = count()
        self.nodes: dict[bytes, SimNode] = {}
        for number in range(validators + peers):
            key = random.Random(f"{seed} {number}").randbytes(32)
            gossip = Gossip(GossipConfig(node_key=key, **config), random.Random(f"{seed} {number} chance"), 0)
            self.nodes[key] = SimNode(key, number < validators, gossip, [block(0)])
        self.contacts = tuple(
            Contact(node_key=node.key, validator=node.validator, addresses=("somewhere:1",))
            for node in self.nodes.values()
        )
        mesh = [node.key for node in self.validators]
        for node in self.nodes.values():
            self.tell(node, Registered(contacts=self.contacts))
            self.tell(node, Tip(height=0, block_id=bytes(32)))
        for a in mesh:
            for b in mesh:
                if a < b:
                    self.link(a, b)

    @property
    def validators(self):
        return [node for node in self.nodes.values() if node.validator]

    @property
    def peers(self):
        return [node for node in self.nodes.values() if not node.validator and node.alive]

    # Time

    def later(self, ms: int, call: Any) -> None:
        heapq.heappush(self._queue, (self.now_ms + ms, next(self._turn), call))

    def run_until(self, ms: int) -> None:
        while self._queue and self._queue[0][0] <= ms:
            self.now_ms, _, call = heapq.heappop(self._queue)
            call()
        self.now_ms = ms

    # What happens

    def make_blocks(self, *, every_ms: int, until_ms: int) -> None:
        """Consensus: all validators have the next block within some milliseconds."""

        def make() -> None:
            height = max(node.height for node in self.validators) + 1
            for node in [node for node in self.validators if not node.deaf]:
                self.later(self.chance.randrange(30), lambda node=node: self.store(node, height, [block(height)]))
            if self.now_ms + every_ms <= until_ms:
                self.later(every_ms, make)

        self.later(every_ms, make)

    def store(self, node: SimNode, first: int, blocks: list[bytes]) -> None:
        if node.alive and first == node.height + 1:
            node.blocks += blocks
            for height in range(first, first + len(blocks)):
                node.heard_ms[height] = self.now_ms
            self.tell(node, Tip(height=node.height, block_id=bytes(32)))

    def kill(self, node: SimNode) -> None:
        """It vanishes without a word; its neighbours notice by its silence."""
        node.alive = False
        for key in sorted(node.links):
            self.later(SILENCE_MS, lambda key=key: self.unlink(key, node.key))

    def submit(self, node: SimNode, raw: bytes, hops: int | None = None) -> None:
        item = Item(tx_id=raw, raw=raw, valid_until_ms=0)
        self.tell(node, Submit(items=(item,), hops=hops))

    # Links

    def link(self, a: bytes, b: bytes) -> None:
        for own, other in ((a, b), (b, a)):
            node = self.nodes[own]
            node.links.add(other)
            node.links_max = max(node.links_max, sum(not self.nodes[key].validator for key in node.links))
        for own, other in ((a, b), (b, a)):
            self.tell(self.nodes[own], Linked(peer=other, validator=self.nodes[other].validator, address="there:1"))

    def unlink(self, a: bytes, b: bytes) -> None:
        for own, other in ((a, b), (b, a)):
            node = self.nodes[own]
            if other in node.links:
                node.links.discard(other)
                self.tell(node, Unlinked(peer=other))
                if other in node.wanted:
                    self.later(self.latency(), lambda own=own, other=other: self.dial(own, other))

    def dial(self, own: bytes, other: bytes) -> None:
        node, partner = self.nodes[own], self.nodes[other]
        if not node.alive or other not in node.wanted or other in node.links:
            return
        if not partner.alive:
            self.later(REDIAL_MS, lambda: self.tell(node, DialFailed(peer=other)))
            return
        said = handshake.Self(node_key=own, chain=CHAIN, role=Role.PEER, height=node.height, listen="")
        hello = handshake.hello(said, wall_ms=0, nonce=bytes(16))
        peer_links = [key for key in sorted(partner.links) if not self.nodes[key].validator]
        facts = handshake.Facts(
            own=handshake.Self(node_key=other, chain=CHAIN, role=Role.PEER, height=0, listen=""), tls_key=own,
            registered=True, validator=node.validator, crossed=False, banned_ms=0, peer_links=len(peer_links),
            peer_links_max=PEERS_PER_VALIDATOR_MAX if partner.validator else PEER_LINKS_MAX,
        )  # fmt: skip
        if handshake.judge(hello, facts) is None:
            self.link(own, other)
        else:
            others = tuple((key, "there:1") for key in peer_links[:8])
            self.later(self.latency(), lambda: self.tell(node, DialFailed(peer=other, alternatives=others)))

    def latency(self) -> int:
        return self.chance.randrange(5, 60)

    # Gossip

    def tell(self, node: SimNode, event: Any) -> None:
        if not node.alive:
            return
        for effect in node.gossip.handle(event, self.now_ms):
            self.carry_out(node, effect)
        due = node.gossip.deadline_ms(self.now_ms)
        if due is not None and due != node.due_ms:
            node.due_ms = due
            self.later(max(1, due - self.now_ms), lambda: self._tick(node, due))

    def _tick(self, node: SimNode, due: int) -> None:
        if node.due_ms == due:
            node.due_ms = None
            self.tell(node, Tick())

    def carry_out(self, node: SimNode, effect: Any) -> None:
        match effect:
            case Send(peer=peer, channel=channel, message=message):
                self.send(node, peer, channel, message)
            case Want(keys=keys):
                fresh = set(keys) - node.wanted
                node.wanted = frozenset(keys)
                for key in sorted(fresh):
                    self.later(self.latency() * 2, lambda key=key: self.dial(node.key, key))
            case Serve(peer=peer, number=number, first=first, count=wanted):
                if node.mute:
                    return
                blocks = fit_blocks(node.blocks[first : first + wanted])
                if node.liar:
                    blocks = tuple(b"wrong" for _ in blocks)
                self.send(node, peer, Channel.BLOCK, Blocks(number, blocks))
            case Deliver(peer=peer, first=first, blocks=blocks):
                if all(raw == block(height) for height, raw in enumerate(blocks, first)):
                    self.later(EXECUTE_MS, lambda: self.store(node, first, list(blocks)))
                else:
                    self.later(EXECUTE_MS, lambda: self.tell(node, BadBlocks(peer=peer, height=first)))
            case Arrived(transactions=transactions, hops=hops):
                node.arrived += transactions
                if not node.validator:
                    for raw in transactions:
                        self.submit(node, raw, hops)
            case Punish():
                node.punished.append(effect)
                if effect.offence.weight >= 100:
                    self.unlink(node.key, effect.peer)
            case Hangup(peer=peer):
                self.unlink(node.key, peer)
            case Hint():
                pass

    def send(self, node: SimNode, peer: bytes, channel: Channel, message: Any) -> None:
        if peer not in node.links:
            return
        payload = write(message)
        node.sent_bytes += len(payload) + HEADER_BYTES
        node.sent[type(message).__name__] += 1
        frame = Frame(peer=node.key, channel=channel, payload=payload)
        partner = self.nodes[peer]

        def arrive() -> None:
            if node.key in partner.links:
                self.tell(partner, frame)

        self.later(self.latency() + len(payload) // BYTES_PER_MS, arrive)
