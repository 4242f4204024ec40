"""The lines between nodes, and what can happen to them: a TCP proxy in a process of its own, told what to do from here.

Every node is registered at the proxy's port and listens at another one; so all connections between nodes go through
the proxy, whoever dials.  TLS passes through untouched.  A direction between two nodes is a `Line`.
"""

import itertools
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from cccnode.cli.testnet_files import TestnetNode
from cccnode.config import split_address

ROOT: Final = Path(__file__).resolve().parents[2]
END_S: Final = 30
HIDDEN: Final = 3
"""A node listens so far above the port at which it is registered; a testnet's nodes are ten ports apart."""
Pair = tuple[int, int]
"""Source and target of what is sent."""


class Passage(Enum):
    """What becomes of bytes."""

    OPEN = "open"
    HELD = "held"
    """They wait: what TCP makes of a line that is down for a while.  Connections live on."""
    LOST = "lost"
    """They are taken and thrown away.  A connection that lost some is reset when the line opens again."""
    CUT = "cut"
    """Connections are reset, and new ones end as soon as they are made."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One direction between two nodes."""

    passage: Passage = Passage.OPEN
    delay_ms: int = 0
    jitter_ms: int = 0
    """Up to so much more, by chance from the proxy's seed.  The order of bytes stays."""
    bytes_per_s: int = 0
    """0: no limit."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node is dialled, and where it really listens; both on loopback."""

    node: int
    public: int
    hidden: int


class Open(msgspec.Struct, frozen=True, kw_only=True, tag="open"):
    """Stand at these ports."""

    ways: list[Way]
    seed: int


class Know(msgspec.Struct, frozen=True, kw_only=True, tag="know"):
    """Processes started with this `--home` are this node."""

    home: str
    node: int


class Lay(msgspec.Struct, frozen=True, kw_only=True, tag="lay"):
    """From now on these lines are so."""

    line: Line
    pairs: list[Pair]


class Reset(msgspec.Struct, frozen=True, kw_only=True, tag="reset"):
    """End the connections between these nodes now; new ones are welcome."""

    pairs: list[Pair]


class Vanish(msgspec.Struct, frozen=True, kw_only=True, tag="vanish"):
    """The second node's end of each connection is reset; the first keeps its own and hears nothing (half-open)."""

    pairs: list[Pair]


Command = Open | Know | Lay | Reset | Vanish


class Proxy:
    """The proxy's process.  Every call returns when the proxy has done it."""

    def __init__(self, ways: Iterable[Way], homes: Mapping[str, int], *, seed: int = 0) -> None:
        """Start it; it ends with this process, however that ends."""
        self.nodes = sorted(set(homes.values()))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.proxy_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        try:
            self._tell(Open(ways=list(ways), seed=seed))
            for home, node in homes.items():
                self.know(home, node)
        except BaseException:
            self.stop()
            raise

    def know(self, home: str, node: int) -> None:
        """Whoever is started with this home is that node."""
        self._tell(Know(home=home, node=node))

    def lay(self, line: Line, some: Collection[int], others: Collection[int] | None = None) -> None:
        """Lay both directions between `some` nodes and `others` (all, if not given) like this."""
        self._tell(Lay(line=line, pairs=self._both(some, others)))

    def lay_towards(self, line: Line, sources: Collection[int], targets: Collection[int]) -> None:
        """One direction only."""
        self._tell(Lay(line=line, pairs=_pairs(sources, targets)))

    @contextmanager
    def laid(self, line: Line, some: Collection[int], others: Collection[int] | None = None) -> Iterator[None]:
        """`lay` for the length of a block; then the lines are open and free of delay again."""
        self.lay(line, some, others)
        try:
            yield
        finally:
            self.lay(Line(), some, others)

    def reset(self, some: Collection[int], others: Collection[int] | None = None) -> None:
        """End all connections between these nodes; they may dial anew."""
        self._tell(Reset(pairs=self._both(some, others)))

    def vanish(self, gone: Collection[int], left: Collection[int]) -> None:
        """Connections of `gone` break at their side only; `left` hear nothing of it."""
        self._tell(Vanish(pairs=_pairs(left, gone)))

    def stop(self) -> None:
        """End it and all connections; a second call does nothing."""
        for end in (self._process.stdin, self._process.stdout):
            assert end is not None, "opened above"
            end.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _both(self, some: Collection[int], others: Collection[int] | None) -> list[Pair]:
        rest = self.nodes if others is None else others
        return sorted({*_pairs(some, rest), *_pairs(rest, some)})

    def _tell(self, command: Command) -> None:
        commands, answers = self._process.stdin, self._process.stdout
        assert commands is not None, "opened above"
        assert answers is not None, "opened above"
        commands.write(msgspec.json.encode(command).decode() + "\n")
        commands.flush()
        answer = answers.readline()
        if answer != "done\n":
            raise RuntimeError(f"the proxy did not do {command}: {answer or 'it ended'}")


def between(nodes: Iterable[TestnetNode], *, seed: int = 0) -> tuple[Proxy, dict[int, dict[str, str]]]:
    """A proxy at the registered address of every node, and the environment in which each listens beside it."""
    ways, homes, environment = [], {}, {}
    for node in nodes:
        host, port = split_address(node.p2p)
        ways.append(Way(node=node.index, public=port, hidden=port + HIDDEN))
        homes[str(node.home.root)] = node.index
        listen = f"{host}:{port + HIDDEN}"
        environment[node.index] = {"CCCNODE_P2P__LISTEN": listen, "CCCNODE_P2P__ADVERTISE": node.p2p}
    return Proxy(ways, homes, seed=seed), environment


def _pairs(sources: Collection[int], targets: Collection[int]) -> list[Pair]:
    return [pair for pair in itertools.product(sources, targets) if pair[0] != pair[1]]
