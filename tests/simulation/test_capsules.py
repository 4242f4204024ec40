"""Incident capsules of simulated networks: recorded at random moments under all faults, replayed bit for bit."""

import random
from collections import Counter
from collections.abc import Callable

import pytest

from consensus.capsule import CapsuleWriter, Cause, Head, Recorder, read_capsule
from consensus.effects import Effect
from consensus.engine import Engine
from consensus.events import Event
from consensus.graph import layout
from consensus.replay import Replay
from tests.simulation.consensus import Simulation

RECORDINGS = 6
"""Of one seed: more would show the same."""
STEPS = (5, 60, 400)
WAIT = 2_000
"""Events between two recordings, at most."""
ABANDONED = 200
"""So many events of others in a row: the recorded engine lives no more."""

Handle = Callable[[Engine, Event, int], list[Effect]]


class Watcher:
    """Stands in for `Engine.handle` and records some engines for some time, drawing from a seed of its own."""

    def __init__(self, seed: int, handle: Handle) -> None:
        self.rng = random.Random(f"capsules {seed}")
        self.seen: Counter[str] = Counter()
        self._real = handle
        self._inside = False
        self._engine: Engine | None = None
        self._wait = self.rng.randint(0, WAIT)
        self._others = 0
        """Events of other engines since the last of the one that is recorded."""

    def handle(self, engine: Engine, event: Event, now_ms: int) -> list[Effect]:
        """As the real one."""
        if self._inside:
            return self._real(engine, event, now_ms)
        self._wait -= 1
        if self._engine is None and self._wait < 0 and self.seen["capsules"] < RECORDINGS:
            self._begin(engine, now_ms)
        if engine is not self._engine:
            self._others += 1
            if self._engine is not None and self._others > ABANDONED:
                self._end()  # It crashed, or its epoch is over.
            return self._real(engine, event, now_ms)
        self._inside, self._others = True, 0
        effects = self._recorder.handle(event, now_ms)
        self._inside = False
        if len(self._recorder.taken) >= self._steps:
            self._end()
        return effects

    def _begin(self, engine: Engine, now_ms: int) -> None:
        if "own_vote_met" in vars(engine._core):
            return  # One of two twins, taught not to mind the other.
        self._engine, self._now_ms, self._recorder, self._others = engine, now_ms, Recorder(engine), 0
        self._steps = self.rng.choice(STEPS)

    def _end(self) -> None:
        """Write, read, replay."""
        recorder, writer = self._recorder, CapsuleWriter()
        head = Head("test", layout(), bytes(32), 0, self._now_ms, 1, "", recorder.config)
        raw = writer.begin(head, recorder.state) + writer.more(recorder.taken)
        raw += writer.end(Cause.TIME, recorder.close())
        self._inside = True
        for step in Replay(read_capsule(raw)).steps():
            self.seen["steps"] += 1
            self.seen.update(type(part).__name__ for part in (step.event, *step.effects))
        self._inside = False
        self.seen["capsules"] += 1
        self._engine, self._wait = None, self.rng.randint(0, WAIT)


def _bound(watcher: Watcher) -> Handle:
    """What a class needs to give its objects a method."""

    def handle(engine: Engine, event: Event, now_ms: int) -> list[Effect]:
        return watcher.handle(engine, event, now_ms)

    return handle


def _watch(monkeypatch: pytest.MonkeyPatch, seed: int) -> Counter[str]:
    with monkeypatch.context() as patched:
        watcher = Watcher(seed, Engine.handle)
        patched.setattr(Engine, "handle", _bound(watcher))
        plain = Simulation(seed).run()
    assert not plain.violations
    return watcher.seen


def _campaign(monkeypatch: pytest.MonkeyPatch, seeds: range) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in seeds:
        seen += _watch(monkeypatch, seed)
    return seen


def test_replay_is_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines recorded in the middle of losses, crashes, partitions and lies replay to the last effect."""
    seen = _campaign(monkeypatch, range(8))
    assert seen["capsules"] > 12
    assert all(seen[name] for name in ("Received", "Tick", "Executed", "Built", "BodyReady", "Persist", "Finalized"))


@pytest.mark.long
def test_replay_of_many_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for hundreds of networks."""
    assert _campaign(monkeypatch, range(1_000, 1_300))["capsules"] > 900


def test_recording_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network whose engines are recorded does exactly what it does when they are not."""
    plain = Simulation(5).run()
    with monkeypatch.context() as patched:
        watcher = Watcher(5, Engine.handle)
        patched.setattr(Engine, "handle", _bound(watcher))
        watched = Simulation(5).run()
    assert watcher.seen["capsules"]
    assert (plain.hash, plain.violations) == (watched.hash, watched.violations)
