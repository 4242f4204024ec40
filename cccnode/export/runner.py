"""Follows a node: what is old in parallel ranges, what is new block by block, for ever or up to a height."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from cccnode.client import Client, ClientError
from cccnode.export.database import Database, Range, complete_until
from cccnode.export.rows import Rows
from cccnode.types.errors import BAD_ANSWER, EXPORT_TAKEN, UNREACHABLE, Fault, fault

T = TypeVar("T")

ROWS_MAX: Final = 20_000
"""Rows of one transaction, give or take a block: a few megabytes."""
BLOCKS_MAX: Final = 256
"""Blocks of one transaction."""
PART_BLOCKS: Final = 128
"""A range that is filled at the same time as others has at least so many."""
LANES_MAX: Final = 32
POLL_S: Final = 0.2
"""Between two questions for the tip, when there is nothing to write."""
SURPRISES_MAX: Final = 8
"""Cursors that may stand elsewhere than they were read; more, and another exporter is at work."""
AGAIN_S: Final = 1.0
"""Before a node that does not answer is asked again."""


@dataclass(slots=True)
class Done:
    """What an exporter has done since it began."""

    rows: int = 0
    blocks: int = 0
    tip: int = 0
    """The node's height when it was last asked."""
    height: int = 0
    """The highest block written behind the tip."""


class Exporter:
    """One run of an export."""

    def __init__(
        self,
        *,
        client: Client,
        database: Database,
        lanes: int = 4,
        first: int = 1,
        until: int | None = None,
        waiting: Callable[[ClientError], None] = lambda _: None,
    ) -> None:
        """Read with `client`; `first` counts where nothing was exported yet; `waiting` hears why nothing goes on."""
        self._client, self._database, self._lanes = client, database, lanes
        self._first, self._until, self._waiting = first, until, waiting
        self.done = Done()
        self._surprises = 0

    async def run(self) -> None:
        """Export until it is stopped, or up to `until`.

        Raises:
            Fault: of the database, or client/BAD_ANSWER.
            ClientError: the node refuses, such as storage/PRUNED.
        """
        *ended, following = await self._plan()
        waiting = [row for row in ended if row.last is not None and row.next <= row.last]
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._lanes, len(waiting))):
                group.create_task(self._lane(waiting))
            group.create_task(self._follow(following))

    async def _plan(self) -> Sequence[Range]:
        """The ranges, the open one last; where that lags far behind, it is divided."""
        ranges = await self._database.ranges()
        if not ranges:
            await self._database.follow_from(self._first)
            ranges = await self._database.ranges()
        tip = await self._tip()
        following = ranges[-1]
        parts = divided(following.next, tip, self._lanes)
        if parts:
            await self._database.split(following, parts)
            ranges = await self._database.ranges()
        return ranges

    async def _tip(self) -> int:
        self.done.tip = int((await self._patient(self._client.status))["height"])
        return self.done.tip if self._until is None else min(self.done.tip, self._until)

    async def _lane(self, waiting: list[Range]) -> None:
        """Fill one range after the other."""
        while waiting:
            row = waiting.pop(0)
            while row.last is not None and row.next <= row.last:
                row = await self._write(row, row.last)

    async def _follow(self, row: Range) -> None:
        """Write what comes."""
        while self._until is None or row.next <= self._until:
            tip = await self._tip()
            if row.next <= tip:
                row = await self._write(row, tip)
                self.done.height = row.next - 1
            else:
                await asyncio.sleep(POLL_S)

    async def _write(self, row: Range, last: int) -> Range:
        """Some blocks from the cursor on, in one transaction."""
        rows = Rows()
        while rows.count < ROWS_MAX and rows.blocks < BLOCKS_MAX and row.next + rows.blocks <= last:
            height = row.next + rows.blocks
            block = await self._patient(partial(self._client.call, "chain_block", height=str(height)))
            try:
                rows.add(block)
            except (KeyError, TypeError, ValueError, Fault) as error:
                raise fault(BAD_ANSWER, url=self._client.url, height=height, why=str(error)) from error
        try:
            after = await self._database.write(row, rows)
        except Fault as taken:
            if taken.spec is not EXPORT_TAKEN or self._surprises == SURPRISES_MAX:
                raise
            # The last words of one that was killed: what a server still had from it was committed meanwhile.
            self._surprises += 1
            now = [known for known in await self._database.ranges() if known.first == row.first]
            if not now or now[0].last != row.last:
                raise
            return now[0]
        self.done.rows += rows.count
        self.done.blocks += rows.blocks
        return after

    async def _patient(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again for as long as the node does not answer: it may be starting, or being replaced."""
        while True:
            try:
                return await ask()
            except ClientError as error:
                if error.name != UNREACHABLE.name:
                    raise
                self._waiting(error)
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
