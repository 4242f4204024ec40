"""Where fees go, free quotas and resource accounts (modules.md 3.2 and the module's README)."""

from typing import Any

import pytest

from cccnode.city.bank import BankTransfer, ResourceFund, ResourceWithdraw
from cccnode.city.bank.queries import DayParams
from cccnode.city.bank.rules import move
from cccnode.city.bank.state import FEES, PREPAID, TREASURY
from cccnode.city.members import MemSponsor
from cccnode.ingress import decode_transactions
from cccnode.ledger.module import Context
from cccnode.mempool import Mempool
from cccnode.types.errors import NOT_FOUND, TX_INSUFFICIENT_FEE_BALANCE, Fault
from genesis.bootstrap import ORGANISATION_BALANCE
from tests.city.people import People, account, founded, organisation
from tests.support.city import BALANCE, FEE

DAY = 86_400_000


def _people(**bank: int) -> People:
    return People(document=founded(parameters={"bank": bank}, personhood={account(0): "vouched"}))


def _pay(people: People, by: int = 0, to: int = 3) -> str:
    return people.send(BankTransfer(account(to), "uccc", 1), by)


def test_split() -> None:
    """Validators fetch their 70 %, rounded down; the treasury has the rest, and nothing stays (BNK-6)."""
    people = _people(fee_base=999)
    seen: list[tuple[str, int]] = []

    def fetch(context: Context, asset: str, amount: int) -> None:
        seen.append((asset, amount))
        move(context.state, source=FEES, target=account(2), asset=asset, amount=amount - 1)

    people.listen("bank/validator_fees", fetch)
    assert "ok" == _pay(people)

    assert [("uccc", 699)] == seen
    assert (698, 301, 0) == (people.balance(2) - BALANCE, people.balance(TREASURY), people.balance(FEES))
    assert [] == people.broken()


def test_days() -> None:
    """How much was paid on a day, and what it cost on average, can be asked."""
    people = _people()
    people.run(*(people.sign(BankTransfer(account(1), "uccc", 1)) for _ in range(3)))
    today = people.now // DAY
    answer = people.ask("bank_fees", today)
    assert (3, 3 * FEE, FEE) == (answer.fees.transactions, answer.fees.fees, answer.average)

    with pytest.raises(Fault) as caught:
        people.registry.answer("bank_fees", people.state, DayParams(today + 256))
    assert caught.value.spec is NOT_FOUND


def test_free_quota() -> None:
    """A vouched member pays nothing for the first transactions of each day; others pay."""
    people = _people(free_per_day=2)
    assert ["ok"] * 4 == [_pay(people) for _ in range(3)] + [_pay(people, by=1)]
    assert (BALANCE - 3 - FEE, BALANCE - 1 - FEE) == (people.balance(0), people.balance(1))
    assert 2 == people.ask("bank_quota", account(0)).used
    people.pass_time(DAY)
    assert "ok" == _pay(people)

    assert BALANCE - 4 - FEE == people.balance(0)
    assert [] == people.broken()


def test_free_failure_counts() -> None:
    """A free transaction that fails is used up: else failing would be free for ever."""
    people = _people(free_per_day=1)
    assert "bank/ZERO" == people.send(BankTransfer(account(1), "uccc", 0))
    _pay(people)

    assert BALANCE - 1 - FEE == people.balance(0)


def test_bytes_are_paid() -> None:
    """The quota waives the flat base; what is above 512 bytes is paid as ever."""
    people = _people(free_per_day=5, fee_byte=3)
    messages = [BankTransfer(account(1), "uccc", 1)] * 16
    raw = people.sign(*messages, fee_max=10 * FEE)
    assert len(raw) > 512
    outcome = people.run(raw)

    assert (0, 3 * (len(raw) - 512)) == (outcome.codes[0], outcome.fees)


def test_vouched_newcomer_needs_no_money() -> None:
    """Somebody new who owns nothing acts within the quota, and not beyond."""
    people = _people(free_per_day=1)
    address = people.apply(9)
    people.send(MemSponsor(address))
    assert "bank/INSUFFICIENT" == _pay(people, by=9)

    assert TX_INSUFFICIENT_FEE_BALANCE.name == _pay(people, by=9)
    assert 0 == people.balance(address)


def _admit(people: People, pool: Mempool, raw: bytes) -> str:
    (verified,) = decode_transactions(people.registry, people.chain, [raw])
    assert not isinstance(verified, Fault)
    refused = pool.admit(verified, wall_ms=people.now, view=people.state, window=people.window)
    return "ok" if refused is None else refused.spec.name


def test_admission_by_quota() -> None:
    """The door admits without money as many as the quota has left."""
    people = _people(free_per_day=2)
    address = people.apply(9)
    people.send(MemSponsor(address))
    pool = Mempool(people.registry)
    raws = [
        people.sign(BankTransfer(account(1), "uccc", 1), by=address, keys=[people.owner(9)], valid_until_ms=until)
        for until in (people.now + 9_000, people.now + 9_001, people.now + 9_002)
    ]

    assert ["ok", "ok", TX_INSUFFICIENT_FEE_BALANCE.name] == [_admit(people, pool, raw) for raw in raws]


# -- resource accounts -----------------------------------------------------------------------------------------------


def _resourceful(per_day: int = 10, amount: int = 5 * FEE, own: int = 2) -> People:
    """Organisation 0 puts something aside; person 1 belongs to it."""
    people = _people(resource_per_day=per_day)
    people.turn(account(1), organisation=people.demo.partners[0].name)
    assert "ok" == people.send(ResourceFund(amount, own), 4)
    return people


def test_resource_account() -> None:
    """An organisation's accounts act at its cost, as often a day as it said."""
    people = _resourceful()
    assert ["ok"] * 3 == [_pay(people, by=1) for _ in range(3)]

    assert BALANCE - 3 - FEE == people.balance(1)
    found = people.ask("bank_resource", people.demo.partners[0].name)
    assert (3 * FEE, 2, 2, 2 * FEE) == (found.left, found.used, found.transactions, found.fees)
    assert 3 * FEE == people.balance(PREPAID)
    assert [] == people.broken()
    people.pass_time(DAY)
    assert "ok" == _pay(people, by=1)
    assert BALANCE - 4 - FEE == people.balance(1)


def test_empty_resource_account() -> None:
    """When nothing is left, everybody pays for himself; what is put aside can be taken back."""
    people = _resourceful(amount=FEE)
    assert ["ok"] * 2 == [_pay(people, by=1) for _ in range(2)]
    assert BALANCE - 2 - FEE == people.balance(1)
    assert "ok" == people.send(ResourceFund(5 * FEE, 2), 5)
    before = people.balance(organisation(1))
    assert "ok" == people.send(ResourceWithdraw(4 * FEE), 5)

    assert before + 4 * FEE == people.balance(organisation(1))
    assert 0 == people.balance(PREPAID)
    assert [] == people.broken()


def test_admission_by_resource_account() -> None:
    """The door counts what waits against the resource account."""
    people = _resourceful(own=1)
    pool = Mempool(people.registry)
    poor = people.sign(BankTransfer(account(3), "uccc", people.balance(1)), by=1)
    assert "ok" == people.name_of(people.run(poor).codes[0])
    assert 0 == people.balance(1)
    people.pass_time(DAY)
    raws = [people.sign(BankTransfer(account(3), "uccc", 1), by=1) for _ in range(2)]

    assert ["ok", TX_INSUFFICIENT_FEE_BALANCE.name] == [_admit(people, pool, raw) for raw in raws]


@pytest.mark.parametrize(
    ("message", "by", "error"),
    [
        (ResourceFund(FEE, 1), 0, "bank/NOT_ORGANISATION"),
        (ResourceFund(FEE, 11), 4, "bank/PER_DAY"),
        (ResourceFund(ORGANISATION_BALANCE, 1), 4, "bank/INSUFFICIENT"),
        (ResourceWithdraw(1), 0, "bank/NOT_ORGANISATION"),
        (ResourceWithdraw(0), 4, "bank/ZERO"),
        (ResourceWithdraw(6 * FEE), 4, "bank/INSUFFICIENT"),
    ],
)
def test_invalid_resources(message: Any, by: int, error: str) -> None:
    """Only organisations have a resource account, within the city's bound, and take back what is theirs."""
    assert error == _resourceful().send(message, by)


def test_invalid_without_resource_accounts() -> None:
    """Where the parameter is 0 there are none; what was put aside before can still be taken back."""
    assert "bank/NO_RESOURCES" == _people().send(ResourceFund(FEE, 1), 4)
