"""Sends a signed load at a rate and notes what becomes of it.

The loop is open: a submission leaves when it is due, however late the answers to earlier ones are, and latency counts
from the due time; a slow network shows as latency and backlog instead of slowing the load down.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.network.client import Address, Connection, call, http
from benchmarks.network.signing import Batch

WAIT_MS: Final = 60_000
"""The longest that a finality probe waits."""
_CONNECTIONS_MAX: Final = 64
"""Submissions under way to one node; then the load falls behind, and says so."""


@dataclass(slots=True)
class Sent:
    """What became of the load so far."""

    offered: int = 0
    """Transactions sent."""
    acknowledged: list[bytes] = field(default_factory=list)
    """Ids that a node answered for."""
    refused: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    """By name of the error."""
    answer_ms: list[float] = field(default_factory=list)
    """From due to answered, one for each submission."""
    finality_ms: list[float] = field(default_factory=list)
    """From due to executed at another node, one for each probe."""
    executed: list[tuple[int, float]] = field(default_factory=list)
    """For each probe: the height at which another node executed it, and the wall clock in ms when it said so."""
    probes: list[tuple[float, float]] = field(default_factory=list)
    """For each probe: when it was due, and `finality_ms`."""
    lost_probes: int = 0
    unanswered: dict[str, int] = field(default_factory=dict)
    """Transactions whose node hung up instead of answering, by what the load process saw."""
    late_ms: float = 0.0
    """The longest that the load process was behind its own schedule."""


class Load:
    """The one process that loads the network; round-robin over all nodes."""

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        probe_every: int,
        connections: int = _CONNECTIONS_MAX,
        refusable: bool = False,
    ) -> None:
        """`probe_every`: one submission in so many is followed to its execution at the next node.

        When it is `refusable`, nodes may say no and even hang up: only what was acknowledged is followed, and what was
        not answered is counted instead of ending the run.
        """
        self._addresses = addresses
        self._idle: list[deque[Connection]] = [deque() for _ in addresses]
        self._room = [asyncio.Semaphore(connections) for _ in addresses]
        self._probe_every, self._refusable = probe_every, refusable
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None
        self.sent = Sent()

    async def open_loop(self, batches: Sequence[Batch], rate: float) -> None:
        """Send all batches at `rate` transactions a second.

        Raises:
            OSError, EOFError: a node hung up.
        """
        due = time.monotonic()
        for number, batch in enumerate(batches):
            if self._failed is not None:
                raise self._failed
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                self.sent.late_ms = max(self.sent.late_ms, -wait * 1_000)
            self._begin(number, batch, due)
            due += len(batch.ids) / rate

    async def answered(self) -> None:
        """Until every submission and every probe is answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._failed is not None:
            raise self._failed

    def _begin(self, number: int, batch: Batch, due: float) -> None:
        node = number % len(self._addresses)
        self.sent.offered += len(batch.ids)
        probed = number % self._probe_every == 0
        if probed and not self._refusable:
            self._spawn(self._probe((node + 1) % len(self._addresses), batch.ids[-1], due))
        self._spawn(self._submit(node, batch, due, probed=probed and self._refusable))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed = self._failed or error

    async def _post(self, node: int, request: bytes) -> bytes:
        async with self._room[node]:
            idle = self._idle[node]
            connection = idle.popleft() if idle else Connection(self._addresses[node])
            try:
                answer = await connection.post(request)
            except BaseException:
                connection.close()
                raise
            idle.append(connection)
            return answer

    async def _submit(self, node: int, batch: Batch, due: float, *, probed: bool) -> None:
        try:
            answer = await self._post(node, batch.request)
        except (OSError, EOFError) as error:
            if not self._refusable:
                raise
            name = type(error).__name__
            self.sent.unanswered[name] = self.sent.unanswered.get(name, 0) + len(batch.ids)
            return
        self.sent.answer_ms.append((time.monotonic() - due) * 1_000)
        self._note(batch, answer)
        if probed and self.sent.acknowledged[-1:] == [batch.ids[-1]]:
            await self._probe((node + 1) % len(self._addresses), batch.ids[-1], due)

    def _note(self, batch: Batch, answer: bytes) -> None:
        if b'"error"' not in answer:
            self.sent.acknowledged += batch.ids
            return
        for tx_id, result in zip(batch.ids, _results(answer, len(batch.ids)), strict=True):
            if "error" in result:
                name = result["error"]
                self.sent.refused += 1
                self.sent.refusals[name] = self.sent.refusals.get(name, 0) + 1
            else:
                self.sent.acknowledged.append(tx_id)

    async def _probe(self, node: int, tx_id: bytes, due: float) -> None:
        request = http(json.dumps(call("tx_wait", tx_id=f"0x{tx_id.hex()}", timeout_ms=WAIT_MS)).encode())
        try:
            answer = json.loads(await self._post(node, request))
        except (OSError, EOFError):
            if not self._refusable:
                raise
            answer = {}
        if answer.get("result", {}).get("state") == "executed":
            self.sent.finality_ms.append((time.monotonic() - due) * 1_000)
            self.sent.probes.append((due, self.sent.finality_ms[-1]))
            self.sent.executed.append((int(answer["result"]["height"]), time.time() * 1_000))
        else:
            self.sent.lost_probes += 1

    def close(self) -> None:
        """Hang up everywhere."""
        for connections in self._idle:
            while connections:
                connections.pop().close()


def _results(answer: bytes, count: int) -> list[dict[str, str]]:
    """One {} or {"error": name} for each transaction of an answer that holds an error."""
    value = json.loads(answer)
    if "error" in value:
        return [{"error": _name(value["error"])}] * count
    return [{"error": _name(row["error"])} if "error" in row else {} for row in value["result"]["results"]]


def _name(error: dict[str, object]) -> str:
    data = error.get("data")
    return str(data.get("name", error)) if isinstance(data, dict) else str(error.get("name", error))
