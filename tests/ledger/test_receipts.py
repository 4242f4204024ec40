"""Receipts: who was decided, and in which word."""

import pytest

from cccnode.city.bank.errors import INSUFFICIENT
from cccnode.ledger.receipts import decided_ids, outcome_of
from cccnode.types.errors import TX_BELOW_THRESHOLD, TX_INSUFFICIENT_FEE_BALANCE, TX_UNKNOWN_ACCOUNT
from tests.support.city import City, key


def test_decided_ids() -> None:
    """The ids of a block's receipts are its decided transactions, without the block's own receipt."""
    city = City()
    outcome = city.run(city.sign(city.transfer()), city.sign(city.transfer(), keys=[key(3)]))

    assert 3 == len(outcome.receipts)
    assert outcome.decided == decided_ids(outcome.receipts)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (0, "ok"),
        (INSUFFICIENT.code, "failed"),
        (TX_INSUFFICIENT_FEE_BALANCE.code, "failed"),
        (TX_UNKNOWN_ACCOUNT.code, "refused"),
        (TX_BELOW_THRESHOLD.code, "refused"),
    ],
)
def test_words(code: int, word: str) -> None:
    """A receipt code is success, failure (fee kept) or refusal (no message ran, nothing charged)."""
    assert word == outcome_of(code)
