"""How much each creator may have waiting (J8)."""

import pytest

from cccnode.driver.quotas import CUT_BYTES_MAX, OWN, Quotas, adopted_from, renumbered
from cccnode.types.limits import BATCHES_PER_CREATOR_BYTES_MAX


def test_full_above_eight_mebibytes_and_room_again_below_half() -> None:
    """Reading stops above the limit and resumes at half of it, so that it does not flutter."""
    quotas = Quotas()
    quotas.charge(1, BATCHES_PER_CREATOR_BYTES_MAX)
    assert not quotas.is_full(1)
    quotas.charge(1, 1)
    assert quotas.is_full(1)

    quotas.release(1, 1)
    assert not quotas.has_room(1)
    quotas.release(1, BATCHES_PER_CREATOR_BYTES_MAX // 2)
    assert quotas.has_room(1)
    assert not quotas.is_full(2)


def test_what_a_block_needs_is_charged_to_nobody() -> None:
    """The block bounds it."""
    quotas = Quotas()
    quotas.charge(None, 1 << 30)
    quotas.release(None, 1 << 30)

    assert 0 == quotas.used(0)


def test_announced_and_pushed_are_different_accounts() -> None:
    """What was adopted on a validator's word does not eat what it may push, nor this node's own account."""
    accounts = {adopted_from(index) for index in range(128)}

    assert 128 == len(accounts)
    assert all(account < -1 for account in accounts)


def test_more_than_five_percent_refused_cuts_the_quota() -> None:
    """Judged over the last thousand transactions, not before, and it heals."""
    quotas = Quotas()
    quotas.judge(1, decided=500, refused=500)
    assert not quotas.is_cut(1), "too few to judge"

    quotas.judge(1, decided=500, refused=0)
    assert quotas.is_cut(1)
    assert CUT_BYTES_MAX == quotas.limit(1)
    assert BATCHES_PER_CREATOR_BYTES_MAX == quotas.limit(2)

    quotas.judge(1, decided=500, refused=25)
    assert not quotas.is_cut(1), "the bad ones are out of the last thousand"


def test_exactly_five_percent_is_tolerated() -> None:
    """The rule says more than 5 %."""
    quotas = Quotas()
    for _ in range(10):
        quotas.judge(3, decided=100, refused=5)
    assert not quotas.is_cut(3)
    quotas.judge(3, decided=100, refused=6)
    assert quotas.is_cut(3)


@pytest.mark.parametrize(
    ("creator", "after"),
    [
        (0, 3),
        (1, None),
        (2, OWN),
        (7, None),
        (adopted_from(0), adopted_from(3)),
        (adopted_from(1), None),
        (OWN, OWN),
        (None, None),
    ],
)
def test_accounts_have_new_numbers(creator: int | None, after: int | None) -> None:
    """Both accounts of a validator follow its number; those of one that left end; one that left may be this node."""
    assert after == renumbered(creator, {0: 3, 2: OWN})
