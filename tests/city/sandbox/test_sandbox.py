"""Experiments: who may begin, stop and end them, and what the guard lets in (modules.md 3.13)."""

from typing import Any

import pytest

from cccnode.city.market import MktAccept, MktCancel, MktReject
from cccnode.city.market.state import OrderStatus
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
)
from cccnode.city.sandbox.messages import AssetLimit, Outcome, Scope
from cccnode.city.sandbox.state import Status
from cccnode.codec import Noun
from tests.city.market.fair import BAHT, DAY_MS
from tests.city.sandbox.lab import PARTICIPANTS, PLAN, TERMS, Lab


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def running(lab: Lab) -> Lab:
    lab.open()
    return lab


def _goods(lab: Lab) -> None:
    """Rice for sale."""
    lab.good("farmer-1", lab.listing(lab.grow(), 500_000))


def test_the_beginning(lab: Lab) -> None:
    """Proposed, approved by two organisations, started, joined: each step is a status."""
    lab.good("company-1", lab.proposal())
    assert Status.DRAFT is lab.experiment.status
    lab.good("regulator-1", SbxApprove(1, PLAN))
    assert Status.DRAFT is lab.experiment.status
    lab.good("regulator-2", SbxApprove(1, PLAN))
    assert Status.APPROVED is lab.experiment.status
    lab.good("company-1", SbxStart(1))
    assert Status.RUNNING is lab.experiment.status
    lab.good("consumer-1", SbxJoin(1, TERMS))
    assert 1 == lab.usage.participants
    assert [] == lab.broken()


@pytest.mark.parametrize(
    ("who", "change", "error"),
    [
        ("farmer-1", {}, "NOT_AN_ORGANISATION"),
        ("company-1", {"end_ms": 5}, "LENGTH"),
        ("company-1", {"start_ms": 1}, "LENGTH"),
        ("company-1", {"regulators": ("regulator-1", "regulator-1")}, "REGULATORS"),
        ("company-1", {"regulators": ("regulator-1", "auditor-1")}, "REGULATORS"),
        ("company-1", {"limits": (AssetLimit("gold", None, None, None, None),)}, "ASSET"),
        ("company-1", {"limits": 2 * (AssetLimit("thb", None, None, None, None),)}, "ASSET"),
    ],
)
def test_invalid_proposal(lab: Lab, who: str, change: dict[str, Any], error: str) -> None:
    """A proposal that could not be a sound experiment is refused by name."""
    if "regulators" in change:
        change = {"regulators": tuple(lab.address(name) for name in change["regulators"])}
    assert f"sandbox/{error}" == lab.do(who, lab.proposal(**change))


def test_no_regulator_of_the_owner(lab: Lab) -> None:
    """An owner is not watched by its own people."""
    overlay = lab.overlay
    lab.dress(overlay, "regulator-1", ("regulator",), "company-1")
    lab.keep(overlay)

    assert "sandbox/REGULATORS" == lab.do("company-1", lab.proposal())


@pytest.mark.parametrize(
    ("who", "message", "error"),
    [
        ("regulator-1", SbxApprove(9, PLAN), "UNKNOWN_EXPERIMENT"),
        ("auditor-1", SbxApprove(1, PLAN), "NOT_A_REGULATOR"),
        ("regulator-1", SbxApprove(1, PLAN), "STATUS"),
        ("regulator-1", SbxStart(1), "NOT_THE_OWNER"),
        ("company-1", SbxStart(1), "STATUS"),
        ("rangsit", SbxJoin(1, PLAN), "TERMS"),
        ("farmer-1", SbxJoin(1, TERMS), "ALREADY"),
        ("rangsit", SbxExit(1), "NOT_PARTICIPANT"),
        ("farmer-1", SbxPause(1, PLAN), "NOT_A_REGULATOR"),
        ("regulator-1", SbxResume(1), "STATUS"),
        ("farmer-1", SbxOrder(1, PLAN), "NOT_A_REGULATOR"),
        ("farmer-1", SbxReport(1, PLAN), "NOT_THE_OWNER"),
        ("farmer-1", SbxFinish(1, Outcome.FAILED, PLAN), "NOT_A_REGULATOR"),
        ("farmer-1", SbxConsent(1, 5), "NOT_A_REGULATOR"),
        ("regulator-1", SbxConsent(1, 5), "LENGTH"),
    ],
)
def test_invalid_step(running: Lab, who: str, message: Noun, error: str) -> None:
    """Whoever may not, or comes at the wrong time, is told so by name."""
    assert f"sandbox/{error}" == running.do(who, message)


def test_approving_twice(lab: Lab) -> None:
    """One regulator is not two."""
    lab.good("company-1", lab.proposal())
    lab.good("regulator-1", SbxApprove(1, PLAN))

    assert "sandbox/ALREADY" == lab.do("regulator-1", SbxApprove(1, PLAN))


def test_start_needs_its_own_asset(lab: Lab) -> None:
    """An experiment does not start over money that never asks its guard, or of which there is too much already."""
    lab.good("company-1", lab.proposal(limits=lab.limited(supply=5)))
    lab.approve()
    assert "sandbox/LIMIT" == lab.do("company-1", SbxStart(1))
    lab.good("company-1", lab.proposal(limits=(AssetLimit("uccc", None, None, None, None),)))
    for name in ("regulator-1", "regulator-2"):
        lab.good(name, SbxApprove(2, PLAN))
    assert "sandbox/ASSET" == lab.do("company-1", SbxStart(2))


def test_full(lab: Lab) -> None:
    """No more participants than allowed; who leaves makes room; 80 % is told."""
    lab.good("company-1", lab.proposal(participants_max=5))
    lab.approve()
    lab.good("company-1", SbxStart(1))
    told = [lab.good(name, SbxJoin(1, TERMS)) for name in PARTICIPANTS]

    near = [index for index, events in enumerate(told) if any(event[1] == "limit_near" for event in events)]
    assert [3] == near
    assert "sandbox/FULL" == lab.do("rangsit", SbxJoin(1, TERMS))
    lab.good("farmer-2", SbxExit(1))
    lab.good("rangsit", SbxJoin(1, TERMS))
    assert 5 == lab.usage.participants
    assert [] == lab.broken()


def test_orders_ask_the_guard(running: Lab) -> None:
    """Who takes part may buy; who does not, or left, may not; what is counted is what was moved."""
    _goods(running)
    running.good("consumer-1", running.buy())
    assert "sandbox/NOT_PARTICIPANT" == running.do("rangsit", running.buy())
    running.good("consumer-2", SbxExit(1))
    assert "sandbox/NOT_PARTICIPANT" == running.do("consumer-2", running.buy())

    assert 460_000 == running.usage.entered[0].entered
    assert [] == running.broken()


def test_a_pause_stops_what_enters_only(running: Lab) -> None:
    """While paused nobody buys or lists; a refund, a settlement and an exit go on (SBX-3)."""
    _goods(running)
    for _ in range(3):
        running.good("consumer-1", running.buy(1_000, carrier=None, transport=0))
    running.good("farmer-1", MktAccept(3))
    part = running.part(1, 1_000)
    running.good("regulator-1", SbxPause(1, PLAN))

    assert "sandbox/PAUSED" == running.do("consumer-2", running.buy(1_000))
    assert "sandbox/PAUSED" == running.do("farmer-1", running.listing(1, 5))
    running.good("consumer-1", MktCancel(1))
    running.good("farmer-1", MktReject(2))
    assert "ok" == running.hand(part, "farmer-1", "consumer-1", 3)
    running.wait(running.now + 2 * DAY_MS)
    assert OrderStatus.SETTLED is running.order(3).status
    running.good("consumer-1", SbxExit(1))
    assert [] == running.broken()


def test_going_on_takes_two(running: Lab) -> None:
    """One regulator stops, two of different organisations let it go on; an old word does not count again."""
    running.good("regulator-1", SbxPause(1, PLAN))
    running.good("regulator-1", SbxResume(1))
    assert "sandbox/ALREADY" == running.do("regulator-1", SbxResume(1))
    assert 1 == len(running.ask("sandbox_audit", 1).voices)
    running.good("regulator-2", SbxResume(1))
    assert Status.RUNNING is running.experiment.status
    running.good("regulator-2", SbxPause(1, PLAN))
    running.good("regulator-2", SbxResume(1))
    assert Status.PAUSED is running.experiment.status


def test_the_city_lets_it_go_on(running: Lab) -> None:
    """The city's vote resumes a pause too, and nobody else sends that message."""
    assert "sandbox/STATUS" == running.decide(SbxCityResume(1))
    running.good("regulator-1", SbxPause(1, PLAN))
    assert "core/DECIDED_BY_VOTE" == running.do("company-1", SbxCityResume(1))
    assert "ok" == running.decide(SbxCityResume(1))
    assert Status.RUNNING is running.experiment.status


def test_winding_down(running: Lab) -> None:
    """Two regulators end what enters for good, and say how it ended."""
    running.good("regulator-1", SbxOrder(1, PLAN))
    running.good("regulator-2", SbxOrder(1, PLAN))
    assert Status.WINDDOWN is running.experiment.status
    assert "sandbox/EXPIRED" == running.enter("consumer-1", 5, "transfer")
    running.good("regulator-1", SbxFinish(1, Outcome.GRADUATED, PLAN))
    running.good("regulator-2", SbxFinish(1, Outcome.FAILED, PLAN))
    assert Status.WINDDOWN is running.experiment.status
    running.good("regulator-2", SbxFinish(1, Outcome.GRADUATED, PLAN))
    assert (Status.GRADUATED, PLAN) == (running.experiment.status, running.experiment.result)
    assert "sandbox/STATUS" == running.do("regulator-1", SbxFinish(1, Outcome.FAILED, PLAN))


def test_without_a_report_it_is_paused(lab: Lab) -> None:
    """A report in time moves the date; without one the experiment stops by itself, and reporting is still possible."""
    lab.open(end_ms=lab.now + 300 * DAY_MS)
    lab.wait(lab.now + 20 * DAY_MS)
    lab.good("company-1", SbxReport(1, PLAN))
    due = lab.experiment.report_due_ms
    assert due == lab.now + 30 * DAY_MS
    lab.wait(due - 1)
    assert Status.RUNNING is lab.experiment.status
    events = lab.wait(due)
    assert ("sandbox", "paused") in [event[:2] for event in events]
    assert Status.PAUSED is lab.experiment.status
    lab.good("company-1", SbxReport(1, PLAN))
    assert Status.PAUSED is lab.experiment.status
    for name in ("regulator-1", "regulator-2"):
        lab.good(name, SbxResume(1))
    assert lab.experiment.report_due_ms == lab.now + 30 * DAY_MS
    assert 2 == len(lab.ask("sandbox_audit", 1).reports)


def test_the_end(running: Lab) -> None:
    """At its end an experiment expires: nothing enters from that millisecond on, whoever has noted it."""
    end = running.experiment.end_ms
    _goods(running)
    running.good("company-1", SbxReport(1, PLAN), at_ms=end - DAY_MS)
    running.good("farmer-1", running.listing(1, 100_000))
    assert "ok" == running.do("consumer-1", running.buy(1_000, listing=2), at_ms=end - 1)
    assert "sandbox/EXPIRED" == running.do("consumer-1", running.buy(1_000, listing=2), at_ms=end)
    assert Status.EXPIRED is running.experiment.status
    running.good("consumer-1", MktCancel(1))
    running.good("consumer-1", SbxExit(1))
    assert [] == running.broken()


def test_a_draft_expires_too(lab: Lab) -> None:
    """What nobody approved is over at its end, and cannot be approved at that moment."""
    lab.good("company-1", lab.proposal())
    end = lab.experiment.end_ms

    assert "sandbox/STATUS" == lab.do("regulator-1", SbxApprove(1, PLAN), at_ms=end)
    assert Status.EXPIRED is lab.experiment.status


def test_extension(running: Lab) -> None:
    """A later end needs the city's vote and a regulator's consent to exactly that end."""
    end = running.experiment.end_ms + DAY_MS
    assert "sandbox/CONSENT" == running.decide(SbxExtend(1, end))
    running.good("regulator-1", SbxConsent(1, end + 1))
    assert "sandbox/CONSENT" == running.decide(SbxExtend(1, end))
    running.good("regulator-1", SbxConsent(1, end))
    assert "core/DECIDED_BY_VOTE" == running.do("regulator-1", SbxExtend(1, end))
    assert "ok" == running.decide(SbxExtend(1, end))
    running.good("company-1", SbxReport(1, PLAN), at_ms=end - 2 * DAY_MS)
    running.wait(end - 1)
    assert Status.RUNNING is running.experiment.status
    running.wait(end)
    assert Status.EXPIRED is running.experiment.status


@pytest.mark.parametrize(
    ("what", "scope"),
    [
        ("transfer", Scope.BANK),
        ("mint", Scope.BANK),
        ("list", Scope.MARKET),
        ("order", Scope.MARKET),
        ("supply", Scope.LENDING),
        ("borrow", Scope.LENDING),
        ("pledge", Scope.PROJECTS),
    ],
)
def test_scopes(lab: Lab, what: str, scope: Scope) -> None:
    """Money is used only for what the experiment covers."""
    lab.open(scopes=(scope,))
    assert "ok" == lab.enter("consumer-1", 5, what)
    other = Lab()
    other.open(scopes=tuple(one for one in Scope if one is not scope))
    assert "sandbox/NOT_COVERED" == other.enter("consumer-1", 5, what)
    assert "sandbox/NOT_COVERED" == lab.enter("consumer-1", 5, what, asset="uccc")
    assert "sandbox/UNKNOWN_EXPERIMENT" == lab.enter("consumer-1", 5, what, number=9)


@pytest.mark.parametrize(
    ("limits", "what", "fits"),
    [
        ({"per_tx": 100}, "transfer", 100),
        ({"per_tx": 100}, "order", 100),
        ({"per_account": 100}, "order", 100),
        ({"escrow": 100}, "order", 100),
        ({"supply": 14 * BAHT + 100}, "mint", 100),
    ],
)
def test_limits(lab: Lab, limits: dict[str, int], what: str, fits: int) -> None:
    """One unit above a limit is refused, the limit itself is not."""
    lab.open(limits=lab.limited(**limits))

    assert "sandbox/LIMIT" == lab.enter("consumer-1", fits + 1, what)
    assert "ok" == lab.enter("consumer-1", fits, what)


def test_minting_has_no_bound_of_its_own(lab: Lab) -> None:
    """The bound for one movement is not meant for minting, nor is minting the receiver's doing."""
    lab.open(limits=lab.limited(per_tx=5, per_account=5))

    assert "ok" == lab.enter("consumer-1", 500, "mint")
    assert () == lab.usage.entered


def test_leaving_does_not_reset(lab: Lab) -> None:
    """Who leaves and joins again has used what he used."""
    lab.open(limits=lab.limited(per_account=100))
    assert "ok" == lab.enter("consumer-1", 80, "transfer")
    lab.good("consumer-1", SbxExit(1))
    lab.good("consumer-1", SbxJoin(1, TERMS))

    assert "sandbox/LIMIT" == lab.enter("consumer-1", 21, "transfer")
    assert "ok" == lab.enter("consumer-1", 20, "transfer")
    assert [] == lab.broken()


def test_module_accounts_need_not_join(running: Lab) -> None:
    """The treasury takes part without being a participant, while the experiment runs."""
    assert "ok" == running.enter("m:treasury", 5, "mint")
    running.good("regulator-1", SbxPause(1, PLAN))
    assert "sandbox/PAUSED" == running.enter("m:treasury", 5, "mint")


def test_before_its_begin(lab: Lab) -> None:
    """An experiment that was started early lets nothing in before its own begin."""
    lab.open(start_ms=lab.now + DAY_MS, end_ms=lab.now + 2 * DAY_MS)

    assert "sandbox/EXPIRED" == lab.enter("consumer-1", 5, "transfer")
    lab.wait(lab.experiment.start_ms)
    assert "ok" == lab.enter("consumer-1", 5, "transfer")


def test_queries(running: Lab) -> None:
    """Experiment, use and participants are public."""
    assert running.experiment == running.ask("sandbox_experiment", 1)
    assert (5, 50) == (running.ask("sandbox_usage", 1).participants, running.ask("sandbox_usage", 1).participants_max)
    assert 14 * BAHT == running.ask("sandbox_usage", 1).assets[0].supply
    assert TERMS == running.ask("sandbox_participant", 1, running.address("farmer-1")).terms
    audit = running.ask("sandbox_audit", 1, 1, 2)
    assert [running.address(name) for name in PARTICIPANTS[1:3]] == [part.account for part in audit.participants]
    assert () == running.ask("sandbox_audit", 1, 2**63 - 1, 2).participants
