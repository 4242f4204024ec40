"""`cccnode testnet`: a whole network of real nodes on this machine, from one command, for demonstrations and tests."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from cccnode import keys
from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.testnet_files import DEMO_ACCOUNTS, NODES_MAX, Testnet, TestnetNode, check_ports, describe, prepare
from cccnode.config import LOOPBACK, PORTS
from cccnode.home import HomeLock, lock_holder
from cccnode.keys import Role
from cccnode.types import errors
from cccnode.types.addresses import account_text
from cccnode.types.errors import fault
from cccnode.types.transaction import account_id

_GIVE_UP_S: Final = 30.0
_DEADLINE_MARGIN_MS: Final = 10_000
DEMO_AMOUNT: Final = 5_000_000

Announcement = Callable[[Options, Testnet, dict[str, Any]], list[str]]
"""The lines that a network shows once it runs, out of what `demo_offer` found."""


@click.group(epilog="Example: cccnode testnet up -n 4")
def testnet() -> None:
    """A whole network on this machine: up, down, reset, kill, start."""


@testnet.command(epilog="Example: cccnode testnet up -n 4 --peers 1 --home .demo")
@click.option("-n", "validators", type=click.IntRange(1, NODES_MAX), help="Validators [4].")
@click.option("--peers", type=click.IntRange(0, NODES_MAX), help="Further nodes that do not validate [0].")
@click.option("--accounts", type=click.IntRange(2, 1_000_000), help=f"Funded accounts [{DEMO_ACCOUNTS}].")
@click.option("--port-base", type=click.IntRange(1024, 32_000), help=f"First port of node 0 [{PORTS['p2p']}].")
@also_here
@pass_options
def up(
    options: Options, validators: int | None, peers: int | None, accounts: int | None, port_base: int | None
) -> None:
    """Start every node as its own process and stay until Ctrl-C; a second `up` continues the same chain."""
    network = Testnet.find(options.home)
    with HomeLock.take(options.home):
        if network is None:
            base = port_base or PORTS["p2p"]
            ports = {name: base + i for i, name in enumerate(PORTS)}
            check_ports(ports, nodes=(validators or 4) + (peers or 0))
            network = prepare(
                options.home,
                validators=validators or 4,
                peers=peers or 0,
                accounts=accounts or DEMO_ACCOUNTS,
                ports=ports,
            )
        else:
            _same_shape(network, validators=validators, peers=peers, accounts=accounts, p2p=port_base)
            check_ports(network.shape.ports, nodes=len(network.nodes))
        stay_up(options, network, _announcement)


@testnet.command(epilog="Example: cccnode testnet down --home .demo")
@also_here
@pass_options
def down(options: Options) -> None:
    """Stop a running test network from another terminal; its chain stays."""
    network = Testnet.open(options.home)
    _stop(network)
    if options.json:
        output.emit_json({"running": False})
    output.say(options.text("The test network is stopped.", "หยุดเครือข่ายทดสอบแล้ว"))


@testnet.command(epilog="Example: cccnode testnet reset --home .demo")
@also_here
@pass_options
def reset(options: Options) -> None:
    """Stop the test network and wipe it: chain, keys and settings."""
    network = Testnet.find(options.home)
    if network is None:
        output.say(options.text("There is no test network here.", "ไม่มีเครือข่ายทดสอบที่นี่"))
        return
    if sys.stdin.isatty() and not options.yes:
        click.confirm(f"Wipe the test network in {options.home.root}?", abort=True, err=True)
    _stop(network)
    network.remove()
    output.say(options.text("Wiped.", "ล้างข้อมูลแล้ว"))


@testnet.command(epilog="Example: cccnode testnet kill 3")
@click.argument("index", metavar="N", type=int)
@click.option("--signal", "name", type=click.Choice(["KILL", "TERM"]), default="KILL", help="How [KILL].")
@also_here
@pass_options
def kill(options: Options, index: int, name: str) -> None:
    """Kill node N of a running test network, at once and without warning."""
    node = Testnet.open(options.home).node(index)
    process = node.process
    if process is None:
        raise fault(errors.TESTNET_NODE, node=index, why="it is not running")
    _signal(process, signal.SIGKILL if name == "KILL" else signal.SIGTERM)
    _until(lambda: node.process != process, node, "it did not end")
    _report(options, node, running=False)


@testnet.command(epilog="Example: cccnode testnet start 3")
@click.argument("index", metavar="N", type=int)
@also_here
@pass_options
def start(options: Options, index: int) -> None:
    """Start node N again; it belongs to the running `testnet up`, whose Ctrl-C stops it too."""
    network = Testnet.open(options.home)
    node = network.node(index)
    supervisor = lock_holder(options.home)
    if supervisor is None:
        raise fault(errors.TESTNET_NODE, node=index, why="no `cccnode testnet up` is running here")
    if node.process is not None:
        raise fault(errors.TESTNET_NODE, node=index, why="it is running already")
    from cccnode.cli.supervisor import request_start  # noqa: PLC0415 - pulls in aiohttp

    request_start(options.home, index, supervisor)
    _until(lambda: _listens(node), node, "it does not answer")
    _report(options, node, running=True)


def stay_up(options: Options, network: Testnet, announcement: Announcement) -> None:
    """Run every node of a network whose home is locked, say what one can do with it, and stay until Ctrl-C."""
    asyncio.run(_up(options, network, announcement))


async def _up(options: Options, network: Testnet, announcement: Announcement) -> None:
    from cccnode.cli.supervisor import Supervisor  # noqa: PLC0415 - pulls in aiohttp

    count = len(network.nodes)
    output.say(
        options.text(
            f"Starting {count} node{'s' * (count > 1)} in {network.home.root}",
            f"กำลังเริ่ม {count} โหนด ข้อมูลอยู่ใน {network.home.root}",
        )
    )
    supervisor = Supervisor(network, output.say)
    async with supervisor.running():
        if not supervisor.stopping:
            await _announce(options, network, announcement)
            await supervisor.until_stopped()
        output.say(options.text("Stopping every node ...", "กำลังหยุดทุกโหนด ..."))
    output.say(options.text("All nodes stopped.", "ทุกโหนดหยุดแล้ว"))


async def _announce(options: Options, network: Testnet, announcement: Announcement) -> None:
    """Everything a newcomer needs: chain, addresses, accounts, and two lines that send money."""
    offer = await demo_offer(network)
    if options.json:
        output.emit_json(offer)
        sys.stdout.flush()
        return
    click.echo("\n".join(announcement(options, network, offer)))
    sys.stdout.flush()


def _announcement(options: Options, network: Testnet, offer: dict[str, Any]) -> list[str]:
    text = options.text
    accounts = [(account["name"], account["account"]) for account in offer["accounts"]]
    nodes = [
        (f"node {node['index']}", node["rpc"], "" if node["validator"] else text("(peer)", "(ไม่ลงคะแนน)"))
        for node in offer["nodes"]
    ]
    until = time.strftime("%H:%M:%S", time.localtime(int(offer["valid_until_ms"]) / 1000))
    return [
        "",
        f"{text('Chain', 'เครือข่าย')}    {offer['chain']}",
        "",
        text("RPC addresses", "ที่อยู่ RPC"),
        *output.table(nodes),
        "",
        text("Funded demo accounts (unencrypted keys in ", "บัญชีสาธิต (กุญแจไม่เข้ารหัสอยู่ใน ") + f"{network.home.keys})",
        *output.table(accounts),
        "",
        text(
            f"Send 5 CCC from demo1 to demo2 and wait until it is final (this line works until {until}):",
            f"โอน 5 CCC จาก demo1 ไป demo2 และรอจนเสร็จสิ้น (ใช้ได้ถึง {until}):",
        ),
        offer["curl"],
        "",
        text("The same from the command line, at any time:", "หรือใช้คำสั่งนี้เมื่อใดก็ได้:"),
        offer["cli"],
        "",
        text(
            f"Logs: {network.home.root}/node*/run/node.log. Ctrl-C stops every node; the chain stays.",
            f"บันทึก: {network.home.root}/node*/run/node.log กด Ctrl-C เพื่อหยุดทุกโหนด ข้อมูลยังคงอยู่",
        ),
    ]


async def demo_offer(network: Testnet) -> dict[str, Any]:
    """Chain, nodes, accounts, and two lines that send money: a ready signed `curl` and a CLI command."""
    from cccnode.city.bank.messages import BankTransfer  # noqa: PLC0415
    from cccnode.cli.curl import curl_line  # noqa: PLC0415 - pulls in aiohttp
    from cccnode.client import Account, Client, wall_ms  # noqa: PLC0415

    owners = {}
    for name in network.account_names():
        key = keys.unlock(network.home.account_key(name), role=Role.ACCOUNT)
        owners[name] = Account(account_id(key.public_key), key)
    (first, sender), (second, receiver) = list(owners.items())[:2]
    async with Client(network.nodes[0].rpc) as client:
        limits = (await client.call("chain_validators"))["limits"]
        until = wall_ms() + int(limits["tx_lifetime_max_ms"]) - _DEADLINE_MARGIN_MS
        transfer = BankTransfer(receiver.account, "uccc", DEMO_AMOUNT)
        signed = await client.sign(sender, [transfer], valid_until_ms=until)
        chain = await client.chain()
        curl = curl_line(client.url, signed)
    return {
        "chain": "0x" + chain.hex(),
        "nodes": describe(network),
        "accounts": [{"name": name, "account": account_text(owner.account)} for name, owner in owners.items()],
        "curl": curl,
        "valid_until_ms": str(until),
        "cli": f"{program()} tx transfer {second} {DEMO_AMOUNT} --from {first} --home {_short(network.home.root)}",
        "process": os.getpid(),
    }


def program() -> str:
    """How this program was called, so that a printed line can be pasted."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{_short(Path(sys.executable))} -m cccnode"
    found = shutil.which(called.name)
    return called.name if found and Path(found).absolute() == called.absolute() else _short(called)


def _short(path: Path) -> str:
    """The path as seen from here, when that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


def _same_shape(network: Testnet, **asked: int | None) -> None:
    """Refuse an `up` that asks for another network than the one that is here.  Raises `testnet/OTHER_SHAPE`."""
    shape = network.shape
    has = {"validators": shape.validators, "peers": shape.peers, "accounts": shape.accounts, "p2p": shape.ports["p2p"]}
    differs = {name: wanted for name, wanted in asked.items() if wanted not in (None, has[name])}
    other = {name: f"{has[name]} here, {wanted} asked" for name, wanted in differs.items()}
    if other:
        raise fault(errors.TESTNET_MIXED, home=str(network.home.root), **other)


def _stop(network: Testnet) -> None:
    """End the supervisor, and any node that a killed supervisor might have left."""
    supervisor = lock_holder(network.home)
    if supervisor is not None:
        _signal(supervisor, signal.SIGTERM)
        _until(lambda: lock_holder(network.home) is None, network.nodes[0], "`testnet up` did not end")
    for node in network.nodes:
        process = node.process
        if process is not None:
            _signal(process, signal.SIGTERM)
            _until(lambda node=node: node.process is None, node, "it did not end")  # type: ignore[misc]


def _signal(process: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended a moment ago."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


def _until(true: Callable[[], bool], node: TestnetNode, why: str) -> None:
    """Wait for another process.  Raises `testnet/NOT_READY`."""
    end = time.monotonic() + _GIVE_UP_S
    while not true():
        if time.monotonic() > end:
            raise fault(errors.TESTNET_NOT_READY, node=node.index, why=why, log=str(node.log))
        time.sleep(0.05)


def _listens(node: TestnetNode) -> bool:
    import socket  # noqa: PLC0415 - one probe

    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, int(node.rpc.rpartition(":")[2]))) == 0


def _report(options: Options, node: TestnetNode, *, running: bool) -> None:
    if options.json:
        output.emit_json({"node": node.index, "running": running, "process": node.process})
    elif running:
        output.say(options.text(f"Node {node.index} runs.", f"โหนด {node.index} ทำงานแล้ว"))
    else:
        output.say(options.text(f"Node {node.index} is dead.", f"โหนด {node.index} หยุดแล้ว"))
