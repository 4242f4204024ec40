"""What organisations decide together, in words: proposals, how far they have come, what a transaction did to them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, TypeVar

import click

from cccnode.city import CITY
from cccnode.city.gov.messages import GovPropose, Kind
from cccnode.city.registry.messages import (
    AddValidator,
    AdmitOrganisation,
    Change,
    RegistryAdmitOrganisation,
    RegistryAdmitValidator,
    RegistryPropose,
    RegistryRemoveOrganisation,
    RegistryRemoveValidator,
    RemoveOrganisation,
    RemoveValidator,
    subject_of,
)
from cccnode.cli import output
from cccnode.cli.options import Options
from cccnode.client import Client, ClientError, to_hex, wall_ms
from cccnode.codec import Noun, encode
from cccnode.types import errors

F = TypeVar("F", bound=Callable[..., Any])

Json = Mapping[str, Any]

BY_VOTE: Final = ("deposit", "endorsed")
"""How a change comes before the city: with a deposit, or once enough members have endorsed it."""

_WHAT: Final = {
    "AdmitOrganisation": ("admit organisation {name}", "รับองค์กร {name}"),
    "RemoveOrganisation": ("remove organisation {organisation}", "ถอดองค์กร {organisation}"),
    "AddValidator": ("make {organisation} a validator", "ให้ {organisation} เป็นผู้ตรวจสอบ"),
    "RemoveValidator": ("let {organisation} validate no more", "ให้ {organisation} เลิกเป็นผู้ตรวจสอบ"),
    "SetTimers": ("set the timers", "ตั้งค่าเวลา"),
    "SetLimits": ("set the limits", "ตั้งค่าขีดจำกัด"),
    "SetPolicy": ("set the policy of {kind}", "ตั้งนโยบายของ {kind}"),
}


def put_to_the_vote(command: F) -> F:
    """Give a command that proposes a change the options `by_vote` and `expedited` of `proposing`."""
    taken = getattr(command, "__click_params__", [])
    command.__click_params__ = [*reversed(ballot_options(None)), *taken]  # type: ignore[attr-defined]
    return command


def ballot_options(default: str | None) -> list[click.Parameter]:
    """How something is put before the city; without a default it is not, unless that is asked for."""
    by_vote = click.Choice(BY_VOTE)
    return [
        click.Option(["--by-vote"], type=by_vote, default=default, help="Ask the city: with a deposit or without."),
        click.Option(["--expedited"], is_flag=True, help="Ask the city: a quarter of the time, all chambers."),
    ]


def proposing(
    options: Options, change: Change, *, flagged: bool, by_vote: str | None, expedited: bool
) -> RegistryPropose | GovPropose:
    """The message that proposes a change: to the other organisations, or to the city's vote.

    Raises:
        click.UsageError: `expedited` where the city is not asked.
    """
    if by_vote is None:
        if expedited:
            raise click.UsageError("--expedited goes with --by-vote: organisations have no such votes")
        return RegistryPropose(change, flagged)
    message: Noun
    match change:
        case AdmitOrganisation():
            message = RegistryAdmitOrganisation(change)
        case RemoveOrganisation():
            message = RegistryRemoveOrganisation(change, flagged)
        case AddValidator():
            message = RegistryAdmitValidator(change, flagged)
        case RemoveValidator():
            message = RegistryRemoveValidator(change, flagged)
        case _:
            raise AssertionError(f"no command proposes {type(change).__name__}")
    subject = subject_of(change)
    title = describe(options, {"type": type(change).__name__, "name": subject, "organisation": subject})
    return city_proposal(message, title, by_vote=by_vote, expedited=expedited)


def city_proposal(message: Noun, title: str, *, by_vote: str, expedited: bool) -> GovPropose:
    """A message that only a vote carries out, before the city; the title says all, so the text is its hash."""
    kind, text = Kind[CITY.rows[type(message)].decided.upper()], sha256(title.encode()).digest()
    return GovPropose(kind, (encode(message),), title, text, expedited, by_vote == "endorsed")


def ask_to_vote(options: Options, status: Json, by_vote: str) -> None:
    """Say what the city does now with what was just proposed, where it was."""
    if "proposal" not in status:
        return
    verb = "gov-endorse {} " if by_vote == "endorsed" else "gov-vote {} yes "
    command = f"cccnode tx {verb.format(status['proposal'])}--from KEY"
    output.say(options.text(f"Ask the city: {command}", f"ขอให้เมืองพิจารณา: {command}"))


def describe(options: Options, change: Json) -> str:
    """A change in one phrase."""
    english, thai = _WHAT.get(change["type"], (change["type"], change["type"]))
    return options.text(english, thai).format_map(change)


def progress(options: Options, proposal: Json) -> str:
    """How many of how many approve, and who."""
    names = ", ".join(row["organisation"] for row in proposal["approvals"] if row["counts"])
    count = f"{proposal['approving']}/{proposal['needed']}"
    said = options.text(f"{count} approvals", f"อนุมัติแล้ว {count}") + (f" ({names})" if names else "")
    if proposal["reach_needed"]:
        reach = f"{proposal['reaching']}/{proposal['reach_needed']}"
        said += options.text(f", reached by {reach}", f" ติดต่อโหนดได้ {reach}")
    return said


def proposal_lines(options: Options, proposals: Sequence[Json]) -> list[tuple[object, ...]]:
    """A table of open proposals."""
    return [
        (
            row["number"],
            describe(options, row["change"]),
            progress(options, row),
            options.text("by ", "โดย ") + row["proposer"],
            options.text("ends in ", "เหลือ ") + duration(int(row["expires_ms"]) - wall_ms()),
        )
        for row in proposals
    ]


def duration(milliseconds: int) -> str:
    """A length of time in its largest unit."""
    seconds = max(0, milliseconds) // 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def about(proposals: Iterable[Json], kind: str, organisation: str) -> Json | None:
    """The newest open proposal of a kind about an organisation."""
    found = None
    for row in proposals:
        change = row["change"]
        if change["type"] == kind and organisation in (change.get("name"), change.get("organisation")):
            found = row
    return found


async def consequences(node: Client, tx_id: bytes) -> dict[str, Any]:
    """What a transaction did: the events of registry and city, and in words which proposal and how it stands."""
    try:
        found = await node.call("tx_get", tx_id=to_hex(tx_id))
    except ClientError as error:
        if error.name != errors.NOT_FOUND.name:
            raise
        return {}
    events = [event[1:] for event in found["receipt"]["events"] if event[0] in {"registry", "gov"}]
    shown: dict[str, Any] = {"events": events}
    for name, *fields in events:
        match name:
            case "proposed" | "approved" | "withdrawn":
                shown["proposal"] = fields[0]
            case "executed":
                shown["proposal"], shown["decision"] = fields[0], "executed"
            case "refused":
                shown["proposal"] = fields[0]
                shown["decision"] = f"approved, but it cannot be carried out now: {fields[1]} ({fields[2]})"
            case _:
                pass
    return shown
