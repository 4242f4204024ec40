"""Suspension, appeal, and what a suspended account may still do (modules.md 3.0, 3.1, MEM-3)."""

import pytest

from cccnode.city.bank import BankRedeem, BankTransfer
from cccnode.city.members import MemAdmit, MemAppeal, MemKeepSuspended, MemLeave, MemSuspend
from cccnode.city.members.state import Status
from cccnode.codec import Noun
from cccnode.types.errors import TX_ACCOUNT_STATUS
from tests.city.people import People, account, founded, organisation

HASH = bytes(32)
DAY = 86_400_000
COUNCIL = {organisation(0): ["council"], organisation(1): ["council"], account(0): ["council"], account(1): ["council"]}
STATUS = TX_ACCOUNT_STATUS.name


def _people() -> People:
    return People(document=founded(holders=COUNCIL))


def _suspended() -> People:
    people = _people()
    assert ["ok", "ok"] == [people.send(MemSuspend(account(3), HASH), by) for by in (4, 0)]
    assert Status.SUSPENDED is people.ask("account_get", account(3)).status
    return people


def test_suspended_for_a_week() -> None:
    """Two of the council suspend; after seven days it ends by itself."""
    people = _suspended()
    assert STATUS == people.send(BankTransfer(account(1), "uccc", 1), 3)
    assert [] == people.broken()
    people.pass_time(7 * DAY)

    assert "ok" == people.send(BankTransfer(account(1), "uccc", 1), 3)
    assert None is people.ask("account_get", account(3)).suspension


def test_exits() -> None:
    """A suspended account redeems, refuses a recovery and appeals; it does nothing else, and nothing beside these."""
    people = _suspended()
    assert "bank/INSUFFICIENT" == people.send(BankRedeem("thb", 1, HASH), 3)
    assert "ok" == people.send(MemAppeal(HASH), 3)
    assert HASH == people.ask("account_get", account(3)).suspension.appeal

    both = people.sign(MemAppeal(HASH), BankTransfer(account(1), "uccc", 1), by=3)
    assert STATUS == people.name_of(people.run(both).codes[0])
    assert STATUS == people.send(MemLeave(), 3)


def test_request_lapses() -> None:
    """Without a second within a day nothing happens; a later one begins anew."""
    people = _people()
    people.send(MemSuspend(account(3), HASH), 4)
    people.pass_time(DAY)
    assert None is people.ask("account_get", account(3)).suspension
    assert "ok" == people.send(MemSuspend(account(3), HASH), 0)

    assert Status.ACTIVE is people.ask("account_get", account(3)).status


def test_city_confirms_or_ends() -> None:
    """The city's vote lets a suspension last, or ends it."""
    people = _suspended()
    until = people.now + 30 * DAY
    assert "ok" == people.decide(MemKeepSuspended(account(3), until))
    people.pass_time(8 * DAY)
    assert STATUS == people.send(BankTransfer(account(1), "uccc", 1), 3)
    assert "ok" == people.decide(MemAdmit(account(3)))

    assert "ok" == people.send(BankTransfer(account(1), "uccc", 1), 3)
    assert [] == people.broken()


@pytest.mark.parametrize(
    ("message", "by", "error"),
    [
        (MemSuspend(account(3), HASH), 2, "members/NOT_COUNCIL"),
        (MemSuspend(bytes(20), HASH), 4, "tx/UNKNOWN_ACCOUNT"),
        (MemAppeal(HASH), 2, "members/NOT_SUSPENDED"),
    ],
)
def test_invalid_message(message: Noun, by: int, error: str) -> None:
    """Only the council suspends, and only who is suspended appeals."""
    assert error == _people().send(message, by)


def test_second_is_of_another_pillar() -> None:
    """Two citizens are not enough, nor is one member of the council twice."""
    people = _people()
    results = [people.send(MemSuspend(account(3), HASH), by) for by in (0, 0, 1, 5)]

    assert ["ok", "members/SAME_PILLAR", "members/SAME_PILLAR", "ok"] == results
    assert "members/STATE" == people.send(MemSuspend(account(3), HASH), 4)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (MemKeepSuspended(account(2), 2**62), "members/NOT_SUSPENDED"),
        (MemKeepSuspended(account(3), 1), "members/UNTIL"),
        (MemKeepSuspended(account(3), 2**62), "members/UNTIL"),
    ],
)
def test_invalid_confirmation(message: Noun, error: str) -> None:
    """The city confirms what is, for a time that is to come."""
    assert error == _suspended().decide(message)


def test_validators_stay_able_to_act() -> None:
    """Of four validators no organisation's account is suspended."""
    people = _people()
    results = [people.send(MemSuspend(organisation(3), HASH), by) for by in (4, 0)]

    assert ["ok", "members/LIVENESS"] == results
    assert Status.ACTIVE is people.ask("account_get", organisation(3)).status
