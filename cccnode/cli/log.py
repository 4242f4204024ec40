"""`cccnode log`: how much a running node says."""

from typing import get_args

import click
import msgspec

from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.config import LogLevel


@click.group(epilog="Example: cccnode log level debug")
def log() -> None:
    """The log of a running node: level."""


@log.command(epilog="Example: cccnode log level debug --node 0")
@click.argument("level", type=click.Choice(get_args(LogLevel)), required=False)
@click.option("--ops", metavar="HOST:PORT", default="", help="The node's operator port [from the home's settings].")
@also_here
@pass_options
def level(options: Options, *, level: str | None, ops: str) -> None:
    """Show or change how loud a running node is, until it is started again; settings stay as they are."""
    from cccnode.cli.incident import ops_address  # noqa: PLC0415 - pulls in aiohttp
    from cccnode.cli.operating import ask  # noqa: PLC0415 - as above
    from cccnode.rpc.levels import LOG_PATH  # noqa: PLC0415 - as above

    answer = msgspec.json.decode(ask(ops_address(options, ops), LOG_PATH, {"level": level} if level else None))
    if options.json:
        output.emit_json(answer)
        return
    click.echo(answer["level"])
