"""`cccnode dev` as a developer meets it: every printed line works, and another call continues or begins anew."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from cccnode.cli.testnet_files import Testnet
from cccnode.home import Home
from tests.end_to_end.processes import CCCNODE, END_S, ROOT, ended, ports, run
from tests.end_to_end.test_testnet_up import shell


class Dev:
    """One `cccnode dev` and what it has said."""

    def __init__(self, home: Path, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        command = [*CCCNODE, "dev", "--home", str(home), *arguments]
        known = {**os.environ, **(env or {})}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=known)
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if line.startswith("Ctrl-C stops it"):
                break
        self.node = Testnet.open(Home(home)).nodes[0].process

    def line(self, containing: str) -> str:
        """The printed line that holds these words."""
        return next(line for line in self.said.splitlines() if containing in line)

    def address(self, name: str) -> str:
        return self.line(name).split()[1]

    def stop(self) -> int:
        """What Ctrl-C does; the exit code."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=END_S)
        assert self.node is None or ended([self.node])
        return self.process.returncode


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "dev"


@pytest.fixture
def dev(home: Path) -> Iterator[Callable[..., Dev]]:
    """Starts `cccnode dev`; whatever still runs at the end is stopped."""
    made: list[Dev] = []

    def start(*arguments: str) -> Dev:
        made.append(Dev(home, *arguments))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.stop()


@pytest.mark.needs("curl")
def test_journey_of_a_developer(home: Path, dev: Callable[..., Dev]) -> None:
    """The printed lines answer and send money, a second call continues, `--reset` makes another chain."""
    first = dev("--port-base", str(ports(1)["p2p"]))
    assert re.findall(r"^  (\w+) +ccc1\w+$", first.said, re.MULTILINE) == ["citizen", "hospital", "farmer"]
    assert json.loads(shell(first.line("chain_status")))["result"]["state"] == "validating"
    assert json.loads(shell(first.line("tx_submit")))[1]["result"]["outcome"] == "ok"
    assert "executed (ok)" in shell(first.line("tx transfer"))
    height = re.search(r"^cccnode_consensus_height (\S+)$", shell(f"curl -s {first.address('Metrics')}"), re.MULTILINE)
    assert height is not None
    assert float(height[1]) >= 2
    assert json.loads(shell(f"curl -s {first.address('Health')}"))["ready"] is True
    assert run("dev", "--home", str(home), "--reset").returncode == 75
    assert first.stop() == 0

    second = dev()
    assert second.address("Chain") == first.address("Chain")
    assert int(json.loads(shell(second.line("chain_status")))["result"]["height"]) >= 2
    assert second.stop() == 0

    third = dev("--reset", "--port-base", first.address("RPC").rpartition(":")[2].removesuffix("/rpc"))
    assert third.address("Chain") != first.address("Chain")
    assert third.stop() == 0


def test_invalid_home(tmp_path: Path) -> None:
    """The home of a node or of a test network is neither used nor wiped."""
    (tmp_path / "testnet.json").write_text('{"chain": "0x00", "validators": 4}')
    for arguments in ([], ["--reset"]):
        refused = run("dev", "--home", str(tmp_path), *arguments, "--output", "json")
        assert json.loads(refused.stdout)["error"]["name"] == "testnet/OTHER_SHAPE"
    (tmp_path / "testnet.json").rename(tmp_path / "genesis.json")
    assert "home/EXISTS" in run("dev", "--home", str(tmp_path), "--port-base", str(ports(1)["p2p"])).stderr


def test_a_supervisor_hears_of_it(tmp_path: Path) -> None:
    """A node under systemd says that it is ready, how it is, and that it stops."""
    home = tmp_path / "dev"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.settimeout(END_S)
        made = Dev(home, "--port-base", str(ports(1)["p2p"]), env={"NOTIFY_SOCKET": link.getsockname()})
        assert link.recv(1000).startswith(b"READY=1\n")
        assert re.match(rb"STATUS=validating, height 0, 0 behind, 0 peers", link.recv(1000))
        assert made.stop() == 0
        told = [link.recv(1000)]
        while told[-1] != b"STOPPING=1":
            told.append(link.recv(1000))
