"""Keys made of numbers: any number that a message may name has one, and they sort as the numbers do."""

from cccnode.ledger.pages import place, wide
from cccnode.types.limits import GROUP_ITEMS_MAX


def test_place() -> None:
    """256 items a page; the largest number that there is has a place too."""
    assert (b"x" + bytes(8), b"\x00") == place(b"x", 0)
    assert (b"x" + bytes(7) + b"\x01", b"\x00") == place(b"x", GROUP_ITEMS_MAX)
    assert (b"x" + wide((2**63 - 1) // GROUP_ITEMS_MAX), b"\xff") == place(b"x", 2**63 - 1)


def test_wide() -> None:
    """Eight bytes, in the order of the numbers."""
    numbers = (0, 1, 255, 256, 2**40, 2**63 - 1)
    assert [wide(number) for number in numbers] == sorted(wide(number) for number in numbers)
