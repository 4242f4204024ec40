"""Lives through the week on some network and compares every outcome, balance and state with the tables."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from cccnode.ledger.registry import Registry
from cccnode.types.transaction import sign_transaction
from cccnode.types.units import DAY_MS
from cccnode.week.building import build, kinds
from cccnode.week.city import CANDIDATE, ready
from cccnode.week.people import account_of, key_of
from cccnode.week.reading import READERS, Ask, Missing, balances, comparable, farmer_share
from cccnode.week.script import DAYS, START_MS, Evening, Step, Table, instant, script, tables

FEE: Final = 1_000
_RECEIPT: Final = {"ready": CANDIDATE}
LIFETIME_MS: Final = 60_000
SECOND_MS: Final = 1_000


class Decided(NamedTuple):
    """What became of a transaction."""

    outcome: str
    """`ok`, the name of an error, or `refused`."""
    height: int = 0
    why: str = ""
    """The name of the error that refused it."""


class Network(Protocol):
    """A city with a clock that can be set."""

    async def reach(self, time_ms: int) -> None:
        """Jump to a time, and let what falls due until then be carried out."""

    async def send(self, raws: Sequence[bytes]) -> Sequence[Decided]:
        """Decide transactions, in one block if the network can; their order is kept."""

    async def ask(self, method: str, **params: Any) -> Any:
        """A query, answered by a node that did not submit.  Raises `Missing`."""

    async def roots(self) -> set[str]:
        """State roots of all running nodes at one height: one, if they agree."""

    async def chain(self) -> bytes:
        """The chain id."""


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """Something is not as the tables say."""

    where: str
    expected: Any
    found: Any


class Result(msgspec.Struct, kw_only=True):
    """How the week went."""

    steps: int = 0
    not_run: list[str] = []
    """Steps whose message the city does not have."""
    checks: int = 0
    mismatches: list[Mismatch] = []
    farmer_share_bps: int = 0
    balances: dict[str, dict[str, int]] = {}
    """On the last evening."""

    @property
    def green(self) -> bool:
        """Whether every step was run and everything was as expected."""
        return not self.not_run and not self.mismatches

    def compare(self, where: str, expected: Any, found: Any) -> None:
        """Count a check, and remember what it finds."""
        self.checks += 1
        if expected != found:
            self.mismatches.append(Mismatch(where=where, expected=expected, found=found))


Told = Callable[[Step, Decided | None], None]
"""Hears of every step and what became of it; None: it was not run."""
Evenings = Callable[[int, Result], None]
"""Hears of the end of every day."""
Interlude = Callable[[int], Any]
"""Awaited before each day: nodes go down, come back, or begin anew."""


class Week:
    """One run."""

    def __init__(
        self, network: Network, registry: Registry, *, packed: bool = False, told: Told, evening: Evenings
    ) -> None:
        """Nothing has happened yet."""
        self.result = Result()
        self._network, self._registry, self._packed = network, registry, packed
        self._told, self._evening = told, evening
        self._table: Table = tables().packed if packed else tables().single
        self._expected = {row.step: row for row in self._table.steps}
        self._known = kinds(registry)
        self._salt = 0

    async def run(self, *, until_day: int = DAYS, before_day: Interlude | None = None) -> Result:
        """Live through the days, and compare."""
        for day in range(1, until_day + 1):
            if before_day is not None:
                await before_day(day)
            await self._day(day)
        return self.result

    async def _day(self, day: int) -> None:
        rows = [step for step in script() if step.day == day]
        for _, group in groupby(rows, key=lambda step: step.time):
            steps = list(group)
            at = instant(f"D{day} {steps[0].time}")
            if self._packed:
                await self._minute(steps, at)
            else:
                for second, step in enumerate(steps):
                    await self._minute([step], at + second * SECOND_MS)
        await self._network.reach(START_MS + day * DAY_MS - 1)
        await self._compare(day, self._table.days[day - 1])
        self._evening(day, self.result)

    async def _minute(self, steps: Sequence[Step], at: int) -> None:
        """Send what a moment brings, together."""
        runs = [step for step in steps if step.message in self._known]
        for step in steps:
            if step not in runs:
                self.result.not_run.append(step.step)
                self._told(step, None)
        if not runs:
            return
        await self._network.reach(at)
        decided = await self._network.send([await self._signed(step, at) for step in runs])
        for step, one in zip(runs, decided, strict=True):
            self.result.steps += 1
            self.result.compare(f"{step.step} outcome", self._expected[step.step].outcome, one.outcome)
            self._told(step, one)
        heights = {one.height for one in decided if one.height}
        if self._packed and len(heights) > 1:
            self.result.compare(f"{steps[0].step} blocks of one minute", 1, len(heights))

    async def _signed(self, step: Step, at: int) -> bytes:
        self._salt += 1
        _, raw = sign_transaction(
            chain=await self._network.chain(),
            account=account_of(step.actor),
            valid_until_ms=at + LIFETIME_MS,
            salt=self._salt.to_bytes(8, "big"),
            fee_max=0 if step.message == "MemApply" else FEE,
            messages=[build(self._registry, step.message, await self._ready(step.values))],
            keys=[key_of(step.key or step.actor)],
            fee_payer=account_of(step.payer) if step.payer else None,
        )
        return raw

    async def _ready(self, values: Any) -> Any:
        """The values of a step, with the candidate's receipt of a recent height in its place."""
        if not asks_receipt(values):
            return values
        newest = max(await self._network.ask("registry_checkpoints"), key=lambda row: int(row["height"]))
        return with_receipt(values, ready(int(newest["height"]), bytes.fromhex(newest["state_root"][2:])))

    async def _compare(self, day: int, expected: Evening) -> None:
        """Every balance and state of an evening, and that all nodes agree."""
        ask: Ask = self._network.ask
        found = await balances(ask)
        self.result.balances = found
        for asset, names in expected.balances.items():
            for name in sorted({*names, *found[asset]}):
                self.result.compare(f"D{day} {asset} of {name}", names.get(name, 0), found[asset].get(name, 0))
        for part, read in READERS.items():
            try:
                states = await read(ask)
            except Missing as missing:
                states = f"cannot be asked: {missing}"
            self._compare_part(f"D{day} {part}", comparable(part, expected.states[part]), states)
        self.result.compare(f"D{day} state roots of all nodes", 1, len(await self._network.roots()))
        if day == DAYS:
            try:
                self.result.farmer_share_bps = await farmer_share(ask)
            except Missing:
                self.result.farmer_share_bps = -1
            self.result.compare("farmer's share", self._table.farmer_share_bps, self.result.farmer_share_bps)

    def _compare_part(self, where: str, expected: Any, found: Any) -> None:
        """Record by record, where there are several."""
        if not isinstance(expected, dict) or not isinstance(found, dict):
            self.result.compare(where, expected, found)
            return
        for key in sorted({*expected, *found}):
            self.result.compare(f"{where} {key}", expected.get(key), found.get(key))


def asks_receipt(values: Any) -> bool:
    """Whether some value is the candidate's receipt, which depends on the chain."""
    if isinstance(values, dict):
        return values == _RECEIPT or any(map(asks_receipt, values.values()))
    return isinstance(values, list) and any(map(asks_receipt, values))


def with_receipt(values: Any, receipt: dict[str, Any]) -> Any:
    """The values with a receipt where it is asked for."""
    if values == _RECEIPT:
        return receipt
    if isinstance(values, list):
        return [with_receipt(one, receipt) for one in values]
    return {name: with_receipt(one, receipt) for name, one in values.items()} if isinstance(values, dict) else values
