"""Follows a node: what is old in parallel ranges, what is new block by block, for ever or up to a height."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from cccnode.client import Client, ClientError
from cccnode.export.database import Database, Range, complete_until
from cccnode.export.rows import Rows
from cccnode.types.errors import (
    BAD_ANSWER,
    EXPORT_AWAY,
    EXPORT_GAP,
    EXPORT_OTHER_CHAIN,
    EXPORT_TAKEN,
    PRUNED,
    Fault,
    fault,
)

T = TypeVar("T")

ROWS_MAX: Final = 20_000
"""Rows of one transaction, give or take a block: a few megabytes."""
BLOCKS_MAX: Final = 256
"""Blocks of one transaction."""
PART_BLOCKS: Final = 16
"""A range that is filled at the same time as others has at least so many."""
LANES_MAX: Final = 32
POLL_S: Final = 0.2
"""Between two questions for the tip, when there is nothing to write."""
SURPRISES_MAX: Final = 8
"""Cursors that may stand elsewhere than they were read; more, and another exporter is at work."""
AGAIN_S: Final = 1.0
"""Before a node or a database that does not answer is asked again."""


@dataclass(slots=True)
class Done:
    """What an exporter has done since it began."""

    rows: int = 0
    blocks: int = 0
    tip: int = 0
    """The node's height when it was last asked."""
    height: int = 0
    """The highest block written behind the tip."""
    gaps: list[Range] = field(default_factory=list)
    """Heights that the node does not have any more."""


class Exporter:
    """One run of an export."""

    def __init__(
        self,
        *,
        client: Client,
        database: Database,
        chain: str,
        lanes: int = 4,
        first: int = 1,
        until: int | None = None,
        waiting: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Read with `client`; `first` counts where nothing was exported yet; `waiting` hears why nothing goes on."""
        self._client, self._database, self._chain, self._lanes = client, database, chain, lanes
        self._first, self._until, self._waiting = first, until, waiting
        self.done = Done()
        self._surprises = 0
        self._stuck = False
        """Whether `waiting` has heard of what holds this up."""

    async def run(self) -> None:
        """Export until it is stopped, or up to `until`.

        Raises:
            Fault: of the database, export/GAP at the end, or client/BAD_ANSWER.
            ClientError: the node refuses.
        """
        *ended, following = await self._plan()
        waiting = [row for row in ended if row.last is not None and row.next <= row.last]
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._lanes, len(waiting))):
                group.create_task(self._lane(waiting))
            group.create_task(self._follow(following))
        if self.done.gaps:
            raise fault(EXPORT_GAP, missing=[f"{gap.next}-{gap.last}" for gap in self.done.gaps])

    async def _plan(self) -> Sequence[Range]:
        """The ranges, the open one last; where that lags far behind, it is divided."""
        while True:
            try:
                await self._database.merge()
                ranges = await self._database.ranges()
                if not ranges:
                    await self._database.follow_from(self._first)
                    ranges = await self._database.ranges()
                if parts := divided(ranges[-1].next, await self._tip(), self._lanes):
                    await self._database.split(ranges[-1], parts)
                    ranges = await self._database.ranges()
            except Fault as taken:
                self._surprised(taken)
            else:
                return ranges

    async def _tip(self) -> int:
        """The height up to which there is work.

        Raises:
            Fault: export/OTHER_CHAIN: another network answers at the node's address now.
        """
        status = await self._patient(self._client.status)
        if status["chain"] != self._chain:
            raise fault(EXPORT_OTHER_CHAIN, found=self._chain, expected=str(status["chain"]))
        self.done.tip = int(status["height"])
        return self.done.tip if self._until is None else min(self.done.tip, self._until)

    async def _lane(self, waiting: list[Range]) -> None:
        """Fill one range after the other."""
        while waiting:
            row: Range | None = waiting.pop(0)
            while row is not None and row.last is not None and row.next <= row.last:
                row = await self._step(row, row.last)

    async def _follow(self, row: Range) -> None:
        """Write what comes."""
        while self._until is None or row.next <= self._until:
            tip = await self._tip()
            if row.next <= tip:
                after = await self._step(row, tip)
                assert after is not None, "a range without end has heights left"
                row, self.done.height = after, after.next - 1
            else:
                await asyncio.sleep(POLL_S)

    async def _step(self, row: Range, last: int) -> Range | None:
        """Some blocks from the cursor on, in one transaction; None where the node has no more of this range."""
        rows = Rows()
        try:
            while rows.count < ROWS_MAX and rows.blocks < BLOCKS_MAX and row.next + rows.blocks <= last:
                await self._read(row.next + rows.blocks, rows)
        except ClientError as error:
            # What was read before is written first.
            if not rows.blocks:
                return await self._leave_out(row, error)
        return await self._write(row, rows)

    async def _read(self, height: int, rows: Rows) -> None:
        """The rows of one more block."""
        block = await self._patient(partial(self._client.call, "chain_block", height=str(height)))
        try:
            rows.add(block, height)
        except (KeyError, TypeError, ValueError, Fault) as error:
            raise fault(BAD_ANSWER, url=self._client.url, height=height, why=str(error)) from error

    async def _leave_out(self, row: Range, refusal: ClientError) -> Range | None:
        """Go on with what a node that prunes still has."""
        earliest = str(refusal.details.get("earliest", ""))
        if refusal.name != PRUNED.name or not earliest.isdecimal() or int(earliest) <= row.next:
            raise refusal
        after = await self._database.leave_out(row, int(earliest))
        gap = Range(first=row.first, next=row.next, last=row.last if after is None else int(earliest) - 1)
        self.done.gaps.append(gap)
        self._waiting(fault(EXPORT_GAP, first=gap.next, last=gap.last, earliest=int(earliest), url=self._client.url))
        return after

    async def _write(self, row: Range, rows: Rows) -> Range:
        """Write them, however often the database goes away meanwhile."""
        while True:
            try:
                after = await self._database.write(row, rows)
            except Fault as error:
                now = await self._after(row, error)
                if now.next != row.next:
                    return now
            else:
                self._stuck = False
                self.done.rows += rows.count
                self.done.blocks += rows.blocks
                return after

    async def _after(self, row: Range, error: Fault) -> Range:
        """The range as it stands in the database after a write that failed, or of which no answer came."""
        if error.spec is EXPORT_AWAY:
            await self._pause(error)
        else:
            self._surprised(error)
        for known in await self._ranges():
            if (known.first, known.last) == (row.first, row.last):
                return known
        raise error

    async def _ranges(self) -> list[Range]:
        while True:
            try:
                return await self._database.ranges()
            except Fault as error:
                if error.spec is not EXPORT_AWAY:
                    raise
                await self._pause(error)

    def _surprised(self, error: Fault) -> None:
        """The last words of one that was killed: what a server still had from it was committed meanwhile.

        Raises:
            Fault: the error, if it is another one, or comes too often.
        """
        if error.spec is not EXPORT_TAKEN or self._surprises == SURPRISES_MAX:
            raise error
        self._surprises += 1

    async def _patient(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again for as long as the node does not answer: it may be starting, busy, or being replaced."""
        while True:
            try:
                answer = await ask()
            except ClientError as error:
                if not error.retryable:
                    raise
                await self._pause(error)
            else:
                return answer

    async def _pause(self, error: Exception) -> None:
        """Say once why nothing goes on."""
        if not self._stuck:
            self._waiting(error)
        self._stuck = True
        await asyncio.sleep(AGAIN_S)


def divided(first: int, last: int, lanes: int) -> list[tuple[int, int]]:
    """Ranges of about the same length for so many lanes; none where that is not worth it."""
    blocks = last - first + 1
    parts = min(lanes, blocks // PART_BLOCKS)
    if parts < 2:
        return []
    edges = [first + blocks * number // parts for number in range(parts + 1)]
    return [(begin, end - 1) for begin, end in itertools.pairwise(edges)]


async def lag(database: Database, tip: int) -> int:
    """Blocks that a reader of the tables does not see yet."""
    return max(0, tip - complete_until(await database.ranges()))
