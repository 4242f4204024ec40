"""`cccnode db prune`: a stopped node within its policies."""

from typing import Any

import click

from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import load
from cccnode.home import HomeLock


@click.command(epilog="Example: cccnode db prune --home ~/.cccnode --set retention.blocks=7d")
@click.option("--set", "flags", multiple=True, metavar="SECTION.KEY=VALUE", help="A policy for this once.")
@also_here
@pass_options
def prune(options: Options, flags: tuple[str, ...]) -> None:
    """Drop what the policies of a stopped node no longer keep. A running node does that by itself."""
    from cccnode.node.stopped import prune as prune_home  # noqa: PLC0415 - the city's rules, needed here only

    config = load(options, flags).config
    with HomeLock.take(config.home):
        found: Any = prune_home(config)
    if options.json:
        output.emit_json({what: {kind: str(value) for kind, value in row.items()} for what, row in found.items()})
        return
    rows = []
    for kind, size in found["freed_bytes"].items():
        since = found["earliest"].get(kind)
        kept = "" if since is None else options.text(f"kept from height {since}", f"เก็บตั้งแต่ความสูง {since}")
        rows.append((kind, kept, options.text(f"{size / 1e6:,.1f} MB freed", f"คืนพื้นที่ {size / 1e6:,.1f} MB")))
    for line in output.table(rows, indent=""):
        click.echo(line)
