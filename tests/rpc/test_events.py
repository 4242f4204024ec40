"""The log of events: cursors, filters, pages, waiting, and what is no longer kept."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.config import RpcSection
from cccnode.rpc import envelopes, events
from cccnode.rpc.dispatch import Dispatcher
from cccnode.rpc.events import Cursor, EventLog, EventsFrom, EventsPage, Follower, read_events
from cccnode.rpc.values import ValueFault, reader
from cccnode.types import errors
from cccnode.types.errors import Fault
from tests.support.fake_node import ACCOUNT, OTHER, FakeNode, status

PAID = ("bank", "transfer", "uccc", ACCOUNT, OTHER, 5)
BACK = ("bank", "transfer", "uccc", OTHER, OTHER, 7)
ADDED = ("registry", "node_added", "org1", bytes(32))
ALL = EventsFrom()


def _node(blocks: int = 3) -> FakeNode:
    node = FakeNode(status_now=status(height=0))
    for _ in range(blocks):
        node.tell(PAID, BACK, ADDED)
    return node


async def _all(log: EventLog, wanted: EventsFrom = ALL, *, limit: int = 100, after: str = "0") -> list[str]:
    """Every cursor that fits, page by page."""
    found, place = [], Cursor.parse(after)
    while True:
        page = await log.page(place, wanted, limit)
        found += [str(row.cursor) for row in page.rows]
        if page.next == place:
            return found
        place = page.next


async def test_order() -> None:
    """Events come by height, transaction and number, each once, whatever the size of a page."""
    log = EventLog(_node())
    whole = [f"{height}/{position}/0" for height in (1, 2, 3) for position in range(3)]
    for limit in (1, 2, 3, 4, 9, 100):
        assert await _all(log, limit=limit) == whole


@pytest.mark.parametrize("cursor", ["0", "2", "1/0/0", "12/3/4"])
def test_cursor_text(cursor: str) -> None:
    """A cursor is read as it is written."""
    assert str(Cursor.parse(cursor)) == cursor


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 9)), min_size=2, max_size=2))
def test_cursor_order(places: list[tuple[int, int, int]]) -> None:
    """Cursors compare as places in the log; the end of a block lies behind all of it."""
    first, second = sorted(Cursor(*place) for place in places)
    assert first <= second < Cursor(second.height) < Cursor(second.height + 1, 0, 0)


@pytest.mark.parametrize("text", ["", "-1", "01", "1/2", "1/2/3/4", "x", "1/01/0", "1" * 30, 5, "1\n"])
def test_invalid_cursor(text: Any) -> None:
    """Anything else is refused by the name of the parameter."""
    with pytest.raises(ValueFault):
        reader(EventsPage)({"after": text})


@pytest.mark.parametrize(
    ("wanted", "positions"),
    [
        (EventsFrom(module="bank"), [0, 1]),
        (EventsFrom(name="node_added"), [2]),
        (EventsFrom(module="registry", name="transfer"), []),
        (EventsFrom(account=ACCOUNT), [0]),
        (EventsFrom(account=OTHER, module="bank"), [0, 1]),
    ],
)
async def test_filters(wanted: EventsFrom, positions: list[int]) -> None:
    """Module, name and account leave out the rest, and the cursor goes on behind it."""
    log = EventLog(_node(2))
    assert await _all(log, wanted) == [f"{height}/{position}/0" for height in (1, 2) for position in positions]
    assert str((await log.page(Cursor(0), wanted)).next) == "2"


async def test_json() -> None:
    """An event is shown with its place, its transaction, and fields as everywhere in the RPC."""
    node = _node(1)
    page = await read_events(EventLog(node), EventsPage(limit=1), 0)
    shown = json.loads(envelopes.encode(page))
    assert (shown["next"], shown["head"]) == ("1/0/0", "1")
    (event,) = shown["events"]
    assert (event["cursor"], event["height"], event["module"], event["name"]) == ("1/0/0", "1", "bank", "transfer")
    assert event["fields"][0] == "uccc"
    assert event["fields"][3] == "5"
    assert event["fields"][1].startswith("ccc1")
    assert event["tx_id"].startswith("0x")


async def test_wait() -> None:
    """A reader at the end hears of the next block as soon as it is executed, and of nothing twice."""
    node = _node()
    follower = Follower(EventLog(node), EventsFrom(module="registry"))
    first = asyncio.get_running_loop().create_task(follower.next(timeout_ms=60_000))
    await asyncio.sleep(0)
    node.tell(PAID)
    await asyncio.sleep(0)
    node.tell(PAID, ADDED)
    assert [str(row.cursor) for row in (await first).rows] == ["5/1/0"]
    assert (await follower.next(timeout_ms=0)).rows == []
    assert str(follower.at) == "5"


async def test_cursor_of_a_node_that_is_ahead() -> None:
    """A cursor from another node waits until this one has come so far."""
    node = _node()
    follower = Follower(EventLog(node), EventsFrom(after="4/0/0"))
    waiting = asyncio.get_running_loop().create_task(follower.next(timeout_ms=60_000))
    await asyncio.sleep(0)
    node.tell(PAID, BACK)
    assert [str(row.cursor) for row in (await waiting).rows] == ["4/1/0"]


async def test_lagged() -> None:
    """What is no longer kept is never left out in silence: `events/LAGGED` names where reading can go on."""
    node = _node(5)
    node.kept_from = 3
    log = EventLog(node)
    with pytest.raises(Fault) as refused:
        await log.page(Cursor.parse("1/0/0"), ALL)
    assert refused.value.spec is errors.EVENTS_LAGGED
    assert refused.value.values == {"after": "1/0/0", "oldest": "2"}
    assert (await _all(log, after="2"))[0] == "3/0/0"
    assert json.loads(envelopes.encode(await read_events(log, EventsPage(limit=1), 0)))["next"] == "3/0/0"


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest blocks read stay in memory up to a number of events; the rest is read again."""
    monkeypatch.setattr(events, "CACHED_EVENTS", 20)
    log = EventLog(_node(50))
    assert len(await _all(log)) == 150
    assert log._events == sum(len(rows) + 1 for rows in log._cached.values()) <= 20
    assert len(await _all(log)) == 150


async def test_methods() -> None:
    """`events_read` pages through the log, `events_head` names its ends; a wait takes one of the places for waiting."""
    node = _node()
    dispatcher = Dispatcher(node, msgspec.structs.replace(RpcSection(), waiters_max=1))

    async def call(method: str, **params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        answer = json.loads(await dispatcher.answer(body) or b"")
        return answer.get("result") or answer["error"]["data"]["name"]

    assert await call("events_head") == {"head": "3", "oldest": "0"}
    page = await call("events_read", limit=5)
    assert (len(page["events"]), page["next"]) == (5, "2/1/0")
    waiting = asyncio.get_running_loop().create_task(call("events_read", after="3", wait_ms=60_000))
    await asyncio.sleep(0)
    assert await call("events_read", after="3", wait_ms=1) == "rpc/BUSY"
    node.tell(ADDED)
    assert (await waiting)["next"] == "4"
    assert await call("events_read", limit=0) == "rpc/INVALID_PARAMS"
