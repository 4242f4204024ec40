"""Fee grants: who pays, for what, how much and how long (modules.md 3.2, BNK-5)."""

import pytest

from cccnode.city.bank import BankTransfer, FeeGrant, FeeRevoke
from cccnode.city.members import MemSponsor
from cccnode.ingress import decode_transactions
from cccnode.mempool import Mempool
from cccnode.types.errors import TX_ACCOUNT_STATUS, TX_INSUFFICIENT_FEE_BALANCE, Fault
from tests.city.people import People, account, founded
from tests.support.city import BALANCE, FEE

DAY = 86_400_000
NAMES = ("BankTransfer",)


def _grant(people: People, budget: int = 5 * FEE, **changes: object) -> FeeGrant:
    values = {"grantee": account(1), "per": 0, "period_ms": 0, "expires_ms": people.now + DAY, "messages": NAMES}
    values |= {"budget": budget} | changes
    return FeeGrant(**values)  # type: ignore[arg-type]


def _sponsored(people: People, granter: int = 0, **changes: object) -> str:
    return people.send(BankTransfer(account(2), "uccc", 1), 1, fee_payer=account(granter), **changes)


def _granted(**changes: object) -> People:
    people = People(document=founded())
    assert "ok" == people.send(_grant(people, **changes))  # type: ignore[arg-type]
    return people


def test_sponsor_pays() -> None:
    """The sponsor pays without signing, and the grant shrinks by the fee."""
    people = _granted()
    assert "ok" == _sponsored(people)

    assert (BALANCE - 2 * FEE, BALANCE - 1) == (people.balance(0), people.balance(1))
    (row,) = people.ask("bank_grants", account(1))
    assert (account(0), 4 * FEE, NAMES) == (row.granter, row.grant.left, row.grant.messages)
    assert [] == people.broken()


def test_failure_costs_the_grant() -> None:
    """A transaction that fails costs its fee all the same (BNK-4)."""
    people = _granted()
    assert "bank/ZERO" == people.send(BankTransfer(account(2), "uccc", 0), 1, fee_payer=account(0))

    assert 4 * FEE == people.ask("bank_grants", account(1))[0].grant.left


def test_newcomer_without_money() -> None:
    """Who owns nothing acts at a sponsor's cost."""
    people = People(document=founded())
    address = people.apply(9)
    assert "ok" == people.send(MemSponsor(address))
    assert "ok" == people.send(_grant(people, grantee=address, messages=("MemRotateKeys", "FeeRevoke")))

    assert "bank/NO_GRANT" == people.send(FeeRevoke(account(3)), 9, fee_payer=account(0))
    assert (0, BALANCE - 3 * FEE) == (people.balance(address), people.balance(0))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grantee": account(0)}, "bank/GRANT_SELF"),
        ({"grantee": bytes(20)}, "bank/UNKNOWN_ACCOUNT"),
        ({"budget": 0}, "bank/ZERO"),
        ({"expires_ms": 1}, "bank/EXPIRY"),
        ({"expires_ms": 2**62}, "bank/EXPIRY"),
        ({"per": 5}, "bank/PERIOD"),
        ({"period_ms": 5}, "bank/PERIOD"),
        ({"per": 6 * FEE, "period_ms": DAY}, "bank/PERIOD"),
        ({"messages": ("BankTransfer", "Nothing")}, "bank/UNKNOWN_MESSAGE"),
    ],
)
def test_invalid_grant(changes: dict[str, object], error: str) -> None:
    """A grant has another account, a budget, an end within a year, a whole period or none, and known messages."""
    people = People(document=founded())

    assert error == people.send(_grant(people, **changes))  # type: ignore[arg-type]


def test_one_grant_for_each_pair() -> None:
    """A second grant needs the first to be over or revoked."""
    people = _granted()
    assert "bank/EXISTS" == people.send(_grant(people))
    assert "ok" == people.send(FeeRevoke(account(1)))
    assert "bank/NO_GRANT" == people.send(FeeRevoke(account(1)))
    assert "bank/NO_GRANT" == _sponsored(people)
    assert "ok" == people.send(_grant(people))


def test_expiry() -> None:
    """At its end a grant pays no more, and the queue forgets it."""
    people = _granted()
    end = people.ask("bank_grants", account(1))[0].grant.expires_ms
    raw = people.sign(BankTransfer(account(2), "uccc", 1), by=1, fee_payer=account(0), valid_until_ms=end + 60_000)
    outcome = people.run(raw, time_ms=end)

    assert "bank/GRANT_EXPIRED" == people.name_of(outcome.codes[0])
    assert () == people.ask("bank_grants", account(1))


def test_other_messages() -> None:
    """Every message of the transaction must be on the list."""
    people = _granted()
    transfer = BankTransfer(account(2), "uccc", 1)
    raw = people.sign(transfer, FeeRevoke(account(3)), by=1, fee_payer=account(0))

    assert "bank/GRANT_MESSAGE" == people.name_of(people.run(raw).codes[0])
    assert BALANCE == people.balance(1)


def test_budget_and_period() -> None:
    """A grant pays no more than its budget in all and its bound in each period."""
    people = _granted(budget=3 * FEE, per=2 * FEE, period_ms=60_000)
    spent = "bank/GRANT_SPENT"

    assert ["ok", "ok", spent] == [_sponsored(people) for _ in range(3)]
    people.pass_time(60_000)
    assert ["ok", spent] == [_sponsored(people) for _ in range(2)]
    people.pass_time(60_000)
    assert spent == _sponsored(people)
    assert [] == people.broken()


def test_empty_purse() -> None:
    """A sponsor who owns too little pays nothing at all, and nothing happens."""
    people = _granted()
    people.send(BankTransfer(account(3), "uccc", people.balance(0) - FEE))

    assert TX_INSUFFICIENT_FEE_BALANCE.name == _sponsored(people)
    assert BALANCE == people.balance(1)


def test_signed_payer_needs_no_grant() -> None:
    """A payer who signs pays whatever it is."""
    people = People(document=founded())
    both = [people.demo.accounts[0], people.demo.accounts[1]]

    assert "ok" == _sponsored(people, keys=both)


def _admit(people: People, pool: Mempool, raw: bytes) -> str:
    (verified,) = decode_transactions(people.registry, people.chain, [raw])
    assert not isinstance(verified, Fault)
    refused = pool.admit(verified, wall_ms=people.now, view=people.state, window=people.window)
    return "ok" if refused is None else refused.spec.name


def _raw(people: People, by: int = 1, payer: int | None = 0) -> bytes:
    return people.sign(BankTransfer(account(2), "uccc", 1), by=by, fee_payer=None if payer is None else account(payer))


def test_admission() -> None:
    """The door says the same: grants are checked, and what waits counts against them."""
    people = _granted(budget=2 * FEE)
    pool = Mempool(people.registry)

    assert ["ok", "ok", "bank/GRANT_SPENT"] == [_admit(people, pool, _raw(people)) for _ in range(3)]
    assert "bank/NO_GRANT" == _admit(people, pool, _raw(people, by=2))
    assert "ok" == _admit(people, pool, _raw(people, by=0, payer=None))
    assert 3 == len(pool.take())


def test_grants_do_not_drain_a_purse_twice() -> None:
    """Two accounts at one sponsor's cost are admitted only as far as his purse reaches; his own go on."""
    people = _granted()
    assert "ok" == people.send(_grant(people, grantee=account(2)))
    people.send(BankTransfer(account(3), "uccc", people.balance(0) - 3 * FEE))
    pool = Mempool(people.registry)
    short = TX_INSUFFICIENT_FEE_BALANCE.name

    assert ["ok", "ok", short] == [_admit(people, pool, _raw(people, by=by)) for by in (1, 2, 1)]
    assert ["ok", "ok", short] == [_admit(people, pool, _raw(people, by=0, payer=None)) for _ in range(3)]
    pool.forget([verified.id for verified in pool.take()])
    assert "ok" == _admit(people, pool, _raw(people))


def test_pending_account_is_no_sponsor() -> None:
    """Only an active account pays for others."""
    people = People(document=founded())
    address = people.apply(9)

    assert TX_ACCOUNT_STATUS.name == people.send(BankTransfer(account(2), "uccc", 1), 1, fee_payer=address)
