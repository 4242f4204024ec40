"""Networks of real node processes: started, killed, wiped and asked, one by one."""

import asyncio
import itertools
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from cccnode import keys
from cccnode.cli.testnet_files import Testnet, TestnetNode, check_ports, prepare
from cccnode.client import Account, Client, ClientError
from cccnode.config import LOOPBACK, TESTNET_PORT_STEP
from cccnode.home import Home
from cccnode.keys import Role
from cccnode.types.certificate import signer_indices
from cccnode.types.errors import Fault
from cccnode.types.transaction import account_id
from tests.end_to_end.waiting import until
from tests.support.proxy import HIDDEN, Proxy, between

ROOT = Path(__file__).resolve().parents[2]
CCCNODE = (sys.executable, "-m", "cccnode")
SHIFTED = (sys.executable, "-m", "tests.end_to_end.shifted")
"""The same program on a machine whose clock is wrong."""
END_S = 60
CALLS = 64

_RANGE = range(20_100, 31_900, 100)
"""Below what the system hands out, and what `--port-base` takes."""
_bases = itertools.cycle([*_RANGE[os.getpid() % 90 :], *_RANGE[: os.getpid() % 90]])


def ports(nodes: int = 8) -> dict[str, int]:
    """Free ports for a network on this machine, below the range that the system hands out."""
    for base in itertools.islice(_bases, 100):
        found = {"p2p": base, "rpc": base + 1, "ops": base + 2}
        try:
            check_ports(found, nodes=nodes)
            check_ports({**found, "p2p": base + HIDDEN}, nodes=nodes)
        except Fault:
            continue
        return found
    raise AssertionError("no free ports")


def run(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """One command line to its end."""
    return subprocess.run(
        [*CCCNODE, *arguments],
        capture_output=True,
        text=True,
        timeout=END_S,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        check=False,
    )


def ended(processes: Sequence[int]) -> bool:
    """Wait until none of these processes, children of others too, is left."""
    for process in processes:
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        try:
            if not select.select([descriptor], [], [], END_S)[0]:
                return False
        finally:
            os.close(descriptor)
    return True


class Network:
    """A prepared network whose nodes this test starts and ends."""

    def __init__(self, testnet: Testnet) -> None:
        self.testnet = testnet
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.guests: dict[int, TestnetNode] = {}
        """Nodes of organisations that genesis does not know; their numbers follow those of the others."""
        self.environment: dict[int, dict[str, str]] = {}
        """What a node finds in its environment beside what this process has."""
        self.broken = False
        """Whether it failed to come up: the tests that share it then fail at once."""
        self._proxy: Proxy | None = None

    @classmethod
    def prepare(cls, folder: Path, *, settings: Mapping[str, object] | None = None, **shape: Any) -> "Network":
        """Homes for a network, in a folder."""
        chosen = {"mempool.pending_per_payer_max": 100_000, "storage.cache_mb": 16, **(settings or {})}
        nodes = shape.get("validators", 4) + shape.get("peers", 0) + shape.pop("guests", 0)
        free = shape.pop("ports", None) or ports(nodes)
        return cls(prepare(Home(folder), **{"validators": 4, **shape}, ports=free, settings=chosen))

    def behind_proxy(self, *, seed: int = 0) -> "Network":
        """Put a proxy at every registered address; the nodes listen beside it."""
        self._proxy, self.environment = between(self.testnet.nodes, seed=seed)
        return self

    @property
    def proxy(self) -> Proxy:
        """The lines between the nodes, where there is a proxy."""
        assert self._proxy is not None, "not behind a proxy"
        return self._proxy

    # Processes

    @property
    def nodes(self) -> list[TestnetNode]:
        """All of them, guests last."""
        return [*self.testnet.nodes, *self.guests.values()]

    def node(self, index: int) -> TestnetNode:
        return self.guests.get(index) or self.testnet.node(index)

    def invite(self) -> TestnetNode:
        """Ports and a folder for one more node, which its operator has yet to fill."""
        index, shape = len(self.nodes), self.testnet.shape
        places = {name: f"{LOOPBACK}:{port + index * TESTNET_PORT_STEP}" for name, port in shape.ports.items()}
        home = Home(self.testnet.home.root.parent / f"guest{index}")
        self.guests[index] = TestnetNode(index=index, home=home, **places)
        return self.guests[index]

    def start(self, *indices: int, program: Sequence[str] = CCCNODE, env: Mapping[str, str] | None = None) -> None:
        """Start nodes; they end with this test, however it ends."""
        for index in indices:
            assert index not in self.processes, f"node {index} runs already"
            node = self.node(index)
            node.log.parent.mkdir(parents=True, exist_ok=True)
            command = [*program, "run", "--home", str(node.home.root), "--parent", str(os.getpid())]
            with node.log.open("ab") as log:
                self.processes[index] = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=ROOT,
                    env={**os.environ, **self.environment.get(index, {}), **(env or {})},
                    start_new_session=True,
                )

    def kill(self, *indices: int, how: signal.Signals = signal.SIGKILL) -> None:
        """End nodes and wait until they are gone."""
        gone = [self.processes.pop(index) for index in indices]
        for process in gone:
            process.send_signal(how)
        for process in gone:
            process.wait(END_S)

    def stop(self, *indices: int) -> None:
        """End nodes in order, as an operator does."""
        self.kill(*indices, how=signal.SIGTERM)

    def freeze(self, *indices: int) -> None:
        """Let nodes do nothing at all (SIGSTOP): their connections stay, their timers run out meanwhile."""
        for index in indices:
            self.processes[index].send_signal(signal.SIGSTOP)

    def thaw(self, *indices: int) -> None:
        """Let frozen nodes go on."""
        for index in indices:
            self.processes[index].send_signal(signal.SIGCONT)

    def exit_code(self, index: int) -> int:
        """Wait for a node that ends by itself."""
        return self.processes.pop(index).wait(END_S)

    def stop_all(self) -> None:
        """Leave nothing behind."""
        self.kill(*list(self.processes))
        if self._proxy is not None:
            self._proxy.stop()

    def open_files(self, index: int) -> int:
        """How many files and sockets a running node holds."""
        return len(list(Path(f"/proc/{self.processes[index].pid}/fd").iterdir()))

    def log(self, index: int) -> str:
        """Everything a node said."""
        return self.node(index).log.read_text(encoding="utf-8", errors="replace")

    # Talk

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[list[Client]]:
        """A client of every node, running or not."""
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(Client(node.rpc)) for node in self.nodes]

    def account(self, name: str) -> Account:
        """A funded account."""
        key = keys.unlock(self.testnet.home.account_key(name), role=Role.ACCOUNT)
        return Account(account_id(key.public_key), key)

    async def validating(self, clients: Sequence[Client], *indices: int) -> None:
        """Wait until these validators run, vote and are at the tip."""

        async def well(index: int) -> bool:
            status = await clients[index].status()
            seen[index] = status["state"], codes(status)
            return seen[index] == ("validating", [])

        seen: dict[int, tuple[str, list[str]]] = {}
        for index in indices:
            await until(lambda index=index: well(index), lambda index=index: f"node {index} validates: {seen}")

    async def observing(self, clients: Sequence[Client], index: int, reason: str) -> dict[str, Any]:
        """Wait until a node observes for this reason; its status."""

        async def seen() -> dict[str, Any] | None:
            status = await clients[index].status()
            return status if status["state"] == "observing" and reason in codes(status) else None

        return await until(seen, f"node {index} observes: {reason}")


def codes(status: Mapping[str, Any]) -> list[str]:
    """The names of a status's reasons."""
    return [reason["code"] for reason in status["reasons"]]


async def height(client: Client) -> int:
    """The last executed height of a node."""
    return int((await client.status())["height"])


async def advance(client: Client, blocks: int = 3) -> int:
    """Wait for this many more blocks; the height then."""
    target = await height(client) + blocks

    async def reached() -> int:
        now = await height(client)
        return now if now >= target else 0

    return await until(reached, f"height {target}")


async def equal_roots(clients: Sequence[Client]) -> dict[str, Any]:
    """Wait until all nodes stand at one height with one block and one state; what they say."""

    async def equal() -> dict[str, Any] | None:
        statuses = await asyncio.gather(*(client.status() for client in clients))
        places = {(status["height"], status["block_id"], status["state_root"]) for status in statuses}
        return statuses[0] if len(places) == 1 else None

    return await until(equal, "equal heights and state roots everywhere")


async def many(client: Client, method: str, params: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The results of many calls of one method."""
    answers: list[Any] = []
    for first in range(0, len(params), CALLS):
        some = params[first : first + CALLS]
        answers += await asyncio.gather(*(client.call(method, **one) for one in some))
    return answers


async def signed_by(client: Client, first: int, last: int) -> set[int]:
    """Every validator that proposed one of these blocks or signed one of their certificates."""
    seen: set[int] = set()
    for block in await many(client, "chain_block", [{"height": str(at)} for at in range(first, last + 1)]):
        seen.add(block["header"]["proposer"])
        if block["certificate"] is not None:
            seen.update(signer_indices(bytes.fromhex(block["certificate"]["bitmap"][2:])))
    return seen


async def headers(client: Client, first: int, last: int) -> list[dict[str, Any]]:
    """The headers of these heights."""
    return await many(client, "chain_header", [{"height": str(at)} for at in range(first, last + 1)])


async def skipped_views(client: Client, below: int, last: int) -> int:
    """Views without a block between the block of height `below` and that of height `last`."""
    rows = await headers(client, below + 1, last)
    return sum(int(row["view"]) - int(row["parent_view"]) - 1 for row in rows)


async def refused(call: Any) -> ClientError:
    """The error of a call that must fail."""
    try:
        answer = await call
    except ClientError as error:
        return error
    raise AssertionError(f"not refused: {answer}")
