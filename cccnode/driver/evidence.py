"""Contradicting votes of one validator, kept until somebody reports them to the ledger (consensus.md 3.13, J15)."""

from collections.abc import Callable, Iterator
from typing import Final

from cccnode.codec import decode_trusted, encode
from cccnode.types.vote import Contradiction, Vote

EVIDENCE: Final = "evidence"
"""Name under which the store remembers it."""
EVIDENCE_MAX: Final = 64
"""Pairs that are kept, the newest: one accuses a validator as well as many."""


class Evidence:
    """What this node has met, oldest first; one pair for each case."""

    def __init__(self, stored: bytes | None, keep: Callable[[bytes], None]) -> None:
        """`stored` is what `keep` was given last, before the restart."""
        found = decode_trusted(tuple[Contradiction, ...], stored) if stored is not None else ()
        self._found = {contradiction.case: contradiction for contradiction in found}
        self._keep = keep

    def add(self, epoch: int, first: Vote, second: Vote) -> None:
        """Remember a pair."""
        contradiction = Contradiction(epoch, first, second)
        if contradiction.case in self._found:
            return
        self._found[contradiction.case] = contradiction
        if len(self._found) > EVIDENCE_MAX:
            del self._found[next(iter(self._found))]
        self._keep(encode(self.all()))

    def __iter__(self) -> Iterator[tuple[int, Vote, Vote]]:
        """Epoch and both votes of each pair."""
        return ((found.epoch, found.first, found.second) for found in self._found.values())

    def all(self) -> tuple[Contradiction, ...]:
        """Every pair."""
        return tuple(self._found.values())
