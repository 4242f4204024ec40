"""Subscribers of a node's events under load: each gets every event once, whatever happens to its connection."""

import argparse
import asyncio
import hashlib
import json
import random
import socket
import time
from collections.abc import Awaitable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from benchmarks.funded import SEED
from benchmarks.network.cluster import Node, cluster
from benchmarks.network.load import Load
from benchmarks.network.signing import Signers
from benchmarks.network.watch import Watch
from benchmarks.report import Benchmark, Figures, table
from cccnode.client import Client
from cccnode.client.events import EventStream
from cccnode.node.data import read_home_genesis
from genesis.document import Genesis

_DRAIN_S: Final = 60
_POLL_S: Final = 0.2
_SLOW_BYTES: Final = 512
"""Read at a time by those who are too slow, four times a second."""
_SLOW_BUFFER: Final = 16 * 1024


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--subscribers", type=int, default=200, help="default: %(default)s")
    add("--rate", type=float, default=100, help="transfers a second, an event each; default: %(default)s")
    add("--seconds", type=float, default=60, help="default: %(default)s")
    add("--disconnect-s", type=float, default=10, help="a connection lives about so long; default: %(default)s")
    add("--slow", type=int, default=1, help="readers that hardly read; default: %(default)s")
    add("--validators", type=int, default=1, help="default: %(default)s")
    add("--accounts", type=int, default=1_000, help="default: %(default)s")
    add("--signers", type=int, default=200, help="accounts that send; default: %(default)s")


@dataclass(slots=True)
class _Seen:
    """What one subscriber got, in order: enough to compare, and no more."""

    events: int = 0
    last: str = ""
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    connections: int = 0
    lagged: int = 0

    def note(self, cursor: str) -> None:
        """One more event."""
        self.events += 1
        self.last = cursor
        self.digest.update(cursor.encode() + b"\n")


def _run(options: argparse.Namespace) -> Figures:
    settings = {"log.level": "warning"}
    shape = {"validators": options.validators, "accounts": options.accounts, "seed": SEED}
    with cluster(settings=settings, **shape) as (network, nodes):
        return asyncio.run(_measure(options, nodes, read_home_genesis(network.home.genesis_file)))


async def _measure(options: argparse.Namespace, nodes: list[Node], genesis: Genesis) -> Figures:
    watch, node = Watch(nodes), nodes[0]
    signers = Signers(
        chain=genesis.chain, signers=options.signers, accounts=[entry.account_id() for entry in genesis.accounts]
    )
    load = Load([node.rpc], probe_every=1_000_000)
    batches = signers.sign(round(options.rate * options.seconds), 1, options.rate)
    try:
        async with Client(f"{node.rpc[0]}:{node.rpc[1]}") as client:
            begin = str((await client.call("events_head"))["head"])
            run = _Subscribers(options, client.url.removesuffix("/rpc"), begin)
            before, cpu, own = node.rss_mb(), node.cpu_seconds(), time.process_time()
            began = time.monotonic()
            await run.during(load.open_loop(batches, options.rate), node)
            seconds = time.monotonic() - began
            cpu, own = node.cpu_seconds() - cpu, time.process_time() - own
            await load.answered()
            await watch.idle(_DRAIN_S)
            truth = await _truth(client, begin)
            await run.end(truth)
            figures = run.figures(truth) | {
                "seconds": round(seconds, 1),
                "events_per_s": round(truth.events / seconds, 1),
                "delivered_per_s": round(sum(seen.events for seen in run.seen) / seconds, 1),
                "node_core_share": round(cpu / seconds, 3),
                "load_core_share": round(own / seconds, 3),
                "rss_before_mb": round(before, 1),
                "rss_peak_mb": round(run.rss_mb, 1),
                "refused": load.sent.refused,
            }
    finally:
        signers.close()
        load.close()
        watch.close()
    table("events", ("figure", ""), [(name, str(value)) for name, value in figures.items()])
    return figures


async def _truth(client: Client, begin: str) -> _Seen:
    """All events since the beginning, page by page."""
    seen, place = _Seen(), begin
    while True:
        page = await client.call("events_read", after=place, limit=1_000)
        for event in page["events"]:
            seen.note(event["cursor"])
        if page["next"] == place:
            return seen
        place = page["next"]


class _Subscribers:
    """Everybody who reads."""

    def __init__(self, options: argparse.Namespace, url: str, begin: str) -> None:
        self._url, self._begin, self._disconnect_s = f"{url}/v1/events", begin, options.disconnect_s
        self.seen = [_Seen() for _ in range(options.subscribers)]
        self.slow = [_Seen() for _ in range(options.slow)]
        self.rss_mb = 0.0
        self._hurry = False
        self._random = random.Random(SEED)
        self._session: aiohttp.ClientSession | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def during(self, load: Awaitable[None], node: Node) -> None:
        """Read while the load lasts, and note how much memory the node takes."""
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._tasks = [asyncio.create_task(self._read(seen)) for seen in self.seen]
        self._tasks += [asyncio.create_task(self._read_slowly(seen)) for seen in self.slow]
        watching = asyncio.create_task(self._weigh(node))
        try:
            await load
        finally:
            watching.cancel()

    async def end(self, truth: _Seen) -> None:
        """Give everybody time to get the last event, then stop them."""
        self._hurry = True
        for _ in range(round(_DRAIN_S / _POLL_S)):
            if all(seen.last == truth.last for seen in (*self.seen, *self.slow)):
                break
            await asyncio.sleep(_POLL_S)
        for task in self._tasks:
            task.cancel()
        failed = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._session is not None
        await self._session.close()
        for error in failed:
            if isinstance(error, Exception):
                raise error

    def figures(self, truth: _Seen) -> Figures:
        """Who got what."""
        exact = sum(seen.digest.digest() == truth.digest.digest() for seen in self.seen)
        exact_slow = sum(seen.digest.digest() == truth.digest.digest() for seen in self.slow)
        return {
            "subscribers": len(self.seen),
            "events": truth.events,
            "exactly_once": exact,
            "slow_readers": len(self.slow),
            "slow_exactly_once": exact_slow,
            "slow_told_lagged": sum(seen.lagged for seen in self.slow),
            "connections": sum(seen.connections for seen in self.seen),
            "sound": exact == len(self.seen) and exact_slow == len(self.slow) and truth.events > 0,
        }

    async def _read(self, seen: _Seen) -> None:
        """One subscriber that hangs up by chance, in the middle of whatever comes, and goes on at its cursor."""
        while True:
            seen.connections += 1
            life_s = self._random.expovariate(1 / self._disconnect_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self._hurry else life_s):
                    await self._follow(seen)

    async def _follow(self, seen: _Seen) -> None:
        stream = EventStream(self._url, self._opened, after=seen.last or self._begin, filters={})
        async with aclosing(stream.read()) as events:
            async for event in events:
                seen.note(event.cursor)

    def _opened(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    async def _read_slowly(self, seen: _Seen) -> None:
        """One that reads a little now and then, until it is told to hurry; each connection is read to its end."""
        while True:
            seen.connections += 1
            await self._one_slow(seen)

    async def _one_slow(self, seen: _Seen) -> None:
        host, _, port = self._url.removeprefix("http://").partition("/")[0].partition(":")
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_BUFFER)
        link.setblocking(False)
        await asyncio.get_running_loop().sock_connect(link, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=link, limit=_SLOW_BUFFER)
        head = f"GET /v1/events?after={seen.last or self._begin} HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n"
        writer.write(head.encode())
        rest = b""
        try:
            while data := await reader.read(1 << 16 if self._hurry else _SLOW_BYTES):
                *whole, rest = (rest + data).split(b"\n\n")
                for message in whole:
                    seen.lagged += b"event: lagged" in message
                    if b'\ndata: {"cursor"' in message:
                        seen.note(json.loads(message.partition(b"\ndata: ")[2])["cursor"])
                if not self._hurry:
                    await asyncio.sleep(0.25)
        except OSError:
            pass  # hung up: it goes on at its cursor
        finally:
            writer.transport.abort()

    async def _weigh(self, node: Node) -> None:
        while True:
            self.rss_mb = max(self.rss_mb, node.rss_mb())
            await asyncio.sleep(_POLL_S)


BENCHMARK = Benchmark(
    name="events",
    en="Subscribers of events under load, with disconnects and slow readers: each gets every event exactly once.",
    example="--subscribers 20 --seconds 10",
    repetitions=1,
    arguments=_arguments,
    run=_run,
)
