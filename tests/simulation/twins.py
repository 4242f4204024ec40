"""Every way to cut a small network in two, view by view, while one key runs twice: Twins (Bano et al., 2020).

Four validators, one of them twice: five engines.  In each of the first views the engines are on one of two sides, in
all of the 15 ways there are, and a chosen validator leads.  Then all hear each other again.  The twins run the real
engine and mind nothing: as leaders they make two blocks, and vote on both sides.  Nobody else may be harmed, and blocks
must come after the heal.

    python -m tests.simulation.twins --rounds 3                3,375 scenarios, the twins lead the first views
    python -m tests.simulation.twins --rounds 2 --leaders      3,600: two views, and all choices of leaders
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from cccnode.types.validators import Timers
from consensus.effects import Alarm, Blame, EvidenceFound
from consensus.messages import Message
from tests.consensus.cluster import Chosen, Cluster, Member
from tests.simulation.auditor import Auditor, Violation
from tests.simulation.fakes import node_of

VALIDATORS = 4
TWIN = 0
"""The identity that runs twice: engines 0 and 4."""
ENGINES = VALIDATORS + 1
HEAL_MS = 8_000
"""The cuts end at this time at the latest: two sides without a quorum would wait for ever."""
LIVE_MS = 30_000
BLOCKS = 3
"""So many more must be final everywhere after the heal."""

Sides = tuple[int, ...]
"""Which of two sides each engine is on."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One of many."""

    sides: tuple[Sides, ...]
    """By view, from view 1 on."""
    leaders: tuple[int, ...]
    """Of the same views; afterwards all take turns."""


def partitions(engines: int = ENGINES) -> list[Sides]:
    """All ways to put the engines on two sides, none empty; engine 0 is always on side 0: 2^(n-1) - 1."""
    rest = product((0, 1), repeat=engines - 1)
    return [(0, *sides) for sides in rest if any(sides)]


def scenarios(rounds: int, *, all_leaders: bool) -> Iterator[Scenario]:
    """Every scenario of so many views."""
    led = product(range(VALIDATORS), repeat=rounds) if all_leaders else [(TWIN,) * rounds]
    for leaders in led:
        for sides in product(partitions(), repeat=rounds):
            yield Scenario(sides, tuple(leaders))


class Twinned(Cluster):
    """Four validators, and the first one a second time."""

    def __init__(self, scenario: Scenario) -> None:
        """Everybody at the start, with work to do."""
        super().__init__(VALIDATORS, timers=Timers(delta_ms=100, min_interval_ms=0, heartbeat_ms=10**9))
        self.scenario = scenario
        self.audit = Auditor(honest=lambda identity: identity != TWIN, members=lambda _: VALIDATORS)
        twin = Member(TWIN, self.engine(TWIN), ahead_ms=1)
        twin.final, twin.delivered = [self.genesis.header], [self.genesis.block_id]
        self.members.append(twin)
        for engine in self.members:
            core = engine.engine._core
            core.leaders = Chosen(core.leaders, self.leader_of)
        for engine in (self.members[TWIN], twin):
            engine.engine._core.own_vote_met = lambda *_: None  # it expects to meet itself

    def leader_of(self, view: int) -> int:
        """As the scenario says, then in turns."""
        leaders = self.scenario.leaders
        return leaders[view - 1] if view <= len(leaders) else view % VALIDATORS

    def transmit(self, source: Member, to: bytes | None, message: Message) -> None:
        """To every engine on the sender's side of the view that the sender is in."""
        number = self.members.index(source)
        view = source.engine._core.view
        sides = self.scenario.sides
        cut = self.now < HEAL_MS and view <= len(sides)
        for target, member in enumerate(self.members):
            if member.index == source.index or to not in (None, node_of(member.index)):
                continue
            if not cut or sides[view - 1][number] == sides[view - 1][target]:
                self.at(self.delay_ms, lambda member=member: self.receive(member, source.index, message))

    @property
    def honest(self) -> list[Member]:
        """Those that run once."""
        return [member for member in self.members if member.index != TWIN]


@dataclass(slots=True)
class Played:
    """What one scenario showed."""

    violation: str = ""
    evidence: bool = False


def play(scenario: Scenario) -> Played:
    """Play one; a violation is named."""
    cluster, played = Twinned(scenario), Played()
    try:
        cluster.pending(True)
        cluster.run(HEAL_MS, lambda: all(m.engine._core.view > len(scenario.sides) for m in cluster.honest))
        goal = max(member.height for member in cluster.honest) + BLOCKS
        live = cluster.run(LIVE_MS, lambda: all(member.height >= goal for member in cluster.honest))
        played.violation = _wrong(cluster) or ("" if live else "no blocks after the heal")
    except (AssertionError, Violation) as error:
        played.violation = str(error)
    played.evidence = any(member.of(EvidenceFound) for member in cluster.honest)
    return played


def _wrong(cluster: Twinned) -> str:
    """What must not be."""
    longest = max((member.delivered for member in cluster.honest), key=len)
    for member in cluster.honest:
        if longest[: len(member.delivered)] != member.delivered:
            return f"fork at validator {member.index}"
        if member.of(Alarm):
            return f"alarm at {member.index}: {member.of(Alarm)[0].reason}"
        accused = {effect.first.signer for effect in member.of(EvidenceFound)}
        accused |= {effect.validator for effect in member.of(Blame)}
        if accused - {TWIN}:
            return f"{member.index} accuses {sorted(accused - {TWIN})}"
    return ""


@dataclass(slots=True)
class Enumerated:
    """What an enumeration showed."""

    scenarios: int = 0
    evidence: int = 0
    violations: list[str] | None = None


def enumerate_scenarios(chosen: Sequence[Scenario] | Iterator[Scenario]) -> Enumerated:
    """Play many."""
    found = Enumerated(violations=[])
    for scenario in chosen:
        played = play(scenario)
        found.scenarios += 1
        found.evidence += played.evidence
        if played.violation and found.violations is not None:
            found.violations.append(f"{scenario}: {played.violation}")
    return found


def sample(rounds: int, count: int, *, all_leaders: bool, seed: int = 0) -> list[Scenario]:
    """So many of them, the same every time."""
    return random.Random(seed).sample(list(scenarios(rounds, all_leaders=all_leaders)), count)


def main() -> int:
    """Enumerate what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.twins", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="views in which the network is cut")
    parser.add_argument("--leaders", action="store_true", help="all choices of leaders instead of the twins only")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of words")
    options = parser.parse_args()
    found = enumerate_scenarios(scenarios(options.rounds, all_leaders=options.leaders))
    violations = found.violations or []
    if options.json:
        told = {"scenarios": found.scenarios, "with_evidence": found.evidence, "violations": violations}
        print(json.dumps(told, sort_keys=True))
    else:
        print(f"{found.scenarios:,} scenarios, {found.evidence:,} with evidence, {len(violations)} violations")
        print("\n".join(violations))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
