"""The public port of one of four validators under honest load and under abuse: what it serves, what consensus feels.

Transfers sent to another validator, one after the other, measure finality in every phase.  The port under load limits
programs on this machine as it would limit others; the honest load has an API key.
"""

import argparse
import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from benchmarks.funded import SEED
from benchmarks.measure import percentiles
from benchmarks.network.client import Connection, call, http
from benchmarks.network.cluster import Node, cluster
from benchmarks.network.signing import Batch, Signers
from benchmarks.report import Benchmark, Figures, table
from cccnode.node.data import read_home_genesis
from cccnode.types.limits import RPC_BODY_BYTES_MAX, RPC_CALLS_MAX

KEY: Final = "the benchmark"
_UNITS: Final = 100_000_000
_PROBES_PER_S: Final = 12
"""At most: the next transfer is sent when the last one is final."""
_SETTLE_S: Final = 1.0
_NESTED: Final = b"[" * 200_000
_COSTLY: Final = json.dumps([call("chain_block")] * RPC_CALLS_MAX).encode()

Attack = Callable[[Node, float], Awaitable[int]]
"""Goes on until a moment; how often it tried."""


@dataclass(slots=True)
class _Probe:
    """Transfers to a validator that nobody loads, one after the other."""

    address: tuple[str, int]
    batches: list[Batch]
    finality_ms: list[float] = field(default_factory=list)

    async def run(self, until: float) -> None:
        connection = Connection(self.address)
        while time.monotonic() < until and self.batches:
            batch = self.batches.pop()
            began = time.monotonic()
            await connection.post(batch.request)
            await connection.ask("tx_wait", tx_id="0x" + batch.ids[0].hex(), timeout_ms=30_000)
            self.finality_ms.append((time.monotonic() - began) * 1000)
            await asyncio.sleep(max(0.0, began + 1 / _PROBES_PER_S - time.monotonic()))
        connection.close()


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--seconds", type=float, default=20, help="of each phase; default: %(default)s")
    add("--accounts", type=int, default=1_000, help="default: %(default)s")
    add("--reads", type=int, default=400, help="reads a second that are offered; default: %(default)s")
    add("--submits", type=int, default=600, help="transactions a second that are offered; default: %(default)s")
    add("--batch", type=int, default=60, help="transactions in one submission; default: %(default)s")
    add("--sockets", type=int, default=500, help="idle WebSockets; default: %(default)s")
    add("--connections", type=int, default=1_000, help="connections of one address; default: %(default)s")


def _run(options: argparse.Namespace) -> Figures:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    settings: dict[str, object] = {
        "log.level": "warning",
        "rpc.loopback_limited": True,
        "rpc.api_keys": [f"benchmark:{digest}:{_UNITS}"],
        "rpc.connections_per_address_max": options.sockets + 64,
    }
    with cluster(validators=4, accounts=options.accounts, seed=SEED, settings=settings) as (network, nodes):
        genesis = read_home_genesis(network.home.genesis_file)
        signers = Signers(
            chain=genesis.chain,
            signers=min(options.accounts, 500),
            accounts=[row.account_id() for row in genesis.accounts],
        )
        try:
            phases = asyncio.run(_measure(options, nodes, signers))
        finally:
            signers.close()
    return _report(phases)


async def _measure(options: argparse.Namespace, nodes: Sequence[Node], signers: Signers) -> dict[str, Figures]:
    target, seconds = nodes[0], options.seconds
    work: dict[str, Attack] = {
        "quiet": _nothing,
        "reads": lambda node, until: _reads(node, until, options.reads),
        "submits": _submits(signers, options),
        "idle sockets": lambda node, until: _idle(node, until, options.sockets),
        "slowloris": _slowloris,
        "oversize": _oversize,
        "nesting": _nesting,
        "connections": lambda node, until: _connections(node, until, options.connections),
        "costly queries": _costly,
    }
    count = int(seconds * _PROBES_PER_S) + 1
    phases: dict[str, Figures] = {}
    for name, attack in work.items():
        probe = _Probe(nodes[1].rpc, [_keyed(batch) for batch in signers.sign(count, 1, _PROBES_PER_S)])
        await asyncio.sleep(_SETTLE_S)
        phases[name] = await _phase(target, attack, probe, seconds)
    return phases


async def _phase(target: Node, attack: Attack, probe: _Probe, seconds: float) -> Figures:
    began, node_cpu, own_cpu = time.monotonic(), target.cpu_seconds(), time.process_time()
    until = began + seconds
    probing = asyncio.create_task(probe.run(until))
    done = await attack(target, until)
    await probing
    took = time.monotonic() - began
    return {
        "per_s": round(done / took, 1),
        "finality_ms": percentiles(probe.finality_ms),
        "node_cores": round((target.cpu_seconds() - node_cpu) / took, 3),
        "generator_cores": round((time.process_time() - own_cpu) / took, 3),
        "rss_mb": round(target.rss_mb(), 1),
    }


def _keyed(batch: Batch) -> Batch:
    return Batch(_with_key(batch.request), batch.ids)


def _with_key(request: bytes) -> bytes:
    return request.replace(b"\r\n", f"\r\nX-API-Key: {KEY}\r\n".encode(), 1)


async def _nothing(_node: Node, until: float) -> int:
    await asyncio.sleep(max(0.0, until - time.monotonic()))
    return 0


async def _reads(node: Node, until: float, rate: int) -> int:
    """Headers and statuses, one a request, at a rate."""
    requests = [_with_key(http(json.dumps(call(method)).encode())) for method in ("chain_header", "chain_status")]
    return await _paced(node, until, rate, lambda number: requests[number % 2])


def _submits(signers: Signers, options: argparse.Namespace) -> Attack:
    async def submit(node: Node, until: float) -> int:
        rate = max(1, options.submits // options.batch)
        total = int(options.seconds * rate * options.batch)
        batches = [_keyed(one) for one in await asyncio.to_thread(signers.sign, total, options.batch, options.submits)]
        left = until - time.monotonic()  # signing takes a while: what fits into the rest
        usable = batches[: max(1, int(left * rate))]
        sent = await _paced(node, until, rate, lambda number: usable[number % len(usable)].request)
        return sent * int(options.batch)

    return submit


async def _paced(node: Node, until: float, rate: int, request: Callable[[int], bytes]) -> int:
    """Requests that are due at even times, over eight connections; how many were answered."""
    connections = [Connection(node.rpc) for _ in range(8)]
    began, done = time.monotonic(), 0

    async def one(lane: int) -> None:
        nonlocal done
        number = lane
        while (due := began + number / rate) < until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await connections[lane].post(request(number))
            done += 1
            number += len(connections)

    await asyncio.gather(*(one(lane) for lane in range(len(connections))))
    for connection in connections:
        connection.close()
    return done


async def _idle(node: Node, until: float, count: int) -> int:
    """WebSockets that say nothing; how many were still open at the end."""
    url = f"http://{node.rpc[0]}:{node.rpc[1]}/ws"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"X-API-Key": KEY}) as session:
        sockets = [await session.ws_connect(url) for _ in range(count)]
        await asyncio.sleep(max(0.0, until - time.monotonic()))
        still = sum(1 for socket in sockets if not socket.closed)
        await asyncio.gather(*(socket.close() for socket in sockets))
    return still


async def _slowloris(node: Node, until: float) -> int:
    """A hundred requests at a time that come a byte a second."""

    async def drip() -> int:
        tried = 0
        while time.monotonic() < until:
            tried += 1
            with suppress(OSError):
                _, writer = await asyncio.open_connection(*node.rpc)
                for byte in http(b"{}"):
                    if time.monotonic() >= until:
                        break
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(1)
                writer.close()
        return tried

    return sum(await asyncio.gather(*(drip() for _ in range(100))))


async def _oversize(node: Node, until: float) -> int:
    """Bodies a little over the limit, without an announced size."""
    head = b"POST /rpc HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    return await _throw(node, until, [head, *[chunk] * (RPC_BODY_BYTES_MAX // 0x10000 + 1), b"0\r\n\r\n"], lanes=2)


async def _nesting(node: Node, until: float) -> int:
    """Brackets without end."""
    return await _throw(node, until, [http(_NESTED)], lanes=4)


async def _costly(node: Node, until: float) -> int:
    """Batches full of the most costly reads."""
    return await _throw(node, until, [http(_COSTLY)], lanes=8)


async def _throw(node: Node, until: float, pieces: Sequence[bytes], *, lanes: int) -> int:
    """Send the same request again and again and read whatever comes."""

    async def one() -> int:
        tried = 0
        while time.monotonic() < until:
            tried += 1
            with suppress(OSError, TimeoutError):
                reader, writer = await asyncio.open_connection(*node.rpc)
                with suppress(OSError):
                    for piece in pieces:
                        writer.write(piece)
                        await writer.drain()
                async with asyncio.timeout(5):
                    await reader.read(1 << 16)
                writer.close()
            await asyncio.sleep(0.05)
        return tried

    return sum(await asyncio.gather(*(one() for _ in range(lanes))))


async def _connections(node: Node, until: float, count: int) -> int:
    """Many connections of one address that say nothing; those that the node ended are opened again, once a second."""
    held: list[tuple[Any, Any]] = []
    tried = 0
    while time.monotonic() < until:
        held = [(reader, writer) for reader, writer in held if not reader.at_eof()]
        while len(held) < count and time.monotonic() < until:
            tried += 1
            with suppress(OSError):
                held.append(await asyncio.open_connection(*node.rpc))
            if tried % 100 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(1)
    for _, writer in held:
        writer.close()
    return tried


def _report(phases: dict[str, Figures]) -> Figures:
    quiet = phases["quiet"]["finality_ms"]["p99"] or 1.0
    for figures in phases.values():
        worst = figures["finality_ms"]["p99"]
        figures["p99_to_quiet"] = None if worst is None else round(worst / quiet, 2)
    columns = ("phase", "done/s", "finality p50", "p99 ms", "to quiet", "node cores", "generator cores", "RSS MB")
    rows = [
        (
            name,
            row["per_s"],
            row["finality_ms"]["p50"],
            row["finality_ms"]["p99"],
            row["p99_to_quiet"],
            row["node_cores"],
            row["generator_cores"],
            row["rss_mb"],
        )
        for name, row in phases.items()
    ]
    table("the public port of one of four validators", columns, rows)
    sound = all(row["p99_to_quiet"] is not None for row in phases.values())
    within = all((row["p99_to_quiet"] or 9) <= 2 for row in phases.values())
    return {"phases": phases, "within_twice_quiet": within, "sound": sound}


BENCHMARK: Final = Benchmark(
    name="rpc",
    en="The public port of one of four validators: reads, submissions, idle sockets, abuse, and what finality feels.",
    example="--seconds 20 --json",
    repetitions=1,
    arguments=_arguments,
    run=_run,
)
