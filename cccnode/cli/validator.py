"""`cccnode validator`: becoming one, being one, and ending it (conventions.md 4b)."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from cccnode import keys
from cccnode.city.registry.messages import AddValidator, RegistryLeave, RegistryPause, RegistryReady
from cccnode.cli import output, preflight
from cccnode.cli.council import ask_to_vote, consequences, proposing, put_to_the_vote
from cccnode.cli.keys import open_key
from cccnode.cli.node import program_version
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import talk
from cccnode.cli.rotation import rotate_consensus_key, rotate_transport_key
from cccnode.cli.tx import organisation_of, send_message, signed_by_organisation
from cccnode.client import Client, ClientError, from_hex
from cccnode.keys import Role
from cccnode.types import errors
from cccnode.types.certificate import signer_indices
from cccnode.types.readiness import ReadinessReceipt, sign_readiness

BLOCKS_LOOKED_AT: Final = 16
"""For what a validator signed and led lately."""
POLL_S: Final = 2.0
"""Between two looks of a check that waits."""

Json = Mapping[str, Any]


@click.group(epilog="Example: cccnode validator status")
def validator() -> None:
    """Validate: check, apply, status, ready, pause, leave, rotate-key."""


@validator.command(epilog="Example: cccnode validator check --output json")
@click.option("--flagged", is_flag=True, help="Count as a flagged proposal would: for networks below four.")
@click.option("--wait", "wait_s", type=click.IntRange(0, 86_400), default=0, help="Seconds to wait until it is ready.")
@also_here
@pass_options
def check(options: Options, *, flagged: bool, wait_s: int) -> None:
    """Look whether this node is ready to validate; changes nothing."""
    name, end = organisation_of(options), time.monotonic() + wait_s
    while True:
        asked = talk(options, lambda node: preflight.ask(node, options.home, name, flagged=flagged))
        found = preflight.checks(options, asked, name)
        if preflight.not_ready(found) is None or time.monotonic() >= end:
            break
        time.sleep(POLL_S)
    if options.json:
        output.emit_json({"ready": all(row.passed for row in found), "checks": [row.as_json() for row in found]})
    else:
        rows = [("ok" if row.passed else "NO", row.name, row.found) for row in found]
        for line in output.table(rows, indent=""):
            click.echo(line)
        for row in found:
            if not row.passed:
                output.say(f"{row.name}: {row.remedy}")
    if (failed := preflight.not_ready(found)) is not None:
        raise failed
    output.say(options.text("Ready: cccnode validator apply", "พร้อม: cccnode validator apply"))


@validator.command(epilog="Example: cccnode validator apply --passphrase-file ~/secret")
@click.option("--flagged", is_flag=True, help="For networks below four, and beside other changes beyond f.")
@click.option("--skip", multiple=True, type=click.Choice(preflight.SKIPPABLE), help="Apply although this check fails.")
@put_to_the_vote
@signed_by_organisation
@also_here
@pass_options
def apply(
    options: Options, /, *, flagged: bool, skip: tuple[str, ...], by_vote: str | None, expedited: bool, **how: Any
) -> None:
    """Check, sign a readiness receipt with the consensus key, and propose this organisation as validator."""
    name = organisation_of(options)
    asked = talk(options, lambda node: preflight.ask(node, options.home, name, flagged=flagged))
    preflight.require(preflight.checks(options, asked, name, sender=how["sender"]), skip=skip)
    receipt = _receipt(options, asked, name, how["secret"])
    change = AddValidator(name, receipt)
    message = proposing(options, change, flagged=flagged, by_vote=by_vote, expedited=expedited)
    status = send_message(options, message, look=consequences, **how)
    if by_vote is not None:
        ask_to_vote(options, status, by_vote)
    elif "proposal" in status:
        number = status["proposal"]
        output.say(
            options.text(
                f"Ask the members to approve it: cccnode org approve {number}. Then the running node votes by itself.",
                f"ขอให้สมาชิกอนุมัติ: cccnode org approve {number} แล้วโหนดจะลงคะแนนเอง",
            )
        )


@validator.command(epilog="Example: cccnode validator status --output json")
@also_here
@pass_options
def status(options: Options) -> None:
    """Whether this node votes, how it did lately, and when it signs next and why not now."""
    name = organisation_of(options)
    found = talk(options, lambda node: _look(node, name))
    if options.json:
        output.emit_json(found)
        return
    for line in output.table(_rows(options, found), indent=""):
        click.echo(line)


@validator.command(epilog="Example: cccnode validator pause")
@signed_by_organisation
@also_here
@pass_options
def pause(options: Options, /, **how: Any) -> None:
    """Stop validating from the next epoch on, and stay a member. To return, apply with a new key."""
    _stands_without(options)
    send_message(options, RegistryPause(), look=consequences, **how)


@validator.command(epilog="Example: cccnode validator ready milestones")
@click.argument("feature")
@signed_by_organisation
@also_here
@pass_options
def ready(options: Options, /, feature: str, **how: Any) -> None:
    """Declare that this node knows a scheduled feature; refused where its program does not."""
    known = talk(options, lambda node: node.call("chain_features"))["known"]
    if feature not in known:
        raise output.trouble(errors.OUTDATED, features=feature, known=", ".join(known))
    send_message(options, RegistryReady(feature), look=consequences, **how)


@validator.command(epilog="Example: cccnode validator leave --yes")
@signed_by_organisation
@also_here
@pass_options
def leave(options: Options, /, **how: Any) -> None:
    """Leave the network for good: no validator, no nodes, no say. The name is never used again."""
    name = organisation_of(options)
    if not options.yes:
        question = options.text(f"{name} leaves for good. Go on?", f"{name} จะออกอย่างถาวร ดำเนินการต่อหรือไม่")
        click.confirm(question, abort=True, err=True)
    _stands_without(options)
    send_message(options, RegistryLeave(), look=consequences, **how)


@validator.command("rotate-key", epilog="Example: cccnode validator rotate-key --transport")
@click.option("--transport", is_flag=True, help="The node key (TLS), in steps: each call does the next one.")
@click.option("--address", "addresses", multiple=True, metavar="HOST:PORT", help="Of the new node key [as the old].")
@click.option("--unencrypted", is_flag=True, help="For demo networks only: the new key in clear.")
@signed_by_organisation
@also_here
@pass_options
def rotate_key(
    options: Options, /, *, transport: bool, addresses: tuple[str, ...], unencrypted: bool, **how: Any
) -> None:
    """Vote with a new consensus key from the next epoch on; with --transport, replace the node key with overlap."""
    if transport:
        rotate_transport_key(options, addresses, how, unencrypted=unencrypted)
    else:
        rotate_consensus_key(options, how, unencrypted=unencrypted)


def _receipt(options: Options, asked: preflight.Asked, name: str, secret: Any) -> ReadinessReceipt:
    """What the consensus key signs: that this node has the newest root that the registry remembers."""
    path = preflight.candidate_key(options.home, asked.used)
    assert path is not None, "checked before"
    if not asked.checkpoints:
        raise output.trouble(errors.VALIDATOR_NOT_READY, checks=["tip: no checkpoint yet; wait for some blocks"])
    newest = asked.checkpoints[-1]
    return sign_readiness(
        open_key(path, Role.VALIDATOR, secret),
        organisation=name,
        node_key=keys.read(options.home.node_key).public_key,
        height=int(newest["height"]),
        state_root=from_hex(newest["state_root"]),
        version=program_version(),
    )


def _stands_without(options: Options) -> None:
    """Say with numbers why the network would not stand it, before anything is sent.

    Raises:
        Trouble: `registry/QUORUM_AT_RISK`.
    """
    from cccnode.city.registry.errors import QUORUM_AT_RISK  # noqa: PLC0415 - one row, used here only

    name = organisation_of(options)

    async def ask(node: Client) -> tuple[bool, dict[str, Any]]:
        rows = await node.call("registry_validators")
        validates = any(row["organisation"] == name and row["next_key"] is not None for row in rows)
        return validates, await node.call("registry_preflight", organisation=name, joins=False)

    validates, row = talk(options, ask)
    if validates and not row["safe"]:
        raise output.trouble(
            QUORUM_AT_RISK,
            validators=row["validators"],
            quorum=row["quorum"],
            live=row["live"],
            silent=", ".join(row["silent"]),
        )


async def _look(node: Client, name: str) -> dict[str, Any]:
    """Status of the node as a validator, with what it signed and led in the newest blocks of the epoch."""
    status = await node.status()
    index = status["validator"]
    now = await _seat(node, "chain_validators", name)
    coming = await _seat(node, "registry_validators", name)
    signed, led, seen = await _lately(node, status)
    found = {
        "organisation": name,
        "index": index,
        "epoch": status["epoch"],
        "state": status["state"],
        "consensus_key": now["consensus_key"] if now is not None else None,
        "next_key": coming["next_key"] if coming is not None else None,
        "blocks": seen,
        "signed": signed,
        "led": led,
        "led_height": coming["led_height"] if coming is not None else "0",
        "signs": index is not None and status["state"] == "validating",
        "reasons": status["reasons"],
    }
    return {**found, "when": _when(found)}


async def _seat(node: Client, method: str, organisation: str) -> Json | None:
    """The organisation's row in this epoch's record, or in what the registry says of the next."""
    answer = await node.call(method)
    rows = answer["validators"] if isinstance(answer, dict) else answer
    return next((row for row in rows if row["organisation"] == organisation), None)


async def _lately(node: Client, status: Json) -> tuple[int, int, int]:
    """How many of the epoch's newest blocks bear the validator's signature, how many it led, how many there are."""
    index, height, signed, led, seen = status["validator"], int(status["height"]), 0, 0, 0
    for at in range(height, max(0, height - BLOCKS_LOOKED_AT), -1):
        try:
            block = await node.call("chain_block", height=str(at))
        except ClientError as error:
            if error.name in {errors.PRUNED.name, errors.NOT_FOUND.name}:
                break
            raise
        if block["header"]["epoch"] != status["epoch"]:
            break
        seen += 1
        led += block["header"]["proposer"] == index
        certificate = block["certificate"]
        signed += certificate is not None and index in signer_indices(from_hex(certificate["bitmap"]))
    return signed, led, seen


def _when(found: Json) -> str:
    """When it signs next: now, at the next epoch, or when what."""
    if found["signs"]:
        return "now"
    if found["index"] is not None:
        return "when the reasons below are gone; after a lost journal in the next epoch"
    if found["consensus_key"] is not None:
        return "never with this home's keys: the epoch names another key or node"
    if found["next_key"] is not None:
        return "from the next epoch on, which begins by itself"
    return "after cccnode validator apply, and the members' approval"


def _rows(options: Options, found: Json) -> Sequence[tuple[object, ...]]:
    text = options.text
    index = "-" if found["index"] is None else found["index"]
    rows: list[tuple[object, ...]] = [
        (text("organisation", "องค์กร"), found["organisation"] or "-"),
        (text("validator", "ผู้ตรวจสอบ"), f"{index}, epoch {found['epoch']}, {found['state']}"),
        (text("key", "กุญแจ"), found["consensus_key"] or "-"),
    ]
    if found["next_key"] != found["consensus_key"]:
        rows.append((text("next key", "กุญแจถัดไป"), found["next_key"] or text("none: it leaves", "ไม่มี: กำลังออก")))
    if found["index"] is not None:
        lately = f"signed {found['signed']}, led {found['led']} of the last {found['blocks']} blocks"
        rows.append((text("lately", "ช่วงล่าสุด"), lately))
    rows.append((text("signs", "ลงคะแนน"), found["when"]))
    thai = options.lang == "th"
    rows += [
        (reason["code"], f"{reason['text_th' if thai else 'text']} {reason['remedy_th' if thai else 'remedy']}")
        for reason in found["reasons"]
    ]
    return rows
