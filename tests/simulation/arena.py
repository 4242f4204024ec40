"""The simulated world: time, links, the blocks that exist, and the audit of what honest validators did."""

import heapq
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from cccnode.crypto.hashing import ZERO
from cccnode.types.block import Header
from cccnode.types.validators import quorum
from cccnode.types.vote import Kind, Proposal, Vote
from tests.simulation.fakes import Signatures


class Violation(Exception):
    """Something that must never happen did."""


@dataclass(slots=True)
class Weather:
    """The faults of one seed until it heals."""

    loss: float
    duplicate: float
    latency_ms: tuple[int, int]
    body_loss: float
    crash: float


@dataclass(slots=True)
class Arena:
    """Everything that the nodes of one seed share."""

    rng: random.Random
    count: int
    byzantine: frozenset[int]
    weather: Weather
    heal_ms: int
    now: int = 0
    sequence: int = 0
    digest: int = 0
    coverage: Counter[str] = field(default_factory=Counter)
    signatures: Signatures = field(default_factory=Signatures)
    heap: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = field(default_factory=list)
    groups: list[int] | None = None
    """Which side of the partition a validator is on."""
    cut: set[tuple[int, int]] = field(default_factory=set)
    """Single links that are down, one direction each."""
    blocks: dict[bytes, tuple[Header, tuple[bytes, ...]]] = field(default_factory=dict)
    """Every block that anybody made."""
    proposed: dict[int, list[Proposal]] = field(default_factory=lambda: defaultdict(list))
    final: dict[int, bytes] = field(default_factory=dict)
    """The one final chain: what any honest node delivered, by height."""
    released: set[tuple[int, Kind, Proposal]] = field(default_factory=set)
    """Votes that left an honest node or are durable at it, and every vote of the others."""
    own: dict[tuple[int, int], dict[Kind, Proposal]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def healed(self) -> bool:
        """Whether the network is sound from now on."""
        return self.now >= self.heal_ms

    def after(self, delay_ms: int, action: Callable[..., None], *arguments: object) -> None:
        """Do something later."""
        self.sequence += 1
        heapq.heappush(self.heap, (self.now + max(1, delay_ms), self.sequence, action, arguments))

    def step(self) -> None:
        """The next thing happens."""
        self.now, _, action, arguments = heapq.heappop(self.heap)
        action(*arguments)

    def observe(self, raw: bytes, who: int) -> None:
        """Mix what happens into the digest of the run."""
        self.digest = zlib.crc32(raw, self.digest ^ (self.now << 8 | who) & 0xFFFFFFFF)

    def connected(self, source: int, target: int) -> bool:
        """Whether a message sent now can arrive."""
        if self.healed:
            return True
        if self.groups is not None and self.groups[source] != self.groups[target]:
            return False
        return (source, target) not in self.cut

    def deliveries(self) -> list[int]:
        """Delays of the copies of one message that arrive: none, one or two."""
        if self.healed:
            return [self.rng.randint(5, 60)]
        weather = self.weather
        if self.rng.random() < weather.loss:
            self.coverage["messages_lost"] += 1
            return []
        low, high = weather.latency_ms
        delays = [self.rng.randint(low, high)]
        if weather.duplicate and self.rng.random() < weather.duplicate:
            self.coverage["messages_doubled"] += 1
            delays.append(self.rng.randint(low, 2 * high))
        return delays

    # ----- the audit

    def release(self, vote: Vote) -> None:
        """An honest vote became durable or left its node: it must fit all earlier ones of that view."""
        signer, view = vote.signer, vote.proposal.view
        entry = (signer, vote.kind, vote.proposal)
        if entry in self.released:
            return
        self.released.add(entry)
        if signer in self.byzantine:
            return
        own = self.own[signer, view]
        own.setdefault(vote.kind, vote.proposal)
        if own[vote.kind] != vote.proposal or (Kind.NULLIFY in own and Kind.FINALIZE in own):
            raise Violation(f"honest validator {signer} contradicts itself in view {view}: {sorted(own)}")

    def deliver_final(self, height: int, delivered: bytes, who: int) -> None:
        """A node says that a block is final: all must say the same."""
        if self.final.setdefault(height, delivered) != delivered:
            raise Violation(f"fork at height {height}, seen by validator {who}")

    def audit_certificates(self) -> None:
        """From all votes that exist: no finalized and nullified view, no two notarizations of a view."""
        need = quorum(self.count)
        counts = Counter((kind, proposal) for _, kind, proposal in self.released)
        certified: dict[Kind, dict[int, set[bytes]]] = {kind: defaultdict(set) for kind in Kind}
        for (kind, proposal), votes in counts.items():
            if votes >= need:
                certified[kind][proposal.view].add(proposal.block_id)
        notarized, nullified = certified[Kind.NOTARIZE], certified[Kind.NULLIFY]
        for view in certified[Kind.FINALIZE]:
            if view in nullified:
                raise Violation(f"view {view} is finalized and nullified")
        for view, blocks in notarized.items():
            if len(blocks) > 1:
                raise Violation(f"view {view} has two notarizations")
        known = set(self.final.values()) | {ZERO}
        self.coverage["views_notarized_and_nullified"] += len(notarized.keys() & nullified.keys())
        self.coverage["views_nullified"] += len(nullified)
        self.coverage["notarized_orphans"] += sum(
            block not in known for blocks in notarized.values() for block in blocks
        )
        self.coverage["blocks"] += len(self.final)
