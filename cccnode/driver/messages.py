"""What validators say to each other about batches: here is one, who has one, I have these.

Consensus messages are `consensus.messages`, final blocks and forwarded transactions `p2p.messages`.
"""

from typing import Annotated

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.batch import Batch
from cccnode.types.scalars import Hash

IDS_MAX = 1_024
"""Batch ids in one message."""


class BatchPush(Noun, tag=1, frozen=True, array_like=True, gc=False):
    """A new batch, from its creator over the creator's own connection (J8)."""

    batch: Batch


class BatchRequest(Noun, tag=2, frozen=True, array_like=True, gc=False):
    """Ask for batches by id."""

    ids: Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=IDS_MAX)]


class BatchReply(Noun, tag=3, frozen=True, array_like=True, gc=False):
    """One batch that was asked for; a holder sends one message for each."""

    batch: Batch


BatchMessage = BatchPush | BatchRequest | BatchReply
"""The union on the BATCH channel."""


class Have(Noun, frozen=True, array_like=True, gc=False):
    """These batches are verified and durable at the sender (J9)."""

    ids: Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=IDS_MAX)]
