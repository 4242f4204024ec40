"""Policies: how they are written, and what they give away."""

import pytest

from cccnode.types.errors import CONFIG_INVALID, Fault
from cccnode.types.retention import ALL, Keep, Retention

SECOND = 1_000


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("all", ALL),
        ("30d", Keep(milliseconds=30 * 86_400 * SECOND)),
        ("12h", Keep(milliseconds=12 * 3_600 * SECOND)),
        ("10m", Keep(milliseconds=600 * SECOND)),
        ("90s", Keep(milliseconds=90 * SECOND)),
        ("5000 blocks", Keep(blocks=5_000)),
    ],
)
def test_texts(text, keep):
    """Everything, an age in four units, or a number of blocks."""
    assert Keep.parse(text) == keep


@pytest.mark.parametrize("text", ["", "0d", "-1d", "30", "30 d", "1w", "ALL", "5 block", "12345678901d", "30d\n"])
def test_invalid_texts(text):
    """Anything else is refused by name, and says how it must read."""
    with pytest.raises(Fault) as refusal:
        Keep.parse(text)
    assert refusal.value.spec is CONFIG_INVALID


def test_what_a_policy_gives_away():
    """An age counts from the newest block; so many blocks stay; everything is never given away."""
    assert [Keep(milliseconds=10).drops(blocks=9_999, age_ms=age) for age in (9, 10, 11)] == [False, True, True]
    assert [Keep(blocks=10).drops(blocks=count, age_ms=10**12) for count in (9, 10, 11)] == [False, True, True]
    assert not ALL.drops(blocks=10**12, age_ms=10**15)
    assert Retention().everything
    assert not Retention(index=Keep(blocks=1)).everything
