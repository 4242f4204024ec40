"""The log of events, read by cursor: what executed blocks made known, in order, without gaps.

It is nothing but the receipts that the node keeps anyway, so it survives every restart and `events_proof` proves each
block of it complete.  A cursor names the event that was read last, `height/position/number`, or with `height` alone
the end of a block.  Readers keep their own cursor and ask for what follows it; the node keeps nothing for them, so a
slow one costs nothing and loses nothing.  Who asks for what is no longer kept hears `events/LAGGED`, never silence.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Annotated, Final, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from cccnode.crypto.hashing import ZERO
from cccnode.ledger.receipts import decode_receipt
from cccnode.rpc.values import Json, decimal_text, hex_text, plain
from cccnode.types import errors
from cccnode.types.errors import Fault, fault
from cccnode.types.receipt import Event
from cccnode.types.scalars import AccountId

PAGE_MAX: Final = 1_000
"""Events of one answer."""
PAGE_DEFAULT: Final = 100
PAGE_BLOCKS: Final = 256
"""Blocks looked through for one page; where the filter fits nothing, the next page goes on behind them."""
WAIT_MS_MAX: Final = 60_000
CACHED_EVENTS: Final = 20_000
"""Events of the newest blocks read that stay in memory, about 10 MB, so that all who follow share them."""
AT_ONCE: Final = 64
"""Receipts decoded in one turn of the loop: votes come between (J16)."""

_END: Final = 2**31
"""Behind every receipt of a block."""

CursorText = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,17})(/(0|[1-9][0-9]{0,8})/(0|[1-9][0-9]{0,8}))?$(?!\n)")]


class Log(Protocol):
    """What the log needs of a node; see `Backend`."""

    def applied_height(self) -> int:
        """The last executed block."""

    def receipts_from(self) -> int:
        """The lowest height whose receipts are kept."""

    def receipts(self, height: int) -> Sequence[bytes] | None:
        """Canonical receipts of an executed block, in order.  Raises `storage/PRUNED`."""

    async def wait_applied(self, height: int, timeout_ms: int) -> int:
        """The applied height once it is above `height`, or after the time."""


class Cursor(NamedTuple):
    """A place in the log: everything up to and including it has been read."""

    height: int
    position: int = _END
    """Of the receipt in its block."""
    number: int = 0
    """Of the event in its receipt."""

    def __str__(self) -> str:
        """`height/position/number`, or `height` for the end of a block."""
        return str(self.height) if self.position == _END else f"{self.height}/{self.position}/{self.number}"

    @property
    def next_height(self) -> int:
        """The block in which reading goes on; genesis has no events."""
        return max(1, self.height + 1 if self.position == _END else self.height)

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The cursor of a `CursorText`."""
        return cls(*map(int, text.split("/")))


class EventsFrom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to begin and what to tell: events of a module, of a name, that name an account."""

    after: CursorText | None = None
    module: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    name: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    account: AccountId | None = None

    def fits(self, event: Event) -> bool:
        """Whether an event is asked for."""
        return (
            (self.module is None or event[0] == self.module)
            and (self.name is None or event[1] == self.name)
            and (self.account is None or self.account in event[2:])
        )


class EventsPage(EventsFrom, frozen=True, forbid_unknown_fields=True):
    """A page of them; `wait_ms` waits for the first where none is there yet."""

    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT
    wait_ms: Annotated[int, Meta(ge=0, le=WAIT_MS_MAX)] = 0


@dataclass(slots=True, eq=False)
class Row:
    """One event in its place."""

    cursor: Cursor
    tx_id: bytes
    event: Event
    _json: msgspec.Raw | None = None

    @property
    def json(self) -> msgspec.Raw:
        """Its JSON, made once for all who read it."""
        if self._json is None:
            module, name, *fields = self.event
            shown = {
                "cursor": str(self.cursor),
                "height": decimal_text(self.cursor.height),
                "tx_id": None if self.tx_id == ZERO else hex_text(self.tx_id),
                "module": module,
                "name": name,
                "fields": plain(fields),
            }
            self._json = msgspec.Raw(msgspec.json.encode(shown))
        return self._json


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the log."""

    rows: Sequence[Row]
    next: Cursor
    """Where to go on: what the filter left out is behind it too."""
    head: int
    """The last executed block."""

    def json(self) -> Json:
        """The result of `events_read`."""
        return {"events": [row.json for row in self.rows], "next": str(self.next), "head": decimal_text(self.head)}


class EventLog:
    """The events of one node."""

    def __init__(self, node: Log) -> None:
        """Nothing read yet."""
        self._node = node
        self._cached: OrderedDict[int, list[Row]] = OrderedDict()
        self._events = 0
        self._reading = asyncio.Lock()

    def head(self) -> Cursor:
        """Behind everything that has happened."""
        return Cursor(self._node.applied_height())

    def oldest(self) -> Cursor:
        """Before everything that is kept."""
        return Cursor(max(0, self._node.receipts_from() - 1))

    async def page(self, after: Cursor, wanted: EventsFrom, limit: int = PAGE_MAX) -> Page:
        """What follows a cursor, as far as it has happened.

        Raises:
            Fault: `events/LAGGED`, with the oldest cursor from which nothing is missing.
        """
        rows: list[Row] = []
        head, place = self._node.applied_height(), after
        for height in range(after.next_height, min(head, after.next_height + PAGE_BLOCKS - 1) + 1):
            for row in await self._block(height, after):
                if row.cursor > place and wanted.fits(row.event):
                    rows.append(row)
                    if len(rows) == limit:
                        return Page(rows=rows, next=row.cursor, head=head)
            place = Cursor(height)
        return Page(rows=rows, next=place, head=head)

    async def wait(self, after: Cursor, wanted: EventsFrom, *, limit: int, timeout_ms: int) -> Page:
        """The same, and where nothing fits yet, the first that does; an empty page after the time.

        Raises:
            Fault: `events/LAGGED`.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_ms / 1000
        while True:
            page = await self.page(after, wanted, limit)
            left_ms = int((end - loop.time()) * 1000)
            if page.rows or left_ms <= 0:
                return page
            after = page.next
            if after.next_height > page.head:
                reached = await self._node.wait_applied(after.next_height - 1, left_ms)
                if reached < after.next_height:
                    return page  # the time is over

    async def _block(self, height: int, after: Cursor) -> list[Row]:
        """The events of one block.  One is read at a time, so that reading back takes its turn with everything else."""
        found = self._cached.get(height)
        if found is not None:
            return found
        async with self._reading:
            found = self._cached.get(height)
            if found is None:
                found = await self._read(height, after)
                self._keep(height, found)
            return found

    async def _read(self, height: int, after: Cursor) -> list[Row]:
        try:
            receipts = self._node.receipts(height)
        except Fault as refusal:
            if refusal.spec is not errors.PRUNED:
                raise
            raise fault(errors.EVENTS_LAGGED, after=str(after), oldest=str(self.oldest())) from refusal
        assert receipts is not None, "an executed block has receipts"
        rows: list[Row] = []
        for first in range(0, len(receipts), AT_ONCE):
            for position, raw in enumerate(receipts[first : first + AT_ONCE], first):
                receipt = decode_receipt(raw)
                rows += [
                    Row(Cursor(height, position, number), receipt.tx_id, event)
                    for number, event in enumerate(receipt.events)
                ]
            await asyncio.sleep(0)
        return rows

    def _keep(self, height: int, rows: list[Row]) -> None:
        self._cached[height] = rows
        self._events += len(rows) + 1
        while self._events > CACHED_EVENTS and len(self._cached) > 1:
            _, gone = self._cached.popitem(last=False)
            self._events -= len(gone) + 1


@dataclass(slots=True, eq=False)
class Follower:
    """One reader's place in the log, which moves on."""

    log: EventLog
    wanted: EventsFrom
    at: Cursor = field(init=False)

    def __post_init__(self) -> None:
        """Begin behind the cursor that was given, or with what happens from now on."""
        self.at = self.log.head() if self.wanted.after is None else Cursor.parse(self.wanted.after)

    async def next(self, *, timeout_ms: int, limit: int = PAGE_MAX) -> Page:
        """What fits and comes next; an empty page after the time, as a sign of life.

        Raises:
            Fault: `events/LAGGED`.
        """
        page = await self.log.wait(self.at, self.wanted, limit=limit, timeout_ms=timeout_ms)
        self.at = page.next
        return page


class Context(Protocol):
    """What a call may use; see `Scope`."""

    @property
    def events(self) -> EventLog:
        """The log."""

    @property
    def turn(self) -> Callable[[], AbstractContextManager[None]]:
        """Held while a call waits."""

    @property
    def left_ms(self) -> Callable[[int], int]:
        """How long a call may wait of what it asks for."""


async def read_events(log: EventLog, params: EventsPage, wait_ms: int) -> Json:
    """The result of `events_read`: without a cursor from the oldest event that is kept."""
    after = log.oldest() if params.after is None else Cursor.parse(params.after)
    page = await log.wait(after, params, limit=params.limit, timeout_ms=wait_ms)
    return page.json()


async def events_read(scope: Context, params: EventsPage) -> Json:
    """What follows a cursor."""
    with scope.turn() if params.wait_ms else nullcontext():
        return await read_events(scope.events, params, scope.left_ms(params.wait_ms))


async def events_head(scope: Context, _params: object) -> Json:
    """The cursors behind the newest event and before the oldest."""
    return {"head": str(scope.events.head()), "oldest": str(scope.events.oldest())}
