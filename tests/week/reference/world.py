"""What the replay keeps: plain numbers and names, money moved by two lines, and the list of what falls due.

Integers only.  Money is counted in base units: uccc (a millionth of a CCC) and thb in satang.  Times are milliseconds.
"""

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

HOUR = 3_600_000
DAY = 24 * HOUR
START = 1_767_571_200_000
"""Monday 2026-01-05, 00:00 UTC: the beginning of day 1."""
CCC = 1_000_000
"""Base units of one CCC."""
BPS = 10_000


class Fail(Exception):
    """A message fails: its fee stays paid, nothing else of it remains."""


def need(condition: bool, error: str) -> None:
    """Fail with `error` unless the condition holds."""
    if not condition:
        raise Fail(error)


@dataclass
class World:
    """Everything that a failed message must leave as it was."""

    now: int = START
    money: Counter = field(default_factory=Counter)
    """(asset, holder) -> amount.  Module accounts are `m:fees` and so on, the city's purse is `treasury`."""
    supply: Counter = field(default_factory=Counter)
    due: list = field(default_factory=list)
    """Heap of (time, number, what happens, its arguments)."""
    scheduled: int = 0
    # Members
    accounts: dict = field(default_factory=dict)
    """Name -> {kind, pillar, status, personhood, roles, organisation}."""
    grants: dict = field(default_factory=dict)
    """(granter, grantee) -> {left, used, messages}."""
    # Money that somebody issues
    float_limit: int = 0
    # Staking
    validators: dict = field(default_factory=dict)
    """Name -> {tokens, index, rest, commission_bps, due}."""
    bonds: dict = field(default_factory=dict)
    """(validator, holder) -> {amount, index, pending}."""
    # Governance
    proposals: dict = field(default_factory=dict)
    delegates: dict = field(default_factory=dict)
    """Who -> to whom, now."""
    market_fee: int = 50
    coming_validators: dict = field(default_factory=dict)
    """Name -> time at which it begins."""
    # Trade
    lots: dict = field(default_factory=dict)
    listings: dict = field(default_factory=dict)
    orders: dict = field(default_factory=dict)
    trails: dict = field(default_factory=dict)
    """Lot -> list of (order, price for 1000 units)."""
    sold: Counter = field(default_factory=Counter)
    """What consumers paid and what the producer got, net of refunds."""
    # Research sandbox
    sandbox: dict = field(default_factory=dict)

    def move(self, asset: str, source: str, target: str, amount: int) -> None:
        """Money from one holder to another."""
        need(self.money[asset, source] >= amount, "bank/INSUFFICIENT")
        self.money[asset, source] -= amount
        self.money[asset, target] += amount

    def mint(self, asset: str, target: str, amount: int) -> None:
        """New money."""
        self.money[asset, target] += amount
        self.supply[asset] += amount

    def burn(self, asset: str, source: str, amount: int) -> None:
        """Money that is no more."""
        need(self.money[asset, source] >= amount, "bank/INSUFFICIENT")
        self.money[asset, source] -= amount
        self.supply[asset] -= amount

    def later(self, time: int, what: str, **arguments: Any) -> None:
        """Let `what` happen at the end of the first block at or after `time`."""
        self.scheduled += 1
        heapq.heappush(self.due, (time, self.scheduled, what, arguments))

    def active(self, who: str) -> bool:
        """Whether the account exists and may act."""
        return self.accounts.get(who, {}).get("status") == "active"

    def has_role(self, who: str, role: str) -> bool:
        """Whether an active account holds the role."""
        return self.active(who) and role in self.accounts[who]["roles"]

    def persons(self) -> list:
        """Active persons, sorted."""
        return sorted(name for name, row in self.accounts.items() if row["kind"] == "person" and self.active(name))
