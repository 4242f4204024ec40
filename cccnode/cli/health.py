"""`cccnode health`: ready or not, as an exit code, for containers, load balancers and scripts."""

import click
import msgspec

from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options


@click.command(epilog="Example: cccnode health --node 0")
@click.option("--ops", metavar="HOST:PORT", default="", help="The node's operator port [from the home's settings].")
@also_here
@pass_options
def health(options: Options, *, ops: str) -> int:
    """Ask a running node whether it is ready; exit code 0, or 75 with every check that fails."""
    from cccnode.cli.incident import ops_address  # noqa: PLC0415 - pulls in aiohttp
    from cccnode.cli.operating import ask  # noqa: PLC0415 - as above

    report = msgspec.json.decode(ask(ops_address(options, ops), "/readyz"))
    if options.json:
        output.emit_json(report)
    elif report["ready"]:
        click.echo(options.text("ready", "พร้อม"))
    for failed in [] if options.json else report["failed_checks"]:
        thai = options.lang == "th"
        click.echo(f"{failed['check']}: {failed['code']}: {failed['text_th'] if thai else failed['text']}")
        click.echo(f"  {options.text('remedy', 'วิธีแก้')}: {failed['remedy_th'] if thai else failed['remedy']}")
    return output.OK if report["ready"] else output.TEMPORARY
