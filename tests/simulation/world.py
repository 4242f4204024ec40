"""A whole network in one process from one seed: virtual time, simulated links, disks that forget what was not synced.

`World` is the heap of events; `NodeRuntime` and `NodeLinks` are what the driver sees of it instead of asyncio and TLS.
"""

import contextlib
import errno
import heapq
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from cccnode.types.errors import Fault
from p2p.frames import Channel
from p2p.scores import Offence
from storage.memory import MemoryDisk, MemoryEngine

WALL_START_MS = 1_767_571_200_000
HALF = 0.5
_DONE_BEFORE = (0, 1, 2, 3, 99)
"""How many operations of a write are done when the power goes: perhaps all of it, and nobody was told."""


@dataclass(slots=True)
class Conditions:
    """How bad the network is at the moment."""

    loss: float = 0.0
    latency_ms: tuple[int, int] = (1, 5)
    groups: dict[str, int] = field(default_factory=dict)
    """Partition by place: nodes talk within their group only; nodes without one are in group 0."""


class _Timer:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never fires."""
        self.callback = None


class World:
    """Virtual time and the events to come."""

    def __init__(self, seed: int) -> None:
        """An empty world."""
        self.rng = random.Random(seed)
        self.now_ms = 0
        self.ahead_ms = 0
        """How far the clocks on the wall have jumped, as those of a demo city may."""
        self.conditions = Conditions()
        self.coverage: Counter[str] = Counter()
        self.processes: dict[bytes, list[NodeLinks]] = {}
        """Running processes by node key, oldest first: a copied home makes two of one key."""
        self.bytes_sent: Counter[bytes] = Counter()
        self.spoken: Callable[[bytes, bytes], None] = lambda key, payload: None
        """Hears every consensus message as it leaves: node key, payload."""
        self._heap: list[tuple[int, int, _Timer]] = []
        self._sequence = 0

    def at(self, delay_ms: int, callback: Callable[[], None]) -> _Timer:
        """Call back after `delay_ms` of virtual time; equal times run in the order they were asked for."""
        timer = _Timer(callback)
        self._sequence += 1
        heapq.heappush(self._heap, (self.now_ms + max(0, delay_ms), self._sequence, timer))
        return timer

    def run_until(self, end_ms: int, done: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass until `done` (asked after every event) or `end_ms`; return whether `done`."""
        while self._heap and self._heap[0][0] <= end_ms:
            self.now_ms, _, timer = heapq.heappop(self._heap)
            if timer.callback is not None:
                timer.callback()
                if done():
                    return True
        self.now_ms = max(self.now_ms, end_ms)
        return done()


class NodeRuntime:
    """One node's view of time; it dies with the node."""

    def __init__(self, world: World, *, skew_ms: int = 0, disk_ms: tuple[int, int] = (0, 4)) -> None:
        """A runtime in `world` whose wall clock is off by `skew_ms`."""
        self.rng = random.Random(world.rng.getrandbits(64))
        self._world, self._skew_ms, self._disk_ms = world, skew_ms, disk_ms
        self._free_at: dict[str, int] = {}
        self._jobs: dict[str, list[Callable[[], Any]]] = {}
        self.alive = True

    def now_ms(self) -> int:
        """Virtual milliseconds."""
        return self._world.now_ms

    def wall_ms(self) -> int:
        """Virtual Unix milliseconds, off by the node's skew."""
        return WALL_START_MS + self._world.now_ms + self._world.ahead_ms + self._skew_ms

    def cpu_ns(self) -> int:
        """Nobody measures here."""
        return 0

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Next, at the same virtual time."""
        self._world.at(0, lambda: self._if_alive(callback))

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> _Timer:
        """After virtual milliseconds."""
        return self._world.at(delay_ms, lambda: self._if_alive(callback))

    def run_in_writer(self, writer: str, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """The disk takes its time; jobs of one writer stay in order; a node that dies before may have done half."""
        start = max(self._world.now_ms, self._free_at.get(writer, 0))
        finish = start + self._world.rng.randint(*self._disk_ms)
        self._free_at[writer] = finish
        self._jobs[writer] = [*self._jobs.get(writer, ()), job]

        def run() -> None:
            self._jobs[writer].pop(0)
            try:
                result = job()
            except Fault as error:
                result = error
            done(result)

        self._world.at(finish - self._world.now_ms, lambda: self._if_alive(run))

    def die(self, disk: MemoryDisk, engine: MemoryEngine) -> None:
        """Power off: what each writer was doing is done up to a random point, then unsynced bytes are at risk."""
        self.alive = False
        rng = self._world.rng
        for writer in sorted(self._jobs):
            if self._jobs[writer] and rng.random() < HALF:
                self._world.coverage["writes cut short"] += 1
                refuse = _after(rng.choice(_DONE_BEFORE))
                disk.refuse = engine.refuse = refuse
                with contextlib.suppress(Fault):
                    self._jobs[writer][0]()
        disk.crash(rng)
        engine.crash(rng)

    def _if_alive(self, callback: Callable[[], None]) -> None:
        if self.alive:
            callback()


def _after(operations: int) -> Callable[[str, str], int | None]:
    """A disk that takes so many operations and then fails, as if the power went."""
    budget = iter(range(operations))
    return lambda _operation, _path: None if next(budget, None) is not None else errno.EIO


class NodeLinks:
    """One process's connections: in order, lossy only as whole disconnections would be, as over TCP."""

    def __init__(self, world: World, key: bytes, place: str = "") -> None:
        """Links of the node with that transport key, which stands at some place of the network."""
        self._world, self.key, self._place = world, key, place
        self.receive: Callable[[bytes, Channel, bytes], None] = lambda peer, channel, payload: None
        self.trusts: Callable[[bytes], bool] = lambda key: True
        """Whether TLS would let a node key in (J14)."""
        self._last: dict[tuple[bytes, Channel], int] = {}
        self.punished: list[tuple[bytes, Offence, str]] = []
        self.up = True
        world.processes[key] = [other for other in world.processes.get(key, ()) if other.up] + [self]

    def send(self, peer: bytes, channel: Channel, payload: bytes) -> bool:
        """Deliver after a random delay, in order for each channel; lost under loss or partition."""
        world = self._world
        target = self._partner(peer)
        if target is None:
            return False
        world.bytes_sent[self.key] += len(payload)
        if channel is Channel.CONSENSUS:
            world.spoken(self.key, payload)
        if world.rng.random() < world.conditions.loss:
            world.coverage["dropped"] += 1
            return True
        arrival = max(
            world.now_ms + world.rng.randint(*world.conditions.latency_ms), self._last.get((peer, channel), 0)
        )
        self._last[peer, channel] = arrival

        def deliver() -> None:
            # What was under way when a process died arrives, but never over the link of the one that follows it.
            if target.up and self._together(target) and target._partner(self.key) in {None, self}:
                target.receive(self.key, channel, payload)

        world.at(arrival - world.now_ms, deliver)
        return True

    def connected(self) -> Collection[bytes]:
        """Everybody who is up, trusted and in the same part of the network."""
        return [key for key in self._world.processes if self._partner(key) is not None]

    def meets(self, other: "NodeLinks") -> bool:
        """Whether the two are linked with each other."""
        return self._partner(other.key) is other

    def pause(self, peer: bytes, channel: Channel, *, paused: bool) -> None:
        """Nothing queues here."""

    def punish(self, peer: bytes, offence: Offence, detail: str) -> None:
        """Remember; the test decides whether that was right."""
        self.punished.append((peer, offence, detail))
        self._world.coverage["punished"] += 1

    def want(self, keys: Iterable[bytes]) -> None:
        """Everybody is linked already."""

    def hint(self, node_key: bytes, address: str) -> None:
        """There are no addresses."""

    def hang_up(self, peer: bytes) -> None:
        """Links are free."""

    def _partner(self, peer: bytes) -> "NodeLinks | None":
        """The process with which this one is linked under that key: each has one link with a key, and refuses more."""
        found = self._reached(peer)
        return found if found is not None and found._reached(self.key) is self else None

    def _reached(self, peer: bytes) -> "NodeLinks | None":
        """The oldest process with that key that is in reach."""
        if not self.up or peer == self.key or not self.trusts(peer):
            return None
        for other in self._world.processes.get(peer, ()):
            if other.up and self._together(other) and other.trusts(self.key):
                return other
        return None

    def _together(self, other: "NodeLinks") -> bool:
        groups = self._world.conditions.groups
        return groups.get(self._place, 0) == groups.get(other._place, 0)
