"""What a store remembers of what it no longer keeps."""

from typing import Final

from cccnode.codec import Noun
from cccnode.types.scalars import Height

EARLIEST: Final = "earliest"
"""Name under which the store keeps the mark."""


class Earliest(Noun, frozen=True, array_like=True, gc=False):
    """The lowest heights that are kept; durable before anything below is deleted, so that a start can finish it."""

    blocks: Height = 0
    receipts: Height = 0
    headers: Height = 0
    """Rows by height: headers, results, ids."""
    swept: Height = 0
    """Of the rows below `headers`, those below this height are deleted already."""
