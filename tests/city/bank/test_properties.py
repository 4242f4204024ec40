"""Whatever owners, issuers, auditors, regulators and sponsors do, in whatever order: every invariant holds."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cccnode.city.bank import (
    AssetSetCap,
    BankAttestFloat,
    BankBurn,
    BankFreeze,
    BankMint,
    BankMulti,
    BankRedeem,
    BankTransfer,
    BankUnfreeze,
    FeeGrant,
    FeeRevoke,
    ResourceFund,
    ResourceWithdraw,
    TreasurySpend,
    fees,
    issuing,
    rules,
    sponsors,
)
from cccnode.city.bank.messages import Output
from cccnode.city.bank.state import TREASURY
from cccnode.types.limits import AMOUNT_MAX
from tests.city.hostile import Hostile
from tests.city.people import account, founded, organisation
from tests.support.city import FEE

DAY = 86_400_000
HASH = bytes(32)
ISSUER = organisation(2)


def _document(**bank: int) -> Any:
    return founded(
        parameters={"bank": bank},
        holders={account(0): ["auditor"], account(1): ["regulator"], organisation(2): ["auditor"]},
        personhood={account(2): "vouched"},
    )


DOCUMENT = _document(free_per_day=2, resource_per_day=3)
PAID = _document(resource_per_day=3)
_who = st.integers(0, 7)
_whom = st.integers(0, 9)
_asset = st.sampled_from(["uccc", "thb", "gold"])
_amount = st.integers(0, 30) | st.integers(0, 10**9) | st.just(AMOUNT_MAX)


class Bank(RuleBasedStateMachine):
    """Four persons and four organisations, two of them not what they seem."""

    people: Hostile

    @initialize()
    def begin(self) -> None:
        self.people = Hostile(document=DOCUMENT)

    def to(self, whom: int) -> bytes:
        """A member, the treasury, or nobody."""
        return self.people.actors[whom] if whom < 8 else (TREASURY, HASH[:20])[whom - 8]

    def act(self, who: int, message: Any, payer: bytes | None = None) -> None:
        self.people.act(message, self.people.actors[who], payer=payer)

    @rule(who=_who, whom=_whom, asset=_asset, amount=_amount, payer=st.none() | _who)
    def transfer(self, who: int, whom: int, asset: str, amount: int, payer: int | None) -> None:
        paying = None if payer is None else self.people.actors[payer]
        self.act(who, BankTransfer(self.to(whom), asset, amount), paying)

    @rule(who=_who, rows=st.lists(st.tuples(_whom, _asset, _amount), min_size=1, max_size=3))
    def multi(self, who: int, rows: list[tuple[int, str, int]]) -> None:
        self.act(who, BankMulti(tuple(Output(self.to(whom), asset, amount) for whom, asset, amount in rows)))

    @rule(who=st.just(6) | _who, whom=_whom, asset=_asset, amount=_amount)
    def mint(self, who: int, whom: int, asset: str, amount: int) -> None:
        self.act(who, BankMint(asset, self.to(whom), amount))

    @rule(who=st.just(0) | _who, asset=_asset, amount=_amount)
    def attest(self, who: int, asset: str, amount: int) -> None:
        self.act(who, BankAttestFloat(asset, amount, HASH))

    @rule(who=_who, asset=_asset, amount=_amount, burnt=st.booleans())
    def give_back(self, who: int, asset: str, amount: int, *, burnt: bool) -> None:
        self.act(who, BankBurn(asset, amount) if burnt else BankRedeem(asset, amount, HASH))

    @rule(who=st.just(1) | _who, whom=_whom, asset=_asset, frozen=st.booleans())
    def freeze(self, who: int, whom: int, asset: str, *, frozen: bool) -> None:
        self.act(who, (BankFreeze if frozen else BankUnfreeze)(asset, self.to(whom), HASH))

    @rule(who=_who, whom=_whom, budget=st.integers(0, 5_000), per=st.integers(0, 3_000), days=st.integers(-1, 400))
    def grant(self, who: int, whom: int, budget: int, per: int, days: int) -> None:
        period = DAY if per else 0
        expires = self.people.now + days * DAY
        if expires >= 0:
            names = ("BankTransfer", "FeeRevoke")
            self.act(who, FeeGrant(self.to(whom), budget, per, period, expires, names))

    @rule(who=_who, whom=_whom, payer=st.none() | _who)
    def revoke(self, who: int, whom: int, payer: int | None) -> None:
        self.act(who, FeeRevoke(self.to(whom)), None if payer is None else self.people.actors[payer])

    @rule(who=_who, amount=_amount, per_day=st.integers(0, 4))
    def fund(self, who: int, amount: int, per_day: int) -> None:
        self.act(who, ResourceFund(amount, per_day))

    @rule(who=_who, amount=_amount)
    def withdraw(self, who: int, amount: int) -> None:
        self.act(who, ResourceWithdraw(amount))

    @rule(asset=_asset, whom=_whom, amount=_amount)
    def spend(self, asset: str, whom: int, amount: int) -> None:
        self.people.decide(TreasurySpend(asset, self.to(whom), amount))

    @rule(asset=_asset, cap=_amount)
    def cap(self, asset: str, cap: int) -> None:
        self.people.decide(AssetSetCap(asset, cap))

    @rule(hours=st.integers(1, 40))
    def wait(self, hours: int) -> None:
        self.people.pass_time(hours * DAY // 24)

    @invariant()
    def sound(self) -> None:
        """All invariants of the city, and what no single transaction may do."""
        if hasattr(self, "people"):
            self.people.broken_rules += self.people.broken()
            self.people.sound()


Bank.TestCase.settings = settings(stateful_step_count=60)
TestBank = Bank.TestCase


def _busy() -> Iterator[list[str]]:
    """What every kind of step leaves broken, after each of them."""
    people = Hostile(document=PAID)
    grant = FeeGrant(account(3), 10 * FEE, FEE, DAY, people.now + 5 * DAY, ("BankTransfer",))
    pay = BankTransfer(account(1), "uccc", 5)
    steps: list[Callable[[], str]] = [
        lambda: people.act(pay, account(0)),
        lambda: people.act(BankAttestFloat("thb", 100, HASH), account(0)),
        lambda: people.act(BankMint("thb", account(2), 90), ISSUER),
        lambda: people.act(BankMint("thb", account(2), 20), ISSUER),
        lambda: people.act(BankRedeem("thb", 5, HASH), account(2)),
        lambda: people.act(ResourceFund(5 * FEE, 2), organisation(0)),
        lambda: people.act(pay, organisation(0)),
        lambda: people.act(grant, account(2)),
        lambda: people.act(pay, account(3), payer=account(2)),
        lambda: people.act(pay, account(3), payer=account(2)),
        lambda: people.act(BankTransfer(account(1), "uccc", 0), account(0)),
        lambda: people.pass_time(6 * DAY) or "",
    ]
    for step in steps:
        step()
        people.broken_rules += people.broken()
        yield people.broken_rules


REAL: dict[str, Any] = {"credit": rules.credit, "charge": fees.charge}


def _generous(state: Any, account: bytes, asset: str, amount: int, limit: int) -> int:
    return int(REAL["credit"](state, account, asset, amount + 1, limit))


def _greedy(state: Any, schedule: Any, payer: bytes, fee: int) -> int:
    """Take one more than is said."""
    return int(REAL["charge"](state, schedule, payer, fee + 1)) - 1


MUTANTS: list[tuple[str, Any, str, Callable[..., Any]]] = [
    ("BNK-1", rules, "credit", _generous),
    ("BNK-2", issuing, "_check_float", lambda *_: None),
    ("BNK-3", rules, "write_issued", lambda *_: None),
    ("BNK-4", fees, "use_resource", lambda *_: None),
    ("BNK-4", fees, "charge", _greedy),
    ("BNK-5", sponsors, "room", lambda grant, now_ms: grant.left),
    ("BNK-6", fees, "move", lambda *_, **__: None),
]


@pytest.mark.parametrize(("name", "where", "what", "mutant"), MUTANTS, ids=[f"{row[0]}-{row[2]}" for row in MUTANTS])
def test_each_invariant_catches_its_mutant(
    name: str, where: Any, what: str, mutant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same steps break nothing by themselves, and break this invariant with one rule changed."""
    assert [] == [text for found in _busy() for text in found]
    monkeypatch.setattr(where, what, mutant)

    assert any(text.startswith(name) for found in _busy() for text in found)
