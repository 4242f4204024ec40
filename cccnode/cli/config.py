"""`cccnode config`: is it right, what is it, and which layer says so."""

import click

from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import load
from cccnode.config import toml_text


@click.group(epilog="Example: cccnode config check")
def config() -> None:
    """Settings: check, show."""


@config.command(epilog="Example: cccnode config check --set rpc.listen=127.0.0.1:27601")
@click.option("--set", "flags", multiple=True, metavar="SECTION.KEY=VALUE", help="Override one value.")
@also_here
@pass_options
def check(options: Options, flags: tuple[str, ...]) -> None:
    """Check settings from all layers; every problem is listed at once."""
    loaded = load(options, flags)
    if options.json:
        output.emit_json({"valid": True, "profile": loaded.config.profile})
        return
    output.say(options.text("The configuration is valid.", "การตั้งค่าถูกต้อง"))


@config.command(epilog="Example: cccnode config show --origin")
@click.option("--origin", is_flag=True, help="Also say which layer set each value.")
@click.option("--set", "flags", multiple=True, metavar="SECTION.KEY=VALUE", help="Override one value.")
@also_here
@pass_options
def show(options: Options, *, origin: bool, flags: tuple[str, ...]) -> None:
    """Show every setting as the node would use it. `retention.*` says how long what is kept: a role sets it."""
    loaded = load(options, flags)
    values = loaded.values()
    if options.json:
        table = {key: {"value": value, "origin": loaded.origins[key]} for key, value in values.items()}
        output.emit_json(table if origin else dict(values))
        return
    rows = [(key, "=", toml_text(value), f"# {loaded.origins[key]}" if origin else "") for key, value in values.items()]
    for line in output.table(rows, indent=""):
        click.echo(line)
