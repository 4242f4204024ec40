"""What the city decides: proposals from the first word to the last, and everything that is refused."""

from typing import cast

import pytest

from cccnode.city import CITY
from cccnode.city.bank.messages import TreasurySpend
from cccnode.city.gov import GovCancel, GovDelegate, GovEndorse, GovVote, ParamSet, ending, rules
from cccnode.city.gov.messages import Choice, Kind, Space
from cccnode.city.market.state import read_params as market_params
from cccnode.city.members import CharterSet, MemLeave
from cccnode.city.registry import RegistryPropose, RegistryRemoveValidator, RegistryRetireFounders
from cccnode.city.registry.messages import RemoveOrganisation, RemoveValidator
from cccnode.city.registry.state import read_consensus_key
from cccnode.city.staking import StkDelegate
from cccnode.ledger.fees import FEE_BASE_MAX, FEE_BYTE_MAX
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay
from cccnode.types.errors import MALFORMED, RULE_FAILED
from cccnode.week.people import CCC, account_of
from tests.city.gov.council import BODY, FEE_30, ORGANISATIONS, PERSONS, Council

YES, NO, ABSTAIN, VETO = Choice
DEPOSIT = 100 * CCC
ALL = (*ORGANISATIONS, *PERSONS)


def spend(amount: int) -> TreasurySpend:
    return TreasurySpend("uccc", account_of("rangsit"), amount)


# -- a proposal's life -----------------------------------------------------------------------------------------------


def test_a_parameter_changes_by_vote() -> None:
    """Deposit, votes of three chambers, tally, timelock, effect; the deposit is back when the vote ends."""
    city = Council()
    before = city.money("depa")
    number = city.propose("depa", FEE_30)
    assert city.money("m:gov") == DEPOSIT
    city.vote(number, YES, "depa", "company-1", "company-2", "farmer-1", "consumer-1")
    assert city.tally(number, 1)[0] == 1
    assert city.tally(number, 4) == (2, 0, 0, 6)
    city.pass_time(24)
    assert city.status(number) == "PASSED"
    assert city.money("m:gov") == 0
    assert city.money("depa") == before - 2_000
    assert market_params(Overlay(city.state)).market_fee == 50
    city.pass_time(24)
    assert city.status(number) == "EXECUTED"
    assert market_params(Overlay(city.state)).market_fee == 30


def test_citizens_are_needed() -> None:
    """Three chambers without the citizens' are not enough; with it, two others are."""
    city = Council()
    number = city.propose("depa", FEE_30)
    city.vote(number, YES, *ORGANISATIONS, "farmer-1")
    city.pass_time(24)
    assert city.status(number) == "REJECTED_QUORUM"
    other = city.propose("depa", FEE_30)
    city.vote(other, YES, *ORGANISATIONS)
    city.vote(other, NO, "farmer-1", "farmer-2")
    city.pass_time(24)
    assert city.status(other) == "REJECTED"


def test_text_and_quorum() -> None:
    """A text needs a tenth of all persons, and more than half of those who say yes or no."""
    city = Council()
    first, second = (city.propose("farmer-1", kind=Kind.TEXT) for _ in range(2))
    city.vote(first, YES, "farmer-1")
    city.pass_time(24)
    assert (city.status(first), city.status(second)) == ("EXECUTED", "REJECTED_QUORUM")


def test_veto() -> None:
    """More than a third of vetoes ends it, and the city keeps the deposit."""
    city = Council()
    number = city.propose("farmer-1", kind=Kind.TEXT)
    city.vote(number, YES, "farmer-1", "farmer-2", "consumer-1")
    city.vote(number, VETO, "consumer-2", "founder-1")
    treasury, mine = city.money("treasury"), city.money("farmer-1")
    city.pass_time(24)
    assert city.status(number) == "VETOED"
    assert city.money("treasury") == treasury + DEPOSIT
    assert city.money("farmer-1") == mine


def test_veto_of_the_citizens() -> None:
    """A veto of the chamber that must carry a proposal stops it, whatever the organisations say."""
    city = Council()
    number = city.propose("depa", FEE_30)
    city.vote(number, YES, *ORGANISATIONS)
    city.vote(number, VETO, *PERSONS)
    city.pass_time(24)
    assert city.status(number) == "VETOED"


def test_what_cannot_be_carried_out_fails_once() -> None:
    """A decision that cannot be carried out is FAILED for good, and changes nothing."""
    city = Council(spend_big=10**15)
    city.good("consumer-1", StkDelegate(account_of("depa"), 2_500 * CCC))
    first, number = (city.propose("depa", spend(600_000 * CCC), kind=Kind.SPEND) for _ in range(2))
    city.vote(first, YES, "consumer-1")
    city.vote(number, YES, "consumer-1")
    city.pass_time(24)
    city.pass_time(24)
    assert city.status(number) == "FAILED"
    assert ("gov", "failed", number, "bank/INSUFFICIENT") in city.events
    city.pass_time(48)
    assert city.status(number) == "FAILED"


def test_spending_counts_roots_as_they_were() -> None:
    """The root of what was bonded when the vote began counts; bonding more later changes nothing."""
    city = Council(spend_big=10**12)
    city.good("consumer-1", StkDelegate(account_of("depa"), 2_500 * CCC))
    city.good("arbitrator-1", StkDelegate(account_of("depa"), 10_000 * CCC))
    number = city.propose("depa", spend(5), kind=Kind.SPEND)
    city.good("consumer-1", StkDelegate(account_of("depa"), 5_000 * CCC))
    city.vote(number, YES, "consumer-1")
    city.vote(number, NO, "arbitrator-1")
    assert city.tally(number) == (50_000, 100_000, 0, 150_000)
    assert city.send("founder-1", GovVote(number, YES)) == "gov/NO_WEIGHT"
    assert city.send("depa", GovVote(number, YES)) == "gov/NO_WEIGHT"


def test_large_spending_needs_the_chambers_too() -> None:
    """Above `spend_big` the roots alone are not enough."""
    city = Council(spend_big=10)
    city.good("consumer-1", StkDelegate(account_of("depa"), 2_500 * CCC))
    small, large = (city.propose("depa", spend(amount), kind=Kind.SPEND) for amount in (10, 11))
    city.vote(small, YES, "consumer-1")
    city.vote(large, YES, "consumer-1")
    city.pass_time(24)
    assert (city.status(small), city.status(large)) == ("PASSED", "REJECTED_QUORUM")
    again = city.propose("depa", spend(11), kind=Kind.SPEND)
    city.vote(again, YES, *ALL)
    city.pass_time(24)
    city.pass_time(24)
    assert city.status(again) == "EXECUTED"


def test_a_large_payment_in_pieces_is_large() -> None:
    """What the messages of one proposal pay out counts together: eleven in two pieces needs the chambers as well."""
    city = Council(spend_big=10)
    city.good("consumer-1", StkDelegate(account_of("depa"), 2_500 * CCC))
    number = city.propose("depa", spend(5), spend(6), kind=Kind.SPEND)
    city.vote(number, YES, "consumer-1")
    city.pass_time(24)
    assert city.status(number) == "REJECTED_QUORUM"


def test_proposals_without_a_deposit_leave_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have some of the places only: whoever leaves a deposit still gets his vote."""
    monkeypatch.setattr(rules, "ENDORSING_MAX", 4)
    city = Council()
    free = city.proposal(kind=Kind.TEXT, endorsed=True)
    for name in PERSONS[:4]:
        city.good(name, free)
    assert city.send(PERSONS[4], free) == "gov/TOO_MANY"
    assert city.propose("depa", kind=Kind.TEXT) == 5


def test_a_decision_that_nobody_can_read_any_more_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version may know a message no more: its proposal fails by name, and the block goes on."""
    city = Council()
    number = city.propose("depa", FEE_30)
    city.vote(number, YES, *ALL)
    city.pass_time(24)
    monkeypatch.setattr(ending, "read_messages", lambda *_: (b"\x92\xcd\x7f\x01\x05",))
    city.pass_time(24)
    assert (city.status(number), city.row(number).error) == ("FAILED", MALFORMED.code)


def test_late_quorum_moves_the_end_once() -> None:
    """A quorum that comes in the last six hours gives six hours from then, one time."""
    city = Council()
    late, early = (city.propose("farmer-1", kind=Kind.TEXT) for _ in range(2))
    city.vote(early, YES, "farmer-1")
    city.pass_time(20)
    end = city.row(late).end_ms
    city.vote(late, YES, "farmer-1")
    row = city.row(late)
    assert (row.extended, row.end_ms > end, row.end_ms) == (True, True, city.now + 6 * 3_600_000)
    assert not city.row(early).extended
    city.pass_time(5)
    assert (city.status(late), city.status(early)) == ("VOTING", "EXECUTED")
    city.vote(late, NO, "farmer-2", "consumer-1")
    assert city.row(late).end_ms == row.end_ms
    city.pass_time(2)
    assert city.status(late) == "REJECTED"


def test_expedited() -> None:
    """A quarter of the time, all four chambers, no delay."""
    city = Council()
    number = city.propose("depa", FEE_30, expedited=True)
    city.vote(number, YES, *ALL)
    city.pass_time(6)
    assert city.status(number) == "EXECUTED"
    assert market_params(Overlay(city.state)).market_fee == 30


def test_expedited_that_fails_goes_on() -> None:
    """Without the fourth chamber it goes on as usual, with the votes that were cast."""
    city = Council()
    number = city.propose("depa", FEE_30, expedited=True)
    city.vote(number, YES, "depa", "company-1", "company-2", "farmer-1", "consumer-1")
    city.pass_time(6)
    assert city.status(number) == "VOTING"
    assert not city.row(number).expedited
    city.pass_time(18)
    assert city.status(number) == "PASSED"


def test_endorsements() -> None:
    """Without a deposit a proposal waits for endorsements; with too few it expires."""
    city = Council(endorse_min=2)
    before = city.money("farmer-1")
    number = city.propose("farmer-1", kind=Kind.TEXT, endorsed=True)
    assert city.money("farmer-1") == before - 1_000
    assert city.send("consumer-1", GovVote(number, YES)) == "gov/CLOSED"
    city.good("consumer-1", GovEndorse(number))
    assert city.send("consumer-1", GovEndorse(number)) == "gov/ENDORSED"
    assert city.send("depa", GovEndorse(number)) == "gov/NOT_A_MEMBER"
    city.good("consumer-2", GovEndorse(number))
    assert city.status(number) == "VOTING"
    assert city.send("founder-1", GovEndorse(number)) == "gov/CLOSED"
    lonely = city.propose("farmer-1", kind=Kind.TEXT, endorsed=True)
    city.pass_time(7 * 24)
    assert city.status(lonely) == "EXPIRED"
    assert city.send("founder-1", GovEndorse(99)) == "gov/UNKNOWN_PROPOSAL"


def test_cancel() -> None:
    """The proposer takes it back before the first vote, with the deposit; nobody else, and not later."""
    city = Council()
    before = city.money("farmer-1")
    number = city.propose("farmer-1", kind=Kind.TEXT)
    assert city.send("farmer-2", GovCancel(number)) == "gov/NOT_PROPOSER"
    city.good("farmer-1", GovCancel(number))
    assert city.status(number) == "CANCELLED"
    assert city.money("farmer-1") == before - 2_000
    assert city.send("farmer-1", GovCancel(number)) == "gov/CLOSED"
    other = city.propose("farmer-1", kind=Kind.TEXT)
    city.vote(other, NO, "farmer-2")
    assert city.send("farmer-1", GovCancel(other)) == "gov/VOTED"


# -- refused at once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "messages", "error"),
    [
        (Kind.TEXT, (FEE_30,), "gov/KIND"),
        (Kind.PARAM, (), "gov/KIND"),
        (Kind.SPEND, (FEE_30,), "gov/KIND"),
        (Kind.PARAM, (GovVote(1, YES),), "gov/KIND"),
        (Kind.PARAM, (ParamSet("market", "market_fee", 1_001),), "core/PARAMETER_BOUNDS"),
        (Kind.PARAM, (ParamSet("market", "no_such", 1),), "core/UNKNOWN_PARAMETER"),
        (Kind.PARAM, (ParamSet("nowhere", "x", 1),), "core/UNKNOWN_PARAMETER"),
        (Kind.PARAM, (ParamSet("bank", "fee_asset", "nothing"),), "core/PARAMETER_FOUNDING"),
        (Kind.PARAM, (ParamSet("members", "charter_version", 9),), "core/PARAMETER_FOUNDING"),
    ],
)
def test_what_could_never_be_is_not_voted_on(kind: Kind, messages: tuple, error: str) -> None:
    """Messages that the kind may not carry, or that could not be carried out, are refused when they are proposed."""
    city = Council()
    assert city.send("depa", city.proposal(*messages, kind=kind)) == error
    assert city.money("m:gov") == 0


def test_who_may_propose() -> None:
    """Persons and organisations, three open ones each; no service, and no personal data in the title."""
    city = Council()
    text = city.proposal(kind=Kind.TEXT)
    assert city.send("city-desk", text) == "gov/NOT_A_MEMBER"
    for _ in range(3):
        city.propose("depa", kind=Kind.TEXT)
    assert city.send("depa", text) == "gov/TOO_MANY"
    private = city.proposal(kind=Kind.TEXT, title="Call 081-234-5678")
    assert city.send("rangsit", private) == "core/PERSONAL_DATA"
    assert city.send("depa", FEE_30) == "core/DECIDED_BY_VOTE"


def test_when_one_may_vote() -> None:
    """From the beginning to the end, by those who were there when it began and still are."""
    city = Council()
    assert city.send("farmer-1", GovVote(1, YES)) == "gov/UNKNOWN_PROPOSAL"
    number = city.propose("farmer-1", kind=Kind.TEXT)
    city.newcomer()
    assert city.send("newcomer-1", GovVote(number, YES)) == "gov/NO_WEIGHT"
    assert city.send("city-desk", GovVote(number, YES)) == "gov/NOT_A_MEMBER"
    city.good("farmer-2", MemLeave())
    assert city.send("farmer-2", GovVote(number, YES)) == "tx/ACCOUNT_STATUS"
    assert city.tally(number)[3] == 6
    city.pass_time(24)
    assert city.send("farmer-1", GovVote(number, YES)) == "gov/CLOSED"


def test_a_vote_may_change() -> None:
    """A second vote takes the place of the first; the number of voters stays."""
    city = Council()
    number = city.propose("farmer-1", kind=Kind.TEXT)
    city.vote(number, YES, "farmer-1", "farmer-2")
    city.vote(number, NO, "farmer-1")
    assert city.tally(number) == (1, 1, 0, 6)
    assert city.row(number).votes == 2


# -- delegation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delegate_first", [True, False])
def test_override(delegate_first: bool) -> None:
    """Whoever votes himself takes his weight back, whether the delegate has voted already or votes later."""
    city = Council()
    city.good("consumer-1", GovDelegate(Space.MEMBER, account_of("farmer-1")))
    city.good("consumer-2", GovDelegate(Space.MEMBER, account_of("farmer-1")))
    number = city.propose("farmer-1", FEE_30, kind=Kind.PARAM)
    steps = [("farmer-1", YES), ("consumer-1", NO)]
    for name, choice in steps if delegate_first else steps[::-1]:
        city.vote(number, choice, name)
    assert city.tally(number, 4) == (2, 1, 0, 6)
    city.vote(number, NO, "farmer-1")
    city.vote(number, YES, "consumer-1")
    assert city.tally(number, 4) == (1, 2, 0, 6)


def test_delegation_counts_for_later_votes_only() -> None:
    """What is delegated after a vote began counts in the next one; it goes no further than one person."""
    city = Council()
    city.good("consumer-1", GovDelegate(Space.MEMBER, account_of("consumer-2")))
    first = city.propose("farmer-1", kind=Kind.TEXT)
    city.good("consumer-2", GovDelegate(Space.MEMBER, account_of("farmer-1")))
    second = city.propose("farmer-1", kind=Kind.TEXT)
    for number in (first, second):
        city.vote(number, YES, "farmer-1")
    assert (city.tally(first)[0], city.tally(second)[0]) == (1, 2)
    city.vote(first, NO, "consumer-2")
    assert city.tally(first) == (1, 2, 0, 6)


def test_token_delegation() -> None:
    """Roots are delegated too; bonding more moves the delegate's weight in later votes."""
    city = Council(spend_big=10**12)
    city.good("consumer-1", StkDelegate(account_of("depa"), 2_500 * CCC))
    city.good("consumer-1", GovDelegate(Space.TOKEN, account_of("farmer-1")))
    city.good("farmer-1", StkDelegate(account_of("depa"), 100 * CCC))
    first = city.propose("depa", spend(1), kind=Kind.SPEND)
    city.good("consumer-1", StkDelegate(account_of("rangsit"), 7_400 * CCC))
    second = city.propose("depa", spend(1), kind=Kind.SPEND)
    for number in (first, second):
        city.vote(number, YES, "farmer-1")
    assert city.tally(first)[0] == 50_000 + 10_000
    assert city.tally(second)[0] > 99_000
    city.vote(first, NO, "consumer-1")
    assert city.tally(first)[:2] == (10_000, 50_000)


def test_who_may_be_a_delegate() -> None:
    """Another active person, who is not the delegate already."""
    city = Council()
    farmer, organisation = account_of("farmer-1"), account_of("depa")
    assert city.send("depa", GovDelegate(Space.MEMBER, farmer)) == "gov/NOT_A_MEMBER"
    for to in (account_of("consumer-1"), organisation, account_of("nobody"), None):
        assert city.send("consumer-1", GovDelegate(Space.MEMBER, to)) == "gov/DELEGATE"
    city.good("consumer-1", GovDelegate(Space.MEMBER, farmer))
    assert city.send("consumer-1", GovDelegate(Space.MEMBER, farmer)) == "gov/DELEGATE"
    city.good("consumer-1", GovDelegate(Space.MEMBER, None))
    number = city.propose("farmer-1", kind=Kind.TEXT)
    city.vote(number, YES, "farmer-1")
    assert city.tally(number)[0] == 1


# -- the network -----------------------------------------------------------------------------------------------------


def test_founders_retire() -> None:
    """After the city's vote the organisations' own approvals are refused, and a second such vote is not opened."""
    city = Council()
    number = city.propose("depa", RegistryRetireFounders(), kind=Kind.CHARTER)
    city.vote(number, YES, *ALL)
    assert city.send("depa", RegistryPropose(RemoveOrganisation("hospital-2"), False)) != "registry/RETIRED"
    city.pass_time(24)
    city.pass_time(48)
    assert city.status(number) == "EXECUTED"
    assert city.send("depa", RegistryPropose(RemoveOrganisation("company-2"), False)) == "registry/RETIRED"
    again = city.proposal(RegistryRetireFounders(), kind=Kind.CHARTER)
    assert city.send("depa", again) == "registry/RETIRED"


def test_a_change_of_validators_waits() -> None:
    """It is recorded when its time has come and tried when the delay is over; one that cannot be then has failed."""
    city = Council(valset_delay_ms=4 * 86_400_000)
    message = RegistryRemoveValidator(RemoveValidator("rangsit"), True)
    number = city.propose("depa", message, kind=Kind.REMOVE_VALIDATOR)
    city.vote(number, YES, *ALL)
    city.pass_time(24)
    city.pass_time(24)
    row = city.row(number)
    assert (row.status.name, row.effect_ms) == ("EXECUTED", row.eta_ms + 4 * 86_400_000)
    assert ("gov", "recorded", number, row.effect_ms) in city.events
    assert read_consensus_key(Overlay(city.state), "rangsit") is not None


def test_fees_have_a_bound() -> None:
    """A vote cannot make fees so high that the next one could not be paid."""
    city = Council()
    for name, most in (("fee_base", FEE_BASE_MAX), ("fee_byte", FEE_BYTE_MAX)):
        assert city.send("depa", city.proposal(ParamSet("bank", name, most + 1))) == "core/PARAMETER_BOUNDS"
    assert city.send("depa", city.proposal(ParamSet("bank", "fee_base", FEE_BASE_MAX))) == "ok"
    richest = max(city.money(name) for name in ALL)
    assert FEE_BASE_MAX * 10 < richest


@pytest.mark.usefixtures("forgiving")
def test_a_mistake_in_a_decided_rule_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the city decided fails with a name, and the next block comes."""
    city = Council()
    number = city.propose("depa", CharterSet(BODY), kind=Kind.CHARTER)
    city.vote(number, YES, *ALL)
    city.pass_time(24)

    def broken(context: Context, message: CharterSet) -> None:
        context.state.put(b"x", b"", 1)
        raise ZeroDivisionError

    monkeypatch.setitem(cast("dict[type, object]", CITY.handlers), CharterSet, broken)
    city.pass_time(48)
    assert (city.status(number), city.row(number).error) == ("FAILED", RULE_FAILED.code)
    assert not Overlay(city.state).has(b"x", b"")
    city.pass_time(1)


def test_charter() -> None:
    """The charter needs all four chambers and two thirds."""
    city = Council()
    number = city.propose("depa", CharterSet(BODY), kind=Kind.CHARTER)
    city.vote(number, YES, *(name for name in ALL if name != "rangsit"))
    city.pass_time(24)
    assert city.status(number) == "REJECTED_QUORUM"
