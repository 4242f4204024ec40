"""The Python and JavaScript clients, and every program of examples/, against a node that runs."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from cccnode import keys
from cccnode.city.bank.messages import BankTransfer
from cccnode.client import Account, Client, Sender
from cccnode.keys import Role
from tests.end_to_end.processes import END_S, ROOT, Network
from tests.support.cutting import cut_line

EXAMPLES = ROOT / "examples"
TASKS = 32


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One validator, running."""
    made = Network.prepare(tmp_path_factory.mktemp("sdk"), validators=1)
    try:
        made.start(0)
        asyncio.run(_validates(made))
        yield made
    finally:
        made.stop_all()


async def _validates(network: Network) -> None:
    async with network.clients() as clients:
        await network.validating(clients, 0)


def _key_file(network: Network, name: str) -> Path:
    return network.testnet.home.account_key(name)


def _program(*words: str) -> str:
    """What an example prints."""
    program = [sys.executable] if words[0].endswith(".py") else ["node", "--no-warnings"]
    done = subprocess.run(
        [*program, str(EXAMPLES / words[0]), *words[1:]],
        capture_output=True,
        text=True,
        timeout=END_S,
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def _sent_over_a_cut_line(network: Network, count: int) -> None:
    """Many transfers of one account by 32 tasks, with connections cut at random: each is executed exactly once."""
    target, source = network.account("demo2"), network.account("demo1")
    sent: list[str] = []
    async with Client(network.node(0).rpc) as direct, cut_line(network.node(0).rpc, bytes_max=300_000) as line:
        head = (await direct.call("events_head"))["head"]
        had = await _balance(direct, target)
        async with Sender(Client(line.address), source) as sender:
            numbers = iter(range(count))

            async def work() -> None:
                sent.extend([(await sender.send([BankTransfer(target.account, "uccc", 7)]))["tx_id"] for _ in numbers])

            await asyncio.gather(*(work() for _ in range(TASKS)))
        assert line.cuts > count // 200
        assert len(sent) == len(set(sent)) == count
        assert await _balance(direct, target) == had + 7 * count
        found = []
        async with aclosing(direct.events(after=head, name="transfer", account=target.address)) as events:
            while len(found) < count:
                found.append((await anext(events)).tx_id)
        assert sorted(found) == sorted(sent)


async def _balance(client: Client, account: Account) -> int:
    return int((await client.call("bank_balance", account=account.address, asset="uccc"))["amount"])


@pytest.mark.timeout(120)
async def test_exactly_once(network: Network) -> None:
    """500 transfers over a line that is cut all along: the money moved 500 times, and the events say the same."""
    await _sent_over_a_cut_line(network, 500)


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_ten_thousand_exactly_once(network: Network) -> None:
    """10,000 of them."""
    await _sent_over_a_cut_line(network, 10_000)


@pytest.mark.parametrize("program", ["transfer.py", "transfer_plain.py"])
def test_transfer(network: Network, program: str) -> None:
    """The transfers of the examples are executed, and a program that believes nobody can check one."""
    url, to = f"http://{network.node(0).rpc}", network.account("demo2").address
    said = _program(program, url, str(_key_file(network, "demo1")), to, "5")
    assert said.startswith("executed ok in block")
    tx_id = re.findall("0x[0-9a-f]{64}", said)[0]
    proven = _program("proven.py", url, network.testnet.shape.chain, tx_id)
    assert f"transaction {tx_id} is final in block" in proven
    assert f"event bank transfer of {tx_id}" in proven


def test_many(network: Network) -> None:
    """Many at the same time are all executed."""
    to = network.account("demo2").address
    assert _program("many.py", network.node(0).rpc, str(_key_file(network, "demo1")), to, "50") == "ok: 50\n"


@pytest.mark.needs("node")
def test_transfer_in_javascript(network: Network) -> None:
    """The node executes what the JavaScript module signed."""
    url, to = f"http://{network.node(0).rpc}", network.account("demo2").address
    seed = keys.unlock(_key_file(network, "demo1"), role=Role.ACCOUNT).seed
    said = _program("transfer.mjs", url, "0x" + seed.hex(), to, "5")
    assert said.startswith("executed ok in block")


def test_follow(network: Network, tmp_path: Path) -> None:
    """A program that keeps its cursor misses nothing, though it is killed and started again; it repeats one at most."""
    url, to, place = f"http://{network.node(0).rpc}", network.account("demo3").address, tmp_path / "cursor"
    for amount in ("11", "12"):
        _program("transfer.py", url, str(_key_file(network, "demo1")), to, amount)
        following = subprocess.Popen(
            [sys.executable, str(EXAMPLES / "follow.py"), url, str(place)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert following.stdout is not None
        seen: list[str] = []
        for line in following.stdout:
            seen.append(line.rstrip())
            if f": {amount} uccc" in line and line.endswith(f"to {to}\n"):
                break
        following.kill()
        following.communicate()
        assert seen
        assert seen[-1].endswith(f"to {to}")
        assert len([line for line in seen if line.endswith(f"to {to}")]) <= 2


def test_every_example_is_listed() -> None:
    """Every program of examples/ stands in its README and in this file."""
    readme, here = (EXAMPLES / "README.md").read_text(), Path(__file__).read_text()
    for program in EXAMPLES.glob("*.*"):
        if program.suffix in {".py", ".mjs"}:
            assert f"`{program.name} " in readme
            assert f'"{program.name}"' in here
