"""What the network did while it was loaded, seen from outside: heights over time, blocks, processor time by stage."""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.measure import pynacl_verify_us
from benchmarks.network.client import Connection, call
from benchmarks.network.cluster import Node, loopback_bytes, machine_busy_seconds
from benchmarks.network.load import Sent

_SAMPLE_S: Final = 0.5
_QUIET_S: Final = 1.0
"""The network is idle when nothing waits and no block with transactions came for this long."""
STAGE: Final = "cccnode_node_stage_cpu_seconds_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that only grows, at one moment."""

    at: float
    heights: Sequence[int]
    offered: int
    acknowledged: int
    node_cpu: Sequence[float]
    main_thread_cpu: Sequence[float]
    stages: Sequence[Mapping[str, float]]
    load_cpu: float
    machine_cpu: float
    disk_bytes: Sequence[int]
    wire_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The blocks of the run: time and cumulative transactions by height."""

    totals: Sequence[int]
    """Transactions up to and including each height, from height 0."""
    times_ms: Sequence[int]


@dataclass(slots=True)
class Watch:
    """Looks at all nodes twice a second."""

    nodes: Sequence[Node]
    connections: Sequence[Connection] = field(init=False)
    samples: list[tuple[float, Sequence[int], int]] = field(default_factory=list)
    """(time, height of each node, transactions offered so far)."""
    pynacl_us: list[float] = field(default_factory=list)
    """What verifying one signature with PyNaCl took at each sample: the speed of this machine under that load."""
    _totals: list[int] = field(default_factory=lambda: [0])
    _times_ms: list[int] = field(default_factory=lambda: [0])

    def __post_init__(self) -> None:
        """One connection to each node."""
        self.connections = [Connection(node.rpc) for node in self.nodes]

    async def statuses(self) -> list[dict[str, Any]]:
        """`chain_status` of every node."""
        return list(await asyncio.gather(*(connection.ask("chain_status") for connection in self.connections)))

    async def sample(self, sent: Sent, stop: asyncio.Event) -> None:
        """Note the heights until told to stop."""
        while not stop.is_set():
            started = time.monotonic()
            statuses = await self.statuses()
            self.samples.append((started, [int(status["height"]) for status in statuses], sent.offered))
            self.pynacl_us.append(pynacl_verify_us())
            await asyncio.sleep(max(0.0, started + _SAMPLE_S - time.monotonic()))

    async def snapshot(self, sent: Sent) -> Snapshot:
        """The counters now."""
        metrics = await asyncio.gather(*(asyncio.to_thread(node.metrics) for node in self.nodes))
        watching = Watch(self.nodes)
        statuses = await watching.statuses()
        watching.close()
        return Snapshot(
            at=time.monotonic(),
            heights=[int(status["height"]) for status in statuses],
            offered=sent.offered,
            acknowledged=len(sent.acknowledged),
            node_cpu=[node.cpu_seconds() for node in self.nodes],
            main_thread_cpu=[node.main_thread_seconds() for node in self.nodes],
            stages=[{label: value for (name, label), value in one.items() if name == STAGE} for one in metrics],
            load_cpu=time.process_time(),
            machine_cpu=machine_busy_seconds(),
            disk_bytes=[node.disk_bytes() for node in self.nodes],
            wire_bytes=loopback_bytes(),
        )

    async def idle(self, timeout_s: float) -> bool:
        """Wait until nothing waits anywhere and all nodes stand at one height; False when that took too long."""
        deadline = time.monotonic() + timeout_s
        quiet_since: float | None = None
        while time.monotonic() < deadline:
            statuses = await self.statuses()
            level = len({status["height"] for status in statuses}) == 1
            if level and not any(status["mempool"] for status in statuses):
                quiet_since = quiet_since or time.monotonic()
                if time.monotonic() - quiet_since >= _QUIET_S:
                    return True
            else:
                quiet_since = None
            await asyncio.sleep(0.1)
        return False

    async def chain(self) -> Chain:
        """All blocks so far, as the last node tells them; only new ones are asked for."""
        connection = self.connections[-1]
        height = int((await connection.ask("chain_status"))["height"])
        calls = [call("chain_header", height=at) for at in range(len(self._totals), height + 1)]
        for header in await connection.ask_all(calls):
            self._totals.append(self._totals[-1] + int(header["tx_count"]))
            self._times_ms.append(int(header["time_ms"]))
        return Chain(totals=self._totals, times_ms=self._times_ms)

    def close(self) -> None:
        """Hang up."""
        for connection in self.connections:
            connection.close()


def backlog(
    samples: Sequence[tuple[float, Sequence[int], int]], chain: Chain, before: int, committed: int
) -> list[float]:
    """Transactions offered and not executed on the slowest node, sample by sample.

    `before` had been offered, and `committed` executed, when this step began.
    """
    return [float(offered - before - (chain.totals[min(heights)] - committed)) for _, heights, offered in samples]


def growth_per_second(samples: Sequence[tuple[float, Sequence[int], int]], backlogs: Sequence[float]) -> float:
    """How fast the backlog grew: from the mean of the first third of the samples to that of the last."""
    third = len(samples) // 3
    if third == 0:
        return 0.0
    first, last = backlogs[:third], backlogs[-third:]
    seconds = samples[-1 - third // 2][0] - samples[third // 2][0]
    return (sum(last) / third - sum(first) / third) / seconds if seconds > 0 else 0.0


def within(
    samples: Sequence[tuple[float, Sequence[int], int]], begin: float, end: float
) -> list[tuple[float, Sequence[int], int]]:
    """The samples of a time span."""
    times = [at for at, _, _ in samples]
    return list(samples[bisect_right(times, begin) : bisect_right(times, end)])
