"""How much each creator of batches may have waiting here, and how that shrinks when it sends refuse (J8).

Creators are numbers: a validator's index for what it pushed, `OWN` for a node that does not validate, `adopted_from`
for what was fetched on a validator's word that a batch exists.  Local to this node; nothing here affects agreement.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cccnode.types.limits import BATCHES_PER_CREATOR_BYTES_MAX

OWN: Final = -1
"""Stands for this node as a creator where it is not a validator."""
JUDGED_TXS: Final = 1_000
"""A creator is judged by its newest decided transactions, this many or one batch more."""
REFUSED_PARTS: Final = 20
"""More than one in so many refused, and the creator does not check what it admits."""
CUT_BYTES_MAX: Final = BATCHES_PER_CREATOR_BYTES_MAX // 8
"""What such a creator may have waiting until it does better."""


def adopted_from(validator: int) -> int:
    """The account of batches fetched because that validator announced them."""
    return -2 - validator


def renumbered(creator: int | None, moved: Mapping[int, int]) -> int | None:
    """The same account when validators have new numbers (old -> new); None when its validator is none any more."""
    if creator is None or creator == OWN:
        return creator
    validator = moved.get(creator if creator >= 0 else -2 - creator)
    if validator is None:
        return None
    return validator if creator >= 0 else adopted_from(validator)


@dataclass(slots=True)
class _Standing:
    """What became of a creator's newest transactions."""

    batches: deque[tuple[int, int]] = field(default_factory=deque)
    """Decided and refused ones of each batch, oldest first."""
    decided: int = 0
    refused: int = 0


class Quotas:
    """Bytes by creator that are neither final nor expired."""

    def __init__(self) -> None:
        """Nobody has anything waiting."""
        self._bytes: Counter[int] = Counter()
        self._standing: dict[int, _Standing] = {}

    def charge(self, creator: int | None, size: int) -> None:
        """A batch came in; None for one that nobody is charged for, because a block needs it."""
        if creator is not None:
            self._bytes[creator] += size

    def release(self, creator: int | None, size: int) -> None:
        """A batch is final, expired or refused."""
        if creator is not None:
            self._bytes[creator] -= size
            assert self._bytes[creator] >= 0, "released what was charged"

    def used(self, creator: int) -> int:
        """Bytes waiting."""
        return self._bytes[creator]

    def limit(self, creator: int) -> int:
        """Bytes that may wait."""
        return CUT_BYTES_MAX if self.is_cut(creator) else BATCHES_PER_CREATOR_BYTES_MAX

    def is_full(self, creator: int) -> bool:
        """Whether nothing more is taken from this creator for now."""
        return self._bytes[creator] > self.limit(creator)

    def has_room(self, creator: int) -> bool:
        """Whether a creator that was full may send again."""
        return self._bytes[creator] <= self.limit(creator) // 2

    def judge(self, creator: int, *, decided: int, refused: int) -> None:
        """A batch of this creator was executed: so many transactions decided, so many of them refused."""
        standing = self._standing.setdefault(creator, _Standing())
        standing.batches.append((decided, refused))
        standing.decided += decided
        standing.refused += refused
        while standing.decided - standing.batches[0][0] >= JUDGED_TXS:
            oldest = standing.batches.popleft()
            standing.decided -= oldest[0]
            standing.refused -= oldest[1]

    def is_cut(self, creator: int) -> bool:
        """Whether more than 5 % of its last thousand transactions were refused."""
        standing = self._standing.get(creator)
        if standing is None or standing.decided < JUDGED_TXS:
            return False
        return standing.refused * REFUSED_PARTS > standing.decided
