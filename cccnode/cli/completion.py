"""`cccnode completion`: what makes a shell complete subcommands and options."""

from typing import Final

import click
from click.shell_completion import get_completion_class

from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options

SHELLS: Final = ("bash", "zsh", "fish")
VARIABLE: Final = "_CCCNODE_COMPLETE"


@click.command(epilog="Example: cccnode completion bash >> ~/.bash_completion")
@click.argument("shell", type=click.Choice(SHELLS))
@also_here
@pass_options
def completion(options: Options, *, shell: str) -> None:
    """Print the script that completes `cccnode` in a shell."""
    from cccnode.cli.main import cli  # noqa: PLC0415 - the table that this command stands in

    kind = get_completion_class(shell)
    assert kind is not None, "click knows these shells"
    script = kind(cli, {}, "cccnode", VARIABLE)
    source = script.source_template % script.source_vars()
    if options.json:
        output.emit_json({"shell": shell, "script": source})
        return
    click.echo(source)
