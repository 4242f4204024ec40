"""`cccnode export`: the chain in a database, filled by a process beside the node."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from cccnode.cli import output
from cccnode.cli.node import run_until_stopped
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import from_client, node_addresses
from cccnode.client import Client, ClientError
from cccnode.export.database import Engine, opened
from cccnode.export.postgres import PostgresEngine
from cccnode.export.runner import LANES_MAX, Exporter
from cccnode.export.sqlite import SqliteEngine
from cccnode.types.errors import EXPORT_TARGET, Fault, fault

_SQLITE: Final = "sqlite:"
_POSTGRES: Final = ("postgresql://", "postgres://")


@click.group(epilog="Example: cccnode export run --to sqlite:chain.db")
def export() -> None:
    """The chain in a database: SQLite or PostgreSQL."""


@export.command(epilog="Example: cccnode export run --node 10.0.0.1:27601 --to postgresql://export@db/chain")
@click.option("--to", "target", required=True, metavar="URL", help="sqlite:FILE, or postgresql://USER@HOST/DATABASE.")
@click.option("--from", "first", type=click.IntRange(1), default=1, show_default=True, help="First height to export.")
@click.option("--until", type=click.IntRange(1), help="Stop after this height [follow the chain].")
@click.option("--lanes", type=click.IntRange(1, LANES_MAX), default=4, show_default=True, help="Ranges at a time.")
@also_here
@pass_options
def run(options: Options, *, target: str, first: int, until: int | None, lanes: int) -> None:
    """Fill the tables and follow the chain until Ctrl-C.

    May be killed at any time: it goes on where it was, and no row is written twice. The node never waits for it.
    """
    url = node_addresses(options)[0]
    try:
        run_until_stopped(_run(options, url, target, first=first, until=until, lanes=lanes))
    except ClientError as error:
        raise from_client(error) from error
    except BaseExceptionGroup as group:
        refusal = _first(group.exceptions)
        if refusal is None:
            raise
        raise from_client(refusal) from group


async def _run(options: Options, url: str, target: str, *, first: int, until: int | None, lanes: int) -> None:
    def waiting(error: Exception) -> None:
        waits = not isinstance(error, Fault) or error.spec.retryable
        then = options.text("trying again", "ลองใหม่") if waits else options.text("going on", "ทำต่อ")
        output.say(f"{error}; {then}")

    async with Client(url) as client:
        chain = str((await client.status())["chain"])
        async with opened(await _engine(target, lanes), chain) as database:
            exporter = Exporter(
                client=client,
                database=database,
                chain=chain,
                lanes=lanes,
                first=first,
                until=until,
                waiting=waiting,
            )
            await exporter.run()


async def _engine(target: str, lanes: int) -> Engine:
    """The database behind the address.

    Raises:
        Fault: export/TARGET or export/DRIVER.
    """
    if target.startswith(_SQLITE) and len(target) > len(_SQLITE):
        return await asyncio.to_thread(SqliteEngine, Path(target.removeprefix(_SQLITE)))
    if target.startswith(_POSTGRES):
        return await PostgresEngine.connect(target, connections=lanes + 1)
    raise fault(
        EXPORT_TARGET, target=target.partition("@")[2] or target, reason="neither sqlite:FILE nor postgresql://"
    )


def _first(errors: Sequence[BaseException]) -> ClientError | None:
    """A client's error out of a group of groups."""
    for error in errors:
        found = _first(error.exceptions) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, ClientError):
            return found
    return None
