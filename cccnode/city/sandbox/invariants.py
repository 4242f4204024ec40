"""What holds of experiments after every block, as checks that read the whole state (SBX-1 to SBX-6)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from cccnode.city.bank.state import supply
from cccnode.city.market.invariants import orders, scheduled
from cccnode.city.market.rules import ORDER
from cccnode.city.market.state import ENDED
from cccnode.city.sandbox.guard import used
from cccnode.city.sandbox.state import (
    EXPERIMENTS,
    PARTICIPANTS,
    Experiment,
    Participant,
    Status,
    read_usage,
)
from cccnode.ledger.module import Invariant
from cccnode.ledger.state import Scan
from cccnode.types.limits import AMOUNT_MAX

_BEGUN: Final = frozenset({Status.RUNNING, Status.PAUSED, Status.WINDDOWN, Status.GRADUATED, Status.FAILED})


def experiments(scan: Scan) -> Iterator[Experiment]:
    """Every experiment."""
    for group in scan.groups(EXPERIMENTS):
        experiment = scan.get(group, b"", Experiment)
        if experiment is not None:
            yield experiment


def participants(scan: Scan, experiment: Experiment) -> Iterator[Participant]:
    """Everybody who ever joined."""
    for group in scan.groups(PARTICIPANTS + experiment.id.to_bytes(8, "big")):
        participant = scan.get(group, b"", Participant)
        if participant is not None:
            yield participant


def limits(scan: Scan) -> Iterable[str]:
    """No limit of a begun experiment is passed."""
    for experiment in experiments(scan):
        if experiment.status not in _BEGUN:
            continue
        if read_usage(scan, experiment.id).participants > experiment.participants_max:
            yield f"experiment {experiment.id}: too many participants"
        for limit in experiment.limits:
            if limit.supply is not None and supply(scan, limit.asset) > limit.supply:
                yield f"experiment {experiment.id}: too much {limit.asset}"
            most = [used(one.used, limit.asset) for one in participants(scan, experiment)]
            if limit.per_account is not None and max(most, default=0) > limit.per_account:
                yield f"experiment {experiment.id}: somebody moved too much {limit.asset}"
            waiting = sum(order.escrow for order in orders(scan) if order.asset == limit.asset)
            if limit.escrow is not None and waiting > limit.escrow:
                yield f"experiment {experiment.id}: too much {limit.asset} in escrow"


def window(scan: Scan) -> Iterable[str]:
    """What entered last, entered while the experiment ran."""
    for experiment in experiments(scan):
        last = read_usage(scan, experiment.id).last_enter_ms
        if not last:
            continue
        if not experiment.start_ms <= last < experiment.end_ms:
            yield f"experiment {experiment.id}: something entered outside its time"
        if experiment.status is not Status.RUNNING and last > experiment.changed_ms:
            yield f"experiment {experiment.id}: something entered after it stopped"


def exits(scan: Scan) -> Iterable[str]:
    """Whatever the status, what waits in the market in an experiment's money has its way out by itself."""
    waiting = scheduled(scan)
    for experiment in experiments(scan):
        assets = {limit.asset for limit in experiment.limits}
        if experiment.status is Status.RUNNING:
            continue
        for order in orders(scan):
            entry = (order.deadline_ms, ORDER + order.id.to_bytes(8, "big"))
            if order.asset in assets and order.status not in ENDED and entry not in waiting:
                yield f"experiment {experiment.id}: order {order.id} has no way out"


def terms(scan: Scan) -> Iterable[str]:
    """Whoever takes part agreed to exactly its terms."""
    for experiment in experiments(scan):
        if any(one.terms != experiment.terms for one in participants(scan, experiment)):
            yield f"experiment {experiment.id}: somebody agreed to other terms"


def approvals(scan: Scan) -> Iterable[str]:
    """What runs or ran was approved by named regulators of two organisations."""
    for experiment in experiments(scan):
        rows = [row for row in experiment.approvals if row.regulator in experiment.regulators]
        if experiment.status in _BEGUN and len({row.organisation for row in rows}) < 2:
            yield f"experiment {experiment.id}: runs without two approvals"


def counters(scan: Scan) -> Iterable[str]:
    """Counters are what the participants' records come to."""
    for experiment in experiments(scan):
        usage, everybody = read_usage(scan, experiment.id), [*participants(scan, experiment)]
        present = sum(not one.exited_ms for one in everybody)
        if (usage.participants, usage.joined) != (present, len(everybody)):
            yield f"experiment {experiment.id}: {usage.participants} of {present} participants counted"
        moved = Counter[str]()
        for one in everybody:
            for row in one.used:
                moved[row.asset] += row.entered
        counted = {row.asset: row.entered for row in usage.entered}
        if counted != {asset: min(amount, AMOUNT_MAX) for asset, amount in moved.items()}:
            yield f"experiment {experiment.id}: what was moved is not what participants moved"


INVARIANTS: Final = (
    Invariant(
        name="SBX-1",
        en="No limit of an experiment is passed.",
        th="ไม่มีการใช้เกินเพดานของการทดลอง",
        check=limits,
    ),
    Invariant(
        name="SBX-2",
        en="Nothing enters an experiment that is not running.",
        th="ไม่มีสิ่งใดเข้าสู่การทดลองที่ไม่ได้ดำเนินอยู่",
        check=window,
    ),
    Invariant(
        name="SBX-3",
        en="The way out of an experiment is never blocked.",
        th="ทางออกจากการทดลองไม่เคยถูกปิด",
        check=exits,
    ),
    Invariant(
        name="SBX-4",
        en="Whoever takes part agreed to exactly the experiment's terms.",
        th="ผู้เข้าร่วมยอมรับข้อตกลงตรงตามของการทดลอง",
        check=terms,
    ),
    Invariant(
        name="SBX-5",
        en="What runs was approved by two organisations.",
        th="การทดลองที่ดำเนินอยู่ได้รับอนุมัติจากสององค์กร",
        check=approvals,
    ),
    Invariant(
        name="SBX-6",
        en="Counters are what the participants' records come to.",
        th="ตัวนับตรงกับผลรวมจากบันทึกของผู้เข้าร่วม",
        check=counters,
    ),
)
