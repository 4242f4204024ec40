"""Roles: granting is a permission of its own, and protected ones change hands by vote (modules.md 3.1, MEM-6)."""

import pytest

from cccnode.city.members import CharterSet, MemApply, RoleDefine, RoleGrant, RoleRevoke, RoleSet
from cccnode.city.members.state import ROLES_MAX, has_role, permitted, role_holders
from cccnode.codec import Noun
from cccnode.ledger.state import Overlay
from cccnode.types.errors import GENESIS_INVALID, Fault
from cccnode.types.transaction import account_id
from tests.city.people import People, account, founded
from tests.support.city import City, key

HOLDERS = {account(0): ["dispatcher"], account(1): ["courier", "council"]}


def _people() -> People:
    return People(document=founded(holders=HOLDERS))


def _holders(people: People, role: str) -> set[bytes]:
    return set(role_holders(Overlay(people.state), role))


def test_grant_and_revoke() -> None:
    """A dispatcher gives and takes the role of courier; a courier lays it down."""
    people = _people()
    assert ["ok", "ok"] == [people.send(RoleGrant(account(n), "courier"), 0) for n in (2, 3)]
    assert {account(1), account(2), account(3)} == _holders(people, "courier")
    assert "ok" == people.send(RoleRevoke(account(2), "courier"), 0)
    assert "ok" == people.send(RoleRevoke(account(3), "courier"), 3)

    assert {account(1)} == _holders(people, "courier")
    assert has_role(Overlay(people.state), account(1), "courier")
    assert not permitted(Overlay(people.state), account(1), "grant:courier")
    assert [] == people.broken()


@pytest.mark.parametrize(
    ("message", "by", "error"),
    [
        (RoleGrant(account(2), "courier"), 1, "members/NOT_PERMITTED"),
        (RoleGrant(account(2), "courier"), 2, "members/NOT_PERMITTED"),
        (RoleGrant(account(1), "courier"), 0, "members/ROLE_HELD"),
        (RoleGrant(account(2), "nothing"), 0, "members/UNKNOWN_ROLE"),
        (RoleGrant(account(2), "council"), 1, "members/PROTECTED"),
        (RoleGrant(bytes(20), "courier"), 0, "tx/UNKNOWN_ACCOUNT"),
        (RoleRevoke(account(1), "courier"), 2, "members/NOT_PERMITTED"),
        (RoleRevoke(account(2), "courier"), 0, "members/ROLE_NOT_HELD"),
        (RoleRevoke(account(1), "nothing"), 0, "members/UNKNOWN_ROLE"),
        (RoleRevoke(account(1), "council"), 1, "members/PROTECTED"),
    ],
)
def test_invalid_change(message: Noun, by: int, error: str) -> None:
    """Holding a role is not enough to give it, and a protected one is not even laid down without a vote."""
    assert error == _people().send(message, by)


def test_receiver_is_active() -> None:
    """Nobody gives a role to an applicant."""
    people = _people()

    assert "members/STATE" == people.send(RoleGrant(people.apply(9), "courier"), 0)


def test_city_sets() -> None:
    """By vote the city gives and takes any role, with the number of its proposal."""
    people = _people()
    assert "ok" == people.decide(RoleSet(account(2), "council", True), 5)
    assert "ok" == people.decide(RoleSet(account(1), "council", False), 6)

    assert {account(2)} == _holders(people, "council")
    assert [] == people.broken()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (RoleSet(account(1), "council", True), "members/ROLE_HELD"),
        (RoleSet(account(2), "council", False), "members/ROLE_NOT_HELD"),
        (RoleSet(account(2), "nothing", True), "members/UNKNOWN_ROLE"),
    ],
)
def test_invalid_decision(message: Noun, error: str) -> None:
    """What the vote would not change is refused when it is proposed."""
    assert error == _people().decide(message)


def test_define() -> None:
    """A role that the city defines anew permits something else at once; one that becomes protected stays held."""
    people = _people()
    assert "ok" == people.decide(RoleDefine("courier", ("grant:courier",), False))
    assert "ok" == people.send(RoleGrant(account(2), "courier"), 1)
    assert "ok" == people.decide(RoleDefine("courier", (), True), 9)

    assert "members/PROTECTED" == people.send(RoleGrant(account(3), "courier"), 0)
    assert {account(1), account(2)} == _holders(people, "courier")
    assert people.ask("members_role", "courier").record.protected
    assert [] == people.broken()


def test_too_many_roles() -> None:
    """An account holds sixteen roles and no more."""
    people = _people()
    for number in range(ROLES_MAX):
        people.decide(RoleDefine(f"role-{number}", (), False))
    given = [people.decide(RoleSet(account(2), f"role-{number}", True)) for number in range(ROLES_MAX)]
    assert ["ok"] * ROLES_MAX == given

    assert "members/TOO_MANY_ROLES" == people.decide(RoleSet(account(2), "council", True))


def test_charter() -> None:
    """After a vote applicants accept the new charter, not the old."""
    people = _people()
    assert "ok" == people.decide(CharterSet(bytes(32)))
    applicant = key(9)
    raws = [
        people.sign(MemApply(applicant.public_key, bytes(32), version), by=_id(9), keys=[applicant], fee_max=0)
        for version in (1, 2)
    ]

    assert ["members/CHARTER", "ok"] == [people.name_of(code) for code in people.run(*raws).codes]
    assert 2 == people.ask("members_charter").version


def _id(number: int) -> bytes:
    return account_id(key(number).public_key)


def test_invalid_genesis() -> None:
    """Unknown accounts and roles in the document's section are all named."""
    with pytest.raises(Fault) as caught:
        City(
            document=founded(holders={bytes(20): ["courier"], account(0): ["nothing"]}, personhood={bytes(20): "seen"})
        )

    assert caught.value.spec is GENESIS_INVALID
    assert 3 == len(caught.value.values["errors"])  # type: ignore[arg-type]


def test_unknown_role() -> None:
    """Nobody knows a role that is not there."""
    with pytest.raises(Fault):
        _people().ask("members_role", "nothing")
