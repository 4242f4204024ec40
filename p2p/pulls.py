"""Fetching final blocks by height: from whom, how many, and what when no answer comes.

A few requests are under way at once, each with another neighbour and for other heights; answers are delivered in order.
A neighbour that does not answer in time is passed over for another who has the block.  Every answer is matched to a
request; what was not asked for is an offence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from p2p.events import Deliver, Effect, Punish, Send
from p2p.frames import Channel
from p2p.messages import BLOCKS_PER_REQUEST_MAX, Blocks, BlocksRequest, Kept
from p2p.overlay import GossipConfig, Neighbour
from p2p.scores import Offence

AHEAD_HEIGHTS: Final = 256
"""Heights asked for above the executed one."""
AHEAD_BYTES: Final = 32 * 1024 * 1024
"""Bytes of blocks that wait for each other or for execution."""
TIMEOUT_MS_MAX: Final = 30_000
"""Enough for the largest block over 2 Mbit/s."""
LATE_MAX: Final = 32
"""Requests remembered after they timed out: a late answer is welcome, and no offence."""
FAR: Final = 8
"""A validator so far behind pulls at once; consensus does not bring old blocks."""


@dataclass(slots=True)
class _Request:
    peer: bytes
    first: int
    count: int
    deadline_ms: int


@dataclass(slots=True)
class Pulls:
    """What is asked for, what has come, and what of it the driver has."""

    config: GossipConfig
    neighbours: Mapping[bytes, Neighbour]
    executed: int = -1
    delivered: int = -1
    """Up to here the driver holds the content."""
    urgent: int = -1
    """Up to here consensus lacks blocks now."""
    moved_ms: int = 0
    """When `delivered` last rose."""
    _slow: int = 0
    """Time-outs since anyone last answered: if all are slow, the line is, and more patience is needed."""
    _number: int = 0
    _requests: dict[int, _Request] = field(default_factory=dict)
    _late: dict[int, _Request] = field(default_factory=dict)
    _waiting: dict[int, tuple[bytes, tuple[bytes, ...]]] = field(default_factory=dict)
    """Answers whose predecessors are missing: first height -> (peer, blocks)."""
    _sizes: dict[int, int] = field(default_factory=dict)
    """Bytes of the blocks that wait, or are not executed, by height."""

    def tip(self, executed: int, have: int, now_ms: int) -> list[Effect]:
        """The driver has executed up to `executed` and holds content up to `have`."""
        self.executed = executed
        self._advance(max(executed, have), now_ms)
        self._sizes = {height: size for height, size in self._sizes.items() if height > executed}
        return self._deliver(now_ms)

    def bad(self, peer: bytes, height: int) -> list[Effect]:
        """What `peer` gave from `height` on is invalid."""
        self.delivered = max(self.executed, min(self.delivered, height - 1))
        self._waiting.clear()
        self._sizes.clear()
        if neighbour := self.neighbours.get(peer):
            neighbour.has = -1
        return [Punish(peer=peer, offence=Offence.INVALID_BLOCK, detail=f"block {height}")]

    def lost(self, peer: bytes) -> None:
        """That neighbour is gone, and with it what it was asked."""
        self._requests = {number: request for number, request in self._requests.items() if request.peer != peer}
        self._late = {number: request for number, request in self._late.items() if request.peer != peer}

    def answer(self, peer: bytes, message: Blocks, now_ms: int) -> list[Effect]:
        """Blocks came."""
        request = self._answered(peer, message.number)
        if request is None:
            detail = f"{len(message.blocks)} blocks"
            return [Punish(peer=peer, offence=Offence.UNSOLICITED, detail=detail)]
        neighbour = self.neighbours[peer]
        if not message.blocks:
            neighbour.has = min(neighbour.has, request.first - 1)
            return []
        neighbour.failures = self._slow = 0
        self._keep(peer, request.first, message.blocks)
        return self._deliver(now_ms)

    def pruned(self, peer: bytes, message: Kept) -> list[Effect]:
        """Whoever was asked does not keep it any more: others are asked, and it only for what it keeps."""
        request = self._answered(peer, message.number)
        if request is None or message.first <= request.first:
            return [Punish(peer=peer, offence=Offence.UNSOLICITED, detail=f"keeps blocks from {message.first}")]
        self.neighbours[peer].first = message.first
        return []

    def keepers(self, height: int) -> list[bytes]:
        """Neighbours that say they have a block, the most reliable first."""
        able = [one for one in self.neighbours.values() if one.first <= height <= one.has]
        return [one.node_key for one in sorted(able, key=lambda one: (one.failures, one.node_key))]

    def unobtainable(self) -> tuple[int, int] | None:
        """The next height that is needed and the earliest that any neighbour keeps, where all keep only later ones."""
        height = self.delivered + 1
        ahead = [one.first for one in self.neighbours.values() if one.has >= height]
        return (height, min(ahead)) if ahead and min(ahead) > height else None

    def _answered(self, peer: bytes, number: int) -> _Request | None:
        """The request of that number, which is over now; None if that neighbour was not asked so."""
        request = self._requests.get(number) or self._late.get(number)
        if request is None or request.peer != peer:
            return None
        self._requests.pop(number, None)
        self._late.pop(number, None)
        return request

    def tick(self, now_ms: int, *, validator: bool) -> list[Effect]:
        """Give up on requests that took too long, and ask for what is missing."""
        effects: list[Effect] = []
        for number, request in list(self._requests.items()):
            if request.deadline_ms <= now_ms:
                self._give_up(number)
                self._slow += 1
                if neighbour := self.neighbours.get(request.peer):
                    neighbour.failures += 1
                effects.append(Punish(peer=request.peer, offence=Offence.TIMEOUT, detail=f"block {request.first}"))
            elif self._has_better(request):
                self._give_up(number)
        if not validator or self._due_ms(now_ms) <= now_ms:
            effects += self._ask(now_ms)
        return effects

    def _give_up(self, number: int) -> None:
        self._late[number] = self._requests.pop(number)
        while len(self._late) > LATE_MAX:
            del self._late[next(iter(self._late))]

    def _has_better(self, request: _Request) -> bool:
        """Whether a neighbour that failed before was asked only because no other had the block, and now one has."""
        asked = self.neighbours.get(request.peer)
        if asked is None or asked.failures == 0:
            return False
        other = self._source(request.first)
        return other is not None and other.failures == 0

    def deadline_ms(self, now_ms: int, *, validator: bool) -> int | None:
        """When `tick` has something to do."""
        dates = [request.deadline_ms for request in self._requests.values()]
        if validator and self._best() > self.delivered:
            dates.append(max(now_ms + 1, self._due_ms(now_ms)))
        return min(dates, default=None)

    def _due_ms(self, now_ms: int) -> int:
        """When a validator may pull: at once if far behind or asked to, else when consensus brought nothing a while."""
        if self.urgent > self.delivered or self._credible() > self.delivered + FAR:
            return now_ms
        return self.moved_ms + self.config.pull_delay_ms

    def _best(self) -> int:
        return max((neighbour.has for neighbour in self.neighbours.values()), default=-1)

    def _credible(self) -> int:
        """What two neighbours claim, where there are enough: one liar must not make a validator pull every block."""
        heights = sorted(neighbour.has for neighbour in self.neighbours.values())
        return heights[-2] if len(heights) > 2 else self._best()

    def _ask(self, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        while len(self._requests) < self.config.pulls and sum(self._sizes.values()) < AHEAD_BYTES:
            first, room = self._gap()
            if first > self.executed + AHEAD_HEIGHTS:
                break
            neighbour = self._source(first)
            if neighbour is None:
                break
            count = min(room, neighbour.has - first + 1)
            span_ms = min(TIMEOUT_MS_MAX, self.config.pull_timeout_ms << min(self._slow, 8))
            self._number += 1
            self._requests[self._number] = _Request(neighbour.node_key, first, count, now_ms + span_ms)
            request = BlocksRequest(self._number, first, count)
            effects.append(Send(peer=neighbour.node_key, channel=Channel.BLOCK, message=request))
        return effects

    def _gap(self) -> tuple[int, int]:
        """The lowest height that is neither here nor asked for, and how many follow it that are not either."""
        spans = [(first, first + len(blocks)) for first, (_, blocks) in self._waiting.items()]
        spans += [(request.first, request.first + request.count) for request in self._requests.values()]
        first = self.delivered + 1
        for start, stop in sorted(spans):
            if first < start:
                return first, min(start - first, BLOCKS_PER_REQUEST_MAX)
            first = max(first, stop)
        return first, BLOCKS_PER_REQUEST_MAX

    def _source(self, height: int) -> Neighbour | None:
        """Who is asked: the most reliable, then whoever said first that it has it; one request each."""
        busy = {request.peer for request in self._requests.values()}
        able = [
            neighbour
            for neighbour in self.neighbours.values()
            if neighbour.first <= height <= neighbour.has and neighbour.node_key not in busy
        ]
        return min(able, key=lambda neighbour: (neighbour.failures, neighbour.heard), default=None)

    def _keep(self, peer: bytes, first: int, blocks: tuple[bytes, ...]) -> None:
        surplus = self.delivered + 1 - first
        if surplus > 0:
            first, blocks = first + surplus, blocks[surplus:]
        if blocks and (first not in self._waiting or len(self._waiting[first][1]) < len(blocks)):
            self._waiting[first] = (peer, blocks)
            for height, raw in enumerate(blocks, first):
                self._sizes[height] = len(raw)

    def _deliver(self, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        while self._waiting and min(self._waiting) <= self.delivered + 1:
            first = min(self._waiting)
            peer, blocks = self._waiting.pop(first)
            blocks = blocks[self.delivered + 1 - first :]
            if blocks:
                effects.append(Deliver(peer=peer, first=self.delivered + 1, blocks=blocks))
                self._advance(self.delivered + len(blocks), now_ms)
        return effects

    def _advance(self, height: int, now_ms: int) -> None:
        if height > self.delivered:
            self.delivered, self.moved_ms = height, now_ms
