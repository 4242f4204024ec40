"""Guardians and new keys (modules.md 3.1)."""

from typing import Any

import pytest

from cccnode.city.bank import BankTransfer
from cccnode.city.members import MemLeave, MemRecoverCancel, MemRecoverStart, MemRotateKeys, MemSetGuardians
from cccnode.city.members.messages import WeightedKey
from cccnode.codec import Noun
from cccnode.types.errors import TX_KEY_WITHOUT_WEIGHT
from tests.city.people import People, account, founded
from tests.support.city import key

WEEK = 7 * 86_400_000
NEW = (WeightedKey(key(30).public_key),)


def _people(threshold: int = 2) -> People:
    people = People(document=founded())
    assert "ok" == people.send(MemSetGuardians((account(1), account(2), account(3)), threshold))
    return people


def _start(**changes: Any) -> MemRecoverStart:
    return MemRecoverStart(**({"account": account(0), "keys": NEW, "threshold": 1, "enc_key": None} | changes))


def test_recovered() -> None:
    """Two of three guardians, a week without objection: the new key signs, the old one does not (MEM-7)."""
    people = _people()
    assert ["ok", "ok"] == [people.send(_start(), by) for by in (1, 2)]
    due = people.ask("account_get", account(0)).recovery.due_ms
    assert people.now + WEEK == due
    people.pass_time(WEEK - 1)
    assert "ok" == people.send(BankTransfer(account(1), "uccc", 1))
    people.pass_time(1)

    assert NEW == people.ask("account_get", account(0)).keys
    assert TX_KEY_WITHOUT_WEIGHT.name == people.send(BankTransfer(account(1), "uccc", 1))
    assert "ok" == people.send(BankTransfer(account(1), "uccc", 1), by=0, keys=[key(30)])
    assert [] == people.broken()


def test_owner_objects() -> None:
    """The owner ends it at any time before, and it may be asked for again."""
    people = _people(threshold=1)
    assert "ok" == people.send(_start(), 1)
    assert "members/RECOVERY_PENDING" == people.send(_start(), 2)
    assert "ok" == people.send(MemRecoverCancel())
    assert "members/NO_RECOVERY" == people.send(MemRecoverCancel())
    people.pass_time(WEEK)

    assert NEW != people.ask("account_get", account(0)).keys
    assert "ok" == people.send(_start(), 1)


def test_guardians_must_ask_for_the_same() -> None:
    """Two who ask for different keys are not two who agree; who asks again has changed his mind."""
    people = _people()
    other = _start(keys=(WeightedKey(key(31).public_key),))
    assert ["ok", "ok"] == [people.send(_start(), 1), people.send(other, 2)]
    assert None is people.ask("account_get", account(0)).recovery
    assert "ok" == people.send(_start(), 2)

    assert NEW == people.ask("account_get", account(0)).recovery.request.keys


def test_key_used_meanwhile() -> None:
    """When somebody else began to use the new key, the recovery ends and the old keys stay."""
    people = _people(threshold=1)
    people.send(_start(), 1)
    assert "ok" == people.send(MemRotateKeys(NEW, (), 1, None), 3)
    people.pass_time(WEEK)

    assert NEW != people.ask("account_get", account(0)).keys
    assert [] == people.broken()


def test_new_guardians_end_what_the_old_asked_for() -> None:
    """Whoever names guardians has his keys."""
    people = _people(threshold=1)
    people.send(_start(), 1)
    assert "ok" == people.send(MemSetGuardians((), 0))

    assert (None, None) == (
        people.ask("account_get", account(0)).recovery,
        people.ask("account_get", account(0)).guardians,
    )
    assert "members/NOT_GUARDIAN" == people.send(_start(), 1)


@pytest.mark.parametrize(
    ("accounts", "threshold"),
    [
        ((account(1),), 0),
        ((account(1),), 2),
        ((account(1), account(1)), 1),
        ((account(0),), 1),
        ((bytes(20),), 1),
        ((), 1),
    ],
)
def test_invalid_guardians(accounts: tuple[bytes, ...], threshold: int) -> None:
    """Guardians are others, active, each once, and as many as the threshold at least."""
    assert "members/GUARDIANS" == _people().send(MemSetGuardians(accounts, threshold))


@pytest.mark.parametrize(
    ("message", "by", "error"),
    [
        (_start(), 4, "members/NOT_GUARDIAN"),
        (_start(account=account(1)), 2, "members/NOT_GUARDIAN"),
        (_start(threshold=2), 1, "members/LOCKOUT"),
        (_start(threshold=0), 1, "members/LOCKOUT"),
        (_start(keys=NEW + NEW), 1, "members/PK_USED"),
        (_start(keys=(WeightedKey(bytes(32)),)), 1, "members/WEAK_KEY"),
    ],
)
def test_invalid_start(message: Noun, by: int, error: str) -> None:
    """Only guardians ask, and only for keys that can act and were never used."""
    assert error == _people().send(message, by)


def test_who_left_is_not_recovered() -> None:
    """Guardians cannot bring back who has left."""
    people = _people(threshold=1)
    people.send(_start(), 1)
    assert "ok" == people.send(MemLeave())
    people.pass_time(WEEK)

    assert "members/STATE" == people.send(_start(), 1)
    assert [] == people.broken()
