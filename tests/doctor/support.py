"""A network as the doctor could find it: what is wrong is said once, and every node observes it from its place."""

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from cccnode.doctor.diagnosis import Diagnosis
from cccnode.doctor.judging import diagnose, diagnose_network
from cccnode.doctor.observation import Observation, Said, Seen, Told
from cccnode.types import errors
from cccnode.types.errors import ErrorSpec
from cccnode.types.report import ROOT_EVERY, Report, bitmap

RECORD = b"\x07" * 32
GOOD, BAD, WORSE = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
HEIGHT = 100
REFUSED, TIMED_OUT = "[Errno 111] Connection refused", "no answer in time"


@dataclass
class Node:
    """One validator, as it is."""

    runs: bool = True
    closed: bool = True
    """When it does not run: its machine says that nobody listens."""
    words: ErrorSpec | None = None
    """When it does not run: what it said when it left."""
    clock_ms: int = 0
    root: bytes = GOOD
    rtt_ms: int = 2
    height: int = HEIGHT
    free_disk_mb: int = 50_000
    version: str = "1.0"
    state: str = "validating"
    reasons: tuple[str, ...] = ()
    lag_ms: int = 3
    gap_ms: int = 2_000
    last_free_mb: int | None = None
    quiet_views: int = 1
    quiet_ms: int = 400
    """It runs, and says nothing for so long."""
    own: dict[str, Any] = field(default_factory=dict)
    """Further fields of its observation."""


class World:
    """Validators and the links between them."""

    def __init__(self, count: int = 4, **own: Any) -> None:
        """A healthy network that has something to do; `own` are fields of every observation."""
        self.nodes = [Node() for _ in range(count)]
        self.cut: set[frozenset[int]] = set()
        self.own = {"armed": True, "block_age_ms": 300, **own}

    def change(self, *indices: int, **fields: Any) -> "World":
        """Change these nodes."""
        for index in indices:
            self.nodes[index] = replace(self.nodes[index], **fields)
        return self

    def split(self, side: list[int], other: list[int]) -> "World":
        """Cut every link between two sides."""
        self.cut |= {frozenset((one, two)) for one in side for two in other}
        return self

    def stand(self, **own: Any) -> "World":
        """Nothing has become final for long."""
        self.own |= {"stuck_ms": 20_000, "view_ms": 4_000, "leader": 1, **own}
        return self

    # What is seen

    def linked(self, one: int, other: int) -> bool:
        return self.nodes[one].runs and self.nodes[other].runs and frozenset((one, other)) not in self.cut

    def heard(self, one: int, other: int) -> bool:
        return self.linked(one, other) and self.nodes[other].quiet_ms < 6_000

    def report(self, index: int) -> Report:
        node = self.nodes[index]
        reached = [other for other in range(len(self.nodes)) if other == index or self.heard(index, other)]
        return Report(
            version=node.version,
            wall_ms=1_800_000_000_000 + node.clock_ms,
            epoch=0,
            view=120,
            height=node.height,
            state_root=node.root,
            state=node.state,
            reasons=node.reasons,
            free_disk_mb=node.free_disk_mb if node.runs or node.last_free_mb is None else node.last_free_mb,
            epoch_record_hash=RECORD,
            root_height=node.height // 16 * 16,
            root=node.root,
            linked=bitmap(reached, len(self.nodes)),
            lag_ms=node.lag_ms,
        )

    def seen(self, me: int, index: int) -> Seen:
        mine, node = self.nodes[me], self.nodes[index]
        linked = index == me or self.linked(me, index)
        name = {"index": index, "organisation": f"org{index}", "consensus_key": bytes([index + 1]) * 32}
        if index == me:
            return Seen(**name, linked=True)
        silent_ms = node.quiet_ms if linked else 30_000
        told = Told(
            report=self.report(index),
            age_ms=silent_ms,
            gap_ms=node.gap_ms,
            same=mine.root == node.root if min(mine.height, node.height) >= ROOT_EVERY else None,
        )
        closed = not linked and not node.runs and node.closed
        refused = Said(name="net/UNREACHABLE", text=REFUSED if closed else TIMED_OUT)
        said = node.words
        return Seen(
            **name,
            linked=linked,
            silent_ms=silent_ms,
            rtt_ms=max(mine.rtt_ms, node.rtt_ms) if linked else None,
            ahead_ms=node.clock_ms - mine.clock_ms if linked else None,
            executed=node.height,
            told=told,
            left=Said(name=said.name, text="x", age_ms=silent_ms) if said is not None and not node.runs else None,
            failed=None if linked else refused,
            closed=closed,
            quiet_views=node.quiet_views if linked else None,
        )

    def observe(self, me: int, **changes: Any) -> Observation:
        """What node `me` knows."""
        peers = [index for index in range(len(self.nodes)) if index != me and self.linked(me, index)]
        fields = {
            "me": me,
            "organisation": f"org{me}",
            "own": self.report(me),
            "validators": tuple(self.seen(me, index) for index in range(len(self.nodes))),
            "links": len(peers),
            "delta_ms": 250,
            "heartbeat_ms": 30_000,
            **self.own,
            **self.nodes[me].own,
            **changes,
        }
        return Observation(**fields)

    def ask(self, me: int, **changes: Any) -> Diagnosis:
        """What that node says of itself and the others."""
        return diagnose(self.observe(me, **changes))

    def ask_all(self, *indices: int, findings: tuple[Any, ...] = ()) -> Diagnosis:
        """What these nodes, or all that run, say together."""
        asked = indices or tuple(index for index, node in enumerate(self.nodes) if node.runs)
        return diagnose_network([self.observe(index) for index in asked], findings)


def follower(observation: Observation) -> Observation:
    """The same, seen by a node that only follows; it takes the first validator's place and sees that one too."""
    first = observation.validators[0]
    told = Told(report=observation.own, age_ms=400, same=True)
    seen = msgspec.structs.replace(first, linked=True, silent_ms=400, rtt_ms=2, ahead_ms=0, told=told)
    own = msgspec.structs.replace(observation.own, reasons=(errors.OBSERVER.name,), state="observing")
    return msgspec.structs.replace(
        observation, me=None, own=own, validators=(seen, *observation.validators[1:]), armed=False, links=4
    )


def brief(diagnosis: Diagnosis) -> tuple[str, list[tuple[str, list[int]]]]:
    """Verdict, and each cause with the validators it names."""
    causes = [(cause.spec.name, [member.index for member in cause.members]) for cause in diagnosis.causes]
    return diagnosis.verdict.value, causes
