"""Reporting a validator.  Tags 0x04nn; a number is never used again."""

from typing import Final

from cccnode.codec import Noun
from cccnode.types.scalars import Epoch
from cccnode.types.vote import Vote

NUMBER: Final = 4


class EvidenceReport(Noun, tag=0x0401, frozen=True, array_like=True, gc=False):
    """Show two votes of one validator that contradict each other."""

    epoch: Epoch
    """In which both were cast."""
    first: Vote
    second: Vote
