"""`cccnode snapshot`: certified snapshots of the state: take one, list, verify, begin a home at one."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import click

from cccnode.cli import output
from cccnode.cli.council import duration
from cccnode.cli.incident import ops_address
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import from_client
from cccnode.cli.testnet_files import Testnet
from cccnode.client import error_from
from cccnode.driver.certified import Certified
from cccnode.home import Home, HomeLock
from cccnode.rpc.photos import SNAPSHOT_PATH, described
from cccnode.types import errors
from cccnode.types.errors import fault
from storage.files import RealDisk
from storage.snapshots import FOLDER, Shelf, read_manifest

_PATIENCE_S: Final = 3_600
"""A snapshot of a large state takes minutes, and then waits for the block that certifies it."""
_SHOWN_EVERY: Final = 16
"""Pieces between two lines of progress."""


@click.group(epilog="Example: cccnode snapshot list")
def snapshot() -> None:
    """Certified snapshots of the state: create, list, verify, restore."""


@snapshot.command(epilog="Example: cccnode snapshot create --node 0")
@click.option("--ops", metavar="HOST:PORT", default="", help="The node's operator port [from the home's settings].")
@also_here
@pass_options
def create(options: Options, *, ops: str) -> None:
    """Let a running node take one now, beside its work.

    It is whole once a later block certifies it: at an idle network that is the next heartbeat.  A node that is stopped
    cannot take one, because nothing certifies the newest state that it has.
    """
    address = ops_address(options, ops)
    _show(options, asyncio.run(_ask(address)))


@snapshot.command("list", epilog="Example: cccnode snapshot list --home ~/.cccnode --output json")
@also_here
@pass_options
def list_(options: Options) -> None:
    """The snapshots in a home, newest last."""
    shelf = _shelf(_home(options).data)
    found = [described(read_manifest(shelf.manifest(height))) for height in shelf.heights()]
    if options.json:
        output.emit_json(found)
        return
    rows = [(row["height"], f"{row['groups']} groups", f"{row['bytes']} bytes", row["state_root"]) for row in found]
    for line in output.table(rows, indent="") or [options.text("None.", "ไม่มี")]:
        click.echo(line)


@snapshot.command(epilog="Example: cccnode snapshot verify 10000")
@click.argument("height", type=click.IntRange(min=1))
@click.option("--from", "folder", type=click.Path(path_type=Path, file_okay=False), help="Where it lies [the home].")
@also_here
@pass_options
def verify(options: Options, *, height: int, folder: Path | None) -> None:
    """Check a snapshot from the genesis document of this home on: its certificates, and every piece."""
    from cccnode.node.restoring import certified_here, check_pieces  # noqa: PLC0415 - the whole node, needed here only

    home = _home(options)
    shelf = _shelf(folder or home.data)
    certified = certified_here(home, shelf, height)
    _progress(options, certified, check_pieces(certified, shelf))
    _show(options, described(certified.manifest) | {"verified": True})


@snapshot.command(epilog="Example: cccnode snapshot restore 10000 --from /mnt/usb --home ~/.cccnode")
@click.argument("height", type=click.IntRange(min=1))
@click.option("--from", "folder", type=click.Path(path_type=Path, file_okay=False), help="Where it lies [the home].")
@also_here
@pass_options
def restore(options: Options, *, height: int, folder: Path | None) -> None:
    """Begin a stopped home at a snapshot, checked like `verify` does; keys and votes stay as they are."""
    from cccnode.node.restoring import certified_here, restore_home  # noqa: PLC0415 - as above

    home = _home(options)
    with HomeLock.take(home):
        shelf = _shelf(folder or home.data)
        certified = certified_here(home, shelf, height)
        _progress(options, certified, restore_home(home, certified, shelf))
    _show(options, described(certified.manifest) | {"restored": True})


def _home(options: Options) -> Home:
    """The home of the node that is meant: `--node N` of a test network, or `--home`."""
    home = Testnet.open(options.home).node(int(options.node)).home if options.node.isdigit() else options.home
    if not home.genesis_file.exists():
        raise fault(errors.HOME_EMPTY, home=str(home.root), missing=home.genesis_file.name)
    return home


def _shelf(folder: Path) -> Shelf:
    """The snapshots under a folder: the data of a home, or what was copied from it."""
    name = FOLDER if (folder / FOLDER).is_dir() or not folder.exists() else "."
    return Shelf(RealDisk(folder), name)


def _progress(options: Options, certified: Certified, steps: Iterator[int]) -> None:
    """Take all steps; say on a terminal how far it is."""
    runtime, pieces = asyncio.new_event_loop(), certified.manifest.pieces
    began = runtime.time()
    shown = sys.stderr.isatty() and not options.json
    for number in steps:
        if shown and number % _SHOWN_EVERY == 0 and number:
            spent = max(runtime.time() - began, 1e-3)
            left = duration(int(1000 * spent * (pieces - number) / number))
            rate = certified.manifest.content.size * number / pieces / spent / 1e6
            click.echo(f"\r  {100 * number // pieces} %  {rate:.1f} MB/s  {left}    ", err=True, nl=False)
    if shown:
        click.echo("\r" + " " * 40 + "\r", err=True, nl=False)
    runtime.close()


async def _ask(address: str) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=_PATIENCE_S, sock_connect=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"http://{address}{SNAPSHOT_PATH}", json={}) as response,
        ):
            answer: dict[str, Any] = await response.json()
    except (aiohttp.ClientError, ConnectionError, TimeoutError, ValueError) as error:
        raise output.trouble(errors.UNREACHABLE, ops=address, why=str(error) or "no answer in time") from error
    if "error" in answer:
        raise from_client(error_from(answer["error"]))
    return answer


def _show(options: Options, found: dict[str, Any]) -> None:
    if options.json:
        output.emit_json(found)
        return
    for line in output.table(list(found.items()), indent=""):
        click.echo(line)
