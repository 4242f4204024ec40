"""`cccnode config`: is it right, what is it, which layer says so, and what is there to set."""

import click

from cccnode.cli import output
from cccnode.cli.describing import config_schema, settings
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import load
from cccnode.config import Config, toml_text
from cccnode.types import errors
from cccnode.types.errors import fault


@click.group(epilog="Example: cccnode config check")
def config() -> None:
    """Settings: check, show, docs, schema."""


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


@config.command(epilog="Example: cccnode config docs rpc")
@click.argument("word", default="")
@also_here
@pass_options
def docs(options: Options, *, word: str) -> None:
    """Explain every setting with its default, or those whose name holds WORD."""
    defaults = Config(home=options.home, profile="")
    shown = {
        key: {"default": getattr(getattr(defaults, key.partition(".")[0]), key.partition(".")[2]), "means": means}
        for key, means in settings().items()
        if word in key
    }
    if not shown:
        raise fault(errors.CONFIG_INVALID, problems=[f"no setting is named like {word!r}"])
    if options.json:
        output.emit_json(shown)
        return
    for key, row in shown.items():
        click.echo(f"{key} = {toml_text(row['default'])}\n    {row['means']}")


@config.command(epilog="Example: cccnode config schema > config.schema.json")
@also_here
@pass_options
def schema(options: Options) -> None:
    """Print the JSON Schema of config.toml, for editors."""
    output.emit_json(config_schema())
