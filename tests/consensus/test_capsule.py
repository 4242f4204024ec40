"""Incident capsules: recorded without a trace in the engine, replayed bit for bit, and refused when damaged."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cccnode.codec import decode, encode
from cccnode.types.errors import INCIDENT_DIFFERS, INCIDENT_INVALID, INCIDENT_VERSION, OVERSIZE, Fault
from cccnode.types.validators import Timers
from cccnode.types.vote import Kind, Vote, nullified
from consensus import capsule as capsules
from consensus.capsule import (
    MAGIC,
    Capsule,
    CapsuleWriter,
    Cause,
    End,
    Head,
    Recorder,
    Snapshot,
    Steps,
    mend,
    read_capsule,
    state_digest,
)
from consensus.chain import Chain
from consensus.effects import Effect, Persist, Send
from consensus.engine import Engine
from consensus.events import BodyReady, Event, Pending, Received, Tick
from consensus.graph import encode_graph, layout
from consensus.messages import VotesMessage
from consensus.replay import Replay, Replayed
from tests.consensus.cluster import Cluster
from tests.simulation.fakes import node_of


@dataclass
class Recording:
    """A capsule in the making, at one member of a cluster."""

    engine: Engine
    now_ms: int
    chunk: int = 7
    pieces: list[bytes] = field(default_factory=list)
    writer: CapsuleWriter = field(default_factory=CapsuleWriter)

    def __post_init__(self) -> None:
        self.recorder = Recorder(self.engine)
        head = Head("test", layout(), node_of(0), 1_767_571_200_000, self.now_ms, 60, "why", self.recorder.config)
        self.pieces.append(self.writer.begin(head, self.recorder.state))

    def handle(self, event: Event, now_ms: int) -> list[Effect]:
        effects = self.recorder.handle(event, now_ms)
        if len(self.recorder.taken) >= self.chunk:
            self.flush()
        return effects

    def flush(self) -> None:
        self.pieces.append(self.writer.more(self.recorder.taken))
        self.recorder.taken = []

    def end(self, cause: Cause = Cause.TIME) -> bytes:
        state = self.recorder.close()
        self.flush()
        self.pieces.append(self.writer.end(cause, state if cause is Cause.TIME else None))
        return b"".join(self.pieces)


class Recorded(Cluster):
    """A cluster in which some members are recorded from some moment on."""

    def __init__(self, **more: Any) -> None:
        super().__init__(4, timers=Timers(delta_ms=50, min_interval_ms=0), **more)
        self.recordings: dict[int, Recording] = {}

    def start(self, *indices: int) -> None:
        for index in indices:
            self.recordings[index] = Recording(self.members[index].engine, self.now)

    def handle(self, member: Any, event: Event) -> None:
        recording = self.recordings.get(member.index)
        if recording is not None and member.alive:
            self.carry_out(member, recording.handle(event, self.now))
        else:
            super().handle(member, event)


def recorded(before_ms: int = 200, length_ms: int = 600, *, index: int = 0, **more: Any) -> bytes:
    """What one member went through."""
    world = Recorded(**more)
    world.pending(True)
    world.run(before_ms)
    world.start(index)
    world.run(length_ms)
    return world.recordings[index].end()


RAW = recorded(silent=(2,))
CAPSULE = read_capsule(RAW)


def replayed(raw: bytes, **more: Any) -> list[Replayed]:
    return list(Replay(read_capsule(raw), **more).steps())


def written(capsule: Capsule, **changes: Any) -> bytes:
    """A capsule with right checks that says something else."""
    parts = {"head": capsule.head, "state": capsule.state, "steps": capsule.steps, "end": capsule.end} | changes
    writer = CapsuleWriter()
    sections = [parts["head"], Snapshot(parts["state"]), Steps(tuple(parts["steps"])), parts["end"]]
    return MAGIC + b"".join(writer._packed(encode(section)) for section in sections)


def differs(raw: bytes, **more: Any) -> dict[str, Any]:
    with pytest.raises(Fault) as error:
        replayed(raw, **more)
    assert error.value.spec is INCIDENT_DIFFERS
    return error.value.values


def refused(raw: bytes) -> str:
    with pytest.raises(Fault) as error:
        replayed(raw)
    return error.value.spec.name


# ----- recording and replaying


@pytest.mark.parametrize("silent", [(), (2,), (3,)])
@pytest.mark.parametrize("before_ms", [0, 1, 130, 777])
def test_replay_is_equal(silent: tuple[int, ...], before_ms: int) -> None:
    """A recording that begins at any moment, with timeouts or without, replays to the same effects and state."""
    steps = replayed(recorded(before_ms, silent=silent))
    assert len(steps) > 30
    kinds = {type(step.event).__name__ for step in steps}
    assert kinds >= {"Received", "BodyReady", "Executed", *(["Tick"] if silent and before_ms < 300 else [])}
    assert any(isinstance(effect, Persist) for step in steps for effect in step.effects)


def test_recording_changes_nothing() -> None:
    """A recorded engine does what it would have done, and afterwards nothing stands in its way any more."""
    plain, watched = Recorded(silent=(2,)), Recorded(silent=(2,))
    guard, verifier = watched.members[0].engine._core.guard, watched.members[0].engine._core.verifier
    before = (guard._sign, verifier._verify_many)
    for world in (plain, watched):
        world.pending(True)
        world.run(200)
    watched.start(0, 1)
    for world in (plain, watched):
        world.run(600)
    raws = [recording.end() for recording in watched.recordings.values()]
    watched.recordings.clear()
    for world in (plain, watched):
        world.run(300)
    assert [member.effects for member in plain.members] == [member.effects for member in watched.members]
    assert (guard._sign, verifier._verify_many) == before
    assert all(replayed(raw) for raw in raws)


def test_capsule_says_where_it_is_from() -> None:
    """Head and configuration tell program, node, organisation, epoch, time and reason."""
    assert (CAPSULE.organisation, CAPSULE.config.epoch, CAPSULE.head.reason) == ("org0", 0, "why")
    assert (CAPSULE.head.program, CAPSULE.end.cause, CAPSULE.end.steps) == ("test", Cause.TIME, len(CAPSULE.steps))


def test_observer_is_recorded() -> None:
    """A node that does not sign is recorded all the same."""
    world = Recorded()
    world.members[0].engine = world.engine(0, observe="consensus/JOURNAL_LOST")
    world.pending(True)
    world.start(0)
    world.run(400)
    raw = world.recordings[0].end()
    assert all(not step.signed for step in read_capsule(raw).steps)
    assert len(replayed(raw)) > 10


def test_failing_engine_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event that makes an engine fail is the last step, and the replay fails in the same place."""
    world = Recorded()
    world.pending(True)
    world.run(100)
    world.start(0)
    world.run(50)

    poison, get = BodyReady(block_id=b"poison"), Chain.get

    def broken(chain: Chain, wanted: bytes) -> Any:
        assert wanted != poison.block_id, "as if a rule were wrong"
        return get(chain, wanted)

    with monkeypatch.context() as patched:
        patched.setattr(Chain, "get", broken)
        with pytest.raises(AssertionError):
            world.recordings[0].handle(poison, world.now)
        raw = world.recordings[0].end(Cause.FAILED)
        last = replayed(raw)[-1]
        assert (last.event, last.status) == (poison, None)
        assert "as if a rule were wrong" in str(last.failure)
    assert differs(raw)["what"] == "the engine failed then and does not fail now"


def test_signatures_can_be_checked_anew() -> None:
    """The replay believes the recorded verdicts, or checks every signature itself."""
    world = Recorded()
    world.pending(True)
    world.start(0)
    world.run(300)
    raw = world.recordings[0].end()
    assert replayed(raw, verify_many=world.signatures.verify_many)
    asked: list[int] = []

    def nobody(messages: Sequence[bytes], signatures: Sequence[bytes], keys: Sequence[bytes]) -> list[bool]:
        asked.append(len(keys))
        return [False for _ in keys]

    assert "wrong about a signature" in differs(raw, verify_many=nobody)["what"]
    assert asked


def test_bad_signatures_replay() -> None:
    """Votes with bad signatures had their verdicts then, and have them in the replay."""
    world = Recorded()
    world.pending(True)
    world.start(0)
    world.run(20)
    engine = world.members[0].engine
    view = engine.status().view
    good = world.vote(1, Kind.NULLIFY, nullified(view))
    for signer in (1, 2, 3):
        bad = Vote(Kind.NULLIFY, good.proposal, signer, bytes(64))
        message = VotesMessage(0, 0, (bad,))
        world.handle(world.members[0], Received(peer=node_of(signer), validator=signer, message=message))
    world.run(200)
    raw = world.recordings[0].end()
    assert any(0 in verdict for step in read_capsule(raw).steps for verdict in step.verdicts)
    assert "Blame" in {type(effect).__name__ for step in replayed(raw) for effect in step.effects}


# ----- what differs is found


def _sent_vote(steps: Sequence[Any]) -> int:
    return next(number for number, step in enumerate(steps) if step.signed)


def _asked(steps: Sequence[Any]) -> int:
    return next(number for number, step in enumerate(steps) if step.verdicts)


@pytest.mark.parametrize("field_name", ["event", "now_ms", "outcome", "verdicts", "signed", "missing", "raised"])
def test_difference_is_found(field_name: str) -> None:
    """Whatever a step says otherwise, the replay names the first step that differs, or refuses the capsule."""
    steps = list(CAPSULE.steps)
    number = _sent_vote(steps) if field_name in {"signed", "event", "missing"} else _asked(steps)
    old = steps[number]
    changed = {
        "event": {"event": encode_graph(Pending(waiting=False))},
        "now_ms": {"now_ms": old.now_ms + 10_000},
        "outcome": {"outcome": bytes(32)},
        "verdicts": {"verdicts": tuple(bytes(len(verdict)) for verdict in old.verdicts)},
        "signed": {"signed": tuple((message, bytes(64)) for message, _ in old.signed)},
        "raised": {"outcome": None},
        "missing": {"signed": ()},
    }[field_name]
    steps[number] = replace(old, **changed)
    values = differs(written(CAPSULE, steps=steps))
    assert values["step"] == number
    assert values["event"]


def test_difference_of_the_last_state() -> None:
    """The engine's whole state after the last event is compared too."""
    end = replace(CAPSULE.end, state=bytes(32))
    assert "state" in differs(written(CAPSULE, end=end))["what"]


def test_missing_step_is_found() -> None:
    """A step in which something was signed cannot be taken out."""
    for number in [number for number, step in enumerate(CAPSULE.steps) if step.signed]:
        steps = [*CAPSULE.steps[:number], *CAPSULE.steps[number + 1 :]]
        raw = written(CAPSULE, steps=steps, end=replace(CAPSULE.end, steps=len(steps)))
        assert differs(raw)


def test_another_program() -> None:
    """A program whose classes look different refuses the capsule by name and says who recorded it."""
    with pytest.raises(Fault) as error:
        read_capsule(written(CAPSULE, head=replace(CAPSULE.head, layout=bytes(32))))
    assert (error.value.spec, error.value.values["recorded_by"]) == (INCIDENT_VERSION, "test")


# ----- damaged, cut, hostile


def test_truncated_anywhere() -> None:
    """A capsule that is cut at any byte is refused by name."""
    for length in [*range(400), *range(400, len(RAW), 97), len(RAW) - 1]:
        with pytest.raises(Fault) as error:
            read_capsule(RAW[:length])
        assert error.value.spec is INCIDENT_INVALID


@given(st.data())
def test_tampered_anywhere(data: st.DataObject) -> None:
    """A capsule with any byte changed, or bytes added, is refused by name."""
    raw = bytearray(RAW)
    if data.draw(st.booleans()):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        raw += data.draw(st.binary(min_size=1, max_size=40))
    with pytest.raises(Fault) as error:
        read_capsule(bytes(raw))
    assert error.value.spec is INCIDENT_INVALID


def test_sections_out_of_order() -> None:
    """Head, snapshot, steps, end: with right checks too, nothing else is a capsule."""
    head, snapshot, steps, end = CAPSULE.head, Snapshot(CAPSULE.state), Steps(CAPSULE.steps), CAPSULE.end
    none = End(Cause.TIME, 0, None)
    wrong = [(), (head,), (head, snapshot), (snapshot, head, steps, end), (head, snapshot, end, steps)]
    wrong += [(head, snapshot, steps, none), (head, snapshot, snapshot, none), (head, snapshot, none, none)]
    for sections in wrong:
        writer = CapsuleWriter()
        with pytest.raises(Fault) as error:
            read_capsule(MAGIC + b"".join(writer._packed(encode(section)) for section in sections))
        assert error.value.spec is INCIDENT_INVALID


def test_mended() -> None:
    """What there is of a capsule that broke off while it was fetched becomes a whole one that says so."""
    rng = random.Random(7)
    lengths = [rng.randrange(len(RAW) // 2, len(RAW)) for _ in range(20)]
    for length in lengths:
        raw = mend(RAW[:length])
        found = read_capsule(raw)
        assert (found.end.cause, found.end.state) == (Cause.CUT, None)
        assert len(replayed(raw)) == len(found.steps) < len(CAPSULE.steps) + 1
    assert mend(RAW) == RAW
    with pytest.raises(Fault) as error:
        mend(RAW[:200])
    assert error.value.spec is INCIDENT_INVALID


def test_packed_bomb() -> None:
    """A section that unpacks to more than a capsule may hold is refused before it is unpacked whole."""
    writer = CapsuleWriter()
    bomb = writer._packed(bytes(capsules.BYTES_MAX + 1))
    assert len(bomb) < 1_000_000
    assert refused(MAGIC + bomb) == "incident/INVALID"


def test_oversized_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is larger than any capsule is refused without a look inside."""
    monkeypatch.setattr(capsules, "FILE_BYTES_MAX", len(RAW) - 1)
    with pytest.raises(Fault) as error:
        read_capsule(RAW)
    assert error.value.spec is OVERSIZE


def _name(raw: bytes) -> str:
    """How a replay ends."""
    try:
        replayed(raw)
    except Fault as error:
        return error.spec.name
    return "equal"


ENDS = {"equal", "incident/INVALID", "incident/VERSION", "incident/DIFFERS"}


@pytest.mark.parametrize("seed", range(30))
def test_damaged_snapshots(seed: int) -> None:
    """Whatever byte of a snapshot with right checks is another, it replays as recorded or the answer is named."""
    rng = random.Random(seed)
    state = bytearray(CAPSULE.state)
    for _ in range(rng.randint(1, 3)):
        state[rng.randrange(len(state))] = rng.randrange(256)
    assert _name(written(CAPSULE, state=bytes(state))) in ENDS


@pytest.mark.parametrize("seed", range(120))
def test_hostile_snapshots(seed: int) -> None:
    """A snapshot that is well written and says things that no engine would be in comes to a named end."""
    rng = random.Random(seed)
    kinds, rows, root = decode(list, CAPSULE.state)
    for _ in range(rng.randint(1, 4)):
        row = rng.choice([row for row in rows if len(row) > 1])
        place = rng.randrange(1, len(row))
        below = rows.index(row)
        row[place] = rng.choice(
            [rng.randint(-(2**63), 2**63), rng.randint(0, 40), None, True, "text", b"", [rng.randrange(max(1, below))]]
        )
    assert _name(written(CAPSULE, state=encode([kinds, rows, root]))) in ENDS


def test_states_without_end() -> None:
    """States in which the engine's walks would not come to an end are refused."""
    engine = Replay(CAPSULE).engine
    engine._core.certificates._skip = {5: 5}
    assert refused(written(CAPSULE, state=encode_graph(engine))) == "incident/INVALID"
    engine = Replay(CAPSULE).engine
    blocks = engine._core.chain.blocks
    one, other = list(blocks)[:2]
    blocks[one], blocks[other] = blocks[other], blocks[one]
    assert refused(written(CAPSULE, state=encode_graph(engine))) == "incident/INVALID"
    assert refused(written(CAPSULE, state=encode_graph(Tick()))) == "incident/INVALID"


def test_hostile_configuration() -> None:
    """A head whose configuration is none, or another than the snapshot's, is refused."""
    for config in (encode_graph(Tick()), encode_graph(Cluster(7).members[0].engine._core.config)):
        assert refused(written(CAPSULE, head=replace(CAPSULE.head, config=config))) == "incident/INVALID"


def test_step_without_event() -> None:
    """A step that holds something else than an event is refused."""
    steps = (replace(CAPSULE.steps[0], event=encode_graph(Kind.NULLIFY)), *CAPSULE.steps[1:])
    assert refused(written(CAPSULE, steps=steps)) == "incident/INVALID"


# ----- limits


def test_limit_of_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A capsule never grows over its limit: what does not fit is left out, the end says so, and it still replays."""
    monkeypatch.setattr(capsules, "BYTES_MAX", 60_000)
    world = Recorded()
    world.pending(True)
    world.start(0)
    world.run(3_000)
    recording = world.recordings[0]
    raw = recording.end()
    found = read_capsule(raw)
    assert recording.writer.full
    assert recording.writer._bytes <= capsules.BYTES_MAX
    assert (found.end.cause, found.end.state) == (Cause.LIMIT, None)
    assert len(replayed(raw)) == found.end.steps > 10


def test_limit_of_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine whose state alone is too large is not recorded, and stays as it was."""
    engine = Cluster(4).members[0].engine
    before = engine._core.verifier._verify_many
    monkeypatch.setattr(capsules, "BYTES_MAX", 100)
    with pytest.raises(Fault) as error:
        Recorder(engine)
    assert error.value.spec is OVERSIZE
    assert engine._core.verifier._verify_many == before


def test_digest_is_of_values() -> None:
    """The digest of a state does not depend on who shares what: a replayed engine has the recorded one's."""
    replay = Replay(CAPSULE)
    list(replay.steps())
    assert state_digest(replay.engine) == CAPSULE.end.state


def test_effects_of_the_replay_are_whole() -> None:
    """A replay gives the effects themselves, with the votes that were signed then."""
    signed = {signature for step in CAPSULE.steps for _, signature in step.signed}
    sent = [effect.message for step in replayed(RAW) for effect in step.effects if isinstance(effect, Send)]
    votes = {vote.signature for message in sent if isinstance(message, VotesMessage) for vote in message.votes}
    assert signed & votes
