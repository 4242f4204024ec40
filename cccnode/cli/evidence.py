"""`cccnode evidence`: files that prove what the ledger holds, and contradicting votes of validators."""

from typing import Any

import click

from cccnode.city.evidence.messages import EvidenceReport
from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.proving import check, export, promise
from cccnode.cli.reach import talk
from cccnode.cli.tx import send_message, signed_by_organisation
from cccnode.client import from_hex
from cccnode.codec import decode
from cccnode.types.vote import Contradiction


@click.group(epilog="Example: cccnode evidence export --tx 0x5f... -o proof.cccevidence")
def evidence() -> None:
    """Prove what the ledger holds in a file: export, verify. Validators that voted twice: list, report."""


@evidence.command("list", epilog="Example: cccnode evidence list --output json")
@also_here
@pass_options
def list_(options: Options) -> None:
    """Contradicting votes that the node has met, numbered from 0; those on record: `cccnode query evidence-list`."""
    found = _waiting(options)
    if options.json:
        output.emit_json(found)
        return
    rows = [
        (number, f"epoch {row['epoch']}", f"view {row['view']}", _who(row), " and ".join(row["kinds"]))
        for number, row in enumerate(found)
    ]
    for line in output.table(rows, indent="") or [options.text("None.", "ไม่มี")]:
        click.echo(line)


@evidence.command(epilog="Example: cccnode evidence report 0 --from org1")
@click.argument("number", type=click.IntRange(min=0))
@also_here
@signed_by_organisation
@pass_options
def report(options: Options, /, number: int, **how: Any) -> None:
    """Report one of them: it is judged once, recorded for ever, and opens a proposal to remove the validator."""
    found = _waiting(options)
    if number >= len(found):
        raise click.UsageError(f"there are {len(found)}; see `cccnode evidence list`")
    pair = decode(Contradiction, from_hex(found[number]["raw"]))
    send_message(options, EvidenceReport(pair.epoch, pair.first, pair.second), **how)


evidence.add_command(export)
evidence.add_command(check)
evidence.add_command(promise)


def _waiting(options: Options) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = talk(options, lambda node: node.call("evidence_waiting"))["evidence"]
    return found


def _who(row: dict[str, Any]) -> str:
    return f"validator {row['signer']}" + (f" ({row['organisation']})" if row["organisation"] else "")
