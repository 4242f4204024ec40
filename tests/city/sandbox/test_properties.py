"""Whatever owners, regulators, participants and strangers do, in whatever order: every invariant, every block."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.bank import BankTransfer
from cccnode.city.market import MktAccept, MktCancel
from cccnode.city.market import disputes as market_disputes
from cccnode.city.market.state import last_number
from cccnode.city.sandbox import (
    SbxApprove,
    SbxCityResume,
    SbxConsent,
    SbxExit,
    SbxExtend,
    SbxFinish,
    SbxJoin,
    SbxOrder,
    SbxPause,
    SbxReport,
    SbxResume,
    SbxStart,
    guard,
    rules,
)
from cccnode.city.sandbox.messages import Outcome
from cccnode.city.sandbox.state import Status, read_experiment
from cccnode.codec import Noun
from cccnode.types.limits import AMOUNT_MAX
from tests.city.market.fair import BAHT, DAY_MS, HOUR_MS, NAMES
from tests.city.sandbox.lab import PARTICIPANTS, PLAN, TERMS, Lab

REGULATORS = ("regulator-1", "regulator-2")
who = st.sampled_from([*NAMES, *PARTICIPANTS * 4])
regulator = st.sampled_from([*REGULATORS * 6, "farmer-1", "company-1"])
owner = st.sampled_from(["company-1"] * 6 + ["farmer-1", "regulator-1"])
amounts = st.sampled_from([1, 999, 5_000, 20_000, AMOUNT_MAX])
plans = st.sampled_from([PLAN, TERMS])


class Experimenters(RuleBasedStateMachine):
    """One experiment with tight limits, five who take part, and the rest of the city."""

    lab: Lab

    @initialize()
    def begin(self) -> None:
        self.lab = Lab()
        self.lab.open(
            participants_max=6,
            limits=self.lab.limited(per_tx=20_000, per_account=60_000, escrow=40_000, supply=14 * BAHT + 5_000),
            end_ms=self.lab.now + 60 * DAY_MS,
        )
        self.lab.good("farmer-1", self.lab.listing(self.lab.grow(), 500_000))

    def send(self, name: str, message: Noun) -> str:
        outcome = self.lab.do(name, message)
        known = ("ok", "core/DECIDED_BY_VOTE", "bank/INSUFFICIENT")
        assert outcome in known or outcome.startswith(("sandbox/", "market/")), outcome
        return outcome

    @rule(name=who, terms=plans)
    def join(self, name: str, terms: bytes) -> None:
        self.send(name, SbxJoin(1, terms))

    @rule(name=who)
    def leave(self, name: str) -> None:
        """Whoever takes part may leave, whatever the status (SBX-3)."""
        part = self.lab.participant(name)
        outcome = self.send(name, SbxExit(1))
        assert (outcome == "ok") == (part is not None and not part.exited_ms)

    @rule(name=regulator, plan=plans, what=st.integers(0, 9))
    def regulate(self, name: str, plan: bytes, what: int) -> None:
        if what < 2:
            self.send(name, SbxPause(1, plan))
        elif what == 2:
            self.send(name, SbxOrder(1, plan))
        elif what == 3:
            self.send(name, SbxFinish(1, Outcome.GRADUATED, plan))
        else:
            self.send(name, SbxResume(1))

    @rule()
    def all_go_on(self) -> None:
        for name in REGULATORS:
            self.send(name, SbxResume(1))

    @rule(name=owner, plan=plans)
    def report(self, name: str, plan: bytes) -> None:
        self.send(name, SbxReport(1, plan))
        self.send(name, SbxStart(1))

    @rule(name=regulator, days=st.integers(-1, 10), decided=st.booleans())
    def extend(self, name: str, days: int, *, decided: bool) -> None:
        end = self.lab.experiment.end_ms + days * DAY_MS
        self.send(name, SbxConsent(1, end))
        self.send(name, SbxExtend(1, end))
        if decided:
            assert self.lab.decide(SbxExtend(1, end)) in {"ok", "sandbox/CONSENT", "sandbox/LENGTH", "sandbox/STATUS"}

    @rule()
    def city_resumes(self) -> None:
        self.send("company-1", SbxCityResume(1))
        assert self.lab.decide(SbxCityResume(1)) in {"ok", "sandbox/STATUS"}

    @rule(name=who, quantity=st.sampled_from([1, 1_000, 4_000, 10_000]), take_back=st.booleans())
    def buy(self, name: str, quantity: int, *, take_back: bool) -> None:
        """What was paid in comes out again, whatever happened meanwhile (SBX-3)."""
        outcome = self.send(name, self.lab.buy(quantity, buyer=name, carrier=None, transport=0))
        if outcome == "ok" and take_back:
            assert "ok" == self.send(name, MktCancel(last_number(self.lab.overlay, "order")))

    @rule(number=st.integers(1, 3))
    def accept(self, number: int) -> None:
        self.send("farmer-1", MktAccept(number))

    @rule(name=who, amount=amounts, what=st.sampled_from(["transfer", "order", "supply", "pledge"]))
    def ask(self, name: str, amount: int, what: str) -> None:
        """The guard alone, as another module would ask it."""
        outcome = self.lab.enter(name, amount, what)
        assert outcome == "ok" or outcome.startswith("sandbox/")
        if outcome == "ok":
            assert Status.RUNNING is self.lab.experiment.status

    @rule(name=who, receiver=who, amount=amounts)
    def transfer(self, name: str, receiver: str, amount: int) -> None:
        outcome = self.send(name, BankTransfer(self.lab.address(receiver), "thb", amount))
        if outcome == "ok":
            assert Status.RUNNING is self.lab.experiment.status

    @rule(hours=st.sampled_from([1, 30, 24 * 8, 24 * 31]))
    def wait(self, hours: int) -> None:
        self.lab.wait(self.lab.now + hours * HOUR_MS)

    @invariant()
    def sound(self) -> None:
        assert [] == self.lab.broken()


Experimenters.TestCase.settings = settings(stateful_step_count=60)
TestExperimenters = Experimenters.TestCase


def _busy() -> Iterator[list[str]]:
    """What every kind of step leaves broken, after each of them."""
    lab = Lab()
    lab.do("company-1", lab.proposal(participants_max=4, limits=lab.limited(per_account=500_000)))
    lab.do("regulator-1", SbxApprove(1, PLAN))
    lab.do("company-1", SbxStart(1))
    yield lab.broken()
    lab.do("regulator-2", SbxApprove(1, PLAN))
    lab.do("company-1", SbxStart(1))
    for name in PARTICIPANTS:
        lab.do(name, SbxJoin(1, TERMS))
    lab.do("rangsit", SbxJoin(1, PLAN))
    yield lab.broken()
    lab.do("farmer-1", lab.listing(lab.grow(), 500_000))
    for _ in range(2):
        lab.do("consumer-1", lab.buy())
    lab.do("farmer-2", SbxExit(1))
    yield lab.broken()
    lab.do("regulator-1", SbxPause(1, PLAN))
    yield lab.broken()
    lab.do("consumer-2", lab.buy())
    yield lab.broken()
    lab.wait(lab.now + 2 * DAY_MS)
    yield lab.broken()


REAL: dict[str, Callable[..., Any]] = {"write_participant": rules.write_participant, "expire": market_disputes.expire}


def _any_terms(state: Any, number: int, account: bytes, participant: Any) -> None:
    REAL["write_participant"](state, number, account, replace(participant, terms=PLAN))


def _one_suffices(context: Any, experiment: Any, statuses: Any) -> None:
    """Nobody looks at the status."""


def _stuck(context: Any, order: Any) -> None:
    """An expired order of a paused experiment waits for ever."""
    experiment = read_experiment(context.state, 1)
    if experiment is None or experiment.status is not Status.PAUSED:
        REAL["expire"](context, order)


MUTANTS: list[tuple[str, Any, str, Any]] = [
    ("SBX-1", guard, "_check", lambda *_: None),
    ("SBX-2", guard, "_check_running", lambda *_: None),
    ("SBX-3", market_disputes, "expire", _stuck),
    ("SBX-4", rules, "write_participant", _any_terms),
    ("SBX-5", rules, "_check_status", _one_suffices),
    ("SBX-6", guard, "write_participant", lambda *_: None),
]


@pytest.mark.parametrize(
    ("name", "where", "what", "mutant"), MUTANTS, ids=[f"{row[0]}-{row[2].strip('_')}" for row in MUTANTS]
)
def test_each_invariant_catches_its_mutant(
    name: str, where: Any, what: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same steps break nothing by themselves, and break this invariant with one rule changed."""
    assert [] == [text for found in _busy() for text in found]
    monkeypatch.setattr(where, what, mutant)

    assert [text for found in _busy() for text in found if text.startswith(name)]


def test_every_invariant_has_a_mutant() -> None:
    """None of them is a check that nothing could fail."""
    assert {row.name for row in CITY.by_name["sandbox"].invariants} == {row[0] for row in MUTANTS}
