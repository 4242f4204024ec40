"""`cccnode card`: make a network card of a running node, show what one says."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from cccnode.card import (
    CARD_PREFIX,
    CONTACTS_MAX,
    Card,
    Checkpoint,
    Contact,
    card_text,
    check_expiry,
    read_card,
)
from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import talk
from cccnode.cli.testnet_files import Testnet
from cccnode.client import Client
from cccnode.home import disk_fault
from cccnode.types import errors
from cccnode.types.errors import Fault, fault
from cccnode.types.units import DAY_MS
from cccnode.types.validators import node_id

DAYS_DEFAULT: Final = 30
CONTACTS_DEFAULT: Final = 4
LOOPBACK: Final = ("127.", "localhost:", "[::1]")
"""How an address begins that only its own machine reaches."""
_FILE_BYTES_MAX: Final = 64 * 1024


@click.group(epilog="Example: cccnode card make --days 30")
def card() -> None:
    """Network cards: make, show."""


@card.command(epilog="Example: cccnode card show network.card")
@click.argument("text", metavar="CARD|FILE")
@also_here
@pass_options
def show(options: Options, text: str) -> None:
    """Show what a network card says, and whether it may still be used."""
    found = card_of(text)
    now_ms = time.time_ns() // 1_000_000
    shown = card_json(found, now_ms)
    if options.json:
        output.emit_json(shown)
    else:
        for line in _lines(found, shown):
            click.echo(line)
    try:
        check_expiry(found, now_ms)
    except Fault as expired:
        raise output.from_fault(expired, printed=options.json) from expired


@card.command(epilog="Example: cccnode card make --rpc https://node.example.org --days 30 > network.card")
@click.option("--days", type=click.IntRange(1, 366), default=DAYS_DEFAULT, help=f"Good for so long [{DAYS_DEFAULT}].")
@click.option("--rpc", "rpcs", multiple=True, metavar="ADDRESS", help="RPC address of a further node to name.")
@click.option("--org", "only", multiple=True, metavar="NAME", help="Name these organisations' nodes only.")
@also_here
@pass_options
def make(options: Options, days: int, rpcs: tuple[str, ...], only: tuple[str, ...]) -> None:
    """Print a card of the network that a running node belongs to: its validators, and its tip as checkpoint."""
    seen = talk(options, lambda node: _look(node, [*rpcs, *_others(options)]))
    status = seen.status
    made = Card(
        _bytes(status["chain"]),
        status["chain_name"],
        tuple(_contacts(seen, only)),
        Checkpoint(int(status["height"]), _bytes(status["block_id"])),
        time.time_ns() // 1_000_000 + days * DAY_MS,
    )
    text = card_text(made)
    if options.json:
        output.emit_json({"card": text, **card_json(made, 0)})
        return
    click.echo(text)
    for warning in _warnings(options, made):
        output.say(warning)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the asked nodes say."""

    status: Mapping[str, Any]
    """Of the first of them."""
    nodes: Sequence[Mapping[str, Any]]
    """The registry's."""
    rpcs: Mapping[str, str]
    """RPC address by node key, of every node asked."""
    listening: Mapping[str, str]
    """Where connected nodes say that they are dialled."""


async def _look(node: Client, others: Sequence[str]) -> _Seen:
    """Ask a node for the network, and each other address for the node behind it."""
    status = await node.status()
    rpcs = {status["node"]: _short(node.url)}
    for address in others:
        async with Client(address) as other:
            its = await other.status()
        if its["chain"] != status["chain"]:
            raise fault(errors.WRONG_CHAIN, address=address, chain=its["chain"], expected=status["chain"])
        rpcs.setdefault(its["node"], _short(address))
    peers = (await node.call("net_peers"))["peers"]
    listening = {row["node"]: row["listen"] for row in peers if row["listen"] and not _is_nowhere(row["listen"])}
    return _Seen(status=status, nodes=await node.call("registry_nodes"), rpcs=rpcs, listening=listening)


def _others(options: Options) -> list[str]:
    """On a test network, the RPC addresses of all its running nodes."""
    network = Testnet.find(options.home)
    return [] if network is None else [node.rpc for node in network.nodes if node.process is not None]


def card_of(text: str, *, now_ms: int | None = None) -> Card:
    """The card that a person gave, as text or as a file that holds it; with `now_ms` also not expired.

    Raises:
        Fault: `card/...`, or what the disk says of the file.
    """
    found = read_card(content_of(text, CARD_PREFIX))
    if now_ms is not None:
        check_expiry(found, now_ms)
    return found


def card_json(found: Card, now_ms: int) -> dict[str, object]:
    """What a card says, for programs."""
    return {
        "chain": "0x" + found.chain.hex(),
        "network": found.network,
        "contacts": [
            {
                "node": "0x" + contact.node_key.hex(),
                "node_id": node_id(contact.node_key).hex(),
                "address": contact.address,
                "rpc": contact.rpc,
            }
            for contact in found.contacts
        ],
        "checkpoint": {
            "height": str(found.checkpoint.height),
            "block_id": "0x" + found.checkpoint.block_id.hex(),
        },
        "expires_ms": str(found.expires_ms),
        "expired": now_ms >= found.expires_ms,
    }


def content_of(text: str, prefix: str) -> str:
    """A long text that a person pasted, or what the file holds that was named instead."""
    if text.strip().lower().startswith(prefix + "1"):
        return text
    path = Path(text).expanduser()
    try:
        if not path.is_file():
            return text  # the codec says what is wrong with it
        with path.open(encoding="utf-8") as file:
            return file.read(_FILE_BYTES_MAX)
    except UnicodeDecodeError:
        return text
    except OSError as error:
        raise disk_fault(error, path) from error


def _contacts(seen: _Seen, only: Sequence[str]) -> list[Contact]:
    """The nodes to name: the asked ones, connected validators, others; only of `only` where it is given."""
    known = sorted({row["organisation"] for row in seen.nodes})
    for name in only:
        if name not in known:
            raise fault(errors.NOT_FOUND, organisation=name, organisations=", ".join(known))

    def rank(row: Mapping[str, Any]) -> tuple[bool, bool, bool]:
        return row["node_key"] not in seen.rpcs, not row["validator"], row["node_key"] not in seen.listening

    where = {
        row["node_key"]: seen.listening.get(row["node_key"]) or next(iter(row["addresses"]), "") for row in seen.nodes
    }
    rows = [row for row in seen.nodes if where[row["node_key"]] and (not only or row["organisation"] in only)]
    if not rows:
        raise fault(errors.NOT_FOUND, why="no registered node has an address")
    count = CONTACTS_MAX if only else max(CONTACTS_DEFAULT, min(CONTACTS_MAX, len(seen.rpcs)))
    return [
        _contact(row["node_key"], where[row["node_key"]], seen.rpcs.get(row["node_key"], ""))
        for row in sorted(rows, key=rank)[:count]
    ]


def _contact(node_key: str, address: str, rpc: str) -> Contact:
    """A contact; that its operator asked it on its own machine does not help a newcomer on another."""
    useless = rpc.startswith(LOOPBACK) and not address.startswith(LOOPBACK)
    return Contact(_bytes(node_key), address, "" if useless else rpc)


def _short(url: str) -> str:
    """An RPC address as a card holds it."""
    return url.rstrip("/").removesuffix("/rpc").removeprefix("http://")


def _is_nowhere(address: str) -> bool:
    """Whether it says only that a node listens on every address of its machine."""
    return address.startswith(("0.0.0.0:", "[::]:"))


def _warnings(options: Options, made: Card) -> list[str]:
    warnings = []
    if len(made.contacts) == 1:
        warnings.append(
            options.text(
                "Warning: it names one node only, and is worth nothing while that node is down.",
                "คำเตือน: การ์ดระบุโหนดเดียว ใช้ไม่ได้เมื่อโหนดนั้นหยุด",
            )
        )
    if not made.rpc_addresses:
        warnings.append(
            options.text(
                "Warning: it names no RPC address, so newcomers need the genesis document too; name one with --rpc.",
                "คำเตือน: การ์ดไม่มีที่อยู่ RPC ผู้เข้าร่วมต้องมีเอกสาร genesis ด้วย ระบุที่อยู่ด้วย --rpc",
            )
        )
    loopback = [contact.address for contact in made.contacts if contact.address.startswith(LOOPBACK)]
    if loopback:
        warnings.append(
            options.text(
                f"Warning: {', '.join(loopback)}: only this machine reaches such an address.",
                f"คำเตือน: {', '.join(loopback)} ติดต่อได้จากเครื่องนี้เท่านั้น",
            )
        )
    return warnings


def _lines(found: Card, shown: Mapping[str, Any]) -> list[str]:
    expires = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found.expires_ms / 1000))
    rows = [
        ("network", found.network),
        ("chain", shown["chain"]),
        ("checkpoint", f"height {found.checkpoint.height}, block {shown['checkpoint']['block_id']}"),
        ("expires", f"{expires}{' (EXPIRED)' if shown['expired'] else ''}"),
    ]
    contacts = [
        (f"node {row['node_id']}", row["address"], f"rpc {row['rpc']}" if row["rpc"] else "")
        for row in shown["contacts"]
    ]
    return [*output.table(rows, indent=""), "contacts", *output.table(contacts)]


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
