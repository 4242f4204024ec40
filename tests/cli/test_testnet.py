"""`cccnode testnet` with stand-in nodes: real processes, ports, locks and signals, nothing left behind."""

import io
import json
import os
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from cccnode.cli.main import run_cli
from cccnode.cli.testnet_files import check_ports
from cccnode.types.errors import Fault

ROOT = Path(__file__).resolve().parents[2]
STUB = [sys.executable, "-m", "tests.support.stub_testnet"]
WAIT_S = 60


class Net:
    """A test network of stand-in nodes in a folder, and the command line on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = _free_base()
        self.ups: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str) -> tuple[int, Any, str]:
        """(exit code, JSON of stdout, stderr) of one command."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run_cli([*arguments, "--home", str(self.home), "--output", "json"])
        return code, json.loads(out.getvalue()) if out.getvalue() else None, err.getvalue()

    def up(self, *arguments: str, env: dict[str, str] | None = None) -> tuple[subprocess.Popen[str], Any]:
        """Start `testnet up` and read what it announces."""
        command = [*STUB, "testnet", "up", "--home", str(self.home), "--output", "json", *arguments]
        if not (self.home / "testnet.json").exists():
            command += ["--port-base", str(self.port)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
        )
        self.ups.append(process)
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.rstrip() == "}":
                break
        return process, json.loads("".join(lines)) if lines else None


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    made = Net(tmp_path / "net")
    yield made
    for process in made.ups:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT_S)


def _free_base() -> int:
    for base in range(20_000 + os.getpid() % 500 * 20, 32_000, 40):
        try:
            check_ports({"p2p": base, "rpc": base + 1, "ops": base + 2}, nodes=3)
        except Fault:
            continue
        return base
    raise AssertionError("no free ports")


def _ended(processes: list[int]) -> bool:
    """Wait until none of these processes is left."""
    for process in processes:
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        try:
            if not select.select([descriptor], [], [], WAIT_S)[0]:
                return False
        finally:
            os.close(descriptor)
    return True


def _processes(offer: Any) -> list[int]:
    found = [node["process"] for node in offer["nodes"]]
    assert all(isinstance(process, int) for process in found)
    return found


def test_up_and_control_c(net: Net) -> None:
    """`up` announces chain, addresses, accounts and two lines that send money; Ctrl-C stops every node."""
    process, offer = net.up("-n", "2", "--peers", "1")
    assert [node["validator"] for node in offer["nodes"]] == [True, True, False]
    assert [account["name"] for account in offer["accounts"]] == ["demo1", "demo2", "demo3"]
    assert offer["chain"].startswith("0x")
    assert offer["cli"].endswith(f"--from demo1 --home {net.home}") or "--from demo1 --home " in offer["cli"]
    sent = _curl(offer["curl"])
    assert [answer["id"] for answer in sent] == [1, 2]
    assert sent[1]["result"]["state"] == "executed"
    code, status, _ = net.run("status", "--node", "1")
    assert (code, status["state"]) == (0, "validating")
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_S) == 0
    assert _ended(_processes(offer))


def test_second_up_continues(net: Net) -> None:
    """A second `up` finds the same network: same genesis, same accounts; another shape is refused; reset wipes."""
    _, first = net.up("-n", "1")
    genesis = (net.home / "genesis.json").read_bytes()
    assert net.run("testnet", "down")[0] == 0
    assert _ended(_processes(first))
    code, answer, _ = net.run("testnet", "up", "-n", "2")
    assert (code, answer["error"]["name"]) == (1, "testnet/OTHER_SHAPE")
    _, second = net.up()
    assert (net.home / "genesis.json").read_bytes() == genesis
    assert second["accounts"] == first["accounts"]
    assert net.run("testnet", "reset")[0] == 0
    assert _ended(_processes(second))
    assert not net.home.exists()


def test_kill_and_start(net: Net) -> None:
    """One node is killed, `status` finds another; started again it belongs to `up`, which stops it too."""
    process, offer = net.up("-n", "2")
    code, killed, _ = net.run("testnet", "kill", "0")
    assert (code, killed) == (0, {"node": 0, "running": False, "process": None})
    assert _ended([offer["nodes"][0]["process"]])
    assert net.run("testnet", "kill", "0")[1]["error"]["name"] == "testnet/NO_SUCH_NODE"
    assert net.run("status")[0] == 0
    assert net.run("status", "--node", "0")[0] == 75
    code, started, _ = net.run("testnet", "start", "0")
    assert (code, started["running"]) == (0, True)
    assert net.run("testnet", "start", "0")[1]["error"]["name"] == "testnet/NO_SUCH_NODE"
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    assert _ended([started["process"], offer["nodes"][1]["process"]])
    assert process.stderr is not None
    assert "node 0 was killed by signal 9" in process.stderr.read()


def test_children_do_not_survive_a_killed_parent(net: Net) -> None:
    """`kill -9` of `testnet up` ends every node too, and leaves the home free."""
    process, offer = net.up("-n", "2")
    process.kill()
    assert _ended(_processes(offer))
    assert net.run("testnet", "down")[0] == 0
    _, again = net.up()
    assert again["accounts"] == offer["accounts"]


def test_second_up_beside_the_first(net: Net) -> None:
    """Two `up` on one home: the second is told who holds it and disturbs nothing."""
    process, _ = net.up("-n", "1")
    code, answer, _ = net.run("testnet", "up")
    assert (code, answer["error"]["name"]) == (75, "home/LOCKED")
    assert answer["error"]["details"]["process"] == str(process.pid)
    assert net.run("status")[0] == 0


def test_port_in_use(net: Net, tmp_path: Path) -> None:
    """A taken port is named before anything is made."""
    net.up("-n", "1")
    other = Net(tmp_path / "other")
    code, answer, _ = other.run("testnet", "up", "-n", "1", "--port-base", str(net.port))
    assert (code, answer["error"]["name"]) == (75, "home/PORT_IN_USE")
    assert answer["error"]["details"]["address"] == f"127.0.0.1:{net.port + 1}"
    assert not (other.home / "genesis.json").exists()


def test_node_that_does_not_start(net: Net) -> None:
    """A node that ends at once stops the whole `up`: its last words are shown, and no process stays."""
    process, offer = net.up("-n", "2", env={"STUB_FAILS": "node1"})
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 75
    assert "testnet/NOT_READY" in err
    assert "stub node fails on purpose" in err
    assert offer is None or offer["error"]["name"] == "testnet/NOT_READY"
    assert out == ""


def test_node_that_cannot_vote(net: Net) -> None:
    """A validator that observes (its journal was lost) holds up nobody: `up` announces the network and says why."""
    process, offer = net.up("-n", "2", env={"STUB_OBSERVES": "node1"})
    assert len(offer["nodes"]) == 2
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=WAIT_S)
    assert "node 1 is not ready: consensus/JOURNAL_LOST" in err


def _curl(line: str) -> Any:
    """What curl would send, sent: the test needs no curl."""
    _, _, url, _, body = line.split(" ", 4)
    request = urllib.request.Request(url, data=body.strip("'").encode())
    opener: Callable[..., Any] = urllib.request.urlopen
    with opener(request) as response:
        return json.loads(response.read())
