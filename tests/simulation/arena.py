"""The simulated world: time, links that lose, delay, double and hold messages, and the blocks that exist."""

import heapq
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from cccnode.types.block import Header
from cccnode.types.vote import Proposal
from tests.simulation.auditor import Auditor, Violation
from tests.simulation.fakes import RealSignatures, Signatures

HELD_MAX = 400
"""Messages that a clogged link holds back; beyond it they are lost, as in any queue."""

__all__ = ["Arena", "Violation", "Weather"]


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
    weather: Weather
    heal_ms: int
    audit: Auditor
    now: int = 0
    sequence: int = 0
    digest: int = 0
    coverage: Counter[str] = field(default_factory=Counter)
    signatures: Signatures | RealSignatures = field(default_factory=Signatures)
    heap: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = field(default_factory=list)
    groups: list[int] | None = None
    """Which side of the partition an identity is on."""
    cut: set[tuple[int, int]] = field(default_factory=set)
    """Single links that are down, one direction each."""
    clogged: set[int] = field(default_factory=set)
    """Identities whose links hold everything back."""
    held: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    """(source, target, delivery) of what is held back."""
    dead: set[int] = field(default_factory=set)
    """Identities that never come back."""
    blocks: dict[bytes, tuple[Header, tuple[bytes, ...]]] = field(default_factory=dict)
    """Every block that anybody made."""
    proposed: dict[tuple[int, int], list[Proposal]] = field(default_factory=lambda: defaultdict(list))
    """By epoch and view."""
    withheld: dict[bytes, frozenset[int]] = field(default_factory=dict)
    """Who can have a block's contents from its leader, where that is not everybody."""

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

    # ----- links

    def connected(self, source: int, target: int) -> bool:
        """Whether a message sent now can arrive."""
        if source in self.dead or target in self.dead:
            return False
        if self.healed:
            return True
        if self.groups is not None and self.groups[source] != self.groups[target]:
            return False
        return (source, target) not in self.cut

    def carry(self, source: int, target: int, delivery: Callable[[], None]) -> None:
        """One message from one identity to another: held back, lost, doubled or just late."""
        if not self.healed and (source in self.clogged or target in self.clogged):
            self.coverage["messages_held"] += 1
            if len(self.held) < HELD_MAX:
                self.held.append((source, target, delivery))
            return
        for delay in self._delays():
            self.after(delay, delivery)

    def unclog(self, identity: int) -> None:
        """What an identity's links held back flows again, in any order."""
        self.clogged.discard(identity)
        held, self.held = self.held, []
        for source, target, delivery in held:
            if source in self.clogged or target in self.clogged:
                self.held.append((source, target, delivery))
            else:
                self.after(self.rng.randint(1, 200), delivery)

    def _delays(self) -> list[int]:
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

    def calm(self) -> None:
        """The links are sound again."""
        self.groups, self.cut = None, set()
        for identity in sorted(self.clogged):
            self.unclog(identity)
