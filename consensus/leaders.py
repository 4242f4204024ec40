"""Who leads which view: a fixed order per epoch that nobody could choose (consensus.md 3.8)."""

from collections.abc import Sequence
from typing import Final

from cccnode.crypto.hashing import LEADER, tagged
from cccnode.types.validators import faults

BROADCAST_VALIDATORS_MAX: Final = 16
"""Up to this many validators everybody hands a new certificate to everybody (R10); above, only relayers do."""


def leader_order(boundary_id: bytes, keys: Sequence[bytes]) -> tuple[int, ...]:
    """Validator indices sorted by SHA-256(tag || boundary block id || key)."""
    return tuple(sorted(range(len(keys)), key=lambda index: tagged(LEADER, boundary_id, keys[index])))


class Leaders:
    """The order of one epoch: leader(v) = order[v mod n]."""

    __slots__ = ("_count", "_order")

    def __init__(self, boundary_id: bytes, keys: Sequence[bytes]) -> None:
        """The order that `boundary_id` gives to `keys`."""
        self._order = leader_order(boundary_id, keys)
        self._count = len(keys)

    def of(self, view: int) -> int:
        """The validator that leads `view`."""
        return self._order[view % self._count]

    def relays(self, validator: int, view: int) -> bool:
        """Whether `validator` is one of the f + 1 that hand the certificate of `view` to the next leader (R10)."""
        return (validator - view) % self._count <= faults(self._count)
