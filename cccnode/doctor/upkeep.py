"""What should be put right before it hurts: versions, disks, votes that contradict each other, an index that lags.

Each rule takes facts, and the nodes that a more serious cause explains; none of these explains anything else.
"""

from collections.abc import Iterable
from typing import Final

from cccnode.doctor.absence import DISK_FULL_MB
from cccnode.doctor.diagnosis import Cause
from cccnode.doctor.facts import Facts
from cccnode.types import errors

DISK_LOW_MB: Final = 512
"""Time to make room: a busy network writes that much in hours."""
INDEX_BEHIND_BLOCKS: Final = 200


def other_version(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Nodes that run another program than most."""
    versions = {node: report.version for node, report in sorted(facts.reports.items()) if node in facts.alive}
    unreadable = [
        place for place, views in facts.views.items() if any(view.seen.unreadable and view.alive for view in views)
    ]
    counts: dict[str, int] = {}
    for version in versions.values():
        counts[version] = counts.get(version, 0) + 1
    usual = max(counts, key=lambda version: (counts[version], version))
    odd = sorted({*(node for node, version in versions.items() if version != usual), *unreadable})
    if odd:
        rows = [{"index": facts.label(node), "version": versions.get(node, "not readable")} for node in odd]
        evidence = {"versions": rows, "most_run": usual}
        yield Cause(spec=errors.OTHER_VERSION, members=facts.named(odd), evidence=evidence)


def disk(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Little space left, or none."""
    free = {node: report.free_disk_mb for node, report in sorted(facts.reports.items()) if node in facts.alive}
    for spec, low, high in ((errors.DISK_FULL, 0, DISK_FULL_MB), (errors.DISK_LOW, DISK_FULL_MB, DISK_LOW_MB)):
        short = [node for node, left in free.items() if low <= left < high]
        if short:
            rows = [{"index": facts.label(node), "free_mb": free[node]} for node in short]
            yield Cause(spec=spec, members=facts.named(short), evidence={"disks": rows})


def double_vote(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Validators of whom somebody holds two contradicting votes."""
    accused = {name for answer in facts.answers.values() for name in answer.accused}
    named = tuple(member for member in facts.members if member.organisation in accused)
    if named:
        holders = sorted(node for node, answer in facts.answers.items() if answer.accused)
        yield Cause(spec=errors.DOUBLE_VOTE, members=named, evidence={"evidence_held_by": facts.labels(holders)})


def index_behind(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """The transaction index of a node lags."""
    late = {
        node: answer.index_behind
        for node, answer in sorted(facts.answers.items())
        if answer.index_behind > INDEX_BEHIND_BLOCKS
    }
    if late:
        rows = [{"index": facts.label(node), "blocks": blocks} for node, blocks in late.items()]
        yield Cause(spec=errors.INDEX_BEHIND, members=facts.named(list(late)), evidence={"indexes": rows})
