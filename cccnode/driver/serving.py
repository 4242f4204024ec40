"""Answers to requests for final blocks: one block read in a turn of the loop, and never more than the disk's share.

An answer ends with a block that carries its own finalization, or it would prove nothing (consensus.md 3.11).
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from cccnode.driver.links import Links
from cccnode.driver.runtime import Runtime
from p2p.events import Serve
from p2p.frames import Channel
from p2p.messages import BLOCKS_PER_REPLY_MAX, BLOCKS_REPLY_BYTES, Blocks, Kept, write
from storage.store import Store, is_certified

REPLY_BYTES_MAX: Final = 6 * 1024 * 1024
"""An answer may grow to this to end at a certified block; a frame takes 8 MiB."""
BYTES_PER_MS: Final = 32 * 1024
"""What is read for others in a millisecond, all askers together: votes and execution go first."""
REQUESTS_MAX: Final = 64
"""Requests that wait; the rest is dropped, and asked of somebody else."""
REQUESTS_OF_ONE_MAX: Final = 4
"""Of one asker: it has at most three under way."""


@dataclass(slots=True)
class _Answer:
    """What is read so far for one request."""

    request: Serve
    raws: list[bytes] = field(default_factory=list)
    size: int = 0
    certified: bool = False
    given_up: bool = False
    """Whoever asked is gone."""


class Serving:
    """Reads blocks for other nodes."""

    def __init__(self, *, runtime: Runtime, links: Links, store: Store) -> None:
        """Nobody has asked yet."""
        self._runtime, self._links, self._store = runtime, links, store
        self._requests: deque[Serve] = deque()
        self._answer: _Answer | None = None

    def serve(self, request: Serve) -> None:
        """Answer when it is this request's turn."""
        of_one = sum(waiting.peer == request.peer for waiting in self._requests)
        if of_one >= REQUESTS_OF_ONE_MAX or len(self._requests) >= REQUESTS_MAX:
            return
        self._requests.append(request)
        if self._answer is None:
            self._next()

    def forget(self, peer: bytes) -> None:
        """A node is gone: another process of it would not know what was asked."""
        self._requests = deque(waiting for waiting in self._requests if waiting.peer != peer)
        if self._answer is not None and self._answer.request.peer == peer:
            self._answer.given_up = True

    def _next(self) -> None:
        self._answer = _Answer(self._requests.popleft()) if self._requests else None
        if self._answer is not None:
            self._runtime.call_soon(self._step)

    def _step(self) -> None:
        """Read one block; then the loop may handle votes."""
        answer = self._answer
        assert answer is not None, "called while there is one"
        if not answer.given_up and self._read(answer):
            self._runtime.call_soon(self._step)
            return
        if not answer.given_up:
            self._links.send(answer.request.peer, Channel.BLOCK, write(self._message(answer)))
        self._runtime.call_later(answer.size // BYTES_PER_MS, self._next)

    def _message(self, answer: _Answer) -> Blocks | Kept:
        """The blocks, or that they were pruned: whoever asked asks another then."""
        request, first = answer.request, self._store.earliest_height
        if not answer.raws and request.first < first:
            return Kept(request.number, first)
        return Blocks(request.number, tuple(answer.raws))

    def _read(self, answer: _Answer) -> bool:
        """Add the next block to the answer; False when it is complete."""
        request, count = answer.request, len(answer.raws)
        applied = self._store.applied
        height = request.first + count
        enough = count >= request.count or answer.size >= BLOCKS_REPLY_BYTES
        if count == BLOCKS_PER_REPLY_MAX or applied is None or height > applied.height:
            return False
        if enough and (answer.certified or not count):
            return False
        raw = self._store.block_raw(height)
        if raw is None or (count and answer.size + len(raw) > REPLY_BYTES_MAX):
            return False
        answer.raws.append(raw)
        answer.size += len(raw)
        answer.certified = is_certified(raw)
        return True
