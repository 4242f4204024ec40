"""The steps of the week and the tables that it must lead to, out of the two JSON files beside this one."""

from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from cccnode.types.units import DAY_MS

START_MS: Final = 1_767_571_200_000
"""Monday 2026-01-05, 00:00 UTC: day 1."""
DAYS: Final = 7
_HERE: Final = Path(__file__).parent


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who sends what, when."""

    step: str
    day: int
    time: str
    """hh:mm, UTC.  Steps of one minute follow each other by a second."""
    actor: str
    message: str
    """Name of a message type."""
    values: dict[str, Any]
    """Its fields; see `cccnode.week.building`."""
    payer: str | None = None
    """Whose grant pays the fee."""
    key: str | None = None
    """With which key it is signed; the actor's first one unless named."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must become of a step."""

    step: str
    day: int
    time: str
    actor: str
    message: str
    outcome: str
    """`ok`, the name of an error, or `refused`: no block ever holds it."""
    payer: str | None = None
    amount: int | None = None
    """What was claimed."""


class Evening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be true at the last millisecond of a day."""

    balances: dict[str, dict[str, int]]
    """Asset -> name -> base units; whoever is not named has nothing."""
    states: dict[str, Any]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that one run of the week is compared with."""

    steps: tuple[Outcome, ...]
    days: tuple[Evening, ...]
    fees: dict[str, Any]
    farmer_share_bps: int


class Tables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With one transaction a block, and with each minute packed into one block."""

    single: Table
    packed: Table


@cache
def script() -> tuple[Step, ...]:
    """Every step, in order."""
    return msgspec.json.decode((_HERE / "script.json").read_bytes(), type=tuple[Step, ...])


@cache
def tables() -> Tables:
    """What must come out."""
    return msgspec.json.decode((_HERE / "expected.json").read_bytes(), type=Tables)


def instant(text: str) -> int:
    """Unix milliseconds of `D2 09:20`."""
    day, _, time = text.partition(" ")
    hours, minutes = time.split(":")
    return START_MS + (int(day[1:]) - 1) * DAY_MS + int(hours) * 3_600_000 + int(minutes) * 60_000


def minutes() -> tuple[tuple[Step, ...], ...]:
    """The steps of each minute together."""
    found: dict[tuple[int, str], list[Step]] = {}
    for step in script():
        found.setdefault((step.day, step.time), []).append(step)
    return tuple(tuple(steps) for steps in found.values())
