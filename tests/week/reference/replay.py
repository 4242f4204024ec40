"""Replays the acceptance week with integers alone, sharing nothing with the city's modules, and writes its tables.

    python -m tests.week.reference.replay > cccnode/week/expected.json

One transaction a block, or all of one minute in one block (`packed`).  The whole week of the specification is replayed
too: its steps that need modules which do not exist count as fees and as the movements that `script.LEFT_OUT` names; so
the tables that the specification publishes check this program, and say what every difference comes from.
"""

import copy
import heapq
import json
import re
import sys
from collections import Counter
from itertools import groupby
from typing import Any

from tests.week.reference import governance, people, staking, trade
from tests.week.reference.script import LEFT_OUT, STEPS, Left, Step
from tests.week.reference.world import BPS, CCC, DAY, START, Fail, World

FEE = 1_000
DAYS = 7
ASSETS = ("thb", "uccc")
RULES = {name: rule for module in (people, trade, staking, governance) for name, rule in vars(module).items()}
"""Messages in small letters with underscores, and what happens by itself."""

ORGANISATIONS = {
    "depa": ("government", 50_000),
    "hospital-1": ("government", 50_000),
    "company-1": ("private", 100_000),
    "company-2": ("private", 25_000),
    "hospital-2": ("private", 25_000),
    "rangsit": ("academia", 50_000),
}
PERSONS = {
    "farmer-1": ({"producer"}, 10_000),
    "farmer-2": ({"producer"}, 10_000),
    "consumer-1": (set(), 10_000),
    "consumer-2": (set(), 10_000),
    "founder-1": (set(), 10_000),
    "arbitrator-1": ({"arbitrator"}, 20_000),
}
SERVICES = {
    "city-desk": (set(), 10_000),
    "regulator-1": ({"regulator"}, 2_000),
    "regulator-2": ({"regulator"}, 2_000),
    "auditor-1": ({"auditor"}, 4_000),
    "oracle-1": (set(), 4_000),
    "oracle-2": (set(), 4_000),
    "oracle-3": (set(), 4_000),
}
VALIDATORS = ("depa", "rangsit", "hospital-1", "company-1")
TREASURY = 600_000


def genesis() -> World:
    """The city at the beginning of day 1."""
    world = World()
    for name, (pillar, money) in ORGANISATIONS.items():
        world.accounts[name] = {
            "kind": "organisation",
            "pillar": pillar,
            "status": "active",
            "personhood": 0,
            "roles": set(),
        }
        world.mint("uccc", name, money * CCC)
    for kind, pillar, personhood, rows in (("person", "citizens", 2, PERSONS), ("service", "none", 0, SERVICES)):
        for name, (roles, money) in rows.items():
            world.accounts[name] = {
                "kind": kind,
                "pillar": pillar,
                "status": "active",
                "personhood": personhood,
                "roles": roles,
            }
            world.mint("uccc", name, money * CCC)
    world.mint("uccc", "treasury", TREASURY * CCC)
    assert world.supply["uccc"] == 10**12
    staking.bond_genesis(world, VALIDATORS)
    return world


def instant(day: int, time: str) -> int:
    """Milliseconds since 1970."""
    hours, minutes = time.split(":")
    return START + (day - 1) * DAY + int(hours) * 3_600_000 + int(minutes) * 60_000


class Replay:
    """One run through the week."""

    def __init__(self, *, whole: bool = False, packed: bool = False) -> None:
        self.world = genesis()
        self.whole, self.packed = whole, packed
        self.outcomes: list[dict[str, Any]] = []
        self.days: list[dict[str, Any]] = []
        self.fees: Counter[str] = Counter()
        """Fees by payer."""
        self.charged = self.free = self.failed = 0

    def run(self) -> "Replay":
        """The whole week, day by day."""
        for day in range(1, DAYS + 1):
            for _, rows in groupby(self._rows(day), key=lambda row: (row.time, row.name if not self.packed else "")):
                self._block(list(rows))
            self._advance(START + day * DAY - 1)
            self.days.append({"balances": balances(self.world), "states": states(self.world)})
        return self

    def _rows(self, day: int) -> list[Step | Left]:
        """What happens on a day, in order; steps of the same minute follow each other."""
        rows: list[Step | Left] = [step for step in STEPS if step.day == day]
        if self.whole:
            rows += [left for left in LEFT_OUT if left.day == day]
        return sorted(rows, key=lambda row: (row.time, _number(row.name)))

    def _block(self, rows: list[Step | Left]) -> None:
        """What is due first, then the transactions, then the fees are shared."""
        at = instant(rows[0].day, rows[0].time)
        self._advance(at)
        for place, row in enumerate(rows):
            if isinstance(row, Left):
                self._left(row)
            else:
                self._step(row, at + (0 if self.packed else _second(row) * 1_000), place)
        staking.share_fees(self.world)
        check(self.world)

    def _advance(self, until: int) -> None:
        """Let everything happen that falls due up to a time."""
        world = self.world
        while world.due and world.due[0][0] <= until:
            time, _, what, arguments = heapq.heappop(world.due)
            world.now = max(world.now, time)
            RULES[what](world, **arguments)
            check(world)
        world.now = until

    def _left(self, row: Left) -> None:
        if row.name:
            self._charge(row.payer)
        for asset, source, target, amount in row.moved:
            self.world.move(asset, source, target, amount)

    def _charge(self, payer: str) -> None:
        self.world.move("uccc", payer, "m:fees", FEE)
        self.fees[payer] += FEE
        self.charged += 1

    def _step(self, step: Step, at: int, place: int) -> None:
        self.world.now = max(at, self.world.now)
        outcome, result = "ok", None
        if step.refused:
            outcome = "refused"
        else:
            if step.free:
                self.free += 1
            else:
                self._pay(step)
            before = copy.deepcopy(self.world)
            try:
                result = RULES[_snake(step.message)](self.world, step.actor, **self._values(step))
            except Fail as failure:
                self.world, outcome = before, str(failure)
                self.failed += 1
        row = {"step": step.name, "day": step.day, "time": step.time, "actor": step.actor, "message": step.message}
        row |= {"payer": step.payer} if step.payer else {}
        row |= {"outcome": outcome}
        self.outcomes.append(row | ({"amount": result} if isinstance(result, int) else {}))

    def _pay(self, step: Step) -> None:
        if step.payer:
            grant = self.world.grants[step.payer, step.actor]
            assert step.message in grant["messages"], step
            assert grant["left"] >= FEE, step
            grant["left"] -= FEE
            grant["used"] += FEE
        self._charge(step.payer or step.actor)

    def _values(self, step: Step) -> dict[str, Any]:
        if self.whole and step.name == "T57":  # the whole week gives the money to a funding round
            return {**step.values, "to": "m:qf"}
        return step.values


def _number(name: str) -> tuple[int, str]:
    """T165b follows T165; a rule at the end of a block comes before the steps of its minute."""
    found = re.fullmatch(r"T(\d+)(\w*)", name)
    return (int(found[1]), found[2]) if found else (0, "")


def _second(step: Step) -> int:
    """Steps of the same minute follow each other by one second."""
    same = [row.name for row in STEPS if (row.day, row.time) == (step.day, step.time)]
    return same.index(step.name)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def check(world: World) -> None:
    """What must hold at every moment: money is conserved, and every purse holds what it owes."""
    for asset in ASSETS:
        assert sum(amount for (kind, _), amount in world.money.items() if kind == asset) == world.supply[asset]
    assert all(amount >= 0 for amount in world.money.values())
    bonds = sum(bond["amount"] for bond in world.bonds.values())
    assert world.money["uccc", "m:bonded"] == bonds == sum(row["tokens"] for row in world.validators.values())
    owed = staking.claims_due(world)
    assert owed <= world.money["uccc", "m:rewards"] <= owed + len(world.bonds) + len(world.validators)
    assert world.money["thb", "m:market"] == sum(row["held"] + row["bond"] for row in world.orders.values())
    voting = sum(row["status"] == "VOTING" for row in world.proposals.values())
    assert world.money["uccc", "m:gov"] == voting * governance.DEPOSIT
    assert world.supply["thb"] <= min(people.THB_CAP, world.float_limit)


def balances(world: World) -> dict[str, dict[str, int]]:
    """Asset -> holder -> amount, without what is zero."""
    return {
        asset: {name: amount for (kind, name), amount in sorted(world.money.items()) if kind == asset and amount}
        for asset in ASSETS
    }


def states(world: World) -> dict[str, Any]:
    """Where every record stands."""
    sandbox = world.sandbox
    return {
        "persons": len(world.persons()),
        "members": {
            name: {"status": row["status"], "personhood": row["personhood"]}
            for name, row in sorted(world.accounts.items())
            if row["kind"] == "person"
        },
        "supply": {asset: world.supply[asset] for asset in ASSETS},
        "validators": {name: row["tokens"] for name, row in sorted(world.validators.items())},
        "coming_validators": dict(sorted(world.coming_validators.items())),
        "market_fee": world.market_fee,
        "proposals": {
            str(number): {
                "kind": row["kind"],
                "status": row["status"],
                "tallies": governance.count(row),
                "passed_chambers": row["passed_chambers"],
            }
            for number, row in world.proposals.items()
        },
        "lots": {
            str(number): {key: row[key] for key in ("origin", "holder", "quantity", "lost", "events")}
            for number, row in world.lots.items()
        },
        "listings": {str(number): row["left"] for number, row in world.listings.items()},
        "orders": {
            str(number): {key: row[key] for key in ("status", "goods", "transport", "fee_bps", "held", "bond", "paid")}
            for number, row in world.orders.items()
        },
        "sandbox": {"status": sandbox["status"], "participants": len(sandbox["participants"])} if sandbox else {},
        "grants_used": {f"{granter} -> {grantee}": row["used"] for (granter, grantee), row in world.grants.items()},
    }


def table(replay: Replay) -> dict[str, Any]:
    """Everything that a run is compared with."""
    world = replay.world
    sold = world.sold
    return {
        "steps": replay.outcomes,
        "days": replay.days,
        "fees": {
            "charged": replay.charged,
            "free": replay.free,
            "failed": replay.failed,
            "total": replay.charged * FEE,
            "by_payer": dict(sorted(replay.fees.items())),
        },
        "farmer_share_bps": sold["producer got"] * BPS // sold["consumer paid"],
    }


def expected() -> dict[str, Any]:
    """The committed tables: one transaction a block, and what differs when each minute is one block."""
    single, packed = Replay().run(), Replay(packed=True).run()
    return {"single": table(single), "packed": table(packed)}


def text() -> str:
    """The committed file, to the byte."""
    return json.dumps(expected(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
