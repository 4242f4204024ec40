"""Replays an incident capsule: the same engine, the same events and answers, and every effect compared.

A capsule may be anybody's.  A state that no program reaches can make the engine fail in any way, so whatever it raises
is caught and named; the two loops of the engine that such a state could keep from ending are looked at before.
"""
# ruff: noqa: SLF001 - what replays an engine looks into it

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cccnode.types.block import block_id
from cccnode.types.errors import INCIDENT_DIFFERS, INCIDENT_INVALID, Fault, fault
from cccnode.types.validators import quorum
from consensus.capsule import Capsule, Step, outcome, state_digest
from consensus.config import Config, EngineStatus, VerifyMany
from consensus.effects import Effect
from consensus.engine import Engine
from consensus.events import Event
from consensus.graph import decode_graph, layouts

_TEXT_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One event that was replayed, with the same effects as then."""

    number: int
    """From 0."""
    at_ms: int
    """Since the start of the recording."""
    event: Event
    effects: tuple[Effect, ...]
    status: EngineStatus | None
    """The engine after it; None where it failed, as then."""
    failure: str | None = None
    """How it failed."""


class Replay:
    """An engine made of a capsule's snapshot, and the events to give it."""

    def __init__(self, capsule: Capsule, *, verify_many: VerifyMany | None = None) -> None:
        """Make the engine.  `verify_many`: check every signature anew instead of believing the recorded verdicts.

        Raises:
            Fault: `incident/INVALID` or `incident/VERSION`.
        """
        self.capsule = capsule
        self._answers = _Answers(verify_many)
        self._failure: str | None = None
        self.engine, self.start = self._restored()

    def _restored(self) -> tuple[Engine, EngineStatus]:
        config, answers = self.capsule.config, self._answers
        hooks: dict[str, Callable[..., Any]] = {"_sign": answers.sign, "_verify_many": answers.verify_many}
        try:
            fresh = Engine(config, sign=answers.sign, verify_many=answers.verify_many, now_ms=0)
            engine: Engine = decode_graph(self.capsule.state, hooks=hooks, known=layouts(fresh))
            flaw = _flaw(engine, config)
            status = engine.status()
        except Fault:
            raise
        except Exception as error:
            raise fault(INCIDENT_INVALID, why=f"no engine has this state: {_named(error)}") from error
        if flaw is not None:
            raise fault(INCIDENT_INVALID, why=f"no engine has this state: {flaw}")
        return engine, status

    def steps(self) -> Iterator[Replayed]:
        """Give the engine one event after the other.

        Raises:
            Fault: `incident/DIFFERS` at the first that has another effect than then, or when the engine's state is
                another in the end; `incident/INVALID` for what is no event.
        """
        for number, step in enumerate(self.capsule.steps):
            yield self._replayed(number, step)
        last = self.capsule.end.state
        if last is not None and state_digest(self.engine) != last:
            raise fault(INCIDENT_DIFFERS, steps=len(self.capsule.steps), what="the engine's state after the last event")

    def _replayed(self, number: int, step: Step) -> Replayed:
        event = decode_graph(step.event, hooks={}, known={})
        if not isinstance(event, Event):
            raise fault(INCIDENT_INVALID, why=f"step {number} is not an event")
        self._failure = None
        effects, what = self._compared(event, step)
        if what is not None:
            raise fault(
                INCIDENT_DIFFERS,
                step=number,
                at_ms=step.now_ms - self.capsule.head.now_ms,
                event=type(event).__name__,
                what=what,
                effects=[type(effect).__name__ for effect in effects],
            )
        return Replayed(
            number=number,
            at_ms=step.now_ms - self.capsule.head.now_ms,
            event=event,
            effects=effects,
            status=None if step.outcome is None else self.engine.status(),
            failure=self._failure,
        )

    def _compared(self, event: Event, step: Step) -> tuple[tuple[Effect, ...], str | None]:
        """The effects, and what is not as it was then."""
        self._answers.expect(step)
        try:
            effects = tuple(self.engine.handle(event, step.now_ms))
            self.engine.status()
        except _Other as other:
            return (), str(other)
        except Exception as error:  # noqa: BLE001 - a foreign state may make the engine raise anything
            self._failure = _named(error)
            return (), None if step.outcome is None else f"the engine fails: {self._failure}"
        if step.outcome is None:
            return effects, "the engine failed then and does not fail now"
        if self._answers.unused is not None:
            return effects, self._answers.unused
        same = outcome(effects, self.engine.deadline_ms) == step.outcome
        return effects, None if same else "effects or deadline"


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_TEXT_MAX]


def _flaw(found: Any, config: Config) -> str | None:
    """What would keep an engine of this state from coming to an end, or make it another than the head says."""
    if not isinstance(found, Engine):
        return "it is not an engine"
    core = found._core
    if core.config != config:
        return "its configuration is another than the head's"
    count = len(config.record.validators)
    if (core.me, core.count, core.quorum) != (config.me, count, quorum(count)):
        return "another number of validators than its record's"
    for key, block in core.chain.blocks.items():
        if not key == block.block_id == block_id(block.header):
            return "a block under another id"  # With right ids no path of parents leads back to where it began.
    if any(low >= view for view, low in core.certificates._skip.items()):
        return "nullified views in a circle"
    return None


class _Other(Exception):
    """The replayed engine asks for something else than the recorded one did."""


class _Answers:
    """The callables of a replayed engine: they answer as they did when it was recorded."""

    def __init__(self, verify_many: VerifyMany | None) -> None:
        self._real = verify_many
        self._verdicts: list[bytes] = []
        self._signed: list[tuple[bytes, bytes]] = []

    def expect(self, step: Step) -> None:
        """The answers of the next step."""
        self._verdicts, self._signed = list(step.verdicts), list(step.signed)

    @property
    def unused(self) -> str | None:
        """What the step asked for then and not now."""
        if self._signed:
            return "a vote was signed then and is not now"
        return "signatures were checked then and are not now" if self._verdicts else None

    def sign(self, message: bytes) -> bytes | None:
        """The signature that was made then; None where a remote signer had not answered."""
        if not self._signed or self._signed[0][0] != message:
            raise _Other("a vote is signed now that was not signed then")
        return self._signed.pop(0)[1] or None

    def verify_many(self, messages: Sequence[bytes], signatures: Sequence[bytes], keys: Sequence[bytes]) -> list[bool]:
        """The verdicts that were given then."""
        if not self._verdicts or len(self._verdicts[0]) != len(signatures):
            raise _Other("other signatures are checked now than then")
        verdicts = [bool(verdict) for verdict in self._verdicts.pop(0)]
        if self._real is not None and self._real(messages, signatures, keys) != verdicts:
            raise _Other("the capsule says something wrong about a signature")
        return verdicts
