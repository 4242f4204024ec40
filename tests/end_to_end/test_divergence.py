"""A node that computes one balance differently: it stops, stays readable, and the transaction is found."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cccnode.city.bank.messages import BankTransfer
from cccnode.city.bank.state import balances_group
from cccnode.cli.output import FAILED, OK, USAGE
from cccnode.client import Client, to_hex
from cccnode.codec import encode
from cccnode.types import errors
from cccnode.types.addresses import account_text
from genesis.bootstrap import ASSET
from tests.end_to_end.processes import (
    CCCNODE,
    ROOT,
    Network,
    codes,
    equal_roots,
    height,
    refused,
    run,
    signed_by,
)
from tests.end_to_end.waiting import until

MISCOUNTING = (sys.executable, "-m", "tests.end_to_end.miscounting")
MISCOUNT = 777_777
ENVIRONMENT = {"MISCOUNT": str(MISCOUNT)}
GOOD = (0, 1, 2)


def doctor(network: Network, *words: str, program: Sequence[str] = CCCNODE) -> "subprocess.CompletedProcess[str]":
    """`cccnode doctor divergence` of node 3, by a program of a test's choice."""
    home = str(network.testnet.home.root)
    return subprocess.run(
        [*program, "doctor", "divergence", "--home", home, "--node", "3", "--output", "json", *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT},
        check=False,
    )


async def pay(network: Network, client: Client, source: str, target: str, amount: int) -> dict[str, Any]:
    """A transfer between demo accounts, decided."""
    message = BankTransfer(network.account(target).account, ASSET, amount)
    return await client.send_and_wait(network.account(source), [message])


async def diverged(client: Client) -> dict[str, Any]:
    """Wait until a node says that it diverged."""

    async def seen() -> dict[str, Any] | None:
        status = await client.status()
        return status if status["state"] == "diverged" else None

    return await until(seen, "the node says that it diverged")


def readiness(ops: str) -> tuple[int, str]:
    """Status and body of /readyz."""
    try:
        with urllib.request.urlopen(f"http://{ops}/readyz", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_a_wrong_balance_is_found(networks: Callable[..., Network], tmp_path: Path) -> None:
    """It is located to block, bucket, key and transaction, from a healthy program and from the faulty one alike."""
    city = networks(validators=4, settings={"storage.snapshot_blocks": 10})
    city.start(*GOOD)
    city.start(3, program=MISCOUNTING, env=ENVIRONMENT)
    async with city.clients() as clients:
        good, wrong = clients[0], clients[3]
        await city.validating(clients, *GOOD, 3)
        while not any(city.node(3).home.data.glob("snapshots/*/manifest")):
            await pay(city, good, "demo1", "demo3", 5)
        planted = await pay(city, good, "demo1", "demo2", MISCOUNT)
        await pay(city, good, "demo1", "demo3", 7)
        await stays_readable(city, good, wrong)
        await survives_a_restart(city, good, wrong)
        for number, (program, side) in enumerate([(CCCNODE, "certified"), (MISCOUNTING, "ours")]):
            await pay(city, good, "demo1", "demo3", 9)
            file = tmp_path / f"report{number}.json"
            done = await asyncio.to_thread(doctor, city, "--out", str(file), program=program)
            assert done.returncode == OK, done.stderr + done.stdout
            await names_the_transaction(city, good, json.loads(done.stdout)["findings"], planted, side)
            await is_signed(city, file)
        await comes_back(city, good, wrong, tmp_path / "carried")


async def blocks_come(city: Network, good: Client) -> None:
    """A few transactions, decided one after the other by the others."""
    for amount in (11, 12, 13):
        await pay(city, good, "demo1", "demo3", amount)


async def stays_readable(city: Network, good: Client, wrong: Client) -> None:
    """State, reason and readiness say it; reads go on, and nothing is taken or signed any more."""
    status = await diverged(wrong)
    assert codes(status)[0] == errors.DIVERGED.name
    stopped = await height(wrong)
    code, body = await asyncio.to_thread(readiness, city.node(3).ops)
    assert (code, errors.DIVERGED.name in body) == (503, True)
    refusal = await refused(pay(city, wrong, "demo1", "demo3", 1))
    assert refusal.name == errors.POOL_NOT_READY.name
    assert (await wrong.call("chain_block", height=str(stopped)))["header"]["height"] == str(stopped)
    before = await height(good)
    await blocks_come(city, good)
    assert await height(wrong) == stopped
    assert 3 not in await signed_by(good, before + 2, await height(good))


async def survives_a_restart(city: Network, good: Client, wrong: Client) -> None:
    """Killed and started again, by a healthy program even, it says the same at once and signs nothing."""
    before = await height(good)
    city.kill(3)
    city.start(3)
    status = await diverged(wrong)
    assert codes(status)[0] == errors.DIVERGED.name
    await blocks_come(city, good)
    assert 3 not in await signed_by(good, before + 1, await height(good))


async def names_the_transaction(
    city: Network, good: Client, findings: dict[str, Any], planted: dict[str, Any], side: str
) -> None:
    """Block, key, transaction, and the two values."""
    account = city.account("demo2").account
    assert findings["height"] == int(planted["height"]) > findings["replayed_from"] > 0
    assert (findings["proven"], findings["replay"]["agrees_with"]) == (True, side)
    assert findings["transactions"] == [planted["tx_id"]]
    assert findings["receipts"] == []
    assert findings["differing_keys"] == 1
    (key,) = findings["keys"]
    assert (key["group"], key["item"]) == (to_hex(balances_group(account)), to_hex(ASSET.encode()))
    assert account_text(account) in key["name"]
    right = int((await good.call("bank_balance", account=account_text(account), asset=ASSET))["amount"])
    assert (key["certified"], key["ours"]) == (to_hex(encode(right)), to_hex(encode(right + 1)))
    assert [change["tx_id"] for change in key["changed_by"]] == [planted["tx_id"]]


async def comes_back(city: Network, good: Client, wrong: Client, folder: Path) -> None:
    """By a healthy node's newer snapshot, as the manual says; it votes again, with the journal that it has."""
    stopped = await height(wrong)
    city.kill(3)
    data = city.node(0).home.data

    def newer() -> list[int]:
        return [at for path in data.glob("snapshots/*/manifest") if (at := int(path.parent.name)) > stopped]

    while not newer():
        await pay(city, good, "demo1", "demo3", 5)
    shutil.copytree(data / "snapshots", folder)
    at, home = str(max(newer())), str(city.node(3).home.root)
    done = await asyncio.to_thread(run, "snapshot", "restore", at, "--from", str(folder), "--home", home)
    assert done.returncode == OK, done.stderr
    city.start(3)
    async with city.clients() as clients:
        await city.validating(clients, *GOOD, 3)
        await blocks_come(city, good)
        await equal_roots(clients)
        last = await height(good)
        await blocks_come(city, good)
        assert 3 in await signed_by(good, last + 1, await height(good))


def forge(file: Path) -> Path:
    """The same report with another finding."""
    forged = file.with_name("forged.json")
    forged.write_text(file.read_text().replace('"agrees_with": "', '"agrees_with": "x'))
    return forged


async def is_signed(city: Network, file: Path) -> None:
    """The report is checked with nothing but the file; a changed one is refused, an old one not overwritten."""
    checked = await asyncio.to_thread(doctor, city, "--verify", str(file))
    assert checked.returncode == OK, checked.stderr
    again = await asyncio.to_thread(doctor, city, "--out", str(file))
    assert again.returncode == USAGE
    forged = forge(file)
    answer = await asyncio.to_thread(doctor, city, "--verify", str(forged))
    assert (answer.returncode, errors.REPORT_INVALID.name in answer.stdout) == (FAILED, True)
