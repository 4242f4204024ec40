"""Whatever stakers, validators and accusers do, in whatever order: every invariant after every block."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.bank.state import supply
from cccnode.city.evidence import EvidenceReport
from cccnode.city.staking import (
    StkClaim,
    StkClaimCommission,
    StkDelegate,
    StkSetCommission,
    StkUndelegate,
    StkUnjail,
    rewards,
    rules,
)
from cccnode.city.staking.messages import ASSET
from cccnode.city.staking.state import Delegation, Validator
from cccnode.codec import Noun
from cccnode.types.limits import AMOUNT_MAX
from tests.city.staking.bonds import DAY_MS, Bonds

_who = st.integers(0, 4)
_whom = st.integers(0, 3)
_amount = st.integers(0, 30) | st.integers(0, 10**7) | st.just(AMOUNT_MAX)


class Stakers(RuleBasedStateMachine):
    """A person and four organisations; three delegators a validator at most."""

    town: Bonds

    @initialize()
    def begin(self) -> None:
        self.town = Bonds(max_delegators=3, commission_step_bps=5_000, miss_blocks=128)
        self.names = ["demo0", *self.town.members]
        self.houses = [self.town.accounts[name] for name in self.town.members]
        self.minted = supply(self.town.overlay, ASSET)
        self.indices = dict.fromkeys(self.houses, b"")
        self.view = 100

    def send(self, name: str, message: Noun) -> None:
        (outcome,) = self.town.block((name, message))
        known = outcome in {"ok", "bank/INSUFFICIENT", "tx/INSUFFICIENT_FEE_BALANCE", "evidence/KNOWN"}
        assert known or outcome.startswith("staking/"), outcome

    @rule(who=_who, whom=_whom, amount=_amount)
    def delegate(self, who: int, whom: int, amount: int) -> None:
        self.send(self.names[who], StkDelegate(self.houses[whom], amount))

    @rule(who=_who, whom=_whom, amount=_amount)
    def undelegate(self, who: int, whom: int, amount: int) -> None:
        self.send(self.names[who], StkUndelegate(self.houses[whom], amount))

    @rule(who=_who, whom=_whom)
    def undelegate_all(self, who: int, whom: int) -> None:
        amount, _ = self.town.delegations(self.names[who]).get(self.houses[whom], (0, 0))
        self.send(self.names[who], StkUndelegate(self.houses[whom], amount))

    @rule(who=_who, whom=_whom)
    def claim(self, who: int, whom: int) -> None:
        self.send(self.names[who], StkClaim(self.houses[whom]))

    @rule(who=_who, bps=st.integers(0, 10_000))
    def commission(self, who: int, bps: int) -> None:
        self.send(self.names[who], StkClaimCommission())
        self.send(self.names[who], StkSetCommission(bps))

    @rule(who=_who)
    def unjail(self, who: int) -> None:
        self.send(self.names[who], StkUnjail())

    @rule(amount=st.integers(1, 100_000))
    def fees(self, amount: int) -> None:
        self.town.pay(amount)

    @rule(signer=_whom, fresh=st.booleans())
    def accuse(self, signer: int, *, fresh: bool) -> None:
        self.view += fresh
        epoch = self.town.record.epoch
        self.send("demo0", EvidenceReport(epoch, *self.town.fault(signer, view=self.view, epoch=epoch)))

    @rule(days=st.integers(1, 4))
    def wait(self, days: int) -> None:
        self.town.block(time_ms=self.town.header.time_ms + days * DAY_MS)

    @rule()
    def turn(self) -> None:
        self.town.turn()

    @invariant()
    def sound(self) -> None:
        """All invariants; no money made or lost (BNK-1); no index falls (STK-4)."""
        self.town.sound()
        assert self.minted == supply(self.town.overlay, ASSET)
        for house in self.houses:
            row = rules.read_validator(self.town.overlay, house)
            if row is not None:
                assert self.indices[house] <= row.index
                self.indices[house] = row.index


Stakers.TestCase.settings = settings(stateful_step_count=60)
TestStakers = Stakers.TestCase


def _busy() -> Iterator[list[str]]:
    """What every kind of step leaves broken, after each of them."""
    town = Bonds()
    house, other = town.address(), town.members[1]
    for name in ("demo0", other, town.members[2]):
        town.send(name, StkDelegate(house, 1_000))
    town.pay(4_001)
    yield CITY.broken(town.state)
    for name, message in (
        ("demo0", StkClaim(house)),
        ("demo0", StkUndelegate(house, 1_000)),
        (other, StkUndelegate(house, 5)),
        ("demo0", EvidenceReport(0, *town.fault())),
    ):
        town.send(name, message)
        yield CITY.broken(town.state)
    town.block(time_ms=town.header.time_ms + 3 * DAY_MS)
    yield CITY.broken(town.state)


def _without_dust(validator: Validator, record: Delegation) -> tuple[Validator, Delegation]:
    _, counted = REAL["settled"](validator, record)
    return validator, counted


def _drop_without_moving(state: Any, validator: bytes, account: bytes, place: int, last: int) -> None:
    REAL["drop"](state, validator, account, last if place != last else place, last)


def _cut_twice(context: Any, address: bytes, validator: Validator, account: bytes, bps: int) -> tuple[Validator, int]:
    changed, cut = REAL["_slash_delegation"](context, address, validator, account, bps)
    return changed, cut * 2


REAL: dict[str, Callable[..., Any]] = {
    "settled": rules.settled,
    "drop": rules.drop,
    "_slash_delegation": rewards._slash_delegation,
    "write_unbonding": rules.write_unbonding,
}

MUTANTS: list[tuple[str, Any, str, Callable[..., Any]]] = [
    ("STK-1", rules, "set_bonded", lambda *_: None),
    ("STK-1", rewards, "_slash_delegation", _cut_twice),
    ("STK-2", rewards, "_slash_waiting", lambda *_: 1),
    (
        "STK-2",
        rules,
        "write_unbonding",
        lambda state, account, number, row: REAL["write_unbonding"](
            state, account, number, row and replace(row, amount=row.amount + 1)
        ),
    ),
    ("STK-3", rules, "settled", _without_dust),
    ("STK-5", rules, "schedule", lambda *_: None),
    ("STK-9", rules, "drop", _drop_without_moving),
]


@pytest.mark.parametrize(("name", "where", "what", "mutant"), MUTANTS, ids=[f"{row[0]}-{row[2]}" for row in MUTANTS])
def test_each_invariant_catches_its_mutant(
    name: str, where: Any, what: str, mutant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same steps break nothing by themselves, and break this invariant with one rule changed."""
    assert [] == [text for found in _busy() for text in found]
    monkeypatch.setattr(where, what, mutant)

    with pytest.raises(BaseException) as caught:  # noqa: PT012 - a mutant may also trip an assertion
        for found in _busy():
            if any(text.startswith(name) for text in found):
                raise KeyboardInterrupt(name)
    assert caught.type is KeyboardInterrupt
