"""The week's city as four processes: steps go to one node, questions to another, the clock of all of them is set."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from cccnode.cli.supervisor import Supervisor
from cccnode.client import Client, ClientError
from cccnode.types import errors
from cccnode.types.errors import CLOCK_BACK, fault
from cccnode.week.reading import Missing
from cccnode.week.running import Decided

_POLL_S: Final = 0.02
_GIVE_UP_S: Final = 60.0
_WAIT_MS: Final = 30_000


class RealNetwork:
    """A `Network` of the week, over RPC and the operator's ports."""

    def __init__(self, supervisor: Supervisor) -> None:
        """All nodes of `supervisor` run."""
        self._supervisor = supervisor
        self._nodes = supervisor.network.nodes
        self._clients = [Client(node.rpc) for node in self._nodes]
        self._up = set(range(len(self._nodes)))
        self._session: aiohttp.ClientSession | None = None
        self._sent = 0

    async def __aenter__(self) -> Self:
        """Use it in `async with`."""
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        for client in self._clients:
            await client.close()
        if self._session is not None:
            await self._session.close()

    @property
    def _reader(self) -> Client:
        """The node that answers questions: the last that runs; it takes no transactions."""
        return self._clients[max(self._up)]

    def _writer(self) -> Client:
        """The others take turns."""
        writers = sorted(self._up - {max(self._up)})
        self._sent += 1
        return self._clients[writers[self._sent % len(writers)]]

    async def chain(self) -> bytes:
        """See `Network`."""
        return await self._reader.chain()

    async def reach(self, time_ms: int) -> None:
        """See `Network`: every running node's clock is set, and its newest block is at least as late."""
        for index in sorted(self._up):
            await self._set_clock(index, time_ms)
        for index in sorted(self._up):
            await self._until(index, time_ms)

    async def _set_clock(self, index: int, time_ms: int) -> None:
        assert self._session is not None, "used in `async with`"
        url = f"http://{self._nodes[index].ops}/clock"
        async with self._session.post(url, json={"time_ms": str(time_ms)}) as response:
            answer = await response.json()
        if "error" in answer and answer["error"]["data"]["name"] != CLOCK_BACK.name:
            raise fault(errors.TESTNET_NOT_READY, node=index, why=answer["error"]["data"]["name"])

    async def _until(self, index: int, time_ms: int) -> None:
        """Wait for a block of that time."""

        async def there() -> bool:
            return int((await self._clients[index].status())["time_ms"]) >= time_ms

        await _wait(there)

    async def send(self, raws: Sequence[bytes]) -> list[Decided]:
        """See `Network`."""
        node = self._writer()
        sent = await node.submit_batch(raws)
        decided = []
        for one in sent:
            if one.error is not None:
                decided.append(Decided("refused", why=one.error.name))
                continue
            status = await node.wait(one.tx_id, timeout_ms=_WAIT_MS)
            error = status.get("error")
            outcome = "ok" if error is None else error["data"]["name"]
            decided.append(Decided(outcome, int(status.get("height", 0))))
        return decided

    async def ask(self, method: str, **params: Any) -> Any:
        """See `Network`."""
        try:
            return await self._reader.call(method, **params)
        except ClientError as error:
            if error.name in {errors.NOT_FOUND.name, errors.RPC_METHOD_NOT_FOUND.name}:
                raise Missing(method) from error
            raise

    async def roots(self) -> set[str]:
        """See `Network`: at the lowest height that all running nodes have executed."""
        statuses = [await self._clients[index].status() for index in sorted(self._up)]
        height = min(int(status["height"]) for status in statuses)
        return {
            (await self._clients[index].call("chain_results", height=str(height)))["state_root"]
            for index in sorted(self._up)
        }

    # What happens to nodes -------------------------------------------------------------------------------------------

    async def end(self, index: int) -> None:
        """Stop a node."""
        await self._supervisor.end(index)
        self._up.discard(index)

    async def start(self, index: int) -> None:
        """Start it again, and wait until it has what the others have."""
        newest = await self._newest()
        await self._supervisor.start(index)
        await _wait(lambda: self._has(index, newest))
        self._up.add(index)

    async def begin_anew(self) -> None:
        """Stop every node, then start every node."""
        newest, up = await self._newest(), sorted(self._up)
        for index in up:
            await self._supervisor.end(index)
        for index in up:
            await self._supervisor.start(index)
        for index in up:
            await _wait(partial(self._has, index, newest))

    async def _newest(self) -> int:
        return int((await self._reader.status())["height"])

    async def _has(self, index: int, height: int) -> bool:
        """Whether a node answers and has executed a height."""
        try:
            return int((await self._clients[index].status())["height"]) >= height
        except ClientError:
            return False


async def _wait(true: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again, a minute at most."""
    end = asyncio.get_running_loop().time() + _GIVE_UP_S
    while not await true():
        if asyncio.get_running_loop().time() > end:
            raise fault(errors.TESTNET_NOT_READY, why="the network does not go on")
        await asyncio.sleep(_POLL_S)
