"""`cccnode doctor divergence`: what a diverged node computed otherwise, as a report that it signs.

The report is JSON: the findings, the node's public key, and its signature over "ccc/1/divergence" and the findings in
their one form (names sorted, no spaces).
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from cccnode import keys
from cccnode.cli import output
from cccnode.cli.differing import Search, Source
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import from_client, load
from cccnode.cli.testnet_files import Testnet
from cccnode.client import Client, ClientError, from_hex, to_hex, wall_ms
from cccnode.crypto.hashing import DIVERGENCE
from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import verify
from cccnode.home import Home, disk_fault
from cccnode.keys import Role
from cccnode.node.data import read_home_genesis
from cccnode.node.replaying import Start, at_genesis, at_snapshot
from cccnode.node.restoring import certified_here
from cccnode.types.errors import NO_WITNESS, REPORT_INVALID, Fault, fault
from storage.files import RealDisk
from storage.snapshots import Shelf

VERSION: Final = 1
REPORT_BYTES_MAX: Final = 16 * 1024 * 1024
_SHOWN: Final = 8
"""Keys and transactions on a screen; the file has all."""
_SORTED: Final = msgspec.json.Encoder(order="sorted")
_SPEAK_EVERY: Final = 1_000
"""Blocks between two lines of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Patient:
    """The node that went wrong, and whom to compare it with."""

    home: Home
    url: str
    peers: tuple[str, ...]


@click.command(epilog="Example: cccnode doctor divergence --peer 10.0.0.2:27601 --out divergence.json")
@click.option("--peer", "peers", multiple=True, metavar="URL", help="A healthy node to compare with; several may help.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The report [divergence-HEIGHT.json].")
@click.option("--verify", "file", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Check a report.")
@also_here
@pass_options
def divergence(options: Options, *, peers: tuple[str, ...], out: Path | None, file: Path | None) -> int:
    """Find block, key and transaction of which a diverged node made something else, and write a signed report.

    Executes the chain again in memory, from the node's newest snapshot before the difference, else from genesis. The
    node may run, as may its peers.
    """
    if file is not None:
        report = _verified(file)
        _show(options, report["findings"], file, signed_by=report["node_key"])
        return output.OK
    patient = _patient(options, peers)
    try:
        findings = asyncio.run(_search(options, patient))
    except ClientError as error:
        raise from_client(error) from error
    path = out or Path(f"divergence-{findings['height']}.json")
    _write(path, sign_report(findings, _node_key(options, patient.home)))
    _show(options, findings, path)
    return output.OK


def sign_report(findings: Mapping[str, Any], key: SigningKey) -> dict[str, Any]:
    """The report over these findings."""
    signature = key.sign(DIVERGENCE + _SORTED.encode(findings))
    return {"findings": findings, "node_key": to_hex(key.public_key), "signature": to_hex(signature)}


def check_report(raw: bytes) -> dict[str, Any]:
    """A report whose signature holds.

    Raises:
        Fault: divergence/REPORT_INVALID.
    """
    try:
        report = msgspec.json.decode(raw)
        findings = report["findings"]
        key, signature = from_hex(report["node_key"]), from_hex(report["signature"])
        named = findings["node"] == report["node_key"] and findings["version"] == VERSION
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise fault(REPORT_INVALID, reason=f"it is no report: {error}") from error
    if not named:
        raise fault(REPORT_INVALID, reason="it is signed by another node than it speaks of, or of another version")
    if len(key) != 32 or len(signature) != 64 or not verify(DIVERGENCE + _SORTED.encode(findings), signature, key):
        raise fault(REPORT_INVALID, reason="the signature does not hold")
    checked: dict[str, Any] = report
    return checked


def _verified(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            raw = opened.read(REPORT_BYTES_MAX + 1)
    except OSError as error:
        raise disk_fault(error, file) from error
    if len(raw) > REPORT_BYTES_MAX:
        raise fault(REPORT_INVALID, reason="it is too long")
    return check_report(raw)


def _patient(options: Options, peers: Sequence[str]) -> _Patient:
    """Of a test network a node by its number, else the node of the home.

    Raises:
        Fault: `testnet/NO_SUCH_NODE`, `config/INVALID`, or divergence/NO_WITNESS: nobody to compare with.
    """
    network = Testnet.find(options.home)
    if network is not None:
        chosen = network.node(int(options.node) if options.node.isdigit() else 0)
        others = tuple(node.rpc for node in network.nodes if node.index != chosen.index)
        return _Patient(home=chosen.home, url=chosen.rpc, peers=tuple(peers) or others)
    if not peers:
        raise fault(NO_WITNESS, asked=[])
    return _Patient(home=options.home, url=options.node or load(options).config.rpc.listen, peers=tuple(peers))


async def _search(options: Options, patient: _Patient) -> dict[str, Any]:
    def progress(height: int, target: int) -> None:
        if height % _SPEAK_EVERY == 0:
            output.say(options.text(f"executed {height} of {target}", f"ประมวลผลแล้ว {height} จาก {target}"))

    async with AsyncExitStack() as stack:
        own, *others = [Source(await stack.enter_async_context(Client(url))) for url in (patient.url, *patient.peers)]
        findings = await Search(own=own, peers=others, begin=partial(begin, patient.home), progress=progress).run()
    return {"version": VERSION, "made_ms": wall_ms(), **findings}


def begin(home: Home, height: int) -> Start:
    """The newest snapshot of a home that holds, up to a height, else genesis: certified, so made before the mistake."""
    shelf = Shelf(RealDisk(home.data))
    for at in sorted((at for at in shelf.heights() if at <= height), reverse=True):
        try:
            certified = certified_here(home, shelf, at)
            return at_snapshot(certified, partial(shelf.piece, certified.manifest.content))
        except Fault as damaged:
            output.say(str(damaged))
    return at_genesis(read_home_genesis(home.genesis_file))


def _node_key(options: Options, home: Home) -> SigningKey:
    """The node key of the home, with the passphrase that its settings name."""
    settings = load(replace(options, home_path=str(home.root))).config.keys
    file = Path(settings.passphrase_file) if settings.passphrase_file else None
    return keys.unlock(home.node_key, role=Role.NODE, passphrase=keys.find_passphrase(file))


def _write(path: Path, report: Mapping[str, Any]) -> None:
    raw = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
    try:
        with path.open("xb") as file:
            file.write(raw)
    except FileExistsError as error:
        raise click.UsageError(f"{path} exists already; nothing was changed") from error
    except OSError as error:
        raise disk_fault(error, path) from error


def _show(options: Options, findings: Mapping[str, Any], path: Path, *, signed_by: str = "") -> None:
    if options.json:
        output.emit_json({"file": str(path), "signed_by": signed_by or findings["node"], "findings": findings})
        return
    for line in report_lines(options, findings):
        click.echo("".join(char if char.isprintable() else " " for char in line))
    click.echo(f"{options.text('report', 'รายงาน')}: {path}")
    if signed_by:
        click.echo(f"{options.text('signed by node', 'ลงนามโดยโหนด')}: {signed_by}")


def report_lines(options: Options, findings: Mapping[str, Any]) -> list[str]:
    """The findings for people."""
    text = options.text
    side = findings["replay"]["agrees_with"]
    lines = [
        f"{text('first differing block', 'บล็อกแรกที่ต่าง')}: {findings['height']} {findings['block_id']}",
        f"{text('differing receipts', 'ใบรับที่ต่าง')}: {len(findings['receipts'])}",
    ]
    if findings.get("unknown_until") == findings["height"] - 1:
        lines.append(text("older results are kept no more: it may be older", "ไม่มีผลลัพธ์ที่เก่ากว่านี้แล้ว อาจเกิดก่อนหน้า"))
    for row in findings.get("keys", ())[:_SHOWN]:
        lines += [
            f"{text('key', 'คีย์')}: {row['name']} ({text('bucket', 'บักเก็ต')} {row['bucket']})",
            f"  {text('here', 'ที่นี่')}: {row['ours']}  {text('certified', 'ที่รับรอง')}: {row['certified']}",
        ]
    lines += [f"{text('transaction', 'ธุรกรรม')}: {tx_id}" for tx_id in findings["transactions"][:_SHOWN]]
    meaning = {
        "ours": text(
            "Executing the chain again with this program repeats the difference: compare program versions.",
            "ประมวลผลใหม่ด้วยโปรแกรมนี้ได้ผลต่างเดิม ให้เทียบรุ่นโปรแกรม",
        ),
        "certified": text(
            "Executing the chain again gives the certified results: suspect the machine, or the program it ran then.",
            "ประมวลผลใหม่ได้ผลตามที่รับรอง ให้สงสัยเครื่องหรือโปรแกรมที่ใช้ขณะนั้น",
        ),
        "neither": text(
            "Executing the chain again gives a third result: this program is neither the node's nor the others'.",
            "ประมวลผลใหม่ได้ผลแบบที่สาม โปรแกรมนี้ไม่ตรงกับของใครเลย",
        ),
    }
    why = findings["replay"].get("why", "")
    return [*lines, meaning[side] if side else f"{text('not executed again', 'ไม่ได้ประมวลผลใหม่')}: {why}"]
