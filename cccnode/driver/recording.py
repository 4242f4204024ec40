"""Records everything that enters the consensus core for a while, and hands it out as a capsule, piece by piece.

Nothing is kept while nobody records.  While somebody does, an event costs one appended tuple here; writing and packing
happen in a writer thread, and the pieces go to whoever asked.  A capsule ends by itself: after its time, at its size,
with the epoch, or with an engine that fails.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from cccnode.driver.runtime import Runtime, Timer
from cccnode.driver.voting import Voting
from cccnode.types.errors import INCIDENT_BUSY, INCIDENT_NOTHING, fault
from consensus.capsule import CapsuleWriter, Cause, Head, Recorder
from consensus.effects import Effect
from consensus.engine import Engine
from consensus.events import Event
from consensus.graph import layout

FLUSH_MS: Final = 250
"""Between two pieces: what a node that dies keeps to itself."""
STEPS_WAITING_MAX: Final = 65_536
"""Steps that wait for the writer thread; beyond that it is too slow for this node, and the recording ends."""

_WRITER: Final = "incident"
_log = structlog.get_logger("recording")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What somebody asked to be recorded."""

    seconds: int
    reason: str
    write: Callable[[bytes], None]
    """Gets the capsule, piece by piece."""
    ended: Callable[[], None]
    """Called after the last piece."""


class Recordings:
    """One node's recordings, one at a time."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        voting: Callable[[], Voting | None],
        program: str,
        node: bytes,
    ) -> None:
        """`voting` is asked again all the time, because every epoch has its own; the rest stands in the head."""
        self.runtime, self.voting = runtime, voting
        self.program, self.node = program, node
        self._running: _Recording | None = None

    def start(
        self, *, seconds: int, reason: str, write: Callable[[bytes], None], ended: Callable[[], None]
    ) -> Callable[[], None]:
        """Begin; what is returned ends it before its time and may be called at any time.

        Raises:
            Fault: `incident/BUSY`, `incident/NOTHING_TO_RECORD`, `core/OVERSIZE` where the engine's state is too large.
        """
        voting = self.voting()
        if voting is None:
            raise fault(INCIDENT_NOTHING)
        if self._running is not None and not self._running.over:
            raise fault(INCIDENT_BUSY, seconds_left=self._running.seconds_left)
        asked = Recorded(seconds=seconds, reason=reason, write=write, ended=ended)
        self._running = recording = _Recording(self, voting, asked)
        return lambda: recording.end(Cause.STOPPED)


class _Recording:
    """One recording, from its first piece to its last."""

    def __init__(self, recordings: Recordings, voting: Voting, asked: Recorded) -> None:
        self.over = False
        self._recordings, self._voting, self._asked = recordings, voting, asked
        self._runtime = recordings.runtime
        self._end_ms = self._runtime.now_ms() + 1_000 * asked.seconds
        self._recorder = Recorder(voting.engine)
        self._writer = CapsuleWriter()
        self._waiting = 0
        """Steps that are with the writer."""
        head = Head(
            program=recordings.program,
            layout=layout(),
            node=recordings.node,
            wall_ms=self._runtime.wall_ms(),
            now_ms=self._runtime.now_ms(),
            seconds=asked.seconds,
            reason=asked.reason,
            config=self._recorder.config,
        )
        voting.recorder = self
        state = self._recorder.state
        self._write(lambda: self._writer.begin(head, state))
        self._timer: Timer = self._runtime.call_later(FLUSH_MS, self._flush)
        _log.info("recording an incident", seconds=asked.seconds, reason=asked.reason)

    @property
    def seconds_left(self) -> int:
        """Until it ends by itself."""
        return max(0, self._end_ms - self._runtime.now_ms()) // 1_000

    def handle(self, engine: Engine, event: Event, now_ms: int) -> list[Effect]:
        """See `voting.Recorder`."""
        if engine is not self._recorder.engine:
            self.end(Cause.EPOCH)
            return engine.handle(event, now_ms)
        effects: list[Effect] | None = None
        try:
            effects = self._recorder.handle(event, now_ms)
            return effects
        finally:
            if effects is None:
                self.end(Cause.FAILED)

    def end(self, cause: Cause) -> None:
        """Write what is left, step aside, and be done."""
        if self.over:
            return
        self.over = True
        self._timer.cancel()
        if self._voting.recorder is self:
            self._voting.recorder = None
        state = self._recorder.close()
        known = state if cause in {Cause.TIME, Cause.STOPPED, Cause.EPOCH} else None
        self._more()
        self._write(lambda: self._writer.end(cause, known), self._asked.ended)
        _log.info("recorded an incident", cause=cause.name)

    def _flush(self) -> None:
        """The next piece; and whether it is time to end."""
        if self.over:
            return
        if self._recordings.voting() is not self._voting:
            self.end(Cause.EPOCH)
        elif self._runtime.now_ms() >= self._end_ms:
            self.end(Cause.TIME)
        elif self._writer.full or self._waiting + len(self._recorder.taken) > STEPS_WAITING_MAX:
            self.end(Cause.LIMIT)
        else:
            self._more()
            left_ms = self._end_ms - self._runtime.now_ms()
            self._timer = self._runtime.call_later(min(FLUSH_MS, left_ms), self._flush)

    def _more(self) -> None:
        taken, self._recorder.taken = self._recorder.taken, []
        if not taken:
            return
        self._waiting += len(taken)

        def written() -> None:
            self._waiting -= len(taken)

        self._write(lambda: self._writer.more(taken), written)

    def _write(self, job: Callable[[], bytes], then: Callable[[], None] = lambda: None) -> None:
        """Have the writer thread make a piece, hand it out, then go on."""

        def done(piece: bytes | BaseException) -> None:
            if isinstance(piece, BaseException):
                _log.error("an incident could not be recorded", why=repr(piece))
                self.end(Cause.FAILED)
                self._asked.ended()  # Without its last section: whoever asked sees that it broke off.
                return
            if piece:
                self._asked.write(piece)
            then()

        self._runtime.run_in_writer(_WRITER, job, done)
