"""Incident capsules: everything that entered the consensus core for a while, from which it replays bit for bit.

A capsule is a file: `MAGIC`, then sections, each as length (4 bytes), check (16 bytes) and zlib bytes.  First the head
and a snapshot of the running engine; then steps: event, time, the answers that the engine got about signatures, and a
digest of what it asked for; last how the recording ended, with a digest of the engine's state.  A check covers all
sections before its own, so a file that is cut or damaged is refused.  No key is ever in it: a replay gives the engine
the signatures that were made.  Files may come from anybody, and may say what they like: reading one runs none of it,
and what it makes an engine do is compared, not believed.
"""
# ruff: noqa: SLF001 - a capsule holds the inner state of an engine

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import DecodeError, Noun, decode, encode
from cccnode.crypto.hashing import tagged
from cccnode.types.errors import INCIDENT_INVALID, INCIDENT_VERSION, OVERSIZE, Fault, fault
from cccnode.types.scalars import U63, Hash, Millis, PublicKey
from consensus.config import Config, Sign
from consensus.effects import Effect
from consensus.engine import Engine
from consensus.events import Event
from consensus.graph import decode_graph, encode_graph, layout

MAGIC: Final = b"ccc/incident/1\n"
BYTES_MAX: Final = 64 * 1024 * 1024
"""All sections of one capsule, unpacked."""
FILE_BYTES_MAX: Final = BYTES_MAX + BYTES_MAX // 8
"""The file: packing may add a little to what does not shrink."""
SECONDS_MAX: Final = 600
"""The longest recording."""
_END_BYTES: Final = 256
"""Kept free for the last section."""
_CHECK_BYTES: Final = 16
_LEVEL: Final = 1
"""Signatures do not shrink, so the quickest packing is as good as any."""
_CHECK: Final = b"ccc/1/incident"
_OUTCOME: Final = b"ccc/1/outcome"
_STATE: Final = b"ccc/1/engine"

Text = Annotated[str, Meta(max_length=512)]


# ----- sections


class Head(Noun, tag=1, frozen=True, array_like=True, gc=False):
    """Where, when and why."""

    program: Text
    """Version of the program that recorded."""
    layout: Hash
    """Of its classes (`graph.layout`)."""
    node: PublicKey
    """Key of its connections."""
    wall_ms: Millis
    """Unix time at the start."""
    now_ms: int
    """Monotonic time at the start: steps count from it."""
    seconds: Annotated[int, Meta(ge=1, le=SECONDS_MAX)]
    """How long it was to be."""
    reason: Text
    """What the operator wrote."""
    config: bytes
    """The engine's configuration: chain, epoch, record, own index."""


class Snapshot(Noun, tag=2, frozen=True, array_like=True, gc=False):
    """The whole engine before the first step."""

    state: bytes


class Step(Noun, frozen=True, array_like=True, gc=False):
    """One event, and what came of it."""

    now_ms: int
    event: bytes
    outcome: Hash | None
    """Digest of the effects and of the next deadline; None: the engine failed."""
    verdicts: tuple[bytes, ...]
    """What each call for verification answered: one byte for each signature, 1 for a good one."""
    signed: tuple[tuple[bytes, Annotated[bytes, Meta(max_length=64)]], ...]
    """What was to be signed, in order, and the signature; none where a remote signer had not answered."""


class Steps(Noun, tag=3, frozen=True, array_like=True, gc=False):
    """Some steps, in order."""

    steps: tuple[Step, ...]


class Cause(IntEnum):
    """Why a recording ended."""

    TIME = 0
    STOPPED = 1
    LIMIT = 2
    """The next steps would have made it too large."""
    EPOCH = 3
    """The next epoch has an engine of its own."""
    FAILED = 4
    """The last event made the engine fail, and the node with it."""
    CUT = 5
    """Whoever fetched it lost the node, or stopped."""


class End(Noun, tag=4, frozen=True, array_like=True, gc=False):
    """How it ended."""

    cause: Cause
    steps: U63
    state: Hash | None
    """Digest of the engine's state; None where it is not known for just these steps."""


Section = Head | Snapshot | Steps | End


# ----- recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A step as it happened; all of it is frozen, so it can be written later, and elsewhere."""

    event: Event
    now_ms: int
    effects: tuple[Effect, ...] | None
    deadline_ms: int | None
    verdicts: tuple[bytes, ...]
    signed: tuple[tuple[bytes, bytes], ...]


class Recorder:
    """Stands between an engine and its driver, and between the engine and its signatures."""

    def __init__(self, engine: Engine) -> None:
        """Take the snapshot and begin.

        Raises:
            Fault: `core/OVERSIZE` where the state alone is too large; `incident/VERSION` where it cannot be written.
        """
        self.engine = engine
        self.config = encode_graph(engine._core.config)
        self.state = encode_graph(engine)
        if len(self.state) > BYTES_MAX // 2:
            raise fault(OVERSIZE, bytes=len(self.state), bytes_max=BYTES_MAX // 2)
        self.taken: list[Taken] = []
        self._verdicts: list[bytes] = []
        self._signed: list[tuple[bytes, bytes]] = []
        self._guard, self._verifier = engine._core.guard, engine._core.verifier
        self._sign, self._verify_many = self._guard._sign, self._verifier._verify_many
        if self._sign is not None:
            self._guard._sign = self._signing(self._sign)
        self._verifier._verify_many = self._verifying

    def handle(self, event: Event, now_ms: int) -> list[Effect]:
        """As `Engine.handle`, and remember it."""
        effects: list[Effect] | None = None
        try:
            effects = self.engine.handle(event, now_ms)
            return effects
        finally:  # An engine that fails takes the node down; what did it is what people will want to see.
            self.taken.append(
                Taken(
                    event=event,
                    now_ms=now_ms,
                    effects=None if effects is None else tuple(effects),
                    deadline_ms=self.engine.deadline_ms,
                    verdicts=tuple(self._verdicts),
                    signed=tuple(self._signed),
                )
            )
            self._verdicts.clear()
            self._signed.clear()

    def close(self) -> bytes:
        """Step aside; the digest of the engine's state."""
        self._guard._sign, self._verifier._verify_many = self._sign, self._verify_many
        return state_digest(self.engine)

    def _signing(self, sign: Sign) -> Sign:
        def signing(message: bytes) -> bytes | None:
            signature = sign(message)
            self._signed.append((message, signature or b""))
            return signature

        return signing

    def _verifying(self, messages: Sequence[bytes], signatures: Sequence[bytes], keys: Sequence[bytes]) -> list[bool]:
        verdicts = self._verify_many(messages, signatures, keys)
        self._verdicts.append(bytes(verdicts))
        return verdicts


def state_digest(engine: Engine) -> bytes:
    """A hash over the whole state of an engine."""
    return tagged(_STATE, encode_graph(engine, shared=False))


def outcome(effects: Sequence[Effect], deadline_ms: int | None) -> bytes:
    """A hash over what an engine asked for."""
    return tagged(_OUTCOME, encode_graph((tuple(effects), deadline_ms), shared=False))


def _written(taken: Taken) -> Step:
    digest = None if taken.effects is None else outcome(taken.effects, taken.deadline_ms)
    return Step(taken.now_ms, encode_graph(taken.event), digest, taken.verdicts, taken.signed)


class CapsuleWriter:
    """The bytes of a capsule, section by section; once one does not fit, it and all further steps are left out."""

    def __init__(self) -> None:
        """Nothing is written."""
        self.full = False
        self.steps = 0
        self._bytes = 0
        self._check = _FIRST_CHECK

    def begin(self, head: Head, state: bytes) -> bytes:
        """The first bytes of the file."""
        return MAGIC + self._packed(encode(head)) + self._packed(encode(Snapshot(state)))

    def more(self, taken: Sequence[Taken]) -> bytes:
        """Further steps; no bytes where they do not fit any more."""
        raw = encode(Steps(tuple(map(_written, taken))))
        self.full = self.full or self._bytes + len(raw) + _END_BYTES > BYTES_MAX
        if self.full:
            return b""
        self.steps += len(taken)
        return self._packed(raw)

    def end(self, cause: Cause, state: bytes | None) -> bytes:
        """The last bytes; `state`: digest of the engine after all steps, as far as it is known."""
        if self.full:
            cause, state = Cause.LIMIT, None
        return self._packed(encode(End(cause, self.steps, state)))

    def _packed(self, raw: bytes) -> bytes:
        self._bytes += len(raw)
        packed = zlib.compress(raw, _LEVEL)
        self._check = _next_check(self._check, packed)
        return b"".join((len(packed).to_bytes(4, "big"), self._check, packed))

    @classmethod
    def after(cls, sections: Sequence[Section], check: bytes) -> "CapsuleWriter":
        """A writer that goes on after these sections."""
        writer = cls()
        writer._check = check
        writer.steps = sum(len(section.steps) for section in sections if isinstance(section, Steps))
        return writer


def _next_check(check: bytes, packed: bytes) -> bytes:
    return tagged(_CHECK, check, packed)[:_CHECK_BYTES]


_FIRST_CHECK: Final = _next_check(bytes(_CHECK_BYTES), MAGIC)


def mend(raw: bytes) -> bytes:
    """What there is of a capsule that broke off while it was fetched: its whole sections, and an end that says so.

    Raises:
        Fault: `incident/INVALID`, unless head and snapshot are there.
    """
    sections, whole, check = _sections(raw)
    _parts(sections)
    if sections and isinstance(sections[-1], End):
        return raw
    return raw[:whole] + CapsuleWriter.after(sections, check).end(Cause.CUT, None)


# ----- reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Capsule:
    """A capsule that was read whole; what it says is not checked yet."""

    head: Head
    config: Config
    state: bytes
    steps: tuple[Step, ...]
    end: End

    @property
    def organisation(self) -> str:
        """Whose node it is."""
        me, validators = self.config.me, self.config.record.validators
        return validators[me].organisation if me is not None and me < len(validators) else ""


def read_capsule(raw: bytes) -> Capsule:
    """The capsule in these bytes of a file.

    Raises:
        Fault: `incident/INVALID` for bytes that are no whole capsule, `incident/VERSION` for another program's,
            `core/OVERSIZE`.
    """
    sections, whole, _ = _sections(raw)
    head, snapshot = _parts(sections)
    end, steps = sections[-1], [section for section in sections[2:-1] if isinstance(section, Steps)]
    if whole != len(raw) or not isinstance(end, End):
        raise _invalid("it ends before its last section does")
    if len(steps) != len(sections) - 3 or end.steps != sum(len(section.steps) for section in steps):
        raise _invalid("its sections do not make a capsule")
    if head.layout != layout():
        raise fault(INCIDENT_VERSION, recorded_by=head.program)
    config = decode_graph(head.config, hooks={}, known={})
    if not isinstance(config, Config):
        raise _invalid("no configuration")
    return Capsule(
        head=head,
        config=config,
        state=snapshot.state,
        steps=tuple(step for section in steps for step in section.steps),
        end=end,
    )


def _invalid(why: str) -> Fault:
    return fault(INCIDENT_INVALID, why=why)


def _parts(sections: Sequence[Section]) -> tuple[Head, Snapshot]:
    match sections:
        case [Head() as head, Snapshot() as snapshot, *_]:
            return head, snapshot
        case _:
            raise _invalid("it has no head and snapshot")


def _sections(raw: bytes) -> tuple[list[Section], int, bytes]:
    """All whole sections, where they end, and their check."""
    if len(raw) > FILE_BYTES_MAX:
        raise fault(OVERSIZE, bytes=len(raw), bytes_max=FILE_BYTES_MAX)
    if not raw.startswith(MAGIC):
        raise _invalid("not an incident capsule")
    sections: list[Section] = []
    check, at, room = _FIRST_CHECK, len(MAGIC), BYTES_MAX
    while len(raw) - at >= 4 + _CHECK_BYTES:
        start = at + 4 + _CHECK_BYTES
        stop = start + int.from_bytes(raw[at : at + 4], "big")
        if stop > len(raw):
            break
        check = _next_check(check, raw[start:stop])
        if check != raw[at + 4 : start]:
            raise _invalid(f"section {len(sections)} is damaged")
        unpacked = _unpack(raw[start:stop], room)
        room -= len(unpacked)
        sections.append(_section(unpacked))
        at = stop
    return sections, at, check


def _unpack(packed: bytes, room: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(packed, max(1, room))
    except zlib.error as error:
        raise _invalid(str(error)) from error
    if not unpacker.eof or unpacker.unused_data:
        raise _invalid("a section that does not unpack to its end, or not within the limit")
    return unpacked


def _section(raw: bytes) -> Section:
    try:
        found: Section = decode(Section, raw)  # type: ignore[arg-type]  # a union is not a type[T] to mypy
    except DecodeError as error:
        raise _invalid(str(error)) from error
    return found
