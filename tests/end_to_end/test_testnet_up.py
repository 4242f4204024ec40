"""`cccnode testnet up` as a newcomer meets it: what it prints works, and nothing is left when it ends."""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cccnode.cli.testnet_files import Testnet
from cccnode.client import Client
from cccnode.home import Home
from tests.end_to_end.processes import CCCNODE, END_S, ROOT, ended, equal_roots, height, ports, run
from tests.end_to_end.waiting import until

LAST_LINE = "Ctrl-C stops every node; the chain stays."


class Up:
    """One `testnet up` and what it has said so far."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [*CCCNODE, "testnet", "up", "--home", str(home), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.said = self._read()
        self.nodes = [node.process for node in Testnet.open(Home(home)).nodes]

    def _read(self) -> str:
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if LAST_LINE in line:
                break
        return "".join(lines)

    def line(self, beginning: str) -> str:
        """The printed line that has these words first."""
        return next(line for line in self.said.splitlines() if line.startswith(beginning))

    def rpcs(self) -> list[str]:
        return re.findall(r"node \d  (http://\S+/rpc)", self.said)

    def end(self, how: signal.Signals) -> tuple[int, str]:
        """Send a signal to the parent alone; (exit code, what else it said to the person)."""
        self.process.send_signal(how)
        _, err = self.process.communicate(timeout=END_S)
        return self.process.returncode, err


def shell(line: str) -> str:
    """What a printed line says when it is pasted into a shell."""
    pasted = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=END_S, cwd=ROOT, check=False)
    assert pasted.returncode == 0, pasted.stderr
    return pasted.stdout


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder for a network; whatever still runs in it at the end is stopped."""
    home = tmp_path / "demo"
    yield home
    run("testnet", "reset", "--home", str(home), "--yes")


@pytest.mark.needs("curl")
async def test_first_contact(home: Path) -> None:
    """The printed curl and command line send money, final on every node; Ctrl-C leaves no process, reset no file."""
    up = Up(home, "--port-base", str(ports(4)["p2p"]))
    assert re.search(r"^Chain +0x[0-9a-f]{64}$", up.said, re.MULTILINE)
    assert len(up.rpcs()) == 4
    accounts = dict(re.findall(r"^  (demo\d)  (ccc1\S+)$", up.said, re.MULTILINE))
    assert list(accounts) == ["demo1", "demo2", "demo3"]
    assert "unencrypted" in up.said

    printed = shell(up.line("curl "))
    submitted, waited = json.loads(printed)
    assert submitted["result"]["tx_id"] == waited["result"]["tx_id"]
    assert waited["result"]["outcome"] == "ok"
    assert "executed (ok)" in shell(up.line(_program()))
    assert json.loads(shell(up.line("curl ")))[0]["error"]["data"]["name"] == "tx/DUPLICATE"

    clients = [Client(url) for url in up.rpcs()]
    for client in clients:
        final = await client.wait(bytes.fromhex(waited["result"]["tx_id"][2:]))
        assert final["outcome"] == "ok"
    status = await equal_roots(clients)
    for client in clients:
        owned = await client.call("bank_balance", account=accounts["demo2"])
        assert owned["amount"] == str(1_000_000_000 + 2 * 5_000_000)
        await client.close()

    code, err = up.end(signal.SIGINT)
    assert code == 0
    assert err.endswith("All nodes stopped.\n")
    assert ended(up.nodes)
    assert _left_over(home) == []
    await _second_up(home, status, accounts)


async def _second_up(home: Path, before: dict[str, Any], accounts: dict[str, str]) -> None:
    """A second `up` continues the chain; a killed parent leaves no node; reset wipes, and a new chain is another."""
    up = Up(home)
    assert before["chain"] in up.said
    assert all(account in up.said for account in accounts.values())
    async with Client(up.rpcs()[3]) as client:
        assert await height(client) >= int(before["height"])
        owned = await client.call("bank_balance", account=accounts["demo2"])
        assert owned["amount"] == str(1_000_000_000 + 2 * 5_000_000)
    sent = run("tx", "transfer", "demo2", "1", "--from", "demo3", "--home", str(home), "--node", "2")
    assert sent.returncode == 0, sent.stderr
    assert up.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert ended(up.nodes)
    assert _left_over(home) == []
    wiped = run("testnet", "reset", "--home", str(home))
    assert (wiped.returncode, wiped.stderr) == (0, "Wiped.\n")
    assert not list(_files(home))
    assert run("testnet", "reset", "--home", str(home)).returncode == 0


async def test_kill_and_start(home: Path) -> None:
    """`testnet kill` and `start` act on one node of four; `status` says what is missing meanwhile."""
    up = Up(home, "--port-base", str(ports(4)["p2p"]), "-n", "4")
    assert run("testnet", "kill", "3", "--home", str(home)).stderr == "Node 3 is dead.\n"

    async def missing() -> bool:
        return "3  org-03  NOT REACHABLE" in run("status", "--home", str(home), "--node", "0").stdout

    await until(missing, "node 0 misses node 3")
    sent = run("tx", "transfer", "demo2", "1", "--from", "demo1", "--home", str(home))
    assert sent.returncode == 0, sent.stderr
    unreachable = run("status", "--home", str(home), "--node", "3")
    assert unreachable.returncode == 75
    assert unreachable.stderr.startswith("client/UNREACHABLE")
    assert run("testnet", "start", "3", "--home", str(home)).stderr == "Node 3 runs.\n"
    nodes = [node.process for node in Testnet.open(Home(home)).nodes]
    code, err = up.end(signal.SIGTERM)
    assert code == 0
    assert "node 3 was killed by signal 9" in err
    assert ended(nodes)


def _program() -> str:
    """How the printed command line begins when the program was started as a module."""
    return os.path.relpath(CCCNODE[0], ROOT) if len(os.path.relpath(CCCNODE[0], ROOT)) < len(CCCNODE[0]) else CCCNODE[0]


def _files(home: Path) -> Iterator[Path]:
    return home.parent.rglob(f"{home.name}/*")


def _left_over(home: Path) -> list[str]:
    """Command lines of processes that still work for this home."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(word.startswith(str(home)) for word in words):
                found.append(shlex.join(words))
    return found
