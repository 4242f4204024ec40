"""What a block does: authority, fee, messages; slices; determinism."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec
import pytest

from cccnode.city import CITY
from cccnode.city.bank import BankTransfer, fees
from cccnode.city.bank.errors import INSUFFICIENT, NO_GRANT
from cccnode.codec import Malformed
from cccnode.crypto import merkle
from cccnode.crypto.hashing import ZERO
from cccnode.ledger.module import FLAWS_MAX, Context
from cccnode.ledger.transition import Execution, apply_block
from cccnode.types.errors import (
    RULE_FAILED,
    STATE_CORRUPT,
    TX_FEE_TOO_LOW,
    TX_INSUFFICIENT_FEE_BALANCE,
    TX_KEY_WITHOUT_WEIGHT,
    TX_UNKNOWN_ACCOUNT,
    ErrorSpec,
    fault,
)
from cccnode.types.receipt import OK
from cccnode.types.transaction import account_id
from tests.support.city import BALANCE, FEE, City, key, receipts


def test_transfer() -> None:
    """Money moves, the fee goes to the treasury, and the receipts say so."""
    city = City()
    raw = city.sign(city.transfer(1, amount=5))
    outcome = city.run(raw)
    done, block = receipts(outcome)

    assert (BALANCE - 5 - FEE, BALANCE + 5) == (city.balance(0), city.balance(1))
    assert (0, FEE) == (city.balance(fees.FEES), city.balance(fees.TREASURY))
    assert (city.verified(raw).id, 0, FEE) == (done.tx_id, done.code, done.fee_paid)
    assert (("bank", "transfer", "uccc", city.account(0), city.account(1), 5),) == done.events
    assert (ZERO, (("bank", "fees", "uccc", fees.TREASURY, FEE),)) == (block.tx_id, block.events)
    assert merkle.root(outcome.receipts) == outcome.receipts_root


def test_empty_block() -> None:
    """A block without transactions changes nothing and has no receipt."""
    outcome = City().run()

    assert ({}, (), merkle.EMPTY_ROOT, 0) == (outcome.writes, outcome.receipts, outcome.receipts_root, outcome.fees)


def _broken(raised: Exception) -> Callable[[Context, BankTransfer], None]:
    """A rule with a mistake in its middle, for transfers of 7."""
    right = CITY.handlers[BankTransfer]

    def rule(context: Context, message: BankTransfer) -> None:
        right(context, message)
        if message.amount == 7:
            raise raised

    return rule


@pytest.mark.usefixtures("forgiving")
@pytest.mark.parametrize(
    "mistake",
    [
        OverflowError(),
        KeyError("x"),
        AssertionError("never"),
        UnicodeEncodeError("x", "", 0, 1, ""),
        msgspec.ValidationError("what a rule wrote beyond its own bounds"),
        Malformed("likewise"),
    ],
)
def test_a_mistake_in_a_rule_fails_its_transaction_alone(monkeypatch: pytest.MonkeyPatch, mistake: Exception) -> None:
    """It pays its fee and changes nothing else; the rest of the block is executed, and the log has the mistake."""
    monkeypatch.setitem(cast("dict[type, object]", CITY.handlers), BankTransfer, _broken(mistake))
    city = City()
    raws = [city.sign(city.transfer(1, amount=amount)) for amount in (5, 7, 9)]
    outcome = city.run(*raws)
    assert (OK, RULE_FAILED.code, OK) == outcome.codes
    assert (BALANCE - 14 - 3 * FEE, BALANCE + 14) == (city.balance(0), city.balance(1))
    assert [row.events for row in receipts(outcome)][1] == ()
    assert outcome.flaws == (mistake,)


@pytest.mark.usefixtures("forgiving")
def test_few_mistakes_of_a_block_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fails, and the log has some of them."""
    monkeypatch.setitem(cast("dict[type, object]", CITY.handlers), BankTransfer, _broken(KeyError()))
    city = City()
    outcome = city.run(*(city.sign(city.transfer(1, amount=7)) for _ in range(FLAWS_MAX + 2)))
    assert set(outcome.codes) == {RULE_FAILED.code}
    assert len(outcome.flaws) == FLAWS_MAX


@pytest.mark.usefixtures("forgiving")
@pytest.mark.parametrize(
    "broken",
    [
        OSError("the disk"),
        MemoryError(),
        RecursionError(),
        fault(STATE_CORRUPT),
    ],
)
def test_what_one_machine_lacks_is_no_mistake(monkeypatch: pytest.MonkeyPatch, broken: Exception) -> None:
    """It would be another outcome than on other nodes: this one ends instead."""
    monkeypatch.setitem(cast("dict[type, object]", CITY.handlers), BankTransfer, _broken(broken))
    city = City()
    with pytest.raises(type(broken)):
        city.run(city.sign(city.transfer(1, amount=7)))


def _unknown(city: City) -> bytes:
    return city.sign(city.transfer(), by=account_id(b"x" * 32), keys=[city.demo.accounts[0]])


def _stranger(city: City) -> bytes:
    return city.sign(city.transfer(), keys=[key(5)])


def _payer_did_not_sign(city: City) -> bytes:
    return city.sign(city.transfer(), fee_payer=city.account(1))


def _unknown_payer(city: City) -> bytes:
    return city.sign(city.transfer(), fee_payer=account_id(b"y" * 32))


def _low_fee(city: City) -> bytes:
    return city.sign(city.transfer(), fee_max=FEE - 1)


@pytest.mark.parametrize(
    ("make", "spec"),
    [
        (_unknown, TX_UNKNOWN_ACCOUNT),
        (_stranger, TX_KEY_WITHOUT_WEIGHT),
        (_payer_did_not_sign, NO_GRANT),
        (_unknown_payer, TX_UNKNOWN_ACCOUNT),
        (_low_fee, TX_FEE_TOO_LOW),
    ],
)
def test_invalid_authority(make: object, spec: ErrorSpec) -> None:
    """Authority failure: a receipt with the refusal's code, no fee, no effect (J4)."""
    city = City()
    assert callable(make)
    outcome = city.run(make(city))

    assert [(spec.code, 0, ())] == [(r.code, r.fee_paid, r.events) for r in receipts(outcome)]
    assert {} == outcome.writes


def test_message_failure_keeps_the_fee() -> None:
    """A message that fails drops every effect of its transaction, but not the fee (J4)."""
    city = City()
    outcome = city.run(city.sign(city.transfer(1, amount=5), city.transfer(2, amount=BALANCE)))
    failed = receipts(outcome)[0]

    assert (INSUFFICIENT.code, FEE, ()) == (failed.code, failed.fee_paid, failed.events)
    assert [BALANCE - FEE, BALANCE, BALANCE] == [city.balance(n) for n in range(3)]


@pytest.mark.parametrize("left", [0, 1, FEE - 1])
def test_fee_that_cannot_be_paid(left: int) -> None:
    """Who cannot pay the whole fee pays what he has; no message runs (J4)."""
    city = City()
    city.run(city.sign(city.transfer(1, amount=BALANCE - FEE - left)))
    assert left == city.balance(0)
    outcome = city.run(city.sign(city.transfer(1, amount=0)))
    receipt = receipts(outcome)[0]

    assert (TX_INSUFFICIENT_FEE_BALANCE.code, left) == (receipt.code, receipt.fee_paid)
    assert (0, left) == (city.balance(0), outcome.fees)


def test_fee_payer() -> None:
    """Another account pays when it signs too."""
    city = City()
    both = [city.demo.accounts[0], city.demo.accounts[1]]
    outcome = city.run(city.sign(city.transfer(2, amount=5), keys=both, fee_payer=city.account(1)))

    assert (0,) == outcome.codes
    assert [BALANCE - 5, BALANCE - FEE, BALANCE + 5] == [city.balance(n) for n in range(3)]


def test_several_messages() -> None:
    """All messages of a transaction happen, in order, under one fee and one receipt."""
    city = City()
    outcome = city.run(city.sign(*(city.transfer(1, amount=n) for n in range(1, 17))))

    assert 16 == len(receipts(outcome)[0].events)
    assert BALANCE - FEE - 136 == city.balance(0)


@pytest.mark.parametrize("units", [1, 2, 3, 7, 1_000])
def test_slices_do_not_matter(units: int) -> None:
    """Executed in slices of any size, a block has the same outcome as in one go (J16)."""
    city = City()
    raws = [city.sign(city.transfer((n + 1) % 4, amount=n), by=n % 4) for n in range(25)]
    header, transactions = city.next_header(), [city.verified(raw) for raw in raws]
    execution = Execution(city.registry, city.state, city.window, header, transactions)
    while execution.step(units):
        pass

    assert apply_block(city.registry, city.state, city.window, header, transactions) == execution.finish()


def test_execution_is_pure() -> None:
    """Executing changes neither state nor window: begun twice or given up, it leaves no trace."""
    city = City()
    raw = city.sign(city.transfer())
    groups, ids = {g: dict(i) for g, i in city.state.groups.items()}, list(city.window.ids)
    args = (city.registry, city.state, city.window, city.next_header(), [city.verified(raw)])
    abandoned = Execution(*args)
    abandoned.step(1)

    assert apply_block(*args) == apply_block(*args)
    assert (groups, ids) == (city.state.groups, list(city.window.ids))


_PROGRAM = """
from tests.support.city import City
city = City()
outcome = city.run(*(city.sign(city.transfer((n + 1) % 4, amount=n), by=n % 4) for n in range(9)))
print(outcome.receipts_root.hex(), hash(b"x") and [(g.hex(), sorted(i)) for g, i in outcome.writes.items()])
"""


def test_same_in_every_process() -> None:
    """Receipts and writes, order included, do not depend on the process's hash seed."""
    root = Path(__file__).parents[2]
    runs = [
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            cwd=root,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert runs[0] == runs[1]
