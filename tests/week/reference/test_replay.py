"""The replay gives the published tables, explains every difference of the reduced week, and is what is committed."""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.week.reference import published
from tests.week.reference.replay import DAYS, FEE, Replay, text
from tests.week.reference.script import LEFT_OUT

COMMITTED = Path("cccnode/week/expected.json")
ROUND = 1_000_000
"""Satang of proposal 2: to a funding round in the whole week, to rangsit in the reduced one."""
ROUND_FROM_DAY = 4


@cache
def run(*, whole: bool = False, packed: bool = False) -> Replay:
    return Replay(whole=whole, packed=packed).run()


def claims(replay: Replay) -> dict[str, int]:
    return {row["step"]: row["amount"] for row in replay.outcomes if "amount" in row}


@pytest.mark.parametrize("name", sorted(published.THB))
def test_published_baht(name: str) -> None:
    """The whole week: every printed balance in baht, on every day."""
    days = run(whole=True).days

    assert tuple(day["balances"]["thb"].get(name, 0) for day in days) == published.THB[name]


def test_published_ccc() -> None:
    """The whole week: every final balance in CCC, nobody else has any, and what rewards and fees came to."""
    replay = run(whole=True)

    assert replay.days[-1]["balances"]["uccc"] == published.UCCC
    assert tuple(day["states"]["supply"]["thb"] for day in replay.days) == published.THB_SUPPLY
    assert (replay.charged, replay.free) == (published.CHARGED, published.FREE)
    assert claims(replay) == published.CLAIMS


def test_published_packed() -> None:
    """Packed by the minute: only the two rewards of delegators move, as printed."""
    packed = run(whole=True, packed=True)

    assert claims(packed) == published.CLAIMS_PACKED
    assert packed.charged == published.CHARGED
    for day in range(DAYS):
        assert packed.days[day]["balances"]["thb"] == run(whole=True).days[day]["balances"]["thb"]


@pytest.mark.parametrize("whole", [False, True])
def test_unchanged(whole: bool) -> None:
    """Payouts of the four orders and the farmer's share are the printed ones, with and without the left-out steps."""
    replay = run(whole=whole)
    sold = replay.world.sold

    assert {number: row["paid"] for number, row in replay.days[-1]["states"]["orders"].items()} == published.ORDERS_PAID
    assert sold["producer got"] * 10_000 // sold["consumer paid"] == published.FARMER_SHARE_BPS


@pytest.mark.parametrize("day", range(1, DAYS + 1))
def test_every_difference_in_baht(day: int) -> None:
    """Printed balance minus ours is what the left-out steps moved until that day, and the round of proposal 2."""
    moved: Counter[str] = Counter()
    for left in LEFT_OUT:
        for asset, source, target, amount in left.moved:
            if asset == "thb" and left.day <= day:
                moved[source] -= amount
                moved[target] += amount
    if day >= ROUND_FROM_DAY:
        moved["rangsit"] -= ROUND
        moved["m:qf"] += ROUND
    ours = run().days[day - 1]["balances"]["thb"]
    printed = {name: row[day - 1] for name, row in published.THB.items()}

    for name in {*printed, *ours, *moved}:
        assert printed.get(name, 0) - ours.get(name, 0) == moved[name], name


def test_every_difference_in_ccc() -> None:
    """Printed final CCC minus ours: left-out fees and movements, and the rewards of those fees."""
    moved: Counter[str] = Counter()
    for left in LEFT_OUT:
        moved[left.payer] -= FEE if left.name else 0
        moved["treasury"] += FEE * 3 // 10 if left.name else 0
        moved["m:rewards"] += FEE * 7 // 10 if left.name else 0
        for asset, source, target, amount in left.moved:
            if asset == "uccc":
                moved[source] -= amount
                moved[target] += amount
    for step, name in (("T166", "consumer-1"), ("T179", "farmer-1"), ("T180", "depa")):
        more = published.CLAIMS[step] - claims(run())[step]
        moved[name] += more
        moved["m:rewards"] -= more
    ours = run().days[-1]["balances"]["uccc"]

    for name in {*published.UCCC, *ours}:
        assert published.UCCC.get(name, 0) - ours.get(name, 0) == moved[name], name


def test_tallies() -> None:
    """The five votes come out as the specification works them out by hand."""
    rows = run().days[-1]["states"]["proposals"]

    def short(number: int, chamber: str) -> tuple[int, int, int]:
        count = rows[str(number)]["tallies"][chamber]
        return count["Y"], count["N"], count["total"]

    assert short(1, "all") == (3, 0, 7)
    assert short(2, "all") == (140_000, 100_000, 240_000)
    chambers = ("government", "private", "academia", "citizens")
    assert [short(3, chamber) for chamber in chambers] == [(1, 0, 2), (1, 1, 3), (1, 0, 1), (3, 2, 8)]
    assert [short(4, chamber) for chamber in chambers] == [(2, 0, 2), (2, 0, 3), (1, 0, 1), (3, 0, 8)]
    assert short(5, "all") == (1, 0, 8)
    assert [rows[str(number)]["status"] for number in range(1, 6)] == ["EXECUTED"] * 4 + ["REJECTED_QUORUM"]


def test_committed() -> None:
    """The committed tables are what the replay writes."""
    assert COMMITTED.read_text(encoding="utf-8") == text()
