"""Whatever proposers, voters, delegates and stakers do, in whatever order: every invariant after every block."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from msgspec.structs import replace

from cccnode.city.bank.messages import TreasurySpend
from cccnode.city.gov import (
    GovCancel,
    GovDelegate,
    GovEndorse,
    GovVote,
    ParamSet,
    electorate,
    ending,
    rules,
)
from cccnode.city.gov.messages import Choice, Kind, Space
from cccnode.city.gov.state import Proposal, Status, last_number, write_proposal
from cccnode.city.members import MemLeave, MemRemove
from cccnode.city.staking import StkDelegate, StkUndelegate
from cccnode.codec import Noun
from cccnode.ledger.module import GOVERNANCE, Context
from cccnode.ledger.state import Overlay
from cccnode.week.people import CCC, account_of
from tests.city.gov.council import FEE_30, ORGANISATIONS, PERSONS, Council

NAMES = (*PERSONS, *ORGANISATIONS, "newcomer-1", "city-desk")
_who = st.integers(0, len(NAMES) - 1)
_number = st.integers(0, 6)
_OURS = ("gov/", "staking/", "bank/", "members/", "core/", "tx/", "refused")


class Voters(RuleBasedStateMachine):
    """Persons and organisations of whom nobody can be trusted, one who applies, and a service."""

    city: Council

    @initialize()
    def begin(self) -> None:
        self.city = Council(endorse_min=2, spend_big=1_000, max_open=3)
        self.city.newcomer()

    def send(self, who: int, message: Noun) -> None:
        outcome = self.city.send(NAMES[who], message)
        assert outcome == "ok" or outcome.startswith(_OURS), outcome

    @rule(who=_who, expedited=st.booleans(), endorsed=st.booleans(), what=st.integers(0, 3), whom=_who)
    def propose(self, who: int, expedited: bool, endorsed: bool, what: int, whom: int) -> None:
        kind, messages = (
            (Kind.TEXT, ()),
            (Kind.PARAM, (FEE_30, ParamSet("gov", "late_ms", 3_600_000))),
            (Kind.SPEND, (TreasurySpend("uccc", account_of("rangsit"), 600 + 100 * whom),)),
            (Kind.REMOVE_MEMBER, (MemRemove(account_of(NAMES[whom])),)),
        )[what]
        self.send(who, self.city.proposal(*messages, kind=kind, expedited=expedited, endorsed=endorsed))

    @rule(who=_who, back=_number, choice=st.sampled_from(Choice))
    def vote(self, who: int, back: int, choice: Choice) -> None:
        self.send(who, GovVote(self.recent(back), choice))

    @rule(back=_number, choice=st.sampled_from(Choice), first=_who, count=st.integers(2, 9))
    def vote_together(self, back: int, choice: Choice, first: int, count: int) -> None:
        for place in range(count):
            self.send((first + place) % len(NAMES), GovVote(self.recent(back), choice))

    @rule(who=_who, to=_who | st.none(), space=st.sampled_from(Space))
    def delegate(self, who: int, to: int | None, space: Space) -> None:
        self.send(who, GovDelegate(space, None if to is None else account_of(NAMES[to])))

    @rule(who=_who, back=_number)
    def endorse(self, who: int, back: int) -> None:
        self.send(who, GovEndorse(self.recent(back)))

    @rule(who=_who, back=_number)
    def cancel(self, who: int, back: int) -> None:
        self.send(who, GovCancel(self.recent(back)))

    @rule(who=_who, amount=st.integers(1, 3_000), more=st.booleans())
    def stake(self, who: int, amount: int, more: bool) -> None:
        kind = StkDelegate if more else StkUndelegate
        self.send(who, kind(account_of("depa"), amount * CCC))

    @rule(who=_who, anyway=st.integers(0, 5))
    def leave(self, who: int, anyway: int) -> None:
        if not anyway:
            self.send(who, MemLeave())

    @rule(who=_who)
    def seize(self, who: int) -> None:
        outcome = self.city.send(NAMES[who], FEE_30)
        assert outcome != "ok"

    @rule(hours=st.sampled_from((0.5, 3, 6, 24, 180)))
    def wait(self, hours: float) -> None:
        self.city.pass_time(hours)

    def recent(self, back: int) -> int:
        return max(last_number(Overlay(self.city.state), "proposal") - back, 1)


Voters.TestCase.settings = settings(stateful_step_count=60)
TestVoters = Voters.TestCase


def _busy() -> list[str]:
    """What every kind of step leaves broken."""
    city = Council()
    city.lenient = True
    for name, message in (
        ("consumer-1", StkDelegate(account_of("depa"), 400 * CCC)),
        ("consumer-1", GovDelegate(Space.MEMBER, account_of("farmer-1"))),
        ("consumer-1", GovDelegate(Space.TOKEN, account_of("farmer-1"))),
        ("depa", city.proposal(FEE_30, kind=Kind.PARAM)),
        ("depa", city.proposal(TreasurySpend("uccc", account_of("rangsit"), 1), kind=Kind.SPEND)),
        ("consumer-1", StkDelegate(account_of("depa"), 500 * CCC)),
        ("farmer-1", GovVote(1, Choice.YES)),
        ("farmer-1", GovVote(2, Choice.YES)),
        ("consumer-1", GovVote(1, Choice.NO)),
        ("consumer-1", GovVote(2, Choice.NO)),
        ("farmer-1", GovVote(1, Choice.VETO)),
        ("consumer-1", StkDelegate(account_of("depa"), 100 * CCC)),
    ):
        city.send(name, message)
    for hours in (24, 24):
        city.pass_time(hours)
    return city.broken


def _too_early(context: Context, proposal: Proposal) -> None:
    closed = rules.close(context, proposal, Status.PASSED)
    write_proposal(context.state, replace(closed, status=Status.EXECUTED, eta_ms=1))


def _keeps_deposits(state: Any, *, source: bytes, target: bytes, asset: str, amount: int) -> None:
    if source != GOVERNANCE:
        REAL["move"](state, source=source, target=target, asset=asset, amount=amount)


def _twice(proposal: Proposal, standing: Any) -> tuple[int, ...]:
    return tuple(weight * 9 for weight in REAL["own_weights"](proposal, standing))


REAL: dict[str, Callable[..., Any]] = {"move": rules.move, "own_weights": electorate.own_weights}

MUTANTS: list[tuple[str, Any, str, Callable[..., Any]]] = [
    ("GOV-1", rules, "_take_back", lambda *_: None),
    ("GOV-1", electorate, "save", lambda *_: None),
    ("GOV-2", rules, "own_weights", _twice),
    ("GOV-4", ending, "_tally", _too_early),
    ("GOV-5", rules, "move", _keeps_deposits),
    ("GOV-8", electorate, "carry", lambda *_, **__: None),
    ("GOV-9", rules, "set_open", lambda *_: None),
    ("GOV-9", rules, "schedule", lambda *_: None),
]


@pytest.mark.parametrize(("name", "where", "what", "mutant"), MUTANTS, ids=[f"{row[0]}-{row[2]}" for row in MUTANTS])
def test_each_invariant_catches_its_mutant(
    name: str, where: Any, what: str, mutant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same steps break nothing by themselves, and break this invariant with one rule changed."""
    assert _busy() == []
    monkeypatch.setattr(where, what, mutant)

    assert any(text.startswith(name) for text in _busy())
