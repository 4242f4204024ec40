"""Validators as processes of their own on loopback: start them, ask them, weigh them, stop them."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cccnode import keys
from cccnode.cli.testnet_files import Testnet, TestnetNode, prepare
from cccnode.config import LOOPBACK, TESTNET_PORT_STEP, split_address
from cccnode.home import Home
from cccnode.node.data import found
from cccnode.types.limits import WINDOW_TXS_MAX
from genesis.document import LimitsEntry
from tests.support.proxy import HIDDEN, Line, Proxy, between

READY_S: Final = 300
"""A hundred thousand accounts take a while to read and to hash, four times."""
_STOP_S: Final = 30
_LOG_CHARACTERS: Final = 3_000
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_SAMPLE: Final = re.compile(r'^(\w+)(?:\{(?:\w+="([^"]*)")?.*?\})? (\S+)$', re.MULTILINE)


class Node:
    """One running validator, seen from outside."""

    def __init__(self, node: TestnetNode, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start its process; it ends with ours."""
        self.index = node.index
        self.rpc = split_address(node.rpc)
        self.log = node.log
        self._ops, self._data = node.ops, node.home.data
        self._command, self._environment = command, environment
        node.log.parent.mkdir(parents=True, exist_ok=True)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self._environment},
            )

    def begin_anew(self) -> None:
        """Stop it, take everything from it but its keys and what it was told of the network, and start it again."""
        self.stop()
        self.wait()
        shutil.rmtree(self._data)
        self.process = self._start()

    def cpu_seconds(self) -> float:
        """Processor time of the process so far, all threads."""
        return _cpu_of(Path(f"/proc/{self.process.pid}/stat"))

    def main_thread_seconds(self) -> float:
        """Processor time of its event loop."""
        return _cpu_of(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/stat"))

    def disk_bytes(self) -> int:
        """What its data take, as the disk counts."""
        return sum(_allocated(path) for path in self._data.rglob("*"))

    def rss_mb(self) -> float:
        """Memory in use now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * _PAGE / 2**20

    def peak_rss_mb(self) -> float:
        """The most memory it ever used."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def file_mb(self) -> float:
        """How much of the memory in use are pages of files: programs, libraries, tables of LevelDB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("RssFile:")[2].split()[0]) / 1024

    def metrics(self) -> dict[tuple[str, str], float]:
        """Everything under /metrics, by name and value of the first label."""
        with urllib.request.urlopen(f"http://{self._ops}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return {(name, label): float(value) for name, label, value in _SAMPLE.findall(text)}

    def ready(self) -> bool:
        """Whether it says that all its checks pass.

        Raises:
            RuntimeError: its process has ended.
        """
        if self.process.poll() is not None:
            raise RuntimeError(f"node {self.index} ended while it started")
        try:
            with urllib.request.urlopen(f"http://{self._ops}/readyz", timeout=30) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8")[-_LOG_CHARACTERS:]

    def stop(self) -> None:
        """Ask it to end, and insist after a while."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Until it has ended."""
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def cluster(
    *,
    validators: int,
    accounts: int,
    seed: bytes,
    settings: Mapping[str, object],
    peers: int = 0,
    window: int = WINDOW_TXS_MAX,
    profile: Path | None = None,
    delay_ms: int = 0,
    **genesis: Any,
) -> Iterator[tuple[Testnet, list[Node]]]:
    """A running network in a temporary folder; node 0 writes a profile of its loop to `profile` if that is given.

    `window` is how many transactions the duplicate window takes.  `peers` are registered and have a home, but no
    process.  With a delay all connections between nodes go through a proxy that holds everything back for so long.
    `genesis`: more for `prepare`.
    """
    with TemporaryDirectory(prefix="cccnode-network-") as folder:
        network = prepare(
            Home(Path(folder)),
            validators=validators,
            peers=peers,
            accounts=accounts,
            seed=seed,
            ports=free_ports(validators + peers),
            settings=settings,
            limits=LimitsEntry(window_tx_max=window),
            **genesis,
        )
        nodes: list[Node] = []
        proxy, environments = _delayed(network, delay_ms) if delay_ms else (None, {})
        try:
            for node in network.nodes[:validators]:
                if not (node.home.data / "journal").exists():
                    for path in node.home.validator_keys:
                        found(node.home.data, keys.read(path).public_key)
                module = "benchmarks.network.profiled" if profile is not None and node.index == 0 else "cccnode"
                command = [
                    sys.executable,
                    "-m",
                    module,
                    "run",
                    "--home",
                    str(node.home.root),
                    "--parent",
                    str(os.getpid()),
                ]
                profiling = {} if profile is None else {"CCCNODE_BENCHMARK_PROFILE": str(profile)}
                nodes.append(Node(node, command, {**environments.get(node.index, {}), **profiling}))
            _until_ready(nodes)
            yield network, nodes
        finally:
            for dead in nodes:
                if dead.process.poll() is not None:
                    print(f"node {dead.index} ended by itself: {dead.last_words()}", file=sys.stderr)
            for running in nodes:
                running.stop()
            for running in nodes:
                running.wait()
            if proxy is not None:
                proxy.stop()


def _delayed(network: Testnet, delay_ms: int) -> tuple[Proxy, dict[int, dict[str, str]]]:
    proxy, environments = between(network.nodes)
    proxy.lay(Line(delay_ms=delay_ms), proxy.nodes)
    return proxy, environments


def _until_ready(nodes: Sequence[Node]) -> None:
    deadline = time.monotonic() + READY_S
    waiting = list(nodes)
    while waiting:
        waiting = [node for node in waiting if not node.ready()]
        if time.monotonic() > deadline:
            raise TimeoutError(f"node {waiting[0].index} is not ready after {READY_S} s; log: {waiting[0].log}")
        time.sleep(0.1)


def free_ports(validators: int) -> dict[str, int]:
    """Ports for node 0 such that those of all nodes are free now."""
    for base in range(21_000 + os.getpid() % 400 * 20, 32_000, 20):
        ports = {"p2p": base, "rpc": base + 1, "ops": base + 2}
        used = (*ports.values(), base + HIDDEN)
        if all(_is_free(port + TESTNET_PORT_STEP * index) for port in used for index in range(validators)):
            return ports
    raise RuntimeError("no free ports between 21000 and 32000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def machine_busy_seconds() -> float:
    """Processor time that the whole machine has spent on anything."""
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / _TICKS


def loopback_bytes() -> int:
    """What the machine has sent to itself: links between nodes, and the load."""
    for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[0])
    return 0


def _allocated(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:  # replaced meanwhile
        return 0


def _cpu_of(stat: Path) -> float:
    fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
