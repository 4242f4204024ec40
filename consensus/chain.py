"""Blocks known by id, and three marks on the chain they form: executed, delivered, final."""

from collections.abc import Container
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cccnode.types.block import Body, Header, block_id
from cccnode.types.vote import Proposal
from consensus.config import Root
from consensus.effects import Ancestor, FinalizedBlock
from consensus.messages import Justification

RECENT_BLOCKS: Final = 64
"""Executed blocks kept for peers that ask by id; older ones come from the block store, by the driver's sync."""


class Verdict(Enum):
    """What the driver said about a block's body."""

    UNASKED = 0
    ASKED = 1
    READY = 2
    INVALID = 3


@dataclass(slots=True)
class Block:
    """A header with its list of batches."""

    block_id: bytes
    header: Header
    body: Body | None
    """None where only the header was ever needed: the block was executed without passing through here."""
    justification: Justification
    seen_ms: int
    """When this node first had it (monotonic)."""
    verdict: Verdict = Verdict.UNASKED


class Chain:
    """The block tree above the executed block, and a little below."""

    __slots__ = ("blocks", "delivered_height", "delivered_id", "executed_height", "executed_id", "final")

    def __init__(self, root: Root, now_ms: int) -> None:
        """A tree that holds its root only, which is executed, delivered and final."""
        header = root.header
        # A root is never ours to wait for: it counts as seen long ago.
        block = Block(root.block_id, header, None, (), now_ms - (1 << 40), Verdict.READY)
        self.blocks: dict[bytes, Block] = {root.block_id: block}
        self.executed_height = self.delivered_height = header.height
        self.executed_id = self.delivered_id = root.block_id
        self.final = Proposal(root.view, header.parent_view, header.height, root.block_id)

    def get(self, wanted: bytes) -> Block | None:
        """The block of this id, if known."""
        return self.blocks.get(wanted)

    def add(self, block: Block) -> Block:
        """Keep `block`; if it is known already, what is held stays and gains its justification."""
        held = self.blocks.setdefault(block.block_id, block)
        if not held.justification:
            held.justification = block.justification
        return held

    def path(self, tip: bytes, *, above: int) -> tuple[list[Block], bytes | None]:
        """The blocks from height `above` + 1 up to `tip`, oldest first; and the first missing id on the way down."""
        blocks: list[Block] = []
        block = self.blocks.get(tip)
        while block is not None and block.header.height > above:
            blocks.append(block)
            tip = block.header.parent
            block = self.blocks.get(tip)
        # What lies at `above` itself need not be held.
        complete = block is not None or (bool(blocks) and blocks[-1].header.height == above + 1)
        blocks.reverse()
        return blocks, None if complete else tip

    def executed(self, header: Header, now_ms: int) -> None:
        """A block is executed: it is final and delivered too; older ones are dropped."""
        found = self.add(Block(block_id(header), header, None, (), now_ms, Verdict.READY))
        self.executed_height, self.executed_id = header.height, found.block_id
        if header.height > self.delivered_height:
            self.delivered_height, self.delivered_id = header.height, found.block_id
        self._drop([block for block in self.blocks.values() if block.header.height < header.height - RECENT_BLOCKS])

    def forget_orphans(self, *, below_view: int, keep: Container[bytes]) -> None:
        """Drop blocks of old views that were proposed, never certified, and that this node does not answer for."""
        self._drop(
            [
                block
                for block in self.blocks.values()
                if block.header.view < below_view
                and block.header.height > self.final.height
                and block.block_id not in keep
            ]
        )

    def _drop(self, blocks: list[Block]) -> None:
        for block in blocks:
            del self.blocks[block.block_id]


def ancestors(blocks: list[Block]) -> tuple[Ancestor, ...]:
    """A path as the driver sees it."""
    return tuple(Ancestor(block_id=block.block_id, header=block.header, body=block.body or ()) for block in blocks)


def finalized(blocks: list[Block]) -> tuple[FinalizedBlock, ...]:
    """A final path as the driver sees it."""
    return tuple(
        FinalizedBlock(block_id=block.block_id, header=block.header, body=block.body, justification=block.justification)
        for block in blocks
        if block.body is not None
    )
