"""How people come, what the city decides about them, how they go (modules.md 3.1)."""

import pytest

from cccnode.city.bank import BankTransfer
from cccnode.city.members import MemAdmit, MemApply, MemLeave, MemRemove, MemRotateKeys, MemSponsor, errors
from cccnode.city.members.messages import WeightedKey
from cccnode.city.members.state import Kind, Personhood, Pillar, Status, active_count, is_person
from cccnode.codec import Noun
from cccnode.ledger.state import Overlay
from cccnode.types.errors import DECIDED_BY_VOTE, TX_ACCOUNT_STATUS, fault
from cccnode.types.transaction import account_id
from tests.city.people import People, account, founded, organisation
from tests.support.city import key, receipts

DAY = 86_400_000


def _people(**members: int) -> People:
    return People(document=founded(parameters={"members": members}))


def _persons(people: People) -> int:
    return active_count(Overlay(people.state), Kind.PERSON, Pillar.CITIZENS)


def test_sponsored() -> None:
    """Whom a member vouches for is a member: personhood, sponsor and count say so, and it may act."""
    people = _people()
    address = people.apply(9)
    assert 4 == _persons(people)
    outcome = people.run(people.sign(MemSponsor(address)))
    assert "ok" == people.send(BankTransfer(address, "uccc", 5_000))
    assert "ok" == people.send(BankTransfer(account(1), "uccc", 1), 9)

    answer = people.ask("account_get", address)
    assert (Status.ACTIVE, Personhood.VOUCHED, account(0)) == (answer.status, answer.personhood, answer.origin.sponsor)
    assert (("members", "activated", address, account(0), 0),) == receipts(outcome)[0].events
    assert 5 == _persons(people)
    assert [] == people.broken()


def test_sponsored_by_an_organisation() -> None:
    """An organisation has seen the person it vouches for."""
    people = _people()
    address = people.apply(9)
    assert "ok" == people.send(MemSponsor(address), 5)

    assert Personhood.SEEN is people.ask("account_get", address).personhood


def test_admitted_by_vote() -> None:
    """The city admits without a sponsor, and the proposal's number stays with the account (MEM-5)."""
    people = _people()
    address = people.apply(9)
    assert "ok" == people.decide(MemAdmit(address), 7)

    origin = people.ask("account_get", address).origin
    assert (None, 7, people.now) == (origin.sponsor, origin.decision, origin.active_ms)
    assert is_person(Overlay(people.state), address)
    assert [] == people.broken()


def test_quota() -> None:
    """Five newcomers in thirty days; then the sponsor waits."""
    people = _people(sponsor_quota=2)
    newcomers = [people.apply(number) for number in range(9, 13)]
    results = [people.send(MemSponsor(address)) for address in newcomers[:3]]
    assert ["ok", "ok", "members/QUOTA"] == results
    people.pass_time(30 * DAY - 4_000)
    waiting = people.apply(20)

    assert "ok" == people.send(MemSponsor(waiting))
    assert 2 == len(people.ask("account_get", account(0)).sponsored.times)


def test_age() -> None:
    """Who is new vouches for nobody yet; organisations always may."""
    people = _people(sponsor_age_ms=DAY)
    address = people.apply(9)

    assert ["members/AGE", "ok"] == [people.send(MemSponsor(address), by) for by in (0, 4)]


def test_removed_newcomer_bars_the_sponsor() -> None:
    """Who vouched for somebody the city removed vouches for nobody for ninety days."""
    people = _people()
    address = people.apply(9)
    people.send(MemSponsor(address))
    assert "ok" == people.decide(MemRemove(address))
    other = people.apply(10)
    assert "members/QUOTA" == people.send(MemSponsor(other))
    assert Status.REMOVED is people.ask("account_get", address).status
    assert TX_ACCOUNT_STATUS.name == people.send(BankTransfer(account(1), "uccc", 1), 9)
    people.pass_time(90 * DAY)

    assert "ok" == people.send(MemSponsor(people.apply(11)))
    assert [] == people.broken()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (MemSponsor(account(1)), "members/STATE"),
        (MemSponsor(bytes(20)), "tx/UNKNOWN_ACCOUNT"),
    ],
)
def test_invalid_sponsor(message: Noun, error: str) -> None:
    """Only somebody who waits can be vouched for."""
    assert error == _people().send(message)


def test_invalid_sponsor_of_another_kind() -> None:
    """A service account vouches for nobody."""
    people = _people()
    people.turn(account(0), kind=Kind.SERVICE)

    assert "members/KIND" == people.send(MemSponsor(people.apply(9)))


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (MemAdmit(account(1)), "members/STATE"),
        (MemAdmit(bytes(20)), "tx/UNKNOWN_ACCOUNT"),
        (MemRemove(bytes(20)), "tx/UNKNOWN_ACCOUNT"),
        (MemRemove(organisation(0)), "members/KIND"),
    ],
)
def test_invalid_decision(message: Noun, error: str) -> None:
    """The city admits who waits and removes who is here; organisations have proposals of their own."""
    people = _people()

    assert error == people.decide(message)
    assert DECIDED_BY_VOTE.name == people.send(message)


def test_application_expires() -> None:
    """Nobody answers for thirty days: the application ends, and may be made again with the same key."""
    people = _people()
    address = people.apply(9)
    assert [address] == [row.account for row in people.ask("members_applications").waiting]
    people.pass_time(30 * DAY)
    assert () == people.ask("members_applications").waiting
    assert Status.LEFT is people.ask("account_get", address).status
    assert "members/STATE" == people.send(MemSponsor(address))
    assert "members/STATE" == people.decide(MemRemove(address))

    assert address == people.apply(9)
    assert "ok" == people.send(MemSponsor(address))
    assert [] == people.broken()


def test_due_application_is_expired_before_it_is_swept() -> None:
    """In the very block in which its time is over nobody can vouch any more."""
    people = _people()
    address = people.apply(9)
    due = people.now + 30 * DAY
    raw = people.sign(MemSponsor(address), valid_until_ms=due + 60_000)

    assert "members/STATE" == people.name_of(people.run(raw, time_ms=due).codes[0])


def test_leave() -> None:
    """Who leaves has no keys, no roles and no say any more, and his key never opens an account again."""
    people = _people()
    assert "ok" == people.send(MemLeave(), 3)
    applicant = people.owner(3)
    again = people.sign(MemApply(applicant.public_key, bytes(32), 1), by=3, fee_max=0)

    assert TX_ACCOUNT_STATUS.name == people.send(BankTransfer(account(1), "uccc", 1), 3)
    assert errors.PK_USED.name == people.name_of(people.run(again).codes[0])
    assert people.ask("account_did", account(3)).deactivated
    assert 3 == _persons(people)
    assert [] == people.broken()


def test_invalid_leave() -> None:
    """An organisation leaves through the registry, and nobody leaves with something open."""
    people = _people()
    assert "members/OBLIGATION" == people.send(MemLeave(), 4)

    def refuse(context: object, address: bytes) -> None:
        raise fault(errors.OBLIGATION, account=address, of="test")

    people.listen("members/leaving", refuse)
    assert "members/OBLIGATION" == people.send(MemLeave(), 3)
    assert Status.ACTIVE is people.ask("account_get", account(3)).status


def test_questions() -> None:
    """Identifier, past keys, counts and charter."""
    people = _people()
    first = people.owner(0).public_key
    then = people.now
    assert "ok" == people.send(MemRotateKeys((WeightedKey(key(9).public_key),), (first,), 1, None))
    assert (first,) == people.ask("account_keys_at", account(0), then)
    assert (key(9).public_key,) == people.ask("account_keys_at", account(0), people.now)
    did = people.ask("account_did", account(0))
    assert (f"did:ccc:{account(0).hex()}", (key(9).public_key,)) == (did.id, did.verification)
    assert 4 == next(row.number for row in people.ask("members_count") if row.kind is Kind.PERSON)
    assert (1, bytes.fromhex("ab" * 32)) == (people.ask("members_charter").version, people.ask("members_charter").text)
    assert account(0) != account_id(key(9).public_key)
