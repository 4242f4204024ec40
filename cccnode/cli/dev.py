"""`cccnode dev`: one validator with funded accounts, for whoever develops against a node; nothing to prepare."""

import time
from pathlib import Path
from typing import Any, Final

import click

from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.testnet import stay_up
from cccnode.cli.testnet_files import Testnet, check_ports, prepare
from cccnode.config import PORTS
from cccnode.home import Home, HomeLock
from cccnode.types import errors
from cccnode.types.errors import fault

HOME: Final = "~/.cccnode-dev"
"""Beside the home of a real node, never in it."""
ACCOUNTS: Final = ("citizen", "hospital", "farmer")


@click.command(epilog="Example: cccnode dev --reset --home .dev")
@click.option("--reset", is_flag=True, help="Begin anew: wipe chain, keys and settings first.")
@click.option("--port-base", type=click.IntRange(1024, 32_000), help=f"First port [{PORTS['p2p']}].")
@also_here
@pass_options
def dev(options: Options, *, reset: bool, port_base: int | None) -> None:
    """Run one validator with three funded accounts until Ctrl-C; the next call continues the same chain."""
    options.home_path = options.home_path or HOME
    home = options.home
    if reset:
        _wipe(home)
    with HomeLock.take(home):
        network = _find(home) or _make(home, port_base or PORTS["p2p"])
        if port_base not in (None, network.shape.ports["p2p"]):
            raise fault(errors.TESTNET_MIXED, home=str(home.root), p2p=f"{network.shape.ports['p2p']} here")
        check_ports(network.shape.ports, nodes=1)
        stay_up(options, network, _announcement)


def _find(home: Home) -> Testnet | None:
    """The developer's network in this folder.  Raises `testnet/OTHER_SHAPE` when a test network is there."""
    network = Testnet.find(home)
    if network is not None and network.shape.names != ACCOUNTS:
        raise fault(errors.TESTNET_MIXED, home=str(home.root), made_by="cccnode testnet up")
    return network


def _make(home: Home, base: int) -> Testnet:
    ports = {name: base + i for i, name in enumerate(PORTS)}
    check_ports(ports, nodes=1)
    return prepare(home, validators=1, accounts=len(ACCOUNTS), names=ACCOUNTS, ports=ports, profile="dev")


def _wipe(home: Home) -> None:
    """Remove what an earlier call made.  Raises `home/LOCKED` while that runs."""
    network = _find(home)
    if network is None:
        return
    for held in (home, network.nodes[0].home):
        with HomeLock.take(held):  # nobody works with it now
            pass
    network.remove()


def _announcement(options: Options, network: Testnet, offer: dict[str, Any]) -> list[str]:
    text, node = options.text, network.nodes[0]
    until = time.strftime("%H:%M:%S", time.localtime(int(offer["valid_until_ms"]) / 1000))
    addresses = [
        (text("Chain", "เครือข่าย"), offer["chain"]),
        ("RPC", f"http://{node.rpc}/rpc"),
        (text("Metrics", "ตัวชี้วัด"), f"http://{node.ops}/metrics"),
        (text("Health", "สุขภาพ"), f"http://{node.ops}/readyz"),
        (text("Log", "บันทึก"), str(node.log)),
    ]
    return [
        "",
        *output.table(addresses, indent=""),
        "",
        text("Funded accounts (unencrypted keys in ", "บัญชีที่มีเงิน (กุญแจไม่เข้ารหัสอยู่ใน ") + f"{network.home.keys})",
        *output.table([(account["name"], account["account"]) for account in offer["accounts"]]),
        "",
        text("Ask the node something:", "ถามโหนด:"),
        ask_line(node.rpc),
        "",
        text(
            f"Send 5 CCC from citizen to hospital and wait until it is final (this line works until {until}):",
            f"โอน 5 CCC จาก citizen ไป hospital และรอจนเสร็จสิ้น (ใช้ได้ถึง {until}):",
        ),
        offer["curl"],
        "",
        text("The same from the command line, at any time:", "หรือใช้คำสั่งนี้เมื่อใดก็ได้:"),
        offer["cli"],
        "",
        _ending(options, network.home.root),
    ]


def ask_line(address: str) -> str:
    """A line for the shell that asks the node at `host:port` how it is."""
    return f"curl -s http://{address}/rpc -d '" + '{"jsonrpc":"2.0","id":1,"method":"chain_status"}' + "'"


def _ending(options: Options, root: Path) -> str:
    return options.text(
        f"Ctrl-C stops it; state in {root}; `cccnode dev --reset` begins anew.",
        f"กด Ctrl-C เพื่อหยุด ข้อมูลอยู่ใน {root} ใช้ `cccnode dev --reset` เพื่อเริ่มใหม่",
    )
