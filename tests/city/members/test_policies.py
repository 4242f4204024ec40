"""Policies of the city: who must agree before somebody is vouched for, changes keys or gets a role."""

import pytest

from cccnode.city.members import MemApprove, MemRotateKeys, MemSponsor, PolicySet, RoleGrant
from cccnode.city.members.messages import WeightedKey
from cccnode.types.errors import POLICY_INVALID, Fault
from tests.city.people import People, account, founded, organisation
from tests.support.city import key

WEEK = 7 * 86_400_000
HOLDERS = {
    account(0): ["dispatcher"],
    organisation(0): ["council"],
    organisation(1): ["council"],
    account(1): ["council"],
    account(2): ["council"],
}


def _people(subject: str, policy: str) -> People:
    people = People(document=founded(holders=HOLDERS))
    assert "ok" == people.decide(PolicySet(subject, policy))
    return people


def test_two_of_the_council_for_a_role() -> None:
    """Two of the council, of two pillars, agree before a courier is appointed; the query says what is missing."""
    people = _people("role:courier", "role(council, 2, pillar)")
    grant = RoleGrant(account(3), "courier")
    assert "members/POLICY" == people.send(grant)
    assert ["ok", "ok"] == [people.send(MemApprove("role:courier", account(3)), by) for by in (1, 2)]
    assert "members/POLICY" == people.send(grant)
    answer = people.ask("members_policy", "role:courier", account(3), account(0))
    assert (False, 2) == (answer.holds, len(answer.agreeing))
    assert ("2 holders of the role council must approve; 1 that count did",) == answer.en
    assert any("council" in line for line in answer.th)
    assert "ok" == people.send(MemApprove("role:courier", account(3)), 4)
    assert people.ask("members_policy", "role:courier", account(3), account(0)).holds

    assert "ok" == people.send(grant)
    assert () == people.ask("members_policy", "role:courier", account(3)).agreeing
    assert [] == people.broken()


def test_admission_needs_an_organisation_too() -> None:
    """Whoever vouches counts as agreeing, and somebody of the council must agree too."""
    people = _people("admit_member", "all(role(council), at_least(1, owner, role(dispatcher)))")
    address = people.apply(9)
    assert "members/POLICY" == people.send(MemSponsor(address), 0)
    assert "ok" == people.send(MemApprove("admit_member", address), 5)
    assert "members/POLICY" == people.send(MemSponsor(address), 3)

    assert "ok" == people.send(MemSponsor(address), 0)


def test_keys_of_the_own_account() -> None:
    """Keys change with the owner, or with another account that he cannot do without."""
    people = _people("rotate_keys", "any(all(owner, role(council)), role(nobody))")
    rotate = MemRotateKeys((WeightedKey(key(9).public_key),), (), 1, None)
    assert "members/POLICY" == people.send(rotate, 3)
    people.send(MemApprove("rotate_keys", account(3)), 4)

    assert "ok" == people.send(rotate, 3)
    assert "ok" == people.send(MemRotateKeys((WeightedKey(key(10).public_key),), (), 1, None), 1)


def test_approvals_lapse() -> None:
    """After a week an approval counts no more, and one of who may not act never does."""
    people = _people("role:courier", "role(council, 1)")
    people.send(MemApprove("role:courier", account(3)), 1)
    people.pass_time(WEEK)
    assert () == people.ask("members_policy", "role:courier", account(3)).agreeing
    assert "members/POLICY" == people.send(RoleGrant(account(3), "courier"))


def test_no_policy() -> None:
    """An empty text takes a policy back; then nobody is asked but who does it, and the query finds none."""
    people = _people("role:courier", "role(council)")
    assert "ok" == people.decide(PolicySet("role:courier", ""))
    assert "ok" == people.send(RoleGrant(account(3), "courier"))
    with pytest.raises(Fault):
        people.ask("members_policy", "role:courier", account(3))


def test_invalid_policy() -> None:
    """A policy that nobody can read is refused when it is proposed; nobody approves for nobody."""
    people = People(document=founded())

    assert POLICY_INVALID.name == people.decide(PolicySet("rotate_keys", "all(owner"))
    assert "tx/UNKNOWN_ACCOUNT" == people.send(MemApprove("rotate_keys", bytes(20)))
