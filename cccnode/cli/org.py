"""`cccnode org`: what the organisations of a network decide together (J21): propose, approve, withdraw, proposals."""

from collections.abc import Mapping
from typing import Any, Final

import click

from cccnode.city.registry.messages import (
    AdmitOrganisation,
    Change,
    RegistryApprove,
    RegistryWithdraw,
    RemoveOrganisation,
    RemoveValidator,
)
from cccnode.cli import output
from cccnode.cli.card import content_of
from cccnode.cli.council import ask_to_vote, consequences, describe, proposal_lines, proposing, put_to_the_vote
from cccnode.cli.join_text import JOIN_PREFIX, read_join
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import talk
from cccnode.cli.tx import send_message, signed_by_organisation
from cccnode.client import Client
from cccnode.types import errors
from cccnode.types.errors import fault

AT_TIP_BLOCKS: Final = 100
"""What we know of another node's height is up to five seconds old; a loaded network makes twenty blocks a second."""


@click.group(epilog="Example: cccnode org approve 3")
def org() -> None:
    """What organisations decide: propose, approve, withdraw, proposals."""


@org.command(epilog="Example: cccnode org propose --join request.txt")
@click.option("--join", "join", metavar="TEXT|FILE", help="A join request: take the organisation in.")
@click.option("--remove", metavar="NAME", help="Put an organisation out.")
@click.option("--remove-validator", "demoted", metavar="NAME", help="Let an organisation validate no more.")
@click.option("--flagged", is_flag=True, help="For validators: beside other changes, beyond f of them at once.")
@put_to_the_vote
@signed_by_organisation
@also_here
@pass_options
def propose(
    options: Options,
    /,
    join: str | None,
    remove: str | None,
    demoted: str | None,
    *,
    flagged: bool,
    by_vote: str | None,
    expedited: bool,
    **how: Any,
) -> None:
    """Propose a change to the other organisations (it counts as your approval), or to the city's vote."""
    change = _change(options, join, remove, demoted)
    message = proposing(options, change, flagged=flagged, by_vote=by_vote, expedited=expedited)
    status = send_message(options, message, look=consequences, **how)
    if by_vote is not None:
        ask_to_vote(options, status, by_vote)


@org.command(epilog="Example: cccnode org approve 3")
@click.argument("proposal", type=click.IntRange(1))
@signed_by_organisation
@also_here
@pass_options
def approve(options: Options, /, proposal: int, **how: Any) -> None:
    """Approve a proposal. For a new validator your node says whether it is linked with the candidate's."""
    row, reached, seen = talk(options, lambda node: _look(node, proposal))
    if row is not None:
        output.say(f"{row['number']}: {describe(options, row['change'])}")
        if row["reach_needed"] and not reached:
            output.say(
                options.text(
                    f"Your node does not reach the candidate's ({seen}); you approve without saying that it does.",
                    f"โหนดของท่านติดต่อโหนดของผู้สมัครไม่ได้ ({seen}) การอนุมัตินี้จึงไม่ยืนยันการติดต่อ",
                )
            )
    send_message(options, RegistryApprove(proposal, reached), look=consequences, **how)


@org.command(epilog="Example: cccnode org withdraw 3")
@click.argument("proposal", type=click.IntRange(1))
@signed_by_organisation
@also_here
@pass_options
def withdraw(options: Options, /, proposal: int, **how: Any) -> None:
    """Take back a proposal of your own organisation."""
    send_message(options, RegistryWithdraw(proposal), look=consequences, **how)


@org.command(epilog="Example: cccnode org proposals --output json")
@also_here
@pass_options
def proposals(options: Options) -> None:
    """Show what waits for approvals, and what became of the last proposals."""

    async def ask(node: Client) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return await node.call("registry_proposals"), await node.call("registry_decisions")

    waiting, decided = talk(options, ask)
    if options.json:
        output.emit_json({"open": waiting, "decided": decided})
        return
    lines = output.table(proposal_lines(options, waiting)) or [options.text("  none", "  ไม่มี")]
    click.echo("\n".join([options.text("Open proposals", "ข้อเสนอที่เปิดอยู่"), *lines]))
    if decided:
        rows = [(row["number"], row["kind"], row["subject"], row["ending"], row["height"]) for row in decided[-8:]]
        click.echo("\n".join([options.text("Decided lately", "ตัดสินแล้ว"), *output.table(rows)]))


def _change(options: Options, join: str | None, remove: str | None, demoted: str | None) -> Change:
    given = [option for option in (join, remove, demoted) if option is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --join, --remove and --remove-validator")
    if join is not None:
        return _admission(options, join)
    return RemoveOrganisation(remove) if remove is not None else RemoveValidator(demoted or "")


def _admission(options: Options, text: str) -> AdmitOrganisation:
    """The change of a join request made for the network of the node that is asked."""
    request = read_join(content_of(text, JOIN_PREFIX))
    chain = talk(options, lambda node: node.chain())
    if request.chain != chain:
        raise fault(errors.WRONG_CHAIN, request=request.chain, here=chain)
    return request.change


async def _look(node: Client, number: int) -> tuple[Mapping[str, Any] | None, bool, str]:
    """The open proposal of that number; whether the node reaches its candidate's, and what it sees of it."""
    rows = await node.call("registry_proposals")
    row = next((row for row in rows if int(row["number"]) == number), None)
    if row is None or row["change"]["type"] != "AddValidator":
        return row, False, ""
    wanted = row["change"]["receipt"]["node_key"]
    height = int((await node.status())["height"])
    peers = (await node.call("net_peers"))["peers"]
    peer = next((peer for peer in peers if peer["node"] == wanted), None)
    if peer is None:
        return row, False, f"not linked with {wanted}"
    behind = height - int(peer["height"])
    return row, behind <= AT_TIP_BLOCKS, f"{wanted} is {behind} blocks behind"
