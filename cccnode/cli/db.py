"""`cccnode db`: what a node keeps."""

import click

from cccnode.cli.pruning import prune


@click.group(epilog="Example: cccnode db prune --home ~/.cccnode")
def db() -> None:
    """What a node keeps: prune."""


db.add_command(prune)
