"""What a service manager hears, over a real datagram socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cccnode.node.notifying import EVERY_MS, Supervisor
from tests.node.support import Watched


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket where systemd's would be."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.setblocking(False)
        yield link


def test_told(heard: socket.socket) -> None:
    """Facts arrive as lines; a line break in a text does not make another fact."""
    Supervisor({"NOTIFY_SOCKET": heard.getsockname()}).tell(READY="1", STATUS="a\nSTOPPING=1")
    assert heard.recv(1000) == b"READY=1\nSTATUS=a STOPPING=1"


def test_told_again(heard: socket.socket) -> None:
    """The line is fresh every few seconds."""
    watched, heights = Watched(), iter(range(10))
    Supervisor({"NOTIFY_SOCKET": heard.getsockname()}).keep_told(
        watched.node.runtime, lambda: f"height {next(heights)}"
    )
    watched.run(2 * EVERY_MS)
    assert [heard.recv(1000) for _ in range(3)] == [b"STATUS=height %d" % height for height in range(3)]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/notify"}, {"NOTIFY_SOCKET": "@nobody"}])
def test_nobody_listens(environment: dict[str, str]) -> None:
    """Without a supervisor, or with one that is gone, nothing happens."""
    Supervisor(environment).tell(READY="1")
