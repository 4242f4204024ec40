"""From nothing to validator by the commands of docs/en/how-to-join.md, with real processes; then new keys."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cccnode.client import Client
from cccnode.home import Home
from tests.end_to_end.load import Load
from tests.end_to_end.processes import CCCNODE, END_S, ROOT, Network, codes, equal_roots, ports, run
from tests.end_to_end.waiting import until


class Newcomer:
    """The fifth organisation: a home, the commands that its operator types, and its process."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "cmu")
        self.ports = ports(1)
        self.log = folder / "cmu.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def rpc(self) -> str:
        return f"127.0.0.1:{self.ports['rpc']}"

    def type(self, *arguments: str) -> Any:
        """One command that must succeed; its JSON."""
        return typed(self.home, *arguments)

    def settings(self) -> list[str]:
        values = {f"{name}.listen": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        return [text for key, value in values.items() for text in ("--set", f"{key}={value}")]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*CCCNODE, "run", "--home", str(self.home.root), "--parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(END_S)
            self.process = None

    async def reaches(self, stage: str) -> Any:
        """Wait until `join status` says so."""

        async def seen() -> Any:
            found = self.type("join", "status")
            return found if found["stage"] == stage else None

        return await until(seen, f"join status: {stage}", tries=60)


def typed(home: Home, *arguments: str) -> Any:
    done = run(*arguments, "--home", str(home.root), "--output", "json")
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout else None


async def test_from_nothing_to_validator(networks: Callable[..., Network], tmp_path: Path) -> None:
    """A fifth organisation joins a running network, becomes validator, and changes both its keys without a gap."""
    network = networks(validators=4)
    network.start(0, 1, 2, 3)
    newcomer = Newcomer(tmp_path)
    try:
        async with network.clients() as clients:
            await network.validating(clients, 0, 1, 2, 3)
            await _joins(network, newcomer)
            await _validates(network, clients, newcomer)
            async with Client(newcomer.rpc) as its_own:
                await equal_roots([*clients, its_own])
                await _rotates(newcomer, its_own)
                await Load(network, clients, []).final_everywhere([0, 1, 2, 3])
                await equal_roots([*clients, its_own])
    finally:
        newcomer.stop()


async def _joins(network: Network, newcomer: Newcomer) -> None:
    """Card, home, request, a node that waits; two more members agree; the node links and is at the tip."""
    card = typed(network.testnet.home, "card", "make")["card"]
    made = newcomer.type("init", "--network", card, "--org", "cmu", "--unencrypted", *newcomer.settings())
    assert made["chain"] == network.testnet.shape.chain
    address = f"127.0.0.1:{newcomer.ports['p2p']}"
    request = newcomer.type("join", "request", "--pillar", "academia", "--address", address)["request"]
    newcomer.start()
    waiting = await newcomer.reaches("not_proposed")
    assert waiting["node_id"] == made["node_id"]

    async def refused() -> bool:
        async with Client(newcomer.rpc) as client:
            return "net/NOT_REGISTERED" in codes(await client.status())

    await until(refused, "the node says that it is not registered")
    members = [network.node(index).home for index in range(4)]
    number = typed(members[0], "org", "propose", "--join", request)["proposal"]
    assert newcomer.type("join", "status")["stage"] == "proposed"
    for member in members[1:3]:
        typed(member, "org", "approve", number)
    await newcomer.reaches("ready")
    assert made["node_id"] in newcomer.log.read_text()


async def _validates(network: Network, clients: list[Client], newcomer: Newcomer) -> None:
    """Money for fees, the check, the receipt, the members' approvals, and the next epoch has five validators."""
    account = newcomer.type("keys", "show", "cmu")["account"]
    typed(network.testnet.home, "tx", "transfer", account, "5000000", "--from", "demo1")
    members = [network.node(index).home for index in range(4)]

    async def linked() -> bool:
        peers = [(await client.call("net_peers"))["peers"] for client in clients[:3]]
        return all("cmu" in {peer["organisation"] for peer in some} for some in peers)

    await until(linked, "three members are linked with the newcomer")
    found = newcomer.type("validator", "apply", "--skip", "speed", "--skip", "disk")
    for member in members[:3]:
        typed(member, "org", "approve", found["proposal"])
    await newcomer.reaches("validating")
    record = await clients[0].call("chain_validators")
    assert [row["organisation"] for row in record["validators"]][-1] == "cmu"


async def _rotates(newcomer: Newcomer, its_own: Client) -> None:
    """The consensus key without a restart; the node key with one restart between two calls of one command."""

    async def signs_with(key: str) -> bool:
        await its_own.status()  # it may be starting
        shown = newcomer.type("validator", "status")
        return shown["signs"] and shown["consensus_key"] == key

    newcomer.type("validator", "rotate-key", "--unencrypted")
    key = newcomer.type("keys", "show", "validator")["public_key"]
    await until(lambda: signs_with(key), "the running node votes with the new key")
    before = (await its_own.status())["node"]
    newcomer.type("validator", "rotate-key", "--transport", "--unencrypted")
    newcomer.stop()
    newcomer.start()
    await until(lambda: signs_with(key), "the restarted node votes over the new node key")
    assert (await its_own.status())["node"] != before
    newcomer.type("validator", "rotate-key", "--transport")

    async def one_key() -> bool:
        rows = (await its_own.call("chain_validators"))["validators"]
        return rows[-1]["node_keys"] == [(await its_own.status())["node"]]

    await until(one_key, "votes come over the new node key alone")
