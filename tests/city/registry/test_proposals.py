"""Deciding together: propose, approve, withdraw, expire; shares, limits, who counts."""

from copy import deepcopy

import pytest

from cccnode.city.bank import fees
from cccnode.city.registry import errors
from cccnode.city.registry.messages import (
    ChangeKind,
    Electorate,
    Policy,
    RegistryApprove,
    RegistryLeave,
    RegistryPause,
    RegistryPropose,
    RegistryRotateKey,
    RegistryWithdraw,
    RemoveOrganisation,
    RemoveValidator,
    SetPolicy,
    SetTimers,
)
from cccnode.city.registry.policies import needed, passes
from cccnode.city.registry.proposals import EXPIRED_PER_BLOCK_MAX, OPEN_MAX, OPEN_PER_ORGANISATION_MAX
from cccnode.city.registry.state import Decision, Ending, first_expiry
from cccnode.ledger.state import module_account
from cccnode.types.readiness import rotation_bytes
from cccnode.types.units import DAY_MS
from cccnode.types.validators import Timers
from tests.city.registry.town import Town

TIMERS = SetTimers(Timers(100, 20, 1_000))


def _timers(number: int) -> SetTimers:
    return SetTimers(Timers(100 + number, 20, 1_000))


def test_propose_and_approve() -> None:
    """A change is carried out in the transaction that reaches its share, and the proposer's approval counts."""
    town = Town(4, peers=1)
    number = town.propose("org-00", TIMERS)
    assert [
        ("registry", "proposed", 1, "org-00", "set_timers", "", False, town.header.time_ms + 7 * DAY_MS),
        ("registry", "approved", 1, "org-00", False),
    ] == town.events

    assert "ok" == town.send("org-04", RegistryApprove(number, False))
    (row,) = town.ask("proposals")
    assert (5, 2, 3, False) == (row.electors, row.approving, row.needed, row.passed)
    assert "ok" == town.send("org-02", RegistryApprove(number, False))
    assert [
        ("registry", "approved", 1, "org-02", False),
        ("registry", "timers", 100, 20, 1_000),
        ("registry", "executed", 1, "set_timers", ""),
    ] == town.events
    assert () == town.ask("proposals")
    assert TIMERS.timers == town.turn().timers


def test_decisions_stay() -> None:
    """What became of the last 64 proposals can be asked for."""
    town = Town(2, peers=0)
    for number in range(70):
        town.propose("org-00", _timers(number))
        town.block(("org-00", RegistryWithdraw(number + 1)))
    kept = town.ask("decisions")

    assert list(range(7, 71)) == [row.number for row in kept]
    assert Decision(70, "org-00", ChangeKind.SET_TIMERS, "", Ending.WITHDRAWN, town.height) == kept[-1]


@pytest.mark.parametrize(
    ("share", "electors", "enough"),
    [
        ((2, 3, False), 1, 1),
        ((2, 3, False), 2, 2),
        ((2, 3, False), 3, 2),
        ((2, 3, False), 4, 3),
        ((2, 3, False), 7, 5),
        ((1, 2, True), 1, 1),
        ((1, 2, True), 2, 2),
        ((1, 2, True), 4, 3),
        ((1, 2, True), 5, 3),
        ((1, 1000, False), 5, 1),
        ((1, 1, False), 5, 5),
    ],
)
def test_shares(share: tuple[int, int, bool], electors: int, enough: int) -> None:
    """At least 2/3, more than 1/2: exact over whole organisations, and never without any approval."""
    policy = Policy(*share, of=Electorate.VALIDATORS, lifetime_ms=DAY_MS)

    assert [enough <= count for count in range(electors + 1)] == [
        passes(policy, count, electors) for count in range(electors + 1)
    ]
    assert enough == needed(policy, electors)
    assert not passes(policy, 0, 0)


def test_only_electors_approve() -> None:
    """A change that validators decide may be proposed by anybody, and approved by validators only."""
    town = Town(4, peers=2)
    town.spin(4)
    number = town.propose("org-04", RemoveValidator("org-00"))

    assert [("registry", "proposed")] == [event[:2] for event in town.events]
    assert errors.NOT_ELIGIBLE.name == town.send("org-05", RegistryApprove(number, False))
    assert errors.NOT_ELIGIBLE.name == town.send("org-04", RegistryApprove(number, False))
    assert ["ok"] * 3 == [town.send(f"org-{n:02}", RegistryApprove(number, False)) for n in range(3)]
    assert "executed" == town.events[-1][1]


def test_nobody_approves_twice() -> None:
    """A second approval is refused by name; one that says now that the candidate is reached is not a second one."""
    town = Town(4)
    town.spin(4)
    number = town.propose("org-00", town.candidacy("org-04"))

    assert errors.ALREADY_APPROVED.name == town.send("org-00", RegistryApprove(number, False))
    assert "ok" == town.send("org-00", RegistryApprove(number, True))
    assert errors.ALREADY_APPROVED.name == town.send("org-00", RegistryApprove(number, True))
    assert errors.ALREADY_APPROVED.name == town.send("org-00", RegistryApprove(number, False))
    assert 1 == town.ask("proposals")[0].reaching


def test_electors_of_the_moment() -> None:
    """Approvals of those who leave do not count any more, and fewer electors need fewer approvals."""
    town = Town(4, peers=3)
    number = town.propose("org-05", TIMERS)
    for name in ("org-06", "org-00"):
        assert "ok" == town.send(name, RegistryApprove(number, False))
    for name in ("org-05", "org-06"):
        assert "ok" == town.send(name, RegistryLeave())
    (row,) = town.ask("proposals")
    assert (5, 1, 3) == (row.electors, row.approving, row.needed)
    assert {"org-00": True, "org-05": False, "org-06": False} == {a.organisation: a.counts for a in row.approvals}

    assert ["ok", "ok"] == [town.send(f"org-{n:02}", RegistryApprove(number, False)) for n in (1, 2)]
    assert "executed" == town.events[-1][1]


def test_a_share_reached_by_departure() -> None:
    """When others left so that the approvals are enough, any elector may approve again to have it carried out."""
    town = Town(4, peers=1)
    number = town.propose("org-00", TIMERS)
    assert "ok" == town.send("org-01", RegistryApprove(number, False))
    assert errors.ALREADY_APPROVED.name == town.send("org-01", RegistryApprove(number, False))
    assert ["ok", "ok"] == [town.send("org-04", RegistryLeave()), town.send("org-03", RegistryLeave())]

    assert town.ask("proposals")[0].passed
    assert "ok" == town.send("org-01", RegistryApprove(number, False))
    assert "executed" == town.events[-1][1]


# -- the end of proposals --------------------------------------------------------------------------------------------


def test_expiry() -> None:
    """After its time a proposal cannot be approved, and the end of the next block closes it."""
    town = Town(4)
    number = town.propose("org-00", TIMERS)
    (row,) = town.ask("proposals")
    due = row.expires_ms
    assert due == first_expiry(town.overlay)

    assert ["ok"] == town.block(("org-01", RegistryApprove(number, False)), time_ms=due - 1)
    assert [errors.PROPOSAL_EXPIRED.name] == town.block(("org-02", RegistryApprove(number, False)), time_ms=due)
    assert [("registry", "expired", 1, "set_timers", "")] == town.events
    assert errors.UNKNOWN_PROPOSAL.name == town.send("org-02", RegistryApprove(number, False))
    assert (None, Ending.EXPIRED) == (first_expiry(town.overlay), town.ask("decisions")[0].ending)


def test_expiry_is_bounded() -> None:
    """One block closes eight expired proposals; the others cannot be approved meanwhile."""
    town = Town(5, peers=0)
    names = town.members
    for index in range(20):
        town.propose(names[index // 4], _timers(index))
    last = town.ask("proposals")[-1]
    left = []
    for block in range(4):
        town.block(time_ms=last.expires_ms + block)
        left.append(len(town.ask("proposals")))

    assert [20 - EXPIRED_PER_BLOCK_MAX, 20 - 2 * EXPIRED_PER_BLOCK_MAX, 0, 0] == left
    assert None is first_expiry(town.overlay)


def test_shorter_lives_end_first() -> None:
    """Proposals of different lifetimes expire each in its time."""
    town = Town(4)
    town.spin(4)
    town.propose("org-00", TIMERS)
    town.propose("org-00", town.candidacy("org-04"))
    long, short = town.ask("proposals")
    town.block(time_ms=short.expires_ms)

    assert [long] == [*town.ask("proposals")]
    assert long.expires_ms == first_expiry(town.overlay)


def test_withdraw() -> None:
    """Its proposer takes a proposal back, nobody else."""
    town = Town(4)
    number = town.propose("org-00", TIMERS)

    assert errors.NOT_PROPOSER.name == town.send("org-01", RegistryWithdraw(number))
    assert errors.UNKNOWN_PROPOSAL.name == town.send("org-00", RegistryWithdraw(number + 1))
    assert "ok" == town.send("org-00", RegistryWithdraw(number))
    assert [("registry", "withdrawn", 1, "set_timers", "")] == town.events
    assert errors.UNKNOWN_PROPOSAL.name == town.send("org-01", RegistryApprove(number, False))
    assert [group for group in town.state.groups if group.startswith((b"proposal/", b"approval/", b"props"))] == []


# -- limits ----------------------------------------------------------------------------------------------------------


def test_limit_of_one_organisation() -> None:
    """An organisation has at most four open proposals."""
    town = Town(4)
    outcomes = [town.send("org-00", RegistryPropose(_timers(n), False)) for n in range(OPEN_PER_ORGANISATION_MAX + 1)]

    assert ["ok"] * 4 + [errors.TOO_MANY_PROPOSALS.name] == outcomes
    assert "ok" == town.send("org-00", RegistryWithdraw(1))
    assert "ok" == town.send("org-00", RegistryPropose(_timers(9), False))


def test_limit_of_all() -> None:
    """At most 64 proposals are open at once."""
    town = Town(17, peers=0)
    for index in range(OPEN_MAX):
        town.propose(town.members[index // 4], _timers(index))

    assert errors.TOO_MANY_PROPOSALS.name == town.send("org-16", RegistryPropose(_timers(99), False))


def test_same_change_twice() -> None:
    """The same change is not proposed twice at once; a different one of the same kind is another proposal."""
    town = Town(4)
    town.propose("org-00", RemoveOrganisation("org-04"))

    assert errors.DUPLICATE_PROPOSAL.name == town.send("org-01", RegistryPropose(RemoveOrganisation("org-04"), True))
    assert "ok" == town.send("org-01", RegistryPropose(RemoveOrganisation("org-03"), False))


# -- refused when they are carried out -------------------------------------------------------------------------------


def test_refused_when_carried_out() -> None:
    """What cannot be done when it passes stays open, says why with the numbers, and is tried again on request."""
    town = Town(4)
    number = town.propose("org-00", RemoveValidator("org-01"))
    town.hush("org-03")
    for name in ("org-00", "org-02"):
        town.block((name, RegistryApprove(number, False)))
    assert "ok" == town.send("org-03", RegistryApprove(number, False))

    assert (
        "registry",
        "refused",
        number,
        "registry/QUORUM_AT_RISK",
        "validators=3, quorum=3, live=2, silent=org-03",
    ) == town.events[-1]
    assert town.ask("proposals")[0].passed
    town.silent = set()
    town.spin(4)
    assert "ok" == town.send("org-00", RegistryApprove(number, False))
    assert ["validator_removed", "executed"] == [event[1] for event in town.events]


def test_nothing_remains_of_a_refused_change() -> None:
    """A change that is refused when it passes writes nothing but the approval."""
    town = Town(4)
    town.spin(4)
    first = town.propose("org-00", town.candidacy("org-04"))
    assert "ok" == town.send("org-01", RegistryApprove(first, True))
    key = town.consensus["org-04"]
    proof = key.sign(rotation_bytes(town.chain, "org-02", key.public_key))
    assert "ok" == town.send("org-02", RegistryRotateKey(key.public_key, proof))
    before = deepcopy(town.state.groups)
    assert "ok" == town.send("org-03", RegistryApprove(first, True))

    assert errors.KEY_USED.name == town.events[-1][3]
    changed = {group for group, items in town.state.groups.items() if before.get(group) != items}
    paid = {b"b/" + town.accounts["org-03"], b"b/" + fees.TREASURY, b"b/" + module_account("rewards")}
    assert paid < changed
    assert {b"approval", b"days", b"led", b"sv"} == {group.split(b"/")[0] for group in changed - paid}


# -- policies --------------------------------------------------------------------------------------------------------


def test_set_policy() -> None:
    """A new policy counts for open proposals too."""
    town = Town(4)
    number = town.propose("org-00", TIMERS)
    loose = Policy(1, 4, False, Electorate.VALIDATORS, 60_000)
    assert "executed" in town.decide(SetPolicy(ChangeKind.SET_TIMERS, loose))
    (policy,) = [row for row in town.ask("policies") if row.kind is ChangeKind.SET_TIMERS]

    assert (loose, 4) == (policy.policy, policy.electors)
    assert town.ask("proposals")[0].passed
    assert "ok" == town.send("org-00", RegistryApprove(number, False))
    assert "executed" == town.events[-1][1]


@pytest.mark.parametrize("share", [(1, 1, True), (3, 2, False)])
def test_invalid_policy(share: tuple[int, int, bool]) -> None:
    """A share that nobody could reach is refused."""
    policy = Policy(*share, of=Electorate.VALIDATORS, lifetime_ms=DAY_MS)

    assert errors.OUT_OF_BOUNDS.name == Town().send(
        "org-00", RegistryPropose(SetPolicy(ChangeKind.SET_POLICY, policy), False)
    )


def test_one_organisation_decides_alone() -> None:
    """In a network of one a proposal is carried out as soon as it is made."""
    town = Town(1, peers=0)
    town.spin(2)
    assert "ok" == town.send("org-00", RegistryPropose(TIMERS, False))

    assert ["proposed", "approved", "timers", "executed"] == [event[1] for event in town.events]


def test_the_own_pause_needs_nobody() -> None:
    """Pausing is the organisation's own right: no proposal, no approval."""
    town = Town(5)
    town.spin(5)

    assert "ok" == town.send("org-01", RegistryPause())
    assert () == town.ask("proposals")
