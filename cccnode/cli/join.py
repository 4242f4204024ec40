"""`cccnode join`: how an organisation comes into a network: request, show, status (conventions.md 4a)."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from cccnode.city.members.messages import WeightedKey
from cccnode.city.members.state import Pillar
from cccnode.city.registry.messages import AdmitOrganisation, NodeOffer
from cccnode.cli import output
from cccnode.cli.card import content_of
from cccnode.cli.init import ORGANISATION
from cccnode.cli.join_text import JOIN_PREFIX, JoinRequest, join_text, node_keys, read_join
from cccnode.cli.keys import named_key, open_key
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.progress import STAGES, Json, look, shown_lines
from cccnode.cli.reach import load
from cccnode.client import wall_ms
from cccnode.home import Home
from cccnode.keys import Role
from cccnode.types import errors
from cccnode.types.addresses import account_text
from cccnode.types.errors import fault
from cccnode.types.limits import NODE_ADDRESSES_MAX
from cccnode.types.transaction import account_id
from cccnode.types.validators import node_id
from p2p.addresses import is_somewhere
from p2p.directory import make_certificate

POLL_S: Final = 1.0
"""Between two looks of a status that waits."""
PILLARS: Final = [pillar.name.lower() for pillar in Pillar if pillar is not Pillar.NONE]


@click.group(epilog="Example: cccnode join status")
def join() -> None:
    """Join a network: request, show, status."""


@join.command(epilog="Example: cccnode join request --org cmu --pillar academia --address node.cmu.example:27600")
@click.option("--org", "organisation", metavar="NAME", help="Your organisation [node.organisation of config.toml].")
@click.option("--pillar", type=click.Choice(PILLARS), required=True, help="Of the city that you stand for.")
@click.option(
    "--address", "addresses", multiple=True, metavar="HOST:PORT", help="Where others dial this node [p2p.advertise]."
)
@click.option("--account", metavar="KEY", help="Account key of the organisation [its name].")
@click.option("--passphrase-file", "secret", type=click.Path(path_type=Path), help="File whose first line opens keys.")
@also_here
@pass_options
def request(
    options: Options,
    organisation: str | None,
    pillar: str,
    addresses: tuple[str, ...],
    account: str | None,
    secret: Path | None,
) -> None:
    """Print what the members need to take your organisation in, signed by its account key and its node key."""
    settings = load(options).config
    name = organisation or settings.node.organisation
    if not ORGANISATION.match(name):
        raise click.UsageError("give --org NAME: small letters, digits and -")
    where = _addresses(addresses or settings.p2p.advertise)
    node = open_key(options.home.node_key, Role.NODE, secret)
    owner = open_key(named_key(options.home, account or name), Role.ACCOUNT, secret)
    change = AdmitOrganisation(
        name,
        Pillar[pillar.upper()],
        (WeightedKey(owner.public_key),),
        1,
        (NodeOffer(make_certificate(node.seed), where),),
    )
    text = join_text(chain_of(options.home), change, [owner, node], made_ms=wall_ms())
    if options.json:
        output.emit_json({"request": text, **_json(read_join(text))})
        return
    click.echo(text)
    output.say(
        options.text(
            "Send this text to a member, who types: cccnode org propose --join TEXT",
            "ส่งข้อความนี้ให้สมาชิก ซึ่งจะพิมพ์ cccnode org propose --join TEXT",
        )
    )


@join.command(epilog="Example: cccnode join show request.txt")
@click.argument("text", metavar="TEXT|FILE")
@also_here
@pass_options
def show(options: Options, text: str) -> None:
    """Show what a join request asks for, its signatures checked."""
    found = _json(read_join(content_of(text, JOIN_PREFIX)))
    if options.json:
        output.emit_json(found)
        return
    nodes, account_keys = found.pop("nodes"), found.pop("account_keys")
    found["account_keys"] = ", ".join(account_keys)
    rows = [*found.items(), *((f"node {row['node_id']}", ", ".join(row["addresses"]) or "-") for row in nodes)]
    for line in output.table(rows, indent=""):
        click.echo(line)
    output.say(
        options.text(
            "Every key named has signed it. Compare the node id with them over another way, then propose it.",
            "กุญแจทุกดอกลงนามแล้ว เทียบรหัสโหนดกับองค์กรผ่านช่องทางอื่นก่อนเสนอ",
        )
    )


@join.command(epilog="Example: cccnode join status --wait ready")
@click.option("--wait", "stage", type=click.Choice(STAGES), help="Wait until this stage, or a later one, is reached.")
@click.option("--timeout", type=click.IntRange(1, 86_400), default=600, show_default=True, help="Seconds to wait.")
@also_here
@pass_options
def status(options: Options, stage: str | None, timeout: int) -> None:
    """Where you stand: asked, approved, linked, caught up; and what to type next."""
    found = look(options) if stage is None else _reached(options, stage, timeout)
    if options.json:
        output.emit_json(found)
        return
    for line in shown_lines(options, found):
        click.echo(line)


def _reached(options: Options, stage: str, timeout: int) -> Json:
    """What `look` says once a stage is reached; says each stage on the way.

    Raises:
        Trouble: `join/WAITED`.
    """
    end, seen = time.monotonic() + timeout, ""
    while True:
        found = look(options)
        if STAGES.index(found["stage"]) >= STAGES.index(stage):
            return found
        if found["stage"] != seen:
            seen = found["stage"]
            output.say(f"{seen}: {found['why']}")
        if time.monotonic() >= end:
            raise output.trouble(errors.JOIN_WAITED, waited_for=stage, stage=seen, why=found["why"])
        time.sleep(POLL_S)


def chain_of(home: Home) -> bytes:
    """The chain that a home belongs to.

    Raises:
        Fault: `home/EMPTY`, `genesis/INVALID`.
    """
    from genesis.document import chain_id, read_document  # noqa: PLC0415 - slow for large documents, used here only

    try:
        return chain_id(read_document(home.genesis_file.read_bytes()))
    except FileNotFoundError as error:
        raise fault(errors.HOME_EMPTY, home=str(home.root), missing=home.genesis_file.name) from error


def _addresses(addresses: Sequence[str]) -> tuple[str, ...]:
    if not 1 <= len(addresses) <= NODE_ADDRESSES_MAX:
        raise click.UsageError(f"give 1 to {NODE_ADDRESSES_MAX} times --address HOST:PORT, where others dial this node")
    for address in addresses:
        if not is_somewhere(address):
            raise click.UsageError(f"--address {address}: others cannot dial it")
    return tuple(addresses)


def _json(found: JoinRequest) -> dict[str, Any]:
    change = found.change
    return {
        "organisation": change.name,
        "pillar": change.pillar.name.lower(),
        "chain": "0x" + found.chain.hex(),
        "account": account_text(account_id(change.keys[0].key)),
        "account_keys": [f"0x{row.key.hex()} (weight {row.weight} of {change.threshold})" for row in change.keys],
        "made_ms": str(found.made_ms),
        "nodes": [
            {"node": "0x" + key.hex(), "node_id": node_id(key).hex(), "addresses": list(offer.addresses)}
            for key, offer in zip(node_keys(change), change.nodes, strict=True)
        ],
    }
