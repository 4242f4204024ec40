"""Numbers and long lists as keys of the state: eight bytes for any number, 256 items a group (D6)."""

from cccnode.types.limits import GROUP_ITEMS_MAX


def wide(number: int) -> bytes:
    """A number of a record as part of a key: 8 bytes, big-endian, so whatever a message may name can be looked up."""
    return number.to_bytes(8, "big")


def place(prefix: bytes, index: int) -> tuple[bytes, bytes]:
    """Group and item of the entry at `index`, from 0, of the list that `prefix` names: <prefix><page in 8 bytes>."""
    page, item = divmod(index, GROUP_ITEMS_MAX)
    return prefix + wide(page), bytes((item,))
