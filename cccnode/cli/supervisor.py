"""The process behind `testnet up`: starts every node as its own process, waits until they are ready, stops them all.

Children ask the system to be told when their parent dies (`run --parent`), so none survives even a `kill -9` of this
process.  `testnet start` leaves a request in the run folder and sends SIGUSR1: the node then becomes our child, and
Ctrl-C stops it like the others.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from cccnode.cli.testnet_files import Testnet, TestnetNode
from cccnode.home import Home, disk_fault
from cccnode.types import errors
from cccnode.types.errors import Fault, fault

PROGRAM: Sequence[str] = (sys.executable, "-m", "cccnode")
"""What is started for each node; tests put a small stand-in here."""
READY_S: Final = 60.0
STOP_S: Final = 15.0
_POLL_S: Final = 0.1
_LOG_LINES: Final = 8
_REQUESTS: Final = "start"

Say = Callable[[str], None]


class Supervisor:
    """All processes of one running test network."""

    def __init__(self, network: Testnet, say: Say) -> None:
        """Nothing runs yet."""
        self.network = network
        self._say = say
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All nodes run and are ready inside; none is left afterwards.

        Raises:
            Fault: `testnet/NOT_READY` with the last lines of the node's log.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self._start_requested)
        try:
            _take_requests(self.network.home)  # left over from an `up` that was killed
            for node in self.network.nodes:
                await self._start(node)
            await self._until_ready()
            yield
        finally:
            await self._stop_all()

    async def start(self, index: int) -> None:
        """Start a node that does not run."""
        await self._start(self.network.node(index))

    async def end(self, index: int) -> None:
        """Stop one node, and wait until it has ended."""
        child = self._children[index]
        with suppress(ProcessLookupError):
            child.terminate()
        await child.wait()
        self._children.pop(index, None)

    async def until_stopped(self) -> None:
        """Return on Ctrl-C, SIGTERM or SIGHUP."""
        await self._stop.wait()

    @property
    def stopping(self) -> bool:
        """Whether somebody asked for the end."""
        return self._stop.is_set()

    async def _start(self, node: TestnetNode) -> None:
        try:
            node.log.parent.mkdir(parents=True, exist_ok=True)
            log = node.log.open("ab")
        except OSError as error:
            raise disk_fault(error, node.log) from error
        command = [*PROGRAM, "run", "--home", str(node.home.root), "--parent", str(os.getpid())]
        with log:
            # Its own session: Ctrl-C reaches this process alone, which then stops the nodes in order.
            child = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._children[node.index] = child
        watcher = asyncio.create_task(self._watch(node, child))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, node: TestnetNode, child: asyncio.subprocess.Process) -> None:
        code = await child.wait()
        if self._children.get(node.index) is child:
            del self._children[node.index]
        if not self._stop.is_set():
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self._say(f"node {node.index} {how}; log: {node.log}")

    async def _until_ready(self) -> None:
        """Wait until every node is ready, or somebody pressed Ctrl-C; a node that only cannot vote holds up nobody.

        Raises:
            Fault: `testnet/NOT_READY` when a process ended, or a node does not answer at all.
        """
        waiting = {node.index: _NO_ANSWER for node in self.network.nodes}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            with suppress(TimeoutError):
                async with asyncio.timeout(READY_S):
                    while waiting and not self._stop.is_set():
                        for index in list(waiting):
                            self._check_alive(index)
                            waiting[index] = await _health(session, self.network.node(index).ops)
                            if waiting[index].good_enough:
                                self._warn(index, waiting.pop(index))
                        if waiting:
                            await _first(self._stop.wait(), _POLL_S)
        for index, health in {} if self._stop.is_set() else waiting.items():
            if not health.answers:
                raise _not_ready(self.network.node(index), "it does not answer")
            self._warn(index, health)

    def _warn(self, index: int, health: "_Health") -> None:
        """Say what a node that runs does not do, and why."""
        for failed in health.failed:
            self._say(f"node {index} is not ready: {failed.get('code')}: {failed.get('text')} {failed.get('remedy')}")

    def _check_alive(self, index: int) -> None:
        if index not in self._children:
            raise _not_ready(self.network.node(index), "its process ended")

    def _start_requested(self) -> None:
        for index in _take_requests(self.network.home):
            if index < len(self.network.nodes) and index not in self._children and not self._stop.is_set():
                starter = asyncio.create_task(self._start(self.network.node(index)))
                self._watchers.add(starter)
                starter.add_done_callback(self._watchers.discard)

    async def _stop_all(self) -> None:
        """SIGTERM to all, SIGKILL to whoever is still there after a while."""
        self._stop.set()
        children = list(self._children.values())
        for child in children:
            with suppress(ProcessLookupError):
                child.terminate()
        done = asyncio.gather(*(child.wait() for child in children))
        try:
            await asyncio.wait_for(asyncio.shield(done), STOP_S)
        except TimeoutError:
            for child in children:
                with suppress(ProcessLookupError):
                    child.kill()
            await done
        await asyncio.gather(*self._watchers, return_exceptions=True)


def request_start(home: Home, index: int, supervisor: int) -> None:
    """Ask the running supervisor to start a node.

    Raises:
        Fault: the request cannot be written.
    """
    folder = home.run / _REQUESTS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(index)).touch()
    except OSError as error:
        raise disk_fault(error, folder) from error
    os.kill(supervisor, signal.SIGUSR1)


def _take_requests(home: Home) -> list[int]:
    folder = home.run / _REQUESTS
    taken = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        path.unlink(missing_ok=True)
        if path.name.isdigit():
            taken.append(int(path.name))
    return taken


@dataclass(frozen=True, slots=True)
class _Health:
    """What /readyz of one node says."""

    answers: bool
    failed: Sequence[dict[str, Any]] = ()

    @property
    def good_enough(self) -> bool:
        """Whether the network may be announced: waiting would not help a validator that observes for an epoch."""
        return self.answers and all(check.get("check") in _WILL_NOT_PASS for check in self.failed)


_NO_ANSWER: Final = _Health(answers=False)
_WILL_NOT_PASS: Final = frozenset({"signing", "clock", "index"})
"""Checks that waiting does not mend."""


async def _health(session: aiohttp.ClientSession, ops: str) -> _Health:
    """Ask one node."""
    try:
        async with session.get(f"http://{ops}/readyz") as response:
            report = await response.json()
            return _Health(answers=True, failed=report["failed_checks"])
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError):
        return _NO_ANSWER


async def _first(event: Coroutine[Any, Any, Any], timeout_s: float) -> None:
    """Wait for an event, but not longer than this."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event, timeout_s)


def _not_ready(node: TestnetNode, why: str) -> Fault:
    return fault(errors.TESTNET_NOT_READY, node=node.index, why=why, log=str(node.log), last_lines=_tail(node.log))


def _tail(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    except OSError:
        return []
